"""Where on a cell a contact is, as SONATA says it: section, segment of the section, offset along the segment.

Sections are those that MorphIO, with which the field's programs read morphologies, finds in the SWC file that is
written for them (`swc.write`, standard types): section 0 is the soma, section i + 1 is MorphIO's section i. These are
the stretches between branching points, each tree of them depth first, children in the order of the file. A section
that grows from another begins with a copy of the point that it grows from, unless its own first point lies there; one
that grows from the soma begins with its own first point. Segment s of a section reaches from its point s to its point
s + 1; the offset is the distance from the segment's start, um, the position that from the section's start, 0 to 1.
Reference: SONATA developer guide, "Representing edges", afferent_ and efferent_ columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from snakefold.cells import Cells
from snakefold.morphology import swc
from snakefold.morphology.morphology import Morphology

AFFERENT, EFFERENT = "afferent", "efferent"  # of the target, of the source
KINDS = {"section_id": "u4", "section_pos": "f4", "segment_id": "u4", "segment_offset": "f4"}
SOMA = 1  # the type that SWC gives points of a soma
MIDDLE = 0.5  # position on the soma: for NEURON its ends are nodes without a membrane


def columns(*sides: str) -> dict[str, str]:
    """Return the columns of an edge set with the locations of its contacts on some sides: name -> dtype."""
    return {f"{side}_{name}": kind for side in sides for name, kind in KINDS.items()}


@dataclass(frozen=True, eq=False)
class Locations:
    """The location of each point of a morphology.

    Attributes
    ----------
    section_id, segment_id : (n_points,) uint32
    section_pos : (n_points,) float32, 0 to 1
    segment_offset : (n_points,) float32, um
    """

    section_id: np.ndarray
    section_pos: np.ndarray
    segment_id: np.ndarray
    segment_offset: np.ndarray

    @classmethod
    def of(cls, morphology: Morphology) -> "Locations":
        """Return those of a morphology.

        A point that copies one of the soma is on the soma; one that copies a branching point is at the start of the
        section that it begins. A point that is connected to none is no section for MorphIO; it counts as the soma.
        """
        table, rows = swc.as_table(morphology, standard=True)
        parents = table.parents
        n_children = np.bincount(parents[parents >= 0], minlength=len(parents))
        soma = (table.tags == SOMA) | ((parents < 0) & (n_children == 0))
        grows = (parents >= 0) & ~soma[parents]  # from a point of a neurite
        starts = ~soma & (~grows | (n_children[parents] > 1))
        section, at, along = _along(table, soma, starts, grows)
        whole = np.zeros(section.max() + 1)
        np.maximum.at(whole, section, along)
        position = np.where(soma, MIDDLE, along / np.where(whole > 0, whole, 1.0)[section])
        step = np.where(at > 0, _steps(table), 0.0)
        step[soma] = 0.0
        found = section[rows], position[rows], np.maximum(at - 1, 0)[rows], step[rows]
        of = morphology.parents
        copies = morphology.first[(of >= 0) & (rows[morphology.first] == rows[morphology.last[of]])]
        copies = copies[(starts & grows)[rows[copies + 1]]]
        for values, there in zip(found, (section[rows[copies + 1]], 0.0, 0, 0.0), strict=True):
            values[copies] = there
        return cls(*(values.astype(kind) for values, kind in zip(found, KINDS.values(), strict=True)))


def _steps(table: swc.Table) -> np.ndarray:
    """Return (n,) float64, um: the distance of each point from its parent; 0 where there is none."""
    step = np.sqrt(((table.points - table.points[table.parents]) ** 2).sum(axis=1))
    return np.where(table.parents < 0, 0.0, step)


def _along(
    table: swc.Table, soma: np.ndarray, starts: np.ndarray, grows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each point, its section (0: the soma), its index among that section's points, and how far along.

    Parameters
    ----------
    soma : (n,) bool, whether it belongs to section 0
    starts : (n,) bool, whether a section begins with it
    grows : (n,) bool, whether its parent is a point of a neurite
    """
    parents = table.parents
    inner = ~soma & ~starts
    before = np.where(inner, parents, np.arange(len(parents)))
    single = table.points.astype(np.float32)  # in which MorphIO compares
    begins = starts & grows & (single != single[parents]).any(axis=1)
    at = (inner | begins).astype(np.int64)
    along = np.where(at > 0, _steps(table), 0.0)
    sums: tuple[np.ndarray, ...] = np.where(inner, at, 0), np.where(inner, along, 0.0)
    while (before[before] != before).any():  # from each point to twice as far before it, until all are at the start
        sums = tuple(values + values[before] for values in sums)
        before = before[before]
    order = _depth_first(np.flatnonzero(starts), before, parents, grows)
    number = np.zeros(len(parents), np.int64)
    number[order] = np.arange(1, len(order) + 1)
    return number[before], sums[0] + at[before], sums[1] + along[before]


def _depth_first(starts: np.ndarray, start_of: np.ndarray, parents: np.ndarray, grows: np.ndarray) -> np.ndarray:
    """Return the first points of sections in MorphIO's order.

    The trees of sections come in the order of the points of the soma that they grow from, or of their own first point
    where they grow from none; each is walked depth first.
    """
    roots: list[tuple[int, int]] = []
    children: dict[int, list[int]] = {}
    for start, parent in zip(starts.tolist(), parents[starts].tolist(), strict=True):
        if grows[start]:
            children.setdefault(int(start_of[parent]), []).append(start)
        else:
            roots.append((start if parent < 0 else parent, start))
    order: list[int] = []
    waiting = [start for _, start in sorted(roots, reverse=True)]
    while waiting:
        order.append(waiting.pop())
        waiting.extend(children.get(order[-1], ())[::-1])
    return np.array(order, np.int64)


@lru_cache(maxsize=64)  # by identity: a strategy asks for the same morphologies in every chunk
def _located(morphology: Morphology) -> Locations:
    return Locations.of(morphology)


def locate(
    side: str, morphology: Morphology, points: np.ndarray, fraction: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return the columns of contacts at some points, (n,) indices, of a morphology: name -> (n,).

    With fractions, (n,), 0 to 1, they lie so far along the segments of branches that end at these points; where that is
    not one of a section, from the soma to the first point of what grows from it, at the section's start.
    """
    of = _located(morphology)
    made = {name: getattr(of, name)[points] for name in KINDS}
    if fraction is not None:
        inner = of.section_id[points - 1] == made["section_id"]
        start = np.where(inner, of.section_pos[points - 1], made["section_pos"])
        made["section_pos"] = start + fraction * (made["section_pos"] - start)
        made["segment_offset"] = fraction * made["segment_offset"]
    return {f"{side}_{name}": values.astype(KINDS[name]) for name, values in made.items()}


def located(
    side: str,
    cells: Cells,
    morphologies: Mapping[str, Morphology],
    cell: np.ndarray,
    point: np.ndarray,
    fraction: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the columns of contacts on a side, as `locate` does, of cells with different morphologies: name -> (n,).

    Parameters
    ----------
    cell : (n,) indices among the cells
    point : (n,) indices of points of their morphologies
    fraction : (n,), or None
    """
    made = {name: np.zeros(len(cell), kind) for name, kind in columns(side).items()}
    if not len(cell):
        return made
    of = cells.morphology[cell]
    codes = np.flatnonzero(np.bincount(of))
    if len(codes) == 1:
        return locate(side, morphologies[cells.morphologies[codes[0]]], point, fraction)
    for code in codes:
        which = np.flatnonzero(of == code)
        along = None if fraction is None else fraction[which]
        for name, values in locate(side, morphologies[cells.morphologies[code]], point[which], along).items():
            made[name][which] = values
    return made
