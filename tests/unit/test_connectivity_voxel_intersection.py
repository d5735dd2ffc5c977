import os
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from descriptions import connect_inputs, edited, plan_of, run, write
from fakes import build
from grown import ShapedCells, connected, grown
from shapes import CELL, OTHER
from snakefold.connectivity import boxes, contacts
from snakefold.connectivity.contacts import Wanted, blocks, near, turned, unturned
from snakefold.connectivity.sampling import Draws
from snakefold.connectivity.touch import Placed, Touched, Turned, thick
from snakefold.connectivity.voxel_intersection import VoxelIntersection, _cumulative
from snakefold.errors import UserError
from snakefold.loading import BrokenCircuit, load
from snakefold.morphology.rotations import matrices, turned_by, uniform
from snakefold.morphology.voxels import divisions, edges_of, voxelize
from snakefold.sonata.edges import Edges

SHAPES = {f"s{seed}": grown(seed) for seed in range(4)} | {
    "flat": grown(7, flat=[2]),
    "line": grown(8, flat=[0, 2]),
    "point": grown(9, n_branches=1, flat=[0, 1, 2]),
}
PAIRS = [("s0", "s1", 60, 90), ("s2", "s2", 80, 80), ("s3", "s0", 1, 200), ("s1", "s3", 300, 2)]
FLAT = [("flat", "s1", 60, 60), ("s1", "flat", 60, 60), ("line", "flat", 30, 60), ("point", "point", 9, 9)]


def sizes(name, n):
    """The edges of a voxel, from the definition; what has no extent is made a little thick."""
    points = SHAPES[name].points
    sides = points.max(axis=0) - points.min(axis=0)
    edges = sides / divisions(sides, n)
    return np.maximum(edges, edges.max() / 32) if edges.max() else np.ones(3)


def in_voxels(points, size):
    found = {}
    for i, point in enumerate(points):
        found.setdefault(tuple(np.floor(point / size)), []).append(i)
    return found


def brute(pre, post, n_pre, n_post, apart, turn=None, labels=(None, None)):
    """Which points of two cells lie in voxels that touch, (n, m) bool: voxel by voxel, from the definition."""
    a, b = SHAPES[pre], SHAPES[post]
    which = [
        np.ones(len(m), bool) if wanted is None else m.labelled(wanted)
        for m, wanted in zip((a, b), labels, strict=True)
    ]
    turn = np.eye(3) if turn is None else turn
    s, t = sizes(pre, n_pre), sizes(post, n_post)
    own, other = in_voxels(a.points, s), in_voxels(b.points @ turn.T + apart, t)
    touch = np.zeros((len(a), len(b)), bool)
    at, j = list(other.values()), np.array(list(other))
    for i, mine in own.items():
        i = np.array(i)
        for k in np.flatnonzero(((i * s <= j * t + t) & (j * t <= i * s + s)).all(axis=1)):
            touch[np.ix_(mine, at[k])] = True
    return touch & which[0][:, None] & which[1]


def tables(pre, post, n_pre, n_post, labels=(None, None), turns=False):
    a, b = SHAPES[pre], SHAPES[post]
    own = voxelize(a, size=thick(edges_of(a, n_pre)), labels=labels[0])
    other = voxelize(b, size=thick(edges_of(b, n_post)), labels=labels[1])
    places = b.points[other.points]
    touched = Touched.make(own, other.size, Placed.margin(places, other.size))
    made = Turned.make(other, places, touched) if turns else Placed.make(places, other.points, touched)
    return touched, made


def reach(pre, post):
    return np.ptp(SHAPES[pre].points, axis=0) / 2 + np.ptp(SHAPES[post].points, axis=0) / 2


def apart(pre, post, n, seed=0):
    """Displacements of cells, most of which are near enough, among them none and some by whole voxels."""
    rng = np.random.default_rng(seed)
    found = rng.uniform(-1, 1, (n, 3)) * (reach(pre, post) + sizes(pre, 60) + sizes(post, 60))
    found[0] = 0
    found[1:5] = rng.integers(-2, 3, (4, 3)) * sizes(post, 60)
    return found


def wanted(n, seed=1):
    cumulative = np.append(np.zeros(n), 1.0)
    return Wanted(cumulative, Draws(np.random.Generator(np.random.Philox(key=seed))), 0)


def chi2(counts, among):
    """Chi-square of counts per place that should be alike where `among` holds, against its expectation, in sd."""
    assert counts[~among].sum() == 0
    mean, n = counts.sum() / among.sum(), among.sum() - 1
    return (((counts[among] - mean) ** 2 / mean).sum() - n) / np.sqrt(2 * n)


@pytest.mark.parametrize(("pre", "post", "n_pre", "n_post"), PAIRS + FLAT)
@pytest.mark.parametrize("labels", [(None, None), (["axon"], ["dendrite", "soma"])])
def test_as_many_pairs_of_points_touch_as_by_brute_force(pre, post, n_pre, n_post, labels):
    if "point" in (pre, post) and labels[0]:
        labels = (["soma"], ["soma"])
    touched, placed = tables(pre, post, n_pre, n_post, labels)
    d = apart(pre, post, 60)
    have, certain = np.zeros(len(d), int), np.zeros(len(d), bool)
    for inside, block in blocks(touched, placed, d):
        have[inside], certain[inside] = block.weights(np.arange(len(inside))), block.sure
    want = np.array([brute(pre, post, n_pre, n_post, x, labels=labels).sum() for x in d])
    assert have.tolist() == want.tolist()
    assert (want > 0).sum() > 5 and (want[certain] > 0).all()
    hits = np.unique(unturned(touched, placed, d, wanted(1)).pair)
    assert hits.tolist() == np.flatnonzero(want).tolist()


@pytest.mark.parametrize(("pre", "post", "n_pre", "n_post"), PAIRS + FLAT)
def test_as_many_pairs_of_points_of_turned_cells_touch_as_by_brute_force(pre, post, n_pre, n_post):
    touched, made = tables(pre, post, n_pre, n_post, turns=True)
    d, turn = apart(pre, post, 40, 1), matrices(uniform(40, np.random.default_rng(3)))
    turn[:3] = np.eye(3)
    have = np.zeros(len(d), int)
    for a, b, pair, _, voxel in near(touched, made, d, turn):
        have[a:b] = np.bincount(pair, weights=touched.n[voxel], minlength=b - a)
    want = [brute(pre, post, n_pre, n_post, x, r).sum() for x, r in zip(d, turn, strict=True)]
    assert have.tolist() == want and np.count_nonzero(want) > 8
    hits = np.unique(turned(touched, made, d, turn, wanted(1)).pair)
    assert hits.tolist() == np.flatnonzero(want).tolist()


@pytest.mark.parametrize("rounds", [0, 1, 8])
@pytest.mark.parametrize("turns", [False, True])
def test_contacts_are_uniform_over_all_pairs_of_points_that_touch(monkeypatch, rounds, turns):
    monkeypatch.setattr(contacts, "ROUNDS", rounds)
    name = "s0", "s1", 60, 90
    touched, made = tables(*name, turns=turns)
    rng = np.random.default_rng(2)
    turn = matrices(uniform(1, rng))[0] if turns else np.eye(3)
    n = 0
    for d in apart("s0", "s1", 12)[[0, 2, 5, 6, 7, 8, 9]]:
        among = brute(*name, d, turn)
        if not among.sum() > 1:
            continue
        k, pairs = min(int(10 * among.sum()), 10**6), np.tile(d, (2, 1))
        found = (
            turned(touched, made, pairs, np.tile(turn, (2, 1, 1)), wanted(k))
            if turns
            else unturned(touched, made, pairs, wanted(k))
        )
        assert np.bincount(found.pair).tolist() == [k, k]
        counts = np.zeros(among.shape)
        np.add.at(counts, (found.source, found.target), 1)
        assert abs(chi2(counts, among)) < 4.5
        n += 1
    assert n >= 2


def cells(n, names, seed, turns=False, box=(150, 120, 100)):
    rng = np.random.default_rng(seed)
    rotations = uniform(n, rng) if turns else None
    return ShapedCells(rng.uniform(0, box, (n, 3)), names, rng.integers(0, len(names), n), rotations)


def corners(cell_set, i):
    points = SHAPES[cell_set.morphologies[cell_set.morphology[i]]].points
    box = np.array(list(product(*np.stack([points.min(axis=0), points.max(axis=0)]).T)))
    if cell_set.rotations is not None:
        box = turned_by(np.tile(cell_set.rotations[i], (8, 1)), box)
    box = box + cell_set.positions[i].astype(float)
    return box.min(axis=0), box.max(axis=0)


def meeting(sources, targets):
    """Pairs of cells whose boxes meet, {(i, j)}, by a loop over all."""
    boxes = [[corners(of, i) for i in range(len(of))] for of in (sources, targets)]
    found = set()
    for (i, (a, b)), (j, (c, d)) in product(enumerate(boxes[0]), enumerate(boxes[1])):
        if (a <= d).all() and (c <= b).all():
            found.add((i, j))
    return found


@pytest.mark.parametrize("turns", [(False, False), (True, True), (True, False)])
def test_connected_are_the_cells_that_touch_and_no_others(turns):
    """Several types and morphologies, labels that one morphology lacks, a pair left out, cells that are their own candidates."""
    only_soma = {"soma": grown(5, n_branches=1)}
    shapes = SHAPES | only_soma
    a, b, c = (
        cells(30, ["s0", "s1"], 1, turns[0]),
        cells(25, ["s2", "soma"], 2, turns[1]),
        cells(9, ["s3"], 3, turns[1]),
    )
    strategy = build(VoxelIntersection, "ab", "abc", voxels_pre=60, voxels_post=90, output_naming={"b": {"a": None}})
    strategy.postsynaptic.morphology_labels = ["axon", "dendrite"]
    given = {"a": a, "b": b, "c": c}
    made = connected(strategy, {t: given[t] for t in "ab"}, given, shapes)
    assert set(made) == {*product("ab", "abc")} - {("b", "a")}
    SHAPES.update(only_soma)
    try:
        for (pre, post), synapses in made.items():
            want = set()
            for i, j in meeting(given[pre], given[post]):
                names = [of.morphologies[of.morphology[k]] for of, k in ((given[pre], i), (given[post], j))]
                if names[1] == "soma":
                    continue
                rotations = [
                    np.eye(3) if of.rotations is None else matrices(of.rotations[[k]])[0]
                    for of, k in ((given[pre], i), (given[post], j))
                ]
                d = given[post].positions[j].astype(float) - given[pre].positions[i].astype(float)
                touch = brute(
                    *names, 60, 90, rotations[0].T @ d, rotations[0].T @ rotations[1], (None, ["axon", "dendrite"])
                )
                want |= {(i, j)} if touch.any() else set()
            have = list(zip(synapses.source.tolist(), synapses.target.tolist(), strict=True))
            assert sorted(have) == sorted(want)
            if pre == post == "a":
                assert {(i, i) for i in range(16)} <= want
    finally:
        del SHAPES["soma"]


@pytest.mark.parametrize("turns", [False, True])
def test_no_size_of_a_block_changes_anything(monkeypatch, turns):
    sources, targets = cells(60, ["s0", "s1"], 1, turns), cells(70, ["s2", "s3"], 2, turns)
    strategy = build(VoxelIntersection, "a", "b", affinity=0.3, contacts={"distribution": "norm", "loc": 5, "scale": 3})
    results = []
    for pairs, voxels in ((1 << 16, 1 << 18), (50, 1 << 18), (1 << 16, 300), (1, 1)):
        monkeypatch.setattr(boxes, "AT_ONCE", pairs)
        monkeypatch.setattr(contacts, "AT_ONCE", voxels)
        (made,) = connected(strategy, {"a": sources}, {"b": targets}, SHAPES).values()
        columns = {"source": made.source, "target": made.target, **made.columns}
        results.append({name: np.asarray(values).tolist() for name, values in columns.items()})
    assert len(results[0]["source"]) > 500
    for other in results[1:]:
        assert other == results[0]


def test_numbers_of_contacts_are_draws_rounded_towards_0():
    strategy = build(VoxelIntersection, "a", "b", contacts={"distribution": "norm", "loc": 2.5, "scale": 1.5})
    sources, targets = cells(200, ["s0"], 1), cells(200, ["s1"], 2)
    (made,) = connected(strategy, {"a": sources}, {"b": targets}, SHAPES).values()
    n = np.unique(np.stack([made.source, made.target]), axis=1, return_counts=True)[1]
    drawn = np.maximum(np.random.default_rng(1).normal(2.5, 1.5, 10**6).astype(int), 0)
    n_pairs = connected(build(VoxelIntersection, "a", "b"), {"a": sources}, {"b": targets}, SHAPES)[
        "a", "b"
    ].source.size
    want, have = np.bincount(drawn, minlength=12)[1:8] / 1e6, np.bincount(n, minlength=12)[1:8] / n_pairs
    assert n_pairs > 5000
    assert (np.abs(have - want) < 4.5 * np.sqrt(want / n_pairs)).all()


@pytest.mark.parametrize(
    ("contacts_", "probabilities"),
    [
        (2.7, [0, 0, 1]),
        (0, [1]),
        (-3, [1]),
        ({"distribution": "randint", "low": 1, "high": 3}, [0, 0.5, 1]),
        ({"distribution": "uniform", "loc": -1, "scale": 4}, [0.5, 0.75, 1]),
    ],
)
def test_the_probabilities_of_numbers_of_contacts(contacts_, probabilities):
    made = _cumulative(build(VoxelIntersection, "a", "b", contacts=contacts_).contacts)
    assert made[: len(probabilities)] == pytest.approx(probabilities) and made[-1] == 1


def test_more_contacts_than_can_be_meant_and_too_many_voxels_are_told():
    strategy = build(VoxelIntersection, "a", "b", contacts={"distribution": "cauchy"})
    assert "never more than 1000000" in strategy.faults({})[0][1]
    with pytest.raises(UserError, match="never more"):
        _cumulative(strategy.contacts)
    few = build(VoxelIntersection, "a", "b", voxels_post=10**12)
    with pytest.raises(UserError, match="ask for fewer"):
        connected(few, {"a": cells(2, ["s0"], 1)}, {"b": cells(2, ["s1"], 1)}, SHAPES)


def test_cells_of_empty_chunks_and_without_morphologies_make_no_contacts():
    strategy = build(VoxelIntersection, "a", "b")
    none, some = ShapedCells(np.empty((0, 3)), ["s0"]), cells(5, ["s1", ""], 1)
    assert len(connected(strategy, {"a": none}, {"b": some}, SHAPES)["a", "b"].source) == 0
    assert len(connected(strategy, {"a": some}, {"b": none}, SHAPES)["a", "b"].source) == 0
    made = connected(strategy, {"a": some}, {"b": some}, SHAPES)["a", "b"]
    assert set(made.source.tolist()) == set(np.flatnonzero(some.morphology == 0).tolist())


def described(tmp_path, *edits):
    for name, text in {"pyr.swc": CELL, "int.swc": OTHER}.items():
        (tmp_path / name).write_text(text)
    return edited(
        ("morphologies", ["pyr.swc", "int.swc"]),
        ("cell_types.a.spatial.morphologies", ["pyr"]),
        ("cell_types.b.spatial.morphologies", ["pyr", "int"]),
        ("placement.upper.partitions", ["base"]),
        ("cell_types.a.spatial.count", 500),
        ("connectivity.a_to_b", {"strategy": "bsb.connectivity.VoxelIntersection", "affinity": 0.7}),
        ("connectivity.a_to_b.contacts", {"distribution": "norm", "loc": 4, "scale": 1}),
        ("connectivity.a_to_b.presynaptic", {"cell_types": ["a"], "morphology_labels": ["axon"]}),
        ("connectivity.a_to_b.postsynaptic", {"cell_types": ["b"]}),
        *edits,
    )


@pytest.mark.parametrize("rotations", ["none", "random"])
def test_any_number_of_tiles_makes_the_same_edges_with_locations(tmp_path, rotations):
    tree = described(tmp_path, ("placement.lower.distribute.rotations.strategy", rotations))
    found = []
    for tiles in (1, 3):
        folder = tmp_path / str(tiles)
        folder.mkdir()
        tree = described(folder, ("placement.lower.distribute.rotations.strategy", rotations))
        edges = Edges(run(plan_of(folder, tree, tiles)).edges("a_to_b"))
        found.append({name: edges.column(name).tolist() for name in edges.columns})
    assert found[0] == found[1]
    assert len(found[0]["afferent_section_id"]) > 50
    assert {*found[0]["efferent_section_id"]} == {0, 4}  # the axon of the source's morphology, and where it leaves


@pytest.mark.parametrize(
    "name",
    [
        "voxel_intersection",
        "VoxelIntersection",
        "bsb.connectivity.VoxelIntersection",
        "bsb.connectivity.detailed.VoxelIntersection",
        "bsb.connectivity.detailed.voxel_intersection.VoxelIntersection",
    ],
)
def test_it_goes_by_the_bsbs_names(tmp_path, name):
    loaded = load(write(tmp_path, described(tmp_path, ("connectivity.a_to_b.strategy", name))))
    assert isinstance(loaded.circuit.connectivity["a_to_b"], VoxelIntersection)


SHAPED = (("a", "pyr"), ("b", "int"))


def test_synapses_are_estimated_by_pairs_of_cells(tmp_path):
    """Also where of all pairs few meet: in a circuit 30 times as long there are 30 times as many synapses."""
    shapes = ("cell_types.b.spatial.morphologies", ["pyr", "int"])
    many = ("cell_types.a.spatial.count", 5000), ("cell_types.b.spatial", {"radius": 2.0, "count": 2000})
    plan = run(plan_of(tmp_path, described(tmp_path, *many, shapes)))
    about = plan.synapses["a_to_b"]
    assert not about.known
    assert about.mean == pytest.approx(Edges(plan.edges("a_to_b")).n, rel=0.1)
    more = ("cell_types.a.spatial.count", 150_000), ("cell_types.b.spatial", {"radius": 2.0, "count": 60_000})
    longer = plan_of(tmp_path, described(tmp_path, *more, shapes, ("network.x", 6000.0))).synapses["a_to_b"]
    assert longer.mean == pytest.approx(30 * about.mean, rel=0.15)


def test_large_circuits_have_several_tiles(tmp_path):
    sizes = [(f"cell_types.{t}.spatial", {"radius": 0.1, "count": 10**6, "morphologies": [m]}) for t, m in SHAPED]
    tree = described(tmp_path, *sizes, ("network.x", 4000.0), ("connectivity.a_to_b.contacts", 0.1))
    assert plan_of(tmp_path, tree, None).connections["a_to_b"].tiles == 1  # no contacts at all
    tree = described(tmp_path, *sizes, ("network.x", 4000.0), ("connectivity.a_to_b.contacts", 100))
    plan = plan_of(tmp_path, tree, None)
    assert plan.connections["a_to_b"].tiles == np.ceil(plan.synapses["a_to_b"].mean / 2e7) > 10


def test_labels_that_no_point_has_are_told(tmp_path):
    with pytest.raises(BrokenCircuit, match="axxon"):
        load(write(tmp_path, described(tmp_path, ("connectivity.a_to_b.presynaptic.morphology_labels", ["axxon"]))))


def test_jobs_do_without_scipy(tmp_path):
    plan = run(plan_of(tmp_path, described(tmp_path)), "place")
    code = "import sys; from snakefold.connectivity.tile import *; "
    code += (
        f"prepare({replace(connect_inputs(plan, 'a_to_b'), prepared='')!r}, 'p.h5'); assert 'scipy' not in sys.modules"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths})


def test_voxels_that_are_much_smaller_than_those_of_the_source_are_too_many():
    """Without memory for each of them."""
    own = voxelize(SHAPES["s0"], size=np.full(3, 1e3))
    with pytest.raises(UserError, match=r"at most 7e.07 voxels .* ask for fewer"):
        Touched.make(own, np.full(3, 1e-6), np.ones(3, np.int64))
    with pytest.raises(UserError, match=r"at most 1e.08 pairs .* ask for fewer"):
        Touched.make(voxelize(SHAPES["s0"], size=np.full(3, 500.0)), np.full(3, 4.0), np.ones(3, np.int64))


def test_contacts_and_affinities_that_leave_no_synapses_are_told(tmp_path):
    told = {}
    for key, value in (("contacts", 0.5), ("contacts", 1), ("affinity", 0), ("affinity", 0.1)):
        loaded = load(write(tmp_path, described(tmp_path, (f"connectivity.a_to_b.{key}", value))))
        told[key, value] = [str(warning) for warning in loaded.warnings if "no synapses" in str(warning)]
    assert [len(words) for words in told.values()] == [1, 0, 1, 0]
    assert "connectivity.a_to_b.contacts: are always below 1" in told["contacts", 0.5][0]
