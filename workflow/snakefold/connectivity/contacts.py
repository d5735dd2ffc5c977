"""Contacts of pairs of cells: which pairs have voxels that touch, and points drawn among those of such voxels.

A contact is a pair of points, drawn uniformly from all pairs whose voxels touch (see `touch`). Where the target is not
turned against the source, tables tell of nearly every pair of cells whether there are any; contacts are drawn from
points listed on either side of a face, and drawn again where the point lies on the other. The rest, and cells that are
turned, are computed point by point. All is exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snakefold.connectivity.sampling import Draws
from snakefold.connectivity.touch import Placed, Touched, Turned, phases
from snakefold.topology.chunks import counted

AT_ONCE = 1 << 18  # voxels or points looked at together
ROUNDS = 8  # of drawing again; contacts that are left then are drawn from a list of all their points


@dataclass(frozen=True)
class Contacts:
    """Contacts of some pairs of cells.

    Attributes
    ----------
    pair : (n,) int64, the pair of cells of each, ascending
    source, target : (n,) integers, indices of points of their morphologies
    """

    pair: np.ndarray
    source: np.ndarray
    target: np.ndarray

    @classmethod
    def joined(cls, parts: list["Contacts"]) -> "Contacts":
        """Return those of several, one after another."""
        if not parts:
            return cls(*(np.empty(0, np.int64) for _ in range(3)))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("pair", "source", "target")))


@dataclass(frozen=True)
class Wanted:
    """How many contacts a pair of cells makes that makes any: a number that is drawn.

    Attributes
    ----------
    cumulative : (m,) float64, the probability of at most 0, 1, ... m - 1; else it is m
    draws, purpose : what numbers, and places in rounds, are drawn from: `purpose` and the next
    """

    cumulative: np.ndarray
    draws: Draws
    purpose: int

    def numbers(self, n_pairs: int) -> np.ndarray:
        """Return the numbers of contacts of the next pairs, (n,) int64."""
        if not ((self.cumulative > 0) & (self.cumulative < 1)).any():  # always the same
            return np.full(n_pairs, np.searchsorted(self.cumulative, 0.5))
        return np.searchsorted(self.cumulative, self.draws(self.purpose).random(n_pairs), side="right")

    def places(self, n: int, round_: int = 0) -> np.ndarray:
        """Return where among the pairs of points the next contacts are, (n,) float64 from 0 to 1."""
        return self.draws(self.purpose + 1, round_).random(n)


def unturned(touched: Touched, placed: Placed, apart: np.ndarray, wanted: Wanted) -> Contacts:
    """Return contacts of pairs of cells of which the target is not turned against the source.

    Parameters
    ----------
    apart : (n_pairs, 3) float64, um, from the source to the target, in the source's frame
    """
    made = []
    for inside, block in blocks(touched, placed, apart):
        hits = block.sure
        doubtful = np.flatnonzero(~hits & (np.diff(block.start) > 0))
        hits[doubtful] = block.weights(doubtful) > 0
        found = block.drawn(np.flatnonzero(hits), wanted)
        made.append(Contacts(inside[found.pair], found.source, found.target))
    return Contacts.joined(made)


def blocks(touched: Touched, placed: Placed, apart: np.ndarray) -> Iterator[tuple[np.ndarray, "Block"]]:
    """Yield the pairs of cells of `unturned` whose grids overlap, in blocks: their indices, (n,), and themselves."""
    step, rest = placed.grid(apart, touched.size)
    step += placed.low - touched.low
    inside = np.flatnonzero(((step >= 0) & (step <= touched.shape - placed.extent)).all(axis=1))
    step, rest = (step[inside] @ touched.strides).astype(np.int32), rest[inside]
    phase, there, listed = phases(rest), touched.n > 0, placed.n > 0
    at_once = max(AT_ONCE // placed.cells.shape[1], 1)
    for a in range(0, len(inside), at_once):
        some = slice(a, a + at_once)
        cells = placed.cells[phase[some]]
        cells += step[some, None]
        found = there.take(cells)
        found &= listed[phase[some]]
        yield inside[some], Block.of(touched, placed, cells, found, phase[some], rest[some])


@dataclass(frozen=True)
class Block:
    """Some pairs of cells, with the voxels of the target that touch something, those of one pair together.

    Attributes
    ----------
    touched, placed : the tables
    start : (n_pairs + 1,) int64, where the voxels of a pair begin
    cell : (n,) int32, index into `touched`
    n, first : (n,) int32, number of points listed, and where they begin in `placed`
    sure : (n_pairs,) bool, whether one of the voxels has a point for sure
    rest : (3, n_pairs) float64, 1 less where in its voxel the target's origin is
    """

    touched: Touched
    placed: Placed
    start: np.ndarray
    cell: np.ndarray
    n: np.ndarray
    first: np.ndarray
    sure: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(
        cls,
        touched: Touched,
        placed: Placed,
        cells: np.ndarray,
        found: np.ndarray,
        phase: np.ndarray,
        rest: np.ndarray,
    ) -> "Block":
        """Return the pairs of which voxels, (n_pairs, n_most) indices into `touched`, are found to touch something."""
        at, n_most = np.flatnonzero(found), cells.shape[1]
        start = np.searchsorted(at, np.arange(len(cells) + 1) * n_most)
        pair = np.repeat(np.arange(len(cells)), np.diff(start))
        listed = at + (phase - np.arange(len(cells)))[pair] * n_most
        sure = np.zeros(len(cells), bool)
        sure[pair[placed.sure.take(listed)]] = True
        n, first = placed.n.take(listed), placed.first.take(listed)
        return cls(touched, placed, start, cells.take(at), n, first, sure, np.ascontiguousarray(1 - rest.T))

    def true(self, entry: np.ndarray, pair: np.ndarray) -> np.ndarray:
        """Return which entries of pairs, (m,) bool, are listed on the side of faces on which the point lies."""
        point, side = entry >> 3, entry & 7
        true = np.ones(len(entry), bool)
        for axis, bit in enumerate((4, 2, 1)):
            beyond = self.placed.rest[axis].take(point) >= self.rest[axis].take(pair)
            true &= beyond == (side & bit).astype(bool)
        return true

    def points(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all points of some pairs that touch something: which of the pairs, point, voxel, each (m,)."""
        n = np.diff(self.start)[pairs]
        voxel = np.repeat(self.start[pairs], n) + counted(n)
        of, n = np.repeat(np.arange(len(pairs)), n), self.n[voxel]
        entry = self.placed.entry[np.repeat(self.first[voxel], n) + counted(n)]
        of, voxel = np.repeat(of, n), np.repeat(voxel, n)
        kept = self.true(entry, pairs[of])
        return of[kept], entry[kept] >> 3, voxel[kept]

    def weights(self, pairs: np.ndarray) -> np.ndarray:
        """Return W of some pairs, (m,) int64."""
        of, _, voxel = self.points(pairs)
        return np.bincount(of, weights=self.touched.n[self.cell[voxel]], minlength=len(pairs)).astype(np.int64)

    def drawn(self, pairs: np.ndarray, wanted: Wanted) -> Contacts:
        """Return contacts of pairs that have points whose voxels touch."""
        left = np.repeat(pairs, wanted.numbers(len(pairs)))
        n_touched = self.touched.n[self.cell].astype(np.int64)
        total = np.concatenate([[0], np.cumsum(n_touched * self.n)])
        pair, source, target = (np.empty(len(left), np.int64) for _ in range(3))
        pair[:] = left
        open_ = np.arange(len(left))
        for round_ in range(ROUNDS):
            if not len(open_):
                break
            voxel, below = _picked(total, self.start, left, wanted.places(len(left), round_))
            which, of_source = np.divmod(below, n_touched[voxel])
            entry = self.placed.entry[self.first[voxel] + which]
            kept = self.true(entry, left)
            at = open_[kept]
            target[at] = entry[kept] >> 3
            source[at] = self.touched.first[self.cell[voxel[kept]]] + of_source[kept]
            open_, left = open_[~kept], left[~kept]
        if len(open_):
            some, of = np.unique(left, return_inverse=True)
            listed, point, voxel = self.points(some)
            start = np.searchsorted(listed, np.arange(len(some) + 1))
            total = np.concatenate([[0], np.cumsum(n_touched[voxel])])
            at, below = _picked(total, start, of, wanted.places(len(of), ROUNDS))
            target[open_] = point[at]
            source[open_] = self.touched.first[self.cell[voxel[at]]] + below
        return Contacts(pair, self.touched.source[source], self.placed.points[target])


def _picked(total: np.ndarray, start: np.ndarray, row: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pick one thing for each of some rows, in proportion to whole weights.

    Parameters
    ----------
    total : (n + 1,) int64, cumulative weights of the things of all rows
    start : (n_rows + 1,) int64, where the things of a row begin
    row, u : (m,) int64 and float64 from 0 to below 1

    Returns
    -------
    index of the thing, (m,) int64, and how far within its weight, (m,) int64
    """
    low, high = total[start[row]], total[start[row + 1]]
    at = low + np.minimum((u * (high - low)).astype(np.int64), high - low - 1)
    thing = np.searchsorted(total, at, side="right") - 1
    return thing, at - total[thing]


def turned(touched: Touched, target: Turned, apart: np.ndarray, turn: np.ndarray, wanted: Wanted) -> Contacts:
    """Return contacts of pairs of cells of which the target is turned against the source.

    Parameters
    ----------
    apart : (n_pairs, 3) float64, um, from the source to the target, in the source's frame
    turn : (n_pairs, 3, 3) float64, from the target's frame into the source's
    """
    made = []
    for a, b, of, point, cell in near(touched, target, apart, turn):
        weight = touched.n[cell].astype(np.int64)
        start = np.searchsorted(of, np.arange(b - a + 1))
        total = np.concatenate([[0], np.cumsum(weight)])
        hits = np.flatnonzero(np.diff(start))
        row = np.repeat(hits, wanted.numbers(len(hits)))
        at, below = _picked(total, start, row, wanted.places(len(row)))
        made.append(Contacts(a + row, touched.source[touched.first[cell[at]] + below], target.points[point[at]]))
    return Contacts.joined(made)


def near(
    touched: Touched, target: Turned, apart: np.ndarray, turn: np.ndarray
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, for blocks a to b of pairs, all points of targets that touch something: pair - a, point, voxel, (m,)."""
    at_once, n_points = max(AT_ONCE // len(target.centre), 1), np.diff(target.offsets)
    for a in range(0, len(apart), at_once):
        b = min(a + at_once, len(apart))
        centre = np.einsum("pij,cj->pci", turn[a:b], target.centre) + apart[a:b, None]
        at = np.clip(np.floor(centre / touched.size).astype(np.int64) - target.low, 0, target.shape - 1)
        near = target.near[(at[..., 0] * target.shape[1] + at[..., 1]) * target.shape[2] + at[..., 2]]
        pair, cluster = np.nonzero(near)
        ends = np.cumsum(n_points[cluster])
        parts, first = [np.empty((3, 0), np.int64)], 0
        while first < len(pair):
            last = int(np.searchsorted(ends, (ends[first - 1] if first else 0) + AT_ONCE, side="right"))
            some = slice(first, max(last, first + 1))
            parts.append(_touching(touched, target, pair[some], cluster[some], apart[a:b], turn[a:b]))
            first = some.stop
        yield a, b, *np.concatenate(parts, axis=1)


def _touching(
    touched: Touched, target: Turned, pair: np.ndarray, cluster: np.ndarray, apart: np.ndarray, turn: np.ndarray
) -> np.ndarray:
    """Return the points of some clusters of pairs that touch something, (3, m) int64: pair, point, voxel."""
    n = np.diff(target.offsets)[cluster]
    point, pair = np.repeat(target.offsets[cluster], n) + counted(n), np.repeat(pair, n)
    place = np.einsum("pij,pj->pi", turn[pair], target.places[point]) + apart[pair]
    at = np.clip(np.floor(place / touched.size).astype(np.int64) - touched.low, 0, touched.shape - 1)
    voxel = at @ touched.strides
    kept = touched.n[voxel] > 0
    return np.stack([pair[kept], point[kept], voxel[kept]])
