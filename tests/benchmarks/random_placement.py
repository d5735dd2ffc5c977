"""RandomPlacement of 1e6 cells in 1000 chunks, from the description to a SONATA node file. Aim: at most 3 CPU-s.

Run: python tests/benchmarks/random_placement.py
"""

import tempfile
from pathlib import Path

from cost import run, table

CIRCUIT = """
rng: {seed: 1}
network: {x: 1000, y: 1000, z: 1000, chunk_size: 100}
partitions: {all: {type: rhomboid}}
cell_types: {a: {spatial: {radius: 1, count: 1000000}}}
placement: {cells: {strategy: random, partitions: [all], cell_types: [a]}}
"""

if __name__ == "__main__":
    for tiles in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            costs = run(CIRCUIT, Path(folder), "nodes/a.h5", tiles=tiles)
        print(f"RandomPlacement, 1e6 cells, 1000 chunks, {tiles} tiles\n{table(costs)}")
