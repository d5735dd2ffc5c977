"""Placed cells as strategies see them: by type, with node ids and positions, read from R/nodes when asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from snakefold.sonata.labels import labelled
from snakefold.sonata.nodes import Nodes
from snakefold.topology.chunks import Grid, Nearby


@dataclass(frozen=True)
class Cells:
    """Some cells of one type.

    Attributes
    ----------
    nodes : the open node file of the type
    runs : (n_runs, 2) int64, half-open ranges of node ids, ascending
    """

    nodes: Nodes
    runs: np.ndarray

    @property
    def type(self) -> str:
        """Name of the cell type."""
        return self.nodes.population

    def __len__(self) -> int:
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())

    @cached_property
    def node_ids(self) -> np.ndarray:
        """(n,) uint32, ascending."""
        return _concatenate([np.arange(a, b, dtype=np.uint32) for a, b in self.runs], np.empty(0, np.uint32))

    @cached_property
    def positions(self) -> np.ndarray:
        """(n, 3) float32, um."""
        return _concatenate([self.nodes.positions(a, b) for a, b in self.runs], np.empty((0, 3), np.float32))

    def column(self, name: str, *, codes: bool = False) -> np.ndarray:
        """Return a property of the cells, (n,); strings, or, on request, their codes in the population's library."""
        return _concatenate([self.nodes.column(name, a, b, codes=codes) for a, b in self.runs], np.empty(0))

    @property
    def morphologies(self) -> tuple[str, ...]:
        """Names of the morphologies of the population; an empty name for cells without one."""
        return self.nodes.library("morphology")

    @cached_property
    def morphology(self) -> np.ndarray:
        """(n,) uint32, the morphology of each cell, an index into `morphologies`."""
        return self.column("morphology", codes=True)

    @cached_property
    def rotations(self) -> np.ndarray | None:
        """(n, 4) float64, unit quaternions (w, x, y, z) that turn each cell's morphology; None where no cell is turned.

        A point p of the morphology of a cell lies at its position plus p turned.
        """
        if not self.nodes.turned:
            return None
        return np.stack([self.column(f"orientation_{c}") for c in "wxyz"], axis=1, dtype=np.float64)

    def labelled(self, labels: Sequence[str] | None) -> "Cells":
        """Return those of the cells that have any of some labels; of no labels, those that have none; of None, all."""
        if labels is None:
            return self
        masks = [labelled(self.nodes, labels, a, b) for a, b in self.runs]
        return Chosen(self.nodes, self.runs, np.flatnonzero(_concatenate(masks, np.empty(0, bool))))

    def ids_of(self, index: np.ndarray) -> np.ndarray:
        """Return the node ids, (m,) uint32, of cells given by their index among these."""
        if len(self.runs) == 1:
            return (index + self.runs[0, 0]).astype(np.uint32)
        return self.node_ids[index]


@dataclass(frozen=True)
class Chosen(Cells):
    """Some of the cells in some ranges.

    Attributes
    ----------
    which : (n,) int64, their indices among all cells in the ranges, ascending
    """

    which: np.ndarray

    def __len__(self) -> int:
        return len(self.which)

    @cached_property
    def node_ids(self) -> np.ndarray:
        return Cells(self.nodes, self.runs).node_ids[self.which]

    @cached_property
    def positions(self) -> np.ndarray:
        return Cells(self.nodes, self.runs).positions[self.which]

    def column(self, name: str, *, codes: bool = False) -> np.ndarray:
        return super().column(name, codes=codes)[self.which]

    def ids_of(self, index: np.ndarray) -> np.ndarray:
        return self.node_ids[index]


class Population:
    """All cells of one type, with the chunks that they were placed in."""

    def __init__(self, path: str | Path):
        self.nodes = Nodes(path)
        self.type, self.n, self.chunks = self.nodes.population, self.nodes.n, self.nodes.chunks
        self._nearby: dict[Grid, Nearby] = {}

    @cached_property
    def all(self) -> Cells:
        """All cells."""
        return Cells(self.nodes, np.array([[0, self.n]], np.int64))

    def of_units(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return the node id range of each unit (placement strategy, chunk), in id order."""
        table = self.chunks
        names = np.asarray(table.blocks, object)[table.block] if len(table.block) else ()
        starts, stops = table.offsets[:-1].tolist(), table.offsets[1:].tolist()
        return dict(zip(zip(names, table.chunk.tolist(), strict=True), zip(starts, stops, strict=True), strict=True))

    def run(self, start: int, stop: int) -> Cells:
        """Return a contiguous range of the cells."""
        return Cells(self.nodes, np.array([[start, stop]], np.int64))

    def near(self, grid: Grid, lower: np.ndarray, upper: np.ndarray, halo_um: float) -> Cells:
        """Return the cells of all chunks that come within `halo_um` of a box (corners (3,), um).

        Cells may lie outside their chunks, so that these come within more, but no cell within the halo is missed.
        """
        if grid not in self._nearby:
            self._nearby[grid] = Nearby(grid, self.chunks.chunk)
        rows = self._nearby[grid](lower, upper, halo_um + self.chunks.stray)
        return Cells(self.nodes, _joined(self.chunks.offsets[rows], self.chunks.offsets[rows + 1]))


def open_populations(paths: Iterable[str | Path]) -> dict[str, Population]:
    """Return the populations of node files, by cell type."""
    return {p.type: p for p in map(Population, paths)}


def _joined(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return ascending ranges, (n_runs, 2) int64, without those of no cells, and each with what follows it directly."""
    some = stops > starts
    starts, stops = starts[some], stops[some]
    apart = starts[1:] != stops[:-1]
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    n = len(starts)
    return np.stack([starts[first[:n]], stops[last[:n]]], axis=1).astype(np.int64)


def _concatenate(parts: list[np.ndarray], nothing: np.ndarray) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else nothing
