"""Partitions: the volumes that cells are placed in. A layer fills its parent's box but for its thickness."""

from typing import ClassVar

from snakefold.config import types
from snakefold.config.nodes import Attribute, Node, unset
from snakefold.topology.boxes import AXES, Box


class Partition(Node):
    """Base of the partitions.

    A partition says what box it takes within its parent's (`layout`), which its region may then move, and what of that
    box it fills (`boxes`).

    Attributes
    ----------
    can_move : whether its region may move it
    cannot_move : why not
    known_extent : whether its box is known before it is built; otherwise nothing can lie end to end with it
    """

    kind: ClassVar[str] = "partition"
    chosen_by: ClassVar[str] = "type"
    algorithm_version: ClassVar[int] = 1
    can_move: bool = True
    cannot_move: ClassVar[str] = '"can_move" is false'
    known_extent: ClassVar[bool] = True

    def layout(self, parent: Box) -> Box:
        """Return the box it takes in its parent's box."""
        raise NotImplementedError

    def boxes(self, box: Box) -> list[Box]:
        """Return disjoint boxes that make up the partition, given the box that it was given in the end."""
        return [box]


class Rhomboid(Partition):
    """A box."""

    dimensions = Attribute(
        types.Vector(types.number(above=0)), unit="um", doc="Edge lengths; the parent's where they are not given."
    )
    origin = Attribute(types.Vector(types.number()), unit="um", doc="Lower corner; the parent's where it is not given.")
    can_move = Attribute(
        types.boolean(),
        default=True,
        semantic=False,
        doc="Whether a region may move it; where it may not, a stack that would is a mistake.",
    )
    can_scale = Attribute(types.boolean(), default=True, semantic=False, doc="Accepted as the BSB's: no region scales.")
    can_rotate = Attribute(
        types.boolean(), default=True, semantic=False, doc="Accepted as the BSB's: no region rotates."
    )
    orientation = types.later("Rotation of the box.")

    def layout(self, parent: Box) -> Box:
        return Box.of(self.origin or parent.lower, self.dimensions or parent.dimensions)


class Layer(Rhomboid):
    """A layer: the parent's box, with a thickness along one axis."""

    dimensions = unset

    thickness = Attribute(types.number(above=0), required=True, unit="um", doc="Extent along the axis.")
    axis = Attribute(types.Choice("x", "y", "z"), default="z", doc="The axis that the thickness is measured along.")

    def layout(self, parent: Box) -> Box:
        dimensions = list(parent.dimensions)
        dimensions[AXES[self.axis]] = self.thickness
        return Box.of(self.origin or parent.lower, tuple(dimensions))
