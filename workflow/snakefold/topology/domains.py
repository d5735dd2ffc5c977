"""Domains: what of space some pieces fill, as a mask over a rectilinear grid, whatever pieces it is made of."""

from dataclasses import dataclass

import numpy as np

from snakefold.topology.chunks import Pieces


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

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions, (n, 3) um, lie in it, (n,) bool; the faces of its cells do."""
        positions = np.asarray(positions, np.float64)
        held = np.zeros(len(positions), bool)
        if not self.mask.size:
            return held
        index, inside = [], np.ones(len(positions), bool)
        for axis, edges in enumerate(self.edges):
            at = positions[:, axis]
            inside &= (at >= edges[0]) & (at <= edges[-1])
            above = np.searchsorted(edges, at, side="right") - 1
            below = np.searchsorted(edges, at, side="left") - 1  # another cell where it lies on a face
            index.append([np.clip(i, 0, len(edges) - 2) for i in (above, below)])
        for i in index[0]:
            for j in index[1]:
                for k in index[2]:
                    held |= self.mask[i, j, k]
        return held & inside


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
