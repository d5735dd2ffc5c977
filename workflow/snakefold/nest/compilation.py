"""The job that compiles a NESTML file to an extension module of the NEST of this interpreter.

NESTML generates C++ and has CMake build it with what `nest-config` says. That of NEST's wheel speaks of folders of the
machine it was built on. Where it does not work, and the package has NEST's headers in it, a stand-in takes its place:
with the package's own headers, the ABI of strings that its library was built with, declarations of the one type of
libltdl's and of what models need of the GNU Scientific Library (which is in the package, without its headers), where
these are not installed, and without Boost, of which they use nothing that changes the layout of a class.

Up to version 8 of NESTML, a unit could stand alone in an expression, as in `0 * pA`; since version 9 it has to follow a
number. Files from before are read as they were meant: a unit that stands alone is one of it.
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
from collections.abc import Iterable, Iterator
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

# Of the GNU Scientific Library, since its version 1: what NESTML's integrators call.
_GSL = """#ifndef GSL_STAND_IN
#define GSL_STAND_IN
#include <stddef.h>
enum { GSL_SUCCESS = 0, GSL_FAILURE = -1, GSL_CONTINUE = -2, GSL_EDOM = 1, GSL_EBADFUNC = 9 };
extern "C" {
typedef struct { int (*function)(double, const double*, double*, void*);
                 int (*jacobian)(double, const double*, double*, double*, void*);
                 size_t dimension; void* params; } gsl_odeiv_system;
typedef struct gsl_odeiv_step_type_s gsl_odeiv_step_type;
typedef struct gsl_odeiv_step_s gsl_odeiv_step;
typedef struct gsl_odeiv_control_s gsl_odeiv_control;
typedef struct gsl_odeiv_evolve_s gsl_odeiv_evolve;
extern const gsl_odeiv_step_type* gsl_odeiv_step_rkf45;
gsl_odeiv_step* gsl_odeiv_step_alloc(const gsl_odeiv_step_type*, size_t);
int gsl_odeiv_step_reset(gsl_odeiv_step*);
void gsl_odeiv_step_free(gsl_odeiv_step*);
gsl_odeiv_control* gsl_odeiv_control_y_new(double, double);
int gsl_odeiv_control_init(gsl_odeiv_control*, double, double, double, double);
void gsl_odeiv_control_free(gsl_odeiv_control*);
gsl_odeiv_evolve* gsl_odeiv_evolve_alloc(size_t);
int gsl_odeiv_evolve_reset(gsl_odeiv_evolve*);
int gsl_odeiv_evolve_apply(gsl_odeiv_evolve*, gsl_odeiv_control*, gsl_odeiv_step*, const gsl_odeiv_system*,
                           double*, double, double*, double*);
void gsl_odeiv_evolve_free(gsl_odeiv_evolve*);
}
#endif
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
    if obstacle := what_is_missing():
        raise UserError(f"cannot be compiled: {obstacle}", where=str(source))
    with _own_environment(), tempfile.TemporaryDirectory(prefix="snakefold-module-") as name:
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


def what_is_missing() -> str:
    """Return what compiling models in NESTML lacks here, as far as tools tell, and how to get it; or nothing."""
    with _own_environment():
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    lacks = []
    if not has_nestml():
        lacks.append(f"NESTML is not installed ({EXTRA})")
        missing = [tool for tool in missing if tool != "cmake"]  # which comes with it
    if missing:
        packages = " ".join(_TOOLS[tool] for tool in missing)
        also = f", or {EXTRA}" if missing == ["cmake"] else ""
        lacks.append(f"{listed(missing)} not found (Debian: apt install {packages}{also})")
    return "; ".join(lacks)


# NESTML


def _generate(folder: Path, source: Path, module: str, models: list[Model], threads: int) -> None:
    """Have NESTML check the models, then generate and build the module in folder/installed."""
    if alone := _units_alone(_errors_of(folder, "none", module, {})[0]):
        text = (folder / "models.nestml").read_text(encoding="utf-8")
        (folder / "models.nestml").write_text(with_numbers(text, alone), encoding="utf-8")
        print(
            f"{source}: units that stand alone, as before NESTML 9, are taken as one of them: {len(alone)}", flush=True
        )
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


def with_numbers(text: str, alone: Iterable[tuple[int, int]]) -> str:
    """Return a text in NESTML with a 1 before the units that stand alone.

    Parameters
    ----------
    alone : (line, column) of the units, from 1 and from 0
    """
    lines = text.splitlines(keepends=True)
    for line, column in sorted(alone, reverse=True):
        row = lines[line - 1]
        lines[line - 1] = f"{row[:column]}1 {row[column:]}"
    return "".join(lines)


def _units_alone(errors: list[tuple]) -> set[tuple[int, int]]:
    """Return where units stand alone, if there is no other error."""
    from pynestml.utils.messages import MessageCode

    code = getattr(MessageCode, "NO_SOLITARY_PHYSICAL_UNITS", None)
    if not all(found is code and at is not None for found, at, _ in errors):
        return set()
    return {(at.get_start_line(), at.get_start_column()) for _, at, _ in errors}


def _run_nestml(folder: Path, source: Path, target: str, module: str, options: dict) -> None:
    errors, failure = _errors_of(folder, target, module, options)
    if errors:
        raise UserError(dict.fromkeys(Mistake(str(text), where=_place(source, at)) for _, at, text in errors))
    said = [path.read_text(errors="replace") for path in sorted((folder / "said").glob("*"))]
    print(*said, sep="\n", flush=True)
    if failure is not None:
        raise UserError(f"cannot be compiled: {_reason(said, failure)}", where=str(source)) from failure


def _errors_of(folder: Path, target: str, module: str, options: dict) -> tuple[list[tuple], BaseException | None]:
    """Run NESTML; return (code, place, message) of its errors, and what it raised."""
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
    return [(code, at, text) for *_, code, at, text in Logger.get_messages(level=LoggingLevel.ERROR)], failure


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
    (folder / "more/gsl").mkdir(parents=True)
    (folder / "package").symlink_to(package)  # a path without blanks
    (folder / "more/ltdl.h").write_text("typedef struct lt__handle* lt_dlhandle;\n")
    for name in ("gsl_errno.h", "gsl_matrix.h", "gsl_odeiv.h"):
        text = _GSL if name == "gsl_odeiv.h" else '#include "gsl_odeiv.h"\n'
        (folder / "more/gsl" / name).write_text(text)
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
