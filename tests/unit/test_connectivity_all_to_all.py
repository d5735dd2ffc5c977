import numpy as np
import pytest

from fakes import build, together
from snakefold.connectivity.all_to_all import AllToAll


def test_every_pair_once():
    made = together(build(AllToAll, "ab", "c"), {"a": 3, "b": 2}, {"c": 4}, n_chunks=2)
    for pre, n in (("a", 3), ("b", 2)):
        source, target = made[pre, "c"]
        assert sorted(zip(source.tolist(), target.tolist(), strict=True)) == [
            (i, j) for i in range(n) for j in range(4)
        ]


@pytest.mark.parametrize("affinity", [0.02, 0.4, 0.95])
def test_each_pair_has_a_synapse_with_the_probability_of_affinity(affinity):
    strategy = build(AllToAll, "a", "b", affinity=affinity)
    hits = np.zeros((12, 9))
    for seed in range(3000):
        np.add.at(hits, together(strategy, {"a": 12}, {"b": 9}, 3, seed)["a", "b"], 1)
    z = (hits - 3000 * affinity) / np.sqrt(3000 * affinity * (1 - affinity))
    assert np.abs(z).max() < 5
    mean, sd = strategy.expected(("a", "b"), {"a": 12, "b": 9})
    assert mean == pytest.approx(108 * affinity)
    assert sd == pytest.approx(np.sqrt(108 * affinity * (1 - affinity)))
    assert abs(hits.sum() / 3000 - mean) < 5 * sd / np.sqrt(3000)


def test_nothing_to_connect_is_no_synapses():
    strategy = build(AllToAll, "a", "b")
    for sources, targets in (({"a": 0}, {"b": 3}), ({"a": 3}, {"b": 0})):
        assert len(together(strategy, sources, targets)["a", "b"][0]) == 0


def test_an_affinity_of_zero_is_told_of():
    assert build(AllToAll, "a", "b", affinity=0).warnings() == [("affinity", "is 0: there will be no synapses")]
    assert build(AllToAll, "a", "b", affinity=0.1).warnings() == []
