from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.connectivity.sampling import bernoulli_indices, distinct_rows


@given(st.integers(0, 20), st.integers(0, 40), st.data())
def test_rows_are_distinct_in_range_and_ascending(n_rows, n, data):
    k = data.draw(st.integers(0, n))
    rows = distinct_rows(np.random.default_rng(1), n_rows, n, k)
    assert rows.shape == (n_rows, k)
    assert (np.diff(rows, axis=1) > 0).all()
    assert rows.size == 0 or (rows.min() >= 0 and rows.max() < n)


def chi_square_of_subsets(rows, n, k):
    code = {subset: i for i, subset in enumerate(combinations(range(n), k))}
    counts = np.bincount([code[tuple(row)] for row in rows.tolist()], minlength=len(code))
    expected = len(rows) / len(code)
    return ((counts - expected) ** 2 / expected).sum(), len(code) - 1


def neighbour_instead(rng, n_rows, n, k):
    """A wrong version: what repeats takes the next free value."""
    rows = rng.integers(0, n, (n_rows, k))
    for row in rows:
        taken = set()
        for i in range(k):
            while row[i] in taken:
                row[i] = (row[i] + 1) % n
            taken.add(row[i])
    return np.sort(rows, axis=1)


@pytest.mark.parametrize(("n", "k"), [(6, 3), (7, 2), (6, 4), (5, 5), (8, 1)])
def test_all_subsets_are_equally_likely(n, k):
    chi, freedom = chi_square_of_subsets(distinct_rows(np.random.default_rng(1), 20_000, n, k), n, k)
    assert chi <= freedom + 6 * np.sqrt(2 * freedom)


def test_the_test_of_subsets_finds_a_wrong_version():
    chi, freedom = chi_square_of_subsets(neighbour_instead(np.random.default_rng(1), 20_000, 6, 3), 6, 3)
    assert chi > 2 * (freedom + 6 * np.sqrt(2 * freedom))


def test_many_of_few_and_few_of_many():
    assert distinct_rows(np.random.default_rng(1), 3, 4, 4).tolist() == [[0, 1, 2, 3]] * 3
    rows = distinct_rows(np.random.default_rng(1), 2, 2**40, 5)
    assert rows.dtype == np.int64
    assert rows.max() > 2**32
    assert distinct_rows(np.random.default_rng(1), 2, 100, 5).dtype == np.int32


def test_more_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="cannot draw 3 distinct of 2"):
        distinct_rows(np.random.default_rng(1), 1, 2, 3)


@given(st.integers(0, 500), st.floats(0, 1), st.integers(0, 9))
def test_indices_are_ascending_and_in_range(n, p, seed):
    found = bernoulli_indices(np.random.default_rng(seed), n, p)
    assert (np.diff(found) > 0).all()
    assert found.size == 0 or (found[0] >= 0 and found[-1] < n)


def test_certain_and_impossible_trials():
    rng = np.random.default_rng(1)
    assert bernoulli_indices(rng, 5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert bernoulli_indices(rng, 5, 0.0).tolist() == bernoulli_indices(rng, 0, 0.5).tolist() == []
    assert bernoulli_indices(rng, 10**12, 1e-300).tolist() == []


@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.97])
def test_each_trial_succeeds_independently_with_its_probability(p):
    n, repeats = 60, 20_000
    rng = np.random.default_rng(1)
    hits = np.zeros((repeats, n), bool)
    for row in hits:
        row[bernoulli_indices(rng, n, p)] = True
    z = (hits.sum(axis=0) - repeats * p) / np.sqrt(repeats * p * (1 - p))
    assert np.abs(z).max() < 5.5
    total = hits.sum(axis=1)
    assert abs(total.var() / (n * p * (1 - p)) - 1) < 0.06
    both = (hits[:, 1:] & hits[:, :-1]).sum()
    assert abs(both - repeats * (n - 1) * p * p) < 6 * np.sqrt(repeats * (n - 1) * p * p * 3) + 3
