"""What a simulation records: devices of NEST, drained after each segment into a journal, and read back from there.

A journal begins with a header: the populations and NEST's ids of their cells, the devices and what they record. Then
one record per segment holds its spikes and the samples of every multimeter, so that a killed run leaves whole segments.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from snakefold.fanout.journal import Arrays, Journal

HEADER, SEGMENT = "header", "segment"
_DECIMALS = 6  # ms: a thousandth of NEST's tic


@dataclass(frozen=True)
class Meter:
    """A multimeter: what it records, every how many ms, from which populations, and their cells where not all."""

    name: str
    properties: list[str]
    units: list[str]
    interval: float
    targets: list[str]
    ids: dict[str, list[int]] = field(default_factory=dict)

    def n_cells(self, header: "Header", target: str) -> int:
        """Return how many cells of a population are recorded."""
        return len(self.ids[target]) if target in self.ids else header.n[target]


@dataclass(frozen=True)
class Header:
    """What is recorded.

    Attributes
    ----------
    name : of the simulation
    resolution, duration : ms
    first, n : population -> NEST's id of its first cell, number of cells
    spikes_of : populations whose spikes are recorded
    meters : the multimeters, by name
    """

    name: str
    resolution: float
    duration: float
    first: dict[str, int]
    n: dict[str, int]
    spikes_of: list[str]
    meters: list[Meter] = field(default_factory=list)

    def arrays(self) -> Arrays:
        """Return the header as a record of a journal."""
        return {"json": np.frombuffer(json.dumps(asdict(self)).encode(), np.uint8)}

    @classmethod
    def of(cls, arrays: Arrays) -> "Header":
        """Return the header of a record."""
        values = json.loads(arrays["json"].tobytes())
        return cls(**values | {"meters": [Meter(**meter) for meter in values["meters"]]})

    def gids(self, populations: list[str]) -> np.ndarray:
        """Return (n,) int64: NEST's ids of the cells of populations, one after the other."""
        spans = [np.arange(self.first[p], self.first[p] + self.n[p]) for p in populations if self.n[p]]
        return np.concatenate(spans) if spans else np.empty(0, np.int64)


class Recorders:
    """The recording devices of a simulation that is built."""

    def __init__(self, header: Header):
        self.header = header
        self.spikes = None
        self.meters: dict[str, object] = {}
        self.n_spikes = 0

    def drain(self, until: float) -> Arrays:
        """Return what was recorded since the last time, as a record, and empty the devices.

        Parameters
        ----------
        until : ms of model time that are done
        """
        arrays: Arrays = {"until": np.array([until])}
        if self.spikes is not None:
            events = self.spikes.get("events")
            steps, senders = _integers(events["times"]), _integers(events["senders"])
            offsets = np.asarray(events["offsets"], np.float64)
            times = np.round(steps * self.header.resolution, _DECIMALS) - offsets
            order = np.lexsort((senders, times))
            arrays |= {"spikes/times": times[order], "spikes/senders": senders[order]}
            self.n_spikes += len(times)
            self.spikes.set(n_events=0)
        for meter in self.header.meters:
            device = self.meters.get(meter.name)
            if device is None:
                continue
            events = device.get("events")
            steps, senders = _integers(events["times"]), _integers(events["senders"])
            order = np.lexsort((senders, steps))  # by time, then by cell: one row per time
            n_cells = sum(meter.n_cells(self.header, target) for target in meter.targets)
            arrays[f"{meter.name}/steps"] = steps[order].reshape(-1, n_cells)[:, 0]
            for name in meter.properties:
                values = np.asarray(events[name], np.float32)[order]
                arrays[f"{meter.name}/{name}"] = values.reshape(-1, n_cells)
            device.set(n_events=0)
        return arrays


def _integers(values: object) -> np.ndarray:
    return np.asarray(values, np.int64)


def read_header(journal: Journal) -> Header | None:
    """Return the header of a journal, None if it has none yet."""
    return next((Header.of(arrays) for key, arrays in journal.read() if key == HEADER), None)


def read_spikes(journal: Journal, header: Header) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return population -> (times (n,) float64, ms; node ids (n,) int64), by (time, id)."""
    parts = [a for key, a in journal.read() if key == SEGMENT and "spikes/times" in a]
    times = np.concatenate([a["spikes/times"] for a in parts]) if parts else np.empty(0)
    senders = np.concatenate([a["spikes/senders"] for a in parts]) if parts else np.empty(0, np.int64)
    spikes = {}
    for name in header.spikes_of:
        mine = (senders >= header.first[name]) & (senders < header.first[name] + header.n[name])
        spikes[name] = times[mine], senders[mine] - header.first[name]
    return spikes


def sample_columns(header: Header, meter: Meter) -> dict[str, slice]:
    """Return population -> the columns of its cells among those of a multimeter, which are by NEST's ids."""
    sizes = {t: meter.n_cells(header, t) for t in meter.targets}
    targets = sorted((t for t in meter.targets if sizes[t]), key=header.first.__getitem__)
    ends = np.cumsum([sizes[t] for t in targets]).tolist()
    return {t: slice(end - sizes[t], end) for t, end in zip(targets, ends, strict=True)}


def read_steps(journal: Journal, meter: Meter) -> np.ndarray:
    """Return (n_steps,) int64: when samples were taken, in steps of the resolution."""
    name = f"{meter.name}/steps"
    parts = [arrays[name] for key, arrays in journal.read() if key == SEGMENT and name in arrays]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def read_samples(journal: Journal, meter: Meter, name: str, columns: slice) -> Iterator[np.ndarray]:
    """Yield (t, n_cells) float32 of one variable, segment by segment."""
    for key, arrays in journal.read():
        if key == SEGMENT:
            yield arrays[f"{meter.name}/{name}"][:, columns]


@dataclass(frozen=True)
class Partial:
    """What a killed run left.

    Attributes
    ----------
    name : of the simulation
    until, duration : ms of model time that are there, and that were wanted
    spikes : population -> (times (n,) float64, ms; node ids (n,) int64), by (time, id)
    """

    name: str
    until: float
    duration: float
    spikes: Mapping[str, tuple[np.ndarray, np.ndarray]]


def partial(journal_folder: str | Path) -> Partial | None:
    """Return what the last killed run left, up to its last whole segment; None if it left nothing."""
    root = Path(journal_folder)
    folders = sorted(root.iterdir(), key=lambda folder: folder.stat().st_mtime) if root.is_dir() else []
    for folder in reversed([folder for folder in folders if folder.is_dir()]):
        journal = Journal(root, folder.name)
        header = read_header(journal)
        if header is not None:
            until = max((float(a["until"][0]) for key, a in journal.read() if key == SEGMENT), default=0.0)
            return Partial(header.name, until, header.duration, read_spikes(journal, header))
    return None
