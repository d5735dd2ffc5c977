"""How many cells: from a type's indicator to its exact total, and from the total to chunks.

An indicator is plain JSON, made from the description:

* {"count": n}
* {"density": cells per um^3, "partitions": [...]} and {"planar_density": cells per um^2 of the x-y footprint, ...}
* {"ratio": r, "of": [indicators of the other type, one per strategy that places it]}
* {"local_ratio": r, "partitions": [...], "of": [{"indicator", "partitions", "strategy"}]}: r times the cells that the
  other type has in the same chunk. "partitions" are those of the strategy that places them; "strategy" is its
  component, where it deals cells out in its own way; then "setting" is [its name, its seed, the type, its radius], um,
  where it knows all its cells beforehand

Totals are rounded once, half to even, never chunk by chunk.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from snakefold import components
from snakefold.errors import UserError
from snakefold.topology.chunks import Grid, Pieces, cut

MOST_CELLS = 2**32 - 1  # of one type: node ids have 32 bits
MOST_CHUNKS = 2_000_000  # where cells are counted chunk by chunk: seconds, and some 600 MB, each time a circuit is read


@dataclass(frozen=True)
class Space:
    """What numbers of cells are measured by.

    Attributes
    ----------
    boxes : partition -> (n, 2, 3) float64, um
    grid : the chunks
    files : data files by digest, of strategies that deal cells out in their own way
    """

    boxes: Mapping[str, np.ndarray]
    grid: Grid
    files: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def sizes(self) -> dict[str, tuple[float, float]]:
        """Volume, um^3, and x-y footprint, um^2, of each partition."""
        extents = {name: np.diff(boxes, axis=1)[:, 0] for name, boxes in self.boxes.items()}
        return {name: (float(e.prod(1).sum()), float(e[:, :2].prod(1).sum())) for name, e in extents.items()}

    def n_chunks(self, partitions: list[str]) -> float:
        """Return about how many chunks some partitions are cut into."""
        extents = np.concatenate([np.diff(self.boxes[p], axis=1)[:, 0] for p in partitions])
        return float(np.maximum(extents / self.grid.size, 1.0).prod(axis=1).sum())

    def pieces(self, partitions: list[str]) -> Pieces:
        """Return the parts of some partitions in each chunk."""
        return cut(self.grid, [self.boxes[p] for p in partitions])


def total(indicator: dict, space: Space) -> int:
    """Return the number of cells that an indicator asks for.

    Raises
    ------
    UserError : more than can be numbered
    """
    wanted = estimate(indicator, space)
    if not wanted <= MOST_CELLS:
        raise UserError(f"{wanted:.3g} cells asked for; there can be at most {MOST_CELLS}")
    return round(wanted)


def estimate(indicator: dict, space: Space) -> float:
    """Return what an indicator comes to before rounding; the other type of a ratio counts as rounded."""
    if "count" in indicator:
        return indicator["count"]
    if "ratio" in indicator:
        return indicator["ratio"] * sum(total(other, space) for other in indicator["of"])
    if "local_ratio" in indicator:
        return indicator["local_ratio"] * _total_of_others(indicator, space)
    which = 0 if "density" in indicator else 1
    size = sum(space.sizes[partition][which] for partition in indicator["partitions"])
    return indicator["density" if which == 0 else "planar_density"] * size


def shares(indicator: dict, space: Space, chunks: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Return what the numbers of cells in chunks, (n,), are in proportion to, given the volume in each, (n,) um^3."""
    if "local_ratio" not in indicator:
        return volume
    return sum(_others(indicator, space, chunks), np.zeros(len(chunks)))


def _total_of_others(indicator: dict, space: Space) -> float:
    """Return the number of cells of the other type in the chunks of an indicator's own partitions."""
    own = indicator["partitions"]
    if all("strategy" not in other and set(other["partitions"]) <= set(own) for other in indicator["of"]):
        return sum(total(other["indicator"], space) for other in indicator["of"])  # all of them: nothing to cut
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
