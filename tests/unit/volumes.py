"""NRRD files for tests."""

from pathlib import Path

import nrrd
import numpy as np


def write_volume(path: Path, data: np.ndarray, spacing: float | None = 25.0, origin=None, **fields) -> str:
    """Write a volume, of cubic voxels unless its spacing is None, and return its name."""
    header = {} if spacing is None else {"space dimension": 3, "space directions": np.eye(3) * spacing}
    if origin is not None:
        header["space origin"] = np.array(origin, float)
    nrrd.write(str(path), np.asarray(data), header | fields)
    return path.name


def halves(sizes=(8, 6, 4)) -> np.ndarray:
    """Return an annotation: 1 in the lower half along x, 2 in the upper one, 0 along the edge of it."""
    made = np.zeros(sizes, np.uint16)
    made[: sizes[0] // 2], made[sizes[0] // 2 :] = 1, 2
    made[:, 0] = 0
    return made
