"""Which morphology each cell has: drawn, dealt in turn, or made for its type by a component of the user's own."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.morphology.morphology import Morphology
from snakefold.placement.distribute import MorphologyDistributor, PlacedCells


class RandomMorphologies(MorphologyDistributor):
    """Each cell has one of the morphologies that its type selects, drawn uniformly."""

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(len(cells.about["morphologies"]), size=len(cells))


class RoundRobinMorphologies(MorphologyDistributor):
    """Cells have the morphologies that their type selects in turn, in the order in which they are described.

    The turn goes on from chunk to chunk, so that no morphology has more than one cell more than another.
    """

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        return (cells.first + np.arange(len(cells))) % len(cells.about["morphologies"])


class MorphologyGenerator(MorphologyDistributor):
    """Base of what makes morphologies of its own for each cell type; each cell then has one of them.

    Each is made once, by a job of its own, kept and exported like those that are read from files. It knows the
    morphologies that the type selects, if any, and not the positions of cells.
    """

    selects: ClassVar[bool] = False

    number = Attribute(types.integer(min=1, max=10_000), required=True, doc="How many morphologies it makes.")

    def generate(self, i: int, templates: Mapping[str, Morphology], rng: np.random.Generator) -> Morphology:
        """Return the i-th morphology for a cell type.

        Parameters
        ----------
        templates : the morphologies that the type selects, by name
        """
        raise NotImplementedError

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        """Return an index for each cell, (n,); drawn uniformly, unless a subclass says otherwise."""
        return rng.integers(len(cells.about["morphologies"]), size=len(cells))

    def names(self, strategy: str, cell_type: str) -> list[str]:
        """Return the names of the morphologies that it makes for a cell type of a placement strategy."""
        return [f"{strategy}-{cell_type}-{i}" for i in range(self.number)]
