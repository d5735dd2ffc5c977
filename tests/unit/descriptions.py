"""Small circuit descriptions for the unit tests, and the build, place and connect phases of one in this process."""

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

from snakefold import hooks
from snakefold.build import build
from snakefold.connectivity import gather as gather_of_edges
from snakefold.connectivity import tile as connecting
from snakefold.loading import load
from snakefold.placement import gather as gather_of_cells
from snakefold.placement import tile as placing
from snakefold.plan import Plan
from snakefold.planning import make

CIRCUITS = Path(__file__).parents[2] / "config" / "circuits"

SMALL = {
    "rng": {"seed": 7},
    "network": {"x": 200.0, "y": 100.0, "z": 150.0, "chunk_size": 50.0},
    "regions": {"column": {"type": "stack", "children": ["base", "top"]}},
    "partitions": {"base": {"thickness": 70.0}, "top": {"thickness": 80.0}},
    "cell_types": {
        "a": {"spatial": {"radius": 2.0, "count": 120}},
        "b": {"spatial": {"radius": 2.0, "density": 5e-5}},
    },
    "placement": {
        "lower": {"strategy": "random", "partitions": ["base"], "cell_types": ["a"]},
        "upper": {"strategy": "random", "partitions": ["top"], "cell_types": ["b"]},
    },
    "connectivity": {
        "a_to_b": {
            "strategy": "fixed_indegree",
            "indegree": 5,
            "presynaptic": {"cell_types": ["a"]},
            "postsynaptic": {"cell_types": ["b"]},
        }
    },
    "simulations": {
        "rest": {
            "simulator": "nest",
            "duration": 10.0,
            "cell_models": {"a": {"model": "iaf_psc_exp"}, "b": {"model": "iaf_psc_exp"}},
            "connection_models": {"a_to_b": {"synapses": [{"weight": 1.0, "delay": 1.0}]}},
            "devices": {"spikes": {"device": "spike_recorder", "targetting": {"strategy": "all"}}},
        }
    },
}


def small() -> dict:
    """Return a description of two layers that may be changed."""
    return copy.deepcopy(SMALL)


def edited(*edits: tuple[str, object], tree: dict | None = None) -> dict:
    """Return a description, else the small one, with values set at dotted keys; `...` removes the key."""
    tree = small() if tree is None else tree
    for dotted, value in edits:
        *above, last = dotted.split(".")
        at = tree
        for key in above:
            at = at.setdefault(key, {})
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return tree


def text_of(value: object) -> str:
    """Return a plain value as YAML in flow style, not finite numbers included."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {text_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def write(folder: Path, tree: dict, name: str = "circuit.yaml") -> Path:
    """Write a description, each top-level key on a line of its own."""
    path = folder / name
    path.write_text("".join(f"{json.dumps(k)}: {text_of(v)}\n" for k, v in tree.items()))
    return path


def plan_of(folder: Path, tree: dict, tiles: int | None = 1, **options) -> Plan:
    """Return the plan of a description, its results below `folder`."""
    return make(load(write(folder, tree)), f"{folder}/results/circuit", tiles, **options)


def run(plan: Plan, jobs: str = "place connect") -> Plan:
    """Run the build, place and connect phases of a plan without hooks, as the rules do, through tiles everywhere."""
    plan.freeze()
    for name, part in plan.parts.items():
        if name.startswith(("partition/", "morphology/", "place/", "connect/")):
            inputs = [plan.built(i) for i in part.inputs]
            build(plan.slice_file(part.digest), inputs, list(part.files.values()), plan.built(name))
    left = list(plan.placements) if "place" in jobs else []
    gathered: set[str] = set()
    while left:  # those first that others depend on
        ready = [n for n in left if gathered.issuperset(plan.placements[n].reads)]
        for name in ready:
            place(plan, name)
            left.remove(name)
        done = [t for t in plan.cell_types if t not in gathered and not set(plan.placers(t)) & set(left)]
        gather(plan, done)
        gathered |= set(done)
    left, made = list(plan.connections) if "connect" in jobs else [], set()
    while left:
        for name in [n for n in left if made.issuperset(plan.connections[n].reads)]:
            connect(plan, name)
            left.remove(name)
            made |= set(plan.connections[name].sets)
    return plan


def connect(plan: Plan, name: str) -> None:
    """Prepare, connect and gather all tiles of a strategy."""
    inputs, tiles = connect_inputs(plan, name), tiles_of(plan, "connect", name, plan.connections[name].tiles)
    if inputs.prepared:
        connecting.prepare(replace(inputs, prepared=""), inputs.prepared)
    for t, tile in enumerate(tiles):
        connecting.connect(inputs, t, plan.path(".journal", name, t), tile)
    for edge_set in plan.connections[name].sets:
        gather_of_edges.gather_edges(edge_set, inputs, tiles, plan.staged("edges", edge_set))


def run_hooks_on_edges(plan: Plan) -> Plan:
    """Run the hooks on edge sets of a plan that was run."""
    for name, hook in plan.after_connectivity.items():
        part = plan.parts[f"after_connectivity/{name}"]
        build(plan.slice_file(part.digest), [], [], plan.built("after_connectivity", name))
        outputs = dict(zip(hook.files, plan.hook_outputs("edges", name), strict=True))
        nodes = [plan.nodes(t) for t in plan.cell_types]
        hooks.after_connectivity(
            plan.built("after_connectivity", name), plan.hook_inputs("edges", name), nodes, outputs
        )
    return plan


def gather(plan: Plan, cell_types: list[str]) -> None:
    """Gather the cells of some types."""
    for cell_type in cell_types:
        names = plan.placers(cell_type)
        tiles = [t for n in names for t in tiles_of(plan, "place", n, plan.placements[n].tiles)]
        gather_of_cells.gather_cells(cell_type, [plan.built("place", n) for n in names], tiles, plan.nodes(cell_type))


def tiles_of(plan: Plan, phase: str, name: str, n: int) -> list[str]:
    """Return the tile files of a strategy."""
    return [plan.path(phase, name, f"0.{t}.h5") for t in range(n)]


def place_inputs(plan: Plan, name: str) -> placing.Inputs:
    """Return what the tiles of a placement strategy read."""
    prepared = plan.path("prepare/place", f"{name}.h5") if plan.placements[name].prepares else ""
    partitions = tuple(plan.built(i) for i in plan.parts[f"place/{name}"].inputs)
    nodes = tuple(plan.nodes(t) for t in plan.placements[name].reads)
    return placing.Inputs(plan.built("place", name), partitions, nodes, prepared)


def connect_inputs(plan: Plan, name: str) -> connecting.Inputs:
    """Return what the tiles of a connectivity strategy read."""
    of = plan.connections[name]
    nodes = [plan.nodes(t) for t in of.cell_types]
    edges, shapes = [plan.staged("edges", s) for s in of.reads], [plan.built("morphology", m) for m in of.morphologies]
    prepared = plan.path("prepare/connect", f"{name}.h5") if of.prepares else ""
    return connecting.Inputs(plan.built("connect", name), tuple(nodes), tuple(edges), tuple(shapes), prepared)


def place(plan: Plan, name: str) -> None:
    """Prepare and place all tiles of a strategy."""
    inputs = place_inputs(plan, name)
    if inputs.prepared:
        placing.prepare(replace(inputs, prepared=""), inputs.prepared)
    for t, tile in enumerate(tiles_of(plan, "place", name, plan.placements[name].tiles)):
        placing.place(inputs, t, 0, plan.path(".journal", name, t), tile)
