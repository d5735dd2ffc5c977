"""Boxes that meet boxes: which of many boxes touch each of some others, found through bins of their lower corners.

A box can only meet another whose lower corner is neither beyond its upper corner nor farther before its lower one than
the largest box is long. So boxes are sorted by the bin of their lower corner, bins along z following each other, and
what may meet a box is a few runs of them. Boxes are closed: those that touch meet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from snakefold.morphology.rotations import turned_by
from snakefold.topology.chunks import counted

MOST_ROWS, MOST_TESTS = 1 << 17, 1 << 18  # runs of bins, and boxes, looked at at once
MOST_BINS = 1 << 20  # along an axis, so that three of them have one code


@dataclass(frozen=True)
class Boxes:
    """Boxes sorted by bins.

    Attributes
    ----------
    edge, low : (3,) float64, um, lengths of a bin and the lower corner of the first
    shape : (3,) int64, number of bins along each axis
    extent : (3,) float64, um, of the largest box along each axis
    codes : (n,) int64, the bin of each box, ascending
    order : (n,) int64, the boxes' indices, ascending within a bin
    corners : (6, n) float64, um, their lower and upper corners in that order
    """

    edge: np.ndarray
    low: np.ndarray
    shape: np.ndarray
    extent: np.ndarray
    codes: np.ndarray
    order: np.ndarray
    corners: np.ndarray

    @classmethod
    def of(cls, boxes: np.ndarray) -> "Boxes":
        """Sort boxes, (n, 2, 3) um; those that hold nothing, a lower corner above the upper one, meet none."""
        boxes = np.asarray(boxes, np.float64)
        which = np.flatnonzero((boxes[:, 0] <= boxes[:, 1]).all(axis=1))
        lower, upper = boxes[which, 0], boxes[which, 1]
        if not len(which):
            ones = np.ones(3)
            return cls(ones, 0 * ones, np.ones(3, np.int64), 0 * ones, which, which, np.empty((6, 0)))
        low, extent, span = lower.min(axis=0), (upper - lower).max(axis=0), np.ptp(lower, axis=0)
        edge = np.maximum(np.maximum(extent / 2, span / np.cbrt(len(which))), span / MOST_BINS)
        edge = np.where(edge > 0, edge, 1.0)
        shape = np.floor(span / edge).astype(np.int64) + 1
        codes = _code(np.floor((lower - low) / edge).astype(np.int64), shape)
        order = np.argsort(codes, kind="stable")
        return cls(edge, low, shape, extent, codes[order], which[order], np.hstack([lower, upper])[order].T.copy())

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return it as arrays of a prepare step, with names that begin alike."""
        return {f"{prefix}/{name}": array for name, array in vars(self).items()}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> "Boxes":
        """Return the boxes of `arrays`."""
        return cls(*(arrays[f"{prefix}/{name}"] for name in cls.__dataclass_fields__))

    def meeting(self, boxes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield which boxes meet some others, (m, 2, 3) um, in blocks: indices of those and of its own, (k,) int64.

        In ascending order of both, and all boxes that meet one in the same block.
        """
        boxes = np.asarray(boxes, np.float64)
        first = self._bins(boxes[:, 0] - self.extent)
        last = self._bins(boxes[:, 1])
        wide = np.where((boxes[:, 0] <= boxes[:, 1]).all(axis=1, keepdims=True), last - first + 1, 0)
        for a, b in blocks(wide[:, 0] * wide[:, 1], MOST_ROWS):
            yield from self._among(boxes[a:b], first[a:b], last[a:b], wide[a:b], a)

    def _among(self, boxes, first, last, wide, at: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        n_rows = wide[:, 0] * wide[:, 1]
        of, k = np.repeat(np.arange(len(boxes)), n_rows), counted(n_rows)
        bins = first[of]
        bins[:, 0] += k // wide[of, 1]
        bins[:, 1] += k % wide[of, 1]
        start = np.searchsorted(self.codes, _code(bins, self.shape))
        bins[:, 2] = last[of, 2]
        n = np.searchsorted(self.codes, _code(bins, self.shape), side="right") - start
        ends = np.cumsum(n_rows)
        total = np.concatenate([[0], np.cumsum(n)])
        tests = total[ends] - total[ends - n_rows]
        for a, b in blocks(tests, MOST_TESTS):
            rows = slice(ends[a] - n_rows[a], ends[b - 1])
            mine = np.repeat(of[rows], n[rows])
            other = np.repeat(start[rows], n[rows]) + counted(n[rows])
            for axis in range(3):
                touch = self.corners[axis].take(other) <= boxes[:, 1, axis].take(mine)
                touch &= self.corners[axis + 3].take(other) >= boxes[:, 0, axis].take(mine)
                touch = np.flatnonzero(touch)
                mine, other = mine.take(touch), other.take(touch)
            other = self.order[other]
            order = np.lexsort((other, mine))
            yield mine[order] + at, other[order]

    def _bins(self, places: np.ndarray) -> np.ndarray:
        # float64 before the cast: what lies far outside would not fit an integer
        steps = np.floor((np.nan_to_num(places, posinf=1e300, neginf=-1e300) - self.low) / self.edge)
        return np.clip(steps, 0, self.shape - 1).astype(np.int64)


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


def _code(bins: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return (bins[:, 0] * shape[1] + bins[:, 1]) * shape[2] + bins[:, 2]
