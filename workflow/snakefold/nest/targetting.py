"""Which cells a device is connected to: the strategies of a description, and how they choose in the simulate job.

A slice has the cell types under `targets` and, where not all of their cells are meant, a rule under `subset`:
{"ids": {cell type: [node ids]}}, {"labels": [...]}, {"sphere": {"origin", "radius"}}, um, or {"cylinder": {"origin",
"axis", "radius"}}; and then, of those, {"sample": n of each type} and {"count": n of each type} or {"fraction": of each
type}. What is drawn is a prefix of one keyed permutation per device and cell type, so that a larger number contains a
smaller one, and nothing else of the description enters it but {"seed": ...}, where the targetting has one of its own.
The strategies mean what they mean in the BSB, whose names they have.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.context import current
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.rng import Rng, drawn_with, own_seed
from snakefold.sonata.labels import fault as label_fault
from snakefold.sonata.labels import labelled as labelled_in
from snakefold.sonata.nodes import Nodes
from snakefold.streams import stream

ACROSS = {"x": (1, 2), "y": (0, 2), "z": (0, 1)}  # axis of a cylinder -> the coordinates of its origin

SHAPES = {"sphere", "cylinder"}  # rules that ask where cells are
MOST_CELLS = 2**32 - 1

Chosen = dict[str, np.ndarray | None]  # cell type -> (n,) int64 node ids, rising; None for all of its cells


def _is_entity(circuit: Node, cell_type: str) -> bool:
    known = vars(circuit).get("cell_types") or {}
    return cell_type in known and bool(known[cell_type].entity)


def simulated_of(node: Node, key: str, names: list[str], simulated: list[str]) -> list[str]:
    """Return those cell types that are simulated, of what stands at a key of a node; others are mistakes."""
    for i, name in enumerate(names):
        if name not in simulated:
            message = f'"{name}" has no cell model here (cell_models: {listed(simulated)})'
            current().mistake((*node.path, key, i), message, (*node.path[:2], "cell_models", name))
    return [t for t in names if t in simulated]


class Targetting(Node):
    """Base of what a device is connected to."""

    kind: ClassVar[str] = "targetting"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1

    rng = drawn_with()

    def cell_types(self, simulated: list[str]) -> list[str]:
        """Return the cell types it stands for, of those that are simulated."""
        raise NotImplementedError

    def subset(self) -> dict:
        """Return the rule that chooses cells of these types; empty for all."""
        return {}

    def resolved(self, simulated: list[str], n_cells: Mapping[str, int], rng: Rng | None = None) -> dict:
        """Return {"targets": cell types} and, where not all of their cells are meant, "subset".

        Parameters
        ----------
        simulated : the cell types that are simulated
        n_cells : cell type -> wanted number, of those of which it is known
        rng : the seeds that it may name
        """
        targets, rule = self.cell_types(simulated), self.subset()
        if rule.keys() & SHAPES:
            targets = [t for t in targets if not _is_entity(self.root(), t)]
        for mistake in faults(rule, {t: n_cells[t] for t in targets if t in n_cells}):
            current().mistake((*self.path, *mistake.path), mistake.message)
        return {"targets": targets} | ({"subset": rule | own_seed(self, rng)} if rule else {})


class AllCells(Targetting):
    """All cells that are simulated."""

    def cell_types(self, simulated: list[str]) -> list[str]:
        return simulated


class AllConnections(AllCells):
    """All connections; not yet supported, as no device of NEST is connected to connections."""

    def cell_types(self, simulated: list[str]) -> list[str]:
        current().mistake((*self.path, "strategy"), "not yet supported: all_connections, as strategy of targetting")
        return simulated


def _one_of_two(node: "_Some", _: float) -> str | None:
    return None if node.count is None else "a count is given, too; give one of the two"


class _Some(Targetting):
    """Base of what chooses some cells, of which `count` or `fraction` draws a part."""

    count = Attribute(
        types.integer(min=1, max=MOST_CELLS), doc="How many cells of each type, drawn at random; all if not given."
    )
    fraction = Attribute(
        types.number(min=0, max=1),
        constraint=_one_of_two,
        doc="Which part of the cells of each type, drawn at random: floor(fraction * number), computed exactly.",
    )

    def chosen(self) -> dict:
        """Return the rule by which cells are chosen before a part of them is drawn."""
        return {}

    def subset(self) -> dict:
        part = {"count": self.count, "fraction": None if self.fraction == 1.0 else self.fraction}
        return self.chosen() | {key: value for key, value in part.items() if value is not None}


class _OfModels(_Some):
    """Base of what may be restricted to some cell models."""

    cell_models = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), distinct=True),
        default=lambda node: [],
        doc="Cell types, by the keys of cell_models; all that are simulated if not given.",
    )

    def cell_types(self, simulated: list[str]) -> list[str]:
        return simulated_of(self, "cell_models", self.cell_models, simulated) if self.cell_models else simulated


class CellModels(_OfModels):
    """The cells of some types."""

    cell_models = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        doc="Cell types, by the keys of cell_models.",
    )

    def cell_types(self, simulated: list[str]) -> list[str]:
        return simulated_of(self, "cell_models", self.cell_models or [], simulated)


class Representatives(_OfModels):
    """A number of cells of each type, drawn at random."""

    n = Attribute(types.integer(min=1, max=MOST_CELLS), default=1, doc="How many cells of each type.")

    def chosen(self) -> dict:
        return {"sample": self.n}


class ById(_Some):
    """The cells with some node ids."""

    ids = Attribute(
        types.DictOf(types.ListOf(types.integer(min=0, max=MOST_CELLS))),
        required=True,
        doc="Node ids (from 0, as in the node files) by cell type, as in {granule: [0, 12]}.",
    )

    def cell_types(self, simulated: list[str]) -> list[str]:
        for name in self.ids or {}:
            if name not in simulated:
                message = f'"{name}" has no cell model here{did_you_mean(name, simulated)}'
                message += f" (cell_models: {listed(simulated)})"
                current().mistake((*self.path, "ids", name), message, (*self.path[:2], "cell_models", name))
        return [t for t in self.ids or {} if t in simulated]

    def chosen(self) -> dict:
        ids = {}
        for name, given in (self.ids or {}).items():
            first = {node_id: i for i, node_id in reversed(list(enumerate(given)))}
            for i, node_id in enumerate(given):
                if first[node_id] != i:
                    current().mistake((*self.path, "ids", name, i), f"{node_id} stands twice")
            ids[name] = sorted(first)
        return {"ids": ids}


class ByLabel(_OfModels):
    """The cells with any of some labels."""

    labels = Attribute(
        types.ListOf(types.string(), distinct=True),
        required=True,
        constraint=label_fault,
        doc="Labels, any of which the cells have; an empty list for cells without labels.",
    )

    def chosen(self) -> dict:
        return {"labels": list(self.labels or [])}


class InCylinder(_OfModels):
    """The cells whose somata are in a cylinder without ends."""

    origin = Attribute(
        types.ListOf(types.number()),
        required=True,
        unit="um",
        constraint=lambda node, value: None if len(value) == 2 else f"should be: two numbers (got: {len(value)})",
        doc="Where its axis is, in the two other coordinates, in the order x, y, z.",
    )
    axis = Attribute(types.Choice(*ACROSS), default="y", doc="The coordinate along which it extends.")
    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Cells closer to the axis are meant.")

    def chosen(self) -> dict:
        return {"cylinder": {"origin": self.origin, "axis": self.axis, "radius": self.radius}}


class InSphere(_OfModels):
    """The cells whose somata are in a sphere."""

    origin = Attribute(types.Vector(types.number()), required=True, unit="um", doc="Centre.")
    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Cells closer to the centre are meant.")

    def chosen(self) -> dict:
        return {"sphere": {"origin": list(self.origin or ()), "radius": self.radius}}


class CellTypesInSphere(_Some):
    """The cells of some types whose somata are in a sphere."""

    cell_types_ = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), distinct=True),
        default=lambda node: [],
        key="cell_types",
        doc="Cell types; all that are simulated if not given.",
    )
    only_local = Attribute(
        types.boolean(),
        default=True,
        semantic=False,
        doc="Accepted as the BSB's: whether only chunks that are simulated count. Here they all are.",
    )
    origin = Attribute(types.Vector(types.number()), required=True, unit="um", doc="Centre.")
    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Cells closer to the centre are meant.")

    def cell_types(self, simulated: list[str]) -> list[str]:
        return simulated_of(self, "cell_types", self.cell_types_, simulated) if self.cell_types_ else simulated

    def chosen(self) -> dict:
        return {"sphere": {"origin": list(self.origin or ()), "radius": self.radius}}


# Choosing


def faults(rule: Mapping, n_cells: Mapping[str, int]) -> list[Mistake]:
    """Return what a rule wants that is not there; paths count from the targetting.

    Parameters
    ----------
    n_cells : cell type -> number of cells, of those of which it is known
    """
    found = []
    for cell_type, n in n_cells.items():
        ids = rule.get("ids", {}).get(cell_type, [])
        if outside := [i for i in ids if i >= n]:
            known = f"0 to {n - 1}" if n else "none"
            found.append(Mistake(f'no cell {listed(outside, 5)} of "{cell_type}" (cells: {known})', ("ids", cell_type)))
            continue
        if rule.keys() & {*SHAPES, "labels"}:
            continue
        found += _drawn(rule, len(ids) if "ids" in rule else n, cell_type)[1]
    return found


def _drawn(rule: Mapping, n: int, cell_type: str, where: str = "") -> tuple[int, list[Mistake]]:
    """Return how many of n cells are drawn, and which numbers are more than there are."""
    found = []
    for key, written in (("sample", "n"), ("count", "count")):
        wanted = rule.get(key, n)
        if wanted > n:
            message = f'{wanted} cells are wanted, but there {"is" if n == 1 else "are"} {n} of "{cell_type}"{where}'
            found.append(Mistake(message, (written,)))
        n = min(wanted, n)
    if "fraction" in rule:
        n = int(Fraction(repr(rule["fraction"])) * n)
    return n, found


def choose(
    rule: Mapping,
    cell_type: str,
    n: int,
    positions: Callable[[], np.ndarray],
    rng: np.random.Generator,
    labelled: Callable[[list[str]], np.ndarray] | None = None,
) -> np.ndarray:
    """Return (m,) int64, rising: the node ids that a rule chooses of the n cells of a type.

    Parameters
    ----------
    positions : returns (n, 3) float32, um
    labelled : returns which cells have any of some labels, (n,) bool; not asked where the rule has none

    Raises
    ------
    UserError : fewer cells than wanted, or no cell of an id; paths count from the targetting
    """
    if found := faults(rule, {cell_type: n}):
        raise UserError(found)
    ids, where = np.arange(n, dtype=np.int64), ""
    if "ids" in rule:
        ids = np.array(rule["ids"].get(cell_type, []), np.int64)
    if "labels" in rule:
        ids, where = np.flatnonzero(labelled(rule["labels"])), " with these labels"
    for shape in sorted(SHAPES):
        if shape in rule:
            ids, where = np.flatnonzero(_inside(shape, rule[shape], positions())), f" in the {shape}"
    m, found = _drawn(rule, len(ids), cell_type, where)
    if found:
        raise UserError(found)
    return ids if m == len(ids) else np.sort(ids[rng.permutation(len(ids))[:m]])


def _inside(shape: str, of: Mapping, positions: np.ndarray) -> np.ndarray:
    axes = slice(None) if shape == "sphere" else list(ACROSS[of["axis"]])
    squares = (positions[:, axes].astype(np.float64) - of["origin"]) ** 2
    return squares.sum(axis=1) < of["radius"] ** 2


def chosen_by_all(simulation: Mapping, nodes: Mapping[str, Path]) -> dict[str, Chosen]:
    """Return device -> the cells it is connected to.

    Parameters
    ----------
    simulation : its slice
    nodes : cell type -> node file

    Raises
    ------
    UserError : what a device wants is not there, by its place in the description
    """
    devices, mistakes = {}, []
    for name, device in sorted(simulation["devices"].items()):
        devices[name] = dict.fromkeys(device["targets"])
        for cell_type in devices[name] if device.get("subset") else ():
            seed = device["subset"].get("seed", simulation["seed"])
            rng = stream(seed, "simulate", simulation["name"], "target", name, cell_type)
            with Nodes(nodes[cell_type]) as file:
                try:
                    devices[name][cell_type] = choose(
                        device["subset"], cell_type, file.n, file.positions, rng, partial(labelled_in, file)
                    )
                except UserError as error:
                    root = ("simulations", simulation["name"], "devices", name, "targetting")
                    mistakes += [Mistake(m.message, (*root, *m.path)) for m in error.mistakes]
    if mistakes:
        raise UserError(mistakes)
    return devices


def union(chosen: Iterable[Chosen]) -> Chosen:
    """Return the cells that any of several devices is connected to, by cell type in order."""
    parts: dict[str, list] = {}
    for one in chosen:
        for cell_type, ids in one.items():
            parts.setdefault(cell_type, []).append(ids)
    return {t: _union(parts[t]) for t in sorted(parts)}


def _union(parts: list[np.ndarray | None]) -> np.ndarray | None:
    return None if any(ids is None for ids in parts) else np.unique(np.concatenate(parts))


# Node sets


SIMULATED, RECORDED = "cells/simulated", "cells/recorded"


def has_node_sets(simulation: Mapping) -> bool:
    """Return whether a simulation has node sets of its own: the circuit's do not say what its devices target."""
    devices = simulation["devices"].values()
    simulated = sorted(simulation["cells"])
    several = [sorted(d["targets"]) for d in devices if d["kind"] == "multimeter" and len(set(d["targets"])) > 1]
    return any(d.get("subset") or d.get("rule") for d in devices) or any(targets != simulated for targets in several)


def node_sets(simulation: Mapping, chosen: Mapping[str, Chosen], n_cells: Mapping[str, int]) -> dict:
    """Return a simulation's own node sets: cells/simulated, cells/recorded (spikes), and device/<name> for each device.

    Each is made of one set per cell type, as in device/<name>/<cell type>; no name of the circuit's has a slash.
    Types without cells are left out, as in the circuit's node sets.
    """
    recorders = [name for name, device in simulation["devices"].items() if device["kind"] == "spike_recorder"]
    groups: dict[str, Chosen] = {SIMULATED: dict.fromkeys(sorted(n_cells))}
    groups[RECORDED] = union(chosen[name] for name in recorders)
    groups |= {f"device/{name}": cells for name, cells in sorted(chosen.items())}
    sets: dict[str, object] = {}
    for group, cells in groups.items():
        types_ = [t for t in cells if n_cells[t]]
        sets[group] = [f"{group}/{t}" for t in types_]
        for t in types_:
            ids = cells[t]
            sets[f"{group}/{t}"] = {"population": t} | ({} if ids is None else {"node_id": ids.tolist()})
    return sets
