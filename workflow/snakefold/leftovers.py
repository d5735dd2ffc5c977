"""The jobs that a killed run has left, in SLURM's queue or on this host: cancelled before others follow.

Snakemake submits the jobs of a run under one name, its run id, which stands in its log; jobs on the run's own host are
known by a variable that they inherit, which names the run. A run is noted in the results folder when it starts, and
crossed out when it ends in order; so what is noted there and whose process lives no more was killed. Without that, a
rerun would make the same tiles again beside jobs that still wait or run.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from snakefold import hdf5
from snakefold.errors import UserError

FROZEN = "SNAKEFOLD_PLAN"  # "<host>/<pid of the run's main process>:<file of the frozen plan>", in every job
_RUN_ID = re.compile(r"^SLURM run ID: (\S+)$", re.MULTILINE)
_FOLDER = ".plan/runs"
_ANSWER_S = 60.0  # that SLURM has to answer in
MOST_S = 120.0  # cancelled jobs have SLURM's KillWait, 30 s as a rule, to end


@dataclass(frozen=True)
class Run:
    """A run of the workflow.

    Attributes
    ----------
    name : of its SLURM jobs; empty if it submits none
    host, pid, started : of its main process; started in clock ticks after the host's start
    """

    name: str
    host: str
    pid: int
    started: int

    @property
    def lives(self) -> bool | None:
        """Whether its main process still runs; None if it is another host's."""
        if self.host != os.uname().nodename:
            return None
        return _started(self.pid) == self.started

    @property
    def file(self) -> str:
        """Name of the file in which it is noted."""
        return f"{self.name or f'{self.host}.{self.pid}'}.json"


def this_process() -> str:
    """Return how `FROZEN` names this process."""
    return f"{os.uname().nodename}/{os.getpid()}"


def note(results: str | Path, logs: Iterable[str | Path]) -> None:
    """Note the run of this process; the id of its SLURM jobs is taken from Snakemake's log files."""
    found = _RUN_ID.search("\n".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs))
    run = Run(found[1] if found else "", os.uname().nodename, os.getpid(), _started(os.getpid()) or 0)
    hdf5.write_text(Path(results, _FOLDER, run.file), json.dumps(asdict(run)))


def cross_out(results: str | Path) -> None:
    """Cross out the run of this process: it ends, and its jobs have ended."""
    for run in noted(results):
        if (run.host, run.pid) == (os.uname().nodename, os.getpid()):
            _cross_out(results, run)


def names(results: str | Path) -> list[str]:
    """Return the names of all runs of a circuit that submitted SLURM jobs, those that have ended included."""
    return sorted(run.name for run in _read(Path(results, _FOLDER).rglob("*.json")) if run.name)


def noted(results: str | Path) -> list[Run]:
    """Return the runs that have not ended in order."""
    return _read(Path(results, _FOLDER).glob("*.json"))


def _read(paths: Iterable[Path]) -> list[Run]:
    runs = []
    for path in sorted(paths):
        with contextlib.suppress(OSError, ValueError, TypeError):
            runs.append(Run(**json.loads(path.read_text(encoding="utf-8"))))
    return runs


def cancel(results: str | Path, *, elsewhere: bool = False) -> tuple[int, list[Run]]:
    """Cancel the jobs of runs that were killed, wait until they have gone, and return how many they were.

    Parameters
    ----------
    elsewhere : also of runs started on other hosts, of which it is not known whether they live

    Returns
    -------
    number of jobs, and the runs with SLURM jobs that were left alone: those of other hosts, or all where SLURM is not

    Raises
    ------
    UserError : SLURM does not answer
    """
    n, left = 0, []
    for run in noted(results):
        if run.lives:
            continue
        if run.name and shutil.which("squeue") is None:
            left.append(run)
            continue
        jobs = _jobs(run)
        if jobs and run.lives is None and not elsewhere:
            left.append(run)
            continue
        if jobs:
            _slurm("scancel", f"--name={run.name}", "--me")
            if not _gone(lambda run=run: _jobs(run), MOST_S):
                raise UserError(f"jobs called {run.name} were cancelled and still run; see squeue --name={run.name}")
        n += len(jobs) + _end_processes(results, run)
        _cross_out(results, run)
    return n, left


def left_by(results: str | Path, run: Run) -> int:
    """Return how many jobs of a run wait or run, in SLURM or on this host, whether or not the run itself lives.

    Raises
    ------
    UserError : SLURM does not answer
    """
    processes = _processes(results, run)
    submitted = _jobs(run) if shutil.which("squeue") else []
    return len(submitted) + sum(parent not in processes for parent in processes.values())


def _end_processes(results: str | Path, run: Run) -> int:
    """End the jobs of a run on this host, which commit what they have before, and return how many they were."""
    before = _processes(results, run)
    for number, most_s in ((signal.SIGTERM, 30.0), (signal.SIGKILL, 10.0)):
        for pid in _processes(results, run):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _gone(lambda: _processes(results, run), most_s):
            break
    return sum(parent not in before for parent in before.values())


def _processes(results: str | Path, run: Run) -> dict[int, int]:
    """Return the processes of a run's jobs on this host, each with its parent."""
    mark = f"{FROZEN}={run.host}/{run.pid}:{Path(results).resolve()}{os.sep}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*") if run.host == os.uname().nodename else ():
        with contextlib.suppress(OSError, ValueError, IndexError):  # another user's, or it has just ended
            if b"\0" + mark in b"\0" + (folder / "environ").read_bytes():
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    found[int(folder.name)] = int(parent)
    return found


def _gone(there: Callable[[], object], most_s: float) -> bool:
    end = time.monotonic() + most_s
    while there():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _jobs(run: Run) -> list[str]:
    """Return the SLURM jobs of a run that wait, run, or are about to end."""
    if not run.name:
        return []
    states = "pending,running,suspended,completing,configuring,requeued"
    return _slurm(
        "squeue", "--me", "--noheader", "--array", f"--name={run.name}", f"--states={states}", "-o", "%A"
    ).split()


def waiting(run: Run) -> dict[str, str]:
    """Return the SLURM jobs of a run that wait in the queue: why each does, in SLURM's words.

    Raises
    ------
    UserError : SLURM does not answer
    """
    if not run.name or shutil.which("squeue") is None:
        return {}
    words = ("squeue", "--me", "--noheader", "--array", f"--name={run.name}", "--states=pending", "-o", "%A %r")
    return dict(line.split(maxsplit=1) for line in _slurm(*words).splitlines())


def _slurm(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_ANSWER_S)
    except subprocess.TimeoutExpired:
        raise UserError(f"{words[0]}: no answer in {_ANSWER_S:g} s") from None
    if done.returncode:
        raise UserError(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout


def _cross_out(results: str | Path, run: Run) -> None:
    path, ended = Path(results, _FOLDER, run.file), Path(results, _FOLDER, "ended")
    with contextlib.suppress(FileNotFoundError):
        if run.name:  # what its jobs have cost is asked for by it
            ended.mkdir(exist_ok=True)
            path.rename(ended / run.file)
        else:
            path.unlink()


def _started(pid: int) -> int | None:
    """Return when a process of this host started, in clock ticks; None if there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return None
