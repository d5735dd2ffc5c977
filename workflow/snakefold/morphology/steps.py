"""The steps of a pipeline: operations as components, with what a description says of each."""

from typing import ClassVar

from snakefold.components import Component
from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.morphology import operations
from snakefold.morphology.morphology import Morphology

_angles = types.Vector(types.number())
_axis = types.integer(min=0, max=2)


class Step(Node):
    """Base of the steps of a pipeline: a class with `apply` makes another morphology of one."""

    kind: ClassVar[str] = "morphology_step"
    chosen_by: ClassVar[str] = "func"
    algorithm_version: ClassVar[int] = 1

    def apply(self, morphology: Morphology) -> Morphology:
        """Return what the step makes of a morphology.

        Raises
        ------
        UserError : it cannot be done with this one
        """
        raise NotImplementedError


class Translate(Step):
    """Moves all points."""

    point = Attribute(types.Vector(types.number()), required=True, unit="um", doc="By how much.")

    def apply(self, morphology):
        return operations.translate(morphology, self.point)


class Rotate(Step):
    """Turns all points about the fixed axes x, then y, then z."""

    rotation = Attribute(_angles, required=True, unit="deg", doc="Angles.")
    center = Attribute(types.Vector(types.number()), default=(0.0, 0.0, 0.0), unit="um", doc="About which point.")

    def apply(self, morphology):
        return operations.rotate(morphology, self.rotation, self.center)


class RootRotate(Step):
    """Turns each root, and all that grows from it, about its first point."""

    rot = Attribute(_angles, required=True, unit="deg", doc="Angles, as of rotate.")
    downstream_of = Attribute(
        types.integer(min=0), default=0, doc="Index of the point of the one root about, and after, which all is turned."
    )

    def apply(self, morphology):
        return operations.root_rotate(morphology, self.rot, self.downstream_of)


class Center(Step):
    """Moves the mean of the first points of the roots to the origin."""

    def apply(self, morphology):
        return operations.center(morphology)


class CloseGaps(Step):
    """Moves each branch to where the one that it grows from ends."""

    def apply(self, morphology):
        return operations.close_gaps(morphology)


class Collapse(Step):
    """Moves all roots to one point."""

    on = Attribute(
        types.OneOf(
            (lambda value: isinstance(value, list), types.Vector(types.number())),
            (lambda value: True, types.integer(min=0)),
        ),
        doc="Index of the root that the others are moved to, or a point, um; without it the mean of all.",
    )

    def apply(self, morphology):
        return operations.collapse(morphology, self.on)


class Simplify(Step):
    """Leaves out points that are near the line through their neighbours (Ramer, Douglas and Peucker)."""

    epsilon = Attribute(types.number(min=0), required=True, unit="um", doc="How near.")
    optimize = Attribute(types.boolean(), default=True, semantic=False, doc="Accepted as the BSB's; not used.")

    def apply(self, morphology):
        return operations.simplify(morphology, self.epsilon)


class SwapAxes(Step):
    """Interchanges two axes."""

    axis1 = Attribute(_axis, required=True, doc="0 for x, 1 for y, 2 for z.")
    axis2 = Attribute(_axis, required=True, doc="The other one.")

    def apply(self, morphology):
        return operations.swap_axes(morphology, self.axis1, self.axis2)


class Label(Step):
    """Adds labels to points."""

    labels = Attribute(types.ListOf(types.string(), least=1), required=True, doc="Labels to add.")
    points = Attribute(types.ListOf(types.integer(min=0)), doc="Indices of the points; all without it.")

    def apply(self, morphology):
        if self.points is None:
            return morphology.with_labels(self.labels, slice(None))
        if self.points and max(self.points) >= len(morphology):
            from snakefold.errors import UserError, expects

            raise UserError(expects("points", f"below {len(morphology)}", max(self.points)))
        return morphology.with_labels(self.labels, self.points)


class StepOf(types.Type):
    """A step, or its name alone, where it needs no more."""

    def __init__(self):
        self._component = Component("morphology_step", "func")
        self.says = f"a name or {self._component.says}"

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [{"type": "string"}, self._component.schema(definitions)]}

    def cast(self, value, path, parent):
        if value in ("voxelize", {"func": "voxelize"}) or (isinstance(value, dict) and value.get("func") == "voxelize"):
            what = "voxelize makes boxes of a morphology and no other morphology: leave it out of the pipeline"
            context.current().mistake(path, f"{what}; connectivity makes them of all morphologies that it needs")
            return INVALID
        return self._component.cast({"func": value} if isinstance(value, str) else value, path, parent)

    def to_json(self, value):
        return self._component.to_json(value)
