"""Sampling without replacement, many rows at once."""

import numpy as np

from snakefold.streams import beside

_MOST_ROUNDS = 1 << 20


class Draws:
    """Independent streams of a unit: one for each purpose, and for each round of drawing again for it.

    A stream is drawn from in the order of what is drawn for, so that no size of a block changes what is drawn.
    """

    def __init__(self, rng: np.random.Generator):
        self._origin = rng
        self._streams: dict[tuple[int, int], np.random.Generator] = {}

    def __call__(self, purpose: int, round_: int = 0) -> np.random.Generator:
        """Return the stream of a purpose, a number from 0, and a round."""
        key = purpose, round_
        if key not in self._streams:
            self._streams[key] = beside(self._origin, purpose * _MOST_ROUNDS + round_ + 1)
        return self._streams[key]


def distinct_rows(rng: np.random.Generator, n_rows: int, n: int, k: int) -> np.ndarray:
    """Draw k distinct of n for each row, all subsets equally likely.

    Values that repeat within a row are drawn again until none do, which is the same as drawing on until k distinct ones
    are there; where more than half are wanted, those left out are drawn instead.

    Returns
    -------
    (n_rows, k) int64 or int32, ascending in each row

    Raises
    ------
    ValueError : k > n
    """
    if k > n:
        raise ValueError(f"cannot draw {k} distinct of {n}")
    dtype = np.int32 if n <= np.iinfo(np.int32).max else np.int64
    if k > n // 2:
        kept = np.ones((n_rows, n), bool)
        np.put_along_axis(kept, distinct_rows(rng, n_rows, n, n - k).astype(np.int64), False, axis=1)
        return np.nonzero(kept)[1].astype(dtype).reshape(n_rows, k)
    drawn = rng.integers(0, n, (n_rows, k), dtype)
    drawn.sort(axis=1)
    rows = np.flatnonzero((drawn[:, 1:] == drawn[:, :-1]).any(axis=1))
    while len(rows):
        part = drawn[rows]
        again = part[:, 1:] == part[:, :-1]
        part[:, 1:][again] = rng.integers(0, n, again.sum(), dtype)
        part.sort(axis=1)
        drawn[rows] = part
        rows = rows[(part[:, 1:] == part[:, :-1]).any(axis=1)]
    return drawn


def bernoulli_indices(rng: np.random.Generator, n: int, p: float) -> np.ndarray:
    """Return the successes, ascending int64, of n independent trials of probability p, without making the failures.

    The gaps between successes are geometric (Batagelj & Brandes 2005).
    """
    if p >= 1:
        return np.arange(n, dtype=np.int64)
    if p <= 0 or n == 0:
        return np.empty(0, np.int64)
    parts, last = [], -1
    while last < n:
        mean = (n - last) * p
        gaps = rng.geometric(p, int(mean + 4 * mean**0.5) + 16)
        at = last + np.cumsum(np.minimum(gaps, n + 1))
        parts.append(at[at < n])
        last = int(at[-1])
    return np.concatenate(parts)


def share_of(rng: np.random.Generator, n: np.ndarray, share: float) -> np.ndarray:
    """Return a share of some numbers, (m,) int64: its whole part, and one more with the probability of the rest."""
    exact = n * share
    whole = np.floor(exact)
    return (whole + (rng.random(len(exact)) < exact - whole)).astype(np.int64)


def subsets(n: np.ndarray, share: float, draws: Draws, purpose: int) -> np.ndarray:
    """Return a share of each of some rows of n things, as `chosen` does: `share_of` them.

    Parameters
    ----------
    draws, purpose : what the numbers and, in rounds, the subsets are drawn from: `purpose` and the next
    """
    if share >= 1:
        return np.arange(n.sum())
    return chosen(n, share_of(draws(purpose), n, share), draws, purpose + 1)


def chosen(n: np.ndarray, wanted: np.ndarray, draws: Draws, purpose: int) -> np.ndarray:
    """Return a random subset of each of some rows of n things, laid end to end: (m,) int64 indices, ascending.

    Repeated ones are drawn again until there are as many distinct ones as wanted, which makes all subsets equally
    likely; where more than half are wanted, those left out are drawn. Blocks of whole rows that follow each other are
    drawn from as all rows together would be.

    Parameters
    ----------
    n, wanted : (n_rows,) int64, how many there are of each row, and how many of these; all where it has no more
    """
    wanted = np.minimum(wanted, n)
    most = wanted > n // 2
    drawn = np.where(most, n - wanted, wanted)
    offsets = np.concatenate([[0], np.cumsum(n)])
    taken = np.zeros(offsets[-1], bool)
    missing, round_ = drawn, 0
    while missing.any():
        row = np.repeat(np.arange(len(n)), missing)
        u = draws(purpose, round_).random(len(row))
        taken[offsets[row] + np.minimum((u * n[row]).astype(np.int64), n[row] - 1)] = True
        missing = drawn - np.diff(np.searchsorted(np.flatnonzero(taken), offsets))
        round_ += 1
    if most.any():
        taken ^= np.repeat(most, n)
    return np.flatnonzero(taken)
