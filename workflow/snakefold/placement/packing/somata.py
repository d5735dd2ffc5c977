"""Cells as spheres that must not overlap: what strategies and the solver of packings have to say to each other."""

from collections.abc import Callable, Mapping
from math import pi
from typing import ClassVar

import numpy as np

from snakefold.config.nodes import Node
from snakefold.errors import listed
from snakefold.placement.packing.solver import NOTHING, Packing, Starts, Surroundings
from snakefold.placement.strategy import Arrays, Chunk, Neighbourhood
from snakefold.topology.domains import Domain, domain_of

MOST_PACKING = 0.5  # that the method reaches everywhere
BATCH_CELLS = 30_000  # packed at once, about: few enough to be soon in the journal
BATCH_PIECES = 500_000  # voxels of the chunks that are packed at once, about: some 100 bytes each

# CPU-s of a cell by packing factor, measured on 2e5 cells (tests/benchmarks/packing.py).
_COST_S = ((0.0, 4e-6), (0.1, 9e-6), (0.3, 2.5e-5), (0.45, 6e-5), (0.5, 1.5e-4))


class Somata:
    """The cells of a strategy, packed batch by batch of chunks of a job.

    Parameters
    ----------
    scattered : the cells of a chunk before any is moved, given the chunk and its stream, as `PlacementStrategy.place`
    radii : by cell type, um: no two cells are nearer than the sum of theirs
    around : what lies around the chunks of this job
    key : 64 bits that what is drawn follows from
    obstacles : whether cells of the strategies in `depends_on` are kept away from
    mc_sweeps : see `Packing`
    """

    BYTES_PER_CELL: ClassVar[int] = 500

    def __init__(
        self,
        scattered: Callable[[Chunk, np.random.Generator], dict[str, Arrays]],
        radii: Mapping[str, float],
        around: Neighbourhood,
        key: int,
        *,
        obstacles: bool = True,
        mc_sweeps: int = 0,
    ):
        self._scattered, self._around = scattered, around
        self._farthest = float(np.abs([around.lower, around.upper]).max())
        self._numbers: dict[int, list[int]] = {}  # of cells of each type, by chunk
        # Node files have float32 radii: both they and the exact ones must not overlap.
        self._radii = {t: max(r, float(np.float32(r))) for t, r in radii.items()}
        surroundings = Surroundings(
            around.lower,
            around.upper,
            around.near,
            self._starts,
            self._domain,
            self._obstacles if obstacles else lambda lower, upper: NOTHING,
        )
        largest = max(self._radii.values())
        largest_obstacle = around.largest_radius if obstacles else 0.0
        self._packing = Packing(surroundings, key, largest, largest_obstacle, mc_sweeps)
        cells = max(float(around.counts(around.run).sum(axis=0).mean()), 1.0)
        pieces = around.n_pieces / len(around.near(around.lower, around.upper))
        most = min(BATCH_CELLS / cells, BATCH_PIECES / pieces)
        self._shift = np.uint64(3 * max(int(np.log2(most) // 3), 0))

    def place(self, chunk: Chunk) -> dict[str, Arrays]:
        """Return the cells of a chunk, as `PlacementStrategy.place`.

        Raises
        ------
        UserError : they cannot be packed
        """
        run = self._around.run
        cube = (np.uint64(chunk.id) >> self._shift) + np.array([0, 1], np.uint64)
        first, last = np.searchsorted(run >> self._shift, cube)
        first = max(first, int(np.searchsorted(run, np.uint64(chunk.id))))  # those before are done, or were
        batch = run[first:last]
        position = self._packing.final(batch if len(batch) else np.array([chunk.id], np.uint64))[0]
        ends = np.cumsum(self._numbers[chunk.id])
        parts = np.split(position, ends[:-1])
        return {t: {"position": part} for t, part in zip(chunk.counts, parts, strict=True)}

    def _starts(self, id_: int) -> Starts:
        chunk, rng = self._around.chunk(id_)
        drawn = self._scattered(chunk, rng)
        self._numbers[id_] = [len(drawn[t]["position"]) for t in chunk.counts]
        points = np.concatenate([drawn[t]["position"] for t in chunk.counts])
        radii = np.repeat([self._radii[t] for t in chunk.counts], self._numbers[id_])
        if not len(points):
            return Starts(*NOTHING)
        return Starts(domain_of(chunk.pieces).in_float32(self._farthest).brought_in(points), radii)

    def _domain(self, lower: np.ndarray, upper: np.ndarray) -> Domain:
        return self._around.domain(lower, upper).in_float32(self._farthest)

    def _obstacles(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, radii = [np.empty((0, 3), np.float32)], [np.empty(0)]
        for _, cells in sorted(self._around.cells(lower, upper).items()):
            position = cells.positions
            near = ((position > lower) & (position < upper)).all(axis=1)
            points.append(position[near])
            radii.append(cells.column("radius")[near].astype(np.float64))
        return np.concatenate(points), np.concatenate(radii)


def fraction(totals: Mapping[str, int], radii: Mapping[str, float], volume: float) -> float:
    """Return the packing factor: the share of a volume, um^3, that somata of given radii, um, fill."""
    radius = {t: radii.get(t, 0.0) for t in totals}
    return sum(n * 4 / 3 * pi * radius[t] * radius[t] * radius[t] for t, n in totals.items()) / volume


def cost_s(totals: Mapping[str, int], radii: Mapping[str, float], volume: float) -> float:
    """Return about how many CPU-s it takes to pack somata."""
    each = np.interp(fraction(totals, radii, volume), *zip(*_COST_S, strict=True))
    return float(each) * sum(totals.values())


def too_dense(totals: Mapping[str, int], radii: Mapping[str, float], volume: float) -> list[str]:
    """Return that somata cannot be packed, if they cannot."""
    packing = fraction(totals, radii, volume)
    if packing <= MOST_PACKING:
        return []
    over, n = packing / MOST_PACKING, sum(totals.values())
    return [
        f"too dense: somata that do not overlap can fill at most {MOST_PACKING} of the volume, and would fill "
        f"{packing:.3g}, {over:.2f} times that; place at most {int(n / over)} cells instead of {n}, or smaller ones, "
        "or in a larger volume"
    ]


def missing_radii(strategy: Node, radii: Mapping[str, float]) -> list[str]:
    """Return which cell types have no radius: those placed, and those to keep away from."""
    said = []
    if own := [t for t, radius in radii.items() if not radius]:
        said.append(f"somata that do not overlap need a radius, which {listed(own)} should have under spatial")
    root = strategy.root()
    placement, cell_types = getattr(root, "placement", None) or {}, getattr(root, "cell_types", None) or {}
    before = [placement[s] for s in strategy.depends_on if s in placement and placement[s].located]
    others = {t: s for s in before for t in s.cell_types}
    unknown = [t for t, s in sorted(others.items()) if t in cell_types and not s.radius_of(t, cell_types[t].spatial)]
    if unknown:
        said.append(
            f"somata cannot be kept from overlapping those of {listed(unknown)}, which {listed(strategy.depends_on)} "
            "in depends_on should place with a radius"
        )
    return said
