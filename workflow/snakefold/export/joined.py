"""Cells and edges of a circuit by region: the populations that `export.sonata` writes.

The cells of a region are numbered type after type, in the order of their names, and within a type as they are. So what
is sorted by (target, source) in an edge set stays so in each of the parts that go to a pair of regions, and a
population of edges is a merge of such parts, which lie in files meanwhile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snakefold.export.finished import Finished
from snakefold.placement.distribute import merged, recoded
from snakefold.sonata.edges import Block
from snakefold.sonata.nodes import POSITION, TYPE, Nodes

Kinds = dict[str, object]  # column -> dtype or library
_CELLS = 1 << 20


def varying(kinds: Kinds) -> Kinds:
    """Return those columns that are not one string."""
    return {name: kind for name, kind in kinds.items() if not (isinstance(kind, tuple) and len(kind) == 1)}


def constant(kinds: Kinds) -> dict[str, str]:
    """Return the string of each of the other columns."""
    return {name: kind[0] for name, kind in kinds.items() if name not in varying(kinds)}


@dataclass(frozen=True)
class Joined:
    """Where the cells of each type are after they are joined by region.

    Attributes
    ----------
    regions : their names, sorted
    sizes : number of cells of each
    region, ids : cell type -> (n,) uint32, index of each cell's region, and its id there
    """

    regions: list[str]
    sizes: list[int]
    region: dict[str, np.ndarray]
    ids: dict[str, np.ndarray]

    @classmethod
    def of(cls, circuit: Finished) -> "Joined":
        """Join the cells of a circuit."""
        named: dict[str, tuple[list[str], np.ndarray]] = {}
        for cell_type, path in sorted(circuit.nodes.items()):
            with Nodes(path) as nodes:
                partitions = nodes.library("partition")
                codes = nodes.column("partition", codes=True) if partitions else np.zeros(nodes.n, np.uint32)
            names = [circuit.regions.of_partition(p, cell_type) for p in partitions or ("",)]
            named[cell_type] = names, codes
        found = {names[i] for names, codes in named.values() for i in np.unique(codes).tolist()}
        regions = sorted(found)
        sizes = np.zeros(len(regions), np.int64)
        region, ids = {}, {}
        for cell_type, (names, codes) in named.items():
            index = np.array([regions.index(name) if name in found else 0 for name in names], np.uint32)
            of = region[cell_type] = index[codes]
            counts = np.bincount(of, minlength=len(regions))
            order = np.argsort(of, kind="stable")
            within = np.empty(len(of), np.int64)
            within[order] = np.arange(len(of)) - (np.cumsum(counts) - counts)[of[order]]
            ids[cell_type] = (sizes[of] + within).astype(np.uint32)
            sizes += counts
        return cls(regions, sizes.tolist(), region, ids)

    def cells_of(self, region: str) -> dict[str, np.ndarray]:
        """Return cell type -> node ids, rising, of its cells in a region, of the types that have some."""
        at = self.regions.index(region)
        found = {cell_type: np.flatnonzero(of == at) for cell_type, of in self.region.items()}
        return {cell_type: ids for cell_type, ids in found.items() if len(ids)}


@dataclass
class Population:
    """The cells of a region, column by column.

    Attributes
    ----------
    cells : cell type -> node ids in its own population, in the order of the region's ids
    models : cell type -> NEST's model, of those that are simulated
    types : cell type -> its node_type_id; empty where there are none
    kinds : columns beside the positions
    """

    circuit: Finished
    cells: dict[str, np.ndarray]
    models: Mapping[str, str]
    types: Mapping[str, int]
    kinds: Kinds = field(init=False)
    _own: dict[str, Kinds] = field(init=False)

    def __post_init__(self) -> None:
        self._own = {}
        for cell_type in self.cells:
            with Nodes(self.circuit.nodes[cell_type]) as nodes:
                own = {name: kind for name, kind in nodes.columns.items() if name not in POSITION}
            self._own[cell_type] = own | self._given(cell_type, own)
        self.kinds = merged(list(self._own.values()))

    def _given(self, cell_type: str, own: Kinds) -> dict[str, object]:
        """Return the columns that a type has one value in, or, with the dtype, its ids."""
        given: dict[str, object] = {"cell_type": (cell_type,), "original_id": np.dtype("u8")}
        if own.get("mtype") == ("",):
            given["mtype"] = (cell_type,)
        if cell_type in self.models:
            given["model_template"] = (f"nest:{self.models[cell_type]}",)
        if self.types:
            given[TYPE] = np.dtype("i8")
        return given

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the cells in the order of their ids."""
        for cell_type, ids in self.cells.items():
            own = self._own[cell_type]
            with Nodes(self.circuit.nodes[cell_type]) as nodes:
                given = self._given(cell_type, nodes.columns)
                for start in range(0, len(ids), _CELLS):
                    some = ids[start : start + _CELLS]
                    first, last = int(some[0]), int(some[-1]) + 1
                    block = dict(zip(POSITION, nodes.positions(first, last)[some - first].T, strict=True))
                    for name, kind in varying(self.kinds).items():
                        if name == "original_id":
                            column = some
                        elif name == TYPE:
                            column = np.full(len(some), self.types[cell_type])
                        elif name in given:
                            column = np.zeros(len(some), np.uint32)
                        elif name in own:
                            column = nodes.column(name, first, last, codes=True)[some - first]
                        else:
                            column = None
                        block[name] = recoded(name, column, own.get(name), kind, len(some))
                    yield block


class Part:
    """Edges of one set and synapse between two regions, sorted by (target, source), in files until they are merged.

    Attributes
    ----------
    n : number of rows
    kinds : its columns; those with one string are not stored
    wanted : the columns of the population that it becomes a part of
    """

    def __init__(self, folder: Path, kinds: Kinds):
        folder.mkdir(parents=True)
        self.kinds, self.wanted, self.n = kinds, kinds, 0
        stored = {"source": np.uint32, "target": np.uint32, **varying(kinds)}
        dtypes = {name: np.dtype(np.uint32 if isinstance(kind, tuple) else kind) for name, kind in stored.items()}
        self._stored = {name: (folder / str(i), dtype) for i, (name, dtype) in enumerate(dtypes.items())}

    def append(self, source: np.ndarray, target: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Add edges."""
        given = {"source": source, "target": target, **values}
        for name, (path, dtype) in self._stored.items():
            with path.open("ab") as file:
                file.write(np.ascontiguousarray(given[name], dtype).data)
        self.n += len(source)

    def first_row(self, target: int) -> int:
        """Return the first row whose target is `target` or more; n if there is none."""
        path, dtype = self._stored["target"]
        return int(np.searchsorted(np.memmap(path, dtype, "r"), target))

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sources and targets of rows start:stop."""
        return self._rows("source", start, stop), self._rows("target", start, stop)

    def _rows(self, name: str, start: int, stop: int) -> np.ndarray:
        path, dtype = self._stored[name]
        return np.fromfile(path, dtype, stop - start, offset=start * dtype.itemsize)

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return a column of rows start:stop as the population has it."""
        own = self.kinds.get(name)
        column = self._rows(name, start, stop) if name in self._stored else None
        if column is None and own is not None:
            column = np.zeros(stop - start, np.uint32)
        return recoded(name, column, own, self.wanted[name], stop - start)


class Parts:
    """The parts of all pairs of regions.

    Parameters
    ----------
    folder : of their files, which are arrays as they are in memory: unlike HDF5, it is told at once when a disk is full

    Attributes
    ----------
    of_pair : (source region, target region), by their indices -> their parts, by the keys given to `add`
    """

    def __init__(self, folder: Path, joined: Joined):
        self._folder, self._joined = folder, joined
        self.of_pair: dict[tuple[int, int], dict[object, Part]] = {}

    def add(self, key: object, pair: tuple[str, str], block: Block, kinds: Kinds) -> None:
        """Deal out edges between two cell types, ordered by (target, source) over all calls with one key.

        Parameters
        ----------
        key : of the parts that they go to
        pair : the two cell types
        block : (source ids, target ids, columns)
        """
        source, target, values = block
        joined = self._joined
        n_regions = np.int64(len(joined.regions))
        of = joined.region[pair[0]][source] * n_regions + joined.region[pair[1]][target]
        source, target = joined.ids[pair[0]][source], joined.ids[pair[1]][target]
        for code in np.unique(of).tolist():
            rows = slice(None) if (of[0] == of).all() else np.flatnonzero(of == code)
            parts = self.of_pair.setdefault(divmod(code, int(n_regions)), {})
            if key not in parts:
                parts[key] = Part(self._folder / f"{code}/{len(parts)}", kinds)
            some = {name: column[rows] for name, column in values.items()}
            parts[key].append(source[rows], target[rows], some)

    def joined(self, pair: tuple[int, int]) -> tuple[list[Part], Kinds]:
        """Return the parts of a pair of regions, and the columns of the population that they make."""
        parts = list(self.of_pair[pair].values())
        wanted = merged([part.kinds for part in parts])
        for part in parts:
            part.wanted = wanted
        return parts, wanted
