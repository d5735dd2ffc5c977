"""The results folder of a circuit: whose it is, and what in it is no longer part of the circuit."""

import contextlib
import json
import os
import shlex
import shutil
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import h5py

from snakefold import hdf5
from snakefold.errors import Mistake, UserError, listed
from snakefold.plan import Plan
from snakefold.slices import digest_of

OWNER = ".plan/owner.json"
STALE_S = 3600.0
RECORDS = (".snakemake/metadata", ".snakemake/incomplete")  # what Snakemake knows of files, by their paths


def check_owner(folder: str, circuit: str) -> None:
    """Check that a results folder is new, or this circuit's, and not written by a newer Snakefold.

    Raises
    ------
    UserError : it holds the results of another circuit file, or of a newer schema; nothing is changed
    """
    path = Path(folder, OWNER)
    nearest = next(p for p in (Path(folder), *Path(folder).parents) if os.path.lexists(p))
    if not nearest.is_dir():
        raise UserError(f"should be: a folder, or a new one ({nearest} is none); choose another results folder", folder)
    if not path.exists():
        there = {p.name for p in Path(folder).iterdir()} if Path(folder).is_dir() else set()
        marks = path.parent.name  # where it is there without the mark, that was deleted, as the messages below say
        if marks not in there and there - {"logs", "benchmarks"}:
            raise UserError(
                "holds files, but not Snakefold's mark of whose they are; choose another results folder or empty it; "
                f"if they are this circuit's results: mkdir {shlex.quote(str(path.parent))}",
                where=folder,
            )
        return
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        schema, relative, absolute = int(owner["schema"]), owner["relative"], owner["absolute"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot be read ({error}); delete it if the folder is this circuit's", where=str(path)
        ) from None
    if schema > hdf5.SCHEMA_VERSION:
        raise UserError(
            f"was written by a newer Snakefold (schema {schema}, this is {hdf5.SCHEMA_VERSION}); update Snakefold "
            "or choose another results folder",
            where=folder,
        )
    same = relative == os.path.relpath(circuit, folder) or absolute == str(Path(circuit).resolve())
    if not same:
        raise UserError(
            f"holds the results of another circuit, {absolute}; choose another folder, as in "
            f"--config results=other, or delete {path} if it is the same circuit under a new name",
            where=folder,
        )


def check_folder(folder: str) -> None:
    """Check that a folder may hold a circuit's results, as commands that look at them need.

    Raises
    ------
    UserError : it does not; where one below it does, that may be meant
    """
    if not _of_a_circuit(Path(folder)):
        below = [str(path) for path in sorted(Path(folder).glob("*/")) if _of_a_circuit(path)]
        meant = f"; did you mean: {listed(below, 3)}" if below else ""
        raise UserError(f"is not the folder of a circuit's results, <results>/<circuit>{meant}", where=folder)


def _of_a_circuit(folder: Path) -> bool:
    return any((folder / name).exists() for name in (".plan", ".journal", "logs", "circuit_config.json"))


def check_recorded(plan: Plan) -> None:
    """Check that Snakemake will see which parts of the description differ from those that were built.

    It knows by its records, which lie in the folder that it is started in, under the paths that it was given; without
    one it would keep the file of a part whose description has changed, and all that follows from it.

    Raises
    ------
    UserError : every part that was built from another description and that Snakemake has no record of here
    """
    stale = [
        file
        for name, part in plan.parts.items()
        if name != "parse" and Path(file := plan.built(name)).is_file() and not _recorded(file)
        if _slice_digest(file) not in (part.digest, None)
    ]
    if stale:
        what = (
            "was built from another description, and Snakemake has no record of it here: run in the folder, and with "
            "the path of the results, that it was built with, or delete it to build it again"
        )
        raise UserError(Mistake(what, where=file) for file in stale)


def _recorded(file: str) -> bool:
    """Return whether Snakemake, started in this folder, has a record of a file, or of a job that was writing it."""
    name = urlsafe_b64encode(file.encode()).decode()
    for folder in map(Path, RECORDS):
        most = os.pathconf(folder, "PC_NAME_MAX") - 1 if folder.is_dir() else 254
        steps = [name[at : at + most] for at in range(0, len(name), most)]
        if folder.joinpath(*(f"@{step}" for step in steps[:-1]), steps[-1]).is_file():
            return True
    return False


def damaged(folder: str | Path) -> list[Mistake]:
    """Return which files of a results folder are cut off, or not what their names say; what they hold is not read."""
    found = []
    for path in sorted(p for p in Path(folder).rglob("[!.]*") if p.suffix in _READABLE and p.is_file()):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                _READABLE[path.suffix](path)
            except (OSError, ValueError) as error:
                found.append(Mistake(f"is damaged ({error}); delete it and run again", where=str(path)))
    return found


def _open_page(path: Path) -> None:
    if not path.read_bytes().rstrip().endswith(b"</html>"):
        raise ValueError("it has no end")


_READABLE = {
    ".h5": lambda path: h5py.File(path, "r").close(),
    ".json": lambda path: json.loads(path.read_bytes()),
    ".html": _open_page,
}


def slice_built(file: str) -> dict | None:
    """Return the slice that a part was built from; None where there is none, or it cannot be read."""
    try:
        with h5py.File(file, "r") as built:
            return json.loads(built["slice"].asstr()[()])
    except (OSError, KeyError, ValueError, TypeError):
        return None


def _slice_digest(file: str) -> str | None:
    slice_ = slice_built(file)
    return None if slice_ is None else digest_of(slice_)


def claim(folder: str, circuit: str) -> None:
    """Mark a results folder as this circuit's."""
    owner = {
        "schema": hdf5.SCHEMA_VERSION,
        "relative": os.path.relpath(circuit, folder),
        "absolute": str(Path(circuit).resolve()),
    }
    text = json.dumps(owner, indent=1) + "\n"
    path = Path(folder, OWNER)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        hdf5.write_text(path, text)


def obsolete(plan: Plan) -> list[Path]:
    """Return results of components that are no longer in the description, which are no part of the circuit."""
    kept = {Path(file) for file in plan.kept_files()}
    found = [
        path
        for folder in ("nodes", "edges", "stage", "morphologies", "build", "validate", "simulations")
        for path in sorted(Path(plan.path(folder)).rglob("*"))
        if path.is_file() and path not in kept and not path.name.endswith(".part")
    ]
    return found


def remove_obsolete(plan: Plan) -> list[Path]:
    """Delete what `obsolete` finds, and folders that are empty then; return it."""
    gone = obsolete(plan)
    for path in gone:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == Path(plan.results) or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
    return gone


def prune(plan: Plan, *, keep_temporary: bool = False) -> None:
    """Remove what no run needs any more, after a run that succeeded: frozen plans, journals, files that are used up.

    Parameters
    ----------
    keep_temporary : keep tiles and prepared files
    """
    current = f"{plan.digest}.json"
    slices = {f"{digest}.json" for digest in plan.slices()}
    for path in Path(plan.path(".plan")).glob("*.json"):
        if path.name not in (current, Path(OWNER).name):
            path.unlink(missing_ok=True)
    for path in Path(plan.path(".plan", "slices")).glob("*.json"):
        if path.name not in slices:
            path.unlink(missing_ok=True)
    shutil.rmtree(plan.path(".journal"), ignore_errors=True)
    for path in [] if keep_temporary else used_up(plan):
        path.unlink(missing_ok=True)
    for folder in ("", "build", "nodes", "edges", "morphologies", "stage", "validate", "simulations"):
        for path in Path(plan.path(folder)).glob("**/.*.part" if folder else ".*.part"):
            with contextlib.suppress(OSError):
                if (
                    time.time() - path.stat().st_mtime > STALE_S
                ):  # a killed job's, and not a stale one's that still writes
                    path.unlink()


def used_up(plan: Plan) -> list[Path]:
    """Return tiles and prepared files older than all that is made of them.

    Snakemake deletes them itself, but for those whose last job ended after Snakemake was killed.
    """
    found = []
    placed = {name: ("nodes", strategy.cell_types) for name, strategy in plan.placements.items()}
    connected = {name: ("edges", strategy.sets) for name, strategy in plan.connections.items()}
    for phase, strategies in (("place", placed), ("connect", connected)):
        for name, (kind, populations) in strategies.items():
            made = [Path(plan.staged(kind, population)) for population in populations]
            if made and all(path.exists() for path in made):
                oldest = min(path.stat().st_mtime for path in made)
                files = [Path(plan.path("prepare", phase, f"{name}.h5")), *Path(plan.path(phase, name)).glob("*.h5")]
                found += [path for path in files if path.exists() and path.stat().st_mtime <= oldest]
    return found
