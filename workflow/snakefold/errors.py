"""One family of errors for what a user can mend: where, what was given, what is allowed, what to do.

A `Mistake` is one such fault; a `UserError` carries all that were found, so that the first screen lists them all.
Anything else that is raised is a defect of Snakefold's and keeps its traceback.
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """Write a path into a description as users read it: `placement.l4.cell_types[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


@dataclass(frozen=True)
class Mistake:
    """One thing a user can mend.

    Attributes
    ----------
    message : what was given, what is allowed, what to do
    path : keys and indices from the root of the description to the fault; empty for the whole
    where : `file:line`, or a file; empty where it is not known
    lacks : what it complains is not there; where that is in the description, but broken, this one only follows
    """

    message: str
    path: Path = ()
    where: str = ""
    lacks: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, dotted(self.path), self.message) if part)


class UserError(Exception):
    """Everything that is wrong with what a user gave, all at once."""

    def __init__(self, mistakes: Iterable[Mistake] | Mistake | str, where: str = ""):
        if isinstance(mistakes, str):
            mistakes = Mistake(mistakes, where=where)
        self.mistakes = (mistakes,) if isinstance(mistakes, Mistake) else tuple(mistakes)
        super().__init__(*self.mistakes)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)

    def located(self, locate: Callable[[Path], str]) -> "UserError":
        """Return the same error with `file:line` filled in by `locate`, in the order of the files' lines."""
        found = [m if m.where else replace(m, where=locate(m.path)) for m in self.mistakes]
        return UserError(sorted(found, key=_by_line))


def _by_line(mistake: Mistake) -> tuple[str, int]:
    file, _, line = mistake.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (mistake.where, 0)


def nearest(name: object, allowed: Iterable[str], *, sure: bool = False) -> str:
    """Return the one of the allowed names that may (or, if sure, must) have been meant, or an empty string."""
    names = [str(a) for a in allowed]
    same = [a for a in names if a.casefold() == str(name).casefold()]
    near = same or difflib.get_close_matches(str(name), names, n=1, cutoff=0.8 if sure else 0.6)
    return near[0] if near else ""


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the nearest of the allowed names, or an empty string."""
    near = nearest(name, allowed)
    return f'; did you mean "{near}"?' if near else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """Return names for an error message: at most `most` of them, in the order given."""
    names = [str(name) for name in names]
    rest = len(names) - most
    return ", ".join(names[:most]) + (f", ... ({rest} more)" if rest > 0 else "") if names else "none"


def expects(what: str, allowed: str, got: object) -> str:
    """Return `'offset' shape should be: (3,) (got: (2,))`."""
    return f"{what} should be: {allowed} (got: {got})"
