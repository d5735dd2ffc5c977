import json

import pytest
from click.testing import CliRunner

from descriptions import CIRCUITS, edited, plan_of, small, write
from snakefold import cli, estimate, hdf5, outlook
from snakefold.dryrun import Planned
from snakefold.loading import load
from snakefold.outlook import WIDTH, Outlook
from snakefold.plan import Amount
from snakefold.planning import make
from test_edits import built


def planned(plan, logs, reason="Missing output files: x") -> list[Planned]:
    outputs = {"logs/connect/a_to_b.log": [plan.edges("a_to_b")]}
    return [Planned("rule", reason, plan.path(log), outputs.get(log, [])) for log in logs]


@pytest.fixture
def edit(tmp_path):
    """The outlook after an edit of the number of synapses of each cell, with 3 jobs to run."""
    built(plan_of(tmp_path, small()))
    plan = plan_of(tmp_path, edited(("connectivity.a_to_b.indegree", 6)))
    why = ["Params have changed since last execution: x", "Input files updated by another job: x"]
    first = planned(plan, ["logs/build/connect/a_to_b.log"], why[0])
    return Outlook.of(plan, first + planned(plan, ["logs/connect/a_to_b.log", "logs/report/report.log"], why[1]))


def test_an_edit_its_reruns_and_what_is_kept_are_told(edit):
    said = edit.text().splitlines()
    assert said[said.index("you changed") + 1] == "  connectivity.a_to_b.indegree: 5 -> 6"
    assert f"runs again: 3 of {len(edit.every)} jobs" in said
    rows = [line.split() for line in said if line.startswith(("  connect  ", "  report  "))][-2:]
    assert rows == [["connect", "a_to_b", "connectivity.a_to_b.indegree"], ["report", "report", "follows"]]
    assert said[-1] == "keeps: parse 1, build 5, place 2, circuit_config 1, validate 1, simulate 1"
    assert all(len(line) <= WIDTH for line in said)


def test_a_run_writes_what_its_jobs_write(edit):
    assert edit.disk.writes == edit.files[edit.plan.edges("a_to_b")]
    assert edit.disk.passes == estimate.passing(edit.plan, edit.running) > 0


def test_what_runs_is_told_in_its_order_with_whole_values_and_a_comment_as_such(tmp_path):
    built(plan_of(tmp_path, small()))
    tree = small()
    tree["simulations"]["rest"]["connection_models"]["a_to_b"]["synapses"][0]["weight"] = 123456789012345.5
    plan = plan_of(tmp_path, tree, tiles=2)
    logs = [*(f"logs/gather/{of}.log" for of in ("cells.a", "edges.a_to_b")), "logs/connect/a_to_b.1.log"]
    said = Outlook.of(plan, planned(plan, logs)).text().splitlines()
    rows = [line.split()[:2] for line in said[said.index("runs again: 3 of 20 jobs") + 1 :]]
    assert rows[:3] == [["gather", "cells.a"], ["connect", "a_to_b"], ["gather", "edges.a_to_b"]]
    assert " ".join(said[said.index("you changed") + 1 :]).split(" runs again")[0].split()[-1] == "123456789012345.5"
    same = plan_of(tmp_path, small())
    said = Outlook.of(same, planned(same, ["logs/parse/parse.log"], "Params have changed")).text().splitlines()
    row = said[said.index("no key has changed") + 2]
    assert row.split(maxsplit=2) == ["parse", "parse", "the text of the description"]


def test_json_has_every_job(edit):
    made = json.loads(json.dumps(edit.json()))
    assert made["changed"] == [{"key": "connectivity.a_to_b.indegree", "before": 5, "after": 6}]
    assert {job["log"]: job["why"] for job in made["runs"]} == {
        "logs/build/connect/a_to_b.log": ["connectivity.a_to_b.indegree"],
        "logs/connect/a_to_b.log": ["connectivity.a_to_b.indegree"],
        "logs/report/report.log": ["follows"],
    }
    assert len(made["keeps"]) + 3 == len(edit.every)
    assert made["synapses"]["a_to_b"]["mean"] == 6 * made["cells"]["b"]["mean"]


@pytest.mark.parametrize("kind", ["microcircuit", "long names"])
def test_no_line_is_wider_than_a_terminal(tmp_path, kind):
    long = "connectivity_with_a_very_long_name_that_somebody_gave_to_it"
    tree = edited(("connectivity", {long: small()["connectivity"]["a_to_b"]}), ("simulations", ...))
    path = CIRCUITS / "microcircuit.yaml" if kind == "microcircuit" else write(tmp_path, tree)
    plan = make(load(str(path)), str(tmp_path / "results"))
    said = Outlook.of(plan, planned(plan, estimate.jobs(plan))).text().splitlines()
    assert [line for line in said if len(line) > WIDTH] == []
    assert len(said) <= 60


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (Amount(4000.0, 60.0), "4,000 +- 60"),
        (Amount(16000.0), "16,000"),
        (Amount(2123.4, known=False), "about 2,100"),
        (Amount(7.0, known=False), "about 7"),
    ],
)
def test_numbers_are_as_exact_as_they_are_known(amount, said):
    assert outlook._amount(amount) == said


def test_results_in_an_older_format_are_made_anew_and_it_is_said_why(tmp_path, monkeypatch):
    built(plan_of(tmp_path, small()))
    monkeypatch.setattr(hdf5, "SCHEMA_VERSION", hdf5.SCHEMA_VERSION + 1)
    plan = plan_of(tmp_path, small())
    every = list(Outlook.of(plan, []).every)
    said = Outlook.of(plan, planned(plan, every, "Params have changed since last execution: x")).text()
    assert said.endswith(f"\nall {len(every)} jobs will run: what is there is of another version of Snakefold")


def test_a_disk_that_is_too_small_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, small())
    ran = CliRunner().invoke(cli.main, ["plan", "circuit.yaml"])
    assert ran.exit_code == 0, ran.output
    assert "will run, for the first time" in ran.stdout
    assert not (tmp_path / "results").exists()
    monkeypatch.setattr(estimate, "free_bytes", lambda folder: 1000.0)
    ran = CliRunner().invoke(cli.main, ["plan", "circuit.yaml"])
    assert ran.exit_code == 1
    assert "results/circuit: the run needs about" in ran.stderr and "1 kB are free; make room" in ran.stderr
    ran = CliRunner().invoke(cli.main, ["plan", "circuit.yaml", "--config", "disk=warn"])
    assert ran.exit_code == 0 and "warning: results/circuit: the run needs about" in ran.stderr


def test_the_disk_is_that_of_the_nearest_folder(tmp_path):
    assert estimate.free_bytes(str(tmp_path / "not/yet")) == pytest.approx(estimate.free_bytes(str(tmp_path)), rel=0.1)


def test_what_snakemake_says_against_a_plan_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, small())
    ran = CliRunner().invoke(cli.main, ["plan", "circuit.yaml", "no_such_target"])
    assert ran.exit_code == 1
    assert "makes no plan" in ran.stderr and "no_such_target" in ran.stderr
