"""Spike trains: the spikes of a simulation cell by cell, in bounded memory.

Spike files are in order of time. What is wanted of some cells is picked out of the whole file, block by block; how many
cells are wanted at once is cut so that their spikes fit.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from snakefold import hdf5
from snakefold.sonata.spikes import SCHEMA

BLOCK = 1 << 22  # spikes
HELD = 1 << 23  # spikes that `rows` reads at a time, for which it looks through the whole file


class Trains:
    """The trains of the recorded cells of one population.

    Parameters
    ----------
    path : the spike file
    ids : (n,) int64, rising: node ids of the cells that were recorded; spikes of others are left out

    Attributes
    ----------
    counts : (n,) int64, number of spikes of each cell
    starts : (n + 1,) int64: cell i has the spikes starts[i]:starts[i + 1], in the order of cells
    """

    def __init__(self, path: str | Path, population: str, ids: np.ndarray):
        self._file = hdf5.open_stage(path, SCHEMA)
        self._group = self._file[f"spikes/{population}"]
        self.ids = ids
        self.counts = np.zeros(len(ids), np.int64)
        for _, cells in self._blocks():
            self.counts += np.bincount(cells, minlength=len(ids))
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])
        self._held = 0, np.empty(0)  # the first of those that were read last, and these

    def __enter__(self) -> "Trains":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return (stop - start,) float64, ms: some spikes in the order of cells, those of a cell in that of time."""
        begin, held = self._held
        if start < begin or stop > begin + len(held):
            first = int(np.searchsorted(self.starts, start, side="right")) - 1
            last = int(np.searchsorted(self.starts, max(stop, min(start + HELD, len(self))), side="left"))
            begin, held = self._held = int(self.starts[first]), self.times(first, last)
        return held[start - begin : stop - begin]

    def times(self, first: int, last: int) -> np.ndarray:
        """Return (n,) float64, ms: the spikes of cells first:last, cell after cell."""
        made = np.empty(self.starts[last] - self.starts[first])
        at = self.starts[first:last] - self.starts[first]  # where the next spike of each cell goes
        for times, cells in self._blocks():
            inside = (cells >= first) & (cells < last)
            order = np.argsort(cells[inside], kind="stable")
            of, counts = cells[inside][order] - first, np.bincount(cells[inside] - first, minlength=last - first)
            before = np.cumsum(counts) - counts
            made[at[of] + np.arange(len(of)) - before[of]] = times[inside][order]
            at = at + counts
        return made

    def groups(self, most: int = BLOCK) -> Iterator[tuple[int, int]]:
        """Yield (first, last) of runs of cells with about `most` spikes, or of one cell with more."""
        first = 0
        while first < len(self.ids):
            last = int(np.searchsorted(self.starts, self.starts[first] + most, side="right")) - 1
            last = min(max(last, first + 1), len(self.ids))
            yield first, last
            first = last

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield times and the index of their cell among those recorded, in order of time."""
        n = len(self._group["timestamps"])
        for start in range(0, n if len(self.ids) else 0, BLOCK):
            ids = self._group["node_ids"][start : start + BLOCK].astype(np.int64)
            cells = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            known = self.ids[cells] == ids
            yield self._group["timestamps"][start : start + BLOCK][known], cells[known]
