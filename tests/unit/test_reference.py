"""The generated reference is the one in the repository, and names every key."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snakefold.circuit import Circuit

ROOT = Path(__file__).resolve().parents[2]


def printed(form):
    """The page as it is now, from a process in which no test has registered components."""
    command = [sys.executable, "-m", "snakefold", "schema", form]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def page():
    return printed("--markdown")


def assert_up_to_date(form, file, now):
    kept = (ROOT / file).read_text().splitlines()
    drift = "\n".join(difflib.unified_diff(kept, now.splitlines(), file, "now", lineterm=""))
    assert drift == "", f"run: snakefold schema {form} > {file}"


def test_the_page_is_up_to_date(page):
    assert_up_to_date("--markdown", "config/README.md", page)


def test_the_list_is_up_to_date_and_has_each_component_once(page):
    listed = printed("--list")
    assert_up_to_date("--list", "docs/LIST.md", listed)
    rows = re.findall(r"^\| \[`(\S+)`\]\(\.\./config/README\.md#(\S+)\)", listed, re.MULTILINE)
    components = re.findall(r"^## .+\(.*`.+\): (\S+)$", page, re.MULTILINE)
    assert [name for name, _ in rows] == components and len(rows) > 60
    assert "| `neuron` | Not yet supported. |" in listed


def test_every_key_of_the_root_is_there(page):
    assert all(f"| `{key}` |" in page for key in list(Circuit.keys()))
    assert "`bsb.connectivity.FixedIndegree`" in page and "| `indegree` |" in page and "um^-3" in page
