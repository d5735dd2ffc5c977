"""`snakefold status`: the progress of a run, from the files of its results folder, on any node that sees them."""

import contextlib
import os
import sys
import time
from collections import Counter as Counted

from snakefold import leftovers
from snakefold.errors import UserError
from snakefold.progress.counts import Counter
from snakefold.progress.jobs import QUEUED, RUNNING, Run
from snakefold.progress.record import HEARTBEAT_S, Recorded, ended, read
from snakefold.progress.screen import QUIET_S, Drawing
from snakefold.progress.table import WIDTH, duration, summary, table

SILENT_S = 6 * HEARTBEAT_S + 60  # NFS may show a file a minute late
EVERY_S, SLURM_S = 2.0, 10.0  # between two looks; where SLURM is asked


def status(results: str) -> list[str]:
    """Return lines that say what a run does, or how the last one ended, for the terminal or file that is printed to.

    Raises
    ------
    UserError : no run has begun there
    """
    return _lines(read(results))


def follow(results: str) -> None:
    """Print the status until the run ends; on a terminal in one place, else a table every minute."""
    drawing = Drawing(sys.stdout) if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" else None
    while True:
        began, recorded = time.monotonic(), read(results)
        goes_on = not ended(recorded.run) and _lives(recorded) is not False
        lines = _lines(recorded)
        if drawing and goes_on:
            drawing.draw(lines)
        else:
            if drawing:
                drawing.clear()
            print(*lines, sep="\n", flush=True)
        if not goes_on:
            return
        every_s = SLURM_S if recorded.noted.name else EVERY_S
        time.sleep(max(every_s, 10 * (time.monotonic() - began)) if drawing else QUIET_S)


def _lines(recorded: Recorded) -> list[str]:
    run, noted, now = recorded.run, recorded.noted, time.time()
    of, began = f"{run.results}: ", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.began))
    lives = _lives(recorded)
    if ended(run):
        when = time.strftime("%H:%M:%S", time.localtime(run.ended))
        said = [f"{of}{run.state} at {when}; begun {began}"]
    elif lives:
        said = [f"{of}running on {noted.host}, process {noted.pid}; begun {began}", *_why_queued(run, noted)]
    elif lives is None:
        ago = duration(now - recorded.heard)
        said = [f"{of}not heard of for {ago}; begun {began}", f"  on {noted.host}, process {noted.pid}: see there"]
    else:
        said = [f"{of}was killed after {duration(recorded.heard - run.began)}; begun {began}", *_left(run, noted)]
        run.end("aborted", recorded.heard)
    counter, terminal = Counter(run), sys.stdout.isatty()
    colour = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = max(Drawing(sys.stdout).size()[0] - 1, 20) if terminal else WIDTH
    return [*said, "", *table(run, counter, now, colour=colour, width=width), summary(run, counter, now)]


def _lives(recorded: Recorded) -> bool | None:
    """Return whether a run that has not ended lives; None if that cannot be known here."""
    lives = recorded.noted.lives
    if lives is None and time.time() - recorded.heard < SILENT_S:
        return True
    return lives


def _why_queued(run: Run, noted: leftovers.Run) -> list[str]:
    """Ask SLURM why jobs wait; those that it took back, as after the loss of a node, run no more."""
    submitted = {job.external: job for job in run.jobs.values() if job.status in (QUEUED, RUNNING) and job.external}
    if not submitted:
        return []
    try:
        why = {number: reason for number, reason in leftovers.waiting(noted).items() if number in submitted}
    except UserError as error:
        return [f"  {error}"]
    for number in why:
        run.change(submitted[number].id, QUEUED, time.time())
        submitted[number].external = number
    words = ", ".join(f"{reason} ({n})" for reason, n in Counted(why.values()).most_common())
    return [f"  in SLURM's queue for: {words}"] if words else []


def _left(run: Run, noted: leftovers.Run) -> list[str]:
    n = 0
    with contextlib.suppress(UserError):
        n = leftovers.left_by(run.results, noted)
    jobs = f"{n} job{'' if n == 1 else 's'} of it still wait{'s' if n == 1 else ''} or run{'s' if n == 1 else ''}"
    return [f"  {jobs}; the next run ends them first, or: snakefold cancel {run.results}"] if n else []
