"""The formats that results are exported to, and where exports go: whole or not at all, and over nothing unasked."""

import contextlib
import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from snakefold import hdf5
from snakefold.errors import UserError, listed
from snakefold.export.finished import Finished, Simulated
from snakefold.sonata.spikes import populations

NIX_S_PER_CELL = 0.015  # measured
_LONG_S = 60.0
_PARTS = (
    *("nodes", "edges", "morphologies", "components"),
    *("bmtk_config.json", "circuit_config.json", "node_sets.json", "node_types.csv", "edge_types.csv"),
    *("devices.json", "run_bmtk.py"),
)


def export(
    results: str | Path, to: str, output: str | Path, simulation: str | None = None, force: bool = False
) -> Iterator[str]:
    """Export finished results, and yield lines that say what happens.

    Parameters
    ----------
    results : the folder of a circuit's results
    to : one of FORMATS
    output : the file, or, of sonata, the folder
    simulation : its name; may be left out where there is only one
    force : whether an export that is there may be replaced

    Raises
    ------
    UserError : the results are not finished, there is no such simulation, it is not said which, or none where the
        format needs one, the output is there, or a package is missing
    """
    output = Path(output)
    circuit = Finished.of(results)
    chosen = circuit.simulation(simulation)
    _check_output(output, to, force)
    if to == "sonata":
        yield from _sonata(circuit, chosen, output)
        return
    if chosen is None:
        raise UserError(f"has no finished simulation, and {to} is a format for simulations", where=str(results))
    write = getattr(_module(to), f"write_{to}")
    if to == "nix":
        n_cells = sum(len(chosen.recorded(name)) for name in populations(chosen.spikes_file) if name in circuit.nodes)
        if (seconds := n_cells * NIX_S_PER_CELL) > _LONG_S:
            yield f"NIX takes long for many cells: about {seconds / 60:.0f} minutes for {n_cells:,}; NWB is quicker"
    with hdf5.whole_or_absent(output) as temporary:
        write(chosen, temporary)
    yield f"{output}: spikes and reports of {chosen.name}"


def _module(to: str):
    """Return the module of a format, whose packages are an extra."""
    try:
        return importlib.import_module(f"snakefold.export.{to}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("snakefold"):
            raise
        raise UserError(f"export to {to} needs {error.name}: pip install 'snakefold[export]'") from error


def _check_output(output: Path, to: str, force: bool) -> None:
    """Check that nothing is lost."""
    if not output.exists():
        return
    if not force:
        raise UserError("is there already; choose another name, or replace it with --force", where=str(output))
    if output.is_dir() != (to == "sonata"):
        raise UserError(f"is a {'folder' if output.is_dir() else 'file'}; not replaced", where=str(output))
    if to == "sonata" and (others := sorted({path.name for path in output.iterdir()} - {*_PARTS})):
        what = (
            f"holds more than an export ({listed(others, 4)}), and is not replaced; delete it, or choose another name"
        )
        raise UserError(what, where=str(output))


def _sonata(circuit: Finished, simulation: Simulated | None, output: Path) -> Iterator[str]:
    from snakefold.export.bmtk import SCRIPT
    from snakefold.export.sonata import write_regions

    with _whole_folder(output) as temporary:
        made = write_regions(circuit, simulation, temporary)
    cells, edges = (f"{sum(n.values()):,} {what}" for n, what in ((made.nodes, "cells"), (made.edges, "edges")))
    yield f"{output}: {cells} in {listed(made.nodes)}; {edges} in {listed(made.edges)}"
    if simulation is not None:
        yield f"weights and delays are those of {simulation.name}; {output / SCRIPT} runs it with bmtk"
    if made.lost:
        yield f"bmtk runs it without {listed(made.lost)}"
    if made.left_out:
        yield f"left out, as the simulation does not have their edges: {listed(made.left_out)}"


@contextlib.contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Give a new folder beside another, which it replaces after the block."""
    name = f".{output.name}.{os.uname().nodename}.{os.getpid()}"
    temporary, old = output.with_name(f"{name}.part"), output.with_name(f"{name}.old")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if output.exists():
            output.rename(old)
        temporary.rename(output)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(output)) from error
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)
