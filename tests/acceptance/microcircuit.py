"""The microcircuit of config/circuits at another seed or duration, and what it did, for the tests and for seeds.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from snakefold.sonata.nodes import Nodes
from snakefold.sonata.spikes import read_spikes

ROOT = Path(__file__).resolve().parents[2]
POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
# Hz, 500 ms dropped: the published circuit with N and K x 0.1, Poisson input, 10 s, run with NEST's own connection rules
REFERENCE = dict(zip(POPULATIONS, (0.444, 2.050, 3.897, 4.966, 6.411, 7.742, 0.824, 6.958), strict=True))
# coefficient of variation of the inter-spike intervals of cells with at least 10 spikes, same run
REFERENCE_CV = dict(zip(POPULATIONS, (0.855, 0.854, 0.852, 0.856, 0.817, 0.782, 0.866, 0.806), strict=True))
DROPPED_MS = 500.0


def build(folder: Path, seed: int | None = None, duration_ms: float | None = None, *arguments: str) -> Path:
    """Build and simulate the shipped description, with what is given changed; return its results folder."""
    lines = [f"$ref: {ROOT}/config/circuits/microcircuit.yaml#/"]
    if seed is not None:
        lines.append(f"rng: {{seed: {seed}}}")
    if duration_ms is not None:
        lines.append(f"simulations: {{spontaneous: {{duration: {duration_ms}}}}}")
    folder.mkdir(parents=True, exist_ok=True)
    circuit = folder / "microcircuit.yaml"
    circuit.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "-q", "all", "-s", str(ROOT / "Snakefile")]
    command += ["-d", str(folder), *arguments, "--config", f"circuit={circuit}", "results=results", "simulations=all"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results/microcircuit"


def rates(results: Path, until_ms: float) -> dict[str, float]:
    """Return the mean rate of each population, Hz, from DROPPED_MS to `until_ms`."""
    spikes = read_spikes(results / "simulations/spontaneous/spikes.h5")
    found = {}
    for population in POPULATIONS:
        times, _ = spikes[population]
        with Nodes(results / f"nodes/{population}.h5") as nodes:
            n = ((times >= DROPPED_MS) & (times < until_ms)).sum()
            found[population] = n / nodes.n / (until_ms - DROPPED_MS) * 1e3
    return found


def irregularity(results: Path) -> dict[str, float]:
    """Return the mean CV of the inter-spike intervals of each population's cells with at least 10 spikes."""
    spikes = read_spikes(results / "simulations/spontaneous/spikes.h5")
    found = {}
    for population in POPULATIONS:
        times, ids = (values[spikes[population][0] >= DROPPED_MS] for values in spikes[population])
        order = np.lexsort((times, ids))
        times, ids = times[order], ids[order]
        same = ids[1:] == ids[:-1]
        interval, owner = np.diff(times)[same], ids[1:][same]
        n = np.bincount(owner)
        mean = np.bincount(owner, interval) / np.maximum(n, 1)
        variance = np.bincount(owner, (interval - mean[owner]) ** 2) / np.maximum(n, 1)
        enough = n >= 9
        found[population] = float((np.sqrt(variance[enough]) / mean[enough]).mean())
    return found
