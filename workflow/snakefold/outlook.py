"""What `snakefold plan` says: what a run would make, what it would cost, what it would run again and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from snakefold import edits, estimate
from snakefold.dryrun import Planned
from snakefold.edits import Edit
from snakefold.errors import UserError
from snakefold.estimate import Disk, Job, bytes_said
from snakefold.needs import Needs
from snakefold.plan import Amount, Plan

WIDTH = 80
MOST_LINES = 12  # of a table; the largest are shown
_MOST_REASONS = 3
_MISSING, _FOLLOWS, _TEXT = "is not there", "follows", "the text of the description"


@dataclass(frozen=True)
class Outlook:
    """What a run would do.

    Attributes
    ----------
    every, running : jobs by their logs: those of the whole circuit, and those that would run
    earlier : how many earlier jobs the estimates were corrected by
    edits : of the description since the last run; None where there was none
    reasons : why jobs run, by their logs
    files : bytes of those that stay, by path
    disk : what the run writes, and how much room there is
    """

    plan: Plan
    every: dict[str, Job]
    running: dict[str, Job]
    earlier: int
    edits: list[Edit] | None
    reasons: dict[str, list[str]]
    files: dict[str, float]
    disk: Disk

    @classmethod
    def of(cls, plan: Plan, planned: Iterable[Planned]) -> "Outlook":
        """Return the outlook of a plan, of which Snakemake would run some jobs."""
        every, earlier = estimate.calibrated(plan, estimate.jobs(plan))
        changed, files = edits.of_description(plan), estimate.files(plan)
        touched = edits.of_parts(plan, changed or ())
        running, reasons, outputs = {}, {}, []
        for job in planned:
            log = job.log.removeprefix(f"{plan.results}/")
            running[log] = every.setdefault(log, Job("other", "other", job.rule, Needs()))  # of rules of a user's own
            keys = touched.get(every[log].of, []) if every[log].phase == "build" else []
            reasons[log] = _reasons(job, [_TEXT] if every[log].rule == "parse" and changed == [] else keys)
            outputs += job.outputs
        for log, job in running.items():  # a job has the reasons of the part that it runs from
            if job.phase != "build" and (why := reasons.get(f"logs/build/{_part(job)}.log")):
                reasons[log] = why
        disk = Disk.of(plan, files, running, outputs)
        return cls(plan, every, running, earlier, changed, reasons, files, disk)

    def refused(self) -> UserError | None:
        """Return that the disk is too small, if it is."""
        return UserError(said, where=self.plan.results) if (said := self.disk.too_small()) else None

    # As text

    def text(self) -> str:
        """Return it as text, at most 80 columns wide."""
        parts = [self._cells(), self._synapses(), self._cost(), self._disk(), self._runs()]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _cells(self) -> list[str]:
        cells = {t: self.plan.cells[t] for t in self.plan.cell_types if t in self.plan.cells}
        lines = [_head("cells", cells.values())]
        return lines + _largest([(a.mean, f"  {_short(t):<44} {_amount(a)}") for t, a in cells.items()], "types")

    def _synapses(self) -> list[str]:
        sets = {s: self.plan.synapses[s] for s in self.plan.edge_sets()}
        if not sets:
            return []
        lines = [_head("synapses", sets.values())]
        rows = [
            (a.mean, f"  {_short(s):<44} {_amount(a):<21} {bytes_said(self.files[self.plan.edges(s)]):>10}")
            for s, a in sets.items()
        ]
        return lines + _largest(rows, "edge sets")

    def _cost(self) -> list[str]:
        by = f"corrected by {self.earlier:,} earlier jobs here" if self.earlier else "with no earlier run here to go by"
        lines = [f"cost, {by}", f"  {'rule':<20} {'jobs':>6} {'to run':>7} {'core-minutes':>13} {'largest MB':>11}"]
        for rule in [*dict.fromkeys(job.rule for job in self.every.values()), None]:
            all_, run = ([job for job in of.values() if rule in (None, job.rule)] for of in (self.every, self.running))
            minutes, most = sum(j.needs.cpu_s for j in run) / 60, max((j.needs.memory_mb for j in run), default=0)
            numbers = f"{len(all_):>6} {len(run):>7} {minutes:>13.2f} {most:>11.0f}"
            lines.append(f"  {rule or 'all':<20} {numbers}")
        return lines

    def _disk(self) -> list[str]:
        whole = f"disk: the whole circuit about {bytes_said(sum(self.files.values()))}"
        run = f"; this run writes {bytes_said(self.disk.writes)}, and {bytes_said(self.disk.passes)} more while it runs"
        return wrap(
            f"{whole}{run if self.running else ''}; {bytes_said(self.disk.free)} are free",
            WIDTH,
            subsequent_indent="  ",
        )

    def _why_all(self) -> str:
        if self.edits is not None:
            return ""
        there = Path(self.plan.path("parse.h5")).is_file()
        return ": what is there is of another version of Snakefold" if there else ", for the first time"

    def _runs(self) -> list[str]:
        if not self.running:
            return ["nothing will run: all results are there"]
        if len(self.running) == len(self.every) and not self.edits:
            return [f"all {len(self.running)} jobs will run{self._why_all()}"]
        changed = self.edits or []
        lines = (
            ["you changed"]
            if changed
            else ["no key has changed" if self.edits == [] else "no earlier description is there"]
        )
        for edit in changed[:MOST_LINES]:
            lines += wrap(str(edit), WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
        if len(changed) > MOST_LINES:
            lines.append(f"  and {len(changed) - MOST_LINES} more keys")
        lines.append(f"runs again: {len(self.running)} of {len(self.every)} jobs")
        rows = self._groups()
        for rule, of, n, why in rows[: 2 * MOST_LINES]:
            lines += _row(rule, f"{of} ({n} tiles)" if n > 1 else of, why)
        if len(rows) > 2 * MOST_LINES:
            lines.append(f"  and {len(rows) - 2 * MOST_LINES} more (--json has all)")
        kept: dict[str, int] = {}
        for log, job in self.every.items():
            if log not in self.running:
                kept[job.rule] = kept.get(job.rule, 0) + 1
        said = ", ".join(f"{rule} {n}" for rule, n in kept.items())
        return lines + wrap(f"keeps: {said or 'nothing'}", WIDTH, subsequent_indent="  ")

    def _groups(self) -> list[tuple[str, str, int, list[str]]]:
        """Return what runs: rule, part, number of jobs, reasons; build jobs go with the jobs that they are for."""
        groups: dict[tuple[str, str], list[str]] = {}
        for log, job in self.running.items():
            groups.setdefault((job.rule, job.of), []).append(log)
        parts = {_part(job) for job in self.running.values() if job.phase != "build"}
        order = {log: i for i, log in enumerate(self.every)}
        return [
            (rule, of, len(logs), self.reasons[logs[0]])
            for (rule, of), logs in sorted(groups.items(), key=lambda g: order[g[1][0]])
            if (rule != "parse" or len(groups) == 1) and not (rule == "build" and of in parts)
        ]

    def json(self) -> dict:
        """Return it as plain JSON."""
        plan = self.plan
        cells = {t: plan.cells[t] for t in plan.cell_types if t in plan.cells}
        sets = {s: plan.synapses[s] for s in plan.edge_sets()}
        return {
            "circuit": plan.circuit,
            "results": plan.results,
            "cells": {t: vars(a) for t, a in cells.items()},
            "synapses": {s: vars(a) | {"bytes": round(self.files[plan.edges(s)])} for s, a in sets.items()},
            "disk": {
                "whole": round(sum(self.files.values())),
                **{name: round(n) for name, n in vars(self.disk).items()},
            },
            "calibrated_by": self.earlier,
            "changed": None if self.edits is None else edits.as_json(self.edits),
            "runs": [_job(log, job) | {"why": self.reasons[log]} for log, job in self.running.items()],
            "keeps": [_job(log, job) for log, job in self.every.items() if log not in self.running],
        }


def _part(job: Job) -> str:
    """Return the part that a job runs from."""
    return job.of.replace(".", "/", 1) if job.phase == "prepare" else f"{job.phase}/{job.of}"


def _reasons(job: Planned, keys: Sequence[str]) -> list[str]:
    if keys:
        return list(keys)
    if job.reason.startswith("Missing output"):
        return [_MISSING]
    return [_FOLLOWS] if job.reason.startswith("Input files updated by another job") else [_said(job.reason)]


def _said(reason: str) -> str:
    return reason.partition(":")[0].strip().lower().removesuffix(" since last execution")


def _job(log: str, job: Job) -> dict:
    return {
        "log": log,
        "phase": job.phase,
        "rule": job.rule,
        "of": job.of,
        "cpu_s": round(job.needs.cpu_s, 3),
        "memory_mb": round(job.needs.memory_mb, 1),
    }


def _head(what: str, amounts: Iterable[Amount]) -> str:
    amounts = list(amounts)
    whole = Amount(sum(a.mean for a in amounts), sum(a.sd**2 for a in amounts) ** 0.5, all(a.known for a in amounts))
    return f"{what:<46} {_amount(whole)}"


def _short(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:41]}..."


def _amount(amount: Amount) -> str:
    if not amount.known:
        digits = max(len(str(round(amount.mean))) - 2, 0)
        return f"about {round(amount.mean, -digits):,.0f}"
    return f"{amount.mean:,.0f}" + (f" +- {amount.sd:,.0f}" if amount.sd >= 0.5 else "")


def _largest(rows: list[tuple[float, str]], what: str) -> list[str]:
    rows.sort(key=lambda row: -row[0])
    lines = [line.rstrip() for _, line in rows[:MOST_LINES]]
    left = len(rows) - MOST_LINES
    return [*lines, f"  and {left} smaller {what} (--json has all)"] if left > 0 else lines


def _row(rule: str, of: str, why: list[str]) -> list[str]:
    more = len(why) - _MOST_REASONS
    said = ", ".join(why[:_MOST_REASONS]) + (f" and {more} more" if more > 0 else "")
    head = f"  {rule:<16} {of:<22} "
    if len(head) + len(said) <= WIDTH:
        return [head + said]
    return [head.rstrip()[:WIDTH], *wrap(said, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)]
