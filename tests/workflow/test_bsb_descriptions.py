"""Descriptions like those that the BSB publishes: they parse, build, check and run, and their counts are exact."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flow import ROOT, Workflow
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes
from snakefold.sonata.spikes import read_spikes

BSB = ROOT / "tests/data/bsb"
LOWER, UPPER = 90 * 110 * 85, 90 * 110 * 65  # um^3, of getting_started.yaml


def built(folder: Path, circuit: str) -> Workflow:
    """Run a description of tests/data/bsb to its end."""
    shutil.copytree(BSB, folder)
    return Workflow(folder, circuit=circuit).built(jobs=2)


def cells(workflow: Workflow) -> dict[str, np.ndarray]:
    """Return the positions of the cells by type."""
    found = {}
    for file in workflow.results.glob("nodes/*.h5"):
        with Nodes(file) as nodes:
            found[nodes.population] = nodes.positions()
    return found


def counts(workflow: Workflow) -> dict[str, int]:
    return {cell_type: len(positions) for cell_type, positions in cells(workflow).items()}


def pairs(workflow: Workflow, edge_set: str) -> np.ndarray:
    """Return (source, target) of every synapse of a set, (n, 2)."""
    with Edges(workflow.results / f"edges/{edge_set}.h5") as edges:
        return np.stack(edges.block(0, edges.n), axis=1).astype(int)


def test_getting_started(tmp_path):
    workflow = built(tmp_path / "here", "getting_started.yaml")
    n_lower, n_upper = round(1.3e-4 * LOWER), 17
    assert counts(workflow) == {"lower_type": n_lower, "upper_type": n_upper}
    assert n_lower == 109
    there = cells(workflow)
    assert there["lower_type"][:, 2].max() <= 85 <= there["upper_type"][:, 2].min()
    assert there["upper_type"][:, 2].max() <= 150
    assert len(np.unique(pairs(workflow, "lower_to_upper"), axis=0)) == n_lower * n_upper
    assert (workflow.results / "report.html").is_file()


def test_guide_to_nest(tmp_path):
    workflow = built(tmp_path / "here", "guide_nest.yaml")
    assert counts(workflow) == {"lower_type": round(1.3e-4 * LOWER), "upper_type": 17}
    times, ids = spikes(workflow, "spontaneous", "lower_type")
    assert len(times) > 100 and times.max() <= 60 and set(ids) <= set(range(109))
    assert len(spikes(workflow, "spontaneous", "upper_type")[0]) > 10


def spikes(workflow: Workflow, simulation: str, cell_type: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the times, ms, and the cells of the recorded spikes of a type."""
    found = read_spikes(workflow.results / f"simulations/{simulation}/spikes.h5")
    return found[cell_type]


def test_guide_to_nest_as_json_with_every_indicator_and_device(tmp_path):
    workflow = built(tmp_path / "here", "guide_nest.json")
    n_dense = round(3.33e-4 * 70 * 90 * 60)
    expected = {"sparse": round(0.0171 * 70 * 90), "dense": n_dense, "helper": round(0.21 * n_dense)}
    assert counts(workflow) == expected == {"sparse": 108, "dense": 126, "helper": 26}
    there = cells(workflow)
    lower, upper = np.array([10, -20, 5]), np.array([80, 70, 145])
    for positions in there.values():
        assert (positions >= lower - 1e-4).all() and (positions <= upper + 1e-4).all()
    assert there["sparse"][:, 2].max() <= 85 <= there["dense"][:, 2].min() + 1e-4
    incoming = [pairs(workflow, f"in_{t}_to_dense") for t in ("sparse", "helper")]
    assert (np.bincount(np.concatenate(incoming)[:, 1], minlength=n_dense) == 6).all()
    assert (np.bincount(pairs(workflow, "out")[:, 0], minlength=n_dense) == 5).all()
    assert len(spikes(workflow, "driven", "sparse")[0]) > 10
    assert (workflow.results / "simulations/driven/voltage.h5").is_file()


def test_components_of_ones_own(tmp_path):
    workflow = built(tmp_path / "here", "writing_components.yaml")
    n_lower = round(3.9e-4 * 200 * 90 * 60)
    assert counts(workflow) == {"lower_type": n_lower, "upper_type": 23}
    assert n_lower == 421
    there = cells(workflow)
    x = there["lower_type"][:, 0]
    from scipy import stats

    alpha = stats.alpha(8)
    low, high = alpha.ppf(1e-9), alpha.ppf(1 - 1e-9)
    profile = np.sort(200 * (1 - (alpha.rvs(size=100_000, random_state=1) - low) / (high - low)))
    assert stats.ks_2samp(x, profile).pvalue > 1e-3  # along the axis, from its end
    apart = np.linalg.norm(there["upper_type"][:, None].astype(float) - there["lower_type"][None], axis=2)
    target, source = np.nonzero(apart <= 70)
    assert sorted(map(tuple, pairs(workflow, "lower_to_upper"))) == sorted(zip(source, target, strict=True))


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_the_empty_skeleton_is_a_circuit(tmp_path, ending):
    tables = ("regions", "partitions", "cell_types", "placement", "after_placement", "connectivity")
    skeleton = {
        "name": "Skeleton",
        "storage": {"engine": "hdf5", "root": "network.hdf5"},
        "network": {"x": 100, "y": 100, "z": 100},
        "morphologies": [],
        **{table: {} for table in (*tables, "after_connectivity", "simulations")},
    }
    (tmp_path / f"skeleton.{ending}").write_text(json.dumps(skeleton))
    done = subprocess.run(
        [sys.executable, "-m", "snakefold", "check", f"skeleton.{ending}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"skeleton.{ending}: 0 cells of 0 types" in done.stdout
