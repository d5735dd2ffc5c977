"""Type handlers for Python objects that a description names: functions, classes, and methods of a class.

A bare name is that of an object in the module of the component itself; a dotted one that of an object in an installed
module. Slices hold the name and the digest of the installed module's file: an edit of it reruns what the object made.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snakefold.config import context
from snakefold.config.nodes import INVALID
from snakefold.config.types import Type, file_digest, wrong
from snakefold.errors import did_you_mean


@dataclass(frozen=True)
class Named:
    """A Python object and the name by which a description knows it; calling it calls the object.

    Attributes
    ----------
    digest : of the file of its module, where that is not the component's own
    """

    name: str
    object: Callable
    digest: str = ""

    def __call__(self, *arguments, **options):
        return self.object(*arguments, **options)

    def to_json(self):
        """Return it as it stands in a slice."""
        return {"name": self.name, "module_blake2b": self.digest} if self.digest else self.name


class Function(Type):
    """Something that can be called."""

    says = "the name of a function, as in module.name"

    def schema(self, definitions: dict) -> dict:
        return {"type": "string", "pattern": r"^[A-Za-z_][\w.]*$"}

    def cast(self, value, path, parent):
        was = None
        if isinstance(value, dict) and set(value) == {"name", "module_blake2b"}:  # restored from a slice, in a job
            value, was = value["name"], value["module_blake2b"]
        if not isinstance(value, str) or not value:
            return wrong(path, self.says, value)
        module, _, name = value.rpartition(".")
        try:
            place = importlib.import_module(module) if module else sys.modules[type(parent).__module__]
        except Exception as error:
            context.current().mistake(path, f'the module "{module}" cannot be imported: {error}')
            return INVALID
        found = getattr(place, name, None)
        if not self.fits(found):
            known = [n for n, there in vars(place).items() if self.fits(there)]
            where = f'the module "{module}"' if module else "the component's module"
            return wrong(path, self.says, value, f"; {where} has none of that name{did_you_mean(name, known)}")
        file = getattr(place, "__file__", None)
        digest = file_digest(Path(file)) if module and file else ""
        if was is not None and was != digest:
            context.current().mistake(path, f'the module "{module}" has changed since the plan was made')
            return INVALID
        return Named(value, found, digest)

    def fits(self, found: object) -> bool:
        """Return whether an object is of the kind."""
        return callable(found)

    def to_json(self, value):
        return value.to_json()


class Class(Function):
    """A class."""

    says = "the name of a class, as in module.Name"

    def fits(self, found: object) -> bool:
        return isinstance(found, type)


class Method(Type):
    """The name of a method of a class."""

    def __init__(self, cls: type):
        self.cls = cls
        self.says = f"the name of a method of {cls.__name__}"
        self._names = [n for n in dir(cls) if not n.startswith("_") and callable(getattr(cls, n))]

    def schema(self, definitions: dict) -> dict:
        return {"enum": self._names}

    def cast(self, value, path, parent):
        if value not in self._names:
            return wrong(path, self.says, value, did_you_mean(value, self._names))
        return Named(value, getattr(self.cls, value))

    def to_json(self, value):
        return value.to_json()
