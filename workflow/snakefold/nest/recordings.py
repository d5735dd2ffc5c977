"""What a simulation records: devices of NEST, drained after each segment into a journal, and read back from there.

Every rank has a journal file of its own, of what its cells do. It begins with a header: the populations and NEST's ids
of their cells, the rank's share of them, the devices and what they record. Then one record per segment holds its spikes
and the samples of every multimeter, so that a killed run leaves whole segments.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from snakefold.fanout.journal import Arrays, records
from snakefold.nest.share import Share

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
    share : of the rank that records
    """

    name: str
    resolution: float
    duration: float
    first: dict[str, int]
    n: dict[str, int]
    spikes_of: list[str]
    meters: list[Meter] = field(default_factory=list)
    share: Share = field(default_factory=Share)

    def arrays(self) -> Arrays:
        """Return the header as a record of a journal."""
        return {"json": np.frombuffer(json.dumps(asdict(self)).encode(), np.uint8)}

    @classmethod
    def of(cls, arrays: Arrays) -> "Header":
        """Return the header of a record."""
        values = json.loads(arrays["json"].tobytes())
        meters = [Meter(**meter) for meter in values["meters"]]
        return cls(**values | {"meters": meters, "share": Share(**values["share"])})

    def recorded(self, meter: Meter) -> np.ndarray:
        """Return (n,) int64: NEST's ids of the cells that a multimeter records, rising."""
        own = (np.asarray(meter.ids.get(t, range(self.n[t])), np.int64) + self.first[t] for t in meter.targets)
        return np.sort(np.concatenate([np.empty(0, np.int64), *own]))

    def own_columns(self, meter: Meter) -> slice | np.ndarray:
        """Return which of these cells are this rank's."""
        return self.share.rows(self.recorded(meter))


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
            n_cells = len(self.header.recorded(meter)[self.header.own_columns(meter)])
            if not n_cells:
                continue
            arrays[f"{meter.name}/steps"] = steps[order].reshape(-1, n_cells)[:, 0]
            for name in meter.properties:
                values = np.asarray(events[name], np.float32)[order]
                arrays[f"{meter.name}/{name}"] = values.reshape(-1, n_cells)
            device.set(n_events=0)
        return arrays


def _integers(values: object) -> np.ndarray:
    return np.asarray(values, np.int64)


class Recording:
    """What the ranks of a simulation have recorded, read from their journal files side by side.

    Parameters
    ----------
    files : the files of one run, one of each rank

    Attributes
    ----------
    header : of the simulation; None where a rank has not begun
    """

    def __init__(self, files: Iterable[Path]):
        headers = {path: _header(path) for path in files}
        self._files = {header.share.rank: path for path, header in headers.items() if header is not None}
        self._headers = {header.share.rank: header for header in headers.values() if header is not None}
        of_any = next(iter(self._headers.values()), None)
        self.header = of_any if of_any is not None and len(self._headers) == of_any.share.n_ranks else None

    @property
    def until(self) -> float:
        """Up to which model time all ranks have recorded, ms."""
        return max((float(segment["until"][0]) for segment in self.segments()), default=0.0)

    def segments(self) -> Iterator[Arrays]:
        """Yield the segments that all ranks have, each as one rank would have recorded it."""
        if self.header is None:
            return
        ranks = sorted(self._files)
        files = [_segments(self._files[rank]) for rank in ranks]
        for parts in zip(*files, strict=False):  # one of them may have been killed a segment earlier
            yield parts[0] if len(parts) == 1 else self._joined(dict(zip(ranks, parts, strict=True)))

    def _joined(self, parts: dict[int, Arrays]) -> Arrays:
        arrays: Arrays = {"until": next(iter(parts.values()))["until"]}
        if spikes := [part for part in parts.values() if "spikes/times" in part]:
            times = np.concatenate([part["spikes/times"] for part in spikes])
            senders = np.concatenate([part["spikes/senders"] for part in spikes])
            order = np.lexsort((senders, times))
            arrays |= {"spikes/times": times[order], "spikes/senders": senders[order]}
        for meter in self.header.meters:
            steps = f"{meter.name}/steps"
            with_samples = {rank: part for rank, part in parts.items() if steps in part}
            for rank, part in with_samples.items():
                arrays[steps] = part[steps]
                columns = self._headers[rank].own_columns(meter)
                for name in (f"{meter.name}/{variable}" for variable in meter.properties):
                    shape = len(part[steps]), len(self.header.recorded(meter))
                    arrays.setdefault(name, np.empty(shape, np.float32))[:, columns] = part[name]
        return arrays


def _header(path: Path) -> Header | None:
    return next((Header.of(arrays) for key, arrays in records(path) if key == HEADER), None)


def _segments(path: Path) -> Iterator[Arrays]:
    return (arrays for key, arrays in records(path) if key == SEGMENT)


def read_spikes(recording: Recording) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return population -> (times (n,) float64, ms; node ids (n,) int64), by (time, id)."""
    parts = [segment for segment in recording.segments() if "spikes/times" in segment]
    times = np.concatenate([a["spikes/times"] for a in parts]) if parts else np.empty(0)
    senders = np.concatenate([a["spikes/senders"] for a in parts]) if parts else np.empty(0, np.int64)
    spikes, header = {}, recording.header
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


def read_steps(recording: Recording, meter: Meter) -> np.ndarray:
    """Return (n_steps,) int64: when samples were taken, in steps of the resolution."""
    name = f"{meter.name}/steps"
    parts = [segment[name] for segment in recording.segments() if name in segment]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def read_samples(recording: Recording, meter: Meter, name: str, columns: slice) -> Iterator[np.ndarray]:
    """Yield (t, n_cells) float32 of one variable, segment by segment."""
    for segment in recording.segments():
        yield segment[f"{meter.name}/{name}"][:, columns]


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
        recording = Recording(sorted(folder.glob("*.journal")))
        if (header := recording.header) is not None:
            return Partial(header.name, recording.until, header.duration, read_spikes(recording))
    return None
