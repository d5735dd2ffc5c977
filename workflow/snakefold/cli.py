"""The command `snakefold`: start a project, check a circuit, run the workflow, look after results, print the schema."""

import signal
import subprocess
import sys
from pathlib import Path

import click

from snakefold import __version__
from snakefold.export import FORMATS


def _of_a_circuit(context: click.Context, _: click.Parameter, folder: str) -> str:
    with _mistakes_shown(context.obj, ending=""):
        from snakefold.results import check_folder

        check_folder(folder)
    return folder


RESULTS = click.argument("results", type=click.Path(exists=True, file_okay=False), callback=_of_a_circuit)


@click.group()
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Build and simulate brain circuits as a Snakemake workflow."""
    context.obj = debug


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--template", default="two_layers", show_default=True, help="two_layers, microcircuit or cerebellum.")
@click.pass_obj
def init(debug: bool, folder: str, template: str) -> None:
    """Make a project in DIR: a circuit, its settings, a README.

    DIR is a new folder, or an empty one. Whatever is in it is explained in its README.md, and can be edited.
    """
    with _mistakes_shown(debug, ending="; nothing was written"):
        from snakefold.project import create

        made = create(folder, template)
        for note in made.notes:
            click.echo(f"warning: {note}", err=True)
        click.echo(f"{folder}: a project with {made.circuit}")
        click.echo(f"Its README.md says what each file is. To run it ({made.takes}):\n")
        for command in made.commands:
            click.echo(f"  {command}")
        click.echo(f"\nThen open {Path('results', made.circuit.stem, 'report.html')} in a browser.")


@main.command()
@click.argument("circuit", type=click.Path(), required=False)
@click.option("--simulator/--no-simulator", default=True, help="Also ask NEST about the simulations.")
@click.option("--json", "as_json", is_flag=True, help="Print mistakes and warnings as JSON, for editors and CI.")
@click.pass_obj
def check(debug: bool, circuit: str | None, simulator: bool, as_json: bool) -> None:
    """Check a circuit description without running or writing anything; exit code 0 or 1.

    CIRCUIT is by default the one that config/config.yaml names.
    """
    with _mistakes_shown(debug):
        from snakefold.invocation import circuit_of_project

        circuit = circuit_of_project() if circuit is None else circuit
        if as_json:
            sys.exit(_check_as_json(circuit, simulator))
        from snakefold.workflow import warn

        loaded, plan, warnings = _checked(circuit, simulator)
        warn(warnings)
        expected = [e for p in plan.parts.values() for e in p.slice.get("expected", {}).values()]
        known = [e[0] for e in expected if e]
        unknown = f" and those of {len(expected) - len(known)} not known before" if len(known) < len(expected) else ""
        n_cells = loaded.n_cells()
        cells = f"{_counted(sum(n_cells.values()), 'cell')} of {_counted(len(plan.cell_types), 'type')}"
        if further := len(plan.cell_types) - len(n_cells):
            cells += f" and those of {further} not known before"
        synapses = f"{_counted(round(sum(known)), 'synapse')} in {_counted(len(plan.edge_sets()), 'edge set')}{unknown}"
        click.echo(f"{circuit}: {cells}, {synapses}, {_counted(len(plan.simulations), 'simulation')}: fine")


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _checked(circuit: str, simulator: bool):
    """Return the circuit, its plan, and what the user should know."""
    from snakefold import invocation
    from snakefold.loading import BrokenCircuit, load
    from snakefold.planning import make
    from snakefold.workflow import ask_simulator, checked, results_of, with_simulator

    folder = results_of(checked(invocation.keys(circuit)))
    try:
        loaded = load(circuit)
        plan = make(loaded, folder)
    except BrokenCircuit as error:
        raise (with_simulator(error, folder) if simulator else error) from None
    return loaded, plan, [*plan.warnings, *(ask_simulator(plan) if simulator and plan.simulations else [])]


def _check_as_json(circuit: str, simulator: bool) -> int:
    """Print {"mistakes": [{file, line, path, message}], "warnings": [text]} and return the exit code."""
    import json

    from snakefold.errors import UserError, dotted

    found, warnings = [], []
    try:
        _, _, warnings = _checked(circuit, simulator)
    except UserError as error:
        for mistake in error.mistakes:
            file, _, line = mistake.where.partition(":")
            first = line.partition(":")[0]
            found.append(
                {
                    "file": file or circuit,
                    "line": int(first) if first.isdecimal() else None,
                    "path": dotted(mistake.path),
                    "message": mistake.message,
                }
            )
    click.echo(json.dumps({"mistakes": found, "warnings": warnings}, indent=2))
    return 1 if found else 0


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("circuit", type=click.Path(), required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(debug: bool, circuit: str | None, arguments: tuple[str, ...]) -> None:
    """Run the workflow: as `snakemake ARGUMENTS --config circuit=CIRCUIT`, and clean the results folder before.

    Results of components that are no longer in the description are removed. Where NEST cannot be asked here, the
    simulations are checked by jobs before anything else runs.
    """
    with _mistakes_shown(debug):
        from snakefold import invocation, results
        from snakefold.workflow import ask_simulator, plan_for, warn

        snakefile, config, arguments = invocation.asked(circuit, arguments)
        plan = plan_for(config)
        dry = any(a in ("-n", "--dry-run", "--dryrun") for a in arguments)
        unreachable = ask_simulator(plan) if plan.simulations else []
        if not dry:
            for path in results.remove_obsolete(plan):
                click.echo(f"removed: {path} is no longer part of the circuit", err=True)
        command = [sys.executable, "-m", "snakemake", "-s", str(snakefile)]
        if not any(
            a.startswith(("-c", "-j", "--cores", "--jobs", "--profile", "--workflow-profile")) for a in arguments
        ):
            arguments = (*arguments, "--cores", "all")
        settings = invocation.as_arguments(config)
        if unreachable and not dry:
            warn(unreachable)
            if code := _waited_for([*command, "validated", *arguments, "--config", *settings]):
                sys.exit(code)
        sys.exit(_waited_for([*command, *arguments, "--config", *settings]))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("circuit", type=click.Path(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, with every job.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def plan(debug: bool, circuit: str | None, as_json: bool, arguments: tuple[str, ...]) -> None:
    """Say what a run would make, cost and run again, and why; exit code 1 if the disk is too small.

    Nothing is run or written. ARGUMENTS are those of `snakefold run`.
    """
    with _mistakes_shown(debug, ending=""):
        import json

        from snakefold import invocation
        from snakefold.dryrun import planned
        from snakefold.outlook import Outlook
        from snakefold.workflow import plan_for, warn

        snakefile, config, arguments = invocation.asked(circuit, arguments)
        made = plan_for(config)
        settings = invocation.as_arguments(config)
        outlook = Outlook.of(made, planned(["-s", str(snakefile), *arguments, "--config", *settings]))
        warn(made.warnings)
        click.echo(json.dumps(outlook.json(), indent=2) if as_json else outlook.text())
        if refused := outlook.refused():
            if config.get("disk") != "warn":
                raise refused
            warn([str(refused)])


def _waited_for(command: list[str]) -> int:
    """Run a command and return its exit code; Ctrl-C is its own to answer, and it is given the time it needs."""
    process, asked = subprocess.Popen(command), False
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            if not asked and not sys.stdin.isatty():  # a terminal has told it already
                process.send_signal(signal.SIGINT)
            asked = True


@main.command()
@RESULTS
@click.pass_obj
def verify(debug: bool, results: str) -> None:
    """Check a circuit's files in full: format, order, indices against a scan, finite numbers; exit code 0 or 1.

    Of all other results it is looked whether they are whole.
    """
    with _mistakes_shown(debug, ending=""):
        from snakefold.errors import UserError
        from snakefold.results import damaged
        from snakefold.sonata.checker import check_circuit

        config = Path(results, "circuit_config.json")
        if not config.is_file():
            raise UserError("is not there: the circuit is not finished, or this is not its folder", where=str(config))
        told = check_circuit(config)
        if mistakes := [*told, *(m for m in damaged(results) if m.where not in {t.where for t in told})]:
            raise UserError(mistakes)
        click.echo(f"{config}: fine")


@main.command()
@RESULTS
@click.argument("simulation")
@click.argument("output", type=click.Path())
@click.pass_obj
def salvage(debug: bool, results: str, simulation: str, output: str) -> None:
    """Write the spikes that a killed simulation left, up to its last whole segment, as SONATA."""
    with _mistakes_shown(debug, ending=""):
        from snakefold.errors import UserError
        from snakefold.nest.recordings import partial
        from snakefold.sonata.spikes import write_spikes

        folder = Path(results, ".journal/simulate", simulation)
        left = partial(folder) if folder.is_dir() else None
        if left is None:
            raise UserError("nothing is left there of an unfinished simulation", where=str(folder))
        write_spikes(output, left.spikes, "salvaged")
        click.echo(f"{output}: spikes until {left.until:g} of {left.duration:g} ms")


@main.command()
@RESULTS
@click.argument("to", metavar="|".join(FORMATS), type=click.Choice(FORMATS))
@click.argument("output", type=click.Path())
@click.option("--simulation", help="Name of the simulation, where there are several.")
@click.option("--force", is_flag=True, help="Replace an export that is there.")
@click.pass_obj
def export(debug: bool, results: str, to: str, output: str, simulation: str | None, force: bool) -> None:
    """Write finished results in the formats of other tools.

    nwb, nix: a simulation's spikes and reports, with what its cells are, as NWB, or as NIX for Neo. sonata: a folder
    with the circuit as one node population per region, with weights and delays as edge columns.
    """
    with _mistakes_shown(debug, ending=""):
        from snakefold.export.ways import export

        for line in export(results, to, output, simulation, force):
            click.echo(line)


@main.command()
@RESULTS
@click.pass_obj
def cancel(debug: bool, results: str) -> None:
    """Cancel the jobs that killed runs of a circuit have left, here or in SLURM; RESULTS is the circuit's folder."""
    with _mistakes_shown(debug, ending=""):
        from snakefold import leftovers
        from snakefold.errors import UserError

        if living := [run for run in leftovers.noted(results) if run.lives]:
            raise UserError(f"the run is alive (process {living[0].pid}); end it with Ctrl-C", where=results)
        n, left = leftovers.cancel(results, elsewhere=True)
        if left:
            raise UserError(f"no squeue here; do this where SLURM is, as on {left[0].host}", where=results)
        click.echo(f"{n} jobs cancelled")


@main.command()
@RESULTS
@click.option("--follow", is_flag=True, help="Go on until the run ends.")
@click.pass_obj
def status(debug: bool, results: str, follow: bool) -> None:
    """Show what a run is doing, or how the last one ended, from any terminal or node that sees RESULTS."""
    with _mistakes_shown(debug, ending=""):
        from snakefold.progress.status import follow as followed
        from snakefold.progress.status import status as now

        if follow:
            followed(results)
        else:
            click.echo("\n".join(now(results)))


@main.command()
@RESULTS
@click.pass_obj
def cost(debug: bool, results: str) -> None:
    """Print what a circuit has cost, by rule: what its jobs say, and what SLURM has accounted for."""
    with _mistakes_shown(debug, ending=""):
        from snakefold.cost import of_logs, of_slurm, table, without_names

        click.echo("the processes of jobs, by their logs")
        click.echo(table(of_logs(results)))
        if accounted := of_slurm(results):
            click.echo("\nSLURM jobs, all attempts")
            click.echo(table(without_names(accounted)))


@main.command()
@click.argument("circuit", type=click.Path(), required=False)
@click.option("--markdown", "form", flag_value="markdown", help="Print the reference of all keys instead.")
@click.option("--list", "form", flag_value="list", help="Print the list of all components instead.")
@click.pass_obj
def schema(debug: bool, circuit: str | None, form: str | None) -> None:
    """Print the JSON Schema of circuit descriptions, with all components that are installed, and those of CIRCUIT."""
    import json

    from snakefold.circuit import schema as circuit_schema
    from snakefold.loading import components_of
    from snakefold.reference import overview, reference

    with _mistakes_shown(debug, ending=""), components_of(circuit):
        if form is None:
            text = json.dumps(circuit_schema(), indent=2) + "\n"
        else:
            text = reference() if form == "markdown" else overview()
    click.echo(text, nl=False)


def _mistakes_shown(debug: bool, **how: str):
    import contextlib

    from snakefold.workflow import mistakes_shown

    return contextlib.nullcontext() if debug else mistakes_shown(**how)
