import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, plan_of, run
from snakefold.errors import UserError
from snakefold.sonata.nodes import Nodes


def tree(n=100, spacing=25, angle=30, radius=2.0, **more):
    own = {"strategy": "bsb.placement.ParallelArrayPlacement", "partitions": ["top"], "cell_types": ["a"]}
    return edited(
        ("cell_types.a.spatial.count", n),
        ("cell_types.a.spatial.radius", radius),
        ("placement.lower", own | {"spacing_x": spacing, "angle": angle, **more}),
        ("connectivity", {}),
        ("simulations", {}),
    )


def placed(folder, description, tiles=2):
    folder.mkdir(exist_ok=True)
    plan = run(plan_of(folder, description, tiles), "place")
    with Nodes(plan.nodes("a")) as nodes:
        return nodes.positions(), hashlib.sha256(Path(plan.nodes("a")).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("n", "spacing", "angle", "radius"),
    [(100, 25, 30, 2), (1, 25, 0, 2), (317, 13, -70, 1), (20, 500, 20, 2), (4, 150, 0, 15), (60, 20, 180, 0.1)],
)
def test_the_number_is_exact_and_somata_are_in_the_partition(tmp_path, n, spacing, angle, radius):
    position, _ = placed(tmp_path, tree(n, spacing, angle, float(radius)))
    assert len(position) == n
    assert (position >= np.array([0, 0, 70]) + radius - 1e-3).all()
    assert (position <= np.array([200, 100, 150]) - radius + 1e-3).all()


def test_somata_may_be_as_thick_as_their_layer(tmp_path):
    thin = edited(("partitions.top.thickness", 15.0), ("network.z", 85.0), tree=tree(20, 50, 10, 7.5))
    position, _ = placed(tmp_path, thin)
    assert position.shape == (20, 3) and (np.abs(position[:, 2] - 77.5) < 1e-4).all()


def test_cells_lie_in_tilted_rows(tmp_path):
    position, _ = placed(tmp_path, tree(80, 25, 10, 2.0))
    rows = 8
    per_row = np.unique(np.round(np.sort(position[:, 1]) - 2, 2))
    assert len(per_row) > 10, "cells scatter along their rows"
    x = position[:, 0] - 2
    # cells of a row, unwound: what is left after the tilt is a multiple of the spacing, but for the scatter along y
    m = np.ceil(80 / rows)
    room = (96 / m) / 2
    around = 25 * rows - 4
    rest = (x - (position[:, 1] - 2) * np.tan(np.radians(10))) % around
    start = rest[0]
    off = np.minimum((rest - start) % 25, 25 - (rest - start) % 25)
    off = np.minimum(off, np.minimum((rest - start + 4) % 25, 25 - (rest - start + 4) % 25))
    assert off.max() < 2 * room * np.tan(np.radians(10)) + 0.1
    assert position[:, 2].std() > 15


def test_neighbours_in_a_row_do_not_overlap(tmp_path):
    position, _ = placed(tmp_path, tree(64, 25, 0, 4.0))
    y = [np.sort(position[abs(position[:, 0] - x) < 1, 1]) for x in np.unique(np.round(position[:, 0], 1))]
    assert min(np.diff(row).min() for row in y if len(row) > 1) >= 8 - 1e-3


def test_cells_are_the_same_bytes_for_any_number_of_tiles_and_others_for_another_seed(tmp_path):
    shas = {placed(tmp_path / str(tiles), tree(), tiles)[1] for tiles in (1, 2, 7)}
    assert len(shas) == 1
    other = tree()
    other["rng"] = {"seed": 9}
    assert placed(tmp_path / "seed", other)[1] not in shas


def test_cells_relative_to_those_in_the_same_chunk_count_the_rows(tmp_path):
    description = tree(90)
    description["placement"]["upper"]["partitions"] = ["top"]
    description["cell_types"]["b"]["spatial"] = {"radius": 2.0, "relative_to": "a", "local_count_ratio": 2}
    plan = run(plan_of(tmp_path, description, 3), "place")
    with Nodes(plan.nodes("a")) as a, Nodes(plan.nodes("b")) as b:
        assert b.n == 180
        cells = [np.unique(nodes.positions() // 50, axis=0, return_counts=True) for nodes in (a, b)]
        ratio = {tuple(at): n for at, n in zip(*cells[0], strict=True)}
        assert all(abs(n - 2 * ratio[tuple(at)]) <= 1 for at, n in zip(*cells[1], strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"angle": 90}, "no odd multiple of 90"),
        ({"angle": -270}, "no odd multiple of 90"),
        ({"angle": "steep"}, "angle"),
        ({"spacing": 0}, "spacing_x"),
        ({"spacing": 1e-9}, "too many rows .*; spacing_x should be larger"),
        ({"spacing": 1e-320}, "too many rows"),
        ({"spacing": None}, '"spacing_x" is missing'),
        ({"n": 5000}, r'5000 cells of "a" do not fit into the rows: at most \d+, in 8 rows'),
        ({"radius": 41.0, "n": 1}, "does not fit"),
    ],
)
def test_what_cannot_be_placed_is_told_at_check(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, tree(**options))
