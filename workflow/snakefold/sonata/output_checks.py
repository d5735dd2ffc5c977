"""Checks of what a simulation leaves: spikes and reports."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold.errors import Mistake, expects, listed
from snakefold.sonata.findings import BLOCK_ROWS, Findings, blocks_of, check_range, group_of, opened, size_of
from snakefold.sonata.reports import steps_between
from snakefold.sonata.spikes import BY_TIME, SORTING


def check_spikes(path: str | Path, sizes: Mapping[str, int] | None = None) -> list[Mistake]:
    """Check a spike file: attributes, dtypes, finite times, order, ids of existing cells."""
    found = Findings(path)
    with opened(path, found) as file:
        root = group_of(found, file, "spikes") if file else None
        for population, group in root.items() if root is not None else ():
            at = ("spikes", population)
            times = found.dataset(group, "timestamps", "f8", None, *at)
            ids = found.dataset(group, "node_ids", "u8", None if times is None else len(times), *at)
            if "sorting" not in group.attrs or h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype) is None:
                found.add(f"attribute sorting should be an enumeration ({listed(_SORTINGS)})", *at)
            if times is not None and times.attrs.get("units") != "ms":
                found.add(expects("attribute units", "ms", times.attrs.get("units", "none")), *at, "timestamps")
            if times is not None and ids is not None:
                _check_spikes(found, times, ids, group.attrs.get("sorting") == BY_TIME, *at)
                check_range(found, ids, size_of(found, population, sizes, *at), *at, "node_ids")
    return found.mistakes


def check_report(path: str | Path, sizes: Mapping[str, int] | None = None) -> list[Mistake]:
    """Check a report file: attributes, dtypes, shapes, ids of existing cells, times, finite numbers."""
    found = Findings(path)
    with opened(path, found) as file:
        root = group_of(found, file, "report") if file else None
        for population, group in root.items() if root is not None else ():
            at = ("report", population)
            mapping, data = group_of(found, group, "mapping", *at), group.get("data")
            if not (isinstance(data, h5py.Dataset) and data.ndim == 2 and data.dtype == np.float32):
                found.add("should be a table of (steps, cells), f4", *at, "data")
                continue
            if not data.attrs.get("units"):
                found.add("has no attribute units", *at, "data")
            if mapping is None:
                continue
            _check_mapping(found, mapping, data.shape, size_of(found, population, sizes, *at), *at, "mapping")
            for start in range(0, len(data), max(1, BLOCK_ROWS // max(1, data.shape[1]))):
                rows = data[start : start + max(1, BLOCK_ROWS // max(1, data.shape[1]))]
                if not np.isfinite(rows).all():
                    row, column = (int(i) for i in np.argwhere(~np.isfinite(rows))[0])
                    found.add(f"step {start + row}, column {column} is not finite (got: {rows[row, column]})", *at)
                    break
    return found.mistakes


_SORTINGS = h5py.check_enum_dtype(SORTING)


def _check_mapping(found: Findings, mapping: h5py.Group, shape: tuple, n: int | None, *at: str) -> None:
    n_steps, n_columns = shape
    ids = found.dataset(mapping, "node_ids", "u8", None, *at)
    found.dataset(mapping, "element_ids", "u4", n_columns, *at)
    time = found.dataset(mapping, "time", "f8", 3, *at)
    if ids is not None:
        if (np.diff(ids[:].astype(np.int64)) <= 0).any():
            found.add("should rise without repeats", *at, "node_ids")
        if not ids.attrs.get("sorted"):
            found.add("has no attribute sorted", *at, "node_ids")
        check_range(found, ids, n, *at, "node_ids")
        pointers = found.dataset(mapping, "index_pointers", "u8", len(ids) + 1, *at)
        if pointers is not None:
            steps = pointers[:].astype(np.int64)
            if steps[0] != 0 or steps[-1] != n_columns or (np.diff(steps) < 0).any():
                found.add(f"should rise from 0 to the number of columns, {n_columns}", *at, "index_pointers")
    if time is not None:
        start, stop, dt = time[:]
        if not (np.isfinite([start, stop, dt]).all() and dt > 0):
            found.add(expects("start, stop, dt", "finite, dt positive", (start, stop, dt)), *at, "time")
        elif steps_between(start, stop, dt) != n_steps:
            found.add(f"{start} to {stop} by {dt} is not the {n_steps} steps of the data", *at, "time")


def _check_spikes(found: Findings, times: h5py.Dataset, ids: h5py.Dataset, by_time: bool, *at: str) -> None:
    last = (-np.inf, 0)
    for start, stop in blocks_of(len(times)):
        t, i = np.concatenate([[last[0]], times[start:stop]]), np.concatenate([[np.uint64(last[1])], ids[start:stop]])
        if not np.isfinite(t[1:]).all():
            row = int(np.argmax(~np.isfinite(t[1:])))
            found.add(f"spike {start + row} is not finite (got: {t[1:][row]})", *at, "timestamps")
            return
        if by_time and ((t[1:] < t[:-1]) | ((t[1:] == t[:-1]) & (i[1:] < i[:-1]))).any():
            row = int(np.argmax((t[1:] < t[:-1]) | ((t[1:] == t[:-1]) & (i[1:] < i[:-1]))))
            found.add(f"should be sorted by (time, id); spike {start + row} is not", *at)
            return
        last = (t[-1], i[-1])
