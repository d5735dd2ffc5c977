"""Chunks: the boxes of the grid that `network.chunk_size` lays over the circuit, the units of randomness and failure.

A chunk's id is the Morton code of its grid coordinates (21 bits each, shifted by 2**20 so that they may be negative);
chunk order is the order of ids. It depends on the grid alone, so enlarging a network renames no chunk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_SHIFT = 1 << 20
FARTHEST_CHUNK = _SHIFT - 1


@dataclass(frozen=True)
class Grid:
    """The grid: a corner of one chunk and the size of all, um."""

    origin: tuple[float, float, float]
    size: tuple[float, float, float]

    def chunk_of(self, positions: np.ndarray) -> np.ndarray:
        """Return the id of the chunk that holds each point.

        Parameters
        ----------
        positions : (n, 3), um

        Returns
        -------
        (n,) uint64
        """
        return encode(np.floor((np.asarray(positions, np.float64) - self.origin) / self.size).astype(np.int64))

    def bounds(self, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper corners of chunks, each (n, 3) float64, um."""
        lower = decode(chunks) * np.asarray(self.size) + self.origin
        return lower, lower + self.size

    def stray(self, chunks: np.ndarray, positions: np.ndarray) -> float:
        """Return how far points, (n, 3) float32 um, lie outside their chunks, (n,), at most, along an axis.

        0 where no more than the rounding to float32 is between.
        """
        if not len(positions):
            return 0.0
        lower, upper = self.bounds(chunks)
        farthest = float(np.maximum(lower - positions, positions - upper).max())
        return farthest if farthest > np.spacing(np.abs(positions).max()) else 0.0


@dataclass(frozen=True)
class Pieces:
    """Boxes cut by the grid: the parts of partitions that lie in one chunk each, in chunk order.

    Of a partition of voxels a piece is a voxel, or what lies of it in one chunk; where it is about more than one chunk,
    all that lies in a chunk is one piece: `lower` and `upper` hold it, and `filled` says how much of that it fills.

    Attributes
    ----------
    chunk : (n,) uint64
    partition : (n,) int, which of the partitions
    lower, upper : (n, 3) float64, um
    filled : (n,) float64, um^3, where pieces need not fill their boxes
    amounts : integrals of data columns over the pieces, (n,) each: of a density, the number of cells
    """

    chunk: np.ndarray
    partition: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    filled: np.ndarray | None = None
    amounts: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def volume(self) -> np.ndarray:
        """Volumes, (n,), um^3."""
        return np.prod(self.upper - self.lower, axis=1) if self.filled is None else self.filled

    def by_chunk(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct chunks, (m,), and where the pieces of each begin, (m + 1,)."""
        chunks, first = np.unique(self.chunk, return_index=True)
        return chunks, np.append(first, len(self.chunk))

    def volumes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct chunks, (m,), and the volume in each, (m,) float64, um^3."""
        chunks, first = self.by_chunk()
        return chunks, np.add.reduceat(self.volume, first[:-1]) if len(chunks) else np.empty(0)

    def sums(self, column: str) -> np.ndarray:
        """Return the integral of a data column over each of the distinct chunks, (m,)."""
        chunks, first = self.by_chunk()
        return np.add.reduceat(self.amounts[column], first[:-1]) if len(chunks) else np.empty(0)

    def bounds(self, n_partitions: int) -> np.ndarray:
        """Return the box around the pieces of each partition, (n_partitions, 2, 3), um; nan where it has none."""
        bounds = np.full((n_partitions, 2, 3), np.nan)
        np.fmin.at(bounds[:, 0], self.partition, self.lower)
        np.fmax.at(bounds[:, 1], self.partition, self.upper)
        return bounds

    def select(self, start: int, stop: int) -> "Pieces":
        """Return a run of pieces."""
        return self.take(slice(start, stop))

    def take(self, which: slice | np.ndarray) -> "Pieces":
        """Return some of the pieces."""
        amounts = {column: amount[which] for column, amount in self.amounts.items()}
        filled = None if self.filled is None else self.filled[which]
        own = (self.chunk, self.partition, self.lower, self.upper)
        return Pieces(*(a[which] for a in own), filled, amounts)


def cut(grid: Grid, boxes: list[np.ndarray]) -> Pieces:
    """Cut the boxes of some partitions, each (n, 2, 3) float64, at the chunks' faces."""
    pieces = []
    for partition, partition_boxes in enumerate(boxes):
        for lower, upper in partition_boxes:
            edges, index = [], []
            for axis in range(3):
                origin, size = grid.origin[axis], grid.size[axis]
                first = int(np.floor((lower[axis] - origin) / size))
                last = int(np.ceil((upper[axis] - origin) / size))
                steps = np.arange(first, max(last, first + 1) + 1)
                edges.append(np.clip(steps * size + origin, lower[axis], upper[axis]))
                index.append(steps[:-1])
            ijk = np.stack(np.meshgrid(*index, indexing="ij"), -1).reshape(-1, 3)
            low = np.stack(np.meshgrid(*(e[:-1] for e in edges), indexing="ij"), -1).reshape(-1, 3)
            high = np.stack(np.meshgrid(*(e[1:] for e in edges), indexing="ij"), -1).reshape(-1, 3)
            filled = (high > low).all(axis=1)
            pieces.append((encode(ijk[filled]), np.full(filled.sum(), partition), low[filled], high[filled]))
    return _in_order(pieces)


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Return the pieces of several partitions, which are numbered in this order."""
    pieces = [(p.chunk, np.full(len(p.chunk), i), p.lower, p.upper, p.volume) for i, p in enumerate(parts)]
    columns = set.intersection(*(set(p.amounts) for p in parts)) if parts else set()
    amounts = {c: np.concatenate([p.amounts[c] for p in parts]) for c in sorted(columns)}
    plain = all(p.filled is None for p in parts)
    return _in_order([p[:4] for p in pieces], None if plain else np.concatenate([p[4] for p in pieces]), amounts)


def _in_order(pieces: list[tuple], filled: np.ndarray | None = None, amounts: Mapping | None = None) -> Pieces:
    """Return pieces, given as (chunk, partition, lower, upper), in the order of chunks and then of partitions."""
    if not pieces:
        return Pieces(np.empty(0, np.uint64), np.empty(0, int), np.empty((0, 3)), np.empty((0, 3)))
    chunk, partition, lower, upper = (np.concatenate(part) for part in zip(*pieces, strict=True))
    made = Pieces(chunk, partition, lower, upper, filled, amounts or {})
    return made.take(np.lexsort((partition, chunk)))


class Nearby:
    """Which of many chunks come near a box: found by their ids, so that a look costs what it finds.

    Parameters
    ----------
    chunks : (n,) uint64, in any order; a chunk may be there several times
    """

    def __init__(self, grid: Grid, chunks: np.ndarray):
        self._grid, self._chunks = grid, np.asarray(chunks, np.uint64)
        self._order = np.argsort(self._chunks, kind="stable")
        self._sorted = self._chunks[self._order]

    def __call__(self, lower: np.ndarray, upper: np.ndarray, halo_um: float) -> np.ndarray:
        """Return the indices, ascending, of the chunks that come within `halo_um` of a box (corners (3,), um)."""
        lower, upper = lower - halo_um, upper + halo_um
        found = self._candidates(lower, upper)
        low, high = self._grid.bounds(self._chunks[found])
        return found[((low < upper) & (high > lower)).all(axis=1)]

    def _candidates(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Return the indices, ascending, of all chunks that overlap a box, and of some that do not."""
        slack = 1e-3  # of a chunk, more than rounding comes to
        first = np.floor((lower - self._grid.origin) / self._grid.size - slack)
        last = np.ceil((upper - self._grid.origin) / self._grid.size + slack)
        first, last = np.maximum(first, -_SHIFT), np.minimum(last, _SHIFT)
        extent = np.maximum(last - first, 0.0)
        if not extent.prod() < len(self._chunks):
            return np.arange(len(self._chunks))
        ijk = np.indices(extent.astype(np.int64)).reshape(3, -1).T + first.astype(np.int64)
        codes = np.sort(encode(ijk))
        start, stop = (np.searchsorted(self._sorted, codes, side) for side in ("left", "right"))
        there = np.repeat(start, stop - start) + counted(stop - start)
        return np.sort(self._order[there])


def counted(n: np.ndarray) -> np.ndarray:
    """Return 0, 1, ..., n[0] - 1, 0, 1, ..., n[1] - 1, and so on."""
    return np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)


def encode(ijk: np.ndarray) -> np.ndarray:
    """Return Morton codes, (n,) uint64, of grid coordinates, (n, 3) integers.

    Raises
    ------
    ValueError : a coordinate is outside -2**20 to 2**20 - 1
    """
    shifted = np.asarray(ijk, np.int64) + _SHIFT
    if shifted.size and (shifted.min() < 0 or shifted.max() >= 2 * _SHIFT):
        raise ValueError("a chunk lies more than 2**20 chunks from the origin")
    x, y, z = (_spread(shifted[:, axis].astype(np.uint64)) for axis in range(3))
    return x | (y << np.uint64(1)) | (z << np.uint64(2))


def decode(codes: np.ndarray) -> np.ndarray:
    """Return the grid coordinates, (n, 3) int64, of Morton codes."""
    codes = np.asarray(codes, np.uint64)
    axes = [_gather(codes >> np.uint64(axis)).astype(np.int64) - _SHIFT for axis in range(3)]
    return np.stack(axes, axis=-1)


def names(codes: np.ndarray) -> list[str]:
    """Return the grid coordinates of chunks as text, as in `3,0,-1`, for journals and messages."""
    return [",".join(map(str, ijk)) for ijk in decode(codes).tolist()]


_STEPS = [  # spreads 21 bits to every third place (Morton 1966; the usual masks)
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
]


def _spread(bits: np.ndarray) -> np.ndarray:
    for shift, mask in _STEPS:
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return bits


def _gather(bits: np.ndarray) -> np.ndarray:
    bits = bits & np.uint64(_STEPS[-1][1])
    for i in range(len(_STEPS) - 1, -1, -1):
        mask = _STEPS[i - 1][1] if i else 0x1FFFFF
        bits = (bits | (bits >> np.uint64(_STEPS[i][0]))) & np.uint64(mask)
    return bits
