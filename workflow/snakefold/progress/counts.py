"""How much of its work a job has done: chunks, cells, synapses and model time, counted where the job leaves them.

A tile says in its log how many chunks it has, and at the end how many cells or synapses these have; between, its
journal is counted, on whatever node the job runs. A simulation says in its log how far it is.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snakefold.fanout.journal import sizes
from snakefold.progress.jobs import RUNNING, SUCCESS, Job, Run

UNITS = {"place": "cells", "connect": "synapses", "simulate": "ms"}
_CHUNKS = re.compile(r": (\d+) chunks, \d+ of them from the journal")
_DONE = re.compile(r": done, (\d+) chunks, (\d+) (?:cells|synapses)$", re.MULTILINE)
_UNTIL = re.compile(r": ([\d.e+]+) of ([\d.e+]+) ms, ")
_TAIL_BYTES = 2000
SKEW_S = 2.0  # that the clocks of nodes may differ


@dataclass
class Count:
    """Work done and wanted.

    Attributes
    ----------
    chunks, wanted_chunks : finished, and all; None where it is not known yet
    made, wanted : cells, synapses or ms of model time; None where it is not known
    """

    chunks: int = 0
    wanted_chunks: float | None = None
    made: float = 0
    wanted: float | None = None

    @property
    def fraction(self) -> float | None:
        """How much is done; None where that is not known."""
        done, all_ = (self.chunks, self.wanted_chunks) if self.wanted_chunks else (self.made, self.wanted)
        return min(done / all_, 1.0) if all_ else None


class Counter:
    """Counts the work of a run's jobs; what was counted once is not read again.

    Parameters
    ----------
    run : whose jobs they are
    """

    def __init__(self, run: Run):
        self.run, self.folder = run, Path(run.results)
        self._ended: dict[tuple[int, float], Count] = {}
        self._journals: dict[Path, tuple[dict[str, int], int]] = {}
        self._builds = {job.name.removeprefix("build "): [job] for job in run.jobs.values() if job.rule == "build"}
        self._layouts: dict[str, tuple[int, int, int]] = {}

    def of_job(self, job: Job) -> Count:
        """Return the work of a job."""
        if not job.part or job.status not in (RUNNING, SUCCESS):
            return Count()
        key = job.id, job.since
        if key in self._ended:
            return self._ended[key]
        count = self._of_simulation(job) if job.phase == "simulate" else self._of_tile(job)
        if job.status == SUCCESS:
            self._ended[key] = count
        return count

    def of_phase(self, phase: str, jobs: list[Job]) -> Count:
        """Return the work of the jobs of a phase."""
        working = [job for job in jobs if job.part]
        counts = {job.id: self.of_job(job) for job in working}
        total = Count(sum(c.chunks for c in counts.values()), None, sum(c.made for c in counts.values()), None)
        parts: dict[str, list[Job]] = {}
        for job in working:
            parts.setdefault(job.part, []).append(job)
        if phase != "simulate":
            total.wanted_chunks = _summed(parts, lambda part: self._chunks(part, [counts[j.id] for j in parts[part]]))
        total.wanted = _summed(parts, lambda part: self._wanted(part, parts[part]))
        return total

    def _chunks(self, part: str, counts: list[Count]) -> float | None:
        """Return how many chunks some tiles of a strategy have; where not all say so, as many as the others."""
        if part.startswith("place/") and (layout := self._layout(part)) and len(counts) == layout[2]:
            return layout[0]
        known = [c.wanted_chunks for c in counts if c.wanted_chunks is not None]
        return sum(known) / len(known) * len(counts) if known else None

    def _wanted(self, part: str, jobs: list[Job]) -> float | None:
        """Return what some jobs of a part are to make: of tiles their share."""
        if part.startswith("place/"):
            layout = self._layout(part)
            return layout[1] * len(jobs) / layout[2] if layout else None
        return self.run.expected.get(part)

    def _layout(self, part: str) -> tuple[int, int, int] | None:
        """Return the numbers of chunks, cells and tiles (of all passes) of a placement, once its part is built."""
        if part not in self._layouts:
            import h5py

            if any(job.status != SUCCESS for job in self._builds.get(part, ())):
                return None
            try:
                with h5py.File(self.folder / "build" / f"{part}.h5", "r") as file:
                    tiles = (len(file["tiles"]) - 1) * (int(file["colours"][()].max(initial=0)) + 1)
                    self._layouts[part] = len(file["chunks"]), int(file["counts"][()].sum()), tiles
            except (OSError, KeyError):
                return None
        return self._layouts[part]

    def _of_tile(self, job: Job) -> Count:
        log = self._log(job)
        if job.status == SUCCESS and (done := _DONE.search(log)):
            chunks, made = map(int, done.groups())
            return Count(chunks, chunks, made, made)
        said = _CHUNKS.search(log) if job.status == RUNNING else None
        keys = self._journalled(job)
        return Count(len(keys), int(said[1]) if said else None, sum(keys.values()))

    def _journalled(self, job: Job) -> dict[str, int]:
        """Return the chunks in a job's journal, by key: how many rows each has."""
        root, keys = self.folder / job.journal, {}
        try:
            folders = [folder for folder in root.iterdir() if folder.is_dir()]
            newest = max(folders, key=lambda folder: folder.stat().st_mtime, default=None)
            files = sorted(newest.glob("*.journal")) if newest else []
        except OSError:  # it has not begun to write, or has just been taken away
            return keys
        for file in files:
            known, offset = self._journals.get(file, ({}, 0))
            found, offset = sizes(file, offset)
            self._journals[file] = known | found, offset
            keys |= known | found
        return keys

    def _of_simulation(self, job: Job) -> Count:
        wanted = self.run.expected.get(job.part)
        if job.status == SUCCESS:
            return Count(made=wanted or 0, wanted=wanted)
        said = _UNTIL.findall(self._log(job))
        return Count(made=float(said[-1][0]) if said else 0, wanted=wanted)

    def _log(self, job: Job) -> str:
        return _begin_and_end(self.folder / job.log, job.asked - SKEW_S if job.status == RUNNING else 0.0)


def _summed(parts: dict, of: Callable[[str], float | None]) -> float | None:
    found = [of(part) for part in parts]
    return sum(found) if found and None not in found else None


def _begin_and_end(log: Path, since: float) -> str:
    """Return the first and the last lines of a log, which may be long; "" if it is older, so of an earlier attempt."""
    try:
        with log.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime < since:
                return ""
            size = file.seek(0, 2)
            file.seek(0)
            text = file.read(_TAIL_BYTES)
            if size > len(text):
                file.seek(max(len(text), size - _TAIL_BYTES))
                text += file.read()
    except OSError:
        return ""
    return text.decode("utf-8", "replace")
