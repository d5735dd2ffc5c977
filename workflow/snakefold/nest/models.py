"""The models of a NEST simulation: of cells, of synapses, and which synapses an edge set or a rule of NEST's gets."""

from collections.abc import Mapping

from snakefold.config import types
from snakefold.config.context import current
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import listed
from snakefold.nest.rules import rule_name, rule_of, rule_parameters
from snakefold.nest.values import (
    CELL_CONSTANT,
    CELL_PARAMETER,
    RECEPTOR,
    SYNAPSE_CONSTANT,
    SYNAPSE_NUMBER,
    SYNAPSE_PARAMETER,
    has,
    is_drawn,
    number_of,
)
from snakefold.rng import Rng, drawn_with, own_seed

NAMED = ("weight", "delay", "receptor_type")


def _once(node: Node, first: str, second: str) -> list[str]:
    """Return the keys given in two mappings of a node, after reporting them."""
    twice = [key for key in getattr(node, first) or {} if key in (getattr(node, second) or {})]
    for key in twice:
        current().mistake((*node.path, second, key), f'"{key}" is given in {first}, too; give it once')
    return twice


class CellModel(Node):
    """The NEST model of a cell type."""

    model = Attribute(types.string(), default="iaf_psc_alpha", doc="Name of the NEST model.")
    constants = Attribute(
        types.DictOf(CELL_CONSTANT, names=False),
        default=lambda node: {},
        doc="Parameters of the model, in NEST's units: values, or {distribution: ...} for one value per cell.",
    )
    parameters = Attribute(
        types.DictOf(CELL_PARAMETER, names=False),
        default=lambda node: {},
        doc="Parameters of each cell: a value, {distribution: ...}, or {strategy: ...} for one that is computed.",
    )
    rng = drawn_with()

    def resolved(self, rng: Rng | None = None) -> dict:
        """Return {"model", "constants", "parameters"} as plain JSON; what is drawn is all among the parameters."""
        _once(self, "constants", "parameters")
        values = {key: number_of(value) for key, value in {**self.constants, **self.parameters}.items()}
        one = {key for key in self.parameters if isinstance(values[key], int | float) and values[key] is not True}
        drawn = {key: value for key, value in values.items() if is_drawn(value) or key in one}
        constants = {key: value for key, value in values.items() if key not in drawn}
        return {"model": self.model, "constants": constants, "parameters": drawn, **own_seed(self, rng)}


def _no_weight_elsewhere(node: Node) -> bool:
    elsewhere = (*node.path, "parameters", "weight")
    broken = any(mistake.path[: len(elsewhere)] == elsewhere for mistake in current().mistakes)
    return not broken and "weight" not in (node.parameters or {})


class SynapseModel(Node):
    """One synapse model of a connection."""

    model = Attribute(types.string(), default="static_synapse", doc="Name of the NEST synapse model.")
    parameters = Attribute(
        types.DictOf(SYNAPSE_PARAMETER, names=False),
        default=lambda node: {},
        doc="Parameters of each synapse: a value, a table, {distribution: ...}, or {strategy: ...} for a computed one.",
    )
    weight = Attribute(
        SYNAPSE_NUMBER,
        required=_no_weight_elsewhere,
        doc="Weight: a value, a table {source type: {target type: value}}, {distribution: ...} or {strategy: ...}.",
    )
    delay = Attribute(SYNAPSE_NUMBER, unit="ms", doc="Delay, as the weight; required where the model has one.")
    receptor_type = Attribute(RECEPTOR, doc="Receptor port of the target model.")
    constants = Attribute(
        types.DictOf(SYNAPSE_CONSTANT, names=False),
        default=lambda node: {},
        catches=True,
        doc="Parameters of the synapse model; they may stand beside its other keys.",
    )

    def resolved(self, source: str, target: str) -> dict:
        """Return the synapse of one pair of types as plain JSON; mistakes of tables go to the current build."""
        _once(self, "constants", "parameters")
        named = {name: getattr(self, name) for name in NAMED}
        for name in NAMED:
            if name in self.parameters and named[name] is not None:
                current().mistake((*self.path, "parameters", name), f'"{name}" is given beside the parameters, too')
        values = named | self.parameters
        numbers = {name: number_of(value, source, target) for name, value in values.items()}
        for name, value in values.items():
            if value is not None and numbers[name] is None:
                where = ("parameters", name) if name in self.parameters else (name,)
                current().mistake((*self.path, *where), f"the table has no value for {source} to {target}")
        numbers |= {name: number_of(value, source, target) for name, value in self.constants.items()}
        others = {name: number for name, number in numbers.items() if name not in NAMED}
        drawn = {name: number for name, number in others.items() if is_drawn(number)}
        return {
            "model": self.model,
            **{name: numbers[name] for name in NAMED},
            "constants": {name: number for name, number in others.items() if name not in drawn},
            **({"parameters": drawn} if drawn else {}),
        }


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
    parameters = types.later("Parameters of a connection; give them in those of its synapses.")
    model_strategy = types.later("A class of the connection's own.")
    rng = drawn_with()

    def resolved(self, key: str, source: str, target: str, n_cells: Mapping[str, int], rng: Rng | None = None) -> dict:
        """Return the connection of one edge set as plain JSON.

        Parameters
        ----------
        key : of the connection model
        source, target : cell types
        n_cells : cell type -> wanted number, of those of which it is known
        """
        return {
            "key": key,
            "source": source,
            "target": target,
            "multapses": self.multapses,
            "synapses": [s.resolved(source, target) for s in self.synapses or []],
            **own_seed(self, rng),
        }


class RuledConnectionModel(ConnectionModel):
    """The NEST synapses between the cell types of an edge set, whose pairs NEST draws itself by one of its rules.

    The edges of the set are not used.
    """

    rule = rule_name()
    rule_parameters = rule_parameters()
    multapses = Attribute(
        types.Choice("collapse", "keep"),
        default="keep",
        constraint=lambda node, _: 'give "allow_multapses" to the rule instead',
        doc="Not with a rule, which has allow_multapses.",
        semantic=False,
    )

    def resolved(self, key: str, source: str, target: str, n_cells: Mapping[str, int], rng: Rng | None = None) -> dict:
        made = super().resolved(key, source, target, n_cells, rng)
        for i, synapse in enumerate(made["synapses"]):
            numbers = {name: synapse[name] for name in NAMED} | synapse.get("parameters", {})
            computed = [name for name, number in numbers.items() if has("component")(number)]
            if computed:
                what = f"{listed(computed)} cannot be computed where NEST draws the pairs; leave the rule out"
                current().mistake((*self.path, "synapses", i), what)
        return made | {"rule": rule_of(self, n_cells.get(source), n_cells.get(target), source == target)}


CONNECTION_MODEL = types.OneOf(
    (has("rule"), types.NodeOf(RuledConnectionModel)), (lambda value: True, types.NodeOf(ConnectionModel))
)
