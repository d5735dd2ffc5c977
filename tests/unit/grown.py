"""Morphologies that are grown at random, for tests of contact by geometry, and cells that have them."""

import numpy as np

from snakefold.connectivity.strategy import Given
from snakefold.morphology.morphology import Morphology


def grown(seed, n_branches=12, n_points=14, step=(6.0, 4.0, 5.0), flat=()):
    """Return a tree of random walks, axons and dendrites by turns; `flat`: axes along which it has no extent."""
    rng = np.random.default_rng(seed)
    points, parents, tags = [], [], []
    for branch in range(n_branches):
        parent = -1 if branch == 0 else int(rng.integers(branch))
        start = rng.normal(0, 1, 3) if parent < 0 else points[parent][-1]
        walk = rng.normal(0, step, (n_points, 3)) + rng.normal(0, 3, 3)
        points.append(start + np.concatenate([np.zeros((1, 3)), np.cumsum(walk, axis=0)]))
        parents.append(parent)
        tags.append(np.full(n_points + 1, 1 if branch == 0 else 2 + branch % 2))
    points = np.concatenate(points)
    points[:, list(flat)] = 0.0
    tags, offsets = np.concatenate(tags), np.arange(n_branches + 1) * (n_points + 1)
    return Morphology(
        points, np.ones(len(points)), tags, tags - 1, offsets, parents, (("soma",), ("axon",), ("dendrite",))
    )


class ShapedCells:
    """Cells with morphologies."""

    def __init__(self, positions, names, code=None, rotations=None):
        self.positions, self.morphologies = np.asarray(positions, np.float32), tuple(names)
        self.morphology = np.zeros(len(self.positions), np.uint32) if code is None else np.asarray(code, np.uint32)
        self.rotations = rotations

    def __len__(self):
        return len(self.positions)


def connected(strategy, sources, targets, shapes, seed=1):
    """Return {pair: Synapses}, of one chunk that has all the sources."""
    prepared = strategy.prepare(sources, targets, Given(morphologies=shapes))
    rng = np.random.Generator(np.random.Philox(key=seed))
    return strategy.connect(sources, targets, rng, Given(prepared=prepared, morphologies=shapes))
