import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeCells, build, together
from snakefold.connectivity.fixed_degree import FixedIndegree, FixedOutdegree
from snakefold.connectivity.strategy import Given
from snakefold.errors import UserError


def laid_out(made, side, sizes):
    """Return, for all synapses, (own, partner) ids over all types laid end to end."""
    starts = [dict(zip(s, np.cumsum([0, *list(s.values())[:-1]]), strict=True)) for s in sizes]
    ids = [np.concatenate([m[i] + starts[i][pair[i]] for pair, m in made.items()]) for i in range(2)]
    return ids[side], ids[1 - side]


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=3),
    st.lists(st.integers(0, 9), min_size=1, max_size=2),
    st.integers(1, 3),
    st.data(),
)
def test_in_degrees_are_exact_and_partners_distinct_over_all_types(n_sources, n_targets, n_chunks, data):
    sources = dict(zip("abc", n_sources, strict=False))
    targets = dict(zip("de", n_targets, strict=False))
    degree = data.draw(st.integers(0, sum(n_sources)))
    made = together(build(FixedIndegree, sources, targets, indegree=degree), sources, targets, n_chunks)
    assert made.keys() == {(a, b) for a in sources for b in targets}
    own, partner = laid_out(made, 1, (sources, targets))
    assert np.bincount(own, minlength=sum(n_targets)).tolist() == [degree] * sum(n_targets)
    assert len(set(zip(own.tolist(), partner.tolist(), strict=True))) == len(own)
    assert partner.size == 0 or partner.max() < sum(n_sources)


def test_out_degrees_are_exact_and_partners_distinct_over_all_types():
    strategy = build(FixedOutdegree, "ab", "cd", outdegree=4)
    assert strategy.partitioned_by == "source"
    sources, targets = {"a": 30, "b": 20}, {"c": 10, "d": 5}
    cells = [{t: FakeCells(n) for t, n in side.items()} for side in (sources, targets)]
    made = strategy.connect(*cells, np.random.default_rng(1), Given())
    made = {pair: (s.source, s.target) for pair, s in made.items()}
    own, partner = laid_out(made, 0, (sources, targets))
    assert (np.bincount(own) == 4).all()
    assert len(set(zip(own.tolist(), partner.tolist(), strict=True))) == 200


def test_partners_are_uniform_and_each_type_has_its_expected_share():
    strategy = build(FixedIndegree, "ab", "c", indegree=6)
    counts, of_a = np.zeros(20), []
    for seed in range(400):
        made = together(strategy, {"a": 5, "b": 15}, {"c": 10}, 2, seed)
        counts += np.bincount(laid_out(made, 1, ({"a": 5, "b": 15}, {"c": 10}))[1], minlength=20)
        of_a.append(len(made["a", "c"][0]))
    p = 6 / 20
    assert np.abs((counts - 4000 * p) / np.sqrt(4000 * p * (1 - p))).max() < 5
    mean, sd = strategy.expected(("a", "c"), {"a": 5, "b": 15, "c": 10})
    assert mean == 15
    assert abs(np.mean(of_a) - mean) < 5 * sd / 20
    assert abs(np.std(of_a) / sd - 1) < 0.2
    assert strategy.expected(("a", "c"), {"a": 20, "b": 0, "c": 10}) == (60.0, 0.0)


@pytest.mark.parametrize(
    ("cls", "key", "what"), [(FixedIndegree, "indegree", "source"), (FixedOutdegree, "outdegree", "target")]
)
def test_a_degree_larger_than_the_population_is_a_mistake_at_its_key(cls, key, what):
    n_cells = {"a": 9, "b": 9}
    assert build(cls, "a", "b", **{key: 9}).faults(n_cells) == []
    ((attribute, message),) = build(cls, "a", "b", **{key: 10}).faults(n_cells)
    assert attribute == key
    assert message == f"10 distinct partners asked for, but there are only 9 {what} cells"


def test_fewer_cells_than_wanted_are_a_users_mistake_in_the_job_too():
    with pytest.raises(UserError, match="indegree is 5, but there are only 3 cells"):
        together(build(FixedIndegree, "a", "b", indegree=5), {"a": 3}, {"b": 2})
