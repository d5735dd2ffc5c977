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
from snakefold.placement.counts import MOST_CELLS, deal
from snakefold.topology.chunks import Grid, Pieces

Arrays = dict[str, np.ndarray]


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
    """

    id: int
    lower: np.ndarray
    upper: np.ndarray
    pieces: Pieces
    counts: dict[str, int]
    grid: Grid


@dataclass(frozen=True)
class Given:
    """What a strategy may read besides its chunk.

    Attributes
    ----------
    prepared : the arrays of its `prepare` step
    cells : cells of the strategies it depends on, by type, in the chunks within its halo
    earlier : positions of its own cells of earlier passes, by type, (n, 3) float32, in the chunks within its halo
    """

    prepared: Mapping[str, np.ndarray] = field(default_factory=dict)
    cells: Mapping[str, Cells] = field(default_factory=dict)
    earlier: Mapping[str, np.ndarray] = field(default_factory=dict)


class Indicators(Node):
    """How many cells there are of a type: one of count, density, planar density, or a ratio to another type."""

    INDICATORS: ClassVar[tuple[str, ...]] = ("count", "density", "planar_density", "relative_to")

    count = Attribute(types.integer(min=0, max=MOST_CELLS), doc="Number of cells in all.")
    density = Attribute(types.number(min=0), unit="um^-3", doc="Cells per volume of the partitions.")
    planar_density = Attribute(types.number(min=0), unit="um^-2", doc="Cells per x-y area of the partitions.")
    relative_to = Attribute(
        types.Reference("cell_types", "cell type"), doc="Cell type whose number this one is a ratio of."
    )
    count_ratio = Attribute(
        types.number(min=0),
        required=lambda node: "relative_to needs it" if node.relative_to else False,
        doc="Cells per cell of the type in relative_to.",
        constraint=lambda node, _: None if node.relative_to else 'needs "relative_to"',
    )
    local_count_ratio = types.later("Cells per cell of the type in relative_to, chunk by chunk.")
    density_ratio = types.later("Density per density of the type in relative_to.")
    density_key = types.later("Name of a density volume of the partitions.")

    def given(self) -> list[str]:
        """Return the indicators that are set."""
        return [name for name in self.INDICATORS if getattr(self, name) is not None]


class Spatial(Indicators):
    """The size of a cell type's cells and how many there are."""

    radius = Attribute(types.number(above=0), unit="um", doc="Radius of the soma.")
    geometry = types.later("Further measures of the cells.")
    morphologies = types.later("Selectors of the cells' morphologies.")


class PlacementStrategy(Node):
    """Base of the placement strategies.

    Class attributes
    ----------------
    algorithm_version : raise it when the same description gives other cells than before
    halo_um : how far around its chunk it reads cells placed earlier
    n_passes : colours of chunks that are placed one after the other (see `colour`)
    columns : further columns of its cells, name -> dtype
    """

    kind: ClassVar[str] = "placement"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1
    halo_um: float = 0.0
    n_passes: ClassVar[int] = 1
    columns: ClassVar[dict[str, str]] = {}
    cost_per_cell_s: ClassVar[float] = 2e-6

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
        doc="Indicators by cell type that hold here instead of the type's own.",
    )
    depends_on = Attribute(
        types.ListOf(types.Reference("placement", "placement"), distinct=True),
        default=lambda node: [],
        doc="Strategies whose cells must be there before.",
    )

    distribute = types.later("Morphologies, rotations and properties of the cells.")

    def indicator(self, cell_type: str) -> dict | None:
        """Return the indicator of a type where the strategy itself knows how many it places, else None."""
        return None

    def faults(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        """Return what makes it impossible, given the wanted totals, soma radii (um) and volume (um^3)."""
        return []

    def warnings(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        """Return what a user should know, as in `faults`."""
        return []

    def deal(self, totals: dict[str, int], pieces: Pieces, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Return the chunks, (n,) uint64 ascending, and the number of cells of each type in them, (n_types, n)."""
        chunks, first = pieces.by_chunk()
        volume = np.add.reduceat(pieces.volume, first[:-1]) if len(chunks) else np.empty(0)
        return chunks, np.array([deal(n, volume) for n in totals.values()], np.int64).reshape(len(totals), -1)

    def prepare(self, pieces: Pieces, grid: Grid) -> Arrays:
        """Compute once, in a job of its own, what all chunks need; they find it in `Given.prepared`."""
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
    def prepares(cls) -> bool:
        """Return whether it has a `prepare` step."""
        return cls.prepare is not PlacementStrategy.prepare


class AfterPlacement(Node):
    """Base of the hooks that change or add cells between placement and connectivity.

    A hook declares the cell types that it `rewrites` and `adds`; what it returns goes to the next stage, never back
    into a file.
    """

    kind: ClassVar[str] = "after_placement"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1

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

    def postprocess(self, cells: dict[str, Arrays], rng: np.random.Generator) -> dict[str, Arrays]:
        """Return all cells of the types it rewrites and adds: {type: {"position": (n, 3) um, columns: (n,)}}."""
        raise NotImplementedError
