"""The description of a NEST simulation, and the slice that a job runs it from."""

from collections.abc import Mapping
from typing import ClassVar

from snakefold import components
from snakefold.components import Component
from snakefold.config import types
from snakefold.config.context import current
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import did_you_mean, listed
from snakefold.nest.devices import report_file
from snakefold.nest.hooks import file_faults
from snakefold.nest.models import CONNECTION_MODEL, CellModel
from snakefold.nest.modules import ModuleOf, resolved
from snakefold.nest.targetting import has_node_sets
from snakefold.rng import Rng, own_seed, simulator_seed_of

VERBOSITIES = ("ALL", "DEBUG", "STATUS", "INFO", "PROGRESS", "DEPRECATED", "WARNING", "ERROR", "FATAL", "QUIET")
WAVEFORM_RELAXATION = ("use_wfr", "wfr_comm_interval", "wfr_interpolation_order", "wfr_max_iterations", "wfr_tol")


def _relaxed(node: Node, _: object) -> str | None:
    return "use_wfr is off" if node.use_wfr is False else None


def _order(node: Node, value: int) -> str | None:
    return _relaxed(node, value) or (f"should be: 0, 1 or 3 (got: {value})" if value == 2 else None)


class NestSimulation(Node):
    """A simulation with NEST."""

    kind: ClassVar[str] = "simulation"
    chosen_by: ClassVar[str] = "simulator"
    algorithm_version: ClassVar[int] = 1

    duration = Attribute(types.number(above=0), required=True, unit="ms", doc="Model time.")
    resolution = Attribute(types.number(above=0), default=0.1, unit="ms", doc="Time step; delays are multiples of it.")
    threads = Attribute(
        types.integer(min=1),
        default=1,
        doc="Number of NEST's virtual processes. Spikes depend on it, so it is fixed here and not by the machine.",
    )
    verbosity = Attribute(
        types.Choice(*VERBOSITIES, *(f"M_{name}" for name in VERBOSITIES)),
        default="M_ERROR",
        doc="What NEST writes to the job's log; changes no result.",
    )
    rng = Attribute(
        types.Reference("rng.settings", "entry of rng.settings"),
        doc="The entry with the seed of NEST's own generators.",
    )
    seed = Attribute(
        types.integer(min=1, max=2**32 - 1),
        constraint=lambda node, _: 'give "seed" or "rng", not both' if "rng" in node.mentioned else None,
        doc="Seed of NEST's own generators; from rng.seed if neither this nor rng is given.",
    )
    use_wfr = Attribute(
        types.boolean(),
        doc="Whether gap junctions are solved by waveform relaxation; NEST's default, true, if not given.",
    )
    wfr_comm_interval = Attribute(
        types.number(above=0),
        unit="ms",
        constraint=_relaxed,
        doc="Interval of waveform relaxation between exchanges; NEST's, 1, if not given.",
    )
    wfr_interpolation_order = Attribute(
        types.integer(min=0, max=3),
        constraint=_order,
        doc="Order of its interpolation, 0, 1 or 3; NEST's, 3, if not given.",
    )
    wfr_max_iterations = Attribute(
        types.integer(min=1), constraint=_relaxed, doc="Its most iterations; NEST's, 15, if not given."
    )
    wfr_tol = Attribute(
        types.number(min=0), constraint=_relaxed, doc="Where it has converged; NEST's, 0.0001, if not given."
    )
    modules = Attribute(
        types.ListOf(ModuleOf(), distinct=True),
        default=lambda node: [],
        doc="Extension modules: names of installed ones, .so files, or .nestml files, which a job compiles.",
    )
    cell_models = Attribute(
        types.DictOf(types.NodeOf(CellModel)), required=True, doc="Model of each cell type that is simulated."
    )
    connection_models = Attribute(
        types.DictOf(CONNECTION_MODEL),
        default=lambda node: {},
        doc="Synapses of each edge set, by its name or that of its strategy; edge sets without one are left out.",
    )
    devices = Attribute(
        types.DictOf(Component("device", "device", "external")), default=lambda node: {}, doc="Stimuli and recorders."
    )
    expected_rates = Attribute(
        types.DictOf(types.number(min=0)),
        default=lambda node: {},
        unit="Hz",
        semantic=False,
        doc="Mean rates that the report compares with, by cell type, as published ones; they change no result.",
    )
    after_prepare = Attribute(
        types.DictOf(Component("after_prepare", "strategy")),
        default=lambda node: {},
        doc="Hooks before it runs, in the order of their names.",
    )
    after_simulation = Attribute(
        types.DictOf(Component("after_simulation", "strategy")),
        default=lambda node: {},
        doc="Hooks after its results are written, in the order of their names.",
    )

    def resolved(
        self,
        seed: int,
        cell_types: list[str],
        edge_sets: dict[str, tuple[str, str, str]],
        n_cells: Mapping[str, int] | None = None,
        rng: Rng | None = None,
        removed: Mapping[str, str] | None = None,
    ) -> dict:
        """Return what a job needs to run it, as plain JSON; mistakes go to the current build.

        Parameters
        ----------
        seed : root seed
        rng : the seeds that components may name
        cell_types : of the circuit
        edge_sets : name -> (strategy, source cell type, target cell type)
        n_cells : cell type -> wanted number, of those of which it is known
        removed : edge sets, and strategies of such, that are no part of the circuit any more -> the hook that did it
        """
        build = current()
        simulated = sorted(self.cell_models)
        for name in self.cell_models:
            if name not in cell_types:
                build.mistake(
                    (*self.path, "cell_models", name),
                    f'no cell type "{name}"{did_you_mean(name, cell_types)} (cell types: {listed(cell_types)})',
                    ("cell_types", name),
                )
        for name in self.expected_rates:
            if name not in self.cell_models:
                message = f'"{name}" has no cell model here (cell_models: {listed(simulated)})'
                build.mistake((*self.path, "expected_rates", name), message, (*self.path, "cell_models", name))
        relaxation = {name: getattr(self, name) for name in WAVEFORM_RELAXATION if getattr(self, name) is not None}
        verbosity = self.verbosity.removeprefix("M_")
        devices = {name: self.devices[name].resolved(simulated, n_cells or {}, rng) for name in sorted(self.devices)}
        for device in devices.values():
            if device["kind"] == "multimeter" and device["interval"] is None:
                device["interval"] = self.resolution
        made = {
            "name": self.node_name,
            "seed": seed,
            "run": {
                "duration": self.duration,
                "resolution": self.resolution,
                "threads": self.threads,
                "rng_seed": self.seed if self.rng is None else simulator_seed_of(self, rng),
                "modules": [resolved(module) for module in self.modules],
                **({"wfr": relaxation} if relaxation else {}),
            },
            "cells": {name: self.cell_models[name].resolved(rng) for name in simulated},
            "connections": self._connections(simulated, edge_sets, n_cells or {}, rng, removed or {}),
            "devices": devices,
            **({"verbosity": verbosity} if verbosity != "ERROR" else {}),
        }
        for name, what in file_faults(self.after_simulation, result_files(made)):
            build.mistake(self.after_simulation[name].path, what)
        return made | self._hooks(rng)

    def _hooks(self, rng: Rng | None) -> dict:
        """Return the hooks by kind and name."""
        made: dict[str, dict] = {}
        for kind in ("after_prepare", "after_simulation"):
            for name, hook in getattr(self, kind).items():
                adds = {"adds": sorted(hook.adds())} if kind == "after_simulation" else {}
                made.setdefault(kind, {})[name] = {
                    "hook": {"component": components.record(hook)},
                    **adds,
                    **own_seed(hook, rng),
                }
        return made

    def _connections(
        self,
        simulated: list[str],
        edge_sets: dict[str, tuple[str, str, str]],
        n_cells: Mapping[str, int],
        rng: Rng | None,
        removed: Mapping[str, str],
    ) -> dict:
        build = current()
        strategies = list(dict.fromkeys(strategy for strategy, _, _ in edge_sets.values()))
        tags = {model.tag or key: key for key, model in self.connection_models.items()}
        for tag, key in tags.items():
            if tag not in edge_sets and tag not in strategies:
                known = [*strategies, *(s for s in edge_sets if s not in strategies)]
                what = f'no edge set or connectivity strategy "{tag}"{did_you_mean(tag, known)}'
                if tag in removed:
                    what = f'"{tag}" is no part of the circuit any more: after_connectivity.{removed[tag]} replaces it'
                build.mistake(
                    (*self.path, "connection_models", key),
                    f"{what} ({listed(known)})",
                    ("connectivity", tag),
                )
        connections = {}
        for name in sorted(edge_sets):
            strategy, source, target = edge_sets[name]
            key = tags.get(name, tags.get(strategy))
            if key is None:
                continue
            model = self.connection_models[key]
            missing = [t for t in dict.fromkeys((source, target)) if t not in simulated]
            if missing:
                if name in tags:
                    lacks = [(*self.path, "cell_models", t) for t in missing]
                    build.mistake(model.path, f"connects {listed(missing)}, which has no cell model here", *lacks)
                continue
            connections[name] = model.resolved(key, source, target, n_cells, rng)
        return connections


def result_files(simulation: Mapping) -> list[str]:
    """Return the names of the files that a simulation writes.

    Parameters
    ----------
    simulation : its slice
    """
    files = ["simulation_config.json", "spikes.h5", "provenance.json"]
    if has_node_sets(simulation):
        files.append("node_sets.json")
    for device, made in sorted(simulation["devices"].items()):
        files += [report_file(device, made["properties"], variable) for variable in made["properties"]]
    return files + [file for hook in simulation.get("after_simulation", {}).values() for file in hook["adds"]]
