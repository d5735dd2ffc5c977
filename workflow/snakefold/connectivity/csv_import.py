"""Synapses from a table: a CSV file with a row for each, of which further columns may become columns of the edges.

The file is read once, in the prepare step, in blocks of rows; what stays in memory are the ids and the columns that are
asked for, 24 bytes a synapse and 4 for each column. Each chunk takes the synapses of its cells.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.csv_file import MOST_MISTAKES, CsvFile, cache, delimiter, progress_bar, readable
from snakefold.config.datafile import DataFile
from snakefold.config.nodes import Attribute
from snakefold.connectivity import locations
from snakefold.connectivity.strategy import Arrays, ConnectivityStrategy, Given, Pair, Side, Synapses
from snakefold.errors import Mistake, UserError, did_you_mean, listed

MOST_BYTES_CHECKED = 10_000_000  # of a file before anything runs, about a second; its job says what is wrong beyond
_LOCATIONS = locations.columns(locations.AFFERENT, locations.EFFERENT)
_TAKEN = ("source", "target", "source_node_id", "target_node_id", "edge_type_id", "edge_group_id", "edge_group_index")


def _one_type(node: "CsvImportConnectivity", side: Side) -> str | None:
    if len(side.cell_types or ()) > 1:
        return f"the file has synapses from one cell type to one other (got: {listed(side.cell_types)})"
    return None


def _not_taken(node: "CsvImportConnectivity", names: list[str]) -> str | None:
    taken = [name for name in names if name.strip().lower() in _TAKEN]
    return f"{listed(taken)} cannot be a further column of edges" if taken else None


def _said(side: Side) -> str:
    labels = f" labelled {listed(side.labels)}" if side.labels else " without labels" if side.labels == [] else ""
    return f'"{side.cell_types[0]}"{labels}'


def _side(doc: str) -> Attribute:
    return Attribute(types.NodeOf(Side), required=True, constraint=_one_type, doc=doc)


class CsvImportConnectivity(ConnectivityStrategy):
    """Connects the cells that the rows of a CSV file name, one synapse for each row."""

    algorithm_version: ClassVar[int] = 1

    presynaptic = _side("Where the synapses come from, one cell type.")
    postsynaptic = _side("Where the synapses go to, one cell type.")
    source = Attribute(types.FileOf(), required=True, doc="The CSV file; its first row has the names of the columns.")
    pre_header = Attribute(
        types.string(), default="pre", doc="Column of the source cells; capitals do not matter, here and below."
    )
    post_header = Attribute(types.string(), default="post", doc="Column of the target cells.")
    mapping_key = Attribute(
        types.string(),
        doc="Property of cells by which the file names them; it names them by their node ids, from 0, if not given.",
    )
    carried = Attribute(
        types.ListOf(types.name(), distinct=True),
        default=lambda node: [],
        key="columns",
        constraint=_not_taken,
        doc="Columns of numbers that become columns of the edges, locations among them, as in [delay, "
        "afferent_section_id]; others are not read.",
    )
    delimiter = delimiter()
    progress_bar = progress_bar()
    cache = cache()
    cell_types = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), distinct=True),
        default=lambda node: [],
        semantic=False,
        doc="Accepted as the BSB's; not used.",
    )
    partitions = Attribute(
        types.ListOf(types.Reference("partitions", "partition"), distinct=True),
        default=lambda node: [],
        semantic=False,
        doc="Accepted as the BSB's; not used.",
    )

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are asked for: locations as these are, others f4."""
        names = [name.strip().lower() for name in self.carried or ()]
        return {name: _LOCATIONS.get(name, "f4") for name in names}

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        named = {side: range(n_cells[getattr(self, side).cell_types[0]]) for side in ("presynaptic", "postsynaptic")}
        try:
            table = _Reader(self)
            for _ in table.rows({} if self.mapping_key else named, MOST_BYTES_CHECKED):
                pass
            table.check()
        except UserError as error:
            return [(str(m.path[0]) if m.path else "source", m.message) for m in error.mistakes]
        return []

    def warnings(self) -> list[tuple[str, str]]:
        empty = self.source is not None and n_rows(self.source) == 0
        return [("source", f"{self.source.path.name} has no rows: there will be no synapses")] if empty else []

    def asks(self) -> list[tuple[str, str, str]]:
        sides = (*self.presynaptic.cell_types, *self.postsynaptic.cell_types) if self.mapping_key else ()
        return [("mapping_key", cell_type, self.mapping_key) for cell_type in dict.fromkeys(sides)]

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        return n_rows(self.source) if self.source is not None else float("nan"), 0.0

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        if types.file_digest(self.source.path) != self.source.digest:
            raise UserError(f"{self.source.path} has changed since the plan was made; run snakemake again")
        (pre,), (post,) = sources.values(), targets.values()
        table = _Reader(self)
        keys = {"presynaptic": self._keys(pre), "postsynaptic": self._keys(post)}
        blocks = list(table.rows(keys))
        table.check()
        kinds = {"source": np.uint32, "target": np.uint32} | self.columns
        made = {c: np.concatenate([np.empty(0, d), *(block[c] for block in blocks)]) for c, d in kinds.items()}
        made |= {"source": pre.node_ids[made["source"]], "target": post.node_ids[made["target"]]}
        order = np.argsort(made["target"].astype(np.uint64) << np.uint64(32) | made["source"], kind="stable")
        return {column: values[order] for column, values in made.items()}

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for pre, post in self.pairs():
            ids = targets[post].node_ids
            ends = (ids[0], ids[-1] + 1) if len(ids) else (0, 0)
            first, last = np.searchsorted(given.prepared["target"], ends)
            own = {name: values[first:last] for name, values in given.prepared.items()}
            source = np.searchsorted(sources[pre].node_ids, own.pop("source"))
            made[pre, post] = Synapses(source, np.searchsorted(ids, own.pop("target")), own)
        return made

    def _keys(self, cells: Cells) -> np.ndarray:
        """Return what the file calls each of some cells, (n,): node ids, or values of a property.

        Raises
        ------
        UserError : there is no such property, or cells share a value of it
        """
        if not self.mapping_key:
            return cells.node_ids
        if self.mapping_key not in cells.nodes.columns:
            known = sorted(cells.nodes.columns)
            hint = f"{did_you_mean(self.mapping_key, known)} (properties: {listed(known, 20)})"
            what = f'cells of "{cells.type}" have no property "{self.mapping_key}"{hint}'
            raise UserError(Mistake(what, (*self.path, "mapping_key")))
        keys = cells.column(self.mapping_key)
        found, counts = np.unique(keys.astype(str) if keys.dtype == object else keys, return_counts=True)
        if (counts > 1).any():
            several = [f"{key} ({n} cells)" for key, n in zip(found[counts > 1], counts[counts > 1], strict=True)]
            what = f'cells of "{cells.type}" share values of "{self.mapping_key}": {listed(several)}'
            raise UserError(Mistake(f"{what}; the file cannot name one of them", (*self.path, "mapping_key")))
        return keys


class _Reader(CsvFile):
    """The rows of the file of a strategy.

    Raises
    ------
    UserError : it cannot be read, or lacks columns
    """

    def __init__(self, strategy: CsvImportConnectivity):
        super().__init__(strategy.source.path, strategy.delimiter)
        self._key = strategy.mapping_key
        self._ends = {
            "presynaptic": self.column("pre_header", strategy.pre_header),
            "postsynaptic": self.column("post_header", strategy.post_header),
        }
        self._kinds = strategy.columns
        self._carried = {name: self.column(("columns", i), name) for i, name in enumerate(self._kinds)}
        self._cells = {side: _said(getattr(strategy, side)) for side in self._ends}
        self.check()

    def rows(self, keys: Mapping[str, np.ndarray | range], most_bytes: int | None = None):
        """Yield blocks of rows: "source" and "target", indices into the keys, and the columns that are asked for.

        Parameters
        ----------
        keys : of the cells on each side, distinct; ends of sides without are only read
        most_bytes : about how much of the file to read at most; None for all
        """
        known = {side: _Known(values) for side, values in keys.items()}
        n_bytes = 0
        for lines, columns in self.blocks():
            block = {}
            for end, (side, at) in zip(("source", "target"), self._ends.items(), strict=True):
                block[end] = self._found(columns[at], lines, side, known.get(side))
            for name, at in self._carried.items():
                block[name] = self._values(columns[at], lines, name)
            yield block
            if len(self.mistakes) >= MOST_MISTAKES:
                return
            n_bytes += len(columns) * len(lines) * 8
            if most_bytes is not None and n_bytes > most_bytes:
                return

    def _found(self, texts: tuple[str, ...], lines: np.ndarray, side: str, known: "_Known | None") -> np.ndarray:
        """Return the index, (n,) uint32, of the cell that each text names; what names none is a mistake."""
        name = self.names[self._ends[side]]
        if known is not None and known.are_texts:
            index = known.of(np.array([text.strip() for text in texts]))
        elif known is None and self._key:
            return np.empty(0, np.uint32)
        else:
            values = self.numbers(texts, lines, name)
            whole = np.rint(values) == values
            if not self._key:
                for at in np.flatnonzero(~whole & np.isfinite(values))[:MOST_MISTAKES].tolist():
                    self.mistake(lines[at], f'"{name}" should be: a node id, a whole number (got: {texts[at]!r:.40})')
            if known is None:
                return np.empty(0, np.uint32)
            index = known.of(values)
            index[~(np.isfinite(values) & (whole | bool(self._key)))] = 0  # told already
        for at in np.flatnonzero(index < 0)[:MOST_MISTAKES].tolist():
            has = f'has {texts[at]!r:.40} as "{self._key}"' if self._key else f"has the id {texts[at]!r:.40}"
            cells = "" if self._key else f" ({known.said})"
            self.mistake(lines[at], f'"{name}": no cell of {self._cells[side]} {has}{cells}')
        return np.maximum(index, 0).astype(np.uint32)

    def _values(self, texts: tuple[str, ...], lines: np.ndarray, name: str) -> np.ndarray:
        values = self.numbers(texts, lines, name)
        if self._kinds[name] == "u4":
            wrong = np.isfinite(values) & ~((values == np.rint(values)) & (values >= 0) & (values < 2.0**32))
            for at in np.flatnonzero(wrong)[:MOST_MISTAKES].tolist():
                self.mistake(lines[at], f'"{name}" should be: a whole number, 0 or more (got: {texts[at]!r:.40})')
            values = np.where(wrong, 0, values)
        return np.nan_to_num(values).astype(self._kinds[name])


class _Known:
    """The keys of cells, to look up."""

    def __init__(self, keys: np.ndarray | range):
        self.are_texts = not isinstance(keys, range) and keys.dtype.kind in "OU"
        self.said = f"there are {len(keys)}"
        self._range = keys if isinstance(keys, range) else None
        if self._range is None:
            kind = str if self.are_texts else np.float64
            self._order = np.argsort(keys.astype(kind), kind="stable")
            self._sorted, self._kind = keys.astype(kind)[self._order], keys.dtype

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the index, (n,) int64, of the cell with each key; -1 where there is none."""
        if self._range is not None:
            return np.where((values >= 0) & (values < len(self._range)), np.nan_to_num(values), -1).astype(np.int64)
        if not len(self._sorted):
            return np.full(len(values), -1, np.int64)
        if self._kind == np.float32:  # the property is stored in single precision
            values = values.astype(np.float32).astype(np.float64)
        at = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        return np.where(self._sorted[at] == values, self._order[at], -1)


@lru_cache(maxsize=64)  # by what the file held: checks and estimates ask again and again
def n_rows(source: DataFile) -> float:
    """Return the number of rows of a file, counted by ends of lines; NaN where there may be some inside quotes."""
    n, before = 0, b"\n"
    try:
        with readable(source.path), source.path.open("rb") as file:
            while block := file.read(1 << 22):
                if b'"' in block:
                    return float("nan")
                codes = np.frombuffer(before + block.replace(b"\r", b"\n"), np.uint8)
                ends = codes == ord("\n")
                n += int((ends[:-1] & ~ends[1:]).sum())  # lines begin after an end; empty ones are none
                before = block.replace(b"\r", b"\n")[-1:]
    except UserError:
        return float("nan")
    return float(max(n - 1, 0))
