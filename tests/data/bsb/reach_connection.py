"""A connectivity of a user's own: every cell reaches all targets within a distance of its soma."""

from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.strategy import ConnectivityStrategy, Synapses


class ReachConnection(ConnectivityStrategy):
    """Connects all pairs of cells whose somata are no farther apart than a radius."""

    algorithm_version: ClassVar[int] = 1

    radius = Attribute(types.number(min=0), required=True, unit="um", doc="Greatest distance of two somata.")

    @property
    def halo_um(self):
        return self.radius

    def connect(self, sources, targets, rng, given):
        made = {}
        for pre, post in self.pairs():
            apart = targets[post].positions[:, None] - sources[pre].positions[None]
            target, source = np.nonzero(np.linalg.norm(apart, axis=2) <= self.radius)
            made[pre, post] = Synapses(source, target)
        return made
