import json
from pathlib import Path

import h5py
import pytest

from descriptions import edited, plan_of, small
from snakefold import edits
from snakefold.config.stage import write_parse
from snakefold.edits import MISSING, differences
from snakefold.slices import canonical


def built(plan) -> None:
    """Write what a run leaves of a plan: the description, and the slice of each part."""
    for name, part in plan.parts.items():
        file = Path(plan.built(name) if name != "parse" else plan.path("parse.h5"))
        file.parent.mkdir(parents=True, exist_ok=True)
        if name == "parse":
            (slice_ := file.with_suffix(".json")).write_text(canonical(part.slice))
            write_parse(slice_, file)
        else:
            with h5py.File(file, "w") as stage:
                stage["slice"] = json.dumps(part.slice)


def of(parts: list[str], cause: str) -> dict[str, list[str]]:
    return {part: [cause] for part in parts}


def test_differences_are_as_deep_as_they_go():
    before = {"a": {"b": 1, "c": [1, 2]}, "d": [1], "e": 1, "same": {"x": [{}]}}
    after = {"a": {"b": 2, "c": [1, 3]}, "d": [1, 2], "f": None, "same": {"x": [{}]}}
    assert {(e.key, repr(e.before), repr(e.after)) for e in differences(before, after)} == {
        ("a.b", "1", "2"),
        ("a.c.1", "2", "3"),
        ("d", "[1]", "[1, 2]"),
        ("e", "1", repr(MISSING)),
        ("f", repr(MISSING), "None"),
    }


def test_true_is_not_one():
    assert [e.key for e in differences({"a": 1}, {"a": True})] == ["a"]
    assert differences({"a": 1}, {"a": 1}) == []


def test_an_edit_is_said_as_a_person_writes_it():
    said = {str(e) for e in differences({"a": {"b": 40}, "old": 1}, {"a": {"b": 11}, "new": "x" * 99})}
    assert said == {"a.b: 40 -> 11", "old is gone", "new is new"}


@pytest.mark.parametrize(
    ("key", "value", "causes"),
    [
        ("connectivity.a_to_b.indegree", 6, {"connect/a_to_b": ["connectivity.a_to_b.indegree"]}),
        ("cell_types.a.spatial.count", 130, {"place/lower": ["cell_types.a.spatial.count"]}),
        ("cell_types.b.plotting", {"color": "red"}, {}),
        (
            "partitions.top.thickness",
            90.0,
            of(["partition/top", "connect/a_to_b"], "partitions.top.thickness"),
        ),
        # b has a density: a thicker layer has more of its cells, and more synapses are expected
        ("rng.seed", 8, of(["place/lower", "place/upper", "connect/a_to_b", "simulate/rest"], "rng.seed")),
        ("simulations.rest.duration", 20.0, {"simulate/rest": ["simulations.rest.duration"]}),
        ("simulations.more", small()["simulations"]["rest"], {}),  # was never built
    ],
)
def test_parts_are_touched_by_the_keys_that_their_slices_come_from(tmp_path, key, value, causes):
    before = plan_of(tmp_path, small())
    built(before)
    after = plan_of(tmp_path, edited((key, value)))
    assert after.results == before.results
    changed = edits.of_description(after)
    assert [e.key for e in changed] == [key]
    assert edits.of_parts(after, changed) == causes


def test_several_edits_are_told_apart(tmp_path):
    built(plan_of(tmp_path, small()))
    after = plan_of(tmp_path, edited(("connectivity.a_to_b.indegree", 6), ("cell_types.a.spatial.count", 130)))
    assert edits.of_parts(after, edits.of_description(after)) == {
        "connect/a_to_b": ["connectivity.a_to_b.indegree"],
        "place/lower": ["cell_types.a.spatial.count"],
    }


def test_what_no_key_explains_is_said_by_the_slice(tmp_path):
    before = plan_of(tmp_path, small())
    built(before)
    after = plan_of(tmp_path, small(), tiles=3)
    assert edits.of_description(after) == []
    touched = edits.of_parts(after, [])
    assert touched["connect/a_to_b"] == ["the number of tiles"]
    with h5py.File(before.built("connect", "a_to_b"), "r+") as stage:
        slice_ = json.loads(stage["slice"].asstr()[()])
        slice_["component"]["version"] += 1
        del stage["slice"]
        stage["slice"] = json.dumps(slice_)
    assert edits.of_parts(before, []) == {"connect/a_to_b": ["a new algorithm"]}


def test_before_the_first_run_nothing_has_changed(tmp_path):
    plan = plan_of(tmp_path, small())
    assert edits.of_description(plan) is None
    assert edits.of_parts(plan, []) == {}
