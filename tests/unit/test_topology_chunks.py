import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snakefold.topology.chunks import FARTHEST_CHUNK, Grid, Nearby, cut, decode, encode

coordinates = hnp.arrays(np.int64, st.tuples(st.integers(0, 20), st.just(3)), elements=st.integers(-(2**20), 2**20 - 1))
lengths = st.floats(0.3, 50)


@given(coordinates)
def test_morton_codes_round_trip(ijk):
    codes = encode(ijk)
    assert codes.dtype == np.uint64
    assert (decode(codes) == ijk).all()


def test_morton_codes_interleave_the_bits_of_x_y_z():
    def slowly(ijk):
        shifted = [int(c) + 2**20 for c in ijk]
        return sum(((shifted[axis] >> bit) & 1) << (3 * bit + axis) for bit in range(21) for axis in range(3))

    ijk = np.random.default_rng(1).integers(-(2**20), 2**20, (200, 3))
    ijk[:2] = [[-(2**20)] * 3, [2**20 - 1] * 3]
    assert encode(ijk).tolist() == [slowly(row) for row in ijk]


@pytest.mark.parametrize("ijk", [(2**20, 0, 0), (0, -(2**20) - 1, 0), (0, 0, 2**62)])
def test_what_does_not_fit_is_refused(ijk):
    with pytest.raises(ValueError, match="chunks from the origin"):
        encode(np.array([ijk]))
    encode(np.full((1, 3), FARTHEST_CHUNK))


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-1e4, 1e4)),
    st.tuples(lengths, lengths, lengths),
    st.tuples(lengths, lengths, lengths),
)
def test_a_point_is_in_its_chunk(points, origin, size):
    grid = Grid(origin, size)
    lower, upper = grid.bounds(grid.chunk_of(points))
    assert (points >= lower - 1e-9).all()
    assert (points <= upper + 1e-9).all()


def test_enlarging_the_network_renames_no_chunk():
    grid = Grid((0.0, 0.0, 0.0), (100.0, 100.0, 100.0))
    small = cut(grid, [np.array([[[0, 0, 0], [300, 300, 300]]], float)])
    large = cut(grid, [np.array([[[-500, 0, 0], [900, 300, 800]]], float)])
    assert set(small.chunk) < set(large.chunk)


@given(
    st.lists(
        st.tuples(st.tuples(*[st.floats(-100, 100)] * 3), st.tuples(*[st.floats(0.5, 150)] * 3)), min_size=1, max_size=4
    ),
    st.tuples(*[st.floats(20, 90)] * 3),
)
def test_pieces_fill_the_boxes_lie_in_their_chunks_and_are_in_chunk_order(boxes, size):
    grid = Grid((3.0, -5.0, 0.25), size)
    arrays = [np.array([[low, np.add(low, extent)]]) for low, extent in boxes]
    pieces = cut(grid, arrays)
    for i, array in enumerate(arrays):
        assert np.isclose(pieces.volume[pieces.partition == i].sum(), np.prod(array[0, 1] - array[0, 0]))
    lower, upper = grid.bounds(pieces.chunk)
    assert (pieces.lower >= lower - 1e-9).all()
    assert (pieces.upper <= upper + 1e-9).all()
    assert (pieces.chunk[1:] >= pieces.chunk[:-1]).all()
    chunks, first = pieces.by_chunk()
    assert np.repeat(chunks, np.diff(first)).tolist() == pieces.chunk.tolist()
    some = pieces.select(int(first[0]), int(first[1]))
    assert set(some.chunk) == {chunks[0]}


def test_a_box_that_ends_on_chunk_faces_makes_no_empty_pieces():
    pieces = cut(Grid((0.0,) * 3, (50.0,) * 3), [np.array([[[0, 0, 50], [100, 100, 150]]], float)])
    assert len(pieces.chunk) == 8
    assert (pieces.volume == 50**3).all()


def test_no_boxes_are_no_pieces():
    pieces = cut(Grid((0.0,) * 3, (50.0,) * 3), [])
    assert len(pieces.chunk) == len(pieces.volume) == 0
    assert pieces.by_chunk()[0].size == 0


class Counting(Grid):
    """A grid that counts the chunks whose bounds it is asked for."""

    asked = 0

    def bounds(self, chunks):
        Counting.asked += len(chunks)
        return super().bounds(chunks)


corner = st.tuples(*[st.floats(-200, 200) | st.integers(-6, 6).map(lambda n: n * 10.0)] * 3)


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(0, 300), st.just(3)), elements=st.integers(-4, 5)),
    corner,
    st.tuples(*[st.sampled_from([10.0, 7.3, 1 / 3, 60.0])] * 3),
    corner,
    st.tuples(*[st.sampled_from([0.0, 0.1, 10.0, 40.0])] * 3),
    st.sampled_from([0.0, 1e-9, 3.3, 10.0, 50.0, 1e9, np.inf]),
)
def test_nearby_finds_what_a_look_at_all_chunks_finds(ijk, origin, size, lower, extent, halo):
    grid, chunks = Grid(origin, size), encode(ijk)
    lower, upper = np.array(lower), np.array(lower) + extent
    low, high = grid.bounds(chunks)
    all_of_them = np.flatnonzero(((low < upper + halo) & (high > lower - halo)).all(axis=1))
    assert Nearby(grid, chunks)(lower, upper, halo).tolist() == all_of_them.tolist()


def test_nearby_looks_at_few_of_many_chunks():
    grid = Counting((0.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    chunks = encode(np.indices((40, 40, 40)).reshape(3, -1).T)
    look = Nearby(grid, chunks)
    lower = np.array([100.0, 50.0, 200.0])
    assert Counting.asked == 0
    assert len(look(lower, lower + 10, 5.0)) == 27
    assert len(look(lower, lower + 10, 0.0)) == 1
    assert Counting.asked <= 200
