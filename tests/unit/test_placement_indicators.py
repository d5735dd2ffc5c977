"""From what a description says to the indicators that numbers of cells are made of."""

import numpy as np
import pytest

from descriptions import edited, plan_of, run, write
from snakefold.errors import UserError
from snakefold.hdf5 import open_stage
from snakefold.loading import load
from snakefold.sonata.nodes import Nodes

BOTH = ("placement.upper.partitions", ["base", "top"])


def indicator_of(tmp_path, *edits, cell_type="b", strategy="upper"):
    circuit = load(write(tmp_path, edited(*edits))).circuit
    return circuit.indicator(circuit.placement[strategy], cell_type)


def spatial(**keys):
    return ("cell_types.b.spatial", {"radius": 2.0, **keys})


def test_each_indicator_is_taken_as_the_bsb_takes_it(tmp_path):
    assert indicator_of(tmp_path, spatial(count=3)) == {"count": 3}
    assert indicator_of(tmp_path, spatial(density=1e-4)) == {"density": 1e-4, "partitions": ["top"]}
    assert indicator_of(tmp_path, spatial(planar_density=1e-3)) == {"planar_density": 1e-3, "partitions": ["top"]}
    related = spatial(relative_to="a", count_ratio=0.5)
    assert indicator_of(tmp_path, related) == {"ratio": 0.5, "of": [{"count": 120}]}
    of = [{"indicator": {"count": 120}, "partitions": ["base"]}]
    local = spatial(relative_to="a", local_count_ratio=0.5)
    assert indicator_of(tmp_path, local, BOTH) == {"local_ratio": 0.5, "partitions": ["base", "top"], "of": of}


@pytest.mark.parametrize(("key", "value"), [("density", 4e-5), ("planar_density", 1e-2)])
def test_a_density_ratio_is_of_the_other_types_density_in_its_own_partitions(tmp_path, key, value):
    other = ("cell_types.a.spatial", {"radius": 1.0, key: value})
    ratio = spatial(relative_to="a", density_ratio=0.5)
    assert indicator_of(tmp_path, other, ratio) == {key: value / 2, "partitions": ["top"]}
    override = ("placement.upper.overrides", {"a": {key: 2 * value}})
    assert indicator_of(tmp_path, other, ratio, override) == {key: value, "partitions": ["top"]}


def test_overrides_replace_the_indicator_and_a_ratio_alone_is_of_the_types_own_relative(tmp_path):
    third = [
        ("cell_types.c", {"spatial": {"radius": 1.0, "count": 9}}),
        ("placement.third", {"strategy": "random", "cell_types": ["c"], "partitions": ["top"]}),
    ]

    def overridden(by, **own):
        return indicator_of(tmp_path, spatial(**own), ("placement.upper.overrides", {"b": by}), *third)

    assert overridden({"count": 3}, density=1.0) == {"count": 3}
    assert overridden({"count": 3}, relative_to="a", count_ratio=2) == {"count": 3}
    assert overridden({"count_ratio": 3}, relative_to="a", count_ratio=2) == {"ratio": 3.0, "of": [{"count": 120}]}
    of_b = overridden({"relative_to": "c"}, relative_to="a", count_ratio=2)
    assert of_b == {"ratio": 2.0, "of": [{"count": 9}]}
    assert overridden({"radius": 1.5}, count=4) == {"count": 4}


def test_an_override_of_the_radius_holds_for_that_placement(tmp_path):
    plan = plan_of(tmp_path, edited(("placement.upper.overrides", {"b": {"radius": 1.5}})))
    assert plan.parts["place/upper"].slice["types"]["b"]["radius"] == 1.5
    with pytest.raises(UserError, match="too dense"):
        plan_of(tmp_path, edited(("placement.upper.overrides", {"b": {"radius": 40.0}})))


@pytest.mark.parametrize(
    ("keys", "path", "says"),
    [
        ({"count": 1, "density": 1.0}, "spatial", 'how many "b"? It gives count, density: give one'),
        ({"count": 1, "relative_to": "a", "count_ratio": 1}, "spatial", "gives count, count_ratio: give one"),
        ({"relative_to": "a", "count_ratio": 1, "density_ratio": 1}, "spatial", "gives count_ratio, density_ratio"),
        ({"relative_to": "a"}, "spatial.relative_to", "needs one of: count_ratio, local_count_ratio, density_ratio"),
        ({"local_count_ratio": 1}, "spatial.local_count_ratio", 'needs "relative_to"'),
        ({"relative_to": "a", "density_ratio": 1}, "spatial.relative_to", '"a" has no density or planar density'),
        ({"relative_to": "b", "local_count_ratio": 1}, "spatial.relative_to", "relative to itself: b to b"),
        ({}, "spatial", "needs one of: count, density, planar_density, density_key, relative_to"),
    ],
)
def test_none_several_or_half_of_an_indicator_is_a_mistake(tmp_path, keys, path, says):
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, edited(spatial(**keys))))
    (mistake,) = caught.value.mistakes
    assert ".".join(mistake.path) == f"cell_types.b.{path}"
    assert says in mistake.message


def test_the_same_rules_hold_in_overrides(tmp_path):
    override = ("placement.upper.overrides", {"b": {"count": 3, "density": 1.0}})
    with pytest.raises(UserError, match=r"placement\.upper\.overrides\.b: how many .*count, density: give one"):
        load(write(tmp_path, edited(override)))


def test_local_numbers_are_those_placed_in_the_chunk_however_it_is_cut_into_tiles(tmp_path):
    local = spatial(relative_to="a", local_count_ratio=0.5)
    found = {}
    for tiles in (1, 3):
        folder = tmp_path / str(tiles)
        folder.mkdir()
        plan = run(plan_of(folder, edited(local, BOTH), tiles), "place")
        found[tiles] = {}
        for cell_type in "ab":
            found[tiles][cell_type] = Nodes(plan.nodes(cell_type)).positions()
        with open_stage(plan.built("place", "upper"), "build") as file:
            counts, chunks = file["counts"][0], file["chunks"][()]
        with open_stage(plan.built("place", "lower"), "build") as file:
            others = dict(zip(file["chunks"][()].tolist(), file["counts"][0].tolist(), strict=True))
        half = np.array([others.get(c, 0) / 2 for c in chunks.tolist()])
        assert counts.sum() == 60
        assert np.abs(np.cumsum(counts) - np.cumsum(half)).max() <= 0.5
        assert (counts[half == 0] == 0).all()
    for cell_type in "ab":
        assert (found[1][cell_type] == found[3][cell_type]).all()


def test_no_build_job_of_a_ratio_waits_for_a_placement_and_its_slice_follows_the_other_type(tmp_path):
    local = spatial(relative_to="a", local_count_ratio=0.5)
    before = plan_of(tmp_path, edited(local, BOTH)).parts["place/upper"]
    assert set(before.inputs) == {"partition/base", "partition/top"}
    after = plan_of(tmp_path, edited(local, BOTH, ("cell_types.a.spatial.count", 122))).parts["place/upper"]
    assert after.digest != before.digest
    other = plan_of(tmp_path, edited(local, BOTH, ("cell_types.a.plotting", {"color": "red"}))).parts["place/upper"]
    assert other.digest == before.digest
