import json
import os

import pytest

from snakefold.errors import UserError
from snakefold.leftovers import Run as Noted
from snakefold.progress.jobs import ABORTED, FAILED, PENDING, QUEUED, RUNNING, SUCCESS, Run, job_of
from snakefold.progress.record import FILE, Record, ended, failures, read
from snakefold.progress.status import status


@pytest.fixture
def record(tmp_path):
    jobs = [job_of(0, "place_low", {}, "logs/place/low.log", 2.5), job_of(1, "report", {})]
    run = Run(str(tmp_path), {job.id: job for job in jobs}, {"connect/feed": 5.0}, began=100.0)
    return Record(run, Noted("", os.uname().nodename, os.getpid(), 0))


def test_what_is_read_is_what_was_written(record, tmp_path):
    record.job(0, RUNNING, 101.0)
    record.job(0, SUCCESS, 103.5)
    run = read(tmp_path).run
    assert (run.jobs[0].status, run.jobs[0].seconds, run.jobs[0].cost_s) == (SUCCESS, 2.5, 2.5)
    assert run.jobs[0].journal == ".journal/place/low/0.0" and run.expected == {"connect/feed": 5.0}
    assert not ended(run)
    record.end("failed", 104.0, 0.25)
    assert ended(read(tmp_path).run) and read(tmp_path).run.ended == 104.0


def test_failures_are_counted_by_rule_over_all_attempts(record, tmp_path):
    assert failures(tmp_path / "nowhere") == {}
    for change in (RUNNING, FAILED, PENDING, RUNNING, ABORTED, PENDING, RUNNING, SUCCESS):
        record.job(0, change, 101.0)
    record.job(1, FAILED, 102.0)
    with (tmp_path / FILE).open("a") as file:
        file.write('[1, "fail')
    assert failures(tmp_path) == {"place": 2, "report": 1}


def test_a_torn_line_is_not_read(record, tmp_path):
    record.job(0, RUNNING, 101.0)
    with (tmp_path / FILE).open("a") as file:
        file.write('[0, "succ')
    assert read(tmp_path).run.jobs[0].status == RUNNING


def test_a_new_run_replaces_it_and_a_beat_touches_it(record, tmp_path):
    os.utime(tmp_path / FILE, (1, 1))
    assert read(tmp_path).heard == 1
    record.beat()
    assert read(tmp_path).heard > 1


@pytest.mark.parametrize(
    "content, says",
    [
        (None, "no run has begun"),
        ("", "cannot be read"),
        ("[1]\n", "cannot be read"),
        ('{"version": 1, "jobs": [1]}\n', "cannot be read"),
        ('{"version": 99}\n', "newer Snakefold"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, content, says):
    if content is not None:
        (tmp_path / ".plan").mkdir()
        (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match=says):
        read(tmp_path)


@pytest.mark.parametrize(
    "host, age_s, says, job",
    [
        (os.uname().nodename, 0, "was killed after ", ABORTED),  # started at another time: the process is another's
        ("elsewhere", 0, "running on elsewhere, process ", RUNNING),
        ("elsewhere", 1000, "not heard of for 16:4", RUNNING),
    ],
)
def test_whether_a_run_lives_is_known_here_by_its_process_and_elsewhere_by_its_beat(
    record, tmp_path, host, age_s, says, job
):
    import time

    record.job(0, RUNNING, 101.0)
    path = tmp_path / FILE
    head, *rest = path.read_text().splitlines()
    head = json.loads(head)
    head["process"]["host"] = host
    path.write_text("\n".join([json.dumps(head), *rest]) + "\n")
    os.utime(path, (time.time() - age_s,) * 2)
    lines = status(str(tmp_path))
    assert lines[0].startswith(f"{tmp_path}: {says}")
    assert any(line.split()[:2] == ["place", job] for line in lines)


@pytest.mark.parametrize(
    "squeue, says", [({"7": "Priority"}, "  in SLURM's queue for: Priority (1)"), (None, "  away")]
)
def test_why_jobs_wait_is_asked_of_slurm(record, tmp_path, monkeypatch, squeue, says):
    def waiting(run):
        if squeue is None:
            raise UserError("away")
        return squeue

    monkeypatch.setattr("snakefold.leftovers.waiting", waiting)
    monkeypatch.setattr(Noted, "lives", True)
    record.job(0, QUEUED, 101.0)
    assert says not in status(str(tmp_path))  # not submitted yet
    job = job_of(0, "place_low", {})
    job.become(QUEUED, 101.0)
    job.external = "7"
    record.submitted(job, 101.0)
    if squeue:
        record.job(0, RUNNING, 102.0)  # then its node was lost
    lines = status(str(tmp_path))
    assert lines[1] == says and "  1 wait in the queue: 7" in lines
