"""Tiles: runs of chunks along the chunk order, balanced by estimated cost. A tile is one job."""

import math

import numpy as np

AIM_S = 120.0  # CPU-s that a tile job should take
MOST_EDGES = 20_000_000  # synapses held by one job
MOST_TILES = 2_000
MOST_TILES_IN_PASSES = 200  # where each reads all tiles of earlier passes, files times files


def number_of_tiles(
    asked: int | None, cost_s: float, n_edges: float = 0, n_units: float = math.inf, n_passes: int = 1
) -> int:
    """Return the number of tiles of a strategy: as asked for, or so that its jobs take minutes.

    Parameters
    ----------
    asked : the `tiles` key of the workflow; None for auto
    cost_s : estimated CPU-s of the whole strategy
    n_edges : expected number of its synapses
    n_units : estimated number of its chunks
    n_passes : its passes
    """
    if asked is not None:
        return asked
    wanted = max(math.ceil(cost_s / AIM_S), math.ceil(n_edges / MOST_EDGES), 1)
    return int(min(wanted, MOST_TILES if n_passes == 1 else MOST_TILES_IN_PASSES, max(n_units, 1)))


def boundaries(cost: np.ndarray, n_tiles: int) -> np.ndarray:
    """Cut a run of units into tiles of about equal cost.

    Parameters
    ----------
    cost : (n_units,), any unit

    Returns
    -------
    (n_tiles + 1,) int64: tile t has the units boundaries[t]:boundaries[t + 1]; tiles may be empty
    """
    total = np.concatenate([[0.0], np.cumsum(cost, dtype=np.float64)])
    if total[-1] == 0:
        total = np.arange(len(total), dtype=np.float64)
    aims = total[-1] * np.arange(1, n_tiles) / n_tiles
    inner = np.searchsorted(total[1:] - np.diff(total) / 2, aims)
    return np.concatenate([[0], inner, [len(cost)]]).astype(np.int64)
