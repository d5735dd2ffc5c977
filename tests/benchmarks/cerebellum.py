"""The mouse cerebellar cortex of cerebellar-models: what its connections, its jobs and the whole run cost.

Aims: 100 x 100 um: at most 1 CPU-s in the kernels of all strategies, 25 CPU-s in all jobs of the connect phase. 300 x 200
um: at most 3 CPU-s in the kernels, 60 CPU-s and 45 s in all from the description to SONATA on two cores, no job above
1 GB. Twice the volume costs twice the kernels, within 20 %, up to eight times; the volume is made longer across the parallel
fibres, along which a cell's reach is shorter than the circuit.

A kernel is what a strategy computes (`connect`), its candidates, draws and locations included; not what is read and written.
Run: python tests/benchmarks/cerebellum.py [largest multiple, 8], after `make cerebellum`
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cost import ROOT, command, costs, results, table

sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests" / "unit"), str(ROOT / "tests" / "acceptance")]

import cortex  # noqa: E402
from descriptions import connect, run  # noqa: E402
from snakefold.connectivity.strategy import ConnectivityStrategy  # noqa: E402
from snakefold.loading import load  # noqa: E402
from snakefold.planning import make  # noqa: E402

SEED = 1234


class Clock:
    """Adds up the CPU seconds of calls, by the strategy whose they are."""

    def __init__(self):
        self.cpu_s: dict[str, float] = {}

    def on(self, cls: type[ConnectivityStrategy]) -> None:
        """Measure the calls of a class's `connect` from now on."""
        plain = cls.connect

        def measured(strategy, *arguments):
            start = time.process_time()
            made = plain(strategy, *arguments)
            self.cpu_s[strategy.node_name] = self.cpu_s.get(strategy.node_name, 0.0) + time.process_time() - start
            return made

        cls.connect = measured


def kernels(folder: Path, x: float, y: float, clock: Clock) -> tuple[float, int]:
    """Connect the cortex of an extent in this process; return CPU seconds in kernels, and the number of synapses."""
    clock.cpu_s.clear()
    with contextlib.redirect_stdout(None):
        plan = run(make(load(cortex.write(folder, SEED, x, y)), str(folder / f"{x}x{y}"), 1, "none"), "place")
        left = list(plan.connections)
        while left:
            for name in [
                n
                for n in left
                if not {*plan.connections[n].reads} & {s for m in left for s in plan.connections[m].sets}
            ]:
                connect(plan, name)
                left.remove(name)
    return sum(clock.cpu_s.values()), sum(cortex.n_synapses(plan).values())


def whole(folder: Path, x: float, y: float) -> None:
    """Run Snakemake on the cortex of an extent, and print what it and its jobs cost."""
    description = cortex.write(folder, SEED, x, y, "circuit.yaml")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([*command(description, "-q", "all", jobs=2), "simulations=none"], check=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    cpu_s = sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))
    found = costs(results(folder) / "logs")
    connecting = [
        c for c in found if c.job.startswith(("connect/", "prepare/connect.", "build/connect/", "gather/edges."))
    ]
    print(table(found))
    print(f"  connect phase, all jobs: {sum(c.cpu_s for c in connecting):.1f} CPU-s in {len(connecting)}", end="; ")
    print(f"whole run, report included: {cpu_s:.1f} CPU-s, {wall:.1f} s, at most {max(c.peak_mb for c in found)} MB")


if __name__ == "__main__":
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as temporary:
        for i, (x, y) in enumerate([(100, 100), (300, 200)]):
            print(f"{x} x {y} x 295 um, by Snakemake")
            (folder := Path(temporary, str(i))).mkdir()
            whole(folder, x, y)
        clock = Clock()
        strategies = load(cortex.write(Path(temporary), SEED)).circuit.connectivity.values()
        for cls in {type(strategy) for strategy in strategies}:
            clock.on(cls)
        kernels(Path(temporary), 100, 100, clock)  # imports what is imported late
        for x, y in [(100, 100), *((300 * n, 200) for n in (1, 2, 4, 8) if n <= largest)]:
            cpu_s, n = kernels(Path(temporary), x, y, clock)
            print(f"{x} x {y} x 295 um, kernels: {cpu_s:.2f} CPU-s, {n} synapses, {cpu_s / n * 1e6:.2f} us each")
            for name, own in sorted(clock.cpu_s.items()):
                print(f"  {name:40s} {own:7.3f} CPU-s")
