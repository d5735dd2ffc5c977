"""1e5 chunks of ten cells: what it costs to plan them and to place them.

Aims: `snakemake -n` within 15 s and 1 GB, also with the most tiles; the place phase at most 0.5 ms a chunk, all of which
is counted as overhead, start-up and files included: alone, with cells nearby to look up, in two passes, and on two ranks.
Run: python tests/benchmarks/many_chunks.py
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from cost import ROOT, Cost, command, run, write

N_CHUNKS, MOST_TILES = 100_000, 2_000
MPI = ("--profile", str(ROOT / "profiles/mpi"))
NETWORK = """
components: [reading.py]
rng: {seed: 1}
network: {x: 1000, y: 1000, z: 800, chunk_size: 20}
partitions: {all: {type: rhomboid}}
cell_types:
  a: {spatial: {radius: 0.1, count: 1000000}}
  b: {spatial: {radius: 0.1, count: 1000000}}
  c: {spatial: {radius: 0.1, count: 1000000}}
placement:
  alone: {strategy: random, partitions: [all], cell_types: [a]}
"""
OTHERS = """
  beside: {strategy: reading.Beside, partitions: [all], cell_types: [b], depends_on: [alone]}
  passes: {strategy: reading.InPasses, partitions: [all], cell_types: [c]}
"""
READING = '''
"""RandomPlacement that reads what was placed nearby, and does nothing with it."""

from snakefold.placement.random import RandomPlacement


class Beside(RandomPlacement):
    halo_um = 5.0

    def place(self, chunk, rng, given):
        assert given.cells["a"].positions.shape[1] == 3
        return super().place(chunk, rng, given)


class InPasses(RandomPlacement):
    halo_um = 5.0
    n_passes = 2

    def colour(self, ijk):
        return ijk.sum(axis=1) % 2

    def place(self, chunk, rng, given):
        assert given.earlier == {} or given.earlier["c"].shape[1] == 3
        return super().place(chunk, rng, given)
'''


def plan(circuit: str, tiles: object) -> None:
    """Plan a circuit and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "reading.py").write_text(READING)
        started = time.monotonic()
        process = subprocess.Popen(command(write(circuit, Path(folder)), "-n", tiles=tiles), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        wall_s, cpu_s, mb = time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    assert status == 0, "the dry run failed"
    print(f"plan, tiles {tiles}: {wall_s:.1f} s, {cpu_s:.1f} CPU-s, {mb:.0f} MB at most")


def place(cell_type: str, strategy: str, tiles: object, options: tuple[str, ...] = ()) -> None:
    """Place a cell type and print what its strategy cost a chunk."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "reading.py").write_text(READING)
        costs = run(NETWORK + OTHERS, Path(folder), f"nodes/{cell_type}.h5", tiles=tiles, options=options)
    own = [c for c in costs if _is_of(c, cell_type, strategy)]
    ms = sum(c.cpu_s for c in own) / N_CHUNKS * 1e3
    peak, on = max(c.peak_mb for c in own), " on 2 ranks" if options else ""
    print(f"place {strategy}, tiles {tiles}{on}: {ms:.3f} CPU-ms a chunk in {len(own)} jobs, {peak} MB at most")


def _is_of(cost: Cost, cell_type: str, strategy: str) -> bool:
    return cost.job.startswith((f"build/place/{strategy}", f"place/{strategy}", f"gather/cells.{cell_type}"))


if __name__ == "__main__":
    plan(NETWORK + OTHERS, "auto")
    plan(NETWORK, MOST_TILES)
    place("a", "alone", "auto")
    place("a", "alone", "auto", MPI)
    place("a", "alone", 20)
    place("b", "beside", "auto")
    place("c", "passes", "auto")
