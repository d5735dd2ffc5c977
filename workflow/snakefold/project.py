"""A project: a folder of a user's own in which the installed workflow runs, with a circuit to start from.

Its Snakefile includes the workflow where the library is, so nothing of the workflow is copied, and a newer Snakefold
needs no change. Copied is what a user edits: a circuit, the workflow's keys and the profiles.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template as Text

from snakefold import __version__
from snakefold.errors import UserError, did_you_mean, listed
from snakefold.installation import PACKAGE, ROOT

SKELETON = PACKAGE / "skeleton"
CIRCUITS = Path("circuits")


@dataclass(frozen=True)
class Template:
    """A circuit to start from.

    Attributes
    ----------
    about : what it is
    takes : how long it takes on a few cores
    edit : what one changes in it first
    circuit : its file
    built_in : the file of a circuit that does without the models in NESTML of the other, where these cannot be compiled
    package : what pip is to put beside these, without what it depends on; a requirement
    """

    about: str
    takes: str
    edit: str
    circuit: Path
    built_in: Path | None = None
    package: str = ""


@dataclass(frozen=True)
class Made:
    """A project.

    Attributes
    ----------
    circuit : its file, relative to the folder of the project
    takes : how long it takes
    commands : what one types to run it, from where the project was made
    notes : what else to know
    """

    circuit: Path
    takes: str
    commands: tuple[str, ...]
    notes: tuple[str, ...] = ()


TEMPLATES = {
    "two_layers": Template(
        "Two layers of 1,436 cells, the lower exciting the upper, and half a second of their activity.",
        "about a minute",
        "`network` (the size), `cell_types` (densities, numbers), `connectivity`, the devices of `simulations`",
        ROOT / "config/circuits/two_layers.yaml",
    ),
    "microcircuit": Template(
        "The cortical microcircuit of Potjans & Diesmann (2014): a tenth of its cells and of each cell's synapses, and "
        "10 s of their activity.",
        "some minutes",
        "`scale` (1 is the published circuit of 77,169 cells), `duration` and `threads` of the simulation",
        ROOT / "config/circuits/microcircuit.yaml",
    ),
    "cerebellum": Template(
        "The cortex of the mouse cerebellum of the package cerebellar-models, and its activity in vitro.",
        "about ten minutes",
        "`duration` and `threads` of the simulation; `network: {x: 100, y: 100}`, added to it, is a small one",
        PACKAGE / "contrib/cerebellum/cortex_in_vitro.yaml",
        PACKAGE / "contrib/cerebellum/cortex_in_vitro_built_in.yaml",
        "cerebellar-models==0.13.0",
    ),
}


def create(folder: str, name: str = "two_layers") -> Made:
    """Make a project of a template in a folder that is empty or not there.

    Raises
    ------
    UserError : no such template, the folder is not empty, or it cannot be written; nothing is left behind
    """
    if not folder:  # which would be the folder one is in, as of a variable that is not set
        raise UserError("should be: the name of a folder; . is this one", where="DIR")
    if name not in TEMPLATES:
        known = f"{did_you_mean(name, TEMPLATES)} (templates: {listed(TEMPLATES)})"
        raise UserError(f'no template "{name}"{known}', where="--template")
    if not folder:
        raise UserError("should be: the name of a folder (got: '')", where="DIR")
    there = Path(folder)
    try:
        if existed := there.exists():
            if found := sorted(p.name for p in there.iterdir()):
                raise UserError(f"should be: an empty folder, or a new one (there: {listed(found, 5)})", where=folder)
        else:
            there.mkdir(parents=True)
        try:
            return _filled(there, TEMPLATES[name])
        except BaseException:
            _empty(there)
            if not existed:
                there.rmdir()
            raise
    except NotADirectoryError as error:
        raise UserError("should be: a folder (there is a file of that name, or above it)", where=folder) from error
    except FileExistsError as error:
        raise UserError(
            "should be: a folder (there is a link of that name that leads nowhere)", where=folder
        ) from error
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", where=folder) from error


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _filled(there: Path, template: Template) -> Made:
    circuit, notes = template.circuit, []
    if template.built_in and (obstacle := _obstacle()):
        circuit = template.built_in
        instead = "the circuit has a built-in model of NEST instead; see its README.md"
        notes.append(f"models in NESTML cannot be compiled: {obstacle};\n  {instead}")
    for file, text in _written(there, template, CIRCUITS / circuit.name):
        (there / file).parent.mkdir(exist_ok=True)
        (there / file).write_text(text, encoding="utf-8")
    for source in sorted(p for p in ROOT.glob("profiles/*/*") if p.is_file()):
        copy = there / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)  # not its mode: what is installed may be read-only
        if os.access(source, os.X_OK):
            copy.chmod(copy.stat().st_mode | 0o111)
    # `--profile slurm` looks in the folder slurm, not in profiles/slurm
    (there / "slurm").symlink_to("profiles/slurm")
    commands = [_activation(), "" if there.samefile(".") else f"cd {shlex.quote(_as_operand(there))}"]
    if template.package and (why := _fetched(there, template.package)):
        commands.append(fetching(template.package))
        notes.append(f"{template.package} could not be installed into {CIRCUITS}/:\n  {why}")
    commands.append("snakemake -c all")
    return Made(CIRCUITS / circuit.name, template.takes, tuple(filter(None, commands)), tuple(notes))


def _obstacle() -> str:
    from snakefold.nest.compilation import what_is_missing

    return what_is_missing()


def _activation() -> str:
    """Return the command that puts the environment of this Python on the PATH, where it is not; or nothing."""
    own = Path(sys.executable).parent
    found = shutil.which("snakemake")
    if (found and Path(found).resolve().parent.samefile(own)) or not (own / "activate").is_file():
        return ""
    return f". {shlex.quote(str(own / 'activate'))}"


def _as_operand(path: Path) -> str:
    """Return a path so that no command takes it for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def fetching(package: str) -> str:
    """Return the command that puts a package beside the circuits of a project, as a user types it there."""
    return f"python -m pip install --no-deps --target {CIRCUITS} {package}"


def _fetched(there: Path, package: str) -> str:
    """Put a package beside the circuits; return why that was not possible, or nothing."""
    _, *arguments = fetching(package).split()
    quickly = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    ran = subprocess.run([sys.executable, *arguments, *quickly], cwd=there, capture_output=True, text=True, check=False)
    said = [line for line in ran.stderr.splitlines() if line.strip()]
    return "" if ran.returncode == 0 else said[-1] if said else f"pip ended with {ran.returncode}"


def _written(there: Path, template: Template, circuit: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of a project that are not copied as they are, and what is in them."""
    files = [file for file in (template.circuit, template.built_in) if file]
    values = {
        "title": there.resolve().name.encode(errors="replace").decode(),
        "about": template.about,
        "takes": template.takes,
        "edit": template.edit,
        "circuit": str(circuit),
        "circuits": "`, `".join(str(CIRCUITS / file.name) for file in files),
        "results": f"results/{circuit.stem}",
        "fetch": fetching(template.package),
        "version": __version__,
    }
    values["needs"] = _text("needs.md", values) if template.package else ""
    yield Path("README.md"), _text("README.md", values)
    yield Path("Snakefile"), _text("Snakefile", values)
    yield Path(".gitignore"), _text("gitignore", values) + _ignored(template.package)
    config = (ROOT / "config/config.yaml").read_text(encoding="utf-8")
    yield Path("config/config.yaml"), re.sub("^circuit:.*$", f"circuit: {circuit}", config, flags=re.MULTILINE)
    for file in files:
        yield CIRCUITS / file.name, file.read_text(encoding="utf-8")


def _ignored(package: str) -> str:
    """Return what git is to ignore of what pip puts beside the circuits."""
    module = package.partition("==")[0].replace("-", "_")
    return f"/{CIRCUITS}/bin/\n/{CIRCUITS}/{module}*/\n" if package else ""


def _text(name: str, values: dict[str, str]) -> str:
    return Text((SKELETON / name).read_text(encoding="utf-8")).substitute(values)
