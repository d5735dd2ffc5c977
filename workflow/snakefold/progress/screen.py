"""Where progress is shown: on a terminal a table that is drawn anew in its place, elsewhere a line per job.

A job that has failed is shown with the end of its log. Other warnings and errors pass as Snakemake words them; its log
file has everything, as ever.
"""

import contextlib
import logging
import os
import re
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TextIO

from snakefold.progress.counts import Count, Counter
from snakefold.progress.jobs import ABORTED, FAILED, OPEN, SUCCESS, Change, Run
from snakefold.progress.table import WIDTH, line, summary, table

QUIET_S = 60.0  # after which a log says that the run goes on
_LOG_LINES = 30  # of a failed job
_COLOUR = re.compile(r"\x1b\[\d*m")


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


class Drawing:
    """Lines that are drawn anew in their place, below all that was said before.

    Parameters
    ----------
    stream : a terminal
    """

    def __init__(self, stream: TextIO):
        self.stream, self.lines = stream, []

    def size(self) -> tuple[int, int]:
        """Return the terminal's columns and rows."""
        with contextlib.suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self.stream.fileno())
            if columns and rows:
                return columns, rows
        return WIDTH, 24

    def clear(self) -> list[str]:
        """Take the lines away, and return them."""
        lines, self.lines = self.lines, []
        if lines:
            self.stream.write(f"\x1b[{self._rows(lines)}A\x1b[J")
        return lines

    def draw(self, lines: list[str]) -> None:
        """Draw lines in place of those before; of more than the terminal has rows for, the last."""
        self.clear()
        while lines and self._rows(lines) >= self.size()[1]:
            lines = lines[1:]
        self.lines = lines
        self.stream.write("".join(f"{text}\n" for text in lines))
        self.stream.flush()

    def _rows(self, lines: list[str]) -> int:
        """Return how many rows lines take: a long one, as with the name of a log, goes over several."""
        columns = self.size()[0]
        return sum(max(ceil(len(_COLOUR.sub("", text)) / columns), 1) for text in lines)


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
        self.colour, self._drawing = colour, Drawing(stream)

    def message(self, record: logging.LogRecord) -> None:
        """Show a message of Snakemake's above the table."""
        drawn = self._drawing.clear()
        super().message(record)
        self._drawing.draw(drawn)

    def say(self, text: str) -> None:
        """Show a line above the table."""
        drawn = self._drawing.clear()
        super().say(text)
        self._drawing.draw(drawn)

    def changed(self, changes: list[Change], run: Run, counter: Counter, done: Callable[[], str]) -> None:
        """Show the jobs that have failed; the table shows the rest."""
        for change in changes:
            if change.what == "job" and change.status in (FAILED, ABORTED):
                text = line(change, Count(), "")
                self.say(f"\x1b[31m{text}\x1b[0m" if self.colour else text)

    def refresh(self, run: Run, counter: Counter, now: float) -> None:
        """Draw the table."""
        width = max(self._drawing.size()[0] - 1, 20)
        lines = table(run, counter, now, colour=self.colour, width=width)
        self._drawing.draw(lines if run.ended else [*lines, summary(run, counter, now)])

    def end(self, run: Run, counter: Counter, now: float) -> None:
        """Draw the table for the last time, and leave it."""
        self.refresh(run, counter, now)
        self._drawing.lines = []
        super().end(run, counter, now)


def screen_of(
    handler: logging.StreamHandler, *, nocolor: bool = False, lines: bool = False, logs: bool = True
) -> Lines:
    """Return where progress is shown, on the stream of Snakemake's handler: a terminal, unless lines are wanted."""
    stream = handler.stream
    if lines or os.environ.get("TERM", "dumb") == "dumb" or not (hasattr(stream, "isatty") and stream.isatty()):
        return Lines(handler, stream, logs=logs)
    return Terminal(handler, stream, logs=logs, colour=not nocolor and "NO_COLOR" not in os.environ)
