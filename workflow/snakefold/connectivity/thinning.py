"""Independent trials of pairs of cells whose probability falls with distance, without looking at all pairs.

Space is cut into bins. For two bins, the probability at their least distance bounds that of every pair of their cells;
with that one bound, successes are drawn at once for all pairs of the bins, without making the failures, and each is
kept with its own probability over the bound (thinning: Lewis & Shedler 1979, Naval Res. Logist. 26:403). So the work
goes with the number of synapses, not with that of pairs within reach.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from snakefold.topology.chunks import counted

FINEST = 6  # bins within reach along an axis, to one side
CELLS_PER_BIN = 2.0  # fewer make more bins than they save trials
MOST_BINS = 2.0**20  # along an axis, so that three of them have one code
EVERY_ABOVE = 0.5  # of a bound: trials of all pairs, which costs twice the successes at most
MOST_ROWS, MOST_TRIALS = 1 << 18, 1 << 20  # pairs of bins, and trials, held at once

Probability = Callable[[np.ndarray], np.ndarray]  # of distances, um


@dataclass(frozen=True)
class Space:
    """The axes along which distance is measured, and whether it repeats along them.

    Attributes
    ----------
    origin, period : (d,), um; the period is 0 where space does not repeat
    """

    origin: np.ndarray
    period: np.ndarray

    @property
    def repeats(self) -> np.ndarray:
        """(d,) bool."""
        return self.period > 0

    def wrapped(self, positions: np.ndarray) -> np.ndarray:
        """Return positions, (n, d) float64, um, moved by whole periods to within one of the origin."""
        places = np.asarray(positions, np.float64)
        step = np.where(self.repeats, self.period, 1.0)
        return np.where(self.repeats, places - np.floor((places - self.origin) / step) * step, places)

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the distances, (n,) um, of wrapped points, (n, d): of nearest images where space repeats."""
        apart = np.abs(a - b)
        if self.repeats.any():
            apart = np.where(self.repeats, np.minimum(apart, self.period - apart), apart)
        return np.sqrt(np.einsum("ij,ij->i", apart, apart))


@dataclass(frozen=True)
class Bins:
    """Cells by the bins of a grid over d axes.

    Attributes
    ----------
    edge : (d,), um
    number : (d,) int64, bins along an axis where space repeats, else 0
    low, shape : (d,) int64, the least coordinates of a bin with cells, and how many bins from there
    codes, starts : (m,) int64 of the bins with cells, ascending, and (m + 1,) int64, where their cells begin
    order : (n,) uint32, the cells' indices, bin by bin
    places : (n, d) float64, um, their wrapped positions in that order
    """

    edge: np.ndarray
    number: np.ndarray
    low: np.ndarray
    shape: np.ndarray
    codes: np.ndarray
    starts: np.ndarray
    order: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, positions: np.ndarray, reach: float, space: Space) -> "Bins":
        """Sort cells, (n, d) um, into bins that suit a reach, um."""
        places = space.wrapped(positions)
        edge, number = _sizes(places, reach, space)
        bins = _bins(places, space.origin, edge, number)
        low = bins.min(axis=0) if len(bins) else np.zeros(len(edge), np.int64)
        shape = bins.max(axis=0) - low + 1 if len(bins) else np.ones(len(edge), np.int64)
        code = (bins - low) @ _strides(shape)
        order = np.argsort(code, kind="stable")
        codes, starts = np.unique(code[order], return_index=True)
        starts = np.append(starts, len(code)).astype(np.int64)
        return cls(edge, number, low, shape, codes, starts, order.astype(np.uint32), places[order])

    def of_places(self, places: np.ndarray, space: Space) -> np.ndarray:
        """Return the bins, (n, d) int64, of wrapped positions, (n, d) um."""
        return _bins(places, space.origin, self.edge, self.number)

    def cells(self, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the cells of bins, (k, d), begin in `order`, and how many they are, each (k,) int64."""
        bins = np.where(self.number > 0, bins % np.maximum(self.number, 1), bins) - self.low
        if not len(self.codes):
            return np.zeros(len(bins), np.int64), np.zeros(len(bins), np.int64)
        there = ((bins >= 0) & (bins < self.shape)).all(axis=1)
        code = np.where(there, bins @ _strides(self.shape), -1)
        at = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        there &= self.codes[at] == code
        return np.where(there, self.starts[at], 0), np.where(there, self.starts[at + 1] - self.starts[at], 0)

    def offsets(self, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the offsets, (k, d) int64, of bins within reach of a bin, and their least distances, (k,) um."""
        along, gaps = [], []
        for edge, number in zip(self.edge, self.number, strict=True):
            farthest = int(reach // edge) + 1
            steps = np.arange(number) if number else np.arange(-farthest, farthest + 1)
            along.append(steps)
            gaps.append(np.maximum((np.minimum(steps, number - steps) if number else np.abs(steps)) - 1, 0) * edge)
        steps = np.stack(np.meshgrid(*along, indexing="ij"), -1).reshape(-1, len(along))
        apart = np.sqrt(sum(gap**2 for gap in np.meshgrid(*gaps, indexing="ij"))).ravel()
        return steps[apart <= reach], apart[apart <= reach]


def _strides(shape: np.ndarray) -> np.ndarray:
    return np.concatenate([[1], np.cumprod(shape[:-1])]).astype(np.int64)


def _bins(places: np.ndarray, origin: np.ndarray, edge: np.ndarray, number: np.ndarray) -> np.ndarray:
    bins = np.floor((places - origin) / edge).astype(np.int64)
    return np.where(number > 0, np.clip(bins, 0, np.maximum(number - 1, 0)), bins)


def _sizes(places: np.ndarray, reach: float, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of bins, (d,) um, and their number along an axis, (d,) int64; 0 where space does not repeat."""
    n, d = places.shape
    extent = np.where(space.repeats, space.period, np.ptp(places, axis=0) if n else 0.0)
    in_reach = n * np.minimum(2 * reach / np.maximum(extent, 1e-300), 1.0).prod()
    fine = np.clip(np.floor((in_reach / CELLS_PER_BIN) ** (1 / d) / 2), 1, FINEST)
    edge = np.maximum(reach / fine, extent / MOST_BINS)
    number = np.where(space.repeats, np.maximum(np.floor(space.period / edge), 1), 0).astype(np.int64)
    return np.where(space.repeats, space.period / np.maximum(number, 1), edge), number


def pairs(
    rng: np.random.Generator,
    sources: Bins,
    targets: np.ndarray,
    space: Space,
    reach: float,
    probability: Probability,
    bound: Probability,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw each pair of a source and a target within reach, independently, with the probability at its distance.

    Parameters
    ----------
    targets : (n, d), um
    reach : um; pairs that are farther apart are not drawn
    probability : of distances, (k,) um -> (k,)
    bound : at least as large at every distance, and nowhere rising

    Returns
    -------
    source, target : (n,) int64 indices, no pair twice, in no order
    """
    places = space.wrapped(targets)
    own, of, n_own = np.unique(sources.of_places(places, space), axis=0, return_inverse=True, return_counts=True)
    order, first = np.argsort(of.ravel(), kind="stable"), np.cumsum(n_own) - n_own
    steps, apart = sources.offsets(reach)
    limit = bound(apart)
    steps, limit = steps[limit > 0], limit[limit > 0]
    limit = np.where(limit > EVERY_ABOVE, 1.0, limit)
    source, target = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    at_once = max(MOST_ROWS // max(len(steps), 1), 1)
    for a in range(0, len(own), at_once):
        some = np.arange(a, min(a + at_once, len(own)))
        start, n = sources.cells((own[some, None] + steps).reshape(-1, steps.shape[1]))
        rows = np.flatnonzero(n)
        start, n, mine, most = start[rows], n[rows], some[rows // len(steps)], limit[rows % len(steps)]
        for row, trial in _successes(rng, n * n_own[mine], most):
            s = start[row] + trial % n[row]
            t = order[first[mine[row]] + trial // n[row]]
            d = space.distances(sources.places[s], places[t])
            kept = (rng.random(len(d)) * most[row] < probability(d)) & (d <= reach)
            source.append(sources.order[s[kept]].astype(np.int64))
            target.append(t[kept])
    return np.concatenate(source), np.concatenate(target)


def _successes(rng: np.random.Generator, n: np.ndarray, p: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, in blocks, the successes of n[i] independent trials of probability p[i]: i, and the number of the trial.

    Trials lie on a line, each as long as -ln(1 - p), and one is a success if a Poisson process of unit rate has a point
    in it; those of probability 1 are all.
    """
    certain = p >= 1
    length = np.where(certain, 1.0, -np.log1p(-np.where(certain, 0.0, p)))
    for rows in (np.flatnonzero(certain), np.flatnonzero(~certain)):
        ends = np.cumsum(n[rows] * length[rows])
        at, done = 0, 0.0
        while at < len(rows):
            stop = max(int(np.searchsorted(ends, done + MOST_TRIALS, side="right")), at + 1)
            part = rows[at:stop]
            if certain[part[0]]:
                yield np.repeat(part, n[part]), counted(n[part])
            else:
                yield _points(rng, part, n[part], length[part])
            at, done = stop, ends[stop - 1]


def _points(
    rng: np.random.Generator, rows: np.ndarray, n: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and the trials, each (k,), that have points of a Poisson process."""
    ends = np.cumsum(n * length)
    points = rng.random(rng.poisson(ends[-1])) * ends[-1]
    points.sort()
    row = np.minimum(np.searchsorted(ends, points, side="right"), len(n) - 1)
    trial = np.minimum((points - (ends - n * length)[row]) / length[row], n[row] - 1).astype(np.int64)
    trial = np.maximum(trial, 0)
    first = np.ones(len(row), bool)
    first[1:] = (row[1:] != row[:-1]) | (trial[1:] != trial[:-1])
    return rows[row[first]], trial[first]
