"""Labels of cells: a cell has any number of them, as one string in the column `labels` of its node file.

The string has the labels in order, with a space between them; a cell without labels has an empty one. So a file has as
many strings as there are sets of labels, and a node set by label is a list of those that hold it: any reader finds it.
"""

from collections.abc import Iterable

import numpy as np

from snakefold.config.nodes import Node
from snakefold.errors import did_you_mean, listed
from snakefold.sonata.nodes import Nodes

COLUMN = "labels"
_BETWEEN = " "


def joined(labels: Iterable[str]) -> str:
    """Return the string of a set of labels."""
    return _BETWEEN.join(sorted(set(labels)))


def labels_of(string: str) -> list[str]:
    """Return the labels that a string stands for."""
    return string.split(_BETWEEN) if string else []


def with_labels(column: np.ndarray | None, which: np.ndarray, labels: Iterable[str]) -> np.ndarray:
    """Return the column of cells of which some get labels besides those that they have.

    Parameters
    ----------
    column : (n,) strings, or None where no cell has labels yet
    which : (n,) bool
    """
    column = np.full(len(which), "", object) if column is None else np.asarray(column, object).copy()
    further = {string: joined([*labels_of(string), *labels]) for string in set(column[which].tolist())}
    column[which] = [further[string] for string in column[which].tolist()]
    return column


def fault(node: Node, labels: Iterable[str]) -> str | None:
    """Return what is wrong with labels that a node of a description names: no hook gives them to any cell."""
    hooks = vars(node.root()).get("after_placement")
    if hooks is None:  # restored in a job: without the rest of the description
        return None
    given = [hook.gives_labels() for hook in hooks.values()]
    known = sorted({label for own in given if own is not None for label in own})
    unknown = [label for label in labels if label not in known]
    if not unknown or None in given:
        return None
    what = f'no hook of after_placement gives cells the label "{unknown[0]}"{did_you_mean(unknown[0], known)}'
    return f"{what} (labels: {listed(known) if known else 'none'})"


def holding(strings: Iterable[str], labels: Iterable[str]) -> list[str]:
    """Return those strings that have any of some labels; of no labels, the strings without any, as in the BSB."""
    wanted = set(labels)
    return [s for s in strings if (wanted & set(labels_of(s)) if wanted else not s)]


def labelled(nodes: Nodes, labels: Iterable[str], start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return (m,) bool: which of the cells start:stop have any of some labels; of no labels, which have none."""
    library = nodes.library(COLUMN)
    if library is None:
        n = len(range(*slice(start, stop).indices(nodes.n)))
        return np.full(n, not list(labels))
    found = set(holding(library, labels))
    holds = np.array([s in found for s in library], bool)
    return holds[nodes.column(COLUMN, start, stop, codes=True)]
