"""Which points of two morphologies lie in voxels that touch, as tables made once for all cells that have them.

Each morphology has a grid of its own voxel size. Both grids have a corner at the origin of the source cell and turn
with it; the points of the target cell, which is elsewhere, are put into the second. Voxels are closed boxes: those
that share a face, an edge or a corner touch. What is asked of a pair of cells is W, the number of pairs of a source
point and a target point whose voxels touch, and uniform draws from these. Which source points a voxel of the second
grid touches does not depend on where the target cell is: W is the sum of their number over the target's points.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from snakefold.connectivity.boxes import blocks
from snakefold.errors import UserError, expects
from snakefold.morphology.voxels import Voxels
from snakefold.topology.chunks import counted

PHASES = 4
THINNEST = 1 / 32  # of a morphology's voxel, in its longest edges: a flat morphology would have voxels of no thickness
MOST_CELLS, MOST_TOUCHED = 2**26, 2**27  # 512 MB
AT_ONCE = 1 << 20  # points

Arrays = dict[str, np.ndarray]


class _Stored:
    """A table that is written and read as arrays."""

    def arrays(self) -> Arrays:
        """Return it as arrays."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], prefix: str = ""):
        """Return the table of `arrays`, whose names have a prefix."""
        return cls(*(np.asarray(arrays[prefix + field.name]) for field in fields(cls)))


@dataclass(frozen=True)
class Touched(_Stored):
    """The source points that each voxel of the target's grid touches, with voxels around it that touch none.

    Attributes
    ----------
    size : (3,) float64, um, edges of a voxel
    low, shape : (3,) int64, least index of a voxel, and how many there are along each axis
    n : (n_cells,) int32, source points that a voxel touches, the last axis running fastest
    first : (n_cells,) int32, where they begin in `source`
    source : (m,) int32, indices of the source morphology's points
    """

    size: np.ndarray
    low: np.ndarray
    shape: np.ndarray
    n: np.ndarray
    first: np.ndarray
    source: np.ndarray

    @property
    def strides(self) -> np.ndarray:
        """(3,) int64."""
        return np.array([self.shape[1] * self.shape[2], self.shape[2], 1])

    @classmethod
    def make(cls, source: Voxels, size: np.ndarray, margin: np.ndarray) -> "Touched":
        """Return which points of `source` the voxels of a size, (3,) um, touch; `margin`, (3,), of voxels around.

        Raises
        ------
        UserError : there would be too many voxels
        """
        own = thick(source.size)
        first, number = [], []
        for axis in range(3):
            i, edge, other = source.index[:, axis, None], own[axis], size[axis]
            about = np.arange(-2, 3)  # voxels around those of the two faces: what is rounded may be off by one
            low = np.floor(i * edge / other).astype(np.int64) + about
            high = np.floor((i + 1) * edge / other).astype(np.int64) + about
            first.append(low[:, 0] + (i * edge > low * other + other).sum(axis=1))
            number.append(high[:, 0] + (high * other <= i * edge + edge).sum(axis=1) - first[-1])
        first, number = np.stack(first, axis=1), np.stack(number, axis=1)
        low = first.min(axis=0) - margin
        shape = (first + number).max(axis=0) + margin - low
        if float(shape.astype(np.float64).prod()) > MOST_CELLS:
            raise _too_many(shape)
        n_touched = float((number.prod(axis=1, dtype=np.float64) * source.counts).sum())
        if n_touched > MOST_TOUCHED:
            most = f"at most {MOST_TOUCHED:.1g} pairs of a source's point and a target's voxel that touch"
            raise UserError(expects("there", most, f"{n_touched:.3g}") + "; ask for fewer")
        voxel = np.repeat(np.arange(len(source)), number.prod(axis=1))
        at = counted(number.prod(axis=1))
        at, z = np.divmod(at, number[voxel, 2])
        x, y = np.divmod(at, number[voxel, 1])
        cell = np.stack([x, y, z], axis=1) + first[voxel] - low
        cell = (cell[:, 0] * shape[1] + cell[:, 1]) * shape[2] + cell[:, 2]
        order = np.argsort(cell, kind="stable")
        cell, voxel = cell[order], voxel[order]
        counts = source.counts[voxel]
        n = np.bincount(cell, weights=counts, minlength=int(shape.prod())).astype(np.int32)
        points = np.empty(int(counts.sum()), np.int32)
        ends = np.cumsum(counts)
        for a, b in blocks(counts, AT_ONCE):
            at = np.repeat(source.offsets[voxel[a:b]], counts[a:b]) + counted(counts[a:b])
            points[ends[a] - counts[a] : ends[b - 1]] = source.points[at]
        return cls(size, low, shape, n, (np.cumsum(n, dtype=np.int64) - n).astype(np.int32), points)


@dataclass(frozen=True)
class Placed(_Stored):
    """The voxels of a target that is not turned against the source, for each part of a voxel its origin may lie in.

    The place of the target's origin is a whole number of voxels and a rest. The part of a voxel that the rest lies in
    decides in which voxel a point lies, but for points near a face, which may lie on either side and are listed twice.

    Attributes
    ----------
    low, extent : (3,) int64, the least voxel, and how many there are along each axis
    cells : (n_phases, n_most) int32, the voxels with points, from the least one, in steps of `Touched.strides`
    n, first : (n_phases, n_most) int32, number of points listed of each voxel, and where they begin
    sure : (n_phases, n_most) bool, whether some of them lie there for sure
    entry : (m,) int32, 8 times a point's number, plus on which side of a face it is listed: 4 in x, 2 in y, 1 in z
    rest : (3, n_points) float64, where in its voxel each point is with the origin on a corner, 0 to 1
    points : (n_points,) int64, indices of the target morphology's points
    """

    low: np.ndarray
    extent: np.ndarray
    cells: np.ndarray
    n: np.ndarray
    first: np.ndarray
    sure: np.ndarray
    entry: np.ndarray
    rest: np.ndarray
    points: np.ndarray

    @staticmethod
    def grid(places: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return in which voxels places, (n, 3) um, lie, (n, 3) int64, and where there, (n, 3) from 0 to below 1."""
        scaled = places / size
        whole = np.floor(scaled)
        return whole.astype(np.int64), np.minimum(scaled - whole, np.nextafter(1.0, 0.0))

    @classmethod
    def margin(cls, places: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Return how many voxels around those that are touched a target may reach over, (3,) int64."""
        return np.ptp(cls.grid(places, size)[0], axis=0) + 1

    @classmethod
    def make(cls, places: np.ndarray, points: np.ndarray, touched: Touched) -> "Placed":
        """Return the voxels of points, (n, 3) um and (n,) indices, in the grid of `touched`."""
        whole, rest = cls.grid(places, touched.size)
        low, extent = whole.min(axis=0), np.ptp(whole, axis=0) + 2
        cell = (whole - low) @ touched.strides
        total = _parts(rest)[None, :, :] + np.arange(PHASES)[:, None, None]
        may = np.stack([total <= PHASES - 1, total >= PHASES - 1])  # (sides, parts, n, 3): below and above the face
        n, n_phases = len(places), PHASES**3
        keys = []
        for sides in range(8):
            x, y, z = (may[(sides >> bit) & 1, :, :, axis] for axis, bit in enumerate((2, 1, 0)))
            listed = x[:, None, None] & y[None, :, None] & z[None, None]
            phase, point = np.nonzero(listed.reshape(n_phases, n))
            shift = touched.strides @ [(sides >> bit) & 1 for bit in (2, 1, 0)]
            keys.append((((phase * len(touched.n)) + cell[point] + shift) * n + point) * 8 + sides)
        key = np.sort(np.concatenate(keys))
        voxel, entry = np.divmod(key, 8 * n)
        point = entry >> 3
        phase, cell = np.divmod(voxel, len(touched.n))
        part = np.stack([phase // PHASES**2, phase // PHASES % PHASES, phase % PHASES], axis=1)
        sure = (_parts(rest)[point] + part != PHASES - 1).all(axis=1)
        starts = np.flatnonzero(np.concatenate([[True], voxel[1:] != voxel[:-1]]))
        n_listed = np.diff(np.append(starts, len(voxel)))
        some = np.bincount(np.repeat(np.arange(len(starts)), n_listed), weights=sure) > 0
        n_cells = np.bincount(phase[starts], minlength=n_phases)
        at = phase[starts], counted(n_cells)
        shape = n_phases, int(n_cells.max())
        made = []
        for values, dtype in ((cell[starts], "i4"), (n_listed, "i4"), (starts, "i4"), (some, "?")):
            made.append(np.zeros(shape, dtype))
            made[-1][at] = values
        return cls(low, extent, *made, entry.astype(np.int32), rest.T.copy(), np.asarray(points, np.int64))


@dataclass(frozen=True)
class Turned(_Stored):
    """The points of a target that is turned against the source, in clusters, of which most are found to touch nothing.

    Attributes
    ----------
    centre : (n_clusters, 3) float64, um
    offsets : (n_clusters + 1,) int64, where the points of each begin
    places : (n_points, 3) float64, um
    points : (n_points,) int64, indices of the target morphology's points
    near : (n_cells,) bool, of the voxels of a grid: whether one that is touched is as near as a cluster is large
    low, shape : (3,) int64, of that grid
    """

    centre: np.ndarray
    offsets: np.ndarray
    places: np.ndarray
    points: np.ndarray
    near: np.ndarray
    low: np.ndarray
    shape: np.ndarray

    @classmethod
    def make(cls, target: Voxels, places: np.ndarray, touched: Touched) -> "Turned":
        """Return the clusters of a target, the points of one voxel each, of which there are `places`, (n, 3) um."""
        n = target.counts
        starts = target.offsets[:-1]
        lower, upper = (f.reduceat(places, starts, axis=0) for f in (np.minimum, np.maximum))
        centre = (lower + upper) / 2
        radius = np.sqrt(((places - np.repeat(centre, n, axis=0)) ** 2).sum(axis=1).max())
        reach = np.ceil(radius * (1 + 1e-9) / touched.size).astype(np.int64)
        shape = touched.shape + 2 * (reach + 1)
        if float(shape.astype(np.float64).prod()) > MOST_CELLS:
            raise _too_many(shape)
        near = np.zeros(shape, bool)
        inner = tuple(slice(r + 1, r + 1 + s) for r, s in zip(reach.tolist(), touched.shape.tolist(), strict=True))
        near[inner] = touched.n.reshape(touched.shape) > 0
        for axis in range(3):
            near = _widened(near, axis, int(reach[axis]))
        return cls(centre, target.offsets, places, target.points, near.ravel(), touched.low - reach - 1, shape)


def _too_many(shape: np.ndarray) -> UserError:
    most = f"at most {MOST_CELLS:.1g} voxels as small as the target's around the source"
    return UserError(expects("there", most, " x ".join(map(str, shape.tolist()))) + "; ask for fewer")


def thick(size: np.ndarray) -> np.ndarray:
    """Return edges of voxels, (3,) um, of which none is much thinner than the longest; 1 um for a single point."""
    longest = size.max()
    return np.maximum(size, longest * THINNEST) if longest > 0 else np.ones(3)


def _parts(rest: np.ndarray) -> np.ndarray:
    return np.minimum((rest * PHASES).astype(np.int64), PHASES - 1)


def phases(rest: np.ndarray) -> np.ndarray:
    """Return the number of the phase, (n,) int64, of origins at some places in their voxels, (n, 3) from 0 to 1."""
    return _parts(rest) @ [PHASES**2, PHASES, 1]


def _widened(mask: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Return which voxels have one of a mask within some steps along an axis."""
    n = mask.shape[axis]
    count = np.cumsum(np.insert(mask.astype(np.int32), 0, 0, axis=axis), axis=axis)
    at = np.arange(n)
    upto, before = np.minimum(at + by + 1, n), np.maximum(at - by, 0)
    return np.take(count, upto, axis=axis) > np.take(count, before, axis=axis)
