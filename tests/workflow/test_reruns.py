"""Precise reruns: what is planned is what runs, nothing is left to plan, and the files are as if built from nothing.

Every edit is made alone and undone together with an edit of a simulation. What is added in one test is removed in
another, and with SNAKEFOLD_TEST_ALL=1 each is both.
"""

import copy
import os
import shutil
import time

import pytest

from flow import WATCHED, Workflow, between, description, simulation, watched

TILES = 2
LAST = {"circuit_config": 1, "report": 1, "all": 1}
SIMULATE = {"simulate_quick": 1, "simulate_other": 1}


def connection_parameter(circuit: dict) -> None:
    circuit["connectivity"]["feed"]["indegree"] = 9


def density(circuit: dict) -> None:
    circuit["cell_types"]["exc"]["spatial"]["density"] = 7e-5


def strategy_added(circuit: dict) -> None:
    circuit["connectivity"]["more"] = between("inh", "top", strategy="all_to_all", affinity=0.1)


def strategy_removed(circuit: dict) -> None:
    del circuit["connectivity"]["back"], circuit["simulations"]["quick"]["connection_models"]["back"]


def simulation_added(circuit: dict) -> None:
    circuit["simulations"]["third"] = simulation(["exc", "inh"], ["local"])


def simulation_removed(circuit: dict) -> None:
    del circuit["simulations"]["other"]


def cell_type_added(circuit: dict) -> None:
    circuit["cell_types"]["few"] = {"spatial": {"radius": 3, "count": 11}}
    circuit["placement"]["few_cells"] = {"strategy": "random", "partitions": ["high"], "cell_types": ["few"]}


def cell_type_removed(circuit: dict) -> None:
    strategy_removed(circuit)
    del circuit["cell_types"]["inh"], circuit["simulations"]["quick"]["cell_models"]["inh"]
    circuit["placement"]["low_cells"]["cell_types"] = ["exc"]
    circuit["connectivity"]["local"]["presynaptic"]["cell_types"] = ["exc"]


def one_simulation(circuit: dict) -> None:
    circuit["simulations"]["quick"]["duration"] = 25


EDITS = {
    # edit: exactly the jobs that it makes run; None where all that matters is that they are the planned ones
    connection_parameter: {"build": 1, "connect_feed": TILES, "gather_edges_feed": 1} | SIMULATE | LAST,
    density: None,
    strategy_added: {"build": 1, "connect_more": TILES, "gather_edges_more": 1} | SIMULATE | LAST,
    simulation_added: {"build": 1, "validate": 1, "simulate_third": 1, "report": 1, "all": 1},
    cell_type_removed: None,
}
if os.environ.get("SNAKEFOLD_TEST_ALL"):
    EDITS |= {
        strategy_removed: {"build": 1, "validate": 1} | SIMULATE | LAST,
        simulation_removed: {"report": 1, "all": 1},
        cell_type_added: {"build": 1, "place_few_cells": TILES, "gather_cells_few": 1} | SIMULATE | LAST,
    }
PARSE = {"parse": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The base circuit, built; every test works on a copy of the folder."""
    workflow = Workflow(tmp_path_factory.mktemp("base") / "here", tiles=TILES)
    workflow.write(description())
    return workflow.built()


@pytest.fixture
def here(base, tmp_path):
    """A copy of the base circuit's folder, time stamps and all."""
    shutil.copytree(base.folder, tmp_path / "here", symlinks=True)
    return Workflow(tmp_path / "here", tiles=TILES)


def same(workflow: Workflow, wanted: dict[str, str]) -> None:
    """Assert that the final files are the wanted ones, by name."""
    found = workflow.files()
    assert {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)} == set()


def precise(workflow: Workflow, circuit: dict | str, from_nothing, jobs: dict | None = None) -> dict[str, int]:
    """Make an edit, and assert that what is planned is what runs, once, and gives what a build from nothing gives."""
    text = workflow.write(circuit)
    component = (workflow.folder / "own.py").read_text() if (workflow.folder / "own.py").exists() else ""
    planned = workflow.plan()
    ran = workflow.run()
    assert ran.code == 0, ran.output
    assert ran.jobs == planned
    if jobs is not None:
        assert planned == jobs
    assert workflow.plan() == {}
    same(workflow, from_nothing(text, component))
    return planned


def edited(*edits) -> dict:
    circuit = copy.deepcopy(description())
    for edit in edits:
        edit(circuit)
    return circuit


def test_nothing_changed_and_then_a_duration(here, from_nothing):
    assert precise(here, edited(), from_nothing) == {}
    jobs = {"build": 1, "validate": 1, "simulate_quick": 1, "report": 1, "all": 1}
    precise(here, edited(one_simulation), from_nothing, jobs | PARSE)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_edit_alone_and_undone_with_a_simulation(here, from_nothing, edit):
    jobs = EDITS[edit]
    planned = precise(here, edited(edit), from_nothing, jobs and jobs | PARSE)
    if edit is density:
        assert not planned.keys() & {"place_high_cells", "gather_cells_top", "validate"}
    precise(here, edited(one_simulation), from_nothing)


def test_number_of_tiles(here, from_nothing):
    here.tiles = 3
    planned = precise(here, edited(), from_nothing)
    assert (planned["build"], planned["connect_local"], planned.get("validate")) == (5, 3, None)
    here.tiles = "auto"
    precise(here, edited(one_simulation), from_nothing)


def test_strategy_away_while_its_cells_change(here, from_nothing):
    """What lies in the results from before must not come back."""
    here.write(edited(strategy_removed, density))
    planned = here.plan()
    assert here.run().jobs == planned
    assert precise(here, edited(density), from_nothing)["connect_back"] == TILES


@pytest.mark.parametrize("mended", [edited(connection_parameter), edited(one_simulation)], ids=["alone", "and_more"])
def test_after_a_failed_validation(here, from_nothing, mended):
    before = here.files()
    wrong = edited(connection_parameter)
    wrong["simulations"]["other"]["cell_models"]["top"]["model"] = "iaf_psc_alhpa"
    here.write(wrong)
    ran = here.run()
    assert (ran.code, ran.jobs) == (1, {})
    assert 'did you mean "iaf_psc_alpha"?' in ran.output
    assert here.files() == before
    precise(here, mended, from_nothing)


def second_version() -> tuple[dict, str]:
    """Return another version of `watched` and of its component's file: other synapses, and another simulation."""
    circuit = watched()
    circuit["connectivity"]["own"]["indegree"] = 5
    one_simulation(circuit)
    return circuit, WATCHED.replace("FixedIndegree, watched", "FixedIndegree, watched closely")


def test_after_a_failed_tile(tmp_path, from_nothing):
    workflow = Workflow(tmp_path / "here", tiles=TILES)
    workflow.env = {"FAIL": str(tmp_path / "fail")}
    workflow.folder.joinpath("own.py").write_text(WATCHED)
    workflow.write(watched())

    def fail() -> None:
        (tmp_path / "fail").write_text("25")  # the second half of the 50 target cells
        ran = workflow.run()
        assert (ran.code, ran.jobs["connect_own"]) == (1, TILES)
        assert "Error in rule connect_own" in ran.output
        (tmp_path / "fail").unlink()

    fail()
    precise(workflow, watched(), from_nothing, {"connect_own": 1, "gather_edges_own": 1, "simulate_quick": 1} | LAST)
    circuit, component = second_version()
    workflow.folder.joinpath("own.py").write_text(component)
    workflow.write(circuit | {"simulations": watched()["simulations"]})
    fail()
    jobs = {"build": 1, "validate": 1, "connect_own": 1, "gather_edges_own": 1, "simulate_quick": 1} | LAST | PARSE
    precise(workflow, circuit, from_nothing, jobs)


@pytest.mark.parametrize(
    ("file", "edit", "jobs"),
    [
        ("edges/feed.h5", one_simulation, {"connect_feed": TILES, "gather_edges_feed": 1} | SIMULATE | LAST),
        ("simulations/quick/voltage.h5", None, {"simulate_quick": 1, "report": 1, "all": 1}),
        ("node_types.csv", None, SIMULATE | LAST),
    ],
)
def test_final_file_deleted(here, from_nothing, file, edit, jobs):
    (here.results / file).unlink()
    if edit:
        precise(here, edited(edit), from_nothing, jobs | {"build": 1, "validate": 1} | PARSE)
    else:
        precise(here, edited(), from_nothing, jobs)


def test_comment_key_order_and_plotting_rerun_only_parse(here, from_nothing):
    only, before = PARSE | {"all": 1}, here.files()
    text = here.write(description())
    backwards = dict(reversed(description().items()))
    backwards["cell_types"] = dict(reversed(backwards["cell_types"].items()))
    backwards["connectivity"] = dict(reversed(backwards["connectivity"].items()))
    for edit in ("# a comment\n" + text, backwards):
        here.write(edit)
        assert here.plan() == only
        assert here.run().jobs == only
        same(here, before | {"parse.h5": here.files()["parse.h5"]})
    backwards["cell_types"]["top"]["plotting"] = {"color": "#0000FF", "display_name": "Top cells"}
    precise(here, backwards, from_nothing, only)


def test_edit_while_jobs_run_does_not_reach_them(tmp_path, from_nothing):
    workflow = Workflow(tmp_path / "here", tiles=TILES)
    workflow.env = {"WATCH": str(tmp_path / "watch"), "SLEEP": "0.4"}
    own = workflow.folder / "own.py"
    own.write_text(WATCHED)
    old = workflow.write(watched())
    running = workflow.start()
    while "chunk" not in ((tmp_path / "watch").read_text() if (tmp_path / "watch").exists() else ""):
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    circuit, component = second_version()
    workflow.write(circuit)
    own.write_text(component)
    ran = workflow.finish(running)
    assert ran.code == 0, ran.output
    same(workflow, from_nothing(old, WATCHED))
    workflow.env = {}
    assert precise(workflow, circuit, from_nothing)["connect_own"] == TILES
