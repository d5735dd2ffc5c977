"""Type handlers: each casts what stands in a description, writes it back as plain JSON, and gives its JSON Schema.

What a leaf accepts is its schema and nothing else: jsonschema checks it. Where a number is allowed, so is an expression
(`= 20683 * scale`, see `config.expression`).
"""

import csv
import functools
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from snakefold.config import context
from snakefold.config.expression import evaluate
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.errors import Path as TreePath
from snakefold.errors import did_you_mean, listed

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
EXPRESSION = {"type": "string", "pattern": "^=", "description": "an expression, as in `= 0.5 * scale`"}


class Type:
    """Base of the handlers.

    Attributes
    ----------
    says : what it takes, in words, for messages and the reference
    """

    says: str = "a value"

    def nodes(self) -> list[type[Node]]:
        """Return the classes of the mappings in what it takes, for the reference."""
        return []

    def schema(self, definitions: dict) -> dict:
        """Return the JSON Schema of what a description may say."""
        raise NotImplementedError

    def cast(self, value: object, path: TreePath, parent: Node):
        """Return the typed value, or INVALID after reporting what is wrong."""
        raise NotImplementedError

    def to_json(self, value: object):
        """Return the typed value as plain JSON."""
        return value


@functools.cache
def _validator(schema: str):
    import json

    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))


class Leaf(Type):
    """A value that its JSON Schema describes in full."""

    def __init__(self, fragment: dict, says: str):
        import json

        self.fragment, self.says, self._key = fragment, says, json.dumps(fragment)

    def schema(self, definitions: dict) -> dict:
        return self.fragment

    def cast(self, value, path, parent):
        if not _validator(self._key).is_valid(value):
            return wrong(path, self.says, value)
        return value


class Number(Leaf):
    """A finite number, or an expression."""

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [self.fragment, EXPRESSION]}

    def cast(self, value, path, parent):
        if isinstance(value, str) and value.lstrip().startswith("="):
            try:
                value = evaluate(value, context.current().variables)
            except ValueError as error:
                context.current().mistake(path, f"the expression {error}")
                return INVALID
            if self.fragment["type"] == "integer" and float(value).is_integer():
                value = int(value)
        if isinstance(value, float) and not math.isfinite(value):
            return wrong(path, self.says, value)
        value = super().cast(value, path, parent)
        if value is INVALID:
            return INVALID
        try:
            return int(value) if self.fragment["type"] == "integer" else float(value)
        except OverflowError:
            return wrong(path, self.says, value)


def number(*, min: float | None = None, above: float | None = None, max: float | None = None) -> Number:
    """Return the handler of a number with `min` <= or `above` < number <= `max`."""
    return Number(*_numeric("number", min, above, max))


def integer(*, min: int | None = None, max: int | None = None) -> Number:
    """Return the handler of a whole number."""
    return Number(*_numeric("integer", min, None, max))


def _numeric(kind: str, least, above, most) -> tuple[dict, str]:
    fragment, says = {"type": kind}, {"number": "a number", "integer": "a whole number"}[kind]
    for key, sign, bound in (("minimum", ">=", least), ("exclusiveMinimum", ">", above), ("maximum", "<=", most)):
        if bound is not None:
            fragment[key] = bound
            says += f"{' and' if len(fragment) > 2 else ''} {sign} {bound}"
    return fragment, says


def string() -> Leaf:
    """Return the handler of a text."""
    return Leaf({"type": "string"}, "a text")


def name() -> Leaf:
    """Return the handler of a name that becomes a file's."""
    says = "a name of letters, digits, _ . -, not starting with a dot or dash"
    return Leaf({"type": "string", "pattern": f"^{NAME.pattern}$", "maxLength": 200}, says)


def boolean() -> Leaf:
    """Return the handler of true or false."""
    return Leaf({"type": "boolean"}, "true or false")


class Plain(Leaf):
    """Any plain value, without numbers that are not finite."""

    def cast(self, value, path, parent):
        for step, item in _items(value):
            if self.cast(item, (*path, step), parent) is INVALID:
                return INVALID
        return wrong(path, "a finite number", value) if isinstance(value, float) and not math.isfinite(value) else value


def _items(value: object) -> list[tuple[str | int, object]]:
    return list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())


def anything() -> Leaf:
    """Return the handler of any plain value."""
    return Plain({}, "a plain value")


def later(doc: str) -> Attribute:
    """Return an attribute that descriptions may have, but that nothing here follows yet: using it is a mistake."""
    return Attribute(
        anything(),
        doc=f"Not yet supported. {doc}",
        constraint=lambda node, _: f"not yet supported: {doc}",
        semantic=False,
    )


class Choice(Leaf):
    """One of some words."""

    def __init__(self, *words: str):
        super().__init__({"enum": list(words)}, listed(words))
        self.words = words

    def cast(self, value, path, parent):
        if value not in self.words:
            return wrong(path, f"one of {self.says}", value, did_you_mean(value, self.words))
        return value


class Vector(Type):
    """Three numbers; `scalar` lets one stand for all three."""

    def __init__(self, item: Number, scalar: bool = False):
        self.item, self.scalar = item, scalar
        self.says = "a number or three" if scalar else "three numbers"

    def schema(self, definitions: dict) -> dict:
        item = self.item.schema(definitions)
        three = {"type": "array", "items": item, "minItems": 3, "maxItems": 3}
        return {"anyOf": [item, three]} if self.scalar else three

    def cast(self, value, path, parent):
        if self.scalar and not isinstance(value, list):
            value = self.item.cast(value, path, parent)
            return INVALID if value is INVALID else (value,) * 3
        if not isinstance(value, list) or len(value) != 3:
            return wrong(path, "three numbers", value)
        cast = tuple(self.item.cast(v, (*path, i), parent) for i, v in enumerate(value))
        return INVALID if INVALID in cast else cast

    def to_json(self, value):
        return list(value)


class ListOf(Type):
    """A list of values of one type."""

    def __init__(self, item: Type, *, least: int = 0, distinct: bool = False):
        self.item, self.least, self.distinct = item, least, distinct
        self.says = f"a list: {item.says}"

    def nodes(self) -> list[type[Node]]:
        return self.item.nodes()

    def schema(self, definitions: dict) -> dict:
        schema = {"type": "array", "items": self.item.schema(definitions)}
        return (
            schema | ({"minItems": self.least} if self.least else {}) | ({"uniqueItems": True} if self.distinct else {})
        )

    def cast(self, value, path, parent):
        if not isinstance(value, list) or len(value) < self.least:
            return wrong(path, f"a list{f' of at least {self.least}' if self.least else ''}", value)
        cast = [self.item.cast(v, (*path, i), parent) for i, v in enumerate(value)]
        if any(c is INVALID for c in cast):
            return INVALID
        if self.distinct:
            for i, item in enumerate(cast):
                if item in cast[:i]:
                    context.current().mistake((*path, i), f'"{item}" stands twice')
                    return INVALID
        return cast

    def to_json(self, value):
        return [self.item.to_json(v) for v in value]


class Positions(Type):
    """An array of points, (n, 3) float64, um."""

    says = "a list of points [x, y, z]"

    def schema(self, definitions: dict) -> dict:
        point = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
        return {"type": "array", "items": point}

    def cast(self, value, path, parent):
        import numpy as np

        try:
            array = np.array(value, dtype=np.float64).reshape(-1, 3) if value == [] else np.array(value, dtype=float)
        except (TypeError, ValueError, OverflowError):
            return wrong(path, "a list of points [x, y, z]", value)
        if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
            return wrong(path, "an array of finite points of shape (n, 3)", f"shape {array.shape}")
        return array

    def to_json(self, value):
        return value.tolist()


class DictOf(Type):
    """A mapping from names to values of one type; `names` checks that the keys can be file names."""

    def __init__(self, item: Type, *, names: bool = True):
        self.item, self.names = item, names
        self.says = f"a mapping from names to: {item.says}"

    def nodes(self) -> list[type[Node]]:
        return self.item.nodes()

    def schema(self, definitions: dict) -> dict:
        keys = {"propertyNames": {"pattern": f"^{NAME.pattern}$"}} if self.names else {}
        return {"type": "object", "additionalProperties": self.item.schema(definitions)} | keys

    def cast(self, value, path, parent):
        if not isinstance(value, dict):
            return wrong(path, "a mapping", value)
        cast = {}
        for key, item in value.items():
            if self.names and not NAME.fullmatch(key):
                context.current().mistake(
                    (*path, key), f'the name "{key}" should be: letters, digits, _ . -, not starting with a dot or dash'
                )
                continue
            made = self.item.cast(item, (*path, key), parent)
            if made is not INVALID:
                cast[key] = made
        return cast

    def to_json(self, value):
        return {key: self.item.to_json(item) for key, item in value.items()}


class NodeOf(Type):
    """A mapping with the attributes of one class."""

    def __init__(self, cls: type[Node]):
        self.cls = cls
        self.says = f"a mapping: {cls.__name__}"

    def nodes(self) -> list[type[Node]]:
        return [self.cls]

    def schema(self, definitions: dict) -> dict:
        return self.cls.schema(definitions)

    def cast(self, value, path, parent):
        return self.cls.build(value, path, parent)

    def to_json(self, value):
        return value.to_json()


class Reference(Type):
    """The name of something declared elsewhere in the circuit; `circuit.check` looks whether it is there."""

    def __init__(self, table: str, what: str):
        self.table, self.what = table, what
        self.says = f"the name of a {what}"

    def schema(self, definitions: dict) -> dict:
        return {"type": "string", "x-reference": self.table}

    def cast(self, value, path, parent):
        names = references().get(self.table)
        if not isinstance(value, str):
            return wrong(path, f"the name of a {self.what}", value)
        if names is not None and value not in names:
            context.current().mistake(
                path, f'no {self.what} "{value}"{did_you_mean(value, names)} ({self.table}: {listed(names)})'
            )
            return INVALID
        return value


def references() -> dict[str, list[str]]:
    """Return the names that references may use, by table, in the build that is going on; none outside a circuit."""
    return context.current().share("references", dict)


class OneOf(Type):
    """The first of some handlers whose `when` takes the value; the last takes the rest."""

    def __init__(self, *cases: tuple[Callable[[object], bool], Type]):
        self.cases = cases
        self.says = " or ".join(dict.fromkeys(handler.says for _, handler in cases))

    def nodes(self) -> list[type[Node]]:
        return [node for _, handler in self.cases for node in handler.nodes()]

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [handler.schema(definitions) for _, handler in self.cases]}

    def cast(self, value, path, parent):
        for when, handler in self.cases:
            if when(value):
                return handler.cast(value, path, parent)
        return self.cases[-1][1].cast(value, path, parent)

    def to_json(self, value):
        if isinstance(value, Node):
            return value.to_json()
        if isinstance(value, PairTable):
            return value.to_json()
        return value


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
        table = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": item}}
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
        file = context.current().folder_of(path) / name
        rows: dict[str, dict[str, float]] = {}
        try:
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


@dataclass(frozen=True)
class DataFile:
    """A file that a component reads: where it is now, and what it held when the plan was made."""

    path: Path
    digest: str


class FileOf(Type):
    """The name of a data file, relative to the file of the description in which it stands."""

    says = "the name of a file"

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [{"type": "string", "format": "path"}]}

    def cast(self, value, path, parent):
        build = context.current()
        if isinstance(value, dict) and build.files is not None:  # restored from a slice, in a job
            return DataFile(build.files[value["blake2b"]], value["blake2b"])
        if not isinstance(value, str):
            return wrong(path, "the name of a file", value)
        file = build.folder_of(path) / value
        try:
            return DataFile(file, file_digest(file))
        except (OSError, ValueError) as error:
            build.mistake(path, f"{file} cannot be read: {getattr(error, 'strerror', error)}")
            return INVALID

    def to_json(self, value):
        return {"blake2b": value.digest}


@functools.cache
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file's bytes; read once for one path, size and time of change."""
    status = path.stat()
    return _digest(str(path), status.st_size, status.st_mtime_ns)


def wrong(path: TreePath, allowed: str, value: object, hint: str = ""):
    """Report that a value is not what is allowed, and return INVALID."""
    shown = value if isinstance(value, str) and value.startswith("shape ") else f"{value!r:.60}"
    context.current().mistake(path, f"should be: {allowed} (got: {shown}){hint}")
    return INVALID
