"""What a plan will cost: CPU time and memory of each job, bytes of each file, before anything runs.

A job costs what its process costs, whatever it does, and what `needs` says of its work. Both are declared, as measured
on the circuits of this repository (docs/PLAN.md), and corrected by what the same job, or else the jobs of the same
rule, cost in earlier runs below the same folder of results: in the logs, as `snakefold cost` reads them.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snakefold import needs
from snakefold.cost import Cost, of_log, rule_of
from snakefold.errors import UserError
from snakefold.needs import Needs
from snakefold.nest.devices import report_file
from snakefold.plan import Plan, thaw
from snakefold.results import OWNER

# Of a process: MB and CPU-s, with the libraries that it imports, whatever it does.
PROCESS = {
    "parse": Needs(46, 0.12),
    "build": Needs(55, 0.2),
    "build_morphology": Needs(60, 0.27),
    "build_module": Needs(560, 25.0),
    "validate": Needs(53, 0.2),
    "prepare": Needs(85, 0.33),
    "place": Needs(55, 0.25),
    "connect": Needs(58, 0.28),
    "gather": Needs(56, 0.25),
    "after_placement": Needs(60, 0.4),
    "after_connectivity": Needs(60, 0.4),
    "circuit_config": Needs(46, 0.18),
    "simulate": Needs(190, 1.5),
    "report": Needs(112, 1.5),
}
_ASKING = Needs(132, 0.6)  # NEST, about models that were not compiled when the run started
BYTES_PER_EDGE, BYTES_PER_TARGET, BYTES_PER_EDGE_FILE = 24, 32, 9_000  # an index entry of two ranges for each target
BYTES_PER_CELL, BYTES_PER_NODE_FILE = 29, 15_700
BYTES_PER_SPIKE, BYTES_PER_SAMPLE = 16, 4
BYTES_OF_REPORT, BYTES_PER_PART = 1.0e6, 8_000
BYTES_PER_MADE_EDGE, BYTES_PER_MADE_CELL = 16, 40  # in a journal or a tile
_GATHERED_EDGE_S = 2e-7
_HOOK_BYTES_PER_EDGE = 100
_MOST_RUNS = 8  # earlier ones that are read
_FARTHEST = 8.0  # factor of a correction
_OF_THIS_CIRCUIT = {"build_module", "after_placement", "after_connectivity", "simulate"}  # others are alike elsewhere


@dataclass(frozen=True)
class Job:
    """A job of a plan.

    Attributes
    ----------
    phase : folder of its log
    rule : its rule, as `cost.rule_of` says; key of `PROCESS`
    of : the part that it works on
    needs : all that it costs
    """

    phase: str
    rule: str
    of: str
    needs: Needs


def jobs(plan: Plan) -> dict[str, Job]:
    """Return every job of a plan, by the path of its log within the results folder."""
    found: dict[str, Job] = {}

    def add(phase: str, of: str, work: Needs | None = None, *, log: str = "") -> None:
        log = f"{phase}/{log or of}.log"
        rule, work = rule_of(log), work or Needs()
        base = PROCESS[rule]
        total = Needs(base.memory_mb + work.memory_mb, base.cpu_s + work.cpu_s)
        found[f"logs/{log}"] = Job(phase, rule, of, total)

    add("parse", "parse")
    for part in plan.parts:
        if part != "parse":
            add("build", part, plan.needs_of_build(part))
    for module in plan.modules:
        add("build", f"module/{module}")
    for name, placement in plan.placements.items():
        if placement.prepares:
            add("prepare", f"place.{name}")
        for step in _steps(placement.direct, placement.passes, placement.tiles):
            add("place", name, plan.needs[f"place/{name}"], log=f"{name}{step}")
    for cell_type in plan.gathered_cell_types():
        add("gather", f"cells.{cell_type}", plan.needs[f"cells/{cell_type}"])
    for name, connection in plan.connections.items():
        if connection.prepares:
            add("prepare", f"connect.{name}")
        for step in [""] if connection.direct else [f".{tile}" for tile in range(connection.tiles)]:
            add("connect", name, plan.needs[f"connect/{name}"], log=f"{name}{step}")
        if not connection.direct:
            for edge_set in connection.sets:
                add("gather", f"edges.{edge_set}", Needs(0.0, plan.synapses[edge_set].mean * _GATHERED_EDGE_S))
    for phase, hooks in (("after_placement", plan.after_placement), ("after_connectivity", plan.after_connectivity)):
        for name, hook in hooks.items():
            amounts = plan.cells if phase == "after_placement" else plan.synapses
            n = sum(amounts[of].mean for of in {*hook.files, *hook.reads} if of in amounts)
            add(phase, name, Needs(n * _HOOK_BYTES_PER_EDGE / 1e6, n * 1e-6))
    add("simulate", "circuit")
    for name in plan.simulations:
        add("validate", name, _ASKING if plan.libraries[name] else None)
        add("simulate", name, plan.needs[f"simulate/{name}"])
    add("report", "report", _reporting(plan))
    return found


def _reporting(plan: Plan) -> Needs:
    from snakefold.report.figures import MOST_PANELS

    pairs = plan.edge_sets()
    of_each = (pairs, {source for source, _ in pairs.values()}, {target for _, target in pairs.values()})
    n_panels = sum(min(len(of), MOST_PANELS) for of in of_each)
    return needs.reporting(n_panels, sum(plan.synapses[edge_set].mean for edge_set in pairs))


def _steps(direct: bool, passes: int, tiles: int) -> list[str]:
    return [""] if direct else [f".{p}.{t}" for p in range(passes) for t in range(tiles)]


# Earlier runs


def calibrated(plan: Plan, estimates: Mapping[str, Job]) -> tuple[dict[str, Job], int]:
    """Return the jobs of a plan, corrected by earlier ones, and how many these were."""
    factors, n = _factors(plan)
    made = {}
    for log, job in estimates.items():
        cpu, memory = factors.get((job.rule, job.of)) or factors.get((job.rule, None)) or (1.0, 1.0)
        made[log] = replace(job, needs=Needs(job.needs.memory_mb * memory, job.needs.cpu_s * cpu))
    return made, n


def _factors(plan: Plan) -> tuple[dict[tuple[str, str | None], tuple[float, float]], int]:
    """Return what (CPU time, memory) of jobs were by what was estimated, of each rule and each part of this circuit."""
    pairs: dict[tuple[str, str | None], list[tuple[Cost, Needs]]] = {}
    n = 0
    for folder, earlier in _earlier(plan):
        for log, job in jobs(earlier).items():
            path = Path(folder, log)
            if not path.is_file() or (cost := of_log(path)) is None:
                continue
            n += 1
            own = [(job.rule, job.of)] if folder == Path(plan.results) else []
            for key in (*own, *([(job.rule, None)] if job.rule not in _OF_THIS_CIRCUIT else [])):
                pairs.setdefault(key, []).append((cost, job.needs))
    return {key: _ratios(of) for key, of in pairs.items()}, n


def _ratios(of: Iterable[tuple[Cost, Needs]]) -> tuple[float, float]:
    costs, estimates = zip(*of, strict=True)
    cpu = sum(c.cpu_s for c in costs) / sum(e.cpu_s for e in estimates)
    memory = max(c.largest_mb for c in costs) / max(e.memory_mb for e in estimates)
    return tuple(float(np.clip(ratio, 1 / _FARTHEST, _FARTHEST)) for ratio in (cpu, memory))


def _earlier(plan: Plan) -> list[tuple[Path, Plan]]:
    """Return the plans of the last runs below the folder of results, each with its folder."""
    newest = []
    for owner in Path(plan.results).parent.glob(f"*/{OWNER}"):
        plans = [path for path in owner.parent.glob("*.json") if path != owner]
        if plans:
            newest.append(max((path.stat().st_mtime, path) for path in plans))
    found = []
    for _, path in sorted(newest, reverse=True)[:_MOST_RUNS]:
        try:
            found.append((path.parents[1], thaw(path)))
        except UserError:  # another version's
            continue
    return found


# On the disk


def files(plan: Plan) -> dict[str, float]:
    """Return the bytes of the files that stay, by path; small ones are left out."""
    n_cells = {t: plan.cells[t].mean if t in plan.cells else 0.0 for t in plan.cell_types}
    columns = {edge_set: c.column_bytes for c in plan.connections.values() for edge_set in c.sets}
    made = {plan.built(part): BYTES_PER_PART for part in plan.parts if part != "parse"}
    made |= {plan.nodes(t): BYTES_PER_NODE_FILE + n * BYTES_PER_CELL for t, n in n_cells.items()}
    for edge_set, (_, target) in plan.edge_sets().items():
        n = plan.synapses[edge_set].mean
        of_edges = n * (BYTES_PER_EDGE + columns.get(edge_set, 0))
        made[plan.edges(edge_set)] = BYTES_PER_EDGE_FILE + of_edges + n_cells.get(target, 0.0) * BYTES_PER_TARGET
    for name in plan.simulations:
        made |= _of_simulation(plan, name, n_cells)
    for part in plan.parts:
        if part.startswith("morphology/"):
            size = sum(Path(file).stat().st_size for file in plan.parts[part].files.values())
            made |= {plan.built(part): BYTES_PER_PART + size, plan.morphology(part.split("/", 1)[1]): float(size)}
    return made | {plan.path("report.html"): BYTES_OF_REPORT}


def _of_simulation(plan: Plan, name: str, n_cells: Mapping[str, float]) -> dict[str, float]:
    slice_ = plan.parts[f"simulate/{name}"].slice
    duration = slice_["run"]["duration"]
    n = sum(n_cells.get(t, 0.0) for t in slice_["cells"])
    made = {plan.path("simulations", name, "spikes.h5"): n * duration / 1e3 * needs.RATE_HZ * BYTES_PER_SPIKE}
    for device, of in slice_["devices"].items():
        targets = of["targets"] if isinstance(of["targets"], list) else list(n_cells)
        samples = duration / (of["interval"] or 1.0) * sum(n_cells.get(t, 0.0) for t in targets if isinstance(t, str))
        for variable in of["properties"]:
            file = report_file(device, of["properties"], variable)
            made[plan.path("simulations", name, file)] = samples * BYTES_PER_SAMPLE
    return made


def passing(plan: Plan, logs: Iterable[str]) -> float:
    """Return the bytes that jobs, by their logs, have on the disk for a while, at most: journals, tiles, recordings."""
    known, total = jobs(plan), 0.0
    running = {(job.phase, job.of) for log in logs if (job := known.get(log))}
    for name, placement in plan.placements.items():
        if ("place", name) in running:
            n = sum(plan.cells[t].mean for t in placement.cell_types if t in plan.cells)
            total += n * BYTES_PER_MADE_CELL * (1 if placement.direct else 2)
    for name, connection in plan.connections.items():
        if ("connect", name) in running:
            of = [plan.synapses[s].mean * (BYTES_PER_MADE_EDGE + connection.column_bytes) for s in connection.sets]
            total += sum(of) * (1 if connection.direct else 2)
    n_cells = {t: amount.mean for t, amount in plan.cells.items()}
    recorded = {name: _of_simulation(plan, name, n_cells) for name in plan.simulations}
    return total + sum(sum(of.values()) for name, of in recorded.items() if ("simulate", name) in running)


@dataclass(frozen=True)
class Disk:
    """What a run does to the disk of its results, bytes.

    Attributes
    ----------
    writes : what stays of what it writes
    replaces : what is there of that, and is deleted before
    passes : what is there for a while, at most
    free : the room that there is
    """

    writes: float
    replaces: float
    passes: float
    free: float

    @classmethod
    def of(cls, plan: Plan, sizes: Mapping[str, float], logs: Iterable[str], outputs: Iterable[str]) -> "Disk":
        """Return what jobs do, by their logs and outputs; `sizes` are those of `files`."""
        written = [path for path in outputs if path in sizes]
        there = sum(Path(path).stat().st_size for path in written if Path(path).is_file())
        return cls(sum(sizes[path] for path in written), there, passing(plan, logs), free_bytes(plan.results))

    def too_small(self) -> str:
        """Return what to say where there is too little room, else nothing."""
        if (needed := self.writes - self.replaces + self.passes) <= self.free:
            return ""
        return (
            f"the run needs about {bytes_said(needed)} more ({bytes_said(self.passes)} of it only while it runs), and "
            f"{bytes_said(self.free)} are free; make room, or choose another folder, as in --config results=/other/disk"
        )


def free_bytes(folder: str) -> float:
    """Return how much room there is on the disk of a folder that there may not be yet."""
    there = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.is_dir())
    return float(shutil.disk_usage(there).free)


def bytes_said(n: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.3g} {unit}" if unit != "B" else f"{n:.0f} B"
        n /= 1000
    return f"{n:.3g} TB"
