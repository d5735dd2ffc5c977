"""The strategies that connect by geometry as whole circuits: the same for any number of tiles, checked before they run."""

import copy

import numpy as np
import pytest

from descriptions import edited, plan_of, run, write
from shapes import CELL, OTHER
from snakefold.loading import BrokenCircuit, load
from snakefold.sonata.checker import check_edges
from snakefold.sonata.edges import Edges

BALL = {
    "shapes_composition": {
        "shapes": [{"type": "sphere", "origin": [0, 0, 0], "radius": 25}],
        "labels": [["soma"]],
        "voxel_size": 6,
    }
}
SIDES = {
    "segment_intersection": ("efferent", "afferent"),
    "shape_to_shape": (),
    "morphology_to_shape": ("efferent",),
    "shape_to_morphology": ("afferent",),
}


def described(folder, name, *edits):
    """Return a description of two types with morphologies, turned at random, that are connected with each other and themselves."""
    for file, text in {"pyr.swc": CELL, "int.swc": OTHER}.items():
        (folder / file).write_text(text)
    sides = {"presynaptic": {"cell_types": ["a", "b"]}, "postsynaptic": {"cell_types": ["a", "b"]}}
    if name in ("shape_to_shape", "shape_to_morphology"):
        sides["presynaptic"] |= copy.deepcopy(BALL)
    if name in ("shape_to_shape", "morphology_to_shape"):
        sides["postsynaptic"] |= copy.deepcopy(BALL)
    more = {"contact_distance": 4} if name == "segment_intersection" else {"pruning_ratio": 0.9}
    return edited(
        ("simulations", ...),
        ("morphologies", ["pyr.swc", "int.swc"]),
        ("cell_types.a.spatial.morphologies", ["pyr", "int"]),
        ("cell_types.b.spatial.morphologies", ["pyr"]),
        ("cell_types.b.spatial.density", 3e-5),
        ("placement.lower.distribute.rotations.strategy", "random"),
        ("connectivity", {"c": {"strategy": name, "affinity": 0.7} | sides | more}),
        *edits,
    )


@pytest.mark.parametrize("name", SIDES)
def test_edges_are_the_same_for_any_number_of_tiles(name, tmp_path):
    read = {}
    for tiles in (1, 4):
        (tmp_path / str(tiles)).mkdir()
        plan = run(plan_of(tmp_path / str(tiles), described(tmp_path / str(tiles), name), tiles))
        assert plan.connections["c"].tiles == tiles
        for edge_set in plan.connections["c"].sets:
            assert not check_edges(plan.edges(edge_set))
            read[tiles, edge_set] = open(plan.edges(edge_set), "rb").read()
    sets = {edge_set for _, edge_set in read}
    assert len(sets) == 4 and all(read[1, s] == read[4, s] for s in sets)


@pytest.mark.parametrize("name", SIDES)
def test_edges_say_where_they_are_on_cells_with_morphologies(name, tmp_path):
    plan = run(plan_of(tmp_path, described(tmp_path, name), 2))
    found = {edge_set: Edges(plan.edges(edge_set)) for edge_set in plan.connections["c"].sets}
    assert sum(e.n for e in found.values()) > 100
    for edges in found.values():
        located = {column.partition("_")[0] for column in edges.columns if "segment" in column}
        assert located == set(SIDES[name])
        for side in SIDES[name]:
            position = edges.column(f"{side}_section_pos")
            assert ((position >= 0) & (position <= 1)).all()
            assert len(np.unique(edges.column(f"{side}_section_id"))) > 1


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("presynaptic.shapes_composition.shapes", [{"type": "sphere", "origin": [0, 0, 0], "radius": 0}], "radius"),
        ("presynaptic.shapes_composition.voxel_size", 60, "no point represents the shapes"),
        ("presynaptic.shapes_composition.voxel_size", 1e300, "voxel_size: should be: a number >= 1e-06"),
        ("presynaptic.shapes_composition.voxel_size", 1e-300, "voxel_size: should be: a number >= 1e-06"),
        ("presynaptic.shapes_composition.voxel_size", 1e-5, "points would represent a cell"),
        ("presynaptic.shapes_composition.shapes", [{"type": "sphere", "origin": [0, 0, 0], "radius": 1e200}], "radius"),
        ("postsynaptic.morphology_labels", ["sooma"], 'no shape is labelled sooma; did you mean "soma"'),
        ("affinity", ..., '"affinity" is missing'),
    ],
)
def test_mistakes_are_told_before_anything_runs(tmp_path, key, value, said):
    tree = described(tmp_path, "shape_to_shape", (f"connectivity.c.{key}", value))
    with pytest.raises(BrokenCircuit) as caught:
        load(write(tmp_path, tree))
    (message,) = [str(m) for m in caught.value.mistakes]
    assert said in message and "circuit.yaml:" in message


def test_labels_of_shapes_are_looked_at_without_a_warning(tmp_path):
    edit = ("connectivity.c.postsynaptic.morphology_labels", ["soma"])
    assert load(write(tmp_path, described(tmp_path, "shape_to_shape", edit))).warnings == []


def test_tiles_are_chosen_by_a_guess_of_the_number_of_synapses(tmp_path):
    """The guess takes cells to be anywhere in the network: within a factor of 2 of what two layers have."""
    tree = described(tmp_path, "shape_to_shape")
    plan = run(plan_of(tmp_path, tree, None))
    assert plan.connections["c"].tiles == 1
    circuit = load(write(tmp_path, tree)).circuit
    strategy, n_cells = circuit.connectivity["c"], {"a": 120, "b": 48}
    guess = sum(strategy.guess(pair, n_cells) for pair in plan.connections["c"].sets.values())
    assert 0.5 < guess / sum(Edges(plan.edges(edge_set)).n for edge_set in plan.connections["c"].sets) < 2


@pytest.mark.parametrize("name", SIDES)
def test_many_cells_are_connected_in_several_tiles(name, tmp_path):
    edits = ("cell_types.a.spatial.count", 200_000), ("cell_types.a.spatial.radius", 0.1)
    assert plan_of(tmp_path, described(tmp_path, name, *edits), None).connections["c"].tiles > 1
