import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

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
        (90, 100.0, 2.0, m.OK),
        (89, 100.0, 2.0, m.DEVIATES),
        (0, 0.0, 0.0, m.OK),
        (7, None, 0.0, m.UNKNOWN),
    ],
)
def test_verdict(built, wanted, sd, verdict):
    assert m.verdict(built, wanted, sd) == verdict


def test_a_binomial_number_is_out_of_bounds_by_chance_as_rarely_as_stated():
    for n in (1, 10, 100, 1000, 10_000):
        counts = np.arange(n + 1)
        for p in (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999):
            mean, sd = n * p, (n * p * (1 - p)) ** 0.5
            near = np.abs(counts - mean) < 40 + 12 * sd
            out = [k for k in counts[near] if m.verdict(int(k), mean, sd) == m.DEVIATES]
            assert binom.pmf(out, n, p).sum() <= 1 / 15_000, (n, p)


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


def test_rates_and_irregularity_are_those_of_elephant():
    """Of random trains, of clocks, of bursts, and of cells with 0, 1, 2 and a few spikes, in a window."""
    from elephant.statistics import cv, isi, mean_firing_rate
    from neo import SpikeTrain

    rng, start, stop = np.random.default_rng(3), 100.0, 900.0
    trains = [np.cumsum(rng.gamma(shape, 8.0 / shape, 200)) for shape in (0.3, 1.0, 1.0, 4.0, 50.0)]
    trains += [rng.uniform(0.0, 1000.0, n) for n in (0, 1, 2, 3, m.MIN_SPIKES, m.MIN_SPIKES + 1, 400)]
    trains += [np.array([500.0]), np.array([300.0, 700.0]), 100.5 + 8.0 * np.arange(60)]
    trains += [np.repeat([150.0, 450.0, 750.0], 5), np.full(12, 400.0)]  # at the same time
    times, ids = np.concatenate(trains), np.repeat(np.arange(len(trains)), list(map(len, trains)))
    mixed = rng.permutation(len(times))
    rates = m.rates(times[mixed], ids[mixed], len(trains), start, stop)
    irregular = m.irregularity(times[mixed], ids[mixed], len(trains), start, stop)
    compared = 0
    for train, rate, found in zip(trains, rates, irregular, strict=True):
        inside = np.sort(train[(train > start) & (train <= stop)])
        spikes = SpikeTrain(inside, units="ms", t_start=start, t_stop=stop)
        assert rate == pytest.approx(mean_firing_rate(spikes).rescale("Hz").item(), rel=1e-12)
        if len(inside) < m.MIN_SPIKES or inside[0] == inside[-1]:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(cv(isi(inside)), rel=1e-9, abs=1e-12)
            compared += 1
    assert compared >= 8


def test_names_beside_rows_are_apart_and_as_near_as_can_be():
    np.testing.assert_allclose(m.spread(np.array([1.0, 5.0, 9.0]), 2.0, 0.0, 10.0), [1, 5, 9])
    # three at 5 with 2 between: around 5; pushed in from the end; the order is kept
    np.testing.assert_allclose(m.spread(np.array([5.0, 5.0, 5.0]), 2.0, 0.0, 10.0), [3, 5, 7])
    np.testing.assert_allclose(m.spread(np.array([2.0, 9.5, 9.8]), 2.0, 0.0, 10.0), [2, 8, 10])
    assert len(m.spread(np.array([]), 2.0, 0.0, 10.0)) == 0
