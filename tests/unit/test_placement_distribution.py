import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from descriptions import edited, plan_of, run
from snakefold.errors import UserError
from snakefold.sonata.nodes import Nodes

NORM = {"distribution": "norm", "loc": 5, "scale": 2}


def tree(distribution, n=20000, **more):
    own = {"strategy": "bsb.placement.DistributionPlacement", "partitions": ["top"], "cell_types": ["a"]}
    return edited(
        ("cell_types.a.spatial.count", n),
        ("cell_types.a.spatial.radius", 0.5),
        ("placement.lower", own | {"distribution": distribution, **more}),
        ("connectivity", {}),
        ("simulations", {}),
    )


def positions(folder, description, tiles=2):
    folder.mkdir(exist_ok=True)
    plan = run(plan_of(folder, description, tiles), "place")
    with Nodes(plan.nodes("a")) as nodes:
        return nodes.positions(), hashlib.sha256(Path(plan.nodes("a")).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("distribution", "more"),
    [
        (NORM, {}),
        (NORM, {"axis": 0, "interval_probability": 1e-3}),
        ({"distribution": "expon", "scale": 3}, {"interval_probability": 1e-3}),
        ({"distribution": "expon", "scale": 3}, {"direction": "negative", "interval_probability": 1e-3, "axis": 1}),
        ({"distribution": "beta", "a": 2, "b": 3}, {"direction": "negative"}),
    ],
)
def test_the_coordinate_along_the_axis_is_of_the_distribution(tmp_path, distribution, more):
    position, _ = positions(tmp_path, tree(distribution, **more))
    assert len(position) == 20000
    axis = more.get("axis", 2)
    box = np.array([[0, 0, 70], [200, 100, 150]], float)
    assert (position >= box[0] - 1e-3).all()
    assert (position <= box[1] + 1e-3).all()
    part = (position - box[0]) / (box[1] - box[0])
    along = 1 - part[:, axis] if more.get("direction") == "negative" else part[:, axis]
    wanted = getattr(stats, distribution["distribution"])(
        **{k: v for k, v in distribution.items() if k != "distribution"}
    )
    outside = more.get("interval_probability", 1e-9)
    low, high = wanted.ppf([outside, 1 - outside])
    assert stats.kstest(low + along * (high - low), wanted.cdf).pvalue > 1e-3
    for other in {0, 1, 2} - {axis}:
        assert stats.kstest(part[:, other], "uniform").pvalue > 1e-3


def test_a_discrete_distribution_puts_cells_in_planes(tmp_path):
    position, _ = positions(tmp_path, tree({"distribution": "randint", "low": 0, "high": 5}))
    planes, counts = np.unique(np.round((position[:, 2] - 70) / 80 * 4, 4), return_counts=True)
    assert planes.tolist() == [1, 2, 3, 4], "the lower end of the interval is not in it, as in the BSB"
    assert (abs(counts - 5000) < 5 * np.sqrt(20000 * 3 / 16)).all()


def test_cells_are_the_same_bytes_for_any_number_of_tiles(tmp_path):
    shas = {positions(tmp_path / str(tiles), tree(NORM, 500), tiles)[1] for tiles in (1, 2, 7)}
    assert len(shas) == 1


def test_partitions_have_their_shares_by_volume(tmp_path):
    position, _ = positions(tmp_path, tree(NORM, 3000, partitions=["base", "top"]))
    assert abs((position[:, 2] < 70).sum() - 3000 * 70 / 150) <= 1
    below = position[position[:, 2] < 70, 2]
    assert abs(below.mean() - 35) < 2
    assert below.std() < 10, "each partition has the whole distribution"


@pytest.mark.parametrize(
    ("distribution", "more", "message"),
    [
        (3, {}, "no extent"),
        ({"distribution": "constant", "constant": 3}, {}, "no extent"),
        ({"distribution": "nrom"}, {}, "did you mean"),
        (NORM, {"axis": 3}, "axis"),
        (NORM, {"axis": "z"}, "axis"),
        (NORM, {"direction": "up"}, "direction"),
        (NORM, {"interval_probability": 0.1}, "interval_probability"),
        (None, {}, '"distribution" is missing'),
    ],
)
def test_what_cannot_be_placed_is_told_at_check(tmp_path, distribution, more, message):
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, tree(distribution, **more))
