from hypothesis import given
from hypothesis import strategies as st

from snakefold.topology.boxes import Box

three = st.tuples(*[st.floats(0.5, 1000)] * 3)


@given(three, three, st.integers(0, 2), st.floats(-100, 100))
def test_a_moved_box_starts_where_asked_and_keeps_its_size(origin, size, axis, start):
    box = Box.of(origin, size)
    moved = box.moved(axis, start)
    assert abs(moved.lower[axis] - start) < 1e-9
    assert all(abs(a - b) < 1e-9 for a, b in zip(moved.dimensions, size, strict=True))
    assert all(moved.lower[i] == box.lower[i] for i in range(3) if i != axis)


def test_volume_and_footprint():
    box = Box.of((1.0, 1.0, 1.0), (2.0, 3.0, 4.0))
    assert (box.volume, box.footprint, box.upper) == (24.0, 6.0, (3.0, 4.0, 5.0))


def test_a_box_holds_what_reaches_out_of_it_by_rounding_alone():
    box = Box.of((0.0, -50.0, 0.0), (0.3, 100.0, 0.3))
    assert box.holds(box)
    assert box.holds(Box((0.0, -50.0, 0.0), (0.1 + 0.2, 50.0, 0.3)))
    assert not box.holds(Box((0.0, -50.0, 0.0), (0.3001, 50.0, 0.3)))
    assert not box.holds(Box((0.0, -50.001, 0.0), (0.3, 50.0, 0.3)))
