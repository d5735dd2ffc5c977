"""The cluster tests: a real SLURM, started by the first test that wants it; `make test-cluster` stops it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parent))

import slurm


@pytest.fixture(scope="session")
def cluster():
    """A SLURM that runs; the tests of all workers share it, so that none may start what another has stopped or lost."""
    with slurm.alone():
        if not slurm.answers():
            slurm.start()
    return slurm
