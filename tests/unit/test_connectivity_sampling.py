from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.connectivity.sampling import Draws, bernoulli_indices, chosen, distinct_rows, share_of, subsets


def draws_of(key):
    return Draws(np.random.Generator(np.random.Philox(key=key)))


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


def test_a_share_is_the_whole_part_of_it_or_one_more_with_the_right_mean():
    n = np.repeat([0, 1, 7, 1000], 5000)
    got = share_of(np.random.default_rng(1), n, 0.3).reshape(4, -1)
    assert set(got[0]) == {0} and set(got[1]) == {0, 1} and set(got[2]) == {2, 3} and set(got[3]) == {300}
    assert abs(got[1].mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 5000)
    assert abs(got[2].mean() - 2.1) < 5 * np.sqrt(0.1 * 0.9 / 5000)
    assert (share_of(np.random.default_rng(1), n, 1.0) == n).all() and not share_of(
        np.random.default_rng(1), n, 0.0
    ).any()


def test_subsets_have_the_right_size_and_all_are_equally_likely():
    draws, n = draws_of(5), np.array([5, 0, 1, 4, 7])
    for affinity in (0.4, 0.65):
        many = np.tile(n, 4000)
        found = subsets(many, affinity, draws, 0)
        row = np.searchsorted(np.cumsum(many), found, side="right")
        size = np.bincount(row, minlength=len(many)).reshape(-1, len(n))
        assert ((size == np.floor(n * affinity)) | (size == np.ceil(n * affinity))).all()
        sd = np.sqrt((n * affinity % 1) * (1 - n * affinity % 1) / len(size))
        assert (np.abs(size.mean(axis=0) - n * affinity) <= 4.5 * sd + 1e-12).all()
        first = np.cumsum(many) - many
        five = row % len(n) == 0
        sets = np.bincount(row[five] // len(n), weights=2.0 ** (found - first[row])[five])[size[:, 0] == size[0, 0]]
        kinds, counts = np.unique(sets, return_counts=True)
        k = int(size[0, 0])
        assert len(kinds) == {2: 10, 3: 10, 4: 5}[k]
        mean = len(sets) / len(kinds)
        assert ((counts - mean) ** 2 / mean).sum() < len(kinds) - 1 + 4.5 * np.sqrt(2 * (len(kinds) - 1))
        assert subsets(n, 1.0, draws, 0).tolist() == list(range(17)) and len(subsets(n, 0.0, draws, 0)) == 0


def test_as_many_are_chosen_as_wanted_and_all_where_there_are_no_more():
    draws, n, wanted = draws_of(2), np.array([5, 3, 0, 4, 1]), np.array([2, 3, 1, 9, 0])
    row = np.searchsorted(np.cumsum(n), chosen(n, wanted, draws, 0), side="right")
    assert np.bincount(row, minlength=5).tolist() == [2, 3, 0, 4, 0]
    of_two = np.zeros((6000, 5), bool)
    of_two.ravel()[chosen(np.full(6000, 5), np.full(6000, 2), draws, 1)] = True
    _, counts = np.unique(of_two, axis=0, return_counts=True)
    assert len(counts) == 10 and np.abs(counts - 600).max() < 5 * np.sqrt(600)


def test_blocks_of_rows_are_chosen_from_as_all_together():
    rng = np.random.default_rng(3)
    n, wanted = rng.integers(0, 9, 40), rng.integers(0, 6, 40)
    whole = chosen(n, wanted, draws_of(4), 0)
    again, parts = draws_of(4), []
    for a, b in ((0, 13), (13, 14), (14, 40)):
        parts.append(n[:a].sum() + chosen(n[a:b], wanted[a:b], again, 0))
    assert (np.concatenate(parts) == whole).all() and len(whole) == np.minimum(n, wanted).sum()
