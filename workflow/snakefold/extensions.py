"""Python modules with components that are not built in: a file beside the circuit, or a module that is installed.

A file is executed from its text, which goes into the slices of its components: a job that was planned before an edit of
the file still has the old one. An installed module is imported; slices hold the digest of its source, so that an edit
or another version of it reruns what it made.

The components of a module are known as `module.Class`, and as `Class` where no other has that name.
"""

import functools
import hashlib
import importlib
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from snakefold.config import context
from snakefold.config.files import read_bytes
from snakefold.config.nodes import Node
from snakefold.errors import UserError

STANDS_IN = {"cerebellar_models": "snakefold.contrib.cerebellum"}  # packages whose components are built in
MOST_BYTES = 4_000_000  # of a file of components
_PREFIX = "snakefold_user."  # of the modules that are executed from files: no other module is replaced by one
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Extension:
    """A module with components.

    Attributes
    ----------
    name : as descriptions know it
    classes : its components
    file : where it was read from
    source : its text, where it was executed from a file; None for an installed module
    """

    name: str
    classes: tuple[type[Node], ...]
    file: str
    source: str | None = None

    def names_of(self, cls: type[Node]) -> list[str]:
        """Return the names by which a description may know one of its components."""
        return list(dict.fromkeys([name_of(cls), f"{self.name}.{cls.__qualname__}", cls.__qualname__]))

    def record(self, cls: type[Node]) -> dict[str, str]:
        """Return what a slice holds of the module of one of its components."""
        if self.source is not None:
            return {"module": self.name, "source": self.source}
        return {"module": self.name, "source_blake2b": _source_digest(cls.__module__)}


_extensions: dict[tuple[str, str | None], Extension] = {}  # (name, source) -> a module, of this process
_extension_of: dict[type[Node], Extension] = {}


def name_of(cls: type[Node]) -> str:
    """Return the full name of a component that is not built in."""
    return f"{cls.__module__.removeprefix(_PREFIX)}.{cls.__qualname__}"


def extension_of(cls: type[Node]) -> Extension | None:
    """Return the module that brought a component, None where it is built in."""
    return _extension_of.get(cls)


def visible() -> list[Extension]:
    """Return the modules whose components can be used here: those announced by packages, and those of this build."""
    of_build = context.current().share("extensions", list) if context.is_active() else ()
    return [*dict.fromkeys([*_announced(), *of_build])]


def use(extension: Extension) -> None:
    """Let the current build use the components of a module."""
    context.current().share("extensions", list).append(extension)


def from_source(name: str, source: str, file: str) -> Extension:
    """Execute the text of a Python file.

    Raises
    ------
    UserError : it cannot be imported; the message has the line
    """
    if (name, source) in _extensions:
        return _extensions[name, source]
    module = ModuleType(_PREFIX + name)
    module.__file__ = file
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, file, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = before
        frame, line = error.__traceback__, getattr(error, "lineno", None)
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == file:
                line = frame.tb_lineno
            frame = frame.tb_next
        raise UserError(f"cannot be imported: {type(error).__name__}: {error}", where=f"{file}:{line or 1}") from error
    return _registered(Extension(name, _components_in(module), file, source))


def from_module(name: str) -> Extension:
    """Import an installed module.

    Raises
    ------
    UserError : it cannot be imported
    """
    if (name, None) in _extensions:
        return _extensions[name, None]
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UserError(f'the module "{name}" cannot be imported: {type(error).__name__}: {error}') from error
    return _registered(Extension(name, _components_in(module), str(getattr(module, "__file__", "") or name)))


def restored(written: dict) -> Extension | None:
    """Return the module that a slice names, None where its component is built in.

    Raises
    ------
    UserError : it cannot be imported here, or an installed one is no longer what it was
    """
    if "source" in written:
        return from_source(written["module"], written["source"], f"{written['module']}.py")
    if "module" not in written:
        return None
    extension = from_module(written["module"])
    found = next((c for c in extension.classes if name_of(c) == written["class"]), None)
    if found is not None and _source_digest(found.__module__) != written["source_blake2b"]:
        what = f'the source of "{found.__module__}" has changed since the plan was made; run snakemake again'
        raise UserError(what, where=extension.file)
    return extension


def load_all(tree: dict, build: context.BuildContext) -> list[tuple[str, str | None]]:
    """Let a build use all that a description lists under `components`; mistakes go to the build.

    Returns
    -------
    (module, text or None) of those that could not be imported
    """
    broken: list[tuple[str, str | None]] = []
    used: dict[str, Extension] = {}
    entries = tree.get("components")
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        entry = entry.get("module") if isinstance(entry, dict) else entry
        if not isinstance(entry, str):
            continue  # the type of the attribute says so
        if entry.partition(".")[0] in STANDS_IN:
            continue
        name, file = _place_of(entry, build.folder_of(("components", i)))
        source = None
        try:
            if file is None:
                extension = from_module(name)
            else:
                source = read_bytes(file, MOST_BYTES).decode("utf-8")
                if len(source) > MOST_BYTES:
                    raise UserError(f"is larger than {MOST_BYTES // 1_000_000} MB", where=str(file))
                extension = replace(from_source(name, source, str(file)), file=str(file))
            if name in used and used[name].file != extension.file:
                raise UserError(f'{extension.file} is called "{name}", as {used[name].file} is; rename one of the two')
            used[name] = extension
            use(extension)
            continue
        except (OSError, ValueError) as error:
            build.mistake(("components", i), f"{file} cannot be read: {getattr(error, 'strerror', error)}")
        except UserError as error:
            build.mistakes.extend(replace(m, path=("components", i)) for m in error.mistakes)
        broken.append((name, source))
    return broken


def _place_of(entry: str, folder: Path) -> tuple[str, Path | None]:
    """Return the name of a module and its file; no file where it is to be imported.

    A dotted name is that of a file below the description's folder, if there is one, else that of an installed module.
    """
    if entry.endswith(".py") or not _DOTTED.fullmatch(entry):
        return Path(entry).stem, folder / entry
    file = folder.joinpath(*entry.split(".")).with_suffix(".py")
    return entry, file if file.is_file() else None


def _components_in(module: ModuleType) -> tuple[type[Node], ...]:
    """Return the components that a module defines, or brings from modules below it."""
    found = (c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Node) and hasattr(c, "kind"))
    own = (c for c in found if f"{c.__module__}.".startswith(f"{module.__name__}."))
    return tuple(dict.fromkeys(own))


def _registered(extension: Extension) -> Extension:
    _extensions[extension.name, extension.source] = extension
    _extension_of.update(dict.fromkeys(extension.classes, extension))
    return extension


@functools.cache
def _announced() -> tuple[Extension, ...]:
    """Return the modules that installed packages announce under the entry point group `snakefold.components`."""
    from importlib.metadata import entry_points

    return tuple(from_module(entry.module) for entry in entry_points(group="snakefold.components"))


def _source_digest(module: str) -> str:
    """Return the digest of the text of an imported module, empty where it has none."""
    file = getattr(sys.modules[module], "__file__", None)
    if not file or not file.endswith(".py"):
        return ""
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
