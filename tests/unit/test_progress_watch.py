import io
import json
import logging
import os
import time

import pytest

from snakefold.leftovers import Run as Noted
from snakefold.progress.counts import Counter
from snakefold.progress.jobs import Run, job_of
from snakefold.progress.record import FILE, read
from snakefold.progress.screen import Drawing, Lines, Terminal, screen_of
from snakefold.progress.table import table
from snakefold.progress.watch import Watch

MOST_S = 30


def event(name, level=logging.INFO, message="", **fields):
    record = logging.LogRecord("snakemake.logging", level, "x.py", 1, message, None, None)
    vars(record).update({"event": name} | fields)
    return record


class Stream(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def begun(tmp_path):
    """A function that begins to watch a run of three jobs; its watch, what is shown, and the changes that are heard."""
    (tmp_path / "logs").mkdir()
    jobs = [job_of(i, f"connect_{name}", {}, f"logs/{name}.log") for i, name in enumerate("abc")]

    def begin(local=True, terminal=False, colour=False):
        run = Run(str(tmp_path), {job.id: job for job in jobs}, began=time.time())
        stream, changes = Stream(terminal), []
        handler = logging.StreamHandler(stream)
        screen = Terminal(handler, stream, colour=colour) if terminal else Lines(handler, stream)
        watch = Watch(run, Noted("", os.uname().nodename, 1, 0), screen, {"test": changes.append}, local=local)
        return watch, stream, changes

    return begin


def statuses(changes, name):
    return [c.status for c in changes if (c.what, c.name) == ("job", name)]


def wait_until(what):
    for _ in range(100 * MOST_S):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("never")


def test_what_snakemake_logs_becomes_changes_lines_and_a_record(begun, tmp_path):
    watch, stream, changes = begun()
    (tmp_path / "logs/a.log").write_text("connect a: done, 8 chunks, 50 synapses\n")
    (tmp_path / "logs/b.log").write_text("Traceback (most recent call last):\ncost: 1 CPU-s, 1 MB at most\n")
    watch.put(event("job_info", jobid=0))
    watch.put(event(None, message="Select jobs to execute..."))
    watch.put(event("job_finished", job_id=0))
    watch.put(event("job_info", jobid=1))
    watch.put(event("error", logging.ERROR, "RuleException:\nCalledProcessError in file x: set -euo pipefail"))
    watch.put(event("job_error", logging.ERROR, "Error in rule connect_b", jobid=1, rule_msg="it is out of memory"))
    watch.put(event("error", logging.ERROR, "MissingOutputException in rule x"))
    watch.put(event("job_finished", job_id=77))  # a rule that does nothing
    watch.end("failed")
    assert statuses(changes, "connect a") == ["pending", "running", "success"]
    assert statuses(changes, "connect b") == ["pending", "running", "failed"]
    assert statuses(changes, "connect c") == ["pending", "cancelled"]
    assert [c.status for c in changes if c.what == "phase"] == ["pending", "running", "failed"]
    assert changes[-1].what == "run" and changes[-1].status == "failed"
    said = stream.getvalue()
    assert "connect a: success" in said and "8 chunks, 50 synapses (1 of 3 jobs in " in said
    assert f"connect b: failed, 0 s, {tmp_path}/logs/b.log\n    it is out of memory\n    Traceback" in said
    assert "Error in rule" not in said and "set -euo" not in said
    assert "MissingOutputException in rule x\n" in said
    assert "Select jobs" not in said and "connect c" not in said
    rows = [json.loads(line)[:2] for line in (tmp_path / FILE).read_text().splitlines()[1:]]
    assert rows == [[0, "running"], [0, "success"], [1, "running"], [1, "failed"], [2, "cancelled"], ["run", "failed"]]


@pytest.mark.parametrize(
    "log, status",
    [
        ("connect a: 8 chunks, 0 of them from the journal\n", "aborted"),  # not a word of why
        ("error: told to end: the job was cancelled\ncost: 1 CPU-s, 1 MB at most\n", "aborted"),
        ("Traceback (most recent call last):\nKeyboardInterrupt\ncost: 1 CPU-s, 1 MB at most\n", "aborted"),
        ("error: connect a: chunk 1: no\ncost: 1 CPU-s, 1 MB at most\n", "failed"),
        ("usage: connect.py\n", "failed"),
    ],
)
def test_a_job_that_was_killed_is_known_by_its_log(begun, tmp_path, log, status):
    watch, _, changes = begun()
    (tmp_path / "logs/a.log").write_text(log)
    watch.put(event("job_info", jobid=0))
    watch.put(event("job_error", logging.ERROR, jobid=0))
    watch.end("failed")
    assert statuses(changes, "connect a")[-1] == status


def test_a_job_in_a_queue_runs_when_it_writes_its_log(begun, tmp_path):
    watch, _, changes = begun(local=False)
    (tmp_path / "logs/a.log").write_text("of an earlier run")
    os.utime(tmp_path / "logs/a.log", (1, 1))
    for i in range(3):
        watch.put(event("job_info", jobid=i, local=False))
    wait_until(lambda: statuses(changes, "connect c") == ["pending", "queued"])
    assert [c.status for c in changes if c.what == "phase"] == ["pending", "queued"]
    (tmp_path / "logs/a.log").write_text("begun")
    wait_until(lambda: statuses(changes, "connect a")[-1:] == ["running"])
    watch.put(event("job_finished", job_id=1))  # faster than we look
    watch.put(event("job_error", logging.ERROR, jobid=2))  # cancelled in the queue
    watch.end("failed")
    assert statuses(changes, "connect b") == ["pending", "queued", "running", "success"]
    assert statuses(changes, "connect c") == ["pending", "queued", "cancelled"]
    assert statuses(changes, "connect a") == ["pending", "queued", "running", "aborted"]


def test_a_submitted_job_has_a_number_and_runs_when_the_scheduler_writes_a_log(begun, tmp_path):
    watch, _, changes = begun(local=False)
    for i in range(3):
        watch.put(event("job_info", jobid=i, local=False))
    watch.put(event(None, message=f"Job 0 has been submitted with SLURM jobid 41 (log: {tmp_path}/41.log)."))
    watch.put(event(None, message="Submitted job 1 with external jobid '42'."))
    watch.put(event(None, message=f"Job 2 has been submitted with SLURM jobid 43 (log: {tmp_path}/43.log)."))
    (tmp_path / "41.log").write_text("")
    wait_until(lambda: statuses(changes, "connect a")[-1:] == ["running"])
    run = read(tmp_path).run
    assert [run.jobs[i].external for i in range(3)] == ["41", "42", "43"]
    lines = table(run, Counter(run), time.time())
    assert any(text.startswith("  connect a (41): ") for text in lines) and "  2 wait in the queue: 42, 43" in lines
    (tmp_path / "43.log").write_text("slurmstepd: error: CANCELLED\n")
    why = "SLURM-job '43' failed, SLURM status is: 'CANCELLED'. Detailed failure reason unavailable"
    watch.put(event("job_error", logging.ERROR, jobid=2, rule_msg=why))  # it had begun, but not come to its own log
    watch.put(event("job_info", jobid=2, local=False))  # tried again, not submitted yet
    watch.end("failed")
    assert statuses(changes, "connect c") == ["pending", "queued", "running", "aborted", "queued", "cancelled"]
    assert [c.external for c in changes if c.name == "connect c"] == ["", "", "43", "43", "", ""]


def test_members_of_a_group_fail_together(begun):
    watch, _, changes = begun()
    for i in (0, 1):
        watch.put(event("job_info", jobid=i))
    watch.put(event("group_error", logging.ERROR, job_error_info=[{"jobid": 0}, {"jobid": 1}]))
    watch.end("failed")
    assert [statuses(changes, f"connect {name}")[-1] for name in "ab"] == ["failed", "failed"]


@pytest.mark.parametrize("said, status", [("Terminating processes on user request, this", "aborted"), ("x", "failed")])
def test_a_run_that_was_told_to_end_is_aborted(begun, said, status):
    watch, stream, changes = begun()
    watch.put(event(None, message=said))
    watch.end("failed")
    assert changes[-1].status == status
    assert (said in stream.getvalue()) == (status == "aborted")


def test_a_record_that_cannot_be_written_is_told_of_once_and_the_rest_goes_on(begun, monkeypatch):
    watch, stream, changes = begun()
    monkeypatch.setattr(watch.record, "_write", lambda row: 1 / 0)
    for i in range(3):
        watch.put(event("job_info", jobid=i))
        watch.put(event("job_finished", job_id=i))
    watch.end("success")
    assert stream.getvalue().count("warning: progress is not recorded any more: ZeroDivisionError") == 1
    assert "connect c: success" in stream.getvalue()
    assert changes[-1].status == "success"


def test_where_nothing_can_be_shown_snakemake_shows_its_messages(begun, monkeypatch):
    watch, stream, changes = begun()
    monkeypatch.setattr(watch.screen, "changed", lambda *_: 1 / 0)
    watch.put(event("job_info", jobid=0))
    watch.put(event(None, message="Select jobs to execute..."))
    watch.end("success")
    assert "progress is not shown any more" in stream.getvalue() and "Select jobs" in stream.getvalue()
    assert statuses(changes, "connect a") == ["pending", "running", "aborted"]


def test_a_terminal_has_one_table_and_messages_above_it(begun):
    watch, stream, _ = begun(terminal=True)
    wait_until(lambda: "0 of 3 jobs" in stream.getvalue())
    watch.put(event(None, logging.WARNING, "mind the gap"))
    watch.put(event("job_info", jobid=0))
    watch.end("success")
    lines = rendered(stream.getvalue())
    assert lines[0] == "mind the gap"
    assert [line.split()[0] for line in lines].count("phase") == 1
    assert lines[-1].startswith(watch.run.results) and "0 of 3 jobs" in lines[-1]


def test_what_is_drawn_is_taken_away_whole_also_where_a_line_takes_more_rows(monkeypatch):
    stream = Stream(True)
    drawing = Drawing(stream)
    monkeypatch.setattr(drawing, "size", lambda: (40, 6))
    drawing.draw(["x" * 30, "\x1b[31m" + "y" * 40 + "\x1b[0m", "", "z" * 41])
    drawing.draw(["line"] * 9)
    assert stream.getvalue().count("\x1b[5A\x1b[J") == 1  # 1 + 1 + 1 + 2 rows
    assert drawing.lines == ["line"] * 5  # the prompt has the sixth row
    drawing.clear()
    assert stream.getvalue().endswith("\x1b[5A\x1b[J")


def rendered(text):
    """Return the lines that a terminal shows in the end: ESC[nA goes up, ESC[J clears below."""
    lines = []
    for piece in text.split("\x1b["):
        number, _, rest = piece.partition("A") if piece[:1].isdigit() and "A" in piece[:4] else ("", "", piece)
        if number:
            del lines[-int(number) :]
        lines += rest.removeprefix("J").splitlines()
    return [line for line in lines if line]


@pytest.mark.parametrize(
    "terminal, term, lines, kind",
    [
        (True, "xterm", False, Terminal),
        (True, "dumb", False, Lines),
        (False, "xterm", False, Lines),
        (True, "xterm", True, Lines),
    ],
)
def test_a_table_is_drawn_on_terminals_alone(monkeypatch, terminal, term, lines, kind):
    monkeypatch.setenv("TERM", term)
    screen = screen_of(logging.StreamHandler(Stream(terminal)), lines=lines)
    assert type(screen) is kind


def test_of_a_failed_job_the_end_of_its_log_is_shown_where_logs_are_wanted(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("".join(f"line {i}\n" for i in range(100)))
    for logs, says in ((True, "    ... 70 lines before\n    line 70\n"), (False, "")):
        stream = Stream()
        Lines(logging.StreamHandler(stream), stream, logs=logs).why("", str(log))
        assert stream.getvalue().startswith(says) and ("line 99\n" in stream.getvalue()) == logs
    stream = Stream()
    Lines(logging.StreamHandler(stream), stream).why("no node", str(tmp_path / "none.log"))
    assert stream.getvalue() == "    no node\n    the log is not there\n"


def test_no_color_is_heeded(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    handler = logging.StreamHandler(Stream(True))
    assert screen_of(handler).colour and not screen_of(handler, nocolor=True).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not screen_of(handler).colour
