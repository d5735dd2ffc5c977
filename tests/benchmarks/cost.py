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
    """What a job used; on several ranks, their CPU seconds together and the memory of the largest."""

    job: str
    cpu_s: float
    peak_mb: int


def write(circuit: str, folder: Path) -> Path:
    """Write a circuit description in a folder, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / "circuit.yaml"
    description.write_text(circuit)
    return description


def command(description: Path, *arguments: str, tiles: object = "auto", jobs: int = 1) -> list[str]:
    """Return the command that runs Snakemake in a description's folder, to results in `results` there."""
    snakemake = [sys.executable, "-m", "snakemake", f"-c{jobs}", "-s", str(ROOT / "Snakefile")]
    where = ["-d", str(description.parent), *arguments]
    return [*snakemake, *where, "--config", f"circuit={description}", "results=results", f"tiles={tiles}"]


def run(
    circuit: str, folder: Path, *targets: str, tiles: object = "auto", jobs: int = 1, options: tuple[str, ...] = ()
) -> list[Cost]:
    """Build a circuit description in a folder and return the costs of all its jobs."""
    description = write(circuit, folder)
    files = [f"results/circuit/{target}" for target in targets]
    subprocess.run(command(description, *files, "-q", "all", *options, tiles=tiles, jobs=jobs), check=True)
    return costs(results(folder) / "logs")


def results(folder: Path) -> Path:
    """Return where the results of the description in a folder are."""
    return folder / "results/circuit"


def costs(logs: Path) -> list[Cost]:
    """Return the costs of all jobs whose logs are below a folder."""
    found = []
    for log in sorted(logs.rglob("*.log")):
        ranks = [(float(cpu_s), int(mb)) for cpu_s, mb in COST.findall(log.read_text())]
        found.append(Cost(str(log.relative_to(logs))[:-4], sum(c for c, _ in ranks), max(mb for _, mb in ranks)))
    return found


def table(costs: list[Cost]) -> str:
    """Return a table of costs with their sum."""
    lines = [f"  {c.job:40s} {c.cpu_s:7.2f} CPU-s {c.peak_mb:6d} MB" for c in costs]
    total = f"  {'all':40s} {sum(c.cpu_s for c in costs):7.2f} CPU-s {max(c.peak_mb for c in costs):6d} MB"
    return "\n".join([*lines, total])
