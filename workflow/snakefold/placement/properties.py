"""Properties of cells that are built in: one value, drawn from a distribution, or one of several by weight."""

from collections.abc import Mapping
from math import inf

import numpy as np

from snakefold.config import types
from snakefold.config.distribution import DistributionOf
from snakefold.config.nodes import Attribute
from snakefold.placement.distribute import Distributor, Kind, PlacedCells

_TEXT = (lambda value: isinstance(value, str) and not value.startswith("="), types.string())
_INTEGER = (lambda value: type(value) is int, types.integer(min=-(2**63), max=2**63 - 1))


class Constant(Distributor):
    """One value for all cells."""

    value = Attribute(
        types.OneOf(_TEXT, _INTEGER, (lambda value: True, types.number())),
        required=True,
        doc="A string, a whole number or a number; stored as such.",
    )

    def columns(self, name: str, cell_type: str, about: Mapping[str, object]) -> dict[str, Kind]:
        kinds: dict[type, Kind] = {str: (self.value,), int: "i8"}
        return {name: kinds.get(type(self.value), "f4")}

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        return np.full(len(cells), self.value)


class Drawn(Distributor):
    """A number for each cell, drawn from a distribution of scipy.stats."""

    distribution = Attribute(DistributionOf(), required=True, doc="The distribution.")

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        return self.distribution.draw(len(cells), rng)


class Choice(Distributor):
    """One of several strings for each cell, drawn by weight."""

    values = Attribute(
        types.DictOf(types.number(min=0), names=False),
        required=True,
        constraint=lambda node, value: (
            None
            if 0 < sum(value.values()) < inf
            else "should be: weights, not all of them 0, with a sum that is a number"
        ),
        doc="Weights by string, as in {cAD: 3, bNAC: 1}.",
    )

    def columns(self, name: str, cell_type: str, about: Mapping[str, object]) -> dict[str, Kind]:
        return {name: tuple(sorted(self.values))}

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        share = np.cumsum([self.values[name] for name in sorted(self.values)])
        return np.searchsorted(share, rng.random(len(cells)) * share[-1], side="right").astype(np.uint32)
