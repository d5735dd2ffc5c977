"""Morphologies as SWC: lines of id, type, x, y, z, radius, parent (Cannon et al. 1998, J. Neurosci. Methods 84:49-54).

Read as the BSB reads it. Points may stand in any order and be numbered in any way; -1 is the parent of a first one.
Comments (#) may stand on lines of their own or behind a point; columns after the seventh are not read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snakefold.errors import Mistake, UserError
from snakefold.morphology.morphology import FARTHEST, Morphology, branches, coded

DEFAULT_LABELS = {1: ("soma",), 2: ("axon",), 3: ("dendrites",)}  # of SWC's types; any other is labelled tag_<type>
COLUMNS = ("id", "type", "x", "y", "z", "radius", "parent")
MOST_TOLD = 5  # of the mistakes in one file
_END_OF_LINE = re.compile(r"\r\n|\r|\n")
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Table:
    """The points of an SWC file, in its order.

    Attributes
    ----------
    tags : (n,) int32, types
    points : (n, 3) float64, um
    radii : (n,) float64, um
    parents : (n,) int64, index of the parent, -1 for a first point
    """

    tags: np.ndarray
    points: np.ndarray
    radii: np.ndarray
    parents: np.ndarray


def read_table(text: str, where: str = "") -> Table:
    """Return the points of the text of an SWC file.

    Parameters
    ----------
    where : the file's name, for messages

    Raises
    ------
    UserError : it is empty, a line is not seven numbers, an id stands twice, a parent is not there or a descendant;
        each with its line
    """
    wrong: list[Mistake] = []

    def mistake(line: int, message: str) -> None:
        wrong.append(Mistake(message, where=f"{where}:{line}"))

    rows, lines = [], []
    for number, line in enumerate(_END_OF_LINE.split(text.removeprefix("\ufeff")), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        row, fault = _row(words)
        if fault:
            mistake(number, f"{fault} (got: {' '.join(words):.60})")
        else:
            rows.append(row)
            lines.append(number)
    if not rows and not wrong:
        raise UserError("has no points: it is empty", where=where)
    table = np.array(rows, np.float64).reshape(-1, 7)
    ids, parent_ids = table[:, 0].astype(np.int64).tolist(), table[:, 6].astype(np.int64).tolist()
    at: dict[int, int] = {}
    for i, id_ in enumerate(ids):
        if id_ in at:
            mistake(lines[i], f"the id {id_} stands twice (first: line {lines[at[id_]]})")
        at.setdefault(id_, i)
    parents = np.full(len(ids), -1, np.int64)
    for i, parent in enumerate(parent_ids):
        if parent != -1 and parent not in at and not wrong:
            mistake(lines[i], f"its parent should be: the id of a point, or -1 (got: {parent})")
        elif parent != -1:
            parents[i] = at.get(parent, -1)
    if not wrong:
        for i in np.flatnonzero(~_reached(parents)).tolist():
            mistake(lines[i], f"the point {ids[i]} descends from itself")
    if wrong:
        rest = [Mistake(f"... ({len(wrong) - MOST_TOLD} more)", where=where)] if len(wrong) > MOST_TOLD else []
        raise UserError([*wrong[:MOST_TOLD], *rest])
    return Table(table[:, 1].astype(np.int32), table[:, 2:5].copy(), table[:, 5].copy(), parents)


def _row(words: Sequence[str]) -> tuple[list[float], str]:
    """Return the seven numbers of a line, and what is wrong with it or an empty string."""
    if len(words) < 7:
        return [], f"should be: seven numbers, {', '.join(COLUMNS)}"
    try:
        row = [float(word) for word in words[:7]]
    except ValueError:
        return [], f"should be: seven numbers, {', '.join(COLUMNS)}"
    if not (np.abs(row) <= FARTHEST).all():
        return [], f"should be: finite numbers, of at most {FARTHEST:.3g}"
    for i in (0, 1, 6):
        if row[i] != int(row[i]) or abs(row[i]) > _LARGEST:
            return [], f"{COLUMNS[i]} should be: a whole number below 2^31"
    if row[0] < 0 or row[1] < 0:
        return [], "id and type should be: 0 or more"
    if row[5] < 0:
        return [], "radius should be: 0 or more"
    return row, ""


def _reached(parents: np.ndarray) -> np.ndarray:
    """Return which points, (n,) bool, descend from a first one: pointers are doubled until they end or go round."""
    up = np.append(np.where(parents < 0, len(parents), parents), len(parents))
    for _ in range(len(up).bit_length() + 1):
        up = up[up]
    return up[:-1] == len(parents)


def read(
    text: str,
    where: str = "",
    *,
    tags: Mapping[int, Iterable[str]] | None = None,
    skip_boundary_labels: Iterable[str] = (),
) -> Morphology:
    """Return the morphology of the text of an SWC file, cut into branches as the BSB cuts it.

    A branch goes on while each point has one child. Those that grow from where it ends begin with a copy of its last
    point, which takes over the type of the point that follows. A soma of one point is a branch of one point where
    several branches, or none, grow from it; otherwise it is the first point of the one that does. Its type is its own
    (the BSB also gives it that of the next point, so that such a cell has no soma).

    Parameters
    ----------
    tags : what labels a type means, besides DEFAULT_LABELS
    skip_boundary_labels : a branch ends at the last of the points of types all of whose labels are among these, and the
        branches that grow from them have no copy of a point of theirs: a gap

    Raises
    ------
    UserError : see `read_table`
    """
    table = read_table(text, where)
    labels_of = {int(tag): (f"tag_{tag}",) for tag in np.unique(table.tags)}
    labels_of |= DEFAULT_LABELS | {tag: tuple(labels) for tag, labels in (tags or {}).items()}
    skipped = set(skip_boundary_labels)
    boundary = np.isin(table.tags, [t for t, labels in labels_of.items() if skipped and skipped.issuperset(labels)])
    samples, copied, parents = _branches(table.parents, boundary)
    rows = np.concatenate(samples)
    sizes = [len(sample) for sample in samples]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    types = table.tags[rows]
    starts = offsets[:-1][copied]
    types[starts] = types[starts + 1]
    codes, sets = coded(types, labels_of)
    return Morphology(table.points[rows], table.radii[rows], types, codes, offsets, np.array(parents), sets)


def _branches(parents: np.ndarray, boundary: np.ndarray) -> tuple[list[list[int]], np.ndarray, list[int]]:
    """Cut a tree of points into branches, depth first, children in the order of the file.

    Returns
    -------
    the points of each branch, whether its first is a copy of its parent's last, (n_branches,) bool, and its parent
    """
    children: list[list[int]] = [[] for _ in parents]
    for point, parent in enumerate(parents.tolist()):
        if parent >= 0:
            children[parent].append(point)
    ends = boundary.tolist()
    samples: list[list[int]] = []
    copied, branch_parents = [], []
    waiting = [(-1, -1, root) for root in np.flatnonzero(parents < 0)[::-1].tolist()]
    while waiting:
        of, before, point = waiting.pop()
        copies = before >= 0 and not ends[before]
        branch = len(samples)
        samples.append([before] if copies else [])
        copied.append(copies)
        branch_parents.append(of)
        while True:
            samples[branch].append(point)
            following = children[point]
            if len(following) != 1 or (ends[point] and not ends[following[0]]):
                break
            (point,) = following
        waiting.extend((branch, point, child) for child in reversed(following))
    return samples, np.array(copied, bool), branch_parents


def write(morphology: Morphology, *, standard: bool = False) -> str:
    """Return a morphology as the text of an SWC file: points numbered from 1, those of a parent before its children.

    The copy of its parent's last point with which a branch begins is left out: reading puts it there again.

    Parameters
    ----------
    standard : give points the types that morphio, which refuses others, reads. Types above 4 become those of their
        labels (axon, dendrites or dendrite, apical_dendrites or apical_dendrite, soma), where they have one, or else 0
        above 19; along a stretch without a branching point, where the type changes only after a soma, all take the
        most frequent
    """
    table, _ = as_table(morphology, standard=standard)
    columns = (table.tags, *table.points.T, table.radii, np.where(table.parents < 0, -1, table.parents + 1))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return "".join(
        f"{i} {tag} {x!r} {y!r} {z!r} {r!r} {parent}\n" for i, (tag, x, y, z, r, parent) in enumerate(rows, 1)
    )


def as_table(morphology: Morphology, *, standard: bool = False) -> tuple[Table, np.ndarray]:
    """Return the points that `write` writes, in its order, and the row, (n_points,) int64, of each point.

    The row of a copy of a parent's last point is that of this point.
    """
    parents, first = morphology.parents, morphology.first
    ends = morphology.last[parents]
    alike = (morphology.points[first] == morphology.points[ends]).all(axis=1)
    copies = alike & (parents >= 0) & (np.diff(morphology.offsets) > 1)
    written = np.ones(len(morphology), bool)
    written[first[copies]] = False
    rows = np.cumsum(written) - 1
    for branch in np.flatnonzero(copies).tolist():  # in this order: what is copied may be a copy
        rows[first[branch]] = rows[ends[branch]]
    before = np.concatenate([[-1], rows[:-1]])
    before[first[~copies]] = np.where(parents < 0, -1, rows[ends])[~copies]
    types = _standard(morphology) if standard else morphology.tags
    return Table(types[written], morphology.points[written], morphology.radii[written], before[written]), rows


_STANDARD = {
    "soma": 1,
    "axon": 2,
    "dendrites": 3,
    "dendrite": 3,
    "apical_dendrites": 4,
    "apical_dendrite": 4,
}
_HIGHEST = 19  # morphio refuses types above it; 0 is undefined


def _standard(morphology: Morphology) -> np.ndarray:
    """Return types that all readers know, (n,) int32."""
    of_set = [next((t for name, t in _STANDARD.items() if name in set_), 0) for set_ in morphology.label_sets]
    of_label = np.array(of_set, np.int32)[morphology.labels]
    types = np.where((morphology.tags > 4) & (of_label > 0), of_label, morphology.tags)
    types[types > _HIGHEST] = 0
    for stretch in _stretches(morphology):
        inside = types[stretch] != 1
        if inside.any():
            values, counts = np.unique(types[stretch[inside]], return_counts=True)
            types[stretch[inside]] = values[np.argmax(counts)]
    return types


def _stretches(morphology: Morphology) -> list[np.ndarray]:
    """Return the points of each stretch without a branching point; a branch with one child goes on in it."""
    n_children = np.bincount(morphology.parents[morphology.parents >= 0], minlength=morphology.n_branches)
    found: dict[int, list[np.ndarray]] = {}
    of: list[int] = []
    for branch, (span, parent) in enumerate(zip(branches(morphology), morphology.parents.tolist(), strict=True)):
        of.append(of[parent] if parent >= 0 and n_children[parent] == 1 else branch)
        found.setdefault(of[-1], []).append(np.arange(span.start, span.stop))
    return [np.concatenate(parts) for parts in found.values()]
