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
