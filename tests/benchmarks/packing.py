"""Somata that do not overlap, and Poisson disks: 1e6 cells, from the description to a SONATA node file.

Aims, CPU-s of all jobs: packing factor 0.1 at most 9, 0.3 at most 32, 0.45 at most 95; Poisson disks at most 14. The
kernels are compiled by a small circuit first, as they are on any machine that has packed before.

Run: python tests/benchmarks/packing.py [number of cells]
"""

import sys
import tempfile
from math import pi
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from cost import results, run, table
from snakefold.sonata.nodes import Nodes

CIRCUIT = """
rng: {{seed: 1}}
network: {{x: {side}, y: {side}, z: {side}, chunk_size: {chunk}}}
partitions: {{all: {{type: rhomboid}}}}
cell_types: {{a: {{spatial: {{radius: {radius}, count: {n}}}}}}}
placement: {{cells: {{strategy: {strategy}, partitions: [all], cell_types: [a]}}}}
"""


def measure(what, n, side, radius, strategy, tiles="auto"):
    """Place cells, check that none is nearer to another than `2 radius`, and print the costs."""
    circuit = CIRCUIT.format(
        side=side, chunk=side / max(round((n / 1000) ** (1 / 3)), 1), radius=radius, n=n, strategy=strategy
    )
    with tempfile.TemporaryDirectory() as folder:
        costs = run(circuit, Path(folder), "nodes/a.h5", tiles=tiles)
        with Nodes(results(Path(folder)) / "nodes/a.h5") as nodes:
            points, stray = nodes.positions().astype(np.float64), nodes.chunks.stray
    nearest = cKDTree(points).query(points, k=2)[0][:, 1].min()
    print(f"{what}, {len(points)} of {n} cells, {tiles} tiles: nearest {nearest:.6f} um, stray {stray:.1f} um")
    print(table(costs), flush=True)
    if nearest < 2 * radius:
        raise SystemExit("two cells are too near each other")


if __name__ == "__main__":
    n = int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000
    measure("compiling", 100, 200.0, 5.0, "random, overlap: false")
    for fraction in (0.1, 0.3, 0.45):
        side = (n * 4 / 3 * pi * 5.0**3 / fraction) ** (1 / 3)
        measure(f"packing factor {fraction}", n, side, 5.0, "random, overlap: false")
    measure("Poisson disks of 5 um", n, 10.0 * n ** (1 / 3), 2.5, "poisson_disk_placement, min_distance: 5")
    side = (4e5 * 4 / 3 * pi * 5.0**3 / 0.3) ** (1 / 3)
    for tiles in (1, 27):
        measure("packing factor 0.3", 400_000, side, 5.0, "random, overlap: false", tiles)
