import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
