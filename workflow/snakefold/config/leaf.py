"""The base of the type handlers, and those of single values that are no numbers.

A handler casts what stands in a description, writes it back as plain JSON, and gives its JSON Schema. What a leaf
accepts is its schema and nothing else: jsonschema checks it.
"""

import functools
import math
import re
from collections.abc import Iterator

from snakefold.config import context
from snakefold.config.nodes import INVALID, Node
from snakefold.errors import Path as TreePath
from snakefold.errors import did_you_mean, listed

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


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

    def references(self, value: object) -> Iterator[tuple[str, str]]:
        """Yield (table, name) of all that a typed value refers to."""
        return iter(())

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
            return wrong(path, self.says, value, about_quotes(value) if self.fragment.get("type") == "string" else "")
        return value


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


def nothing() -> Leaf:
    """Return the handler of null."""
    return Leaf({"type": "null"}, "null")


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


class Choice(Leaf):
    """One of some words."""

    def __init__(self, *words: str):
        super().__init__({"enum": list(words)}, listed(words))
        self.words = words

    def cast(self, value, path, parent):
        if value not in self.words:
            return wrong(path, f"one of {self.says}", value, about_quotes(value) or did_you_mean(value, self.words))
        return value


def about_quotes(value: object) -> str:
    """Return what to add to a message where a text was expected and YAML made a boolean of it."""
    return "; yes, no, on and off are texts only in quotes" if isinstance(value, bool) else ""


def wrong(path: TreePath, allowed: str, value: object, hint: str = ""):
    """Report that a value is not what is allowed, and return INVALID."""
    shown = value if isinstance(value, str) and value.startswith("shape ") else f"{value!r:.60}"
    context.current().mistake(path, f"should be: {allowed} (got: {shown}){hint}")
    return INVALID
