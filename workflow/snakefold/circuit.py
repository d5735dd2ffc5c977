"""The circuit: the root of the typed tree, and the checks that need the whole of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, prod
from pathlib import Path

from snakefold import components
from snakefold.components import Component
from snakefold.config import types
from snakefold.config.context import BuildContext, building
from snakefold.config.expression import evaluate
from snakefold.config.nodes import Attribute, Node
from snakefold.config.parse import Document, parse_what_can_be
from snakefold.config.prune import TABLES, pruned
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.placement.counts import total
from snakefold.placement.strategy import PlacementStrategy, Spatial
from snakefold.topology.boxes import Box
from snakefold.topology.chunks import FARTHEST_CHUNK
from snakefold.topology.regions import lay_out

DEFAULT_SEED = 1
MOST_CHUNKS = 10**7  # of one partition


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


class Rng(Node):
    """Random numbers."""

    seed = Attribute(types.integer(min=0), doc="Root seed, from which every stream is keyed.")
    generators = types.later("Named generators.")
    settings = types.later("Named settings of simulators' generators; a simulation has a seed of its own.")


class Storage(Node):
    """Where the BSB would store the network; accepted, the result is a SONATA circuit in the results folder."""

    engine = Attribute(types.string(), doc="Name of the BSB's storage engine.", semantic=False)
    root = Attribute(types.string(), doc="Name of the BSB's storage.", semantic=False)


class CellType(Node):
    """A cell type; its cells are one SONATA node population."""

    spatial = Attribute(types.NodeOf(Spatial), required=True, doc="Size and number of the cells.")
    entity = types.later("Cells without positions.")
    plotting = Attribute(
        types.DictOf(types.anything()), doc="How plots show it: display_name, color, opacity.", semantic=False
    )


class Circuit(Node):
    """A circuit description."""

    name = Attribute(types.string(), default="", doc="Free label.", semantic=False)
    variables = Attribute(
        types.DictOf(types.number()), default=lambda node: {}, doc="Numbers that expressions may use."
    )
    components = Attribute(
        types.ListOf(types.string()), default=lambda node: [], doc="Python files with components of your own."
    )
    packages = Attribute(
        types.ListOf(types.string()),
        default=lambda node: [],
        doc="Python packages it was written for, as in `numpy>=2`; one that is missing or another is a warning.",
        semantic=False,
    )
    files = types.later("Files known by name.")
    morphologies = types.later("Morphologies of the cells.")
    rng = Attribute(types.NodeOf(Rng), doc="Random numbers.")
    storage = Attribute(types.NodeOf(Storage), doc="Accepted as the BSB's; not used.", semantic=False)
    network = Attribute(types.NodeOf(Network), required=True, doc="Box and chunks of the network.")
    partitions = Attribute(
        types.DictOf(Component("partition", "type", "layer")), default=lambda node: {}, doc="Volumes for cells."
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
        return self.rng.seed if self.rng and self.rng.seed is not None else DEFAULT_SEED

    def placed_by(self, cell_type: str) -> list[str]:
        """Return the strategies that place a cell type, in the order of their cells' ids."""
        return [name for name in sorted(self.placement) if cell_type in self.placement[name].cell_types]

    def indicator(self, strategy: PlacementStrategy, cell_type: str) -> dict:
        """Return how many cells of a type a strategy places (see `placement.counts`).

        Raises
        ------
        UserError : no indicator, or a ratio that leads back to its own type
        """
        return self._indicator(strategy, cell_type, ())

    def _indicator(self, strategy: PlacementStrategy, cell_type: str, asked: tuple[str, ...]) -> dict:
        own = strategy.indicator(cell_type)
        if own is not None:
            return own
        override = strategy.overrides.get(cell_type)
        node = override if override is not None and override.given() else self.cell_types[cell_type].spatial
        given = node.given()
        if len(given) != 1:
            what = f"gives {listed(given)}: give one" if given else f"needs one of: {listed(node.INDICATORS)}"
            raise UserError(Mistake(f'how many "{cell_type}"? It {what}', node.path))
        if given == ["relative_to"]:
            if node.relative_to in (*asked, cell_type):
                round_ = " to ".join((*asked, cell_type, node.relative_to))
                raise UserError(Mistake(f"the number is relative to itself: {round_}", (*node.path, "relative_to")))
            others = [
                self._indicator(self.placement[name], node.relative_to, (*asked, cell_type))
                for name in self.placed_by(node.relative_to)
            ]
            if not others:
                raise UserError(Mistake(f'"{node.relative_to}" is placed nowhere', (*node.path, "relative_to")))
            return {"ratio": node.count_ratio, "of": others}
        indicator = {given[0]: getattr(node, given[0])}
        return indicator if given == ["count"] else indicator | {"partitions": list(strategy.partitions)}


@dataclass
class Loaded:
    """A circuit that was read and found whole.

    Attributes
    ----------
    boxes : box of each partition
    totals : wanted number of cells by placement strategy and cell type
    complete : whether nothing was left out of the description
    warnings : what the user should know
    """

    circuit: Circuit
    document: Document
    boxes: dict[str, Box]
    totals: dict[str, dict[str, int]]
    complete: bool = True
    warnings: list[Mistake] = field(default_factory=list)

    def n_cells(self) -> dict[str, int]:
        """Return the wanted number of cells of each type, as far as it is known."""
        by_type = {t: [self.totals[s].get(t) for s in self.circuit.placed_by(t)] for t in self.circuit.cell_types}
        return {cell_type: sum(totals) for cell_type, totals in by_type.items() if None not in totals}


class BrokenCircuit(UserError):
    """The mistakes of a description, and, where something of it is whole, that part of it for further checks."""

    survivor: Loaded | None = None


def load(path: str | Path) -> Loaded:
    """Read a circuit description, build its typed tree and check the whole of it.

    After a mistake, what is whole is checked on without what is broken, so that all mistakes are told at once.

    Raises
    ------
    BrokenCircuit : every mistake, with file and line
    """
    document, mistakes, incomplete = parse_what_can_be(path)
    names = _names(document.tree)
    tree = pruned(document.tree, incomplete or [()]) if mistakes else document.tree
    survivor: Loaded | None = None
    told = {"typed": False, "whole": False}  # what leaving something out makes wrong is not told
    while tree is not None and survivor is None:
        own = _names(tree)
        known = own if told["typed"] else names
        build = BuildContext(folder_of=document.folder_of)
        with building(build):
            circuit = _typed(tree, build, known)
            kind, found = "typed", list(build.mistakes)
            if not found and known == own:
                kind = "whole"
                found, loaded = _whole(circuit, document, complete=own == names)
                survivor = None if found else loaded
        if not told[kind]:
            mistakes += found
        told["typed"], told["whole"] = True, told["whole"] or kind == "whole"
        tree = pruned(tree, [m.path for m in found]) if found else tree
    if mistakes:
        error = BrokenCircuit(UserError(dict.fromkeys(mistakes)).located(document.locate).mistakes)
        error.survivor = survivor
        raise error
    survivor.warnings = [replace(w, where=document.locate(w.path)) for w in survivor.warnings]
    return survivor


def _typed(tree: dict, build: BuildContext, names: dict[str, list[str]]) -> Circuit:
    """Return the typed tree; mistakes go to the build."""
    _load_components(tree, build)
    build.variables.update(_variables(tree, build))
    build.share("references", lambda: names)
    return Circuit.build(tree)


def _whole(circuit: Circuit, document: Document, complete: bool) -> tuple[list[Mistake], Loaded | None]:
    """Return what is wrong with a circuit as a whole, and the circuit laid out, if that can be done."""
    try:
        boxes = lay_out(circuit.network.box, circuit.regions, circuit.partitions)
    except UserError as error:
        return list(error.mistakes), None
    loaded = Loaded(circuit, document, boxes, {}, complete)
    return list(_check(loaded)), loaded


def _load_components(tree: dict, build: BuildContext) -> None:
    files = tree.get("components")
    for i, name in enumerate(files if isinstance(files, list) else ()):
        file = build.folder_of(("components", i)) / str(name)
        try:
            components.load(file.stem, file.read_text(encoding="utf-8"), str(file))
        except (OSError, ValueError) as error:
            build.mistake(("components", i), f"{file} cannot be read: {getattr(error, 'strerror', error)}")
        except UserError as error:
            build.mistakes.extend(error.mistakes)


def _variables(tree: dict, build: BuildContext) -> dict[str, float]:
    """Return the variables, each of which may use those before it."""
    variables: dict[str, float] = {}
    given = tree.get("variables")
    for name, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, str) and value.startswith("="):
            try:
                value = evaluate(value, variables)
            except ValueError as error:
                build.mistake(("variables", name), f"the expression {error}")
                continue
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            variables[name] = value
            given[name] = value
    return variables


def _names(tree: dict) -> dict[str, list[str]]:
    """Return the names that references may use, by table."""
    names = {t: list(tree[t]) if isinstance(tree.get(t), dict) else [] for t in TABLES}
    return names | {"regions or partitions": names["regions"] + names["partitions"]}


def _check(loaded: Loaded) -> Iterator[Mistake]:
    """Yield what is wrong with the circuit as a whole."""
    circuit = loaded.circuit
    if circuit.rng is None or circuit.rng.seed is None:
        loaded.warnings.append(Mistake(f"no rng.seed: the fixed default {DEFAULT_SEED} is used", ("rng",)))
    yield from _package_faults(loaded)
    if faults := list(_partition_faults(loaded)):
        yield from faults
        return
    yield from _placement_faults(loaded)
    for table in ("placement", "connectivity", "after_placement", "after_connectivity"):
        yield from _cycles(table, getattr(circuit, table))
    yield from _hook_faults(circuit)
    n_cells = loaded.n_cells()
    owners: dict[str, str] = {}
    for name, strategy in circuit.connectivity.items():
        types_ = [*strategy.presynaptic.cell_types, *strategy.postsynaptic.cell_types]
        for cell_type in dict.fromkeys(t for t in types_ if loaded.complete and not _made(circuit, t)):
            yield Mistake(f'"{cell_type}" is placed by no strategy', strategy.path)
        if all(t in n_cells and circuit.placed_by(t) for t in types_):  # how many a hook adds is not known here
            for attribute, message in strategy.faults(n_cells):
                yield Mistake(message, (*strategy.path, attribute))
        yield from (Mistake(what, (*strategy.path, "output_naming")) for what in strategy.naming_faults())
        for set_name in strategy.edge_sets():
            if set_name in owners:
                yield Mistake(f'its edge set "{set_name}" is also made by "{owners[set_name]}"', strategy.path)
            owners.setdefault(set_name, name)


def _package_faults(loaded: Loaded) -> Iterator[Mistake]:
    """Warn of packages that are missing or of another version; yield requirements that are none."""
    for i, text in enumerate(loaded.circuit.packages):
        from importlib.metadata import PackageNotFoundError, version

        from packaging.requirements import InvalidRequirement, Requirement

        try:
            wanted = Requirement(text)
            there = version(wanted.name)
        except InvalidRequirement as error:
            yield Mistake(f"should be: a requirement, as in numpy>=2 ({str(error).splitlines()[0]})", ("packages", i))
        except PackageNotFoundError:
            loaded.warnings.append(Mistake(f"{wanted.name} is not installed", ("packages", i)))
        else:
            if there not in wanted.specifier:
                loaded.warnings.append(Mistake(f"{wanted} is asked for (installed: {there})", ("packages", i)))


def _hook_faults(circuit: Circuit) -> Iterator[Mistake]:
    """Yield the populations and edge sets that hooks rewrite before they are made, or make twice."""
    sets = [s for name in circuit.connectivity for s in circuit.connectivity[name].edge_sets()]
    for hooks, what, made in (
        (circuit.after_placement, "cell type", {t for t in circuit.cell_types if circuit.placed_by(t)}),
        (circuit.after_connectivity, "edge set", set(sets)),
    ):
        for name in order_of(hooks):
            hook = hooks[name]
            for i, rewritten in enumerate(hook.rewrites):
                if rewritten not in made:
                    hint = f'no {what} "{rewritten}" is made before it{did_you_mean(rewritten, made)}'
                    yield Mistake(f"{hint} ({listed(sorted(made))})", (*hook.path, "rewrites", i))
            for added in hook.adds:
                if added in made:
                    yield Mistake(f'the {what} "{added}" is made already; rewrite it', (*hook.path, "adds"))
                made.add(added)
    for hook in circuit.after_connectivity.values():
        for added, pair in hook.adds.items():
            if len(pair) != 2:
                what = f"should be: [source cell type, target cell type] (got: {listed(pair)})"
                yield Mistake(what, (*hook.path, "adds", added))


def order_of(hooks: Mapping[str, Node]) -> list[str]:
    """Return the names of hooks in the order in which they run; those that depend on themselves are left out."""
    order: list[str] = []
    while ready := [n for n in sorted(hooks) if n not in order and all(d in order for d in hooks[n].depends_on)]:
        order.append(ready[0])
    return order


def _partition_faults(loaded: Loaded) -> Iterator[Mistake]:
    network = loaded.circuit.network
    for name, box in loaded.boxes.items():
        if not all(d > 0 for d in box.dimensions) or not isfinite(box.volume):
            yield Mistake(
                f"its box cannot be told apart from nothing: {box.lower} to {box.upper} um", ("partitions", name)
            )
            continue
        corners = zip(box.lower, box.upper, network.origin, network.chunk_size, strict=True)
        span = [((low - origin) / size, (high - origin) / size) for low, high, origin, size in corners]
        n = prod(max(high - low, 1.0) for low, high in span)
        if n > MOST_CHUNKS or max(abs(end) for ends in span for end in ends) > FARTHEST_CHUNK:
            most = f"at most {MOST_CHUNKS:.0e}, {FARTHEST_CHUNK} from the origin along an axis"
            what = f"is cut into {n:.3g} chunks ({most})"
            yield Mistake(f"{what}; network.chunk_size should be larger", ("partitions", name))


def _placement_faults(loaded: Loaded) -> Iterator[Mistake]:
    circuit = loaded.circuit

    def measure(partition: str) -> tuple[float, float]:
        boxes = circuit.partitions[partition].boxes(loaded.boxes[partition])
        return sum(b.volume for b in boxes), sum(b.footprint for b in boxes)

    for cell_type in circuit.cell_types:
        if not _made(circuit, cell_type):
            loaded.warnings.append(Mistake("is placed by no strategy", ("cell_types", cell_type)))
    reported: set[Mistake] = set()
    for name, strategy in circuit.placement.items():
        totals = loaded.totals.setdefault(name, {})
        for cell_type in strategy.cell_types:
            try:
                totals[cell_type] = total(circuit.indicator(strategy, cell_type), measure)
            except UserError as error:
                if not loaded.complete and circuit.cell_types[cell_type].spatial.relative_to:
                    continue
                own = ("cell_types", cell_type, "spatial")
                found = [m if m.path else replace(m, path=own) for m in error.mistakes]
                yield from (m for m in found if m not in reported)
                reported.update(found)
        for cell_type in strategy.overrides:
            if cell_type not in strategy.cell_types:
                yield Mistake(f'"{cell_type}" is none of its cell types', (*strategy.path, "overrides", cell_type))
        if len(totals) < len(strategy.cell_types):
            continue
        radii = {t: circuit.cell_types[t].spatial.radius or 0.0 for t in strategy.cell_types}
        volume = sum(measure(partition)[0] for partition in strategy.partitions)
        for message in strategy.faults(totals, radii, volume):
            yield Mistake(message, strategy.path)
        loaded.warnings.extend(Mistake(m, strategy.path) for m in strategy.warnings(totals, radii, volume))


def _made(circuit: Circuit, cell_type: str) -> bool:
    return bool(circuit.placed_by(cell_type)) or any(cell_type in h.adds for h in circuit.after_placement.values())


def _cycles(table: str, nodes: dict[str, Node]) -> Iterator[Mistake]:
    for name, node in nodes.items():
        reached, frontier = set(), list(node.depends_on)
        while frontier:
            other = frontier.pop()
            if other not in reached and other in nodes:
                reached.add(other)
                frontier.extend(nodes[other].depends_on)
        if name in reached:
            yield Mistake("depends on itself, directly or through others", (table, name, "depends_on"))


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
