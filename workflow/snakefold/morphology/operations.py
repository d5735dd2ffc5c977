"""What can be done to a morphology; each operation returns another one. Named, and meant, as in the BSB.

Products are written out and not left to BLAS, so that the results are equal to the byte on every machine.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snakefold.errors import UserError, expects
from snakefold.morphology.morphology import Morphology, branches

CLOSED_UM = 1e-8  # a gap that is no wider is none


def translate(morphology: Morphology, point: Sequence[float]) -> Morphology:
    """Return it moved by a vector, (3,) um."""
    return morphology.moved(morphology.points + np.asarray(point, np.float64))


def center(morphology: Morphology) -> Morphology:
    """Return it moved so that the mean of the first points of its roots is at the origin."""
    return translate(morphology, -morphology.origin)


def rotation_matrix(angles: Sequence[float]) -> np.ndarray:
    """Return the matrix, (3, 3), that turns about the fixed axes x, then y, then z, by three angles in degrees.

    The angles that the BSB takes: those of `scipy.spatial.transform.Rotation.from_euler("xyz", ..., degrees=True)`.
    """
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in map(math.radians, angles))
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


def turned(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return points, (n, 3), multiplied by a matrix, (3, 3), from the left."""
    x, y, z = points.T
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in matrix], axis=1)


def rotate(morphology: Morphology, rotation: Sequence[float], center: Sequence[float] = (0.0, 0.0, 0.0)) -> Morphology:
    """Return it turned about a point, um, by three angles, degrees (see `rotation_matrix`)."""
    about = np.asarray(center, np.float64)
    return morphology.moved(turned(morphology.points - about, rotation_matrix(rotation)) + about)


def root_rotate(morphology: Morphology, rot: Sequence[float], downstream_of: int = 0) -> Morphology:
    """Return it with each root and all that grows from it turned about the first point of the root.

    Parameters
    ----------
    rot : angles, degrees
    downstream_of : where there is one root, the index of the point in it about which, and after which, all is turned

    Raises
    ------
    UserError : several roots, or no such point
    """
    matrix, roots = rotation_matrix(rot), morphology.roots
    if not downstream_of:
        about = morphology.points[morphology.first[morphology.root_of]][morphology.branch_of]
        return morphology.moved(turned(morphology.points - about, matrix) + about)
    if len(roots) > 1:
        raise UserError(f"downstream_of: there should be one root (got: {len(roots)})")
    size = int(morphology.offsets[1])
    if not 0 <= downstream_of < size:
        raise UserError(expects("downstream_of", f"a point of the root, 0 to {size - 1}", downstream_of))
    about = morphology.points[downstream_of]
    points = turned(morphology.points - about, matrix) + about
    points[:downstream_of] = morphology.points[:downstream_of]
    return morphology.moved(points)


def close_gaps(morphology: Morphology) -> Morphology:
    """Return it with each branch, and all that grows from it, moved so that it begins where its parent ends."""
    start, end = morphology.points[morphology.first], morphology.points[morphology.last]
    shift = np.zeros((morphology.n_branches, 3))
    for branch, parent in enumerate(morphology.parents.tolist()):
        if parent < 0:
            continue
        gap = (end[parent] + shift[parent]) - (start[branch] + shift[parent])
        shift[branch] = shift[parent] + (gap if np.abs(gap).max() > CLOSED_UM else 0.0)
    return morphology.moved(morphology.points + shift[morphology.branch_of])


def collapse(morphology: Morphology, on: int | Sequence[float] | None = None) -> Morphology:
    """Return it with all roots, and what grows from them, moved so that they begin at one point.

    Parameters
    ----------
    on : the index of the root whose first point that is, or the point, um; by default the mean of their first points

    Raises
    ------
    UserError : no such root
    """
    starts = morphology.points[morphology.first[morphology.roots]]
    if on is None:
        target = morphology.origin
    elif isinstance(on, int):
        if not 0 <= on < len(starts):
            raise UserError(expects("on", f"a root, 0 to {len(starts) - 1}", on))
        target = starts[on]
    else:
        target = np.asarray(on, np.float64)
    shift = target - morphology.points[morphology.first[morphology.root_of]]
    return morphology.moved(morphology.points + shift[morphology.branch_of])


def swap_axes(morphology: Morphology, axis1: int, axis2: int) -> Morphology:
    """Return it with two axes (0, 1, 2) interchanged."""
    order = [0, 1, 2]
    order[axis1], order[axis2] = axis2, axis1
    return morphology.moved(morphology.points[:, order])


def simplify(morphology: Morphology, epsilon: float) -> Morphology:
    """Return it with fewer points: none that is left out was farther than `epsilon`, um, from the chord in its place.

    The algorithm of Ramer (1972) and Douglas & Peucker (1973), on each branch; radii and labels go with their points.
    The BSB, which names the same algorithm, cuts a stretch before the farthest point and not at it, so that it keeps
    some points more.
    """
    keep = np.zeros(len(morphology), bool)
    for span in branches(morphology):
        keep[span] = _kept(morphology.points[span], epsilon)
    sizes = np.add.reduceat(keep, morphology.first)
    columns = {name: getattr(morphology, name)[keep] for name in ("points", "radii", "tags", "labels")}
    return replace(morphology, **columns, offsets=np.concatenate([[0], np.cumsum(sizes)]))


def _kept(points: np.ndarray, epsilon: float) -> np.ndarray:
    """Return which points of a line, (n,) bool, Ramer's algorithm keeps."""
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    stretches = [(0, len(points) - 1)]
    while stretches:
        a, b = stretches.pop()
        if b - a < 2:
            continue
        distance = _from_line(points[a + 1 : b], points[a], points[b])
        farthest = int(np.argmax(distance))
        if distance[farthest] > epsilon:
            middle = a + 1 + farthest
            keep[middle] = True
            stretches += [(a, middle), (middle, b)]
    return keep


def _from_line(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distances, (n,), of points from the line through two others, or from these where they are one."""
    along, offset = end - start, points - start
    length = math.sqrt(float((along**2).sum()))
    across = offset if length == 0 else np.cross(along / length, offset)
    return np.sqrt((across**2).sum(axis=1))
