"""From a wheel alone, in an empty home: what `snakefold init` prints, and the README that it writes, done word by word."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import browser
from flow import ROOT, Workflow, clone
from pages import run_by

CARRIED = ("Snakefile", "workflow", "scripts", "config", "envs", "profiles")
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
NAME = "my circuit"  # a space is the commonest surprise in a path
TOLD = """\
my circuit: a project with circuits/two_layers.yaml
Its README.md says what each file is. To run it (about a minute):

  cd 'my circuit'
  snakemake -c all

Then open results/two_layers/report.html in a browser.
"""


def done(*command: str, cwd: Path | None = None) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the repository, in which to build."""
    return clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def python(copied, tmp_path_factory):
    """The interpreter of an environment with the wheel of the source distribution, and what the wheel depends on."""
    there = tmp_path_factory.mktemp("installed") / "a folder"
    there.mkdir()
    done(sys.executable, "-c", BUILD_SDIST, str(there), cwd=copied)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    (sdist,) = there.glob("*.tar.gz")
    done(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(there), str(sdist))
    (there / "python3.11").symlink_to(sys.executable)
    lines = [step.command for step in run_by(__file__, "INSTALL.md")]
    done("bash", "-c", "\n".join(('set -e; PATH="$PWD:$PATH"; export PIP_NO_DEPS=1', *lines)), cwd=there)
    environment = there / "snakefold"
    python = environment / "bin/python"
    # The dependencies are this environment's. Of a .pth file there nothing is read, so not what is editable.
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")))
    snakemake = environment / "bin/snakemake"
    snakemake.write_text(f'#!/bin/sh\nexec "{python}" -m snakemake "$@"\n')
    snakemake.chmod(0o755)
    return python


class Shell:
    """A shell of somebody who has nothing but the environment, and a home with nothing in it."""

    def __init__(self, python: Path, folder: Path):
        (folder / "home").mkdir(parents=True)
        self.folder = folder / "work"
        self.folder.mkdir()
        self.environment = {"HOME": str(folder / "home"), "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin"}

    def run(self, line: str, code: int = 0, **environment: str) -> str:
        """Run a line, and return what it printed."""
        command = ["bash", "-c", line]
        ran = subprocess.run(
            command, cwd=self.folder, env=self.environment | environment, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def shell(python, tmp_path_factory):
    """A shell in whose folder a project was made, and run as was said when it was made."""
    shell = Shell(python, tmp_path_factory.mktemp("somewhere"))
    told = shell.run(f"snakefold init {shlex.quote(NAME)}")
    assert told == TOLD
    shell.run(" && ".join(typed(told)))
    shell.folder /= NAME
    return shell


def typed(told: str) -> list[str]:
    """Return the commands in what `snakefold init` prints."""
    return re.findall(r"^  (.+)$", told.partition("To run it")[2].partition("Then open")[0], re.MULTILINE)


def test_a_wheel_carries_all_of_the_workflow_and_nothing_else(copied, python):
    (bundle,) = python.parents[1].glob("lib/*/site-packages/snakefold/bundle")
    tops = [copied / name for name in CARRIED]
    wanted = {p for top in tops for p in (top.rglob("*") if top.is_dir() else [top]) if p.is_file()}
    packages = [init.parent for init in (copied / "workflow").glob("*/__init__.py")]
    wanted = {p.relative_to(copied) for p in wanted if not any(p.is_relative_to(package) for package in packages)}
    wanted = {p for p in wanted if not any(part.endswith(".egg-info") for part in p.parts)}
    found = {p.relative_to(bundle) for p in bundle.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert found == wanted
    for name in wanted:
        assert (bundle / name).read_bytes() == (copied / name).read_bytes()
        assert os.access(bundle / name, os.X_OK) == os.access(copied / name, os.X_OK), name


def test_the_report_opens_where_it_was_said_to_be_without_a_network_or_an_error(shell, tmp_path):
    report = shell.folder / re.search("Then open (.+) in a browser", TOLD)[1]
    with browser(tmp_path) as page:
        page.open(report)
        page.painted()
        assert page.run("document.querySelectorAll('canvas, table, svg, img').length") > 5
        assert page.errors == []
        assert {address.partition(":")[0] for address in page.asked} <= {"file", "data"}


def test_the_commands_of_its_readme_do_as_it_says(shell):
    readme = (shell.folder / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    check, run, cluster_plan, cluster_run = [line.partition("#")[0].strip() for b in blocks for line in b.splitlines()]
    assert ": fine\n" in shell.run(check)
    assert "Nothing to be done" in shell.run(run), "it was run before"
    assert (cluster_plan, cluster_run) == ("snakemake -n --profile slurm", "snakemake --profile slurm")
    assert "Using profiles slurm and workflow specific profile profiles/default" in shell.run(cluster_plan)
    for command in re.findall(r"`(snakefold (?:verify|schema).*?)`", readme):
        shell.run(command)
    assert (shell.folder / "keys.md").stat().st_size > 10_000 and (shell.folder / "schema.json").is_file()
    circuit = re.search(r"`(circuits/.+?)`", readme)[1]
    text = (shell.folder / circuit).read_text()
    (shell.folder / circuit).write_text(text.replace("affinity: 0.1", "affinity: 0.2"))
    planned = set(re.findall(r"^(connect_\S+) ", shell.run("snakemake -n"), re.MULTILINE))
    (shell.folder / circuit).write_text(text)
    assert planned == {"connect_inter_to_top"}


def test_the_circuit_is_that_of_a_clone(shell, tmp_path):
    here = Workflow(tmp_path, circuit="two_layers.yaml", target="simulate_basal_activity")
    here.write((ROOT / "config/circuits/two_layers.yaml").read_text())
    circuit = here.built().circuit_files()
    assert len(circuit) == 6
    there = Workflow(shell.folder, circuit="circuits/two_layers.yaml")
    assert there.circuit_files() == circuit
    spikes = "simulations/basal_activity/spikes.h5"
    assert (there.results / spikes).read_bytes() == (here.results / spikes).read_bytes()


def test_the_other_templates_are_in_the_wheel_too(python, tmp_path):
    shell = Shell(python, tmp_path)
    *go, run = typed(shell.run("snakefold init cortex --template microcircuit"))
    assert go == ["cd cortex"] and run == "snakemake -c all"
    planned = shell.run(f"cd cortex && {run} -n")
    assert re.search(r"^connect_cortex +1$", planned, re.MULTILINE)
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    told = shell.run("snakefold init cerebellum --template cerebellum", **offline)
    go, fetch, run = typed(told)
    assert (go, run) == ("cd cerebellum", "snakemake -c all") and fetch.startswith("python -m pip install ")
    # Without the package: one mistake for each of its files, and none for what would have been in them.
    missing = shell.run(f"{go} && {run}", code=1)
    assert re.findall(r"^circuits/cerebellar_models/\S+: cannot be read: No such file", missing, re.MULTILINE)
    assert "no key" not in missing and "nothing was run" in missing


@contextlib.contextmanager
def updated(file: Path, old: str, new: str) -> Iterator[None]:
    """With another text in a file of the installed library, as after an update."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def test_an_update_reruns_what_it_computes_otherwise_and_nothing_else(python, shell):
    (package,) = python.parents[1].glob("lib/*/site-packages/snakefold")
    with updated(package / "__init__.py", '__version__ = "', '__version__ = "9.'):
        assert shell.run("snakefold --version").startswith("snakefold, version 9.")
        assert "Nothing to be done" in shell.run("snakemake -n")
    with updated(
        package / "connectivity/fixed_degree.py",
        "algorithm_version: ClassVar[int] = ",
        "algorithm_version: ClassVar[int] = 9",
    ):
        planned = shell.run("snakemake -n")
    assert set(re.findall(r"^((?:place|connect)_\S+) ", planned, re.MULTILINE)) == {"connect_base_to_top"}


def test_a_circuit_anywhere_is_run_without_a_project(python, tmp_path):
    shell = Shell(python, tmp_path)
    shutil.copy(ROOT / "config/circuits/two_layers.yaml", shell.folder / "mine.yaml")
    planned = shell.run("snakefold run mine.yaml -n")
    assert "results/mine/report.html" in planned and "profiles/default" in planned


def test_a_workflow_with_another_library_is_an_error_when_it_is_loaded(shell):
    # The wheel's workflow with the library of a clone; a project includes the workflow of the library that it finds.
    carried = shell.run("python -c 'from snakefold.installation import SNAKEFILE; print(SNAKEFILE)'").strip()
    other = {"PYTHONPATH": str(ROOT / "workflow")}
    told = shell.run(f"snakemake -n -s {shlex.quote(carried)}", code=1, **other)
    assert "the library should be the one that belongs to the workflow" in told and "Traceback" not in told
    assert "Nothing to be done" in shell.run("snakemake -n", **other)
    # The clone's workflow where the wheel's library has been imported already.
    loaded = f"import sys, snakefold; sys.argv[1:] = ['-n', '-s', '{ROOT}/Snakefile']; import snakemake.cli; snakemake.cli.main()"
    assert "the library should be the one that belongs to the workflow" in shell.run(f'python -c "{loaded}"', code=1)
