"""Labelling cells: a hook after placement that gives labels to cells, chosen by place, by property and by chance.

What labels do: node_sets.json has a cell set for each, `by_label` connects devices to the cells that have some, and
`labels` of presynaptic or postsynaptic cells connects those.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute, Node, unset
from snakefold.errors import UserError, did_you_mean, listed
from snakefold.placement.counts import MOST_CELLS
from snakefold.placement.distribute import Kind
from snakefold.placement.strategy import AfterPlacement, Arrays
from snakefold.sonata.labels import COLUMN, with_labels


class Sphere(Node):
    """A sphere."""

    origin = Attribute(types.Vector(types.number()), required=True, unit="um", doc="Centre.")
    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Cells closer to the centre are in it.")

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions, (n, 3) um, are in it, (n,) bool."""
        return ((positions.astype(np.float64) - self.origin) ** 2).sum(axis=1) < self.radius**2


class Box(Node):
    """A box along the axes."""

    origin = Attribute(types.Vector(types.number()), required=True, unit="um", doc="Lower corner; it is in the box.")
    dimensions = Attribute(types.Vector(types.number(above=0)), required=True, unit="um", doc="Extents.")

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions, (n, 3) um, are in it, (n,) bool."""
        part = positions.astype(np.float64) - self.origin
        return ((part >= 0) & (part < self.dimensions)).all(axis=1)


def _one_of_two(node: "LabelCells", _: float) -> str | None:
    return None if node.count is None else "a count is given, too; give one of the two"


class LabelCells(AfterPlacement):
    """Gives labels to cells: to all of some types, or to those that are in a place, have a property, or are drawn.

    What is said of place and properties must all hold; `count` or `fraction` is drawn from the cells of each type of
    which it does. Cells keep the labels that they have.
    """

    algorithm_version: ClassVar[int] = 1
    keeps_cells: ClassVar[bool] = True

    rewrites = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        key="cell_types",
        doc="Cell types whose cells it labels.",
    )
    adds = unset

    labels = Attribute(
        types.ListOf(types.name(), least=1, distinct=True), required=True, doc="The labels, as in [active, deep]."
    )
    partitions = Attribute(
        types.ListOf(types.Reference("partitions", "partition"), distinct=True),
        default=lambda node: [],
        doc="Partitions that the cells are in; any if not given.",
    )
    sphere = Attribute(types.NodeOf(Sphere), doc="A sphere that the cells are in.")
    box = Attribute(types.NodeOf(Box), doc="A box that the cells are in.")
    where = Attribute(
        types.DictOf(
            types.ListOrOne(types.OneOf((lambda v: isinstance(v, str), types.string()), (bool, types.number())))
        ),
        default=lambda node: {},
        doc="Properties that the cells have: a value or several by property, as in {etype: [cAD, bNAC]}.",
    )
    count = Attribute(types.integer(min=0, max=MOST_CELLS), doc="How many cells of each type, drawn at random.")
    fraction = Attribute(
        types.number(min=0, max=1),
        constraint=_one_of_two,
        doc="Which part of the cells of each type, drawn at random: floor(fraction * number), computed exactly.",
    )

    def gives_labels(self) -> list[str] | None:
        return self.labels  # None where they are broken, too

    def faults(self, known: Mapping[str, Mapping[str, list[Kind]]]) -> Iterator[tuple[tuple, str]]:
        """Yield (keys, what is wrong) of what it asks of cells.

        Parameters
        ----------
        known : cell type -> column -> its kinds, a dtype or all the strings that there can be
        """
        for key in ("sphere", "box"):
            for cell_type in sorted(known) if getattr(self, key) is not None else ():
                if "position" not in known[cell_type]:
                    yield (key,), f'cells of "{cell_type}" are nowhere; choose them otherwise'
        asked = {("where", name): (name, values) for name, values in self._properties().items()}
        asked |= {("partitions",): ("partition", self.partitions)} if self.partitions else {}
        for at, (name, values) in asked.items():
            if name == COLUMN:  # which labels are given together is not known before
                continue
            there: set[str] = set()
            told = False
            for cell_type, columns in sorted(known.items()):
                texts = name in columns and isinstance(columns[name][0], tuple)
                if fault := _misfit(cell_type, name, values, columns.keys(), texts):
                    told = True
                    yield at, fault
                elif texts:
                    there |= {string for kind in columns[name] if isinstance(kind, tuple) for string in kind}
            lacks = [v for v in values if isinstance(v, str) and v not in there]
            if lacks and not told:
                what = f'no cell of {listed(sorted(known))} has "{lacks[0]}" as {name}{did_you_mean(lacks[0], there)}'
                yield at, f"{what} ({listed(sorted(there))})"

    def _properties(self) -> dict[str, list]:
        return {name: values if isinstance(values, list) else [values] for name, values in self.where.items()}

    def postprocess(self, cells: dict[str, Arrays], rng: np.random.Generator) -> dict[str, Arrays]:
        made = {}
        for cell_type in sorted(self.rewrites):
            of = cells[cell_type]
            ids = np.flatnonzero(self._chosen(cell_type, of))
            n = self._drawn(cell_type, len(ids))
            which = np.zeros(len(of["position"]), bool)
            which[ids[rng.permutation(len(ids))[:n]]] = True
            made[cell_type] = of | {COLUMN: with_labels(of.get(COLUMN), which, self.labels)}
        return made

    def _chosen(self, cell_type: str, of: Arrays) -> np.ndarray:
        """Return which cells of a type are where, and have what, is said, (n,) bool."""
        chosen = np.ones(len(of["position"]), bool)
        for shape in (self.sphere, self.box):
            if shape is not None:
                chosen &= shape.holds(of["position"])
        properties = self._properties() | ({"partition": self.partitions} if self.partitions else {})
        for name, values in properties.items():
            texts = name in of and of[name].dtype.kind in "OUS"
            if fault := _misfit(cell_type, name, values, of.keys(), texts):
                raise UserError(fault)
            chosen &= np.isin(of[name], np.asarray(values, object if texts else of[name].dtype))
        return chosen

    def _drawn(self, cell_type: str, n: int) -> int:
        if self.count is not None and self.count > n:
            what = f'{self.count} cells are to be labelled, but there {"is" if n == 1 else "are"} {n} of "{cell_type}"'
            raise UserError(f"{what} that can be")
        if self.count is not None:
            return self.count
        return n if self.fraction is None else int(Fraction(repr(self.fraction)) * n)


def _misfit(cell_type: str, name: str, values: list, known: Iterable[str], texts: bool) -> str:
    """Return what is wrong with comparing a property of a type, of strings or not, with values; "" if nothing is."""
    if name not in known:
        names = sorted({*known} - {"position"})
        return f'"{cell_type}" has no property "{name}"{did_you_mean(name, names)} (properties: {listed(names, 20)})'
    if any(isinstance(value, str) != texts for value in values):
        kind = "strings" if texts else "numbers"
        return f'"{name}" of "{cell_type}" should be compared with: {kind} (got: {listed(values)})'
    return ""


LabelCells.adds = ()  # it adds no cell types, and no description can say that it does
