import json
from pathlib import Path

import pytest

from descriptions import CIRCUITS, edited, plan_of, small, write
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.plan import Plan, thaw
from snakefold.planning import make
from snakefold.slices import canonical, content_digest

PARTS = {"partition/base", "partition/top", "place/lower", "place/upper", "connect/a_to_b", "simulate/rest"}


def digests(folder, tree, **options):
    plan = plan_of(folder, tree, **options)
    return {name: part.digest for name, part in plan.parts.items() if name != "parse"}


def changed(folder, *edits):
    before, after = digests(folder, small()), digests(folder, edited(*edits))
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_the_parts_of_a_circuit(tmp_path):
    assert digests(tmp_path, small()).keys() == PARTS


# key, value: exactly these parts change their slice (what they lead to downstream is the workflow's matter)
EDITS = [
    ("name", "another", set()),
    ("storage", {"engine": "hdf5", "root": "x"}, set()),
    ("cell_types.a.plotting", {"color": "red"}, set()),
    ("variables", {"unused": 3}, set()),
    ("network.x", 210.0, {"partition/base", "partition/top"}),
    ("network.chunk_size", 60.0, {"place/lower", "place/upper", "connect/a_to_b"}),
    ("rng.seed", 8, {"place/lower", "place/upper", "connect/a_to_b", "simulate/rest"}),
    ("partitions.top.thickness", 90.0, {"partition/top"}),
    ("partitions.base.thickness", 60.0, {"partition/base", "partition/top"}),
    ("regions.column.children", ["top", "base"], {"partition/base", "partition/top"}),
    ("cell_types.a.spatial.count", 130, {"place/lower"}),
    ("cell_types.b.spatial.density", 6e-5, {"place/upper"}),
    ("cell_types.a.spatial.radius", 3.0, {"place/lower"}),
    ("placement.lower.overrides", {"a": {"count": 7}}, {"place/lower"}),
    ("placement.upper.depends_on", ["lower"], {"place/upper"}),
    ("connectivity.a_to_b.indegree", 6, {"connect/a_to_b"}),
    ("simulations.rest.duration", 20.0, {"simulate/rest"}),
    ("simulations.rest.threads", 2, {"simulate/rest"}),
    ("simulations.rest.cell_models.a.model", "iaf_psc_alpha", {"simulate/rest"}),
    ("simulations.rest.connection_models.a_to_b.multapses", "keep", {"simulate/rest"}),
    ("simulations.rest.devices.spikes.delay", 2.0, {"simulate/rest"}),
    ("simulations.more", small()["simulations"]["rest"], {"simulate/more"}),
    ("simulations.rest", ..., {"simulate/rest"}),
    ("cell_types.c", {"spatial": {"radius": 1.0, "count": 3}}, set()),
    ("placement.more", small()["placement"]["lower"] | {"cell_types": ["b"]}, {"place/more"}),
]


@pytest.mark.parametrize(("key", "value", "parts"), EDITS, ids=[f"{k}={str(v)[:15]}" for k, v, _ in EDITS])
def test_an_edit_changes_exactly_the_slices_that_depend_on_it(tmp_path, key, value, parts):
    found = changed(tmp_path, (key, value))
    if key in (
        "cell_types.a.spatial.count",
        "cell_types.b.spatial.density",
        "placement.lower.overrides",
        "placement.more",
    ):
        found -= {"connect/a_to_b"}  # its expected number of synapses follows the number of cells
    if key == "network.x":
        found -= {"connect/a_to_b"}
    if key.startswith("partitions.top"):
        found -= {"connect/a_to_b"}
    assert found == parts


def test_order_of_keys_comments_and_defaults_change_nothing(tmp_path):
    tree = small()
    turned = dict(reversed(tree.items())) | {"cell_types": dict(reversed(tree["cell_types"].items()))}
    before = digests(tmp_path, tree)
    assert digests(tmp_path, turned) == before
    path = write(tmp_path, tree)
    path.write_text("# a comment\n" + path.read_text() + "# another\n")
    after = make(load(path), f"{tmp_path}/results/circuit", 1)
    assert {n: p.digest for n, p in after.parts.items() if n != "parse"} == before
    assert digests(tmp_path, edited(("connectivity.a_to_b.depends_on", []), ("network.origin", [0, 0, 0]))) == before


def test_the_place_and_name_of_the_file_change_nothing(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    other = write(tmp_path / "elsewhere", small(), "other.yaml")
    plan = make(load(other), f"{tmp_path}/r", 1)
    assert {n: p.digest for n, p in plan.parts.items() if n != "parse"} == digests(tmp_path, small())


def test_the_number_of_tiles_is_in_slices_but_not_in_what_results_depend_on(tmp_path):
    one, seven = plan_of(tmp_path, small(), 1), plan_of(tmp_path, small(), 7)
    different = {n for n in one.parts if one.parts[n].digest != seven.parts[n].digest}
    assert different == {"place/lower", "place/upper", "connect/a_to_b"}
    assert all(content_digest(one.parts[n].slice) == content_digest(seven.parts[n].slice) for n in one.parts)
    assert seven.placements["lower"].tiles == seven.connections["a_to_b"].tiles == 7
    assert (one.placements["lower"].direct, seven.placements["lower"].direct) == (True, False)


@pytest.mark.parametrize("file", ["two_layers.yaml", "microcircuit.yaml"])
def test_a_plan_survives_json_and_freezing(tmp_path, file):
    plan = make(load(CIRCUITS / file), f"{tmp_path}/r/x", 3)
    again = Plan.from_json(json.loads(canonical(plan.to_json())))
    assert again == plan
    assert again.digest == plan.digest
    frozen = plan.freeze()
    assert thaw(frozen) == plan
    for part in plan.parts.values():
        assert json.loads(Path(plan.slice_file(part.digest)).read_text()) == part.slice
    before = frozen.stat().st_ino
    assert plan.freeze() == frozen
    assert frozen.stat().st_ino == before


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"parts": 3}'])
def test_a_damaged_plan_is_a_users_mistake(tmp_path, text):
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="the frozen plan cannot be read"):
        thaw(path)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("all", ("more", "rest")),
        (None, ("more", "rest")),
        ("none", ()),
        ([], ()),
        ("rest", ("rest",)),
        (["rest", "rest"], ("rest",)),
        ("rest, more", ("more", "rest")),
    ],
)
def test_simulations_are_chosen_by_name(tmp_path, asked, chosen):
    tree = edited(("simulations.more", small()["simulations"]["rest"]))
    plan = plan_of(tmp_path, tree, simulations=asked)
    assert plan.simulations == chosen
    assert {n for n in plan.parts if n.startswith("simulate/")} == {f"simulate/{c}" for c in chosen}


def test_an_unknown_simulation_is_named_with_those_there_are(tmp_path):
    with pytest.raises(UserError, match='no simulation "rst"; did you mean "rest"'):
        plan_of(tmp_path, small(), simulations="rst")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("simulations.rest.cell_models.c", {"model": "x"}, 'no cell type "c"'),
        ("simulations.rest.connection_models.a_to_B", {"synapses": [{"weight": 1}]}, 'did you mean "a_to_b"?'),
        (
            "simulations.rest.connection_models.a_to_b.synapses",
            [{"weight": {"a": {"a": 1}}}],
            "the table has no value for a to b",
        ),
        (
            "simulations.rest.devices.spikes.targetting",
            {"strategy": "cell_model", "cell_models": ["q"]},
            'no cell type "q"',
        ),
    ],
)
def test_what_a_simulation_names_must_be_there(tmp_path, key, value, says):
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, edited((key, value)))
    assert says in str(caught.value)
    assert f"{tmp_path}/circuit.yaml:8: simulations.rest" in str(caught.value)


def test_expected_rates_reach_the_report_alone(tmp_path):
    before = plan_of(tmp_path, small())
    plan = plan_of(tmp_path, edited(("simulations.rest.expected_rates", {"a": "= 2 * 4"})))
    assert (before.expected_rates, plan.expected_rates) == ({}, {"rest": {"a": 8.0}})
    assert plan.parts["simulate/rest"] == before.parts["simulate/rest"]
    with pytest.raises(UserError, match=r'expected_rates\.q: "q" has no cell model here'):
        plan_of(tmp_path, edited(("simulations.rest.expected_rates", {"q": 1})))


def test_files_of_the_results(tmp_path):
    plan = plan_of(tmp_path, small())
    assert [f.removeprefix(f"{tmp_path}/results/circuit/") for f in plan.final_files()] == [
        "parse.h5",
        "nodes/a.h5",
        "nodes/b.h5",
        "edges/a_to_b.h5",
        "circuit_config.json",
        "node_sets.json",
        "node_types.csv",
        "edge_types.csv",
        "simulations/rest/simulation_config.json",
        "simulations/rest/spikes.h5",
        "simulations/rest/provenance.json",
        "report.html",
        "verdicts.json",
        "ro-crate-metadata.json",
    ]
    assert plan.locate(("simulations", "rest", "nowhere")) == f"{tmp_path}/circuit.yaml:8"
    assert plan.locate(()) == f"{tmp_path}/circuit.yaml:1"


HOOKS = """
from snakefold.placement.strategy import AfterPlacement
from snakefold.connectivity.strategy import AfterConnectivity
class MoveHook(AfterPlacement):
    pass
class PruneHook(AfterConnectivity):
    pass
"""


def test_hooks_are_stages_in_the_order_of_what_they_depend_on(tmp_path):
    (tmp_path / "plan_hooks.py").write_text(HOOKS)
    tree = edited(
        ("components", ["plan_hooks.py"]),
        ("cell_types.c", {"spatial": {"radius": 1.0, "count": 3}}),
        ("after_placement.one", {"strategy": "MoveHook", "rewrites": ["a"], "depends_on": ["two"]}),
        ("after_placement.two", {"strategy": "MoveHook", "rewrites": ["a"], "adds": ["c"]}),
        ("after_connectivity.k", {"strategy": "PruneHook", "rewrites": ["a_to_b"], "adds": {"new": ["a", "c"]}}),
    )
    plan = plan_of(tmp_path, tree)
    short = [p.removeprefix(f"{tmp_path}/results/circuit/") for p in plan.hook_inputs("nodes", "two")]
    assert short == ["stage/0/nodes/a.h5"]
    assert plan.hook_outputs("nodes", "two") == [plan.path("stage/1/nodes/a.h5"), plan.nodes("c")]
    assert plan.hook_inputs("nodes", "one") == [plan.path("stage/1/nodes/a.h5")]
    assert plan.hook_outputs("nodes", "one") == [plan.nodes("a")]
    assert plan.staged("nodes", "b") == plan.nodes("b")
    assert plan.hook_inputs("edges", "k") == [plan.path("stage/0/edges/a_to_b.h5")]
    assert plan.hook_outputs("edges", "k") == [plan.edges("a_to_b"), plan.edges("new")]
    assert plan.edge_sets()["new"] == ("a", "c")
    assert plan.cell_types == ("a", "b", "c")
