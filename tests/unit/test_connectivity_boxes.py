import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakefold.connectivity import boxes as module
from snakefold.connectivity.boxes import around, blocks, meeting, near
from snakefold.morphology.rotations import turned_by, uniform


def random_boxes(rng, n, span, size):
    lower = np.floor(rng.random((n, 3)) * span)  # whole numbers, so that faces touch
    return np.stack([lower, lower + np.floor(rng.random((n, 3)) * np.asarray(size))], axis=1)


def all_pairs(queries, boxes):
    met = (queries[:, None, 0] <= boxes[None, :, 1]) & (boxes[None, :, 0] <= queries[:, None, 1])
    return np.nonzero(met.all(axis=2))


def found(queries, boxes):
    """Return all pairs that meet, (2, n), in the order in which they are found."""
    parts = [met.pairs(np.arange(met.n.sum())) for met in meeting(queries, boxes)]
    return np.stack([np.concatenate([np.empty(0, int), *(part[i] for part in parts)]) for i in range(2)])


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 60),
    m=st.integers(0, 40),
    span=st.sampled_from([1, 10, (40, 3, 100), 1000]),
    size=st.sampled_from([1, 9, (1, 30, 2)]),
    column=st.sampled_from([-1e9, 4, 1e9]),
)
def test_the_boxes_that_meet_are_those_of_all_pairs_in_the_order_of_the_sweep(seed, n, m, span, size, column):
    """With columns wherever they can be, where they pay, and nowhere."""
    rng = np.random.default_rng(seed)
    boxes, queries = random_boxes(rng, n, span, size), random_boxes(rng, m, span, (12, 1, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROW_COST", column)
        got = found(queries, boxes)
    want = all_pairs(queries, boxes)
    np.testing.assert_array_equal(got[:, np.lexsort(got[::-1])], want)
    assert (np.diff(got[0]) >= 0).all()
    orders = (np.lexsort((want[1], boxes[want[1], 0, axis], want[0])) for axis in range(3))
    assert any((got[1] == want[1][order]).all() for order in orders)


@pytest.mark.parametrize("size", [5, (4, 6, 9), (9, 90, 1)])
def test_columns_are_made_where_they_save_tests_and_change_nothing(size, monkeypatch):
    rng = np.random.default_rng(4)
    boxes, queries = random_boxes(rng, 3000, 100, size), random_boxes(rng, 500, 100, size)
    made, of = [], module._Rows.of

    def noted(*arguments):
        made.append(of(*arguments))
        return made[-1]

    monkeypatch.setattr(module._Rows, "of", noted)
    some = found(queries, boxes)
    monkeypatch.setattr(module, "ROW_COST", 1e9)
    np.testing.assert_array_equal(some, found(queries, boxes))
    assert made[0].key is not None and made[1].key is None
    assert made[0].n_tests.sum() < 0.5 * made[1].n_tests.sum()
    assert some.shape[1] > 100


def test_boxes_of_one_size_that_only_one_axis_tells_apart_are_found_without_tests(monkeypatch):
    lower = np.random.default_rng(3).random((200, 3)) * (1000, 10, 10)
    boxes = np.stack([lower, lower + np.array([30, 100, 100])], axis=1)
    monkeypatch.setattr(module._Rows, "of", None)
    got = found(boxes[:50], boxes)
    np.testing.assert_array_equal(got[:, np.lexsort(got[::-1])], all_pairs(boxes[:50], boxes))


def test_some_pairs_are_those_of_all():
    rng = np.random.default_rng(3)
    for size in (8, (900, 900, 8)):
        boxes, queries = random_boxes(rng, 300, 50, size), random_boxes(rng, 200, 50, size)
        for met in meeting(queries, boxes):
            some = np.sort(rng.permutation(met.n.sum())[:40])
            whole = np.stack(met.pairs(np.arange(met.n.sum())))
            np.testing.assert_array_equal(np.stack(met.pairs(some)), whole[:, some])
            np.testing.assert_array_equal(np.bincount(whole[0] - met.first, minlength=len(met.n)), met.n)


@pytest.mark.parametrize("column", [-1e9, 1e9])
def test_pairs_and_their_order_are_the_same_in_small_blocks(column, monkeypatch):
    rng = np.random.default_rng(3)
    boxes, queries = random_boxes(rng, 300, 50, 8), random_boxes(rng, 200, 50, 8)
    monkeypatch.setattr(module, "ROW_COST", column)
    whole = found(queries, boxes)
    monkeypatch.setattr(module, "AT_ONCE", 7)
    blocks_ = list(meeting(queries, boxes))
    assert len(blocks_) > 20
    assert np.concatenate([met.first + np.arange(len(met.n)) for met in blocks_]).tolist() == [*range(200)]
    np.testing.assert_array_equal(found(queries, boxes), whole)


def test_boxes_that_hold_nothing_meet_none_and_one_wide_as_space_meets_all():
    nothing = np.array([[[np.inf] * 3, [-np.inf] * 3]])
    some = random_boxes(np.random.default_rng(1), 20, 30, 4)
    both = np.concatenate([nothing, some])
    assert found(nothing, some).size == found(some, nothing).size == found(nothing, nothing).size == 0
    np.testing.assert_array_equal(np.sort(found(both, some)[0]), np.sort(all_pairs(some, some)[0] + 1))
    whole = np.array([[[-np.inf] * 3, [np.inf] * 3]])
    assert sorted(found(whole, both)[1].tolist()) == [*range(1, 21)]


@pytest.mark.parametrize("turned", [False, True])
def test_all_cells_whose_boxes_meet_some_boxes_are_near(turned):
    rng = np.random.default_rng(6)
    nothing = np.array([[[np.inf] * 3, [-np.inf] * 3]])
    bounds = np.concatenate([np.sort(rng.standard_normal((3, 2, 3)) * 20, axis=1), nothing])
    of, places = rng.integers(4, size=2000), (rng.random((2000, 3)) * 400).astype(np.float32)
    turns = uniform(2000, rng) if turned else None
    queries = np.concatenate([nothing, random_boxes(rng, 5, 40, 60) + 100])
    which = near(bounds, places, turned, queries)
    met = np.unique(all_pairs(queries, around(bounds, of, places.astype(float), turns))[1])
    assert len(met) > 5 and set(met.tolist()) <= set(which.tolist()) and len(which) < 600
    assert near(nothing, places, turned, queries).size == near(bounds, places, turned, nothing).size == 0


def test_boxes_around_turned_cells_hold_their_turned_corners():
    rng = np.random.default_rng(5)
    bounds = np.sort(rng.standard_normal((3, 2, 3)), axis=1)
    of, places, turns = rng.integers(3, size=50), rng.random((50, 3)) * 100, uniform(50, rng)
    made = around(bounds, of, places, turns)
    corners = np.stack([[b[i, 0], b[j, 1], b[k, 2]] for b in bounds for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    turned = turned_by(np.repeat(turns, 8, axis=0), corners.reshape(3, 8, 3)[of].reshape(-1, 3)).reshape(-1, 8, 3)
    turned += places[:, None]
    np.testing.assert_allclose(made, np.stack([turned.min(axis=1), turned.max(axis=1)], axis=1), atol=1e-9)
    np.testing.assert_allclose(around(bounds, of, places, None), bounds[of] + places[:, None], atol=1e-12)


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_blocks_are_all_rows_in_order_and_no_larger_than_they_may_be(n, most):
    found = list(blocks(np.array(n, int), most))
    assert [i for a, b in found for i in range(a, b)] == list(range(len(n)))
    assert all(sum(n[a:b]) <= most or b == a + 1 for a, b in found)
