"""Fixed positions: the user's own array."""

from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy
from snakefold.topology.chunks import Grid, Pieces


class FixedPositions(PlacementStrategy):
    """Places one cell of each of its types at every position given.

    Cells of a chunk keep the order of the list. Positions need not lie in the partitions; those outside are kept.
    """

    algorithm_version: ClassVar[int] = 1

    positions = Attribute(
        types.Array(None, 3, says="a list of points [x, y, z]"),
        required=True,
        unit="um",
        doc="Positions, [[x, y, z], ...].",
    )

    _by_chunk: tuple[np.ndarray, np.ndarray] | None = None  # chunk ids and positions, in chunk order

    def indicator(self, cell_type: str) -> dict | None:
        return None if self.positions is None else {"count": len(self.positions)}

    def deal(
        self, totals: dict[str, int], shares: dict[str, np.ndarray], pieces: Pieces, grid: Grid
    ) -> tuple[np.ndarray, np.ndarray]:
        chunks, counts = np.unique(grid.chunk_of(self.positions), return_counts=True)
        return chunks, np.tile(counts, (len(totals), 1))

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        if self._by_chunk is None:
            chunks = chunk.grid.chunk_of(self.positions)
            order = np.argsort(chunks, kind="stable")
            self._by_chunk = chunks[order], self.positions[order]
        chunks, positions = self._by_chunk
        first, last = np.searchsorted(chunks, np.array([chunk.id, chunk.id + 1], np.uint64))
        return {cell_type: {"position": positions[first:last]} for cell_type in chunk.counts}
