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
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from snakefold.errors import Mistake, UserError, expects
from snakefold.errors import Path as Where
from snakefold.fanout.journal import Journal
from snakefold.nest.connections import both_ways, collapsed, connect, synapses
from snakefold.nest.devices import role_fault
from snakefold.nest.distributions import draw
from snakefold.nest.recordings import HEADER, SEGMENT, Header, Meter, Partial, Recorders, partial
from snakefold.nest.results import write_results
from snakefold.nest.targetting import Chosen, chosen_by_all, union
from snakefold.nest.units import unit
from snakefold.nest.validation import module_names
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes
from snakefold.streams import simulator_seed, stream

__all__ = ["Partial", "load", "partial", "simulate"]

SEGMENT_MS = 100.0
_RECORDING = {"synapse_model": "static_synapse"}
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
    folder : for simulation_config.json, spikes.h5, one report per recorded variable, provenance.json, and, where
        the circuit's node sets do not say what devices target (see `targetting.has_node_sets`), node_sets.json
    journal_folder : where an interrupted run leaves what it has
    digest : of everything that determines the results
    report : gets lines of progress
    segment_ms : model time between progress lines
    commit_every_s : seconds between writes to the journal

    Raises
    ------
    UserError : NEST refuses a part of the description (named), is not there, or was started as several MPI ranks; a
        device wants cells that are not there
    """
    folder = Path(folder)
    with contextlib.closing(Journal(journal_folder, digest, every_s=commit_every_s)) as journal:
        nest = load()
        if (left := partial(journal_folder)) is not None:
            report(f"{left.name}: an earlier attempt got to {left.until:g} of {left.duration:g} ms; NEST starts over")
        chosen = chosen_by_all(simulation, nodes)
        header, recorders = _build(nest, simulation, nodes, edges, report, chosen)
        journal.remove()
        journal.append(HEADER, header.arrays())
        _run(nest, simulation, recorders, journal, report, segment_ms)
        journal.commit()
        nest.ResetKernel()
        write_results(simulation, header, chosen, journal, folder, digest, _rng_seed(simulation), _version(nest))
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
    nest,
    simulation: Mapping,
    nodes: Mapping[str, Path],
    edges: Mapping[str, Path],
    report: Report,
    chosen: Mapping[str, Chosen],
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
    header = _header(simulation, {t: (c[0].global_id if len(c) else 0, len(c)) for t, c in cells.items()}, chosen)
    report(f"{name}: {sum(map(len, cells.values()))} cells")
    report(f"{name}: {_connect_all(nest, simulation, header, edges, root)} synapses")
    recorders = Recorders(header)
    for device in sorted(simulation["devices"]):
        if simulation["devices"][device].get("subset"):
            numbers = (f"{len(ids)} {cell_type}" for cell_type, ids in chosen[device].items())
            report(f"{name}: {device}: {', '.join(numbers)}")
        with _naming(nest, *root, "devices", device):
            targets = [_of(cells[t], ids) for t, ids in chosen[device].items()]
            _add_device(nest, device, simulation["devices"][device], [t for t in targets if len(t)], recorders)
    if header.spikes_of:
        with _naming(nest, *root, "devices"):
            _record_spikes(nest, simulation, cells, _recorded(simulation, chosen), recorders)
    return header, recorders


def _recorded(simulation: Mapping, chosen: Mapping[str, Chosen]) -> Chosen:
    """Return the cells that some spike recorder is for."""
    return union(chosen[name] for name, device in simulation["devices"].items() if device["kind"] == "spike_recorder")


def _of(cells, ids: np.ndarray | None):
    """Return the cells with some node ids, rising; all if None."""
    if ids is None or len(ids) == len(cells):
        return cells
    return cells[ids] if len(ids) else []


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


def _header(simulation: Mapping, spans: Mapping[str, tuple[int, int]], chosen: Mapping[str, Chosen]) -> Header:
    devices = sorted(simulation["devices"].items())
    meters = []
    for name, device in devices:
        if device["kind"] == "multimeter":
            given = dict(zip(device["properties"], device["units"] or [], strict=False))
            units = [given.get(p) or unit(p) or "1" for p in device["properties"]]
            ids = {t: ids.tolist() for t, ids in chosen[name].items() if ids is not None}
            meters.append(Meter(name, list(device["properties"]), units, _interval(device), list(chosen[name]), ids))
    return Header(
        name=simulation["name"],
        resolution=simulation["run"]["resolution"],
        duration=simulation["run"]["duration"],
        first={t: first for t, (first, _) in spans.items()},
        n={t: n for t, (_, n) in spans.items()},
        spikes_of=list(_recorded(simulation, chosen)),
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


def _add_device(nest, name: str, device: Mapping, targets: list, recorders: Recorders) -> None:
    """Create a device and connect it to its cells; spikes are recorded by one device for all recorders."""
    if device["kind"] == "spike_recorder":
        return
    if device.get("external") and (why := role_fault(device["nest_model"], nest.GetDefaults(device["nest_model"]))):
        raise ValueError(why)
    parameters = dict(device["constants"])
    if device["kind"] == "multimeter":
        parameters |= {"record_from": list(device["properties"]), "interval": _interval(device), "time_in_steps": True}
    if not targets:
        return
    made = nest.Create(device["nest_model"], params=parameters)
    given = {key: device[key] for key in ("weight", "delay", "receptor_type") if device[key] is not None}
    for target in targets:
        nest.Connect(made, target, syn_spec=given)
    if device["kind"] == "multimeter":
        recorders.meters[name] = made


def _record_spikes(nest, simulation: Mapping, cells: Mapping, recorded: Chosen, recorders: Recorders) -> None:
    """Connect one recorder to every cell that some spike recorder is for: no spike is recorded twice."""
    constants: dict = {}
    for _, device in sorted(simulation["devices"].items()):
        if device["kind"] == "spike_recorder":
            constants |= device["constants"]
    recorders.spikes = nest.Create("spike_recorder", params=constants | {"time_in_steps": True})
    for target, ids in recorded.items():
        if ids is None and len(cells[target]):
            nest.Connect(cells[target], recorders.spikes)
        elif ids is not None and len(ids):  # as arrays: from many separate cells, NEST is a hundred times slower
            sources = ids + recorders.header.first[target]
            nest.Connect(sources, np.full(len(ids), recorders.spikes.global_id), "one_to_one", dict(_RECORDING))


# Running


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
