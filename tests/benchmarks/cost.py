"""Runs a circuit with Snakemake and reads from the jobs' logs what each cost: CPU seconds, start-up included, and memory."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COST = re.compile(r"^cost: ([0-9.]+) CPU-s, ([0-9]+) MB at most$", re.MULTILINE)


@dataclass(frozen=True)
class Cost:
    """What a job used."""

    job: str
    cpu_s: float
    peak_mb: int


def run(circuit: str, folder: Path, *targets: str, tiles: object = "auto") -> list[Cost]:
    """Build a circuit description in a folder and return the costs of all its jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / "circuit.yaml"
    description.write_text(circuit)
    results = folder / "results"
    command = [sys.executable, "-m", "snakemake", "-c1", "-q", "all", "-d", str(ROOT), "-s", str(ROOT / "Snakefile")]
    command += [f"{results}/circuit/{target}" for target in targets]
    subprocess.run([*command, "--config", f"circuit={description}", f"results={results}", f"tiles={tiles}"], check=True)
    costs = []
    for log in sorted(results.rglob("*.log")):
        match = COST.search(log.read_text())
        costs.append(Cost(str(log.relative_to(results / "circuit/logs"))[:-4], float(match[1]), int(match[2])))
    return costs


def table(costs: list[Cost]) -> str:
    """Return a table of costs with their sum."""
    lines = [f"  {c.job:40s} {c.cpu_s:7.2f} CPU-s {c.peak_mb:6d} MB" for c in costs]
    total = f"  {'all':40s} {sum(c.cpu_s for c in costs):7.2f} CPU-s {max(c.peak_mb for c in costs):6d} MB"
    return "\n".join([*lines, total])
