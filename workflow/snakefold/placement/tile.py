"""One tile of a placement strategy: its chunks placed, to a tile file, or to node files where there is one tile."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from snakefold import build, components, hdf5
from snakefold.build import Built
from snakefold.cells import Cells, Population, open_populations
from snakefold.errors import UserError, expects
from snakefold.fanout import tile as fanout
from snakefold.fanout.journal import Arrays, Journal
from snakefold.placement.distribute import PlacedCells, Source, stored
from snakefold.placement.strategy import Chunk, Given, Neighbourhood, PlacementStrategy
from snakefold.prepared import read_prepared, write_prepared
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.sonata.tiles import Tile, write_tile
from snakefold.streams import key, stream
from snakefold.topology.chunks import Nearby, Pieces, names
from snakefold.topology.domains import Domain, domain_of
from snakefold.topology.filling import Filling

_CHUNKS_KEPT = 64  # whose domains are remembered


@dataclass(frozen=True)
class Inputs:
    """What a placement job reads.

    Attributes
    ----------
    build : file of the strategy's part
    partitions : files of its partitions' parts
    nodes : node files of the cell types that it depends on
    prepared : file of its prepare step, or ""
    earlier : tile files of its earlier passes
    """

    build: str
    partitions: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    prepared: str = ""
    earlier: tuple[str, ...] = ()


@dataclass
class Placing:
    """A placement strategy about to run: everything that its jobs have in common."""

    inputs: Inputs
    built: Built = field(init=False)
    strategy: PlacementStrategy = field(init=False)

    def __post_init__(self):
        self.built = build.read(self.inputs.build)
        self.strategy = self.built.component()

    @cached_property
    def partitions(self) -> list[Built]:
        """Its partitions, in its own order."""
        found = {part.slice["name"]: part for part in map(build.read, self.inputs.partitions)}
        return [found[name] for name in self.strategy.partitions]

    @cached_property
    def pieces(self) -> Pieces:
        """The parts of its partitions in each chunk; of those of voxels, all in a chunk as one piece."""
        space = build.space_of({part.slice["name"]: part for part in self.partitions}, self.built.grid)
        return space.pieces(self.strategy.partitions)

    @cached_property
    def filling(self) -> Filling:
        """What its partitions fill, chunk by chunk."""
        return Filling(self.built.grid, [part.arrays.get("boxes", part.voxels) for part in self.partitions])

    @cached_property
    def densities(self) -> dict[str, str]:
        """The data columns that the cells of types are in proportion to, where they are."""
        indicators = {t: self.built.slice["types"][t]["indicator"] for t in self.strategy.cell_types}
        return {t: found["density_key"] for t, found in indicators.items() if "density_key" in found}

    @cached_property
    def digest(self) -> str:
        """Digest of all that its cells depend on."""
        return hdf5.combine("place", self.built.digest, *map(hdf5.digest_of, sorted(self.inputs.nodes)))

    def stray(self, chunks: np.ndarray, rows: np.ndarray, columns: Arrays) -> float:
        """Return how far cells, `rows` of them in each chunk, lie outside at most (see `Grid.stray`)."""
        if not self.strategy.located:
            return 0.0
        position = np.stack([columns[axis] for axis in "xyz"], axis=1)
        return self.built.grid.stray(np.repeat(chunks, rows), position)

    @cached_property
    def distributors(self) -> list[Source]:
        """What gives its cells their properties."""
        return [
            Source(name, components.restore(of["component"], name, self.built.files), of["seed"])
            for name, of in sorted(self.built.slice.get("distribute", {}).items())
        ]

    @property
    def partition_names(self) -> list[str]:
        """The partitions that its cells are in."""
        return self.strategy.partitions if self.strategy.located else []

    @property
    def columns(self) -> dict[str, object]:
        """The further columns that the strategy itself gives its cells."""
        known = self.built.slice.get("columns", self.strategy.columns)
        return {name: tuple(kind) if isinstance(kind, list) else kind for name, kind in known.items()}

    def column_types(self, cell_type: str) -> dict[str, object]:
        """Return the columns of its cells of a type beside the positions: name -> dtype, or strings that are coded."""
        several = {"partition": tuple(sorted(self.partition_names))} if len(self.partition_names) > 1 else {}
        about = self.built.slice["types"][cell_type]
        properties = {c: kind for source in self.distributors for c, kind in source.columns(cell_type, about).items()}
        return several | self.columns | properties

    def constants(self, cell_type: str) -> dict[str, object]:
        """Return the columns that are equal for all its cells of a type."""
        partition, radius = self.partition_names, self.built.slice["types"][cell_type]["radius"]
        constants = {"mtype": cell_type} | ({} if radius is None else {"radius": float(radius)})
        constants |= {"partition": partition[0]} if len(partition) == 1 else {}
        return {name: value for name, value in constants.items() if name not in self.columns}


def prepare(inputs: Inputs, output: str | Path) -> None:
    """Run the prepare steps of the strategy and of its distributors."""
    placing = Placing(inputs)
    strategy, given = placing.strategy, (placing.pieces, placing.built.grid)
    arrays = strategy.prepare(*given) if strategy.prepares() else {}
    for source in placing.distributors:
        if source.distributor.prepares():
            made = source.distributor.prepare(*given)
            arrays |= {f"{_distribute(source.name)}{name}": array for name, array in made.items()}
    write_prepared(output, hdf5.combine("prepare", placing.digest), arrays)


def place(
    inputs: Inputs, tile: int, pass_: int, journal: str | Path, output: str | Path = "", nodes: tuple = ()
) -> None:
    """Place the chunks of a tile that are of the colour of a pass.

    Parameters
    ----------
    journal : folder for the journal of this job
    output : the tile file to write, or "" where `nodes` are to be written
    nodes : for a strategy of one tile, the node files of its cell types, each named as its type

    Raises
    ------
    UserError : a chunk cannot be placed; what was placed before stays in the journal
    """
    placing = Placing(inputs)
    arrays = placing.built.arrays
    first, last = arrays["tiles"][tile : tile + 2]
    which = first + np.flatnonzero(arrays["colours"][first:last] == pass_)
    chunks, counts = arrays["chunks"][which], arrays["counts"][:, which]
    compute = _Computer(placing, chunks, counts)
    book = Journal(journal, placing.digest)
    made = fanout.run(names(chunks), compute, book, f"place {placing.built.slice['name']}", of="cells")
    if made is None:
        return
    build.check_current(placing)
    rows = {t: np.array([len(a[f"{t}/x"]) for a in made], np.int64) for t in placing.strategy.cell_types}
    if output:
        groups = {t: _join(made, t, placing) for t in rows}
        stray = {t: placing.stray(chunks, rows[t], groups[t]) for t in rows}
        write_tile(output, placing.digest, np.stack([np.zeros_like(chunks), chunks], axis=1), groups, rows, stray)
    for path in nodes:
        cell_type = Path(path).stem
        columns = _join(made, cell_type, placing)
        table = Chunks(
            (placing.built.slice["name"],),
            np.zeros(len(chunks), np.uint16),
            chunks,
            np.concatenate([[0], np.cumsum(rows[cell_type])]),
            placing.stray(chunks, rows[cell_type], columns),
        )
        write_nodes(
            path,
            cell_type,
            int(rows[cell_type].sum()),
            [columns],
            table,
            hdf5.combine("nodes", cell_type, placing.digest),
            columns=placing.column_types(cell_type),
            constants=placing.constants(cell_type),
        )
    book.finish()


class _Computer:
    """Computes the i-th chunk of a tile as flat arrays for the journal: "<cell type>/<column>"."""

    def __init__(self, placing: Placing, chunks: np.ndarray, counts: np.ndarray):
        self.placing, self.chunks, self.counts = placing, chunks, counts
        self.around = _Around(placing, chunks)
        self.earlier = _Earlier(placing) if placing.inputs.earlier else None
        self.prepared = placing.built.compiled | read_prepared(placing.inputs.prepared)
        self.prepared_of = {
            source.name: _below(_distribute(source.name), self.prepared) for source in placing.distributors
        }
        of_strategy = placing.built.arrays["counts"]
        self.first = (np.cumsum(of_strategy, axis=1) - of_strategy)[
            :, np.searchsorted(placing.built.arrays["chunks"], chunks)
        ]

    def __call__(self, i: int) -> Arrays:
        strategy = self.placing.strategy
        chunk, rng = self.around.chunk(int(self.chunks[i]))
        placed = strategy.place(chunk, rng, self._given(chunk))
        several = len(self.placing.partition_names) > 1
        arrays = {}
        for at, (cell_type, wanted) in enumerate(chunk.counts.items()):
            columns = dict(placed.get(cell_type, {"position": np.empty((0, 3))}))
            exact = np.asarray(columns.pop("position"))
            position = exact.astype(np.float32)
            if position.ndim != 2 or position.shape[1] != 3 or len(position) > wanted:
                raise UserError(expects(f"positions of {cell_type}", f"at most ({wanted}, 3)", position.shape))
            for axis, letter in enumerate("xyz"):
                arrays[f"{cell_type}/{letter}"] = np.ascontiguousarray(position[:, axis])
            if several:
                order = np.argsort(np.argsort(strategy.partitions))
                arrays[f"{cell_type}/partition"] = order[self.around.partition_of(exact, chunk.id)].astype(np.uint32)
            for column, kind in self.placing.columns.items():
                values = columns.get(column, np.zeros(len(position), np.uint32))
                arrays[f"{cell_type}/{column}"] = stored(values, kind, len(position), f'"{column}" of {cell_type}')
            arrays |= self._distributed(cell_type, position, chunk.id, int(self.first[at, i]))
        return arrays

    def _distributed(self, cell_type: str, position: np.ndarray, chunk: int, first: int) -> Arrays:
        about, name = self.placing.built.slice["types"][cell_type], self.placing.built.slice["name"]
        made = {}
        for source in self.placing.distributors:
            rng = stream(source.seed, "distribute", name, source.name, cell_type, chunk)
            cells = PlacedCells(cell_type, position, first, chunk, about, self.prepared_of[source.name])
            made |= {f"{cell_type}/{column}": values for column, values in source(cells, rng).items()}
        return made

    def _given(self, chunk: Chunk) -> Given:
        grid, halo = self.placing.built.grid, self.placing.strategy.halo_um
        cells = {t: p.near(grid, chunk.lower, chunk.upper, halo) for t, p in self.around.populations.items()}
        earlier = {} if self.earlier is None else self.earlier.near(chunk, halo)
        return Given(self.placing.filling.bounds, self.prepared, cells, earlier, self.around)


class _Around(Neighbourhood):
    """What lies around the chunks of a tile."""

    def __init__(self, placing: Placing, run: np.ndarray):
        arrays = placing.built.arrays
        self.run, self._all, self._counts = run, arrays["chunks"], arrays["counts"]
        self._grid, self._slice, self._filling = placing.built.grid, placing.built.slice, placing.filling
        self._densities = placing.densities
        self.radii = {t: self._slice["types"][t]["radius"] for t in placing.strategy.cell_types}
        self.populations = open_populations(placing.inputs.nodes)
        self._kept: dict[int, dict[int, Domain]] = {}

    @cached_property
    def lower(self) -> np.ndarray:
        return self._filling.bounds[:, 0].min(axis=0)

    @cached_property
    def upper(self) -> np.ndarray:
        return self._filling.bounds[:, 1].max(axis=0)

    @property
    def volume(self) -> float:
        return self._filling.volume

    @property
    def n_pieces(self) -> int:
        return self._filling.n_pieces

    @cached_property
    def largest_radius(self) -> float:
        return max(map(_largest_radius, self._somewhere.values()), default=0.0)

    @cached_property
    def _somewhere(self) -> dict[str, Population]:
        """The populations whose cells are somewhere: entities are in no partition."""
        return {t: p for t, p in self.populations.items() if "partition" in p.nodes.columns}

    @cached_property
    def _nearby(self) -> Nearby:
        return Nearby(self._grid, self._all)

    def near(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return self._all[self._nearby(lower, upper, 0.0)]

    def chunk(self, id_: int) -> tuple[Chunk, np.random.Generator]:
        at = int(np.searchsorted(self._all, np.uint64(id_)))
        counts = dict(zip(self.radii, self._counts[:, at].tolist(), strict=True))
        (lower,), (upper,) = self._grid.bounds(self._all[at : at + 1])
        rng = stream(self._slice["seed"], "place", self._slice["name"], "cells", id_)
        pieces = self._filling.within(id_, sorted(set(self._densities.values())))
        return Chunk(id_, lower, upper, pieces, counts, self._grid, self._densities), rng

    def domain(self, lower: np.ndarray, upper: np.ndarray) -> Domain:
        return self._filling.around(lower, upper)

    def counts(self, ids: np.ndarray) -> np.ndarray:
        return self._counts[:, np.searchsorted(self._all, ids)]

    def cells(self, lower: np.ndarray, upper: np.ndarray) -> dict[str, Cells]:
        return {t: p.near(self._grid, lower, upper, 0.0) for t, p in self._somewhere.items()}

    def key(self, purpose: str) -> int:
        return key(self._slice["seed"], "place", self._slice["name"], purpose) % 2**64

    def partition_of(self, position: np.ndarray, chunk: int) -> np.ndarray:
        """Return which partition holds each position, (n,) uint32; the first of several, and where none does.

        Those that their own chunk's pieces do not hold may have strayed to another chunk.
        """
        code, held = _held(position, self._domains(chunk))
        outside = np.flatnonzero(~held)
        lying = self._grid.chunk_of(position[outside])
        for other in np.unique(lying).tolist():
            at = outside[lying == other]
            code[at], _ = _held(position[at], self._domains(other))
        return code

    def _domains(self, chunk: int) -> dict[int, Domain]:
        """Return what each partition fills of a chunk; what was asked for lately is kept."""
        if chunk not in self._kept:
            pieces = self._filling.within(chunk)
            found = {int(p): domain_of(pieces.take(pieces.partition == p)) for p in np.unique(pieces.partition)}
            self._kept = dict(list(self._kept.items())[-_CHUNKS_KEPT:]) | {chunk: found}
        return self._kept[chunk]


def _held(position: np.ndarray, domains: dict[int, Domain]) -> tuple[np.ndarray, np.ndarray]:
    """Return which of some partitions holds each position, (n,) uint32, the first where none does; and whether."""
    code, held = np.zeros(len(position), np.uint32), np.zeros(len(position), bool)
    for partition, domain in reversed(domains.items()):
        inside = domain.holds(position)
        code[inside], held = partition, held | inside
    return code, held


def _largest_radius(population: Population) -> float:
    if "radius" not in population.nodes.columns:
        return 0.0
    n, step = population.n, 1_000_000
    found = (population.nodes.column("radius", a, min(a + step, n)) for a in range(0, n, step))
    return max((float(radii.max()) for radii in found), default=0.0)


def _distribute(name: str) -> str:
    return f"@distribute/{name}/"


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


class _Earlier:
    """What earlier passes have placed."""

    def __init__(self, placing: Placing):
        self.tiles, self.cell_types = [Tile(path) for path in placing.inputs.earlier], placing.strategy.cell_types
        n_units = [len(tile.units) for tile in self.tiles]
        self.tile, self.unit = np.repeat(np.arange(len(n_units)), n_units), np.concatenate([*map(np.arange, n_units)])
        self.nearby = Nearby(placing.built.grid, np.concatenate([tile.units[:, 1] for tile in self.tiles]))
        self.stray = max(tile.stray(t) for tile in self.tiles for t in self.cell_types)

    def near(self, chunk: Chunk, halo_um: float) -> dict[str, np.ndarray]:
        """Return the positions, by cell type, (n, 3) float32, in the chunks within a halo."""
        at = self.nearby(chunk.lower, chunk.upper, halo_um + self.stray)
        found = {cell_type: [np.empty((0, 3), np.float32)] for cell_type in self.cell_types}
        for tile, unit in zip(self.tile[at].tolist(), self.unit[at].tolist(), strict=True):
            for cell_type, parts in found.items():
                parts.append(self.tiles[tile].positions(cell_type, unit))
        return {cell_type: np.concatenate(parts) for cell_type, parts in found.items()}


def _join(made: list[Arrays], cell_type: str, placing: Placing) -> Arrays:
    columns = {"x": "f4", "y": "f4", "z": "f4"}
    columns |= {
        name: "u4" if isinstance(kind, tuple) else kind for name, kind in placing.column_types(cell_type).items()
    }
    return {c: np.concatenate([np.empty(0, d), *(a[f"{cell_type}/{c}"] for a in made)]) for c, d in columns.items()}
