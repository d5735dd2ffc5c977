"""Geometric shapes that stand for parts of cells: points inside them, points drawn in them, the boxes around them.

Each is a simple body, a ball, a cylinder, a cone or a cube, taken to its place by an affine map: a point of the shape
is origin + axes (u, v, w), with (u, v, w) in the body. So what is inside, the volume and uniform points follow from the
body and the map alone. Coordinates are um, in the frame of the cell: what is at the origin comes to lie at the position
of the cell. Shapes are not turned with their cells.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from snakefold.components import Component
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import listed
from snakefold.morphology.rotations import between, turned_by

MOST_POINTS = 10**7  # of the cloud of a cell: 240 MB
FARTHEST, FINEST = 1e9, 1e-6  # um, so that any volume is a number, and so is one of voxels
PERPENDICULAR = 0.01  # cosine of the angle between axes that count as perpendicular
Frame = tuple[np.ndarray, np.ndarray]


class Ball:
    """u^2 + v^2 + w^2 <= 1."""

    volume = 4 * np.pi / 3

    @staticmethod
    def inside(u, v, w, slack):
        return (u / (1 + slack[0])) ** 2 + (v / (1 + slack[1])) ** 2 + (w / (1 + slack[2])) ** 2 <= 1

    @staticmethod
    def drawn(a, b, c):
        r, z, angle = np.cbrt(a), 2 * b - 1, 2 * np.pi * c
        across = r * np.sqrt(1 - z**2)
        return across * np.cos(angle), across * np.sin(angle), r * z

    @staticmethod
    def bounds(axes):
        half = np.sqrt((axes**2).sum(axis=1))
        return -half, half


class Tube:
    """u^2 + v^2 <= 1, 0 <= w <= 1."""

    volume = np.pi

    @staticmethod
    def inside(u, v, w, slack):
        round_ = (u / (1 + slack[0])) ** 2 + (v / (1 + slack[1])) ** 2 <= 1
        return round_ & (w >= -slack[2]) & (w <= 1 + slack[2])

    @staticmethod
    def drawn(a, b, c):
        r, angle = np.sqrt(a), 2 * np.pi * b
        return r * np.cos(angle), r * np.sin(angle), c

    @staticmethod
    def bounds(axes):
        disc = np.sqrt((axes[:, :2] ** 2).sum(axis=1))
        return np.minimum(axes[:, 2], 0) - disc, np.maximum(axes[:, 2], 0) + disc


class Spike:
    """u^2 + v^2 <= w^2, 0 <= w <= 1: a cone with its apex at the origin."""

    volume = np.pi / 3

    @staticmethod
    def inside(u, v, w, slack):
        round_ = u**2 + v**2 <= (np.maximum(w, 0) + slack[0]) ** 2  # the slack of v is that of u
        return round_ & (w >= -slack[2]) & (w <= 1 + slack[2])

    @staticmethod
    def drawn(a, b, c):
        w = np.cbrt(a)
        r, angle = w * np.sqrt(b), 2 * np.pi * c
        return r * np.cos(angle), r * np.sin(angle), w

    @staticmethod
    def bounds(axes):
        disc = np.sqrt((axes[:, :2] ** 2).sum(axis=1))
        return np.minimum(axes[:, 2] - disc, 0), np.maximum(axes[:, 2] + disc, 0)


class Cube:
    """u, v and w from 0 to 1."""

    volume = 1.0

    @staticmethod
    def inside(u, v, w, slack):
        within = [(x >= -s) & (x <= 1 + s) for x, s in zip((u, v, w), slack, strict=True)]
        return within[0] & within[1] & within[2]

    @staticmethod
    def drawn(a, b, c):
        return a, b, c

    @staticmethod
    def bounds(axes):
        return np.minimum(axes, 0).sum(axis=1), np.maximum(axes, 0).sum(axis=1)


def _vector() -> types.Vector:
    return types.Vector(types.number(min=-FARTHEST, max=FARTHEST))


def _length() -> types.Type:
    return types.number(above=0, max=FARTHEST)


def _apart(first: str):
    """Return a constraint: a point should not be the one of another attribute."""

    def constraint(node: Node, value: tuple) -> str | None:
        return (
            f"should be: another point than {first} (got: {listed(value)})" if value == getattr(node, first) else None
        )

    return constraint


def _direction(*others: str):
    """Return a constraint: a vector should have a length, and be perpendicular to some others."""

    def constraint(node: Node, value: tuple) -> str | None:
        a = np.asarray(value)
        length = np.sqrt((a**2).sum())
        if not length:
            return "should be: a vector with a length (got: 0, 0, 0)"
        for name in others:
            b = np.asarray(getattr(node, name) or (0.0, 0.0, 0.0))
            if abs((a * b).sum()) > PERPENDICULAR * length * np.sqrt((b**2).sum()):
                return f"should be: perpendicular to {name} (got: {listed(value)})"
        return None

    return constraint


def _along(start: tuple, end: tuple, first: float, second: float) -> np.ndarray:
    """Return axes, (3, 3): two of some lengths, um, perpendicular to the third, which leads from one point to another.

    They are x and y, turned as z is turned into the third by the smallest angle.
    """
    height = np.asarray(end) - np.asarray(start)
    turn = np.repeat(between(np.array([0.0, 0.0, 1.0]), height[None]), 2, axis=0)
    across = turned_by(turn, np.eye(3)[:2])
    return np.stack([first * across[0], second * across[1], height], axis=1)


class Shape(Node):
    """Base of the shapes; `frame` returns the origin, (3,), and the axes, the columns of (3, 3), um, of its `body`."""

    kind: ClassVar[str] = "shape"
    chosen_by: ClassVar[str] = "type"
    algorithm_version: ClassVar[int] = 1
    body: ClassVar[type] = Ball

    epsilon = Attribute(
        types.number(min=0, max=FARTHEST),
        default=1e-3,
        unit="um",
        doc="Points that lie outside by less count as inside.",
    )

    def frame(self) -> Frame:
        """Return its origin and its axes."""
        raise NotImplementedError

    @property
    def volume(self) -> float:
        """Volume, um^3."""
        a, b, c = self.frame()[1].T
        return float(abs((a * np.cross(b, c)).sum()) * self.body.volume)

    @property
    def bounds(self) -> np.ndarray:
        """(2, 3) float64, um, the lower and the upper corner of the box around it."""
        origin, axes = self.frame()
        lower, upper = self.body.bounds(axes)
        return np.stack([origin + lower - self.epsilon, origin + upper + self.epsilon])

    def inside(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return which points, given by their coordinates, um, lie in it: bool of the same shape."""
        origin, axes = self.frame()
        slack = self.epsilon / np.sqrt((axes**2).sum(axis=0))
        a, b, c = axes.T
        inverse = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)]) / (a * np.cross(b, c)).sum()
        apart = [x - origin[0], y - origin[1], z - origin[2]]
        places = []
        for row in inverse:
            terms = [factor * along for factor, along in zip(row, apart, strict=True) if factor]
            places.append(sum(terms[1:], terms[0]))
        return self.body.inside(*places, slack)

    def drawn(self, uniform: np.ndarray) -> np.ndarray:
        """Return points, (..., 3), um, that are uniform in it, from as many triples of numbers uniform from 0 to 1."""
        origin, axes = self.frame()
        u, v, w = self.body.drawn(uniform[..., 0], uniform[..., 1], uniform[..., 2])
        return np.stack([origin[i] + axes[i, 0] * u + axes[i, 1] * v + axes[i, 2] * w for i in range(3)], axis=-1)


class Sphere(Shape):
    """A sphere."""

    origin = Attribute(_vector(), required=True, unit="um", doc="Its centre.")
    radius = Attribute(_length(), default=1.0, unit="um", doc="Its radius.")

    def frame(self) -> Frame:
        return np.asarray(self.origin), self.radius * np.eye(3)


class Ellipsoid(Shape):
    """An ellipsoid."""

    origin = Attribute(_vector(), required=True, unit="um", doc="Its centre.")
    lambdas = Attribute(
        types.Vector(_length()),
        required=True,
        unit="um",
        doc="Lengths of its three semi-axes.",
    )
    v0 = Attribute(_vector(), required=True, doc="Direction of the first.", constraint=_direction())
    v1 = Attribute(_vector(), required=True, doc="Direction of the second.", constraint=_direction("v0"))
    v2 = Attribute(_vector(), required=True, doc="Direction of the third.", constraint=_direction("v0", "v1"))

    def frame(self) -> Frame:
        directions = np.array([self.v0, self.v1, self.v2])
        units = directions / np.sqrt((directions**2).sum(axis=1, keepdims=True))
        return np.asarray(self.origin), (units * np.array(self.lambdas)[:, None]).T


class Cone(Shape):
    """A cone."""

    body = Spike

    apex = Attribute(_vector(), required=True, unit="um", doc="Its apex.")
    origin = Attribute(_vector(), required=True, unit="um", doc="Centre of its base.", constraint=_apart("apex"))
    radius = Attribute(_length(), default=1.0, unit="um", doc="Radius of its base.")

    def frame(self) -> Frame:
        return np.asarray(self.apex), _along(self.apex, self.origin, self.radius, self.radius)


class Cylinder(Shape):
    """A cylinder."""

    body = Tube

    origin = Attribute(_vector(), required=True, unit="um", doc="Centre of its base.")
    top_center = Attribute(_vector(), required=True, unit="um", doc="Centre of its top.", constraint=_apart("origin"))
    radius = Attribute(_length(), default=1.0, unit="um", doc="Its radius.")

    def frame(self) -> Frame:
        return np.asarray(self.origin), _along(self.origin, self.top_center, self.radius, self.radius)


class Cuboid(Shape):
    """A cuboid: its sides are along x and y, turned as z is turned into the direction from its base to its top."""

    body = Cube

    origin = Attribute(_vector(), required=True, unit="um", doc="Centre of its base.")
    top_center = Attribute(_vector(), required=True, unit="um", doc="Centre of its top.", constraint=_apart("origin"))
    side_length_1 = Attribute(_length(), default=1.0, unit="um", doc="Length of one side of its base.")
    side_length_2 = Attribute(_length(), default=1.0, unit="um", doc="Length of the other.")

    def frame(self) -> Frame:
        axes = _along(self.origin, self.top_center, self.side_length_1, self.side_length_2)
        return np.asarray(self.origin) - (axes[:, 0] + axes[:, 1]) / 2, axes


def _spans(node: "Parallelepiped", value: tuple) -> str | None:
    sides = [node.side_vector_1, node.side_vector_2, value]
    if None in sides:
        return None
    a, b, c = (np.asarray(side) for side in sides)
    most = np.sqrt(np.prod([(side**2).sum() for side in (a, b, c)]))
    flat = abs((a * np.cross(b, c)).sum()) <= 1e-9 * most
    return f"should be: a vector outside the plane of the two others (got: {listed(value)})" if flat else None


class Parallelepiped(Shape):
    """A parallelepiped, spanned by three vectors."""

    body = Cube

    origin = Attribute(_vector(), required=True, unit="um", doc="The corner that its sides begin at.")
    side_vector_1 = Attribute(_vector(), required=True, unit="um", doc="One side.", constraint=_direction())
    side_vector_2 = Attribute(_vector(), required=True, unit="um", doc="Another side.", constraint=_direction())
    side_vector_3 = Attribute(_vector(), required=True, unit="um", doc="The third side.", constraint=_spans)

    def frame(self) -> Frame:
        return np.asarray(self.origin), np.array([self.side_vector_1, self.side_vector_2, self.side_vector_3]).T


def _as_many(node: "ShapesComposition", labels: list) -> str | None:
    n = len(node.shapes or labels)
    return None if len(labels) == n else f"should be: {n} lists, one for each shape (got: {len(labels)})"


class ShapesComposition(Node):
    """Shapes that stand for a cell; they may overlap."""

    shapes = Attribute(types.ListOf(Component("shape", "type"), least=1), required=True, doc="The shapes.")
    labels = Attribute(
        types.ListOf(types.ListOf(types.string())),
        required=True,
        doc="Labels of each shape, a list for each.",
        constraint=_as_many,
    )
    voxel_size = Attribute(
        types.number(min=FINEST, max=FARTHEST),
        default=1.0,
        unit="um",
        doc="Where a cloud of points represents a shape, it has one for each cube of this side that fills its volume.",
    )

    def numbers(self, shapes: Iterable[Shape]) -> list[int]:
        """Return the number of points that represent each of some of its shapes."""
        return [int(shape.volume // self.voxel_size**3) for shape in shapes]

    def labelled(self, labels: list[str] | None) -> list[Shape]:
        """Return the shapes that have any of some labels, or all."""
        pairs = zip(self.shapes, self.labels, strict=True)
        return [shape for shape, own in pairs if labels is None or not set(labels).isdisjoint(own)]

    @property
    def known_labels(self) -> list[str]:
        """All labels that some shape has, sorted."""
        return sorted({label for own in self.labels or () for label in own})


def bounds(shapes: list[Shape]) -> np.ndarray:
    """Return the box, (2, 3) float64 um, around some shapes."""
    corners = np.stack([shape.bounds for shape in shapes])
    return np.stack([corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)])


def inside(shapes: list[Shape], x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return which points, given by their coordinates, um, lie in any of some shapes: bool of the same shape."""
    within = shapes[0].inside(x, y, z)
    for shape in shapes[1:]:
        within |= shape.inside(x, y, z)
    return within


def clouds(rng: np.random.Generator, shapes: list[Shape], numbers: list[int], n: int) -> np.ndarray:
    """Draw the clouds of n cells, (n, sum(numbers), 3) float64 um, uniform in each shape, cell after cell."""
    uniform = rng.random((n, sum(numbers), 3))
    ends = np.cumsum(numbers)
    parts = [s.drawn(uniform[:, e - k : e]) for s, k, e in zip(shapes, numbers, ends, strict=True)]
    return np.concatenate(parts, axis=1)
