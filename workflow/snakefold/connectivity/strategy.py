"""The contract of a connectivity strategy: one function of a chunk's cells and their candidate partners.

A strategy sees the target cells of one chunk and all candidate source cells (or, if it is partitioned by source, the
source cells of one chunk and all candidate targets), a random stream of its own, and what it may read besides. It
returns pairs of indices, one pair per synapse. It is run for the chunks of a tile, in any order, in any process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.connectivity.sample import Sample
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.morphology.morphology import Morphology
from snakefold.rng import drawn_with
from snakefold.sonata.labels import fault as label_fault

Arrays = dict[str, np.ndarray]
Pair = tuple[str, str]  # (source cell type, target cell type)


@dataclass(frozen=True)
class Synapses:
    """Synapses between two types: for each, the indices of its cells among those that the strategy was given.

    Attributes
    ----------
    source, target : (n,) integers, in any order
    columns : further columns, name -> (n,)
    """

    source: np.ndarray
    target: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What a strategy may read besides the cells.

    Attributes
    ----------
    prepared : the arrays of its `prepare` step
    edges : edge sets of the strategies that it depends on, by name (`sonata.edges.Edges`)
    cells : all cells of the types that it looks at besides those that it connects, by type
    morphologies : of the cells on the sides that it is `shaped` by, by name; each is read when it is asked for
    numbers : where it deals out fixed totals (`deal`), the number of synapses of this chunk by pair of types
    """

    prepared: Mapping[str, np.ndarray] = field(default_factory=dict)
    edges: Mapping[str, object] = field(default_factory=dict)
    cells: Mapping[str, Cells] = field(default_factory=dict)
    morphologies: Mapping[str, Morphology] = field(default_factory=dict)
    numbers: Mapping[Pair, int] = field(default_factory=dict)


def _any(value: object) -> bool:
    return True


class Side(Node):
    """The cells on one side of a connection.

    Class attributes
    ----------------
    own_labels : whether `morphology_labels` are those of parts that it describes itself, not of morphologies
    """

    own_labels: ClassVar[bool] = False

    cell_types = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        doc="Cell types on this side.",
    )
    labels = Attribute(
        types.ListOf(types.string(), distinct=True),
        constraint=label_fault,
        doc="Labels, any of which the cells have; an empty list for cells without labels; all cells if not given.",
    )
    morphology_labels = Attribute(
        types.ListOf(types.string(), least=1, distinct=True),
        doc="Labels, any of which the points of the cells' morphologies have; all points if not given.",
    )
    morpho_loader = types.later("How morphologies are read.")

    def points_of(self, morphology: Morphology) -> np.ndarray:
        """Return the indices, (n,) int64, of the points of a morphology that may be connected; none is possible."""
        if self.morphology_labels is None:
            return np.arange(len(morphology))
        if set(self.morphology_labels).isdisjoint(morphology.known_labels):
            return np.empty(0, np.int64)
        return np.flatnonzero(morphology.labelled(self.morphology_labels))


NAMES = types.OneOf((lambda value: isinstance(value, list), types.ListOf(types.name())), (_any, types.name()))
OUTPUT_NAMING = types.OneOf(
    (
        lambda value: isinstance(value, dict),
        types.DictOf(types.DictOf(types.OneOf((lambda value: value is None, types.nothing()), (_any, NAMES)))),
    ),
    (_any, NAMES),
)


class ConnectivityStrategy(Node):
    """Base of the connectivity strategies.

    Class attributes
    ----------------
    algorithm_version : raise it when the same description gives other synapses than before
    partitioned_by : "target", whose tiles need no sorting, or "source"
    halo_um : candidates are the cells of chunks that come this near; None for all cells
    columns : further columns of its edges, name -> dtype; a property where it depends on attributes
    shaped : the sides, "presynaptic" and "postsynaptic", of whose cells it reads the morphologies
    shares : attributes that are shares of its synapses: where one is 0, there are none
    by_distance : whether it asks how far apart cells are, which of entities nobody can say
    """

    kind: ClassVar[str] = "connectivity"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1
    partitioned_by: ClassVar[str] = "target"
    halo_um: float | None = None
    columns: ClassVar[dict[str, str]] = {}
    shaped: ClassVar[tuple[str, ...]] = ()
    shares: ClassVar[tuple[str, ...]] = ()
    by_distance: ClassVar[bool] = False
    cost_per_edge_s: ClassVar[float] = 5e-7

    presynaptic = Attribute(types.NodeOf(Side), required=True, doc="Where the synapses come from.")
    postsynaptic = Attribute(types.NodeOf(Side), required=True, doc="Where the synapses go to.")
    depends_on = Attribute(
        types.ListOf(types.Reference("connectivity", "connectivity"), distinct=True),
        default=lambda node: [],
        doc="Strategies whose synapses must be there before.",
    )
    rng = drawn_with()

    output_naming = Attribute(
        OUTPUT_NAMING,
        default=lambda node: {},
        doc=(
            "Names of its edge sets: one name, to which _SOURCE_to_TARGET is added where it connects several pairs of "
            "types, or {source type: {target type: name}} with the names of some pairs, null for a pair that is left "
            "out; its own name if not given. A list has one name: each pair has one edge set."
        ),
    )

    def names_of(self, pair: Pair) -> list[str]:
        """Return the names that the description gives to the edge set of a pair; none where the pair is left out."""
        (pre, post), naming = pair, self.output_naming
        if isinstance(naming, dict):
            if post in naming.get(pre, {}):
                return _listed(naming[pre][post])
            naming = None
        several = len(self.presynaptic.cell_types) * len(self.postsynaptic.cell_types) > 1
        bases = [self.node_name] if naming is None else _listed(naming)
        return [f"{base}_{pre}_to_{post}" if several else base for base in bases]

    def edge_sets(self) -> dict[str, Pair]:
        """Return its edge sets: name -> (source cell type, target cell type)."""
        return {self.names_of(pair)[0]: pair for pair in self.pairs()}

    def naming_faults(self) -> list[str]:
        """Return what is wrong with the names of its edge sets."""
        naming, pairs = self.output_naming, self.pairs()
        named = [(a, b) for a, row in naming.items() for b in row] if isinstance(naming, dict) else []
        known = {*pairs, *self.left_out()}
        found = [f"no pair {a} to {b} is connected by it" for a, b in named if (a, b) not in known]
        for pre, post in pairs:
            if len(names := self.names_of((pre, post))) > 1:
                found.append(f"{pre} to {post} is one edge set and has one name (got: {listed(names)})")
        if self.left_out() and not pairs:
            found.append("leaves out every pair: leave out the strategy")
        return found + (["two of its edge sets have one name"] if len(self.edge_sets()) < len(pairs) else [])

    def pairs(self) -> list[Pair]:
        """Return the pairs of types that it connects: all but those left out in `output_naming`."""
        return [pair for pair in self._all_pairs() if self.names_of(pair)]

    def left_out(self) -> list[Pair]:
        """Return the pairs of its types that `output_naming` leaves out."""
        return [pair for pair in self._all_pairs() if not self.names_of(pair)]

    def _all_pairs(self) -> list[Pair]:
        return [(pre, post) for pre in self.presynaptic.cell_types for post in self.postsynaptic.cell_types]

    def by_labels(self) -> bool:
        """Return whether it connects cells by their labels, of which is not known before how many there are."""
        return self.presynaptic.labels is not None or self.postsynaptic.labels is not None

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        """Return (attribute, message) for all that the wanted numbers of cells make impossible."""
        return []

    def warnings(self) -> list[tuple[str, str]]:
        """Return (attribute, message) for all that a user should know."""
        return [(key, "is 0: there will be no synapses") for key in self.shares if getattr(self, key) == 0]

    def asks(self) -> list[tuple[str, str, str]]:
        """Return (attribute, cell type, property) of the properties that it asks cells for."""
        return []

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        """Return the mean and standard deviation of the number of synapses of a pair of types; 0 where it is exact.

        NaN where the strategy cannot tell.
        """
        return float("nan"), float("nan")

    def guess(self, pair: Pair, n_cells: Mapping[str, int]) -> float:
        """Return about how many synapses a pair of types will have where `expected` cannot tell, to choose tiles by."""
        return 0.0

    def of_a_pair(self, pair: Pair, sample: Sample) -> float:
        """Return about how many synapses a pair of cells has, by a sample of them; NaN to go by `guess`."""
        return float("nan")

    def dependencies(self) -> list[str]:
        """Return the strategies whose edge sets it reads: they are in `Given.edges`."""
        return list(self.depends_on)

    def looks_at(self) -> list[str]:
        """Return cell types whose cells it reads besides those that it connects: they are in `Given.cells`."""
        return []

    def sides_shaped(self) -> dict[str, Side]:
        """Return the sides of whose cells it reads the morphologies, by the keys of the description."""
        return {side: getattr(self, side) for side in self.shaped}

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        """Compute once, in a job of its own, what all chunks need; they find it in `Given.prepared`."""
        raise NotImplementedError

    def deal(
        self, rng: np.random.Generator, n_sources: dict[str, int], n_targets: dict[str, np.ndarray]
    ) -> dict[Pair, np.ndarray]:
        """Deal totals that are fixed for the whole circuit out to chunks, the same way in every job.

        Parameters
        ----------
        n_sources : cells of each source type
        n_targets : cells of each target type in each chunk, (n_chunks,)

        Returns
        -------
        {(source type, target type): (n_chunks,) int64}
        """
        return {}

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        """Connect the cells of a chunk, by type."""
        raise NotImplementedError

    @classmethod
    def prepares(cls) -> bool:
        """Return whether it has a `prepare` step."""
        return cls.prepare is not ConnectivityStrategy.prepare


@dataclass(frozen=True)
class Effect:
    """What a hook does with edge sets.

    Attributes
    ----------
    rewrites : those that it changes
    adds : those that it creates: name -> (source cell type, target cell type)
    reads : those that it reads besides
    removes : of these, those that are no part of the circuit any more
    """

    rewrites: tuple[str, ...] = ()
    adds: Mapping[str, Pair] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()

    def after(self, sets: Mapping[str, Pair]) -> dict[str, Pair]:
        """Return the edge sets that there are when it has run."""
        return {name: pair for name, pair in sets.items() if name not in self.removes} | dict(self.adds)


class Set(dict[str, np.ndarray]):
    """All edges of a set, as a hook sees them: "source" and "target", (n,) node ids, and further columns, (n,) each.

    Attributes
    ----------
    pair : (source cell type, target cell type)
    """

    def __init__(self, pair: Pair, arrays: Mapping[str, np.ndarray]):
        super().__init__(arrays)
        self.pair = pair


class AfterConnectivity(Node):
    """Base of the hooks that change or add edge sets before the circuit is final."""

    kind: ClassVar[str] = "after_connectivity"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1

    rewrites = Attribute(
        types.ListOf(types.Reference("edge sets", "edge set"), distinct=True),
        default=lambda node: [],
        doc="Edge sets that it changes.",
    )
    adds = Attribute(
        types.DictOf(types.ListOf(types.Reference("cell_types", "cell type"), least=2)),
        default=lambda node: {},
        doc="Edge sets that it creates: name -> [source cell type, target cell type].",
    )
    depends_on = Attribute(
        types.ListOf(types.Reference("after_connectivity", "hook"), distinct=True),
        default=lambda node: [],
        doc="Hooks that come before; otherwise they run in the order of their names.",
    )
    rng = drawn_with()

    def warnings(self) -> list[str]:
        """Return what a user should know."""
        return []

    def effect(self, sets: Mapping[str, Pair]) -> Effect:
        """Return what it does with edge sets: what its attributes say, or what follows from them.

        Parameters
        ----------
        sets : all that there are when it runs: name -> (source cell type, target cell type)

        Raises
        ------
        UserError : what cannot be done with these; paths start at the hook
        """
        return Effect(tuple(self.rewrites), {name: tuple(pair) for name, pair in self.adds.items()})

    def named(self, names: Sequence[str], sets: Mapping[str, Pair]) -> dict[str, Pair]:
        """Return the pairs of the edge sets that its attribute `connections` names, for `effect`.

        Raises
        ------
        UserError : those that there are not when it runs
        """
        hint = f"({listed(sorted(sets))})"
        if unknown := [
            Mistake(
                f'no edge set "{name}" is made before it{did_you_mean(name, sets)} {hint}',
                ("connections", i),
                lacks=(("connectivity", name),),
            )
            for i, name in enumerate(names)
            if name not in sets
        ]:
            raise UserError(unknown)
        return {name: sets[name] for name in names}

    def postprocess(self, edges: dict[str, Set], rng: np.random.Generator) -> dict[str, Arrays]:
        """Return all edges of the sets it rewrites and adds: {set: {"source", "target": (n,) node ids, columns}}."""
        raise NotImplementedError


def _listed(names: str | list[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def split(
    pairs: list[Pair],
    sizes: tuple[list[int], list[int]],
    source: np.ndarray,
    target: np.ndarray,
    columns: Mapping[str, np.ndarray] | None = None,
) -> dict[Pair, Synapses]:
    """Split synapses given by indices over all types, laid end to end, into those of each pair of types.

    Parameters
    ----------
    pairs : (source type, target type), the source types' index running slower, all combinations
    sizes : number of cells of each source type and of each target type
    source, target : (n,) indices
    columns : further columns, name -> (n,)
    """
    n_sources, n_targets = sizes
    columns = columns or {}
    if len(n_sources) == len(n_targets) == 1:
        return {pairs[0]: Synapses(source, target, columns)}
    starts = np.cumsum([0, *n_sources]), np.cumsum([0, *n_targets])
    which = [np.searchsorted(s, i, side="right") - 1 for s, i in zip(starts, (source, target), strict=True)]
    code = which[0] * len(n_targets) + which[1]
    made = {}
    for i, pair in enumerate(pairs):
        of = code == i
        pre, post = divmod(i, len(n_targets))
        own = {name: values[of] for name, values in columns.items()}
        made[pair] = Synapses(source[of] - starts[0][pre], target[of] - starts[1][post], own)
    return made
