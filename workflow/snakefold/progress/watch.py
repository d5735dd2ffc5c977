"""Watching a run: from what Snakemake logs to the record, the listeners and the screen, in a thread of its own.

Snakemake's threads only put records into a queue. Where the record cannot be written, or nothing be shown, as on a full
disk, that is told once and the rest goes on; what is not shown any more is then shown by Snakemake.
"""

import contextlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from snakefold.leftovers import Run as Noted
from snakefold.progress.counts import Counter
from snakefold.progress.jobs import (
    ABORTED,
    CANCELLED,
    FAILED,
    PENDING,
    QUEUED,
    RUNNING,
    SUCCESS,
    Change,
    Job,
    Run,
    status_of,
)
from snakefold.progress.listeners import Audience, Listener
from snakefold.progress.record import HEARTBEAT_S, Record
from snakefold.progress.screen import Lines
from snakefold.progress.table import summary

SHARE = 0.004  # of the time that counting and drawing may take
LOOK_S = 1.0  # between looks whether queued jobs have begun
PATIENCE_S = 15.0  # that the end of a run waits for the watch
_ENDED = ("error: told to end", "KeyboardInterrupt")
_STOPPED = ("Terminating processes on user request", "Will exit after finishing")  # Snakemake, when told to
_SUBMITTED = (  # what Snakemake's executors say: for SLURM, and for other schedulers
    re.compile(r"Job (?P<job>\d+) has been submitted with SLURM jobid (?P<external>\S+) \(log: (?P<log>.*)\)\.$"),
    re.compile(r"Submitted job (?P<job>\d+) with external jobid '(?P<external>.*)'\.(?P<log>)$"),
)
_KILLED = re.compile(r"SLURM status is: '(CANCELLED|TIMEOUT|OUT_OF_MEMORY|NODE_FAIL|PREEMPTED|BOOT_FAIL|DEADLINE)")
_EMPTY = "For further error details see the cluster/cloud log"
_SAID = ("cost: ", "Traceback (most recent call last)", "error: ", "usage: ")


class Watch:
    """Watches one run.

    Parameters
    ----------
    run : with the jobs that are to run
    noted : the run's main process
    screen : where progress is shown; None for nowhere
    listeners : by name
    local : whether jobs run on this host, so that what is started runs

    spent_s : CPU time that it has cost so far to prepare
    """

    def __init__(
        self,
        run: Run,
        noted: Noted,
        screen: Lines | None,
        listeners: dict[str, Listener],
        *,
        local: bool,
        spent_s: float = 0.0,
    ):
        self.run, self.screen, self.local, self._spent_s = run, screen, local, spent_s
        self.counter, self.record = Counter(run), Record(run, noted)
        self.audience = Audience(listeners, self._tell)
        self._items: queue.SimpleQueue[tuple] = queue.SimpleQueue()
        self._logs: dict[int, dict[str, int]] = {}  # queued job -> logs, and when they were last written, before
        first = 0.0 if screen and screen.at_once else time.monotonic() + (screen.every_s if screen else 0.0)
        self._next = {"look": 0.0, "beat": 0.0, "screen": first, "summary": 0.0}
        self._lost: set[str] = set()  # of "recorded", "shown"
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="snakefold-progress", daemon=True)
        self.audience.hear(
            Change("job", j.name, PENDING, "", run.began, 0.0, j.phase, j.rule, j.id, self._log(j), run.results)
            for j in run.jobs.values()
        )
        self.audience.hear(
            Change("phase", p, status_of(run.numbers(p)), "", run.began, phase=p, results=run.results)
            for p in run.phases()
        )
        self._thread.start()

    def put(self, record: logging.LogRecord) -> None:
        """Take a record of Snakemake's log; does not wait."""
        self._items.put((time.time(), record))

    def end(self, status: str) -> None:
        """Take note that the run has ended, and wait until that is shown and told."""
        self._items.put((time.time(), status))
        self._thread.join(PATIENCE_S)

    @property
    def ended(self) -> bool:
        """Whether the watch is over."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        item: tuple | None = None
        while item is None or not isinstance(item[1], str):
            try:
                item = self._items.get(timeout=self._pause())
            except queue.Empty:
                item = None
            if item is None:
                self._look_around()
            elif isinstance(item[1], str):
                self._end(*item)
            elif callable(item[1]):
                item[1]()
            else:
                self._take(*item)
        self.audience.close()
        while not self._items.empty():
            if callable(say := self._items.get()[1]):
                say()

    def _pause(self) -> float:
        steps = ["beat", "screen", *(["look"] if self._logs else [])]
        return max(min(self._next[step] for step in steps) - time.monotonic(), 0.0)

    def _end(self, at: float, status: str) -> None:
        status = ABORTED if self._stopped and status == FAILED else status
        self._spread(self.run.end(status, at))
        self._try("shown", lambda screen: screen.end(self.run, self.counter, at))
        self._try("recorded", lambda record: record.end(status, at, self._spent_s + time.thread_time()))

    def _look_around(self) -> None:
        """Do what is due, when nothing else is to be done."""
        now = time.monotonic()
        if self._logs and now >= self._next["look"]:
            self._sparingly("look", LOOK_S, self._look)
        if now >= self._next["beat"]:
            self._sparingly("beat", HEARTBEAT_S, lambda: self._try("recorded", lambda record: record.beat()))
        if now >= self._next["screen"]:
            every_s = self.screen.every_s if self.screen else HEARTBEAT_S
            self._sparingly("screen", every_s, lambda: self._try("shown", self._refresh))

    def _sparingly(self, step: str, every_s: float, do: Callable[[], object]) -> None:
        """Do something, and leave so much time before the next time that it costs but a share."""
        began, cpu_s = time.monotonic(), time.thread_time()
        do()
        self._next[step] = began + max(every_s, (time.thread_time() - cpu_s) / SHARE)

    def _refresh(self, screen: Lines) -> None:
        screen.refresh(self.run, self.counter, time.time())

    def _try(self, how: str, what: Callable) -> None:
        """Record or show something; what fails is told, and not tried again."""
        on = {"recorded": self.record, "shown": self.screen}[how]
        if on is None or how in self._lost:
            return
        try:
            what(on)
        except Exception as error:
            self._lost.add(how)
            with contextlib.suppress(Exception):
                self._tell(f"progress is not {how} any more: {type(error).__name__}: {error}")

    def _take(self, at: float, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", "") or "")
        if event == "job_info":
            here = self.local or getattr(record, "local", False)
            self._begin(record.jobid, RUNNING if here else QUEUED, at)
        elif event == "job_finished":
            self._ends(record.job_id, SUCCESS, at)
        elif event in ("job_error", "group_error"):
            members = [record.__dict__] if event == "job_error" else record.job_error_info
            for member in members:
                self._fail(member["jobid"], at, str(member.get("rule_msg") or ""))
        known = event in ("job_error", "group_error") or (event == "error" and "CalledProcessError" in str(record.msg))
        text = "" if event else str(record.msg)
        self._stopped = self._stopped or text.startswith(_STOPPED)
        for said in filter(None, (pattern.match(text) for pattern in _SUBMITTED)):
            self._submit(int(said["job"]), said["external"], said["log"], at)
        wanted = event == "shellcmd" or text.startswith((*_STOPPED, "Trying to restart"))  # commands: with -p
        if wanted or (record.levelno >= logging.WARNING and not known):
            self._try("shown", lambda screen: screen.message(record))
        if self.screen and "shown" in self._lost:
            with contextlib.suppress(Exception):
                self.screen.handler.handle(record)

    def _begin(self, number: int, status: str, at: float) -> None:
        job = self.run.jobs.get(number)
        if job is not None and status == QUEUED:
            self._logs[number] = {self._log(job): _written(self._log(job))}
        self._change(number, status, at)

    def _submit(self, number: int, external: str, log: str, at: float) -> None:
        """Take note that a scheduler has a job, which writes a log of its own when it starts it."""
        job = self.run.jobs.get(number)
        if job is not None and number in self._logs:
            job.external, self._logs[number][log] = external, 0
            self._try("recorded", lambda record: record.submitted(job, at))

    def _fail(self, number: int, at: float, message: str) -> None:
        job = self.run.jobs.get(number)
        if job is None:
            return
        if number in self._logs and not self._has_begun(number):
            self._change(number, CANCELLED, at)
        else:
            killed = _KILLED.search(message) or _was_killed(self._log(job))
            self._ends(number, ABORTED if killed else FAILED, at)
        said = "" if message.startswith(_EMPTY) else message
        self._try("shown", lambda screen: screen.why(said, self._log(job)))

    def _ends(self, number: int, status: str, at: float) -> None:
        if number in self._logs:  # it was not seen to run
            self._change(number, RUNNING, at)
        self._change(number, status, at)

    def _look(self) -> None:
        """Look which queued jobs have begun."""
        for number in list(self._logs):
            if self._has_begun(number):
                self._change(number, RUNNING, time.time())

    def _log(self, job: Job) -> str:
        return f"{self.run.results}/{job.log}" if job.log else ""

    def _has_begun(self, number: int) -> bool:
        return any(_written(log) != before for log, before in self._logs[number].items())

    def _change(self, number: int, status: str, at: float) -> None:
        if status != QUEUED:
            self._logs.pop(number, None)
        self._spread(self.run.change(number, status, at))

    def _spread(self, changes: list[Change]) -> None:
        self.audience.hear(changes)
        for change in changes:
            if change.what == "job":
                self._try("recorded", lambda record, of=change: record.job(of.id, of.status, of.at))
        if changes:
            self._try("shown", lambda screen: screen.changed(changes, self.run, self.counter, self._summary))
            if self.screen and not self.screen.at_once:
                self._next["screen"] = time.monotonic() + self.screen.every_s

    def _summary(self) -> str:
        text: list[str] = []
        if time.monotonic() >= self._next["summary"]:
            self._sparingly("summary", 0.0, lambda: text.append(summary(self.run, self.counter, time.time())))
        return "".join(text)

    def _tell(self, text: str) -> None:
        if threading.current_thread() is not self._thread:  # a listener's; this one alone draws
            self._items.put((time.time(), partial(self._tell, text)))
        elif self.screen:
            self.screen.say(f"warning: {text}")
        else:
            logging.getLogger("snakemake.logging").warning(text)


def _written(log: str) -> int:
    """Return when a log was last written, ns; 0 if it is not there."""
    try:
        return Path(log).stat().st_mtime_ns if log else 0
    except OSError:
        return 0


def _was_killed(log: str) -> bool:
    """Return whether the log of a failed job ends without a word of why, or with that it was told to end."""
    try:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines() if log else ["error: "]
    except OSError:
        return False
    return any(text.startswith(_ENDED) for text in lines) or not any(text.startswith(_SAID) for text in lines)
