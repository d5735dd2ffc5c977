"""Leaving out what is broken, so that the rest of a description can be checked and all mistakes be told at once."""

import copy
from collections.abc import Iterable

from snakefold.errors import Path

TABLES = (
    "partitions",
    "regions",
    "cell_types",
    "placement",
    "after_placement",
    "connectivity",
    "after_connectivity",
    "simulations",
)
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
        if len(path) < 2 or path[0] not in TABLES:
            return None
        inside = path[0] == "simulations" and len(path) > 3 and path[2] in PARTS_OF_SIMULATIONS
        above, name = (tree[path[0]].get(path[1], {}).get(path[2], {}), path[3]) if inside else (tree[path[0]], path[1])
        gone = above.pop(name, None)
        if path[0] == "placement" and isinstance(gone, dict) and isinstance(tree.get("cell_types"), dict):
            left = {t for placement in tree["placement"].values() for t in _cell_types(placement)}
            for cell_type in [t for t in tree["cell_types"] if t in _cell_types(gone) or t not in left]:
                del tree["cell_types"][cell_type]
    return None if tree == before else tree


def _cell_types(placement: object) -> list[str]:
    names = placement.get("cell_types") if isinstance(placement, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
