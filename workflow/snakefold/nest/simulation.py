"""Runs a simulation with NEST: explicit cells and edges in, SONATA spikes and reports out.

All random numbers but NEST's own (Poisson generators and the like) are keyed draws: parameters of cells per cell type
and parameter, weights and delays per edge set, synapse and block of edges in file order. So the same description gives
the same spikes, for the number of threads that is part of it. `Simulate` is called in segments, after each of which the
recorders are drained into a journal: bounded memory, progress, and a killed run leaves its spikes up to the last
segment. NEST has no snapshots: the next attempt starts over.
"""

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

import snakefold
from snakefold import hdf5
from snakefold.errors import Mistake, UserError, expects
from snakefold.errors import Path as Where
from snakefold.fanout.journal import Journal
from snakefold.nest.connections import both_ways, collapsed, connect, synapses
from snakefold.nest.distributions import draw
from snakefold.nest.recordings import (
    HEADER,
    SEGMENT,
    Header,
    Meter,
    Partial,
    Recorders,
    partial,
    read_samples,
    read_spikes,
    read_steps,
    report_file,
    sample_columns,
)
from snakefold.nest.units import unit
from snakefold.nest.validation import module_names
from snakefold.sonata.circuit import simulation_config
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes
from snakefold.sonata.reports import write_report
from snakefold.sonata.spikes import write_spikes
from snakefold.streams import simulator_seed, stream

__all__ = ["Partial", "load", "partial", "simulate"]

SEGMENT_MS = 100.0
_WORLD_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
Report = Callable[[str], None]


def _say(line: str) -> None:
    print(line, flush=True)


def simulate(
    simulation: Mapping,
    nodes: Mapping[str, Path],
    edges: Mapping[str, Path],
    folder: str | Path,
    journal_folder: str | Path,
    digest: str,
    report: Report = _say,
    *,
    segment_ms: float = SEGMENT_MS,
    commit_every_s: float = 2.0,
) -> None:
    """Run a simulation in this process, and write its results.

    Parameters
    ----------
    simulation : its slice, plain JSON
    nodes, edges : cell type -> node file, edge set -> edge file; those that the slice names
    folder : for simulation_config.json, spikes.h5, one report per recorded variable, provenance.json
    journal_folder : where an interrupted run leaves what it has
    digest : of everything that determines the results
    report : gets lines of progress
    segment_ms : model time between progress lines
    commit_every_s : seconds between writes to the journal

    Raises
    ------
    UserError : NEST refuses a part of the description (named), is not there, or was started as several MPI ranks
    """
    folder = Path(folder)
    with contextlib.closing(Journal(journal_folder, digest, every_s=commit_every_s)) as journal:
        nest = load()
        if (left := partial(journal_folder)) is not None:
            report(f"{left.name}: an earlier attempt got to {left.until:g} of {left.duration:g} ms; NEST starts over")
        header, recorders = _build(nest, simulation, nodes, edges, report)
        journal.remove()
        journal.append(HEADER, header.arrays())
        _run(nest, simulation, recorders, journal, report, segment_ms)
        journal.commit()
        nest.ResetKernel()
        _write(simulation, header, journal, folder, digest, _version(nest))
        journal.remove()


def load():
    """Import NEST, quiet and passive, and return it.

    Raises
    ------
    UserError : it cannot be imported, or this process is one of several MPI ranks
    """
    size = max((int(v) for name in _WORLD_SIZES if (v := os.environ.get(name, "")).isdecimal()), default=1)
    if size > 1:
        raise UserError(
            f"a simulation runs as one process with threads, but was started as one of {size} MPI ranks; start it "
            "without mpirun or srun -n, and set the simulation's threads"
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("PYNEST_QUIET", "1")
    arguments, sys.argv = sys.argv, sys.argv[:1]  # NEST reads them
    try:
        import nest
    except ImportError as error:
        raise UserError(f"NEST cannot be imported by {sys.executable}: {error}; install nest-simulator") from error
    finally:
        sys.argv = arguments
    return nest


def _version(nest) -> str:
    return str(nest.build_info.get("version", nest.__version__))


@contextlib.contextmanager
def _naming(nest, *path: str | int) -> Iterator[None]:
    """Turn what NEST refuses into an error of the user's that names the part of the description."""
    try:
        yield
    except (nest.NESTError, ValueError, TypeError, AttributeError, RuntimeError, LookupError) as error:
        words = " ".join(str(error).split())
        message = f"NEST refuses: {words}" if isinstance(error, nest.NESTError) else words
        raise UserError(Mistake(message, path=tuple(path))) from error


def _rng_seed(simulation: Mapping) -> int:
    given = simulation["run"]["rng_seed"]
    return simulator_seed(simulation["seed"], "simulate", simulation["name"]) if given is None else given


# Building


def _build(
    nest, simulation: Mapping, nodes: Mapping[str, Path], edges: Mapping[str, Path], report: Report
) -> tuple[Header, Recorders]:
    run, name = simulation["run"], simulation["name"]
    root: Where = ("simulations", name)
    nest.ResetKernel()
    if hasattr(nest, "VerbosityLevel"):
        nest.verbosity = nest.VerbosityLevel.ERROR
    else:
        nest.set_verbosity("M_ERROR")  # before 3.10
    for i, module in enumerate(module_names(simulation)):
        with _naming(nest, *root, "modules", i):
            nest.Install(module)
    with _naming(nest, *root):
        nest.set(resolution=run["resolution"], local_num_threads=run["threads"], rng_seed=_rng_seed(simulation))
    cells = {}
    for cell_type in sorted(simulation["cells"]):
        cells[cell_type] = _create(nest, simulation, cell_type, nodes[cell_type], root)
    header = _header(simulation, {t: (c[0].global_id if len(c) else 0, len(c)) for t, c in cells.items()})
    report(f"{name}: {sum(map(len, cells.values()))} cells")
    report(f"{name}: {_connect_all(nest, simulation, header, edges, root)} synapses")
    recorders = Recorders(header)
    for device in sorted(simulation["devices"]):
        with _naming(nest, *root, "devices", device):
            _add_device(nest, device, simulation["devices"][device], cells, recorders)
    if header.spikes_of:
        with _naming(nest, *root, "devices"):
            _record_spikes(nest, simulation, cells, recorders)
    return header, recorders


def _create(nest, simulation: Mapping, cell_type: str, path: Path, root: Where):
    """Create the cells of a type; an empty list if there are none."""
    cell, name = simulation["cells"][cell_type], simulation["name"]
    with Nodes(path) as file:
        n = file.n
    if n == 0:
        return []
    with _naming(nest, *root, "cell_models", cell_type):
        values = {key: value for key, value in cell["constants"].items() if not isinstance(value, list)}
        lists = {key: value for key, value in cell["constants"].items() if key not in values}
        for key, number in sorted(cell["parameters"].items()):
            rng = stream(simulation["seed"], "simulate", name, "cell", cell_type, key)
            values[key] = draw(number, n, rng) if isinstance(number, dict) else number
        cells = nest.Create(cell["model"], n, lists or None)
        if values:  # not with the lists: beside one value per cell, NEST takes them for such, too
            cells.set(values)
        return cells


def _header(simulation: Mapping, spans: Mapping[str, tuple[int, int]]) -> Header:
    devices = sorted(simulation["devices"].items())
    recorded = {t for _, device in devices if device["kind"] == "spike_recorder" for t in device["targets"]}
    meters = []
    for name, device in devices:
        if device["kind"] == "multimeter":
            given = dict(zip(device["properties"], device["units"] or [], strict=False))
            units = [given.get(p) or unit(p) or "1" for p in device["properties"]]
            targets = list(dict.fromkeys(device["targets"]))
            meters.append(Meter(name, list(device["properties"]), units, _interval(device), targets))
    return Header(
        name=simulation["name"],
        resolution=simulation["run"]["resolution"],
        duration=simulation["run"]["duration"],
        first={t: first for t, (first, _) in spans.items()},
        n={t: n for t, (_, n) in spans.items()},
        spikes_of=sorted(recorded),
        meters=meters,
    )


def _interval(device: Mapping) -> float:
    return 1.0 if device["interval"] is None else device["interval"]


def _connect_all(nest, simulation: Mapping, header: Header, edges: Mapping[str, Path], root: Where) -> int:
    copies: dict[str, str] = {}
    made = 0
    for name, connection in sorted(simulation["connections"].items()):
        source, target = connection["source"], connection["target"]
        with Edges(edges[name]) as file:
            wanted = (source, header.n[source], target, header.n[target])
            got = (file.source, file.n_sources, file.target, file.n_targets)
            if wanted != got:
                raise UserError(expects(f"source and target of {name}", str(wanted), got), where=str(edges[name]))
            for i, synapse in enumerate(connection["synapses"]):
                with _naming(nest, *root, "connection_models", connection["key"], "synapses", i):
                    model = _synapse_model(nest, synapse, copies)
                    reciprocal = bool(nest.GetDefaults(model).get("requires_symmetric", False))
                    purpose = ("simulate", simulation["name"], "connection", name, i)
                    blocks = synapses(file, synapse, purpose, simulation["seed"], header.resolution)
                    if reciprocal:
                        blocks = both_ways(blocks, source == target)
                    elif connection["multapses"] == "collapse":
                        blocks = collapsed(blocks)
                    first = header.first[source], header.first[target]
                    made += connect(nest, blocks, *first, model, synapse["receptor_type"], reciprocal)
    return made


def _synapse_model(nest, synapse: Mapping, copies: dict[str, str]) -> str:
    """Return the model, or a copy of it with the constants; NEST has room for few, so equal ones share a copy."""
    if not synapse["constants"]:
        return synapse["model"]
    key = json.dumps([synapse["model"], synapse["constants"]], sort_keys=True)
    if key not in copies:
        name = f"snakefold_{len(copies)}"
        nest.CopyModel(synapse["model"], name, dict(synapse["constants"]))
        copies[key] = name
    return copies[key]


def _add_device(nest, name: str, device: Mapping, cells: Mapping, recorders: Recorders) -> None:
    """Create a device and connect it to its cells; spikes are recorded by one device for all recorders."""
    if device["kind"] == "spike_recorder":
        return
    parameters = dict(device["constants"])
    if device["kind"] == "multimeter":
        parameters |= {"record_from": list(device["properties"]), "interval": _interval(device), "time_in_steps": True}
    targets = [cells[target] for target in dict.fromkeys(device["targets"]) if len(cells[target])]
    if not targets:
        return
    made = nest.Create(device["nest_model"], params=parameters)
    given = {key: device[key] for key in ("weight", "delay", "receptor_type") if device[key] is not None}
    for target in targets:
        nest.Connect(made, target, syn_spec=given)
    if device["kind"] == "multimeter":
        recorders.meters[name] = made


def _record_spikes(nest, simulation: Mapping, cells: Mapping, recorders: Recorders) -> None:
    """Connect one recorder to every cell that some spike recorder is for: no spike is recorded twice."""
    constants: dict = {}
    for _, device in sorted(simulation["devices"].items()):
        if device["kind"] == "spike_recorder":
            constants |= device["constants"]
    recorders.spikes = nest.Create("spike_recorder", params=constants | {"time_in_steps": True})
    for target in recorders.header.spikes_of:
        if len(cells[target]):
            nest.Connect(cells[target], recorders.spikes)


# Running and writing


def _run(nest, simulation: Mapping, recorders: Recorders, journal: Journal, report: Report, segment_ms: float) -> None:
    run, name = simulation["run"], simulation["name"]
    resolution, n_steps = run["resolution"], round(run["duration"] / run["resolution"])
    per_segment = max(1, round(segment_ms / resolution))
    began = time.monotonic()
    for start in range(0, n_steps, per_segment):
        stop = min(start + per_segment, n_steps)
        with _naming(nest, "simulations", name):
            nest.Simulate((stop - start) * resolution)
        until = round(stop * resolution, 6)
        journal.append(SEGMENT, recorders.drain(until))
        left = (time.monotonic() - began) * (n_steps / stop - 1)
        report(f"{name}: {until:g} of {run['duration']:g} ms, {recorders.n_spikes} spikes, about {left:.0f} s left")


def _write(simulation: Mapping, header: Header, journal: Journal, folder: Path, digest: str, nest_version: str) -> None:
    run, reports = simulation["run"], {}
    for meter in header.meters:
        reports |= _write_reports(header, meter, journal, folder, digest)
    stimuli = {name: d for name, d in sorted(simulation["devices"].items()) if d["kind"] == "stimulus"}
    # libsonata takes no nested values there.
    config = simulation_config(
        tstop=run["duration"],
        dt=run["resolution"],
        random_seed=_rng_seed(simulation),
        reports=reports,
        metadata={"simulator": "NEST", "threads": run["threads"], "devices": json.dumps(stimuli)},
    )
    provenance = {
        "snakefold": snakefold.__version__,
        "nest": nest_version,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": simulation["seed"],
        "rng_seed": _rng_seed(simulation),
        "threads": run["threads"],
        "digest": digest,
    }
    hdf5.write_text(folder / "simulation_config.json", json.dumps(config, indent=2) + "\n")
    hdf5.write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    write_spikes(folder / "spikes.h5", read_spikes(journal, header), digest)


def _write_reports(header: Header, meter: Meter, journal: Journal, folder: Path, digest: str) -> dict[str, dict]:
    """Write the reports of a multimeter, and return what the simulation's configuration says of them."""
    steps = read_steps(journal, meter)
    start = round(float(steps[0]) * header.resolution, 6) if len(steps) else meter.interval
    stop = round(start + len(steps) * meter.interval, 6)
    reports = {}
    for name, its_unit in zip(meter.properties, meter.units, strict=True):
        populations = {
            target: (np.arange(header.n[target]), read_samples(journal, meter, name, columns))
            for target, columns in sample_columns(header, meter).items()
        }
        file = report_file(meter, name)
        write_report(folder / file, populations, len(steps), start, stop, meter.interval, its_unit, digest)
        reports[file.removesuffix(".h5")] = {
            "cells": meter.targets[0] if len(meter.targets) == 1 else "All",
            "variable_name": name,
            "dt": meter.interval,
            "start_time": start,
            "end_time": stop,
            "unit": its_unit,
        }
    return reports
