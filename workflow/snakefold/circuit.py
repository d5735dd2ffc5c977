"""The circuit: the root of the typed tree, and a circuit that was read and laid out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snakefold import components
from snakefold.components import Component
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.config.parse import Document
from snakefold.connectivity.strategy import Effect
from snakefold.errors import Mistake
from snakefold.morphology.description import EntryOf, Recipe, recipes
from snakefold.morphology.distributors import MorphologyGenerator
from snakefold.morphology.morphology import Morphology
from snakefold.placement.counts import Space
from snakefold.placement.indicators import Indicators, indicator
from snakefold.placement.strategy import PlacementStrategy
from snakefold.rng import Rng, root_seed, seed_of
from snakefold.topology.boxes import Box
from snakefold.topology.chunks import Grid
from snakefold.topology.voxels import Voxels


def _any(value: object) -> bool:
    return True


class Network(Node):
    """The box that regions and partitions are laid out in, and the grid of chunks over it."""

    x = Attribute(types.number(above=0), required=True, unit="um", doc="Extent along x.")
    y = Attribute(types.number(above=0), required=True, unit="um", doc="Extent along y.")
    z = Attribute(types.number(above=0), required=True, unit="um", doc="Extent along z.")
    origin = Attribute(types.Vector(types.number()), default=(0.0, 0.0, 0.0), unit="um", doc="Lower corner.")
    chunk_size = Attribute(
        types.Vector(types.number(above=0), scalar=True),
        default=(100.0, 100.0, 100.0),
        unit="um",
        doc="Edge lengths of a chunk, or one for all axes.",
    )

    @property
    def box(self) -> Box:
        """The network's box."""
        return Box.of(self.origin, (self.x, self.y, self.z))

    @property
    def grid(self) -> Grid:
        """The grid of chunks."""
        return Grid(self.origin, self.chunk_size)


class Storage(Node):
    """Where the BSB would store the network; accepted, the result is a SONATA circuit in the results folder."""

    engine = Attribute(types.string(), doc="Name of the BSB's storage engine.", semantic=False)
    root_ = Attribute(types.string(), key="root", doc="Name of the BSB's storage.", semantic=False)


class Code(Node):
    """A Python module, as the BSB writes one out."""

    module = Attribute(types.string(), required=True, doc="A Python file, or the dotted name of a module.")
    attr = types.later("One object of the module.")


class Plotting(Node):
    """How plots show a cell type."""

    display_name = Attribute(types.string(), doc="Its name.", semantic=False)
    color = Attribute(types.string(), doc="Its colour, as in #E62214.", semantic=False)
    opacity = Attribute(types.fraction(), default=1.0, doc="Its opacity.", semantic=False)


class CellType(Node):
    """A cell type; its cells are one SONATA node population."""

    entity = Attribute(
        types.boolean(),
        default=False,
        doc="Whether its cells are nowhere; they can be connected and simulated all the same.",
    )
    spatial = Attribute(
        types.NodeOf(Indicators),
        required=lambda node: not node.entity,
        default=lambda node: Indicators.build({}, (*node.path, "spatial"), node),
        doc="Size and number of the cells; of an entity the number.",
    )
    plotting = Attribute(types.NodeOf(Plotting), doc="How plots show it.", semantic=False)


class Circuit(Node):
    """A circuit description."""

    name = Attribute(types.string(), default="", doc="Free label.", semantic=False)
    variables = Attribute(
        types.DictOf(types.number()), default=lambda node: {}, doc="Numbers that expressions may use."
    )
    components = Attribute(
        types.ListOf(types.OneOf((lambda value: isinstance(value, dict), types.NodeOf(Code)), (_any, types.string()))),
        default=lambda node: [],
        doc="Components of your own: Python files beside the circuit, or dotted names of modules.",
    )
    packages = Attribute(
        types.ListOf(types.string()),
        default=lambda node: [],
        doc="Python packages it was written for, as in `numpy>=2`; one that is missing or another is a warning.",
        semantic=False,
    )
    files = Attribute(
        types.DictOf(Component("file", "type"), names=False),
        default=lambda node: {},
        doc="Files known by name, for the components that read them.",
    )
    morphologies = Attribute(
        types.ListOf(EntryOf()),
        default=lambda node: [],
        doc="Morphologies of the cells: files, alone or with what is done to them.",
    )
    rng = Attribute(types.NodeOf(Rng), doc="Random numbers.")
    storage = Attribute(types.NodeOf(Storage), doc="Accepted as the BSB's; not used.", semantic=False)
    network = Attribute(types.NodeOf(Network), required=True, doc="Box and chunks of the network.")
    partitions = Attribute(
        types.DictOf(Component("partition", "type", "layer")), required=True, doc="Volumes for cells."
    )
    regions = Attribute(
        types.DictOf(Component("region", "type", "group")),
        default=lambda node: {},
        doc="How partitions and other regions are laid out.",
    )
    cell_types = Attribute(types.DictOf(types.NodeOf(CellType)), required=True, doc="Cell types.")
    placement = Attribute(types.DictOf(Component("placement", "strategy")), required=True, doc="How cells are placed.")
    after_placement = Attribute(
        types.DictOf(Component("after_placement", "strategy")),
        default=lambda node: {},
        doc="Hooks between placement and connectivity.",
    )
    connectivity = Attribute(
        types.DictOf(Component("connectivity", "strategy")),
        default=lambda node: {},
        doc="How cells are connected.",
    )
    after_connectivity = Attribute(
        types.DictOf(Component("after_connectivity", "strategy")),
        default=lambda node: {},
        doc="Hooks before the circuit is final.",
    )
    simulations = Attribute(
        types.DictOf(Component("simulation", "simulator")), default=lambda node: {}, doc="Simulations."
    )

    @property
    def seed(self) -> int:
        """The root seed."""
        return root_seed(self.rng)

    def seed_of(self, component: Node) -> int:
        """Return the seed that a component draws with: that of the generator it names, or the root seed."""
        return seed_of(component, self.rng)

    def placed_by(self, cell_type: str) -> list[str]:
        """Return the strategies that place a cell type, in the order of their cells' ids."""
        return [name for name in sorted(self.placement) if cell_type in self.placement[name].cell_types]

    def radius_of(self, strategy: PlacementStrategy, cell_type: str) -> float | None:
        """Return the soma radius, um, of a type's cells where a strategy places them."""
        return strategy.radius_of(cell_type, self.cell_types[cell_type].spatial)

    @property
    def recipes(self) -> list[Recipe]:
        """How each morphology is made, in the order of the description."""
        return list(recipes(self.morphologies))

    def morphologies_of(self, strategy: PlacementStrategy, cell_type: str) -> list[str]:
        """Return the names of the morphologies that a strategy may give a type's cells, in their order."""
        distributor = strategy.distribute.morphologies
        if isinstance(distributor, MorphologyGenerator):
            return distributor.names(strategy.node_name, cell_type)
        return self.selected(strategy, cell_type)

    def morphologies_on(self, cell_type: str) -> list[str]:
        """Return the names of the morphologies that a type's cells may have, whatever strategy places them."""
        placements = [self.placement[name] for name in self.placed_by(cell_type)]
        return list(dict.fromkeys(name for p in placements for name in self.morphologies_of(p, cell_type)))

    def selected(self, strategy: PlacementStrategy, cell_type: str) -> list[str]:
        """Return the names of the morphologies that a type selects for a strategy, in the order of the description."""
        selectors = strategy.selectors_of(cell_type, self.cell_types[cell_type].spatial)
        names = [recipe.name for recipe in self.recipes]
        picked = {name for selector in selectors for name in selector.pick(names)}
        return [name for name in names if name in picked]

    def effects(self) -> dict[str, Effect]:
        """Return what each hook does with edge sets, in the order in which they run.

        Raises
        ------
        UserError : see `AfterConnectivity.effect`
        """
        sets = {name: pair for strategy in self.connectivity.values() for name, pair in strategy.edge_sets().items()}
        found = {}
        for name in order_of(self.after_connectivity):
            found[name] = self.after_connectivity[name].effect(sets)
            sets = found[name].after(sets)
        return found

    def indicator(self, strategy: PlacementStrategy, cell_type: str) -> dict:
        """Return how many cells of a type a strategy places (see `placement.counts`).

        Raises
        ------
        UserError : none or several are given, or a ratio that leads back to its own type or to none
        """
        return indicator(strategy, cell_type, self.cell_types, self.placement)


# Of a placement: wanted totals by cell type; radii by cell type, um, 0 for none; volume of its partitions, um^3.
Measures = tuple[dict[str, int], dict[str, float], float]


@dataclass
class Loaded:
    """A circuit that was read and found whole.

    Attributes
    ----------
    boxes : box of each partition
    totals : wanted number of cells by placement strategy and cell type, where it is known before anything is built
    guesses : about how many where it is not, as in a partition of voxels by density
    shapes : the morphologies, by name, that were made to check them
    complete : whether nothing was left out of the description
    warnings : what the user should know
    """

    circuit: Circuit
    document: Document
    boxes: dict[str, Box]
    totals: dict[str, dict[str, int]]
    guesses: dict[str, dict[str, int]] = field(default_factory=dict)
    shapes: dict[str, Morphology] = field(default_factory=dict)
    complete: bool = True
    warnings: list[Mistake] = field(default_factory=list)

    def space(self) -> Space:
        """Return what numbers of cells are measured by."""
        circuit = self.circuit
        voxels = {name: part.extent() for name, part in circuit.partitions.items() if isinstance(part, Voxels)}
        parts = {n: part.boxes(self.boxes[n]) for n, part in circuit.partitions.items() if n not in voxels}
        boxes = {name: np.array([[b.lower, b.upper] for b in found]) for name, found in parts.items()}
        files = components.data_files(*circuit.placement.values())
        return Space(boxes, circuit.network.grid, {digest: Path(file) for digest, file in files.items()}, voxels)

    def measures(self, name: str, space: Space) -> Measures:
        """Return the measures of a placement, by a space that guesses with what is guessed.

        Raises
        ------
        NotKnownYet : its partitions have to be built before, and nothing is guessed
        """
        totals = self.totals[name] if not space.guesses else self.guesses.get(name, {}) | self.totals[name]
        volume = sum(space.volume(partition) for partition in self.circuit.placement[name].partitions)
        return totals, self.radii(name), volume

    def radii(self, name: str) -> dict[str, float]:
        """Return the soma radii, um, of a placement's cell types; 0 where there is none."""
        strategy = self.circuit.placement[name]
        return {t: self.circuit.radius_of(strategy, t) or 0.0 for t in strategy.cell_types}

    def n_cells(self, guessed: bool = False) -> dict[str, int]:
        """Return the wanted number of cells of each type, as far as it is known, or else as it is guessed."""
        totals = self.totals if not guessed else {s: self.guesses.get(s, {}) | t for s, t in self.totals.items()}
        by_type = {t: [totals[s].get(t) for s in self.circuit.placed_by(t)] for t in self.circuit.cell_types}
        return {cell_type: sum(of) for cell_type, of in by_type.items() if None not in of}


def order_of(hooks: Mapping[str, Node]) -> list[str]:
    """Return the names of hooks in the order in which they run; those that depend on themselves are left out."""
    order: list[str] = []
    while ready := [n for n in sorted(hooks) if n not in order and all(d in order for d in hooks[n].depends_on)]:
        order.append(ready[0])
    return order


def schema() -> dict:
    """Return the JSON Schema (Draft 2020-12) of circuit descriptions, from the declarations of what is installed."""
    definitions: dict[str, dict] = {}
    root = Circuit.schema(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Snakefold circuit description",
        **root,
        "$defs": definitions,
    }
