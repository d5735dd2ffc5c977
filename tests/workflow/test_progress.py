"""Progress of real runs: what listeners are told when jobs succeed, fail and are killed, lines, and the status."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from flow import HANG_S, ROOT, WATCHED, Workflow, between, description

MOST_S = 30  # generous; what is measured is printed with pytest -s

LISTENER = """
import json, os, time
from dataclasses import asdict

class Notes:
    def __init__(self):
        self.file = open(os.environ["HEARD"], "a")

    def __call__(self, change):
        print(json.dumps(asdict(change) | {"heard": time.time()}), file=self.file, flush=True)

    def close(self):
        print(json.dumps({"what": "closed"}), file=self.file, flush=True)

def broken(change):
    raise ValueError("no ears")
"""
ENTRY_POINTS = "[snakefold.listeners]\nnotes = my_listeners:Notes\nbroken = my_listeners:broken\n"


class Heard(Workflow):
    """A workflow with a slow strategy of two tiles and with listeners of an installed package."""

    def __init__(self, folder):
        super().__init__(folder, tiles=2, target="circuit")
        installed = self.folder / "installed"
        (installed / "my_listeners-1.0.dist-info").mkdir(parents=True)
        (installed / "my_listeners-1.0.dist-info/METADATA").write_text("Name: my-listeners\nVersion: 1.0\n")
        (installed / "my_listeners-1.0.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
        (installed / "my_listeners.py").write_text(LISTENER)
        self.heard, self.notes, self.marker = self.folder / "heard", self.folder / "notes", self.folder / "fail"
        self.more = {"progress": "auto"}
        self.env = {
            "PYTHONPATH": str(installed),
            "HEARD": str(self.heard),
            "WATCH": str(self.notes),
            "FAIL": str(self.marker),
            "SLEEP": "0.4",
        }
        circuit = description(components=["own.py"], simulations={})
        circuit["network"]["chunk_size"] = [50, 50, 25]
        circuit["connectivity"] = {"own": between("exc", "top", strategy="own.Watched", indegree=8)}
        self.write(circuit)
        (self.folder / "own.py").write_text(WATCHED)

    def changes(self) -> list[dict]:
        """Return what the listener has heard of so far."""
        return [json.loads(line) for line in self.heard.read_text().splitlines()] if self.heard.exists() else []

    def process_of(self, at_least: int) -> int:
        """Wait until so many chunks are computed, and return the process that computes the first of them."""
        for _ in range(10 * HANG_S):
            lines = self.notes.read_text().splitlines() if self.notes.exists() else []
            pids = [line.split()[0] for line in lines if " chunk " in line]
            if len(pids) >= at_least:
                return int(pids[0])
            time.sleep(0.1)
        raise AssertionError("no chunk is computed")

    def status(self, *options: str) -> str:
        """Return what `snakefold status` prints."""
        command = [sys.executable, "-m", "snakefold", "status", "results/circuit", *options]
        env = self.environment() | {"PYTHONPATH": str(ROOT / "workflow")}
        return subprocess.run(command, cwd=self.folder, env=env, check=True, capture_output=True, text=True).stdout

    def forget(self) -> None:
        """Forget what was heard and noted."""
        self.heard.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    return Heard(tmp_path_factory.mktemp("progress"))


def latency(change: dict, since: float | None = None) -> float:
    """Return how long after it (by default, after Snakemake knew) a listener heard of a change, and print it."""
    took = change["heard"] - (change["at"] if since is None else since)
    print(f"{change['name']} {change['status']}: heard after {took:.2f} s")
    return took


def test_a_killed_job_is_heard_of_and_what_needs_it_is_cancelled(flow):
    flow.env["SLEEP"] = "0.8"
    run = flow.start(jobs=2)
    pid = flow.process_of(at_least=10)  # the journal has some of them by now
    flow.env["SLEEP"] = "0.4"
    during = flow.status()
    os.kill(pid, signal.SIGKILL)
    killed = time.time()
    ran = flow.finish(run)
    assert ran.code == 1
    aborted = [c for c in flow.changes() if (c["what"], c.get("status")) == ("job", "aborted")]
    assert [c["previous"] for c in aborted] == ["running"] and re.fullmatch(
        r"connect own tile [01]", aborted[0]["name"]
    )
    assert 0 <= latency(aborted[0], killed) < MOST_S
    assert aborted[0]["log"] == f"results/circuit/logs/connect/own.{aborted[0]['name'][-1]}.log"
    told = {(c["what"], c["name"]): c["status"] for c in flow.changes() if c["what"] != "closed"}  # the last of each
    assert told["job", "connect gather own"] == "cancelled"
    assert told["phase", "place"] == "success" and told["phase", "connect"] == "aborted"
    assert told["run", "results/circuit"] == "failed"
    assert flow.changes()[-1] == {"what": "closed"}
    assert f"{aborted[0]['name']}: aborted" in ran.output and aborted[0]["log"] in ran.output
    assert ran.output.count("the listener broken failed") == 1

    assert re.match(r"results/circuit: running on \S+, process \d+; begun ", during)
    assert re.search(r"^place +success +\d+/\d+ +\d+/\d+ +134 cells$", during, re.M), during
    assert re.search(r"^connect +running +\d/\d +([1-9]|1\d)/16 +[1-9]\d* of 400 synapses$", during, re.M), during
    assert re.search(r"^  connect own tile \d: \d of 8 chunks, .*\d s$", during, re.M), during
    assert max(map(len, during.splitlines())) <= 80
    after = flow.status("--follow")
    assert after.startswith("results/circuit: failed at ") and aborted[0]["log"] in after


def test_a_failed_job_is_heard_of(flow):
    flow.forget()
    flow.marker.write_text("0")
    ran = flow.run(jobs=2)
    flow.marker.unlink()
    failed = [c for c in flow.changes() if (c["what"], c.get("status")) == ("job", "failed")]
    assert ran.code == 1 and {c["name"] for c in failed} <= {"connect own tile 0", "connect own tile 1"} and failed
    assert max(map(latency, failed)) < MOST_S
    assert "the marker says so" in ran.output  # Snakemake shows the log, as it did
    assert f"{failed[0]['name']}: failed" in ran.output


def test_what_an_interrupted_run_was_doing_is_aborted(flow):
    flow.forget()
    run = subprocess.Popen(
        ["env", "--default-signal=INT", *flow.command(jobs=2)],
        cwd=flow.folder,
        env=flow.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    flow.process_of(at_least=1)
    os.killpg(run.pid, signal.SIGINT)
    flow.finish(run)
    told = {(c["what"], c["name"]): c["status"] for c in flow.changes() if c["what"] != "closed"}
    assert "aborted" in {
        told["job", f"connect own tile {t}"] for t in (0, 1) if ("job", f"connect own tile {t}") in told
    }
    assert told["job", "connect gather own"] == "cancelled"
    assert told["run", "results/circuit"] == "aborted"
    assert flow.status().startswith("results/circuit: aborted at ")


def test_a_killed_run_is_known_as_such_and_its_jobs_are_counted(flow):
    flow.forget()
    run = flow.start("--rerun-incomplete", jobs=2)
    flow.process_of(at_least=1)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert re.search(r"^  [12] jobs? of it still waits? or runs?; the next run ends ", flow.status(), re.M)
    flow.finish(run)  # its jobs have ended, too
    assert flow.status().startswith("results/circuit: was killed after ") and "of it still" not in flow.status()
    assert "connect   aborted" in flow.status()
    subprocess.run(flow.command("--unlock"), cwd=flow.folder, env=flow.environment(), check=True, capture_output=True)


def test_success_is_told_in_lines_and_nothing_is_lost_from_the_log_of_snakemake(flow):
    flow.forget()
    flow.env["SLEEP"] = "0"
    ran = flow.run(jobs=2)
    assert ran.code == 0, ran.output
    assert re.search(
        r"^\d\d:\d\d:\d\d connect own tile [01]: success, \d+ s, 8 chunks, \d+ synapses \(", ran.output, re.M
    )
    assert re.search(r"^\d\d:\d\d:\d\d connect: success, \d+ s, \d+ chunks, \d+ synapses$", ran.output, re.M)
    assert re.search(r"^results/circuit: success, (\d+) of \1 jobs in ", ran.output, re.M)
    assert "Finished jobid" not in ran.output and "\x1b" not in ran.output
    told = {(c["what"], c["name"]): c["status"] for c in flow.changes() if c["what"] != "closed"}
    assert set(told.values()) == {"success"}
    path = [c["status"] for c in flow.changes() if c.get("name") == "connect gather own"]
    assert path == ["pending", "running", "success"]
    assert max(latency(c) for c in flow.changes() if c.get("status") == "success") < MOST_S
    log = re.search(r"^Complete log\(s\): (\S+)$", ran.output, re.M)[1]
    finished = re.findall(r"^Finished jobid: \d+ \(Rule: (.+)\)$", open(log).read(), re.M)
    assert {"connect_own", "gather_edges_own"} <= set(finished)
    assert flow.status().startswith("results/circuit: success at ")


def test_the_choice_of_another_output_stands_and_the_plug_in_can_be_chosen(flow, tmp_path):
    flow.env["PYTHONPATH"] = f"{ROOT / 'workflow'}:{flow.folder / 'installed'}"
    said = {}
    for name, options in (
        ("plug-in", ["--logger", "snakefold"]),
        ("quiet", ["--logger", "snakefold", "--quiet", "rules"]),
    ):
        ran = flow.run("--forcerun", "gather_edges_own", *options, jobs=2)
        assert ran.code == 0, ran.output
        said[name] = ran.output
    line = re.compile(r"^\d\d:\d\d:\d\d connect gather own: success", re.M)
    assert len(line.findall(said["plug-in"])) == 1 and "Finished jobid" not in said["plug-in"]
    assert said["plug-in"].count("Complete log(s)") == said["plug-in"].count("listener broken failed") == 1
    assert not line.search(said["quiet"]) and "Finished jobid" in said["quiet"]
