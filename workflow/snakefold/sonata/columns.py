"""Columns of a SONATA group: streamed in blocks of any size, constant at no cost, or codes into a library of strings.

Blocks are gathered into buffers of a fixed number of rows before they are written, so the file's bytes do not depend on
how the rows arrived, and small blocks cost no more than large ones. All columns are contiguous and uncompressed: any
HDF5 reader takes them, and writing runs at the speed of the disk. Constant columns are never allocated: HDF5 answers
with the fill value.
"""

from collections.abc import Callable, Mapping

import h5py
import numpy as np

from snakefold.errors import UserError, expects, listed

MAGIC = 0x0A7A  # SONATA: "magic" of every file
VERSION = (0, 1)
BUFFER_ROWS = 1 << 17  # 1 MiB per 8-byte column: stays in the cache between the copy, the check and the write
MAX_ROWS = 1 << 32  # ids are packed into pairs of 32 bits

Library = tuple[str, ...]
Check = Callable[[int, Mapping[str, np.ndarray]], None]


def mark(file: h5py.File) -> None:
    """Set the root attributes that SONATA requires."""
    file.attrs.create("magic", MAGIC, dtype=np.uint32)
    file.attrs.create("version", VERSION, dtype=np.uint32)


def unwritten(group: h5py.Group, name: str, n: int, dtype: object, fill: object) -> h5py.Dataset:
    """Create a column of `n` times `fill` that takes no space in the file."""
    return group.create_dataset(name, shape=(n,), dtype=dtype, fillvalue=fill, track_times=False)


def column(group: h5py.Group, name: str, n: int, kind: object) -> h5py.Dataset:
    """Create a column to be streamed: of a dtype, or, for a tuple of strings, of u4 codes into `@library`."""
    if isinstance(kind, tuple):
        write_library(group, name, kind)
        kind = np.uint32
    return group.create_dataset(name, shape=(n,), dtype=kind, track_times=False)


def constant(group: h5py.Group, name: str, n: int, value: str | float) -> h5py.Dataset:
    """Create a column of one value: a string (a library of one), an integer (i8), a float (f4) or a NumPy scalar."""
    if isinstance(value, str):
        write_library(group, name, (value,))
        return unwritten(group, name, n, np.uint32, 0)
    if isinstance(value, np.generic):
        return unwritten(group, name, n, value.dtype, value)
    return unwritten(group, name, n, np.float32 if isinstance(value, float) else np.int64, value)


def write_library(group: h5py.Group, name: str, strings: Library) -> None:
    """Write the strings that a column's codes point into; they are distinct (readers make categories of them)."""
    if len(set(strings)) != len(strings):
        raise ValueError(f"the strings of a library column should be distinct: {name}: {listed(strings)}")
    library = group.require_group("@library")
    write_strings(library, name, strings)


def write_strings(group: h5py.Group, name: str, strings: Library) -> None:
    """Write a dataset of UTF-8 strings."""
    dataset = group.create_dataset(name, shape=(len(strings),), dtype=h5py.string_dtype(), track_times=False)
    if strings:
        dataset[:] = list(strings)


def read_library(group: h5py.Group, name: str) -> Library | None:
    """Return the strings of a library column, None for any other column."""
    path = f"@library/{name}"
    return tuple(group[path].asstr()[:].tolist()) if path in group else None


def dtypes_of(group: h5py.Group) -> dict[str, np.dtype | Library]:
    """Return what `column` takes for each column of a group: its dtype, or its library."""
    names = [name for name, item in group.items() if isinstance(item, h5py.Dataset)]
    return {name: library if (library := read_library(group, name)) else group[name].dtype for name in names}


def mapped(dataset: h5py.Dataset) -> np.ndarray | h5py.Dataset:
    """Return a column of a file that is open for reading as memory mapped from it, or, where it takes no space, itself.

    Many small reads cost what they read; through HDF5 each costs 30 us more.
    """
    offset = dataset.id.get_offset()
    if offset is None:
        return dataset
    return np.memmap(dataset.file.filename, dataset.dtype, "r", offset, dataset.shape)


class ColumnStream:
    """Rows on their way into several datasets of equal length.

    Parameters
    ----------
    datasets : name -> dataset of shape (n,); written in this order
    where : the file's name, for errors
    check : called with (first row, {name: rows}) before rows are written; raises if they are wrong
    """

    def __init__(self, datasets: Mapping[str, h5py.Dataset], n: int, where: str, check: Check | None = None):
        self._datasets, self._n, self._where, self._check = dict(datasets), n, where, check
        rows = max(1, min(n, BUFFER_ROWS))
        self._buffers = {name: np.empty(rows, dataset.dtype) for name, dataset in self._datasets.items()}
        self._rows, self._filled, self._written = rows, 0, 0

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add rows: one array per dataset, all of one length.

        Raises
        ------
        UserError : a column is missing, too much or of another length; more rows than announced
        """
        if arrays.keys() != self._buffers.keys():
            raise UserError(expects("columns", listed(self._buffers), listed(arrays)), where=self._where)
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        first, *_ = arrays
        n = len(arrays[first])
        for name, array in arrays.items():
            if array.shape != (n,):
                message = expects(f"'{name}' shape", f"({n},), as '{first}'", array.shape)
                raise UserError(message, where=self._where)
            if not _fits(array.dtype, self._buffers[name].dtype):
                raise UserError(expects(f"'{name}' dtype", self._buffers[name].dtype, array.dtype), where=self._where)
        if self._written + self._filled + n > self._n:
            raise UserError(
                expects("number of rows", self._n, f"{self._written + self._filled + n} or more"), where=self._where
            )
        at = 0
        while at < n:
            m = min(n - at, self._rows - self._filled)
            for name, array in arrays.items():
                self._buffers[name][self._filled : self._filled + m] = array[at : at + m]
            at, self._filled = at + m, self._filled + m
            if self._filled == self._rows:
                self._flush()

    def close(self) -> None:
        """Write what is left.

        Raises
        ------
        UserError : fewer rows came than announced
        """
        self._flush()
        if self._written != self._n:
            raise UserError(expects("number of rows", self._n, self._written), where=self._where)

    def _flush(self) -> None:
        if not self._filled:
            return
        rows = {name: buffer[: self._filled] for name, buffer in self._buffers.items()}
        if self._check is not None:
            self._check(self._written, rows)
        for name, dataset in self._datasets.items():
            dataset[self._written : self._written + self._filled] = rows[name]
        self._written, self._filled = self._written + self._filled, 0


def _fits(given: np.dtype, wanted: np.dtype) -> bool:
    return given.kind in "iub" if wanted.kind in "iu" else given.kind in "iubf"


def check_finite(first_row: int, rows: Mapping[str, np.ndarray], where: str) -> None:
    """Raise a UserError naming the first number that is not finite (NaN, infinite, or beyond float32)."""
    for name, values in rows.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            at = int(np.flatnonzero(~np.isfinite(values))[0])
            raise UserError(f"'{name}' of row {first_row + at} is not finite (got: {values[at]})", where=where)
