"""VoxelIntersection in volumes of 1, 2, 4 and 8 times 300 x 200 um, longer along y, the parallel fibres, or along x.

Counts: CPU seconds of `prepare`, and of connecting the chunks (their cells read, contacts located), in one process.
Aim for the 12 strategies of the mouse cerebellar cortex: at most 2 CPU-s at 300 x 200 um, 50 ms of `prepare` each.

Run: python tests/benchmarks/voxel_intersection.py [.cerebellum/cortex_in_vitro.yaml] [largest multiple]
Without a description, of cells that are drawn at random: fibres of 2 mm, flat fans, and balls.
"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests" / "unit")]

from descriptions import connect_inputs, run  # noqa: E402
from snakefold.connectivity.tile import Connecting, _Computer, prepare  # noqa: E402
from snakefold.connectivity.voxel_intersection import VoxelIntersection  # noqa: E402
from snakefold.loading import load  # noqa: E402
from snakefold.morphology import swc  # noqa: E402
from snakefold.morphology.morphology import Morphology  # noqa: E402
from snakefold.planning import make  # noqa: E402

CIRCUIT = """
rng: {seed: 1}
network: {x: 300, y: 200, z: 300, chunk_size: 100}
partitions: {low: {thickness: 130}, high: {thickness: 170}}
regions: {all: {type: stack, children: [low, high]}}
morphologies: [fibre.swc, fan.swc, ball.swc]
cell_types:
  fibre: {spatial: {radius: 2, density: 3.9e-3, morphologies: [fibre]}}
  fan: {spatial: {radius: 4, density: 3.0e-5, morphologies: [fan]}}
  ball: {spatial: {radius: 4, density: 3.0e-5, morphologies: [ball]}}
placement:
  below: {strategy: random, partitions: [low], cell_types: [fibre]}
  above: {strategy: random, partitions: [high], cell_types: [fan, ball]}
connectivity:
  fibre_to_fan:
    {strategy: voxel_intersection, affinity: 0.03, voxels_pre: 500, voxels_post: 500,
     presynaptic: {cell_types: [fibre], morphology_labels: [axon]}, postsynaptic: {cell_types: [fan]}}
  ball_to_ball:
    {strategy: voxel_intersection, affinity: 0.3, voxels_pre: 500, voxels_post: 500,
     contacts: {distribution: norm, loc: 20, scale: 4},
     presynaptic: {cell_types: [ball]}, postsynaptic: {cell_types: [ball]}}
"""


def tree(rng, n_branches, spread):
    """Return branches of 60 points that wander from the soma, most along the axes of the largest spread."""
    points = [np.cumsum(np.vstack([np.zeros(3), rng.normal(rng.normal(0, spread, 3) / 60, 1, (59, 3))]), axis=0)]
    for _ in range(n_branches - 1):
        start = points[rng.integers(len(points))][-1]
        points.append(start + np.cumsum(rng.normal(rng.normal(0, spread, 3) / 60, 1, (60, 3)) * (spread > 20), axis=0))
    return points, [-1] + [0] * (n_branches - 1), 3


def shapes():
    """Return the SWC files of the generated cells."""
    rng = np.random.default_rng(1)
    up = np.linspace([0, 0, 0], [0, 0, 180], 12)
    fibre = [up, np.linspace([0, 0, 180], [0, 1000, 180], 52), np.linspace([0, 0, 180], [0, -1000, 180], 52)]
    made = {"fibre": (fibre, [-1, 0, 0], 2), "fan": tree(rng, 50, np.array([80.0, 8.0, 80.0]))}
    for name, (points, parents, tag) in (made | {"ball": tree(rng, 40, np.array([50.0, 50.0, 50.0]))}).items():
        n, offsets = sum(map(len, points)), np.cumsum([0, *map(len, points)])
        arrays = np.concatenate(points), np.ones(n), np.full(n, tag), np.zeros(n), offsets, np.array(parents)
        yield f"{name}.swc", swc.write(Morphology(*arrays))


def measure(description, folder, x, y):
    """Place the cells of a circuit, connect them, and print what that costs."""
    circuit = folder / f"circuit_{x}_{y}.yaml"
    circuit.write_text(f"$ref: {os.path.relpath(description, folder)}#/\nnetwork: {{x: {x}, y: {y}}}\n")
    total = np.zeros(3)
    with contextlib.redirect_stdout(None):
        loaded = load(circuit)
        plan = run(make(loaded, str(folder / circuit.stem), 1, "none"), "place")
    for name, strategy in loaded.circuit.connectivity.items():
        if not isinstance(strategy, VoxelIntersection):
            continue
        inputs = connect_inputs(plan, name)
        times = [time.process_time()]
        with contextlib.redirect_stdout(None):
            prepare(inputs, inputs.prepared)
        times.append(time.process_time())
        compute = _Computer(Connecting(inputs))
        n = sum(len(a) for i in range(len(compute.units)) for c, a in compute(i).items() if c.endswith("/source"))
        times.append(time.process_time())
        print(
            f"    {name:28s} {1e3 * (times[1] - times[0]):6.0f} ms, {times[2] - times[1]:7.3f} CPU-s {n:9d} synapses",
            flush=True,
        )
        total += *np.diff(times), n
    print(
        f"  {x} x {y} um: {total[1]:.2f} CPU-s, {total[2]:.0f} synapses, {total[2] / total[1]:.3g} a CPU-s", flush=True
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        description = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "generated.yaml"
        if len(sys.argv) < 2:
            description.write_text(CIRCUIT)
            for name, text in shapes():
                (Path(folder) / name).write_text(text)
        largest = int(sys.argv[2]) if len(sys.argv) > 2 else 8
        for along in ("x", "y"):
            print(f"longer along {along}")
            for times in [n for n in (1, 2, 4, 8) if n <= largest]:
                measure(
                    description,
                    Path(folder),
                    300 * (times if along == "x" else 1),
                    200 * (times if along == "y" else 1),
                )
