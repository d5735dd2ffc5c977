"""Edge indices against a full scan: which rows belong to a node, recomputed from the ids and compared.

An index lists, node after node, the runs of rows that carry its id: node i has the entries
node_id_to_ranges[i, 0]:node_id_to_ranges[i, 1] of range_to_edge_id, and each entry is a run of rows, half open. The
scan keeps 16 B per run: one per target for target_to_source, up to one per edge for source_to_target.
"""

from collections.abc import Mapping

import h5py
import numpy as np

from snakefold.errors import expects
from snakefold.sonata.findings import BLOCK_ROWS, Findings

DIRECTIONS = {"target_to_source": "target", "source_to_target": "source"}


def check_indices(found: Findings, root: h5py.Group, sides: Mapping, counts: Mapping, *at: str) -> None:
    """Check the indices of an edge population; target_to_source is required.

    Parameters
    ----------
    sides : side -> ids
    counts : side -> number of cells, None if unknown
    """
    for direction, side in DIRECTIONS.items():
        group = root.get(f"indices/{direction}")
        path = (*at, "indices", direction)
        if not isinstance(group, h5py.Group):
            if side == "target":
                found.add("is missing", *path)
            continue
        tables = [_table(found, group, name, *path) for name in ("node_id_to_ranges", "range_to_edge_id")]
        if tables[0] is not None:
            link = group.get("node_id_to_range")
            if link is None or link != tables[0]:
                found.add("should be a hard link to node_id_to_ranges", *path, "node_id_to_range")
            n = counts[side]
            if n is not None and len(tables[0]) != n:
                found.add(expects("shape", f"({n}, 2)", tables[0].shape), *path, "node_id_to_ranges")
                continue
        if all(table is not None for table in tables):
            _check(found, *tables, *runs(sides[side]), *path)


def runs(ids: h5py.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (id, first row, last row + 1) of every run of equal ids, sorted by (id, first row)."""
    starts, owners, last = [], [], None
    for start in range(0, len(ids), BLOCK_ROWS):
        block = ids[start : start + BLOCK_ROWS]
        new = np.flatnonzero(block[1:] != block[:-1]) + 1
        if block[0] != last:
            new = np.concatenate([[0], new])
        starts.append(start + new.astype(np.int64))
        owners.append(block[new].astype(np.int64))
        last = block[-1]
    first = np.concatenate(starts) if starts else np.empty(0, np.int64)
    owner = np.concatenate(owners) if owners else np.empty(0, np.int64)
    stop = np.append(first[1:], len(ids)) if len(first) else first
    if (owner[1:] < owner[:-1]).any():
        order = np.argsort(owner, kind="stable")
        owner, first, stop = owner[order], first[order], stop[order]
    return owner, first, stop


def _check(
    found: Findings,
    ranges: h5py.Dataset,
    edges: h5py.Dataset,
    owner: np.ndarray,
    first: np.ndarray,
    stop: np.ndarray,
    *path: str,
) -> None:
    n = len(ranges)
    if len(owner) and owner[-1] >= n:
        found.add(f"has {n} nodes, but there are edges of node {owner[-1]}", *path, "node_id_to_ranges")
        return
    for start in range(0, n, BLOCK_ROWS):
        given = ranges[start : start + BLOCK_ROWS].astype(np.int64)
        wanted = np.searchsorted(owner, np.arange(start, start + len(given) + 1))
        empty = (wanted[1:] == wanted[:-1]) & (given[:, 0] == given[:, 1])
        wrong = ~empty & ((given[:, 0] != wanted[:-1]) | (given[:, 1] != wanted[1:]))
        if wrong.any():
            row = int(np.argmax(wrong))
            message = expects(f"node {start + row}", f"[{wanted[row]}, {wanted[row + 1]}]", given[row].tolist())
            found.add(message, *path, "node_id_to_ranges")
            break
    if len(edges) != len(owner):
        found.add(expects("shape", f"({len(owner)}, 2)", edges.shape), *path, "range_to_edge_id")
        return
    for start in range(0, len(edges), BLOCK_ROWS):
        given = edges[start : start + BLOCK_ROWS].astype(np.int64)
        wanted = np.column_stack([first[start : start + len(given)], stop[start : start + len(given)]])
        wrong = (given != wanted).any(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            found.add(
                expects(f"range {start + row}", wanted[row].tolist(), given[row].tolist()), *path, "range_to_edge_id"
            )
            return


def _table(found: Findings, group: h5py.Group, name: str, *path: str) -> h5py.Dataset | None:
    table = group.get(name)
    if not isinstance(table, h5py.Dataset):
        found.add("is missing", *path, name)
    elif table.dtype != np.uint64 or table.ndim != 2 or table.shape[1] != 2:
        found.add(expects("dtype and shape", "u8, (n, 2)", f"{table.dtype.str[1:]}, {table.shape}"), *path, name)
    else:
        return table
    return None
