import pytest

from descriptions import edited, plan_of
from snakefold import components
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.slices import canonical

SOURCE = '''
from snakefold.placement.strategy import PlacementStrategy
from snakefold.config import types
from snakefold.config.nodes import Attribute

class Corner(PlacementStrategy):
    """All in one corner."""
    algorithm_version = {version}
    spread = Attribute(types.number(above=0), default=1.0, unit="um")
'''


def circuit_with(folder, source, name="corner_{}.py", strategy="Corner"):
    file = name.format(folder.name.replace("-", "_"))
    (folder / file).write_text(source)
    return edited(("components", [file]), ("placement.lower.strategy", strategy))


def test_all_names_of_a_built_in_component_lead_to_one_class():
    for kind, classes in components.BUILT_IN.items():
        for target, names in classes.items():
            found = {cls for name in names for cls in components.find(kind, name)}
            assert len(found) == 1
            (cls,) = found
            assert f"{cls.__module__}:{cls.__qualname__}" == target
            assert cls.kind == kind
            assert components.name_of(cls) == names[0]
            assert cls.__doc__
    assert components.find("placement", "nope") == []


def test_a_file_beside_the_circuit_brings_components(tmp_path):
    plan = plan_of(tmp_path, circuit_with(tmp_path, SOURCE.format(version=3)))
    written = plan.parts["place/lower"].slice["component"]
    assert written["version"] == 3
    assert written["attributes"]["spread"] == 1.0
    assert "All in one corner" in written["source"]
    made = components.restore(written, "lower")
    assert (type(made).__name__, made.spread, made.node_name) == ("Corner", 1.0, "lower")
    assert "source" not in plan.parts["place/upper"].slice["component"]


def test_editing_the_file_changes_the_slices_of_its_components_alone(tmp_path):
    before = plan_of(tmp_path, circuit_with(tmp_path, SOURCE.format(version=3)))
    after = plan_of(tmp_path, circuit_with(tmp_path, SOURCE.format(version=3) + "# edited\n"))
    different = {n for n in before.parts if n != "parse" and before.parts[n].digest != after.parts[n].digest}
    assert different == {"place/lower"}
    old = before.parts["place/lower"].slice["component"]
    assert components.restore(old, "lower").spread == 1.0  # a job that was queued before the edit


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\ny = (\n", ".py:2: components[0]: cannot be imported: SyntaxError"),
        ("x = 1\n\n1 / 0\n", ".py:3: components[0]: cannot be imported: ZeroDivisionError"),
        ("raise SystemExit(3)\n", ".py:1: components[0]: cannot be imported: SystemExit: 3"),
        ("import nowhere_to_be_found\n", ".py:1: components[0]: cannot be imported: ModuleNotFoundError"),
        ("x = 1\n", 'no placement component "Corner"'),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path, source, says):
    tree = circuit_with(tmp_path, source, strategy="Corner" if "import" in says else "NotCorner")
    with pytest.raises(UserError) as caught:
        plan_of(tmp_path, tree)
    assert says.replace('"Corner"', '"NotCorner"') in str(caught.value)


def test_a_missing_file_says_where_it_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"circuit\.yaml:\d+: components\[0\]: .*nowhere.py cannot be read: No such file"
    ):
        plan_of(tmp_path, edited(("components", ["nowhere.py"])))


def test_a_record_restores_to_an_equal_record(tmp_path):
    from descriptions import CIRCUITS

    circuit = load(CIRCUITS / "microcircuit.yaml").circuit
    tables = (circuit.partitions, circuit.placement, circuit.connectivity)
    for component in (c for table in tables for c in table.values()):
        written = components.record(component)
        again = components.restore(written, component.node_name)
        assert canonical(components.record(again)) == canonical(written)


def test_another_version_of_an_algorithm_is_refused():
    written = {"kind": "partition", "class": "layer", "version": 99, "attributes": {"thickness": 1.0}}
    with pytest.raises(UserError, match=r"algorithm version should be: 99 \(got: 1\)"):
        components.restore(written, "x")


def test_a_component_that_is_not_installed_is_refused():
    with pytest.raises(UserError, match='no partition component "torus" is installed here'):
        components.restore({"kind": "partition", "class": "torus", "version": 1, "attributes": {}}, "x")


def test_what_keeps_a_share_of_synapses_says_so():
    for name in (names[0] for names in components.BUILT_IN["connectivity"].values()):
        (cls,) = components.find("connectivity", name)
        assert {*cls.shares} == {a.key for a in cls.attributes()} & {"affinity", "pruning_ratio"}
