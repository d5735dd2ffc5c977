"""Edge files: one set of synapses between two populations, sorted by (target, source).

/edges/<set>/source_node_id, target_node_id (u8, with node_population), edge_type_id (i8, -1), edge_group_id and
edge_group_index (u8), group 0 with further columns, indices/target_to_source: node_id_to_ranges (n_targets, 2), half
open, with the hard link node_id_to_range that bmtk reads, and range_to_edge_id (targets with edges, 2), half open.
A target without edges has the empty range [r, r] with r the number of ranges before it, so both tables rise, and the
first edge of any target is two look-ups away.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError, expects
from snakefold.sonata import columns as col

SCHEMA = "sonata-edges"
# What SONATA's readers require of a generic synapse; a caller's constants and columns come first.
DEFAULTS = {"model_template": ""}
TYPE = "edge_type_id"
MERGE_ROWS = 1 << 22
_INDEX_ROWS = 1 << 18

Block = tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray]]


def write_edges(
    path: str | Path,
    name: str,
    source_population: str,
    target_population: str,
    n_sources: int,
    n_targets: int,
    n_edges: int,
    blocks: Iterable[Block],
    digest: str,
    columns: Mapping[str, object] | None = None,
    *,
    constants: Mapping[str, str | float] | None = None,
) -> None:
    """Write an edge set.

    Parameters
    ----------
    n_sources, n_targets : cells of the two populations
    n_edges : rows in all; 0 is a set without edges
    blocks : (source ids, target ids, {column: values}), each (m,), ordered by (target, source) over all blocks
    columns : column -> dtype, or a tuple of strings that the arrays hold codes into. Of the name `edge_type_id` (i8),
        it takes the place of the -1
    constants : further column -> its one value for all edges

    Raises
    ------
    UserError : a column is missing or of another length, the edges are not n_edges, an id is not a cell, the order is
        not (target, source), a number is not finite
    """
    where = str(path)
    columns = dict(columns or {})
    constants = {key: value for key, value in DEFAULTS.items() if key not in columns} | dict(constants or {})
    for what, count in (("sources", n_sources), ("targets", n_targets)):
        if not 0 <= count < col.MAX_ROWS:
            raise UserError(expects(f"number of {what}", f"0 to {col.MAX_ROWS - 1}", count), where=where)
    with hdf5.create(path, SCHEMA, digest) as file:
        col.mark(file)
        root = file.create_group(f"edges/{name}")
        root.attrs["n_sources"], root.attrs["n_targets"] = np.uint64(n_sources), np.uint64(n_targets)
        if TYPE not in columns:
            col.unwritten(root, TYPE, n_edges, np.int64, -1)
        col.unwritten(root, "edge_group_id", n_edges, np.uint64, 0)
        ids = {key: col.column(root, key, n_edges, np.uint64) for key in ("source_node_id", "target_node_id")}
        ids["source_node_id"].attrs["node_population"] = source_population
        ids["target_node_id"].attrs["node_population"] = target_population
        index = {"edge_group_index": col.column(root, "edge_group_index", n_edges, np.uint64)}
        group = root.create_group("0")
        given = {key: col.column(root if key == TYPE else group, key, n_edges, kind) for key, kind in columns.items()}
        for key, value in constants.items():
            col.constant(group, key, n_edges, value)
        order = _Order(n_sources, n_targets, where)
        stream = col.ColumnStream(ids | given | index, n_edges, where, order.check)
        at = 0
        for source, target, values in blocks:
            index = np.arange(at, at + len(source), dtype=np.uint64)
            ids = {"source_node_id": source, "target_node_id": target, "edge_group_index": index}
            stream.append({**values, **ids})
            at += len(source)
        stream.close()
        _write_index(root, order.degrees)


class _Order:
    """Checks order and ranges of consecutive rows, and counts the edges of each target on the way."""

    def __init__(self, n_sources: int, n_targets: int, where: str):
        self.degrees = np.zeros(n_targets, np.int64)
        self._n_sources, self._where, self._last = n_sources, where, np.uint64(0)

    def check(self, first_row: int, rows: Mapping[str, np.ndarray]) -> None:
        source, target = rows["source_node_id"], rows["target_node_id"]
        for what, ids, n in (("source", source, self._n_sources), ("target", target, len(self.degrees))):
            if ids.max() >= n:  # a negative id has become a huge one
                at = int(np.argmax(ids >= n))
                message = expects(f"{what} id of edge {first_row + at}", f"0 to {n - 1}", int(ids[at].astype(np.int64)))
                raise UserError(message, where=self._where)
        key = (target << np.uint64(32)) | source
        if key[0] < self._last or (key[1:] < key[:-1]).any():
            at = 0 if key[0] < self._last else int(np.argmax(key[1:] < key[:-1])) + 1
            message = f"edges should be ordered by (target, source); edge {first_row + at} comes before the one before"
            raise UserError(message, where=self._where)
        self._last = key[-1]
        first, last = int(target[0]), int(target[-1])
        counts = np.bincount((target - target[0]).view(np.int64), minlength=last - first + 1)
        self.degrees[first : last + 1] += counts
        col.check_finite(first_row, rows, self._where)


def _write_index(root: h5py.Group, degrees: np.ndarray) -> None:
    """Write target_to_source from the number of edges of each target."""
    group = root.create_group("indices/target_to_source")
    n_ranges = int(np.count_nonzero(degrees))
    shape = {"dtype": np.uint64, "track_times": False}
    ranges = group.create_dataset("node_id_to_ranges", shape=(len(degrees), 2), **shape)
    group["node_id_to_range"] = ranges
    edges = group.create_dataset("range_to_edge_id", shape=(n_ranges, 2), **shape)
    n_before = edge_before = 0
    for at in range(0, len(degrees), _INDEX_ROWS):
        some = degrees[at : at + _INDEX_ROWS]
        ends = n_before + np.cumsum(some > 0)
        ranges[at : at + len(some)] = np.column_stack([ends - (some > 0), ends]).astype(np.uint64)
        some = some[some > 0]
        if len(some):
            stops = edge_before + np.cumsum(some)
            edges[n_before : n_before + len(some)] = np.column_stack([stops - some, stops]).astype(np.uint64)
            n_before, edge_before = n_before + len(some), int(stops[-1])


class Edges:
    """An edge file, open for reading; nothing is read before it is asked for.

    Attributes
    ----------
    name : of the edge set
    source, target : names of the two populations
    n, n_sources, n_targets : numbers of edges and of cells
    digest : of what went into the file
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._file = hdf5.open_stage(path, SCHEMA)
        (self.name,) = self._file["edges"]
        root = self._file["edges"][self.name]
        self._source, self._target, self._group = root["source_node_id"], root["target_node_id"], root["0"]
        self._index = root["indices/target_to_source"]
        self.source, self.target = (str(d.attrs["node_population"]) for d in (self._source, self._target))
        self.n, self.n_sources, self.n_targets = (
            len(self._source),
            int(root.attrs["n_sources"]),
            len(self._index["node_id_to_ranges"]),
        )
        self.digest = str(self._file.attrs["snakefold_digest"])

    def __enter__(self) -> "Edges":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.n

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def columns(self) -> dict[str, np.dtype | col.Library]:
        """Every column of the edges: its dtype, or the strings of its library; constants included."""
        return col.dtypes_of(self._group)

    def block(self, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return (source ids, target ids), each (m,) uint64, of edges start:stop."""
        return self._source[start:stop], self._target[start:stop]

    def column(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return (m,): a column of edges start:stop; of a library column, the codes."""
        return self._group[name][start:stop]

    def first_row(self, target: int) -> int:
        """Return the first edge whose target id is `target` or more; n if there is none."""
        ranges, edges = self._index["node_id_to_ranges"], self._index["range_to_edge_id"]
        at = int(ranges[target, 0]) if target < self.n_targets else len(edges)
        return int(edges[at, 0]) if at < len(edges) else self.n

    def targets_range(self, first: int, last: int) -> tuple[int, int]:
        """Return (start, stop): the edges whose target id is in [first, last)."""
        start = self.first_row(first)
        return start, max(start, self.first_row(last))

    def in_degrees(self, n_targets: int | None = None) -> np.ndarray:
        """Return (n_targets,) int64: the number of edges onto each target."""
        degrees = np.zeros(self.n_targets if n_targets is None else n_targets, np.int64)
        ranges = self._index["node_id_to_ranges"][: len(degrees)]
        has = np.flatnonzero(ranges[:, 1] > ranges[:, 0])
        degrees[has] = np.diff(self._index["range_to_edge_id"][: len(has)].astype(np.int64), axis=1)[:, 0]
        return degrees


class SortedEdges(Protocol):
    """What `merge` needs of a part; `Edges` has it, and so does `tiles.TileEdges`."""

    n: int

    def first_row(self, target: int) -> int:
        """Return the first row whose target is `target` or more."""

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sources and targets of rows start:stop."""

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return a column of rows start:stop."""


def merge(
    parts: Sequence[SortedEdges], n_targets: int, columns: Iterable[str] = (), *, most: int = MERGE_ROWS
) -> Iterator[Block]:
    """Merge edges that are each sorted by (target, source) into one such stream, as blocks for `write_edges`.

    Equal pairs keep the order of the parts. A block has at most `most` edges, or those of one target if these are more.
    """
    names = tuple(columns)
    starts = [0] * len(parts)
    pending = [(0, n_targets, [part.n for part in parts])]
    while pending:
        first, last, stops = pending.pop()
        rows = sum(stop - start for start, stop in zip(starts, stops, strict=True))
        if rows > most and last - first > 1:
            middle = (first + last) // 2
            pending.append((middle, last, stops))
            pending.append((first, middle, [part.first_row(middle) for part in parts]))
            continue
        if rows:
            yield _merged(parts, starts, stops, names)
        starts = stops


def _merged(parts: Sequence[SortedEdges], starts: list[int], stops: list[int], names: tuple[str, ...]) -> Block:
    spans = [s for s in zip(parts, starts, stops, strict=True) if s[2] > s[1]]
    pairs = [part.block(start, stop) for part, start, stop in spans]
    values = {name: [part.column(name, start, stop) for part, start, stop in spans] for name in names}
    if len(spans) == 1:
        return *pairs[0], {name: arrays[0] for name, arrays in values.items()}
    source, target = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    key = (target.astype(np.uint64) << np.uint64(32)) | source.astype(np.uint64)
    order = np.argsort(key, kind="stable")  # a merge of runs: the parts are sorted
    return source[order], target[order], {name: np.concatenate(arrays)[order] for name, arrays in values.items()}
