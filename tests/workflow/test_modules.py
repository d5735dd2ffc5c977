"""A model in NESTML: compiled once per content, validated, simulated, and compiled again when it is edited.

Everything works on copies of one built circuit, so that there is one compilation of the whole, and one of an edit.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from flow import ROOT, Workflow, between, description, simulation

LEAKY = ROOT / "tests/data/leaky.nestml"
PAIRED = "leaky_neuron__with_growing_synapse"
SYNAPSE = "growing_synapse__with_leaky_neuron"


def circuit() -> dict:
    """Return a circuit with a simulation of models in NESTML, one that shares their module, and one without."""
    tree = description()
    tree["connectivity"] = {"feed": between("exc", "top", strategy="fixed_indegree", indegree=8)}
    own = simulation(["exc", "top"], ["feed"], duration=40)
    own["modules"] = ["leaky.nestml"]
    own["cell_models"] = {
        "exc": {"model": "leaky_neuron", "constants": {"I_e": 400.0}},
        "top": {"model": PAIRED, "parameters": {"V_m": {"distribution": "uniform", "min": -65.0, "max": -60.0}}},
    }
    own["connection_models"]["feed"]["synapses"] = [{"model": SYNAPSE, "weight": 4.0, "delay": 1.0}]
    own["devices"]["noise"]["weight"] = 0.1
    shared = simulation(["exc", "top"], [])
    shared["modules"] = ["leaky.nestml"]
    shared["cell_models"]["top"] = {"model": "leaky_neuron"}
    tree["simulations"] = {"own": own, "shared": shared, "without": simulation(["exc", "top"], ["feed"])}
    return tree


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The circuit, built; and what the run printed."""
    workflow = Workflow(tmp_path_factory.mktemp("modules") / "here")
    workflow.write(circuit())
    shutil.copy(LEAKY, workflow.folder)
    ran = snakefold(
        workflow, "run", "circuit.yaml", "--cores", "2", "--config", "progress=snakemake", "--quiet", "host"
    )
    assert ran.returncode == 0, ran.stdout
    return workflow, ran.stdout


@pytest.fixture
def here(built, tmp_path):
    """A copy of the built circuit's folder."""
    shutil.copytree(built[0].folder, tmp_path / "here", symlinks=True)
    return Workflow(tmp_path / "here")


def snakefold(workflow: Workflow, *arguments: str) -> subprocess.CompletedProcess:
    """Run the command `snakefold` in a workflow's folder."""
    library = {"PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "snakefold", *arguments]
    return subprocess.run(
        command,
        cwd=workflow.folder,
        env=workflow.environment() | library,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def checked(workflow: Workflow, tree: dict) -> dict:
    """Write a description and return what `snakefold check --json` says."""
    workflow.write(tree)
    ran = snakefold(workflow, "check", "circuit.yaml", "--json")
    found = json.loads(ran.stdout)
    assert ran.returncode == (1 if found["mistakes"] else 0)
    return found


def n_spikes(workflow: Workflow, name: str) -> dict[str, int]:
    with h5py.File(workflow.results / "simulations" / name / "spikes.h5") as file:
        return {population: len(group["timestamps"]) for population, group in file["spikes"].items()}


def libraries(workflow: Workflow) -> list[Path]:
    return sorted((workflow.results / "build/module").iterdir())


def test_it_is_compiled_once_and_its_models_spike(built):
    workflow, said = built
    assert said.count("(Rule: build_module)") == len(libraries(workflow)) == 1
    assert said.index("(Rule: build_module)") < said.index("(Rule: validate)") < said.index("(Rule: place_low_cells)")
    assert 'warning: module "leaky.nestml": not compiled yet' in said
    spikes = n_spikes(workflow, "own")
    assert spikes["exc"] > 60 and spikes["top"] > 0
    assert n_spikes(workflow, "shared").keys() == spikes.keys()
    assert workflow.plan() == {}
    assert "Building CXX object" in next((workflow.results / "logs/build/module").iterdir()).read_text()


def test_a_comment_in_the_description_reruns_nothing_of_it(here):
    here.description.write_text("# a comment\n" + here.description.read_text())
    assert here.plan() == {"parse": 1, "all": 1}
    (here.folder / "leaky.nestml").touch()
    assert here.plan() == {"parse": 1, "all": 1}


@pytest.fixture
def edited(here):
    """The circuit with its NESTML file edited: a longer refractory period."""
    source = here.folder / "leaky.nestml"
    assert source.read_text().count("t_ref ms = 3 ms") == 1
    source.write_text(source.read_text().replace("t_ref ms = 3 ms", "t_ref ms = 9 ms"))
    return here


def test_an_edit_reruns_what_uses_it(edited):
    simulated = {"build": 2, "validate": 2, "simulate_own": 1, "simulate_shared": 1}
    assert edited.plan() == simulated | {"build_module": 1, "report": 1, "all": 1}
    shutil.copy(LEAKY, edited.folder)
    assert edited.plan() == {}  # what was compiled of this very text is still there


@pytest.mark.skipif("SNAKEFOLD_TEST_ALL" not in os.environ, reason="compiles a second time")
def test_an_edit_is_compiled(edited):
    before, spikes = edited.files(), n_spikes(edited, "own")["exc"]
    planned = edited.plan()
    ran = edited.run(jobs=2)
    assert ran.code == 0 and ran.jobs == planned, ran.output
    assert edited.plan() == {}
    after = edited.files()
    changed = {name.split("/")[1] for name in before if before[name] != after[name] and name.startswith("simulations/")}
    assert changed == {"own", "shared"}
    assert 0 < n_spikes(edited, "own")["exc"] < spikes
    assert len(libraries(edited)) == 2


def test_wrong_parameters_of_its_models_are_named(here):
    tree = circuit()
    own = tree["simulations"]["own"]
    own["cell_models"]["exc"]["constants"] = {"I_ee": 400.0, "tau_m": "slow"}
    own["cell_models"]["top"]["model"] = "leaky_neuron__with_growing_synapsis"
    own["connection_models"]["feed"]["synapses"][0]["rize"] = 0.2
    own["devices"]["voltage"]["properties"] = ["V_n"]
    told = {mistake["path"]: mistake for mistake in checked(here, tree)["mistakes"]}
    root = "simulations.own"
    words = {
        f"{root}.cell_models.exc.constants.I_ee": 'no parameter "I_ee"; did you mean "I_e" (pA)?',
        f"{root}.cell_models.exc.constants.tau_m": "tau_m should be a number, ms",
        f"{root}.cell_models.top.model": f'did you mean "{PAIRED}"?',
        f"{root}.connection_models.feed.synapses[0].constants.rize": 'no parameter "rize"; did you mean "rise"?',
        f"{root}.devices.voltage.properties[0]": 'did you mean "V_m"?',
    }
    assert told.keys() == words.keys()
    for path, message in words.items():
        assert message in told[path]["message"]
        assert told[path]["file"] == "circuit.yaml" and told[path]["line"]
    assert "__" not in told[f"{root}.cell_models.exc.constants.I_ee"]["message"].replace("__with_", "")


def test_what_pairs_with_another_neuron_cannot_be_connected(here):
    tree = circuit()
    tree["simulations"]["own"]["cell_models"]["top"]["model"] = "iaf_psc_exp"
    (told,) = checked(here, tree)["mistakes"]
    assert told["path"] == "simulations.own.connection_models.feed.synapses[0].model"
    assert f'made for the target model "{PAIRED}" (got: "iaf_psc_exp" of top)' in told["message"]


def test_the_second_check_needs_no_kernel(here):
    assert checked(here, circuit()) == {"mistakes": [], "warnings": []}
    code = (
        "import sys, snakefold.nest.client as client\n"
        "client.Kernel._start = lambda self: sys.exit('a kernel was started')\n"
        "from snakefold.cli import main\nmain()\n"
    )
    command = [sys.executable, "-c", code, "check", "circuit.yaml"]
    env = here.environment() | {"PYTHONPATH": str(ROOT / "workflow")}
    ran = subprocess.run(command, cwd=here.folder, env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr


def test_before_it_is_compiled_everything_else_is_checked(here):
    shutil.rmtree(here.results)
    found = checked(here, circuit())
    assert found["mistakes"] == []
    assert any("leaky.nestml" in warning and "not compiled yet" in warning for warning in found["warnings"])
    tree = circuit()
    tree["simulations"]["own"]["cell_models"]["exc"]["model"] = "leaky_neurn"
    tree["simulations"]["own"]["devices"]["noise"]["rate"] = -1.0
    tree["simulations"]["without"]["cell_models"]["exc"]["constants"] = {"tau_n": 3.0}
    told = {mistake["path"]: mistake["message"] for mistake in checked(here, tree)["mistakes"]}
    assert told.keys() == {
        "simulations.own.cell_models.exc.model",
        "simulations.own.devices.noise.rate",
        "simulations.without.cell_models.exc.constants.tau_n",
    }
    assert 'did you mean "leaky_neuron"?' in told["simulations.own.cell_models.exc.model"]


def test_a_mistake_in_the_file_ends_the_run_with_its_line(here):
    shutil.rmtree(here.results)
    text = LEAKY.read_text().replace("V_m = V_reset", "V_m = = V_reset")
    (here.folder / "leaky.nestml").write_text(text)
    line = text[: text.index("V_m = = V_reset")].count("\n") + 1
    ran = snakefold(here, "run", "circuit.yaml", "--cores", "2", "--config", "progress=snakemake")
    assert ran.returncode == 1
    assert f"leaky.nestml:{line}: " in ran.stdout and "Traceback (most recent" not in ran.stdout
    assert not (here.results / "nodes").exists() and not (here.results / "build/module").exists()


def test_a_library_is_taken_as_a_file_too(here):
    (library,) = libraries(here)
    shutil.copy(library, here.folder)
    tree = circuit()
    for name in ("own", "shared"):
        tree["simulations"][name]["modules"] = [library.name]
    assert checked(here, tree) == {"mistakes": [], "warnings": []}
    before = n_spikes(here, "own")
    planned = here.plan()
    assert "build_module" not in planned and planned["simulate_own"] == 1
    here.simulations = "own"
    assert here.run().code == 0
    assert n_spikes(here, "own") == before
