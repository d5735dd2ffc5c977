import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.config.parse import parse
from snakefold.errors import UserError


@pytest.fixture
def read(tmp_path):
    """Write a file and parse it."""

    def parse_text(text):
        path = tmp_path / "main.yaml"
        path.write_text(text)
        return parse(path)

    return parse_text


def says(read, text):
    with pytest.raises(UserError) as caught:
        read(text)
    return [str(m) for m in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("3.9e-5", 3.9e-5),
        ("1E+3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("+1", 1),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("true", True),
        ("'1'", "1"),
        ("= 1", "= 1"),
        (".inf", float("inf")),
        ("-.inf", -float("inf")),
        ("1e", "1e"),
        ("e5", "e5"),
    ],
)
def test_numbers_are_those_of_yaml_1_2(read, text, value):
    got = read(f"x: {text}\n").tree["x"]
    assert got == value
    assert type(got) is type(value)


def test_not_a_number_is_read_as_such(read):
    got = read("x: .nan\n").tree["x"]
    assert got != got


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text().filter(lambda k: k[:1] != "$"), v, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text().filter(lambda k: k[:1] != "$"), plain, max_size=4), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_the_standard_library_reads_it(tmp_path_factory, tree, indent):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(tree, indent=indent, ensure_ascii=len(tree) % 2 == 0), encoding="utf-8")
    document = parse(path)
    assert document.tree == tree
    assert all(type(a) is type(b) for a, b in zip(document.tree.values(), tree.values(), strict=True))


def test_json_marks_every_value(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{\n  "a": {"b": [10,\n    20]},\n\n "c": "x"}')
    document = parse(path)
    places = {p: (m.line, m.column) for p, m in document.marks.items()}
    assert places == {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", "b"): (2, 9),
        ("a", "b", 0): (2, 15),
        ("a", "b", 1): (3, 5),
        ("c",): (5, 2),
    }


def test_yaml_marks_every_value(read, tmp_path):
    document = read("a:\n  b:\n  - 10\n  - {c: 20}\n\nd: x\n")
    places = {p: (m.line, m.column) for p, m in document.marks.items()}
    assert places == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 0): (3, 5),
        ("a", "b", 1): (4, 5),
        ("a", "b", 1, "c"): (4, 6),
        ("d",): (6, 1),
    }
    assert document.locate(("a", "b", 1, "nowhere", 3)) == f"{tmp_path}/main.yaml:4"
    assert document.locate(("nowhere",)) == f"{tmp_path}/main.yaml:1"


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "3:2", ""),
        ("a: 'x\n", "2:1", ""),
        ("a: 1\n\tb: 2\n", "2:1", ""),
        ("a: 1\na: 2\n", "2:1", '"a" stands twice here (first: line 1)'),
        ("a: {b: 1, b: 2}\n", "1:11", '"b" stands twice'),
        ("a: !!python/object:os.system x\n", "1:4", "plain YAML only"),
        ("a: *nothing\n", "1:4", "undefined alias"),
        ("? [1, 2]\n: 3\n", "1:3", "a key should be: a name"),
        ("a: &x [*x]\n", "", "holds too much"),
        ("a: 1\n---\nb: 2\n", "2:1", ""),
    ],
)
def test_malformed_yaml_says_line_and_column(read, tmp_path, text, at, what):
    (message,) = says(read, text)
    assert message.startswith(f"{tmp_path}/main.yaml:{at}")
    assert what in message


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("{", "1:2", "expected a key"),
        ('{"a": 1,}', "1:9", "comma"),
        ('{"a": [1,\n 2,]}', "2:4", "comma"),
        ('{"a" 1}', "1:6", "expected ':'"),
        ('{"a": 01}', "1:8", "expected ','"),
        ('{"a": NaN}', "1:7", "expected a value"),
        ('{"a": -}', "1:7", "expected a value"),
        ('{"a": "x}', "1:7", ""),
        ('{"a": "\\q"}', "1:8", "escape"),
        ('{"a": 1} x', "1:10", "nothing should follow"),
        ('{"a": 1,\n "a": 2}', "2", "stands twice"),
        ("{'a': 1}", "1:2", "double quotes"),
        ("[" * 200, "1:102", "levels"),
    ],
)
def test_malformed_json_says_line_and_column(tmp_path, text, at, what):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        parse(path)
    assert str(caught.value).startswith(f"{path}:{at}")
    assert what in str(caught.value)


@given(st.text('{}[]":,0123456789.eE+-truefalsn \n\\u', max_size=40))
def test_any_text_as_json_is_read_or_refused_like_the_standard_library_does(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    path.write_text('{"x": ' + text + "}")

    def no_twins(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    try:
        expected = json.loads(path.read_text(), object_pairs_hook=no_twins, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError, AssertionError):
        expected = None
    try:
        got = parse(path).tree
    except UserError:
        got = None
    assert got == expected


@given(st.text("ab:-[]{}&*!|>'\"#%@`, \n\t0", max_size=40))
def test_any_text_as_yaml_is_read_or_refused_with_a_place(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(text)
    try:
        parse(path)
    except UserError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n", "3\n"])
def test_what_is_no_mapping_is_refused(read, tmp_path, text):
    (message,) = says(read, text)
    assert message.startswith(f"{tmp_path}/main.yaml: ")


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "x.txt").write_text("a: 1")
    for name, what in (
        ("missing.yaml", "No such file"),
        ("latin.yaml:2", "UTF-8"),
        ("folder.yaml", "directory"),
        ("x.txt", ".yaml, .yml, .json"),
    ):
        with pytest.raises(UserError, match=what) as caught:
            parse(tmp_path / name.partition(":")[0])
        assert str(tmp_path / name) in str(caught.value)


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "c.yaml").write_bytes("a: ü\n".encode("utf-8-sig"))
    assert parse(tmp_path / "c.yaml").tree == {"a": "ü"}


def test_anchors_and_merge_keys(read):
    tree = read("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: [*b, *b]\nboth: {<<: [*b, {x: 9, z: 4}]}\n").tree
    assert tree["other"] == {"x": 1, "y": 3}
    assert tree["list"] == [{"x": 1, "y": 2}] * 2
    assert tree["both"] == {"x": 1, "y": 2, "z": 4}


def test_an_alias_bomb_is_refused(read):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    (message,) = says(read, bomb)
    assert "holds too much" in message


def test_a_reference_bomb_is_refused(read):
    bomb = "a0: {x: 1}\n" + "".join(
        f'a{i}: {{p: {{$ref: "#/a{i - 1}"}}, q: {{$ref: "#/a{i - 1}"}}}}\n' for i in range(1, 40)
    )
    (message,) = says(read, bomb)
    assert "holds too much" in message


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 5000, "- " * 5000, "a: " + "[" * 150 + "]" * 150])
def test_deep_nesting_is_a_users_mistake(read, text):
    assert says(read, text)


def test_long_lists_of_positions_are_read_at_once(tmp_path):
    points = [[0.5 * i, -1e-3 * i, i] for i in range(4000)]
    text = json.dumps({"a": 1, "points": points, "b": points[0], "deep": [[[1]] * 2000], "last": None}, indent=1)
    (tmp_path / "c.json").write_text(text)
    document = parse(tmp_path / "c.json")
    assert document.tree["points"] == points and document.tree["deep"] == [[[1]] * 2000]
    assert document.locate(("points", 7)).endswith("c.json:3")
    assert document.locate(("last",)).endswith(f"c.json:{len(text.splitlines()) - 1}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" + "[1, 2, 3], " * 2000 + "[1, 2 3]]", "malformed JSON: expected ','"),
        ("[" + "[1, 2, 3], " * 2000, "malformed JSON: expected a value"),
        ("[" * 5000 + "1" + "]" * 5000, "more than 400000 values or 100 levels"),
        ("[" + "[1, 2, 3], " * 1_000_001 + "1]", "more than 3000000 numbers; import positions or pairs from CSV"),
        ("[" + '{"a": 1}, ' * 200_001 + "1]", "more than 400000 values"),
    ],
    ids=["malformed", "cut off", "deep", "numbers", "mappings"],
)
def test_what_is_wrong_with_long_lists_is_told(tmp_path, text, says):
    (tmp_path / "c.json").write_text('{"a": ' + text + "}")
    with pytest.raises(UserError, match=re.escape(says)):
        parse(tmp_path / "c.json")


def test_more_values_than_can_be_checked_in_seconds_are_refused(read):
    assert "more than 400000 values" in says(read, "a: [" + "1, " * 400_001 + "1]\n")[0]


def test_a_file_that_cannot_be_read_is_tried_and_told_once(tmp_path, monkeypatch):
    from snakefold.config import parse as module

    tried = []
    original = module.read_file
    monkeypatch.setattr(module, "read_file", lambda path, *a: tried.append(path) or original(path, *a))
    (tmp_path / "c.yaml").write_text('a: {$ref: "no.yaml#/x"}\nb: {$ref: "no.yaml#/y"}\nc: {$ref: "no.yaml#/x"}\n')
    with pytest.raises(UserError) as caught:
        parse(tmp_path / "c.yaml")
    assert len(tried) == 2
    (mistake,) = caught.value.mistakes
    assert "c.yaml:1)" in str(mistake)


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_only_regular_files_are_read(tmp_path, kind):
    file = tmp_path / "c.yaml"
    {"device": lambda: file.symlink_to("/dev/zero"), "pipe": lambda: os.mkfifo(file), "folder": file.mkdir}[kind]()
    with pytest.raises(UserError, match=r"c\.yaml: cannot be read: (Not a regular file|Is a directory)"):
        parse(file)


# References


def test_ref_takes_over_a_mapping_and_what_stands_beside_it_goes_before(read):
    tree = read(
        'a: {p: 1, deep: {x: 1, y: 2}, list: [1, 2]}\nb: {$ref: "#/a", p: 2, deep: {y: 3, z: 4}, list: [9]}\n'
    ).tree
    assert tree["b"] == {"p": 2, "deep": {"x": 1, "y": 3, "z": 4}, "list": [9]}
    assert tree["a"] == {"p": 1, "deep": {"x": 1, "y": 2}, "list": [1, 2]}


def test_ref_to_ref_into_lists_and_with_escapes(read):
    tree = read(
        'a: {$ref: "#/b"}\nb: {$ref: "#/l/1"}\nl: [0, {x: {y: 5}}]\nc: {$ref: "#/b/x"}\n'
        '"k/e~y": {v: 1}\nd: {$ref: "#/k~1e~0y"}\ne: [{$ref: "#/b"}]\n'
    ).tree
    assert tree["a"] == tree["b"] == {"x": {"y": 5}}
    assert tree["c"] == {"y": 5}
    assert tree["d"] == {"v": 1}
    assert tree["e"] == [{"x": {"y": 5}}]


def test_a_reference_into_a_mapping_with_overrides_sees_both(read):
    tree = read('base: {p: {a: 1, b: 2}}\nmade: {$ref: "#/base", p: {b: 3}}\nuse: {$ref: "#/made/p"}\n').tree
    assert tree["use"] == {"a": 1, "b": 3}


def test_siblings_may_refer_to_each_other_below_a_reference(read):
    tree = read('base: {z: 0}\nm: {$ref: "#/base", one: {x: 1}, two: {$ref: "#/m/one", y: 2}}\n').tree
    assert tree["m"] == {"z": 0, "one": {"x": 1}, "two": {"x": 1, "y": 2}}


def test_import_takes_the_named_keys(read):
    tree = read('a: {p: 1, q: {x: 1}, r: 3}\nb: {$import: {ref: "#/a", values: [p, q]}, q: {y: 2}}\n').tree
    assert tree["b"] == {"p": 1, "q": {"x": 1, "y": 2}}


def test_references_between_files_are_relative_to_the_file_in_which_they_stand(read, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "types.json").write_text(
        '{"all": {\n "a": {"$ref": "more.yaml#/a", "x": 1},\n "b": {"$ref": "../main.yaml#/own"}}}'
    )
    (tmp_path / "parts" / "more.yaml").write_text("a:\n  y: 2\n")
    document = read('cell_types: {$ref: "parts/types.json#/all"}\nown: {z: 3}\n')
    assert document.tree["cell_types"] == {"a": {"y": 2, "x": 1}, "b": {"z": 3}}
    assert document.locate(("cell_types", "a", "y")) == f"{tmp_path}/parts/more.yaml:2"
    assert document.locate(("cell_types", "a", "x")) == f"{tmp_path}/parts/types.json:2"
    assert document.locate(("cell_types", "b", "z")) == f"{tmp_path}/main.yaml:2"
    assert document.folder_of(("cell_types", "a", "y")) == tmp_path / "parts"
    assert document.top == tmp_path.resolve()
    assert [s.path.rpartition("/")[2] for s in document.sources] == ["main.yaml", "types.json", "more.yaml"]
    assert document.sources[0].size == (tmp_path / "main.yaml").stat().st_size


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('a: {$ref: "#/b"}\nb: {$ref: "#/a"}\n', ["#/a leads back to", "main.yaml#/a"]),
        ('a: {$ref: "#/a"}\n', ["#/a leads back to"]),
        ('a: {b: {c: {$ref: "#/a"}}}\n', ["#/a leads back to"]),
        ('a: {$ref: "#/"}\n', ["leads back to"]),
        ('a: {$ref: "#/a/b"}\n', ["leads back to"]),
        ('a: {$import: {ref: "#/a", values: [x]}}\n', ["leads back to"]),
    ],
)
def test_a_cycle_names_both_ends(read, tmp_path, text, what):
    messages = says(read, text)
    assert all(str(tmp_path / "main.yaml") + ":" in m for m in messages)
    assert all(any(part in m for m in messages) for part in ["cyclic reference", *what])


def test_a_cycle_across_files_is_found_however_the_files_are_spelled(read, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.yaml").write_text('y: {$ref: "../sub/../main.yaml#/x"}\n')
    messages = says(read, 'x: {$ref: "sub/b.yaml#/y"}\n')
    assert len(messages) == 1
    assert messages[0].startswith(f"{tmp_path}/sub/b.yaml:1: ")
    assert "cyclic reference" in messages[0]
    assert "main.yaml#/x" in messages[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('a: {$ref: "#/nowhere"}\nb: {x: 1}\n', 'nothing at "nowhere"'),
        ('a: {$ref: "#/b/y"}\nb: {x: 1}\n', 'nothing at "y"'),
        ('a: {$ref: "#/b/x"}\nb: {x: 1}\n', "should point to: a mapping (got: int)"),
        ('a: {$ref: "#/l/5"}\nl: [1]\n', 'nothing at "5"'),
        ('a: {$ref: "missing.yaml#/x"}\n', "No such file"),
        ('a: {$ref: "x.txt#/x"}\n', "should end in"),
        ("a: {$ref: 3}\n", "a reference should be: file#/pointer (got: 3)"),
        ("a: {$import: 3}\n", "$import should be"),
        ('a: {$import: {ref: "#/b", values: [z]}}\nb: {x: 1}\n', 'no key "z"'),
        ('{a: {$import: {ref: "#/b", values: [z]}}, b: {$ref: "#/x"}}\n', 'nothing at "x"'),
        ("a: {$import: {ref: nowhere.yaml#/b, values: [y, z]}}\n", "nowhere.yaml: cannot be read"),
        ('a: {$import: {ref: "#/b", values: [xx1]}}\nb: {xx: 1}\n', 'did you mean "xx"?'),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_stands_and_what_is_missing(read, tmp_path, text, what):
    (message,) = says(read, text)
    assert what in message
    assert f"{tmp_path}/main.yaml:1" in message


def test_all_wrong_references_are_reported_at_once(read):
    assert len(says(read, 'a: {$ref: "#/x"}\nb: {$ref: "#/y"}\nc: {$ref: "missing.yaml#/x"}\n')) == 3


def test_a_referenced_value_keeps_its_own_mark(read, tmp_path):
    document = read('a:\n  x: 1\n  deep:\n    y: 2\nb:\n  $ref: "#/a"\n  deep:\n    z: 3\n')
    assert document.locate(("b", "x")) == f"{tmp_path}/main.yaml:2"
    assert document.locate(("b", "deep", "y")) == f"{tmp_path}/main.yaml:4"
    assert document.locate(("b", "deep", "z")) == f"{tmp_path}/main.yaml:8"
    assert document.locate(("b",)) == f"{tmp_path}/main.yaml:5"


@pytest.mark.parametrize(
    "text", ["[1, -2.5e3, 0]", "[ 1 ]", "[1,, 2]", "[1, 2,]", "[-]", "[01]", "[1e]", "[+1]", "[ ]"]
)
def test_a_list_of_numbers_is_read_as_any_other(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text('{"a": 0,\n "x": ' + text + "}")
    try:
        expected = json.loads(path.read_text())
    except ValueError:
        with pytest.raises(UserError, match=r"c\.json:2:"):
            parse(path)
    else:
        document = parse(path)
        assert document.tree == expected
        assert document.locate(("x", 0)) == f"{path}:2"
