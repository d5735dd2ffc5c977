import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from snakefold.config import types
from snakefold.config.context import BuildContext, building
from snakefold.config.nodes import INVALID, Attribute, Node

POINTS = types.Array(None, 3, says="a list of points [x, y, z]")


class Point(Node):
    """A point."""

    x = Attribute(types.number(), required=True)


HANDLERS = {
    "number": types.number(),
    "positive": types.number(above=0),
    "bounded": types.number(min=0, max=1),
    "integer": types.integer(min=0, max=10),
    "string": types.string(),
    "boolean": types.boolean(),
    "anything": types.anything(),
    "choice": types.Choice("x", "y"),
    "vector": types.Vector(types.number()),
    "size": types.Vector(types.number(above=0), scalar=True),
    "list": types.ListOf(types.integer(), least=1),
    "distinct": types.ListOf(types.string(), distinct=True),
    "dict": types.DictOf(types.number()),
    "free": types.DictOf(types.anything(), names=False),
    "node": types.NodeOf(Point),
    "reference": types.Reference("cell_types", "cell type"),
    "table": types.PairTableOf(types.number()),
    "positions": POINTS,
    "vector of any length": types.Array(None),
    "fraction": types.fraction(),
    "degrees": types.Degrees(),
    "evaluation": types.Evaluation(),
    "list or one": types.ListOrOne(types.integer(min=0)),
    "any": types.AnyOf(types.integer(min=0), types.Array(2), types.NodeOf(Point), types.Degrees()),
    "voxel size": types.voxel_size(),
    "nothing": types.nothing(),
    "either": types.OneOf((lambda v: isinstance(v, dict), types.NodeOf(Point)), (lambda v: True, types.number())),
}
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([10**400, 1e308, 0.5, -0.0, math.inf, math.nan])
    | st.sampled_from(["", "x", "y", "= 1", "=", "= 2 ** 0.5", "a b", "-a", "..", "x.csv", "\0"])
)
values = st.recursive(
    leaves,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["x", "a", "..", "*"]), v, max_size=2),
    max_leaves=6,
)


def cast(handler, value, **context):
    build = BuildContext(**context)
    with building(build):
        return handler.cast(value, ("at",), None), [str(m) for m in build.mistakes]


@pytest.mark.parametrize("name", HANDLERS)
@given(value=values)
def test_any_value_is_cast_or_reported_never_both_and_what_is_cast_can_be_written_back(name, value):
    handler = HANDLERS[name]
    got, mistakes = cast(handler, value)
    if got is INVALID:
        assert mistakes
    elif not mistakes:
        again, mistakes = cast(handler, handler.to_json(got))
        assert mistakes == []
        assert repr(handler.to_json(again)) == repr(handler.to_json(got))


# whose schemas cannot say all that they take, or take more: arrays of numbers as NumPy reads them
NARROWER = {"reference", "positions", "dict", "free", "node", "either", "any", "vector of any length"}


@pytest.mark.parametrize("name", sorted(HANDLERS.keys() - NARROWER))
@given(value=values)
def test_what_is_cast_is_what_the_schema_allows(name, value):
    definitions = {}
    schema = HANDLERS[name].schema(definitions) | {"$defs": definitions}
    got, mistakes = cast(HANDLERS[name], value)
    if got is not INVALID and not mistakes:
        Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("name", HANDLERS)
def test_every_schema_is_valid(name):
    definitions = {}
    Draft202012Validator.check_schema(HANDLERS[name].schema(definitions) | {"$defs": definitions})


@pytest.mark.parametrize(
    ("handler", "value", "says"),
    [
        (types.number(above=0), 0, "should be: a number > 0 (got: 0)"),
        (types.number(min=0, max=1), 2.5, "should be: a number >= 0 and <= 1 (got: 2.5)"),
        (types.integer(min=1), 1.5, "should be: a whole number >= 1 (got: 1.5)"),
        (types.number(), True, "should be: a number (got: True)"),
        (types.number(), "12 um", "should be: a number (got: '12 um')"),
        (types.integer(), "1.5", "should be: a whole number (got: 1.5)"),
        (types.string(), False, "should be: a text (got: False); yes, no, on and off are texts only in quotes"),
        (types.Choice("on", "off"), True, "should be: one of on, off (got: True); yes, no, on and off are texts"),
        (types.Reference("cell_types", "cell type"), False, "yes, no, on and off are texts only in quotes"),
        (types.fraction(), 1.01, "should be: a number >= 0 and <= 1 (got: 1.01)"),
        (types.Degrees(), "wide", "should be: a number of degrees (got: 'wide')"),
        (types.Evaluation(), {"statement": "a +"}, "at.statement: the expression"),
        (
            types.Evaluation(),
            {"statement": "a", "variables": {"b": 1}},
            'at.statement: the expression uses "a", which is no variable',
        ),
        (types.Evaluation(), {"statement": "1", "variables": {"b": "x"}}, "at.variables.b: should be: a number"),
        (types.Evaluation(), {"statment": "1"}, "should be: a number, or {statement: expression"),
        (types.ListOrOne(types.integer(min=0)), [1, -1], "at[1]: should be: a whole number >= 0 (got: -1)"),
        (types.AnyOf(types.integer(), types.Choice("auto")), "aut", "should be: a whole number or auto (got: 'aut')"),
        (types.Array(2, None), [[1, 2]], "an array of finite numbers of shape (2, n) (got: shape (1, 2))"),
        (types.Array(3), 5, "an array of finite numbers of shape (3,) (got: shape ())"),
        (types.voxel_size(), [1, 2], "should be: three numbers"),
        (types.number(), math.nan, "should be: a number (got: nan)"),
        (types.number(), 10**400, "should be: a number"),
        (types.number(), "= nope", 'the expression uses "nope", which is no variable'),
        (types.integer(), "= 1.5", "should be: a whole number (got: 1.5)"),
        (types.Choice("random", "fixed"), "randm", 'did you mean "random"?'),
        (types.Vector(types.number()), [1, 2], "should be: three numbers (got: [1, 2])"),
        (types.ListOf(types.string(), least=1), [], "should be: a list of at least 1 (got: [])"),
        (types.ListOf(types.string(), distinct=True), ["a", "b", "a"], 'at[2]: "a" stands twice'),
        (types.DictOf(types.number()), {"a/b": 1}, 'the name "a/b" should be: letters, digits'),
        (types.DictOf(types.number()), {"-x": 1}, "not starting with a dot or dash"),
        (types.anything(), {"a": [1.0, math.inf]}, "at.a[1]: should be: a finite number (got: inf)"),
        (POINTS, [[1, 2]], "(n, 3)"),
        (POINTS, [[1, 2, math.nan]], "finite"),
        (POINTS, [[1, 2, 10**400]], "a list of points"),
        (types.PairTableOf(types.number()), {"a": 1}, "at.a: should be: a mapping from target types to values"),
        (types.PairTableOf(types.number(min=0)), {"a": {"b": -1}}, "at.a.b: should be: a number >= 0"),
    ],
)
def test_messages_say_what_is_allowed_and_what_was_given(handler, value, says):
    got, mistakes = cast(handler, value)
    assert got is INVALID or isinstance(handler, types.DictOf)
    assert len(mistakes) == 1
    assert says in mistakes[0]
    assert mistakes[0].startswith("at")


def test_numbers_are_of_the_declared_type():
    assert repr(cast(types.number(), 3)[0]) == "3.0"
    assert repr(cast(types.integer(), 3.0)[0]) == "3"
    assert repr(cast(types.integer(), "= round(20683 * scale)", variables={"scale": 0.1})[0]) == "2068"
    assert cast(types.Vector(types.number(), scalar=True), 5)[0] == (5.0, 5.0, 5.0)


def test_numbers_in_quotes_are_numbers_as_in_the_bsb():
    assert repr(cast(types.number(), "1e5")[0]) == "100000.0"
    assert repr(cast(types.number(min=0), "+.5")[0]) == "0.5"
    assert repr(cast(types.integer(), "12")[0]) == "12"
    assert repr(cast(types.integer(), "1e3")[0]) == "1000"
    for text in ("", "1_000", "0x10", "nan", "inf", "1e999", "9" * 400, "1 2"):
        assert cast(types.number(), text)[0] is INVALID


def test_angles_are_given_in_degrees_and_used_in_radians():
    angle, _ = cast(types.Degrees(), "= 2 * 45")
    assert angle == math.pi / 2
    assert types.Degrees().to_json(angle) == 90.0
    assert types.AnyOf(types.Degrees()).to_json(angle) == 90.0
    assert types.Degrees().to_json(math.pi) == 180.0  # one that a component sets itself


def test_an_evaluation_has_variables_of_its_own():
    value = {"statement": "np.sqrt(a) * scale + np.pi - pi", "variables": {"a": 16}}
    assert cast(types.Evaluation(), value, variables={"scale": 2, "a": 1}) == (8.0, [])
    assert cast(types.Evaluation(), "= 2 * scale", variables={"scale": 2}) == (4.0, [])


def test_a_list_or_one_is_always_a_list():
    assert cast(types.ListOrOne(types.string()), "a") == (["a"], [])
    assert cast(types.ListOrOne(types.string()), ["a", "b"]) == (["a", "b"], [])
    assert types.ListOrOne(types.Degrees()).to_json(cast(types.ListOrOne(types.Degrees()), 30)[0]) == [30.0]


def test_any_of_takes_the_first_that_finds_nothing_wrong():
    handler = types.AnyOf(types.integer(min=0), types.NodeOf(Point), types.ListOf(types.Choice("x")))
    assert cast(handler, 3) == (3, [])
    assert cast(handler, {"x": 1.5})[0].x == 1.5
    assert handler.to_json(cast(handler, {"x": 1.5})[0]) == {"x": 1.5}
    assert cast(handler, ["x"]) == (["x"], [])
    assert len(cast(handler, {"x": "wide"})[1]) == 1


def test_arrays_have_their_shape():
    array, _ = cast(types.Array(None, 2), [[1, 2], [3, 4], [5, 6]])
    assert (array.shape, array.dtype) == ((3, 2), "float64")
    assert cast(types.Array(None, 2), [])[0].shape == (0, 2)
    assert types.Array(None, 2).to_json(array) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def test_what_is_not_yet_supported_may_ask_for_nothing():
    class Later(Node):
        """Something."""

        entity = types.later("Cells without positions.")

    for value, n in ((False, 0), ([], 0), ({}, 0), (None, 0), (True, 1), (["x"], 1), (0, 1), ("", 1)):
        with building(BuildContext()) as build:
            Later.build({"entity": value}, ("at",))
        assert [str(m) for m in build.mistakes] == n * ["at.entity: not yet supported: Cells without positions."]


def test_a_reference_is_looked_up_where_there_is_something_to_look_in():
    build = BuildContext()
    with building(build):
        build.share("references", lambda: {"cell_types": ["L4E", "L4I"]})
        handler = types.Reference("cell_types", "cell type")
        assert handler.cast("L4E", ("at",), None) == "L4E"
        assert handler.cast("L4e", ("at",), None) is INVALID
    assert str(build.mistakes[0]) == 'at: no cell type "L4e"; did you mean "L4E"? (cell_types: L4E, L4I)'
    assert cast(types.Reference("cell_types", "cell type"), "any") == ("any", [])


def test_a_pair_table_prefers_full_names_then_earlier_patterns():
    rows = {"*I": {"*": 1}, "L4E": {"L23E": 2, "*": 3}, "*": {"L4E": 4}}
    table = types.PairTable(rows)
    assert table.value("L4I", "x") == 1
    assert table.value("L4E", "L23E") == 2
    assert table.value("L4E", "x") == 3
    assert table.value("L5E", "L4E") == 4
    assert table.value("L5E", "L5E") is None
    assert types.PairTable(everywhere=7).value("a", "b") == 7


def test_a_pair_table_is_read_from_csv_beside_the_description(tmp_path):
    (tmp_path / "k.csv").write_text("source, target, value\nA, B, 1e2\nA, C, 3\n")
    table, mistakes = cast(types.PairTableOf(types.number()), "k.csv", folder_of=lambda path: tmp_path)
    assert mistakes == []
    assert table.to_json() == {"A": {"B": 100.0, "C": 3.0}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source,target\na,b\n", "source, target, value"),
        ("source,target,value\na,b,x\n", "source, target, value"),
        ("source,target,value\na,b\n", "source, target, value"),
        ("source,target,value\na,b,nan\n", "should be: a number"),
        ("source,target,value\na,b,1\na,b,2\n", "twice"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_csv_is_a_users_mistake(tmp_path, text, says):
    if text is not None:
        (tmp_path / "k.csv").write_text(text)
    got, mistakes = cast(types.PairTableOf(types.number()), "k.csv", folder_of=lambda path: tmp_path)
    assert got is INVALID
    assert says in mistakes[0]


def test_a_data_file_is_known_by_its_bytes_and_found_again_in_a_job(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"one")
    (tmp_path / "b.bin").write_bytes(b"one")
    a, b = (cast(types.FileOf(), n, folder_of=lambda path: tmp_path)[0] for n in ("a.bin", "b.bin"))
    assert a.digest == b.digest
    written = types.FileOf().to_json(a)
    assert cast(types.FileOf(), written, files={a.digest: tmp_path / "elsewhere"})[0].path == tmp_path / "elsewhere"
    got, mistakes = cast(types.FileOf(), "missing", folder_of=lambda path: tmp_path)
    assert got is INVALID
    assert "missing cannot be read: No such file" in mistakes[0]


def test_a_file_may_lie_above_the_part_of_the_description_that_names_it_but_not_above_all_parts(tmp_path):
    own = tmp_path / "all/parts/one"
    own.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "all", own):
        (folder / "a.bin").write_text(str(folder))
        where = {"folder_of": lambda path: own, "top": tmp_path / "all"}
        if folder == tmp_path:
            got, mistakes = cast(types.FileOf(), "a.bin", **where)
            assert got is INVALID and f"{own}/a.bin cannot be read" in mistakes[0]
            continue
        assert cast(types.FileOf(), "a.bin", **where)[0].path == folder / "a.bin"
    (own / "a.bin").unlink()
    assert cast(types.FileOf(), "../one/a.bin", **where)[0] is INVALID
    assert cast(types.FileOf(), "a.bin", folder_of=lambda path: own)[0] is INVALID


def test_the_digest_of_a_changed_file_is_another(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    before = types.file_digest(path)
    path.write_bytes(b"other")
    assert types.file_digest(path) != before
