"""Strategies that know all their cells beforehand: a lattice, a table. They are laid out once, in the build job.

What is laid out lies in the file of the strategy's part, in the order of chunks, and each chunk takes its own.
"""

from typing import ClassVar

import numpy as np

from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy
from snakefold.topology.chunks import Grid, Pieces


class WholePlacement(PlacementStrategy):
    """Base of the strategies that lay all their cells out at once."""

    whole: ClassVar[bool] = True

    def lay_out(self, cell_type: str, n: int, bounds: np.ndarray) -> Arrays:
        """Lay out all n cells of a type, whatever there is of others.

        Parameters
        ----------
        bounds : the boxes around its partitions, (n_partitions, 2, 3), um

        Returns
        -------
        {"position": (n, 3) float64 um, further `columns`: (n,)}
        """
        raise NotImplementedError

    def deal(
        self, totals: dict[str, int], shares: dict[str, np.ndarray], pieces: Pieces, grid: Grid
    ) -> tuple[np.ndarray, np.ndarray]:
        laid = self._laid_out(totals, pieces)
        found = [np.unique(grid.chunk_of(of["position"]), return_counts=True) for of in laid.values()]
        chunks = np.unique(np.concatenate([np.empty(0, np.uint64), *(own for own, _ in found)]))
        counts = np.zeros((len(totals), len(chunks)), np.int64)
        for i, (own, n) in enumerate(found):
            counts[i, np.searchsorted(chunks, own)] = n
        return chunks, counts

    def compiled(self, totals: dict[str, int], pieces: Pieces, grid: Grid) -> Arrays:
        made = {}
        for cell_type, of in self._laid_out(totals, pieces).items():
            chunk = grid.chunk_of(of["position"])
            order = np.argsort(chunk, kind="stable")
            made |= {f"{cell_type}/{name}": values[order] for name, values in of.items()}
            own, first = np.unique(chunk[order], return_index=True)
            made |= {f"{cell_type}/chunks": own, f"{cell_type}/first": np.append(first, len(chunk))}
        return made

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        placed = {}
        for cell_type in chunk.counts:
            chunks, first = given.prepared[f"{cell_type}/chunks"], given.prepared[f"{cell_type}/first"]
            at = int(np.searchsorted(chunks, np.uint64(chunk.id)))
            there = at < len(chunks) and chunks[at] == chunk.id
            rows = slice(first[at], first[at + 1]) if there else slice(0, 0)
            names = ("position", *self.columns_of(given.prepared, cell_type))
            placed[cell_type] = {name: given.prepared[f"{cell_type}/{name}"][rows] for name in names}
        return placed

    @staticmethod
    def columns_of(compiled: Arrays, cell_type: str) -> list[str]:
        """Return the names of the further columns that were laid out."""
        below = [name.partition("/")[2] for name in compiled if name.partition("/")[0] == cell_type]
        return [name for name in below if name not in ("position", "chunks", "first")]

    def _laid_out(self, totals: dict[str, int], pieces: Pieces) -> dict[str, Arrays]:
        if self._laid is None or self._laid[0] != totals:
            bounds = pieces.bounds(len(self.partitions))
            self._laid = dict(totals), {t: self.lay_out(t, n, bounds) for t, n in totals.items()}
        return self._laid[1]

    _laid: tuple[dict[str, int], dict[str, Arrays]] | None = None  # by totals: `deal` and `compiled` want the same
