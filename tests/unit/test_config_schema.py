"""The JSON Schema as an editor uses it: on files as they stand, with references, and components of the circuit's own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from descriptions import CIRCUITS, small, write
from snakefold.circuit import schema
from snakefold.errors import UserError
from snakefold.loading import components_of, load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [*sorted(CIRCUITS.glob("*.yaml")), *sorted((ROOT / "tests/data").glob("*.yaml"))]
SHIPPED += sorted(p for p in (ROOT / "tests/data/bsb").iterdir() if p.suffix in (".yaml", ".json"))

OWN = '''
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.strategy import PlacementStrategy

class Spiral(PlacementStrategy):
    """On a spiral."""
    pitch = Attribute(types.number(above=0), required=True, unit="um", doc="From turn to turn.")
'''


def faults(text, circuit=None):
    with components_of(circuit):
        validator = Draft202012Validator(schema())
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(yaml.safe_load(text))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda p: p.name)
def test_an_editor_marks_nothing_in_what_comes_with_it(file):
    with components_of(file):
        made = schema()
    Draft202012Validator.check_schema(made)
    assert faults(file.read_text(), file) == []


def test_every_reference_of_the_schema_leads_somewhere():
    made = schema()
    named = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(made)))
    assert named <= made["$defs"].keys()
    assert made["$defs"].keys() <= named | {"circuit.Circuit"}


REFERRING = """
$import: {ref: "other.yaml#/", values: [rng, network]}
partitions: {$ref: "other.yaml#/partitions", more: {$ref: "#/partitions/base"}}
cell_types:
  $ref: "other.yaml#/cell_types"
  a: {spatial: {$ref: "other.yaml#/size", count: 3}}
placement:
  lower: {$ref: "other.yaml#/placement/lower", cell_types: [a]}
  upper:
    $ref: "#/placement/lower"
    overrides: {$import: {ref: "other.yaml#/overrides", values: [a]}, b: {count: "12"}}
connectivity:
  a_to_b: {$ref: "other.yaml#/connectivity/a_to_b", presynaptic: {$ref: "#/side"}, output_naming: {$ref: "#/naming"}}
"""


def test_references_may_stand_for_every_mapping_and_bring_what_is_required():
    assert faults(REFERRING) == []
    assert faults(REFERRING.replace("count: 3", "cuont: 3"))
    assert faults(REFERRING.replace("values: [rng, network]", "value: [rng, network]"))
    assert faults(REFERRING.replace('$ref: "other.yaml#/cell_types"', "$ref: 3"))


def test_a_partition_that_a_reference_brings_need_not_be_a_layer():
    network = "network: {x: 1, y: 1, z: 1}\ncell_types: {}\nplacement: {}\n"
    assert faults(network + "partitions: {p: {$ref: '#/q', dimensions: [1, 1, 1]}}") == []
    assert faults(network + "partitions: {p: {dimensions: [1, 1, 1]}}")


def test_components_of_the_circuits_own_are_in_its_schema(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    tree = small() | {"components": ["own.py"]}
    tree["placement"]["lower"] = {"strategy": "own.Spiral", "pitch": 3, "cell_types": ["a"], "partitions": ["base"]}
    circuit = write(tmp_path, tree)
    text = circuit.read_text()
    assert faults(text, circuit) == []
    assert any("own.Spiral" in f for f in faults(text))
    assert any("pitch" in f for f in faults(text.replace('"pitch": 3, ', ""), circuit))
    assert any("pitsch" in f for f in faults(text.replace("pitch", "pitsch"), circuit))
    printed = subprocess.run(
        [sys.executable, "-m", "snakefold", "schema", str(circuit)],
        cwd=ROOT / "workflow",
        capture_output=True,
        check=True,
    )
    made = json.loads(printed.stdout)
    assert made["$defs"]["snakefold_user.own.Spiral"]["properties"]["pitch"]["x-unit"] == "um"
    page = subprocess.run(
        [sys.executable, "-m", "snakefold", "schema", str(circuit), "--markdown"],
        cwd=ROOT / "workflow",
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert "| `pitch` | a number > 0 | um | **required** | From turn to turn. |" in page


def test_components_that_cannot_be_read_are_a_mistake_in_their_line(tmp_path):
    circuit = write(tmp_path, small() | {"components": ["nowhere.py"]})
    says = r"circuit\.yaml:\d+: components\[0\]: .*nowhere\.py cannot be read"
    with pytest.raises(UserError, match=says), components_of(circuit):
        pass


LATER = [
    ("after_connectivity", "strategy", "spoof_details"),
    ("after_connectivity", "strategy", "bsb.postprocessing.Relay"),
    ("files", "type", "code"),
    ("simulations", "simulator", "arbor"),
]


@pytest.mark.parametrize(("table", "key", "name"), LATER)
def test_components_of_the_bsb_that_come_later_fit_the_schema_and_are_refused_by_name(tmp_path, table, key, name):
    tree = small()
    tree.setdefault(table, {})["later"] = {key: name, "file": "x", "cell_types": ["a"]}
    assert [f for f in faults(json.dumps(tree)) if f.startswith(f"{table}.later")] == []
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, tree))
    (mistake,) = caught.value.mistakes
    assert (mistake.path, mistake.message.split(" (")[0]) == (
        (table, "later", key),
        f'not yet supported: {key} "{name}"',
    )


@pytest.mark.parametrize(
    "name", ["random_placement", "bsb.RandomPlacement", "bsb.placement.random.RandomPlacement", "RandomPlacement"]
)
def test_every_way_the_bsb_has_to_name_a_component_is_one_here(tmp_path, name):
    tree = small()
    tree["placement"]["lower"]["strategy"] = name
    assert faults(json.dumps(tree)) == []
    assert load(write(tmp_path, tree)).complete
