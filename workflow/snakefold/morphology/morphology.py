"""The shape of a cell: unbranched stretches of points (branches) in a tree, with radii, SWC types and sets of labels.

Coordinates are um, in the frame of the cell: what is at the origin comes to lie at the position of the cell. As in the
BSB, the first point of a branch is a copy of the last point of the branch that it grows from, unless there is a gap,
and branches are in depth-first order, so that a branch comes after the one that it grows from.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from snakefold.errors import UserError, did_you_mean, expects, listed

LabelSets = tuple[tuple[str, ...], ...]

SHAPES = {"points": (np.float64, 2), "radii": (np.float64, 1), "tags": (np.int32, 1), "labels": (np.uint16, 1)}

FARTHEST = float(np.finfo(np.float32).max)  # um; other programs read single precision


@dataclass(frozen=True, eq=False)
class Morphology:
    """A shape; it is never changed, operations return another.

    Attributes
    ----------
    points : (n, 3) float64, um
    radii : (n,) float64, um
    tags : (n,) int32, the types that SWC gives points: 1 soma, 2 axon, 3 dendrite, 4 apical dendrite, others by custom
    labels : (n,) uint16, index into `label_sets`
    offsets : (n_branches + 1,) int64; branch b has the points offsets[b]:offsets[b + 1], at least one
    parents : (n_branches,) int64, the branch that each grows from, an earlier one; -1 for roots
    label_sets : distinct sets of labels, each sorted
    """

    points: np.ndarray
    radii: np.ndarray
    tags: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    parents: np.ndarray
    label_sets: LabelSets = ((),)

    def __post_init__(self):
        for name, (dtype, ndim) in SHAPES.items():
            array = np.array(getattr(self, name), dtype)
            if array.ndim != ndim or len(array) != len(self.points) or (ndim == 2 and array.shape[1] != 3):
                shape = f"({len(self.points)}{', 3' if ndim == 2 else ','})"
                raise UserError(expects(f"'{name}' shape", shape, array.shape))
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name in ("offsets", "parents"):
            array = np.array(getattr(self, name), np.int64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        n = len(self.parents)
        if not len(self.points):
            raise UserError("has no points")
        rises = len(self.offsets) == n + 1 and (np.diff(self.offsets) > 0).all()
        if not rises or self.offsets[0] != 0 or self.offsets[-1] != len(self.points):
            raise UserError(expects("'offsets'", f"rising from 0 to {len(self.points)}, {n + 1} of them", self.offsets))
        if not ((self.parents >= -1) & (self.parents < np.arange(n))).all():
            raise UserError(expects("'parents'", "an earlier branch or -1", self.parents))
        if not all((np.abs(values) <= FARTHEST).all() for values in (self.points, self.radii)):
            raise UserError(f"has points or radii that are not finite numbers, of at most {FARTHEST:.3g}")
        if int(self.labels.max()) >= len(self.label_sets):
            raise UserError(expects("'labels'", f"below {len(self.label_sets)}", int(self.labels.max())))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def n_branches(self) -> int:
        """Number of branches."""
        return len(self.parents)

    @cached_property
    def roots(self) -> np.ndarray:
        """(n_roots,) int64, the branches that grow from none."""
        return np.flatnonzero(self.parents < 0)

    @cached_property
    def branch_of(self) -> np.ndarray:
        """(n,) int64, the branch of each point."""
        return np.repeat(np.arange(self.n_branches), np.diff(self.offsets))

    @cached_property
    def root_of(self) -> np.ndarray:
        """(n_branches,) int64, the root that each branch descends from."""
        root = np.arange(self.n_branches)
        for branch, parent in enumerate(self.parents.tolist()):
            if parent >= 0:
                root[branch] = root[parent]
        return root

    @property
    def first(self) -> np.ndarray:
        """(n_branches,) int64, index of the first point of each branch."""
        return self.offsets[:-1]

    @property
    def last(self) -> np.ndarray:
        """(n_branches,) int64, index of the last point of each branch."""
        return self.offsets[1:] - 1

    @property
    def terminal(self) -> np.ndarray:
        """(n_branches,) bool, whether no branch grows from it."""
        return ~np.isin(np.arange(self.n_branches), self.parents)

    @property
    def bounds(self) -> np.ndarray:
        """(2, 3) float64, um: the lower and the upper corner of the box around all points, without their radii."""
        return np.stack([self.points.min(axis=0), self.points.max(axis=0)])

    @property
    def origin(self) -> np.ndarray:
        """(3,) float64, um: the mean of the first points of the roots."""
        return self.points[self.first[self.roots]].mean(axis=0)

    @property
    def known_labels(self) -> list[str]:
        """All labels that some point has, sorted."""
        used = np.unique(self.labels)
        return sorted({label for code in used for label in self.label_sets[code]})

    def labelled(self, labels: Iterable[str]) -> np.ndarray:
        """Return which points, (n,) bool, have at least one of some labels.

        Raises
        ------
        UserError : no point has one of them
        """
        known = self.known_labels
        labels = list(labels)
        if not set(labels) & set(known):
            hint = did_you_mean(labels[0], known) if len(labels) == 1 else ""
            raise UserError(f"no point is labelled {listed(labels)}{hint} (labels: {listed(known)})")
        return np.array([not set(labels).isdisjoint(set_) for set_ in self.label_sets])[self.labels]

    def with_labels(self, labels: Iterable[str], which: np.ndarray) -> "Morphology":
        """Return it with labels added to some points (anything that indexes points)."""
        codes = self.labels.copy()
        sets = list(self.label_sets)
        for code in np.unique(codes[which]).tolist():
            wanted = tuple(sorted({*sets[code], *labels}))
            if wanted not in sets:
                sets.append(wanted)
            mask = np.zeros(len(self), bool)
            mask[which] = True
            codes[mask & (self.labels == code)] = sets.index(wanted)
        return replace(self, labels=codes, label_sets=tuple(sets))

    def moved(self, points: np.ndarray) -> "Morphology":
        """Return it with its points at other places, (n, 3) um."""
        return replace(self, points=points)

    def segments(self) -> np.ndarray:
        """Return (n_segments,) int64: the points that end a segment, which begins at the point before."""
        inner = np.ones(len(self), bool)
        inner[self.first] = False
        return np.flatnonzero(inner)

    @property
    def path_length(self) -> float:
        """Length of all segments, um; gaps between branches are none."""
        end = self.segments()
        return float(np.sqrt(((self.points[end] - self.points[end - 1]) ** 2).sum(axis=1)).sum())

    # Written and read as arrays

    def arrays(self) -> dict[str, np.ndarray]:
        """Return it as arrays for a stage; those of `label_sets` are texts."""
        columns = {name: getattr(self, name) for name in (*SHAPES, "offsets", "parents")}
        return columns | {"label_sets": np.array(["\n".join(set_) for set_ in self.label_sets], object)}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Morphology":
        """Return the morphology of `arrays`."""
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in arrays["label_sets"]]
        sets = tuple(tuple(text.split("\n")) if text else () for text in texts)
        return cls(**{name: arrays[name] for name in (*SHAPES, "offsets", "parents")}, label_sets=sets)


def coded(tags: np.ndarray, labels_of: Mapping[int, Iterable[str]]) -> tuple[np.ndarray, LabelSets]:
    """Return label codes, (n,) uint16, and the sets that they index, of points of which each tag means some labels."""
    sets: list[tuple[str, ...]] = [()]
    codes = np.zeros(len(tags), np.uint16)
    for tag in np.unique(tags).tolist():
        wanted = tuple(sorted(set(labels_of[tag])))
        if wanted not in sets:
            sets.append(wanted)
        codes[tags == tag] = sets.index(wanted)
    return codes, tuple(sets)


def branches(morphology: Morphology) -> Iterator[slice]:
    """Yield the points of each branch."""
    for start, stop in zip(morphology.offsets[:-1].tolist(), morphology.offsets[1:].tolist(), strict=True):
        yield slice(start, stop)
