"""Fixtures of the workflow tests: a folder to work in, and what a build from nothing gives."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from flow import Workflow

LONGEST = "test_reruns.py"  # half of the time of all tests: it starts first, so that the others run beside it


def pytest_collection_modifyitems(items):
    """Put the longest file first."""
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory):
    """Keep what Snakemake and the catalogue of NEST's answers keep away from the user's own."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def workflow(tmp_path):
    """A workflow in a new folder."""
    return Workflow(tmp_path / "here")


@pytest.fixture(scope="session")
def from_nothing(tmp_path_factory):
    """Return a function that returns the final files of a description (its text) built from nothing elsewhere."""
    made: dict[tuple[str, str], dict[str, str]] = {}

    def files(text: str, component: str = "", env: dict[str, str] | None = None) -> dict[str, str]:
        if (text, component) not in made:
            there = Workflow(tmp_path_factory.mktemp("from_nothing"), tiles=1)
            there.write(text)
            there.env = env or {}
            if component:
                (there.folder / "own.py").write_text(component, encoding="utf-8")
            made[text, component] = there.built().files()
        return made[text, component]

    return files
