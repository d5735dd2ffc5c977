"""What one simulation did: rates and irregularity of its populations, spikes and traces to draw, provenance."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snakefold import build
from snakefold.nest.results import recorded_cells
from snakefold.report.figures import Raster, Trace
from snakefold.report.measures import Summary, allotted, among, irregularity, rates, sampled, summary, window
from snakefold.sonata.reports import Report
from snakefold.sonata.spikes import Spikes, read_spikes

RASTER_ROWS = 500
RASTER_SPAN_MS = 500.0
TRACES = 6
TRACE_SPAN_MS = 500.0
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True)
class Population:
    """One simulated cell type; n_recorded, spikes, rate and cv are None where no spikes were recorded.

    n_recorded : how many cells' spikes were recorded: those that rate and cv are of
    expected : rate that the description expects, Hz; None where it says nothing
    """

    name: str
    n_cells: int
    model: str
    n_recorded: int | None = None
    n_spikes: int | None = None
    rate: Summary | None = None
    cv: Summary | None = None
    expected: float | None = None

    @property
    def deviation(self) -> float | None:
        """By how much, in percent, the rate deviates from the one expected; None where that cannot be said."""
        if self.rate is None or not self.expected:
            return None
        return 100 * (self.rate.mean / self.expected - 1)


@dataclass(frozen=True)
class Recording:
    """One variable that a multimeter recorded."""

    variable: str
    units: str
    traces: list[Trace]


@dataclass(frozen=True)
class Activity:
    """One simulation.

    Attributes
    ----------
    duration, resolution : ms; threads : None where not known
    window : (start, stop), ms, of rates and irregularity
    raster : None where there are no spikes
    versions : of provenance.json
    """

    name: str
    duration: float
    resolution: float
    threads: int | None
    digest: str
    window: tuple[float, float]
    populations: list[Population]
    raster: Raster | None
    recordings: list[Recording]
    versions: dict[str, str]


def read_activity(
    results: Path, name: str, n_cells: Mapping[str, int], expected: Mapping[str, float] | None = None
) -> Activity:
    """Read a simulation.

    Parameters
    ----------
    n_cells : cell type -> number of cells
    expected : cell type -> rate that the description expects, Hz
    """
    part = build.read(results / "build" / "simulate" / f"{name}.h5")
    folder = results / "simulations" / name
    config = _json(folder / "simulation_config.json")
    run = {"duration": config.get("run", {}).get("tstop", 0.0), "resolution": config.get("run", {}).get("dt", 0.0)}
    run |= part.slice.get("run", {})
    spikes = {name: s for name, s in read_spikes(folder / "spikes.h5").items() if name in n_cells}
    n_recorded = {name: n_cells[name] for name in spikes}
    for name, cells in recorded_cells(folder, config).items():
        if name in spikes:
            spikes[name], n_recorded[name] = among(*spikes[name], cells), len(cells)
    models = part.slice.get("cells", {})
    simulated = sorted({*models, *spikes} & n_cells.keys())
    within = window(float(run["duration"]))
    found = [_population(t, n_cells[t], models, n_recorded.get(t), spikes.get(t), within) for t in simulated]
    return Activity(
        name=name,
        duration=float(run["duration"]),
        resolution=float(run["resolution"]),
        threads=run.get("threads"),
        digest=part.digest,
        window=within,
        populations=[replace(p, expected=(expected or {}).get(p.name)) for p in found],
        raster=_raster(spikes, n_recorded, float(run["duration"])),
        recordings=_recordings(folder, config, n_cells),
        versions=_versions(_json(folder / "provenance.json")),
    )


def _json(path: Path) -> dict:
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _population(
    name: str,
    n_cells: int,
    models: object,
    n_recorded: int | None,
    spikes: Spikes | None,
    within: tuple[float, float],
) -> Population:
    model = models.get(name) if isinstance(models, dict) else None
    model = str(model.get("model", "")) if isinstance(model, dict) else ""
    if spikes is None or n_recorded is None:
        return Population(name, n_cells, model)
    rate = summary(rates(*spikes, n_recorded, *within))
    cv = summary(irregularity(*spikes, n_recorded, *within))
    return Population(name, n_cells, model, n_recorded, len(spikes[0]), rate, cv)


def _raster(spikes: Mapping[str, Spikes], n_cells: Mapping[str, int], duration: float) -> Raster | None:
    """Return the spikes to draw: of cells that are evenly spread over those recorded, at the start and at the end."""
    names = sorted(name for name in spikes if n_cells[name])
    if duration <= 0 or not any(len(spikes[name][0]) for name in names):
        return None
    whole = duration <= 2 * RASTER_SPAN_MS
    spans = [(0.0, duration)] if whole else [(0.0, RASTER_SPAN_MS), (duration - RASTER_SPAN_MS, duration)]
    shown = allotted([n_cells[name] for name in names], RASTER_ROWS, least=min(12, -(-RASTER_ROWS // len(names))))
    rows, times, row = {}, {}, {}
    for name, n in zip(names, shown, strict=True):
        cells = sampled(n_cells[name], n)
        place = np.full(n_cells[name], -1, np.int64)
        place[cells] = np.arange(len(cells))
        at = place[spikes[name][1].astype(np.int64)]
        in_time = np.logical_or.reduce([(spikes[name][0] >= a) & (spikes[name][0] <= b) for a, b in spans])
        kept = (at >= 0) & in_time
        rows[name], times[name], row[name] = len(cells), spikes[name][0][kept], at[kept]
    return Raster(spans, rows, times, row)


def _recordings(folder: Path, config: dict, n_cells: Mapping[str, int]) -> list[Recording]:
    """Return the reports that the simulation's configuration names, with a few traces of each."""
    found = []
    for name, rule in sorted((config.get("reports") or {}).items()):
        path = folder / Path(rule.get("file_name") or f"{name}.h5").name
        if not path.exists():
            continue
        with Report(path) as report:
            populations = sorted(set(report.populations) & n_cells.keys())
            ids = {p: report.node_ids(p) for p in populations}
            populations = [p for p in populations if len(ids[p])][:TRACES]
            each = -(-TRACES // max(len(populations), 1))
            picked = [(p, sampled(len(ids[p]), each)) for p in populations]
            made = [trace for p, columns in picked for trace in _traces(report, p, ids[p], columns)][:TRACES]
            units = report.units(populations[0]) if populations else ""
        if made:
            found.append(Recording(str(rule.get("variable_name") or name), units, made))
    return found


def _traces(report: Report, population: str, ids: np.ndarray, columns: np.ndarray) -> list[Trace]:
    """Return traces of some columns over the last TRACE_SPAN_MS, read in blocks of rows: there may be many cells."""
    times = report.times(population)
    if not len(times):
        return []
    start = int(np.searchsorted(times, times[-1] - TRACE_SPAN_MS))
    step = max(_BLOCK_VALUES // len(ids), 1)
    blocks = [report.data(population, i, min(i + step, len(times)))[:, columns] for i in range(start, len(times), step)]
    values = np.concatenate(blocks)
    return [Trace(population, int(ids[c]), times[start:], values[:, i]) for i, c in enumerate(columns)]


def _versions(provenance: dict) -> dict[str, str]:
    """Return what provenance.json says of versions: its "versions" if it has some, else all that is a plain value."""
    chosen = provenance.get("versions", provenance)
    plain = {str(k): str(v) for k, v in chosen.items() if isinstance(v, str | int | float)}
    return {key: value for key, value in sorted(plain.items()) if not value.startswith("/")}
