"""What a user types: `snakemake --profile slurm`, in a clone."""

import subprocess
import sys

import pytest
from on_slurm import HANG_S, n_submitted

from flow import clone

SNAKEMAKE = sys.executable.rpartition("/")[0] + "/snakemake"


@pytest.mark.parametrize(
    ("circuit", "keys"),
    [("two_layers", ["--config", "circuit=config/circuits/two_layers.yaml"]), ("microcircuit", [])],
)
def test_the_literal_command_builds_and_simulates_in_a_clone(cluster, tmp_path, circuit, keys):
    here = clone(tmp_path / "clone")
    (here / "slurm").unlink(missing_ok=True)
    (here / "slurm").symlink_to("profiles/slurm")
    command = [SNAKEMAKE, "--profile", "slurm", *keys]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    results = here / "results" / circuit
    report = (results / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">build</th>' in report.partition('id="cost"')[2], "what sacct says, by rule"
    assert list(results.glob("simulations/*/spikes.h5"))
    assert n_submitted(here) > 10
    left = cluster.command("squeue", "-h", "-o", "%Z").split()
    assert str(here.resolve()) not in left
    assert not list((results / ".plan/runs").glob("*.json")), "a run that has ended is not noted"
