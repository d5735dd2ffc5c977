import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from snakefold import cli, leftovers
from snakefold.errors import UserError
from snakefold.leftovers import Run

# A queue in a file, a line "<id> <name>" a job; scancel removes those of a name, unless the file `stuck` is there.
SQUEUE = """#!/bin/sh
echo "squeue $*" >> {folder}/asked
test -e {folder}/down && {{ echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }}
for word; do case $word in --name=*) name=${{word#--name=}};; esac; done
case "$*" in *%r*) why=" Resources";; esac
sed -n "s/^\\([0-9]*\\) $name$/\\1$why/p" {folder}/queue
"""
SCANCEL = """#!/bin/sh
echo "scancel $*" >> {folder}/asked
test -e {folder}/stuck && exit 0
for word; do case $word in --name=*) name=${{word#--name=}};; esac; done
grep -v " $name$" {folder}/queue > {folder}/rest; mv {folder}/rest {folder}/queue
"""
HERE = os.uname().nodename


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with a queue, and squeue and scancel on the PATH that go by it."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    (folder / "queue").write_text("")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    (folder / ".plan/runs").mkdir(parents=True)
    return folder


@pytest.fixture
def dead():
    """The run of a process of this host that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Run("dead-run", HERE, process.pid, 1)


@pytest.fixture
def living():
    """The run of another process of this host."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield Run("living-run", HERE, process.pid, leftovers._started(process.pid))
        process.kill()


def write(results, run):
    (results / f".plan/runs/{run.file}").write_text(json.dumps(vars(run)))


def queue(slurm, *jobs):
    (slurm / "queue").write_text("".join(f"{n} {name}\n" for n, name in jobs))


def test_a_run_lives_while_its_process_does(living):
    assert living.lives is True
    assert replace(living, started=living.started + 1).lives is False, "another process got its number"
    assert replace(living, host="elsewhere").lives is None
    os.kill(living.pid, 9)
    os.waitpid(living.pid, 0)
    assert living.lives is False


def test_a_run_is_noted_by_its_id_in_the_log_and_crossed_out_when_it_ends(results, tmp_path):
    log = tmp_path / "run.log"
    log.write_text("host: n1\nSLURM run ID: 12ab-34\nUsing shell\n")
    leftovers.note(results, [log])
    assert [(run.name, run.host, run.pid, run.lives) for run in leftovers.noted(results)] == [
        ("12ab-34", HERE, os.getpid(), True)
    ]
    leftovers.cross_out(results)
    assert leftovers.noted(results) == []
    assert leftovers.names(results) == ["12ab-34"], "what it cost is still known"


def test_a_run_without_slurm_is_noted_and_forgotten(results, tmp_path):
    log = tmp_path / "run.log"
    log.write_text("Using shell\nnot at the start of a line: SLURM run ID: x\n")
    leftovers.note(results, [log])
    assert [(run.name, run.pid) for run in leftovers.noted(results)] == [("", os.getpid())]
    leftovers.cross_out(results)
    assert leftovers.noted(results) == [] and leftovers.names(results) == []


def test_processes_that_a_killed_run_left_on_this_host_are_told_to_end(results, dead):
    def job(folder):
        mark = f"{HERE}/{dead.pid}:{folder}/.plan/1.json"
        return subprocess.Popen(["sleep", "600"], env=os.environ | {"SNAKEFOLD_PLAN": mark})

    write(results, replace(dead, name=""))
    with job(results.resolve()) as ours, job(f"{results.resolve()}2") as others:
        assert leftovers.cancel(results) == (1, [])
        assert ours.wait(30) == -15
        assert others.poll() is None
        others.kill()
    assert leftovers.noted(results) == []


def test_another_process_is_not_crossed_out(results, living):
    write(results, living)
    leftovers.cross_out(results)
    assert leftovers.noted(results) == [living]


def test_a_torn_note_is_no_run(results):
    (results / ".plan/runs/torn.json").write_text('{"name": "to')
    (results / ".plan/runs/other.json").write_text('{"name": "other"}')
    assert leftovers.noted(results) == []


def test_jobs_of_killed_runs_are_cancelled_and_of_no_others(slurm, results, dead, living):
    write(results, dead)
    write(results, living)
    queue(slurm, (1, dead.name), (2, dead.name), (3, living.name), (4, "not-ours"))
    assert leftovers.cancel(results) == (2, [])
    assert (slurm / "queue").read_text() == f"3 {living.name}\n4 not-ours\n"
    assert leftovers.noted(results) == [living]
    assert leftovers.cancel(results) == (0, []), "and once is enough"


def test_the_jobs_that_a_run_has_left_are_counted_and_left_alone(slurm, results, dead):
    queue(slurm, (1, dead.name), (2, dead.name), (3, "not-ours"))
    assert [leftovers.left_by(results, dead) for _ in range(2)] == [2, 2]


def test_a_killed_run_without_jobs_is_crossed_out(slurm, results, dead):
    write(results, dead)
    assert leftovers.cancel(results) == (0, [])
    assert leftovers.noted(results) == []
    assert "scancel" not in (slurm / "asked").read_text()


def test_why_jobs_wait_is_asked_for_of_runs_that_submit_jobs(slurm, dead):
    (slurm / "queue").write_text(f"7 {dead.name}\n8 another\n")
    assert leftovers.waiting(dead) == {"7": "Resources"}
    (slurm / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert leftovers.waiting(replace(dead, name="")) == {}


def test_slurm_has_a_time_to_answer_in(slurm, dead, monkeypatch):
    monkeypatch.setattr(leftovers, "_ANSWER_S", 0.1)
    (slurm / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(UserError, match="squeue: no answer in"):
        leftovers.waiting(dead)


def test_jobs_of_a_run_of_another_host_are_cancelled_only_when_told(slurm, results, dead):
    elsewhere = replace(dead, host="elsewhere")
    write(results, elsewhere)
    queue(slurm, (1, dead.name))
    assert leftovers.cancel(results) == (0, [elsewhere])
    assert (slurm / "queue").read_text()
    assert leftovers.cancel(results, elsewhere=True) == (1, [])
    assert not (slurm / "queue").read_text()


def test_where_slurm_is_not_nothing_is_done(results, dead, monkeypatch, tmp_path):
    write(results, dead)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert leftovers.cancel(results) == (0, [dead])
    assert leftovers.noted(results) == [dead]


def test_a_controller_that_does_not_answer_is_told_and_nothing_is_crossed_out(slurm, results, dead):
    write(results, dead)
    (slurm / "down").touch()
    with pytest.raises(UserError, match="squeue: slurm_load_jobs error: Unable to contact slurm controller"):
        leftovers.cancel(results)
    assert leftovers.noted(results) == [dead]


def test_jobs_that_do_not_go_are_told(slurm, results, dead, monkeypatch):
    write(results, dead)
    queue(slurm, (1, dead.name))
    (slurm / "stuck").touch()
    monkeypatch.setattr(leftovers, "MOST_S", 0.1)
    with pytest.raises(UserError, match=r"jobs called dead-run were cancelled and still run; see squeue"):
        leftovers.cancel(results)
    assert leftovers.noted(results) == [dead]


def cancelled(results):
    return CliRunner().invoke(cli.main, ["cancel", str(results)])


def test_the_command_cancels_and_says_how_many(slurm, results, dead):
    write(results, replace(dead, host="elsewhere"))
    queue(slurm, (1, dead.name), (2, dead.name))
    ran = cancelled(results)
    assert (ran.exit_code, ran.stdout) == (0, "2 jobs cancelled\n")
    assert not (slurm / "queue").read_text()


def test_the_command_leaves_a_living_run_alone(slurm, results, living):
    write(results, living)
    queue(slurm, (1, living.name))
    ran = cancelled(results)
    assert ran.exit_code == 1
    assert f"the run is alive (process {living.pid}); end it with Ctrl-C" in ran.stderr
    assert (slurm / "queue").read_text()


def test_the_command_says_where_to_go_where_slurm_is_not(results, dead, monkeypatch, tmp_path):
    write(results, replace(dead, host="login2"))
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = cancelled(results)
    assert ran.exit_code == 1
    assert "no squeue here; do this where SLURM is, as on login2" in ran.stderr
