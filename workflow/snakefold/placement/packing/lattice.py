"""The lattice of regions that space is cut into: corners, edges, faces and interiors of a grid of planes.

In the doubled lattice 2i is the i-th cell along an axis and 2i + 1 the plane above it; a region is a node of it, its
level the number of odd coordinates: 3 for a corner, 2 for an edge, 1 for a face, 0 for an interior. The outer faces of
the domain are no planes. Two regions of one level are as far apart as spheres that drift out of both need.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snakefold.topology.chunks import encode

SLACK = 0.5  # in diameters: how far a sphere may drift out of the box of its region
# In diameters, at least 2 (a1 + 2 (a2 - a1)) + gap, 9.66; wider cells have less of their volume near planes.
LEAST_CELL = 11.0
_NEAR = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
_AROUND = np.stack(np.meshgrid(*[range(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True)
class Lattice:
    """The regions of a box.

    Attributes
    ----------
    lower, upper : corners of the box, (3,) um
    d : the largest distance at which two spheres touch, um
    """

    lower: np.ndarray
    upper: np.ndarray
    d: float

    @cached_property
    def n(self) -> np.ndarray:
        """Number of cells along each axis, (3,) int64."""
        extent = (self.upper - self.lower) / (LEAST_CELL * self.d)
        return np.clip(np.floor(extent), 1, 2**18).astype(np.int64)

    @cached_property
    def pitch(self) -> np.ndarray:
        """Distance of the planes, (3,) um."""
        return (self.upper - self.lower) / self.n

    @cached_property
    def near(self) -> np.ndarray:
        """How near a plane a sphere of a level starts at most, (4,) um: index 1 a face, 2 an edge, 3 a corner."""
        gap = self.d * (1 + 2 * SLACK)
        steps = np.array([0.0, gap / 2, gap / np.sqrt(2), gap / np.sqrt(2)])
        return np.cumsum(steps)

    def of(self, points: np.ndarray) -> np.ndarray:
        """Return the codes, (n,) uint64, of the regions in which spheres start at points, (n, 3) um."""
        x = (np.asarray(points, np.float64) - self.lower) / self.pitch
        cell = np.clip(np.floor(x), 0, self.n - 1).astype(np.int64)
        plane = np.clip(np.rint(x), 1, np.maximum(self.n - 1, 1)).astype(np.int64)  # the nearest inner one
        away = np.where(self.n > 1, np.abs(x - plane) * self.pitch, np.inf)
        within = [away < near for near in self.near]
        corner = within[3].all(axis=1)
        edge = ~corner & (within[2].sum(axis=1) >= 2)
        face = ~corner & ~edge & within[1].any(axis=1)
        on = (corner[:, None] & within[3]) | (edge[:, None] & within[2]) | (face[:, None] & within[1])
        return encode(np.where(on, 2 * plane - 1, 2 * cell))

    def boxes(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners, each (n, 3) float64 um, of the boxes of regions at nodes, (n, 3) int64."""
        level = (nodes & 1).sum(axis=1)
        across = self.near[level][:, None]
        along = self.near[np.minimum(level + 1, 3)][:, None]
        odd = (nodes & 1) == 1
        low = self.lower + ((nodes + 1) // 2) * self.pitch
        plane = low
        cell_low, cell_high = self.lower + nodes // 2 * self.pitch, self.lower + (nodes // 2 + 1) * self.pitch
        cell_low = cell_low + np.where(nodes > 0, along, 0.0)
        cell_high = cell_high - np.where(nodes < 2 * self.n - 2, along, 0.0)
        return np.where(odd, plane - across, cell_low), np.where(odd, plane + across, cell_high)

    def above(self, nodes: np.ndarray) -> np.ndarray:
        """Return the nodes of the higher levels that a region depends on, (n, 26, 3), -1 where there is none."""
        steps = _NEAR[(_NEAR != 0).any(axis=1)]
        found = nodes[:, None] + steps
        fits = ((nodes[:, None] & 1 == 0) | (steps == 0)) & (found >= 0) & (found <= 2 * self.n - 2)
        return np.where(fits.all(axis=2)[..., None], found, -1)

    def beside(self, nodes: np.ndarray) -> np.ndarray:
        """Return the nodes whose spheres may be ghosts of a region, (n, 124, 3), -1 where there is none."""
        steps = _AROUND[(_AROUND != 0).any(axis=1)]
        found = nodes[:, None] + steps
        # What lies towards a plane from an even coordinate, and stays on the others, is above: final, never a ghost.
        is_above = ((np.abs(steps) <= 1) & ((nodes[:, None] & 1 == 0) | (steps == 0))).all(axis=2)
        fits = ((found >= 0) & (found <= 2 * self.n - 2)).all(axis=2) & ~is_above
        return np.where(fits[..., None], found, -1)


def code_of(nodes: np.ndarray) -> np.ndarray:
    """Return the codes of nodes, (..., 3) int64, as uint64 of shape (...)."""
    return encode(nodes.reshape(-1, 3)).reshape(nodes.shape[:-1])
