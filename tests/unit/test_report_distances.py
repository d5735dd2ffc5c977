"""Synapses per pair by distance, of connections whose dependence is known."""

import numpy as np
import pytest

from snakefold.report import distances
from snakefold.report.distances import falloff


class Made:
    """Edges in memory, sorted by target and source."""

    def __init__(self, source, target, ids):
        self.source, self.target = source, target
        self._source, self._target = ids

    def targets_range(self, first, last):
        return tuple(int(i) for i in np.searchsorted(self._target, [first, last]))

    def block(self, start, stop):
        return self._source[start:stop], self._target[start:stop]


def connected(sources, targets, reach, same):
    """One synapse for each pair nearer than `reach`."""
    apart = np.linalg.norm(targets[:, None] - sources[None], axis=2)
    met = apart < reach
    if same:
        np.fill_diagonal(met, False)
    target, source = np.nonzero(met)
    return Made("a", "a" if same else "b", (source.astype(np.uint64), target.astype(np.uint64)))


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("most", [distances.SOURCES, 400])
def test_one_synapse_for_each_pair_within_reach_and_none_beyond(monkeypatch, same, most):
    monkeypatch.setattr(distances, "SOURCES", most)
    rng = np.random.default_rng(3)
    sources = rng.uniform(0, 300, (1200, 3)).astype(np.float32)
    targets = sources if same else rng.uniform(0, 300, (700, 3)).astype(np.float32)
    found = falloff(connected(sources, targets, 120.0, same), sources, targets)
    known = ~np.isnan(found.per_pair)
    within, beyond = known & (found.edges[1:] <= 120), known & (found.edges[:-1] >= 120)
    assert within.sum() >= 3 and beyond.sum() >= 8
    # pairs are those of a third of the sources, synapses those of all
    tolerance = 1e-12 if most > 1200 else 0.35
    np.testing.assert_allclose(found.per_pair[within], 1.0, atol=tolerance)
    assert abs(found.per_pair[within].mean() - 1) < 0.1 and not found.per_pair[beyond].any()
    assert found.edges[0] == 0 and len(found.per_pair) == distances.BINS


def test_bins_with_too_few_synapses_for_a_number_are_left_out():
    rng = np.random.default_rng(4)
    sources, targets = (rng.uniform(0, 300, (n, 3)).astype(np.float32) for n in (900, 128))
    target, source = np.nonzero(rng.random((128, 900)) < 0.02)
    found = falloff(Made("a", "b", (source.astype(np.uint64), target.astype(np.uint64))), sources, targets)
    known = ~np.isnan(found.per_pair)
    assert known.sum() > 15 and not known[-1] and not known[0]
    np.testing.assert_allclose(found.per_pair[known], 0.02, rtol=1.0)


def test_cells_in_one_place_and_few_pairs_have_no_values():
    place = np.zeros((1, 3), np.float32)
    ids = (np.zeros(1, np.uint64), np.zeros(1, np.uint64))
    found = falloff(Made("a", "b", ids), place, place)
    assert np.isnan(found.per_pair).all() and found.n_synapses == 1
