"""DistanceProbability, 1e5 x 1e5 cells, 1e7 synapses: from gathered nodes to a SONATA edges file with its target index.

Counts: build, prepare, connect and gather jobs of the connection. Aim: at most 15 CPU-s together.
Run: python tests/benchmarks/distance_probability.py
"""

import tempfile
from pathlib import Path

import h5py

from cost import results, run, table

CIRCUIT = """
rng: {{seed: 1}}
network: {{x: 1000, y: 1000, z: 1000, chunk_size: 250}}
partitions: {{all: {{type: rhomboid}}}}
cell_types:
  a: {{spatial: {{radius: 1, count: 100000}}}}
  b: {{spatial: {{radius: 1, count: 100000}}}}
placement: {{cells: {{strategy: random, partitions: [all], cell_types: [a, b]}}}}
connectivity:
  a_to_b:
    strategy: distance_probability
    presynaptic: {{cell_types: [a]}}
    postsynaptic: {{cell_types: [b]}}
    {profile}
"""
PROFILES = {
    "exponential": "{profile: exponential, peak: 0.075, length: 100, max_distance: 400}",
    "Gaussian": "{profile: gaussian, peak: 0.083, sigma: 100, max_distance: 300}",
    "Gaussian, wide": "{profile: gaussian, peak: 0.008, sigma: 250, max_distance: 800}",
}

if __name__ == "__main__":
    for tiles in (1, 4):
        for name, profile in PROFILES.items():
            circuit = CIRCUIT.format(profile=profile.strip("{}").replace(", ", "\n    "))
            with tempfile.TemporaryDirectory() as folder:
                costs = run(circuit, Path(folder), "edges/a_to_b.h5", tiles=tiles)
                with h5py.File(results(Path(folder)) / "edges/a_to_b.h5") as file:
                    n = len(file["edges/a_to_b/target_node_id"])
            own = [c for c in costs if "a_to_b" in c.job]
            print(f"DistanceProbability 1e5 x 1e5, {name}, {n} synapses, {tiles} tiles\n{table(own)}")
