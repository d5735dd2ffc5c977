"""Candidate pairs of cells: those whose boxes meet, and of each source's some, drawn at random.

Boxes are closed, so that touching ones meet. What is drawn is drawn in the order of the sources, in streams of one
purpose each, so that no size of a block steers it.
"""

from collections.abc import Iterator

import numpy as np

from snakefold.connectivity.boxes import blocks
from snakefold.connectivity.sampling import Draws, subsets
from snakefold.topology.chunks import counted

AT_ONCE = 1 << 16  # pairs looked at together: more no longer fit the cache


def candidates(
    sources: np.ndarray, targets: np.ndarray, affinity: float, draws: Draws, purpose: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs whose boxes meet, in blocks: source and target, each (m,) int64, the sources ascending over all.

    Of the n candidates of a source, n * affinity remain, drawn without replacement, all subsets equally likely; where
    that is no whole number, the one below or the one above, so that the mean is right.

    Parameters
    ----------
    sources, targets : boxes around cells, (n, 2, 3) and (m, 2, 3) float64, um
    draws, purpose : what the numbers and, in rounds, the subsets are drawn from: `purpose` and the next
    """
    if not len(sources) or not len(targets):
        return
    low, high = sources[:, 0].min(axis=0), sources[:, 1].max(axis=0)
    near = np.flatnonzero((targets[:, 0] <= high).all(axis=1) & (targets[:, 1] >= low).all(axis=1))
    if not len(near):
        return
    axis = _narrowest(sources, targets[near])
    near = near[np.argsort(targets[near, 0, axis], kind="stable")]
    own = np.ascontiguousarray(np.moveaxis(sources, 0, -1))  # (2, 3, n), lower and upper
    boxes = np.ascontiguousarray(np.moveaxis(targets[near], 0, -1))
    lower, upper = boxes[0, axis], boxes[1, axis]
    if exact := bool((upper[1:] >= upper[:-1]).all()):  # boxes of one size: those that meet follow each other
        start = np.searchsorted(upper, own[0, axis])
    else:  # one that meets another begins before that ends, and not earlier than the longest is long
        start = np.searchsorted(lower, own[0, axis] - (upper - lower).max() * (1 + 1e-9) - 1e-6)
    n = np.maximum(np.searchsorted(lower, own[1, axis], side="right") - start, 0)
    tests = _tests(own, boxes, axis, exact)
    for a, b in blocks(n, AT_ONCE):
        sizes, at = n[a:b], None
        if tests:
            source = np.repeat(np.arange(a, b), sizes)
            at = np.repeat(start[a:b], sizes) + counted(sizes)
            kept = np.ones(len(at), bool)
            for test_axis, begins in tests:
                if begins:
                    kept &= boxes[0, test_axis].take(at) <= own[1, test_axis].take(source)
                else:
                    kept &= boxes[1, test_axis].take(at) >= own[0, test_axis].take(source)
            at, sizes = at[kept], np.bincount(source[kept] - a, minlength=b - a)
        ends = np.cumsum(sizes)
        chosen = subsets(sizes, affinity, draws, purpose)
        row = np.searchsorted(ends, chosen, side="right")
        at = start[a:b][row] + chosen - (ends - sizes)[row] if at is None else at[chosen]
        yield row + a, near[at]


def _narrowest(sources: np.ndarray, targets: np.ndarray) -> int:
    """Return the axis along which the smallest part of the pairs meets."""
    window = np.median(targets[:, 1] - targets[:, 0], axis=0) + np.median(sources[:, 1] - sources[:, 0], axis=0)
    extent = targets[:, 1].max(axis=0) - targets[:, 0].min(axis=0)
    return int(np.argmin(window / np.maximum(extent, 1e-300)))


def _tests(sources: np.ndarray, targets: np.ndarray, swept: int, exact: bool) -> list[tuple[int, bool]]:
    """Return the comparisons that may fail: an axis, and whether it is of the lower ends of targets."""
    found = []
    for axis in range(3):
        if axis != swept and targets[0, axis].max() > sources[1, axis].min():
            found.append((axis, True))
        if not (axis == swept and exact) and targets[1, axis].min() < sources[0, axis].max():
            found.append((axis, False))
    return found
