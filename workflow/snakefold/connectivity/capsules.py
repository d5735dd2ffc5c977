"""Which segments of cells come near each other: segments as capsules, straight lines with a radius.

Two cells are descended at once: the segments of a morphology are halved again and again, along the longest side of
their box, so that node i of a level holds the nodes 2i and 2i + 1 of the level below, down to the segments. Of all
pairs of cells together, a level at a time, those pairs of nodes are kept whose boxes meet; what is left of the segments
is measured: the distance of two segments is that of Lumelsky 1985 (Inf. Process. Lett. 21:55), in the form of Ericson
2005 (Real-Time Collision Detection, 5.1.9). Coordinates are um.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from snakefold.connectivity.boxes import around, blocks, near
from snakefold.morphology.morphology import Morphology
from snakefold.morphology.rotations import turned_by
from snakefold.topology.chunks import counted

MOST_SEGMENTS, MOST_TESTS = 1 << 18, 1 << 18  # of the cells, and pairs of nodes, held at once


@dataclass(frozen=True)
class Segments:
    """Segments of a morphology, in its frame, ordered so that runs of 2^k from a multiple of 2^k lie together.

    Attributes
    ----------
    point : (n,) int64, index of the point that ends each segment; it begins at the point before
    start, end : (n, 3) float64, um
    radius : (n,) float64, um, the mean of those of its ends
    """

    point: np.ndarray
    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray

    @classmethod
    def of(cls, morphology: Morphology, point: np.ndarray) -> "Segments":
        """Return some segments of a morphology, given by the points that end them, in the order given."""
        points, radii = morphology.points, morphology.radii
        return cls(point, points[point - 1], points[point], (radii[point - 1] + radii[point]) / 2)

    def __len__(self) -> int:
        return len(self.point)

    @property
    def bounds(self) -> np.ndarray:
        """(2, 3) float64, um, the box around all of them, radii included; one that holds nothing if there are none."""
        if not len(self):
            return np.array([[np.inf] * 3, [-np.inf] * 3])
        lower = np.minimum(self.start, self.end) - self.radius[:, None]
        upper = np.maximum(self.start, self.end) + self.radius[:, None]
        return np.stack([lower.min(axis=0), upper.max(axis=0)])


def in_order(morphology: Morphology, points: np.ndarray) -> np.ndarray:
    """Return the points that end segments whose both ends are among some points, in the order that `Segments` wants."""
    among = np.zeros(len(morphology), bool)
    among[points] = True
    point = morphology.segments()
    point = point[among[point] & among[point - 1]]
    return point[_halved((morphology.points[point] + morphology.points[point - 1]) / 2, np.arange(len(point)))]


def _halved(places: np.ndarray, index: np.ndarray) -> np.ndarray:
    if len(index) <= 2:
        return index
    axis = np.argmax(np.ptp(places[index], axis=0))
    index = index[np.argsort(places[index, axis], kind="stable")]
    half = 1 << ((len(index) - 1).bit_length() - 1)
    return np.concatenate([_halved(places, index[:half]), _halved(places, index[half:])])


@dataclass(frozen=True)
class Bodies:
    """Cells with their segments.

    Attributes
    ----------
    positions : (n, 3) float64, um
    rotations : (n, 4) float64, unit quaternions, or None where no cell is turned
    morphology : (n,) integers, index into `segments`
    segments : of each morphology
    """

    positions: np.ndarray
    rotations: np.ndarray | None
    morphology: np.ndarray
    segments: tuple[Segments, ...]

    @property
    def n_segments(self) -> np.ndarray:
        """(n,) int64, the number of segments of each cell."""
        return np.array([len(s) for s in self.segments], np.int64)[self.morphology]

    @property
    def bounds(self) -> np.ndarray:
        """(m, 2, 3) float64, um, the box around the segments of each morphology."""
        return np.array([s.bounds for s in self.segments]).reshape(-1, 2, 3)

    @property
    def boxes(self) -> np.ndarray:
        """(n, 2, 3) float64, um, a box around each cell: around the turned corners of its morphology's."""
        return around(self.bounds, self.morphology, self.positions, self.rotations)

    def near(self, boxes: np.ndarray) -> tuple[np.ndarray, "Bodies"]:
        """Return at least those cells whose boxes meet some boxes: their indices, (m,) int64, and themselves."""
        which = near(self.bounds, self.positions, self.rotations is not None, boxes)
        rotations = None if self.rotations is None else self.rotations[which]
        return which, Bodies(self.positions[which], rotations, self.morphology[which], self.segments)


@dataclass(frozen=True)
class Level:
    """The nodes of a level of some cells.

    Attributes
    ----------
    first, n : (n_cells,) int64, the first node of each cell, and how many it has
    corners : (6, n_nodes) float64, um, their lower and upper corners
    """

    first: np.ndarray
    n: np.ndarray
    corners: np.ndarray


@dataclass(frozen=True)
class Placed:
    """The segments of some cells where they are, and the levels above them, from the segments up.

    Attributes
    ----------
    start, end : (3, n) float64, um, of the segments of all cells
    radius : (n,) float64, um
    levels : the last has one node for each cell
    """

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, bodies: Bodies, cells: np.ndarray, reach: float) -> "Placed":
        """Place some cells, (n,) indices, all of which have segments; boxes are larger by a reach, um."""
        codes = bodies.morphology[cells]
        order, parts, towers = [], [], []
        for code in np.unique(codes):
            which = np.flatnonzero(codes == code)
            order.append(which)
            of = bodies.segments[code]
            ends = [_where(bodies, cells[which], points) for points in (of.start, of.end)]
            parts.append((*(points.reshape(3, -1) for points in ends), np.tile(of.radius, len(which))))
            towers.append(_tower(*ends, of.radius + reach))
        back = np.argsort(np.concatenate(order))  # from the order of morphologies to that of cells
        levels = []
        for i in range(max(map(len, towers))):
            corners = [tower[min(i, len(tower) - 1)] for tower in towers]
            n = np.concatenate([np.full(c.shape[1], c.shape[2]) for c in corners])
            joined = np.concatenate([c.reshape(6, -1) for c in corners], axis=1)
            levels.append(Level((np.cumsum(n) - n)[back], n[back], joined))
        return cls(*(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True)), tuple(levels))

    def level(self, i: int) -> Level:
        """Return a level; above the last, all are alike."""
        return self.levels[min(i, len(self.levels) - 1)]


def _where(bodies: Bodies, cells: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (3, n_cells, n) float64, um: where points of a morphology, (n, 3), of some of its cells are."""
    places = bodies.positions[cells].T[:, :, None]
    if bodies.rotations is None:
        return places + points.T[:, None]
    axes = [turned_by(bodies.rotations[cells], np.tile(axis, (len(cells), 1))) for axis in np.eye(3)]
    x, y, z = points.T
    return np.stack(
        [places[i] + axes[0][:, i, None] * x + axes[1][:, i, None] * y + axes[2][:, i, None] * z for i in range(3)]
    )


def _tower(start: np.ndarray, end: np.ndarray, wide: np.ndarray) -> list[np.ndarray]:
    """Return the corners of boxes, (6, n_cells, n), level by level: around segments, and half as many, up to one."""
    levels = [np.concatenate([np.minimum(start, end) - wide, np.maximum(start, end) + wide])]
    while (n := levels[-1].shape[2]) > 1:
        left, right = levels[-1][..., ::2], levels[-1][..., 1::2]
        above = left.copy()
        np.minimum(left[:3, :, : n // 2], right[:3], out=above[:3, :, : n // 2])
        np.maximum(left[3:, :, : n // 2], right[3:], out=above[3:, :, : n // 2])
        levels.append(above)
    return levels


@dataclass(frozen=True)
class Contacts:
    """Contacts of segments.

    Attributes
    ----------
    pair : (n,) int64, which pair of cells, ascending
    source_point, target_point : (n,) int64, the points that end the segments
    source_fraction, target_fraction : (n,) float64, 0 to 1, where along the segments they are nearest to each other
    """

    pair: np.ndarray
    source_point: np.ndarray
    target_point: np.ndarray
    source_fraction: np.ndarray
    target_fraction: np.ndarray


def contacts(
    sources: Bodies, targets: Bodies, source: np.ndarray, target: np.ndarray, reach: float
) -> Iterator[Contacts]:
    """Yield, in blocks, all contacts of some pairs of cells: two segments no farther apart than radii and reach.

    Parameters
    ----------
    source, target : (n,) indices of cells that have segments
    reach : um
    """
    for a, b in blocks(sources.n_segments[source] + targets.n_segments[target], MOST_SEGMENTS):
        own, of_source = np.unique(source[a:b], return_inverse=True)
        others, of_target = np.unique(target[a:b], return_inverse=True)
        placed = Placed.of(sources, own, reach), Placed.of(targets, others, 0.0)
        for pair, i, j in _near(*placed, of_source, of_target):
            first, second = placed[0].levels[0].first[of_source[pair]], placed[1].levels[0].first[of_target[pair]]
            one, two = first + i, second + j
            own_ends = placed[0].start.take(one, axis=1), placed[0].end.take(one, axis=1)
            other_ends = placed[1].start.take(two, axis=1), placed[1].end.take(two, axis=1)
            distance2, s, t = distances2(*own_ends, *other_ends)
            near = distance2 <= (placed[0].radius[one] + placed[1].radius[two] + reach) ** 2
            pair, i, j, s, t = (x[near] for x in (pair, i, j, s, t))
            yield Contacts(
                pair + a, _points(sources, source[a:b][pair], i), _points(targets, target[a:b][pair], j), s, t
            )


def _points(bodies: Bodies, cells: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Return the points that end segments, (n,), of cells, (n,)."""
    first = np.cumsum([0, *(len(s) for s in bodies.segments)])
    return np.concatenate([s.point for s in bodies.segments])[first[bodies.morphology[cells]] + segment]


def _near(
    sources: Placed, targets: Placed, source: np.ndarray, target: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, in blocks, pairs of segments whose boxes meet: which pair of cells, ascending, and either's segment."""
    top = max(len(sources.levels), len(targets.levels)) - 1
    zeros = np.zeros(len(source), np.int64)
    left = [(top, np.arange(len(source)), zeros, zeros)]
    while left:
        level, pair, i, j = left.pop()
        own, others = sources.level(level), targets.level(level)
        one, two = own.first[source[pair]] + i, others.first[target[pair]] + j
        for axis in range(3):
            met = own.corners[axis].take(one) <= others.corners[axis + 3].take(two)
            met &= others.corners[axis].take(two) <= own.corners[axis + 3].take(one)
            met = np.flatnonzero(met)
            pair, i, j, one, two = (x.take(met) for x in (pair, i, j, one, two))
        if level == 0:
            yield pair, i, j
            continue
        n_own = _children(own, sources.level(level - 1), source[pair], i)
        n_others = _children(others, targets.level(level - 1), target[pair], j)
        i, j = (
            (2 * i if own is not sources.level(level - 1) else i),
            (2 * j if others is not targets.level(level - 1) else j),
        )
        parts = list(blocks(n_own * n_others, MOST_TESTS))
        for a, b in reversed(parts):  # the last to be put there is the next to be taken
            n, m = n_own[a:b], n_others[a:b]
            which, k = np.repeat(np.arange(a, b), n * m), counted(n * m)
            left.append((level - 1, pair[which], i[which] + k // n_others[which], j[which] + k % n_others[which]))


def _children(above: Level, below: Level, cells: np.ndarray, node: np.ndarray) -> np.ndarray:
    """Return how many nodes of the level below some nodes hold."""
    if above is below:
        return np.ones(len(node), np.int64)
    return np.minimum(below.n[cells] - 2 * node, 2)


def distances2(
    p1: np.ndarray, q1: np.ndarray, p2: np.ndarray, q2: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return squared distances of segments p1 to q1 and p2 to q2, and how far along each, 0 to 1, they are nearest.

    Parameters
    ----------
    p1, q1, p2, q2 : (3, n), um

    Returns
    -------
    distance2, fraction1, fraction2 : (n,) float64
    """
    d1, d2, r = q1 - p1, q2 - p2, p1 - p2
    a, e, b = _dot(d1, d1), _dot(d2, d2), _dot(d1, d2)
    c, f = _dot(d1, r), _dot(d2, r)
    across = a * e - b * b
    skew = across > 1e-14 * a * e  # of parallel lines, any point of the first will do
    s = np.where(skew, np.clip((b * f - c * e) / np.where(skew, across, 1.0), 0, 1), 0.0)
    t = np.clip(_over(b * s + f, e), 0, 1)
    s = np.clip(_over(b * t - c, a), 0, 1)
    apart = r + s * d1 - t * d2
    return _dot(apart, apart), s, t


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _over(a: np.ndarray, length2: np.ndarray) -> np.ndarray:
    """Return a / length2, 0 where a segment is a point."""
    return np.where(length2 > 0, a / np.where(length2 > 0, length2, 1.0), 0.0)


def restored(morphologies: Mapping[str, Morphology], names: tuple[str, ...], points: Mapping[str, np.ndarray]):
    """Return the segments of some morphologies, from the points that end them; none for names without any."""
    none = Segments(np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)), np.empty(0))
    return tuple(Segments.of(morphologies[name], points[name]) if len(points.get(name, ())) else none for name in names)
