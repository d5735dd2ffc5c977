from dataclasses import replace

import numpy as np
import pytest

from fakes import build
from snakefold.config.context import BuildContext, building
from snakefold.connectivity import boxes, shape_intersection
from snakefold.connectivity.locations import locate
from snakefold.connectivity.sampling import Draws
from snakefold.connectivity.shape_intersection import MorphologyToShape, ShapeToMorphology, ShapeToShape
from snakefold.connectivity.shapes import clouds
from snakefold.connectivity.strategy import Given
from snakefold.morphology.rotations import turned_by
from trees import cells, tree

NAMES = ("", "p", "q")
BALL = {"type": "sphere", "origin": [2, 0, 0], "radius": 12}
POST = {"type": "cone", "apex": [0, 0, 0], "origin": [0, 5, 20], "radius": 9}
ROD = {"type": "cylinder", "origin": [-10, 0, 0], "top_center": [10, 0, 0], "radius": 4}


def shapes(*some, labels=None, voxel_size=3.0):
    labels = [["soma"]] * len(some) if labels is None else labels
    return {"shapes_composition": {"shapes": list(some), "labels": labels, "voxel_size": voxel_size}}


def strategy(cls, pre=None, post=None, affinity=1, pruning_ratio=1, **more):
    sides = {"presynaptic": {"cell_types": ["a"]} | (pre or {}), "postsynaptic": {"cell_types": ["b"]} | (post or {})}
    return build(cls, "a", "b", **sides, affinity=affinity, pruning_ratio=pruning_ratio, **more)


@pytest.fixture(scope="module")
def morphologies():
    rng = np.random.default_rng(12)
    return {"p": tree(rng, 6), "q": tree(rng, 9)}


def connected(of, sources, targets, morphologies=None, seed=1):
    given = Given(morphologies=morphologies or {})
    if of.prepares():
        given = replace(given, prepared=of.prepare({"a": sources}, {"b": targets}, given))
    rng = np.random.Generator(np.random.Philox(seed))
    return of.connect({"a": sources}, {"b": targets}, rng, given)["a", "b"]


def numbers(made, n, m):
    """Return how many synapses each pair of cells has, (n, m)."""
    return np.bincount(made.source * m + made.target, minlength=n * m).reshape(n, m)


def test_as_many_contacts_as_points_of_a_cloud_lie_in_the_other_shape():
    """The mean over many pairs of cells as far apart is the number of points times the share of the volume that overlaps."""
    one = strategy(ShapeToShape, shapes(BALL), shapes(BALL))
    n_points = int(4 / 3 * np.pi * 12**3 // 27)
    for apart in (0.0, 6.0, 15.0, 23.0, 25.0):
        sources, targets = cells(np.random.default_rng(1), 80, 0.0), cells(np.random.default_rng(1), 3, 0.0)
        targets.positions[:, 1] = apart
        x = apart / 12
        share = max(0.0, (1 - x / 2) ** 2 * (1 + x / 4)) if x < 2 else 0.0  # of two balls of the same radius
        got = numbers(connected(one, sources, targets), 80, 3)
        assert (got == got[:, :1]).all()  # one cloud for all targets
        spread = np.sqrt(n_points * share * (1 - share) / 80)
        assert got.mean() == pytest.approx(n_points * share, abs=5 * spread + 0.02 * share)


def test_contacts_are_all_points_of_each_source_cells_own_cloud_in_any_shape_of_a_target():
    rng = np.random.default_rng(2)
    sources, targets = cells(rng, 40, 90.0), cells(rng, 30, 90.0)
    one = strategy(ShapeToShape, shapes(ROD, BALL, voxel_size=4), shapes(POST, ROD))
    got = numbers(connected(one, sources, targets), 40, 30)
    numbers_ = one.presynaptic.shapes_composition.numbers(one.presynaptic.shapes)
    drawn = clouds(Draws(np.random.Generator(np.random.Philox(1)))(0), one.presynaptic.shapes, numbers_, 40)
    want = np.zeros((40, 30), int)
    for i in range(40):
        for j in range(30):
            at = (drawn[i] + (sources.positions[i].astype(float) - targets.positions[j])).T
            want[i, j] = np.any([s.inside(*at) for s in one.postsynaptic.shapes], axis=0).sum()
    np.testing.assert_array_equal(got, want)
    assert (want > 0).sum() > 20 and (want == 0).sum() > 20


def by_hand(of, shaped, others, side, morphologies):
    """Return (cell with shapes, cell with a morphology, point) of every point that lies in a shape."""
    found = set()
    for j in range(len(others)):
        if not NAMES[others.morphology[j]]:
            continue
        shape = morphologies[NAMES[others.morphology[j]]]
        points = side.points_of(shape)
        place = turned_by(np.repeat(others.rotations[j][None], len(points), axis=0), shape.points[points])
        place = place + others.positions[j].astype(float)
        for i in range(len(shaped)):
            at = (place - shaped.positions[i].astype(float)).T
            found |= {(i, j, int(p)) for p in points[np.any([s.inside(*at) for s in of.shapes], axis=0)]}
    return found


@pytest.mark.parametrize("labels", [None, ["even"]])
@pytest.mark.parametrize("cls", [MorphologyToShape, ShapeToMorphology])
def test_contacts_are_the_points_of_turned_morphologies_in_the_shapes(cls, labels, morphologies):
    rng = np.random.default_rng(3)
    of_points = {"morphology_labels": labels} if labels else {}
    to_shape = cls is MorphologyToShape
    one = strategy(cls, *((of_points, shapes(POST, BALL)) if to_shape else (shapes(POST, BALL), of_points)))
    with_points, with_shapes = cells(rng, 15, 50.0, NAMES), cells(rng, 12, 50.0)
    sides = (with_points, with_shapes) if to_shape else (with_shapes, with_points)
    made = connected(one, *sides, morphologies)
    points, shape_side, side = (
        (one.presynaptic, one.postsynaptic, "efferent") if to_shape else (one.postsynaptic, one.presynaptic, "afferent")
    )
    want = by_hand(shape_side, with_shapes, with_points, points, morphologies)
    assert set(made.columns) == {f"{side}_{c}" for c in ("section_id", "section_pos", "segment_id", "segment_offset")}
    i, j = (made.target, made.source) if to_shape else (made.source, made.target)
    got = [
        (*c, *(made.columns[name][k] for name in sorted(made.columns))) for k, c in enumerate(zip(i, j, strict=True))
    ]
    expected = []
    for a, b, p in want:
        where = locate(side, morphologies[NAMES[with_points.morphology[b]]], np.array([p]))
        expected.append((a, b, *(where[name][0] for name in sorted(where))))
    assert len(want) > 20 and sorted(got) == sorted(expected)


def test_affinity_keeps_a_share_of_the_contacts_of_two_cells(morphologies):
    rng = np.random.default_rng(4)
    sources, targets = cells(rng, 20, 30.0, NAMES[1:]), cells(rng, 20, 30.0)
    whole = numbers(connected(strategy(MorphologyToShape, {}, shapes(BALL)), sources, targets, morphologies), 20, 20)
    kept = strategy(MorphologyToShape, {}, shapes(BALL), affinity=0.3)
    made = connected(kept, sources, targets, morphologies)
    got = numbers(made, 20, 20)
    assert whole.max() > 5
    np.testing.assert_array_equal(got, np.where(whole > 0, np.maximum(np.floor(0.3 * whole), 1), 0))
    places = list(zip(made.source, made.target, *made.columns.values(), strict=True))
    assert len(set(places)) > 0.9 * len(places)  # no point is chosen twice, though some lie at the same place
    none = strategy(MorphologyToShape, {}, shapes(BALL), affinity=0)
    assert len(connected(none, sources, targets, morphologies).source) == 0


def test_affinity_of_clouds_keeps_the_mean():
    rng = np.random.default_rng(5)
    sources, targets = cells(rng, 60, 30.0), cells(rng, 60, 30.0)
    whole = numbers(connected(strategy(ShapeToShape, shapes(BALL), shapes(ROD)), sources, targets), 60, 60)
    got = numbers(connected(strategy(ShapeToShape, shapes(BALL), shapes(ROD), 0.07), sources, targets), 60, 60)
    exact = 0.07 * whole
    assert ((got == np.floor(exact)) | (got == np.floor(exact) + 1)).all() and (got[whole == 0] == 0).all()
    rest = exact - np.floor(exact)
    assert abs(got.sum() - exact.sum()) < 5 * np.sqrt((rest * (1 - rest)).sum())


@pytest.mark.parametrize("ratio", [0.0, 0.37, 1.0])
def test_pruning_keeps_a_share_of_all(ratio, morphologies):
    rng = np.random.default_rng(4)
    sources, targets = cells(rng, 20, 30.0, NAMES[1:]), cells(rng, 20, 30.0, NAMES[1:])
    for cls, pre, post in (
        (MorphologyToShape, {}, shapes(BALL)),
        (ShapeToMorphology, shapes(BALL), {}),
        (ShapeToShape, shapes(BALL), shapes(ROD)),
    ):
        whole = connected(strategy(cls, pre, post), sources, targets, morphologies)
        some = connected(strategy(cls, pre, post, 1, ratio), sources, targets, morphologies)
        assert abs(len(some.source) - ratio * len(whole.source)) < 1
        assert (numbers(some, 20, 20) <= numbers(whole, 20, 20)).all()
        assert all(len(c) == len(some.source) for c in some.columns.values())


@pytest.mark.parametrize("cls", [ShapeToShape, MorphologyToShape, ShapeToMorphology])
def test_no_size_of_blocks_changes_what_is_connected(cls, morphologies, monkeypatch):
    rng = np.random.default_rng(6)
    sources, targets = cells(rng, 20, 35.0, NAMES), cells(rng, 22, 35.0, NAMES)
    pre = {} if cls is MorphologyToShape else shapes(BALL, voxel_size=7)
    post = {} if cls is ShapeToMorphology else shapes(POST)
    one = strategy(cls, pre, post, 0.4, 0.8)
    whole = connected(one, sources, targets, morphologies)
    assert len(whole.source) > 50
    monkeypatch.setattr(shape_intersection, "MOST_AT_ONCE", 25)
    monkeypatch.setattr(boxes, "AT_ONCE", 9)
    parts = connected(one, sources, targets, morphologies)
    np.testing.assert_array_equal([whole.source, whole.target], [parts.source, parts.target])
    for column, values in whole.columns.items():
        np.testing.assert_array_equal(values, parts.columns[column])


def test_labels_select_shapes():
    rng = np.random.default_rng(7)
    sources, targets = cells(rng, 30, 60.0), cells(rng, 30, 60.0)
    both = shapes(BALL, ROD, labels=[["soma"], ["axon", "far"]])
    some = strategy(ShapeToShape, both | {"morphology_labels": ["far", "other"]}, shapes(POST))
    alone = strategy(ShapeToShape, shapes(ROD), shapes(POST))
    a, b = connected(some, sources, targets), connected(alone, sources, targets)
    assert len(a.source) and (a.source == b.source).all() and (a.target == b.target).all()


def test_no_cells_and_cells_far_apart_are_not_connected(morphologies):
    near, far, none = (cells(np.random.default_rng(1), n, 5.0, NAMES[1:]) for n in (3, 3, 0))
    far.positions = far.positions + np.float32(1000)
    for one in (
        strategy(ShapeToShape, shapes(BALL), shapes(BALL)),
        strategy(MorphologyToShape, {}, shapes(BALL)),
        strategy(ShapeToMorphology, shapes(BALL), {}),
    ):
        for sources, targets in ((near, far), (none, near), (near, none)):
            assert len(connected(one, sources, targets, morphologies).source) == 0


@pytest.mark.parametrize(
    ("pre", "said"),
    [
        (shapes(BALL, voxel_size=50), "voxel_size, 50 um, should be smaller: no point represents the shapes"),
        (shapes(BALL, voxel_size=0.01), "should be larger: 7238229473 points would represent a cell"),
        (shapes(BALL) | {"morphology_labels": ["sooma"]}, 'no shape is labelled sooma; did you mean "soma"?'),
        ({}, '"shapes_composition" is missing'),
    ],
)
def test_what_can_connect_nothing_is_a_mistake(pre, said):
    value = {
        "presynaptic": {"cell_types": ["a"]} | pre,
        "postsynaptic": {"cell_types": ["b"]} | shapes(BALL),
        "affinity": 1,
    }
    with building(BuildContext()) as context:
        ShapeToShape.build(value, ("connectivity", "s"))
    found = [str(m) for m in context.mistakes]
    assert any(said in m for m in found) and any('"pruning_ratio" is missing' in m for m in found), found
    assert len(found) == 2
