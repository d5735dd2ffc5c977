"""Synapses from edge files into NEST: weights and delays drawn, contacts of a pair collapsed, connected as arrays.

Weights and delays are drawn for fixed blocks of `BLOCK` edges in file order, so that nothing but the edge set, the
synapse and the block enters a draw.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from snakefold.nest.distributions import draw
from snakefold.sonata.edges import Edges
from snakefold.streams import stream

BLOCK = 1 << 20  # edges; part of the results

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def synapses(edges: Edges, synapse: Mapping, purpose: tuple, seed: int, resolution: float) -> Iterator[Columns]:
    """Yield (source ids, target ids, weights, delays or None) of each block of edges, in file order.

    Parameters
    ----------
    purpose : ("simulate", simulation, "connection", edge set, index of the synapse)
    resolution : ms; delays that are drawn without a lower bound are at least this
    """
    for block, start in enumerate(range(0, edges.n, BLOCK)):
        source, target = edges.block(start, min(start + BLOCK, edges.n))
        weight = draw(synapse["weight"], len(source), stream(seed, *purpose, "weight", block))
        delay = None
        if synapse["delay"] is not None:
            delay = draw(synapse["delay"], len(source), stream(seed, *purpose, "delay", block), least=resolution)
        yield source.astype(np.int64), target.astype(np.int64), weight, delay


def collapsed(blocks: Iterable[Columns]) -> Iterator[Columns]:
    """Make one synapse of each pair's consecutive edges, with their summed weight and the delay of the first.

    Edges are ordered by (target, source), so those of a pair follow one another, also across two blocks: the last pair
    of a block is held back until the next.
    """
    held: Columns | None = None
    for block in blocks:
        if held is not None:
            block = _joined(held, block)
        source, target, weight, delay = block
        if not len(source):
            continue
        new = np.flatnonzero((source[1:] != source[:-1]) | (target[1:] != target[:-1])) + 1
        last = int(new[-1]) if len(new) else 0
        held = tuple(None if column is None else column[last:] for column in block)
        if last:
            starts = np.concatenate([[0], new[:-1]])
            yield _summed((source, target, weight, delay), starts, last)
    if held is not None:
        yield _summed(held, np.zeros(1, np.int64), len(held[0]))


def _summed(columns: Columns, starts: np.ndarray, stop: int) -> Columns:
    source, target, weight, delay = columns
    sums = np.add.reduceat(weight[:stop], starts)
    return source[starts], target[starts], sums, None if delay is None else delay[starts]


def _joined(first: Columns, second: Columns) -> Columns:
    return tuple(None if a is None else np.concatenate([a, b]) for a, b in zip(first, second, strict=True))


def both_ways(blocks: Iterable[Columns], same_population: bool) -> Iterator[Columns]:
    """Make each pair's synapse in both directions, as gap junctions are, one per unordered pair of cells.

    The weight is that of the pair's first edge. Held in memory as a whole.
    """
    blocks = list(blocks)
    if not blocks:
        return
    source, target, weight, delay = (
        None if columns[0] is None else np.concatenate(columns) for columns in zip(*blocks, strict=True)
    )
    low, high = (np.minimum(source, target), np.maximum(source, target)) if same_population else (source, target)
    _, first = np.unique((low << 32) | high, return_index=True)
    first.sort()
    yield low[first], high[first], weight[first], None if delay is None else delay[first]


def connect(
    nest,
    blocks: Iterable[Columns],
    first_source: int,
    first_target: int,
    model: str,
    receptor_type: int | None,
    reciprocal: bool = False,
    progress: Callable[[int], None] = lambda n: None,
) -> int:
    """Connect blocks of synapses and return how many.

    Parameters
    ----------
    first_source, first_target : NEST's ids of the cells whose node id is 0
    reciprocal : connect the other way round, too
    """
    made = 0
    for source, target, weight, delay in blocks:
        if not len(source):
            continue
        order = np.argsort(source, kind="stable")  # by source: NEST prepares five times as fast
        spec = {"synapse_model": model, "weight": weight[order]}
        if delay is not None:
            spec["delay"] = delay[order]
        if receptor_type is not None:
            spec["receptor_type"] = receptor_type
        source, target = source[order] + first_source, target[order] + first_target
        nest.Connect(source, target, "one_to_one", dict(spec))
        if reciprocal:
            nest.Connect(target, source, "one_to_one", dict(spec))
        made += len(source)
        progress(made)
    return made
