"""How many cells: from a type's indicator to its exact total, and from the total to chunks.

An indicator is plain JSON, made from the description:

* {"count": n}
* {"density": cells per um^3, "partitions": [...]} and {"planar_density": cells per um^2 of the x-y footprint, ...}
* {"density_key": name of a data column of the partitions of voxels, "partitions": [...], "times": factor, where not 1}
* {"ratio": r, "of": [indicators of the other type, one per strategy that places it]}
* {"local_ratio": r, "partitions": [...], "of": [{"indicator", "partitions", "strategy"}]}: r times the cells that the
  other type has in the same chunk. "partitions" are those of the strategy that places them; "strategy" is its
  component, where it deals cells out in its own way; then "setting" is [its name, its seed, the type, its radius], um,
  where it knows all its cells beforehand

Totals are rounded once, half to even, never chunk by chunk.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from snakefold import components
from snakefold.errors import UserError, did_you_mean, listed
from snakefold.topology.chunks import Grid, Pieces, cut, joined
from snakefold.topology.voxelised import VoxelExtent, column_of

MOST_CELLS = 2**32 - 1  # of one type: node ids have 32 bits
TYPICAL_DENSITY = 1e-4  # um^-3, of the mouse brain's cells (Ero et al. 2018, Front. Neuroinform. 12:84), for guesses
MOST_CHUNKS = 2_000_000  # where cells are counted chunk by chunk: seconds, and some 600 MB, each time a circuit is read


class NotKnownYet(Exception):
    """A number that depends on what voxels a partition has, before its part is built."""


@dataclass(frozen=True)
class Space:
    """What numbers of cells are measured by.

    Attributes
    ----------
    boxes : partition -> (n, 2, 3) float64, um
    grid : the chunks
    files : data files by digest, of strategies that deal cells out in their own way
    voxels : what is known of the partitions of voxels
    guesses : whether what is not known yet is guessed, for estimates of cost
    """

    boxes: Mapping[str, np.ndarray]
    grid: Grid
    files: Mapping[str, Path] = field(default_factory=dict)
    voxels: Mapping[str, VoxelExtent] = field(default_factory=dict)
    guesses: bool = False

    @cached_property
    def _sizes(self) -> dict[str, tuple[float, float]]:
        """Volume, um^3, and x-y footprint, um^2, of each partition of boxes."""
        extents = {name: np.diff(boxes, axis=1)[:, 0] for name, boxes in self.boxes.items()}
        return {name: (float(e.prod(1).sum()), float(e[:, :2].prod(1).sum())) for name, e in extents.items()}

    def volume(self, partition: str) -> float:
        """Return the volume of a partition, um^3.

        Raises
        ------
        NotKnownYet : its part has to be built before
        """
        if partition not in self.voxels:
            return self._sizes[partition][0]
        extent = self.voxels[partition]
        if extent.volume is None and not self.guesses:
            raise NotKnownYet(partition)
        return extent.most if extent.volume is None else extent.volume

    def footprint(self, partition: str) -> float:
        """Return the area of a partition in the x-y plane, um^2.

        Raises
        ------
        UserError : it is one of voxels, which have none
        """
        if partition in self.voxels:
            what = f'"{partition}" is a partition of voxels and has no area that a planar density could refer to'
            raise UserError(f"{what}; give a density, or a count")
        return self._sizes[partition][1]

    def integral(self, partition: str, column: str) -> float:
        """Return the integral of a data column over a partition; raises as `volume`.

        Raises
        ------
        UserError : it has no such column, or one with values that are no densities
        """
        extent = self.voxels.get(partition, VoxelExtent((), 0.0))
        at = column_of(extent.columns, column)
        if at is None:
            what = f'the partition "{partition}" has no data volume "{column}"{did_you_mean(column, extent.columns)}'
            raise UserError(f"{what} (its sources: {listed(extent.columns)})")
        if extent.volume is None:
            return TYPICAL_DENSITY * self.volume(partition)
        if extent.bad[at]:
            what = f'{extent.bad[at]} voxels of the partition "{partition}" have no densities in "{column}"'
            raise UserError(f"{what} but numbers that are negative, infinite or none; mask them")
        return extent.integrals[at]

    def n_chunks(self, partitions: list[str]) -> float:
        """Return about how many chunks some partitions of boxes are cut into."""
        extents = [np.diff(self.boxes[p], axis=1)[:, 0] for p in partitions if p not in self.voxels]
        return float(sum(np.maximum(e / self.grid.size, 1.0).prod(axis=1).sum() for e in extents))

    def pieces(self, partitions: list[str], columns: Sequence[str] = ()) -> Pieces:
        """Return the parts of some partitions in each chunk; of those of voxels, all in a chunk as one piece.

        The integrals of the columns, which all of them have, go with them.
        """
        if not any(p in self.voxels for p in partitions):
            return cut(self.grid, [self.boxes[p] for p in partitions])
        return joined([self._pieces(p, columns) for p in partitions])

    def _pieces(self, partition: str, columns: Sequence[str]) -> Pieces:
        if partition not in self.voxels:
            return cut(self.grid, [self.boxes[partition]])
        extent = self.voxels[partition]
        if extent.pieces is None:
            raise NotKnownYet(partition)
        found = {c: extent.columns[column_of(extent.columns, c)] for c in columns}
        return replace(extent.pieces, amounts={c: extent.pieces.amounts[own] for c, own in found.items()})


def total(indicator: dict, space: Space) -> int:
    """Return the number of cells that an indicator asks for.

    Raises
    ------
    UserError : more than can be numbered
    """
    wanted = estimate(indicator, space)
    if space.guesses:
        return round(min(wanted, MOST_CELLS))
    if not wanted <= MOST_CELLS:
        raise UserError(f"{wanted:.3g} cells asked for; there can be at most {MOST_CELLS}")
    return round(wanted)


def guess(indicator: dict, space: Space) -> int:
    """Return about how many cells an indicator may come to, for estimates of cost where its total is not known yet."""
    return round(min(estimate(indicator, replace(space, guesses=True)), MOST_CELLS))


def estimate(indicator: dict, space: Space) -> float:
    """Return what an indicator comes to before rounding; the other type of a ratio counts as rounded."""
    if "count" in indicator:
        return indicator["count"]
    if "ratio" in indicator:
        return indicator["ratio"] * sum(total(other, space) for other in indicator["of"])
    if "local_ratio" in indicator:
        return indicator["local_ratio"] * _total_of_others(indicator, space)
    key = next(key for key in ("density", "planar_density", "density_key") if key in indicator)
    if key == "density_key":
        return indicator.get("times", 1.0) * sum(_each(indicator, lambda p: space.integral(p, indicator[key])))
    return indicator[key] * sum(_each(indicator, space.volume if key == "density" else space.footprint))


def _each(indicator: dict, measure: Callable[[str], float]) -> list[float]:
    """Measure the partitions of an indicator; what is wrong with any comes before what is not known yet."""
    found, unknown = [], None
    for partition in indicator["partitions"]:
        try:
            found.append(measure(partition))
        except NotKnownYet as error:
            unknown = error
    if unknown:
        raise unknown
    return found


def shares(indicator: dict, space: Space, chunks: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Return what the numbers of cells in chunks, (n,), are in proportion to, given the volume in each, (n,) um^3."""
    if "density_key" in indicator:
        return space.pieces(indicator["partitions"], [indicator["density_key"]]).sums(indicator["density_key"])
    if "local_ratio" not in indicator:
        return volume
    return sum(_others(indicator, space, chunks), np.zeros(len(chunks)))


def _total_of_others(indicator: dict, space: Space) -> float:
    """Return the number of cells of the other type in the chunks of an indicator's own partitions."""
    own = indicator["partitions"]
    if all("strategy" not in other and set(other["partitions"]) <= set(own) for other in indicator["of"]):
        return sum(total(other["indicator"], space) for other in indicator["of"])  # all of them: nothing to cut
    if space.guesses and any(p in space.voxels for p in partitions_of(indicator)):
        return sum(total(other["indicator"], space) for other in indicator["of"])
    for partitions in (own, *(other["partitions"] for other in indicator["of"])):
        if (n := space.n_chunks(partitions)) > MOST_CHUNKS:
            what = f"are counted chunk by chunk, and there are {n:.3g} chunks (at most {MOST_CHUNKS})"
            raise UserError(f"cells relative to those in the same chunk {what}; network.chunk_size should be larger")
    chunks = np.unique(space.pieces(own).chunk)
    return float(sum(n.sum() for n in _others(indicator, space, chunks)))


def _others(indicator: dict, space: Space, chunks: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the number of cells of the other type in each of some chunks, (n,), for each strategy that places it."""
    for other in indicator["of"]:
        pieces = space.pieces(other["partitions"])
        there, volume = pieces.volumes()
        n, share = total(other["indicator"], space), shares(other["indicator"], space, there, volume)
        if "strategy" in other:
            strategy, cell_type = components.restore(other["strategy"], "", dict(space.files)), ""
            if "setting" in other:
                name, seed, cell_type, radius = other["setting"]
                strategy.setting = replace(strategy.setting, name=name, seed=seed, radii={cell_type: radius})
            there, (counts,) = strategy.deal({cell_type: n}, {cell_type: share}, pieces, space.grid)
        else:
            counts = deal(n, share)
        _, here, at = np.intersect1d(chunks, there, assume_unique=True, return_indices=True)
        found = np.zeros(len(chunks))
        found[here] = counts[at]
        yield found


def partitions_of(indicator: dict) -> list[str]:
    """Return the partitions whose size an indicator needs."""
    inner = [*indicator.get("of", ()), *([indicator["indicator"]] if "indicator" in indicator else [])]
    return list(dict.fromkeys([*indicator.get("partitions", ()), *(p for i in inner for p in partitions_of(i))]))


def deal(n: int, weights: np.ndarray) -> np.ndarray:
    """Deal a total out by weight: cumulative rounding, so that every running sum is within half a cell of its share.

    Parameters
    ----------
    n : the total
    weights : (m,), at least 0; not all 0 where the total is not

    Returns
    -------
    (m,) int64 whose sum is n
    """
    if n == 0:
        return np.zeros(len(weights), np.int64)
    share = np.cumsum(weights, dtype=np.float64)
    return np.diff(np.rint(share / share[-1] * n).astype(np.int64), prepend=0)
