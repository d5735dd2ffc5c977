"""One tile of a connectivity strategy: its chunks connected, to a tile file, or to edges files if it is alone."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from snakefold import build, hdf5
from snakefold.build import Built
from snakefold.cells import Cells, Population, open_populations
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Synapses
from snakefold.errors import UserError, expects, listed
from snakefold.fanout import tile as fanout
from snakefold.fanout.journal import Arrays, Journal
from snakefold.prepared import read_prepared, write_prepared
from snakefold.sonata.edges import Edges, write_edges
from snakefold.sonata.tiles import write_tile
from snakefold.streams import stream
from snakefold.topology.chunks import names
from snakefold.topology.tiles import boundaries


@dataclass(frozen=True)
class Inputs:
    """What a connectivity job reads.

    Attributes
    ----------
    build : file of the strategy's part
    nodes : node files of its cell types, and of those that it looks at
    edges : edges files of the sets that it depends on
    morphologies : files of the parts of the morphologies that it reads
    prepared : file of its prepare step, or ""
    """

    build: str
    nodes: tuple[str, ...]
    edges: tuple[str, ...] = ()
    morphologies: tuple[str, ...] = ()
    prepared: str = ""


@dataclass
class Connecting:
    """A connectivity strategy about to run: everything that its jobs have in common."""

    inputs: Inputs
    built: Built = field(init=False)
    strategy: ConnectivityStrategy = field(init=False)

    def __post_init__(self):
        self.built = build.read(self.inputs.build)
        self.strategy = self.built.component()

    @property
    def name(self) -> str:
        """Name of the strategy."""
        return self.built.slice["name"]

    @cached_property
    def sets(self) -> dict[tuple[str, str], str]:
        """(source cell type, target cell type) -> edge set."""
        return {tuple(pair): name for name, pair in self.built.slice["sets"].items()}

    @cached_property
    def populations(self) -> dict[str, Population]:
        """Populations by cell type."""
        return open_populations(self.inputs.nodes)

    @property
    def sources(self) -> dict[str, Population]:
        """Populations of the source cell types, in the strategy's order."""
        return {t: self.populations[t] for t in self.strategy.presynaptic.cell_types}

    @property
    def targets(self) -> dict[str, Population]:
        """Populations of the target cell types, in the strategy's order."""
        return {t: self.populations[t] for t in self.strategy.postsynaptic.cell_types}

    @cached_property
    def all(self) -> tuple[dict[str, Cells], dict[str, Cells]]:
        """All cells that it may connect, by type: sources and targets."""
        of = self.strategy
        sources = {t: population.all.labelled(of.presynaptic.labels) for t, population in self.sources.items()}
        return sources, {t: population.all.labelled(of.postsynaptic.labels) for t, population in self.targets.items()}

    @cached_property
    def digest(self) -> str:
        """Digest of all that its synapses depend on."""
        inputs = [*sorted(self.inputs.nodes), *sorted(self.inputs.edges), *sorted(self.inputs.morphologies)]
        return hdf5.combine("connect", self.built.digest, *map(hdf5.digest_of, inputs))

    def given(self, **more: object) -> Given:
        """Return what the strategy may read besides the cells."""
        edges = {e.name: e for e in map(Edges, self.inputs.edges)}
        cells = {t: self.populations[t].all for t in self.strategy.looks_at()}
        return Given(edges=edges, cells=cells, morphologies=build.Morphologies(self.inputs.morphologies), **more)

    def write(self, path: str | Path, name: str, n_edges: int, blocks) -> None:
        """Write the final edges file of one of its sets."""
        source, target = self.built.slice["sets"][name]
        n_cells = self.populations[source].n, self.populations[target].n
        digest = hdf5.combine("edges", name, self.digest)
        write_edges(path, name, source, target, *n_cells, n_edges, blocks, digest, dict(self.strategy.columns))


def prepare(inputs: Inputs, output: str | Path) -> None:
    """Run the strategy's prepare step."""
    connecting = Connecting(inputs)
    arrays = connecting.strategy.prepare(*connecting.all, connecting.given())
    write_prepared(output, hdf5.combine("prepare", connecting.digest), arrays)


def connect(inputs: Inputs, tile: int, journal: str | Path, output: str | Path = "", edges: tuple = ()) -> None:
    """Connect the chunks of a tile.

    Parameters
    ----------
    journal : folder for the journal of this job
    output : the tile file to write, or "" where `edges` are to be written
    edges : for a strategy of one tile, the edges files of its sets, each named as its set

    Raises
    ------
    UserError : a chunk cannot be connected; what was connected before stays in the journal
    """
    connecting = Connecting(inputs)
    compute = _Computer(connecting)
    first, last = boundaries(compute.cost, connecting.built.slice["tiles"])[tile : tile + 2]
    units = compute.units[first:last]
    keys = [f"{block}/{name}" for (block, _), name in zip(units, names([chunk for _, chunk in units]), strict=True)]
    book = Journal(journal, connecting.digest)
    made = fanout.run(keys, lambda i: compute(first + i), book, f"connect {connecting.name}", of="synapses")
    if made is None:
        return
    build.check_current(connecting)
    if output:
        _write_tile(output, connecting, compute.units[first:last], made)
    for path in edges:
        name = Path(path).stem
        n = sum(len(arrays[f"{name}/source"]) for arrays in made)
        whole = [made] if _by_source(connecting) else ([arrays] for arrays in made)
        connecting.write(path, name, n, (_columns(_join(part, name, connecting)) for part in whole))
    book.finish()


def _write_tile(output: str | Path, connecting: Connecting, units: list, made: list[Arrays]) -> None:
    groups = {name: _join(made, name, connecting) for name in connecting.built.slice["sets"]}
    rows = {name: np.array([len(a[f"{name}/source"]) for a in made], np.int64) for name in groups}
    blocks = {block: i for i, block in enumerate(dict.fromkeys(block for block, _ in units))}
    table = np.array([(blocks[block], chunk) for block, chunk in units], np.uint64).reshape(-1, 2)
    if _by_source(connecting):  # sorted as a whole, so its rows are no longer those of one chunk after another
        table, rows = np.zeros((1, 2), np.uint64), {name: np.array([n.sum()]) for name, n in rows.items()}
    write_tile(output, connecting.digest, table, groups, rows)


def _by_source(connecting: Connecting) -> bool:
    return connecting.strategy.partitioned_by == "source"


def _join(made: list[Arrays], name: str, connecting: Connecting) -> Arrays:
    """Return the synapses of an edge set, ordered by (target, source)."""
    columns = {"source": np.uint32, "target": np.uint32} | dict(connecting.strategy.columns)
    if len(made) == 1:
        return {c: made[0][f"{name}/{c}"] for c in columns}
    joined = {c: np.concatenate([np.empty(0, d), *(a[f"{name}/{c}"] for a in made)]) for c, d in columns.items()}
    return _ordered(joined) if _by_source(connecting) else joined


def _columns(arrays: Arrays) -> tuple[np.ndarray, np.ndarray, Arrays]:
    return arrays["source"], arrays["target"], {n: a for n, a in arrays.items() if n not in ("source", "target")}


def _ordered(arrays: Arrays) -> Arrays:
    """Return synapses ordered by (target, source); equal pairs keep their order."""
    key = (arrays["target"].astype(np.uint64) << np.uint64(32)) | arrays["source"]
    if (key[1:] >= key[:-1]).all():
        return arrays
    if len(arrays) > 2:
        order = np.argsort(key, kind="stable")
        return {name: array[order] for name, array in arrays.items()}
    key.sort()
    return {"source": key.astype(np.uint32), "target": (key >> np.uint64(32)).astype(np.uint32)}


class _Computer:
    """Computes the i-th chunk as flat arrays for the journal: "<edge set>/<column>".

    Attributes
    ----------
    units : (placement strategy, chunk) of each chunk of the cells that the strategy is partitioned by, in id order
    cost : (n_units,) estimated cost
    """

    def __init__(self, connecting: Connecting):
        self.connecting = connecting
        own = connecting.sources if _by_source(connecting) else connecting.targets
        self.spans = {t: population.of_units() for t, population in own.items()}
        self.units = sorted({unit for spans in self.spans.values() for unit in spans})
        sides = (connecting.strategy.presynaptic, connecting.strategy.postsynaptic)
        self.labels, self.labels_of_others = (
            side.labels for side in (sides if _by_source(connecting) else sides[::-1])
        )
        counts = {t: self._counts(t, spans) for t, spans in self.spans.items()}
        self.cost = sum(counts.values()) if counts else np.empty(0)
        self.bounds = connecting.built.grid.bounds(np.array([chunk for _, chunk in self.units], np.uint64))
        self.given = connecting.given(prepared=read_prepared(connecting.inputs.prepared))
        rng = stream(connecting.built.slice["seed"], "connect", connecting.name, "deal")
        n_sources = {t: len(cells) for t, cells in connecting.all[0].items()}
        self.numbers = {} if _by_source(connecting) else connecting.strategy.deal(rng, n_sources, counts)

    def _counts(self, cell_type: str, spans: dict) -> np.ndarray:
        """Return how many cells of a type there are to connect in each unit, (n_units,)."""
        span = np.array([spans.get(unit, (0, 0)) for unit in self.units], np.int64).reshape(-1, 2)
        if self.labels is None:
            return span[:, 1] - span[:, 0]
        own = self.connecting.all[0 if _by_source(self.connecting) else 1][cell_type].node_ids
        first, last = np.searchsorted(own, span.T)
        return last - first

    def __call__(self, i: int) -> Arrays:
        connecting, unit = self.connecting, self.units[i]
        mine = {}
        for t, spans in self.spans.items():
            mine[t] = connecting.populations[t].run(*spans.get(unit, (0, 0))).labelled(self.labels)
        if _by_source(connecting):
            sources, targets = mine, {t: self._candidates(t, i) for t in connecting.targets}
        else:
            sources, targets = {t: self._candidates(t, i) for t in connecting.sources}, mine
        rng = stream(connecting.built.slice["seed"], "connect", connecting.name, "synapses", *unit)
        given = replace(self.given, numbers={pair: int(n[i]) for pair, n in self.numbers.items()})
        made = connecting.strategy.connect(sources, targets, rng, given)
        if unknown := made.keys() - connecting.sets.keys():
            raise UserError(f"it connects {listed(' to '.join(u) for u in unknown)}, which is none of its pairs")
        arrays = {}
        for pair, name in connecting.sets.items():
            ids = self._ids(made.get(pair), sources[pair[0]], targets[pair[1]])
            arrays |= {f"{name}/{column}": array for column, array in ids.items()}
        return arrays

    def _candidates(self, cell_type: str, i: int) -> Cells:
        connecting, halo = self.connecting, self.connecting.strategy.halo_um
        if halo is None:
            return connecting.all[1 if _by_source(connecting) else 0][cell_type]
        near = connecting.populations[cell_type].near(connecting.built.grid, self.bounds[0][i], self.bounds[1][i], halo)
        return near.labelled(self.labels_of_others)

    def _ids(self, synapses: Synapses | None, sources: Cells, targets: Cells) -> Arrays:
        """Return synapses by node id, ordered by (target, source)."""
        if synapses is None:
            synapses = Synapses(np.empty(0, np.uint32), np.empty(0, np.uint32))
        for what, index, cells in (("source", synapses.source, sources), ("target", synapses.target, targets)):
            if len(index) and (index.min() < 0 or index.max() >= len(cells)):
                raise UserError(expects(f"{what} indices", f"0 to {len(cells) - 1}", f"{index.min()} to {index.max()}"))
        arrays = {"source": sources.ids_of(synapses.source), "target": targets.ids_of(synapses.target)}
        for column, dtype in self.connecting.strategy.columns.items():
            arrays[column] = np.asarray(synapses.columns.get(column, np.zeros(len(arrays["source"]))), dtype)
        if len({len(array) for array in arrays.values()}) > 1:
            raise UserError(f"columns differ in length: {listed(f'{c} {len(a)}' for c, a in arrays.items())}")
        return _ordered(arrays)
