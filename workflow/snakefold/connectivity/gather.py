"""Gathering an edge set: the tiles of its strategy, end to end, or merged where it is partitioned by source."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from snakefold.connectivity.tile import Connecting, Inputs
from snakefold.fanout.journal import remove
from snakefold.sonata.edges import merge
from snakefold.sonata.tiles import Tile

BLOCK_ROWS = 1 << 22


def gather_edges(name: str, inputs: Inputs, tiles: list[str], output: str | Path, journals: Iterable[str] = ()) -> None:
    """Write the edges file of one edge set from all tiles of its strategy, in their order.

    Parameters
    ----------
    journals : folders of journals of the tiles, deleted in the end
    """
    connecting = Connecting(inputs)
    parts = [Tile(path) for path in tiles]
    columns = dict(connecting.strategy.columns)
    if connecting.strategy.partitioned_by == "source":
        n_targets = connecting.populations[connecting.built.slice["sets"][name][1]].n
        blocks = merge([part.edges(name) for part in parts], n_targets, columns)
    else:
        blocks = _end_to_end(parts, name, list(columns))
    connecting.write(output, name, sum(part.n(name) for part in parts), blocks)
    remove(journals)


def _end_to_end(parts: list[Tile], name: str, columns: list[str]) -> Iterator[tuple]:
    for part in parts:
        for start in range(0, part.n(name), BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, part.n(name))
            values = {column: part.column(name, column, start, stop) for column in columns}
            yield part.column(name, "source", start, stop), part.column(name, "target", start, stop), values
