"""What must be so of a circuit as a whole: that its parts fit, can be numbered, and are made before they are used."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isfinite, prod

import numpy as np

from snakefold.circuit import Circuit, Loaded, order_of
from snakefold.config.nodes import Node
from snakefold.connectivity.strategy import ConnectivityStrategy
from snakefold.errors import Mistake, Path, UserError, did_you_mean, listed
from snakefold.morphology.description import recipe_faults
from snakefold.morphology.distributors import MorphologyGenerator
from snakefold.placement.counts import NotKnownYet, guess, total
from snakefold.placement.distribute import Kind
from snakefold.placement.labels import LabelCells
from snakefold.placement.strategy import PlacementStrategy
from snakefold.rng import DEFAULT_SEED
from snakefold.topology.chunks import FARTHEST_CHUNK
from snakefold.topology.voxels import Voxels

MOST_CHUNKS = 10**7  # of one partition
MOST_BYTES_READ = 10_000_000  # of morphologies, 1 to 2 s; what is wrong with further ones, their jobs say


def faults(loaded: Loaded) -> Iterator[Mistake]:
    """Yield what is wrong with a circuit as a whole; warnings and totals are added to it."""
    circuit = loaded.circuit
    if circuit.rng is None or circuit.rng.seed is None:
        loaded.warnings.append(Mistake(f"no rng.seed: the fixed default {DEFAULT_SEED} is used", ("rng",)))
    loaded.warnings.extend(circuit.rng.warnings() if circuit.rng else ())
    yield from _package_faults(loaded)
    if wrong := list(_partition_faults(loaded)):
        yield from wrong
        return
    yield from _morphology_faults(loaded)
    yield from _placement_faults(loaded)
    yield from _property_faults(loaded)
    yield from _label_faults(loaded)
    for table in ("placement", "connectivity", "after_placement", "after_connectivity"):
        yield from _cycles(table, getattr(circuit, table))
    yield from _hook_faults(circuit)
    last = [hook for simulation in circuit.simulations.values() for hook in simulation.after_simulation.values()]
    for hook in (*circuit.after_connectivity.values(), *last):
        loaded.warnings.extend(Mistake(what, hook.path) for what in hook.warnings())
    n_cells = loaded.n_cells()
    owners: dict[str, str] = {}
    not_placed: set[str] = set()
    for name, strategy in circuit.connectivity.items():
        types_ = [*strategy.presynaptic.cell_types, *strategy.postsynaptic.cell_types, *strategy.looks_at()]
        for cell_type in types_:
            if loaded.complete and not _made(circuit, cell_type) and cell_type not in not_placed:
                not_placed.add(cell_type)
                yield Mistake(f'"{cell_type}" is placed by no strategy', strategy.path)
        yield from _distance_faults(circuit, strategy)
        yield from _shape_faults(loaded, strategy)
        yield from _asked_faults(loaded, strategy)
        loaded.warnings.extend(_unlabelled(circuit, strategy))
        counted = all(t in n_cells and circuit.placed_by(t) for t in types_) and not strategy.by_labels()
        if counted:  # how many a hook adds is not known here
            for attribute, message in strategy.faults(n_cells):
                yield Mistake(message, (*strategy.path, attribute))
        loaded.warnings.extend(Mistake(what, (*strategy.path, key)) for key, what in strategy.warnings())
        yield from (Mistake(what, (*strategy.path, "output_naming")) for what in strategy.naming_faults())
        for set_name in strategy.edge_sets():
            if set_name in owners:
                yield Mistake(f'its edge set "{set_name}" is also made by "{owners[set_name]}"', strategy.path)
            owners.setdefault(set_name, name)


def _distance_faults(circuit: Circuit, strategy: ConnectivityStrategy) -> Iterator[Mistake]:
    """Yield the cell types whose cells are nowhere, where connections depend on distance."""
    for key in ("presynaptic", "postsynaptic") if strategy.by_distance else ():
        for i, cell_type in enumerate(getattr(strategy, key).cell_types):
            if circuit.cell_types[cell_type].entity:
                what = f'"{cell_type}" is an entity, whose cells are nowhere: there is no distance to them'
                yield Mistake(what, (*strategy.path, key, "cell_types", i))


def _unlabelled(circuit: Circuit, strategy: ConnectivityStrategy) -> Iterator[Mistake]:
    """Yield the cell types on a side with labels to whose cells no hook gives any of them."""
    hooks = [(h, h.gives_labels()) for h in circuit.after_placement.values()]
    for key in ("presynaptic", "postsynaptic"):
        side = getattr(strategy, key)
        for i, cell_type in enumerate(side.cell_types if side.labels else ()):
            own = [given for h, given in hooks if cell_type in h.rewrites or cell_type in h.adds]
            if all(given is not None and set(side.labels).isdisjoint(given) for given in own):
                what = f'no hook of after_placement labels cells of "{cell_type}" {listed(side.labels)}: there will be '
                yield Mistake(f"{what}no synapses of theirs", (*strategy.path, key, "cell_types", i))


def _asked_faults(loaded: Loaded, strategy: ConnectivityStrategy) -> Iterator[Mistake]:
    """Yield the properties that a strategy asks for and that cells do not have; of cells as they were placed alone."""
    circuit = loaded.circuit
    changed = {t for hook in circuit.after_placement.values() for t in (*hook.rewrites, *hook.adds)}
    for attribute, cell_type, name in strategy.asks():
        placing = circuit.placed_by(cell_type)
        if not placing or cell_type in changed or not all(_countable(loaded, of) for of in placing):
            continue
        known = _properties(circuit, [circuit.placement[of] for of in placing], cell_type).keys() - {"position"}
        if name not in known:
            hint = f"{did_you_mean(name, known)} (properties: {listed(sorted(known), 20)})"
            yield Mistake(f'"{cell_type}" has no property "{name}"{hint}', (*strategy.path, attribute))


def _shape_faults(loaded: Loaded, strategy: ConnectivityStrategy) -> Iterator[Mistake]:
    """Yield cell types without a shape where a strategy connects by shape, and labels that no point of a shape has."""
    told = len(loaded.circuit.morphologies) < len(
        loaded.document.tree.get("morphologies") or ()
    )  # that some are broken
    for key in ("presynaptic", "postsynaptic"):
        side = getattr(strategy, key)
        wanted = side.morphology_labels
        if key not in strategy.shaped:
            if wanted is not None and not side.own_labels:
                what = f"{type(strategy).__name__} does not look at the morphologies of these cells"
                loaded.warnings.append(Mistake(what, (*strategy.path, key, "morphology_labels")))
            continue
        for i, cell_type in enumerate(side.cell_types):
            names = loaded.circuit.morphologies_on(cell_type)
            if not names and loaded.circuit.placed_by(cell_type) and not told:
                what = f'"{cell_type}" has no morphology; say which: cell_types.{cell_type}.spatial.morphologies'
                yield Mistake(what, (*strategy.path, key, "cell_types", i))
            shapes = [loaded.shapes[name] for name in names if name in loaded.shapes]
            known = {label for shape in shapes for label in shape.known_labels}
            if wanted and len(shapes) == len(names) and known and known.isdisjoint(wanted):
                what = f'no point of "{cell_type}" is labelled {listed(wanted)}{did_you_mean(wanted[0], known)}'
                yield Mistake(f"{what} (labels: {listed(sorted(known))})", (*side.path, "morphology_labels"))


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
    made = {t for t in circuit.cell_types if circuit.placed_by(t)}
    for name in order_of(circuit.after_placement):
        hook = circuit.after_placement[name]
        yield from _misused("cell type", hook, hook.rewrites, hook.adds, made)
        made.update(hook.adds)
    sets = {s: pair for strategy in circuit.connectivity.values() for s, pair in strategy.edge_sets().items()}
    ever = set(sets)
    for name in order_of(circuit.after_connectivity):
        hook = circuit.after_connectivity[name]
        try:
            effect = hook.effect(sets)
        except UserError as error:
            yield from (replace(m, path=(*hook.path, *m.path)) for m in error.mistakes)
            continue
        yield from _misused("edge set", hook, effect.rewrites, effect.adds, set(sets), ever)
        for added, pair in effect.adds.items():
            if len(pair) != 2:
                what = f"should be: [source cell type, target cell type] (got: {listed(pair)})"
                yield Mistake(what, (*hook.path, "adds", added))
        sets = effect.after(sets)
        ever.update(effect.adds)


def _misused(
    what: str, hook: Node, rewrites: Iterable[str], adds: Iterable[str], made: set[str], ever: set[str] | None = None
) -> Iterator[Mistake]:
    """Yield what a hook changes that is not made before it, and what it adds that is, or was and is no more."""
    for i, rewritten in enumerate(rewrites):
        if rewritten not in made:
            hint = f'no {what} "{rewritten}" is made before it{did_you_mean(rewritten, made)}'
            yield Mistake(f"{hint} ({listed(sorted(made))})", (*hook.path, "rewrites", i))
    for added in adds:
        if added in (ever or made):
            said = any(attribute.key == "adds" for attribute in hook.attributes())
            todo = "rewrite it" if said else "that is what this would be called"
            yield Mistake(f'the {what} "{added}" is made already; {todo}', (*hook.path, "adds") if said else hook.path)


def _partition_faults(loaded: Loaded) -> Iterator[Mistake]:
    network = loaded.circuit.network
    for name, box in loaded.boxes.items():
        partition = loaded.circuit.partitions[name]
        corners = zip(box.lower, box.upper, network.origin, network.chunk_size, strict=True)
        span = [((low - origin) / size, (high - origin) / size) for low, high, origin, size in corners]
        is_far = max(abs(end) for ends in span for end in ends) > FARTHEST_CHUNK
        if isinstance(partition, Voxels):  # of its box it may fill little
            yield from partition.faults(network.grid)
            if is_far:
                what = f"lies farther than {FARTHEST_CHUNK} chunks from the origin; network.chunk_size should be larger"
                yield Mistake(what, ("partitions", name))
            continue
        if not all(d > 0 for d in box.dimensions) or not isfinite(box.volume):
            yield Mistake(
                f"its box cannot be told apart from nothing: {box.lower} to {box.upper} um", ("partitions", name)
            )
            continue
        n = prod(max(high - low, 1.0) for low, high in span)
        if n > MOST_CHUNKS or is_far:
            most = f"at most {MOST_CHUNKS:.0e}, {FARTHEST_CHUNK} from the origin along an axis"
            what = f"is cut into {n:.3g} chunks ({most})"
            yield Mistake(f"{what}; network.chunk_size should be larger", ("partitions", name))
        elif not network.box.holds(box):
            what = f"reaches out of the network: {box.lower} to {box.upper} um, the network {network.box.lower} to "
            loaded.warnings.append(Mistake(f"{what}{network.box.upper} um", ("partitions", name)))
    for name, region in loaded.circuit.regions.items():
        if not region.children:
            loaded.warnings.append(Mistake("has no children: nothing is in it", ("regions", name)))


def _morphology_faults(loaded: Loaded) -> Iterator[Mistake]:
    """Yield what is wrong with morphologies and with what selects them; files are read up to some amount in all."""
    circuit = loaded.circuit
    found = circuit.recipes
    yield from recipe_faults(found)
    left = MOST_BYTES_READ
    for recipe in filter(lambda recipe: recipe.readable, found):
        left -= recipe.file.path.stat().st_size
        if left < 0:
            break
        try:
            loaded.shapes[recipe.name] = recipe.make()
        except UserError as error:
            yield from (replace(m, path=recipe.path) for m in error.mistakes)
    names = [recipe.name for recipe in found]
    if not names and loaded.document.tree.get("morphologies"):
        return  # it is told that they cannot be read
    for name, strategy in circuit.placement.items():
        distributor = strategy.distribute.morphologies
        if isinstance(distributor, MorphologyGenerator):
            for cell_type in strategy.cell_types:
                for twice in set(distributor.names(name, cell_type)) & set(names):
                    yield Mistake(f'the morphology "{twice}" is there already; give it another name', distributor.path)
            continue
        used = any(strategy.selectors_of(t, circuit.cell_types[t].spatial) for t in strategy.cell_types)
        if "morphologies" in strategy.distribute.mentioned and distributor.selects and not used:
            what = (
                "its cell types select no morphologies; say which they may have: cell_types.<name>.spatial.morphologies"
            )
            yield Mistake(what, distributor.path)
    nodes = [cell_type.spatial for cell_type in circuit.cell_types.values()]
    nodes += [override for strategy in circuit.placement.values() for override in strategy.overrides.values()]
    for node in nodes:
        for i, selector in enumerate(node.morphologies):
            yield from (Mistake(what, (*node.path, "morphologies", i)) for what in selector.faults(names))


def _placement_faults(loaded: Loaded) -> Iterator[Mistake]:
    circuit = loaded.circuit

    space = loaded.space()
    for cell_type in circuit.cell_types:
        if not _made(circuit, cell_type):
            loaded.warnings.append(Mistake("is placed by no strategy", ("cell_types", cell_type)))
    reported: set[Mistake] = set()
    for name, strategy in circuit.placement.items():
        totals = loaded.totals.setdefault(name, {})
        for cell_type in strategy.cell_types:
            try:
                wanted = circuit.indicator(strategy, cell_type)
                totals[cell_type] = total(wanted, space)
            except NotKnownYet:
                loaded.guesses.setdefault(name, {})[cell_type] = guess(wanted, space)
            except UserError as error:
                own = ("cell_types", cell_type, "spatial")
                found = [m if m.path else replace(m, path=own) for m in error.mistakes]
                yield from (m for m in found if m not in reported)
                reported.update(found)
        for i, cell_type in enumerate(strategy.cell_types):
            if circuit.cell_types[cell_type].entity and strategy.located:
                what = f'"{cell_type}" is an entity, whose cells are nowhere; place it with the strategy "entities"'
                yield Mistake(what, (*strategy.path, "cell_types", i))
        for cell_type in strategy.overrides:
            if cell_type not in (*strategy.cell_types, *_density_ratios_of(circuit, strategy)):
                yield Mistake(f'"{cell_type}" is none of its cell types', (*strategy.path, "overrides", cell_type))
        yield from (Mistake(what, strategy.path) for what in strategy.lacks(loaded.radii(name)))
        if not _countable(loaded, name):
            continue
        yield from strategy.distribute.faults(strategy.columns)
        if len(totals) < len(strategy.cell_types):
            continue
        try:
            measures = loaded.measures(name, space)
        except NotKnownYet:  # its build job asks
            continue
        boxes = np.array([[loaded.boxes[p].lower, loaded.boxes[p].upper] for p in strategy.partitions]).reshape(
            -1, 2, 3
        )
        for message in [*strategy.faults(*measures), *strategy.misfits(*measures[:2], boxes)]:
            yield Mistake(message, strategy.path)
        loaded.warnings.extend(Mistake(m, strategy.path) for m in strategy.warnings(*measures))


def _property_faults(loaded: Loaded) -> Iterator[Mistake]:
    """Yield properties that are of numbers in one strategy and of strings in another, for a type that both place."""
    circuit = loaded.circuit
    for cell_type in circuit.cell_types:
        columns: dict[str, tuple[bool, str]] = {}
        for name in circuit.placed_by(cell_type):
            strategy = circuit.placement[name]
            if not _countable(loaded, name):
                continue  # what it reads may be broken
            for column, kind, path in _further_columns(circuit, strategy, cell_type):
                is_text = isinstance(kind, tuple)
                before, other = columns.setdefault(column, (is_text, name))
                if before != is_text:
                    said = ("a string", "a number") if is_text else ("a number", "a string")
                    what = f'"{column}" of "{cell_type}" is {said[0]} here, but {said[1]} in placement.{other}'
                    yield Mistake(what, path)


def _further_columns(circuit: Circuit, strategy: PlacementStrategy, cell_type: str) -> list[tuple[str, Kind, Path]]:
    """Return (name, kind, what gives it) of the columns that a strategy and its distributors give cells of a type."""
    about = {
        "radius": circuit.radius_of(strategy, cell_type),
        "morphologies": circuit.morphologies_of(strategy, cell_type),
    }
    found = [(column, kind, strategy.path) for column, kind in strategy.columns.items()]
    for key, distributor in strategy.distribute.all().items():
        own = distributor.columns(key, cell_type, about)
        found += [(column, kind, distributor.path) for column, kind in own.items()]
    return found


def _label_faults(loaded: Loaded) -> Iterator[Mistake]:
    """Yield what hooks that give labels ask of cells that these do not have; of those as they were placed alone."""
    circuit = loaded.circuit
    hooks = circuit.after_placement.values()
    changed = {t for hook in hooks if not isinstance(hook, LabelCells) for t in (*hook.rewrites, *hook.adds)}
    for hook in filter(lambda hook: isinstance(hook, LabelCells), hooks):
        known: dict[str, dict[str, list[Kind]]] = {}
        for cell_type in set(hook.rewrites) - changed:
            strategies = circuit.placed_by(cell_type)
            if strategies and all(_countable(loaded, name) for name in strategies):
                known[cell_type] = _properties(circuit, [circuit.placement[name] for name in strategies], cell_type)
        if known.keys() == set(hook.rewrites):
            yield from (Mistake(what, (*hook.path, *at)) for at, what in hook.faults(known))


def _properties(circuit: Circuit, strategies: list[PlacementStrategy], cell_type: str) -> dict[str, list[Kind]]:
    """Return the columns of the cells of a type when all are placed: name -> its kind in each strategy that has it."""
    found: dict[str, list[Kind]] = {}
    for strategy in strategies:
        own: dict[str, Kind] = {"mtype": (cell_type,)}
        if circuit.radius_of(strategy, cell_type) is not None:
            own["radius"] = "f4"
        if strategy.located:
            own |= {"position": "f4"} | ({"partition": tuple(strategy.partitions)} if strategy.partitions else {})
        own |= {column: kind for column, kind, _ in _further_columns(circuit, strategy, cell_type)}
        for name, kind in own.items():
            found.setdefault(name, []).append(kind)
    for kinds in found.values():
        if isinstance(kinds[0], tuple) and len(kinds) < len(strategies):
            kinds.append(("",))  # what cells have that lack it
    return found


def _countable(loaded: Loaded, name: str) -> bool:
    """Return whether the numbers of cells of a strategy are known, or will be when its partitions are built."""
    known = loaded.totals[name].keys() | loaded.guesses.get(name, {}).keys()
    return known >= set(loaded.circuit.placement[name].cell_types)


def _density_ratios_of(circuit: Circuit, strategy: PlacementStrategy) -> set[str]:
    """Return the other types whose densities a strategy takes ratios of: it may override those, too."""
    said = [[strategy.overrides.get(t), circuit.cell_types[t].spatial] for t in strategy.cell_types]
    by_type = [[node for node in nodes if node is not None] for nodes in said]
    ratios = [nodes for nodes in by_type if any(node.density_ratio is not None for node in nodes)]
    return {node.relative_to for nodes in ratios for node in nodes if node.relative_to}


def _made(circuit: Circuit, cell_type: str) -> bool:
    return bool(circuit.placed_by(cell_type)) or any(cell_type in h.adds for h in circuit.after_placement.values())


def _cycles(table: str, nodes: dict[str, Node]) -> Iterator[Mistake]:
    for name, node in nodes.items():
        reached, frontier = set(), _needed_by(node)
        while frontier:
            other = frontier.pop()
            if other not in reached and other in nodes:
                reached.add(other)
                frontier.extend(_needed_by(nodes[other]))
        if name in reached:
            yield Mistake("depends on itself, directly or through others", (table, name, "depends_on"))


def _needed_by(node: Node) -> list[str]:
    return node.dependencies() if isinstance(node, ConnectivityStrategy) else list(node.depends_on)
