"""Work of at least 60 CPU-s shared out: to one core, two cores, and two MPI ranks; and what jobs spend outside their chunks.

Aims, on an otherwise idle machine of two cores or more: tile jobs of 30 s and more spend at most 5 % of their CPU time
outside their chunks; the tile stage is at least 1.8 times as fast on two cores and 1.7 times on two ranks. The stage lasts
from the start of its first job to the end of its last; a chunk is always the same work, about CHUNK_S CPU-s of sorting.
Run: python tests/benchmarks/fan_out.py
"""

import re
import tempfile
import time
from pathlib import Path

import numpy as np

from cost import ROOT, results, run

CHUNK_S, N_CHUNKS, TILES = 0.3, 240, 2
CIRCUIT = """
components: [sorting.py]
rng: {{seed: 1}}
network: {{x: 600, y: 400, z: 1000, chunk_size: 100}}
partitions: {{all: {{type: rhomboid}}}}
cell_types: {{a: {{spatial: {{radius: 1, count: 24000}}}}}}
placement: {{work: {{strategy: sorting.Sorting, partitions: [all], cell_types: [a], rounds: {rounds}}}}}
"""
SORTING = '''
"""RandomPlacement, after much work."""

import time

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.random import RandomPlacement


class Sorting(RandomPlacement):
    rounds = Attribute(types.integer(min=1), required=True, doc="How often numbers are sorted for each chunk.")

    def place(self, chunk, rng, given):
        started = time.thread_time()
        for _ in range(self.rounds):
            np.sort(rng.random(20_000))
        placed = super().place(chunk, rng, given)
        print(f"in chunk: {time.thread_time() - started:.6f} CPU-s", flush=True)
        return placed
'''
IN_CHUNK = re.compile(r"in chunk: ([0-9.]+) CPU-s")


def rounds_of(chunk_s: float) -> int:
    """Return how often the numbers are sorted in a time."""
    rng, n = np.random.default_rng(1), 200
    took = []
    for _ in range(3):
        started = time.thread_time()
        for _ in range(n):
            np.sort(rng.random(20_000))
        took.append(time.thread_time() - started)
    return round(chunk_s * n / min(took))


def stage(circuit: str, what: str, jobs: int, options: tuple[str, ...] = ()) -> float:
    """Place the cells in tiles, print what it took, and return the seconds of the tile stage."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sorting.py").write_text(SORTING)
        costs = run(circuit, Path(folder), "nodes/a.h5", tiles=TILES, jobs=jobs, options=options)
        ends, starts = [], []
        for benchmark in results(Path(folder)).glob("benchmarks/place/*.tsv"):
            head, row = (line.split("\t") for line in benchmark.read_text().splitlines())
            ends.append(benchmark.stat().st_mtime)
            starts.append(ends[-1] - float(row[head.index("s")]))
        logs = [log.read_text() for log in results(Path(folder)).glob("logs/place/*.log")]
    cpu_s = sum(c.cpu_s for c in costs if c.job.startswith("place/"))
    in_chunks = [float(s) for log in logs for s in IN_CHUNK.findall(log)]
    assert len(in_chunks) == N_CHUNKS, f"{N_CHUNKS} chunks expected (got: {len(in_chunks)})"
    wall_s, outside = max(ends) - min(starts), 1 - sum(in_chunks) / cpu_s
    print(f"{what}: tile stage {wall_s:.1f} s, {len(logs)} jobs, {cpu_s:.1f} CPU-s, {outside:.1%} outside chunks")
    return wall_s


if __name__ == "__main__":
    circuit = CIRCUIT.format(rounds=rounds_of(CHUNK_S))
    one = stage(circuit, "one core", 1)
    for what, options in (("two cores", ()), ("two ranks", ("--profile", str(ROOT / "profiles/mpi")))):
        print(f"{what}: x{one / stage(circuit, what, 2, options):.2f}")
