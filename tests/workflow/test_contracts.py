"""The contracts of a component, each clause exercised by a small component of tests/data/contract_components.py."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

ROOT = Path(__file__).resolve().parents[2]
CIRCUIT = ROOT / "tests/data/contracts.yaml"


def snakemake(folder: Path, *arguments: str, tiles: int, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "-c1", "-s", str(ROOT / "Snakefile"), "-d", str(folder)]
    command += ["circuit", *arguments]
    command += ["--config", f"circuit={CIRCUIT}", "results=results", f"tiles={tiles}", "simulations=none"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def notes(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The circuit built with one tile and with three: results folder by number of tiles, and what ran."""
    made = {}
    for tiles in (1, 3):
        folder = tmp_path_factory.mktemp(f"tiles{tiles}")
        done = snakemake(folder, tiles=tiles, CONTRACT_NOTES=str(folder / "notes"))
        assert done.returncode == 0, done.stderr
        made[tiles] = folder / "results/contracts", notes(folder / "notes")
    return made


def positions(results: Path, cell_type: str, folder: str = "nodes") -> np.ndarray:
    with Nodes(results / folder / f"{cell_type}.h5") as nodes:
        return nodes.positions()


def rows(positions: np.ndarray) -> np.ndarray:
    """Return positions in one order: a hook that moves cells to other chunks renumbers them."""
    return positions[np.lexsort(positions.T)]


def pairs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with Edges(path) as edges:
        return edges.block(0, edges.n)


def test_results_do_not_depend_on_tiles(built):
    (one, _), (three, _) = built[1], built[3]
    files = sorted(p.relative_to(one) for kind in ("nodes", "edges") for p in (one / kind).iterdir())
    assert len(files) == 10
    for file in files:
        digests = {hashlib.sha256((results / file).read_bytes()).hexdigest() for results in (one, three)}
        assert len(digests) == 1, file


@pytest.mark.parametrize("tiles", [1, 3])
def test_prepare_runs_once_and_its_file_vanishes(built, tiles):
    results, ran = built[tiles]
    assert [ran.count(what) for what in ("prepare place", "prepare connect", "prepare fragile")] == [1, 1, 1]
    assert not list(results.glob("prepare/**/*.h5"))
    assert not list(results.glob("place/**/*.h5")) and not list(results.glob("connect/**/*.h5"))
    assert not (results / ".journal").exists()


def test_prepared_arrays_reach_every_chunk(built):
    results, _ = built[3]
    with Nodes(results / "nodes/a.h5") as nodes:
        rank, table = nodes.column("rank"), nodes.chunks
        assert nodes.n == 60 and len(table.chunk) == 6
        for start, stop in zip(table.offsets, table.offsets[1:], strict=False):
            assert (rank[start:stop] == np.arange(stop - start)).all()
        x = nodes.positions()[:, 0]
    assert np.allclose(x % 100, 0.5 + 7 * rank % 100)


def test_halo_gives_cells_of_earlier_strategies(built):
    results, _ = built[3]
    beside = positions(results, "b", "stage/0/nodes")
    there = positions(results, "a")
    assert len(beside) == 40
    assert np.linalg.norm(beside[:, None] - there[None], axis=2).min(axis=1).max() == 0


def test_passes_read_the_passes_before(built):
    results, _ = built[3]
    cells = positions(results, "c", "stage/0/nodes")
    colour = (cells // 100).astype(int).sum(axis=1) % 2
    with Nodes(results / "stage/0/nodes/c.h5") as nodes:
        table = nodes.chunks
    assert len(cells) == 90 and len(np.unique(cells, axis=0)) < 90, "the second pass repeats cells of the first"
    assert set(map(tuple, cells[45:])) and (np.diff(table.chunk.astype(object)) > 0).all()
    first = {tuple(p) for p in cells[colour == 0]}
    assert {tuple(p) for p in cells} == first


def test_candidates_within_the_halo(built):
    results, _ = built[3]
    pre, post = positions(results, "a"), positions(results, "c")
    distance = np.linalg.norm(post[:, None] - pre[None], axis=2)
    wanted = np.argwhere(distance < 60)
    source, target = pairs(results / "edges/near.h5")
    assert len(source) > 100
    assert (np.stack([target, source], axis=1) == wanted).all()
    with Edges(results / "edges/near.h5") as edges:
        assert np.allclose(edges.column("distance"), distance[target.astype(int), source.astype(int)], atol=1e-4)


def test_edges_of_strategies_it_depends_on(built):
    results, _ = built[3]
    source, target = pairs(results / "edges/near.h5")
    back_source, back_target = pairs(results / "stage/0/edges/answer.h5")
    assert len(back_source) == len(source)
    assert set(zip(back_source.tolist(), back_target.tolist(), strict=True)) == set(
        zip(target.tolist(), source.tolist(), strict=True)
    )


def test_partitioned_by_source(built):
    results, _ = built[3]
    degrees = []
    for pre in ("a", "b"):
        source, target = pairs(results / f"edges/out_{pre}_to_c.h5")
        key = target.astype(np.int64) * 1000 + source.astype(np.int64)
        assert (np.diff(key) > 0).all(), "ordered by (target, source), partners distinct"
        degrees.append(np.bincount(source.astype(int)))
    assert (degrees[0] == 3).all() and len(degrees[0]) == 60
    assert (degrees[1] == 3).all() and len(degrees[1]) == 40


def test_hooks_are_stages(built):
    results, _ = built[3]
    stages = [rows(positions(results, "b", f)) for f in ("stage/0/nodes", "stage/1/nodes", "nodes")]
    assert np.allclose(stages[1] - stages[0], [0, 0, 2]) and np.allclose(stages[2] - stages[1], [0, 0, 1])
    lifted, before = rows(positions(results, "c")), rows(positions(results, "c", "stage/0/nodes"))
    assert np.allclose(lifted - before, [0, 0, 1])
    assert positions(results, "d").tolist() == [[0, 0, 0]]
    assert not (results / "stage/0/nodes/a.h5").exists(), "what no hook touches has no stage"
    before, after = pairs(results / "stage/0/edges/answer.h5"), pairs(results / "edges/answer.h5")
    assert (after[0] == before[0][::2]).all() and (after[1] == before[1][::2]).all()
    assert (pairs(results / "edges/thinned.h5")[0] == after[0]).all()


def test_a_failed_tile_reruns_alone_with_its_journal(built, tmp_path):
    marker, log = tmp_path / "fail", tmp_path / "notes"
    marker.touch()
    environment = {"CONTRACT_NOTES": str(log), "CONTRACT_FAIL_AT": str(marker)}
    failed = snakemake(tmp_path, tiles=2, **environment)
    assert failed.returncode == 1
    said = failed.stdout + failed.stderr
    assert "told to fail" in said and "connect fragile: chunk lift/" in said
    results = tmp_path / "results/contracts"
    assert (results / "edges/near.h5").exists(), "what does not depend on it is finished"
    assert not (results / "edges/fragile.h5").exists()
    before = notes(log)
    marker.unlink()
    log.unlink()
    plan = snakemake(tmp_path, "-n", tiles=2, **environment).stdout
    mended = snakemake(tmp_path, tiles=2, **environment)
    assert mended.returncode == 0, mended.stderr
    again = notes(log)
    assert not set(again) & set(before), "no chunk is computed twice, and nothing is prepared again"
    with Nodes(results / "nodes/c.h5") as nodes:
        n_chunks = len(nodes.chunks.chunk)
    computed = [[n for n in run if n.startswith("chunk")] for run in (before, again)]
    assert all(computed) and sum(map(len, computed)) == n_chunks
    assert {line.split()[1] for line in plan.split("\n") if line.startswith("connect_fragile ")} == {"1"}
    assert (results / "edges/fragile.h5").read_bytes() == (built[1][0] / "edges/fragile.h5").read_bytes()
