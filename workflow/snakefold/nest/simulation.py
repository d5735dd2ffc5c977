"""Runs a simulation with NEST: explicit cells and edges in, SONATA spikes and reports out.

All random numbers but NEST's own (Poisson generators and the like) are keyed draws (see `network`). So the same
description gives the same spikes, for the number of threads that is part of it. MPI ranks share these threads, where
NEST is built with MPI, and change nothing (see `share`): each drains its recorders into a journal file of its own, and
rank 0 makes the results of them all. `Simulate` is called in segments, after
each of which the recorders are drained into a journal: bounded memory, progress, and a killed run leaves its spikes up
to the last segment. NEST has no snapshots: the next attempt starts over.
"""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from snakefold import launcher
from snakefold.errors import UserError
from snakefold.fanout.journal import Journal
from snakefold.fanout.ranks import Alone, world
from snakefold.nest.catalogue import mpi_fault
from snakefold.nest.hooks import run_after_prepare, run_after_simulation
from snakefold.nest.modules import installable
from snakefold.nest.network import Network, Report, naming
from snakefold.nest.recordings import HEADER, SEGMENT, Partial, Recorders, Recording, partial
from snakefold.nest.results import write_results
from snakefold.nest.share import Share
from snakefold.nest.targetting import chosen_by_all
from snakefold.streams import simulator_seed

__all__ = ["Partial", "load", "partial", "simulate"]

SEGMENT_MS = 100.0


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
    UserError : NEST refuses a part of the description (named), is not there, or cannot run on the MPI ranks that were
        started; a device wants cells that are not there; a hook fails
    """
    folder, ranks = Path(folder), world()
    share = Share(ranks.rank, ranks.size, simulation["run"]["threads"])
    first = ranks.rank == 0
    say = report if first else _keep_quiet
    with contextlib.closing(Journal(journal_folder, digest, every_s=commit_every_s)) as journal:
        nest = load(ranks)
        if first and (left := partial(journal_folder)) is not None:
            say(f"{left.name}: an earlier attempt got to {left.until:g} of {left.duration:g} ms; NEST starts over")
        chosen = chosen_by_all(simulation, nodes)
        _set_kernel(nest, simulation, share)
        network = Network(nest, simulation, nodes, edges, chosen, say, ranks, share)
        run_after_prepare(nest, simulation, network.cells, network.devices)
        if first:
            journal.remove()
        ranks.gathered(None)  # from here on the journal is that of this run
        journal.append(HEADER, network.header.arrays())
        _run(nest, simulation, network.recorders, journal, say, segment_ms, ranks)
        journal.close()
        files = ranks.gathered(journal.path)
        nest.ResetKernel()
        if first:
            recording = Recording(path for path in files if path is not None)
            if round(recording.until / simulation["run"]["resolution"]) != _n_steps(simulation):
                raise UserError("it was removed, or is not visible yet, before it was read", where=str(journal.folder))
            version, seed = _version(nest), _rng_seed(simulation)
            write_results(simulation, recording, chosen, folder, digest, seed, version)
            run_after_simulation(simulation, folder)
            journal.remove()


def _keep_quiet(_: str) -> None:
    pass


def load(ranks: Alone):
    """Import NEST, quiet and passive, and return it.

    Parameters
    ----------
    ranks : those that it should run on

    Raises
    ------
    UserError : it cannot be imported, or not run on several MPI ranks
    """
    if ranks.size == 1:
        launcher.strip()  # a NEST with MPI would join, or wait for, the ranks of whoever started this job
    elif ranks.rank == 0 and (why := mpi_fault(ranks.size)):
        raise UserError(getattr(why, "message", why))
    ranks.gathered(None)  # without MPI, NEST ends its process as soon as it sees a launcher's variables
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("PYNEST_QUIET", "1")
    arguments, sys.argv = sys.argv, sys.argv[:1]  # NEST reads them
    try:
        import nest
    except ImportError as error:
        raise UserError(f"NEST cannot be imported by {sys.executable}: {error}; install nest-simulator") from error
    finally:
        sys.argv = arguments
    if (size := nest.NumProcesses()) != ranks.size:
        raise UserError(
            f"NEST should run on {ranks.size} MPI ranks, but sees {size}: it was built with another MPI library than "
            "mpi4py; install mpi4py for NEST's, or give simulations one rank"
        )
    return nest


def _version(nest) -> str:
    return str(nest.build_info.get("version", nest.__version__))


def _rng_seed(simulation: Mapping) -> int:
    given = simulation["run"]["rng_seed"]
    return simulator_seed(simulation["seed"], "simulate", simulation["name"]) if given is None else given


def _set_kernel(nest, simulation: Mapping, share: Share) -> None:
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
        nest.set(resolution=run["resolution"], local_num_threads=share.n_threads, rng_seed=seed, **run.get("wfr", {}))


# Running


def _n_steps(simulation: Mapping) -> int:
    return round(simulation["run"]["duration"] / simulation["run"]["resolution"])


def _run(
    nest,
    simulation: Mapping,
    recorders: Recorders,
    journal: Journal,
    report: Report,
    segment_ms: float,
    ranks: Alone,
) -> None:
    run, name = simulation["run"], simulation["name"]
    resolution, n_steps = run["resolution"], _n_steps(simulation)
    per_segment = max(1, round(segment_ms / resolution))
    began = time.monotonic()
    for start in range(0, n_steps, per_segment):
        stop = min(start + per_segment, n_steps)
        with naming(nest, "simulations", name):
            nest.Simulate((stop - start) * resolution)
        until = round(stop * resolution, 6)
        journal.append(SEGMENT, recorders.drain(until))
        left = (time.monotonic() - began) * (n_steps / stop - 1)
        n_spikes = sum(ranks.gathered(recorders.n_spikes))
        report(f"{name}: {until:g} of {run['duration']:g} ms, {n_spikes} spikes, about {left:.0f} s left")
