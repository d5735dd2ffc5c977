"""Edits: which keys of a description differ from those that the results were built from, and which parts they touch.

What was built says so itself: R/parse.h5 has the description of the last run, and the file of each part its slice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakefold.config.stage import read_document
from snakefold.errors import Path as TreePath
from snakefold.errors import UserError
from snakefold.plan import Plan
from snakefold.results import slice_built

MISSING = object()
_SECTIONS = {
    "place": "placement",
    "connect": "connectivity",
    "partition": "partitions",
    "morphology": "morphologies",
    "simulate": "simulations",
    "after_placement": "after_placement",
    "after_connectivity": "after_connectivity",
}
_SPACE = ("partitions", "regions", "network")
# Where in the description things come from that stand in a slice beside its component.
_FROM = {
    "types": ("cell_types", "morphologies", "placement"),
    "expected": ("cell_types", "placement", *_SPACE),
    "cells": ("cell_types", "placement"),
    "box": _SPACE,
    "grid": ("network",),
    "seed": ("rng",),
    "distribute": ("placement", "rng"),
    "sets": ("connectivity",),
    "connections": ("connectivity",),
    "effect": ("connectivity", "after_connectivity"),
}
_SAID = {"tiles": "the number of tiles", "schema": "another version of Snakefold", "version": "a new algorithm"}


@dataclass(frozen=True)
class Edit:
    """A difference between two trees.

    Attributes
    ----------
    path : keys and indices
    before, after : the values; `MISSING` where there is none
    """

    path: TreePath
    before: object
    after: object

    @property
    def key(self) -> str:
        """The path as a person writes it."""
        return ".".join(map(str, self.path))

    def __str__(self) -> str:
        if self.before is MISSING:
            return f"{self.key} is new"
        if self.after is MISSING:
            return f"{self.key} is gone"
        return f"{self.key}: {_short(self.before)} -> {_short(self.after)}"


def differences(before: object, after: object, at: TreePath = ()) -> list[Edit]:
    """Return the differences of two trees, each as deep as it goes; lists of another length are one difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys((*before, *after))
        pairs = [(key, before.get(key, MISSING), after.get(key, MISSING)) for key in keys]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(before, after, strict=True))]
    else:
        same = type(before) is type(after) and before == after
        return [] if same else [Edit(at, before, after)]
    return [edit for key, a, b in pairs for edit in differences(a, b, (*at, key))]


def of_description(plan: Plan) -> list[Edit] | None:
    """Return how a plan's description differs from that of the last run; None where there was none."""
    file = Path(plan.path("parse.h5"))
    try:
        before = read_document(file) if file.is_file() else None
    except (OSError, KeyError, ValueError, UserError):
        before = None
    return None if before is None else differences(before, plan.parts["parse"].slice["tree"])


def of_parts(plan: Plan, edits: Iterable[Edit]) -> dict[str, list[str]]:
    """Return the parts that were built from other slices, each with the keys of the description that say why."""
    edits, found = list(edits), {}
    for name, part in plan.parts.items():
        before = slice_built(plan.built(name)) if name != "parse" else None
        if before is not None and (changed := differences(before, part.slice)):
            found[name] = _causes(name, changed, edits)
    return found


def _causes(part: str, changed: list[Edit], edits: list[Edit]) -> list[str]:
    """Return the keys that changed a part's slice; what no key explains is said by where it stands in the slice."""
    phase, _, name = part.partition("/")
    section = _SECTIONS[phase]
    causes: dict[str, None] = {}
    follows = [change for change in changed if change.path[:1] == ("expected",)]  # other parts, or its own keys
    for change in [c for c in changed if c not in follows] or follows:
        head, last = change.path[0] if change.path else "", change.path[-1] if change.path else ""
        own = [e.key for e in edits if e.path[:2] == (section, name)]
        others = [e.key for e in edits if e.path and e.path[0] in _FROM.get(head, ())]
        if head == "types" and len(change.path) > 1:
            others = [key for key in others if key.startswith(f"cell_types.{change.path[1]}")] or others
        if head in _SAID or last == "version":
            found = [_SAID.get(head) or _SAID["version"]]
        elif head in _FROM and others:
            found = others
        else:
            found = own or others or [e.key for e in edits if section in e.path[:1]]
        causes |= dict.fromkeys(found or [_where(section, name, change.path)])
    return list(causes)


def _where(section: str, name: str, path: TreePath) -> str:
    if path[-2:] == ("component", "source"):
        return f"the Python of {section}.{name}"
    if "blake2b" in path:
        return f"a file of {section}.{name}"
    return ".".join(map(str, (section, name, *(path[2:] if path[:2] == ("component", "attributes") else path))))


def as_json(edits: Iterable[Edit]) -> list[Mapping]:
    """Return edits as plain JSON; a value that is not there is left out."""
    both = [(e.key, {"before": e.before, "after": e.after}) for e in edits]
    return [{"key": key} | {k: v for k, v in values.items() if v is not MISSING} for key, values in both]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else f"{text[:21]}..."
