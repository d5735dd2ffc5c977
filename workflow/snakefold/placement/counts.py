"""How many cells: from a type's indicator to its exact total, and from the total to chunks.

An indicator is plain JSON, made from the description: {"count": n}, {"density": cells per um^3, "partitions": [...]},
{"planar_density": cells per um^2 of the x-y footprint, "partitions": [...]} or {"ratio": r, "of": [indicators of the
other type, one per strategy that places it]}. Totals are rounded once, half to even, never chunk by chunk.
"""

from collections.abc import Callable

import numpy as np

from snakefold.errors import UserError

MOST_CELLS = 2**32 - 1  # of one type: node ids have 32 bits
Measure = Callable[[str], tuple[float, float]]  # partition name -> (volume um^3, footprint um^2)


def total(indicator: dict, measure: Measure) -> int:
    """Return the number of cells that an indicator asks for.

    Raises
    ------
    UserError : more than can be numbered
    """
    wanted = estimate(indicator, measure)
    if not wanted <= MOST_CELLS:
        raise UserError(f"{wanted:.3g} cells asked for; there can be at most {MOST_CELLS}")
    return round(wanted)


def estimate(indicator: dict, measure: Measure) -> float:
    """Return what an indicator comes to before rounding; the other type of a ratio counts as rounded."""
    if "count" in indicator:
        return indicator["count"]
    if "ratio" in indicator:
        return indicator["ratio"] * sum(total(other, measure) for other in indicator["of"])
    which = 0 if "density" in indicator else 1
    size = sum(measure(partition)[which] for partition in indicator["partitions"])
    return indicator["density" if which == 0 else "planar_density"] * size


def partitions_of(indicator: dict) -> list[str]:
    """Return the partitions whose size an indicator needs."""
    inner = [p for other in indicator.get("of", ()) for p in partitions_of(other)]
    return list(dict.fromkeys([*indicator.get("partitions", ()), *inner]))


def deal(n: int, weights: np.ndarray) -> np.ndarray:
    """Deal a total out by weight: cumulative rounding, so that every running sum is within half a cell of its share.

    Parameters
    ----------
    n : the total
    weights : (m,), at least 0, not all 0

    Returns
    -------
    (m,) int64 whose sum is n
    """
    share = np.cumsum(weights, dtype=np.float64)
    return np.diff(np.rint(share / share[-1] * n).astype(np.int64), prepend=0)
