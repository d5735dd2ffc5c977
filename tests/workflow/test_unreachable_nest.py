"""A NEST that is missing, hangs, aborts or is killed makes nothing wrong, and no process of it outlives who asked."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from flow import HANG_S, ROOT, Workflow, description, jobs_run

# In place of NEST, first on the path: it notes who imports it, and then does what it is told, the first few times.
IN_ITS_PLACE = """
import os, signal, sys, time
from pathlib import Path

here = Path(__file__).parents[1]
with open(here / "imported", "a") as file:
    file.write(f"{os.getpid()}\\n")
n = len((here / "imported").read_text().split())
if n <= int(os.environ["NEST_TIMES"]):
    what = os.environ["NEST_DOES"]
    if what == "hang":
        time.sleep(600)
    elif what == "miss":
        raise ModuleNotFoundError("No module named 'nest'", name="nest")
    elif what == "exit":
        os._exit(127)
    os.kill(os.getpid(), getattr(signal, what))
sys.path.remove(str(here))
del sys.modules["nest"]
import nest
"""
ALWAYS = 1000


def replaced(folder: Path, does: str, times: int = ALWAYS) -> dict[str, str]:
    """Return an environment in which importing NEST does something else, so many times."""
    (folder / "instead/nest").mkdir(parents=True)
    (folder / "instead/nest/__init__.py").write_text(IN_ITS_PLACE)
    path = {"PYTHONPATH": os.pathsep.join([str(folder / "instead"), str(ROOT / "workflow")])}
    return {**path, "XDG_CACHE_HOME": str(folder / "cache"), "NEST_DOES": does, "NEST_TIMES": str(times)}


def importers(folder: Path) -> list[int]:
    """Return the processes that imported what is in NEST's place, as far as they are known."""
    noted = folder / "instead/imported"
    return [int(pid) for pid in noted.read_text().split()] if noted.is_file() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def waited_for(what, *arguments) -> bool:
    """Return whether something becomes true within a long time."""
    limit = time.monotonic() + 60
    while not what(*arguments) and time.monotonic() < limit:
        time.sleep(0.02)
    return bool(what(*arguments))


def circuit(folder: Path, **changed: object) -> str:
    (folder / "circuit.yaml").write_text(yaml.safe_dump(description(**changed), sort_keys=False))
    return "circuit.yaml"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakefold", *arguments]


def start(folder: Path, env: dict[str, str], *arguments: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(command(*arguments), cwd=folder, env={**os.environ, **env}, **pipes)


def wrong_model(**_: object) -> dict:
    simulations = description()["simulations"]
    simulations["quick"]["cell_models"]["top"]["model"] = "iaf_psc_alhpa"
    return simulations


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("miss", "No module named 'nest'"),
        ("exit", "ended with exit code 127"),
        ("SIGABRT", "SIGABRT"),
        ("SIGSEGV", "SIGSEGV"),
        ("SIGKILL", "SIGKILL"),
    ],
)
@pytest.mark.parametrize("simulations", [{}, {"simulations": wrong_model()}], ids=["good", "wrong"])
def test_what_could_not_be_asked_is_a_warning_and_no_mistake(tmp_path, does, words, simulations):
    checked = start(tmp_path, replaced(tmp_path, does), "check", circuit(tmp_path, **simulations))
    said, warned = checked.communicate(timeout=HANG_S)
    assert checked.returncode == 0, warned
    assert re.search(rf"^warning: NEST: NEST cannot be loaded by .*{re.escape(words)}", warned, re.MULTILINE), warned
    assert "Traceback" not in warned and ": fine" in said
    assert not any(map(is_running, importers(tmp_path)))


def test_mistakes_of_the_description_are_told_without_nest(tmp_path):
    checked = start(tmp_path, replaced(tmp_path, "miss"), "check", circuit(tmp_path, rng={"sed": 7}))
    _, said = checked.communicate(timeout=HANG_S)
    assert checked.returncode == 1 and 'rng.sed: unknown key "sed"; did you mean "seed"?' in said
    assert "1 mistake;" in said


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stopped", [False, True], ids=["hanging", "stopped"])
def test_no_kernel_outlives_a_check(tmp_path, ending, stopped):
    ignored = signal.getsignal(ending) == signal.SIG_IGN  # as below nohup, or in what a shell started in the background
    if ignored:  # or the check would ignore it, too
        signal.signal(ending, signal.default_int_handler if ending == signal.SIGINT else signal.SIG_DFL)
    checked = start(tmp_path, replaced(tmp_path, "hang"), "check", circuit(tmp_path))
    if ignored:
        signal.signal(ending, signal.SIG_IGN)
    assert waited_for(importers, tmp_path)
    (kernel,) = importers(tmp_path)
    assert is_running(kernel)
    if stopped:
        os.kill(kernel, signal.SIGSTOP)
    checked.send_signal(ending)
    _, said = checked.communicate(timeout=HANG_S)
    assert checked.returncode == (130 if ending == signal.SIGINT else -ending)
    assert "Traceback" not in said
    assert waited_for(lambda: not is_running(kernel))


def test_no_kernel_outlives_an_exception_of_its_caller(tmp_path):
    code = """
import threading, time
from snakefold.nest.client import Kernel
from snakefold.nest import client

def fails(*_):
    raise RuntimeError("a defect")

client._read = fails
with Kernel() as kernel:
    kernel.ask([{"ask": "about"}])
"""
    env = {**os.environ, **replaced(tmp_path, "hang", times=0)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "a defect" in ran.stderr
    (kernel,) = importers(tmp_path)
    assert waited_for(lambda: not is_running(kernel))


def test_a_hanging_kernel_is_ended_and_is_no_mistake(tmp_path):
    code = """
import json
from snakefold.loading import load
from snakefold.nest.validation import validate_all
from snakefold.planning import make
from snakefold.nest.verdicts import mistakes, unreachable

plan = make(load("circuit.yaml"), "results")
slices = [plan.parts[f"simulate/{name}"].slice for name in plan.simulations]
verdicts = [v for found in validate_all(slices, timeout_s=1.0).values() for v in found]
print(json.dumps([[m.message for m in mistakes(verdicts)], [v.message for v in unreachable(verdicts)]]))
"""
    circuit(tmp_path, simulations=wrong_model())
    env = {**os.environ, **replaced(tmp_path, "hang")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    wrong, not_asked = json.loads(ran.stdout)
    assert wrong == [] and not_asked and all("did not answer within 1 s" in message for message in not_asked)
    assert importers(tmp_path) and not any(map(is_running, importers(tmp_path)))


def run(folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run the whole workflow by `snakefold run`; return its exit code and all that it said."""
    ran = start(folder, env, "run", "circuit.yaml", "--cores", "1", "--config", "progress=snakemake")
    said, errors = ran.communicate(timeout=HANG_S)
    return ran.returncode, said + errors


def test_without_nest_here_a_job_is_asked_before_anything_else(tmp_path):
    circuit(tmp_path)
    code, said = run(tmp_path, replaced(tmp_path, "miss", times=1))
    assert code == 0, said
    assert "warning: NEST: NEST cannot be loaded by" in said
    order = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", said, re.MULTILINE)
    last = max(i for i, rule in enumerate(order) if rule == "validate")
    assert order.count("validate") == 2
    assert not [rule for rule in order[:last] if rule.startswith(("place", "connect", "gather", "simulate"))]
    assert (tmp_path / "results/circuit/simulations/quick/spikes.h5").is_file()


def test_what_a_job_is_told_then_ends_the_run_before_anything_is_placed(tmp_path):
    circuit(tmp_path, simulations=wrong_model())
    code, said = run(tmp_path, replaced(tmp_path, "miss", times=1))
    assert code != 0
    assert 'simulations.quick.cell_models.top.model: no NEST model "iaf_psc_alhpa"; did you mean' in said
    assert not {rule for rule in jobs_run(said) if rule.startswith(("place", "connect"))}
    assert not (tmp_path / "results/circuit/nodes").exists()


def test_nest_is_asked_again_when_the_simulation_starts(tmp_path):
    workflow = Workflow(tmp_path)
    circuit(tmp_path, simulations={"quick": wrong_model()["quick"]})
    workflow.env = replaced(tmp_path, "miss", times=2)  # not when it starts, nor in the validate job
    ran = workflow.run()
    assert ran.code != 0
    assert "warning: NEST" in ran.output
    assert {"validate", "place_low_cells"} <= ran.jobs.keys(), "what could not be asked stops nothing"
    log = (workflow.results / "logs/simulate/quick.log").read_text()
    assert "iaf_psc_alhpa" in log and "Traceback" not in log
    assert not (workflow.results / "simulations/quick/spikes.h5").exists()
