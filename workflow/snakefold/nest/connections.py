"""Synapses from edge files into NEST: their values drawn or computed, contacts of a pair collapsed, made from arrays.

What differs between synapses is drawn for fixed blocks of `BLOCK` edges in file order, so that nothing but the edge
set, the synapse, the parameter and the block enters a draw.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from snakefold.nest.parameters import EdgeBlock, values
from snakefold.nest.share import Share
from snakefold.nest.values import numbers_of
from snakefold.sonata.edges import Edges
from snakefold.streams import stream

BLOCK = 1 << 20  # edges; part of the results

Columns = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]  # source ids, target ids, values by parameter
Positions = Callable[[str], np.ndarray]


def synapses_of(simulation: Mapping, edge_set: str, i: int, edges: Edges, positions: Positions) -> Iterator[Columns]:
    """Yield those blocks of `synapses` that a simulation has for one of its synapses of an edge set.

    Parameters
    ----------
    simulation : its slice, components restored
    i : index of the synapse
    """
    connection = simulation["connections"][edge_set]
    purpose = ("simulate", simulation["name"], "connection", edge_set, i)
    seed = connection.get("seed", simulation["seed"])
    return synapses(edges, connection["synapses"][i], purpose, seed, simulation["run"]["resolution"], positions)


def synapses(
    edges: Edges, synapse: Mapping, purpose: tuple, seed: int, resolution: float, positions: Positions
) -> Iterator[Columns]:
    """Yield (source ids, target ids, {parameter: values}) of each block of edges, in file order.

    Parameters
    ----------
    purpose : ("simulate", simulation, "connection", edge set, index of the synapse)
    resolution : ms; delays that are drawn without a lower bound are at least this
    positions : cell type -> the positions of all its cells, (n, 3) float32, um
    """
    numbers = numbers_of(synapse)
    for block, start in enumerate(range(0, edges.n, BLOCK)):
        stop = min(start + BLOCK, edges.n)
        source, target = (ids.astype(np.int64) for ids in edges.block(start, stop))
        over = EdgeBlock(edges, start, stop, source, target, positions, resolution)
        made = {}
        for name, number in numbers.items():
            rng = stream(seed, *purpose, name, block)
            made[name] = values(number, over, rng, resolution if name == "delay" else -np.inf)
        yield source, target, made


def collapsed(blocks: Iterable[Columns]) -> Iterator[Columns]:
    """Make one synapse of each pair's consecutive edges, with their summed weight and the other values of the first.

    Edges are ordered by (target, source), so those of a pair follow one another, also across two blocks: the last pair
    of a block is held back until the next.
    """
    held: Columns | None = None
    for block in blocks:
        if held is not None:
            block = _joined(held, block)
        source, target, _ = block
        if not len(source):
            continue
        new = np.flatnonzero((source[1:] != source[:-1]) | (target[1:] != target[:-1])) + 1
        last = int(new[-1]) if len(new) else 0
        held = _rows(block, slice(last, None))
        if last:
            yield _summed(block, np.concatenate([[0], new[:-1]]), last)
    if held is not None:
        yield _summed(held, np.zeros(1, np.int64), len(held[0]))


def _summed(columns: Columns, starts: np.ndarray, stop: int) -> Columns:
    source, target, made = _rows(columns, starts)
    return source, target, made | {"weight": np.add.reduceat(columns[2]["weight"][:stop], starts)}


def _rows(columns: Columns, rows: slice | np.ndarray) -> Columns:
    source, target, made = columns
    return source[rows], target[rows], {name: column[rows] for name, column in made.items()}


def _joined(*blocks: Columns) -> Columns:
    sources, targets, made = zip(*blocks, strict=True)
    joined = {name: np.concatenate([block[name] for block in made]) for name in made[0]}
    return np.concatenate(sources), np.concatenate(targets), joined


def both_ways(blocks: Iterable[Columns], same_population: bool) -> Iterator[Columns]:
    """Make each pair's synapse in both directions, as gap junctions are, one per unordered pair of cells.

    The values are those of the pair's first edge. Held in memory as a whole.
    """
    blocks = list(blocks)
    if not blocks:
        return
    source, target, made = _joined(*blocks)
    low, high = (np.minimum(source, target), np.maximum(source, target)) if same_population else (source, target)
    _, first = np.unique((low << 32) | high, return_index=True)
    first.sort()
    yield _rows((low, high, made), first)


def connect(
    nest,
    blocks: Iterable[Columns],
    first_source: int,
    first_target: int,
    model: str,
    receptor_type: int | None,
    share: Share,
    reciprocal: bool = False,
) -> int:
    """Connect those synapses of some blocks that are onto cells of this rank, and return how many.

    Parameters
    ----------
    first_source, first_target : NEST's ids of the cells whose node id is 0
    receptor_type : of all of them; None where it is among their values, or not given
    share : of this rank
    reciprocal : connect the other way round, too; this is not counted
    """
    constant = {"synapse_model": model} | ({} if receptor_type is None else {"receptor_type": receptor_type})
    made = 0
    for source, target, drawn in blocks:
        order = np.argsort(source, kind="stable")  # by source: NEST prepares five times as fast
        source, target, drawn = _rows((source + first_source, target + first_target, drawn), order)
        made += _connect(nest, (source, target, drawn), constant, share)
        if reciprocal:
            _connect(nest, (target, source, drawn), constant, share)
    return made


def _connect(nest, columns: Columns, constant: Mapping, share: Share) -> int:
    """Connect this rank's rows; where there are none, any one, of which NEST makes nothing: all should connect."""
    rows = share.rows(columns[1])
    n_own = len(columns[1][rows])
    source, target, drawn = _rows(columns, rows if n_own else slice(0, 1))
    if len(source):  # NEST takes no empty arrays
        nest.Connect(source, target, "one_to_one", constant | drawn)
    return n_own
