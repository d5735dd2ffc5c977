"""What the Snakefile asks the library: the plan of this run, what to do when it starts, and what a mistake looks like.

The process that a user starts makes the plan from the description and freezes it when jobs are about to run; the
processes that Snakemake spawns, on this or other nodes, find the frozen plan through an environment variable and never
read the description again.
"""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from snakefold import estimate, leftovers, results
from snakefold.config.types import NAME
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.installation import BUNDLED, ROOT, folder_of_library
from snakefold.invocation import place_of
from snakefold.job import leave
from snakefold.launcher import TASKS
from snakefold.leftovers import FROZEN, this_process
from snakefold.loading import BrokenCircuit, load
from snakefold.nest.catalogue import mpi_fault
from snakefold.nest.modules import located
from snakefold.nest.verdicts import Verdict, mistakes, unreachable
from snakefold.plan import Plan, thaw
from snakefold.planning import make, simulation_slices
from snakefold.scheduling import Profile

SHOWN = 10  # warnings of one kind
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def plan_for(config: dict) -> Plan:
    """Return the plan of this run: the frozen one in a spawned process, else one made from the description.

    Raises
    ------
    UserError : every mistake in the workflow's keys or in the description
    """
    keys = checked(config)
    folder = results_of(keys)
    main, _, frozen = os.environ.get(FROZEN, "").partition(":")
    if frozen and main != this_process():
        plan = thaw(frozen)
        if (plan.circuit, plan.results) == (str(keys["circuit"]), folder):
            return plan
    tiles = None if keys["tiles"] == "auto" else int(keys["tiles"])
    try:
        loaded = load(str(keys["circuit"]))
        results.check_owner(folder, str(keys["circuit"]))
        plan = make(loaded, folder, tiles, keys["simulations"])
    except BrokenCircuit as error:
        raise with_simulator(error, folder) from None
    results.check_recorded(plan)
    return plan


def results_of(keys: dict) -> str:
    """Return the folder of a circuit's results, one path for one folder: relative where it is below this one."""
    folder = os.path.normpath(str(keys["results"]))
    if Path(folder).is_relative_to(Path.cwd()):
        folder = os.path.relpath(folder)
    return str(Path(folder, Path(str(keys["circuit"])).stem))


def checked(config: dict) -> dict:
    """Return the workflow's keys, complete.

    Raises
    ------
    UserError : an unknown key, or a value of the wrong kind
    """
    from jsonschema import Draft202012Validator

    schema = _schema()
    keys = {**{key: rule.get("default") for key, rule in schema["properties"].items()}, **config}
    wrong = [
        Mistake(
            f'unknown key "{key}"{did_you_mean(key, schema["properties"])} (keys: {listed(schema["properties"])})',
            ("config", key),
            place_of(key, config[key]),
        )
        for key in sorted(set(config) - set(schema["properties"]), key=str)
    ]
    for key, rule in schema["properties"].items():
        if not Draft202012Validator(rule).is_valid(keys[key]):
            what = f"should be: {rule['description']} (got: {keys[key]!r})"
            wrong.append(Mistake(what, ("config", key), place_of(key, keys[key])))
    if not wrong and not NAME.fullmatch(Path(keys["circuit"]).stem):
        what = "the file's name becomes a folder; it should be: letters, digits, _ . -, not starting with a dot or dash"
        where = place_of("circuit", keys["circuit"])
        wrong.append(Mistake(f"{what} (got: {Path(keys['circuit']).stem!r})", ("config", "circuit"), where))
    if not wrong and set(keys["results"]) & set("{}\n\r"):
        what = "a folder whose name Snakemake can take, without braces and line breaks"
        message = f"should be: {what} (got: {keys['results']!r})"
        wrong.append(Mistake(message, ("config", "results"), place_of("results", keys["results"])))
    if wrong:
        raise UserError(wrong)
    return keys


def out_of_bounds(plan: Plan) -> list[str]:
    """Return warnings of what the report has found out of bounds."""
    from snakefold.report import verdicts

    path = Path(plan.path(verdicts.FILE))
    wrong = verdicts.out_of_bounds(verdicts.read_verdicts(path)) if path.is_file() else []
    return [f"out of bounds: {line}" for line in wrong[:SHOWN]] + (
        [f"out of bounds: {len(wrong) - SHOWN} more, see {plan.path('report.html')}"] if len(wrong) > SHOWN else []
    )


def _schema() -> dict:
    import yaml

    return yaml.load(SCHEMA.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def start(plan: Plan, logs: Iterable[str] = (), simulation_ranks: int = 1) -> list[str]:
    """Freeze the plan, take over the results folder, ask the simulator and clear the queue; return warnings.

    Called in the main process, before the first job of a real run.

    Parameters
    ----------
    logs : Snakemake's log files
    simulation_ranks : MPI ranks on which the NEST of this interpreter is to run

    Raises
    ------
    UserError : what the simulator answered "no" to; no job has run
    """
    results.check_owner(plan.results, plan.circuit)
    warnings = list(plan.warnings)
    if plan.simulations:
        if simulation_ranks > 1 and isinstance(why := mpi_fault(simulation_ranks), str) and why:
            raise UserError(why)
        warnings += ask_simulator(plan)
    results.claim(plan.results, plan.circuit)
    warnings += cleared(plan.results)
    leftovers.note(plan.results, logs)
    os.environ[FROZEN] = f"{this_process()}:{plan.freeze().resolve()}"
    return warnings


def cleared(folder: str) -> list[str]:
    """Cancel the SLURM jobs that killed runs have left; return what the user should know."""
    n, left = leftovers.cancel(folder)
    said = [f"{n} jobs that a killed run had left were cancelled"] if n else []
    for run in left:
        what = f"the run {run.name}, started on {run.host}, may have left SLURM jobs"
        said.append(f"{what}; if it has ended, cancel them there with: snakefold cancel {shlex.quote(folder)}")
    return said


def how_to_go_on() -> str:
    """Return what a user does after jobs have failed."""
    command = shlex.join(["snakemake", *sys.argv[1:]])
    return f"some jobs failed; what is finished is kept. When their logs (above) say why, run again: {command}"


def ask_simulator(plan: Plan) -> list[str]:
    """Check all simulations of a plan against NEST, in a process of its own; return what could not be asked.

    Raises
    ------
    UserError : everything that NEST answered "no" to, with file and line
    """
    verdicts = _verdicts({name: plan.parts[f"simulate/{name}"].slice for name in plan.simulations}, plan)
    if wrong := mistakes(verdicts):
        raise UserError(dict.fromkeys(wrong)).located(plan.locate)
    return list(dict.fromkeys(f"{v.question}: {v.message}" for v in unreachable(verdicts)))


def with_simulator(error: BrokenCircuit, folder: str = "results") -> UserError:
    """Return the mistakes of a description together with those of its simulations, as far as these can be checked."""
    loaded = error.survivor
    if loaded is None:
        return error
    plan = make(loaded, folder, simulated=False)
    slices, unresolved = simulation_slices(plan, loaded)
    wrong = UserError([*unresolved, *mistakes(_verdicts(slices, plan))]).located(loaded.document.locate)
    return UserError(dict.fromkeys((*error.mistakes, *wrong.mistakes))).located(loaded.document.locate)


def _verdicts(slices: dict[str, dict], plan: Plan) -> list[Verdict]:
    """Return NEST's verdicts on some simulations of a plan, by their names."""
    from snakefold.nest.validation import validate_all

    simulations = [located(slice_, plan.libraries[name]) for name, slice_ in slices.items()]
    return [verdict for answers in validate_all(simulations).values() for verdict in answers]


def check_ranks(plan: Plan, profile: Profile) -> None:
    """Check that the ranks that a profile gives to simulations can share their threads.

    Raises
    ------
    UserError : of some simulations they cannot
    """
    n, wrong = profile.simulation_ranks, []
    for name in plan.simulations:
        if (threads := plan.parts[f"simulate/{name}"].slice["run"]["threads"]) % n:
            what = f"should be: a multiple of the {n} MPI ranks that share them, simulation_ranks of the profile"
            wrong.append(Mistake(f"{what} (got: {threads})", ("simulations", name, "threads")))
    if wrong:
        raise UserError(wrong).located(plan.locate)


def check_room(plan: Plan, dag_jobs: Iterable, wanted: str | None) -> list[str]:
    """Check that the disk has room for what some of Snakemake's jobs are estimated to write; return warnings.

    Parameters
    ----------
    wanted : the key `disk` of the workflow's configuration

    Raises
    ------
    UserError : it has not, and that is to end the run
    """
    logs, outputs = [], []
    for job in dag_jobs:
        logs += [str(log).removeprefix(f"{plan.results}/") for log in job.log]
        outputs += map(str, job.output)
    said = estimate.Disk.of(plan, estimate.files(plan), logs, outputs).too_small()
    if said and wanted != "warn":
        raise UserError(f"{said}; to run all the same: --config disk=warn", where=plan.results)
    return [f"{plan.results}: {said}"] if said else []


def job_environment(deployment: Iterable[object]) -> None:
    """Set what jobs inherit: where this library is, if their Python does not know, and no threads of linear algebra."""
    if not BUNDLED or with_conda(deployment):
        library = str(folder_of_library())
        others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != library]
        os.environ["PYTHONPATH"] = os.pathsep.join([library, *others])
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def with_conda(deployment: Iterable[object]) -> bool:
    """Return whether jobs have the Python of environments that conda makes, and not this one."""
    return "conda" in {getattr(method, "value", str(method)) for method in deployment}


def job_functions(scripts: Path, deployment: Iterable[object], profile: Profile) -> str:
    """Return the shell functions that rules call, as a prefix of their commands.

    `snakefold_job NAME ARGUMENTS` runs a script in one process, `snakefold_tile NAME ARGUMENTS` on the ranks of a tile,
    `snakefold_simulation NAME ARGUMENTS` on those of a simulation. A job's command names no interpreter, folder or
    launcher, so that a moved clone or another profile reruns nothing.
    """
    python = "python" if with_conda(deployment) else sys.executable
    run = f'{shlex.quote(python)} {shlex.quote(str(scripts))}/"$name".py "$@"'
    functions = "set -euo pipefail; "
    for name, n in (("job", 1), ("tile", profile.ranks), ("simulation", profile.simulation_ranks)):
        command = f"{profile.launcher} -n {n} {run}" if n > 1 else run
        # srun gives ranks one core each, whatever the job has, if it is not told.
        cores = 'SRUN_CPUS_PER_TASK="${{SLURM_CPUS_PER_TASK:-1}}" ' if n > 1 else ""
        functions += f'snakefold_{name}() {{{{ local name="$1"; shift; {TASKS}={n} {cores}{command}; }}}}; '
    return functions


@contextlib.contextmanager
def mistakes_shown(ending: str = "; nothing was run") -> Iterator[None]:
    """Print a user's mistakes as the error family does, and end the process with exit code 1; 130 after Ctrl-C."""
    try:
        yield
    except UserError as error:
        show(error, ending)
        leave(1)
    except KeyboardInterrupt:
        print(f"interrupted{ending}", file=sys.stderr)
        sys.exit(130)


def show(error: UserError, ending: str = "; nothing was run") -> None:
    """Print every mistake to standard error, in red on a terminal, and how many there were."""
    red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() and "NO_COLOR" not in os.environ else ("", "")
    n = len(error.mistakes)
    for mistake in error.mistakes:
        print(f"{red}{mistake}{plain}", file=sys.stderr)
    print(f"{n} mistake{'s' if n > 1 else ''}{ending}", file=sys.stderr)


def warn(warnings: list[str]) -> None:
    """Print warnings to standard error."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
