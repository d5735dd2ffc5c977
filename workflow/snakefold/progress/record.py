"""The record of the latest run: a file in the results folder that says what its jobs are and have been doing.

Its first line is the run with its jobs, each further line a change; one process writes it, line by line, and touches it
every few seconds while it lives, so that others know on any node that shares the file system.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO

from snakefold import hdf5
from snakefold.cost import rule_of
from snakefold.errors import UserError
from snakefold.leftovers import Run as Noted
from snakefold.progress.jobs import ABORTED, FAILED, OPEN, Job, Run

FILE = ".plan/run.jsonl"
VERSION = 1
HEARTBEAT_S = 10.0
# Not in the first line: they follow from the others.
_AS_IS = {"status", "since", "asked", "began", "seconds", "external"}


class Record:
    """The record of a run, being written.

    Parameters
    ----------
    run : that begins
    noted : its main process
    """

    def __init__(self, run: Run, noted: Noted):
        jobs = [{k: v for k, v in asdict(job).items() if k not in _AS_IS} for job in run.jobs.values()]
        head = {"version": VERSION, "began": run.began, "process": asdict(noted), "expected": run.expected}
        self.path = Path(run.results, FILE)
        hdf5.write_text(self.path, json.dumps(head | {"jobs": jobs}, separators=(",", ":")) + "\n")
        self._file: TextIO = self.path.open("a", encoding="utf-8")

    def job(self, number: int, status: str, at: float) -> None:
        """Note a change of a job."""
        self._write([number, status, round(at, 3)])

    def submitted(self, job: Job, at: float) -> None:
        """Note a job's number at the scheduler."""
        self._write([job.id, job.status, round(at, 3), job.external])

    def end(self, status: str, at: float, cpu_s: float) -> None:
        """Note the end of the run, and what it has cost to watch it."""
        self._write(["run", status, round(at, 3), round(cpu_s, 3)])
        self._file.close()

    def _write(self, row: list) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def beat(self) -> None:
        """Say that the run lives."""
        with contextlib.suppress(OSError):
            os.utime(self.path)


@dataclass(frozen=True)
class Recorded:
    """A record that was read: the run, its main process, and when it was last heard of (seconds since the epoch)."""

    run: Run
    noted: Noted
    heard: float


def read(results: str | Path) -> Recorded:
    """Read the record of the latest run of a circuit.

    Raises
    ------
    UserError : there is none, or it cannot be read
    """
    path = Path(results, FILE)
    try:
        lines, heard = path.read_text(encoding="utf-8").splitlines(), path.stat().st_mtime
        head = json.loads(lines[0])
        if head["version"] > VERSION:
            raise UserError("was written by a newer Snakefold; update Snakefold", where=str(path))
        known = {field.name for field in fields(Job)}
        jobs = [Job(**{k: v for k, v in job.items() if k in known}) for job in head["jobs"]]
        run = Run(str(results), {job.id: job for job in jobs}, head["expected"], head["began"])
        noted = Noted(**head["process"])
    except FileNotFoundError:
        what = "is not there: no run has begun, or this is not the folder of a circuit's results"
        raise UserError(what, where=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"cannot be read ({error!r}); the next run writes it anew", where=str(path)) from None
    for line in lines[1:]:
        with contextlib.suppress(ValueError, TypeError):  # the last line may be torn
            number, status, at, *more = json.loads(line)
            if number == "run":
                run.state, run.ended = status, at
                continue
            run.change(number, status, at)
            if more and number in run.jobs:
                run.jobs[number].external = more[0]
    return Recorded(run, noted, heard)


def failures(results: str | Path) -> dict[str, int]:
    """Return rule -> how many attempts at its jobs have failed in the latest run; nothing where there is no record."""
    found: dict[str, int] = {}
    with contextlib.suppress(UserError, OSError):
        jobs = read(results).run.jobs
        for line in Path(results, FILE).read_text(encoding="utf-8").splitlines()[1:]:
            with contextlib.suppress(ValueError, TypeError):
                number, status, *_ = json.loads(line)
                if status in (FAILED, ABORTED) and number in jobs:
                    rule = rule_of(jobs[number].log.removeprefix("logs/") or jobs[number].rule)
                    found[rule] = found.get(rule, 0) + 1
    return found


def ended(run: Run) -> bool:
    """Return whether a run has ended in order."""
    return run.state not in OPEN
