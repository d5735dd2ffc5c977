"""Numbers in the description of a simulation: plain, from a distribution, from a table over pairs, or computed.

In a slice a number is plain, `{"distribution": ...}` (see `distributions`), or `{"component": its record, "typical":
values that NEST is asked about}`, which `restored` turns into the component itself before a simulation is run.
"""

from collections.abc import Mapping
from pathlib import Path

from snakefold import components
from snakefold.components import Component
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.config.types import PairTable, wrong
from snakefold.errors import listed
from snakefold.nest.distributions import DEFAULTS, PARAMETERS


def _needs(name: str):
    def needed(node):
        known = PARAMETERS.get(node.distribution, ((), ()))
        return name in known[0] and name not in DEFAULTS.get(node.distribution, {})

    return needed


def _allows(name: str):
    def fault(node, _):
        if node.distribution is None:
            return None
        known = sum(PARAMETERS[node.distribution], ())
        return None if name in known else f"a {node.distribution} distribution has no {name} (it has: {listed(known)})"

    return fault


def _parameter(name: str, doc: str, of_pair: bool, **bounds: float) -> Attribute:
    number = types.number(**bounds)
    handler = types.PairTableOf(number) if of_pair else number
    return Attribute(handler, required=_needs(name), constraint=_allows(name), doc=doc)


class CellDistribution(Node):
    """A distribution that a parameter of each cell is drawn from; values outside its bounds are drawn again."""

    distribution = Attribute(types.Choice(*PARAMETERS), required=True, doc="Name of the distribution, as in NEST.")
    mean = _parameter("mean", "Mean; 0 if not given.", False)
    std = _parameter("std", "Standard deviation; 1 if not given.", False, min=0)
    beta = _parameter("beta", "Mean; 1 if not given.", False, above=0)
    min = _parameter("min", "Lower bound; of a uniform distribution 0 if not given.", False)
    max = _parameter("max", "Upper bound; of a uniform distribution 1 if not given.", False)

    def resolved(self, source: str = "", target: str = "") -> dict | None:
        """Return {"distribution": ..., its numbers} for one pair of types; None where a table lacks the pair."""
        given = {a.name: getattr(self, a.name) for a in self.attributes() if getattr(self, a.name) is not None}
        numbers = DEFAULTS.get(self.distribution, {}) | given
        for name, value in numbers.items():
            if isinstance(value, PairTable):
                numbers[name] = value.value(source, target)
                if numbers[name] is None:
                    return None
        return numbers


class SynapseDistribution(CellDistribution):
    """A distribution that a parameter of each synapse is drawn from; its numbers may be tables over pairs of types."""

    mean = _parameter("mean", "Mean; 0 if not given.", True)
    std = _parameter("std", "Standard deviation; 1 if not given.", True, min=0)
    beta = _parameter("beta", "Mean; 1 if not given.", True, above=0)
    min = _parameter("min", "Lower bound; of a uniform distribution 0 if not given.", True)
    max = _parameter("max", "Upper bound; of a uniform distribution 1 if not given.", True)


class _Misplaced(types.Type):
    """A computed parameter where only constants may stand."""

    says = "a constant"

    def schema(self, definitions: dict) -> dict:
        return {"not": {}}

    def cast(self, value, path, parent):
        return wrong(path, "a constant; what is computed by a strategy stands in parameters", value)


def has(key: str):
    """Return whether a value is a mapping with a key, as a function of it."""
    return lambda value: isinstance(value, dict) and key in value


def _is_expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("=")


CONSTANT = types.OneOf((_is_expression, types.number()), (lambda value: True, types.anything()))
CELL_CONSTANT = types.OneOf(
    (has("strategy"), _Misplaced()),
    (has("distribution"), types.NodeOf(CellDistribution)),
    (_is_expression, types.number()),
    (lambda value: True, types.anything()),
)
CELL_PARAMETER = types.OneOf(
    (has("strategy"), Component("cell_parameter", "strategy")),
    (lambda value: isinstance(value, dict), types.NodeOf(CellDistribution)),
    *CELL_CONSTANT.cases[2:],
)
SYNAPSE_CONSTANT = types.OneOf(
    (has("strategy"), _Misplaced()), (has("distribution"), types.NodeOf(SynapseDistribution)), *CONSTANT.cases
)
_DRAWN = (
    (has("strategy"), Component("connection_parameter", "strategy")),
    (has("distribution"), types.NodeOf(SynapseDistribution)),
)
SYNAPSE_NUMBER = types.OneOf(*_DRAWN, (lambda value: True, types.PairTableOf(types.number())))
SYNAPSE_PARAMETER = types.OneOf(
    *_DRAWN,
    (lambda value: isinstance(value, str | bool | list), types.anything()),
    (lambda value: True, types.PairTableOf(types.number())),
)
RECEPTOR = types.OneOf(*_DRAWN, (lambda value: True, types.integer(min=0)))


def number_of(value: object, source: str = "", target: str = "") -> object:
    """Return a typed number as plain JSON for one pair of types; None where there is none."""
    if isinstance(value, PairTable):
        return value.value(source, target)
    if isinstance(value, CellDistribution):
        return value.resolved(source, target)
    if isinstance(value, Node):
        return {"component": components.record(value), "typical": list(value.typical)}
    return value


def is_drawn(number: object) -> bool:
    """Return whether a number of a slice is one for each cell or synapse; other mappings are values of NEST's."""
    return isinstance(number, Node) or (
        isinstance(number, dict) and ("distribution" in number or {"component", "typical"} <= number.keys())
    )


def numbers_of(synapse: Mapping) -> dict:
    """Return the parameters of a synapse that may differ from one to the next."""
    numbers = {"weight": synapse["weight"], "delay": synapse["delay"]} | synapse.get("parameters", {})
    if is_drawn(synapse["receptor_type"]):
        numbers["receptor_type"] = synapse["receptor_type"]
    return {name: number for name, number in numbers.items() if number is not None}


def restored(slice_: object, files: Mapping[str, Path], name: str = "") -> object:
    """Return a slice in which every component's record is the component.

    Raises
    ------
    UserError : a component is not installed here, or of another version
    """
    if isinstance(slice_, list):
        return [restored(item, files, name) for item in slice_]
    if not isinstance(slice_, dict):
        return slice_
    if "component" in slice_:
        return components.restore(slice_["component"], name, dict(files))
    return {key: restored(item, files, key) for key, item in slice_.items()}
