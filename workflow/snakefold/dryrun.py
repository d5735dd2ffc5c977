"""Snakemake's dry run as JSON, in a process of its own: which jobs would run, and why, exactly as a run would decide.

`python -m snakefold.dryrun FILE ARGUMENTS` does what `snakemake -n ARGUMENTS` does, and writes the jobs to FILE.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from snakefold.errors import UserError
from snakefold.installation import folder_of_library


@dataclass(frozen=True)
class Planned:
    """A job that would run.

    Attributes
    ----------
    rule, reason : Snakemake's
    log : its log file; empty where it has none
    outputs : the files that it would write
    """

    rule: str
    reason: str
    log: str
    outputs: list[str]


def planned(arguments: Sequence[str]) -> list[Planned]:
    """Return the jobs that `snakemake ARGUMENTS` would run; those that run nothing are left out.

    Raises
    ------
    UserError : Snakemake cannot make a plan; it says why
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "jobs.json")
        command = [sys.executable, "-m", "snakefold.dryrun", str(file), *arguments]
        path = os.pathsep.join(filter(None, (str(folder_of_library()), os.environ.get("PYTHONPATH"))))
        ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
        if ran.returncode or not file.is_file():
            said = "\n".join(line for line in (ran.stdout + ran.stderr).splitlines() if not line.startswith("Using "))
            raise UserError(f"makes no plan:\n{said.strip()[-2000:]}", where="snakemake -n")
        return [Planned(**job) for job in json.loads(file.read_text(encoding="utf-8"))]


class _Listening(logging.Filter):
    """Keeps the jobs that Snakemake tells of; a filter, since Snakemake replaces all handlers when it starts."""

    def __init__(self):
        super().__init__()
        self.jobs: list[Planned] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a job, and let the record pass."""
        if getattr(getattr(record, "event", None), "name", "") == "JOB_INFO" and record.shellcmd:
            log = next(iter(record.log or ()), "")
            self.jobs.append(Planned(record.rule_name, record.reason, str(log), [str(f) for f in record.output]))
        return True


def main(file: str, arguments: list[str]) -> int:
    """Run Snakemake and write the jobs; return its exit code."""
    from snakemake.cli import main as snakemake

    listening = _Listening()
    logging.getLogger("snakemake.logging").addFilter(listening)
    try:
        snakemake(["--dry-run", *arguments])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if not code:
        Path(file).write_text(json.dumps([asdict(job) for job in listening.jobs]), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
