"""What `snakefold plan` says against what then happens: cells, synapses, bytes, jobs, CPU time and memory of each rule.

Aim: no number off by more than a factor of 2; CPU times of a rule may also be off by 0.5 s, since below that they say
how busy the machine was. Each circuit is planned as if nothing had ever run, then run, or where its results are
finished only read; the table is that of docs/PLAN.md.
Run: python tests/benchmarks/plan.py [CIRCUIT ...] [--keep FOLDER]   (the cerebellum takes 9 minutes of CPU time)
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py

from cost import ROOT, costs
from snakefold.cost import rule_of

CIRCUITS = ("config/circuits/two_layers.yaml", "config/circuits/microcircuit.yaml", ".cerebellum/cortex_in_vitro.yaml")
FACTOR, SLACK_S = 2.0, 0.5
NOT_RESULTS = ("logs", "benchmarks", ".plan")
RULES = ("parse", "build_morphology", "build_module", "build", "prepare", "place", "gather", "connect")
RULES += ("after_placement", "after_connectivity", "circuit_config", "validate", "simulate", "report")


@dataclass(frozen=True)
class Row:
    """A number as planned and as it was; `slack` is by how much it may be off whatever the factor."""

    what: str
    planned: float
    was: float
    form: str = ",.0f"
    slack: float = 0.0

    @property
    def factor(self) -> float:
        """How far off it is, at least 1."""
        if abs(self.planned - self.was) <= self.slack:
            return 1.0
        return max(self.planned / self.was, self.was / self.planned) if self.planned and self.was else float("inf")

    def __str__(self) -> str:
        return f"{self.planned:{self.form}} / {self.was:{self.form}}" + (" **!**" if self.factor > FACTOR else "")


def planned(circuit: Path, folder: Path) -> dict:
    """Return what `snakefold plan` says of a circuit of which nothing was ever run."""
    command = [sys.executable, "-m", "snakefold", "plan", str(circuit), "--json"]
    where = ["--config", f"results={folder / 'nothing'}", "disk=warn"]
    return json.loads(subprocess.run([*command, *where], check=True, capture_output=True, cwd=ROOT).stdout)


def happened(circuit: Path, folder: Path) -> Path:
    """Run a circuit where its results are not finished, and return their folder."""
    results = folder / circuit.stem
    if not (results / "report.html").is_file():
        command = [sys.executable, "-m", "snakefold", "run", str(circuit), "--quiet", "host", "reason"]
        subprocess.run([*command, "--config", f"results={folder}"], check=True, cwd=ROOT, stdout=sys.stderr)
    return results


def rows_of(plan: dict, results: Path) -> list[Row]:
    """Return a plan's numbers beside those of finished results."""
    cells = {name: (of["mean"], _length(results / f"nodes/{name}.h5")) for name, of in plan["cells"].items()}
    edges = {name: (of["mean"], _length(results / f"edges/{name}.h5")) for name, of in plan["synapses"].items()}
    sizes = {p: p.stat().st_size for p in results.rglob("*") if p.is_file()}
    kept = sum(n for path, n in sizes.items() if path.relative_to(results).parts[0] not in NOT_RESULTS)
    of_edges = [results / f"edges/{name}.h5" for name in plan["synapses"]]
    each = [Row(name, *pair) for name, pair in (cells | edges).items()]
    rows = [Row("cells", *map(sum, zip(*cells.values(), strict=True)))]
    rows.append(Row("synapses", *map(sum, zip(*edges.values(), strict=True))))
    worst = max(each, key=lambda row: row.factor)
    rows.append(Row("the cell type or edge set that is farthest off", worst.planned, worst.was))
    rows.append(Row("bytes of the results, MB", plan["disk"]["whole"] / 1e6, kept / 1e6, ".3g"))
    expected = sum(of["bytes"] for of in plan["synapses"].values())
    rows.append(Row("of the edges, MB", expected / 1e6, sum(sizes[path] for path in of_edges) / 1e6, ".3g"))
    jobs, were = plan["runs"], costs(results / "logs")
    rows.append(Row("jobs", len(jobs), len(were)))
    return rows + _costs(jobs, were)


def _costs(jobs: list[dict], were: list) -> list[Row]:
    """Return CPU time and memory of each rule, and the time of all: jobs as planned beside jobs as they were."""
    s, mb, s_was, mb_was = Counter(), {}, Counter(), {}
    for job in jobs:
        s[job["rule"]] += job["cpu_s"]
        mb[job["rule"]] = max(mb.get(job["rule"], 0), job["memory_mb"])
    for job in were:
        rule = rule_of(f"{job.job}.log")
        s_was[rule] += job.cpu_s
        mb_was[rule] = max(mb_was.get(rule, 0), job.peak_mb)
    rules = [rule for rule in RULES if rule in s or rule in s_was]
    times = [Row(f"CPU-s: {rule}", s[rule], s_was[rule], ".1f", SLACK_S) for rule in rules]
    whole = Row("core-minutes of all", sum(s.values()) / 60, sum(s_was.values()) / 60, ".2f")
    return [*times, whole, *(Row(f"largest MB: {rule}", mb.get(rule, 0), mb_was.get(rule, 0)) for rule in rules)]


def _length(path: Path) -> int:
    """Return the number of cells or synapses of a SONATA file."""
    with h5py.File(path) as file:
        (population,) = file[next(iter(file.keys() & {"nodes", "edges"}))].values()
        return len(population["node_type_id" if "node_type_id" in population else "source_node_id"])


def table(columns: dict[str, list[Row]]) -> str:
    """Return the numbers of circuits as a table in Markdown, "planned / happened"."""
    of = {name: {row.what: row for row in rows} for name, rows in columns.items()}
    kinds = ("CPU-s: ", "core-minutes", "largest MB: ")
    rank = {f"{kind}{rule}": i for kind in kinds for i, rule in enumerate(RULES)}
    names = dict.fromkeys(row.what for rows in columns.values() for row in rows)
    names = sorted(
        names, key=lambda name: (sum(i for i, kind in enumerate(kinds, 1) if name.startswith(kind)), rank.get(name, 0))
    )
    lines = [f"| planned / happened | {' | '.join(of)} |", "|---" * (len(of) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(str(rows.get(name, '')) for rows in of.values())} |" for name in names]
    return "\n".join(lines)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("circuits", nargs="*", default=[str(ROOT / circuit) for circuit in CIRCUITS])
    arguments.add_argument("--keep", help="folder for the results, or with those of an earlier run")
    asked = arguments.parse_args()
    columns = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(asked.keep or scratch).resolve()
        for circuit in map(Path, asked.circuits):
            plan = planned(circuit.resolve(), Path(scratch))
            columns[circuit.stem] = rows_of(plan, happened(circuit.resolve(), folder))
    print(table(columns))
    wrong = [(name, row) for name, rows in columns.items() for row in rows if row.factor > FACTOR]
    for name, row in wrong:
        print(f"{name}: {row.what}: off by a factor of {row.factor:.2f}", file=sys.stderr)
    sys.exit(bool(wrong))
