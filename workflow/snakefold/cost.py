"""What a circuit has cost: what its jobs say at the end of their logs, and what SLURM has accounted for.

A job's log ends with the CPU time and memory of its processes, start-up included, of the attempt that succeeded.
Snakemake measures the time of a job, and its CPU time and memory from outside, now and then: of one that takes a
second, next to nothing. SLURM accounts for every attempt, with the processes of Snakemake around it.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from snakefold.leftovers import names

_COST = re.compile(r"^cost: ([\d.]+) CPU-s, (\d+) MB at most$", re.MULTILINE)
# Snakemake submits a job with its rule as a comment. Sites rarely keep comments; they keep the line that was submitted.
_RULE = re.compile(r" --comment rule_(\S+?)(?:_wildcards_|\s|$)")
_KIND = re.compile(r"build_module|build_morphology|after_placement|after_connectivity|[a-z]+")
_COLUMNS = ("JobID", "State", "ElapsedRaw", "TotalCPU", "MaxRSS", "ReqMem", "SubmitLine")
_NOT_ENDED = {"PENDING", "RUNNING", "REQUEUED", "RESIZING", "SUSPENDED"}
_UNITS = {"K": 2**-10, "M": 1, "G": 2**10, "T": 2**20}  # SLURM's MB are of 2**20 bytes, as are ours


@dataclass
class Cost:
    """What some jobs have cost.

    Attributes
    ----------
    jobs : how many
    cpu_s : of all together
    largest_mb : memory of the largest
    longest_s : time of the longest; 0 where it is not known
    asked_mb : the most memory that one asked for; 0 where it is not known
    failed : how many ended otherwise than well
    """

    jobs: int = 0
    cpu_s: float = 0.0
    largest_mb: float = 0.0
    longest_s: float = 0.0
    asked_mb: float = 0.0
    failed: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.jobs + other.jobs,
            self.cpu_s + other.cpu_s,
            max(self.largest_mb, other.largest_mb),
            max(self.longest_s, other.longest_s),
            max(self.asked_mb, other.asked_mb),
            self.failed + other.failed,
        )


def rule_of(log: str | Path) -> str:
    """Return the rule of a job by its log, relative to the folder of logs: as `connect`, without what it is of."""
    phase, *rest = Path(log).with_suffix("").parts
    if phase == "build" and rest[0] in ("morphology", "module"):
        return f"build_{rest[0]}"
    return "circuit_config" if (phase, *rest) == ("simulate", "circuit") else phase


def of_logs(results: str | Path) -> dict[str, Cost]:
    """Return the cost by rule, of the logs in a results folder; the ranks of a job are added up."""
    costs: dict[str, Cost] = {}
    logs = Path(results, "logs")
    for path in sorted(logs.rglob("*.log")):
        if job := of_log(path):
            rule = rule_of(path.relative_to(logs))
            costs[rule] = costs.get(rule, Cost()) + job
    return costs


def of_benchmarks(results: str | Path, failed: Mapping[str, int] | None = None) -> dict[str, Cost]:
    """Return the cost by rule of the latest jobs: times as Snakemake measures them, the rest as their logs say.

    Where there is no log, CPU time and memory are Snakemake's, too; a figure that it lacks is 0.

    Parameters
    ----------
    failed : rule -> attempts that failed
    """
    costs: dict[str, Cost] = {}
    measured = Path(results, "benchmarks")
    for path in sorted(measured.rglob("*.tsv")):
        names, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()] or [[]]
        for row in rows[-1:]:
            cells = dict(zip(names, row, strict=False))
            seconds, mb, cpu = (_measured(cells.get(key)) for key in ("s", "max_rss", "cpu_time"))
            name = path.relative_to(measured)
            log = Path(results, "logs", name).with_suffix(".log")
            said = (of_log(log) if log.exists() else None) or Cost(1, cpu, mb)
            rule = rule_of(name)
            costs[rule] = costs.get(rule, Cost()) + replace(said, longest_s=seconds)
    for rule, n in (failed or {}).items():
        costs[rule] = costs.get(rule, Cost()) + Cost(failed=n)
    return costs


def _measured(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0  # "NA", of a job that was too short


def of_log(path: Path) -> Cost | None:
    """Return the cost of the job of a log, its ranks added up; None where the log does not end with it."""
    found = _COST.findall(path.read_text(encoding="utf-8", errors="replace"))
    return Cost(1, sum(float(c) for c, _ in found), sum(float(m) for _, m in found)) if found else None


def of_slurm(results: str | Path) -> dict[str, Cost]:
    """Return the cost by rule of all SLURM jobs of a circuit's runs that have ended; nothing where no sacct answers."""
    runs = names(results)
    if not runs or shutil.which("sacct") is None:
        return {}
    words = ["sacct", "--noheader", "--parsable2", "--starttime=1970-01-01", f"--name={','.join(runs)}"]
    done = subprocess.run([*words, f"--format={','.join(_COLUMNS)}"], capture_output=True, text=True)
    return _by_rule(line.split("|", len(_COLUMNS) - 1) for line in done.stdout.splitlines())


def without_names(costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """Return the costs of rules, those together that differ in what they are of, as `connect_<strategy>`."""
    kinds: dict[str, Cost] = {}
    for rule, cost in costs.items():
        kind = _KIND.match(rule)[0]
        kinds[kind] = kinds.get(kind, Cost()) + cost
    return kinds


def total(costs: Iterable[Cost]) -> Cost:
    """Return the cost of all together."""
    return sum(costs, Cost())


def _by_rule(rows: Iterable[list[str]]) -> dict[str, Cost]:
    """Return the cost by rule of the rows of sacct: of each job one, followed by one for each of its steps."""
    jobs: dict[str, dict] = {}
    for row in rows:
        if len(row) != len(_COLUMNS):
            continue
        cells = dict(zip(_COLUMNS, row, strict=True))
        name, step, _ = cells["JobID"].partition(".")
        if not step:
            jobs[name] = cells | {"mb": 0.0}
        elif name in jobs:
            jobs[name]["mb"] += _megabytes(cells["MaxRSS"])  # they run side by side, Snakemake around the job's own
    costs: dict[str, Cost] = {}
    for cells in jobs.values():
        if cells["State"] in _NOT_ENDED:
            continue
        found = _RULE.search(cells["SubmitLine"])
        rule = found[1] if found else "jobs"
        elapsed, asked = float(cells["ElapsedRaw"] or 0), _megabytes(cells["ReqMem"])
        failed = int(cells["State"] != "COMPLETED")
        costs[rule] = costs.get(rule, Cost()) + Cost(
            1, _seconds(cells["TotalCPU"]), cells["mb"], elapsed, asked, failed
        )
    return costs


def _megabytes(text: str) -> float:
    found = re.match(r"([\d.]+)([KMGT]?)", text)
    return float(found[1]) * _UNITS.get(found[2], 2**-20) if found else 0.0


def _seconds(text: str) -> float:
    """Return the seconds of a time as SLURM writes it: [days-][hours:]minutes:seconds."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in filter(None, rest.split(":")):
        seconds = seconds * 60 + float(part)
    return seconds + 86400 * int(days or 0)


def table(costs: Mapping[str, Cost]) -> str:
    """Return the costs of rules as lines of text, at most 80 columns wide, the sum last."""
    heads = ("jobs", "failed", "CPU-s", "largest MB", "asked MB", "longest s")
    lines = [f"{'rule':<20} {heads[0]:>6} {heads[1]:>6} {heads[2]:>10} {heads[3]:>10} {heads[4]:>8} {heads[5]:>9}"]
    for rule, cost in [*sorted(costs.items()), ("all", total(costs.values()))]:
        known = f"{cost.asked_mb:>8.0f} {cost.longest_s:>9.0f}" if cost.asked_mb else f"{'-':>8} {'-':>9}"
        numbers = f"{cost.jobs:>6} {cost.failed:>6} {cost.cpu_s:>10.1f} {cost.largest_mb:>10.0f}"
        lines.append(f"{rule:<20} {numbers} {known}")
    return "\n".join(lines)
