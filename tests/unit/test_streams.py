import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.streams import key, simulator_seed, stream

steps = st.lists(st.one_of(st.text("abc_.-019"), st.integers(0, 2**63)), max_size=4)


@given(st.tuples(st.integers(0, 99), steps), st.tuples(st.integers(0, 99), steps))
def test_streams_are_equal_exactly_for_equal_purposes(one, other):
    same = key(one[0], *one[1]) == key(other[0], *other[1])
    assert same == (one == other)


def test_a_number_and_its_text_are_different_purposes():
    assert key(1, "chunk", 5) != key(1, "chunk", "5")


def test_integers_of_numpy_are_integers():
    assert key(1, "chunk", np.uint64(5)) == key(1, "chunk", 5)


def test_stream_is_philox_with_the_key():
    expected = np.random.Generator(np.random.Philox(key=key(3, "place", "x", 9))).random(5)
    assert (stream(3, "place", "x", 9).random(5) == expected).all()


def test_values_of_a_stream_are_pinned():
    """A change here changes every circuit."""
    assert key(1234, "place", "granule", "cells", 7) == 63735256219025282044828093777107183442
    assert stream(1, "a").integers(0, 1000, 4).tolist() == [39, 837, 528, 772]


def test_neighbouring_chunks_are_not_correlated():
    draws = np.array([stream(1, "place", "x", "cells", chunk).random(2000) for chunk in range(8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("seed", [0, 1, 10**12])
def test_simulator_seed_fits_what_nest_takes(seed):
    assert 1 <= simulator_seed(seed, "simulate", "x") < 2**31
