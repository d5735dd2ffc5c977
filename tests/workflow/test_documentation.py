"""The pages of docs/ and README.md: their commands are run, what they say of the output holds, and the site builds.

A block of ```console has commands, on lines that begin with `$ `, each followed by what it prints: `...` stands for
anything, and lines may be folded. A block of another language with a name, as ```yaml column.yaml, is a file. The
commands of a page run in its order, in a new folder. What ends with a count of mistakes, or in a run that failed, ends
with exit code 1, anything else with 0. Above a block that cannot be run here is a comment that says why: <!-- not run: needs a cluster -->; its
commands are parsed, as are those within lines.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from flow import ROOT
from snakefold import cli

PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n+)?^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_A_LINE = re.compile(r"(?<!`)`((?:snakefold|snakemake|make|pip) [^`\n]+)`(?!`)")
FAILED = re.compile(r"^\d+ mistakes?\b|: failed, \d+ of \d+ jobs", re.MULTILINE)
# Programs of others that pages tell to use where nothing of the sort can be run here.
OTHERS = {"apt", "cd", "conda", "git", "mpirun", "python", "python3.11", ".", "sudo"}


@dataclass(frozen=True)
class Step:
    """A file to write, or a command to run, and what it prints."""

    command: str = ""
    shown: str = ""
    file: str = ""
    runs: bool = True


def steps_of(text: str) -> list[Step]:
    steps = []
    for why, language, name, body in BLOCK.findall(text):
        if language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE):
                command, _, shown = part.partition("\n")
                if command:
                    steps.append(Step(command.partition("  #")[0].strip(), shown, runs=not why))
        elif name:
            steps.append(Step(file=name, shown=body))
    return steps


STEPS = {name: steps_of(path.read_text(encoding="utf-8")) for name, path in PAGES.items()}


class Reader:
    """A person with a shell in a new folder."""

    def __init__(self, folder: Path):
        self.folder = self.home = folder
        programs = folder / ".bin"
        programs.mkdir()
        for name, does in {"snakefold": "-m snakefold", "snakemake": "-m snakemake", "python": ""}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {does} "$@"\n')
            (programs / name).chmod(0o755)
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKE", "PYTEST"))}
        path = f"{programs}{os.pathsep}{mine['PATH']}"
        self.environment = mine | {"PATH": path, "PYTHONPATH": str(ROOT / "workflow"), "COLUMNS": "80"}

    def does(self, step: Step) -> None:
        if step.file:
            (self.folder / step.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / step.file).write_text(step.shown, encoding="utf-8")
        elif step.command.startswith("cd "):
            self.folder = (self.folder / step.command.removeprefix("cd ")).resolve()
            assert self.folder.is_dir() and self.folder.is_relative_to(self.home)
        else:
            command = ["bash", "-c", step.command]
            ran = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
            printed = ran.stdout + ran.stderr
            fails = bool(FAILED.search(step.shown))
            assert ran.returncode == fails, f"{step.command}\n{printed}"
            assert fails or "Traceback" not in printed
            assert_shown(step, printed)


def assert_shown(step: Step, printed: str) -> None:
    """Assert that a command has printed what its page says."""
    shown = [re.escape(piece) for piece in " ".join(step.shown.split()).split("...")]
    found = re.search(".*?".join(shown), " ".join(printed.split()))
    assert found, f"$ {step.command}\n{printed}\nis not what the page has:\n{step.shown}"


@pytest.mark.parametrize("page", [name for name, steps in STEPS.items() if any(s.command and s.runs for s in steps)])
def test_the_commands_of_a_page_run_in_their_order(page, tmp_path):
    reader = Reader(tmp_path)
    for step in STEPS[page]:
        if step.runs:
            reader.does(step)


def test_messages_that_are_not_provoked_are_in_the_code():
    text = PAGES["ERRORS.md"].read_text().partition("## Other messages")[2]
    messages = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    code = "".join(path.read_text() for path in sorted((ROOT / "workflow/snakefold").rglob("*.py")))
    code = re.sub(r'"\s*f?"', "", code)  # pieces of one string
    assert len(messages) > 10
    assert [message for message in messages if message not in code] == []


def test_no_command_hides_in_another_block():
    hidden = re.compile(r"^(?:\$ )?(?:snakefold|snakemake|make|pip) ", re.MULTILINE)
    for name, path in PAGES.items():
        for _, language, _, body in BLOCK.findall(path.read_text(encoding="utf-8")):
            assert language == "console" or not hidden.search(body), f"{name}: a command in a block that is not run"


def test_few_commands_are_not_run():
    not_run = [(name, s.command) for name, steps in STEPS.items() for s in steps if s.command and not s.runs]
    for name, command in not_run:
        assert_understood(command, name)
    assert len(not_run) <= 30, not_run
    assert sum(bool(s.command and s.runs) for steps in STEPS.values() for s in steps) > 45


def test_commands_within_lines_are_understood():
    found = [(command, name) for name, path in PAGES.items() for command in WITHIN_A_LINE.findall(path.read_text())]
    assert len(found) > 20
    for command, name in found:
        assert_understood(re.sub(r"<[^<>]*>", "x", command), name)


def assert_understood(command: str, page: str) -> None:
    """Assert that there are the program, its subcommand, and the options of a command."""
    for part in command.split(" && "):
        program, *arguments = shlex.split(part)
        where = f"{page}: {part}"
        if program == "snakefold":
            assert_options_of_snakefold(arguments, where)
        elif program == "snakemake":
            assert_options_of_snakemake(arguments, where)
        elif program == "make":
            targets = [word for word in arguments if "=" not in word]
            makefile = (ROOT / "Makefile").read_text()
            assert all(re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE) for target in targets), where
        elif program == "pip":
            extras = {extra for words in re.findall(r"snakefold\[(.+?)\]", part) for extra in words.split(",")}
            declared = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
            assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras), where
        else:
            assert program in OTHERS, where


def assert_options_of_snakefold(arguments: list[str], where: str) -> None:
    if arguments[0] in ("--version", "--help"):
        return
    if arguments[0] == "--debug":
        arguments = arguments[1:]
    command = cli.main.commands.get(arguments[0])
    assert command is not None, where
    if arguments[0] == "run":  # hands all but the circuit on
        return assert_options_of_snakemake(arguments[2:], where)
    try:
        command.make_parser(click.Context(command)).parse_args(arguments[1:])
    except click.UsageError as error:
        raise AssertionError(f"{where}: {error.format_message()}") from error


def assert_options_of_snakemake(arguments: list[str], where: str) -> None:
    from snakemake.cli import get_argument_parser

    try:
        get_argument_parser().parse_args(arguments)
    except SystemExit as error:
        raise AssertionError(where) from error


class Fetched(HTMLParser):
    """What a browser would fetch to show a page."""

    def __init__(self):
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        key = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}.get(tag)
        self.addresses += [value for name, value in attrs if name == key and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, as `make docs` builds it."""
    there = tmp_path_factory.mktemp("site")
    (line,) = re.findall(r"^\t\$\(BIN\)/python -m (sphinx .+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = line.replace("build/", f"{there}/").split()
    ran = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0 and not ran.stderr, ran.stdout + ran.stderr
    return there / "docs"


def test_the_site_has_every_page_and_fetches_nothing(site):
    for name in PAGES:
        page = "index.html" if name == "README.md" else f"{name.removesuffix('.md')}.html"
        fetched = Fetched()
        fetched.feed((site / page).read_text(encoding="utf-8"))
        assert fetched.addresses, page
        for address in fetched.addresses:
            assert "//" not in address, f"{page}: {address}"
            assert (site / address.partition("?")[0].partition("#")[0]).exists(), f"{page}: {address}"
    styles = "".join(path.read_text(encoding="utf-8") for path in site.glob("_static/**/*.css"))
    assert "url(http" not in styles and "@import" not in styles


def test_every_page_is_linked_from_the_first(site):
    first = (site / "index.html").read_text(encoding="utf-8")
    for name in set(PAGES) - {"README.md", "index.md"}:
        assert f'href="{name.removesuffix(".md")}.html"' in first, name
