from dataclasses import replace

import numpy as np
import pytest

from fakes import build
from snakefold.connectivity import boxes, capsules
from snakefold.connectivity.capsules import Bodies, Segments, distances2, in_order
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, locate
from snakefold.connectivity.segment_intersection import SegmentIntersection
from snakefold.connectivity.strategy import Given
from snakefold.morphology.rotations import turned_by
from test_connectivity_capsules import brute
from trees import ShapedCells, cells, tree

NAMES = ("", "p", "q", "r")
SIDES = (EFFERENT, AFFERENT)


@pytest.fixture(scope="module")
def shapes():
    rng = np.random.default_rng(12)
    return {name: tree(rng, n) for name, n in zip(NAMES[1:], (6, 8, 10), strict=True)}


def stream(seed=1):
    return np.random.Generator(np.random.Philox(seed))


def strategy(**attributes):
    sides = {"presynaptic": {"cell_types": ["a"]}, "postsynaptic": {"cell_types": ["b"]}}
    for key in sides:
        sides[key] |= attributes.pop(key, {})
    return build(SegmentIntersection, "a", "b", **sides, **attributes)


def connected(of, sources, targets, shapes, rng=None):
    given = Given(morphologies=shapes)
    given = replace(given, prepared=of.prepare({"a": sources}, {"b": targets}, given))
    return of.connect({"a": sources}, {"b": targets}, rng or stream(), given)["a", "b"]


def expected(of, sources, targets, shapes):
    """Return a row of each contact, by brute force: source, target, and where it is on either."""
    sides = []
    for side, some in ((of.presynaptic, sources), (of.postsynaptic, targets)):
        none = Segments(np.empty(0, int), np.empty((0, 3)), np.empty((0, 3)), np.empty(0))
        made = [Segments.of(m, in_order(m, side.points_of(m))) for m in shapes.values()]
        sides.append(Bodies(some.positions.astype(float), some.rotations, some.morphology, (none, *made)))
    pairs = [(i, j) for i in range(len(sources)) for j in range(len(targets))]
    rows = []
    for k, *points in sorted(brute(*sides, pairs, of.contact_distance)):
        ends, row = [], list(pairs[k])
        for cells_, cell, point in zip((sources, targets), pairs[k], points, strict=True):
            shape = shapes[NAMES[cells_.morphology[cell]]]
            turns = np.repeat(cells_.rotations[cell][None], 2, axis=0)
            ends += list(turned_by(turns, shape.points[[point - 1, point]]) + cells_.positions[cell].astype(float))
        _, *along = distances2(*np.array(ends)[..., None])
        for cells_, side, point, fraction in zip((sources, targets), SIDES, points, along, strict=True):
            shape = shapes[NAMES[cells_.morphology[pairs[k][SIDES.index(side)]]]]
            row += [float(v[0]) for v in locate(side, shape, np.array([point]), fraction).values()]
        rows.append(row)
    return rows


@pytest.mark.parametrize("labels", [None, ["even"], ["odd"]])
def test_contacts_are_those_of_all_segments_of_all_cells(shapes, labels):
    """Cells without a morphology among them; some labels on one side, where a morphology may have no point of them."""
    rng = np.random.default_rng(3)
    sources, targets = cells(rng, 7, 20, NAMES), cells(rng, 6, 20, NAMES)
    one = strategy(contact_distance=1.5, presynaptic={"morphology_labels": labels} if labels else {})
    made = connected(one, sources, targets, shapes)
    got = np.column_stack([made.source, made.target, *(made.columns[c] for c in columns(*SIDES))])
    want = np.array(expected(one, sources, targets, shapes))
    assert len(want) > 10 and len(np.unique(want, axis=0)) > 10
    got, want = (a[np.lexsort(np.round(a, 4).T[::-1])] for a in (got, want))
    np.testing.assert_allclose(got, want, atol=1e-4)


def pairs_of(made):
    return set(zip(made.source.tolist(), made.target.tolist(), strict=True))


def test_affinity_keeps_a_share_of_the_candidates_of_each_target_cell(shapes):
    """A reach that makes all candidates contacts: of n, floor(n x affinity), or one more, with the mean in between."""
    rng = np.random.default_rng(4)
    shapes = {name: shapes[name] for name in ("p",)}
    sources, targets = cells(rng, 23, 5, ("p",)), cells(rng, 300, 5, ("p",))
    one = strategy(contact_distance=200, affinity=0.3)
    made = connected(one, sources, targets, shapes)
    kept = np.bincount([j for _, j in pairs_of(made)], minlength=300)
    assert set(kept) == {6, 7} and abs(kept.mean() - 6.9) < 5 * np.sqrt(0.9 * 0.1 / 300)
    of_source = np.bincount([i for i, _ in pairs_of(made)], minlength=23)
    assert np.abs(of_source - 90).max() < 5 * np.sqrt(300 * 0.3 * 0.7)
    assert len(connected(strategy(contact_distance=200, affinity=0), sources, targets, shapes).source) == 0


@pytest.mark.parametrize("name", ["AT_ONCE", "MOST_TESTS", "MOST_SEGMENTS"])
def test_no_size_of_blocks_changes_what_is_connected(shapes, name, monkeypatch):
    rng = np.random.default_rng(6)
    sources, targets = cells(rng, 30, 40, NAMES), cells(rng, 25, 40, NAMES)
    one = strategy(contact_distance=1, affinity=0.6)
    whole = connected(one, sources, targets, shapes)
    assert len(whole.source) > 50
    for module in (boxes, capsules):
        monkeypatch.setattr(module, name, 40, raising=False)
    parts = connected(one, sources, targets, shapes)
    np.testing.assert_array_equal(whole.source, parts.source)
    np.testing.assert_array_equal(whole.target, parts.target)
    for column, values in whole.columns.items():
        np.testing.assert_array_equal(values, parts.columns[column])


def test_a_cell_meets_itself(shapes):
    one = cells(np.random.default_rng(1), 1, 5, ("p",))
    made = connected(strategy(), one, one, shapes)
    n = len(shapes["p"].segments())
    assert len(made.source) >= n  # every segment touches itself at least


def test_cells_without_candidates_and_no_cells_at_all(shapes):
    far, near = cells(np.random.default_rng(1), 3, 5, ("p",)), cells(np.random.default_rng(2), 3, 5, ("p",))
    far.positions = far.positions + np.float32(1000)
    none = cells(np.random.default_rng(3), 0, 5, ("p",))
    for sources, targets in ((far, near), (none, near), (near, none)):
        made = connected(strategy(), sources, targets, shapes)
        assert len(made.source) == len(made.target) == 0
    nowhere = strategy(presynaptic={"morphology_labels": ["nothing"]})
    assert len(connected(nowhere, near, near, shapes).source) == 0


def test_cells_whose_boxes_are_apart_meet_within_the_contact_distance(shapes):
    one = ShapedCells([[0, 0, 0]], ("p",))
    width = np.ptp(shapes["p"].points[:, 0])
    other = ShapedCells([[width + 10, 0, 0]], ("p",))
    assert len(connected(strategy(contact_distance=1), one, other, shapes).source) == 0
    assert len(connected(strategy(contact_distance=500), one, other, shapes).source) == len(shapes["p"].segments()) ** 2


def test_with_a_seed_of_its_own_each_chunk_draws_anew(shapes):
    sources = cells(np.random.default_rng(6), 40, 5, ("p",))
    targets = cells(np.random.default_rng(7), 10, 5, ("p",))
    one = strategy(seed=3, affinity=0.5, contact_distance=100)
    kept = []
    for first in (0, 10):
        targets.first = first
        kept.append(pairs_of(connected(one, sources, targets, shapes)))
    assert kept[0] != kept[1]


def test_a_seed_of_its_own_replaces_the_stream(shapes):
    rng = np.random.default_rng(6)
    sources, targets = cells(rng, 30, 20, NAMES), cells(rng, 25, 20, NAMES)

    def pairs(seed, rng):
        return pairs_of(connected(strategy(affinity=0.4, **seed), sources, targets, shapes, rng))

    assert pairs({"seed": 3}, stream(1)) == pairs({"seed": 3}, stream(2)) != pairs({"seed": 4}, stream(1))
    assert pairs({}, stream(1)) != pairs({}, stream(2))
