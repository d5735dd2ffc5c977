"""Mossy fibres to glomeruli: each glomerulus belongs to one fibre that passes near it, more likely to a nearer one."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses
from snakefold.errors import UserError

STEEPNESS = 2.0
_MOST_PAIRS = 1 << 21  # held at once


class MossyToGlomerulus(ConnectivityStrategy):
    """Gives every glomerulus one mossy fibre, out of those in a box around it, more likely a near one.

    The n fibres with |dx| <= x_length and |dy| <= y_length are sorted by distance, and the one at floor(n t) is taken,
    where t = (exp(-2 u) - exp(-2)) / (1 - exp(-2)) and u is uniform; the nearest of all fibres if none is in the box.
    """

    algorithm_version: ClassVar[int] = 1
    by_distance: ClassVar[bool] = True
    cost_per_edge_s: ClassVar[float] = 5e-6

    x_length = Attribute(types.number(min=0), required=True, unit="um", doc="Farthest along x that a fibre is taken.")
    y_length = Attribute(types.number(min=0), required=True, unit="um", doc="Farthest along y that a fibre is taken.")

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        none = [t for t in self.presynaptic.cell_types if not n_cells[t]]
        asked = any(n_cells[t] for t in self.postsynaptic.cell_types)
        return [("presynaptic", f'every glomerulus takes one of "{t}", but there are none') for t in none if asked]

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        return float(n_cells[pair[1]]), 0.0

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for pre, post in self.pairs():
            glomeruli = targets[post].positions.astype(np.float64)
            if len(glomeruli) and not len(sources[pre]):
                raise UserError(f'every glomerulus takes one of "{pre}", but there are none')
            u = rng.random(len(glomeruli))
            fibre = self._fibres(glomeruli, sources[pre].positions.astype(np.float64), u)
            made[pre, post] = Synapses(fibre, np.arange(len(glomeruli)))
        return made

    def _fibres(self, glomeruli: np.ndarray, fibres: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return the fibre, (n,) int64, of each glomerulus, (n, 3) um, given uniform numbers, (n,)."""
        taken = np.zeros(len(glomeruli), np.int64)
        if not len(glomeruli):
            return taken
        reach = np.array([self.x_length, self.y_length])
        low, high = glomeruli[:, :2].min(axis=0) - reach, glomeruli[:, :2].max(axis=0) + reach
        around = np.flatnonzero(((fibres[:, :2] >= low) & (fibres[:, :2] <= high)).all(axis=1))
        t = (np.exp(-STEEPNESS * u) - np.exp(-STEEPNESS)) / (1 - np.exp(-STEEPNESS))
        lonely = [np.empty(0, np.int64)]
        step = max(_MOST_PAIRS // max(len(around), 1), 1)
        for a in range(0, len(glomeruli), step):
            apart = glomeruli[a : a + step, None, :] - fibres[around]
            distance = np.sqrt((apart**2).sum(axis=2))
            inside = (np.abs(apart[..., :2]) <= reach).all(axis=2)
            n = inside.sum(axis=1)
            some = np.flatnonzero(n)
            order = np.argsort(np.where(inside[some], distance[some], np.inf), axis=1, kind="stable")
            rank = np.minimum((n[some] * t[a + some]).astype(np.int64), n[some] - 1)
            taken[a + some] = around[order[np.arange(len(some)), rank]]
            lonely.append(a + np.flatnonzero(n == 0))
        if len(alone := np.concatenate(lonely)):
            from scipy.spatial import cKDTree

            taken[alone] = cKDTree(fibres).query(glomeruli[alone])[1]
        return taken
