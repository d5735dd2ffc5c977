"""All to all: every pair of cells, or each with the probability `affinity`."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.sampling import bernoulli_indices
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses


class AllToAll(ConnectivityStrategy):
    """Connects every source cell with every target cell, each pair independently with probability `affinity`.

    A cell that is on both sides is connected with itself like any other.
    """

    algorithm_version: ClassVar[int] = 1
    shares: ClassVar[tuple[str, ...]] = ("affinity",)

    affinity = Attribute(types.number(min=0, max=1), default=1.0, doc="Probability of a synapse of each pair of cells.")

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        n = n_cells[pair[0]] * n_cells[pair[1]]
        return n * self.affinity, (n * self.affinity * (1 - self.affinity)) ** 0.5

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for pre, post in self.pairs():
            n = len(sources[pre])
            index = bernoulli_indices(rng, n * len(targets[post]), self.affinity)
            made[pre, post] = Synapses(index % max(n, 1), index // max(n, 1))
        return made
