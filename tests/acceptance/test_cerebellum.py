"""Acceptance: the mouse cerebellar cortex of cerebellar-models, 100 x 100 x 295 um, against expectation and the BSB."""

import contextlib
import hashlib
import random
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from cortex import ROOT, built, expected, n_cells, n_synapses, snakemake

SEEDS = range(1234, 1254)
CELLS = {  # density times volume, or a ratio to these, rounded
    "basket_cell": 25,
    "glomerulus": 390,
    "golgi_cell": 12,
    "granule_cell": 5070,
    "mossy_fibers": 20,
    "purkinje_cell": 12,
    "stellate_cell": 50,
}
# Synapses that the BSB 8.0.2 makes of the same description with seed 1234.
BSB = {
    "ascending_axon_to_golgi": 1790,
    "ascending_axon_to_purkinje": 592,
    "basket_to_basket": 15300,
    "basket_to_purkinje": 63,
    "gap_goc": 118,
    "glomerulus_to_golgi": 1003,
    "glomerulus_to_granule": 20280,
    "golgi_to_glomerulus": 27556,
    "golgi_to_golgi": 9417,
    "mossy_fibers_to_glomerulus": 390,
    "parallel_fiber_to_basket": 7699,
    "parallel_fiber_to_golgi": 3617,
    "parallel_fiber_to_purkinje": 4881,
    "parallel_fiber_to_stellate": 10429,
    "stellate_to_purkinje": 64,
    "stellate_to_stellate": 46030,
}
# It prunes the rows of Purkinje cells to 10 where the density asks for 12.
OURS_OF_THEIRS = {name: 1.2 for name in BSB if name.endswith("_to_purkinje")}


@pytest.fixture(scope="module")
def circuits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cortex")
    return [built(folder, seed) for seed in SEEDS]


def test_numbers_of_cells_are_exact(circuits):
    assert [n_cells(plan) for plan in circuits] == [CELLS] * len(circuits)


def test_numbers_of_synapses_are_as_brute_force_expects(circuits):
    found, wanted = [n_synapses(plan) for plan in circuits[:10]], [expected(plan) for plan in circuits[:10]]
    far = {}
    for name in sorted(BSB):
        apart = sum(f[name] - w[name].mean for f, w in zip(found, wanted, strict=True))
        sd = np.sqrt(sum(w[name].variance for w in wanted))
        z = apart / sd if sd else float(apart != 0) * np.inf if apart else 0.0
        mean = sum(w[name].mean for w in wanted) / 10
        print(f"{name:28s} expected {mean:9.1f}, found {mean + apart / 10:9.1f}, {z:+.2f} sd")
        if abs(z) > 3:
            far[name] = z
    assert far == {}


def test_numbers_of_synapses_are_near_those_of_the_bsb(circuits):
    found = [n_synapses(plan) for plan in circuits]
    far = {}
    for name, theirs in BSB.items():
        ours = np.array([f[name] for f in found])
        ratio = ours.mean() / theirs / OURS_OF_THEIRS.get(name, 1.0)
        print(
            f"{name:28s} {ours.mean():9.1f} +- {ours.std():7.1f}, the BSB {theirs:6d}: {ours.mean() / theirs - 1:+.1%}",
            end="",
        )
        print(f", of each cell {ratio - 1:+.1%}" if name in OURS_OF_THEIRS else "")
        if abs(ratio - 1) > 0.25:
            far[name] = ratio
    assert far == {}


def digests(results: Path) -> dict[str, str]:
    files = sorted([*results.glob("nodes/*.h5"), *results.glob("edges/*.h5")])
    assert len(files) == len(CELLS) + len(BSB)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def killed_again_and_again(folder: Path, kills: int, seed: int) -> Path:
    """Build the cortex in 9 tiles, with jobs of its connections, and then Snakemake, killed at random moments."""
    moments = random.Random(seed)
    results, command = snakemake(folder, tiles=9)
    for i in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        end = time.monotonic() + moments.uniform(15, 40)
        hit = False
        while process.poll() is None and not hit:
            tree = psutil.Process(process.pid).children(recursive=True)
            jobs = [
                p for p in tree if p.is_running() and any(w.endswith(("connect.py", "prepare.py")) for w in _words(p))
            ]
            if time.monotonic() > end and i % 2:
                hit = True
                for p in [psutil.Process(process.pid), *tree]:
                    _kill(p)
            elif time.monotonic() > end and jobs:
                hit = True
                _kill(moments.choice(jobs))
            time.sleep(0.01)
        code = process.wait()
        print(f"kill {i + 1}: {'Snakemake' if i % 2 else 'a job'}, exit code {code}")
        subprocess.run([*command[:3], "--unlock", *command[3:]], check=True)
    subprocess.run(command, check=True)
    return results


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def test_the_bytes_are_the_same_in_tiles_on_ranks_and_after_kills(tmp_path):
    results, command = snakemake(tmp_path / "one")
    subprocess.run(command, check=True)
    found = {"1 tile": digests(results)}
    for what, options in (("9 tiles", ()), ("9 tiles, 2 ranks", ("--profile", str(ROOT / "profiles/mpi")))):
        results, command = snakemake(tmp_path / what.replace(" ", "_"), *options, tiles=9)
        subprocess.run(command, check=True)
        found[what] = digests(results)
    found["killed"] = digests(killed_again_and_again(tmp_path / "killed", 4, 1))
    for what, files in found.items():
        print(what, hashlib.sha256("".join(files.values()).encode()).hexdigest())
    assert all(files == found["1 tile"] for files in found.values())
