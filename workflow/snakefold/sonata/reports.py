"""Report files: one recorded variable of the cells of several populations over time.

/report/<population>/data (n_steps, n_cells) f4 with `units`; mapping/node_ids (u8, rising), index_pointers (u8),
element_ids (u4, all 0: a point neuron has one element), time (start, stop, dt), ms. For bmtk: the hard link
index_pointer, and element_pos (f4, all 0.5).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError, did_you_mean, expects, listed
from snakefold.sonata import columns as col

SCHEMA = "sonata-report"
_BUFFER_BYTES = 1 << 22


def write_report(
    path: str | Path,
    populations: Mapping[str, tuple[np.ndarray, Iterable[np.ndarray]]],
    n_steps: int,
    start: float,
    stop: float,
    dt: float,
    units: str,
    digest: str,
) -> None:
    """Write a report.

    Parameters
    ----------
    populations : population -> (node ids, rising; blocks of (t, n_cells) values, n_steps rows in all)
    start, stop, dt : ms; row i is of time start + i dt, and n_steps rows end before stop
    units : of the variable, as in "mV"

    Raises
    ------
    UserError : node ids do not rise, a block is of another width, the rows are not n_steps, dt is not positive,
        start and stop are not n_steps apart
    """
    where = str(path)
    if not (np.isfinite([start, stop, dt]).all() and dt > 0 and stop >= start):
        raise UserError(expects("start, stop, dt", "finite, stop after start, dt positive", (start, stop, dt)), where)
    if n_steps != steps_between(start, stop, dt):
        raise UserError(
            expects(f"steps of {dt} ms from {start} to {stop} ms", steps_between(start, stop, dt), n_steps), where
        )
    with hdf5.create(path, SCHEMA, digest) as file:
        col.mark(file)
        root = file.create_group("report")
        for population in sorted(populations):
            ids, blocks = populations[population]
            ids = np.asarray(ids)
            if ids.ndim != 1 or (np.diff(ids.astype(np.int64)) <= 0).any():
                raise UserError(f"node ids of {population} should rise without repeats", where=where)
            group = root.create_group(population)
            mapping = group.create_group("mapping")
            n_cells = len(ids)
            columns = {
                "node_ids": ids.astype(np.uint64),
                "index_pointers": np.arange(n_cells + 1, dtype=np.uint64),
                "element_ids": np.zeros(n_cells, np.uint32),
                "time": np.array([start, stop, dt], np.float64),
            }
            for name, values in columns.items():
                mapping.create_dataset(name, data=values, track_times=False)
            mapping["index_pointer"] = mapping["index_pointers"]
            col.unwritten(mapping, "element_pos", n_cells, np.float32, 0.5)
            mapping["node_ids"].attrs["sorted"] = np.uint8(1)
            mapping["time"].attrs["units"] = "ms"
            data = group.create_dataset("data", shape=(n_steps, n_cells), dtype=np.float32, track_times=False)
            data.attrs["units"] = units
            at = 0
            for rows in _gathered(blocks, n_cells, where):
                if at + len(rows) <= n_steps:
                    data[at : at + len(rows)] = rows
                at += len(rows)
            if at != n_steps:
                raise UserError(expects(f"number of time steps of {population}", n_steps, at), where=where)


def steps_between(start: float, stop: float, dt: float) -> int:
    """Return how many of start, start + dt, ... are before stop, as libsonata counts them; for positive dt."""
    return max(0, int(np.ceil((stop - start) / dt - 1e-6)))


def _gathered(blocks: Iterable[np.ndarray], n_cells: int, where: str) -> Iterator[np.ndarray]:
    """Join small blocks: writing thousands of rows one by one costs more than the simulation that made them."""
    held: list[np.ndarray] = []
    for block in blocks:
        rows = np.asarray(block, np.float32)
        if rows.ndim != 2 or rows.shape[1] != n_cells:
            raise UserError(expects("shape of a block of rows", f"(t, {n_cells})", rows.shape), where=where)
        held.append(rows)
        if sum(rows.nbytes for rows in held) >= _BUFFER_BYTES or len(held) > 1000:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


class Report:
    """A report file, open for reading; data are read when asked for.

    Attributes
    ----------
    populations : their names
    digest : of what went into the file
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._file = hdf5.open_stage(path, SCHEMA)
        self._root = self._file["report"]
        self.populations = tuple(self._root)
        self.digest = str(self._file.attrs["snakefold_digest"])

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def node_ids(self, population: str) -> np.ndarray:
        """Return (n_cells,) uint64: the cell of each column."""
        return self._group(population)["mapping/node_ids"][:]

    def span(self, population: str) -> tuple[float, float, float]:
        """Return (start, stop, dt), ms, of the rows."""
        start, stop, dt = self._group(population)["mapping/time"][:].tolist()
        return start, stop, dt

    def times(self, population: str) -> np.ndarray:
        """Return (n_steps,) float64, ms: the time of each row."""
        start, _, dt = self.span(population)
        return start + dt * np.arange(self.shape(population)[0])

    def shape(self, population: str) -> tuple[int, int]:
        """Return (n_steps, n_cells)."""
        return self._group(population)["data"].shape

    def units(self, population: str) -> str:
        """Return the unit of the variable."""
        return str(self._group(population)["data"].attrs["units"])

    def data(self, population: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return (t, n_cells) float32: rows start:stop."""
        return self._group(population)["data"][start:stop]

    def _group(self, population: str) -> h5py.Group:
        if population not in self._root:
            near = did_you_mean(population, self.populations)
            message = f'no population "{population}"{near} (populations: {listed(self.populations)})'
            raise UserError(message, where=str(self.path))
        return self._root[population]
