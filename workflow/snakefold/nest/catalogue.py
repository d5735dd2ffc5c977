"""What NEST has answered, kept in a file, so that a second check needs no kernel.

Answers belong to one NEST (version, and size and time of its files), one set of extension modules (their contents) and
one version of the questions. They lie in `$XDG_CACHE_HOME/snakefold` or `~/.cache/snakefold`; where that cannot be
written there is no cache, and a damaged file is ignored. What could not be asked is not kept, nor is anything that was
asked where a module could not be installed.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from snakefold.nest.client import SERVER, Answer, Kernel, Query, Unreachable

MOST_BYTES = 32_000_000


def folder() -> Path | None:
    """Return where answers are kept; None if there is no such place."""
    try:
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "snakefold"
    except RuntimeError:  # no home
        return None


def nest_version() -> str:
    """Return the version of the NEST of this interpreter, without importing it; empty if it is not known."""
    for name in ("nest-simulator", "nest_simulator", "nest"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _build() -> str | None:
    """Return what tells one installed NEST from another; None if there is none."""
    try:
        spec = importlib.util.find_spec("nest")
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    try:
        files = sorted({Path(spec.origin), *Path(spec.origin).parent.glob("*.so")})
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError:
        return None
    return json.dumps([nest_version(), spec.origin, stats])


def mpi_fault(n_ranks: int) -> str | Unreachable:
    """Return why the NEST of this interpreter cannot run on MPI ranks; empty if it can."""
    with Catalogue() as catalogue:
        (answer,) = catalogue.ask([{"ask": "about"}])
    if isinstance(answer, Unreachable):
        return answer
    what = (
        f"NEST cannot run on {n_ranks} MPI ranks: that of {sys.executable} is built without MPI; start the simulation "
    )
    do = "without mpirun or srun -n (in a profile: simulation_ranks: 1), or install a NEST with MPI (docs/CLUSTER.md)"
    return "" if answer["have_mpi"] else what + do


def _digest(module: str) -> str | None:
    try:
        return hashlib.blake2b(Path(module).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None


class Catalogue:
    """The answers of one NEST with one set of extension modules, as a context manager.

    Parameters
    ----------
    modules : extension modules, as for `Kernel`; only those given as files are kept answers for
    timeout_s, python : as for `Kernel`; only answers of this interpreter are kept

    Attributes
    ----------
    kernel : the one that is asked what is not known yet
    path : the file; None if answers are not kept
    """

    def __init__(self, modules: Sequence[str] = (), timeout_s: float = 60.0, python: str = sys.executable):
        self.kernel = Kernel(modules, timeout_s, python)
        self.path = self._path(modules) if python == sys.executable else None
        self._known = _read(self.path) if self.path else {}

    def __enter__(self) -> "Catalogue":
        return self

    def __exit__(self, *_: object) -> None:
        self.kernel.close()

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Return one answer per question, in order, from the file where it has them, else from the kernel."""
        keys = [_key(query) for query in queries]
        missing = {key: query for key, query in zip(keys, queries, strict=True) if key not in self._known}
        unreachable = {}
        if missing:
            answers = dict(zip(missing, self.kernel.ask(list(missing.values())), strict=True))
            unreachable = {key: a for key, a in answers.items() if not isinstance(a, dict)}
            self._known |= {key: a for key, a in answers.items() if isinstance(a, dict)}
            if self.path and len(unreachable) < len(answers) and not self.kernel.about["refused_modules"]:
                self._write()
        return [self._known[key] if key in self._known else unreachable[key] for key in keys]

    @staticmethod
    def _path(modules: Sequence[str]) -> Path | None:
        digests = [_digest(module) for module in modules]
        place, build = folder(), _build()
        if place is None or build is None or None in digests:
            return None
        text = json.dumps([build, digests, _digest(str(SERVER))])
        return place / f"nest-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}.json"

    def _write(self) -> None:
        temporary = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            known = _read(self.path) | self._known  # another process may have added some
            with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False, encoding="utf-8") as file:
                temporary = Path(file.name)
                json.dump(known, file)
            os.replace(temporary, self.path)  # noqa: PTH105
        except OSError:
            self.path = None
            if temporary is not None:
                temporary.unlink(missing_ok=True)


def _key(query: Query) -> str:
    text = json.dumps(dict(query), sort_keys=True)
    return f"{query['ask']} {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def _read(path: Path) -> dict[str, dict]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(known, dict) and all(isinstance(answer, dict) for answer in known.values())
    return known if whole else {}
