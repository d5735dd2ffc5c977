"""Candidate pairs of cells: those whose boxes meet, and of each source's some, drawn at random.

Boxes are closed, so that touching ones meet. What is drawn is drawn in the order of the sources, in streams of one
purpose each, so that no size of a block steers it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snakefold.topology.chunks import counted

AT_ONCE = 1 << 16  # pairs looked at together: more no longer fit the cache
_MOST_ROUNDS = 1 << 20


class Draws:
    """Uniform numbers for several purposes, with a stream of its own for each."""

    def __init__(self, rng: np.random.Generator):
        self._origin = rng.bit_generator
        self._streams: dict[tuple[int, int], np.random.Generator] = {}

    def __call__(self, purpose: int, n: int, round_: int = 0) -> np.ndarray:
        """Return the next n numbers, (n,) float64, from 0 to below 1, for a purpose and a round of it."""
        key = purpose, round_
        if key not in self._streams:
            jump = purpose * _MOST_ROUNDS + round_ + 1
            self._streams[key] = np.random.Generator(self._origin.jumped(jump))
        return self._streams[key].random(n)


@dataclass(frozen=True)
class Boxes:
    """Boxes around cells, with sides along the axes.

    Attributes
    ----------
    lower, upper : (n, 3) float64, um
    """

    lower: np.ndarray
    upper: np.ndarray

    def __len__(self) -> int:
        return len(self.lower)

    def meeting(self, other: "Boxes") -> np.ndarray:
        """Return the indices, ascending, of those that meet the one box around all of some others."""
        if not len(other):
            return np.empty(0, np.int64)
        low, high = other.lower.min(axis=0), other.upper.max(axis=0)
        return np.flatnonzero((self.lower <= high).all(axis=1) & (self.upper >= low).all(axis=1))

    def of(self, index: np.ndarray) -> "Boxes":
        """Return some of them."""
        return Boxes(self.lower[index], self.upper[index])


def candidates(
    sources: Boxes, targets: Boxes, affinity: float, draws: Draws, purpose: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs whose boxes meet, in blocks: source and target, each (m,) int64, the sources ascending over all.

    Of the n candidates of a source, n * affinity remain, drawn without replacement, all subsets equally likely; where
    that is no whole number, the one below or the one above, so that the mean is right.

    Parameters
    ----------
    draws, purpose : what the numbers and, in rounds, the subsets are drawn from: `purpose` and the next
    """
    near = targets.meeting(sources)
    boxes = targets.of(near)
    axis = _narrowest(sources, boxes)
    order = np.argsort(boxes.lower[:, axis], kind="stable")
    boxes, near = boxes.of(order), near[order]
    if not len(boxes):
        return
    lower, upper = boxes.lower[:, axis], boxes.upper[:, axis]
    if exact := bool((upper[1:] >= upper[:-1]).all()):  # boxes of one size: those that meet follow each other
        start = np.searchsorted(upper, sources.lower[:, axis])
    else:  # one that meets another begins before that ends, and not earlier than the longest is long
        start = np.searchsorted(lower, sources.lower[:, axis] - (upper - lower).max() * (1 + 1e-9) - 1e-6)
    n = np.maximum(np.searchsorted(lower, sources.upper[:, axis], side="right") - start, 0)
    tests = _tests(sources, boxes, axis, exact)
    for a, b in _blocks(n):
        sizes, at = n[a:b], None
        if tests:
            source = np.repeat(np.arange(a, b), sizes)
            at = np.repeat(start[a:b], sizes) + counted(sizes)
            kept = np.ones(len(at), bool)
            for test_axis, begins in tests:
                if begins:
                    kept &= boxes.lower[:, test_axis][at] <= sources.upper[:, test_axis][source]
                else:
                    kept &= boxes.upper[:, test_axis][at] >= sources.lower[:, test_axis][source]
            at, sizes = at[kept], np.bincount(source[kept] - a, minlength=b - a)
        ends = np.cumsum(sizes)
        chosen = subsets(sizes, affinity, draws, purpose)
        row = np.searchsorted(ends, chosen, side="right")
        at = start[a:b][row] + chosen - (ends - sizes)[row] if at is None else at[chosen]
        yield row + a, near[at]


def _narrowest(sources: Boxes, targets: Boxes) -> int:
    """Return the axis along which the smallest part of the pairs meets."""
    if not len(sources) or not len(targets):
        return 0
    window = np.median(targets.upper - targets.lower, axis=0) + np.median(sources.upper - sources.lower, axis=0)
    extent = targets.upper.max(axis=0) - targets.lower.min(axis=0)
    return int(np.argmin(window / np.maximum(extent, 1e-300)))


def _tests(sources: Boxes, targets: Boxes, swept: int, exact: bool) -> list[tuple[int, bool]]:
    """Return the comparisons that may fail: an axis, and whether it is of the lower ends of targets."""
    found = []
    for axis in range(3):
        if axis != swept and targets.lower[:, axis].max() > sources.upper[:, axis].min():
            found.append((axis, True))
        if not (axis == swept and exact) and targets.upper[:, axis].min() < sources.lower[:, axis].max():
            found.append((axis, False))
    return found


def _blocks(n: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that have about AT_ONCE pairs together, at least one row each."""
    ends, a = np.cumsum(n), 0
    while a < len(n):
        done = ends[a - 1] if a else 0
        b = max(int(np.searchsorted(ends, done + AT_ONCE, side="right")), a + 1)
        yield a, b
        a = b


def subsets(n: np.ndarray, affinity: float, draws: Draws, purpose: int) -> np.ndarray:
    """Return a random subset of each of some rows of n things, laid end to end: (m,) int64 indices, ascending.

    Repeated ones are drawn again until there are as many distinct ones as wanted, which makes all subsets equally
    likely; where more than half are wanted, those left out are drawn.
    """
    if affinity >= 1:
        return np.arange(n.sum())
    wanted = np.minimum(np.floor(n * affinity + draws(purpose, len(n))).astype(np.int64), n)
    most = wanted > n // 2
    drawn = np.where(most, n - wanted, wanted)
    offsets = np.concatenate([[0], np.cumsum(n)])
    taken = np.zeros(offsets[-1], bool)
    missing, round_ = drawn, 0
    while missing.any():
        row = np.repeat(np.arange(len(n)), missing)
        u = draws(purpose + 1, len(row), round_)
        taken[offsets[row] + np.minimum((u * n[row]).astype(np.int64), n[row] - 1)] = True
        missing = drawn - np.diff(np.searchsorted(np.flatnonzero(taken), offsets))
        round_ += 1
    if most.any():
        taken ^= np.repeat(most, n)
    return np.flatnonzero(taken)
