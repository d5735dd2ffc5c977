"""`snakefold plan` against what then runs, for an edit, and its numbers against what then happened."""

import json
import subprocess
import sys
from pathlib import Path

import h5py

from flow import Workflow, description
from snakefold.cost import of_logs

TILES = 2
RULES = ("parse", "build", "validate", "place", "connect", "gather", "circuit_config", "simulate", "report")


def outlook(workflow: Workflow) -> dict:
    """Return what `snakefold plan --json` says."""
    keys = [f"circuit={workflow.circuit}", f"results={workflow.results_key}", f"tiles={workflow.tiles}"]
    environment = workflow.environment() | {"PYTHONPATH": str(workflow.root / "workflow")}
    command = [sys.executable, "-m", "snakefold", "plan", workflow.circuit, "--json", "--config", *keys[1:]]
    ran = subprocess.run(command, cwd=workflow.folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_run_that_the_disk_is_too_small_for_does_not_begin(tmp_path):
    simulated = description()
    simulated["simulations"] = {"other": simulated["simulations"]["quick"] | {"duration": 1e15}}
    workflow = Workflow(tmp_path / "here")
    workflow.write(simulated)
    ran = workflow.run()
    assert ran.code == 1 and ran.jobs == {}
    assert "are free; make room, or choose another folder" in ran.output
    assert "to run all the same: --config disk=warn" in ran.output and "nothing was run" in ran.output
    assert not (workflow.results / "parse.h5").exists()


def test_what_is_planned_is_what_runs_and_what_it_costs(tmp_path):
    workflow = Workflow(tmp_path / "here", tiles=TILES)
    workflow.write(description())
    first = outlook(workflow)
    assert (first["changed"], first["keeps"], first["calibrated_by"]) == (None, [], 0)
    assert not workflow.results.exists()
    ran = workflow.run()
    assert ran.code == 0, ran.output
    assert len(first["runs"]) == sum(ran.jobs.values()) - 1  # all
    assert {job["log"] for job in first["runs"]} == {
        str(path.relative_to(workflow.results)) for path in (workflow.results / "logs").rglob("*.log")
    }
    for edge_set, of in first["synapses"].items():
        path = workflow.results / "edges" / f"{edge_set}.h5"
        with h5py.File(path) as file:
            (population,) = file["edges"].values()
            n = len(population["source_node_id"])
        assert abs(n - of["mean"]) <= 5 * of["sd"], edge_set
        assert 0.5 < of["bytes"] / path.stat().st_size < 2, edge_set
    largest = {rule: max(j["memory_mb"] for j in first["runs"] if j["rule"] == rule) for rule in RULES}
    for rule, cost in of_logs(workflow.results).items():
        assert 0.5 < largest[rule] / cost.largest_mb < 2, rule
    assert outlook(workflow)["runs"] == []

    edit = description()
    edit["connectivity"]["feed"]["indegree"] = 9
    workflow.write(edit)
    planned = outlook(workflow)
    key = {"key": "connectivity.feed.indegree", "before": 8, "after": 9}
    assert planned["changed"] == [key]
    why = {job["log"]: job["why"] for job in planned["runs"]}
    of_edit = {f"logs/{log}.log" for log in ("build/connect/feed", "connect/feed.0", "connect/feed.1")}
    assert {log for log, said in why.items() if said == [key["key"]]} == of_edit
    assert why["logs/gather/edges.feed.log"] == ["follows"]
    before = {path: path.stat().st_mtime_ns for path in Path(workflow.results, "logs").rglob("*.log")}
    ran = workflow.run()
    assert ran.code == 0, ran.output
    rerun = {path for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert {str(path.relative_to(workflow.results)) for path in rerun} == why.keys()
    assert planned["calibrated_by"] == len(before)
