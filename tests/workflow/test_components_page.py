"""The examples of docs/COMPONENTS.md, taken from the page as they stand and run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def files(tmp_path):
    """A folder with the files of the page; near_cells is installed in it as pip would."""
    blocks = dict(BLOCK.findall((ROOT / "docs/COMPONENTS.md").read_text()))
    pairs = ("rings", "grown", "depth")
    assert set(blocks) == {"near_cells.py", "near.yaml", "diary.py"} | {
        f"{n}.{kind}" for n in pairs for kind in ("py", "yaml")
    }
    site = tmp_path / "site"
    described = site / "near_cells-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: near-cells\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[snakefold.components]\nnear_cells = near_cells\n")
    described = site / "diary-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: diary\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[snakefold.listeners]\ndiary = diary:Diary\n")
    for name, text in blocks.items():
        (site if name in ("near_cells.py", "diary.py") else tmp_path).joinpath(name).write_text(text)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "workflow"), str(folder / "site")])}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def snakemake(folder: Path, circuit: str, tiles: int) -> Path:
    command = ["snakemake", "-c1", "-s", str(ROOT / "Snakefile"), "circuit"]
    done = run(folder, *command, "--config", f"circuit={circuit}", f"tiles={tiles}", f"results=tiles{tiles}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / f"tiles{tiles}" / Path(circuit).stem


def test_placement_in_a_file(files):
    results = [snakemake(files, "rings.yaml", tiles) / "nodes/ring_cell.h5" for tiles in (1, 2)]
    assert results[0].read_bytes() == results[1].read_bytes()
    with Nodes(results[0]) as nodes:
        assert nodes.n == 100
        middle = nodes.positions() // 100 * 100 + 50
        assert np.allclose(np.linalg.norm((nodes.positions() - middle)[:, :2], axis=1), 30, atol=1e-3)


def test_listener_in_an_installed_package(files):
    results = snakemake(files, "rings.yaml", 1)
    told = [line.split(maxsplit=1)[1].strip() for line in (results / "diary.txt").read_text().splitlines()]
    assert told[-1] == "tiles1/rings: success"
    assert [line for line in told if line.startswith("place:")] == [
        "place: pending",
        "place: running",
        "place: success",
    ]


def test_property_in_a_file(files):
    with Nodes(snakemake(files, "grown.yaml", 1) / "nodes/cell.h5") as nodes:
        expected = 80 * np.exp(-nodes.positions()[:, 2] / 100)
        scatter = nodes.column("axon_length") - expected
        assert 0.6 < scatter.std() < 1.4
        assert set(nodes.column("etype")) == {"cAD", "bNAC"}
        assert set(nodes.column("animal")) == {"m12"}


def test_a_mistake_in_its_attributes(files):
    circuit = files / "rings.yaml"
    circuit.write_text(circuit.read_text().replace("radius: 30, ", "jiter: 1, "))
    done = run(files, "snakefold", "check", "rings.yaml")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert 'rings.yaml:8: placement.rings.jiter: unknown key "jiter"; did you mean "jitter"?' in done.stderr
    assert 'rings.yaml:8: placement.rings: "radius" is missing (Radius of the rings, um)' in done.stderr


def test_editing_the_file_reruns_its_strategy(files):
    snakemake(files, "rings.yaml", 1)
    component = files / "rings.py"
    component.write_text(component.read_text() + "\n# a remark\n")
    command = ["snakemake", "-n", "-s", str(ROOT / "Snakefile"), "circuit"]
    planned = run(files, *command, "--config", "circuit=rings.yaml", "tiles=1", "results=tiles1").stdout
    assert "place_rings " in planned and "params have changed" in planned.replace(
        "Params have changed", "params have changed"
    )


def test_connectivity_of_an_installed_package(files):
    assert "near_cells.NearCells" in run(files, "snakefold", "schema").stdout
    results = [snakemake(files, "near.yaml", tiles) for tiles in (1, 3)]
    edges = [folder / "edges/near.h5" for folder in results]
    assert edges[0].read_bytes() == edges[1].read_bytes()
    with Nodes(results[0] / "nodes/left.h5") as left, Nodes(results[0] / "nodes/right.h5") as right:
        sources, targets = left.positions()[:, 0], right.positions()[:, 0]
    with Edges(edges[0]) as made:
        source, target = made.block(0, made.n)
        distance = made.column("distance")
    assert (np.bincount(target.astype(int)) == 4).all() and len(target) == 240
    assert np.allclose(distance, np.abs(sources[source.astype(int)] - targets[target.astype(int)]), atol=1e-4)
    assert not list(results[0].glob("prepare/**/*.h5"))


def test_too_many_neighbours_are_found_before_anything_runs(files):
    circuit = files / "near.yaml"
    circuit.write_text(circuit.read_text().replace("neighbours: 4", "neighbours: 400"))
    done = run(files, "snakefold", "check", "near.yaml")
    assert done.returncode == 1 and "near.yaml:12: connectivity.near.neighbours: there are only 100" in done.stderr


def test_parameters_and_hooks_of_a_simulation(files):
    command = ["snakemake", "-c1", "-s", str(ROOT / "Snakefile"), "--config", "circuit=depth.yaml"]
    done = run(files, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = (files / "results/depth/simulations/driven/counts.csv").read_text().split()
    assert counts[0] == "cell_type,spikes" and all(int(row.rpartition(",")[2]) > 0 for row in counts[1:])
    assert [row.partition(",")[0] for row in counts[1:]] == ["left", "right"]
    component = files / "depth.py"
    component.write_text(component.read_text().replace('"cell_type,spikes', '"cell_type,n_spikes'))
    planned = run(files, *command, "-n").stdout
    jobs = set(re.findall(r"^(\w+) +\d+$", planned, re.MULTILINE)) - {"total", "all"}
    assert jobs == {"build", "validate", "simulate_driven", "report"}
