"""The jobs of the validate and simulate phases: from a part's file to what the phase writes."""

from pathlib import Path

from snakefold import build, hdf5
from snakefold.errors import UserError
from snakefold.nest.modules import located
from snakefold.nest.values import restored
from snakefold.nest.verdicts import UNREACHABLE, mistakes, write_verdicts
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes


def validate(part: str | Path, libraries: list[str], output: str | Path) -> None:
    """Ask NEST about a simulation and write its verdicts; what could not be asked is written as such.

    Parameters
    ----------
    libraries : its extension modules that are files

    Raises
    ------
    UserError : everything that NEST answered "no" to
    """
    from snakefold.nest import validation

    built = build.read(part)
    verdicts = validation.validate(located(built.slice, libraries))
    if wrong := mistakes(verdicts):
        raise UserError(dict.fromkeys(wrong))
    for verdict in verdicts:
        if verdict.answer == UNREACHABLE:
            print(f"warning: {verdict.question}: {verdict.message}; NEST is asked again when the simulation starts")
    write_verdicts(output, verdicts, hdf5.combine("validate", built.digest))


def simulate(
    part: str | Path,
    libraries: list[str],
    nodes: list[str],
    edges: list[str],
    folder: str | Path,
    journal: str | Path,
) -> None:
    """Run a simulation, with its extension modules that are files, on the populations and edge sets that it uses.

    Raises
    ------
    UserError : NEST refuses a part of it
    """
    from snakefold.nest.results import digest_of_results
    from snakefold.nest.simulation import simulate as run

    built = build.read(part)
    node_files = {name: path for path in nodes if (name := _population(path)) in built.slice["cells"]}
    connected = {name for name, connection in built.slice["connections"].items() if "rule" not in connection}
    edge_files = {name: path for path in edges if (name := _edge_set(path)) in connected}
    digest = digest_of_results(built.digest, [*node_files.values(), *edge_files.values()])
    run(restored(located(built.slice, libraries), built.files), node_files, edge_files, folder, journal, digest)


def _population(path: str) -> str:
    with Nodes(path) as nodes:
        return nodes.population


def _edge_set(path: str) -> str:
    with Edges(path) as edges:
        return edges.name
