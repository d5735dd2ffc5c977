"""The verdicts of a report as a file for programs, and what to say of those that are out of bounds."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

from snakefold import hdf5
from snakefold.errors import Mistake, UserError
from snakefold.report.built import CellRow, DegreeRow, EdgeRow
from snakefold.report.measures import DEVIATES, UNKNOWN

FILE = "verdicts.json"


def write_verdicts(rows: Iterable[CellRow | EdgeRow | DegreeRow], output: str | Path) -> None:
    """Write what of the circuit has a verdict: a list of what, name, wanted, built, z (where it has one), verdict."""
    found = []
    for row in rows:
        z = getattr(row, "z", math.nan)
        built = None if math.isnan(row.built) else row.built
        entry = {"what": row.what, "name": row.name, "wanted": row.wanted, "built": built}
        found.append(entry | ({} if math.isnan(z) else {"z": round(z, 4)}) | {"verdict": row.verdict})
    lines = ",\n".join(f" {json.dumps(entry, ensure_ascii=False)}" for entry in found if entry["verdict"] != UNKNOWN)
    hdf5.write_text(output, f"[\n{lines}\n]\n" if lines else "[]\n")


def read_verdicts(path: str | Path) -> list[dict]:
    """Read what `write_verdicts` has written."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def out_of_bounds(found: Iterable[dict]) -> list[str]:
    """Return a line for each verdict that deviates."""
    return [
        f"{entry['what']} of {entry['name']}: {entry['built']:,.6g} built, {entry['wanted']:,.6g} wanted"
        + (f" (z = {entry['z']:+.2f})" if "z" in entry else "")
        for entry in found
        if entry["verdict"] == DEVIATES
    ]


def require_bounds(verdicts: str | Path, output: str | Path) -> None:
    """Write that all is as wanted, if it is.

    Raises
    ------
    UserError : every number that is out of bounds
    """
    found = read_verdicts(verdicts)
    if wrong := out_of_bounds(found):
        what = 'mend the description, or take out "report: fail" for a warning instead'
        told = f"{len(wrong)} of {len(found)} numbers are out of bounds; {what}"
        raise UserError(map(Mistake, [*wrong, told]))
    hdf5.write_text(output, f"All {len(found)} numbers that the description states are as wanted.\n")
