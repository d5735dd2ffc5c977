from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakefold.connectivity import capsules
from snakefold.connectivity.capsules import Bodies, Segments, contacts, distances2, in_order
from snakefold.morphology.rotations import turned_by
from trees import cells, tree


def to_segment(p, a, b):
    """Return the distance of a point from a segment."""
    length2 = ((b - a) ** 2).sum()
    t = np.clip(((p - a) * (b - a)).sum() / length2, 0, 1) if length2 else 0.0
    return np.linalg.norm(p - a - t * (b - a))


def apart(p1, q1, p2, q2):
    """Return the distance of two segments: at an end of one of them, or, between their inner points, that of their lines."""
    found = [to_segment(p1, p2, q2), to_segment(q1, p2, q2), to_segment(p2, p1, q1), to_segment(q2, p1, q1)]
    d1, d2 = q1 - p1, q2 - p2
    if np.linalg.norm(np.cross(d1, d2)) > 1e-9 * np.linalg.norm(d1) * np.linalg.norm(d2):
        s, t, _ = np.linalg.solve(np.stack([d1, -d2, np.cross(d1, d2)], axis=1), p2 - p1)
        if 0 <= s <= 1 and 0 <= t <= 1:
            found.append(np.linalg.norm(p1 + s * d1 - p2 - t * d2))
    return min(found)


@settings(max_examples=200)
@given(st.lists(st.integers(-3, 3), min_size=12, max_size=12), st.booleans(), st.integers(0, 2**32))
def test_the_distance_of_segments_is_that_of_their_nearest_points(grid, exact, seed):
    """Whole numbers make parallel, touching and crossing segments, and some that are points."""
    ends = np.array(grid, float).reshape(4, 3)
    if not exact:
        ends += np.random.default_rng(seed).standard_normal((4, 3))
    distance2, s, t = distances2(*ends[..., None])
    assert np.sqrt(distance2[0]) == pytest.approx(apart(*ends), abs=1e-9)
    assert 0 <= s[0] <= 1 and 0 <= t[0] <= 1
    p1, q1, p2, q2 = ends
    assert np.linalg.norm(p1 + s[0] * (q1 - p1) - p2 - t[0] * (q2 - p2)) == pytest.approx(np.sqrt(distance2[0]))


def bodies(rng, n, trees, turned, box=40.0):
    some = cells(rng, n, box, range(len(trees)), turned)
    segments = tuple(Segments.of(t, in_order(t, np.arange(len(t)))) for t in trees)
    return Bodies(some.positions.astype(float), some.rotations, some.morphology, segments)


def brute(sources, targets, pairs, reach):
    """Return (pair, source point, target point) of all contacts, from every pair of segments."""
    found = set()
    for k, (i, j) in enumerate(pairs):
        own, others = [], []
        for of, cell, made in ((sources, i, own), (targets, j, others)):
            segments = of.segments[of.morphology[cell]]
            for point, start, end, radius in zip(
                segments.point, segments.start, segments.end, segments.radius, strict=True
            ):
                ends = np.stack([start, end])
                if of.rotations is not None:
                    ends = turned_by(np.repeat(of.rotations[cell][None], 2, axis=0), ends)
                made.append((point, *(ends + of.positions[cell]), radius))
        for (p, a, b, r), (q, c, d, s) in product(own, others):
            if apart(a, b, c, d) <= r + s + reach:
                found.add((k, int(p), int(q)))
    return found


def together(sources, targets, pairs, reach):
    found = list(contacts(sources, targets, *np.array(pairs).T, reach))
    return [np.concatenate([getattr(f, name) for f in found]) for name in vars(found[0])], len(found)


@pytest.mark.parametrize(("turned", "reach"), [(False, 0.0), (True, 0.0), (True, 2.5)])
def test_contacts_are_those_of_all_pairs_of_segments(turned, reach):
    rng = np.random.default_rng(int(turned) + int(reach))
    trees = [tree(rng, n) for n in (8, 13, 20)]
    sources, targets = bodies(rng, 4, trees, turned, 10.0), bodies(rng, 4, trees, turned, 10.0)
    pairs = list(product(range(4), range(4)))
    (pair, source, target, s, t), _ = together(sources, targets, pairs, reach)
    got = list(zip(pair.tolist(), source.tolist(), target.tolist(), strict=True))
    assert len(got) > 20 and len(set(got)) == len(got)
    assert set(got) == brute(sources, targets, pairs, reach)
    for k, p, q, f, g in list(zip(pair, source, target, s, t, strict=True))[:100]:
        ends, radii = [], 0.0
        for of, cell, point, along in ((sources, pairs[k][0], p, f), (targets, pairs[k][1], q, g)):
            shape = trees[of.morphology[cell]]
            place = shape.points[point - 1] + along * (shape.points[point] - shape.points[point - 1])
            if of.rotations is not None:
                place = turned_by(of.rotations[cell][None], place[None])[0]
            ends.append(place + of.positions[cell])
            radii += shape.radii[point - 1 : point + 1].mean()
        assert np.linalg.norm(ends[0] - ends[1]) <= radii + reach + 1e-9


@pytest.mark.parametrize("name", ["MOST_SEGMENTS", "MOST_TESTS"])
def test_contacts_are_the_same_in_small_blocks(name, monkeypatch):
    rng = np.random.default_rng(8)
    trees = [tree(rng, n) for n in (5, 12, 20)]
    sources, targets = bodies(rng, 8, trees, True), bodies(rng, 7, trees, True)
    pairs = list(product(range(8), range(7)))
    whole, _ = together(sources, targets, pairs, 1.0)
    monkeypatch.setattr(capsules, name, 50)
    parts, n = together(sources, targets, pairs, 1.0)
    assert n > 10
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_segments_lie_between_points_that_follow_each_other_on_a_branch_and_are_both_wanted():
    shape = tree(np.random.default_rng(2), 9)
    wanted = np.flatnonzero(np.random.default_rng(3).random(len(shape)) < 0.7)
    found = in_order(shape, wanted)
    by_hand = [
        p for p in range(1, len(shape)) if shape.branch_of[p] == shape.branch_of[p - 1] and {p, p - 1} <= {*wanted}
    ]
    assert sorted(found) == by_hand and len(by_hand) > 3


def test_runs_of_segments_lie_together():
    """The boxes of halves are smaller than those of halves at random."""
    shape = tree(np.random.default_rng(4), 60)
    order = in_order(shape, np.arange(len(shape)))

    def size(order):
        places = shape.points[order[: len(order) // 8 * 8]].reshape(-1, 8, 3)
        return np.ptp(places, axis=1).sum()

    assert size(order) < 0.7 * size(np.random.default_rng(1).permutation(order))
