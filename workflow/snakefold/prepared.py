"""What a component computes once for all its chunks: the arrays of its prepare step, in a file that goes after use."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold import hdf5

SCHEMA = "prepared"


def write_prepared(path: str | Path, digest: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of a prepare step."""
    with hdf5.create(path, SCHEMA, digest) as file:
        for name, array in sorted(arrays.items()):
            file.create_dataset(name, data=array)


def read_prepared(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a prepare step; none where the path is empty."""
    if not path:
        return {}
    arrays: dict[str, np.ndarray] = {}

    def read(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with hdf5.open_stage(path, SCHEMA) as file:
        file.visititems(read)  # a name with a slash is a path of groups
    return arrays
