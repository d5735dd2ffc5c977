"""The contract of a placement strategy: one function of a chunk, arrays in, arrays out.

A strategy sees one chunk at a time: its volume, how many cells of each type belong there, a random stream of its own,
and what it may read besides (`Given`). It is run for the chunks of a tile, in any order, in any process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.morphology.selectors import MorphologySelector
from snakefold.placement.counts import deal
from snakefold.placement.distribute import Distribute
from snakefold.placement.indicators import Indicators
from snakefold.rng import drawn_with
from snakefold.topology.chunks import Grid, Pieces
from snakefold.topology.domains import Domain

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Setting:
    """What a strategy needs of the description besides its own attributes, where it knows all its cells beforehand.

    Attributes
    ----------
    name : its name
    seed : the seed that it draws with
    radii : soma radius by cell type, um; 0 where none is given
    """

    name: str = ""
    seed: int = 0
    radii: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """One chunk of a strategy.

    Attributes
    ----------
    id : Morton code
    lower, upper : corners, (3,), um
    pieces : the parts of the strategy's partitions in it; their volumes are `pieces.volume`, um^3
    counts : number of cells to place, by cell type
    grid : the grid that it is a chunk of
    densities : data columns, of `pieces.amounts`, that the cells of a type are in proportion to, by cell type
    """

    id: int
    lower: np.ndarray
    upper: np.ndarray
    pieces: Pieces
    counts: dict[str, int]
    grid: Grid
    densities: Mapping[str, str] = field(default_factory=dict)

    def weights(self, cell_type: str) -> np.ndarray:
        """Return what the numbers of a type's cells in the pieces are in proportion to, (n,)."""
        column = self.densities.get(cell_type)
        return self.pieces.volume if column is None else self.pieces.amounts[column]


class Neighbourhood:
    """What lies around a chunk, for a strategy that recomputes its neighbours rather than wait for them.

    Attributes
    ----------
    lower, upper : corners of a box around the strategy's partitions, (3,) um
    volume : of these partitions, um^3
    n_pieces : parts of boxes and voxels that they have in all chunks together
    run : ids of the chunks of this job, (n,) uint64 ascending, which it will be asked for in about this order
    radii : soma radius of each of its cell types, um, or None
    largest_radius : of the cells of the strategies it depends on, um; 0 where there are none
    """

    lower: np.ndarray
    upper: np.ndarray
    volume: float
    n_pieces: int
    run: np.ndarray
    radii: Mapping[str, float | None]
    largest_radius: float

    def near(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Return the ids, (n,) uint64 ascending, of the strategy's chunks that come within a box (corners (3,), um)."""
        raise NotImplementedError

    def chunk(self, id_: int) -> tuple[Chunk, np.random.Generator]:
        """Return any of the strategy's chunks, and its random stream from the beginning."""
        raise NotImplementedError

    def domain(self, lower: np.ndarray, upper: np.ndarray) -> Domain:
        """Return what the partitions fill of a box."""
        raise NotImplementedError

    def counts(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of cells of each type in chunks, (n_types, n) int64."""
        raise NotImplementedError

    def cells(self, lower: np.ndarray, upper: np.ndarray) -> Mapping[str, Cells]:
        """Return the cells of the strategies it depends on, by type, in the chunks that come within a box."""
        raise NotImplementedError

    def key(self, purpose: str) -> int:
        """Return 64 bits for a purpose, of the strategy as a whole."""
        raise NotImplementedError


@dataclass(frozen=True)
class Given:
    """What a strategy may read besides its chunk.

    Attributes
    ----------
    bounds : the boxes around its partitions, (n_partitions, 2, 3), um: lower and upper corners
    prepared : the arrays of its `prepare` step, and those that it has `compiled`
    cells : cells of the strategies it depends on, by type, in the chunks within its halo
    earlier : positions of its own cells of earlier passes, by type, (n, 3) float32, in the chunks within its halo
    around : what lies around the chunk
    """

    bounds: np.ndarray = field(default_factory=lambda: np.empty((0, 2, 3)))
    prepared: Mapping[str, np.ndarray] = field(default_factory=dict)
    cells: Mapping[str, Cells] = field(default_factory=dict)
    earlier: Mapping[str, np.ndarray] = field(default_factory=dict)
    around: Neighbourhood = field(default_factory=Neighbourhood)


class PlacementStrategy(Node):
    """Base of the placement strategies.

    Class attributes
    ----------------
    algorithm_version : raise it when the same description gives other cells than before
    halo_um : how far around its chunk it reads cells placed earlier
    n_passes : colours of chunks that are placed one after the other (see `colour`)
    columns : further columns of its cells, name -> dtype, or a tuple of all the strings that there can be
    located : whether its cells are somewhere; those of no place are all at 0, 0, 0 in the node files
    whole : whether it knows all its cells beforehand (see `placement.whole`); it has its `setting` then
    cost_per_cell_s : CPU-s that a cell takes; see `cost_s`
    bytes_per_cell : what it holds of a cell while it runs, beside what all strategies hold
    """

    kind: ClassVar[str] = "placement"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1
    halo_um: float = 0.0
    n_passes: ClassVar[int] = 1
    columns: ClassVar[dict[str, object]] = {}
    whole: ClassVar[bool] = False
    located: ClassVar[bool] = True
    setting: Setting = Setting()
    cost_per_cell_s: ClassVar[float] = 2e-6
    bytes_per_cell: int = 0

    cell_types = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        doc="Cell types that it places.",
    )
    partitions = Attribute(
        types.ListOf(types.Reference("partitions", "partition"), least=1, distinct=True),
        required=True,
        doc="Partitions that it places them in.",
    )
    overrides = Attribute(
        types.DictOf(types.NodeOf(Indicators)),
        default=lambda node: {},
        doc="Indicators and radii by cell type that hold here instead of the type's own.",
    )
    depends_on = Attribute(
        types.ListOf(types.Reference("placement", "placement"), distinct=True),
        default=lambda node: [],
        doc="Strategies whose cells must be there before.",
    )
    rng = drawn_with()

    distribute = Attribute(
        types.NodeOf(Distribute),
        default=lambda node: Distribute.build({}, (*node.path, "distribute"), node),
        semantic=False,  # a slice has the record of each distributor
        doc="Rotations and further properties of the cells.",
    )

    def radius_of(self, cell_type: str, own: Indicators) -> float | None:
        """Return the soma radius, um, of a type's cells here, where its own `spatial` says `own`."""
        override = self.overrides.get(cell_type)
        return own.radius if override is None or override.radius is None else override.radius

    def selectors_of(self, cell_type: str, own: Indicators) -> list[MorphologySelector]:
        """Return what selects the morphologies of a type's cells here, where its own `spatial` says `own`."""
        override = self.overrides.get(cell_type)
        return own.morphologies if override is None or not override.morphologies else override.morphologies

    def cost_s(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> float:
        """Return about how many CPU-s its cells take, as in `faults`."""
        return sum(totals.values()) * self.cost_per_cell_s

    def indicator(self, cell_type: str) -> dict | None:
        """Return the indicator of a type where the strategy itself knows how many it places, else None."""
        return None

    def lacks(self, radii: dict[str, float]) -> list[str]:
        """Return what is missing whatever the numbers, given the soma radii, um, 0 for none."""
        return []

    def faults(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        """Return what makes it impossible, given the wanted totals, soma radii (um) and volume (um^3)."""
        return []

    def warnings(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        """Return what a user should know, as in `faults`."""
        return []

    def misfits(self, totals: dict[str, int], radii: dict[str, float], boxes: np.ndarray) -> list[str]:
        """Return what makes it impossible, as in `faults`, given the boxes of its partitions, (n_partitions, 2, 3)."""
        return []

    def deal(
        self, totals: dict[str, int], shares: dict[str, np.ndarray], pieces: Pieces, grid: Grid
    ) -> tuple[np.ndarray, np.ndarray]:
        """Deal the cells of each type out to chunks; those of one type must not depend on the other types.

        Parameters
        ----------
        pieces : the parts of its partitions in each chunk; of one of voxels, all in a chunk as one piece
        totals : number of cells of each type
        shares : for each type, what the chunks' numbers are in proportion to, (n,), in the order of `pieces`' chunks

        Returns
        -------
        chunks, (n,) uint64 ascending, and the number of cells of each type in them, (n_types, n)
        """
        counts = [deal(n, shares[cell_type]) for cell_type, n in totals.items()]
        return pieces.by_chunk()[0], np.array(counts, np.int64).reshape(len(totals), -1)

    def compiled(self, totals: dict[str, int], pieces: Pieces, grid: Grid) -> Arrays:
        """Return what its build job leaves for all chunks, which find it in `Given.prepared`."""
        return {}

    def prepare(self, pieces: Pieces, grid: Grid) -> Arrays:
        """Compute once, in a job of its own, what all chunks need; they find it in `Given.prepared`.

        `pieces` are as in `deal`.
        """
        raise NotImplementedError

    def colour(self, ijk: np.ndarray) -> np.ndarray:
        """Return the pass, (n,) int, in which chunks at grid coordinates (n, 3) are placed."""
        return np.zeros(len(ijk), np.int64)

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        """Place the cells of a chunk.

        Returns
        -------
        {cell type: {"position": (n, 3) um, further `columns`: (n,)}}
        """
        raise NotImplementedError

    @classmethod
    def deals(cls) -> bool:
        """Return whether it deals cells out to chunks in its own way."""
        return cls.deal is not PlacementStrategy.deal

    @classmethod
    def prepares(cls) -> bool:
        """Return whether it has a `prepare` step."""
        return cls.prepare is not PlacementStrategy.prepare


class AfterPlacement(Node):
    """Base of the hooks that change or add cells between placement and connectivity.

    A hook declares the cell types that it `rewrites` and `adds`; what it returns goes to the next stage, never back
    into a file.

    Class attributes
    ----------------
    algorithm_version : raise it when the same description gives other cells than before
    keeps_cells : whether the number of cells is the same after it
    """

    kind: ClassVar[str] = "after_placement"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1
    keeps_cells: ClassVar[bool] = False

    rewrites = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), distinct=True),
        default=lambda node: [],
        doc="Cell types whose cells it changes.",
    )
    adds = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), distinct=True),
        default=lambda node: [],
        doc="Cell types that it creates.",
    )
    depends_on = Attribute(
        types.ListOf(types.Reference("after_placement", "hook"), distinct=True),
        default=lambda node: [],
        doc="Hooks that come before; otherwise they run in the order of their names.",
    )
    rng = drawn_with()

    def gives_labels(self) -> list[str] | None:
        """Return the labels that cells may have from it (see `sonata.labels`), None where it cannot be told before."""
        return None

    def postprocess(self, cells: dict[str, Arrays], rng: np.random.Generator) -> dict[str, Arrays]:
        """Return all cells of the types it rewrites and adds: {type: {"position": (n, 3) um, columns: (n,)}}."""
        raise NotImplementedError
