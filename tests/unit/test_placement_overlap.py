"""Placement without overlap, from the description to node files."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, plan_of, run, small
from packings import gap
from snakefold.cells import Population
from snakefold.errors import UserError
from snakefold.placement.packing import lattice
from snakefold.sonata.nodes import Nodes
from snakefold.topology.chunks import Grid
from volumes import write_volume

RADII = {"a": 3.5, "b": 2.5, "big": 7.0}


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    """Let the small volumes of these tests have corners, edges and faces."""
    monkeypatch.setattr(lattice, "LEAST_CELL", 9.7)


def column(**strategy):
    """Return two layers with cells of two types in both, and larger cells that are there before."""
    return {
        "rng": {"seed": 7},
        "network": {"x": 200, "y": 180, "z": 150, "chunk_size": [50, 60, 50]},
        "partitions": {"low": {"thickness": 60.1}, "high": {"thickness": 89.9}},
        "regions": {"all": {"type": "stack", "children": ["low", "high"]}},
        "cell_types": {
            "a": {"spatial": {"radius": RADII["a"], "count": 3500}},
            "b": {"spatial": {"radius": RADII["b"], "density": 6e-4}},
            "big": {"spatial": {"radius": RADII["big"], "count": 100}},
        },
        "placement": {
            "before": {"strategy": "random", "overlap": False, "partitions": ["high"], "cell_types": ["big"]},
            "dense": {
                "strategy": "random",
                "overlap": False,
                "partitions": ["high", "low"],
                "cell_types": ["a", "b"],
                "depends_on": ["before"],
                **strategy,
            },
        },
    }


def built(folder, tree, tiles):
    folder = folder / str(tiles)
    folder.mkdir()
    return run(plan_of(folder, tree, tiles), "place")


def cells_of(plan, *cell_types):
    points = [Nodes(plan.nodes(t)).positions() for t in cell_types]
    return np.concatenate(points), np.repeat([RADII[t] for t in cell_types], list(map(len, points)))


def test_nodes_are_the_same_bytes_for_any_number_of_tiles_and_no_somata_overlap(tmp_path):
    plans = {tiles: built(tmp_path, column(), tiles) for tiles in (1, 2, 7, 27)}
    shas = {tuple(hashlib.sha256(Path(p.nodes(t)).read_bytes()).hexdigest() for t in RADII) for p in plans.values()}
    assert len(shas) == 1
    points, radii = cells_of(plans[7], "a", "b", "big")
    assert gap(points, radii) >= 0
    assert [int((radii == r).sum()) for r in RADII.values()] == [3500, 3240, 100]
    assert (points >= 0).all() and (points < [200, 180, 150]).all()
    before, _ = cells_of(plans[7], "big")
    assert before[:, 2].min() >= np.float32(60.1)


def test_cells_are_told_to_lie_in_the_partition_that_they_lie_in(tmp_path):
    plan = built(tmp_path, column(), 3)
    for cell_type in "ab":
        with Nodes(plan.nodes(cell_type)) as nodes:
            z, partition = nodes.positions()[:, 2], nodes.column("partition").astype(str)
            home = nodes.chunks
        assert ((z < np.float32(60.1)) == (partition == "low")).all()
        assert home.stray > 1


def test_where_somata_may_overlap_nothing_changes(tmp_path):
    plain = column(overlap=True)
    without = column()
    del without["placement"]["dense"]["overlap"]
    one, two, free = (
        built(tmp_path / n, t, 2) for n, t in folders(tmp_path, plain=plain, without=without, free=column())
    )
    assert hashlib.sha256(Path(one.nodes("a")).read_bytes()).digest() == (
        hashlib.sha256(Path(two.nodes("a")).read_bytes()).digest()
    )
    assert gap(*cells_of(one, "a", "b")) < -1
    start, moved = cells_of(one, "a")[0], cells_of(free, "a")[0]
    same = (start == moved).all(axis=1).mean()
    assert 0.02 < same < 0.9, "those that overlap none stay where they are"
    with Nodes(one.nodes("a")) as nodes:
        assert nodes.chunks.stray == 0.0


def folders(folder, **trees):
    for name, tree in trees.items():
        (folder / name).mkdir()
        yield name, tree


def test_no_cell_near_a_box_is_missed_though_cells_stray(tmp_path):
    plan = built(tmp_path, column(), 2)
    population = Population(plan.nodes("b"))
    grid = Grid((0.0, 0.0, 0.0), (50.0, 60.0, 50.0))
    everything = population.all.positions
    table = population.chunks
    lower, upper = grid.bounds(np.repeat(table.chunk, np.diff(table.offsets)))
    outside = np.maximum(lower - everything, everything - upper).max()
    assert outside == table.stray
    missed = 0
    for low, high in zip(*grid.bounds(np.unique(table.chunk)), strict=True):
        inside = ((everything > low) & (everything < high)).all(axis=1)
        found = population.near(grid, low, high, 0.0).node_ids
        assert set(np.flatnonzero(inside).tolist()) <= set(found.tolist())
        missed += int((inside & ~((lower < high) & (upper > low)).all(axis=1)).sum())
    assert missed > 0, "chunks alone would miss some"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("cell_types.a.spatial.radius", ...), r'placement\.dense.*need a radius, which "?a"? should have'),
        (("cell_types.big.spatial.radius", ...), r"placement\.dense.*those of \"?big\"?, which"),
        (
            ("cell_types.a.spatial.count", 15000),
            r"at most 0\.5 of the volume, and would fill 0\.5\d*, 1\.\d+ times that",
        ),
        (("placement.dense.overlap", "never"), r"placement\.dense\.overlap.*(true|boolean)"),
        (("placement.dense.overlap", float("nan")), r"placement\.dense\.overlap"),
    ],
)
def test_mistakes_are_told_before_jobs(tmp_path, change, said):
    tree = edited(change, tree=column())
    with pytest.raises(UserError, match=said):
        plan_of(tmp_path, tree)


def test_a_region_that_is_too_dense_though_the_whole_is_not_is_an_error_of_the_job(tmp_path):
    tree = column()
    tree["placement"]["before"]["overlap"] = True
    tree["cell_types"]["big"]["spatial"] |= {"count": 900}
    tree["cell_types"]["a"]["spatial"] |= {"count": 11000}
    with pytest.raises(UserError, match=r"place dense: chunk .*: the somata cannot be packed .* place fewer cells"):
        built(tmp_path, tree, 1)


# In voxels


def shells(shape=(20, 18, 15)):
    """Return an annotation of voxels of 10 um: 1 in the lower half of a hollow ball, 2 in the upper one."""
    ijk = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in shape), indexing="ij"), -1)
    r = np.linalg.norm(ijk, axis=-1)
    return np.where((r > 0.2) & (r < 0.49), np.where(ijk[..., 2] < 0, 1, 2), 0).astype(np.uint8)


def voxelised(folder, **strategy):
    """Return cells that lie in voxels and a box, by number and by a density, and larger cells that are there before."""
    density = np.where(shells() == 1, 1e-3, 4e-4).astype(np.float32) * (np.arange(20) >= 10)[:, None, None]
    for name, data in {"annotation": shells(), "density": density}.items():
        write_volume(folder / f"{name}.nrrd", data, 10.0)
    tree = column(**{"partitions": ["ball", "box"]} | strategy)
    ball = {"type": "nrrd", "mask_source": "../annotation.nrrd", "sources": ["../density.nrrd"]}
    tree["partitions"] = {"ball": ball, "box": {"type": "rhomboid", "dimensions": [60, 50, 40], "origin": [70, 65, 55]}}
    tree["regions"] = {}
    tree["cell_types"]["a"]["spatial"]["count"] = 2500
    tree["cell_types"]["b"]["spatial"] = {"radius": 2.5, "density_key": "density"}
    tree["placement"]["before"]["partitions"] = ["ball"]
    tree["placement"]["dense"]["overrides"] = {}
    tree["placement"]["by_density"] = tree["placement"]["dense"] | {"partitions": ["ball"], "cell_types": ["b"]}
    tree["placement"]["dense"]["cell_types"] = ["a"]
    tree["placement"]["by_density"]["depends_on"] = ["before", "dense"]
    return tree, density


def in_voxels(points):
    """Return the annotation where points lie, 0 outside."""
    ijk = np.floor(points / np.float32(10)).astype(int)
    there = ((ijk >= 0) & (ijk < shells().shape)).all(axis=1)
    found = np.zeros(len(points), int)
    found[there] = shells()[tuple(ijk[there].T)]
    return found


def test_no_somata_overlap_in_voxels_and_a_density_says_where_they_are(tmp_path):
    tree, density = voxelised(tmp_path)
    plans = {tiles: built(tmp_path, tree, tiles) for tiles in (1, 7)}
    shas = {tuple(hashlib.sha256(Path(p.nodes(t)).read_bytes()).hexdigest() for t in RADII) for p in plans.values()}
    assert len(shas) == 1
    points, radii = cells_of(plans[7], "a", "b", "big")
    assert gap(points, radii) >= 0
    wanted = density[shells() > 0].sum() * 1000
    assert [int((radii == r).sum()) for r in RADII.values()] == [2500, round(float(wanted)), 100]
    in_box = ((points >= np.float32([70, 65, 55])) & (points < [130, 115, 95])).all(axis=1)
    inside = in_voxels(points) > 0
    assert inside[radii != RADII["a"]].all()
    assert (inside | in_box).all() and (~inside).sum() > 100
    with Nodes(plans[1].nodes("a")) as nodes:
        partition = nodes.column("partition").astype(str)
    mine = radii == RADII["a"]
    assert (np.where(inside[mine], "ball", "box") == partition).all()
    upper, found = (density > 0) & (shells() == 2), points[radii == RADII["b"]]
    n = (in_voxels(found) == 2).sum()
    expected = density[upper].sum() * 1000
    assert abs(n - expected) < 3 * np.sqrt(expected), "they drift across that face both ways"
    assert found[:, 0].min() > 100 - 4 * RADII["big"], "none starts where the density is 0"


def test_disks_in_voxels_keep_their_distance_and_the_shortfall_is_told_by_the_build_job(tmp_path, capsys):
    tree, _ = voxelised(tmp_path)
    tree["placement"] = {
        "disks": {
            "strategy": "poisson_disk_placement",
            "min_distance": 14,
            "partitions": ["ball"],
            "cell_types": ["a", "b"],
        }
    }
    plans = [built(tmp_path, tree, tiles) for tiles in (1, 5)]
    shas = {tuple(hashlib.sha256(Path(p.nodes(t)).read_bytes()).hexdigest() for t in "ab") for p in plans}
    assert len(shas) == 1
    distance, n = distance_of(plans[0])
    most = 0.36 * (shells() > 0).sum() * 1000 / (np.pi / 6 * 14**3)
    assert distance >= 14
    assert most - 2 <= n <= most
    assert (in_voxels(cells_of(plans[0], "a", "b")[0]) > 0).all()
    assert f"warning: placement.disks: about {most:.0f} of " in capsys.readouterr().err


def test_what_voxels_cannot_hold_is_an_error_of_the_build_job(tmp_path):
    tree, _ = voxelised(tmp_path)
    tree["cell_types"]["a"]["spatial"]["count"] = 30000
    with pytest.raises(
        UserError, match=r"placement\.dense: too dense: somata that do not overlap can fill at most 0\.5"
    ):
        built(tmp_path, tree, 1)


@pytest.mark.parametrize(("cell_type", "by"), [("a", "dense"), ("b", "by_density"), ("big", "by_density")])
def test_a_radius_that_is_missing_is_told_before_jobs_though_voxels_are_not_known(tmp_path, cell_type, by):
    tree, _ = voxelised(tmp_path)
    del tree["cell_types"][cell_type]["spatial"]["radius"]
    (tmp_path / "1").mkdir()
    with pytest.raises(UserError, match=rf"placement\.{by}: somata .*\"?{cell_type}\"?"):
        plan_of(tmp_path / "1", tree)


SMALL_UM3, WANTED = 200 * 100 * 150, 120 + 150


def disk(**keys):
    tree = small()
    tree["placement"]["lower"] = {
        "strategy": "poisson_disk_placement",
        "partitions": ["base", "top"],
        "cell_types": ["a", "b"],
        **keys,
    }
    del tree["placement"]["upper"]
    return tree | {"connectivity": {}, "simulations": {}}


def distance_of(plan):
    from scipy.spatial import cKDTree

    points = np.concatenate([Nodes(plan.nodes(t)).positions() for t in "ab"]).astype(float)
    return cKDTree(points).query(points, k=2)[0][:, 1].min(), len(points)


def test_poisson_disks_keep_their_distance_for_any_number_of_tiles(tmp_path):
    plans = [built(tmp_path, disk(min_distance=14), tiles) for tiles in (1, 5)]
    shas = {tuple(hashlib.sha256(Path(p.nodes(t)).read_bytes()).hexdigest() for t in "ab") for p in plans}
    assert len(shas) == 1
    distance, n = distance_of(plans[0])
    assert distance >= 14
    assert n == WANTED
    assert not [w for w in plans[0].warnings if "will be placed" in w]


def test_more_disks_than_have_a_place_are_placed_in_part_and_the_shortfall_is_told(tmp_path):
    plan = built(tmp_path, disk(min_distance=40), 2)
    distance, n = distance_of(plan)
    most = 0.36 * SMALL_UM3 / (np.pi / 6 * 40**3)
    assert distance >= 40
    assert most - 2 <= n <= most
    assert any(f"about {most:.0f} of " in w and "40 um" in w for w in plan.warnings)


def test_without_a_distance_it_is_that_of_a_lattice_and_a_seed_of_its_own_counts_alone(tmp_path):
    found = []
    for name, root, seed in (("x", 1, 5), ("y", 2, 5), ("z", 1, 6)):
        (tmp_path / name).mkdir()
        plan = built(tmp_path / name, disk(seed=seed) | {"rng": {"seed": root}}, 1)
        found.append(np.concatenate([Nodes(plan.nodes(t)).positions() for t in "ab"]))
        distance, n = distance_of(plan)
        assert distance >= (SMALL_UM3 / WANTED) ** (1 / 3)
        assert n < WANTED
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_entities_are_in_nobodys_way(tmp_path):
    found = []
    for name, before in (("with", ["before", "nowhere"]), ("without", ["before"])):
        tree = column(depends_on=before)
        tree["cell_types"]["ghost"] = {"entity": True, "spatial": {"radius": 40, "count": 3}}
        tree["placement"]["nowhere"] = {"strategy": "entities", "partitions": ["low"], "cell_types": ["ghost"]}
        (tmp_path / name).mkdir()
        found.append(cells_of(built(tmp_path / name, tree, 1), "a", "b")[0])
    assert (found[0] == found[1]).all()
