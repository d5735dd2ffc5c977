"""A project: a folder of a user's own in which the installed workflow runs, with a circuit to start from.

Its Snakefile includes the workflow where the library is, so nothing of the workflow is copied, and a newer Snakefold
needs no change. Copied is what a user edits: a circuit, the workflow's keys and the profiles.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template as Text

from snakefold import __version__
from snakefold.errors import UserError, did_you_mean, listed
from snakefold.installation import PACKAGE, ROOT

SKELETON = PACKAGE / "skeleton"


@dataclass(frozen=True)
class Template:
    """A circuit to start from, config/circuits/NAME.yaml.

    Attributes
    ----------
    about : what it is
    takes : how long it takes on a few cores
    edit : what one changes in it first
    """

    about: str
    takes: str
    edit: str


TEMPLATES = {
    "two_layers": Template(
        "Two layers of 1,436 cells, the lower exciting the upper, and half a second of their activity.",
        "about a minute",
        "`network` (the size), `cell_types` (densities, numbers), `connectivity`, the devices of `simulations`",
    ),
    "microcircuit": Template(
        "The cortical microcircuit of Potjans & Diesmann (2014): a tenth of its cells and of each cell's synapses, and "
        "10 s of their activity.",
        "some minutes",
        "`scale` (1 is the published circuit of 77,169 cells), `duration` and `threads` of the simulation",
    ),
}


def create(folder: str, template: str = "two_layers") -> Path:
    """Make a project in a folder that is empty or not there, and return its circuit, relative to the folder.

    Raises
    ------
    UserError : no such template, the folder is not empty, or it cannot be written; nothing is left behind
    """
    if template not in TEMPLATES:
        known = f"{did_you_mean(template, TEMPLATES)} (templates: {listed(TEMPLATES)})"
        raise UserError(f'no template "{template}"{known}', where="--template")
    there = Path(folder)
    try:
        if existed := there.exists():
            if found := sorted(p.name for p in there.iterdir()):
                raise UserError(f"should be: an empty folder, or a new one (there: {listed(found, 5)})", where=folder)
        else:
            there.mkdir(parents=True)
        try:
            _fill(there, template)
        except OSError:
            _emptied(there)
            if not existed:
                there.rmdir()
            raise
    except NotADirectoryError as error:
        raise UserError("should be: a folder (there is a file of that name, or above it)", where=folder) from error
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", where=folder) from error
    return _circuit(template)


def _circuit(template: str) -> Path:
    return Path("circuits", f"{template}.yaml")


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _fill(there: Path, template: str) -> None:
    for file, text in _written(there, template):
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


def _written(there: Path, template: str) -> Iterator[tuple[Path, str]]:
    """Yield the files of a project that are not copied, and what is in them."""
    circuit, what = _circuit(template), TEMPLATES[template]
    values = {
        "title": there.resolve().name.encode(errors="replace").decode(),
        "about": what.about,
        "takes": what.takes,
        "edit": what.edit,
        "circuit": str(circuit),
        "results": f"results/{template}",
        "version": __version__,
    }
    for name, skeleton in (("Snakefile", "Snakefile"), ("README.md", "README.md"), (".gitignore", "gitignore")):
        yield Path(name), Text((SKELETON / skeleton).read_text(encoding="utf-8")).substitute(values)
    config = (ROOT / "config/config.yaml").read_text(encoding="utf-8")
    yield Path("config/config.yaml"), re.sub("^circuit:.*$", f"circuit: {circuit}", config, flags=re.MULTILINE)
    yield circuit, (ROOT / "config/circuits" / circuit.name).read_text(encoding="utf-8")
