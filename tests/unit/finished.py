"""The finished results of a small circuit with regions, as the workflow leaves them, for the tests of exports."""

import copy
import json
import subprocess
import sys
from pathlib import Path

from descriptions import run
from simulated import ENVIRONMENT, RUN, planned
from snakefold.build import build
from snakefold.config.stage import write_parse
from snakefold.export.finished import Finished
from snakefold.sonata.circuit import write_circuit

NORMAL = {"distribution": "normal", "mean": 40.0, "std": 5.0}
DRAWN = {
    "model": "iaf_psc_exp",
    "constants": {"tau_m": 12.0},
    "parameters": {"V_th": {"distribution": "normal", "mean": -55.0, "std": 0.5}},
}
N_CELLS = {"a": 40, "b": 30, "e": 5}


def _between(source: str, target: str, **attributes: object) -> dict:
    return attributes | {"presynaptic": {"cell_types": [source]}, "postsynaptic": {"cell_types": [target]}}


def _synapses(*synapses: dict, **more: object) -> dict:
    return {"synapses": [{"model": "static_synapse"} | synapse for synapse in synapses], **more}


CIRCUIT = {
    "components": ["probe.py"],
    "rng": {"seed": 7},
    "network": {"x": 100.0, "y": 100.0, "z": 200.0, "chunk_size": 50.0},
    "regions": {
        "brain": {"type": "group", "children": ["hind", "fore"]},
        "hind": {"type": "stack", "children": ["low"]},
        "fore": {"type": "stack", "children": ["mid"]},
    },
    "partitions": {
        "low": {"thickness": 60.0},
        "mid": {"thickness": 70.0, "origin": [0.0, 0.0, 60.0]},
        "free": {"thickness": 50.0, "origin": [0.0, 0.0, 150.0]},
    },
    "cell_types": {t: {"spatial": {"radius": 2.0, "count": N_CELLS[t]}} for t in "ab"}
    | {"e": {"entity": True, "spatial": {"count": N_CELLS["e"]}}},
    "placement": {
        "pa": {"strategy": "random", "partitions": ["low", "mid"], "cell_types": ["a"]},
        "pb": {"strategy": "random", "partitions": ["mid", "free"], "cell_types": ["b"]},
        "pe": {"strategy": "entities", "partitions": ["low"], "cell_types": ["e"]},
    },
    "connectivity": {
        "ab": _between("a", "b", strategy="fixed_total_number", number=900),
        "aa": _between("a", "a", strategy="fixed_indegree", indegree=3),
        "ea": _between("e", "a", strategy="all_to_all", affinity=0.5),
        "ba": _between("b", "a", strategy="fixed_indegree", indegree=2),
    },
    "simulations": {
        "s": {
            "simulator": "nest",
            "duration": 60.0,
            "cell_models": {t: {"model": "iaf_psc_exp"} for t in "be"} | {"a": DRAWN},
            "connection_models": {
                "ab": _synapses({"weight": NORMAL, "delay": {"distribution": "uniform", "min": 1.0, "max": 5.0}}),
                "aa": _synapses(
                    {"weight": NORMAL, "delay": {"strategy": "distance_delay", "axon_speed": 20.0}},
                    {"weight": -3.0, "delay": 2.0, "receptor_type": 0},
                    multapses="keep",
                ),
                "ea": _synapses({"weight": 500.0, "delay": 1.5}),
            },
            "devices": {
                "noise": {
                    "device": "poisson_generator",
                    "rate": 50000,
                    "weight": 60.0,
                    "delay": 1.0,
                    "targetting": {"strategy": "cell_model", "cell_models": ["a", "e"]},
                },
                "spikes": {
                    "device": "spike_recorder",
                    "targetting": {"strategy": "by_id", "ids": {"a": list(range(1, 40, 2)), "e": [0, 1, 2, 3, 4]}},
                },
                "voltage": {
                    "device": "multimeter",
                    "properties": ["V_m"],
                    "interval": 0.5,
                    "targetting": {"strategy": "cell_model", "cell_models": ["a", "b"]},
                },
            },
        }
    },
}


def finish(folder: Path) -> tuple[Finished, dict]:
    """Return the finished circuit, and what NEST was given of its simulation."""
    tree, probed = copy.deepcopy(CIRCUIT), folder / "probed.json"
    tree["simulations"]["s"]["after_prepare"] = {
        "probe": {"strategy": "Probe", "file": str(probed), "asked": ["V_th", "tau_m"]}
    }
    plan = run(planned(folder, tree))
    part = plan.parts["simulate/s"]
    build(plan.slice_file(part.digest), [], list(part.files.values()), plan.built("simulate", "s"))
    write_parse(plan.slice_file(plan.parts["parse"].digest), plan.path("parse.h5"))
    nodes = [plan.nodes(t) for t in plan.cell_types]
    edges = [plan.edges(s) for s in plan.edge_sets()]
    write_circuit(nodes, edges, plan.path("circuit_config.json"))
    given = {
        "part": plan.built("simulate", "s"),
        "libraries": [],
        "nodes": nodes,
        "edges": edges,
        "folder": plan.path("simulations/s"),
        "journal": str(folder / "journal"),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given)], env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Finished.of(plan.results), json.loads(probed.read_text())
