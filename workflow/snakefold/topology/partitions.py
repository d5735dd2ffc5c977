"""Partitions: the volumes that cells are placed in. A layer fills its parent's box but for its thickness."""

from typing import ClassVar

from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.topology.boxes import AXES, Box


class Partition(Node):
    """Base of the partitions.

    A partition says what box it takes within its parent's (`layout`), which its region may then move, and what of that
    box it fills (`boxes`).
    """

    kind: ClassVar[str] = "partition"
    chosen_by: ClassVar[str] = "type"
    algorithm_version: ClassVar[int] = 1

    def layout(self, parent: Box) -> Box:
        """Return the box it takes in its parent's box."""
        raise NotImplementedError

    def boxes(self, box: Box) -> list[Box]:
        """Return disjoint boxes that make up the partition, given the box that it was given in the end."""
        return [box]


class Layer(Partition):
    """A layer: the parent's box, with a thickness along one axis."""

    thickness = Attribute(types.number(above=0), required=True, unit="um", doc="Extent along the axis.")
    axis = Attribute(types.Choice("x", "y", "z"), default="z", doc="The axis that the thickness is measured along.")
    origin = Attribute(types.Vector(types.number()), unit="um", doc="Lower corner; the parent's where it is not given.")

    def layout(self, parent: Box) -> Box:
        dimensions = list(parent.dimensions)
        dimensions[AXES[self.axis]] = self.thickness
        return Box.of(self.origin or parent.lower, tuple(dimensions))


class Rhomboid(Partition):
    """A box."""

    dimensions = Attribute(
        types.Vector(types.number(above=0)), unit="um", doc="Edge lengths; the parent's where they are not given."
    )
    origin = Attribute(types.Vector(types.number()), unit="um", doc="Lower corner; the parent's where it is not given.")

    orientation = types.later("Rotation of the box.")
    can_rotate = types.later("Whether regions may rotate it.")
    can_scale = types.later("Whether regions may scale it.")
    can_move = types.later("Whether regions may move it.")

    def layout(self, parent: Box) -> Box:
        return Box.of(self.origin or parent.lower, self.dimensions or parent.dimensions)
