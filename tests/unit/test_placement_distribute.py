import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, plan_of, run
from snakefold.errors import UserError
from snakefold.placement.distribute import merged, recoded, stored
from snakefold.sonata.nodes import Nodes

OWN = """
import numpy as np
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.distribute import Distributor, RotationDistributor

class Turn(Distributor):
    dtype = "i8"
    def distribute(self, cells, rng):
        return cells.first + np.arange(len(cells))

class Kind(Distributor):
    dtype = ("left", "right")
    def distribute(self, cells, rng):
        return np.where(cells.positions[:, 0] < 100, "left", "right")

class Two(Distributor):
    length = Attribute(types.number(), default=2.0, doc="Factor.")
    def columns(self, name, cell_type, about):
        return {name: "f4", f"{name}_of_radius": "f4"}
    def prepare(self, pieces, grid):
        return {"volume": np.array([pieces.volume.sum()])}
    def distribute(self, cells, rng):
        volume = np.full(len(cells), cells.prepared["volume"][0])
        return {"two": volume * self.length, "two_of_radius": np.full(len(cells), cells.about["radius"])}

class Nowhere(Distributor):
    def distribute(self, cells, rng):
        return np.full(len(cells), np.nan)

class Flat(RotationDistributor):
    def distribute(self, cells, rng):
        angle = rng.uniform(0, np.pi, len(cells))
        zero = np.zeros_like(angle)
        return np.stack([np.cos(angle / 2), zero, zero, np.sin(angle / 2)], axis=1)
"""


def described(folder, distribute, *edits):
    name = f"own_{folder.name}".replace("-", "_").replace("[", "_").replace("]", "_")
    (folder / f"{name}.py").write_text(OWN)
    own = {
        key: value | {"strategy": value["strategy"].replace("own.", f"{name}.")} for key, value in distribute.items()
    }
    return edited(
        ("components", [f"{name}.py"]),
        ("placement.lower.distribute", own),
        ("connectivity", {}),
        ("simulations", {}),
        *edits,
    )


ALL = {
    "rotations": {"strategy": "own.Flat"},
    "turn": {"strategy": "own.Turn"},
    "side": {"strategy": "own.Kind"},
    "two": {"strategy": "own.Two", "length": 3},
    "age": {"strategy": "distribution", "distribution": {"distribution": "norm", "loc": 20, "scale": 3}},
    "etype": {"strategy": "choice", "values": {"cAD": 3, "bNAC": 1}},
    "origin": {"strategy": "constant", "value": "here"},
    "line": {"strategy": "constant", "value": 7},
}
ALSO = {"strategy": "random", "partitions": ["top"], "cell_types": ["a"]}


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def placed(folder, tree, tiles):
    folder.mkdir(exist_ok=True)
    return run(plan_of(folder, tree, tiles), "place")


def test_properties_are_columns_of_the_nodes(tmp_path):
    plan = placed(tmp_path, described(tmp_path, ALL), 3)
    with Nodes(plan.nodes("a")) as nodes:
        x = nodes.positions()[:, 0]
        assert nodes.column("turn").tolist() == list(range(120))
        assert (nodes.column("side") == np.where(x < 100, "left", "right")).all()
        assert np.allclose(nodes.column("two"), 3 * 200 * 100 * 70)
        assert (nodes.column("two_of_radius") == 2).all()
        assert 18 < nodes.column("age").mean() < 22
        assert 2 < nodes.column("age").std() < 4
        assert 75 < (nodes.column("etype") == "cAD").sum() < 105
        assert set(nodes.column("origin")) == {"here"}
        assert nodes.columns["line"] == np.int64
        w, z = nodes.column("orientation_w"), nodes.column("orientation_z")
        assert np.allclose(w**2 + z**2, 1)
        assert len(np.unique(z)) == 120


def test_properties_are_the_same_bytes_for_any_number_of_tiles(tmp_path):
    tree = described(tmp_path, ALL, ("placement.more", ALSO))
    (tmp_path / "2").mkdir()
    found = [sha(placed(tmp_path, tree, tiles).nodes("a")) for tiles in (1, 3, 60)]
    assert len(set(found)) == 1


def test_positions_and_other_properties_stay_when_a_property_is_edited(tmp_path):
    one = placed(tmp_path, described(tmp_path, ALL), 2)
    with Nodes(one.nodes("a")) as nodes:
        before = {c: nodes.column(c) for c in ("x", "age", "etype", "two")}
    edit = ALL | {"two": ALL["two"] | {"length": 4}, "a_new_one": {"strategy": "constant", "value": 1.5}}
    other = placed(tmp_path, described(tmp_path, edit), 2)
    assert one.parts["place/lower"].digest != other.parts["place/lower"].digest
    with Nodes(other.nodes("a")) as nodes:
        assert (nodes.column("a_new_one") == 1.5).all()
        assert [c for c in before if (nodes.column(c) != before[c]).any()] == ["two"]


def test_cells_of_a_strategy_without_a_property_have_none_of_it(tmp_path):
    tree = described(tmp_path, ALL, ("placement.more", ALSO))
    with Nodes(placed(tmp_path, tree, 2).nodes("a")) as nodes:
        assert nodes.n == 240
        assert (nodes.column("age")[120:] == 0).all()
        assert set(nodes.column("etype")[120:]) == {""}
        assert set(nodes.column("etype")[:120]) == {"cAD", "bNAC"}


def test_a_generator_named_by_a_property_changes_that_property_alone(tmp_path):
    seeds = ("rng", {"seed": 7, "generators": {"ages": {"seed": 4}}})
    plain = placed(tmp_path, described(tmp_path, ALL, seeds), 2)
    with Nodes(plain.nodes("a")) as nodes:
        before = {c: nodes.column(c) for c in ("x", "age", "etype")}
    own = ALL | {"age": ALL["age"] | {"rng": "ages"}}
    with Nodes(placed(tmp_path, described(tmp_path, own, seeds), 2).nodes("a")) as nodes:
        assert [c for c in before if (nodes.column(c) != before[c]).any()] == ["age"]


@pytest.mark.parametrize(
    ("distribute", "message"),
    [
        ({"x": {"strategy": "constant", "value": 1}}, r'"x" is a column of every cell'),
        ({"mtype": {"strategy": "constant", "value": "L5"}}, r'"mtype" is a column of every cell'),
        ({"a b": {"strategy": "constant", "value": 1}}, r"letters, digits"),
        ({"age": {"strategy": "constant"}}, r'"value" is missing'),
        ({"age": {"strategy": "constant", "value": [1]}}, "number"),
        ({"age": {"value": 1}}, r'"strategy" is missing'),
        ({"age": 3}, r'a mapping with "strategy"'),
        ({"age": {"strategy": "constnat", "value": 1}}, "constant"),
        ({"etype": {"strategy": "choice", "values": {}}}, "not all of them 0"),
        ({"etype": {"strategy": "choice", "values": {"x": 1e308, "y": 1e308}}}, "a sum that is a number"),
        ({"etype": {"strategy": "choice", "values": {"a": -1}}}, ">= 0"),
        ({"age": {"strategy": "distribution", "distribution": {"distribution": "nrom"}}}, "norm"),
        ([], "mapping"),
    ],
)
def test_what_cannot_be_distributed_is_told_at_check(tmp_path, distribute, message):
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, edited(("placement.lower.distribute", distribute)), 1)


def test_a_property_of_numbers_here_and_of_strings_there_is_a_mistake(tmp_path):
    more = ALSO | {"distribute": {"age": {"strategy": "constant", "value": "old"}}}
    age = {"age": {"strategy": "constant", "value": 1.5}}
    with pytest.raises(UserError, match=r"is a string here, but a number in placement\.lower"):
        plan_of(tmp_path, edited(("placement.more", more), ("placement.lower.distribute", age)), 1)


def test_a_value_that_is_not_finite_is_told_with_its_property(tmp_path):
    with pytest.raises(UserError, match=r'place lower: .*"age" of a.*finite'):
        placed(tmp_path, described(tmp_path, {"age": {"strategy": "own.Nowhere"}}), 1)


def test_what_is_stored_is_of_its_dtype_or_refused():
    assert stored([1.0, 2.0], "i4", 2, "age").dtype == np.int32
    assert stored(["b", "a"], ("b", "a"), 2, "age").tolist() == [0, 1]
    assert stored([1, 0], ("b", "a"), 2, "age").tolist() == [1, 0]
    for values, kind in (
        ([1.5, 2], "i4"),
        ([300, 1], "u1"),
        ([np.inf, 1], "f4"),
        ([1e300, 1], "f4"),
        (["a", "c"], ("b", "a")),
        ([0, 2], ("b", "a")),
        ([1], "f4"),
        (["a", "b"], "f4"),
    ):
        with pytest.raises(UserError, match="age"):
            stored(values, kind, 2, "age")


def test_columns_of_several_strategies_are_merged():
    kinds = [{"n": "i4", "s": ("b", "a")}, {"n": "f8", "s": ("c",)}, {"n": "i2"}]
    columns = merged(kinds)
    assert columns == {"n": np.float64, "s": ("", "a", "b", "c")}
    assert recoded("s", np.array([0, 1], np.uint32), kinds[0]["s"], columns["s"], 2).tolist() == [2, 1]
    assert recoded("s", None, None, columns["s"], 2).tolist() == [0, 0]
    assert recoded("n", None, None, columns["n"], 1).tolist() == [0.0]
    assert recoded("orientation_w", None, None, np.dtype("f4"), 2).tolist() == [1.0, 1.0]
    assert merged(kinds[:1]) == {"n": np.int32, "s": ("b", "a")}, "one strategy: as it is, in its own order"
