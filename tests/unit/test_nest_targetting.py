"""Targetting: each strategy means exactly the right cells, the same in every run, and says where it cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from descriptions import edited, plan_of
from snakefold import components
from snakefold.config.context import BuildContext, building
from snakefold.errors import UserError
from snakefold.nest.targetting import choose, chosen_by_all, has_node_sets, node_sets, union
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.streams import stream

DEVICE = "simulations.rest.devices.spikes"
SPHERE = {"origin": [10.0, 0.0, 0.0], "radius": 25.0}


def resolved(value, simulated=("a", "b"), n_cells=None):
    """Return (what the slice holds, [(path, message)]) of a targetting of simulation s, device d."""
    path = ("simulations", "s", "devices", "d", "targetting")
    with building(BuildContext()) as build:
        node = components.Component("targetting", "strategy", "all").cast(value, path, None)
        made = node.resolved(list(simulated), n_cells or {}) if hasattr(node, "resolved") else None
    assert all(m.path[:5] == path for m in build.mistakes)
    return made, [(m.path[5:], m.message) for m in build.mistakes]


ALL = {"targets": ["a", "b"]}
RESOLVED = [
    ({}, ALL),
    ({"strategy": "all"}, ALL),
    ({"strategy": "CellTargetting"}, ALL),
    ({"strategy": "cell_model", "cell_models": ["b"]}, {"targets": ["b"]}),
    (
        {"strategy": "cell_model", "cell_models": ["b", "a"], "count": 2},
        {"targets": ["b", "a"], "subset": {"count": 2}},
    ),
    (
        {"strategy": "cell_model", "cell_models": ["a"], "fraction": 0.5},
        {"targets": ["a"], "subset": {"fraction": 0.5}},
    ),
    ({"strategy": "cell_model", "cell_models": ["a"], "fraction": 1}, {"targets": ["a"]}),
    ({"strategy": "representatives"}, ALL | {"subset": {"sample": 1}}),
    (
        {"strategy": "representatives", "n": 4, "cell_models": ["b"], "fraction": 0.5},
        {"targets": ["b"], "subset": {"sample": 4, "fraction": 0.5}},
    ),
    ({"strategy": "by_id", "ids": {"b": [7, 0, 3]}}, {"targets": ["b"], "subset": {"ids": {"b": [0, 3, 7]}}}),
    ({"strategy": "sphere", **SPHERE}, ALL | {"subset": {"sphere": SPHERE}}),
    (
        {"strategy": "sphere_cell_types", "cell_types": ["a"], "only_local": False, "count": 3, **SPHERE},
        {"targets": ["a"], "subset": {"sphere": SPHERE, "count": 3}},
    ),
    (
        {"strategy": "cylinder", "origin": [1, 2], "radius": 3, "cell_models": ["a"]},
        {"targets": ["a"], "subset": {"cylinder": {"origin": [1.0, 2.0], "axis": "y", "radius": 3.0}}},
    ),
]


def test_labels_are_those_that_a_hook_gives(tmp_path):
    hook = ("after_placement", {"label": {"strategy": "label", "cell_types": ["a"], "labels": ["active"]}})
    targetting = {"strategy": "by_label", "labels": ["active"], "count": 500}
    plan = plan_of(tmp_path, edited(hook, (f"{DEVICE}.targetting", targetting)))
    device = plan.parts["simulate/rest"].slice["devices"]["spikes"]
    assert device["subset"] == {"labels": ["active"], "count": 500}, "how many have them is not known before"
    with pytest.raises(UserError, match='gives cells the label "actve"; did you mean "active"'):
        plan_of(tmp_path, edited(hook, (f"{DEVICE}.targetting", targetting | {"labels": ["actve"]})))


def test_cells_with_any_of_the_labels_are_chosen():
    has = {"x": np.arange(10) < 4, "y": np.arange(10) == 8}

    def labelled(labels):
        return np.any([has[label] for label in labels], axis=0)

    def chosen(**rule):
        return choose({"labels": ["x", "y"], **rule}, "a", 10, None, stream(1, "t"), labelled).tolist()

    assert chosen() == [0, 1, 2, 3, 8]
    assert set(chosen(count=2)) < set(chosen(count=4)) < {0, 1, 2, 3, 8}
    with pytest.raises(UserError, match='6 cells are wanted, but there are 5 of "a" with these labels'):
        chosen(count=6)


@pytest.mark.parametrize(("value", "expected"), RESOLVED, ids=lambda v: v.get("strategy", ""))
def test_slice_holds_the_cell_types_and_a_rule_where_not_all_cells_are_meant(value, expected):
    assert resolved(value) == (expected, [])


WRONG = [
    ({"strategy": "everyone"}, ("strategy",), 'no targetting component "everyone"'),
    ({"strategy": "all_connections"}, ("strategy",), "not yet supported: all_connections"),
    ({"strategy": "by_label"}, (), '"labels" is missing'),
    ({"strategy": "cell_model"}, (), '"cell_models" is missing'),
    ({"strategy": "cell_model", "cell_models": ["c"]}, ("cell_models", 0), '"c" has no cell model here'),
    ({"strategy": "representatives", "cell_models": ["a", "c"]}, ("cell_models", 1), "no cell model"),
    ({"strategy": "sphere_cell_types", "cell_types": ["c"], **SPHERE}, ("cell_types", 0), "no cell model"),
    ({"strategy": "cell_model", "cell_models": ["a"], "count": 1, "fraction": 0.5}, ("fraction",), "one of the two"),
    ({"strategy": "cell_model", "cell_models": ["a"], "fraction": 1.5}, ("fraction",), "<= 1"),
    ({"strategy": "cell_model", "cell_models": ["a"], "count": 0}, ("count",), ">= 1"),
    ({"strategy": "cell_model", "cell_models": ["a"], "count": 11}, ("count",), 'there are 10 of "a"'),
    ({"strategy": "representatives", "n": 2}, ("n",), 'there is 1 of "b"'),
    ({"strategy": "by_id", "ids": {"aa": [1]}}, ("ids", "aa"), 'did you mean "a"?'),
    ({"strategy": "by_id", "ids": {"a": [9, 10]}}, ("ids", "a"), 'no cell 10 of "a" (cells: 0 to 9)'),
    ({"strategy": "by_id", "ids": {"a": [3, 1, 3]}}, ("ids", "a", 2), "3 stands twice"),
    ({"strategy": "by_id", "ids": {"a": [-1]}}, ("ids", "a", 0), ">= 0"),
    ({"strategy": "sphere", "origin": [0, 0], "radius": 1}, ("origin",), "three numbers"),
    ({"strategy": "sphere", "origin": [0, 0, 0], "radius": 0}, ("radius",), "> 0"),
    ({"strategy": "sphere", "origin": [0, 0, 0]}, (), '"radius" is missing'),
    ({"strategy": "cylinder", "origin": [0, 0, 0], "radius": 1}, ("origin",), "two numbers (got: 3)"),
    ({"strategy": "cylinder", "origin": [0, 0], "radius": 1, "axis": "w"}, ("axis",), "x, y, z"),
]


@pytest.mark.parametrize(
    ("value", "path", "words"), WRONG, ids=lambda v: v.get("strategy") if isinstance(v, dict) else ""
)
def test_mistake_is_told_once_at_its_place(value, path, words):
    ((where, message),) = resolved(value, n_cells={"a": 10, "b": 1})[1]
    assert where == path and words in message


def test_what_is_in_a_shape_is_not_counted_before_the_cells_are_there():
    assert resolved({"strategy": "sphere", "count": 11, **SPHERE}, n_cells={"a": 10, "b": 1})[1] == []


def test_editing_a_target_changes_the_slice_of_its_simulation_only(tmp_path):
    plans = [plan_of(tmp_path, edited((f"{DEVICE}.targetting", RESOLVED[i][0]))) for i in (1, 10)]
    before, after = ({name: part.digest for name, part in plan.parts.items()} for plan in plans)
    assert {name for name in before if before[name] != after[name]} == {"parse", "simulate/rest"}
    assert "subset" not in plans[0].parts["simulate/rest"].slice["devices"]["spikes"]


# Choosing

GRID = np.stack(np.meshgrid(*[np.arange(0.0, 50.0, 10.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def chosen(rule, n=125, cell_type="a", key="d"):
    rng = stream(1, "simulate", "s", "target", key, cell_type)
    return choose(rule, cell_type, n, lambda: GRID[:n].astype(np.float32), rng)


def test_sphere_and_cylinder_are_what_is_closer_than_the_radius():
    for origin, radius in (((10.0, 20.0, 30.0), 10.0), ((11.0, 0.0, -5.0), 22.0)):
        near = [i for i, p in enumerate(GRID) if np.hypot(np.hypot(*(p - origin)[:2]), p[2] - origin[2]) < radius]
        assert chosen({"sphere": {"origin": list(origin), "radius": radius}}).tolist() == near
    for axis, (u, v) in {"x": (1, 2), "y": (0, 2), "z": (0, 1)}.items():
        inside = [i for i, p in enumerate(GRID) if np.hypot(p[u] - 10.0, p[v] - 31.0) < 11.0]
        rule = {"cylinder": {"origin": [10.0, 31.0], "axis": axis, "radius": 11.0}}
        assert chosen(rule).tolist() == inside and len(inside) % 5 == 0


@given(st.integers(1, 125), st.floats(0, 1))
def test_count_and_fraction_are_exact_and_larger_ones_contain_smaller_ones(count, fraction):
    some, more = chosen({"count": count}), chosen({"count": min(count + 7, 125)})
    part = chosen({"fraction": fraction})
    assert len(some) == len(set(some.tolist())) == count and (np.diff(some) > 0).all() and some[0] >= 0
    assert set(some) <= set(more) and more[-1] < 125
    assert len(part) <= fraction * 125 < len(part) + 1 + 1e-9


def test_a_fraction_is_of_its_decimal_number():
    assert int(0.29 * 100) == 28 and len(chosen({"fraction": 0.29}, 100)) == 29


def test_what_is_drawn_is_of_the_shape_and_in_order():
    sphere = {"sphere": {"origin": [20.0, 20.0, 20.0], "radius": 15.0}}
    whole = set(chosen(sphere))
    assert len(whole) > 6 and set(chosen(sphere | {"count": 6})) < whole
    assert len(chosen({"sample": 20, "fraction": 0.5})) == 10
    assert set(chosen({"sample": 20, "fraction": 0.5})) < set(chosen({"sample": 20}))
    assert set(chosen({"ids": {"a": [3, 5, 8]}, "count": 2})) < {3, 5, 8}
    assert chosen({"ids": {"b": [3]}}).tolist() == []


def test_draws_depend_on_the_device_and_the_cell_type():
    drawn = {tuple(chosen({"count": 10}, key=k, cell_type=t)) for k in ("d", "e") for t in ("a", "b")}
    assert len(drawn) == 4


def test_every_cell_is_drawn_equally_often():
    times = np.zeros(20)
    for key in range(2000):
        times[chosen({"count": 5}, 20, key=str(key))] += 1
    assert abs(times - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


@pytest.fixture
def nodes(tmp_path):
    for name, n in (("a", 125), ("b", 1), ("e", 0)):
        chunks = Chunks(("p",), np.zeros(1, np.uint16), np.zeros(1, np.uint64), np.array([0, n]))
        columns = dict(zip("xyz", GRID[:n].T.astype(np.float32), strict=True))
        write_nodes(tmp_path / f"{name}.h5", name, n, [columns], chunks, "d")
    return {name: tmp_path / f"{name}.h5" for name in "abe"}


def simulation(**devices):
    made = {name: {"kind": "stimulus", "targets": ["a", "b"]} | device for name, device in devices.items()}
    return {"name": "s", "seed": 1, "cells": {t: {} for t in "abe"}, "devices": made}


def test_cells_are_chosen_from_the_node_files(nodes):
    made = chosen_by_all(
        simulation(
            d={"subset": {"count": 1}},
            near={"targets": ["e", "a"], "subset": {"sphere": {"origin": [0, 0, 0], "radius": 10.5}}},
            whole={"targets": ["b"]},
        ),
        nodes,
    )
    assert made["d"]["a"].tolist() == chosen({"count": 1}).tolist() and made["d"]["b"].tolist() == [0]
    assert {t: ids.tolist() for t, ids in made["near"].items()} == {"e": [], "a": [0, 1, 5, 25]}
    assert made["whole"] == {"b": None}


def test_all_that_is_not_there_is_told_with_its_place(nodes):
    small = {"origin": [0.0, 0.0, 0.0], "radius": 10.5}
    given = simulation(
        far={"targets": ["a"], "subset": {"ids": {"a": [0, 125]}}},
        many={"subset": {"count": 2}},
        some={"targets": ["a"], "subset": {"sphere": small, "count": 5}},
        rep={"targets": ["e"], "subset": {"sample": 1}},
    )
    with pytest.raises(UserError) as error:
        chosen_by_all(given, nodes)
    assert [str(mistake) for mistake in error.value.mistakes] == [
        'simulations.s.devices.far.targetting.ids.a: no cell 125 of "a" (cells: 0 to 124)',
        'simulations.s.devices.many.targetting.count: 2 cells are wanted, but there is 1 of "b"',
        'simulations.s.devices.rep.targetting.n: 1 cells are wanted, but there are 0 of "e"',
        'simulations.s.devices.some.targetting.count: 5 cells are wanted, but there are 4 of "a" in the sphere',
    ]


# Node sets


def test_union():
    some, other = np.array([1, 4]), np.array([0, 4])
    made = union([{"b": some, "a": None}, {"b": other, "a": some, "c": other}])
    assert list(made) == ["a", "b", "c"] and made["a"] is None
    assert made["b"].tolist() == [0, 1, 4] and made["c"].tolist() == [0, 4]
    assert union([]) == {}


@pytest.mark.parametrize(
    ("device", "own"),
    [
        ({"kind": "multimeter", "targets": ["b"]}, False),
        ({"kind": "multimeter", "targets": ["b", "e", "a"]}, False),
        ({"kind": "multimeter", "targets": ["b", "a"]}, True),
        ({"kind": "spike_recorder", "targets": ["b", "a"]}, False),
        ({"subset": {"count": 1}}, True),
    ],
)
def test_a_simulation_has_node_sets_of_its_own_where_the_circuit_has_none_that_fit(device, own):
    assert has_node_sets(simulation(d=device)) is own


def test_node_sets_say_what_is_simulated_recorded_and_targetted():
    given = simulation(r={"kind": "spike_recorder"}, q={"kind": "spike_recorder"}, d={"targets": ["a", "e"]})
    cells = {"r": {"a": np.array([3, 5])}, "q": {"a": np.array([0]), "b": None}, "d": {"a": None, "e": None}}
    assert node_sets(given, cells, {"a": 125, "b": 1, "e": 0}) == {
        "cells/simulated": ["cells/simulated/a", "cells/simulated/b"],
        "cells/simulated/a": {"population": "a"},
        "cells/simulated/b": {"population": "b"},
        "cells/recorded": ["cells/recorded/a", "cells/recorded/b"],
        "cells/recorded/a": {"population": "a", "node_id": [0, 3, 5]},
        "cells/recorded/b": {"population": "b"},
        "device/d": ["device/d/a"],
        "device/d/a": {"population": "a"},
        "device/q": ["device/q/a", "device/q/b"],
        "device/q/a": {"population": "a", "node_id": [0]},
        "device/q/b": {"population": "b"},
        "device/r": ["device/r/a"],
        "device/r/a": {"population": "a", "node_id": [3, 5]},
    }
