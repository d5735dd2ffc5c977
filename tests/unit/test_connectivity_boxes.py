import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakefold.connectivity import boxes as module
from snakefold.connectivity.boxes import Boxes, around, blocks
from snakefold.morphology.rotations import turned_by, uniform


def random_boxes(rng, n, span, size):
    lower = np.floor(rng.random((n, 3)) * span)  # whole numbers, so that faces touch
    return np.stack([lower, lower + np.floor(rng.random((n, 3)) * np.asarray(size))], axis=1)


def all_pairs(queries, boxes):
    met = (queries[:, None, 0] <= boxes[None, :, 1]) & (boxes[None, :, 0] <= queries[:, None, 1])
    return np.nonzero(met.all(axis=2))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 60),
    m=st.integers(0, 40),
    span=st.sampled_from([1, 10, (40, 3, 100), 1000]),
    size=st.sampled_from([1, 9, (1, 30, 2)]),
)
def test_the_boxes_that_meet_are_those_of_all_pairs(seed, n, m, span, size):
    rng = np.random.default_rng(seed)
    boxes, queries = random_boxes(rng, n, span, size), random_boxes(rng, m, span, (12, 1, 5))
    found = list(Boxes.of(boxes).meeting(queries))
    got = [np.concatenate([np.empty(0, int), *(f[i] for f in found)]) for i in range(2)]
    np.testing.assert_array_equal(got, all_pairs(queries, boxes))


@pytest.mark.parametrize("name", ["MOST_ROWS", "MOST_TESTS"])
def test_pairs_and_their_order_are_the_same_in_small_blocks(name, monkeypatch):
    rng = np.random.default_rng(3)
    boxes, queries = random_boxes(rng, 300, 50, 8), random_boxes(rng, 200, 50, 8)
    monkeypatch.setattr(module, name, 7)
    found = list(Boxes.of(boxes).meeting(queries))
    assert len(found) > 20
    np.testing.assert_array_equal([np.concatenate([f[i] for f in found]) for i in range(2)], all_pairs(queries, boxes))
    firsts = [set(f[0]) for f in found]
    assert sum(map(len, firsts)) == len(set.union(*firsts))  # all that meet one, in one block


def test_boxes_that_hold_nothing_meet_none_and_one_wide_as_space_meets_all():
    nothing = np.array([[[np.inf] * 3, [-np.inf] * 3]])
    some = random_boxes(np.random.default_rng(1), 20, 30, 4)
    assert all(len(f[0]) == 0 for f in Boxes.of(some).meeting(nothing))
    assert all(len(f[0]) == 0 for f in Boxes.of(nothing).meeting(some))
    whole = np.array([[[-np.inf] * 3, [np.inf] * 3]])
    assert np.concatenate([f[1] for f in Boxes.of(np.concatenate([nothing, some])).meeting(whole)]).tolist() == [
        *range(1, 21)
    ]


def test_boxes_are_the_same_after_a_prepare_step():
    some = Boxes.of(random_boxes(np.random.default_rng(1), 20, 30, 4))
    again = Boxes.restored(some.arrays("x/y"), "x/y")
    assert all((value == getattr(again, name)).all() for name, value in vars(some).items())


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
