"""Hooks that multiply synapses: each repeated, or each with its reverse."""

from collections.abc import Mapping

import numpy as np

from snakefold.config import types
from snakefold.config.distribution import DistributionOf
from snakefold.config.nodes import Attribute, unset
from snakefold.connectivity.locations import AFFERENT, EFFERENT
from snakefold.connectivity.strategy import AfterConnectivity, Arrays, Effect, Pair, Set
from snakefold.errors import UserError
from snakefold.sonata.columns import MAX_ROWS
from snakefold.streams import beside


class RepeatSynapses(AfterConnectivity):
    """Puts several synapses in the place of each, alike in all but that they are several."""

    rewrites = unset
    adds = unset

    connections = Attribute(
        types.ListOf(types.Reference("edge sets", "edge set"), least=1, distinct=True),
        required=True,
        doc="Edge sets whose synapses are repeated.",
    )
    contacts = Attribute(
        DistributionOf(),
        required=True,
        doc="Number of synapses in the place of each: a number, or a distribution, of which draws are rounded down; "
        "below 1 there is none.",
    )

    def effect(self, sets: Mapping[str, Pair]) -> Effect:
        return Effect(rewrites=tuple(self.named(self.connections, sets)))

    def warnings(self) -> list[str]:
        always = self.contacts.cdf(np.nextafter([1.0], 0))[0] == 1
        return ["contacts are always below 1: there will be no synapses"] if always else []

    def postprocess(self, edges: dict[str, Set], rng: np.random.Generator) -> dict[str, Arrays]:
        made = {}
        for k, name in enumerate(sorted(self.connections)):
            own = beside(rng, k + 1)
            drawn = np.floor(self.contacts.draw(len(edges[name]["source"]), own))
            if drawn.sum() >= MAX_ROWS:
                raise UserError(f'"{name}" would have {drawn.sum():.3g} synapses (most: {MAX_ROWS - 1})')
            times = np.maximum(drawn, 0).astype(np.int64)
            made[name] = {column: np.repeat(values, times) for column, values in edges[name].items()}
        return made


class BidirectionalContact(AfterConnectivity):
    """Adds the reverse of each contact, as gap junctions have it.

    Where a set joins cells of one type, its reverse is in it; otherwise it is a set of its own, called
    <set>_reversed. Where a contact leaves its cell is where its reverse arrives; what is known of one end alone is left
    out. A simulation that makes connections symmetric, too, would have each of them twice.
    """

    rewrites = unset
    adds = unset

    connections = Attribute(
        types.ListOf(types.Reference("edge sets", "edge set"), least=1, distinct=True),
        required=True,
        doc="Edge sets whose contacts are reversed.",
    )

    def effect(self, sets: Mapping[str, Pair]) -> Effect:
        pairs = self.named(self.connections, sets)
        inside = tuple(name for name, (pre, post) in pairs.items() if pre == post)
        across = {f"{name}_reversed": (post, pre) for name, (pre, post) in pairs.items() if pre != post}
        return Effect(inside, across, tuple(name for name in pairs if name not in inside))

    def postprocess(self, edges: dict[str, Set], rng: np.random.Generator) -> dict[str, Arrays]:
        made = {}
        for name in self.connections:
            there, back = edges[name], reversed_(edges[name])
            if there.pair[0] == there.pair[1]:
                made[name] = {c: np.concatenate([there[c], back[c]]) for c in there if c in back}
            else:
                made[f"{name}_reversed"] = back
        return made


def reversed_(edges: Arrays) -> Arrays:
    """Return edges the other way round: source for target, efferent for afferent."""
    other = {EFFERENT: AFFERENT, AFFERENT: EFFERENT}
    ends = {"source": "target", "target": "source"}
    made = {}
    for column, values in edges.items():
        side, _, what = column.partition("_")
        made[ends.get(column) or (f"{other[side]}_{what}" if side in other else column)] = values
    return made
