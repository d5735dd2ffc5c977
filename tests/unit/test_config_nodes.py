import pytest
from jsonschema import Draft202012Validator

from snakefold.config import types
from snakefold.config.context import BuildContext, building
from snakefold.config.nodes import Attribute, AttributeOrderError, Node, unset


class Base(Node):
    """A base."""

    one = Attribute(types.number(), required=True, unit="um", doc="The first.")
    two = Attribute(types.number(), default=2.0, doc="The second.")
    three = Attribute(types.string())


def build(cls, value, **variables):
    context = BuildContext(variables)
    with building(context):
        node = cls.build(value)
    return node, [str(m) for m in context.mistakes]


def order(cls):
    return [a.name for a in cls.attributes()]


def test_attributes_are_built_in_declaration_order_and_an_override_keeps_its_place():
    class Child(Base):
        before = Attribute(types.number())
        two = Attribute(types.number(), default=5.0)
        after = Attribute(types.number())
        later = Attribute(types.number())

    class Beside(Base):
        four = Attribute(types.number())

    class Grandchild(Child):
        two = Attribute(types.number(), default=6.0)
        between = Attribute(types.number())

    assert order(Child) == ["one", "before", "two", "after", "later", "three"]
    assert order(Beside) == ["one", "two", "three", "four"]
    assert order(Grandchild) == ["one", "before", "two", "between", "after", "later", "three"]
    assert build(Child, {"one": 1})[0].two == 5.0
    assert build(Base, {"one": 1})[0].two == 2.0


def test_an_ambiguous_order_is_an_error_of_the_class():
    with pytest.raises(AttributeOrderError, match="built in the order one, two"):

        class Child(Base):
            two = Attribute(types.number())
            one = Attribute(types.number())


def test_bases_that_disagree_are_an_error_of_the_class():
    class First(Node):
        a = Attribute(types.number())
        b = Attribute(types.number())

    class Second(Node):
        b = Attribute(types.number())
        a = Attribute(types.number())

    with pytest.raises(AttributeOrderError, match="different orders"):

        class Both(First, Second):
            pass


def test_unset_removes_an_inherited_attribute():
    class Child(Base):
        two = unset
        four = Attribute(types.number())

    class Grandchild(Child):
        pass

    assert order(Child) == order(Grandchild) == ["one", "four", "three"]
    assert any('unknown key "two"' in m for m in build(Grandchild, {"one": 1, "two": 2})[1])


def test_mistakes_are_all_reported_and_the_rest_is_built():
    node, mistakes = build(Base, {"two": "x", "thre": "y", "three": 3})
    assert len(mistakes) == 4
    assert any('"one" is missing (The first, um)' in m for m in mistakes)
    assert any('thre: unknown key "thre"; did you mean "three"?' in m for m in mistakes)
    assert node.one is node.two is node.three is None
    assert build(Base, [1])[1] == ["should be: a mapping with one, two, three (got: [1])"]


def test_null_is_not_given():
    node, mistakes = build(Base, {"one": 1, "two": None})
    assert (node.two, mistakes) == (2.0, [])


def test_required_default_and_constraint_may_ask_the_node_and_its_parents():
    class Inner(Node):
        low = Attribute(types.number(), required=lambda node: node.parent.strict and "strict asks for it")
        high = Attribute(
            types.number(),
            default=lambda node: None if node.low is None else node.low + node.root().step,
            constraint=lambda node, high: None if node.low is None or high > node.low else "should be above low",
        )

    class Outer(Node):
        strict = Attribute(types.boolean(), default=False)
        step = Attribute(types.number(), default=1.0)
        inner = Attribute(types.DictOf(types.NodeOf(Inner)))
        late = Attribute(types.number(), default=9.0)

    node, mistakes = build(Outer, {"inner": {"x": {"low": 2}}, "step": 3})
    assert (node.inner["x"].high, mistakes) == (5.0, [])
    assert node.inner["x"].node_name == "x"
    assert node.inner["x"].path == ("inner", "x")
    assert node.inner["x"].parent is node
    assert [n.node_name for n in node.walk()] == ["", "x"]
    assert build(Outer, {"inner": {"x": {}}, "strict": True})[1] == ['inner.x: "low" is missing: strict asks for it']
    assert build(Outer, {"inner": {"x": {"low": 3, "high": 2}}})[1] == ["inner.x.high: should be above low"]


def test_what_is_built_before_is_seen_and_what_comes_later_is_not():
    seen = {}

    class Looks(Node):
        first = Attribute(types.number(), default=1.0)
        second = Attribute(types.number(), required=lambda node: seen.update(vars(node)) or False)
        third = Attribute(types.number(), default=3.0)

    build(Looks, {})
    assert seen["first"] == 1.0
    assert "third" not in seen


def test_write_back_has_defaults_and_leaves_out_what_bears_on_no_result():
    class Written(Base):
        four = Attribute(types.Vector(types.number()), key="4")
        label = Attribute(types.string(), semantic=False)

    node, mistakes = build(Written, {"one": "= 2 * k", "4": [1, 2, 3], "label": "x"}, k=3)
    assert mistakes == []
    assert node.to_json() == {"one": 6.0, "two": 2.0, "4": [1.0, 2.0, 3.0]}
    again, mistakes = build(Written, node.to_json())
    assert mistakes == []
    assert again.to_json() == node.to_json()


def test_schema_comes_from_the_declarations():
    definitions = {}
    reference = Base.schema(definitions)
    schema = definitions[reference["$ref"].rpartition("/")[2]]
    assert set(definitions) == {reference["$ref"].rpartition("/")[2], "reference", "import"}
    assert schema["description"] == "A base."
    validator = Draft202012Validator(schema | {"$defs": definitions})
    assert validator.is_valid({"one": 1}) and not validator.is_valid({})
    assert validator.is_valid({"$ref": "other.yaml#/a"})
    assert validator.is_valid({"$import": {"ref": "other.yaml#/a", "values": ["one"]}})
    assert not validator.is_valid({"$import": {"ref": "other.yaml#/a"}})
    assert schema["additionalProperties"] is False
    assert schema["properties"]["one"]["x-unit"] == "um"
    assert schema["properties"]["one"]["description"] == "The first."
    assert schema["properties"]["two"]["default"] == 2.0


def test_schema_of_a_class_that_contains_itself_and_of_one_without_a_docstring_ends():
    class Plain(Node):
        pass

    Plain.inner = Attribute(types.NodeOf(Plain))
    Plain.inner.__set_name__(Plain, "inner")
    Plain._attributes = {"inner": Plain.inner}
    definitions = {}
    own = Plain.schema(definitions)
    assert definitions[own["$ref"].rpartition("/")[2]]["properties"]["inner"]["$ref"] == own["$ref"]


class Member(Node):
    """Something that is named."""

    near = Attribute(types.Reference("members", "member"))


class Team(Node):
    """Something that names others, in every shape."""

    one = Attribute(types.Reference("members", "member"))
    some = Attribute(types.ListOf(types.Reference("members", "member")))
    by_key = Attribute(types.DictOf(types.ListOrOne(types.Reference("members or teams", "member"))))
    either = Attribute(
        types.OneOf((lambda v: v == "all", types.Choice("all")), (lambda v: True, types.Reference("members", "member")))
    )
    any = Attribute(types.AnyOf(types.integer(), types.Reference("members", "member")))


class Club(Node):
    """The root."""

    members = Attribute(types.DictOf(types.NodeOf(Member)))
    teams = Attribute(types.DictOf(types.NodeOf(Team)))


def test_references_are_known_from_both_ends():
    teams = {
        "one": {"one": "a"},
        "some": {"some": ["b", "a"]},
        "keyed": {"by_key": {"x": "c", "y": ["one", "a"]}},
        "either": {"either": "b"},
        "all": {"either": "all"},
        "any": {"any": "c"},
        "number": {"any": 3},
    }
    with building(BuildContext()) as build:
        club = Club.build({"members": {"a": {}, "b": {"near": "a"}, "c": {}}, "teams": teams})
    assert build.mistakes == []
    named = {name: [node.node_name for node in team.refers_to()] for name, team in club.teams.items()}
    expected = {"one": ["a"], "some": ["b", "a"], "keyed": ["c", "one", "a"], "either": ["b"], "any": ["c"]}
    assert named == expected | {"all": [], "number": []}
    naming = {name: [node.node_name for node in member.referrers()] for name, member in club.members.items()}
    assert naming == {"a": ["b", "one", "some", "keyed"], "b": ["some", "either"], "c": ["keyed", "any"]}
    assert [node.node_name for node in club.teams["one"].referrers()] == ["keyed"]


class Open(Node):
    size = Attribute(types.number(), required=True)
    others = Attribute(types.DictOf(types.number(), names=False), default=lambda node: {}, catches=True)


def test_an_attribute_that_catches_takes_the_keys_that_are_none():
    with building(BuildContext()) as build:
        node = Open.build({"size": 1, "x": 2, "others": {"y": 3}}, ("o",))
    assert build.mistakes == [] and node.others == {"x": 2.0, "y": 3.0}
    definitions = {}
    Open.schema(definitions)
    (schema,) = (schema for name, schema in definitions.items() if name.endswith("Open"))
    assert schema["additionalProperties"] == types.number().schema({})


@pytest.mark.parametrize(
    ("value", "mistakes"),
    [
        ({"size": 1, "x": "a"}, ["o.x: should be: a number (got: 'a')"]),
        ({"size": 1, "x": 2, "others": {"x": 3}}, ['o.x: "x" is given among the others, too; give it once']),
        ({"sise": 1}, ['o.sise: unknown key "sise"; did you mean "size"? (keys: size, others)']),
        (
            {"size": 1, "othres": 2},
            ['o.othres: unknown key "othres"; did you mean "others"? (keys: size, others)'],
        ),
    ],
)
def test_mistakes_among_what_is_caught(value, mistakes):
    with building(BuildContext()) as build:
        Open.build(value, ("o",))
    assert [str(m) for m in build.mistakes] == mistakes


@pytest.mark.parametrize("name", ["keys", "build", "root", "path", "parent", "schema"])
def test_an_attribute_may_not_hide_what_every_node_has(name):
    with pytest.raises(TypeError, match=f'Hiding: {name} is a name that every node has.*key="{name}"'):
        type("Hiding", (Node,), {name: Attribute(types.number())})
    assert type("Other", (Node,), {f"{name}_": Attribute(types.number(), key=name)}).keys() == (name,)
