"""What a placement gives its cells besides positions: `distribute`, with a distributor for each property.

A distributor is one function of some placed cells of one type, those of one chunk, with a random stream of its own. It
returns one column of the node file or several. It is run right after `place`, in the same job.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from snakefold.components import Component
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Mistake, UserError, expects, listed
from snakefold.rng import drawn_with
from snakefold.sonata.nodes import DEFAULTS, POSITION
from snakefold.topology.chunks import Grid, Pieces

Arrays = dict[str, np.ndarray]
Kind = object  # of a column: a dtype, or a tuple of strings, of which the file holds codes

ORIENTATION = ("orientation_w", "orientation_x", "orientation_y", "orientation_z")
LABELS = "labels"
RESERVED = (
    *(*POSITION, "mtype", "partition", "radius", "morphology", *ORIENTATION, LABELS),
    *("population", "node_id", "node_type_id", "node_group_id", "node_group_index", "dynamics_params"),
)


@dataclass(frozen=True)
class PlacedCells:
    """Cells of one type that a strategy has placed in one chunk.

    Attributes
    ----------
    cell_type : name of their type
    positions : (n, 3) float32, um, as they are stored
    first : number of cells of the type that belong to earlier chunks of the strategy; the same for any number of tiles
    chunk : Morton code of the chunk
    about : what the slice of the strategy has of the type, as in {"radius": um or None}
    prepared : the arrays of the distributor's `prepare` step
    """

    cell_type: str
    positions: np.ndarray
    first: int
    chunk: int
    about: Mapping[str, object]
    prepared: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)


class Distributor(Node):
    """Base of what gives placed cells a property.

    Class attributes
    ----------------
    algorithm_version : raise it when the same description gives other values than before
    dtype : of the property's column: a NumPy dtype, or a tuple of all the strings that there can be
    """

    kind: ClassVar[str] = "distributor"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1
    dtype: ClassVar[Kind] = "f4"

    rng = drawn_with()

    def faults(self) -> list[tuple[str, str]]:
        """Return (attribute, what is wrong with it) that its attributes do not say one by one."""
        return []

    def columns(self, name: str, cell_type: str, about: Mapping[str, object]) -> dict[str, Kind]:
        """Return the columns that it gives cells of a type: name -> dtype, or all the strings that there can be.

        Parameters
        ----------
        name : its key under `distribute`
        about : what the slice of the strategy has of the type
        """
        return {name: self.dtype}

    def prepare(self, pieces: Pieces, grid: Grid) -> Arrays:
        """Compute once, in a job of its own, what all chunks need; they find it in `PlacedCells.prepared`."""
        raise NotImplementedError

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray | Arrays:
        """Return the values, (n,), or, where it has several columns, {column: (n,)}; strings as such or as codes."""
        raise NotImplementedError

    @classmethod
    def prepares(cls) -> bool:
        """Return whether it has a `prepare` step."""
        return cls.prepare is not Distributor.prepare


class RotationDistributor(Distributor):
    """Base of what turns placed cells: it returns unit quaternions, (n, 4), w first."""

    kind: ClassVar[str] = "rotation_distributor"

    def columns(self, name: str, cell_type: str, about: Mapping[str, object]) -> dict[str, Kind]:
        return dict.fromkeys(ORIENTATION, "f4")


class MorphologyDistributor(Distributor):
    """Base of what gives placed cells their morphologies: it returns indices, (n,), of `cells.about["morphologies"]`.

    Class attributes
    ----------------
    selects : whether the morphologies are those that the cell types select
    turns : whether it also turns the cells, unless `rotations` says otherwise: it then returns {"morphology": (n,) and
        each of ORIENTATION: (n,)}
    """

    kind: ClassVar[str] = "morphology_distributor"
    selects: ClassVar[bool] = True
    turns: ClassVar[bool] = False

    def columns(self, name: str, cell_type: str, about: Mapping[str, object]) -> dict[str, Kind]:
        if not about.get("morphologies"):
            return {}
        return {"morphology": tuple(about["morphologies"])} | (dict.fromkeys(ORIENTATION, "f4") if self.turns else {})


def _random_morphologies(node: "Distribute") -> MorphologyDistributor:
    from snakefold.morphology.distributors import RandomMorphologies

    return RandomMorphologies.build({}, (*node.path, "morphologies"), node)


class Distribute(Node):
    """Properties of the cells, besides those below: any name, and how its values are made."""

    morphologies = Attribute(
        Component("morphology_distributor", "strategy", "random"),
        default=_random_morphologies,
        semantic=False,
        doc="Which of the morphologies that its type selects a cell has; drawn at random, if not given.",
    )
    rotations = Attribute(
        Component("rotation_distributor", "strategy", "none"),
        semantic=False,
        doc="How the cells are turned; not, if not given.",
    )
    properties = Attribute(
        types.DictOf(Component("distributor", "strategy")),
        default=lambda node: {},
        catches=True,
        semantic=False,  # a slice has the record of each, as components of their own
        doc="Further properties of the cells, by name.",
    )

    def all(self) -> dict[str, Distributor]:
        """Return the distributors by key, in the order in which they run."""
        own = {"morphologies": self.morphologies, "rotations": self.rotations}
        return {name: d for name, d in own.items() if d is not None} | {
            name: self.properties[name] for name in sorted(self.properties)
        }

    def faults(self, columns: Mapping[str, Kind]) -> Iterator[Mistake]:
        """Yield what is wrong with the properties, given the further columns of the placement strategy."""
        for name, distributor in self.all().items():
            if not types.NAME.fullmatch(name):
                what = f'the name "{name}" should be: letters, digits, _ . -, not starting with a dot or dash'
                yield Mistake(what, distributor.path)
            elif name in self.properties and name in RESERVED:
                what = f'"{name}" is a column of every cell; call the property otherwise ({listed(RESERVED, 20)})'
                yield Mistake(what, distributor.path)
            elif name in columns:
                yield Mistake(f'the placement strategy itself gives its cells "{name}"', distributor.path)
            for attribute, what in distributor.faults():
                yield Mistake(what, (*distributor.path, attribute))


@dataclass(frozen=True)
class Source:
    """A distributor of a strategy about to run, restored from its slice: its key, and the seed that it draws with."""

    name: str
    distributor: Distributor
    seed: int

    def columns(self, cell_type: str, about: Mapping[str, object]) -> dict[str, Kind]:
        """Return its columns for cells of a type."""
        return self.distributor.columns(self.name, cell_type, about)

    def __call__(self, cells: PlacedCells, rng: np.random.Generator) -> Arrays:
        """Return its columns for some cells, each as it is stored.

        Raises
        ------
        UserError : they are not what was announced
        """
        where = f'"{self.name}" of {cells.cell_type}'
        kinds = self.columns(cells.cell_type, cells.about)
        if not kinds:
            return {}
        if not len(cells):
            return {name: stored((), kind, 0, where) for name, kind in kinds.items()}
        made = self.distributor.distribute(cells, rng)
        if not isinstance(made, Mapping):
            made = np.asarray(made)
            if len(kinds) > 1 and made.shape != (len(cells), len(kinds)):
                raise UserError(expects(f"shape of {where}", f"({len(cells)}, {len(kinds)})", made.shape))
            made = dict(zip(kinds, [made] if len(kinds) == 1 else made.T, strict=True))
        if made.keys() != kinds.keys():
            raise UserError(expects(f"columns of {where}", listed(kinds), listed(made)))
        return {name: stored(made[name], kind, len(cells), where) for name, kind in kinds.items()}


def stored(values: object, kind: Kind, n: int, where: str) -> np.ndarray:
    """Return a column of n cells as it is stored: of its dtype, or uint32 codes of its strings.

    Raises
    ------
    UserError : another shape, a number that is not finite or does not fit, a string that was not announced
    """
    array = np.asarray(values) if n else np.empty(0)
    if array.shape != (n,):
        raise UserError(expects(f"shape of {where}", f"({n},)", array.shape))
    if not isinstance(kind, tuple):
        dtype = np.dtype(kind)
        if array.dtype.kind not in "iufb":
            raise UserError(expects(f"values of {where}", f"numbers ({dtype})", f"{array.dtype}, {array[0]!r:.40}"))
        with np.errstate(invalid="ignore", over="ignore"):
            cast = np.ascontiguousarray(array.astype(dtype))
            wrong = ~np.isfinite(cast) if dtype.kind == "f" else cast != array
    elif array.dtype.kind in "iu" or not n:
        wrong = (array < 0) | (array >= len(kind))
        cast = np.where(wrong, 0, array).astype(np.uint32)
    else:
        known = np.sort(np.asarray(kind, dtype=str)) if kind else np.array([""])
        strings = array.astype(str)
        at = np.minimum(np.searchsorted(known, strings), len(known) - 1)
        wrong = (known[at] != strings) | (not kind)
        cast = np.argsort(np.asarray(kind or ("",), dtype=str))[at].astype(np.uint32)
    if wrong.any():
        allowed = f"one of {listed(kind, 10)}" if isinstance(kind, tuple) else f"a finite number that {dtype} holds"
        raise UserError(expects(where, allowed, array[int(np.argmax(wrong))]))
    return cast


def merged(kinds: list[dict[str, Kind]]) -> dict[str, Kind]:
    """Return the columns of cells that several strategies place, from those of each.

    Cells of a strategy that lacks a column have 0 in it, or an empty string, or what SONATA's readers take for a cell
    that is not turned: a node file has no gaps.

    Raises
    ------
    UserError : a column is of numbers in one strategy, and of strings in another
    """
    names = list(dict.fromkeys(name for columns in kinds for name in columns))
    made: dict[str, Kind] = {}
    for name in names:
        held = [columns[name] for columns in kinds if name in columns]
        texts = [kind for kind in held if isinstance(kind, tuple)]
        if len(texts) not in (0, len(held)):
            raise UserError(f'"{name}" is a number in one placement, and a string in another')
        if not texts:
            made[name] = np.result_type(*map(np.dtype, held))
        elif all(kind == texts[0] for kind in texts) and len(texts) == len(kinds):
            made[name] = texts[0]
        else:
            made[name] = tuple(
                sorted({s for kind in texts for s in kind} | ({""} if len(held) < len(kinds) else set()))
            )
    return made


def recoded(name: str, column: np.ndarray | None, own: Kind | None, wanted: Kind, n: int) -> np.ndarray:
    """Return a column of a strategy, or None where it lacks it, as one of `merged`."""
    if not isinstance(wanted, tuple):
        return np.full(n, DEFAULTS.get(name, 0), wanted) if column is None else column.astype(wanted)
    if column is None:
        return np.full(n, wanted.index(""), np.uint32)
    if own == wanted:
        return column
    code = {string: i for i, string in enumerate(wanted)}
    return np.array([code[string] for string in own], np.uint32)[column]
