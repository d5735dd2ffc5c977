"""Hooks of a simulation: what changes it in NEST before it runs, and what makes files of its results."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config.nodes import Node
from snakefold.config.types import NAME
from snakefold.errors import Mistake, UserError, listed
from snakefold.rng import drawn_with
from snakefold.streams import stream


class AfterPrepare(Node):
    """Base of the hooks that see, and may change, what NEST has been given, before the simulation runs."""

    kind: ClassVar[str] = "after_prepare"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1

    rng = drawn_with()

    def postprocess(self, nest, cells: Mapping, devices: Mapping, rng: np.random.Generator) -> None:
        """Do what it does.

        Parameters
        ----------
        nest : the module
        cells : cell type -> its NEST nodes, in the order of node ids; an empty list where there are none
        devices : name -> its NEST node; those of spike recorders are one node
        """
        raise NotImplementedError


class AfterSimulation(Node):
    """Base of the hooks that make files of a simulation's results, in its folder."""

    kind: ClassVar[str] = "after_simulation"
    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1

    rng = drawn_with()

    def adds(self) -> list[str]:
        """Return the names of the files that it makes."""
        raise NotImplementedError

    def warnings(self) -> list[str]:
        """Return what a user should know."""
        return []

    def postprocess(self, results: Path, output: Path, rng: np.random.Generator) -> None:
        """Make the files.

        Parameters
        ----------
        results : the folder of the finished results: spikes.h5, reports, configuration; to read
        output : an empty folder, for the files
        """
        raise NotImplementedError


def file_faults(hooks: Mapping[str, AfterSimulation], taken: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (hook, what is wrong) for file names that cannot be, or that there are already.

    Parameters
    ----------
    taken : names of the files that the simulation itself writes
    """
    owners = dict.fromkeys(taken, "the simulation")
    for name, hook in sorted(hooks.items()):
        for file in hook.adds():
            if not isinstance(file, str) or not NAME.fullmatch(file):
                yield name, f"the file name {file!r:.60} should be: letters, digits, _ . -, not starting with a dot"
            elif file in owners:
                yield name, f'its file "{file}" is also made by {owners[file]}'
            else:
                owners[file] = f'the hook "{name}"'


def run_after_prepare(nest, simulation: Mapping, cells: Mapping, devices: Mapping) -> None:
    """Run the hooks of a prepared simulation, in the order of their names.

    Parameters
    ----------
    simulation : its slice, components restored

    Raises
    ------
    UserError : what a hook raised
    """
    for name, hook in sorted(simulation.get("after_prepare", {}).items()):
        with _naming("simulations", simulation["name"], "after_prepare", name):
            hook["hook"].postprocess(nest, cells, devices, _stream(simulation, "after_prepare", name, hook))


def run_after_simulation(simulation: Mapping, folder: Path) -> None:
    """Run the hooks of a simulation whose results are written, in the order of their names.

    Raises
    ------
    UserError : what a hook raised, or files that it did not make or did not declare
    """
    for name, hook in sorted(simulation.get("after_simulation", {}).items()):
        where = ("simulations", simulation["name"], "after_simulation", name)
        with tempfile.TemporaryDirectory(prefix=".hook-", dir=folder) as scratch:
            with _naming(*where):
                rng = _stream(simulation, "after_simulation", name, hook)
                hook["hook"].postprocess(folder, Path(scratch), rng)
            made = sorted(path.name for path in Path(scratch).iterdir())
            if made != sorted(hook["adds"]):
                wanted = listed(sorted(hook["adds"])) or "no file"
                raise UserError(Mistake(f"should make: {wanted} (got: {listed(made) or 'no file'})", where))
            for file in made:
                with Path(scratch, file).open("rb") as whole:
                    os.fsync(whole.fileno())
                os.replace(Path(scratch, file), folder / file)  # noqa: PTH105


def _stream(simulation: Mapping, kind: str, name: str, hook: Mapping) -> np.random.Generator:
    return stream(hook.get("seed", simulation["seed"]), kind, simulation["name"], name)


@contextlib.contextmanager
def _naming(*where: str) -> Iterator[None]:
    """Turn what a hook raises into an error of the user's that names the hook, and the line where it was raised."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        frame = error.__traceback__
        while frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
        what = f"the hook raised {type(error).__name__}: {error} ({place})"
        raise UserError(Mistake(what, tuple(where))) from error
