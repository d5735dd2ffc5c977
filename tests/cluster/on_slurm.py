"""The workflow as SLURM jobs, or as MPI ranks: what the tests of the cluster have in common."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import slurm

from flow import WATCHED, Ran, Workflow, watched

HANG_S = 900
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
SRUN_RANKS = ("--default-resources", "ranks=2", "launcher='srun --kill-on-bad-exit=1 --mpi=pmix'")
MPIRUN = "launcher='mpirun --oversubscribe --bind-to none'"


def n_submitted(folder: Path) -> int:
    """Return how many jobs were submitted to SLURM, by Snakemake's own log of a run in a folder."""
    (log,) = (folder / ".snakemake/log").glob("*.log")
    return log.read_text(encoding="utf-8").count("has been submitted with SLURM jobid")


class OnSlurm(Workflow):
    """A workflow whose jobs are SLURM jobs, as with `--profile slurm`; SLURM is asked for their state more often."""

    hang_s = HANG_S

    def command(self, *arguments: str, jobs: int) -> list[str]:
        quick = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "20")
        return super().command("--profile", str(self.root / "profiles/slurm"), *quick, *arguments, jobs=jobs)

    def start(self, *arguments: str, jobs: int = 50) -> subprocess.Popen:
        return super().start(*arguments, jobs=jobs)

    def run(self, *arguments: str, jobs: int = 50) -> Ran:
        return super().run(*arguments, jobs=jobs)

    def jobs(self, states: str = "pending,running") -> list[tuple[str, str, str]]:
        """Return (id, state, rule and wildcards) of this workflow's SLURM jobs."""
        words = ("squeue", "-h", f"--states={states}", "-o", "%A|%T|%k|%Z")
        lines = [line.split("|") for line in slurm.command(*words).splitlines()]
        return [(n, state, rule) for n, state, rule, folder in lines if Path(folder) == self.folder.resolve()]


def of_watched(folder: Path, kind: type = OnSlurm, tiles: int = 2, **changed: object) -> Workflow:
    """Return a workflow of `flow.watched` without its simulation, whose strategy notes each chunk in notes.txt."""
    made = kind(folder, tiles=tiles)
    made.write(watched(**changed) | {"simulations": {}})
    (made.folder / "own.py").write_text(WATCHED)
    made.env |= AS_ROOT | {"WATCH": str(made.folder / "notes.txt"), "FAIL": str(made.folder / "fail")}
    return made


def notes(workflow: Workflow) -> list[str]:
    """Return what the strategy has noted, without the process ids."""
    path = workflow.folder / "notes.txt"
    return [line.split(maxsplit=1)[1] for line in path.read_text().splitlines()] if path.exists() else []


def until(ready: Callable[[], object], what: str, process: subprocess.Popen | None = None) -> object:
    """Wait until something is so, and return it; fail if that does not happen, or a process ends before."""
    end = time.monotonic() + HANG_S
    while not (found := ready()):
        assert time.monotonic() < end, f"waited for: {what}"
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended while waited for: {what}\n{process.communicate()[0]}")
        time.sleep(0.1)
    return found


def pids(pattern: str) -> list[int]:
    """Return the processes whose command line matches, but for this one."""
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split()
    return [int(p) for p in found if int(p) != os.getpid()]


def kill(pid: int) -> None:
    """Kill a process for good."""
    os.kill(pid, signal.SIGKILL)


def taken_from_journals(workflow: Workflow) -> int:
    """Return how many chunks the latest attempts of the connect jobs took from their journals, by their logs."""
    logs = [log.read_text() for log in sorted((workflow.results / "logs/connect").glob("*.log"))]
    return sum(int(n) for log in logs for n in re.findall(r"chunks, (\d+) of them from the journal", log))
