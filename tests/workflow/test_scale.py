"""Large circuits: what grows with the number of chunks and tiles stays small. What it takes is in tests/benchmarks."""

import os
import re
import subprocess

import pytest

from flow import between

MOST_MB, MOST_JOBS = 1000, 2_020  # 2,000 tiles and what is around them


def many_chunks(n_cells: int, indegree: int) -> dict:
    """Return a circuit of 1e5 chunks."""
    return {
        "rng": {"seed": 1},
        "network": {"x": 1000, "y": 1000, "z": 800, "chunk_size": 20},
        "partitions": {"all": {"type": "rhomboid"}},
        "cell_types": {"a": {"spatial": {"radius": 0.1, "count": n_cells}}},
        "placement": {"cells": {"strategy": "random", "partitions": ["all"], "cell_types": ["a"]}},
        "connectivity": {"a_to_a": between("a", "a", strategy="fixed_indegree", indegree=indegree)},
    }


@pytest.mark.parametrize(("tiles", "n_cells", "n_tiles"), [("auto", 100_000_000, 2_000), ("auto", 100_000, 1)])
def test_a_circuit_of_1e5_chunks_is_planned_in_little_memory_and_few_jobs(workflow, tiles, n_cells, n_tiles):
    workflow.tiles = tiles
    workflow.write(many_chunks(n_cells, 1000 if n_tiles > 1 else 10))
    command = workflow.command("-n", "--quiet", "reason")
    with (workflow.folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=workflow.folder, env=workflow.environment(), stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    output = (workflow.folder / "said").read_text()
    assert status == 0, output
    assert used.ru_maxrss / 1024 < MOST_MB
    assert int(re.search(r"^connect_a_to_a +(\d+)$", output, re.MULTILINE)[1]) == n_tiles
    assert int(re.search(r"^total +(\d+)$", output, re.MULTILINE)[1]) <= MOST_JOBS
