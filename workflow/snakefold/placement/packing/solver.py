"""Which regions some chunks need, and in what order: the part of packing that is not about spheres."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from snakefold.errors import UserError
from snakefold.placement.packing.lattice import SLACK, Lattice, code_of
from snakefold.topology.chunks import decode
from snakefold.topology.domains import Domain

MARGIN = 2.0  # in diameters: how far from a region's box ghosts start at most
RIM = 1.0  # in diameters: how far a ghost moves
ROUNDING = 1e-6  # by how much radii grow, relative, so that no test in float32 numbers finds an overlap


NOTHING = (np.empty((0, 3), np.float32), np.empty(0))  # positions and radii of no spheres


@dataclass(frozen=True)
class Starts:
    """The cells of a chunk before any is moved.

    Attributes
    ----------
    points : (n, 3) float32, um, in the domain
    radii : (n,) float64, um
    """

    points: np.ndarray
    radii: np.ndarray


@dataclass(frozen=True)
class Surroundings:
    """What the solver asks of the strategy.

    Attributes
    ----------
    lower, upper : corners of a box around the domain, (3,) um
    near : the chunks, (n,) uint64 ascending, that come within a box
    starts : the cells of a chunk
    domain : the domain within a box, with edges that are float32 numbers
    obstacles : positions, (n, 3) float32, and radii, (n,), of the spheres that are there before, within a box
    """

    lower: np.ndarray
    upper: np.ndarray
    near: Callable[[np.ndarray, np.ndarray], np.ndarray]
    starts: Callable[[int], Starts]
    domain: Callable[[np.ndarray, np.ndarray], Domain]
    obstacles: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass
class Packing:
    """Spheres packed region by region. What is solved is kept, so that no region is solved twice in a job.

    Attributes
    ----------
    around : what it asks for
    seed : 64 bits that all random numbers follow from
    largest : largest radius of a sphere that is moved, um
    largest_obstacle : largest radius of one that is not, 0 if there is none
    mc_sweeps : Metropolis sweeps at the end of each region
    """

    around: Surroundings
    seed: int
    largest: float
    largest_obstacle: float = 0.0
    mc_sweeps: int = 0
    _lattice: Lattice = field(init=False)
    _starts: dict[int, Starts] = field(init=False, default_factory=dict)
    _final: dict[int, np.ndarray] = field(init=False, default_factory=dict)
    _owners: dict[int, np.ndarray] = field(init=False, default_factory=dict)
    _solved: dict[int, tuple[np.ndarray, np.ndarray]] = field(init=False, default_factory=dict)

    def __post_init__(self):
        # Obstacles count as half: a corner has room around the largest, and obstacles do not touch each other's cells.
        self.d = max(2 * self.largest, self.largest_obstacle) * (1 + ROUNDING)
        self._lattice = Lattice(np.asarray(self.around.lower), np.asarray(self.around.upper), self.d)

    def final(self, chunks: np.ndarray) -> list[np.ndarray]:
        """Return the final positions, (n, 3) float32 um, of the cells of each of some chunks, in order.

        Raises
        ------
        UserError : a region cannot be packed
        """
        for chunk in chunks.tolist():
            self._start(chunk)
        codes = np.unique(np.concatenate([np.empty(0, np.uint64), *(self._owners[c] for c in chunks.tolist())]))
        nodes = decode(codes)
        above = self._lattice.above(nodes)
        todo = np.unique(np.concatenate([codes, code_of(above[above[..., 0] >= 0])]))
        todo = np.array([code for code in todo.tolist() if code not in self._solved], np.uint64)
        if len(todo):
            self._solve(todo)
        return [self._final[chunk] for chunk in chunks.tolist()]

    def _start(self, chunk: int) -> Starts:
        if chunk not in self._starts:
            starts = self._starts[chunk] = self._cleared(chunk, self.around.starts(chunk))
            self._owners[chunk] = self._lattice.of(starts.points)
            self._final[chunk] = np.full((len(starts.points), 3), np.nan, np.float32)
        return self._starts[chunk]

    def _cleared(self, chunk: int, starts: Starts) -> Starts:
        """Return starts of which those that overlap obstacles are elsewhere nearby, in the same chunk.

        Otherwise they would be pushed to the obstacles' surfaces, and lie there more densely than anywhere else.
        """
        if not self.largest_obstacle or not len(starts.points):
            return starts
        from snakefold.placement.packing import kernels

        lower, upper = (x.astype(np.float64) for x in (starts.points.min(axis=0), starts.points.max(axis=0)))
        h = 1.02 * (self.largest + self.largest_obstacle)
        obstacles, obstacle_radii = self.around.obstacles(lower - h, upper + h)
        near = ((obstacles > lower - h) & (obstacles < upper + h)).all(axis=1)
        obstacles, obstacle_radii = obstacles[near], obstacle_radii[near]
        if not len(obstacles):
            return starts
        domain = self.around.domain(lower - self.d, upper + self.d)
        points, radii = starts.points.astype(np.float64), starts.radii * (1 + ROUNDING)
        keys = self._keys(np.uint64(chunk), np.arange(len(points)))
        obstacles, obstacle_radii = obstacles.astype(np.float64), obstacle_radii * (1 + ROUNDING)
        points = kernels.cleared(
            points, radii, keys, lower, upper, obstacles, obstacle_radii, domain.edges, domain.mask, 2 * self.d, h
        )
        return Starts(points.astype(np.float32), starts.radii)

    def _keys(self, chunk: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Return a key, (n,) uint64, for each of some cells."""
        return _mixed(_mixed(np.broadcast_to(chunk, row.shape) ^ np.uint64(self.seed)) + row.astype(np.uint64))

    def _solve(self, todo: np.ndarray) -> None:
        """Solve regions, (n,) codes; all that they depend on are solved already, or among them."""
        from snakefold.placement.packing import kernels

        nodes = decode(todo)
        lower, upper = self._lattice.boxes(nodes)
        low, high = lower.min(axis=0) - MARGIN * self.d, upper.max(axis=0) + MARGIN * self.d
        chunks = self.around.near(low, high).tolist()
        starts = [self._start(chunk) for chunk in chunks]
        sizes = np.array([len(s.points) for s in starts], np.int64)
        which, row = (
            np.repeat(np.arange(len(chunks)), sizes),
            np.concatenate([np.empty(0, int), *map(np.arange, sizes)]),
        )
        x0 = np.concatenate([np.empty((0, 3), np.float32), *(s.points for s in starts)])
        radii = np.concatenate([np.empty(0), *(s.radii for s in starts)]) * (1 + ROUNDING)
        owners = np.concatenate([np.empty(0, np.uint64), *(self._owners[c] for c in chunks)])
        order = np.argsort(owners, kind="stable")
        which, row, x0, radii, owners = which[order], row[order], x0[order], radii[order], owners[order]
        known, first = np.unique(owners, return_index=True)
        first = np.append(first, len(owners)).astype(np.int64)
        keys = self._keys(np.array(chunks, np.uint64)[which], row) >> np.uint64(1)
        reach = (MARGIN + RIM) * self.d + 2 * self.d
        # Beyond what ghosts reach, or the window's faces would stop those that are pushed farther and brought back.
        domain = self.around.domain(low - (RIM + 1) * self.d, high + (RIM + 1) * self.d)
        obstacles, obstacle_radii = self.around.obstacles(low - reach, high + reach)
        obstacle_radii = obstacle_radii * (1 + ROUNDING)
        touching = self.largest + max(self.largest, self.largest_obstacle)
        h = 1.02 * touching  # spheres are kept apart by up to 1.01 of that
        levels = (nodes & 1).sum(axis=1)
        final = np.full((len(x0), 3), np.nan, np.float32)
        for level in (3, 2, 1, 0):
            at = np.flatnonzero(levels == level)
            own = _index(known, todo[at])
            empty = own < 0
            for code in todo[at[empty]].tolist():
                self._solved[code] = NOTHING
            at, own = at[~empty], own[~empty]
            if not len(at):
                continue
            beside = self._lattice.beside(nodes[at]) if level else np.full((len(at), 1, 3), -1)
            ghosts = np.where(beside[..., 0] >= 0, _index(known, code_of(beside)), -1)
            fixed, fixed_radii, fixed_first = self._fixed(nodes[at], lower[at], upper[at])
            sweeps, left = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
            kernels.solve_level(
                todo[at], first, lower[at], upper[at], x0, radii, keys, ghosts, own, fixed, fixed_radii, fixed_first,
                obstacles, obstacle_radii, domain.edges, domain.below, domain.mask, np.uint64(self.seed), self.d,
                (SLACK - 1e-3) * self.d, MARGIN * self.d, RIM * self.d, h, self.mc_sweeps, final, sweeps, left,
            )  # fmt: skip
            if left.any():
                worst = int(np.argmax(left))
                n = int(first[own[worst] + 1] - first[own[worst]])
                raise UserError(_given_up(lower[at[worst]], upper[at[worst]], n, int(left[worst])))
            for code, a, b in zip(todo[at].tolist(), first[own].tolist(), first[own + 1].tolist(), strict=True):
                self._solved[code] = final[a:b].copy(), radii[a:b]
        placed = np.flatnonzero(~np.isnan(final[:, 0]))
        for i in np.unique(which[placed]).tolist():
            its = placed[which[placed] == i]
            self._final[chunks[i]][row[its]] = final[its]

    def _fixed(
        self, nodes: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the final spheres, (n, 3) and (n,), that regions may touch, and where those of each begin."""
        above = self._lattice.above(nodes)
        region, beside = np.nonzero(above[..., 0] >= 0)
        codes, at = np.unique(code_of(above[region, beside]), return_inverse=True)
        solved = [NOTHING, *(self._solved[code] for code in codes.tolist())]
        points, radii = (np.concatenate(columns) for columns in zip(*solved, strict=True))
        sizes = np.array([len(its) for its, _ in solved[1:]], np.int64)
        first, size = (np.cumsum(sizes) - sizes)[at], sizes[at]
        row = np.repeat(first - (np.cumsum(size) - size), size) + np.arange(size.sum())
        region = np.repeat(region, size)
        away = self.d * (1 + SLACK)
        near = ((points[row] > lower[region] - away) & (points[row] < upper[region] + away)).all(axis=1)
        row, region = row[near], region[near]
        return points[row].astype(np.float64), radii[row], np.searchsorted(region, np.arange(len(nodes) + 1))


def _index(known: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return where codes are among ascending known ones, -1 where they are not."""
    if not len(known):
        return np.full(codes.shape, -1)
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[at] == codes, at, -1)


def _mixed(z: np.ndarray) -> np.ndarray:
    """Return splitmix64's finalizer of (n,) uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _given_up(lower: np.ndarray, upper: np.ndarray, n: int, left: int) -> str:
    where = " to ".join("(" + ", ".join(f"{x:.1f}" for x in corner) + ")" for corner in (lower, upper))
    return (
        f"the somata cannot be packed without overlap: from {where} um, {left} of {n} somata still overlap another "
        f"({1 - left / n:.1%} are free); place fewer cells, or smaller ones, or in a larger volume"
    )
