"""Leaving out what is broken, so that the rest of a description can be checked and all mistakes be told at once."""

import copy
from collections.abc import Iterable

from snakefold.config.nodes import Node
from snakefold.errors import Mistake, Path, nearest

TABLES = (
    "files",
    "partitions",
    "regions",
    "cell_types",
    "placement",
    "after_placement",
    "connectivity",
    "after_connectivity",
    "simulations",
)
NEEDED = ("network", "variables")
PARTS_OF_SIMULATIONS = ("cell_models", "connection_models", "devices")


def pruned(tree: dict, broken: Iterable[Path]) -> dict | None:
    """Return a description without the entries in which something is broken.

    A placement goes with its cell types and those placed nowhere else, whose numbers would not be known. What refers to
    an entry that has gone is broken then, too: the caller finds that out and prunes again.

    Returns
    -------
    None where something is broken that nothing can be checked without (the network, a variable, the whole)
    """
    before, tree = tree, copy.deepcopy(tree)
    for path in broken:
        if path and path[0] not in (*TABLES, *NEEDED):
            tree.pop(path[0], None)
            continue
        if len(path) < 2 or path[0] in NEEDED:
            return None
        inside = path[0] == "simulations" and len(path) > 3 and path[2] in PARTS_OF_SIMULATIONS
        above, name = (tree[path[0]].get(path[1], {}).get(path[2], {}), path[3]) if inside else (tree[path[0]], path[1])
        gone = above.pop(name, None)
        if path[0] == "placement" and gone is not None and isinstance(tree.get("cell_types"), dict):
            left = {t for placement in tree["placement"].values() for t in _cell_types(placement)}
            for cell_type in [t for t in tree["cell_types"] if t in _cell_types(gone) or t not in left]:
                del tree["cell_types"][cell_type]
    return None if tree == before else tree


def without_what_follows(mistakes: Iterable[Mistake], tree: dict, circuit: Node) -> list[Mistake]:
    """Return the mistakes without those that complain that something is not there which is, but broken or misspelt.

    Parameters
    ----------
    tree : the whole description
    circuit : what was built of it
    """
    mistakes = list(mistakes)

    def follows(path: Path) -> bool:
        *above, name = path
        if _at(tree, path) is not None and _at(circuit, path) is None:
            return True
        if len(path) == 2 and path[0] not in tree and nearest(path[0], [k for k in tree if not hasattr(circuit, k)]):
            return True
        if above == ["connectivity"]:  # a set's name
            gone = {n: s for n, s in (_at(tree, above) or {}).items() if n not in circuit.connectivity}
            return any(name.startswith(f"{n}_") or name in _words(_at(s, ["output_naming"])) for n, s in gone.items())
        beside = [m.path[-1] for m in mistakes if m.lacks and list(m.path[:-1]) == above]
        return any(nearest(key, [name]) for key in beside)

    return [m for m in mistakes if not any(map(follows, m.lacks))]


def _at(value: object, path: Iterable[str | int]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else getattr(value, str(step), None)
    return value


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [word for item in items for word in _words(item)]


def _cell_types(placement: object) -> list[str]:
    names = placement.get("cell_types") if isinstance(placement, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
