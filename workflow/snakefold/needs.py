"""What a job will need: memory and CPU time, estimated before it runs from the numbers of cells and synapses.

The constants are the costs that jobs print at the end of their logs, measured on the microcircuit and the benchmarks
and rounded up. An estimate is for asking a scheduler; a job that needs more is tried again with more.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

UNKNOWN_EDGES = 5e6  # synapses of an edge set of which nothing is known before
_BYTES_PER_VOXEL = 5  # its mask, and where it goes
_BYTES_PER_PLACED_CELL = 100
_BYTES_PER_GATHERED_CELL = 30
_BYTES_PER_MADE_EDGE = 60
_COPIES_OF_COLUMNS = 4  # in the journal, joined, in order, and on their way to the file
_BYTES_PER_SIMULATED_CELL = 3_000
_BYTES_PER_EXTENSION_CELL = 32_000  # more for each, as NESTML makes them
_BYTES_PER_SIMULATED_EDGE = 160
_UPDATE_S = 6e-8  # of a neuron with an exact solution, a step
_INTEGRATED_S = 3e-7  # of one whose equations NEST integrates
_EXTENSION_S = 7e-7  # of one of an extension module: NESTML integrates what has no exact solution
_INTEGRATED = re.compile("cond|aeif|hh_|izhikevich|_nestml")
_EVENT_S = 1.5e-7  # of a synapse
_LOAD_S = 2e-6  # of a synapse
_PANEL_S = 0.05  # to draw it
_REPORTED_EDGE_S = 2.5e-7
RATE_HZ = 4.0  # about what cortical networks fire


@dataclass(frozen=True)
class Needs:
    """What one job needs.

    Attributes
    ----------
    memory_mb : at most, beside what every Python process with NumPy and h5py has
    cpu_s : on one core
    """

    memory_mb: float = 0.0
    cpu_s: float = 0.0


def voxelising(n_voxels: float, largest_bytes: float) -> Needs:
    """Return what it needs to cut a partition of voxels, whose largest volume has so many bytes, unpacked."""
    bytes_ = 2 * largest_bytes + n_voxels * _BYTES_PER_VOXEL  # unpacking holds a volume twice
    return Needs(bytes_ / 1e6, n_voxels * 5e-7)


def placing(n_cells: float, cost_s: float, more_bytes_per_cell: int = 0) -> Needs:
    """Return what a tile of a placement needs, whose strategy holds more than its cells."""
    return Needs(n_cells * (_BYTES_PER_PLACED_CELL + more_bytes_per_cell) / 1e6, cost_s)


def connecting(n_edges: float, held: float, n_cells: float, cost_per_edge_s: float, bytes_of_columns: int = 0) -> Needs:
    """Return what a tile of a connectivity strategy needs, whose source and target cells are `n_cells`.

    Its edges, of which it has `held` in memory at once, have further columns of so many bytes together.
    """
    bytes_per_edge = _BYTES_PER_MADE_EDGE + _COPIES_OF_COLUMNS * bytes_of_columns
    bytes_ = held * bytes_per_edge + n_cells * _BYTES_PER_PLACED_CELL
    return Needs(bytes_ / 1e6, n_edges * cost_per_edge_s)


def gathering(n_cells: float) -> Needs:
    """Return what it needs to join the tiles of a cell type; those of an edge set are streamed."""
    return Needs(n_cells * _BYTES_PER_GATHERED_CELL / 1e6, n_cells * 1e-6)


def reporting(n_panels: float, n_edges: float) -> Needs:
    """Return what the report needs, with so many panels of degrees and distances, of all edges."""
    return Needs(0.0, n_panels * _PANEL_S + n_edges * _REPORTED_EDGE_S)


def simulating(
    cells: Iterable[tuple[float, str]],
    n_edges: float,
    duration_ms: float,
    resolution_ms: float,
    *,
    extended: bool = False,
) -> Needs:
    """Return what a simulation with NEST needs.

    Parameters
    ----------
    cells : of each cell type, how many, and the name of their model
    extended : whether models may be those of extension modules
    """
    cells = list(cells)
    n_cells = sum(n for n, _ in cells)
    steps = sum(n * _step_s(model, extended) for n, model in cells) * duration_ms / resolution_ms
    events = n_edges * duration_ms / 1e3 * RATE_HZ * _EVENT_S
    n_large = sum(n for n, model in cells if extended and _INTEGRATED.search(model))
    bytes_ = n_cells * _BYTES_PER_SIMULATED_CELL + n_large * _BYTES_PER_EXTENSION_CELL
    bytes_ += n_edges * _BYTES_PER_SIMULATED_EDGE
    return Needs(bytes_ / 1e6, steps + events + n_edges * _LOAD_S)


def _step_s(model: str, extended: bool) -> float:
    """Return the CPU time of a step of a neuron."""
    if not _INTEGRATED.search(model):
        return _UPDATE_S
    return _EXTENSION_S if extended else _INTEGRATED_S
