"""Cells from a table: a CSV file with a row for each cell, of which further columns become properties.

Rows are read in blocks. A further column that holds whole numbers alone is stored as such (i8), one of finite numbers
as f4, and any other as strings; which strings there are is found in a second reading.
"""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.csv_file import MOST_MISTAKES, CsvFile, cache, delimiter, floats, progress_bar
from snakefold.config.nodes import Attribute
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.placement.counts import MOST_CELLS
from snakefold.placement.distribute import RESERVED, Kind
from snakefold.placement.strategy import Arrays
from snakefold.placement.whole import WholePlacement

_MOST_STRINGS = 10_000  # of a column: they are in the plan
_MOST_EXACT = 2.0**53  # whole numbers up to it are exact in float64
_NAME = re.compile(r"[^/@.\s][^/]*")
_TAKEN = tuple(name for name in RESERVED if name != "radius")


def _several_types(node: "CsvImportPlacement") -> str | bool:
    return f"the cells of the file are of {listed(node.cell_types)}" if len(node.cell_types or ()) > 1 else False


class CsvImportPlacement(WholePlacement):
    """Places cells where a CSV file says, whether that is in the partitions or not."""

    algorithm_version: ClassVar[int] = 1

    source = Attribute(types.FileOf(), required=True, doc="The CSV file; its first row has the names of the columns.")
    cell_types = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        default=lambda node: list(getattr(node.root(), "cell_types", None) or {}),
        doc="Cell types that it places; all if not given.",
    )
    partitions = Attribute(
        types.ListOf(types.Reference("partitions", "partition"), distinct=True),
        default=lambda node: [],
        doc="Partitions that its cells are said to be in.",
    )
    x_header = Attribute(types.string(), default="x", doc="Column of x, um; capitals do not matter, here and below.")
    y_header = Attribute(types.string(), default="y", doc="Column of y, um.")
    z_header = Attribute(types.string(), default="z", doc="Column of z, um.")
    type_header = Attribute(
        types.string(), required=_several_types, doc="Column of the cell types, where there are several."
    )
    delimiter = delimiter()
    progress_bar = progress_bar()
    cache = cache()

    def indicator(self, cell_type: str) -> dict | None:
        table = self._table
        return {"count": 0 if table is None else len(table.rows_of(cell_type))}

    @property
    def columns(self) -> dict[str, Kind]:
        """The further columns of the file."""
        return {} if self._table is None else dict(self._table.kinds)

    def lay_out(self, cell_type: str, n: int, bounds: np.ndarray) -> Arrays:
        rows = self._table.rows_of(cell_type)
        return {"position": self._table.position[rows]} | {c: a[rows] for c, a in self._table.columns.items()}

    @property
    def _table(self) -> "Table | None":
        """The file's content; None where the description does not say enough to read it.

        Raises
        ------
        UserError : mistakes in the file, with their lines
        """
        if self.source is None or not self.cell_types or not self.delimiter:
            return None
        if _several_types(self) and not self.type_header:
            return None
        headers = (self.x_header, self.y_header, self.z_header, self.type_header)
        try:
            return read(self.source.path, self.source.digest, headers, self.delimiter, tuple(self.cell_types))
        except UserError as error:
            raise UserError(
                [Mistake(m.message, (*self.path, *(m.path or ("source",)))) for m in error.mistakes]
            ) from None


@dataclass
class Table:
    """Cells of a table.

    Attributes
    ----------
    cell_types : their types
    code : (n,) uint16, index into `cell_types`
    position : (n, 3) float64, um
    columns : further columns, (n,) each; of strings the codes
    kinds : their dtypes, or their strings
    """

    cell_types: tuple[str, ...]
    code: np.ndarray
    position: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def rows_of(self, cell_type: str) -> np.ndarray:
        """Return the rows of a type, ascending."""
        return np.flatnonzero(self.code == self.cell_types.index(cell_type))


@functools.lru_cache(maxsize=4)  # by content: checking, planning and building ask for it several times
def read(path: Path, digest: str, headers: tuple, delimiter: str, cell_types: tuple[str, ...]) -> Table:
    """Read a table of cells.

    Parameters
    ----------
    headers : names of the columns of x, y, z and of the type; None for the latter where there is one type

    Raises
    ------
    UserError : what is wrong with it, up to some mistakes at once, with their lines; paths are the key at fault
    """
    return _Reader(path, headers, delimiter, cell_types).read()


class _Reader(CsvFile):
    def __init__(self, path: Path, headers: tuple, delimiter: str, cell_types: tuple[str, ...]):
        super().__init__(path, delimiter)
        self.cell_types = cell_types
        keys = ("x_header", "y_header", "z_header", "type_header")
        self.own = [self.column(key, name) for key, name in zip(keys, headers, strict=True) if name is not None]
        self.check()
        self.further = [i for i in range(len(self.names)) if i not in self.own]
        for i in self.further:
            self._check_name(self.names[i])
        self.check()

    def read(self) -> Table:
        """Return the table."""
        codes, positions = [np.empty(0, np.uint16)], [np.empty((0, 3))]
        numbers: dict[int, list[np.ndarray]] = {i: [np.empty(0)] for i in self.further}
        n = 0
        for lines, columns in self.blocks():
            xyz = [self.numbers(columns[i], lines, self.names[i]) for i in self.own[:3]]
            positions.append(np.stack(xyz, axis=1))
            codes.append(
                self._codes(columns[self.own[3]], lines) if len(self.own) > 3 else np.zeros(len(lines), np.uint16)
            )
            for i in list(numbers):
                values = floats(columns[i])
                if values is None or not np.isfinite(values).all():
                    del numbers[i]
                else:
                    numbers[i].append(values)
            n += len(lines)
            if len(self.mistakes) >= MOST_MISTAKES:
                break
        if n > MOST_CELLS:
            self.mistakes.append(Mistake(f"{self.path.name} has more than {MOST_CELLS} cells"))
        self.check()
        table = Table(self.cell_types, np.concatenate(codes), np.concatenate(positions))
        texts = self._texts([i for i in self.further if i not in numbers], n)
        for i in self.further:
            name = self.names[i]
            if i in numbers:
                values = np.concatenate(numbers[i])
                whole = (values == np.rint(values)).all() and (abs(values) <= _MOST_EXACT).all()
                table.kinds[name] = "i8" if whole else "f4"
                table.columns[name] = values.astype(table.kinds[name])
            else:
                table.kinds[name], table.columns[name] = texts[i]
        return table

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            what = f'its column "{name}" should have a name without slashes, that does not start with a dot, @ or space'
            self.mistakes.append(Mistake(f"{self.path.name}: {what}"))
        elif self.names.count(name) > 1:
            self.mistakes.append(Mistake(f'{self.path.name} has several columns "{name}"'))
        elif name in _TAKEN:
            what = f'its column "{name}" cannot be a property of cells; call it otherwise ({listed(_TAKEN, 20)})'
            self.mistakes.append(Mistake(f"{self.path.name}: {what}"))

    def _codes(self, texts: tuple[str, ...], lines: np.ndarray) -> np.ndarray:
        code = {name: i for i, name in enumerate(self.cell_types)}
        found = np.array([code.get(text.strip(), len(code)) for text in texts], np.uint16)
        for at in np.flatnonzero(found == len(code))[:MOST_MISTAKES].tolist():
            near = did_you_mean(texts[at], list(code))
            self.mistake(lines[at], f'no cell type "{texts[at]:.40}" is placed here{near} ({listed(code)})')
        return found

    def _texts(self, which: list[int], n: int) -> dict[int, tuple[tuple[str, ...], np.ndarray]]:
        """Return (all strings, (n,) uint32 codes) of some columns."""
        codes = {i: np.empty(n, np.uint32) for i in which}
        seen: dict[int, dict[str, int]] = {i: {} for i in which}
        at = 0
        for lines, columns in self.blocks() if which else ():
            for i in which:
                known = seen[i]
                codes[i][at : at + len(lines)] = [known.setdefault(text.strip(), len(known)) for text in columns[i]]
                if len(known) > _MOST_STRINGS:
                    what = f'its column "{self.names[i]}" has more than {_MOST_STRINGS} different strings'
                    raise UserError(f"{self.path.name}: {what}, too many for a property; leave it out, or use numbers")
            at += len(lines)
        return {i: (tuple(seen[i]), codes[i]) for i in which}
