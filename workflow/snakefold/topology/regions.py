"""Regions: how partitions and other regions are laid out in the network's box."""

from collections.abc import Mapping
from typing import ClassVar

from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Mistake, UserError, listed
from snakefold.topology.boxes import AXES, Box
from snakefold.topology.partitions import Partition

NO_MOVE_UM = 1e-9  # what the rounding of sums may come to


class Region(Node):
    """Base of the regions."""

    kind: ClassVar[str] = "region"
    chosen_by: ClassVar[str] = "type"
    algorithm_version: ClassVar[int] = 1

    children = Attribute(
        types.ListOf(types.Reference("regions or partitions", "region or partition"), distinct=True),
        required=True,
        doc="Names of the regions and partitions in it.",
    )

    def arrange(self, sizes: dict[str, Box], parent: Box) -> dict[str, Box]:
        """Return where each child goes, given the box that each would take in the parent's."""
        return sizes


class Group(Region):
    """A region that leaves its children where they put themselves."""


class Stack(Region):
    """A region whose children lie end to end along an axis, in their order; the anchor child stays at its own origin.

    A child that is a region is as large as the box of all that is in it.
    """

    axis = Attribute(types.Choice("x", "y", "z"), default="z", doc="The axis along which the children are stacked.")
    anchor = Attribute(
        types.Reference("regions or partitions", "region or partition"),
        doc="The child that stays at its own origin along the axis; the first where it is not given.",
        constraint=lambda region, name: (
            None if name in (region.children or []) else f'"{name}" is no child of it ({listed(region.children or [])})'
        ),
    )

    def arrange(self, sizes: dict[str, Box], parent: Box) -> dict[str, Box]:
        axis = AXES[self.axis]
        if not sizes:
            return {}
        anchor = self.anchor or next(iter(sizes))
        before = list(sizes)[: list(sizes).index(anchor)]
        start = sizes[anchor].lower[axis] - sum(sizes[name].dimensions[axis] for name in before)
        placed = {}
        for name, box in sizes.items():
            placed[name] = box.moved(axis, start)
            start += box.dimensions[axis]
        return placed


def lay_out(network: Box, regions: Mapping[str, Region], partitions: Mapping[str, Partition]) -> dict[str, Box]:
    """Return the box of each partition.

    Raises
    ------
    UserError : a region contains itself, a child has two parents, or a partition is moved that may not be
    """
    mistakes, parent_of = [], {}
    for name, region in regions.items():
        for i, child in enumerate(region.children):
            if child in parent_of:
                mistakes.append(
                    Mistake(f'"{child}" is also a child of "{parent_of[child]}"', (*region.path, "children", i))
                )
            parent_of.setdefault(child, name)
    for name in regions:
        seen, at = [name], parent_of.get(name)
        while at is not None and at not in seen:
            seen.append(at)
            at = parent_of.get(at)
        if at == name:
            mistakes.append(Mistake(f"contains itself: {' in '.join(seen)}", regions[name].path))
    if mistakes:
        raise UserError(mistakes)
    for name, region in regions.items():
        ends = [p for p in _below(name, regions, partitions) if not partitions[p].known_extent]
        if isinstance(region, Stack) and len(region.children) > 1 and ends:
            what = f'"{ends[0]}" is a partition of voxels, of which it is not known where they end before it is built'
            mistakes.append(Mistake(f"{what}; put it in a group, where it stays in its place", region.path))
    if mistakes:
        raise UserError(mistakes)
    boxes: dict[str, Box] = {}

    def size(name: str) -> Box:
        """Return the box a child takes; for a region, the smallest that holds its children, or none."""
        if name in partitions:
            return partitions[name].layout(network)
        inner = list(arranged(name).values())
        if not inner:
            return Box(network.lower, network.lower)
        return Box(
            tuple(min(b.lower[i] for b in inner) for i in range(3)),
            tuple(max(b.upper[i] for b in inner) for i in range(3)),
        )

    def arranged(name: str) -> dict[str, Box]:
        region = regions[name]
        return region.arrange({child: size(child) for child in region.children}, network)

    def settle(name: str, by: tuple[float, float, float]) -> None:
        """Give every partition below a region its box, moved as the regions above it were."""
        own = {child: size(child) for child in regions[name].children}
        for child, box in arranged(name).items():
            shift = tuple(b + n - o for b, n, o in zip(by, box.lower, own[child].lower, strict=True))
            if child in partitions:
                if not partitions[child].can_move and max(map(abs, shift)) > NO_MOVE_UM:
                    moved = ", ".join(f"{s:g}" for s in shift)
                    why = partitions[child].cannot_move
                    what = f'{why}, but the region "{name}" moves it by [{moved}] um'
                    mistakes.append(Mistake(what, partitions[child].path))
                boxes[child] = Box.of(
                    tuple(o + s for o, s in zip(own[child].lower, shift, strict=True)), own[child].dimensions
                )
            else:
                settle(child, shift)

    for name in regions:
        if name not in parent_of:
            settle(name, (0.0, 0.0, 0.0))
    if mistakes:
        raise UserError(mistakes)
    for name in partitions:
        boxes.setdefault(name, partitions[name].layout(network))
    return boxes


def _below(name: str, regions: Mapping[str, Region], partitions: Mapping[str, Partition]) -> list[str]:
    """Return the partitions in a region, and in regions in it."""
    if name in partitions:
        return [name]
    return [p for child in regions[name].children for p in _below(child, regions, partitions)]
