import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.report import measures as m


@pytest.mark.parametrize(
    ("built", "wanted", "sd", "verdict"),
    [
        (10, 10.0, 0.0, m.OK),
        (11, 10.0, 0.0, m.DEVIATES),
        (10, 10.4, 0.0, m.OK),
        (108, 100.0, 2.0, m.OK),
        (92, 100.0, 2.0, m.OK),
        (109, 100.0, 2.0, m.DEVIATES),
        (91, 100.0, 2.0, m.DEVIATES),
        (0, 0.0, 0.0, m.OK),
        (7, None, 0.0, m.UNKNOWN),
    ],
)
def test_verdict(built, wanted, sd, verdict):
    assert m.verdict(built, wanted, sd) == verdict


def test_z_score():
    assert m.z_score(97, 100.0, 2.0) == -1.5
    assert np.isnan(m.z_score(97, 100.0, 0.0))


def test_density_is_per_cubic_millimetre():
    assert m.density(50, 1e9) == 50
    assert np.isnan(m.density(50, None)) and np.isnan(m.density(50, 0.0))


def test_summary_is_of_the_values_themselves_without_nan():
    assert m.summary(np.array([1.0, 3.0, np.nan])) == m.Summary(2, 2.0, 1.0, 1.0, 3.0)
    assert m.summary(np.array([np.nan])).n == 0


@pytest.mark.parametrize(
    ("duration", "window"), [(1000.0, (0.0, 1000.0)), (1000.1, (500.0, 1000.1)), (0.0, (0.0, 0.0))]
)
def test_window(duration, window):
    assert m.window(duration) == window


def test_rates():
    times, ids = np.array([1.0, 600.0, 700.0, 1500.0, 2000.0]), np.array([0, 0, 2, 2, 2], np.uint64)
    np.testing.assert_allclose(m.rates(times, ids, 4, 500.0, 2000.0), np.array([1, 0, 3, 0]) / 1.5)
    assert m.rates(np.empty(0), np.empty(0, np.uint64), 2, 0.0, 0.0).tolist() == [0, 0]
    assert len(m.rates(np.empty(0), np.empty(0, np.uint64), 0, 0.0, 1.0)) == 0


def test_irregularity_of_a_clock_of_alternating_intervals_and_of_few_spikes():
    clock = 5.0 * np.arange(10)
    alternating = np.concatenate([[0.0], np.cumsum(np.tile([10.0, 30.0], 5))])
    few = 5.0 * np.arange(9)
    times = np.concatenate([clock, alternating, few]) + 0.5
    ids = np.repeat(np.array([0, 2, 3], np.uint64), [10, 11, 9])
    mixed = np.random.default_rng(1).permutation(len(times))
    cv = m.irregularity(times[mixed], ids[mixed], 5, 0.0, 1000.0)
    np.testing.assert_allclose(cv, [0.0, np.nan, 0.5, np.nan, np.nan], atol=1e-12)


def test_irregularity_counts_spikes_in_the_window_only():
    times = np.concatenate([np.arange(1.0, 10.0), 500 + 7.0 * np.arange(1, 11)])
    cv = m.irregularity(times, np.zeros(19, np.uint64), 1, 500.0, 1000.0)
    np.testing.assert_allclose(cv, [0.0], atol=1e-12)


def test_irregularity_of_a_poisson_process_is_one():
    times = np.cumsum(np.random.default_rng(2).exponential(10.0, 20_000))
    assert m.irregularity(times, np.zeros(20_000, np.uint64), 1, 0.0, np.inf)[0] == pytest.approx(1.0, abs=0.03)


@given(st.integers(0, 3000), st.integers(1, 400))
def test_sampled_indices_rise_and_are_evenly_spread(n, most):
    index = m.sampled(n, most)
    assert len(index) == min(n, most)
    steps = np.diff(index)
    assert not len(index) or (index[0] == 0 and index[-1] < n)
    assert not len(steps) or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(1, 1000))
def test_allotted_shows_some_of_every_group(counts, most):
    shown = m.allotted(counts, most)
    assert all(0 <= s <= n and (s > 0) == (n > 0) for s, n in zip(shown, counts, strict=True))
    assert sum(shown) <= max(most + len(counts), 0)


@given(st.lists(st.integers(-5, 100_000), min_size=1, max_size=50), st.integers(1, 40))
def test_integer_bins_hold_every_value_and_split_none(values, most):
    values = np.array(values)
    edges = m.integer_bins(values, most)
    widths = np.diff(edges)
    assert len(widths) <= most and len(set(widths)) == 1 and widths[0] == int(widths[0])
    assert np.histogram(values, edges)[0].sum() == len(values)
    assert not np.isin(edges, values).any()


def test_integer_bins_of_nothing():
    assert m.integer_bins(np.empty(0, int)).tolist() == [-0.5, 0.5]


@given(st.integers(1, 2000), st.integers(4, 200), st.integers(0, 5))
def test_outline_keeps_the_extremes(n, most, seed):
    values = np.random.default_rng(seed).normal(size=n)
    times, kept = m.outline(np.arange(n), values, most)
    assert len(kept) <= most
    assert (kept.min(), kept.max()) == (values.min(), values.max())
    np.testing.assert_array_equal(values[times], kept)


@pytest.mark.parametrize(
    ("start", "n", "cv", "rate"), [(11, 40, 0.7697479322616116, 37.5), (12, 12, 0.5480931948421958, 15.0)]
)
def test_rates_and_irregularity_are_those_of_elephant(start, n, cv, rate):
    """elephant 1.2.1: `cv(isi(train))` and `mean_firing_rate(train)` of the train from 100 to 900 ms."""
    state, times = start, [0.0]
    for _ in range(n):  # intervals of 2 ms and more, of a generator that is the same everywhere
        state = 16807 * state % 2147483647
        times.append(times[-1] + 2.0 - 20.0 * np.log(state / 2147483647))
    times, ids = np.array(times[1:]), np.zeros(n, np.int64)
    assert m.rates(times, ids, 1, 100.0, 900.0)[0] == pytest.approx(rate, rel=1e-12)
    assert m.irregularity(times, ids, 1, 100.0, 900.0)[0] == pytest.approx(cv, rel=1e-12)


def test_names_beside_rows_are_apart_and_as_near_as_can_be():
    np.testing.assert_allclose(m.spread(np.array([1.0, 5.0, 9.0]), 2.0, 0.0, 10.0), [1, 5, 9])
    # three at 5 with 2 between: around 5; pushed in from the end; the order is kept
    np.testing.assert_allclose(m.spread(np.array([5.0, 5.0, 5.0]), 2.0, 0.0, 10.0), [3, 5, 7])
    np.testing.assert_allclose(m.spread(np.array([2.0, 9.5, 9.8]), 2.0, 0.0, 10.0), [2, 8, 10])
    assert len(m.spread(np.array([]), 2.0, 0.0, 10.0)) == 0
