"""Cells as they may be placed, drawn for estimates: where nothing else says how many synapses two types will have.

Draws are of one fixed stream: estimates choose numbers of tiles, and are the same wherever a description is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from snakefold.morphology.morphology import Morphology

N_PAIRS = 4096  # a share of one in ten is then known to 5 %
MOST_SHAPES = 4  # of a type; of many, those are like the rest


@dataclass(frozen=True)
class Sample:
    """Pairs of cells drawn at random.

    Attributes
    ----------
    boxes : of each cell type, the boxes in which its cells lie, (n, 2, 3) um
    shapes_of : the morphologies of a cell type's cells; none where they are not known
    """

    boxes: Mapping[str, np.ndarray]
    shapes_of: Callable[[str], list[Morphology]]

    def apart(self, pair: tuple[str, str], reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs of cells that may meet: how far the target is from the source, and what each stands for.

        Targets are drawn where they may meet the source, however large the circuit is.

        Parameters
        ----------
        reach : (2, 3), um: the least and the most along each axis from a source to a target that it may meet

        Returns
        -------
        (N_PAIRS, 3) float64, um; (N_PAIRS,) float64, the share of a type's cells that lie where this one was drawn
        """
        rng = np.random.Generator(np.random.PCG64(0))
        source = self._within(*self._boxes(pair[0], rng), rng)
        low, high = self._boxes(pair[1], rng)
        least, most = np.maximum(low, source + reach[0]), np.minimum(high, source + reach[1])
        room, sides = np.maximum(most - least, 0.0), high - low
        share = np.divide(room, sides, out=np.ones_like(room), where=sides > 0).prod(axis=1)
        return self._within(least, least + room, rng) - source, share

    def shapes(self, cell_type: str) -> list[Morphology]:
        """Return some morphologies of a cell type's cells."""
        return self.shapes_of(cell_type)[:MOST_SHAPES]

    def _boxes(self, cell_type: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper corners of the boxes of some cells, each (N_PAIRS, 3)."""
        low, high = np.moveaxis(self.boxes[cell_type], 1, 0)
        volume = np.prod(high - low, axis=1)
        ends = np.cumsum(volume) / max(volume.sum(), np.finfo(float).tiny)
        of = np.minimum(np.searchsorted(ends, rng.random(N_PAIRS), side="right"), len(ends) - 1)
        return low[of], high[of]

    @staticmethod
    def _within(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return low + rng.random(low.shape) * (high - low)
