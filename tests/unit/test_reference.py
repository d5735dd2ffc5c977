"""The generated reference is the one in the repository, and names every key."""

import difflib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snakefold.circuit import Circuit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page():
    """The page as it is now, from a process in which no test has registered components."""
    command = [sys.executable, "-m", "snakefold", "schema", "--markdown"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_page_is_up_to_date(page):
    kept = (ROOT / "config/README.md").read_text().splitlines()
    drift = "\n".join(difflib.unified_diff(kept, page.splitlines(), "config/README.md", "now", lineterm=""))
    assert drift == "", "run: snakefold schema --markdown > config/README.md"


def test_every_key_of_the_root_is_there(page):
    assert all(f"| `{key}` |" in page for key in list(Circuit.keys()))
    assert "`bsb.connectivity.FixedIndegree`" in page and "| `indegree` |" in page and "um^-3" in page
