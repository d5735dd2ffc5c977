import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snakefold.config.context import BuildContext, building
from snakefold.placement.fixed import FixedPositions
from snakefold.placement.strategy import Chunk, Given
from snakefold.topology.chunks import Grid, cut

# on faces of chunks, beside them, and anywhere
places = st.one_of(
    st.floats(-1e3, 1e3), st.integers(-50, 50).map(lambda i: i * 0.1), st.integers(-9, 9).map(lambda i: i * 33.3)
)
points = hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=places)


def placed(positions, grid):
    with building(BuildContext()) as build:
        value = {"cell_types": ["a", "b"], "partitions": ["p"], "positions": positions.tolist()}
        strategy = FixedPositions.build(value, ("placement", "s"))
    assert build.mistakes == []
    pieces = cut(grid, [np.array([[[0, 0, 0], [1, 1, 1]]], float)])
    chunks, counts = strategy.deal({"a": len(positions), "b": len(positions)}, {}, pieces, grid)
    assert (counts.sum(axis=1) == len(positions)).all()
    assert (np.diff(chunks.astype(np.int64)) > 0).all()
    lower, upper = grid.bounds(chunks)
    for i, chunk in enumerate(chunks):
        given_counts = {"a": int(counts[0, i]), "b": int(counts[1, i])}
        of = Chunk(int(chunk), lower[i], upper[i], pieces, given_counts, grid)
        yield given_counts, strategy.place(of, np.random.default_rng(1), Given())


@given(points, st.tuples(places, places, places), st.tuples(*[st.sampled_from([0.1, 0.3, 7.0, 33.3, 1e4])] * 3))
def test_nothing_is_lost_or_doubled_wherever_the_chunks_end(positions, origin, size):
    found = []
    for counts, made in placed(positions, Grid(origin, size)):
        assert {t: len(a["position"]) for t, a in made.items()} == counts
        found.append(made["a"]["position"])
    assert sorted(map(tuple, np.concatenate(found))) == sorted(map(tuple, positions))


def test_cells_of_a_chunk_keep_the_order_of_the_list():
    positions = np.array([[5.0, 1, 1], [15.0, 1, 1], [3.0, 1, 1], [11.0, 1, 1], [4.0, 1, 1]])
    made = [a["b"]["position"][:, 0].tolist() for _, a in placed(positions, Grid((0.0,) * 3, (10.0,) * 3))]
    assert made == [[5.0, 3.0, 4.0], [15.0, 11.0]]
