"""Planning: from a circuit that was read and found whole to its plan, every part with its slice (see `plan`)."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace

import numpy as np

from snakefold import amounts, components, hdf5, needs
from snakefold.circuit import Circuit, Loaded, Measures, order_of
from snakefold.config.context import BuildContext, building
from snakefold.config.nodes import Node
from snakefold.config.prune import without_what_follows
from snakefold.config.types import DataFile
from snakefold.connectivity.strategy import ConnectivityStrategy, Effect
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.loading import BrokenCircuit
from snakefold.morphology.description import Recipe
from snakefold.morphology.distributors import MorphologyGenerator
from snakefold.needs import Needs
from snakefold.nest import modules
from snakefold.placement.counts import partitions_of
from snakefold.placement.strategy import PlacementStrategy
from snakefold.plan import Amount, Connection, Hook, Part, Placement, Plan
from snakefold.slices import canonical, named_files
from snakefold.topology.tiles import number_of_tiles
from snakefold.topology.voxels import Voxels

COST_PER_CHUNK_S = 2e-4  # of placement, whatever is in it


def make(
    loaded: Loaded, results: str, tiles: int | None = None, simulations: object = "all", *, simulated: bool = True
) -> Plan:
    """Return the plan of a circuit.

    Parameters
    ----------
    results : the folder of its results
    tiles : number of tiles of every strategy; None to choose by cost
    simulations : "all", "none", or names
    simulated : whether the parts of the simulations are in it

    Raises
    ------
    UserError : a simulation that is not there, or cannot be resolved
    """
    circuit, document = loaded.circuit, loaded.document
    parts: dict[str, Part] = {"parse": _parse_part(loaded)}
    for name in sorted(circuit.partitions):
        box, partition = loaded.boxes[name], circuit.partitions[name]
        own = {"grid": _grid(circuit)} if isinstance(partition, Voxels) else {"box": [box.lower, box.upper]}
        parts[f"partition/{name}"] = _part({"phase": "partition", "name": name, **own}, partition)
    parts |= {f"morphology/{recipe.name}": _morphology_part(recipe) for recipe in circuit.recipes}
    guessing = replace(loaded.space(), guesses=True)
    measures = {name: loaded.measures(name, guessing) for name in circuit.placement}
    placements = {name: _placement(loaded, name, tiles, parts, measures[name]) for name in sorted(circuit.placement)}
    after_placement = _hooks(circuit.after_placement, "after_placement", _of_cells(circuit), circuit, parts)
    cells = amounts.cells(loaded)
    synapses = amounts.synapses(loaded, guessing)
    connections = {name: _connection(loaded, name, tiles, parts, synapses) for name in sorted(circuit.connectivity)}
    after_connectivity = _hooks(circuit.after_connectivity, "after_connectivity", circuit.effects(), circuit, parts)
    plan = Plan(
        circuit=document.sources[0].path,
        results=results,
        cell_types=tuple(sorted(t for t in circuit.cell_types if _is_made(t, placements, circuit))),
        parts=parts,
        placements=placements,
        connections=connections,
        after_placement=after_placement,
        after_connectivity=after_connectivity,
        simulations=(chosen := tuple(sorted(_chosen(simulations, list(circuit.simulations))))),
        modules={},
        libraries={},
        expected_rates={name: rates for name in chosen if (rates := circuit.simulations[name].expected_rates)},
        warnings=tuple(str(w) for w in loaded.warnings),
        needs=_needs(loaded, placements, connections, synapses, measures),
        cells=cells,
        synapses=amounts.after_hooks(synapses, circuit),
    )
    _add_modules(plan, circuit)
    if simulated:
        _add_simulations(plan, loaded)
    return plan


def _needs(
    loaded: Loaded,
    placements: dict[str, Placement],
    connections: dict[str, Connection],
    synapses: dict[str, Amount],
    measures: dict[str, Measures],
) -> dict[str, Needs]:
    """Return what jobs need.

    They are called "partition/<name>" (of voxels), "place/<strategy>" and "connect/<strategy>" (a tile), "cells/<type>"
    and "simulate/<name>".
    """
    circuit, n_cells = loaded.circuit, loaded.n_cells(guessed=True)
    made = {}
    for name, partition in circuit.partitions.items():
        if isinstance(partition, Voxels):
            made[f"partition/{name}"] = needs.voxelising(*partition.load())
    for name, placement in placements.items():
        n, strategy = sum(measures[name][0].values()), circuit.placement[name]
        cost_s = strategy.cost_s(*measures[name]) / placement.tiles
        made[f"place/{name}"] = needs.placing(n / placement.tiles, cost_s, strategy.bytes_per_cell)
    for name, connection in connections.items():
        strategy, n = circuit.connectivity[name], [synapses[s].mean / connection.tiles for s in connection.sets]
        cells = sum(n_cells.get(t, 0) for t in connection.cell_types)
        held = max(n, default=0.0) if connection.direct else sum(n)  # final files are written one after the other
        cost_s, n_bytes = strategy.cost_per_edge_s, connection.column_bytes
        made[f"connect/{name}"] = needs.connecting(sum(n), held, cells, cost_s, n_bytes)
    made |= {f"cells/{t}": needs.gathering(n_cells.get(t, 0)) for t in circuit.cell_types}
    owner = _owners(connections)
    for name, simulation in circuit.simulations.items():
        models = {t: (n_cells.get(t, 0), str(model.model)) for t, model in simulation.cell_models.items()}
        connected = [s for s in synapses if not {s, owner[s]}.isdisjoint(simulation.connection_models)]
        made[f"simulate/{name}"] = needs.simulating(
            list(models.values()),
            sum(synapses[s].mean for s in connected),
            simulation.duration,
            simulation.resolution,
            extended=bool(simulation.modules),
        )
    return made


def _owners(connections: dict[str, Connection]) -> dict[str, str]:
    """Return edge set -> the strategy that makes it."""
    return {s: name for name, c in connections.items() for s in c.sets}


def _parse_part(loaded: Loaded) -> Part:
    document = loaded.document
    marks = {json.dumps(path): [m.file, m.line, m.column] for path, m in document.marks.items()}
    sources = [asdict(source) for source in document.sources]
    return Part(
        {"schema": hdf5.SCHEMA_VERSION, "phase": "parse", "tree": document.tree, "marks": marks, "sources": sources}
    )


def _part(
    slice_: dict,
    component: Node,
    inputs: tuple[str, ...] = (),
    tiles: int | None = None,
    others: Iterable[Node] = (),
) -> Part:
    """Return a part; `others` are components that may be in its slice besides its own."""
    slice_ = {"schema": hdf5.SCHEMA_VERSION, **slice_, "component": components.record(component)}
    if tiles is not None:
        slice_["tiles"] = tiles
    files = components.data_files(component, *others)
    slice_ = json.loads(canonical(slice_))
    return Part(slice_, {digest: files[digest] for digest in named_files(slice_)}, inputs)


def _morphology_part(recipe: Recipe) -> Part:
    slice_ = {
        "schema": hdf5.SCHEMA_VERSION,
        "phase": "morphology",
        "name": recipe.name,
        "file": {"blake2b": recipe.file.digest},
        "format": recipe.file.path.suffix.lower(),
        "component": components.record(recipe.parser),
        "pipeline": [components.record(step) for step in recipe.steps],
    }
    files = {recipe.file.digest: str(recipe.file.path)} | components.data_files(recipe.parser, *recipe.steps)
    return Part(json.loads(canonical(slice_)), files)


def _generated_parts(
    circuit: Circuit, strategy: PlacementStrategy, generator: MorphologyGenerator, cell_type: str
) -> dict[str, Part]:
    """Return the parts of the morphologies that a generator makes for the cells of a type."""
    templates = circuit.selected(strategy, cell_type)
    head = {"phase": "morphology", "for": [strategy.node_name, cell_type], "templates": templates}
    seed, inputs = circuit.seed_of(generator), tuple(f"morphology/{name}" for name in templates)
    return {
        f"morphology/{name}": _part(head | {"name": name, "index": i, "seed": seed}, generator, inputs)
        for i, name in enumerate(generator.names(strategy.node_name, cell_type))
    }


def _grid(circuit) -> dict:
    return {"origin": circuit.network.origin, "size": circuit.network.chunk_size}


def _placement(loaded: Loaded, name: str, tiles: int | None, parts: dict[str, Part], measures: Measures) -> Placement:
    circuit, strategy = loaded.circuit, loaded.circuit.placement[name]
    kinds = {
        t: {
            "radius": circuit.radius_of(strategy, t),
            "indicator": circuit.indicator(strategy, t),
        }
        | ({"morphologies": shapes} if (shapes := circuit.morphologies_of(strategy, t)) else {})
        for t in strategy.cell_types
    }
    cost_s = strategy.cost_s(*measures) + _n_chunks(loaded, strategy) * COST_PER_CHUNK_S
    n_tiles = number_of_tiles(tiles, cost_s, n_passes=strategy.n_passes)
    sized = [p for kind in kinds.values() for p in partitions_of(kind["indicator"])]
    inputs = tuple(f"partition/{p}" for p in dict.fromkeys([*strategy.partitions, *sized]))
    slice_ = {"phase": "place", "name": name, "seed": circuit.seed_of(strategy), "types": kinds, "grid": _grid(circuit)}
    if not isinstance(type(strategy).columns, dict):  # they depend on what it reads
        slice_["columns"] = strategy.columns
    distributors = strategy.distribute.all()
    if not any("morphologies" in kind for kind in kinds.values()):
        distributors.pop("morphologies", None)
    if isinstance(generator := distributors.get("morphologies"), MorphologyGenerator):
        for t in strategy.cell_types:
            parts |= _generated_parts(circuit, strategy, generator, t)
    if distributors:
        of = {n: {"component": components.record(d), "seed": circuit.seed_of(d)} for n, d in distributors.items()}
        slice_["distribute"] = of
    others = [*circuit.placement.values(), *distributors.values()]
    parts[f"place/{name}"] = _part(slice_, strategy, inputs, n_tiles, others)
    reads = sorted({t for other in strategy.depends_on for t in circuit.placement[other].cell_types})
    alone = all(circuit.placed_by(t) == [name] for t in strategy.cell_types)
    return Placement(
        cell_types=tuple(strategy.cell_types),
        tiles=n_tiles,
        passes=strategy.n_passes,
        prepares=strategy.prepares() or any(d.prepares() for d in distributors.values()),
        reads=tuple(reads),
        direct=n_tiles == 1 and strategy.n_passes == 1 and alone,
    )


def _n_chunks(loaded: Loaded, strategy) -> float:
    size = loaded.circuit.network.chunk_size
    n = 0.0
    for partition in strategy.partitions:
        x, y, z = (max(d / s, 1.0) for d, s in zip(loaded.boxes[partition].dimensions, size, strict=True))
        n += x * y * z
    return n


def _connection(
    loaded: Loaded, name: str, tiles: int | None, parts: dict[str, Part], synapses: dict[str, Amount]
) -> Connection:
    circuit, strategy = loaded.circuit, loaded.circuit.connectivity[name]
    sets = strategy.edge_sets()
    expected = {s: [synapses[s].mean, synapses[s].sd] if synapses[s].known else None for s in sets}
    n_edges = sum(synapses[s].mean for s in sets)
    n_tiles = number_of_tiles(tiles, n_edges * strategy.cost_per_edge_s, n_edges)
    slice_ = {
        "phase": "connect",
        "name": name,
        "seed": circuit.seed_of(strategy),
        "grid": _grid(circuit),
        "sets": {s: list(pair) for s, pair in sets.items()},
        "expected": expected,
    }
    parts[f"connect/{name}"] = _part(slice_, strategy, (), n_tiles)
    return Connection(
        sets=sets,
        sources=tuple(strategy.presynaptic.cell_types),
        targets=tuple(strategy.postsynaptic.cell_types),
        looks_at=tuple(strategy.looks_at()),
        tiles=n_tiles,
        prepares=strategy.prepares(),
        reads=tuple(sorted({s for other in strategy.dependencies() for s in circuit.connectivity[other].edge_sets()})),
        morphologies=tuple(sorted({m for t in _shaped(strategy) for m in circuit.morphologies_on(t)})),
        direct=n_tiles == 1,
        column_bytes=sum(np.dtype(kind).itemsize for kind in strategy.columns.values()),
    )


def _shaped(strategy: ConnectivityStrategy) -> list[str]:
    return [cell_type for side in strategy.sides_shaped().values() for cell_type in side.cell_types]


def _hooks(
    hooks: dict, phase: str, effects: dict[str, Effect], circuit: Circuit, parts: dict[str, Part]
) -> dict[str, Hook]:
    """Return the hooks that do something, in the order in which they run, and add their parts."""
    stage: dict[str, int] = {}
    made = {}
    for name, effect in effects.items():
        if not (effect.rewrites or effect.adds or effect.removes):
            continue
        hook = hooks[name]
        files: dict[str, int | None] = {}
        for rewritten in effect.rewrites:
            files[rewritten] = stage.setdefault(rewritten, 0)
            stage[rewritten] += 1
        for added in effect.adds:
            files[added] = None
            stage[added] = 0
        reads = {read: stage.get(read, 0) for read in effect.reads}
        slice_ = {"phase": phase, "name": name, "seed": circuit.seed_of(hook), "grid": _grid(circuit)}
        slice_["effect"] = {"rewrites": effect.rewrites, "adds": effect.adds, "reads": effect.reads}
        made[name] = Hook(files, reads, effect.removes, {k: v for k, v in effect.adds.items() if v})
        parts[f"{phase}/{name}"] = _part(slice_, hook)
    return made


def _of_cells(circuit: Circuit) -> dict[str, Effect]:
    """Return what each hook does with populations, in the order in which they run."""
    hooks = circuit.after_placement
    return {name: Effect(tuple(hooks[name].rewrites), dict.fromkeys(hooks[name].adds)) for name in order_of(hooks)}


def _is_made(cell_type: str, placements: dict[str, Placement], circuit) -> bool:
    return any(cell_type in p.cell_types for p in placements.values()) or any(
        cell_type in hook.adds for hook in circuit.after_placement.values()
    )


def _chosen(asked: object, known: list[str]) -> list[str]:
    if asked in ("all", None):
        return known
    if asked in ("none", []):
        return []
    names = asked if isinstance(asked, list) else str(asked).replace(",", " ").split()
    for name in names:
        if name not in known:
            raise UserError(
                f'simulations: no simulation "{name}"{did_you_mean(name, known)} ({listed(known)}; all; none)'
            )
    return list(dict.fromkeys(names))


def _add_modules(plan: Plan, circuit) -> None:
    for name in plan.simulations:
        libraries = []
        for module in circuit.simulations[name].modules:
            if isinstance(module, modules.NestmlFile):
                key = modules.name_of(module)
                plan.modules[key] = Part(modules.slice_of(module), {module.digest: str(module.path)})
                libraries.append(plan.library(key))
            elif isinstance(module, DataFile):
                libraries.append(str(module.path))
        plan.libraries[name] = tuple(libraries)


def _add_simulations(plan: Plan, loaded: Loaded) -> None:
    slices, mistakes = simulation_slices(plan, loaded)
    if mistakes:
        error = BrokenCircuit(UserError(mistakes).located(loaded.document.locate).mistakes)
        error.survivor = loaded
        raise error
    for name, slice_ in slices.items():
        files = components.data_files(loaded.circuit.simulations[name])
        named = {digest: files[digest] for digest in named_files(slice_)}
        plan.parts[f"simulate/{name}"] = Part(slice_, named)


def simulation_slices(plan: Plan, loaded: Loaded) -> tuple[dict[str, dict], list[Mistake]]:
    """Return the slices of a plan's simulations by name, as far as they can be made, and what is wrong with them."""
    circuit = loaded.circuit
    owner = _owners(plan.connections)
    edge_sets = {s: (owner.get(s, s), *pair) for s, pair in plan.edge_sets().items()}
    removed = {s: name for name, hook in plan.after_connectivity.items() for s in hook.removes}
    removed |= {owner[s]: name for s, name in removed.items() if s in owner}
    rewritten = {t for hook in circuit.after_placement.values() if not hook.keeps_cells for t in hook.rewrites}
    n_cells = {t: n for t, n in loaded.n_cells().items() if circuit.placed_by(t) and t not in rewritten}
    build = BuildContext()
    slices = {}
    with building(build):
        for name in plan.simulations:
            simulation = circuit.simulations[name]
            resolved = simulation.resolved(
                circuit.seed, list(plan.cell_types), edge_sets, n_cells, circuit.rng, removed
            )
            head = {"schema": hdf5.SCHEMA_VERSION, "phase": "simulate", "version": simulation.algorithm_version}
            slices[name] = json.loads(canonical(head | resolved))
    return slices, without_what_follows(build.mistakes, loaded.document.tree, circuit)
