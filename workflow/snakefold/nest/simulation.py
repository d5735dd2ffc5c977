"""Runs a simulation with NEST: explicit cells and edges in, SONATA spikes and reports out.

All random numbers but NEST's own (Poisson generators and the like) are keyed draws (see `network`). So the same
description gives the same spikes, for the number of threads that is part of it. `Simulate` is called in segments, after
each of which the recorders are drained into a journal: bounded memory, progress, and a killed run leaves its spikes up
to the last segment. NEST has no snapshots: the next attempt starts over.
"""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from snakefold.errors import UserError
from snakefold.fanout.journal import Journal
from snakefold.nest.hooks import run_after_prepare, run_after_simulation
from snakefold.nest.modules import installable
from snakefold.nest.network import Network, Report, naming
from snakefold.nest.recordings import HEADER, SEGMENT, Partial, Recorders, partial
from snakefold.nest.results import write_results
from snakefold.nest.targetting import chosen_by_all
from snakefold.streams import simulator_seed

__all__ = ["Partial", "load", "partial", "simulate"]

SEGMENT_MS = 100.0
_WORLD_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")


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
    simulation : its slice, components restored
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
        device wants cells that are not there; a hook fails
    """
    folder = Path(folder)
    with contextlib.closing(Journal(journal_folder, digest, every_s=commit_every_s)) as journal:
        nest = load()
        if (left := partial(journal_folder)) is not None:
            report(f"{left.name}: an earlier attempt got to {left.until:g} of {left.duration:g} ms; NEST starts over")
        chosen = chosen_by_all(simulation, nodes)
        _set_kernel(nest, simulation)
        network = Network(nest, simulation, nodes, edges, chosen, report)
        run_after_prepare(nest, simulation, network.cells, network.devices)
        header = network.header
        journal.remove()
        journal.append(HEADER, header.arrays())
        _run(nest, simulation, network.recorders, journal, report, segment_ms)
        journal.commit()
        nest.ResetKernel()
        write_results(simulation, header, chosen, journal, folder, digest, _rng_seed(simulation), _version(nest))
        run_after_simulation(simulation, folder)
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


def _rng_seed(simulation: Mapping) -> int:
    given = simulation["run"]["rng_seed"]
    return simulator_seed(simulation["seed"], "simulate", simulation["name"]) if given is None else given


def _set_kernel(nest, simulation: Mapping) -> None:
    """Reset the kernel, install the modules, and set what must be set before anything is created."""
    run, root = simulation["run"], ("simulations", simulation["name"])
    verbosity = simulation.get("verbosity", "ERROR")
    nest.ResetKernel()
    if hasattr(nest, "VerbosityLevel"):
        nest.verbosity = nest.VerbosityLevel[verbosity]
    else:
        nest.set_verbosity(f"M_{verbosity}")  # before 3.10
    for i, module in enumerate(run["modules"]):
        with naming(nest, *root, "modules", i):
            nest.Install(installable(module))
    with naming(nest, *root):
        seed = _rng_seed(simulation)
        nest.set(resolution=run["resolution"], local_num_threads=run["threads"], rng_seed=seed, **run.get("wfr", {}))


# Running


def _run(nest, simulation: Mapping, recorders: Recorders, journal: Journal, report: Report, segment_ms: float) -> None:
    run, name = simulation["run"], simulation["name"]
    resolution, n_steps = run["resolution"], round(run["duration"] / run["resolution"])
    per_segment = max(1, round(segment_ms / resolution))
    began = time.monotonic()
    for start in range(0, n_steps, per_segment):
        stop = min(start + per_segment, n_steps)
        with naming(nest, "simulations", name):
            nest.Simulate((stop - start) * resolution)
        until = round(stop * resolution, 6)
        journal.append(SEGMENT, recorders.drain(until))
        left = (time.monotonic() - began) * (n_steps / stop - 1)
        report(f"{name}: {until:g} of {run['duration']:g} ms, {recorders.n_spikes} spikes, about {left:.0f} s left")
