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

    def apart(self, pair: tuple[str, str]) -> np.ndarray:
        """Return the vectors from source to target cells of some pairs, (N_PAIRS, 3) float64, um."""
        rng = np.random.Generator(np.random.PCG64(0))
        source, target = (self._positions(cell_type, rng) for cell_type in pair)
        return target - source

    def shapes(self, cell_type: str) -> list[Morphology]:
        """Return some morphologies of a cell type's cells."""
        return self.shapes_of(cell_type)[:MOST_SHAPES]

    def _positions(self, cell_type: str, rng: np.random.Generator) -> np.ndarray:
        low, high = np.moveaxis(self.boxes[cell_type], 1, 0)
        volume = np.prod(high - low, axis=1)
        ends = np.cumsum(volume) / volume.sum()
        of = np.minimum(np.searchsorted(ends, rng.random(N_PAIRS), side="right"), len(ends) - 1)
        return low[of] + rng.random((N_PAIRS, 3)) * (high - low)[of]
