"""Voxels in chunks: a mask and its data columns cut at the faces of the chunks, written by one job and read by tiles.

The faces of voxels and of chunks make one rectilinear grid of cells, each in one voxel and one chunk. Cells that belong
to the mask are kept chunk by chunk, in chunk order: a bit for each cell of a chunk, and a value for each that is set in
the columns, x slowest. A tile reads those of its chunks. In the file of the part, below `voxels`:

    x, y, z          edges of the cells, um
    chunk            (m,) uint64; volume, um^3; lower, upper, (m, 3) um, the box of what lies in a chunk
    rows, bytes      (m + 1,) int64, where the values and the bits of a chunk begin
    mask             bits, each chunk's filled up to bytes
    column/<i>       values; sums/<i>, (m,), their integrals over chunks
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import fsum, prod
from pathlib import Path

import h5py
import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError
from snakefold.topology.chunks import Grid, Pieces, decode, encode

MOST_CHUNKS = 10**7  # in the box of a partition
MOST_VOXELS_IN_CHUNK = 2**23  # a tile holds one chunk's, some 100 bytes each
_BLOCK = 2**21  # cells worked on at once
_SAME = 1e-6  # of an edge: a face of a voxel that is so near to one of a chunk is that


@dataclass(frozen=True)
class Frame:
    """Where the voxels of a volume are.

    Attributes
    ----------
    sizes : number along each axis
    spacing : edge lengths of one, um
    corner : lower corner of the first, um
    """

    sizes: tuple[int, int, int]
    spacing: tuple[float, float, float]
    corner: tuple[float, float, float]


@dataclass(frozen=True)
class VoxelExtent:
    """What counting needs of a partition of voxels.

    Attributes
    ----------
    columns : names of its data columns
    most : volume that it has at most, um^3
    volume : its volume, um^3; None where it is not known before its part is built
    integrals : of each column over all of it
    bad : of each column, the number of cells where it is negative or no number
    pieces : what lies in each chunk, as one piece, with the columns' integrals
    """

    columns: tuple[str, ...]
    most: float
    volume: float | None = None
    integrals: tuple[float, ...] = ()
    bad: tuple[int, ...] = ()
    pieces: Pieces | None = None


def column_of(names: Sequence[str], name: str) -> int | None:
    """Return which column has a name: that, or the only one whose file is called so but for folder and suffix."""
    if name in names:
        return list(names).index(name)
    stems = [i for i, own in enumerate(names) if Path(own).stem == name]
    return stems[0] if len(stems) == 1 else None


class _Axis:
    """The cells along one axis: their edges, and which voxel and which chunk each lies in."""

    def __init__(self, corner: float, spacing: float, first: int, last: int, origin: float, size: float):
        voxels = corner + np.arange(first, last + 2) * spacing
        near = _SAME * min(spacing, size)
        steps = np.arange(np.floor((voxels[0] - origin) / size), np.ceil((voxels[-1] - origin) / size) + 1)
        faces = steps * size + origin
        faces = faces[(faces > voxels[0] - near) & (faces < voxels[-1] + near)]
        if len(faces):
            at = np.clip(np.searchsorted(faces, voxels), 1, max(len(faces) - 1, 1))
            gap = np.minimum(np.abs(voxels - faces[at - 1]), np.abs(voxels - faces[np.minimum(at, len(faces) - 1)]))
            voxels = voxels[gap > near]
        self.edges = np.unique(np.concatenate([voxels, faces]))
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        self.voxel = np.clip(np.floor((middle - corner) / spacing).astype(np.int64), first, last)
        chunk = np.floor((middle - origin) / size).astype(np.int64)
        self.chunks, self.start = np.unique(chunk, return_index=True)
        self.stop = np.append(self.start[1:], len(chunk))
        self.which = np.repeat(np.arange(len(self.chunks)), self.stop - self.start)
        self.n = self.stop - self.start


@dataclass
class Cutting:
    """A mask cut at the faces of chunks.

    Parameters
    ----------
    mask : (nx, ny, nz) bool, one of them set
    """

    mask: np.ndarray
    frame: Frame
    grid: Grid
    axes: list[_Axis] = field(init=False)

    def __post_init__(self):
        self.axes = []
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            there = np.flatnonzero(self.mask.any(axis=others))
            corner, spacing = self.frame.corner[axis], self.frame.spacing[axis]
            origin, size = self.grid.origin[axis], self.grid.size[axis]
            self.axes.append(_Axis(corner, spacing, int(there[0]), int(there[-1]), origin, size))
        if (n := prod(len(a.chunks) for a in self.axes)) > MOST_CHUNKS:
            what = f"its box is cut into {n:.3g} chunks (at most {MOST_CHUNKS:.0e})"
            raise UserError(f"{what}; network.chunk_size should be larger")

    def _blocks(self) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """Yield (i, j, k, cells): the cells of chunks i and from j to before k along x and y, all along z."""
        x, y, z = self.axes
        for i in range(len(x.chunks)):
            j = 0
            while j < len(y.chunks):
                most = _BLOCK / (x.n[i] * len(z.voxel))
                k = int(max(np.searchsorted(y.stop, y.start[j] + most, side="right"), j + 1))
                own = x.voxel[x.start[i] : x.stop[i]], y.voxel[y.start[j] : y.stop[k - 1]], z.voxel
                yield i, j, k, self.mask[np.ix_(*own)]
                j = k

    @cached_property
    def _numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of cells in, and volume of, each chunk of the box, (cx, cy, cz) each."""
        x, y, z = self.axes
        wx, wy, wz = (np.diff(a.edges) for a in self.axes)
        n = np.zeros([len(a.chunks) for a in self.axes], np.int64)
        volume = np.zeros(n.shape)
        for i, j, k, block in self._blocks():
            start = y.start[j:k] - y.start[j]
            count = np.add.reduceat(block.sum(axis=0, dtype=np.int64), start, axis=0)
            n[i, j:k] = np.add.reduceat(count, z.start, axis=1)
            area = np.tensordot(wx[x.start[i] : x.stop[i]], block, axes=1)
            area *= wy[y.start[j] : y.stop[k - 1], None] * wz
            volume[i, j:k] = np.add.reduceat(np.add.reduceat(area, start, axis=0), z.start, axis=1)
        return n, volume

    def write(self, group: h5py.Group) -> None:
        """Write all but the columns, and keep what these need."""
        n, volume = self._numbers
        found = np.argwhere(n > 0)
        ids = encode(np.stack([a.chunks[found[:, i]] for i, a in enumerate(self.axes)], axis=1))
        order = np.argsort(ids)
        found, ids = found[order], ids[order]
        rank = np.full(n.shape, -1, np.int64)
        rank[tuple(found.T)] = np.arange(len(ids))
        rows = np.concatenate([[0], np.cumsum(n[tuple(found.T)])])
        shape = np.stack([a.n[found[:, i]] for i, a in enumerate(self.axes)], axis=1)
        bytes_ = np.concatenate([[0], np.cumsum(-(-shape.prod(axis=1) // 8))])
        bits = np.zeros(bytes_[-1], np.uint8)
        lower, upper = np.empty((len(ids), 3)), np.empty((len(ids), 3))
        n_voxels = prod(self.mask.shape)
        self._voxel = np.empty(rows[-1], np.uint32 if n_voxels <= 2**32 else np.int64)
        even = all(
            np.allclose(np.diff(a.edges), s, rtol=1e-9) for a, s in zip(self.axes, self.frame.spacing, strict=True)
        )
        self._size = None if even else np.empty(rows[-1])
        self.rows, self.n_chunks = rows, len(ids)
        for i, j, _, block in self._blocks():
            self._fill(i, j, block, rank, rows, bytes_, bits, lower, upper)
        for name, axis in zip("xyz", self.axes, strict=True):
            group.create_dataset(name, data=axis.edges)
            group.create_dataset(f"{name}_chunk", data=axis.chunks[axis.which])
        own = {"chunk": ids, "volume": volume[tuple(found.T)], "lower": lower, "upper": upper, "rows": rows}
        for name, array in (own | {"bytes": bytes_, "mask": bits}).items():
            group.create_dataset(name, data=array)

    def _fill(self, i, j, block, rank, rows, bytes_, bits, lower, upper) -> None:
        """Enter the cells of a block."""
        axes = self.axes
        at = list(np.nonzero(block))
        if not len(at[0]):
            return
        at[0] += axes[0].start[i]
        at[1] += axes[1].start[j]
        chunk = [a.which[index] for a, index in zip(axes, at, strict=True)]
        of = rank[tuple(chunk)]
        order = np.argsort(of, kind="stable")
        of, at, chunk = of[order], [a[order] for a in at], [c[order] for c in chunk]
        there, first = np.unique(of, return_index=True)
        row = rows[of] + np.arange(len(of)) - np.repeat(first, np.diff(np.append(first, len(of))))
        own = [index - a.start[c] for a, index, c in zip(axes, at, chunk, strict=True)]
        bit = (own[0] * axes[1].n[chunk[1]] + own[1]) * axes[2].n[chunk[2]] + own[2]
        byte = bytes_[of] + bit // 8
        starts = np.flatnonzero(np.diff(byte, prepend=-1))
        bits[byte[starts]] = np.bitwise_or.reduceat(np.uint8(128) >> (bit % 8).astype(np.uint8), starts)
        nx, ny, _ = self.mask.shape
        x, y, z = (a.voxel[index] for a, index in zip(axes, at, strict=True))
        self._voxel[row] = x + nx * (y + ny * z)
        if self._size is not None:
            self._size[row] = np.prod([np.diff(a.edges)[index] for a, index in zip(axes, at, strict=True)], axis=0)
        for axis, a in enumerate(axes):
            lower[there, axis] = a.edges[np.minimum.reduceat(at[axis], first)]
            upper[there, axis] = a.edges[np.maximum.reduceat(at[axis], first) + 1]

    def write_column(self, group: h5py.Group, name: str, volume: np.ndarray) -> None:
        """Write the values of a volume, of at least the mask's sizes, as column `name`, and their sums."""
        if volume.shape != self.mask.shape:
            volume = np.asfortranarray(volume[tuple(slice(n) for n in self.mask.shape)])
        flat = volume.ravel(order="F")
        small = np.can_cast(volume.dtype, np.float32)
        values = group.create_dataset(f"column/{name}", (len(self._voxel),), np.float32 if small else np.float64)
        sums, bad = np.zeros(self.n_chunks), 0
        cell, first = prod(self.frame.spacing), 0
        while first < self.n_chunks:
            last = int(max(np.searchsorted(self.rows, self.rows[first] + _BLOCK, side="right") - 1, first + 1))
            start, stop = self.rows[first], self.rows[last]
            block = flat[self._voxel[start:stop]].astype(np.float64)
            bad += int((~((block >= 0) & (block < np.inf))).sum())
            values[start:stop] = block
            weighed = block * (cell if self._size is None else self._size[start:stop])
            sums[first:last] = np.add.reduceat(weighed, self.rows[first:last] - start)
            first = last
        group.create_dataset(f"sums/{name}", data=sums).attrs["bad"] = bad


class Voxelised:
    """The voxels of a partition, as its part has them.

    Parameters
    ----------
    path : file of the part
    columns : names of its columns
    """

    def __init__(self, path: str | Path, columns: Sequence[str]):
        self.columns = tuple(columns)
        self._file = hdf5.open_stage(path, "build")
        self._group = self._file["voxels"]
        self.chunk, self._rows, self._bytes = (self._group[name][()] for name in ("chunk", "rows", "bytes"))
        self._mask = self._group["mask"]
        self._values = [self._group[f"column/{i}"] for i in range(len(self.columns))]

    @cached_property
    def _axes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self._group[name][()], self._group[f"{name}_chunk"][()]) for name in "xyz"]

    @property
    def n_cells(self) -> int:
        """Number of voxels, or parts of voxels, in all chunks."""
        return int(self._rows[-1])

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the box around them, (3,) each, um."""
        return self._group["lower"][()].min(axis=0), self._group["upper"][()].max(axis=0)

    @property
    def volume(self) -> float:
        """Their volume, um^3."""
        return fsum(self._group["volume"][()])

    def extent(self) -> VoxelExtent:
        """Return what counting needs."""
        group, n = self._group, len(self.chunk)
        sums = [group[f"sums/{i}"] for i in range(len(self.columns))]
        amounts = {name: s[()] for name, s in zip(self.columns, sums, strict=True)}
        partition, volume = np.zeros(n, int), group["volume"][()]
        pieces = Pieces(self.chunk, partition, group["lower"][()], group["upper"][()], volume, amounts)
        return VoxelExtent(
            self.columns,
            self.volume,
            self.volume,
            tuple(fsum(a) for a in amounts.values()),
            tuple(int(s.attrs["bad"]) for s in sums),
            pieces,
        )

    def within(self, chunk: int, columns: Sequence[str] = ()) -> Pieces:
        """Return the pieces in a chunk, with integrals of some columns; none where it has none there."""
        at = int(np.searchsorted(self.chunk, np.uint64(chunk)))
        if at == len(self.chunk) or self.chunk[at] != chunk:
            empty = np.empty((0, 3))
            return Pieces(
                np.empty(0, np.uint64), np.empty(0, int), empty, empty, None, {c: np.empty(0) for c in columns}
            )
        ijk = decode(self.chunk[at : at + 1])[0]
        spans = [
            (np.searchsorted(own, i), np.searchsorted(own, i, side="right"))
            for (_, own), i in zip(self._axes, ijk, strict=True)
        ]
        shape = [stop - start for start, stop in spans]
        bits = np.unpackbits(self._mask[self._bytes[at] : self._bytes[at + 1]], count=prod(shape))
        cells = np.stack(np.unravel_index(np.flatnonzero(bits), shape), axis=1)
        edges = [e[start : stop + 1] for (e, _), (start, stop) in zip(self._axes, spans, strict=True)]
        lower = np.stack([e[cells[:, a]] for a, e in enumerate(edges)], axis=1)
        upper = np.stack([e[cells[:, a] + 1] for a, e in enumerate(edges)], axis=1)
        size, rows = np.prod(upper - lower, axis=1), slice(*self._rows[at : at + 2])
        amounts = {c: self._values[column_of(self.columns, c)][rows] * size for c in columns}
        n = len(cells)
        return Pieces(np.full(n, chunk, np.uint64), np.zeros(n, int), lower, upper, None, amounts)
