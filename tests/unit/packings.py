"""Packings for tests, without a workflow: spheres that start uniformly in the voxels of a domain, chunk by chunk."""

from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from snakefold.placement.packing.solver import NOTHING, Packing, Starts, Surroundings
from snakefold.streams import stream
from snakefold.topology.chunks import Grid, Nearby, Pieces, cut
from snakefold.topology.domains import domain_of


def filled(volume, fraction, radii, shares):
    """Return how many spheres of each radius fill a fraction of a volume, of which each takes a share."""
    return [round(fraction * s * volume / (4 / 3 * np.pi * r**3)) for r, s in zip(radii, shares, strict=True)]


@cache
def pieces_in(chunk, boxes):
    return cut(Grid((0.0, 0.0, 0.0), (chunk,) * 3), [np.frombuffer(boxes).reshape(-1, 2, 3)])


def domain(boxes, lower=None, upper=None, farthest=None):
    """Return the domain of boxes, (n, 2, 3) um, inside a window."""
    boxes = np.asarray(boxes, float)
    pieces = Pieces(np.zeros(len(boxes), np.uint64), np.zeros(len(boxes), int), boxes[:, 0], boxes[:, 1])
    return domain_of(pieces, lower, upper).in_float32(farthest or np.abs(boxes).max())


class Packed:
    """Spheres packed in boxes, (n, 2, 3) um; `batch` chunks at a time."""

    def __init__(self, boxes, numbers, radii, *, seed=1, chunk=60.0, mc_sweeps=0, obstacles=NOTHING, batch=27):
        self.boxes = np.asarray(boxes, float)
        self.grid = Grid((0.0, 0.0, 0.0), (chunk,) * 3)
        self.pieces = pieces_in(chunk, self.boxes.tobytes())
        self.chunks, volume = self.pieces.volumes()
        share = np.cumsum(volume) / volume.sum()
        self.numbers = np.stack([np.diff(np.rint(share * n).astype(int), prepend=0) for n in numbers], axis=1)
        self.types, self.seed, self.first = radii, seed, self.pieces.by_chunk()[1]
        near = Nearby(self.grid, self.chunks)
        around = Surroundings(
            self.pieces.lower.min(0),
            self.pieces.upper.max(0),
            lambda lower, upper: self.chunks[near(lower, upper, 0.0)],
            self.starts,
            lambda lower, upper: domain(self.boxes, lower, upper),
            lambda lower, upper: obstacles,
        )
        largest_obstacle = max(obstacles[1], default=0.0)
        packing = Packing(around, seed, max(radii), largest_obstacle, mc_sweeps)
        groups = np.split(self.chunks, np.arange(batch, len(self.chunks), batch))
        self.points = np.concatenate([p for group in groups for p in packing.final(group)])
        self.radii = np.concatenate([np.repeat(radii, n) for n in self.numbers])
        self.home = np.repeat(self.chunks, self.numbers.sum(axis=1))
        self.lattice = packing._lattice

    def pieces_of(self, chunk) -> Pieces:
        at = int(np.searchsorted(self.chunks, np.uint64(chunk)))
        return self.pieces.select(self.first[at], self.first[at + 1])

    def starts(self, chunk):
        pieces = self.pieces_of(chunk)
        numbers = self.numbers[np.searchsorted(self.chunks, np.uint64(chunk))]
        rng = stream(self.seed, "start", chunk)
        share = np.cumsum(pieces.volume)
        which = np.searchsorted(share, rng.random(numbers.sum()) * share[-1], side="right")
        points = pieces.lower[which] + rng.random((numbers.sum(), 3)) * (pieces.upper - pieces.lower)[which]
        return Starts(
            domain(np.stack([pieces.lower, pieces.upper], axis=1), farthest=self.boxes.max()).brought_in(points),
            np.repeat(self.types, numbers),
        )

    def outside(self):
        """Return how many spheres have their middle in none of the boxes."""
        inside = np.zeros(len(self.points), bool)
        for lower, upper in self.boxes.astype(np.float32):
            inside |= ((self.points >= lower) & (self.points < upper)).all(axis=1)
        return int((~inside).sum())


def gap(points, radii):
    """Return the least distance between the surfaces of two spheres, of all pairs; below 0 where two overlap."""
    points = np.asarray(points, np.float64)
    i, j = cKDTree(points).query_pairs(2.2 * radii.max(), output_type="ndarray").T
    return (np.linalg.norm(points[i] - points[j], axis=1) - radii[i] - radii[j]).min()


def voxels(shape, size, solid):
    """Return the boxes of those voxels of a grid whose middles are in a solid: a function of (n, 3) in units of the grid."""
    ijk = np.indices(shape).reshape(3, -1).T
    ijk = ijk[solid((ijk + 0.5) / shape)]
    return np.stack([ijk * size, (ijk + 1) * size], axis=1)
