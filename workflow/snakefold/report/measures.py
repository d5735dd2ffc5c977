"""Numbers of the report: built against wanted, degrees, rates and irregularity; pure functions on arrays.

Irregularity is the coefficient of variation of the interspike intervals of a cell (CV of ISI; Softky & Koch 1993,
J. Neurosci. 13:334): 0 for a clock, 1 for a Poisson process. Rates and CV are elephant's (`elephant.statistics`:
mean_firing_rate, and cv of isi), but there is no CV of fewer than MIN_SPIKES spikes, or of spikes all at one time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OK, DEVIATES, UNKNOWN = "ok", "deviates", "–"
Z_LIMIT = 4.0  # standard deviations; one set in 16,000 is beyond by chance
TRANSIENT_MS = 500.0
LONG_MS = 1000.0  # simulations longer than this lose the transient
SKEW = (Z_LIMIT**2 - 1) / 6  # synapses
MIN_SPIKES = 10  # of a cell whose CV of ISI counts


@dataclass(frozen=True)
class Summary:
    """Number, mean, standard deviation (of the values themselves, not an estimate), extremes; NaN without values."""

    n: int
    mean: float
    sd: float
    least: float
    most: float


def summary(values: np.ndarray) -> Summary:
    """Return the summary of (n,) values, NaN left out."""
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return Summary(0, *[float("nan")] * 4)
    return Summary(len(values), float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


def z_score(built: float, mean: float, sd: float) -> float:
    """Return how many standard deviations `built` is from `mean`; NaN where there is no spread."""
    return (built - mean) / sd if sd > 0 else float("nan")


def verdict(built: int, wanted: float | None, sd: float = 0.0) -> str:
    """Return OK, DEVIATES, or UNKNOWN where nothing is wanted.

    Without spread, the nearest whole number must be met; with it, the mean within Z_LIMIT standard deviations, and SKEW
    more on the side to which a binomial number of this mean and spread leans: what is expected once in a while is no
    surprise when it comes (Cornish & Fisher 1938, Rev. Inst. Int. Stat. 5:307, their first term).
    """
    if wanted is None:
        return UNKNOWN
    if sd <= 0:
        return OK if abs(built - wanted) <= 0.5 else DEVIATES
    lean = min(max(2 * sd**2 / wanted - 1, -1.0), 1.0) if wanted > 0 else 1.0  # 1 - 2p
    low, high = (Z_LIMIT * sd + SKEW * max(side, 0.0) for side in (-lean, lean))
    return OK if -low <= built - wanted <= high else DEVIATES


def density(n_cells: int, volume: float | None) -> float:
    """Return cells per mm^3 in `volume`, um^3; NaN where it is not known or empty."""
    return n_cells / volume * 1e9 if volume else float("nan")


def window(duration: float) -> tuple[float, float]:
    """Return (start, stop), ms: what of a simulation the rates are taken from."""
    return (TRANSIENT_MS if duration > LONG_MS else 0.0), duration


def among(times: np.ndarray, ids: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the times and places in `cells` of the spikes of some cells: (m,) ms, (m,) int64.

    Parameters
    ----------
    times, ids : (n,) ms, 0-based
    cells : (n_cells,) ids, rising
    """
    place = np.searchsorted(cells, ids.astype(np.int64))
    inside = place < len(cells)
    inside[inside] = cells[place[inside]] == ids[inside]
    return times[inside], place[inside]


def rates(times: np.ndarray, ids: np.ndarray, n_cells: int, start: float, stop: float) -> np.ndarray:
    """Return (n_cells,) float64, spikes/s: the rate of each cell in (start, stop].

    Parameters
    ----------
    times, ids : (n,) ms, 0-based; start, stop : ms
    """
    counts = np.bincount(ids[(times > start) & (times <= stop)].astype(np.int64), minlength=n_cells)
    return counts / (stop - start) * 1e3 if stop > start else np.zeros(n_cells)


def irregularity(times: np.ndarray, ids: np.ndarray, n_cells: int, start: float, stop: float) -> np.ndarray:
    """Return (n_cells,) float64: CV of ISI of each cell in (start, stop]; NaN for cells below MIN_SPIKES spikes.

    Parameters
    ----------
    times, ids : (n,) ms, 0-based, in any order; start, stop : ms
    """
    inside = (times > start) & (times <= stop)
    times, ids = times[inside], ids[inside].astype(np.int64)
    order = np.lexsort((times, ids))
    times, ids = times[order], ids[order]
    same = ids[1:] == ids[:-1]
    intervals, owner = np.diff(times)[same], ids[1:][same]
    n = np.bincount(owner, minlength=n_cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(owner, intervals, n_cells) / n
        sd = np.sqrt(np.bincount(owner, (intervals - mean[owner]) ** 2, n_cells) / n)
        return np.where((n + 1 >= MIN_SPIKES) & (mean > 0), sd / mean, np.nan)


def sampled(n: int, most: int) -> np.ndarray:
    """Return at most `most` indices of n things, rising and evenly spread."""
    return np.arange(n) if n <= most else np.arange(most, dtype=np.int64) * n // most


def allotted(counts: Sequence[int], most: int, least: int = 1) -> list[int]:
    """Return how many of each of several groups to show: in proportion, about `most` in all, `least` of each if any."""
    total = max(sum(counts), 1)
    return [min(n, max(least, n * most // total)) if total > most else n for n in counts]


def integer_bins(values: np.ndarray, most: int = 40) -> np.ndarray:
    """Return (n_bins + 1,) edges of at most `most` bins of equal whole width, halfway between integers."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    width = -(-(high - low + 1) // most)
    return low - 0.5 + width * np.arange(-(-(high - low + 1) // width) + 1)


def spread(at: np.ndarray, least: float, low: float, high: float) -> np.ndarray:
    """Return (n,) rising places near `at` that are at least `least` apart, between low and high if these have room.

    Those nearest in the sense of least squares: an isotonic regression of at - least * (0, 1, 2, ...), by pooling.
    """
    steps = least * np.arange(len(at))
    pools: list[list[float]] = []  # mean, size
    for value in np.asarray(at, np.float64) - steps:
        pools.append([float(value), 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, n), (other, m) = pools.pop(), pools.pop()
            pools.append([(mean * n + other * m) / (n + m), n + m])
    means = np.repeat([mean for mean, _ in pools], [int(n) for _, n in pools])
    return np.clip(means, low, max(low, high - (steps[-1] if len(at) else 0.0))) + steps


def outline(times: np.ndarray, values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `most` of (n,) times and values: the lowest and the highest of each stretch, as a line shows."""
    if len(values) <= most:
        return times, values
    starts = np.arange(0, len(values), -(-len(values) // (most // 2)))
    stretches = [values[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    lowest = starts + [int(np.argmin(s)) for s in stretches]
    highest = starts + [int(np.argmax(s)) for s in stretches]
    kept = np.unique(np.concatenate([lowest, highest]))
    return times[kept], values[kept]
