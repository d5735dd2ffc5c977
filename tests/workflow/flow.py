"""The real workflow in a folder of its own: write a description, ask for the plan, run, look at what came out."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HANG_S = 300  # no step here takes a tenth of it

sys.path[:0] = [str(ROOT / "workflow")]

FIXED_INDEGREE = "bsb.connectivity.FixedIndegree"


def description(**changed: object) -> dict:
    """Return a circuit of 3 cell types, 134 cells, with 2 simulations; `changed` replaces its top-level keys."""
    circuit = {
        "name": "three types",
        "rng": {"seed": 7},
        "network": {"x": 100, "y": 100, "z": 200, "chunk_size": 50},
        "regions": {"column": {"type": "stack", "children": ["low", "high"]}},
        "partitions": {"low": {"type": "layer", "thickness": 100}, "high": {"type": "layer", "thickness": 100}},
        "cell_types": {
            "exc": {"spatial": {"radius": 3, "density": 6e-5}},
            "inh": {"spatial": {"radius": 3, "count": 24}},
            "top": {"spatial": {"radius": 3, "count": 50}, "plotting": {"color": "#E62214"}},
        },
        "placement": {
            "low_cells": {"strategy": "random", "partitions": ["low"], "cell_types": ["exc", "inh"]},
            "high_cells": {"strategy": "random", "partitions": ["high"], "cell_types": ["top"]},
        },
        "connectivity": {
            "feed": between("exc", "top", strategy=FIXED_INDEGREE, indegree=8),
            "back": between("top", "inh", strategy="fixed_outdegree", outdegree=4),
            "local": between("exc inh", "exc", strategy="fixed_total_number", number=300),
        },
        "simulations": {
            "quick": simulation(["exc", "inh", "top"], ["feed", "back", "local"]),
            "other": simulation(["exc", "top"], ["feed"], duration=30),
        },
    }
    del circuit["simulations"]["other"]["devices"]["voltage"]
    return circuit | changed


def between(sources: str, targets: str, **attributes: object) -> dict:
    """Return a connectivity strategy between cell types, given as words."""
    return attributes | {
        "presynaptic": {"cell_types": sources.split()},
        "postsynaptic": {"cell_types": targets.split()},
    }


def simulation(cell_types: list[str], connections: list[str], duration: float = 20) -> dict:
    """Return a simulation in which noise drives the cells of type exc."""
    return {
        "simulator": "nest",
        "duration": duration,
        "cell_models": {t: {"model": "iaf_psc_alpha", "constants": {"t_ref": 1.5}} for t in cell_types},
        "connection_models": {
            c: {"synapses": [{"model": "static_synapse", "weight": 150.0, "delay": 1.0}]} for c in connections
        },
        "devices": {
            "noise": {
                "device": "poisson_generator",
                "rate": 40000,
                "weight": 60.0,
                "delay": 1.0,
                "targetting": {"strategy": "cell_model", "cell_models": ["exc"]},
            },
            "spikes": {"device": "spike_recorder", "delay": 1.0, "targetting": {"strategy": "all"}},
            "voltage": {
                "device": "multimeter",
                "properties": ["V_m"],
                "interval": 1.0,
                "delay": 1.0,
                "targetting": {"strategy": "cell_model", "cell_models": ["exc"]},
            },
        },
    }


@dataclass(frozen=True)
class Ran:
    """A run of Snakemake: its exit code, the jobs that it started, by rule, and all that it printed."""

    code: int
    jobs: dict[str, int]
    output: str


class Workflow:
    """A folder with a circuit description, and the workflow run there.

    Parameters
    ----------
    folder : is created; Snakemake runs in it
    tiles, simulations : the workflow's keys
    root : the clone whose workflow it is
    circuit, results : the workflow's keys, relative to the folder, or absolute
    target : what to make; by default everything

    Attributes
    ----------
    env : what is added to the environment
    more : further keys of the workflow
    hang_s : a run that takes longer hangs
    """

    hang_s = HANG_S

    def __init__(
        self,
        folder: Path,
        tiles: int | str = "auto",
        simulations: str = "all",
        root: Path = ROOT,
        circuit: str = "circuit.yaml",
        results: str = "results",
        target: str = "",
    ):
        self.folder, self.tiles, self.simulations, self.root = Path(folder), tiles, simulations, root
        self.circuit, self.target, self.results_key = circuit, target, results
        self.env: dict[str, str] = {}
        self.more: dict[str, str] = {}
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def description(self) -> Path:
        """The description's file."""
        return self.folder / self.circuit

    @property
    def results(self) -> Path:
        """The results of the circuit."""
        return self.folder / self.results_key / self.description.stem

    def write(self, circuit: dict | str) -> str:
        """Write the description, from a dict as YAML or as it is, and return its text."""
        text = circuit if isinstance(circuit, str) else yaml.safe_dump(circuit, sort_keys=False)
        self.description.parent.mkdir(parents=True, exist_ok=True)
        self.description.write_text(text, encoding="utf-8")
        return text

    def command(self, *arguments: str, jobs: int = 1) -> list[str]:
        """Return the command line."""
        keys = {
            "circuit": self.circuit,
            "results": self.results_key,
            "tiles": self.tiles,
            "simulations": self.simulations,
            "progress": "snakemake",
        } | self.more
        config = ["--config", *(f"{key}={value}" for key, value in keys.items())]
        snakemake = [sys.executable, "-m", "snakemake", "-s", str(self.root / "Snakefile"), "-d", str(self.folder)]
        return [*snakemake, f"-j{jobs}", *filter(None, [self.target]), *arguments, *config]

    def start(self, *arguments: str, jobs: int = 1) -> subprocess.Popen:
        """Start Snakemake in the background."""
        return subprocess.Popen(
            self.command(*arguments, jobs=jobs),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of the run: this process's, without what belongs to another run or launcher."""
        mine = {k: v for k, v in os.environ.items() if k not in ("SNAKEFOLD_PLAN", "PYTHONPATH", "SNAKEMAKE_PROFILE")}
        return mine | {"COLUMNS": "200"} | self.env

    def finish(self, process: subprocess.Popen) -> Ran:
        """Wait for what `start` started."""
        output, _ = process.communicate(timeout=self.hang_s)
        return Ran(process.returncode, jobs_run(output), output)

    def run(self, *arguments: str, jobs: int = 1) -> Ran:
        """Run Snakemake."""
        return self.finish(self.start(*arguments, jobs=jobs))

    def plan(self) -> dict[str, int]:
        """Return what a dry run says would run: rule -> number of jobs."""
        ran = self.run("-n")
        assert ran.code == 0, ran.output
        if "Nothing to be done" in ran.output:
            return {}
        table = ran.output.partition("Job stats:\n")[2].partition("\n\n")[0].splitlines()[2:]
        assert table, ran.output
        return {rule: int(n) for rule, n in map(str.split, table) if rule != "total"}

    def built(self, *arguments: str, **options: object) -> "Workflow":
        """Run, and fail the test if the run fails; return the workflow."""
        ran = self.run(*arguments, **options)
        assert ran.code == 0, ran.output
        return self

    def final_files(self) -> list[str]:
        """Return the names of all final files of the description as it is now, and the verdicts, in the results."""
        from snakefold.workflow import plan_for

        keys = {"circuit": self.circuit, "results": self.results_key, "simulations": self.simulations}
        with contextlib.chdir(self.folder):
            plan = plan_for(keys)
            files = [*plan.final_files(), *(plan.path("validate", f"{name}.h5") for name in plan.simulations)]
        return sorted({os.path.relpath(file, plan.results) for file in files})

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of all final files, of which none may be missing."""
        return {name: sha256(self.results / name) for name in self.final_files()}

    def circuit_files(self) -> dict[str, str]:
        """Return the SHA-256 of the files of nodes and edges that are there."""
        found = [*self.results.glob("nodes/*.h5"), *self.results.glob("edges/*.h5")]
        return {str(path.relative_to(self.results)): sha256(path) for path in sorted(found)}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, without what the report says about the run that made it."""
    content = path.read_bytes()
    if path.name == "report.html":
        content = re.sub(rb"<!-- the run -->.*<!-- end of the run -->", b"", content, flags=re.DOTALL)
    return hashlib.sha256(content).hexdigest()


def jobs_run(output: str) -> dict[str, int]:
    """Return the jobs that a run started, by rule: those that finished and those that failed."""
    jobs: dict[str, int] = {}
    for rule in re.findall(r"^Finished jobid: \d+ \(Rule: (.+)\)$|^Error in rule ([^:]+):", output, re.MULTILINE):
        name = "".join(rule)
        jobs[name] = jobs.get(name, 0) + 1
    return jobs


def clone(folder: Path) -> Path:
    """Copy the repository's files, without what is ignored, and return the copy."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


# A component of a user's own: it notes each chunk, and is slow or fails where the environment says so.
WATCHED = '''\
"""FixedIndegree, watched."""

import os
import time
from pathlib import Path

import numpy as np

from snakefold.connectivity.fixed_degree import FixedIndegree


def note(words):
    if "WATCH" in os.environ:
        with open(os.environ["WATCH"], "a") as file:
            file.write(f"{os.getpid()} {words}\\n")


class Watched(FixedIndegree):
    """FixedIndegree with a prepare step."""

    def prepare(self, sources, targets, given):
        note("prepare")
        return {"shift": np.array([1])}

    def connect(self, sources, targets, rng, given):
        chunk = int(targets[self.postsynaptic.cell_types[0]].runs[0, 0])
        note(f"chunk {chunk}")
        fail = Path(os.environ.get("FAIL", "/nonexistent"))
        if fail.exists():
            at, *once = fail.read_text().split()
            if chunk >= int(at):
                if once:
                    fail.unlink()
                raise RuntimeError(f"the marker says so, at chunk {chunk}")
        waste = np.ones(int(os.environ.get("WASTE_MB", "0")) << 17)
        time.sleep(float(os.environ.get("SLEEP", "0")))
        assert given.prepared["shift"][0] == 1
        del waste
        return super().connect(sources, targets, rng, given)
'''


def watched(**changed: object) -> dict:
    """Return `description` with one simulation less and a strategy of a user's own, in the file own.py."""
    circuit = description(components=["own.py"], **changed)
    circuit["connectivity"] = {"own": between("exc", "top", strategy="own.Watched", indegree=8)}
    circuit["simulations"] = {"quick": simulation(["exc", "top"], ["own"])}
    return circuit
