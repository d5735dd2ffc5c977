"""The results folder of a circuit: whose it is, and what in it is no longer part of the circuit."""

import json
import os
import shutil
from pathlib import Path

from snakefold import hdf5
from snakefold.errors import UserError
from snakefold.plan import Plan

OWNER = ".plan/owner.json"


def check_owner(folder: str, circuit: str) -> None:
    """Check that a results folder is new, or this circuit's, and not written by a newer Snakefold.

    Raises
    ------
    UserError : it holds the results of another circuit file, or of a newer schema; nothing is changed
    """
    path = Path(folder, OWNER)
    if not path.exists():
        there = [p.name for p in Path(folder).iterdir()] if Path(folder).is_dir() else []
        if set(there) - {"logs", "benchmarks", ".plan"}:
            raise UserError(
                "holds files, but not Snakefold's mark of whose they are; choose another results folder or empty it",
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
    kept = {Path(file) for file in plan.final_files()}
    kept |= {Path(plan.built(part)) for part in plan.parts}
    kept |= {Path(plan.path("validate", f"{name}.h5")) for name in plan.simulations}
    found = [
        path
        for folder in ("nodes", "edges", "build", "validate", "simulations")
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


def prune(plan: Plan) -> None:
    """Remove frozen plans and journals that no run needs any more, after a run that succeeded."""
    current = f"{plan.digest}.json"
    slices = {f"{part.digest}.json" for part in plan.parts.values()}
    for path in Path(plan.path(".plan")).glob("*.json"):
        if path.name not in (current, Path(OWNER).name):
            path.unlink(missing_ok=True)
    for path in Path(plan.path(".plan", "slices")).glob("*.json"):
        if path.name not in slices:
            path.unlink(missing_ok=True)
    shutil.rmtree(plan.path(".journal"), ignore_errors=True)
    for folder in ("", "build", "nodes", "edges", "stage", "validate", "simulations"):
        for path in Path(plan.path(folder)).glob("**/.*.part" if folder else ".*.part"):
            path.unlink(missing_ok=True)  # what a killed job was writing
