"""The pages of docs/ and README.md as what a reader does: files to write and commands to run.

A block of ```console has commands, on lines that begin with `$ `, each followed by what it prints: `...` stands for
anything, and lines may be folded. A block of another language with a name, as ```yaml column.yaml, is a file. The
commands of a page run in its order, in a new folder, or where those of another page have run, which <!-- after PAGE -->
names. What ends with a count of mistakes, or in a run that failed, ends with exit code 1, anything else with 0. Above a
block that another test runs is <!-- run by its file -->; above one that cannot be run here, <!-- not run: and why -->.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from flow import ROOT

PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
HERE = "tests/workflow/test_documentation.py"
BLOCK = re.compile(
    r"(?:<!-- (?:run by (\S+)|(not run): [^\n]+) -->\n+)?^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
AFTER = re.compile(r"^<!-- after (\S+) -->$", re.MULTILINE)
FAILED = re.compile(r"^\d+ mistakes?\b|: failed, \d+ of \d+ jobs", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A file to write, or a command to run, what it prints, and the test that runs it, if any does."""

    command: str = ""
    shown: str = ""
    file: str = ""
    by: str = HERE


def steps_of(text: str) -> list[Step]:
    """Return the steps of a page's text, in its order."""
    steps = []
    for test, not_run, language, name, body in BLOCK.findall(text):
        if language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE):
                command, _, shown = part.partition("\n")
                if command:
                    by = "" if not_run else test or HERE
                    steps.append(Step(command.partition("  #")[0].strip(), shown, by=by))
        elif name:
            steps.append(Step(file=name, shown=body))
    return steps


STEPS = {name: steps_of(path.read_text(encoding="utf-8")) for name, path in PAGES.items()}


def run_by(test: str, page: str) -> list[Step]:
    """Return the steps of a page that another test runs, of which there are some, by the path of its file."""
    found = [step for step in STEPS[page] if step.command and step.by == str(Path(test).relative_to(ROOT))]
    assert found, f"{page} has no command that is run by {test}"
    return found


class Reader:
    """A person with a shell in a folder."""

    def __init__(self, folder: Path):
        self.folder = self.home = folder
        self.programs = programs = folder / ".bin"
        programs.mkdir()
        for name, does in {"snakefold": "-m snakefold", "snakemake": "-m snakemake", "python": ""}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {does} "$@"\n')
            (programs / name).chmod(0o755)
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKE", "PYTEST"))}
        active = str(Path(sys.executable).parent)  # as after `activate`; what it has not, is in programs
        path = os.pathsep.join((active, str(programs), mine["PATH"]))
        self.environment = mine | {"PATH": path, "PYTHONPATH": str(ROOT / "workflow"), "COLUMNS": "80"}

    def does(self, step: Step) -> str:
        """Do a step, and return what it printed."""
        if step.file:
            (self.folder / step.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / step.file).write_text(step.shown, encoding="utf-8")
            return ""
        if step.command.startswith("cd "):
            self.folder = (self.folder / step.command.removeprefix("cd ")).resolve()
            assert self.folder.is_dir() and self.folder.is_relative_to(self.home)
            return ""
        command = ["bash", "-c", step.command]
        ran = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        printed = ran.stdout + ran.stderr
        fails = bool(FAILED.search(step.shown))
        assert ran.returncode == fails, f"{step.command}\n{printed}"
        assert fails or "Traceback" not in printed
        assert_shown(step, printed)
        return printed


def assert_shown(step: Step, printed: str) -> None:
    """Assert that a command has printed what its page says."""
    shown = [re.escape(piece.strip()) for piece in " ".join(step.shown.split()).split("...")]
    found = re.search(".*?".join(shown), " ".join(printed.split()))
    assert found, f"$ {step.command}\n{printed}\nis not what the page has:\n{step.shown}"
