"""What a killed simulation leaves: whole segments in its journal, which `snakefold salvage` writes as SONATA."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakefold.sonata.spikes import read_spikes

ROOT = Path(__file__).resolve().parents[2]
HANG_S = 240


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder in which a simulation of an hour of model time was killed after its first committed segments."""
    folder = tmp_path_factory.mktemp("killed")
    circuit = folder / "long.yaml"
    circuit.write_text(
        f"$ref: {ROOT}/config/circuits/two_layers.yaml#/\nsimulations: {{basal_activity: {{duration: 3600000}}}}\n"
    )
    command = [sys.executable, "-m", "snakemake", "-c1", "-s", str(ROOT / "Snakefile"), "-d", str(folder)]
    command += ["--until", "simulate_basal_activity", "--config", f"circuit={circuit}", "results=results"]
    run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = folder / "results/long/.journal/simulate/basal_activity"
    deadline = time.monotonic() + HANG_S
    while not any(f.stat().st_size > 10_000 for f in journal.rglob("*.journal")):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return folder


def salvage(folder: Path, simulation: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakefold", "salvage", "results/long", simulation, "left.h5"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_spikes_until_the_last_segment(killed):
    assert not (killed / "results/long/simulations/basal_activity/spikes.h5").exists()
    done = salvage(killed, "basal_activity")
    assert done.returncode == 0, done.stderr
    until = float(done.stdout.split("until ")[1].split()[0])
    times, _ = read_spikes(killed / "left.h5")["base_type"]
    assert 0 < until < 3_600_000 and len(times) > 0 and times.max() <= until


def test_nothing_is_left_of_another(killed):
    done = salvage(killed, "no_such")
    assert done.returncode == 1 and "nothing is left" in done.stderr and "Traceback" not in done.stderr
