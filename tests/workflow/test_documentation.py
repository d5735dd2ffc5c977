"""The pages of docs/ and README.md: their commands are run, what they say of the output holds, and the site builds.

How a page says what is run is in `pages`. Commands that cannot be run here are parsed, as are those within lines.
"""

import importlib.util
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from flow import ROOT
from pages import AFTER, BLOCK, HERE, PAGES, STEPS, Reader
from snakefold import cli

WITHIN_A_LINE = re.compile(r"(?<!`)`((?:snakefold|snakemake|make|pip) [^`\n]+)`(?!`)")
OF_SLURM = ("invalid partition", "Invalid account")  # which Snakemake repeats
# Programs of others that pages tell to use where nothing of the sort can be run here.
OTHERS = {"apt", "cd", "conda", "git", "mpirun", "python", "python3.11", ".", "sudo"}


@pytest.fixture(scope="module")
def readers():
    """Those who have done what a page says, by its name."""
    return {}


def read(page: str, readers: dict[str, Reader], factory: pytest.TempPathFactory) -> Reader:
    """Do what a page says, and what the one says that it comes after; once in all tests."""
    if page not in readers:
        before = AFTER.search(PAGES[page].read_text(encoding="utf-8"))
        reader = read(before[1], readers, factory) if before else Reader(factory.mktemp("reader"))
        for step in STEPS[page]:
            if step.by == HERE:
                reader.does(step)
        readers[page] = reader
    return readers[page]


@pytest.mark.parametrize(
    "page", [name for name, steps in STEPS.items() if any(s.command and s.by == HERE for s in steps)]
)
def test_the_commands_of_a_page_run_in_their_order(page, readers, tmp_path_factory):
    read(page, readers, tmp_path_factory)


@pytest.mark.parametrize(
    ("heading", "packages"),
    [
        ("## Other messages of Snakefold", ("snakefold",)),
        ("## Messages of Snakemake and SLURM", ("snakemake", "snakemake_executor_plugin_slurm")),
    ],
)
def test_messages_that_are_not_provoked_are_in_the_code(heading, packages):
    text = PAGES["ERRORS.md"].read_text(encoding="utf-8").partition(heading)[2].partition("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    folders = [folder for name in packages for folder in importlib.util.find_spec(name).submodule_search_locations]
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    code = re.sub(r'"\s*f?"', "", code)  # pieces of one string
    assert len(messages) > 10
    assert [m for m in messages if m not in code and not m.startswith(OF_SLURM)] == []


def test_no_command_hides_in_another_block():
    hidden = re.compile(r"^(?:\$ )?(?:snakefold|snakemake|make|pip) ", re.MULTILINE)
    for name, path in PAGES.items():
        for *_, language, _, body in BLOCK.findall(path.read_text(encoding="utf-8")):
            assert language == "console" or not hidden.search(body), f"{name}: a command in a block that is not run"


def test_few_commands_are_not_run():
    not_run = [(name, s.command) for name, steps in STEPS.items() for s in steps if s.command and not s.by]
    for name, command in not_run:
        assert_understood(command, name)
    assert len(not_run) <= 12, not_run
    assert sum(bool(s.command and s.by) for steps in STEPS.values() for s in steps) > 60


def test_a_test_that_runs_commands_of_a_page_takes_them_from_it():
    by = {(name, s.by) for name, steps in STEPS.items() for s in steps if s.command and s.by not in ("", HERE)}
    assert len(by) >= 5
    for page, test in by:
        assert f'run_by(__file__, "{page}")' in (ROOT / test).read_text(encoding="utf-8"), f"{test}: {page}"


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
        assert not error.code, where


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
