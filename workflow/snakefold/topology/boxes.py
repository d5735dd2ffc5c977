"""Boxes, the shape of the network, of layers and of rhomboids: lower and upper corners in um, axes x, y, z."""

from dataclasses import dataclass, replace

Corner = tuple[float, float, float]
AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Box:
    """A box with faces normal to the axes; corners in um."""

    lower: Corner
    upper: Corner

    @classmethod
    def of(cls, origin: Corner, dimensions: Corner) -> "Box":
        """Return the box of given dimensions whose lower corner is `origin`."""
        return cls(tuple(origin), tuple(o + d for o, d in zip(origin, dimensions, strict=True)))

    @property
    def dimensions(self) -> Corner:
        """Edge lengths, um."""
        return tuple(high - low for low, high in zip(self.lower, self.upper, strict=True))

    @property
    def volume(self) -> float:
        """Volume, um^3."""
        x, y, z = self.dimensions
        return x * y * z

    @property
    def footprint(self) -> float:
        """Area in the x-y plane, um^2."""
        x, y, _ = self.dimensions
        return x * y

    def holds(self, other: "Box") -> bool:
        """Return whether another box lies in this one, but for the rounding of sums."""
        slack = 1e-9 * max(abs(x) for x in (*self.lower, *self.upper, *other.lower, *other.upper))
        inside = zip(self.lower, other.lower, other.upper, self.upper, strict=True)
        return all(a - slack <= b and c <= d + slack for a, b, c, d in inside)

    def moved(self, axis: int, start: float) -> "Box":
        """Return the box moved along an axis so that it starts at `start`."""
        by = start - self.lower[axis]
        lower, upper = list(self.lower), list(self.upper)
        lower[axis] += by
        upper[axis] += by
        return replace(self, lower=tuple(lower), upper=tuple(upper))
