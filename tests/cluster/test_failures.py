"""What fails on a cluster, and what it costs to go on."""

import re
import shutil

import pytest
from on_slurm import OnSlurm, kill, notes, of_watched, taken_from_journals, until

from flow import Workflow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of the circuit of `of_watched`, made on one core."""
    return of_watched(tmp_path_factory.mktemp("undisturbed"), Workflow).built().circuit_files()


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A function that returns a folder where the circuit was built, on one core, with another in-degree."""
    built = {}

    def folder(tiles):
        if tiles not in built:
            workflow = of_watched(tmp_path_factory.mktemp("before"), Workflow, tiles=tiles)
            workflow.write(workflow.description.read_text().replace("indegree: 8", "indegree: 4"))
            built[tiles] = workflow.built().folder
            (workflow.folder / "notes.txt").unlink()
        return built[tiles]

    return folder


@pytest.fixture
def edited(before, tmp_path):
    """A function that returns a workflow on SLURM of which the strategy alone is to be made again."""

    def workflow(tiles=2):
        shutil.copytree(before(tiles), tmp_path, dirs_exist_ok=True)
        return of_watched(tmp_path, OnSlurm, tiles=tiles)

    return workflow


def chunks(workflow):
    return [line for line in notes(workflow) if line.startswith("chunk")]


def test_a_chunk_that_fails_once_costs_that_chunk(cluster, edited, undisturbed):
    here = edited()
    (here.folder / "fail").write_text("30 once")
    ran = here.run()
    assert ran.code == 0, ran.output
    assert here.circuit_files() == undisturbed
    made = chunks(here)
    assert len(made) == len(set(made)) + 1, "one chunk was made twice, and no other"
    assert ran.output.count("Trying to restart job") == 1
    assert taken_from_journals(here) > 0


def test_after_a_chunk_that_always_fails_all_else_is_done_and_the_rerun_does_the_rest(cluster, tmp_path, undisturbed):
    here = of_watched(tmp_path)
    (here.folder / "fail").write_text("30")
    ran = here.run("--retries", "1")
    assert ran.code == 1
    files = here.circuit_files()
    assert [name for name in files if name.startswith("nodes/")]
    assert "edges/own.h5" not in files
    assert (here.results / "parse.h5").exists()
    told = ran.output
    assert re.search(r"connect own: chunk \S+", told), "the message names the strategy and the chunk"
    assert "the marker says so, at chunk" in told
    assert "logs/connect/own" in told
    assert "run again: snakemake" in told
    before = len(chunks(here))
    (here.folder / "fail").unlink()
    again = here.run()
    assert again.code == 0, again.output
    assert set(again.jobs) <= {"connect_own", "gather_edges_own", "circuit_config", "report", "all"}
    assert again.jobs["connect_own"] == 1
    assert here.circuit_files() == undisturbed
    once = set(chunks(here)[:before])
    assert len(chunks(here)) - before < len(once), "what was committed is not made again"


def test_a_job_that_needs_more_memory_gets_it_at_the_second_attempt(cluster, edited, undisturbed):
    here = edited()
    here.env["WASTE_MB"] = "900"
    ran = here.run("--set-resources", "connect_own:mem_mb=attempt * 700")
    assert ran.code == 0, ran.output
    assert "Trying to restart job" in ran.output
    run = re.search(r"SLURM run ID: (\S+)", ran.output)[1]
    states = cluster.command("sacct", "-n", "-P", "-o", "state", f"--name={run}").split()
    assert "OUT_OF_MEMORY" in states or not cluster.enforces_memory(), states
    assert here.circuit_files() == undisturbed


def test_a_job_that_is_out_of_time_goes_on_where_it_was(cluster, edited, undisturbed):
    here = edited(tiles=1)
    here.env["SLEEP"] = "12"
    ran = here.run("--set-resources", "connect_own:runtime=attempt")
    assert ran.code == 0, ran.output
    assert "Trying to restart job" in ran.output
    assert here.circuit_files() == undisturbed
    assert taken_from_journals(here) >= 2, "what the first attempts made is used"
    made = chunks(here)
    assert len(made) <= len(set(made)) + ran.output.count("Trying to restart job")


def test_a_cancelled_job_is_noticed_and_tried_again(cluster, edited, undisturbed):
    here = edited()
    here.env["SLEEP"] = "5"
    process = here.start()
    running = lambda: [n for n, _, rule in here.jobs("running") if "connect_own" in rule]  # noqa: E731
    job = until(running, "a connect job runs", process)[0]
    cluster.command("scancel", job)
    ran = here.finish(process)
    assert ran.code == 0, ran.output
    assert "Trying to restart job" in ran.output
    assert here.circuit_files() == undisturbed


def test_an_edit_while_jobs_are_queued_changes_none_of_them(cluster, edited, undisturbed):
    here = edited()
    process = here.start("--default-resources", "slurm_extra='--begin=now+8'")
    until(lambda: here.jobs("pending"), "jobs are queued", process)
    text = here.description.read_text()
    here.description.write_text(text.replace("indegree: 8", "indegree: 9").replace("seed: 7", "seed: 8"))
    assert here.description.read_text() != text
    ran = here.finish(process)
    assert ran.code == 0, ran.output
    assert here.circuit_files() == undisturbed
    assert here.plan(), "the edit is for the next run"


def test_jobs_that_a_killed_run_left_are_cancelled_before_others_follow(cluster, edited, undisturbed):
    here = edited()
    delayed = ("--default-resources", "slurm_extra='--begin=now+600'")
    process = here.start(*delayed)
    queued = until(lambda: here.jobs("pending"), "jobs are queued", process)
    kill(process.pid)
    process.communicate()
    left = here.jobs()  # it may have submitted more before it was killed
    assert {n for n, _, _ in queued} <= {n for n, _, _ in left}
    unlock = here.run("--unlock")
    assert unlock.code == 0, unlock.output
    ran = here.run()
    assert ran.code == 0, ran.output
    assert f"{len(left)} jobs that a killed run had left were cancelled" in ran.output
    assert not here.jobs()
    assert here.circuit_files() == undisturbed


def test_two_jobs_of_one_tile_end_in_one_right_file(cluster, edited, undisturbed):
    """A job that outlives its workflow, and is not cancelled, beside the one of the rerun."""
    here = edited(tiles=1)
    here.env["SLEEP"] = "3"
    process = here.start()
    running = lambda: [n for n, _, rule in here.jobs("running") if "connect_own" in rule]  # noqa: E731
    until(running, "the connect job runs", process)
    kill(process.pid)
    process.communicate()
    for note in here.results.glob(".plan/runs/*.json"):
        note.unlink()
    assert here.run("--unlock").code == 0
    ran = here.run()
    assert ran.code == 0, ran.output
    until(lambda: not here.jobs(), "the stale job ends")
    assert here.circuit_files() == undisturbed
    assert not [p for p in here.results.rglob("*.part")]
