"""A morphology as the boxes of a grid that its points lie in, with the points of each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from snakefold.errors import UserError, expects
from snakefold.morphology.morphology import Morphology


@dataclass(frozen=True)
class Voxels:
    """Boxes of a grid that has a corner at the origin of the morphology's frame.

    Attributes
    ----------
    index : (n_voxels, 3) int64, distinct, sorted; box i reaches from index * size to (index + 1) * size
    size : (3,) float64, um; 0 along an axis on which the morphology is flat
    points : (n_points,) int64, indices of the points, those of one box together and ascending
    offsets : (n_voxels + 1,) int64; box i has points[offsets[i]:offsets[i + 1]]
    """

    index: np.ndarray
    size: np.ndarray
    points: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def counts(self) -> np.ndarray:
        """(n_voxels,) int64, number of points in each box."""
        return np.diff(self.offsets)


def voxelize(
    morphology: Morphology,
    n: int | None = None,
    *,
    size: float | Iterable[float] | None = None,
    labels: Iterable[str] | None = None,
) -> Voxels:
    """Return the boxes that a morphology's points lie in.

    Parameters
    ----------
    n : about how many boxes the box around the whole morphology is divided into (see `divisions`), as in the BSB;
        most of them have no points, and are none of the result's
    size : instead, the edge lengths of a box, um, or one for all
    labels : only the points with at least one of these; the box that is divided is that of all points in any case

    Raises
    ------
    UserError : not exactly one of `n` and `size`, or a wrong one; no point has the labels
    """
    if (n is None) == (size is None):
        raise UserError("give the number of boxes or their size")
    if n is not None:
        if n < 1:
            raise UserError(expects("number of boxes", "at least 1", n))
        edges = edges_of(morphology, n)
    else:
        edges = np.broadcast_to(np.asarray(size, np.float64), 3).copy()
        if not (edges > 0).all():
            raise UserError(expects("size of a box", "above 0", edges.tolist()))
    which = np.arange(len(morphology)) if labels is None else np.flatnonzero(morphology.labelled(labels))
    flat = np.isclose(edges, 0)
    grid = np.floor(morphology.points[which] / np.where(flat, np.finfo(float).max, edges)).astype(np.int64)
    index, of = np.unique(grid, axis=0, return_inverse=True)
    of = of.reshape(-1)
    order = np.argsort(of, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=len(index)))])
    return Voxels(index, edges, which[order], offsets)


def edges_of(morphology: Morphology, n: int) -> np.ndarray:
    """Return the edge lengths of a box, (3,) um, where the box around a morphology is divided into about n."""
    lower, upper = morphology.bounds
    return (upper - lower) / divisions(upper - lower, n)


def divisions(sides: np.ndarray, n: float) -> np.ndarray:
    """Return into how many parts, (m,) float64, each side of a box is cut for about `n` boxes, nearly cubes.

    The BSB's rule: in proportion to the sides, rounded down, at least 1, the shortest side first; what is left of n
    then goes to the others; of two, the shorter is rounded down and the longer to the nearest.
    """
    sides = np.asarray(sides, np.float64)
    parts = np.ones(len(sides))
    long = np.flatnonzero(~np.isclose(sides, 0))
    if len(long) < len(sides):
        if len(long):
            parts[long] = divisions(sides[long], n)
        return parts
    if len(sides) == 1:
        return np.array([float(n)])
    relative = sides / sides.max()
    parts = np.maximum(np.floor(relative * (n / relative.prod()) ** (1 / len(sides))), 1)
    shortest, *others = np.argsort(sides)
    if len(others) > 1:
        parts[others] = divisions(sides[others], n / parts[shortest])
    else:
        parts[others[0]] = max(round(n / parts[shortest]), 1)
    return parts
