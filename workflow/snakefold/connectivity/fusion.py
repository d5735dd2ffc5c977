"""Hooks that join edge sets end to end: A to B and B to C become A to C.

Each synapse of the first set is joined with all synapses that leave the cell that it arrives at, and so on along the
chain: a pair of cells has as many synapses as there are paths between them. The columns of a fused synapse are where it
leaves the first cell and where it arrives at the last one, if all paths say so; delays and weights of steps would mean
nothing for the whole. All synapses of the sets and of what they are fused into are in memory, 20 bytes and more each.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute, unset
from snakefold.connectivity.locations import AFFERENT, EFFERENT
from snakefold.connectivity.strategy import AfterConnectivity, Arrays, Effect, Pair, Set
from snakefold.errors import Mistake, UserError, listed
from snakefold.sonata.columns import MAX_ROWS


class FuseConnectivity(AfterConnectivity):
    """Joins edge sets: from each cell type that a chain of them begins with to each type that one ends with.

    The fused set has the hook's name, or, where there are several, each that of its types: SOURCE_to_TARGET. The sets
    that are joined stay.
    """

    rewrites = unset
    adds = unset

    connections = Attribute(
        types.ListOf(types.Reference("edge sets", "edge set"), least=1),
        required=True,
        doc="Edge sets to join; with one alone nothing is done.",
    )

    def effect(self, sets: Mapping[str, Pair]) -> Effect:
        named = self.named(self.connections, sets)
        if len(named) == 1:
            return Effect()
        if wrong := _broken(named) or _circle(named, _passed(named)):
            raise UserError(Mistake(wrong, ("connections",)))
        names = self._names(fused_pairs(named, _passed(named)))
        return Effect(adds={name: pair for pair, name in names.items()}, reads=tuple(named))

    def postprocess(self, edges: dict[str, Set], rng: np.random.Generator) -> dict[str, Arrays]:
        fused = fuse(edges, _passed({name: of.pair for name, of in edges.items()}))
        names = self._names(list(fused))
        return {names[pair]: arrays for pair, arrays in fused.items()}

    def _names(self, pairs: list[Pair]) -> dict[Pair, str]:
        return {pair: self.node_name if len(pairs) == 1 else _name(pair) for pair in pairs}


class IntermediateBypass(AfterConnectivity):
    """Takes cell types out of the connections: what reached them goes on to where they led.

    All edge sets from or to one of the types are fused, along every chain through them, into sets from the other types
    that reach them to the other types that they reach, each called SOURCE_to_TARGET. The edge sets from and to them
    are no part of the circuit then; their cells are.
    """

    rewrites = unset
    adds = unset

    cell_list = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        doc="The cell types.",
    )

    def effect(self, sets: Mapping[str, Pair]) -> Effect:
        passed = set(self.cell_list)
        touching = {name: pair for name, pair in sets.items() if passed & {*pair}}
        sides = [{pair[side] for pair in touching.values()} for side in (0, 1)]
        mistakes = [
            Mistake(f'there is nothing to pass: no edge set leads {way} "{cell_type}"', ("cell_list", i))
            for i, cell_type in enumerate(self.cell_list)
            for way, there in (("from", sides[0]), ("to", sides[1]))
            if cell_type not in there
        ]
        if wrong := _circle(touching, passed):
            mistakes.append(Mistake(wrong, ("cell_list",)))
        if mistakes:
            raise UserError(mistakes)
        names = tuple(sorted(touching))
        adds = {_name(pair): pair for pair in fused_pairs(touching, passed)}
        return Effect(adds=adds, reads=names, removes=names)

    def postprocess(self, edges: dict[str, Set], rng: np.random.Generator) -> dict[str, Arrays]:
        return {_name(pair): arrays for pair, arrays in fuse(edges, set(self.cell_list)).items()}


def _name(pair: Pair) -> str:
    return f"{pair[0]}_to_{pair[1]}"


def fused_pairs(sets: Mapping[str, Pair], passed: set[str]) -> list[Pair]:
    """Return the pairs of cell types between which a chain of edge sets leads through the types that are passed."""
    reached: dict[str, set[str]] = {}  # type -> the types that chains to it begin with
    for name in _in_order(sets, passed):
        pre, post = sets[name]
        reached.setdefault(post, set()).update(reached.get(pre, set()) if pre in passed else {pre})
    return sorted((first, last) for last, firsts in reached.items() if last not in passed for first in firsts)


def fuse(edges: Mapping[str, Set], passed: set[str]) -> dict[Pair, Arrays]:
    """Return the edges along all chains of edge sets that lead through some cell types, by pair of types.

    Raises
    ------
    UserError : there would be more than a file can have
    """
    arrived: dict[Pair, list[Arrays]] = {}  # (first type, type that it has come to)
    for name in _in_order({name: of.pair for name, of in edges.items()}, passed):
        pre, post = edges[name].pair
        if pre not in passed:
            arrived.setdefault((pre, post), []).append(dict(edges[name]))
            continue
        for first in sorted(a for a, b in arrived if b == pre):
            arrived[first, pre] = [_end_to_end(arrived[first, pre])]
            arrived.setdefault((first, post), []).append(joined(arrived[first, pre][0], edges[name]))
    ended = {pair: parts for pair, parts in arrived.items() if pair[1] not in passed}
    return {pair: _end_to_end(parts) for pair, parts in sorted(ended.items())}


def joined(left: Arrays, right: Arrays) -> Arrays:
    """Return each edge of the left with each of the right that leaves where it arrives.

    Parameters
    ----------
    left, right : "source" and "target", (n,) node ids, and further columns

    Raises
    ------
    UserError : there would be more than a file can have
    """
    order = np.argsort(right["source"], kind="stable")
    leaving = right["source"][order]
    first = np.searchsorted(leaving, left["target"], side="left")
    counts = np.searchsorted(leaving, left["target"], side="right") - first
    n = int(counts.sum())
    if n >= MAX_ROWS:
        raise UserError(f"fused, the edge sets would have {n} synapses (most: {MAX_ROWS - 1})")
    of_left = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    of_right = order[np.repeat(first, counts) + nth]
    made = {"source": left["source"][of_left], "target": right["target"][of_right]}
    made |= {c: a[of_left] for c, a in left.items() if c.startswith(f"{EFFERENT}_")}
    return made | {c: a[of_right] for c, a in right.items() if c.startswith(f"{AFFERENT}_")}


def _end_to_end(parts: list[Arrays]) -> Arrays:
    """Return edges one part after another, with the locations that all parts have."""
    places = [c for c in parts[0] if c.startswith((f"{EFFERENT}_", f"{AFFERENT}_"))]
    shared = ["source", "target", *(c for c in places if all(c in part for part in parts))]
    return {c: np.concatenate([part[c] for part in parts]) for c in shared}


def _passed(sets: Mapping[str, Pair]) -> set[str]:
    """Return the cell types that some set leads to and some set leads on from."""
    return {pre for pre, _ in sets.values()} & {post for _, post in sets.values()}


def _in_order(sets: Mapping[str, Pair], passed: set[str]) -> list[str]:
    """Return edge sets, those to a type that is passed before those from it, but for those that lead in a circle."""
    left, order = sorted(sets), []
    while ready := [s for s in left if sets[s][0] not in passed or all(sets[t][1] != sets[s][0] for t in left)]:
        order += ready
        left = [s for s in left if s not in ready]
    return order


def _circle(sets: Mapping[str, Pair], passed: set[str]) -> str:
    """Return what is wrong with edge sets that lead in a circle through types that are passed, or ""."""
    left = sorted(set(sets) - set(_in_order(sets, passed)))
    if not left:
        return ""
    return f"these edge sets lead in a circle, or follow on one: {_said(sets, left)}; what would be fused has no end"


def _broken(sets: Mapping[str, Pair]) -> str:
    """Return what is wrong with edge sets some of which share no cell type with the others, or ""."""
    left, together = sorted(sets), set(sets[min(sets)])
    while near := [name for name in left if together & {*sets[name]}]:
        left = [name for name in left if name not in near]
        together.update(*(sets[name] for name in near))
    return f"no chain joins these to the other edge sets: {_said(sets, left)}" if left else ""


def _said(sets: Mapping[str, Pair], names: Iterable[str]) -> str:
    return listed(f"{name} ({sets[name][0]} to {sets[name][1]})" for name in names)
