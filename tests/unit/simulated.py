"""Simulations from their descriptions, in a process of their own, and what NEST was given of them."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import snakefold
from descriptions import plan_of, run
from snakefold.build import build
from snakefold.plan import Plan

PROBE = '''
import json
from pathlib import Path
from typing import ClassVar
import numpy as np
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.nest.hooks import AfterPrepare, AfterSimulation
from snakefold.nest.parameters import CellParameter, ConnectionParameter


class Probe(AfterPrepare):
    """Writes what NEST has to a file."""

    file = Attribute(types.string(), required=True, doc="The file.")
    columns = Attribute(types.ListOf(types.string()), default=lambda node: [], doc="Further columns.")
    asked = Attribute(types.ListOf(types.string()), default=lambda node: [], doc="Parameters of cells.")

    def postprocess(self, nest, cells, devices, rng):
        first = {t: c[0].global_id for t, c in cells.items() if len(c)}
        found = nest.GetConnections()
        columns = ["source", "target", "weight", "delay", "synapse_model", *self.columns]
        table = found.get(columns) if len(found) else {}
        values = {k: list(map(str, v)) if k == "synapse_model" else np.ravel(v).tolist() for k, v in table.items()}
        values_of = {t: {k: np.ravel(c.get(k)).tolist() for k in self.asked} for t, c in cells.items() if len(c)}
        made = {name: device.get() for name, device in devices.items()}
        kernel = {k: nest.GetKernelStatus(k) for k in ("rng_seed", "use_wfr", "wfr_tol")}
        text = json.dumps({"first": first, "connections": values, "cells": values_of, "kernel": kernel, "devices": made,
            "draw": rng.random()}, default=str)
        Path(self.file).write_text(text)


class Height(CellParameter):
    """A value that grows with z."""

    typical: ClassVar = (300.0,)
    slope = Attribute(types.number(), default=1.0, doc="Per um.")

    def compute(self, cells, rng):
        return 100.0 + self.slope * cells.positions[:, 2] + 1e-3 * rng.random(len(cells))


class Sum(ConnectionParameter):
    """The sum of both node ids, and a draw."""

    typical: ClassVar = (1.0,)

    def compute(self, edges, rng):
        return edges.source + edges.target + 0.5 * rng.random(len(edges))


class Wrong(CellParameter):
    """What no parameter may give."""

    how = Attribute(types.string(), required=True, doc="How.")

    def compute(self, cells, rng):
        return {"short": np.ones(3), "nan": np.full(len(cells), np.nan), "text": np.full(len(cells), "x")}[self.how]


class Files(AfterSimulation):
    """Makes some files and declares some."""

    declared = Attribute(types.ListOf(types.string()), required=True, doc="Declared.")
    made = Attribute(types.ListOf(types.string()), required=True, doc="Made.")

    def adds(self):
        return list(self.declared)

    def postprocess(self, results, output, rng):
        for file in self.made:
            (output / file).write_text(f"{sorted(p.name for p in results.iterdir() if p.is_file())} {rng.random()}")


class Broken(AfterPrepare):
    """Raises."""

    def postprocess(self, nest, cells, devices, rng):
        raise KeyError("broken")
'''

CIRCUIT = {
    "components": ["probe.py"],
    "rng": {"seed": 7, "generators": {"own": {"seed": 8}, "derived": {}}, "settings": {"kernel": {"strategy": "nest"}}},
    "network": {"x": 100.0, "y": 100.0, "z": 100.0},
    "partitions": {"slab": {"thickness": 100.0}},
    "cell_types": {t: {"spatial": {"radius": 2.0, "count": n}} for t, n in (("a", 40), ("b", 30))},
    "placement": {"cells": {"strategy": "random", "partitions": ["slab"], "cell_types": ["a", "b"]}},
    "connectivity": {
        "ab": {
            "strategy": "fixed_total_number",
            "number": 300,
            "presynaptic": {"cell_types": ["a"]},
            "postsynaptic": {"cell_types": ["b"]},
        },
        "aa": {
            "strategy": "fixed_indegree",
            "indegree": 3,
            "presynaptic": {"cell_types": ["a"]},
            "postsynaptic": {"cell_types": ["a"]},
        },
    },
    "simulations": {
        "s": {
            "simulator": "nest",
            "duration": 5.0,
            "cell_models": {"a": {"model": "iaf_psc_exp"}, "b": {"model": "iaf_psc_exp"}},
            "connection_models": {},
            "devices": {"spikes": {"device": "spike_recorder"}},
        }
    },
}

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(snakefold.__file__).parents[1])}
RUN = """
import json, sys
from snakefold import job
from snakefold.nest.jobs import simulate
job.run(simulate, **json.loads(sys.argv[1]))
"""


def circuit(**simulation: object) -> dict:
    """Return the description, with keys of its simulation replaced."""
    tree = copy.deepcopy(CIRCUIT)
    tree["simulations"]["s"] |= simulation
    return tree


def planned(folder: Path, tree: dict) -> Plan:
    """Return the plan of a description whose components are those above."""
    folder.mkdir(exist_ok=True)
    (folder / "probe.py").write_text(PROBE)
    return plan_of(folder, tree)


def network(folder: Path) -> Plan:
    """Return a plan whose populations and edge sets are made."""
    return run(planned(folder, CIRCUIT))


def simulate(folder: Path, tree: dict, made: Plan) -> subprocess.CompletedProcess:
    """Run the simulation of a description with the populations and edge sets of another plan."""
    plan = planned(folder, tree)
    part = plan.parts["simulate/s"]
    plan.freeze()
    build(plan.slice_file(part.digest), [], list(part.files.values()), plan.built("simulate", "s"))
    given = {
        "part": plan.built("simulate", "s"),
        "libraries": [],
        "nodes": [made.nodes(t) for t in made.cell_types],
        "edges": [made.edges(s) for s in made.edge_sets()],
        "folder": str(folder / "out"),
        "journal": str(folder / "journal"),
    }
    return subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given)], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )


def probed(folder: Path, tree: dict, made: Plan, **attributes: object) -> dict:
    """Return what NEST was given of a simulation, and write its results to `folder`/out."""
    file = folder / "probed.json"
    hook = {"strategy": "Probe", "file": str(file), **attributes}
    tree["simulations"]["s"].setdefault("after_prepare", {})["probe"] = hook
    done = simulate(folder, tree, made)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


def rows(found: dict, source: str, target: str, *columns: str) -> list[tuple]:
    """Return (source node id, target node id, columns) of NEST's connections between two types, sorted."""
    first, table = found["first"], found["connections"]
    sizes = {"a": 40, "b": 30}
    values = zip(table["source"], table["target"], *(table[c] for c in columns), strict=True)
    local = [(s - first[source], t - first[target], *rest) for s, t, *rest in values]
    return sorted(row for row in local if 0 <= row[0] < sizes[source] and 0 <= row[1] < sizes[target])
