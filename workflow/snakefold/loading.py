"""Loading a circuit: its description read, typed, laid out and checked, with all mistakes at once."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path

from snakefold import checks, components, extensions
from snakefold.circuit import Circuit, Loaded
from snakefold.config.context import BuildContext, building
from snakefold.config.expression import evaluate
from snakefold.config.parse import Document, parse, parse_what_can_be
from snakefold.config.prune import TABLES, pruned
from snakefold.errors import Mistake, UserError, nearest
from snakefold.rng import Rng
from snakefold.topology.regions import lay_out


class BrokenCircuit(UserError):
    """The mistakes of a description, and, where something of it is whole, that part of it for further checks."""

    survivor: Loaded | None = None


def load(path: str | Path) -> Loaded:
    """Read a circuit description, build its typed tree and check the whole of it.

    After a mistake, what is whole is checked on without what is broken, so that all mistakes are told at once.

    Raises
    ------
    BrokenCircuit : every mistake, with file and line
    """
    document, mistakes, incomplete = parse_what_can_be(path)
    names = _names(document.tree)
    tree = pruned(document.tree, incomplete or [()]) if mistakes else document.tree
    survivor: Loaded | None = None
    told = {"typed": False, "whole": False}  # what leaving something out makes wrong is not told
    while tree is not None and survivor is None:
        own = _names(tree)
        known = own if told["typed"] else names
        build = BuildContext(folder_of=document.folder_of, top=document.top)
        with building(build):
            circuit = _typed(tree, build, known)
            kind, found = "typed", list(build.mistakes)
            if not found and known == own:
                kind = "whole"
                found, loaded = _whole(circuit, document, complete=own == names)
                survivor = None if found else loaded
        if not told[kind]:
            mistakes += [m for m in found if own == names or not m.lacks]
        told["typed"], told["whole"] = True, told["whole"] or kind == "whole"
        tree = pruned(tree, [m.path for m in found]) if found else tree
    if mistakes:
        error = BrokenCircuit(UserError(dict.fromkeys(mistakes)).located(document.locate).mistakes)
        error.survivor = survivor
        raise error
    survivor.warnings = [replace(w, where=document.locate(w.path)) for w in survivor.warnings]
    return survivor


def _typed(tree: dict, build: BuildContext, names: dict[str, list[str]]) -> Circuit:
    """Return the typed tree; mistakes go to the build."""
    components.broken().extend(extensions.load_all(tree, build))
    if _components_are_wrong(tree):
        components.broken().append(("", None))
    build.variables.update(_variables(tree, build))
    build.share("references", lambda: names)
    return Circuit.build(tree)


def _whole(circuit: Circuit, document: Document, complete: bool) -> tuple[list[Mistake], Loaded | None]:
    """Return what is wrong with a circuit as a whole, and the circuit laid out, if that can be done."""
    try:
        boxes = lay_out(circuit.network.box, circuit.regions, circuit.partitions)
    except UserError as error:
        return list(error.mistakes), None
    loaded = Loaded(circuit, document, boxes, {}, complete=complete)
    return list(checks.faults(loaded)), loaded


def _variables(tree: dict, build: BuildContext) -> dict[str, float]:
    """Return the variables, each of which may use those before it."""
    variables: dict[str, float] = {}
    given = tree.get("variables")
    if _told_of(tree, "variables"):
        build.broken_variables = None
    for name, value in list(given.items()) if isinstance(given, dict) else ():
        if isinstance(value, str) and value.startswith("="):
            try:
                value = evaluate(value, variables)
            except ValueError as error:
                if not build.follows(error):
                    build.mistake(("variables", name), f"the expression {error}")
                del given[name]  # so that it is told once
        if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value):
            variables[name] = value
            given[name] = value
        else:
            build.broken_variables.add(name)
    return variables


def _components_are_wrong(tree: dict) -> bool:
    """Return whether it is told that the list of components, or an entry of it, is none."""
    entries = tree.get("components")
    if isinstance(entries, list):
        return not all(isinstance(entry, str | dict) for entry in entries)
    return _told_of(tree, "components")


def _told_of(tree: dict, table: str) -> bool:
    """Return whether it is a mistake of its own that a table is not there: missing, misspelt, or no mapping."""
    if isinstance(tree.get(table), dict):
        return False
    keys = Circuit.keys()
    unknown = [key for key in tree if key not in keys]
    return (
        tree.get(table) is not None
        or any(nearest(key, keys) == table for key in unknown)
        or any(attribute.key == table and attribute.required is True for attribute in Circuit.attributes())
    )


def _names(tree: dict) -> dict[str, list[str] | None]:
    """Return the names that references may use, by table; None for any, where it is told that there is no table."""
    names = {t: None if _told_of(tree, t) else list(tree.get(t) or ()) for t in TABLES}
    several = None if None in (names["regions"], names["partitions"]) else names["regions"] + names["partitions"]
    return names | {"regions or partitions": several} | {of: _within(tree, "rng", t) for t, of in Rng.TABLES.items()}


def _within(tree: dict, *keys: str) -> list[str]:
    """Return the keys of a mapping that lies deeper in a description; none where there is no such mapping."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return list(tree) if isinstance(tree, dict) else []


@contextlib.contextmanager
def components_of(path: str | Path | None) -> Iterator[None]:
    """Let the components that a circuit lists be among those installed, for the block.

    Raises
    ------
    UserError : the circuit, or one of its modules, cannot be read
    """
    document = parse(path) if path is not None else None
    build = BuildContext(**({"folder_of": document.folder_of, "top": document.top} if document else {}))
    with building(build):
        if document:
            extensions.load_all(document.tree, build)
        if build.mistakes:
            raise UserError(build.mistakes).located(document.locate)
        yield
