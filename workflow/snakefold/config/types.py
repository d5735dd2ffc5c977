"""Type handlers: each casts what stands in a description, writes it back as plain JSON, and gives its JSON Schema.

Here are those that are made of others; those of single values, numbers, data files and tables come from the modules
beside this one, and can all be had from here.
"""

from collections.abc import Callable

from snakefold.config import context
from snakefold.config.datafile import DataFile, FileOf, file_digest
from snakefold.config.expression import evaluate
from snakefold.config.leaf import (
    NAME,
    Choice,
    Leaf,
    Type,
    about_quotes,
    anything,
    boolean,
    name,
    nothing,
    string,
    wrong,
)
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.config.numbers import Angle, Degrees, Number, fraction, integer, number
from snakefold.config.schema import KEYS, mapping
from snakefold.config.tables import PairTable, PairTableOf
from snakefold.errors import did_you_mean, listed

__all__ = [
    "NAME",
    "Angle",
    "AnyOf",
    "Array",
    "Choice",
    "DataFile",
    "Degrees",
    "DictOf",
    "Evaluation",
    "FileOf",
    "Leaf",
    "ListOf",
    "ListOrOne",
    "NodeOf",
    "Number",
    "OneOf",
    "PairTable",
    "PairTableOf",
    "Reference",
    "Type",
    "Vector",
    "anything",
    "boolean",
    "file_digest",
    "fraction",
    "integer",
    "later",
    "name",
    "nothing",
    "number",
    "references",
    "string",
    "voxel_size",
    "wrong",
]


class Evaluation(Number):
    """A number, or an expression with variables of its own: `{statement: a * 2, variables: {a: 3}}`."""

    def __init__(self):
        super().__init__({"type": "number"}, "a number, or {statement: expression, variables: {name: number}}")

    def schema(self, definitions: dict) -> dict:
        statement = {"statement": {"type": "string"}, "variables": DictOf(number()).schema(definitions)}
        own = mapping(definitions, statement, ["statement"], additionalProperties=False)
        return {"anyOf": [super().schema(definitions), own]}

    def cast(self, value, path, parent):
        if not isinstance(value, dict):
            return super().cast(value, path, parent)
        statement, given = value.get("statement"), value.get("variables") or {}
        if not isinstance(statement, str) or set(value) - {"statement", "variables"}:
            return wrong(path, self.says, value)
        own = DictOf(number(), names=False).cast(given, (*path, "variables"), parent)
        if own is INVALID or len(own) < len(given):
            return INVALID
        build = context.current()
        try:
            return super().cast(evaluate(statement, build.variables | own), path, parent)
        except ValueError as error:
            if not build.follows(error):
                build.mistake((*path, "statement"), f"the expression {error}")
            return INVALID


def later(doc: str) -> Attribute:
    """Return an attribute that descriptions may have, but that nothing here follows yet.

    Using it is a mistake; false, and an empty list or mapping, ask for nothing.
    """
    return Attribute(
        anything(),
        doc=f"Not yet supported. {doc}",
        constraint=lambda node, value: None if value in ([], {}) or value is False else f"not yet supported: {doc}",
        semantic=False,
    )


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


def voxel_size() -> Vector:
    """Return the handler of the edge lengths of a voxel: one for all axes, or three."""
    return Vector(number(above=0), scalar=True)


class ListOf(Type):
    """A list of values of one type."""

    def __init__(self, item: Type, *, least: int = 0, distinct: bool = False):
        self.item, self.least, self.distinct = item, least, distinct
        self.says = f"a list: {item.says}"

    def nodes(self) -> list[type[Node]]:
        return self.item.nodes()

    def references(self, value):
        return (found for item in (value if isinstance(value, list) else ()) for found in self.item.references(item))

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


class Array(Type):
    """An array of finite float64.

    Parameters
    ----------
    shape : None where an axis may have any length
    says : what it is, where that is more than its shape
    """

    def __init__(self, *shape: int | None, says: str = ""):
        self.shape = shape
        self._wanted = f"({', '.join('n' if n is None else str(n) for n in shape)}{',' if len(shape) == 1 else ''})"
        self.says = says or f"an array of shape {self._wanted}"

    def schema(self, definitions: dict) -> dict:
        schema: dict = {"type": "number"}
        for n in reversed(self.shape):
            schema = {"type": "array", "items": schema} | ({} if n is None else {"minItems": n, "maxItems": n})
        return schema

    def cast(self, value, path, parent):
        import numpy as np

        try:
            array = np.array(value, dtype=float)
        except (TypeError, ValueError, OverflowError):
            return wrong(path, self.says, value)
        if array.size == 0 and None in self.shape:
            array = array.reshape([n or 0 for n in self.shape])
        fits = array.ndim == len(self.shape)
        fits = fits and all(n in (None, m) for n, m in zip(self.shape, array.shape, strict=True))
        if not isinstance(value, list) or not fits or not np.isfinite(array).all():
            return wrong(path, f"an array of finite numbers of shape {self._wanted}", f"shape {array.shape}")
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

    def references(self, value):
        items = value.values() if isinstance(value, dict) else ()
        return (found for item in items for found in self.item.references(item))

    def schema(self, definitions: dict) -> dict:
        keys = {"propertyNames": {"pattern": f"^({'|'.join([NAME.pattern, *KEYS])})$"}} if self.names else {}
        return mapping(definitions, {}, additionalProperties=self.item.schema(definitions), **keys)

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


class ListOrOne(Type):
    """A list of values of one type, or one of them, which stands for the list with it alone."""

    def __init__(self, item: Type):
        self.item, self._list = item, ListOf(item)
        self.says = f"{item.says}, or a list of such"

    def nodes(self) -> list[type[Node]]:
        return self.item.nodes()

    def references(self, value):
        return self._list.references(value)

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [self.item.schema(definitions), self._list.schema(definitions)]}

    def cast(self, value, path, parent):
        if isinstance(value, list):
            return self._list.cast(value, path, parent)
        cast = self.item.cast(value, path, parent)
        return INVALID if cast is INVALID else [cast]

    def to_json(self, value):
        return self._list.to_json(value)


class Reference(Type):
    """The name of something declared elsewhere in the circuit; `circuit.check` looks whether it is there."""

    def __init__(self, table: str, what: str):
        self.table, self.what = table, what
        self.says = f"the name of a {what}"

    def references(self, value):
        return iter([(self.table, value)] if isinstance(value, str) else [])

    def schema(self, definitions: dict) -> dict:
        return {"type": "string", "x-reference": self.table}

    def cast(self, value, path, parent):
        names = references().get(self.table)
        if not isinstance(value, str):
            return wrong(path, f"the name of a {self.what}", value, about_quotes(value))
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

    def references(self, value):
        return (found for _, handler in self.cases for found in handler.references(value))

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [handler.schema(definitions) for _, handler in self.cases]}

    def cast(self, value, path, parent):
        for when, handler in self.cases:
            if when(value):
                return handler.cast(value, path, parent)
        return self.cases[-1][1].cast(value, path, parent)

    def to_json(self, value):
        return _written(value)


class AnyOf(Type):
    """The first of some handlers that finds nothing wrong with the value."""

    def __init__(self, *handlers: Type):
        self.handlers = handlers
        self.says = " or ".join(dict.fromkeys(handler.says for handler in handlers))

    def nodes(self) -> list[type[Node]]:
        return [node for handler in self.handlers for node in handler.nodes()]

    def references(self, value):
        return (found for handler in self.handlers for found in handler.references(value))

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [handler.schema(definitions) for handler in self.handlers]}

    def cast(self, value, path, parent):
        build = context.current()
        n = len(build.mistakes)
        for handler in self.handlers:
            cast = handler.cast(value, path, parent)
            if len(build.mistakes) == n and cast is not INVALID:
                return cast
            del build.mistakes[n:]
        return wrong(path, self.says, value)

    def to_json(self, value):
        return _written(value)


def _written(value: object):
    """Return a typed value as plain JSON where it is not known which of several handlers made it."""
    if isinstance(value, (list, tuple)):
        return [_written(item) for item in value]
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    write = getattr(value, "to_json", None) or getattr(value, "tolist", None)
    return write() if write else value
