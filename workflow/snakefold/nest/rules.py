"""Connections that NEST makes itself, by one of its rules: between two cell types, or from a device to cells.

A rule is in a slice what NEST takes for it, {"rule": its name, its parameters}. NEST draws the pairs, and the numbers
that are distributions, with its own generators: they depend on its seed and on the number of its virtual processes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from snakefold.config import types
from snakefold.config.context import current
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Path, did_you_mean, listed, nearest
from snakefold.nest.targetting import simulated_of
from snakefold.nest.values import CONSTANT
from snakefold.rng import Rng

NEEDED = {  # rule -> the parameters that it needs
    "all_to_all": (),
    "one_to_one": (),
    "fixed_indegree": ("indegree",),
    "fixed_outdegree": ("outdegree",),
    "fixed_total_number": ("N",),
    "pairwise_bernoulli": ("p",),
    "symmetric_pairwise_bernoulli": ("p",),
    "pairwise_poisson": ("pairwise_avg_num_conns",),
}
OPTIONS = ("allow_autapses", "allow_multapses", "make_symmetric")
_LARGEST = 1e300


def rule_name() -> Attribute:
    """Return the attribute `rule` of what NEST connects itself."""
    return Attribute(types.string(), required=True, doc=f"Name of NEST's rule, as in {listed(NEEDED)}.")


def rule_parameters() -> Attribute:
    """Return the attribute that takes the parameters of the rule."""
    return Attribute(
        types.DictOf(CONSTANT, names=False),
        default=lambda node: {},
        key="constants",
        catches=True,
        doc="Parameters of the rule, as NEST names them; they may stand beside it.",
    )


class RuleTargetting(Node):
    """Cells that NEST connects a stimulus to by one of its rules."""

    rule = rule_name()
    cell_models = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), distinct=True),
        default=lambda node: [],
        doc="Cell types, by the keys of cell_models; all that are simulated if not given.",
    )
    rule_parameters = rule_parameters()

    def resolved(self, simulated: list[str], n_cells: Mapping[str, int], rng: Rng | None = None) -> dict:
        """Return {"targets": cell types, "rule": the rule}; mistakes go to the current build.

        Parameters
        ----------
        simulated : the cell types that are simulated
        n_cells : cell type -> wanted number, of those of which it is known
        rng : not used; the draws are NEST's own
        """
        targets = simulated_of(self, "cell_models", self.cell_models, simulated) if self.cell_models else simulated
        numbers = [n_cells.get(t) for t in targets]
        rule = rule_of(self, 1, None if None in numbers else sum(numbers), False)
        return {"targets": targets, "rule": rule}


def rule_of(node: Node, n_sources: int | None, n_targets: int | None, same: bool) -> dict:
    """Return the rule of a node as in a slice; mistakes go to the current build.

    Parameters
    ----------
    n_sources, n_targets : wanted numbers of cells, where they are known
    same : whether sources and targets are the same cells
    """
    build, name, given = current(), node.rule, node.rule_parameters
    unknown, missing = misnamed(name, given)
    known = (*NEEDED.get(name, ()), *OPTIONS)
    for key in unknown:
        what = f'the rule {name} has no parameter "{key}"{did_you_mean(key, known)} ({listed(known)})'
        build.mistake((*node.path, key), what)
    for key in set(missing) - {nearest(key, known) for key in unknown}:
        build.mistake(node.path, f'"{key}" is missing (the rule {name} needs it)')
    if n_sources is not None and n_targets is not None:
        for key, why in _size_faults(name, given, n_sources, n_targets, same):
            build.mistake((*node.path, key), why)
    return {**given, "rule": name}


def misnamed(rule: str, given: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the names of parameters that a rule of NEST's own does not have, and those that it lacks."""
    if rule not in NEEDED:
        return [], []
    given = [key for key in given if key != "rule"]
    unknown = [key for key in given if key not in (*NEEDED[rule], *OPTIONS)]
    return unknown, [key for key in NEEDED[rule] if key not in given]


def _size_faults(rule: str, given: Mapping, n_sources: int, n_targets: int, same: bool) -> Iterator[tuple[str, str]]:
    """Yield (key, what is wrong) where the numbers of cells do not suit a rule."""
    if rule == "one_to_one" and n_sources != n_targets:
        yield "rule", f"one_to_one needs as many targets as sources (got: {n_sources} sources, {n_targets} targets)"
    if given.get("allow_multapses") is not False:
        return
    out = 1 if same and given.get("allow_autapses") is False else 0
    there = {"indegree": n_sources - out, "outdegree": n_targets - out, "N": n_sources * (n_targets - out)}
    for key, most in there.items():
        wanted = given.get(key)
        if key in NEEDED.get(rule, ()) and isinstance(wanted, int | float) and wanted > most:
            yield key, f"should be: at most {most}, without multapses (got: {wanted:g})"


def trial(rule: Mapping) -> dict:
    """Return a rule to try with two cells: what counts partners or synapses is at most 1."""
    counts = {key for key in ("indegree", "outdegree", "N") if isinstance(rule.get(key), int) and rule[key] > 1}
    return {key: 1 if key in counts else value for key, value in rule.items()}


def place_of(rule: Mapping, message: str) -> Path:
    """Return the key of a rule that NEST's refusal is about."""
    named = [key for key in rule if f"'{key}'" in message]
    return tuple(named or [key for key in NEEDED.get(rule["rule"], ()) if key in rule] or ["rule"])[:1]


def parameter(nest, number: object, least: float = -math.inf) -> object:
    """Return a number as NEST takes it where it draws it itself: a plain one as it is, a distribution as its object."""
    if not isinstance(number, dict):
        return number
    given = {key: value for key, value in number.items() if key != "distribution"}
    name = number["distribution"]
    if name in ("uniform", "uniform_int"):
        return getattr(nest.random, name)(**given)
    low, high = max(given.pop("min", -_LARGEST), least), given.pop("max", _LARGEST)
    made = getattr(nest.random, name)(**given)
    return made if (low, high) == (-_LARGEST, _LARGEST) else nest.math.redraw(made, low, high)


def connect(nest, sources, targets, rule: Mapping, synapses: list[dict]) -> int:
    """Let NEST connect cells by a rule, with one or several synapses for each pair, and return how many it made."""
    before = nest.num_connections
    nest.Connect(sources, targets, dict(rule), nest.CollocatedSynapses(*synapses))
    return nest.num_connections - before
