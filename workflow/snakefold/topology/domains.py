"""Domains: what of space some pieces fill, as a mask over a rectilinear grid, whatever pieces it is made of."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from snakefold.topology.chunks import Pieces

_TWO_ULPS = 2.0**-22  # of a float32 number, relative
_ROUNDING = 1e-12  # of sums of float64 numbers, relative to the largest


@dataclass(frozen=True)
class Domain:
    """A part of space.

    Attributes
    ----------
    edges : of the grid's cells along x, y and z, each (n + 1,) float64, um, ascending; (0,) where it is empty
    mask : (nx, ny, nz) bool, which cells belong to it
    """

    edges: tuple[np.ndarray, np.ndarray, np.ndarray]
    mask: np.ndarray

    @property
    def volume(self) -> float:
        """Volume, um^3."""
        x, y, z = (np.diff(e) for e in self.edges)
        return float(np.einsum("ijk,i,j,k", self.mask, x, y, z)) if self.mask.size else 0.0

    @property
    def below(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each edge the largest float32 number under it, as float64."""
        return tuple(np.nextafter(e.astype(np.float32), np.float32(-np.inf)).astype(np.float64) for e in self.edges)

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions, (n, 3) um, lie in it, (n,) bool; the faces of its cells do.

        Those of float32 may be on a face but for their rounding; those of float64 are taken as they are.
        """
        given = np.asarray(positions)
        slack = np.spacing(np.abs(given)) if given.dtype == np.float32 else np.zeros(given.shape)
        positions = given.astype(np.float64)
        held = np.zeros(len(positions), bool)
        if not self.mask.size:
            return held
        index, inside = [], np.ones(len(positions), bool)
        for axis, edges in enumerate(self.edges):
            low, high = positions[:, axis] - slack[:, axis], positions[:, axis] + slack[:, axis]
            inside &= (high >= edges[0]) & (low <= edges[-1])
            above = np.searchsorted(edges, high, side="right") - 1
            below = np.searchsorted(edges, low, side="left") - 1  # another cell where it lies on a face
            index.append([np.clip(i, 0, len(edges) - 2) for i in (above, below)])
        for i in index[0]:
            for j in index[1]:
                for k in index[2]:
                    held |= self.mask[i, j, k]
        return held & inside

    def in_float32(self, farthest: float) -> "Domain":
        """Return it with edges that are float32 numbers; faces that are equal but for rounding are one.

        Its cells hold their lower faces only, so that a float32 position is in one of them at most.

        Parameters
        ----------
        farthest : largest coordinate of the whole that this is part of, um: what parts have in common becomes equal
        """
        edges, mask = [], self.mask
        for axis, exact in enumerate(self.edges):
            rounded = exact.astype(np.float32).astype(np.float64)
            apart = np.diff(rounded) > np.abs(rounded[1:]) * _TWO_ULPS + farthest * _ROUNDING
            edges.append(rounded[np.concatenate([[True], apart])] if len(rounded) else rounded)
            mask = np.compress(apart, mask, axis=axis) if len(rounded) else mask
        return Domain(tuple(edges), np.ascontiguousarray(mask))

    def brought_in(self, points: np.ndarray) -> np.ndarray:
        """Return points, (n, 3) um, as float32 numbers in one `in_float32`: those that rounding put outside are moved.

        Points are given that lie in it but for rounding.
        """
        points = np.asarray(points).astype(np.float32)
        out = np.flatnonzero(~self._has(points))
        if not len(out):
            return points
        left, least = points[out], np.full(len(out), np.inf)
        moved, choices = left.copy(), []
        for axis, (edges, below) in enumerate(zip(self.edges, self.below, strict=True)):
            nearest = np.searchsorted((edges[1:] + edges[:-1]) / 2, left[:, axis])
            choices.append([left[:, axis], below[nearest], edges[nearest]])
        for which in product(range(3), repeat=3):
            tried = np.stack([choices[a][w] for a, w in enumerate(which)], axis=1).astype(np.float32)
            away = np.abs(tried - left).max(axis=1)
            nearer = (away < least) & self._has(tried)
            moved[nearer], least[nearer] = tried[nearer], away[nearer]
        points[out] = moved
        return points

    def _has(self, points: np.ndarray) -> np.ndarray:
        """Return which points, (n, 3) float32, lie in it, (n,) bool, where cells hold their lower faces only."""
        index = [np.searchsorted(e, points[:, a], side="right") - 1 for a, e in enumerate(self.edges)]
        inside = np.all([(i >= 0) & (i < n) for i, n in zip(index, self.mask.shape, strict=True)], axis=0)
        inside[inside] = self.mask[tuple(i[inside] for i in index)]
        return inside


def domain_of(pieces: Pieces, lower: np.ndarray | None = None, upper: np.ndarray | None = None) -> Domain:
    """Return the union of some pieces, inside a window where its corners, (3,) um, are given.

    The grid's edges are the faces of the pieces and of the window.
    """
    low, high = pieces.lower, pieces.upper
    if lower is not None:
        low = np.maximum(low, lower)
    if upper is not None:
        high = np.minimum(high, upper)
    there = (high > low).all(axis=1)
    low, high = low[there], high[there]
    if not len(low):
        return Domain((np.empty(0),) * 3, np.zeros((0, 0, 0), bool))
    edges = tuple(np.unique(np.concatenate([low[:, a], high[:, a]])) for a in range(3))
    first = [np.searchsorted(e, low[:, a]) for a, e in enumerate(edges)]
    last = [np.searchsorted(e, high[:, a]) for a, e in enumerate(edges)]
    shape = [len(e) - 1 for e in edges]
    if all((stop == start + 1).all() for start, stop in zip(first, last, strict=True)):  # as single voxels are
        mask = np.zeros(shape, bool)
        mask[tuple(first)] = True
        return Domain(edges, mask)
    # +1 where a piece begins and -1 behind its end, along each axis: the running sums count the pieces over a cell
    steps = np.zeros([n + 1 for n in shape], np.int32)
    for i, sign_i in ((first[0], 1), (last[0], -1)):
        for j, sign_j in ((first[1], 1), (last[1], -1)):
            for k, sign_k in ((first[2], 1), (last[2], -1)):
                np.add.at(steps, (i, j, k), sign_i * sign_j * sign_k)
    for axis in range(3):
        np.cumsum(steps, axis=axis, out=steps)
    return Domain(edges, steps[:-1, :-1, :-1] > 0)
