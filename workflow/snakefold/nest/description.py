"""The description of a NEST simulation: its cell models and connection models, and the slice a job runs from."""

from collections.abc import Mapping
from typing import ClassVar

from snakefold.components import Component
from snakefold.config import types
from snakefold.config.context import current
from snakefold.config.nodes import Attribute, Node
from snakefold.config.types import PairTable
from snakefold.errors import did_you_mean, listed
from snakefold.nest.devices import CONSTANT

PARAMETERS = {  # distribution -> (what it needs, what it may have), as NEST names them
    "normal": (("mean", "std"), ("min", "max")),
    "lognormal": (("mean", "std"), ("min", "max")),
    "exponential": (("beta",), ("min", "max")),
    "uniform": (("min", "max"), ()),
}


def _needs(name: str):
    return lambda node: node.distribution is not None and name in PARAMETERS[node.distribution][0]


def _allows(name: str):
    def wrong(node, _):
        if node.distribution is None:
            return None
        known = sum(PARAMETERS[node.distribution], ())
        return None if name in known else f"a {node.distribution} distribution has no {name} (it has: {listed(known)})"

    return wrong


class CellDistribution(Node):
    """A distribution that a parameter of each cell is drawn from; values outside its bounds are drawn again."""

    distribution = Attribute(types.Choice(*PARAMETERS), required=True, doc="Name of the distribution.")
    mean = Attribute(types.number(), required=_needs("mean"), constraint=_allows("mean"), doc="Mean.")
    std = Attribute(types.number(min=0), required=_needs("std"), constraint=_allows("std"), doc="Standard deviation.")
    beta = Attribute(types.number(above=0), required=_needs("beta"), constraint=_allows("beta"), doc="Mean.")
    min = Attribute(types.number(), required=_needs("min"), constraint=_allows("min"), doc="Lower bound.")
    max = Attribute(types.number(), required=_needs("max"), constraint=_allows("max"), doc="Upper bound.")

    def resolved(self, source: str = "", target: str = "") -> dict | None:
        """Return {"distribution": ..., its numbers} for one pair of types; None where a table lacks the pair."""
        numbers = {a.name: getattr(self, a.name) for a in self.attributes() if getattr(self, a.name) is not None}
        for name, value in numbers.items():
            if isinstance(value, PairTable):
                numbers[name] = value.value(source, target)
                if numbers[name] is None:
                    return None
        return numbers


class SynapseDistribution(CellDistribution):
    """A distribution that a parameter of each synapse is drawn from; its numbers may be tables over pairs of types."""

    mean = Attribute(
        types.PairTableOf(types.number()), required=_needs("mean"), constraint=_allows("mean"), doc="Mean."
    )
    std = Attribute(
        types.PairTableOf(types.number(min=0)),
        required=_needs("std"),
        constraint=_allows("std"),
        doc="Standard deviation.",
    )
    beta = Attribute(
        types.PairTableOf(types.number(above=0)), required=_needs("beta"), constraint=_allows("beta"), doc="Mean."
    )
    min = Attribute(
        types.PairTableOf(types.number()), required=_needs("min"), constraint=_allows("min"), doc="Lower bound."
    )
    max = Attribute(
        types.PairTableOf(types.number()), required=_needs("max"), constraint=_allows("max"), doc="Upper bound."
    )


def _is_distribution(value: object) -> bool:
    return isinstance(value, dict) and "distribution" in value


CELL_NUMBER = types.OneOf((_is_distribution, types.NodeOf(CellDistribution)), (lambda value: True, types.number()))
CELL_CONSTANT = types.OneOf(
    (_is_distribution, types.NodeOf(CellDistribution)),
    (lambda value: isinstance(value, str) and value.startswith("="), types.number()),
    (lambda value: True, types.anything()),
)
SYNAPSE_NUMBER = types.OneOf(
    (_is_distribution, types.NodeOf(SynapseDistribution)), (lambda value: True, types.PairTableOf(types.number()))
)


class CellModel(Node):
    """The NEST model of a cell type."""

    model = Attribute(types.string(), default="iaf_psc_alpha", doc="Name of the NEST model.")
    constants = Attribute(
        types.DictOf(CELL_CONSTANT, names=False),
        default=lambda node: {},
        doc="Parameters of the model, in NEST's units: values, or {distribution: ...} for one value per cell.",
    )
    parameters = Attribute(
        types.DictOf(CELL_NUMBER, names=False),
        default=lambda node: {},
        doc="Parameters of each cell: a value or {distribution: ...}.",
    )

    def resolved(self) -> dict:
        """Return {"model", "constants", "parameters"} as plain JSON; distributions are all among the parameters."""
        values = {**self.constants, **self.parameters}
        drawn = {k: v.resolved() for k, v in values.items() if isinstance(v, Node)}
        drawn |= {k: v for k, v in self.parameters.items() if not isinstance(v, Node)}
        constants = {k: v for k, v in self.constants.items() if k not in drawn}
        return {"model": self.model, "constants": constants, "parameters": drawn}


class SynapseModel(Node):
    """One synapse model of a connection."""

    model = Attribute(types.string(), default="static_synapse", doc="Name of the NEST synapse model.")
    weight = Attribute(
        SYNAPSE_NUMBER,
        required=True,
        doc="Weight: a value, a table {source type: {target type: value}}, or {distribution: ...}.",
    )
    delay = Attribute(SYNAPSE_NUMBER, unit="ms", doc="Delay, as the weight; required where the model has one.")
    receptor_type = Attribute(types.integer(min=0), doc="Receptor port of the target model.")
    constants = Attribute(
        types.DictOf(CONSTANT, names=False), default=lambda node: {}, doc="Parameters of the synapse model."
    )

    def resolved(self, source: str, target: str) -> dict:
        """Return the synapse of one pair of types as plain JSON; mistakes of tables go to the current build."""
        numbers = {}
        for name in ("weight", "delay"):
            value = getattr(self, name)
            if isinstance(value, PairTable):
                numbers[name] = value.value(source, target)
            else:
                numbers[name] = value.resolved(source, target) if value is not None else None
            if value is not None and numbers[name] is None:
                current().mistake((*self.path, name), f"the table has no value for {source} to {target}")
        return {"model": self.model, **numbers, "receptor_type": self.receptor_type, "constants": self.constants}


class ConnectionModel(Node):
    """The NEST synapses of an edge set, or of all edge sets of a connectivity strategy."""

    tag = Attribute(types.string(), doc="Name of the edge set or strategy, where it is not the key.")
    synapses = Attribute(
        types.ListOf(types.NodeOf(SynapseModel), least=1), required=True, doc="Synapses made for each edge."
    )
    multapses = Attribute(
        types.Choice("collapse", "keep"),
        default="collapse",
        doc="Several edges of one pair of cells: one synapse of summed weight, or one each.",
    )


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
    seed = Attribute(
        types.integer(min=1, max=2**32 - 1), doc="Seed of NEST's own generators; from rng.seed if not given."
    )
    modules = Attribute(types.ListOf(types.string(), distinct=True), default=lambda node: [], doc="Extension modules.")
    cell_models = Attribute(
        types.DictOf(types.NodeOf(CellModel)), required=True, doc="Model of each cell type that is simulated."
    )
    connection_models = Attribute(
        types.DictOf(types.NodeOf(ConnectionModel)),
        default=lambda node: {},
        doc="Synapses of each edge set, by its name or that of its strategy; edge sets without one are left out.",
    )
    devices = Attribute(
        types.DictOf(Component("device", "device")), default=lambda node: {}, doc="Stimuli and recorders."
    )

    def resolved(
        self,
        seed: int,
        cell_types: list[str],
        edge_sets: dict[str, tuple[str, str, str]],
        n_cells: Mapping[str, int] | None = None,
    ) -> dict:
        """Return what a job needs to run it, as plain JSON; mistakes go to the current build.

        Parameters
        ----------
        seed : root seed
        cell_types : of the circuit
        edge_sets : name -> (strategy, source cell type, target cell type)
        n_cells : cell type -> wanted number, of those of which it is known
        """
        build = current()
        simulated = sorted(self.cell_models)
        for name in self.cell_models:
            if name not in cell_types:
                build.mistake(
                    (*self.path, "cell_models", name),
                    f'no cell type "{name}"{did_you_mean(name, cell_types)} (cell types: {listed(cell_types)})',
                )
        return {
            "name": self.node_name,
            "seed": seed,
            "run": {
                "duration": self.duration,
                "resolution": self.resolution,
                "threads": self.threads,
                "rng_seed": self.seed,
                "modules": self.modules,
            },
            "cells": {name: self.cell_models[name].resolved() for name in simulated},
            "connections": self._connections(simulated, edge_sets),
            "devices": {name: self.devices[name].resolved(simulated, n_cells or {}) for name in sorted(self.devices)},
        }

    def _connections(self, simulated: list[str], edge_sets: dict[str, tuple[str, str, str]]) -> dict:
        build = current()
        strategies = list(dict.fromkeys(strategy for strategy, _, _ in edge_sets.values()))
        tags = {model.tag or key: key for key, model in self.connection_models.items()}
        for tag, key in tags.items():
            if tag not in edge_sets and tag not in strategies:
                known = [*strategies, *(s for s in edge_sets if s not in strategies)]
                build.mistake(
                    (*self.path, "connection_models", key),
                    f'no edge set or connectivity strategy "{tag}"{did_you_mean(tag, known)} ({listed(known)})',
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
                    build.mistake(model.path, f"connects {listed(missing)}, which has no cell model here")
                continue
            connections[name] = {
                "key": key,
                "source": source,
                "target": target,
                "multapses": model.multapses,
                "synapses": [s.resolved(source, target) for s in model.synapses or []],
            }
        return connections
