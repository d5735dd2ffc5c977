"""What a mistake gets: every one on the first screen, with file, line, key and what is allowed; and nothing is run."""

import json
import re
import shutil

import pytest
import yaml

from flow import FIXED_INDEGREE, Workflow, between, clone, description


def refused(workflow: Workflow, *arguments: str) -> list[str]:
    """Run, assert that it is refused as a user's mistake before any job, and return the lines that say why."""
    before = workflow.circuit_files()
    ran = workflow.run(*arguments)
    assert ran.code == 1, ran.output
    assert "Traceback" not in ran.output, ran.output
    assert ran.jobs == {}
    assert "rule " not in ran.output
    assert workflow.circuit_files() == before
    for folder in ("build", "place", "connect", "prepare"):
        assert before or not (workflow.results / folder).exists()
    n = re.search(r"^(\d+) mistakes?; nothing was run$", ran.output, re.MULTILINE)
    assert n, ran.output
    lines = ran.output[: n.start()].splitlines()[-int(n[1]) :]
    assert len(lines) == int(n[1])
    return lines


def line_of(text: str, *keys: str) -> int:
    """Return the line, from 1, of a key in a description written as YAML, given the keys that lead to it."""
    lines, at, depth = text.splitlines(), -1, -1
    for key in keys:
        at = next(
            i for i in range(at + 1, len(lines)) if re.match(rf" *(- )?{re.escape(key)}( *:| *$)", lines[i])
        )  # the first after its parent
        indent = len(lines[at]) - len(lines[at].lstrip())
        assert indent >= depth
        depth = indent
    return at + 1


def unknown_key(circuit):
    circuit["connectivity"]["feed"]["indegre"] = 3
    return "connectivity feed indegre", "connectivity.feed.indegre", ['unknown key "indegre"', "indegree", "keys: "]


def wrong_type(circuit):
    circuit["partitions"]["low"]["thickness"] = "thick"
    return "partitions low thickness", "partitions.low.thickness", ["should be: a number", "got: 'thick'"]


def wrong_bound(circuit):
    circuit["network"]["chunk_size"] = -50
    return "network chunk_size", "network.chunk_size", ["> 0", "got: -50"]


def missing_component(circuit):
    circuit["components"] = ["no_such.py"]
    return "components no_such.py", "components[0]", ["no_such.py cannot be read", "No such file"]


def missing_data_file(circuit):
    circuit["connectivity"]["local"]["number"] = "no_such.csv"
    return "connectivity local number", "connectivity.local.number", ["no_such.csv", "cannot be read"]


def missing_reference_file(circuit):
    circuit["connectivity"]["local"] = {"$ref": "no_such.yaml#/local"}
    return "connectivity local $ref", None, ["no_such.yaml: ", "cannot be read: No such file"]


def missing_reference_target(circuit):
    circuit["connectivity"]["local"] = {"$ref": "#/connectivity/locla"}
    words = ["#/connectivity/locla: nothing at", "in circuit.yaml (there: feed, back, local)"]
    return "connectivity local $ref", "", words


def cyclic_reference(circuit):
    circuit["cell_types"]["inh"] = {"$ref": "#/cell_types/top"}
    circuit["cell_types"]["top"] = {"$ref": "#/cell_types/inh"}
    words = [f"cyclic reference: #/cell_types/{t} leads back to circuit.yaml#/cell_types/{t}" for t in ("inh", "top")]
    return "cell_types inh $ref", "", words


def unknown_cell_type(circuit):
    circuit["placement"]["low_cells"]["cell_types"] = ["exk", "inh"]
    words = ['no cell type "exk"', 'did you mean "exc"?', "exc, inh, top)"]
    return "placement low_cells cell_types exk", "placement.low_cells.cell_types[0]", words


def unknown_strategy(circuit):
    circuit["placement"]["high_cells"]["strategy"] = "randon"
    words = ['"randon"', 'did you mean "random"?', "fixed_positions"]
    return "placement high_cells strategy", "placement.high_cells.strategy", words


def density_that_cannot_be_packed(circuit):
    circuit["cell_types"]["exc"]["spatial"]["density"] = 0.02
    return "placement low_cells", "placement.low_cells", ["too dense", "times the limit 0.4", "place at most"]


def indegree_larger_than_the_population(circuit):
    circuit["connectivity"]["feed"]["indegree"] = 61
    words = ["61 distinct partners", "only 60 source cells"]
    return "connectivity feed indegree", "connectivity.feed.indegree", words


def outdegree_larger_than_the_population(circuit):
    circuit["connectivity"]["back"]["outdegree"] = 25
    words = ["25 distinct partners", "only 24 target cells"]
    return "connectivity back outdegree", "connectivity.back.outdegree", words


def name_that_cannot_be_a_file(circuit):
    circuit["connectivity"]["a/b; rm"] = between("exc", "top", strategy=FIXED_INDEGREE, indegree=1)
    return "connectivity a/b; rm", "connectivity.a/b; rm", ["letters, digits"]


def simulation_of_an_unknown_connection(circuit):
    models = circuit["simulations"]["quick"]["connection_models"]
    models["fed"] = models.pop("feed")
    words = ['no edge set or connectivity strategy "fed"', 'did you mean "feed"?', "local_exc_to_exc"]
    return "simulations quick connection_models fed", "simulations.quick.connection_models.fed", words


def unknown_nest_model(circuit):
    circuit["simulations"]["quick"]["cell_models"]["top"]["model"] = "iaf_psc_alhpa"
    at = "simulations quick cell_models top model"
    return at, at.replace(" ", "."), ['"iaf_psc_alhpa"', 'did you mean "iaf_psc_alpha"?']


def unknown_nest_parameter(circuit):
    circuit["simulations"]["other"]["cell_models"]["exc"]["constants"]["tau_n"] = 9.0
    at = "simulations other cell_models exc constants tau_n"
    return at, at.replace(" ", "."), ['"tau_n"', "tau_m"]


def unknown_recordable(circuit):
    circuit["simulations"]["quick"]["devices"]["voltage"]["properties"] = ["V_n"]
    at = "simulations quick devices voltage properties"
    return f"{at} V_n", f"{at.replace(' ', '.')}[0]", ['"V_n"', 'did you mean "V_m"?', "recordables: "]


IN_THE_DESCRIPTION = [
    unknown_key,
    wrong_type,
    wrong_bound,
    missing_component,
    missing_data_file,
    missing_reference_file,
    missing_reference_target,
    cyclic_reference,
    unknown_cell_type,
    unknown_strategy,
    density_that_cannot_be_packed,
    indegree_larger_than_the_population,
    outdegree_larger_than_the_population,
    name_that_cannot_be_a_file,
    simulation_of_an_unknown_connection,
]
FOR_THE_SIMULATOR = [unknown_nest_model, unknown_nest_parameter, unknown_recordable]


@pytest.mark.parametrize("mistake", IN_THE_DESCRIPTION + FOR_THE_SIMULATOR, ids=lambda mistake: mistake.__name__)
def test_mistake(workflow, mistake):
    circuit = description()
    keys, path, words = mistake(circuit)
    text = workflow.write(circuit)
    lines = refused(workflow)
    assert len(lines) == (2 if mistake is cyclic_reference else 1), lines  # what follows from it is not told
    line = line_of(text, *(keys.split(" ", 1) if "; " in keys else keys.split()))
    if path is None:  # it is the other file that is wrong
        assert f"(referred to at circuit.yaml:{line})" in lines[0]
    else:
        assert any(said.startswith(f"circuit.yaml:{line}: {path}") for said in lines), lines
    for word in words:
        assert word in "\n".join(lines), lines


def test_all_mistakes_at_once_in_the_order_of_their_lines(workflow):
    circuit = description()
    paths = [mistake(circuit)[1] for mistake in (wrong_type, unknown_key, wrong_bound)]
    circuit["cell_types"]["exc"]["spatial"]["radius"] = 0
    workflow.write(circuit)
    lines = refused(workflow)
    assert [line.split(": ")[1] for line in lines] == [
        "network.chunk_size",
        "partitions.low.thickness",
        "cell_types.exc.spatial.radius",
        "connectivity.feed.indegre",
    ]
    assert set(paths) < {line.split(": ")[1] for line in lines}
    assert [refused(workflow, "-n")] == [lines]


def test_all_mistakes_of_the_whole_circuit_at_once(workflow):
    circuit = description()
    indegree_larger_than_the_population(circuit)
    outdegree_larger_than_the_population(circuit)
    workflow.write(circuit)
    assert len(refused(workflow)) == 2


def test_all_that_the_simulator_refuses_at_once(workflow):
    circuit = description()
    for mistake in FOR_THE_SIMULATOR:
        mistake(circuit)
    workflow.write(circuit)
    paths = [line.split(": ")[1] for line in refused(workflow)]
    assert "simulations.quick.cell_models.top.model" in paths
    assert "simulations.other.cell_models.exc.constants.tau_n" in paths
    assert any(path.startswith("simulations.quick.devices.voltage.properties") for path in paths)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("network:\n  x: 100\n y: 100\n", 3, 2),
        ("network: {x: 100, y: [1, 2}\n", 1, 27),
        ("network:\n  x: 100\n\ty: 100\n", 3, 1),
    ],
)
def test_malformed_yaml_says_line_and_column(workflow, text, line, column):
    workflow.write(text)
    (message,) = refused(workflow)
    assert message.startswith(f"circuit.yaml:{line}:"), message
    assert f"{column}" in message.split("circuit.yaml", 1)[1], message
    assert "column" in message or message.startswith(f"circuit.yaml:{line}:{column}:"), message


def test_no_description(workflow):
    (message,) = refused(workflow)
    assert message.startswith("circuit.yaml: ")


def test_a_mistake_in_a_file_that_is_referred_to_is_located_there(workflow):
    circuit = description()
    cells = circuit.pop("cell_types")
    cells["top"]["spatial"]["radius"] = "wide"
    (workflow.folder / "cells.yaml").write_text("# cells\n" + yaml.safe_dump(cells, sort_keys=False))
    circuit["cell_types"] = {"$ref": "cells.yaml#/"}
    workflow.write(circuit)
    (message,) = refused(workflow)
    line = line_of((workflow.folder / "cells.yaml").read_text(), "top", "spatial", "radius")
    assert message.startswith(f"cells.yaml:{line}: cell_types.top.spatial.radius: should be: a number")


def test_unknown_workflow_keys_and_values(workflow):
    workflow.write(description())
    workflow.tiles = 0
    workflow.more = {"ciruit": "other.yaml"}
    unknown, wrong = refused(workflow)
    assert 'unknown key "ciruit"; did you mean "circuit"?' in unknown
    assert "config.tiles: should be: " in wrong


def test_unknown_simulation(workflow):
    workflow.write(description())
    workflow.simulations = "quik"
    (message,) = refused(workflow)
    assert 'no simulation "quik"; did you mean "quick"? (quick, other; ' in message


def test_component_that_cannot_be_imported(workflow):
    workflow.write(description(components=["own.py"]))
    (workflow.folder / "own.py").write_text("import numpy\nimport no_such_module\n")
    (message,) = refused(workflow)
    assert message.startswith("own.py:2: ") and "no_such_module" in message


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A circuit that was built; every test works on a copy of its folder."""
    workflow = Workflow(tmp_path_factory.mktemp("built") / "here", target="circuit")
    workflow.write(description(simulations={}))
    return workflow.built()


@pytest.fixture
def here(built, tmp_path):
    """A copy of the folder of `built`."""
    shutil.copytree(built.folder, tmp_path / "here", symlinks=True)
    return Workflow(tmp_path / "here", target="circuit")


def newer(root):
    """Make a clone's schema version one higher."""
    from snakefold.hdf5 import SCHEMA_VERSION

    file = root / "workflow/snakefold/hdf5.py"
    text = file.read_text()
    assert text.count(f"\nSCHEMA_VERSION = {SCHEMA_VERSION}\n") == 1
    file.write_text(
        text.replace(f"\nSCHEMA_VERSION = {SCHEMA_VERSION}\n", f"\nSCHEMA_VERSION = {SCHEMA_VERSION + 1}\n")
    )


def test_results_of_an_older_schema_are_rebuilt_and_of_a_newer_one_refused(here, tmp_path):
    root = here.root
    here.root = clone(tmp_path / "clone")
    assert here.plan() == {}  # the clone alone changes nothing
    before = here.circuit_files()
    newer(here.root)
    planned = here.plan()
    assert {"build": 7, "place_low_cells": 1, "connect_local": 1}.items() <= planned.items()
    ran = here.run()
    assert (ran.code, ran.jobs) == (0, planned)
    after = here.circuit_files()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert here.plan() == {}
    here.root = root
    for arguments in ([], ["-n"]):
        (message,) = refused(here, *arguments)
        assert "results/circuit" in message and "newer Snakefold" in message and "results folder" in message
    assert here.circuit_files() == after


def test_owner_of_a_newer_schema_is_refused(here):
    owner = here.results / ".plan/owner.json"
    owner.write_text(json.dumps(json.loads(owner.read_text()) | {"schema": 1000}))
    (message,) = refused(here)
    assert "schema 1000" in message


def test_results_of_another_circuit_are_refused(here):
    here.circuit = "elsewhere/circuit.yaml"
    here.write(description(simulations={}, rng={"seed": 8}))
    (message,) = refused(here)
    assert "results/circuit: holds the results of another circuit, " in message
    assert "--config results=" in message
    here.results_key = "others"
    assert here.run("-n").code == 0


def test_a_moved_folder_is_still_the_circuits(here, tmp_path):
    shutil.move(here.folder, tmp_path / "moved")
    assert Workflow(tmp_path / "moved", target="circuit").plan() == {}


def test_a_folder_of_something_else_is_refused(workflow):
    workflow.write(description())
    (workflow.results / "nodes").mkdir(parents=True)
    (workflow.results / "nodes/mine.h5").write_text("mine")
    (message,) = refused(workflow)
    assert "results/circuit" in message
    assert (workflow.results / "nodes/mine.h5").read_text() == "mine"
