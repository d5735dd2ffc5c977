"""The context of one build of a typed tree: its mistakes, variables and shared resources, for as long as it lasts."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from snakefold.config.expression import UnknownVariable
from snakefold.errors import Mistake
from snakefold.errors import Path as TreePath

_current: ContextVar["BuildContext"] = ContextVar("build_context")


class BuildContext:
    """What the nodes under construction share.

    Attributes
    ----------
    mistakes : what was found wrong so far; the build goes on to find the rest
    variables : for expressions
    broken_variables : those of which it is told already that their value is wrong; None where any may be
    folder_of : the folder that file names at a path of the description are relative to
    top : folder up to which files are looked for above that, None for nowhere above
    files : data files by digest, where a component is restored from its slice
    """

    def __init__(
        self,
        variables: dict[str, float] | None = None,
        folder_of: Callable[[TreePath], Path] = lambda path: Path(),
        files: dict[str, Path] | None = None,
        top: Path | None = None,
    ):
        self.mistakes: list[Mistake] = []
        self.variables = dict(variables or {})
        self.broken_variables: set[str] | None = set()
        self.folder_of, self.files, self.top = folder_of, files, top
        self._resources: dict[object, object] = {}
        self._exits = contextlib.ExitStack()

    def file_at(self, path: TreePath, name: str) -> Path:
        """Return the file that a name at a path of the description means.

        It is relative to the folder of the file in which it stands. Where it is not there, the folders above are tried,
        up to the one that holds all files of the description: parts of a description may name files as they lie from
        where the BSB is to be started.
        """
        folder = self.folder_of(path)
        if self.top is None or (folder / name).exists():
            return folder / name
        steps = len(folder.resolve().parts) - len(self.top.parts)
        above = (Path(os.path.normpath(folder.joinpath(*[".."] * n, name))) for n in range(1, steps + 1))
        return next((file for file in above if file.exists()), folder / name)

    def mistake(self, path: TreePath, message: str, *lacks: TreePath) -> None:
        """Report a mistake, and what it complains is not there; the build continues."""
        self.mistakes.append(Mistake(message, path, lacks=lacks))

    def follows(self, error: ValueError) -> bool:
        """Return whether an expression is only wrong because a variable of it is, of which it is told there."""
        broken = self.broken_variables
        return isinstance(error, UnknownVariable) and (broken is None or error.variable in broken)

    def share(self, key: object, make: Callable[[], object], clean_up: Callable[[object], None] | None = None):
        """Return the resource of this build known by `key`, made at the first call.

        Clean-up callbacks run in the reverse order of registration when the build ends, also after an error.
        """
        if key not in self._resources:
            self._resources[key] = resource = make()
            if clean_up is not None:
                self._exits.callback(clean_up, resource)
        return self._resources[key]


def current() -> BuildContext:
    """Return the context of the build that is going on."""
    return _current.get()


def is_active() -> bool:
    """Return whether a build is going on."""
    return _current.get(None) is not None


@contextlib.contextmanager
def building(context: BuildContext) -> Iterator[BuildContext]:
    """Let `context` be the current one for the block, and clean up after it."""
    token = _current.set(context)
    try:
        with context._exits:
            yield context
    finally:
        _current.reset(token)
