import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packings import domain, voxels
from snakefold.topology.chunks import Grid, cut
from snakefold.topology.domains import domain_of

GRID = Grid((0.0,) * 3, (7.0,) * 3)
corner = st.tuples(*[st.integers(-9, 9)] * 3)
extent = st.tuples(*[st.integers(1, 8)] * 3)


def boxes_of(made):
    return [np.array([[low, np.add(low, size)]], float) for low, size in made]


@given(st.lists(st.tuples(corner, extent), min_size=1, max_size=4), corner, extent, st.integers(0, 9))
def test_the_domain_is_the_union_of_the_pieces_in_the_window(made, low, size, seed):
    boxes, upper = boxes_of(made), np.add(low, size)
    domain = domain_of(cut(GRID, boxes), np.array(low), upper)
    unit = np.stack(np.meshgrid(*[np.arange(-9, 18) + 0.5] * 3, indexing="ij"), -1).reshape(-1, 3)
    inside = np.any([((unit > b[0, 0]) & (unit < b[0, 1])).all(axis=1) for b in boxes], axis=0)
    inside &= ((unit > low) & (unit < upper)).all(axis=1)
    assert domain.volume == pytest.approx(inside.sum())
    assert (domain.holds(unit) == inside).all()


def test_the_faces_of_a_domain_belong_to_it():
    domain = domain_of(cut(GRID, boxes_of([((0, 0, 0), (2, 2, 2)), ((5, 0, 0), (2, 2, 2))])))
    points = np.array([[0, 0, 0], [2, 1, 1], [2, 2, 2], [3, 1, 1], [5, 1, 2], [7, 2, 0], [7.1, 1, 1]], float)
    assert domain.holds(points).tolist() == [True, True, True, False, True, True, False]


def test_no_pieces_are_an_empty_domain():
    domain = domain_of(cut(GRID, boxes_of([((0, 0, 0), (2, 2, 2))])), np.array([3, 3, 3]), np.array([9, 9, 9]))
    assert domain.volume == 0
    assert not domain.holds(np.zeros((2, 3))).any()


def test_faces_that_are_equal_but_for_rounding_are_one():
    made = domain([[[0, 0, 0], [1, 1, 0.3]], [[0, 0, 0.1 + 0.2], [1, 1, 1]], [[1e-13, 1, 0], [1, 2, 1]]])
    assert [e.tolist() for e in made.edges] == [[0, 1], [0, 1, 2], [0, np.float32(0.3), 1]]
    assert made.mask.shape == (1, 2, 2) and made.mask.all()


def test_float32_positions_are_on_a_face_but_for_rounding_and_float64_ones_are_not():
    one = domain_of(cut(GRID, boxes_of([((0, 0, 0), (2, 2, 2))])))
    near = np.nextafter(np.float32(2), np.float32(3))
    assert one.holds(np.array([[near, 1, 1]], np.float32)).all()
    assert not one.holds(np.array([[near, 1, 1]], np.float64)).any()
    assert not one.holds(np.array([[near + 1e-5, 1, 1]], np.float32)).any()


def test_points_that_rounding_puts_on_an_upper_face_or_under_a_lower_one_are_brought_in():
    """1000.1 rounds up to a float32 number, 2000.1 down."""
    boxes = voxels((6, 6, 6), 200.02, lambda p: np.random.default_rng(3).random(len(p)) < 0.4) + 1000.1
    made = domain(boxes)
    rng = np.random.default_rng(1)
    ends = boxes[rng.integers(0, len(boxes), 3000)]
    share = rng.random((3000, 3))
    share[rng.random((3000, 3)) < 0.4] = 1e-9
    share[rng.random((3000, 3)) < 0.3] = 1 - 1e-9
    points = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
    found = made.brought_in(points)
    assert found.dtype == np.float32
    index = [np.searchsorted(e, found[:, a], side="right") - 1 for a, e in enumerate(made.edges)]
    assert made.mask[tuple(index)].all()
    assert np.abs(found - points).max() <= 2 * np.spacing(np.float32(2200))
    plain = points.astype(np.float32)
    index = [np.searchsorted(e, plain[:, a], side="right") - 1 for a, e in enumerate(made.edges)]
    inside = np.all([(i >= 0) & (i < n) for i, n in zip(index, made.mask.shape, strict=True)], axis=0)
    inside[inside] = made.mask[tuple(i[inside] for i in index)]
    assert (~inside).sum() > 300
    assert (found[inside] == plain[inside]).all(), "what is inside stays"
