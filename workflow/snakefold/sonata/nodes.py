"""Node files: one population of cells, its positions and properties, and which chunk of which strategy placed them.

/nodes/<population>/node_type_id (i8, -1), node_id (u8, 0-based, dense), node_group_id and node_group_index (u8), group
0 with x, y, z (f4, um) and further columns; strings as u4 codes into 0/@library. The chunk table is our own: a root
group /chunks that other readers do not look at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError, did_you_mean, expects, listed
from snakefold.sonata import columns as col

SCHEMA = "sonata-nodes"
POSITION = ("x", "y", "z")
TYPE = "node_type_id"
# What SONATA's readers require of a point neuron, at no cost; a caller's constants and columns come first.
DEFAULTS = {
    "model_type": "point_neuron",
    "model_template": "",
    "synapse_class": "",
    "morphology": "",
    "mtype": "",
    "etype": "",
    "orientation_w": 1.0,
    "orientation_x": 0.0,
    "orientation_y": 0.0,
    "orientation_z": 0.0,
}


@dataclass(frozen=True)
class Chunks:
    """Which cells were placed by which strategy in which chunk.

    Attributes
    ----------
    blocks : names of the placement strategies, in id order
    block : (n,) uint16, index into `blocks`
    chunk : (n,) uint64, chunk id (a Morton code)
    offsets : (n + 1,) int64; row i says that cells offsets[i]:offsets[i+1] are of blocks[block[i]], chunk[i]
    stray : how far cells lie outside their chunks at most, along an axis, um

    Rows are sorted by (block, chunk) and distinct; a chunk without cells may have a row of no cells, or none.
    """

    blocks: tuple[str, ...] = ()
    block: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint16))
    chunk: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    stray: float = 0.0

    def fault(self, n: int) -> str:
        """Return what is wrong with this table for `n` cells, or an empty string."""
        block, chunk, offsets = np.asarray(self.block), np.asarray(self.chunk), np.asarray(self.offsets)
        if not (block.ndim == chunk.ndim == 1 and block.shape == chunk.shape):
            return f"one block and one chunk per row expected (got: {block.shape}, {chunk.shape})"
        if offsets.shape != (len(block) + 1,):
            return expects("'offsets' shape", f"({len(block) + 1},)", offsets.shape)
        if offsets[0] != 0 or offsets[-1] != n or (np.diff(offsets.astype(np.int64)) < 0).any():
            return f"offsets should rise from 0 to the number of cells, {n} (got: {offsets[0]} to {offsets[-1]})"
        if len(block) and int(block.max()) >= len(self.blocks):
            return expects("block index", f"below {len(self.blocks)}", int(block.max()))
        same, up = block[1:] == block[:-1], block[1:] > block[:-1]
        if not (up | (same & (chunk[1:] > chunk[:-1]))).all():
            return "rows should be sorted by (block, chunk) and distinct"
        return ""


def write_nodes(
    path: str | Path,
    population: str,
    n: int,
    blocks: Iterable[Mapping[str, np.ndarray]],
    chunks: Chunks,
    digest: str,
    *,
    columns: Mapping[str, object] | None = None,
    constants: Mapping[str, str | float] | None = None,
) -> None:
    """Write a node population.

    Parameters
    ----------
    n : number of cells; 0 is a population without cells
    blocks : {"x", "y", "z": (m,) float32, um; further columns: (m,)}, in id order, n cells in all
    columns : further column -> dtype, or a tuple of strings that the arrays hold codes into
        Of the name `node_type_id` (i8), it takes the place of the -1
    constants : further column -> its one value for all cells: a string, an integer (i8) or a float (f4)

    Raises
    ------
    UserError : a column is missing or of another length, the cells are not n, the chunk table does not fit, a number
        is not finite, a code is outside its library
    """
    where = str(path)
    columns, constants = dict(columns or {}), dict(constants or {})
    twice = (columns.keys() & constants.keys()) | ((columns.keys() | constants.keys()) & set(POSITION))
    if twice:
        raise UserError(f"columns given twice: {listed(sorted(twice))}", where=where)
    if not 0 <= n < col.MAX_ROWS:
        raise UserError(expects("number of cells", f"0 to {col.MAX_ROWS - 1}", n), where=where)
    if fault := chunks.fault(n):
        raise UserError(f"chunk table: {fault}", where=where)
    constants = {name: value for name, value in DEFAULTS.items() if name not in columns} | constants
    libraries = {name: len(kind) for name, kind in columns.items() if isinstance(kind, tuple)}

    def check(first_row: int, rows: Mapping[str, np.ndarray]) -> None:
        col.check_finite(first_row, rows, where)
        for name, size in libraries.items():
            if rows[name].max() >= size:
                at = first_row + int(np.argmax(rows[name] >= size))
                raise UserError(f"'{name}' of cell {at}: no such string; codes are below {size}", where=where)

    with hdf5.create(path, SCHEMA, digest) as file:
        col.mark(file)
        root = file.create_group(f"nodes/{population}")
        if TYPE not in columns:
            col.unwritten(root, TYPE, n, np.int64, -1)
        col.unwritten(root, "node_group_id", n, np.uint64, 0)
        ids = {name: col.column(root, name, n, np.uint64) for name in ("node_id", "node_group_index")}
        group = root.create_group("0")
        given = {name: col.column(group, name, n, np.float32) for name in POSITION}
        given |= {name: col.column(root if name == TYPE else group, name, n, kind) for name, kind in columns.items()}
        for name, value in constants.items():
            col.constant(group, name, n, value)
        _write_chunks(file, chunks)
        stream = col.ColumnStream(given | ids, n, where, check)
        at = 0
        for block in blocks:
            m = len(next(iter(block.values()), ()))
            index = np.arange(at, at + m, dtype=np.uint64)
            stream.append({**block, "node_id": index, "node_group_index": index})
            at += m
        stream.close()


def _write_chunks(file: h5py.File, chunks: Chunks) -> None:
    group = file.create_group("chunks")
    col.write_strings(group, "blocks", chunks.blocks)
    for name, dtype in (("block", np.uint16), ("chunk", np.uint64), ("offsets", np.int64)):
        group.create_dataset(name, data=np.asarray(getattr(chunks, name), dtype), track_times=False)
    group.attrs["stray"] = float(chunks.stray)


def read_chunks(file: h5py.File) -> Chunks:
    """Return the chunk table of an open node file."""
    group = file["chunks"]
    arrays = (group[name][:] for name in ("block", "chunk", "offsets"))
    stray = float(group.attrs.get("stray", 0.0))  # files of before cells could stray do not have it
    return Chunks(tuple(group["blocks"].asstr()[:].tolist()), *arrays, stray)


class Nodes:
    """A node file, open for reading; nothing is read before it is asked for.

    Attributes
    ----------
    population : its name
    n : number of cells
    columns : column -> dtype or library, positions and constants included
    digest : of what went into the file
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._file = hdf5.open_stage(path, SCHEMA)
        (self.population,) = self._file["nodes"]
        self._root = self._file["nodes"][self.population]
        self._group = self._root["0"]
        self.n = len(self._root["node_id"])
        self.digest = str(self._file.attrs["snakefold_digest"])
        self._chunks: Chunks | None = None
        self._mapped: dict[str, np.ndarray | h5py.Dataset] = {}

    def __enter__(self) -> "Nodes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.n

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def chunks(self) -> Chunks:
        """Which cells were placed by which strategy in which chunk."""
        if self._chunks is None:
            self._chunks = read_chunks(self._file)
        return self._chunks

    @property
    def columns(self) -> dict[str, np.dtype | col.Library]:
        """Every column of the cells: its dtype, or the strings of its library."""
        return col.dtypes_of(self._group)

    @property
    def turned(self) -> bool:
        """Whether its cells have orientations of their own."""
        return self.n > 0 and self._group["orientation_w"].id.get_storage_size() > 0

    def positions(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return (m, 3) float32, um: the positions of cells start:stop."""
        start, stop = _span(start, stop, self.n)
        positions = np.empty((stop - start, 3), np.float32)
        for axis, name in enumerate(POSITION):
            positions[:, axis] = self._rows(name)[start:stop]
        return positions

    def library(self, name: str) -> col.Library | None:
        """Return the strings of a column, None if it is one of numbers."""
        return col.read_library(self._group, name)

    def column(self, name: str, start: int = 0, stop: int | None = None, *, codes: bool = False) -> np.ndarray:
        """Return (m,): a column of cells start:stop; strings as an object array, or, on request, their codes.

        Raises
        ------
        UserError : no such column
        """
        if name not in self._group or name == "@library":
            known = sorted(set(self._group) - {"@library"})
            message = f'no column "{name}"{did_you_mean(name, known)} (columns: {listed(known)})'
            raise UserError(message, where=str(self.path))
        start, stop = _span(start, stop, self.n)
        values = np.array(self._rows(name)[start:stop])
        library = None if codes else self.library(name)
        return values if library is None else np.asarray(library, dtype=object)[values]

    def _rows(self, name: str) -> np.ndarray | h5py.Dataset:
        if name not in self._mapped:
            self._mapped[name] = col.mapped(self._group[name])
        return self._mapped[name]


def _span(start: int, stop: int | None, n: int) -> tuple[int, int]:
    start, stop, _ = slice(start, stop).indices(n)
    return start, max(start, stop)
