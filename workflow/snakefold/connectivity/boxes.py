"""Boxes that meet boxes: a sweep along one axis, in columns along the others where these save tests.

Boxes are closed, so that touching ones meet. Sorted by their lower corners along an axis, those that may meet another
follow each other; where boxes are of one size, and the other axes tell nothing apart, these are all that do, and nobody
looks at the pairs. Where many pairs would be tested in vain, boxes are also sorted into columns, no thinner than the
largest box or half of a query, and each query asks the few columns around it. What is found and its order are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snakefold.morphology.rotations import turned_by
from snakefold.topology.chunks import counted

AT_ONCE = 1 << 16  # pairs looked at together: more no longer fit the cache
ROW_COST = 4  # of asking a column, in tests of a pair


@dataclass(frozen=True)
class Met:
    """Which boxes meet some queries that follow each other, the boxes laid end to end, query after query.

    Attributes
    ----------
    first : the first of the queries
    n : (n_queries,) int64, how many boxes each meets
    order : (n_boxes,) int64, the boxes' indices in the order of the sweep
    start : (n_queries,) int64, where in that order those of each query begin, if they follow each other
    at : (n.sum(),) int64, where in that order they are, or None if they follow each other
    """

    first: int
    n: np.ndarray
    order: np.ndarray
    start: np.ndarray
    at: np.ndarray | None

    def pairs(self, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the query and the box, (m,) int64 each, of some of the n.sum() pairs, given by their indices."""
        ends = np.cumsum(self.n)
        row = np.searchsorted(ends, some, side="right")
        at = self.start[row] + some - (ends - self.n)[row] if self.at is None else self.at[some]
        return row + self.first, self.order[at]


def meeting(queries: np.ndarray, boxes: np.ndarray) -> Iterator[Met]:
    """Yield which boxes meet each query, in blocks of queries, (n, 2, 3) and (m, 2, 3) float64, um.

    Those that a query meets are in the order of their lower corners along the axis that is swept. Boxes and queries
    that hold nothing, a lower corner above the upper one, meet none. Every query is in a block, where any may meet one.
    """
    held = (queries[:, 0] <= queries[:, 1]).all(axis=1)
    if not held.any():
        return
    low, high = queries[held, 0].min(axis=0), queries[held, 1].max(axis=0)
    near = ((boxes[:, 0] <= high) & (boxes[:, 1] >= low) & (boxes[:, 0] <= boxes[:, 1])).all(axis=1)
    near = np.flatnonzero(near)
    if not len(near):
        return
    axis = _narrowest(queries[held], boxes[near])
    near = near[np.argsort(boxes[near, 0, axis], kind="stable")]
    own = np.moveaxis(np.where(held[:, None, None], queries, [[np.inf], [-np.inf]]), 0, -1).copy()  # (2, 3, n)
    there = np.moveaxis(boxes[near], 0, -1).copy()
    lower, upper = there[:, axis]
    if exact := bool((upper[1:] >= upper[:-1]).all()):  # boxes of one size: those that meet follow each other
        start = np.searchsorted(upper, own[0, axis])
    else:  # one that meets another begins before that ends, and not earlier than the longest is long
        start = np.searchsorted(lower, own[0, axis] - (upper - lower).max() * (1 + 1e-9) - 1e-6)
    stop = np.maximum(np.searchsorted(lower, own[1, axis], side="right"), start)
    tests = _tests(own[..., held], there, axis, exact)
    if not tests:
        for a, b in blocks(stop - start, AT_ONCE):
            yield Met(a, (stop - start)[a:b], near, start[a:b], None)
        return
    rows = _Rows.of(own, there, start, stop, sorted({other for other, _ in tests} - {axis}))
    for a, b in blocks(rows.n_tests, AT_ONCE):
        query, at = rows.pairs(a, b)
        for other, begins in tests:
            if begins:
                kept = there[0, other].take(at) <= own[1, other].take(query)
            else:
                kept = there[1, other].take(at) >= own[0, other].take(query)
            kept = np.flatnonzero(kept)
            query, at = query.take(kept), at.take(kept)
        if rows.key is not None:
            query, at = np.divmod(np.sort(query * len(near) + at), len(near))
        yield Met(a, np.bincount(query - a, minlength=b - a), near, start[a:b], at)


def _narrowest(queries: np.ndarray, boxes: np.ndarray) -> int:
    """Return the axis along which the smallest part of the pairs meets."""
    window = np.median(boxes[:, 1] - boxes[:, 0], axis=0) + np.median(queries[:, 1] - queries[:, 0], axis=0)
    extent = boxes[:, 1].max(axis=0) - boxes[:, 0].min(axis=0)
    return int(np.argmin(window / np.maximum(extent, 1e-300)))


def _tests(queries: np.ndarray, boxes: np.ndarray, swept: int, exact: bool) -> list[tuple[int, bool]]:
    """Return the comparisons that may fail: an axis, and whether it is of the lower ends of boxes."""
    found = []
    for axis in range(3):
        if axis != swept and boxes[0, axis].max() > queries[1, axis].min():
            found.append((axis, True))
        if not (axis == swept and exact) and boxes[1, axis].min() < queries[0, axis].max():
            found.append((axis, False))
    return found


@dataclass(frozen=True)
class _Rows:
    """The runs of boxes to be tested, one or more for each query, those of one query together.

    Attributes
    ----------
    n_tests, ends : (n_queries,) int64, boxes to be tested, and where the rows of the next query begin
    start, n : (n_rows,) int64, the first box of each run, and how many it has
    key : (n_boxes,) int64, where boxes are sorted by columns: the column, times n_boxes, plus the place in the sweep
    """

    n_tests: np.ndarray
    ends: np.ndarray
    start: np.ndarray
    n: np.ndarray
    key: np.ndarray | None

    @classmethod
    def of(cls, own: np.ndarray, there: np.ndarray, start: np.ndarray, stop: np.ndarray, axes: list[int]) -> "_Rows":
        """Sort boxes into columns along those of some axes for which it pays; `start` and `stop` are of the sweep."""
        n_boxes, n_tests = there.shape[2], float((stop - start).sum())
        n_rows, columns = np.ones(len(start), np.int64), []
        some = np.flatnonzero(stop > start)
        for axis in axes if len(some) else ():
            lower, upper = there[:, axis]
            low, extent = lower.min(), np.ptp(lower)
            half = np.median(own[1, axis, some] - own[0, axis, some]) / 2  # so that most queries ask few columns
            edge = max((upper - lower).max(), extent / np.sqrt(n_boxes), half)
            if not 0 < edge < extent / 2:
                continue
            last = int(extent / edge)
            reach = own[0, axis] - edge * (1 + 1e-9) - 1e-6, own[1, axis]
            first, end = (np.clip((place - low) / edge, 0, last).astype(np.int64) for place in reach)
            wide = np.maximum(end - first + 1, 1)
            times, share = wide[some].mean(), wide[some].mean() / (last + 1)
            if n_tests * (1 - share) > ROW_COST * n_rows[some].sum() * (times - 1):
                columns.append((np.clip((lower - low) / edge, 0, last).astype(np.int64), first, wide, last + 1))
                n_rows, n_tests = n_rows * np.where(stop > start, wide, 1), n_tests * share
        if not columns:
            return cls(stop - start, np.arange(1, len(start) + 1), start, stop - start, None)
        query, k = np.repeat(np.arange(len(start)), n_rows), counted(n_rows)
        of_box, of_row = np.zeros(n_boxes, np.int64), np.zeros(len(query), np.int64)
        for own_column, first, wide, n_columns in columns:
            k, step = np.divmod(k, wide[query])
            of_box, of_row = of_box * n_columns + own_column, of_row * n_columns + first[query] + step
        key = np.sort(of_box * n_boxes + np.arange(n_boxes))
        begin = np.searchsorted(key, of_row * n_boxes + start[query])
        n = np.searchsorted(key, of_row * n_boxes + stop[query]) - begin
        ends = np.cumsum(n_rows)
        return cls(np.add.reduceat(n, ends - n_rows), ends, begin, n, key)

    def pairs(self, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs to be tested of queries a to b: the query, and the box's place in the sweep, (m,) each."""
        rows = slice(self.ends[a - 1] if a else 0, self.ends[b - 1])
        at = np.repeat(self.start[rows], self.n[rows]) + counted(self.n[rows])
        query = np.repeat(np.arange(a, b), self.n_tests[a:b])
        return query, at if self.key is None else self.key.take(at) % len(self.key)


def near(bounds: np.ndarray, positions: np.ndarray, turned: bool, queries: np.ndarray) -> np.ndarray:
    """Return the indices, ascending, of cells around which a box may meet one of some queries; all that do are there.

    Parameters
    ----------
    bounds : (m, 2, 3), um, the boxes of the cells' morphologies
    positions : (n, 3), um
    turned : whether cells are
    queries : (k, 2, 3), um
    """
    held = bounds[(bounds[:, 0] <= bounds[:, 1]).all(axis=1)]
    queries = queries[(queries[:, 0] <= queries[:, 1]).all(axis=1)]
    if not len(held) or not len(queries):
        return np.empty(0, np.int64)
    below, above = held[:, 0].min(axis=0), held[:, 1].max(axis=0)
    if turned:
        above = np.repeat(np.sqrt((np.abs(held).max(axis=1) ** 2).sum(axis=1).max()), 3)
        below = -above
    low, high = queries[:, 0].min(axis=0) - above, queries[:, 1].max(axis=0) - below
    slack = 1e-6 * (1 + np.abs(low) + np.abs(high))  # whether they do is asked for exactly when they are there
    among = np.ones(len(positions), bool)
    for axis, along in enumerate(positions.T):
        among &= (along >= low[axis] - slack[axis]) & (along <= high[axis] + slack[axis])
    return np.flatnonzero(among)


def around(
    bounds: np.ndarray, morphology: np.ndarray, positions: np.ndarray, rotations: np.ndarray | None
) -> np.ndarray:
    """Return boxes around cells, (n, 2, 3) float64 um, from those of their morphologies, (m, 2, 3).

    Around a box that holds nothing, a lower corner above the upper one, is one that holds nothing.
    """
    of = bounds.reshape(-1, 2, 3)[morphology]
    held = (of[:, 0] <= of[:, 1]).all(axis=1)[:, None]
    of = np.where(held[:, None], of, 0.0)
    middle, half = (of[:, 0] + of[:, 1]) / 2, (of[:, 1] - of[:, 0]) / 2
    if rotations is not None:
        middle = turned_by(rotations, middle)
        half = sum(np.abs(turned_by(rotations, np.where(np.arange(3) == axis, half, 0.0))) for axis in range(3))
        lower, upper = middle - half, middle + half
    else:
        lower, upper = of[:, 0], of[:, 1]
    return np.stack([np.where(held, positions + lower, np.inf), np.where(held, positions + upper, -np.inf)], axis=1)


def blocks(n: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Yield runs a:b of rows, that have together at most `most` elements, n of each row, or are a single row."""
    ends = np.cumsum(n)
    a, done = 0, 0
    while a < len(n):
        b = max(int(np.searchsorted(ends, done + most, side="right")), a + 1)
        yield a, b
        a, done = b, int(ends[b - 1])
