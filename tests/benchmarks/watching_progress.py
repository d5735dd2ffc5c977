"""A run of a hundred short jobs, the worst case for progress: what it costs to watch it, on a terminal and in lines.

Aim: at most 2 % of the run's CPU time. What watching cost, the run's record says; the rest the operating system.
Run: python tests/benchmarks/watching_progress.py
"""

import json
import os
import pty
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from cost import ROOT, command

MOST = 0.02
TILES = 15


def watched(folder: Path, *, terminal: bool) -> tuple[float, float, int]:
    """Build the small circuit in a new folder; return the CPU seconds of watching and of all, and the number of jobs."""
    circuit = folder / "two_layers.yaml"
    circuit.write_bytes((ROOT / "config/circuits/two_layers.yaml").read_bytes())
    ours, theirs = pty.openpty() if terminal else (None, None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, "TERM": "xterm"}
    out = theirs if terminal else subprocess.DEVNULL
    process = subprocess.Popen(command(circuit, tiles=TILES, jobs=2), cwd=folder, env=env, stdout=out, stderr=out)
    if terminal:
        os.close(theirs)
        try:
            while os.read(ours, 65536):
                pass
        except OSError:  # nobody writes any more
            os.close(ours)
    if process.wait():
        sys.exit("the run failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = (folder / "results/two_layers/.plan/run.jsonl").read_text().splitlines()
    all_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(lines[-1])[3], all_s, len(json.loads(lines[0])["jobs"])


if __name__ == "__main__":
    fine = True
    for terminal in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            mine, all_s, n_jobs = watched(Path(folder), terminal=terminal)
        fine = fine and mine <= MOST * all_s
        where = "terminal" if terminal else "lines"
        print(f"{where}: {mine:.2f} of {all_s:.1f} CPU-s, {mine / all_s:.1%} ({n_jobs} jobs)", flush=True)
    sys.exit(not fine)
