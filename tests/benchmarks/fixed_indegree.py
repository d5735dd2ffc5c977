"""FixedIndegree, 1e5 x 1e5 cells, K = 100: from gathered nodes to a SONATA edges file with its target index.

Counts: build, connect and gather jobs of the connection. Aim: at most 6 CPU-s together, at most 1.5 GB in any one.
Run: python tests/benchmarks/fixed_indegree.py
"""

import tempfile
from pathlib import Path

from cost import run, table

CIRCUIT = """
rng: {seed: 1}
network: {x: 1000, y: 1000, z: 1000, chunk_size: 250}
partitions: {all: {type: rhomboid}}
cell_types:
  a: {spatial: {radius: 1, count: 100000}}
  b: {spatial: {radius: 1, count: 100000}}
placement: {cells: {strategy: random, partitions: [all], cell_types: [a, b]}}
connectivity:
  a_to_b:
    strategy: fixed_indegree
    indegree: 100
    presynaptic: {cell_types: [a]}
    postsynaptic: {cell_types: [b]}
"""

if __name__ == "__main__":
    for tiles in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            costs = run(CIRCUIT, Path(folder), "edges/a_to_b.h5", tiles=tiles)
        own = [c for c in costs if "a_to_b" in c.job]
        print(f"FixedIndegree 1e5 x 1e5, K = 100, {tiles} tiles\n{table(own)}")
