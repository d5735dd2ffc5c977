"""The rules read each other's synapses: which strategies these are of, and the synapses between some types of cells."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from snakefold.cells import Cells
from snakefold.connectivity.strategy import ConnectivityStrategy, Given
from snakefold.errors import listed
from snakefold.sonata.edges import Edges

Made = TypeVar("Made")


def needed(strategy: ConnectivityStrategy, names: Sequence[str] | None) -> list[str]:
    """Return the strategies that one depends on, and further ones, each once."""
    return list(dict.fromkeys([*strategy.depends_on, *(names or ())]))


def unrelated(
    strategy: ConnectivityStrategy, key: str, sources: Sequence[str], targets: Sequence[str]
) -> list[tuple[str, str]]:
    """Return (key, message) for each strategy named at a key that connects no source type with a target type."""
    known = getattr(strategy.root(), "connectivity", None) or {}
    wanted = {(source, target) for source in sources for target in targets}
    return [
        (key, f'"{name}" connects none of {listed(sources)} with {listed(targets)}')
        for name in getattr(strategy, key) or ()
        if name in known and wanted.isdisjoint(known[name].pairs())
    ]


def once(strategy: ConnectivityStrategy, given: Given, make: Callable[[], Made]) -> Made:
    """Return what is made of the edges that are given, which are the same for all chunks of a job: made once."""
    known = strategy.__dict__.get("_made")
    if known is None or known[0] is not given.edges:
        known = strategy.__dict__["_made"] = given.edges, make()
    return known[1]


def between(edges: Mapping[str, Edges], sources: Sequence[str], targets: Sequence[str]) -> list[Edges]:
    """Return the edge sets from some types of cells to others, by name."""
    return [e for _, e in sorted(edges.items()) if e.source in sources and e.target in targets]


def index_of(cells: Cells, ids: np.ndarray) -> np.ndarray:
    """Return the indices, (n,) int64, of cells given by their ids among some cells; -1 for others."""
    known, ids = cells.node_ids, np.asarray(ids)
    at = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
    return np.where(known[at] == ids, at, -1) if len(known) else np.full(len(ids), -1)
