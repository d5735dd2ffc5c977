"""Rules of NEST's: what it is given of them, what it makes, and what is said of mistakes in them."""

import json

import numpy as np
import pytest

from simulated import circuit, network, planned, probed, rows, simulate
from snakefold.errors import UserError
from snakefold.nest.rules import misnamed, place_of, trial
from snakefold.nest.validation import mistakes, validate

pytestmark = pytest.mark.usefixtures("own_catalogue")

NORMAL = {"distribution": "normal", "mean": 5.0, "std": 1.0}
SYNAPSE = {"weight": NORMAL, "delay": {"distribution": "normal", "mean": 0.3, "std": 0.3}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return network(tmp_path_factory.mktemp("network"))


def ruled(name="ab", synapses=(SYNAPSE,), **rule):
    return {name: {"synapses": list(synapses), **rule}}


def test_nest_draws_the_pairs_weights_and_delays(made, tmp_path):
    tree = circuit(connection_models=ruled(rule="fixed_indegree", indegree=4, allow_multapses=False))
    found = rows(probed(tmp_path, tree, made), "a", "b", "weight", "delay")
    assert np.bincount([target for _, target, *_ in found]).tolist() == [4] * 30
    assert len({row[:2] for row in found}) == len(found) == 120
    assert len({weight for *_, weight, _ in found}) == 120 and 4.5 < np.mean([w for *_, w, _ in found]) < 5.5
    assert min(delay for *_, delay in found) >= 0.1
    with_edges = circuit(connection_models={"ab": {"synapses": [SYNAPSE]}})
    assert {r[:2] for r in rows(probed(tmp_path, with_edges, made), "a", "b")} != {row[:2] for row in found}


def test_several_synapses_share_the_pairs(made, tmp_path):
    two = [{"weight": 1.0, "delay": 1.0}, {"model": "stdp_synapse", "weight": 2.0, "delay": 2.0, "lambda": 0.5}]
    tree = circuit(connection_models=ruled("aa", two, rule="fixed_total_number", N=50), devices={})
    found = rows(probed(tmp_path, tree, made), "a", "a", "weight", "delay", "synapse_model")
    assert len(found) == 100
    pairs = [sorted(row[:2] for row in found if row[2] == weight) for weight in (1.0, 2.0)]
    assert pairs[0] == pairs[1] and {row[4] for row in found if row[2] == 2.0} == {"snakefold_0"}


def test_the_edges_of_a_ruled_set_are_not_read(made, tmp_path):
    tree = circuit(connection_models=ruled(rule="all_to_all", synapses=[{"weight": 1.0, "delay": 1.0}]))
    assert simulate(tmp_path, tree, made).returncode == 0
    first = (tmp_path / "out/provenance.json").read_text()
    edges = made.edges("ab")
    changed = type(made)(**{**vars(made), "results": str(tmp_path / "other")})
    for kind in ("nodes", "edges"):
        (tmp_path / "other" / kind).mkdir(parents=True)
    for file in [*map(made.nodes, made.cell_types), made.edges("aa")]:
        target = file.replace(made.results, changed.results)
        with open(file, "rb") as source, open(target, "wb") as copy:
            copy.write(source.read())
    with open(made.edges("aa"), "rb") as source, open(edges.replace(made.results, changed.results), "wb") as copy:
        copy.write(source.read())  # any edge set but its own
    assert simulate(tmp_path, tree, changed).returncode == 0
    assert json.loads((tmp_path / "out/provenance.json").read_text()) == json.loads(first)


def test_a_stimulus_reaches_the_cells_that_its_rule_chooses(made, tmp_path):
    noise = {"device": "poisson_generator", "rate": 10.0, "weight": 3.0, "delay": 1.0}
    noise["targetting"] = {"rule": "fixed_outdegree", "outdegree": 6, "cell_models": ["b"], "allow_multapses": False}
    tree = circuit(devices={"noise": noise, "every": {"nest_model": "dc_generator", "constants": {"amplitude": 1.0}}})
    probed(tmp_path, tree, made)
    sets = json.loads((tmp_path / "out/node_sets.json").read_text())
    assert sets["device/noise"] == ["device/noise/b"] and len(set(sets["device/noise/b"]["node_id"])) == 6
    assert sets["device/every"] == ["device/every/a", "device/every/b"] and "node_id" not in sets["device/every/a"]


def test_gap_junctions_by_a_rule(made, tmp_path):
    gap = {"model": "gap_junction", "weight": 1.0}
    rule = ruled("aa", [gap], rule="all_to_all")
    cell_models = {"a": {"model": "hh_psc_alpha_gap"}, "b": {}}
    tree = circuit(connection_models=rule, cell_models=cell_models, devices={})
    assert len(rows(probed(tmp_path, tree, made), "a", "a")) == 1600
    rule["aa"] |= {"rule": "pairwise_bernoulli", "p": 0.5}
    plan = planned(tmp_path, circuit(connection_models=rule, cell_models=cell_models))
    (mistake,) = mistakes(validate(plan.parts["simulate/s"].slice))
    assert "make_symmetric" in mistake.message


def said(tmp_path, **simulation):
    """Return every mistake of a simulation, of its description and of NEST's, by path."""
    try:
        plan = planned(tmp_path, circuit(**simulation))
    except UserError as error:
        return {m.path[2:]: m.message for m in error.mistakes}
    return {m.path[2:]: m.message for m in mistakes(validate(plan.parts["simulate/s"].slice))}


RULES = [
    ({"rule": "fixed_indegre", "indegree": 2}, "rule", 'NEST has no rule "fixed_indegre"; did you mean "fixed_indeg'),
    ({"rule": "fixed_indegree", "indegre": 2}, "indegre", 'has no parameter "indegre"; did you mean "indegree"?'),
    ({"rule": "fixed_indegree"}, None, '"indegree" is missing (the rule fixed_indegree needs it)'),
    ({"rule": "pairwise_bernoulli", "p": 1.2}, "p", "Connection probability 0 <= p <= 1 required"),
    ({"rule": "fixed_total_number", "N": 1.5}, "N", "Failed to cast 'N' from double to type long"),
    ({"rule": "fixed_indegree", "indegree": 2, "allow_multapses": 1}, "allow_multapses", "Failed to cast"),
    ({"rule": "one_to_one"}, "rule", "as many targets as sources (got: 40 sources, 30 targets)"),
    ({"rule": "fixed_indegree", "indegree": 41, "allow_multapses": False}, "indegree", "at most 40"),
    ({"rule": "fixed_outdegree", "outdegree": 31, "allow_multapses": False}, "outdegree", "at most 30"),
    ({"rule": "all_to_all", "multapses": "keep"}, "multapses", 'give "allow_multapses" to the rule instead'),
    ({"rule": "all_to_all", "model_strategy": "x"}, "model_strategy", "not yet supported"),
    ({"rule": "all_to_all", "parameters": {"x": 1}}, "parameters", "not yet supported"),
]


@pytest.mark.parametrize(("rule", "key", "words"), RULES)
def test_mistakes_in_rules(tmp_path, rule, key, words):
    found = said(tmp_path, connection_models=ruled(**rule))
    assert list(found) == [("connection_models", "ab", *([key] if key else []))]
    assert words in found["connection_models", "ab", *([key] if key else [])]


def test_a_rule_is_not_tried_with_more_than_two_cells_and_suits_large_numbers(tmp_path):
    assert said(tmp_path, connection_models=ruled(rule="fixed_indegree", indegree=10**6)) == {}
    assert said(tmp_path, connection_models=ruled("aa", rule="symmetric_pairwise_bernoulli", p=0.1)) != {}
    assert trial({"rule": "fixed_indegree", "indegree": 9, "p": 3}) == {"rule": "fixed_indegree", "indegree": 1, "p": 3}


def test_what_is_computed_per_edge_has_no_place_beside_a_rule(tmp_path):
    synapse = {"weight": 1.0, "delay": {"strategy": "distance_delay", "axon_speed": 3.0}}
    found = said(tmp_path, connection_models=ruled(synapses=[synapse], rule="all_to_all"))
    assert found == {
        ("connection_models", "ab", "synapses", 0): "delay cannot be computed where NEST draws the pairs; "
        "leave the rule out"
    }


TARGETTING = [
    ({"rule": "pairwise_bernouli", "p": 0.5}, "rule", "did you mean"),
    ({"rule": "pairwise_bernoulli", "p": 2}, "p", "Connection probability"),
    ({"rule": "one_to_one"}, "rule", "as many targets as sources (got: 1 sources, 70 targets)"),
    ({"rule": "all_to_all", "cell_models": ["c"]}, "cell_models", 'no cell type "c"'),
]


@pytest.mark.parametrize(("targetting", "key", "words"), TARGETTING)
def test_mistakes_in_rules_of_devices(tmp_path, targetting, key, words):
    noise = {"device": "poisson_generator", "rate": 10.0, "targetting": targetting}
    ((path, message),) = said(tmp_path, devices={"noise": noise}).items()
    assert path[:4] == ("devices", "noise", "targetting", key) and words in message


@pytest.mark.parametrize("device", [{"device": "spike_recorder"}, {"nest_model": "voltmeter"}])
def test_recorders_have_no_rule(tmp_path, device):
    found = said(tmp_path, devices={"rec": device | {"targetting": {"rule": "all_to_all"}}})
    assert found == {("devices", "rec", "targetting", "rule"): "not yet supported: a rule, for recorders"}


def test_names_and_places():
    assert misnamed("fixed_indegree", {"rule": 0, "indegre": 1}) == (["indegre"], ["indegree"])
    assert misnamed("a rule of a module", {"x": 1}) == ([], [])
    assert place_of({"rule": "fixed_indegree", "indegree": 1}, "Failed to cast 'indegree'") == ("indegree",)
    assert place_of({"rule": "all_to_all"}, "no") == ("rule",)
