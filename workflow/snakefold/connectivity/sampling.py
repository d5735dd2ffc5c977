"""Sampling without replacement, many rows at once."""

import numpy as np


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


def some_of_each(rng: np.random.Generator, row: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Choose some of the elements of each row, all subsets equally likely.

    Each element has a number of its own, drawn in the order given, and those with the lowest in a row are chosen:
    blocks of whole rows that follow each other are chosen from as all rows together would be.

    Parameters
    ----------
    row : (n,) integers, ascending, the row of each element
    wanted : (n_rows,) how many of each row; all where it has no more

    Returns
    -------
    (n,) bool
    """
    numbers = rng.random(len(row))
    order = np.lexsort((numbers, row))
    first = np.searchsorted(row, np.arange(len(wanted)))
    chosen = np.empty(len(row), bool)
    chosen[order] = np.arange(len(row)) - first[row] < wanted[row]  # sorting leaves the rows where they were
    return chosen
