"""Where Snakemake may be started: on a login node (all other tests), on a compute node, in a step, in an allocation.

Nothing that a place leaves in the environment reaches the processes that are asked about NEST, and no job locks files.
"""

import shlex
import subprocess
from pathlib import Path

import pytest
from on_slurm import HANG_S, OnSlurm, notes, of_watched

from flow import WATCHED, Workflow, watched
from snakefold.launcher import STRIPPED

# Beside the workflow on PYTHONPATH: each kernel keeps the environment that it was started with.
KEEP_ENVIRONMENT = """\
import os, pathlib, shutil, sys

if sys.orig_argv[-1].endswith("nest/kernel.py"):
    shutil.copyfile("/proc/self/environ", pathlib.Path(__file__).parent / f"kernel.{os.getpid()}")
"""
LOCKS = """

import h5py

with h5py.File(f"{os.environ['WATCH']}.{os.getpid()}.h5", "w"):
    locks = [line for line in Path("/proc/locks").read_text().splitlines() if f" {os.getpid()} " in line]
note(f"locks {len(locks)}")
"""
BATCH = ("sbatch", "--wait", "--nodes=1", "--ntasks=1", "--mem=1500", "--output=told.txt", "--wrap")
SALLOC = ("salloc", "--quiet", "--nodes=1", "--ntasks=1", "--mem=500", "bash", "-c")
STEP = ("srun", "--ntasks=1", "--mem=1500", "--mpi=pmix", "bash", "-c")
PLACES = {
    "a job script that submits jobs": (OnSlurm, BATCH),
    "a job script that runs them itself": (Workflow, BATCH),
    "an allocation, submitting jobs": (OnSlurm, SALLOC),
    "a step of an allocation, as an MPI rank": (Workflow, STEP),
}


def placed(folder: Path, kind: type) -> Workflow:
    """Return the circuit of `flow.watched`, simulation included, whose strategy notes its locks."""
    here = of_watched(folder, kind, tiles=1)
    here.write(watched())
    (here.folder / "own.py").write_text(WATCHED + LOCKS)
    return here


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of the circuit, made on one core."""
    return placed(tmp_path_factory.mktemp("undisturbed"), Workflow).built().circuit_files()


@pytest.mark.parametrize("place", PLACES)
def test_the_workflow_runs_in(cluster, tmp_path, undisturbed, place):
    kind, starter = PLACES[place]
    here = placed(tmp_path / "here", kind)
    kept, cache = tmp_path / "kept", tmp_path / "cache"
    kept.mkdir()
    (kept / "sitecustomize.py").write_text(KEEP_ENVIRONMENT)
    cache.mkdir()
    (cache / "snakefold").touch()  # in the way of what NEST has answered before, so that the job asks again
    here.env |= {"PYTHONPATH": str(kept), "XDG_CACHE_HOME": str(cache), "LEFT_IN": "place"}
    command = [*starter, shlex.join(here.command(jobs=50 if kind is OnSlurm else 1))]
    done = subprocess.run(
        command, cwd=here.folder, env=here.environment(), capture_output=True, text=True, timeout=HANG_S
    )
    told = here.folder / "told.txt"
    output = done.stdout + done.stderr + (told.read_text() if told.exists() else "")
    assert done.returncode == 0, output
    assert here.circuit_files() == undisturbed
    assert list(here.results.glob("simulations/quick/spikes.h5"))
    assert ("has been submitted with SLURM jobid" in output) == (kind is OnSlurm), output
    asked = [_environment(path) for path in kept.glob("kernel.*")]
    assert len(asked) == 2, "NEST was asked when the run started, and by the job that validates"
    for environment in asked:
        assert environment["LEFT_IN"] == "place"
        assert not [name for name in environment if name.startswith(STRIPPED)]
    locks = {line for line in notes(here) if line.startswith("locks")}
    assert locks == {"locks 0"}, "no job locks an HDF5 file"


def _environment(path: Path) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in path.read_text().split("\0") if "=" in entry)
