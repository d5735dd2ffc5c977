"""Gathering a cell type: the tiles of all strategies that place it, numbered in (strategy, chunk) order."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from snakefold import hdf5
from snakefold.fanout.journal import remove
from snakefold.placement.distribute import merged, recoded
from snakefold.placement.tile import Inputs, Placing
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.sonata.tiles import Tile


def gather_cells(
    cell_type: str, builds: list[str], tiles: list[str], output: str | Path, journals: Iterable[str] = ()
) -> None:
    """Write the node file of a cell type.

    Parameters
    ----------
    builds : files of the parts of the strategies that place it, in the order of ids
    tiles : their tile files, those of one strategy together and in this order: pass after pass, tile after tile
    journals : folders of journals of the tiles, deleted in the end
    """
    placings = [Placing(Inputs(build, ())) for build in builds]
    tiles_of: list[list[list[Tile]]] = []
    at = 0
    for placing in placings:
        n_tiles = len(placing.built.arrays["tiles"]) - 1
        passes = [
            [Tile(p) for p in tiles[at + i * n_tiles : at + (i + 1) * n_tiles]]
            for i in range(placing.strategy.n_passes)
        ]
        tiles_of.append([list(same) for same in zip(*passes, strict=True)])
        at += n_tiles * placing.strategy.n_passes
    partitions = sorted({p for placing in placings for p in _partitions_of(placing)})
    kinds = [placing.column_types(cell_type) for placing in placings]
    columns: dict[str, object] = {"partition": tuple(partitions)} if len(partitions) > 1 else {}
    columns |= merged([{name: kind for name, kind in own.items() if name != "partition"} for own in kinds])
    constants = {name: value for name, value in placings[0].constants(cell_type).items() if name not in columns}
    constants.pop("partition", None)
    if len(partitions) == 1 and partitions[0]:
        constants["partition"] = partitions[0]
    table = _table(cell_type, placings, tiles_of)
    digests = [group[0].digest for (group, *_) in tiles_of]
    write_nodes(
        output,
        cell_type,
        int(table.offsets[-1]),
        _blocks(cell_type, placings, tiles_of, partitions, kinds, columns),
        table,
        hdf5.combine("nodes", cell_type, *digests),
        columns=columns,
        constants=constants,
    )
    remove(journals)


def _table(cell_type: str, placings: list[Placing], tiles_of: list) -> Chunks:
    block, chunk, count = [], [], []
    for i, groups in enumerate(tiles_of):
        for group in groups:
            units = np.concatenate([tile.units[:, 1] for tile in group])
            rows = np.concatenate([np.diff(tile.starts(cell_type)) for tile in group])
            order = np.argsort(units)
            block.append(np.full(len(units), i, np.uint16))
            chunk.append(units[order])
            count.append(rows[order])
    names = tuple(placing.built.slice["name"] for placing in placings)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(count))]).astype(np.int64)
    stray = max((tile.stray(cell_type) for groups in tiles_of for group in groups for tile in group), default=0.0)
    return Chunks(names, np.concatenate(block), np.concatenate(chunk), offsets, stray)


def _partitions_of(placing: Placing) -> list[str]:
    """Return the partitions that the cells of a strategy are in, sorted; a nameless one where there are none."""
    return sorted(placing.partition_names) or [""]


def _blocks(
    cell_type: str, placings: list[Placing], tiles_of: list, partitions: list[str], kinds: list[dict], columns: dict
) -> Iterator[dict]:
    """Yield the cells tile by tile; the chunks of several passes are put in chunk order."""
    for placing, groups, kind_of in zip(placings, tiles_of, kinds, strict=True):
        own = np.searchsorted(partitions, _partitions_of(placing)).astype(np.uint32)
        constants = placing.constants(cell_type)
        for group in groups:
            parts = [tile.read(cell_type) for tile in group]
            block = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            n = len(block["x"])
            if len(group) > 1:
                units = np.concatenate([t.units[:, 1].repeat(np.diff(t.starts(cell_type))) for t in group])
                order = np.argsort(units, kind="stable")
                block = {name: column[order] for name, column in block.items()}
            if "partition" in columns:
                block["partition"] = own[block["partition"]] if "partition" in block else np.full(n, own[0])
            for name in columns.keys() - {"partition"}:
                constant = constants.get(name)
                given = block.get(name) if constant is None else np.full(n, constant)
                block[name] = recoded(name, given, kind_of.get(name), columns[name], n)
            if n:
                yield block
