"""What a description says of the number and the size of a cell type's cells, and what a placement says instead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from snakefold import components
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Mistake, Path, UserError, listed
from snakefold.morphology.selectors import SelectorOf
from snakefold.placement.counts import MOST_CELLS

ABSOLUTE = ("count", "density", "planar_density", "density_key")
RATIOS = ("count_ratio", "local_count_ratio", "density_ratio")


class Indicators(Node):
    """The size of a cell type's cells and how many there are: a count, a density, or a ratio to another type."""

    INDICATORS: ClassVar[tuple[str, ...]] = (*ABSOLUTE, "relative_to")

    count = Attribute(types.integer(min=0, max=MOST_CELLS), doc="Number of cells in all.")
    density = Attribute(types.number(min=0), unit="um^-3", doc="Cells per volume of the partitions.")
    planar_density = Attribute(types.number(min=0), unit="um^-2", doc="Cells per x-y area of the partitions.")
    relative_to = Attribute(
        types.Reference("cell_types", "cell type"), doc="Cell type that a ratio is one to; it needs one of the ratios."
    )
    count_ratio = Attribute(
        types.number(min=0), doc="Cells per cell of the type in relative_to, spread by volume over the own partitions."
    )
    local_count_ratio = Attribute(
        types.number(min=0), doc="Cells per cell of the type in relative_to in the same chunk, chunk by chunk."
    )
    density_ratio = Attribute(
        types.number(min=0),
        doc="Density per density, planar density, or value of the density_key, of the type in relative_to.",
    )
    density_key = Attribute(
        types.string(), doc="Data volume of the partitions of voxels with the cells per um^3, one of their sources."
    )
    radius = Attribute(types.number(above=0), unit="um", doc="Radius of the soma.")
    geometry = types.later("Further measures of the cells.")
    morphologies = Attribute(
        types.ListOf(SelectorOf()),
        default=lambda node: [],
        semantic=False,  # a slice has the names of those that are selected
        doc="Which of the circuit's morphologies the cells may have: names, or selectors.",
    )

    def given(self, keys: tuple[str, ...]) -> list[str]:
        """Return which of some keys are set."""
        return [key for key in keys if getattr(self, key) is not None]


@dataclass(frozen=True)
class Wanted:
    """The one indicator that holds.

    Attributes
    ----------
    key : one of ABSOLUTE and RATIOS
    value : cells, cells per um^3, cells per um^2, the name of a data volume, or a ratio
    relative_to : the other cell type of a ratio, or ""
    path : where to say what is wrong with it
    """

    key: str
    value: float | str
    relative_to: str
    path: Path


def indicator(
    strategy: Node, cell_type: str, cell_types: Mapping[str, Node], placement: Mapping[str, Node], asked: tuple = ()
) -> dict:
    """Return how many cells of a type a placement strategy places, as plain JSON (see `placement.counts`).

    Parameters
    ----------
    cell_types, placement : all of the circuit
    asked : the types whose numbers wait for this one

    Raises
    ------
    UserError : none or several are given, or a ratio that leads back to its own type or to none
    """
    own = strategy.indicator(cell_type)
    if own is not None:
        return own
    found = wanted(cell_type, cell_types[cell_type].spatial, strategy.overrides.get(cell_type))
    if found.key == "count":
        return {"count": found.value}
    partitions = list(strategy.partitions)
    if found.key in ABSOLUTE:
        return {found.key: found.value, "partitions": partitions}
    other = found.relative_to
    if found.key == "density_ratio":
        of = wanted(other, cell_types[other].spatial, strategy.overrides.get(other))
        if of.key == "density_key":
            return {"density_key": of.value, "times": found.value, "partitions": partitions}
        if of.key not in ("density", "planar_density"):
            what = f'"{other}" has no density or planar density that it could be a ratio of (it has: {of.key})'
            raise UserError(Mistake(what, found.path))
        return {of.key: of.value * found.value, "partitions": partitions}
    if other in (*asked, cell_type):
        round_ = " to ".join((*asked, cell_type, other))
        raise UserError(Mistake(f"the number is relative to itself: {round_}", found.path))
    placers = [placement[name] for name in sorted(placement) if other in placement[name].cell_types]
    if not placers:
        raise UserError(Mistake(f'"{other}" is placed nowhere', found.path, lacks=(("placement", other),)))
    others = [indicator(p, other, cell_types, placement, (*asked, cell_type)) for p in placers]
    if found.key == "count_ratio":
        return {"ratio": found.value, "of": others}
    of = []
    for placer, its in zip(placers, others, strict=True):
        component = {"strategy": components.record(placer)} if placer.deals() else {}
        if placer.whole:
            radius = placer.radius_of(other, cell_types[other].spatial) or 0.0
            component["setting"] = [placer.node_name, placer.root().seed_of(placer), other, radius]
        of.append({"indicator": its, "partitions": list(placer.partitions)} | component)
    return {"local_ratio": found.value, "partitions": partitions, "of": of}


def wanted(cell_type: str, own: Indicators, override: Indicators | None) -> Wanted:
    """Return how many cells of a type are asked for.

    Parameters
    ----------
    own : what the cell type says
    override : what a placement says instead; only a ratio, or only what it is relative to, is completed by the type

    Raises
    ------
    UserError : none, several, or half of an indicator
    """
    overridden = override is not None and bool(override.given((*ABSOLUTE, *RATIOS, "relative_to")))
    node = override if overridden else own
    absolute, ratios, other = node.given(ABSOLUTE), node.given(RATIOS), node.relative_to
    ratio_of = node
    if overridden and not absolute:
        other = other or own.relative_to
        if not ratios:
            ratios, ratio_of = own.given(RATIOS), own
    if ratios and not other:
        raise UserError(Mistake('needs "relative_to"', (*node.path, ratios[0])))
    several = [*absolute, *(ratios or (["relative_to"] if other else []))]
    if len(several) != 1:
        what = f"gives {listed(several)}: give one" if several else f"needs one of: {listed(node.INDICATORS)}"
        raise UserError(Mistake(f'how many "{cell_type}"? It {what}', node.path))
    if absolute:
        return Wanted(absolute[0], getattr(node, absolute[0]), "", node.path)
    at = (*node.path, "relative_to") if node.relative_to else (*node.path, ratios[0])
    if not ratios:
        raise UserError(Mistake(f"needs one of: {listed(RATIOS)}", at))
    return Wanted(ratios[0], getattr(ratio_of, ratios[0]), other, at)
