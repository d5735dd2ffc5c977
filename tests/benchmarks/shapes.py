"""ShapeToShape, 2000 x 2000 spheres, 1.8 M synapses: from gathered nodes to a SONATA edges file with its target index.

Counts: build, prepare, connect and gather jobs of the connection. Aim: at most 3 CPU-s together; the BSB 8.0.2 needs 89.
Run: python tests/benchmarks/shapes.py
"""

import tempfile
from pathlib import Path

import h5py

from cost import results, run, table

BSB_CPU_S = 89.0
CIRCUIT = """
rng: {seed: 1}
network: {x: 200, y: 200, z: 200, chunk_size: 100}
partitions: {all: {type: rhomboid}}
cell_types:
  a: {spatial: {radius: 1, count: 2000}}
  b: {spatial: {radius: 1, count: 2000}}
placement: {cells: {strategy: random, partitions: [all], cell_types: [a, b]}}
connectivity:
  a_to_b:
    strategy: shape_to_shape
    affinity: 1
    pruning_ratio: 1
    presynaptic:
      cell_types: [a]
      shapes_composition: &sphere {shapes: [{type: sphere, origin: [0, 0, 0], radius: 20}], labels: [[soma]], voxel_size: 6.4}
    postsynaptic: {cell_types: [b], shapes_composition: *sphere}
"""

if __name__ == "__main__":
    for tiles in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            costs = run(CIRCUIT, Path(folder), "edges/a_to_b.h5", tiles=tiles)
            with h5py.File(results(Path(folder)) / "edges/a_to_b.h5") as file:
                n = len(file["edges/a_to_b/target_node_id"])
        own = [c for c in costs if "a_to_b" in c.job]
        spent = sum(c.cpu_s for c in own)
        print(f"ShapeToShape 2000 x 2000 spheres, {n} synapses, {tiles} tiles\n{table(own)}")
        print(f"{spent:.1f} CPU-s, the BSB {BSB_CPU_S:g} for as many: {BSB_CPU_S / spent:.0f} times\n")
