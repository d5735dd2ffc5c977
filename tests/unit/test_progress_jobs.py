from types import SimpleNamespace

import pytest

from descriptions import plan_of, small
from snakefold import estimate
from snakefold.progress.attach import jobs_of
from snakefold.progress.jobs import (
    ABORTED,
    CANCELLED,
    FAILED,
    PENDING,
    QUEUED,
    RUNNING,
    SUCCESS,
    Job,
    Run,
    job_of,
    status_of,
)

NAMES = [
    ("parse", {}, "parse", "parse", "", ""),
    ("build", {"part": "place/low"}, "build", "build place/low", "", ""),
    ("build_morphology", {"morphology": "pyr"}, "build", "build morphology pyr", "", ""),
    ("validate", {"simulation": "quick"}, "validate", "validate quick", "", ""),
    ("prepare_place_low", {}, "place", "place prepare low", "", ""),
    ("place_low", {}, "place", "place low", "place/low", ".journal/place/low/0.0"),
    ("place_low", {"color": "1", "tile": "3"}, "place", "place low tile 3", "place/low", ".journal/place/low/1.3"),
    ("gather_cells_exc", {}, "place", "place gather exc", "", ""),
    ("after_placement_cut", {}, "place", "place hook cut", "", ""),
    ("connect_feed", {}, "connect", "connect feed", "connect/feed", ".journal/connect/feed/0"),
    ("connect_feed", {"tile": "2"}, "connect", "connect feed tile 2", "connect/feed", ".journal/connect/feed/2"),
    ("prepare_connect_feed", {}, "connect", "connect prepare feed", "", ""),
    ("gather_edges_feed", {}, "connect", "connect gather feed", "", ""),
    ("simulate_quick", {}, "simulate", "simulate quick", "simulate/quick", ""),
    ("circuit_config", {}, "simulate", "simulate configuration of the circuit", "", ""),
    ("report", {}, "report", "report", "", ""),
]


@pytest.mark.parametrize("rule, wildcards, phase, name, part, journal", NAMES)
def test_jobs_have_phases_and_names(rule, wildcards, phase, name, part, journal):
    job = job_of(1, rule, wildcards)
    assert (job.phase, job.name, job.part, job.journal) == (phase, name, part, journal)


def test_every_rule_of_the_workflow_has_a_phase():
    import re
    from pathlib import Path

    from snakefold.progress.jobs import PHASES

    rules = "\n".join(p.read_text() for p in (Path(__file__).parents[2] / "workflow/rules").glob("*.smk"))
    names = re.findall(r"^ *rule (\w+):", rules, re.M) + [
        f"{begin}x" for begin in re.findall(r'^ *f"([a-z_]+_)\{\w+\}"$', rules, re.M)
    ]
    jobs = [job_of(1, name, {}) for name in names]
    assert len(names) > 15
    assert {job.phase for job in jobs} == {*PHASES, "circuit", "validated"}  # these two do nothing


def test_rules_of_the_users_own_are_phases_and_those_that_do_nothing_are_no_jobs(tmp_path):
    plan = plan_of(tmp_path, small())

    def job(number, rule, log, is_norun=False):
        rule, log = SimpleNamespace(name=rule), [f"{plan.results}/{log}"]
        return SimpleNamespace(jobid=number, rule=rule, wildcards_dict={}, log=log, is_norun=is_norun)

    own, nothing, known = (
        job(4, "figures", "x.log"),
        job(5, "project", "", True),
        job(6, "report", "logs/report/report.log"),
    )
    jobs = jobs_of(plan, [own, nothing, known])
    assert [(n, j.id, j.phase, j.name) for n, j in jobs.items()] == [
        (4, 4, "figures", "figures"),
        (6, 6, "report", "report"),
    ]
    assert (jobs[4].log, jobs[4].cost_s) == ("x.log", 0)
    assert jobs[6].cost_s == estimate.jobs(plan)["logs/report/report.log"].needs.cpu_s > 0


@pytest.mark.parametrize(
    "there, status",
    [
        ((PENDING, PENDING), PENDING),
        ((PENDING, QUEUED), QUEUED),
        ((QUEUED, SUCCESS), RUNNING),
        ((PENDING, FAILED), RUNNING),
        ((SUCCESS, SUCCESS), SUCCESS),
        ((SUCCESS, CANCELLED, ABORTED, FAILED), FAILED),
        ((SUCCESS, CANCELLED, ABORTED), ABORTED),
        ((SUCCESS, CANCELLED), CANCELLED),
    ],
)
def test_status_of_a_phase(there, status):
    assert status_of({s: there.count(s) for s in there} | {"running": 0}) == status


def a_run():
    jobs = [
        Job(1, "place_a", "place", "place a", "logs/a"),
        Job(2, "place_b", "place", "place b"),
        Job(3, "x", "y", "z"),
    ]
    return Run("R", {job.id: job for job in jobs}, began=10.0)


def test_changes_of_a_job_and_its_phase():
    run = a_run()
    job, phase = run.change(1, RUNNING, 12.0)
    assert (job.what, job.name, job.status, job.previous, job.log) == ("job", "place a", RUNNING, PENDING, "R/logs/a")
    assert (phase.what, phase.name, phase.status, phase.previous) == ("phase", "place", RUNNING, PENDING)
    assert run.change(1, RUNNING, 12.5) == []  # no news
    assert run.change(99, RUNNING, 12.5) == []  # no job of ours
    (job,) = run.change(1, SUCCESS, 15.0)  # the phase still runs
    assert job.seconds == 3.0
    run.change(2, QUEUED, 15.0)
    run.change(2, RUNNING, 16.0)
    _, phase = run.change(2, SUCCESS, 20.0)
    assert (phase.status, phase.seconds) == (SUCCESS, 8.0)
    assert run.status("place") == SUCCESS and run.numbers("place")[SUCCESS] == 2


def test_a_job_that_is_tried_again_runs_again():
    run = a_run()
    run.change(1, RUNNING, 1.0)
    run.change(1, FAILED, 2.0)
    run.change(1, QUEUED, 3.0)
    run.change(1, RUNNING, 10.0)
    (job,) = run.change(1, SUCCESS, 11.0)
    assert job.seconds == 1.0


def test_the_end_aborts_what_runs_and_cancels_the_rest():
    run = a_run()
    run.change(1, RUNNING, 11.0)
    changes = run.end("aborted", 14.0)
    assert {c.name: c.status for c in changes if c.what == "job"} == {
        "place a": ABORTED,
        "place b": CANCELLED,
        "z": CANCELLED,
    }
    assert (changes[-1].what, changes[-1].status, changes[-1].seconds) == ("run", "aborted", 4.0)
    assert {c.name: c.status for c in changes if c.what == "phase"} == {"place": ABORTED, "y": CANCELLED}
