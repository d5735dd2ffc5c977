import numpy as np
import pytest

from descriptions import edited, plan_of, run, run_hooks_on_edges, write
from shapes import made_of
from snakefold.connectivity.duplication import BidirectionalContact, RepeatSynapses
from snakefold.connectivity.strategy import Set
from snakefold.loading import BrokenCircuit, load
from snakefold.sonata.edges import Edges

LOCATED = {
    "source": np.array([0, 1, 2], "u8"),
    "target": np.array([1, 2, 2], "u8"),
    "efferent_section_id": np.array([4, 5, 6], "u4"),
    "afferent_section_id": np.array([7, 8, 9], "u4"),
    "delay": np.array([1.0, 2.0, 3.0], "f4"),
}


def hooked(hook: dict):
    within = {
        "strategy": "fixed_indegree",
        "indegree": 3,
        "presynaptic": {"cell_types": ["a"]},
        "postsynaptic": {"cell_types": ["a"]},
    }
    return edited(("connectivity.aa", within), ("simulations", {}), ("after_connectivity.h", hook))


def pairs_of(path) -> list:
    with Edges(path) as edges:
        assert set(edges.columns) == {"model_template"}, "what every set has stays as it is"
        return sorted(zip(*(ids.tolist() for ids in edges.block()), strict=True))


def test_each_synapse_is_repeated_with_all_that_it_has():
    hook = made_of(RepeatSynapses, {"connections": ["s"], "contacts": 3})
    made = hook.postprocess({"s": Set(("a", "b"), LOCATED)}, np.random.Generator(np.random.Philox(1)))["s"]
    for column, values in LOCATED.items():
        assert made[column].tolist() == np.repeat(values, 3).tolist()


def test_numbers_of_repeats_are_drawn():
    hook = made_of(RepeatSynapses, {"connections": ["s", "t"], "contacts": {"distribution": "poisson", "mu": 1.5}})
    n = 40_000
    ids = {"source": np.arange(n, dtype="u8"), "target": np.arange(n, dtype="u8")}
    sets = {name: Set(("a", "b"), ids) for name in "st"}
    made = hook.postprocess(sets, np.random.Generator(np.random.Philox(1)))
    times = {name: np.bincount(made[name]["source"].astype(int), minlength=n) for name in "st"}
    for drawn in times.values():
        assert abs(drawn.mean() - 1.5) < 4 * (1.5 / n) ** 0.5
        assert abs((drawn == 0).mean() - np.exp(-1.5)) < 0.01
    assert abs(np.corrcoef(times["s"], times["t"])[0, 1]) < 0.03
    again = hook.postprocess(sets, np.random.Generator(np.random.Philox(1)))
    assert (again["t"]["source"] == made["t"]["source"]).all()


def test_repeats_below_one_are_none():
    hook = made_of(RepeatSynapses, {"connections": ["s"], "contacts": {"distribution": "norm", "loc": -3.0}})
    made = hook.postprocess({"s": Set(("a", "b"), LOCATED)}, np.random.Generator(np.random.Philox(1)))["s"]
    assert {column: len(values) for column, values in made.items()} == dict.fromkeys(LOCATED, 0)


def test_repeats_that_are_always_below_one_are_told():
    for contacts, n in ((0.9, 1), (1, 0), ({"distribution": "norm", "loc": -90.0}, 1), ({"distribution": "norm"}, 0)):
        assert len(made_of(RepeatSynapses, {"connections": ["s"], "contacts": contacts}).warnings()) == n


@pytest.mark.parametrize("strategy", ["repeat_synapses", "bidirectional_contact"])
def test_a_set_without_synapses_stays_one(tmp_path, strategy):
    more = {"contacts": 2} if strategy == "repeat_synapses" else {}
    tree = hooked({"strategy": strategy, "connections": ["aa"], **more})
    tree["connectivity"]["aa"] |= {"strategy": "all_to_all", "affinity": 0}
    del tree["connectivity"]["aa"]["indegree"]
    plan = run_hooks_on_edges(run(plan_of(tmp_path, tree)))
    assert pairs_of(plan.edges("aa")) == []


def test_contacts_among_one_type_have_their_reverse_beside_them():
    hook = made_of(BidirectionalContact, {"connections": ["s"]})
    made = hook.postprocess({"s": Set(("a", "a"), LOCATED)}, np.random.default_rng(1))["s"]
    rows = list(zip(*(made[c].tolist() for c in LOCATED), strict=True))
    assert rows[:3] == [(0, 1, 4, 7, 1.0), (1, 2, 5, 8, 2.0), (2, 2, 6, 9, 3.0)]
    assert rows[3:] == [(1, 0, 7, 4, 1.0), (2, 1, 8, 5, 2.0), (2, 2, 9, 6, 3.0)]


def test_what_is_known_of_one_end_alone_is_left_out_within_a_type_and_turned_between_two():
    hook = made_of(BidirectionalContact, {"connections": ["s"]})
    one_sided = {c: a for c, a in LOCATED.items() if c != "efferent_section_id"}
    made = hook.postprocess({"s": Set(("a", "a"), one_sided)}, np.random.default_rng(1))
    assert set(made["s"]) == {"source", "target", "delay"}
    made = hook.postprocess({"s": Set(("a", "b"), one_sided)}, np.random.default_rng(1))
    assert made["s_reversed"]["efferent_section_id"].tolist() == [7, 8, 9]
    assert made["s_reversed"]["source"].tolist() == [1, 2, 2]


def test_hooks_in_a_circuit(tmp_path):
    plan = run(plan_of(tmp_path, hooked({"strategy": "BidirectionalContact", "connections": ["aa", "a_to_b"]})))
    run_hooks_on_edges(plan)
    before, across = pairs_of(plan.staged("edges", "aa")), pairs_of(plan.edges("a_to_b"))
    assert pairs_of(plan.edges("aa")) == sorted(before + [(b, a) for a, b in before])
    assert pairs_of(plan.edges("a_to_b_reversed")) == sorted((b, a) for a, b in across)
    assert plan.edge_sets()["a_to_b_reversed"] == ("b", "a")


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (
            {"strategy": "repeat_synapses", "connections": ["a_to"], "contacts": 2},
            'no edge set "a_to" is made before it',
        ),
        ({"strategy": "repeat_synapses", "connections": ["aa"]}, '"contacts" is missing'),
        ({"strategy": "bidirectional_contact", "connections": []}, "a list of at least 1"),
    ],
)
def test_what_cannot_be_multiplied_is_said_before_anything_runs(tmp_path, hook, said):
    with pytest.raises(BrokenCircuit, match=said):
        load(write(tmp_path, hooked(hook)))
