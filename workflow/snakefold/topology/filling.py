"""What the partitions of a strategy fill, piece by piece, read when it is asked for: a tile needs its own chunks."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from snakefold.topology.chunks import Grid, Pieces, cut, encode, joined
from snakefold.topology.domains import Domain, domain_of
from snakefold.topology.voxelised import Voxelised


class Filling:
    """The partitions of a strategy.

    Parameters
    ----------
    parts : of each partition its boxes, (n, 2, 3) um, or its voxels
    """

    def __init__(self, grid: Grid, parts: Sequence[np.ndarray | Voxelised]):
        self.grid, self.parts = grid, parts
        none = np.empty((0, 2, 3))
        self._boxes = [none if isinstance(part, Voxelised) else part for part in parts]
        self._cut = cut(grid, self._boxes)
        self._chunks, self._first = self._cut.by_chunk()
        self._voxels = [i for i, part in enumerate(parts) if isinstance(part, Voxelised)]

    def within(self, chunk: int, columns: Sequence[str] = ()) -> Pieces:
        """Return the pieces in a chunk, (n,): parts of boxes, and voxels with the integrals of some data columns."""
        at = int(np.searchsorted(self._chunks, np.uint64(chunk)))
        there = at < len(self._chunks) and int(self._chunks[at]) == chunk
        boxes = self._cut.select(*(self._first[at : at + 2] if there else (0, 0)))
        if not self._voxels:
            return boxes
        of = [boxes.take(boxes.partition == i) for i in range(len(self.parts))]
        for i in self._voxels:
            of[i] = self.parts[i].within(chunk, columns)
        return joined(of)

    @cached_property
    def bounds(self) -> np.ndarray:
        """The boxes around the partitions, (n_partitions, 2, 3), um: lower and upper corners."""
        found = [p.bounds if isinstance(p, Voxelised) else (p[:, 0].min(0), p[:, 1].max(0)) for p in self.parts]
        return np.array(found, np.float64).reshape(-1, 2, 3)

    @cached_property
    def volume(self) -> float:
        """Volume of the partitions, um^3."""
        volumes = [p.volume if isinstance(p, Voxelised) else np.diff(p, axis=1)[:, 0].prod(1).sum() for p in self.parts]
        return float(sum(volumes))

    @property
    def n_pieces(self) -> int:
        """Number of pieces in all chunks."""
        return len(self._cut.chunk) + sum(self.parts[i].n_cells for i in self._voxels)

    def around(self, lower: np.ndarray, upper: np.ndarray) -> Domain:
        """Return what the partitions fill of a box, of corners (3,) um."""
        boxes = np.concatenate(self._boxes)
        n = len(boxes)
        pieces = [Pieces(np.zeros(n, np.uint64), np.zeros(n, int), boxes[:, 0], boxes[:, 1])]
        if self._voxels:
            first = np.floor((np.asarray(lower) - self.grid.origin) / self.grid.size).astype(np.int64)
            last = np.ceil((np.asarray(upper) - self.grid.origin) / self.grid.size).astype(np.int64)
            ijk = np.indices(np.maximum(last - first, 0)).reshape(3, -1).T + first
            pieces += [self.parts[i].within(chunk) for chunk in encode(ijk).tolist() for i in self._voxels]
        return domain_of(joined(pieces), lower, upper)
