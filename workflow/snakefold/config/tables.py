"""Values for each pair of cell types: one value, a table with patterns of names, or a CSV file."""

import csv
from collections.abc import Mapping
from fnmatch import fnmatchcase

from snakefold.config import context
from snakefold.config.files import status_of
from snakefold.config.leaf import Leaf, Type, wrong
from snakefold.config.nodes import INVALID
from snakefold.config.schema import mapping
from snakefold.errors import Path as TreePath


class PairTable:
    """A value for each (source type, target type), given as one value or a table with name patterns.

    A name given in full goes before a pattern, and a pattern before a later one; the source is looked up first.
    """

    def __init__(self, rows: Mapping[str, Mapping[str, object]] | None = None, everywhere: object = None):
        self.rows, self.everywhere = rows, everywhere

    def value(self, source: str, target: str):
        """Return the value for one pair; None where the table says nothing of it."""
        if self.rows is None:
            return self.everywhere
        for pattern in _best(self.rows, source):
            for inner in _best(self.rows[pattern], target):
                return self.rows[pattern][inner]
        return None

    def to_json(self):
        """Return the table as it may stand in a description."""
        return self.everywhere if self.rows is None else self.rows


def _best(patterns: Mapping[str, object], name: str) -> list[str]:
    return [name] if name in patterns else [p for p in patterns if fnmatchcase(name, p)]


class PairTableOf(Type):
    """One value, or `{source: {target: value}}`, or the name of a CSV file with columns source, target, value."""

    def __init__(self, item: Leaf):
        self.item = item
        self.says = f"{item.says}, a table over pairs of types, or a CSV file"

    def schema(self, definitions: dict) -> dict:
        item = self.item.schema(definitions)
        table = mapping(definitions, {}, additionalProperties=mapping(definitions, {}, additionalProperties=item))
        return {"anyOf": [item, table, {"type": "string", "pattern": r"\.csv$"}]}

    def cast(self, value, path, parent):
        if isinstance(value, str) and value.endswith(".csv"):
            value = self._read(value, path)
            if value is INVALID:
                return INVALID
        if not isinstance(value, dict):
            cast = self.item.cast(value, path, parent)
            return INVALID if cast is INVALID else PairTable(everywhere=cast)
        rows: dict[str, dict[str, object]] = {}
        for source, row in value.items():
            if not isinstance(row, dict):
                return wrong((*path, source), "a mapping from target types to values", row)
            rows[source] = {t: self.item.cast(v, (*path, source, t), parent) for t, v in row.items()}
        if any(v is INVALID for row in rows.values() for v in row.values()):
            return INVALID
        return PairTable(rows)

    def to_json(self, value):
        return value.to_json()

    def _read(self, name: str, path: TreePath):
        file = context.current().file_at(path, name)
        rows: dict[str, dict[str, float]] = {}
        try:
            status_of(file)
            with file.open(newline="", encoding="utf-8") as handle:
                for record in csv.DictReader(handle, skipinitialspace=True):
                    row, target = rows.setdefault(record["source"], {}), record["target"]
                    if target in row:
                        context.current().mistake(path, f"{file}: {record['source']} to {target} stands there twice")
                        return INVALID
                    row[target] = float(record["value"])
        except OSError as error:
            context.current().mistake(path, f"{file} cannot be read: {error.strerror}")
            return INVALID
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            context.current().mistake(path, f"{file} should have columns source, target, value (got: {error})")
            return INVALID
        return rows
