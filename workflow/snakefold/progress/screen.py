"""Where progress is shown: on a terminal a table that is drawn anew in its place, elsewhere a line per job.

A job that has failed is shown with the end of its log. Other warnings and errors pass as Snakemake words them; its log
file has everything, as ever.
"""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from snakefold.progress.counts import Count, Counter
from snakefold.progress.jobs import ABORTED, FAILED, OPEN, SUCCESS, Change, Run
from snakefold.progress.table import line, summary, table

QUIET_S = 60.0  # after which a log says that the run goes on
_LOG_LINES = 30  # of a failed job


class Lines:
    """A line for each job and phase that has ended, and one a minute where none does.

    Parameters
    ----------
    handler : Snakemake's own, for its messages
    stream : to write to
    logs : whether the logs of failed jobs are shown
    """

    every_s = QUIET_S
    at_once = False

    def __init__(self, handler: logging.Handler, stream: TextIO, *, logs: bool = True):
        self.handler, self.stream, self.logs = handler, stream, logs

    def message(self, record: logging.LogRecord) -> None:
        """Show a message of Snakemake's."""
        self.handler.handle(record)

    def say(self, text: str) -> None:
        """Show a line."""
        self.stream.write(f"{text}\n")
        self.stream.flush()

    def changed(self, changes: list[Change], run: Run, counter: Counter, done: Callable[[], str]) -> None:
        """Show what has changed."""
        for change in changes:
            if change.what == "run" or change.status in OPEN or (change.what == "job" and change.status == "cancelled"):
                continue
            if change.what == "job":
                count = counter.of_job(run.jobs[change.id])
                self.say(line(change, count, done() if change.status == SUCCESS else ""))
            elif len(jobs := run.phases()[change.name]) > 1:
                count = counter.of_phase(change.name, jobs) if change.status == SUCCESS else Count()
                self.say(line(change, count, ""))

    def why(self, message: str, log: str) -> None:
        """Show why a job has failed: what Snakemake knows (it may know nothing), and the end of its log."""
        lines = [message] if message else []
        if self.logs and log:
            try:
                text = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                text = ["the log is not there"]
            lines += [f"... {len(text) - _LOG_LINES} lines before"] if len(text) > _LOG_LINES else []
            lines += text[-_LOG_LINES:]
        if lines:
            self.say("\n".join(f"    {line}" for line in lines))

    def refresh(self, run: Run, counter: Counter, now: float) -> None:
        """Show how far the run is."""
        for text in [*table(run, counter, now), summary(run, counter, now)]:
            self.say(text)

    def end(self, run: Run, counter: Counter, now: float) -> None:
        """Show how the run ended."""
        self.say(f"{run.results}: {run.state}, {summary(run, counter, now)}")


class Terminal(Lines):
    """The table, below all that was said before.

    Parameters
    ----------
    colour : whether it may have colours
    """

    every_s = 1.0
    at_once = True

    def __init__(self, handler: logging.Handler, stream: TextIO, *, logs: bool = True, colour: bool = False):
        super().__init__(handler, stream, logs=logs)
        self.colour, self._drawn = colour, []

    def message(self, record: logging.LogRecord) -> None:
        """Show a message of Snakemake's above the table."""
        drawn = self._cleared()
        super().message(record)
        self._draw(drawn)

    def say(self, text: str) -> None:
        """Show a line above the table."""
        drawn = self._cleared()
        super().say(text)
        self._draw(drawn)

    def changed(self, changes: list[Change], run: Run, counter: Counter, done: Callable[[], str]) -> None:
        """Show the jobs that have failed; the table shows the rest."""
        for change in changes:
            if change.what == "job" and change.status in (FAILED, ABORTED):
                text = line(change, Count(), "")
                self.say(f"\x1b[31m{text}\x1b[0m" if self.colour else text)

    def refresh(self, run: Run, counter: Counter, now: float) -> None:
        """Draw the table."""
        columns, rows = shutil.get_terminal_size()
        lines = table(run, counter, now, colour=self.colour, width=max(columns - 1, 20))
        lines += [] if run.ended else [summary(run, counter, now)]
        self._cleared()
        self._draw(lines[-max(rows - 1, 1) :])

    def end(self, run: Run, counter: Counter, now: float) -> None:
        """Draw the table for the last time, and leave it."""
        self.refresh(run, counter, now)
        self._drawn = []
        super().end(run, counter, now)

    def _cleared(self) -> list[str]:
        drawn, self._drawn = self._drawn, []
        if drawn:
            self.stream.write(f"\x1b[{len(drawn)}A\x1b[J")
        return drawn

    def _draw(self, lines: list[str]) -> None:
        self._drawn = lines
        self.stream.write("".join(f"{text}\n" for text in lines))
        self.stream.flush()


def screen_of(
    handler: logging.StreamHandler, *, nocolor: bool = False, lines: bool = False, logs: bool = True
) -> Lines:
    """Return where progress is shown, on the stream of Snakemake's handler: a terminal, unless lines are wanted."""
    stream = handler.stream
    if lines or os.environ.get("TERM", "dumb") == "dumb" or not (hasattr(stream, "isatty") and stream.isatty()):
        return Lines(handler, stream, logs=logs)
    return Terminal(handler, stream, logs=logs, colour=not nocolor and "NO_COLOR" not in os.environ)
