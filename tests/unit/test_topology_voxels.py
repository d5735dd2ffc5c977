import json

import numpy as np
import pytest

from descriptions import edited, plan_of, run, small, write
from snakefold import build
from snakefold.errors import UserError, dotted
from snakefold.loading import load
from snakefold.sonata.nodes import Nodes
from volumes import halves, write_volume

VOXELS = 8 * 5 * 4  # of the annotation below, in both halves
IN_DENSITY = 325  # cells: (4 * 1.1e-4 + 2 * 3e-4) per um^3 * 5 * 4 voxels of 25 um
ONTOLOGY = {
    "msg": [
        {
            "id": 997,
            "name": "root",
            "acronym": "root",
            "children": [
                {
                    "id": 7,
                    "name": "Cortex",
                    "acronym": "CTX",
                    "children": [{"id": 1, "name": "Layer 1", "acronym": "L1"}],
                },
                {"id": 2, "name": "Nuclei", "acronym": "CNU", "children": []},
            ],
        }
    ]
}


@pytest.fixture()
def folder(tmp_path):
    """A folder with an annotation of voxels of 25 um, a density, and a hierarchy."""
    write_volume(tmp_path / "annotation.nrrd", halves())
    density = np.zeros((8, 6, 4), np.float32)
    density[:4], density[4:6] = 1.1e-4, 3e-4
    write_volume(tmp_path / "density.nrrd", density)
    (tmp_path / "structures.json").write_text(json.dumps(ONTOLOGY))
    return tmp_path


def described(*edits, **partition):
    """Return the small description with its layers in one partition of voxels, `base`."""
    given = {"type": "nrrd", "mask_source": "annotation.nrrd"} | partition
    both = [("regions", {}), ("partitions", {"base": given, "top": {"thickness": 80.0}})]
    return edited(*both, *edits)


def placed(plan, cell_type):
    return Nodes(plan.nodes(cell_type)).positions()


def extent(plan, name="base"):
    return build.read(plan.built(f"partition/{name}")).voxels.extent()


def mistakes(folder, tree):
    with pytest.raises(UserError) as caught:
        load(write(folder, tree))
    return [str(m) for m in caught.value.mistakes]


@pytest.mark.parametrize(
    ("partition", "n"),
    [
        ({}, VOXELS),
        ({"mask_value": 2}, VOXELS / 2),
        ({"mask_value": 0}, VOXELS),
        ({"mask_source": None, "sources": ["density.nrrd"]}, 6 * 6 * 4),
        ({"mask_source": None, "sources": ["density.nrrd", "annotation.nrrd"]}, 6 * 6 * 4 + 2 * 5 * 4),
        ({"mask_source": {"file": "annotation.nrrd", "voxel_size": 50}}, 8 * VOXELS),
        ({"mask_source": {"file": "annotation.nrrd", "type": "nrrd"}, "sparse": False}, VOXELS),
    ],
)
def test_the_mask_says_which_voxels_belong_to_a_partition(folder, partition, n):
    assert extent(run(plan_of(folder, described(**partition)), "")).volume == n * 25**3


def test_volumes_go_by_their_names_in_files(folder):
    files = ("files", {"regions": {"type": "nrrd", "file": "annotation.nrrd"}})
    density = ("files.cells", {"type": "nrrd", "file": "density.nrrd"})
    tree = described(files, density, mask_source="regions", sources=["cells"])
    assert extent(run(plan_of(folder, tree), "")).columns == ("cells",)


@pytest.mark.parametrize(
    ("spatial", "n"),
    [
        ({"count": 77}, 77),
        ({"density": 1e-4}, round(VOXELS * 25**3 * 1e-4)),
        ({"density_key": "density"}, IN_DENSITY),
        ({"relative_to": "b", "density_ratio": 0.4}, round(0.4 * IN_DENSITY)),
        ({"relative_to": "b", "count_ratio": 2}, 2 * IN_DENSITY),
        ({"relative_to": "b", "local_count_ratio": 3}, 3 * IN_DENSITY),
    ],
)
@pytest.mark.parametrize("chunk", [50.0, 40.0])
def test_numbers_are_exact_however_chunks_cut_the_voxels(folder, spatial, n, chunk):
    tree = described(
        ("network.chunk_size", chunk),
        ("cell_types.a.spatial", {"radius": 1.0} | spatial),
        ("cell_types.b.spatial", {"radius": 1.0, "density_key": "density"}),
        ("placement.upper.partitions", ["base"]),
        sources=["density.nrrd"],
    )
    plan = run(plan_of(folder, tree, 3))
    positions = placed(plan, "a")
    assert len(positions) == n
    voxel = np.floor(positions / 25).astype(int)
    assert (halves()[tuple(voxel.T)] > 0).all()


def test_cells_follow_the_density_within_chunks(folder):
    density = np.zeros((8, 6, 4))
    density[::2, 2], density[1::2, 3] = 2e-3, 6e-3
    write_volume(folder / "fine.nrrd", density)
    tree = described(
        ("network.chunk_size", 200.0),
        ("cell_types.a.spatial", {"radius": 1.0, "density_key": "fine"}),
        sources=["fine.nrrd"],
    )
    positions = placed(run(plan_of(folder, tree)), "a")
    found = np.zeros(density.shape)
    np.add.at(found, tuple(np.floor(positions / 25).astype(int).T), 1)
    wanted = density * 25**3
    assert len(positions) == round(wanted.sum())
    assert (found[wanted == 0] == 0).all()
    there = wanted > 0  # 31 and 94 cells: the deviations of a multinomial draw
    assert ((found - wanted)[there] ** 2 / wanted[there]).sum() < 32 + 4 * np.sqrt(2 * 32)


def test_cells_of_several_partitions_know_which_they_lie_in(folder):
    tree = described(("placement.lower.partitions", ["top", "base"]), ("partitions.base.mask_value", 2))
    tree["partitions"]["top"] = {"type": "rhomboid", "dimensions": [100, 150, 100]}
    plan = run(plan_of(folder, tree, 2))
    nodes = Nodes(plan.nodes("a"))
    x = nodes.positions()[:, 0]
    assert nodes.column("partition").tolist() == np.where(x < 100, "top", "base").tolist()
    share = VOXELS / 2 * 25**3 / (VOXELS / 2 * 25**3 + 1.5e6)
    assert abs((x >= 100).sum() - 120 * share) <= 1


def test_tiles_and_the_place_of_the_files_change_nothing(folder, tmp_path_factory):
    tree = described(("cell_types.a.spatial", {"radius": 1.0, "density_key": "density"}), sources=["density.nrrd"])
    digests = set()
    for tiles in (1, 5):
        other = tmp_path_factory.mktemp("other")
        for file in folder.glob("*.nrrd"):
            (other / file.name).write_bytes(file.read_bytes())
        plan = run(plan_of(other, tree, tiles))
        with open(plan.nodes("a"), "rb") as file:
            digests.add(file.read())
    assert len(digests) == 1


def test_totals_that_depend_on_voxels_are_guessed_for_estimates_and_unknown_before_they_are_built(folder):
    tree = described(("cell_types.a.spatial", {"radius": 1.0, "density": 1e-4}), sources=["density.nrrd"])
    loaded = load(write(folder, tree))
    assert loaded.totals["lower"] == {} and loaded.guesses["lower"] == {"a": round(8 * 6 * 4 * 25**3 * 1e-4)}
    assert "a" not in loaded.n_cells()
    plan = plan_of(folder, tree)
    assert plan.parts["connect/a_to_b"].slice["expected"] == {"a_to_b": None}
    assert plan.needs["partition/base"].memory_mb > 0


def test_an_edit_of_a_file_is_another_slice_of_its_partition_alone(folder):
    before = plan_of(folder, described())
    write_volume(folder / "annotation.nrrd", halves() * 3)
    after = plan_of(folder, described())
    changed = {name for name in before.parts if before.parts[name].digest != after.parts[name].digest}
    assert changed == {"partition/base"}


@pytest.mark.parametrize(
    ("partition", "where", "says"),
    [
        ({"mask_source": None}, "", 'needs "mask_source" or "sources"'),
        ({"mask_source": "none.nrrd"}, ".mask_source", "none.nrrd cannot be read"),
        ({"mask_source": {"voxel_size": 3}}, ".mask_source", '"file" is missing'),
        ({"mask_source": {"file": "annotation.nrrd", "type": "code"}}, ".mask_source.type", "should be: nrrd"),
        ({"mask_source": 3}, ".mask_source", "should be: a name in `files`"),
        ({"mask_source": {"file": "annotation.nrrd", "voxel_size": 0}}, ".mask_source.voxel_size", "number > 0"),
        ({"mask_value": 1.5}, ".mask_value", "a whole number"),
        ({"mask_source": "structures.json"}, ".mask_source", "no header of an NRRD file"),
        ({"sources": ["vectors.nrrd"]}, ".sources[0]", "has 3 numbers for each voxel"),
        ({"sources": ["coarse.nrrd"]}, ".sources[0]", "its voxels should be as large as"),
        ({"sources": ["moved.nrrd"]}, ".sources[0]", "it should begin where"),
        ({"sources": ["small.nrrd"]}, ".sources[0]", "strict: false takes larger sources"),
        ({"sources": ["small.nrrd"], "strict": False}, ".strict", "may select some that are outside the sources"),
        ({"sources": ["density.nrrd", {"file": "density.nrrd"}]}, "", None),
        ({"sources": [{"file": "density.nrrd"}] * 2}, ".sources[1]", 'another source is called "density"'),
        ({"type": "allen", "struct_id": 1}, "", "nothing is downloaded; get the hierarchy"),
        (
            {"type": "allen", "mask_source": None, "struct_id": 1, "ontology": "structures.json"},
            "",
            "get the annotation",
        ),
        ({"type": "allen", "ontology": "structures.json"}, "", 'either "struct_id" or "struct_name"'),
        ({"type": "allen", "ontology": "structures.json", "struct_id": 3}, ".struct_id", "no structure has the id 3"),
        ({"type": "allen", "ontology": "structures.json", "struct_name": "cortxe"}, ".struct_name", 'mean "Cortex"'),
        ({"type": "allen", "ontology": "structures.json", "struct_name": "@("}, ".struct_name", "regular expression"),
        (
            {"type": "allen", "ontology": "annotation.nrrd", "struct_id": 3},
            ".struct_id",
            "children: 'utf-8' codec",
        ),
    ],
)
def test_what_cannot_be_used_is_a_mistake_where_it_stands(folder, partition, where, says):
    vectors = {"space dimension": 3, "space directions": np.vstack([np.full(3, np.nan), np.eye(3) * 25])}
    write_volume(folder / "vectors.nrrd", np.ones((3, 8, 6, 4)), None, **vectors)
    write_volume(folder / "coarse.nrrd", np.ones((8, 6, 4)), 50.0)
    write_volume(folder / "moved.nrrd", np.ones((8, 6, 4)), 25.0, (0, 0, 5))
    write_volume(folder / "small.nrrd", np.ones((8, 6, 3)))
    tree = described(**{k: v for k, v in partition.items()})
    if says is None:
        load(write(folder, tree))
        return
    assert [m for m in mistakes(folder, tree) if f": partitions.base{where}: " in m and says in m]


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        (
            [("cell_types.a.spatial", {"radius": 1, "planar_density": 1})],
            "no area that a planar density could refer to",
        ),
        ([("cell_types.a.spatial", {"radius": 1, "density_key": "x"})], 'no data volume "x" (its sources: none)'),
        ([("cell_types.b.spatial", {"radius": 1, "density_key": "x"})], 'the partition "top" has no data volume "x"'),
        ([("regions", {"s": {"type": "stack", "children": ["top", "base"]}})], "put it in a group"),
        (
            [("regions", {"s": {"type": "stack", "children": ["top", "g"]}, "g": {"children": ["base"]}})],
            "put it in a group",
        ),
        ([("network.chunk_size", 1e6), ("partitions.base.mask_source.voxel_size", 0.01)], None),
    ],
)
def test_what_a_partition_of_voxels_cannot_do_is_said_before_anything_is_built(folder, edits, says):
    tree = described(*edits, mask_source={"file": "annotation.nrrd"})
    if says:
        assert len([m for m in mistakes(folder, tree) if says in m]) == 1
    else:
        load(write(folder, tree))  # few voxels in all


@pytest.mark.parametrize("key", ["mask_source", "sources"])
def test_a_broken_file_of_files_is_one_mistake_and_the_partitions_that_use_it_none(folder, key):
    (folder / "density.nrrd").write_bytes(b"")
    using = {key: "broken"} if key == "mask_source" else {key: ["broken"]}
    tree = described(("files", {"broken": {"type": "nrrd", "file": "density.nrrd"}}), **using)
    (mistake,) = mistakes(folder, tree)
    assert "files.broken.file" in mistake


def test_properties_are_checked_where_numbers_of_cells_depend_on_voxels(folder):
    distribute = {"distribute": {"x": {"strategy": "constant", "value": 1}}}
    tree = described(("cell_types.a.spatial", {"radius": 2, "density": 1e-6}))
    tree["placement"]["lower"] |= distribute
    (mistake,) = mistakes(folder, tree)
    assert '"x" is a column of every cell' in mistake


def test_a_region_may_hold_voxels_where_they_stay(folder):
    alone = described(("regions", {"s": {"type": "stack", "children": ["base"]}}))
    assert load(write(folder, alone)).boxes["base"].lower == (0, 0, 0)


@pytest.mark.parametrize(
    ("edits", "where", "says"),
    [
        ([("partitions.base.mask_value", 9)], "partitions.base", "no voxel of annotation.nrrd has the value 9"),
        ([("cell_types.a.spatial", {"radius": 40, "density": 1e-4})], "placement.lower", "too dense"),
        (
            [("cell_types.a.spatial", {"radius": 1, "density_key": "bad"})],
            "cell_types.a.spatial",
            "2 voxels of the partition",
        ),
        ([("cell_types.a.spatial", {"radius": 1, "density": 1e9})], "cell_types.a.spatial", "there can be at most"),
    ],
)
def test_what_only_the_voxels_tell_is_a_mistake_of_the_build_job(folder, edits, where, says):
    bad = np.ones((8, 6, 4)) * 1e-5
    bad[0, 1, 0], bad[1, 1, 1], bad[0, 0, 0] = np.nan, -1, np.nan
    write_volume(folder / "bad.nrrd", bad)
    with pytest.raises(UserError) as caught:
        run(plan_of(folder, described(*edits, sources=["bad.nrrd"])), "")
    (mistake,) = caught.value.mistakes
    assert says in mistake.message and dotted(mistake.path) == where


@pytest.mark.parametrize(
    ("structure", "n"),
    [
        ({"struct_id": 997}, VOXELS),
        ({"struct_id": 7}, VOXELS / 2),
        ({"struct_name": " cortex"}, VOXELS / 2),
        ({"struct_name": "cnu"}, VOXELS / 2),
        ({"struct_name": "@^(layer|nuclei)"}, VOXELS),
    ],
)
def test_a_structure_of_an_atlas_has_all_within_it(folder, structure, n):
    given = {"type": "allen", "ontology": "structures.json"} | structure
    assert extent(run(plan_of(folder, described(**given)), "")).volume == n * 25**3


def test_a_hierarchy_need_not_be_wrapped(folder):
    (folder / "plain.json").write_text(json.dumps(ONTOLOGY["msg"][0]))
    assert load(write(folder, described(type="allen", ontology="plain.json", struct_id=2)))


def test_a_partition_of_boxes_has_the_slice_that_it_had(folder):
    assert set(plan_of(folder, small()).parts["partition/top"].slice) == {"schema", "phase", "name", "box", "component"}
