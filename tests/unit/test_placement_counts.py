import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.errors import UserError
from snakefold.placement.counts import MOST_CELLS, deal, partitions_of, total

weights = st.lists(st.floats(0, 1e6), min_size=1, max_size=200).map(np.array).filter(lambda w: w.sum() > 1e-3)
SIZES = {"p": (1000.0, 100.0), "q": (500.0, 50.0)}


@given(st.integers(0, 10**9), weights)
def test_dealing_is_exact_and_every_running_sum_is_within_half_a_cell(n, w):
    dealt = deal(n, w)
    assert dealt.sum() == n
    assert (dealt >= 0).all()
    assert np.abs(np.cumsum(dealt) - np.cumsum(w) / w.sum() * n).max() <= 0.5 + 1e-6 * max(1, n * 1e-6)
    assert (dealt[w == 0] == 0).all()


def test_equal_shares_differ_by_one_at_most():
    dealt = deal(1000, np.ones(7))
    assert np.ptp(dealt) <= 1


@pytest.mark.parametrize(
    ("indicator", "n"),
    [
        ({"count": 7}, 7),
        ({"density": 0.01, "partitions": ["p", "q"]}, 15),
        ({"planar_density": 0.1, "partitions": ["p"]}, 10),
        ({"ratio": 0.25, "of": [{"count": 10}, {"density": 0.01, "partitions": ["p"]}]}, 5),
        ({"density": 0.0025, "partitions": ["p"]}, 2),
        ({"density": 0.0035, "partitions": ["p"]}, 4),
    ],
)
def test_totals(indicator, n):
    assert total(indicator, SIZES.get) == n


def test_a_ratio_counts_from_the_rounded_number_of_the_other_type():
    assert total({"ratio": 10, "of": [{"density": 0.0024, "partitions": ["p"]}]}, SIZES.get) == 20


@pytest.mark.parametrize("density", [1e300, 1e308, 1e10])
def test_more_cells_than_can_be_numbered_are_refused(density):
    with pytest.raises(UserError, match=str(MOST_CELLS)):
        total({"ratio": 1.0, "of": [{"density": density, "partitions": ["p"]}]}, SIZES.get)


def test_partitions_that_a_number_depends_on():
    inner = {"density": 1.0, "partitions": ["q", "p"]}
    assert partitions_of({"count": 3}) == []
    assert partitions_of({"ratio": 1.0, "of": [inner, {"planar_density": 1.0, "partitions": ["r", "p"]}]}) == [
        "q",
        "p",
        "r",
    ]
