"""Spike files: /spikes/<population>/timestamps (f8, ms) and node_ids (u8, 0-based), sorted by (time, id)."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError, expects
from snakefold.sonata import columns as col

SCHEMA = "sonata-spikes"
SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype=np.uint8)
BY_TIME = 2

Spikes = tuple[np.ndarray, np.ndarray]


def write_spikes(path: str | Path, spikes: Mapping[str, Spikes], digest: str) -> None:
    """Write the spikes of several populations.

    Parameters
    ----------
    spikes : population -> (timestamps, node ids), each (n,), ms and 0-based, in any order; n may be 0

    Raises
    ------
    UserError : the two differ in length, or a time is not finite
    """
    where = str(path)
    with hdf5.create(path, SCHEMA, digest) as file:
        col.mark(file)
        root = file.create_group("spikes")
        for population in sorted(spikes):
            times, ids = (np.asarray(values) for values in spikes[population])
            if times.ndim != 1 or times.shape != ids.shape or ids.dtype.kind not in "iu":
                got = f"{times.shape} and {ids.shape} {ids.dtype}"
                raise UserError(expects(f"times and node ids of {population}", "(n,) and (n,) integers", got), where)
            times, ids = _sorted(times.astype(np.float64, copy=False), ids.astype(np.uint64))
            col.check_finite(0, {f"{population}/timestamps": times}, where)
            group = root.create_group(population)
            group.attrs.create("sorting", BY_TIME, dtype=SORTING)
            dataset = group.create_dataset("timestamps", data=times, track_times=False)
            dataset.attrs["units"] = "ms"
            group.create_dataset("node_ids", data=ids, track_times=False)


def _sorted(times: np.ndarray, ids: np.ndarray) -> Spikes:
    same = times[1:] == times[:-1]
    if ((times[1:] > times[:-1]) | (same & (ids[1:] >= ids[:-1]))).all():
        return times, ids
    order = np.lexsort((ids, times))
    return times[order], ids[order]


def read_spikes(path: str | Path) -> dict[str, Spikes]:
    """Return population -> (timestamps (n,) float64, ms; node ids (n,) uint64), sorted by (time, id)."""
    with hdf5.open_stage(path, SCHEMA) as file:
        return {name: (group["timestamps"][:], group["node_ids"][:]) for name, group in file["spikes"].items()}


def populations(path: str | Path) -> list[str]:
    """Return the names of the populations of a spike file."""
    with hdf5.open_stage(path, SCHEMA) as file:
        return sorted(file["spikes"])
