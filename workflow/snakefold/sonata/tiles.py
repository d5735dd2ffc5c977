"""Tile files: what one job made of its chunks, until it is gathered.

A tile holds named groups (one per cell type, or per edge set) of columns of equal length. Its rows lie unit after unit:
a unit is one chunk of one placement strategy (or one chunk of targets or sources), so that gathering can take the rows
of any unit. /units (n_units, 2) u8: block index and chunk id; /groups: their names; /rows (n_units, n_groups) i8:
how many rows of each group a unit has; /<group>/<column>. Contiguous, uncompressed, groups and columns by name.
"""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError, did_you_mean, expects, listed
from snakefold.sonata import columns as col

SCHEMA = "tile"
Groups = Mapping[str, Mapping[str, np.ndarray]]


def write_tile(
    path: str | Path,
    digest: str,
    units: np.ndarray,
    groups: Groups,
    rows: Mapping[str, np.ndarray] | None = None,
    stray: Mapping[str, float] | None = None,
) -> None:
    """Write a tile.

    Parameters
    ----------
    units : (n_units, 2) uint64, block index and chunk id, in the order of the rows
    groups : group -> column -> (n,) values; all columns of a group are of one length
    rows : group -> (n_units,) number of rows of each unit; may be left out where there is one unit
    stray : group -> how far its cells lie outside their chunks at most, um; 0 where it is left out

    Raises
    ------
    UserError : columns of one group differ in length, or the rows of the units are not those of the columns
    """
    where = str(path)
    units = np.asarray(units, np.uint64).reshape(-1, 2)
    names = sorted(groups)
    counts = np.zeros((len(units), len(names)), np.int64)
    for at, name in enumerate(names):
        shapes = {column: np.shape(values) for column, values in groups[name].items()}
        n = len(next(iter(groups[name].values()), ()))
        if wrong := [f"{column} {shape}" for column, shape in shapes.items() if shape != (n,)]:
            raise UserError(expects(f"columns of {name}", f"of shape ({n},)", listed(wrong)), where=where)
        given = np.asarray([n] if rows is None else rows[name], np.int64)
        if given.shape != (len(units),) or given.sum() != n or (given < 0).any():
            message = expects(f"rows of {name}", f"{n} in {len(units)} units", f"{given.sum()} in {given.shape}")
            raise UserError(message, where=where)
        counts[:, at] = given
    with hdf5.create(path, SCHEMA, digest) as file:
        file.create_dataset("units", data=units, track_times=False)
        col.write_strings(file, "groups", tuple(names))
        file.create_dataset("rows", data=counts, track_times=False)
        for name in names:
            group = file.create_group(f"columns/{name}")
            if stray is not None:
                group.attrs["stray"] = stray[name]
            for column in sorted(groups[name]):
                group.create_dataset(column, data=np.asarray(groups[name][column]), track_times=False)


class Tile:
    """A tile file, open for reading; columns are read when asked for.

    Attributes
    ----------
    groups : their names, sorted
    units : (n_units, 2) uint64, block index and chunk id
    digest : of what went into the file
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._file = hdf5.open_stage(path, SCHEMA)
        self.groups = tuple(self._file["groups"].asstr()[:].tolist())
        self.units = self._file["units"][:]
        self.digest = str(self._file.attrs["snakefold_digest"])
        self._mapped: dict[tuple[str, str], np.ndarray | h5py.Dataset] = {}
        self._starts = np.zeros((len(self.units) + 1, len(self.groups)), np.int64)
        np.cumsum(self._file["rows"][:], axis=0, out=self._starts[1:])

    def __enter__(self) -> "Tile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def starts(self, group: str) -> np.ndarray:
        """Return (n_units + 1,) int64: unit i has rows starts[i]:starts[i + 1] of the group."""
        if group not in self.groups:
            message = f'no group "{group}"{did_you_mean(group, self.groups)} (groups: {listed(self.groups)})'
            raise UserError(message, where=str(self.path))
        return self._starts[:, self.groups.index(group)]

    def stray(self, group: str) -> float:
        """Return how far the cells of a group lie outside their chunks at most, um."""
        return float(self._file[f"columns/{group}"].attrs.get("stray", 0.0))

    def n(self, group: str) -> int:
        """Return the number of rows of a group."""
        return int(self.starts(group)[-1])

    def columns(self, group: str) -> dict[str, np.dtype]:
        """Return column -> dtype of a group."""
        self.starts(group)
        return {name: dataset.dtype for name, dataset in self._file[f"columns/{group}"].items()}

    def column(self, group: str, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return (m,): rows start:stop of a column."""
        return self._dataset(group, name)[start:stop]

    def positions(self, group: str, unit: int) -> np.ndarray:
        """Return (m, 3) float32, um: columns x, y and z of the rows of a unit."""
        start, stop = self._starts[unit : unit + 2, self.groups.index(group)].tolist()
        positions = np.empty((stop - start, 3), np.float32)
        for axis, name in enumerate("xyz"):
            if (group, name) not in self._mapped:
                self._mapped[group, name] = col.mapped(self._dataset(group, name))
            positions[:, axis] = self._mapped[group, name][start:stop]
        return positions

    def read(self, group: str, start: int = 0, stop: int | None = None) -> dict[str, np.ndarray]:
        """Return rows start:stop of all columns of a group."""
        return {name: self.column(group, name, start, stop) for name in self.columns(group)}

    def edges(self, group: str, unit: int | None = None) -> "TileEdges":
        """Return a group (or one unit of it) whose rows are sorted by (target, source), as a part for `edges.merge`."""
        starts = self.starts(group)
        start, stop = (0, starts[-1]) if unit is None else starts[unit : unit + 2]
        return TileEdges(self, group, int(start), int(stop))

    def edges_of_units(self, group: str) -> list["TileEdges"]:
        """Return the units that have rows of a group, each as a part for `edges.merge`."""
        return [self.edges(group, unit) for unit in np.flatnonzero(np.diff(self.starts(group)))]

    def _dataset(self, group: str, name: str) -> h5py.Dataset:
        self.starts(group)
        try:
            return self._file[f"columns/{group}/{name}"]
        except KeyError:
            known = list(self._file[f"columns/{group}"])
            message = f'no column "{name}" in {group}{did_you_mean(name, known)} (columns: {listed(known)})'
            raise UserError(message, where=str(self.path)) from None


class TileEdges:
    """Rows start:stop of a tile's group, columns `source` and `target`, sorted by (target, source).

    Attributes
    ----------
    n : number of rows
    """

    def __init__(self, tile: Tile, group: str, start: int, stop: int):
        self._tile, self._group, self._start, self.n = tile, group, start, stop - start

    def first_row(self, target: int) -> int:
        """Return the first row whose target is `target` or more; n if there is none (a search, without an index)."""
        targets, low, high = self._tile._dataset(self._group, "target"), 0, self.n
        while high - low > _SCAN_ROWS:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if targets[self._start + middle] < target else (low, middle)
        return low + int(np.searchsorted(targets[self._start + low : self._start + high], target))

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (sources, targets) of rows start:stop."""
        return self.column("source", start, stop), self.column("target", start, stop)

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return a column of rows start:stop."""
        return self._tile.column(self._group, name, self._start + start, self._start + stop)


_SCAN_ROWS = 4096
