"""The job that compiles a NESTML file to an extension module of the NEST of this interpreter.

NESTML generates C++ and has CMake build it with what `nest-config` says. That of NEST's wheel speaks of folders of the
machine it was built on. Where it does not work, and the package has NEST's headers in it, a stand-in takes its place:
with the package's own headers, the ABI of strings that its library was built with, a declaration of the one type of
libltdl's that they need, and without Boost, of which they use nothing that changes the layout of a class.
"""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from snakefold import hdf5
from snakefold.config.types import file_digest
from snakefold.errors import Mistake, UserError, listed
from snakefold.nest.client import environment
from snakefold.nest.modules import POST, WEIGHT, Model, faults, has_nestml, models_in, pairs
from snakefold.slices import read_slice

EXTRA = "pip install 'snakefold[nestml]'"
_TOOLS = {"c++": "g++", "make": "make", "cmake": "cmake"}  # what is run -> the Debian package that has it
_LIBRARIES = {"gsl": "libgsl-dev", "mpi.h": "libopenmpi-dev", "boost": "libboost-dev", "ltdl.h": "libltdl-dev"}
_FLAGS = "-std=c++20 -O2 -fopenmp -DNDEBUG"
_OLD_STRINGS = re.compile(rb"_ZN4nest\w+RKSs")  # a function of NEST's that takes a std::string of before C++11
_STAND_IN = """#!/bin/sh
case "$1" in
--prefix) echo {prefix} ;;
--compiler) echo {compiler} ;;
--cflags) echo {flags} ;;
--includes) echo {includes} ;;
--libs) echo ;;
--libdir) echo lib ;;
--static-libraries) echo OFF ;;
*) exit 1 ;;
esac
"""


def compile_module(slice_file: str | Path, source: str | Path, output: str | Path, threads: int = 1) -> None:
    """Compile a NESTML file; the library appears whole or not at all, the compiler's output goes to standard output.

    Parameters
    ----------
    slice_file : what the module is made of (`modules.slice_of`)
    source : the NESTML file
    output : the library, named as the module (`modules.name_of`)
    threads : compilers at a time

    Raises
    ------
    UserError : a mistake in the file, with its line; the file is not what it was when the plan was made; NESTML, a
        compiler, or a library's headers are not installed
    """
    source, slice_ = Path(source), read_slice(slice_file)
    if file_digest(source) != slice_["source"]:
        raise UserError("has changed since the plan was made; run snakemake again", where=str(source))
    models = models_in(source.read_text(encoding="utf-8"))
    if wrong := list(faults(models)):
        raise UserError(Mistake(message, where=f"{source}:{line}") for line, message in wrong)
    if not has_nestml():
        raise UserError(f"NESTML is not installed, which compiles it; {EXTRA}", where=str(source))
    with _own_environment(), tempfile.TemporaryDirectory(prefix="snakefold-module-") as name:
        _check_tools(source)
        folder = Path(name)
        shutil.copyfile(source, folder / "models.nestml")
        module = Path(output).stem
        _generate(folder, source, module, models, threads)
        hdf5.write_bytes(output, (folder / "installed" / f"{module}.so").read_bytes())


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Without a launcher's variables (NESTML starts NEST to ask for its version), and with the tools of this Python."""
    before, own = dict(os.environ), environment()
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before.get("PATH", os.defpath)])
    os.environ.clear()
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _check_tools(source: Path) -> None:
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        packages = " ".join(_TOOLS[tool] for tool in missing)
        also = f", or {EXTRA}" if missing == ["cmake"] else ""
        what = f"cannot be compiled: {listed(missing)} not found; install them (Debian: apt install {packages}{also})"
        raise UserError(what, where=str(source))


# NESTML


def _generate(folder: Path, source: Path, module: str, models: list[Model], threads: int) -> None:
    """Have NESTML check the models, then generate and build the module in folder/installed."""
    _run_nestml(folder, source, "none", module, {})
    options = {
        "nest_path": str(_nest_path(folder)),
        "max_n_compiler_processes": threads,
        "weight_variable": {model.name: WEIGHT for model in models if model.is_synapse},
        "neuron_synapse_pairs": [{"neuron": n, "synapses": {s: {"post_ports": [POST]}}} for n, s in pairs(models)],
        "redirect_build_output": True,
        "build_output_dir": str(folder / "said"),
    }
    (folder / "said").mkdir()
    _run_nestml(folder, source, "NEST", module, options)


def _run_nestml(folder: Path, source: Path, target: str, module: str, options: dict) -> None:
    from pynestml.frontend import pynestml_frontend as frontend
    from pynestml.utils.logger import Logger, LoggingLevel

    failure = None
    try:
        frontend.configure_front_end(
            [str(folder / "models.nestml")],
            target,
            target_path=str(folder / "generated"),
            install_path=str(folder / "installed"),
            module_name=module,
            codegen_opts=options,
        )
        frontend.process()
    except (Exception, SystemExit) as error:  # NESTML ends the process, and raises whatever it is that it meets
        failure = error
    if found := Logger.get_messages(level=LoggingLevel.ERROR):
        raise UserError(dict.fromkeys(Mistake(str(text), where=_place(source, at)) for *_, at, text in found))
    said = [path.read_text(errors="replace") for path in sorted((folder / "said").glob("*"))]
    print(*said, sep="\n", flush=True)
    if failure is not None:
        raise UserError(f"cannot be compiled: {_reason(said, failure)}", where=str(source)) from failure


def _place(source: Path, at: object) -> str:
    return str(source) if at is None else f"{source}:{at.get_start_line()}"


def _reason(said: list[str], failure: BaseException) -> str:
    """Return why a build failed: headers that are not installed, else what the compiler or NESTML said."""
    errors = re.findall(r"error: (.*)", "\n".join(said))
    for name in re.findall(r"fatal error: (\S+): No such file", "\n".join(said)):
        for part, package in _LIBRARIES.items():
            if name.startswith(part):
                return f"the header {name} is not installed (Debian: apt install {package})"
    return errors[0] if errors else " ".join(f"{type(failure).__name__}: {failure}".split())


# NEST


def _nest_path(folder: Path) -> Path:
    """Return a folder whose bin/nest-config works: NEST's own, or one made in a folder.

    Raises
    ------
    UserError : there is no such NEST
    """
    config = shutil.which("nest-config")
    if config and _works(config):
        return Path(config).parent.parent
    spec = importlib.util.find_spec("nest")
    package = Path(spec.origin).parent if spec and spec.origin else None
    if package is None or not (package / "include/nest/config.h").is_file():
        what = "with a nest-config that works, or with its headers as in the wheel, is not installed"
        raise UserError(f"a NEST {what}; pip install nest-simulator")
    return _stand_in(folder / "nest", package, config)


def _said(config: str, option: str) -> str:
    ran = subprocess.run([config, option], capture_output=True, text=True, check=False)
    return ran.stdout.strip() if ran.returncode == 0 else ""


def _works(config: str) -> bool:
    """Return whether what a nest-config speaks of is there."""
    includes = [word[2:] for word in _said(config, "--includes").split() if word.startswith("-I")]
    compiler = _said(config, "--compiler")
    return bool(compiler and shutil.which(compiler)) and any(Path(i, "config.h").is_file() for i in includes)


def _stand_in(folder: Path, package: Path, config: str | None) -> Path:
    """Write a nest-config for a package that has NEST's headers in it, and return its folder."""
    (folder / "bin").mkdir(parents=True)
    (folder / "more").mkdir()
    (folder / "package").symlink_to(package)  # a path without blanks
    (folder / "more/ltdl.h").write_text("typedef struct lt__handle* lt_dlhandle;\n")
    (folder / "more/without_boost.h").write_text('#include "config.h"\n#undef HAVE_BOOST\n')
    flags = [(config and _said(config, "--cflags")) or _FLAGS]
    library = next(package.glob("nestkernel_api*.so"), None)
    if library is not None and _OLD_STRINGS.search(library.read_bytes()):
        flags.append("-D_GLIBCXX_USE_CXX11_ABI=0")
    flags.append(f"-idirafter {folder}/more -include {folder}/more/without_boost.h")
    with_mpi = "#define HAVE_MPI 1" in (package / "include/nest/config.h").read_text()
    text = _STAND_IN.format(
        prefix=shlex.quote(str(folder)),
        compiler="mpicxx" if with_mpi else "c++",
        flags=shlex.quote(" ".join(flags)),
        includes=shlex.quote(f"-I{folder}/package/include/nest"),
    )
    script = folder / "bin/nest-config"
    script.write_text(text)
    script.chmod(0o755)
    return folder
