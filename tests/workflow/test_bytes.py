"""Equal bytes: nodes and edges do not depend on tiles, jobs at once, the clone, the processor or the order of keys."""

import subprocess
import sys

import pytest
import yaml

from flow import WATCHED, Workflow, clone, description, watched

FEATURES = """
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
print(" ".join(feature for feature in __cpu_dispatch__ if __cpu_features__[feature]))
"""


def mixed() -> dict:
    """Return all strategies of the base circuit, and one with a prepare step, without simulations."""
    circuit = description(simulations={}, components=["own.py"])
    circuit["connectivity"] |= watched()["connectivity"]
    return circuit


def backwards(tree: object) -> object:
    """Return the same description with the keys of every mapping in the opposite order."""
    if isinstance(tree, dict):
        return {key: backwards(value) for key, value in reversed(tree.items())}
    return [backwards(value) for value in tree] if isinstance(tree, list) else tree


def built(workflow: Workflow, circuit: dict, jobs: int = 1) -> dict[str, str]:
    """Build the circuit, and return the SHA-256 of its nodes and edges."""
    workflow.target = "circuit"
    workflow.write(circuit)
    (workflow.description.parent / "own.py").write_text(WATCHED)
    return workflow.built(jobs=jobs).circuit_files()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The bytes with one tile, one job at once, in this clone."""
    files = built(Workflow(tmp_path_factory.mktemp("reference"), tiles=1), mixed())
    assert len(files) == 3 + 5
    return files


def test_seven_tiles_and_two_jobs_at_once(tmp_path, reference):
    assert built(Workflow(tmp_path, tiles=7), mixed(), jobs=2) == reference


def test_another_clone_and_other_paths(tmp_path, reference):
    elsewhere = Workflow(
        tmp_path / "working folder",
        root=clone(tmp_path / "a clone"),
        circuit=str(tmp_path / "circuits of mine" / "other name.v2.yaml".replace(" ", "_")),
        results=str(tmp_path / "some where" / "results"),
        tiles=1,
    )
    assert built(elsewhere, mixed()) == reference


def test_without_the_processors_vector_instructions(tmp_path, reference):
    features = subprocess.run([sys.executable, "-c", FEATURES], check=True, capture_output=True, text=True).stdout
    workflow = Workflow(tmp_path, tiles=2)
    workflow.env = {"NPY_DISABLE_CPU_FEATURES": features.strip()}
    left = subprocess.run(
        [sys.executable, "-c", FEATURES], check=True, capture_output=True, text=True, env=workflow.environment()
    ).stdout
    assert left.split() == []
    assert built(workflow, mixed()) == reference


def test_keys_in_another_order(tmp_path, reference):
    circuit = backwards(mixed())
    assert yaml.safe_dump(circuit, sort_keys=False) != yaml.safe_dump(mixed(), sort_keys=False)
    assert built(Workflow(tmp_path, tiles=1), circuit) == reference


def test_another_seed_gives_other_bytes(tmp_path, reference):
    files = built(Workflow(tmp_path, tiles=1), mixed() | {"rng": {"seed": 8}})
    assert files.keys() == reference.keys()
    assert not set(files.values()) & set(reference.values())
