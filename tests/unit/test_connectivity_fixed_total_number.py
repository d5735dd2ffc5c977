import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descriptions import CIRCUITS
from fakes import build, together
from snakefold.config.context import BuildContext, building
from snakefold.connectivity.fixed_total_number import FixedTotalNumber
from snakefold.loading import load
from snakefold.placement.counts import deal

FULL = {"L23E": 20683, "L23I": 5834, "L4E": 21915, "L4I": 5479, "L5E": 4850, "L5I": 1065, "L6E": 14395, "L6I": 2948}


@pytest.fixture(scope="module")
def cortex():
    return load(CIRCUITS / "microcircuit.yaml")


def counts_at(cortex, scale):
    strategy = cortex.circuit.connectivity["cortex"]
    built = {t: round(n * scale) for t, n in FULL.items()}
    strategy.factor = scale**2
    types = list(FULL)
    return {(pre, post): strategy.total((pre, post), built) for pre in types for post in types}


def test_the_published_circuit_has_298_880_969_synapses_before_rounding(cortex):
    """Potjans & Diesmann 2014, Eq. 1 and Table 5."""
    c = cortex.circuit.connectivity["cortex"].probability
    exact = sum(
        np.log1p(-(c.value(pre, post) or 0)) / np.log1p(-1 / (n * m))
        for pre, n in FULL.items()
        for post, m in FULL.items()
    )
    assert round(exact) == 298_880_969
    counts = counts_at(cortex, 1.0)
    assert abs(sum(counts.values()) - exact) < 32
    assert len(counts) == 64
    assert sum(n > 0 for n in counts.values()) == 55


def test_the_64_counts_at_a_tenth_are_the_published_ones_scaled_and_rounded(cortex):
    full, tenth = counts_at(cortex, 1.0), counts_at(cortex, 0.1)
    assert tenth == {pair: round(n * 0.1**2) for pair, n in full.items()}
    assert sum(n > 0 for n in tenth.values()) == 55
    assert abs(tenth["L23E", "L23E"] - 20683**2 * -np.log1p(-0.1009) / 100) < 1  # ln(1 - 1/n) is -1/n for many pairs
    assert tenth["L4I", "L6I"] == round(-np.log1p(-0.0005) * 5479 * 2948 / 100)


def test_the_plan_has_55_edge_sets_for_the_one_strategy(cortex):
    assert len(cortex.circuit.connectivity["cortex"].edge_sets()) == 55
    assert "cortex_L5I_to_L23E" not in cortex.circuit.connectivity["cortex"].edge_sets()


table = st.dictionaries(
    st.sampled_from("ab"), st.dictionaries(st.sampled_from("ac"), st.integers(0, 30), min_size=1), min_size=1
)


@given(table, st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 5))
def test_totals_are_exact_and_options_hold_however_targets_lie_in_chunks(number, n_chunks, autapses, multapses, seed):
    strategy = build(FixedTotalNumber, "ab", "ac", number=number, autapses=autapses, multapses=multapses)
    sources, targets = {"a": 7, "b": 8}, {"a": 7, "c": 6}
    if strategy.faults(sources | targets):
        return
    made = together(strategy, sources, targets, n_chunks, seed)
    assert made.keys() == set(strategy.pairs())
    for (pre, post), (source, target) in made.items():
        assert len(source) == number[pre][post]
        assert source.size == 0 or (source.min() >= 0 and source.max() < sources[pre])
        if pre == post and not autapses:
            assert (source != target).all()
        if not multapses:
            assert len(set(zip(source.tolist(), target.tolist(), strict=True))) == len(source)


@pytest.mark.parametrize(("autapses", "multapses"), [(True, True), (False, True), (True, False), (False, False)])
def test_dealing_and_drawing_give_every_pair_its_chance_and_the_spread_of_one_draw(autapses, multapses):
    n, total, repeats = 6, 12, 4000
    strategy = build(FixedTotalNumber, "a", "a", number=total, autapses=autapses, multapses=multapses)
    hits, of_first = np.zeros((n, n)), []
    for seed in range(repeats):
        source, target = together(strategy, {"a": n}, {"a": n}, 4, seed)["a", "a"]
        np.add.at(hits, (source, target), 1)
        of_first.append((target < 2).sum())
    allowed = np.ones((n, n), bool) if autapses else ~np.eye(n, dtype=bool)
    slots = allowed.sum()
    assert (hits[~allowed] == 0).all()
    p = total / slots
    variance = repeats * p * (1 - 1 / slots if multapses else 1 - p)
    assert np.abs((hits[allowed] - repeats * p) / np.sqrt(variance)).max() < 5
    share = 2 / n  # of the slots are those of the first two targets
    spread = total * share * (1 - share) * (1 if multapses else (slots - total) / (slots - 1))
    assert abs(np.var(of_first) / spread - 1) < 0.12


class DealtByRounding(FixedTotalNumber):
    """A wrong version: every chunk gets its mean."""

    def deal(self, rng, n_sources, n_targets):
        total = self.total(("a", "a"), n_sources)
        return {("a", "a"): deal(total, n_targets["a"])}


def test_the_spread_asked_for_above_is_missed_by_a_wrong_version():
    strategy = build(DealtByRounding, "a", "a", number=12)
    made = [together(strategy, {"a": 6}, {"a": 6}, 3, seed)["a", "a"][1] for seed in range(50)]
    assert np.var([(target < 2).sum() for target in made]) == 0


@pytest.mark.parametrize(
    ("attributes", "key", "says"),
    [
        ({"number": {"a": {"a": 0}}}, "number", "no pair of its types has a synapse"),
        ({"number": 50, "multapses": False}, "number", "a to a: 50 distinct pairs asked for, but there are only 49"),
        ({"number": 43, "multapses": False, "autapses": False}, "number", "there are only 42"),
        ({"probability": 1.0}, "probability", "should be: below 1"),
        ({"number": {"A": {"a": 3}, "a": {"a": 3}}}, "number", 'no source cell type "A" here; did you mean "a"? (a)'),
        ({"number": {"a": {"a": 3, "x*": 3}}}, "number", 'no target cell type "x*" here (a)'),
        ({"probability": 0.1, "sizes": {"b": 3}}, "sizes", 'no source or target cell type "b" here'),
    ],
)
def test_what_is_impossible_is_a_mistake_at_its_key(attributes, key, says):
    found = build(FixedTotalNumber, "a", "a", **attributes).faults({"a": 7})
    assert [k for k, _ in found] == [key]
    assert says in found[0][1]


def test_synapses_without_cells_are_a_mistake():
    assert "no cells to connect" in build(FixedTotalNumber, "a", "b", number=3).faults({"a": 0, "b": 5})[0][1]
    assert build(FixedTotalNumber, "a", "b", number=3).faults({"a": 1, "b": 5}) == []


@pytest.mark.parametrize(
    ("attributes", "says"), [({}, 'or "probability"'), ({"number": 1, "probability": 0.1}, "not both")]
)
def test_one_of_number_and_probability_is_needed(attributes, says):
    side = {"cell_types": ["a"]}
    with building(BuildContext()) as context:
        FixedTotalNumber.build({"presynaptic": side, "postsynaptic": side} | attributes, ("s",))
    assert len(context.mistakes) == 1
    assert says in str(context.mistakes[0])
