import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.errors import UserError
from snakefold.placement.counts import MOST_CELLS, Space, deal, partitions_of, shares, total
from snakefold.topology.chunks import Grid

weights = st.lists(st.floats(0, 1e6), min_size=1, max_size=200).map(np.array).filter(lambda w: w.sum() > 1e-3)
SPACE = Space(  # volumes 1000 and 500 um^3, footprints 100 and 50 um^2; q lies beside p
    {"p": np.array([[[0, 0, 0], [10, 10, 10]]], float), "q": np.array([[[10, 0, 0], [15, 10, 10]]], float)},
    Grid((0.0, 0.0, 0.0), (5.0, 5.0, 5.0)),
)


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
    assert total(indicator, SPACE) == n


def test_a_ratio_counts_from_the_rounded_number_of_the_other_type():
    assert total({"ratio": 10, "of": [{"density": 0.0024, "partitions": ["p"]}]}, SPACE) == 20


@pytest.mark.parametrize("density", [1e300, 1e308, 1e10])
def test_more_cells_than_can_be_numbered_are_refused(density):
    with pytest.raises(UserError, match=str(MOST_CELLS)):
        total({"ratio": 1.0, "of": [{"density": density, "partitions": ["p"]}]}, SPACE)


def test_partitions_that_a_number_depends_on():
    inner = {"density": 1.0, "partitions": ["q", "p"]}
    assert partitions_of({"count": 3}) == []
    assert partitions_of({"ratio": 1.0, "of": [inner, {"planar_density": 1.0, "partitions": ["r", "p"]}]}) == [
        "q",
        "p",
        "r",
    ]


def local(ratio, partitions, *others):
    return {"local_ratio": ratio, "partitions": partitions, "of": list(others)}


def test_a_local_ratio_follows_the_other_types_cells_chunk_by_chunk():
    dense = {"indicator": {"count": 80}, "partitions": ["p"]}
    sparse = {"indicator": {"density": 0.008, "partitions": ["q"]}, "partitions": ["q"]}
    both = local(0.5, ["p", "q"], dense, sparse)
    assert total(both, SPACE) == 42
    chunks, volume = SPACE.pieces(["p", "q"]).volumes()
    share = shares(both, SPACE, chunks, volume)
    at_q = np.isin(chunks, SPACE.pieces(["q"]).chunk)
    assert share[at_q].tolist() == [1.0] * 4 and share[~at_q].tolist() == [10.0] * 8
    assert (deal(42, share)[~at_q] == 5).all() and deal(42, share)[at_q].sum() == 2


def test_a_local_ratio_counts_only_where_there_is_a_place_for_its_own_cells():
    dense = {"indicator": {"count": 80}, "partitions": ["p"]}
    assert total(local(2.0, ["q"], dense), SPACE) == 0
    assert deal(0, shares(local(2.0, ["q"], dense), SPACE, *SPACE.pieces(["q"]).volumes())).tolist() == [0] * 4
    wide = {"indicator": {"count": 90}, "partitions": ["p", "q"]}
    assert total(local(2.0, ["q"], wide), SPACE) == 60


def test_a_local_ratio_of_a_local_ratio_and_of_positions_that_are_given():
    fixed = {
        "indicator": {"count": 3},
        "partitions": ["p"],
        "strategy": {
            "kind": "placement",
            "class": "fixed_positions",
            "version": 1,
            "attributes": {
                "cell_types": ["x"],
                "partitions": ["p"],
                "positions": [[1.0, 1.0, 1.0], [2.0, 1.0, 1.0], [12.0, 1.0, 1.0]],
            },
        },
    }
    once = local(2.0, ["p"], fixed)
    assert total(once, SPACE) == 4
    twice = local(3.0, ["p", "q"], {"indicator": once, "partitions": ["p"]}, fixed)
    assert total(twice, SPACE) == 3 * (4 + 3)
    chunks, volume = SPACE.pieces(["p", "q"]).volumes()
    found = dict(zip(chunks.tolist(), deal(21, shares(twice, SPACE, chunks, volume)).tolist(), strict=True))
    first, last = SPACE.grid.chunk_of(np.array([[1.0, 1.0, 1.0], [12.0, 1.0, 1.0]])).tolist()
    assert {c: n for c, n in found.items() if n} == {first: 18, last: 3}


def test_partitions_that_a_local_ratio_depends_on():
    inner = {"indicator": {"ratio": 1.0, "of": [{"density": 1.0, "partitions": ["s"]}]}, "partitions": ["q", "r"]}
    assert partitions_of(local(1.0, ["p"], inner)) == ["p", "q", "r", "s"]


def test_where_all_of_the_other_type_is_in_the_own_partitions_nothing_is_cut():
    fine = Space(SPACE.boxes, Grid((0.0, 0.0, 0.0), (1e-6, 1e-6, 1e-6)))
    inside = {"indicator": {"count": 80}, "partitions": ["p"]}
    assert total(local(0.5, ["p", "q"], inside), fine) == total(local(0.5, ["p", "q"], inside), SPACE) == 40
    with pytest.raises(UserError, match=r"5e\+20 chunks .* network\.chunk_size should be larger"):
        total(local(0.5, ["q"], inside), fine)
