"""The ends of branches, where the synapses of glomeruli are."""

import numpy as np

from snakefold.connectivity.strategy import Side
from snakefold.errors import UserError, listed
from snakefold.morphology.morphology import Morphology


def ends(side: Side, morphology: Morphology) -> np.ndarray:
    """Return the last labelled point, (n,) int64, of each branch that has one, by branch."""
    points = side.points_of(morphology)
    branch = morphology.branch_of[points]
    return points[np.append(branch[1:] != branch[:-1], True)] if len(points) else points


def tips(side: Side, morphology: Morphology) -> np.ndarray:
    """Return the last points, (n,) int64, of the branches that no other grows from, where these are labelled."""
    last = morphology.last[morphology.terminal]
    return last[np.isin(last, side.points_of(morphology))]


def tips_of(side: Side, name: str, morphology: Morphology) -> np.ndarray:
    """Return the tips of a named morphology.

    Raises
    ------
    UserError : it has none
    """
    found = tips(side, morphology)
    if not len(found):
        labels = f" labelled {listed(side.morphology_labels)}" if side.morphology_labels else ""
        raise UserError(f'the morphology "{name}" has no branch{labels} that ends')
    return found
