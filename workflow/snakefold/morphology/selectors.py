"""Which morphologies the cells of a type may have: selectors, by name."""

import fnmatch
from collections.abc import Iterable
from typing import ClassVar

from snakefold.components import Component
from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.errors import did_you_mean, listed

ELSEWHERE = ("from_neuromorpho", "NeuroMorphoSelector")  # of the BSB, that download


class MorphologySelector(Node):
    """Base of the selectors: a class with `pick` says which of the circuit's morphologies it selects."""

    kind: ClassVar[str] = "morphology_selector"
    chosen_by: ClassVar[str] = "select"
    algorithm_version: ClassVar[int] = 1

    def pick(self, names: Iterable[str]) -> list[str]:
        """Return which of some morphologies, by their names, it selects."""
        raise NotImplementedError

    def faults(self, names: list[str]) -> list[str]:
        """Return what is wrong with it, where these are all morphologies of the circuit."""
        return [] if self.pick(names) else [f"selects none of the morphologies ({listed(names)})"]


class ByName(MorphologySelector):
    """Selects morphologies by their names."""

    names = Attribute(
        types.ListOf(types.string(), least=1),
        required=True,
        doc="Names; * stands for any letters, ? for one, [ab] for one of some.",
    )

    def pick(self, names):
        return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.names)]

    def faults(self, names):
        return [
            f'no morphology "{pattern}"{did_you_mean(pattern, names)} (morphologies: {listed(names)})'
            for pattern in self.names
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names)
        ]


class SelectorOf(types.Type):
    """A selector; a text stands for one by name."""

    def __init__(self):
        self._component = Component("morphology_selector", "select", "by_name")
        self.says = f"a name, in which * stands for any letters, or {self._component.says}"

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [{"type": "string"}, self._component.schema(definitions)]}

    def cast(self, value, path, parent):
        if isinstance(value, dict) and str(value.get("select")).rpartition(".")[2] in ELSEWHERE:
            what = "nothing is downloaded: list the files under morphologies, and select them by name"
            context.current().mistake((*path, "select"), what)
            return INVALID
        return self._component.cast({"names": [value]} if isinstance(value, str) else value, path, parent)

    def to_json(self, value):
        return self._component.to_json(value)
