"""What a user types, and what the page says: `snakemake --profile slurm`, in a clone."""

import shutil
import subprocess
import sys

import pytest
from on_slurm import HANG_S, n_submitted

from flow import clone
from pages import run_by

OF_THE_PAGE = [step.command for step in run_by(__file__, "CLUSTER.md")]


@pytest.mark.parametrize(
    ("circuit", "commands"), [("my_circuit", OF_THE_PAGE), ("microcircuit", ["snakemake --profile slurm"])]
)
def test_the_literal_commands_build_and_simulate_in_a_clone(cluster, tmp_path, circuit, commands):
    here = clone(tmp_path / "clone")
    (here / "slurm").unlink(missing_ok=True)
    (here / "slurm").symlink_to("profiles/slurm")
    (here / ".venv").symlink_to(sys.prefix)
    shutil.copy(here / "config/circuits/two_layers.yaml", here / "my_circuit.yaml")
    lines = "\n".join(("set -e", ". .venv/bin/activate", *commands))
    done = subprocess.run(["bash", "-c", lines], cwd=here, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    results = here / "results" / circuit
    report = (results / "report.html").read_text(encoding="utf-8")
    assert '<th scope="row">build</th>' in report.partition('id="cost"')[2], "what sacct says, by rule"
    assert list(results.glob("simulations/*/spikes.h5"))
    assert n_submitted(here) > 10
    left = cluster.command("squeue", "-h", "-o", "%Z").split()
    assert str(here.resolve()) not in left
    assert not list((results / ".plan/runs").glob("*.json")), "a run that has ended is not noted"
