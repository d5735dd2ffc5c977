"""A project of `snakefold init`, with the command of its README: `snakemake --profile slurm`."""

import json
import subprocess
import sys

from on_slurm import HANG_S, n_submitted

from flow import ROOT, Workflow, between, description
from snakefold.progress.record import FILE, read
from snakefold.project import create


def paths(results):
    """Return of each job of the latest run the statuses that it had, and its number in SLURM, by the run's record."""
    jobs = read(results).run.jobs
    rows = [json.loads(line) for line in (results / FILE).read_text().splitlines()[1:]]
    return [([row[1] for row in rows if row[0] == n and len(row) == 3], job.external) for n, job in jobs.items()]


def test_a_project_runs_on_slurm(cluster, tmp_path):
    small = description(simulations={}) | {"connectivity": {"feed": between("exc", "top", strategy="all_to_all")}}
    circuit = create(str(tmp_path / "my circuit")).circuit
    project = Workflow(tmp_path / "my circuit", circuit=str(circuit))
    project.write(small)
    project.env["PYTHONPATH"] = str(ROOT / "workflow")
    # Polled more often than at a site, where jobs last longer.
    often = ("--slurm-init-seconds-before-status-checks", "2")
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", *often]
    ran = subprocess.run(
        command, cwd=project.folder, env=project.environment(), capture_output=True, text=True, timeout=HANG_S
    )
    assert ran.returncode == 0, ran.stderr
    assert n_submitted(project.folder) > 5
    seen = paths(project.results)
    assert n_submitted(project.folder) == sum("queued" in statuses for statuses, _ in seen)
    for statuses, number in seen:
        assert statuses in (["running", "success"], ["queued", "running", "success"])
        assert ("queued" in statuses) == bool(number)
    assert (project.results / "report.html").is_file()
    local = Workflow(tmp_path / "local", circuit="two_layers.yaml", target="circuit")
    local.write(small)
    assert project.circuit_files() == local.built().circuit_files()
