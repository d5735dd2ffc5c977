import json

import numpy as np
import pytest

from descriptions import edited, plan_of, write
from shapes import ASC, CELL, OTHER
from snakefold import build, results
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.morphology import swc


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shapes").mkdir()
    for name, text in {"pyr.swc": CELL, "shapes/int.SWC": OTHER, "gold.asc": ASC}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def described(*entries, **selectors):
    edits = [(f"cell_types.{t}.spatial.morphologies", names) for t, names in selectors.items()]
    return edited(("morphologies", list(entries)), *edits)


def mistakes(folder, tree):
    with pytest.raises(UserError) as found:
        load(write(folder, tree))
    return [str(m).replace(f"{folder}/", "") for m in found.value.mistakes]


def built(plan, name):
    digest = plan.parts[f"morphology/{name}"].digest
    plan.freeze()
    build.build(
        plan.slice_file(digest), [], list(plan.parts[f"morphology/{name}"].files.values()),
        plan.built("morphology", name), plan.morphology(name),
    )  # fmt: skip
    return build.read(plan.built("morphology", name)).morphology


ENTRIES = [
    "pyr.swc",
    {"file": "shapes/int.SWC", "parser": {"tags": {16: ["axon", "ascending"]}}, "pipeline": ["center"]},
    {
        "files": ["gold.asc", {"file": "pyr.swc", "name": "turned", "pipeline": [{"func": "translate", "point": [1, 0, 0]}]}],
        "pipeline": [{"func": "rotate", "rotation": [0, 0, 90]}, {"func": "simplify", "epsilon": 0.1}],
    },
]  # fmt: skip


def test_every_morphology_is_a_part_built_from_its_file_and_pipeline(folder):
    plan = plan_of(folder, described(*ENTRIES))
    assert plan.morphologies() == ["pyr", "int", "gold", "turned"]
    whole = swc.read(CELL)
    assert np.array_equal(built(plan, "pyr").points, whole.points)
    turned = built(plan, "turned").points
    np.testing.assert_allclose(turned[0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turned[2], [0, 11, 0], atol=1e-12)  # straight: the point between is left out
    assert built(plan, "int").known_labels == ["ascending", "axon", "dendrites", "soma"]
    assert built(plan, "gold").n_branches == 4
    assert plan.morphology("turned") in plan.final_files()
    text = open(plan.morphology("pyr"), encoding="utf-8").read()
    assert text == swc.write(whole, standard=True)


def test_a_part_is_equal_bytes_each_time(folder):
    plan = plan_of(folder, described("pyr.swc"))
    bytes_ = []
    for _ in range(2):
        built(plan, "pyr")
        bytes_.append(open(plan.built("morphology", "pyr"), "rb").read())
    assert bytes_[0] == bytes_[1]


def test_an_edit_of_a_file_or_of_its_pipeline_changes_its_part_alone(folder):
    tree = described(*ENTRIES, a=["pyr", "i*"], b=["turned"])
    before = plan_of(folder, tree)
    assert before.parts["place/lower"].slice["types"]["a"]["morphologies"] == ["pyr", "int"]
    (folder / "shapes/int.SWC").write_text(OTHER + "6 16 4 -40 0 1 5\n")
    after = plan_of(folder, tree)
    assert changed(before, after) == {"morphology/int"}
    tree["morphologies"][2]["pipeline"][1]["epsilon"] = 0.2
    assert changed(after, plan_of(folder, tree)) == {"parse", "morphology/gold", "morphology/turned"}


def test_a_selector_that_selects_others_changes_its_placement_alone(folder):
    before = plan_of(folder, described(*ENTRIES, a=["pyr"]))
    same = plan_of(folder, described(*ENTRIES, a=[{"select": "by_name", "names": ["py*"]}]))
    assert changed(before, same) == {"parse"}
    assert changed(before, plan_of(folder, described(*ENTRIES, a=["*"]))) == {"parse", "place/lower"}
    tree = described(*ENTRIES, a=["pyr"])
    tree["placement"]["lower"]["overrides"] = {"a": {"morphologies": ["gold"]}}
    assert plan_of(folder, tree).parts["place/lower"].slice["types"]["a"]["morphologies"] == ["gold"]


def changed(before, after):
    return {n for n in before.parts.keys() | after.parts.keys() if _digest(before, n) != _digest(after, n)}


def _digest(plan, name):
    return plan.parts[name].digest if name in plan.parts else None


def test_a_circuit_without_morphologies_has_the_slices_that_it_had(folder):
    slice_ = plan_of(folder, edited()).parts["place/lower"].slice
    assert "morphologies" not in json.dumps(slice_)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["pyr.swcc"], "should be: the name of a file (.swc, .asc, .h5) (got: 'pyr.swcc')"),
        (["none.swc"], "none.swc cannot be read: No such file or directory"),
        (["shapes"], "should be: the name of a file"),
        (["https://x.org/pyr.swc"], "nothing is downloaded"),
        (["nm://cell.swc"], "nothing is downloaded"),
        ([3], "should be: a mapping with file, name"),
        ([None], "should be: a mapping with file, name"),
        ([{"name": "x"}], '"file" is missing'),
        ([{"file": "pyr.swc", "nmae": "x"}], 'unknown key "nmae"; did you mean "name"'),
        ([{"file": "pyr.swc", "name": "../x"}], "should be: a name of letters"),
        (["pyr.swc", {"file": "gold.asc", "name": "pyr"}], 'morphologies[1]: the morphology "pyr" is there already (pyr.swc)'),
        ([{"file": "gold.asc", "parser": "bsb"}], "reads .swc (got: gold.asc)"),
        ([{"files": ["pyr.swc", "gold.asc"], "parser": "bsb"}], "morphologies[0].files[1]: its parser reads .swc (got: gold.asc)"),
        ([{"file": "pyr.swc", "parser": "bbs"}], 'no morphology_parser component "bbs"; did you mean "bsb"'),
        ([{"file": "pyr.swc", "parser": {"tags": {"x": "axon"}}}], "should be: an SWC type, a whole number (got: x)"),
        ([{"file": "pyr.swc", "parser": {"branch_cls": "x.Y"}}], "not yet supported: Class of their branches."),
        ([{"file": "pyr.swc", "parser": {"parser": "morphio", "flags": ["two_point_sections"]}}], 'did you mean "two_points_sections"'),
        ([{"file": "pyr.swc", "pipeline": ["centre"]}], 'no morphology_step component "centre"; did you mean "center"'),
        ([{"file": "pyr.swc", "pipeline": ["translate"]}], '"point" is missing'),
        ([{"file": "pyr.swc", "pipeline": ["voxelize"]}], "voxelize makes boxes"),
        ([{"file": "pyr.swc", "pipeline": [{"func": "swap_axes", "axis1": 0, "axis2": 3}]}], "morphologies[0].pipeline[0].axis2"),
        ([{"file": "pyr.swc", "pipeline": [{"func": "rotate", "rotation": [0, ".nan", 1]}]}], "morphologies[0].pipeline[0].rotation[1]"),
        ([{"file": "pyr.swc", "pipeline": [{"func": "root_rotate", "rot": [0, 0, 1], "downstream_of": 9}]}], "pyr.swc: morphologies[0]: step 1 of its pipeline, RootRotate: downstream_of should be"),
        ([{"file": "pyr.swc", "pipeline": [{"func": "label", "labels": ["x"], "points": [99]}]}], "points should be: below 12 (got: 99)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_entry_is_one_mistake(folder, entries, words):
    found = mistakes(folder, described(*entries, a=["*"]))
    assert len(found) == 1 and words in found[0], found


def test_broken_files_are_told_all_at_once_with_their_lines(folder):
    (folder / "one.swc").write_text("1 1 0 0 0 5 -1\n2 3 0 0 1 1\n")
    (folder / "empty.swc").write_text("")
    (folder / "three.asc").write_text("((Dendrite)\n (1 2 3)\n")
    found = mistakes(folder, described("one.swc", "empty.swc", "pyr.swc", "three.asc", a=["pyr"], b=["on*"]))
    assert len(found) == 3
    assert any(m.startswith("one.swc:2: morphologies[0]: should be: seven numbers") for m in found)
    assert "empty.swc: morphologies[1]: has no points: it is empty" in found
    assert any(m.startswith("three.asc:") and "MorphIO cannot read it" in m for m in found)


@pytest.mark.parametrize(
    ("selectors", "words"),
    [
        (["pry"], 'no morphology "pry"; did you mean "pyr"? (morphologies: pyr, gold)'),
        (["x*", "pyr"], 'no morphology "x*" (morphologies: pyr, gold)'),
        ([{"names": ["pyr", "gild"]}], 'no morphology "gild"; did you mean "gold"'),
        ([{"select": "from_neuromorpho", "names": ["cell"]}], "nothing is downloaded: list the files under morphologies"),
        ([{"select": "by_nam", "names": ["pyr"]}], 'did you mean "by_name"'),
        ([3], "cell_types.a.spatial.morphologies[0]"),
        ("pyr", "should be: a list"),
        ([{"names": []}], "should be: a list of at least 1"),
    ],
)  # fmt: skip
def test_selectors_that_select_nothing(folder, selectors, words):
    found = mistakes(folder, described("pyr.swc", "gold.asc", a=selectors))
    assert len(found) == 1 and words in found[0], found


def test_selectors_of_overrides_are_checked_too(folder):
    tree = described("pyr.swc")
    tree["placement"]["lower"]["overrides"] = {"a": {"morphologies": ["pry"]}}
    (found,) = mistakes(folder, tree)
    assert 'placement.lower.overrides.a.morphologies[0]: no morphology "pry"; did you mean "pyr"' in found


def test_a_file_that_changes_after_the_plan_is_an_error_of_the_job(folder):
    plan = plan_of(folder, described("pyr.swc"))
    (folder / "pyr.swc").write_text(OTHER)
    with pytest.raises(UserError, match="a data file has changed since the plan was made"):
        built(plan, "pyr")


def test_a_morphology_that_is_no_longer_described_is_no_part_of_the_results(folder):
    built(plan_of(folder, described("pyr.swc")), "pyr")
    plan = plan_of(folder, described("gold.asc"))
    assert {path.name for path in results.obsolete(plan)} == {"pyr.h5", "pyr.swc"}
    assert results.obsolete(plan_of(folder, described("pyr.swc"))) == []
