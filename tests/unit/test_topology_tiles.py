import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.topology.tiles import MOST_TILES, MOST_TILES_IN_PASSES, boundaries, number_of_tiles

costs = st.lists(st.floats(0, 1e6), max_size=60).map(np.array)


@given(costs, st.integers(1, 80))
def test_tiles_partition_the_units(cost, n_tiles):
    cuts = boundaries(cost, n_tiles)
    assert len(cuts) == n_tiles + 1
    assert cuts[0] == 0
    assert cuts[-1] == len(cost)
    assert (np.diff(cuts) >= 0).all()


@given(costs, st.integers(1, 80))
def test_no_tile_costs_more_than_its_share_and_one_unit(cost, n_tiles):
    cuts = boundaries(cost, n_tiles)
    of_tile = [cost[a:b].sum() for a, b in itertools.pairwise(cuts)]
    assert max(of_tile) <= cost.sum() / n_tiles + (cost.max() if len(cost) else 0) + 1e-6


def test_units_without_cost_are_shared_out_evenly():
    assert boundaries(np.zeros(6), 3).tolist() == [0, 2, 4, 6]


def test_number_of_tiles_is_as_asked_or_for_jobs_of_minutes():
    assert number_of_tiles(7, 0.0) == 7
    assert number_of_tiles(None, 0.0) == 1
    assert number_of_tiles(None, 600.0) == 5
    assert number_of_tiles(None, 1.0, n_edges=100e6) == 5
    assert number_of_tiles(None, 1e9) == MOST_TILES
    assert number_of_tiles(None, 600.0, n_units=2) == 2
    assert number_of_tiles(None, 600.0, n_passes=2) == 5
    assert number_of_tiles(None, 1e9, n_passes=2) == MOST_TILES_IN_PASSES


@pytest.mark.parametrize("n_units", [0.0, 0.3])
def test_there_is_at_least_one_tile(n_units):
    assert number_of_tiles(None, 600.0, n_units=n_units) == 1
