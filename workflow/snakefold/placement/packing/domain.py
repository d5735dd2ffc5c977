"""Where spheres may be: a union of boxes, as a mask over a rectilinear grid."""

from dataclasses import dataclass

import numpy as np

_ULP = 2.0**-22  # two steps of a float32, relative


@dataclass(frozen=True)
class Domain:
    """A mask over a grid of boxes of any widths.

    Attributes
    ----------
    edges : of each axis, (n + 1,) float64, ascending float32 numbers, um; a box holds its lower faces only
    mask : (n_x, n_y, n_z) bool, which boxes are filled
    """

    edges: tuple[np.ndarray, np.ndarray, np.ndarray]
    mask: np.ndarray

    @property
    def below(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each edge the largest float32 number under it, as float64."""
        return tuple(np.nextafter(e.astype(np.float32), np.float32(-np.inf)).astype(np.float64) for e in self.edges)

    @classmethod
    def of(cls, lower: np.ndarray, upper: np.ndarray) -> "Domain":
        """Return the union of boxes, corners (n, 3) um; faces that are equal but for rounding are one."""
        scale = float(np.max(np.abs([lower, upper]), initial=0.0))
        edges, spans = [], []
        for axis in range(3):
            corners = np.stack([lower[:, axis], upper[:, axis]]).astype(np.float32).astype(np.float64)
            distinct, at = np.unique(corners, return_inverse=True)
            first = np.concatenate([[True], np.diff(distinct) > scale * _ULP])
            edges.append(distinct[first])
            spans.append((np.cumsum(first) - 1)[at.reshape(corners.shape)])
        mask = np.zeros([len(e) - 1 for e in edges], bool)
        (i0, i1), (j0, j1), (k0, k1) = spans
        single = (i1 - i0 == 1) & (j1 - j0 == 1) & (k1 - k0 == 1)
        mask[i0[single], j0[single], k0[single]] = True
        for box in np.flatnonzero(~single).tolist():
            mask[i0[box] : i1[box], j0[box] : j1[box], k0[box] : k1[box]] = True
        for axis in range(3):  # faces with the same on both sides, as those of chunks, are none
            sides = np.moveaxis(mask, axis, 0)
            differ = (sides[1:] != sides[:-1]).any(axis=(1, 2))
            edges[axis] = edges[axis][np.concatenate([[True], differ, [True]])]
            mask = np.compress(np.concatenate([[True], differ]), mask, axis=axis)
        return cls(tuple(edges), np.ascontiguousarray(mask))


def held(points: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return points, (n, 3), as float32 numbers, none of them on an upper face of the boxes that they were drawn in.

    Parameters
    ----------
    lower, upper : (m, 3), corners of these boxes, um
    """
    points = np.asarray(points).astype(np.float32)
    for axis in range(3):
        faces = np.unique(upper[:, axis].astype(np.float32))
        at = np.minimum(np.searchsorted(faces, points[:, axis]), len(faces) - 1)
        on = faces[at] == points[:, axis]
        points[on, axis] = np.nextafter(points[on, axis], np.float32(-np.inf))
    return points
