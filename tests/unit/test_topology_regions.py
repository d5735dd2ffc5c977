import pytest

from snakefold.config.context import BuildContext, building
from snakefold.errors import UserError
from snakefold.topology.boxes import Box
from snakefold.topology.partitions import Layer, Rhomboid
from snakefold.topology.regions import Group, Stack, lay_out

NETWORK = Box.of((10.0, 20.0, 30.0), (100.0, 200.0, 300.0))


def boxes(regions, partitions):
    with building(BuildContext()) as build:
        made = {n: cls.build(v, ("regions", n)) for n, (cls, v) in regions.items()}
        parts = {
            n: (Rhomboid if "dimensions" in v else Layer).build(v, ("partitions", n)) for n, v in partitions.items()
        }
    assert build.mistakes == []
    return lay_out(NETWORK, made, parts)


def spans(found, axis=2):
    return {n: (b.lower[axis], b.upper[axis]) for n, b in found.items()}


LAYERS = {"a": {"thickness": 10}, "b": {"thickness": 20}, "c": {"thickness": 30}}


def test_a_layer_fills_its_parent_but_for_its_thickness():
    found = boxes({}, {"l": {"thickness": 10}, "x": {"thickness": 5, "axis": "x"}})
    assert found["l"] == Box((10.0, 20.0, 30.0), (110.0, 220.0, 40.0))
    assert found["x"] == Box((10.0, 20.0, 30.0), (15.0, 220.0, 330.0))


def test_origin_and_dimensions_are_the_parents_where_they_are_not_given():
    found = boxes({}, {"r": {"dimensions": [1, 2, 3]}, "o": {"thickness": 4, "origin": [0, 0, 0]}})
    assert found["r"] == Box((10.0, 20.0, 30.0), (11.0, 22.0, 33.0))
    assert found["o"] == Box((0.0, 0.0, 0.0), (100.0, 200.0, 4.0))


def test_an_origin_of_zero_is_given():
    assert boxes({}, {"o": {"thickness": 4, "origin": [0.0, 0.0, 0.0]}})["o"].lower == (0.0, 0.0, 0.0)


def test_a_stack_lays_children_end_to_end_in_their_order():
    found = boxes({"s": (Stack, {"children": ["b", "a", "c"]})}, LAYERS)
    assert spans(found) == {"b": (30, 50), "a": (50, 60), "c": (60, 90)}
    assert found["a"].lower[:2] == (10.0, 20.0)


def test_the_anchor_of_a_stack_stays_where_it_is_and_the_others_lie_around_it():
    layers = LAYERS | {"a": {"thickness": 10, "origin": [10, 20, 100]}}
    stack = {"children": ["b", "a", "c"]}
    around = spans(boxes({"s": (Stack, stack | {"anchor": "a"})}, layers))
    assert around == {"b": (80, 100), "a": (100, 110), "c": (110, 140)}
    assert spans(boxes({"s": (Stack, stack)}, layers)) == {"b": (30, 50), "a": (50, 60), "c": (60, 90)}


def test_a_partition_that_may_not_be_moved_is_not():
    kept = LAYERS | {"a": {"thickness": 10, "can_move": False}}
    assert spans(boxes({"s": (Stack, {"children": ["a", "b"]})}, kept)) == {"a": (30, 40), "b": (40, 60), "c": (30, 60)}
    with pytest.raises(UserError) as caught:
        boxes({"s": (Stack, {"children": ["b", "a"]})}, kept)
    assert str(caught.value) == ('partitions.a: "can_move" is false, but the region "s" moves it by [0, 0, 20] um')


def test_a_region_without_children_takes_no_room():
    regions = {"s": (Stack, {"children": ["g", "a"]}), "g": (Group, {"children": []})}
    assert spans(boxes(regions, LAYERS))["a"] == (30, 40)


def test_a_stack_along_another_axis():
    found = boxes(
        {"s": (Stack, {"children": ["a", "b"], "axis": "x"})}, {n: v | {"axis": "x"} for n, v in LAYERS.items()}
    )
    assert spans(found, 0) == {"a": (10, 20), "b": (20, 40), "c": (10, 40)}


def test_regions_in_a_stack_move_all_that_is_in_them():
    found = boxes(
        {
            "outer": (Stack, {"children": ["c", "inner", "group"]}),
            "inner": (Stack, {"children": ["a", "b"]}),
            "group": (Group, {"children": ["d", "e"]}),
        },
        LAYERS | {"d": {"thickness": 7}, "e": {"thickness": 9}},
    )
    assert spans(found) == {"c": (30, 60), "a": (60, 70), "b": (70, 90), "d": (90, 97), "e": (90, 99)}


def test_a_group_leaves_its_children_where_they_are_and_an_unlisted_partition_stays():
    found = boxes({"g": (Group, {"children": ["a", "b"]})}, LAYERS)
    assert spans(found) == {"a": (30, 40), "b": (30, 50), "c": (30, 60)}


def test_a_stack_without_children_is_nothing():
    assert spans(boxes({"s": (Stack, {"children": []})}, {"a": {"thickness": 10}})) == {"a": (30, 40)}


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        ({"s": (Stack, {"children": ["s"]})}, "regions.s: contains itself: s"),
        ({"s": (Stack, {"children": ["t"]}), "t": (Group, {"children": ["s"]})}, "regions.s: contains itself: s in t"),
        ({"s": (Stack, {"children": ["a"]}), "t": (Group, {"children": ["a"]})}, '"a" is also a child of "s"'),
    ],
)
def test_impossible_layouts_are_users_mistakes(regions, says):
    with pytest.raises(UserError) as caught:
        boxes(regions, LAYERS)
    assert says in str(caught.value)


def test_an_anchor_that_is_no_child_is_a_mistake():
    with building(BuildContext()) as build:
        Stack.build({"children": ["a"], "anchor": "b"}, ("regions", "s"))
    assert [str(m) for m in build.mistakes] == ['regions.s.anchor: "b" is no child of it (a)']
