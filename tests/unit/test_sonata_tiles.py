import hashlib

import numpy as np
import pytest

from snakefold.errors import UserError
from snakefold.sonata import tiles
from snakefold.sonata.tiles import Tile, write_tile

UNITS = np.array([[0, 4], [0, 9], [1, 0]])
GROUPS = {
    "L4E_to_L4I": {"target": np.array([0, 2, 2, 5], "u4"), "source": np.array([1, 1, 3, 0], "u4")},
    "L4E": {axis: np.arange(3, dtype="f4") for axis in "xyz"},
}
ROWS = {"L4E_to_L4I": np.array([1, 0, 3]), "L4E": np.array([0, 0, 3])}


@pytest.fixture
def path(tmp_path):
    write_tile(tmp_path / "t.h5", "digest", UNITS, GROUPS, ROWS)
    return tmp_path / "t.h5"


def test_round_trip(path):
    with Tile(path) as tile:
        assert tile.groups == ("L4E", "L4E_to_L4I")
        assert tile.digest == "digest"
        np.testing.assert_array_equal(tile.units, UNITS)
        assert tile.units.dtype == np.uint64
        assert tile.starts("L4E_to_L4I").tolist() == [0, 1, 1, 4]
        assert tile.n("L4E") == 3
        assert tile.columns("L4E_to_L4I") == {"source": np.dtype("u4"), "target": np.dtype("u4")}
        assert {k: v.tolist() for k, v in tile.read("L4E", 1, 2).items()} == {"x": [1.0], "y": [1.0], "z": [1.0]}
        with pytest.raises(UserError, match='no group "L4"'):
            tile.column("L4", "x")
        with pytest.raises(UserError, match='no column "w" in L4E'):
            tile.column("L4E", "w")


def test_positions_of_a_unit(path):
    with Tile(path) as tile:
        assert tile.positions("L4E", 0).shape == (0, 3)
        assert tile.positions("L4E", 2).tolist() == [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
        with pytest.raises(UserError, match='no column "x" in L4E_to_L4I'):
            tile.positions("L4E_to_L4I", 0)


def test_units_as_sorted_edges(path, monkeypatch):
    monkeypatch.setattr(tiles, "_SCAN_ROWS", 1)
    with Tile(path) as tile:
        whole, (first, last) = tile.edges("L4E_to_L4I"), tile.edges_of_units("L4E_to_L4I")
        assert [whole.first_row(t) for t in range(7)] == [0, 1, 1, 3, 3, 3, 4]
        assert (first.n, last.n) == (1, 3)
        assert [last.first_row(t) for t in range(7)] == [0, 0, 0, 2, 2, 2, 3]
        np.testing.assert_array_equal(last.block(0, 3), [[1, 3, 0], [2, 2, 5]])


def test_bytes_do_not_depend_on_the_order_of_dictionaries(path, tmp_path):
    turned = {name: dict(reversed(columns.items())) for name, columns in reversed(GROUPS.items())}
    write_tile(tmp_path / "other.h5", "digest", UNITS, turned, dict(reversed(ROWS.items())))
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((tmp_path / "other.h5").read_bytes()).digest()


def test_an_empty_tile(tmp_path):
    write_tile(tmp_path / "t.h5", "d", np.empty((0, 2)), {"L4E": {"x": np.empty(0, "f4")}}, {"L4E": np.empty(0, int)})
    with Tile(tmp_path / "t.h5") as tile:
        assert tile.n("L4E") == 0
        assert tile.edges_of_units("L4E") == []


def test_one_unit_needs_no_rows(tmp_path):
    write_tile(tmp_path / "t.h5", "d", [(0, 7)], GROUPS)
    with Tile(tmp_path / "t.h5") as tile:
        assert tile.starts("L4E_to_L4I").tolist() == [0, 4]


@pytest.mark.parametrize(
    ("groups", "rows", "message"),
    [
        (GROUPS, ROWS | {"L4E": np.array([0, 0, 2])}, "rows of L4E"),
        (GROUPS, ROWS | {"L4E": np.array([0, 3])}, "rows of L4E"),
        (GROUPS, ROWS | {"L4E": np.array([4, -1, 0])}, "rows of L4E"),
        (GROUPS | {"L4E": {"x": np.zeros(3), "y": np.zeros(2)}}, ROWS, "columns of L4E should be"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path, groups, rows, message):
    with pytest.raises(UserError, match=message):
        write_tile(tmp_path / "t.h5", "d", UNITS, groups, rows)
