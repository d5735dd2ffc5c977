import numpy as np
import pytest

from descriptions import edited, plan_of, run, write
from snakefold.build import build
from snakefold.errors import UserError
from snakefold.hooks import after_placement
from snakefold.loading import load
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes


def tree(*hooks, connection=None, **types):
    edits = [(f"after_placement.hook{i}", {"strategy": "label", **hook}) for i, hook in enumerate(hooks)]
    etype = {
        "etype": {"strategy": "choice", "values": {"cAD": 1, "bNAC": 1}},
        "age": {"strategy": "constant", "value": 3},
    }
    edits.append(("placement.lower.distribute", etype))
    if connection:
        edits += [(f"connectivity.a_to_b.{key}", value) for key, value in connection.items()]
    description = edited(("after_placement", {}), *edits)
    description["simulations"] = {}
    description["cell_types"] |= types
    return description


def labelled(folder, description, tiles=2):
    plan = run(plan_of(folder, description, tiles), "place")
    for name in plan.after_placement:
        part = plan.parts[f"after_placement/{name}"]
        build(plan.slice_file(part.digest), [], list(part.files.values()), plan.built("after_placement", name))
        inputs, outputs = plan.hook_inputs("nodes", name), plan.hook_outputs("nodes", name)
        kept = {path: open(path, "rb").read() for path in inputs}
        after_placement(
            plan.built("after_placement", name),
            inputs,
            dict(zip(plan.after_placement[name].files, outputs, strict=True)),
        )
        assert kept or not inputs
    return plan


@pytest.fixture
def staged(monkeypatch):
    """Gathering writes the first stage, as the rules have it."""
    import descriptions

    gather = descriptions.gather_of_cells.gather_cells

    def to_stage(cell_type, builds, tiles, output):
        plan = to_stage.plan
        gather(cell_type, builds, tiles, plan.staged("nodes", cell_type))

    def run_staged(folder, description, tiles=2):
        to_stage.plan = plan_of(folder, description, tiles)
        return labelled(folder, description, tiles)

    monkeypatch.setattr(descriptions.gather_of_cells, "gather_cells", to_stage)
    return run_staged


def column(plan, name="labels", cell_type="a"):
    with Nodes(plan.nodes(cell_type)) as nodes:
        return nodes.column(name)


def test_a_count_or_a_fraction_is_exact_and_earlier_labels_stay(tmp_path, staged):
    hooks = (
        {"cell_types": ["a"], "labels": ["active"], "count": 30},
        {"cell_types": ["a"], "labels": ["deep"], "fraction": 0.55},
    )
    found = column(staged(tmp_path, tree(*hooks)))
    has = {label: np.array([label in s.split() for s in found]) for label in ("active", "deep")}
    assert has["active"].sum() == 30
    assert has["deep"].sum() == 66
    assert 5 < (has["active"] & has["deep"]).sum() < 28, "drawn independently"


def test_a_larger_part_holds_a_smaller_one(tmp_path, staged):
    found = []
    for count in (20, 50):
        (tmp_path / str(count)).mkdir()
        plan = staged(tmp_path / str(count), tree({"cell_types": ["a"], "labels": ["x"], "count": count}))
        found.append(set(np.flatnonzero(column(plan) == "x")))
    assert found[0] < found[1]


def test_cells_are_chosen_by_place_and_property(tmp_path, staged):
    hooks = (
        {"cell_types": ["a"], "labels": ["near"], "sphere": {"origin": [100, 50, 35], "radius": 40}},
        {"cell_types": ["a"], "labels": ["left"], "box": {"origin": [0, 0, 0], "dimensions": [100, 100, 150]}},
        {"cell_types": ["a"], "labels": ["cad"], "where": {"etype": "cAD"}},
        {"cell_types": ["a"], "labels": ["both"], "where": {"etype": ["cAD"], "age": [2, 3]}, "partitions": ["base"]},
        {"cell_types": ["a"], "labels": ["upper"], "partitions": ["top"]},
    )
    description = tree(*hooks)
    description["placement"]["lower"]["partitions"] = ["base", "top"]
    plan = staged(tmp_path, description)
    with Nodes(plan.nodes("a")) as nodes:
        position, etype, labels = nodes.positions(), nodes.column("etype"), nodes.column("labels")
        assert nodes.columns["age"] == np.int64
    has = {name: np.array([name in s.split() for s in labels]) for name in ("near", "left", "cad", "both", "upper")}
    assert (has["near"] == (((position - [100, 50, 35]) ** 2).sum(axis=1) < 1600)).all()
    assert (has["left"] == (position[:, 0] < 100)).all()
    assert (has["cad"] == (etype == "cAD")).all()
    assert (has["both"] == (has["cad"] & (position[:, 2] < 70))).all()
    assert (has["upper"] == (position[:, 2] >= 70)).all()
    assert all(0 < chosen.sum() < len(chosen) for chosen in has.values())


@pytest.mark.parametrize("strategy", ["fixed_indegree", "all_to_all", "fixed_total_number", "fixed_outdegree"])
def test_labels_of_either_side_choose_what_is_connected(tmp_path, staged, strategy):
    number = {
        "fixed_indegree": {"indegree": 5},
        "fixed_outdegree": {"outdegree": 4},
        "fixed_total_number": {"number": 300},
    }
    connection = {
        "strategy": strategy,
        "indegree": ...,
        **number.get(strategy, {}),
        "presynaptic.labels": ["active"],
        "postsynaptic.labels": [],
    }
    hooks = (
        {"cell_types": ["a"], "labels": ["active"], "count": 30},
        {"cell_types": ["b"], "labels": ["off"], "count": 50},
    )
    plan = staged(tmp_path, tree(*hooks, connection=connection))
    made = run_connect(plan)
    active = np.flatnonzero(column(plan) == "active")
    free = np.flatnonzero(column(plan, cell_type="b") == "")
    assert 0 < len(free) < 80
    wanted = {"fixed_indegree": 5 * len(free), "fixed_outdegree": 4 * 30, "fixed_total_number": 300}
    assert len(made[0]) == wanted.get(strategy, 30 * len(free))
    assert set(made[0]) <= set(active)
    assert set(made[1]) <= set(free)
    assert len(set(made[0])) > 20


def run_connect(plan):
    from descriptions import connect_inputs, connecting, gather_of_edges, tiles_of

    for name, connection in plan.connections.items():
        part = plan.parts[f"connect/{name}"]
        build(plan.slice_file(part.digest), [], list(part.files.values()), plan.built("connect", name))
        tiles = tiles_of(plan, "connect", name, connection.tiles)
        for t, tile in enumerate(tiles):
            connecting.connect(connect_inputs(plan, name), t, plan.path(".journal", name, t), tile)
        gather_of_edges.gather_edges("a_to_b", connect_inputs(plan, name), tiles, plan.edges("a_to_b"))
    with Edges(plan.edges("a_to_b")) as edges:
        return edges.block(0, edges.n)


def test_too_few_cells_with_a_label_are_told(tmp_path, staged):
    connection = {"presynaptic.labels": ["active"], "indegree": 31}
    plan = staged(tmp_path, tree({"cell_types": ["a"], "labels": ["active"], "count": 30}, connection=connection))
    with pytest.raises(UserError, match="only 30 cells"):
        run_connect(plan)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (
            {"cell_types": ["a"], "labels": ["x"], "count": 121},
            '121 cells are to be labelled, but there are 120 of "a"',
        ),
    ],
)
def test_what_the_cells_do_not_have_is_told_when_it_runs(tmp_path, staged, hook, message):
    with pytest.raises(UserError, match=message):
        staged(tmp_path, tree(hook))


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ({"cell_types": ["a"]}, '"labels" is missing'),
        ({"labels": ["x"]}, '"cell_types" is missing'),
        ({"cell_types": ["a"], "labels": []}, "labels"),
        ({"cell_types": ["a"], "labels": ["x y"]}, "labels"),
        ({"cell_types": ["a"], "labels": ["x"], "count": 3, "fraction": 0.5}, "give one of the two"),
        ({"cell_types": ["a"], "labels": ["x"], "fraction": 1.5}, "fraction"),
        ({"cell_types": ["c"], "labels": ["x"]}, 'no cell type "c"'),
        ({"cell_types": ["a"], "labels": ["x"], "partitions": ["tip"]}, 'no partition "tip"'),
        ({"cell_types": ["a"], "labels": ["x"], "adds": ["b"]}, 'unknown key "adds"'),
        ({"cell_types": ["a"], "labels": ["x"], "sphere": {"origin": [0, 0], "radius": 1}}, "sphere.origin"),
        ({"cell_types": ["a"], "labels": ["x"], "where": {"colour": "red"}}, 'where.colour: .*no property "colour"'),
        ({"cell_types": ["a"], "labels": ["x"], "where": {"etype": 3}}, "compared with: strings"),
        ({"cell_types": ["a"], "labels": ["x"], "where": {"age": "3"}}, "compared with: numbers"),
        ({"cell_types": ["a"], "labels": ["x"], "where": {"etype": ["cAF"]}}, '"cAF" as etype; did you mean "cAD"'),
        ({"cell_types": ["a"], "labels": ["x"], "partitions": ["top"]}, 'no cell of a has "top" as partition'),
    ],
)
def test_what_is_wrong_in_the_description_is_told_at_check(tmp_path, hook, message):
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, tree(hook))


def test_a_broken_hook_does_not_make_its_labels_unknown(tmp_path):
    hook = {"cell_types": ["a"], "labels": ["active", "so so"]}
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, tree(hook, connection={"presynaptic.labels": ["active"]}))
    assert [m.path[0] for m in caught.value.mistakes] == ["after_placement"]


@pytest.mark.parametrize("side", ["presynaptic", "postsynaptic"])
def test_a_label_that_no_hook_gives_is_told_at_check(tmp_path, side):
    hook = {"cell_types": ["a"], "labels": ["active"]}
    with pytest.raises(UserError, match='gives cells the label "actve"; did you mean "active"'):
        plan_of(tmp_path, tree(hook, connection={f"{side}.labels": ["actve"]}))


def test_sides_with_labels_that_no_hook_gives_their_cells_are_told(tmp_path):
    hook = {"strategy": "label", "cell_types": ["a"], "labels": ["active", "deep"], "count": 3}
    for side, labels, n in (("pre", ["active"], 0), ("post", ["deep"], 1), ("post", [], 0), ("post", None, 0)):
        key = f"connectivity.a_to_b.{side}synaptic.labels"
        loaded = load(write(tmp_path, edited(("after_placement.h", hook), (key, labels))))
        told = [str(warning) for warning in loaded.warnings if "no synapses" in str(warning)]
        assert len(told) == n and all('labels cells of "b" deep: there will be no synapses' in words for words in told)
