"""Cells from a table, along a distribution and of no place, with properties and labels that a simulation targets."""

import copy
import json

import numpy as np

from flow import Workflow, between, simulation
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes
from snakefold.sonata.spikes import read_spikes


def described() -> dict:
    """Return a circuit of 300 cells from a table, 200 along a distribution, and 20 entities."""
    quick = simulation(["table", "deep", "input"], ["feed", "drive"])
    quick["devices"] = {
        "noise": {
            "device": "poisson_generator",
            "rate": 40000,
            "weight": 60.0,
            "delay": 1.0,
            "targetting": {"strategy": "by_label", "labels": ["active"], "cell_models": ["table"]},
        },
        "spikes": {
            "device": "spike_recorder",
            "delay": 1.0,
            "targetting": {"strategy": "cell_model", "cell_models": ["table"]},
        },
    }
    quick["connection_models"]["feed"]["synapses"][0]["weight"] = 0.0
    deep = {"strategy": "distribution_placement", "distribution": {"distribution": "expon"}, "direction": "negative"}
    return {
        "rng": {"seed": 5},
        "network": {"x": 100, "y": 100, "z": 100, "chunk_size": 50},
        "partitions": {"all": {"thickness": 100}},
        "cell_types": {
            "table": {"spatial": {"radius": 2}},
            "deep": {"spatial": {"radius": 2, "count": 200}},
            "input": {"entity": True, "spatial": {"count": 20}},
        },
        "placement": {
            "read": {
                "strategy": "csv_import_placement",
                "source": "cells.csv",
                "cell_types": ["table"],
                "partitions": ["all"],
                "distribute": {"etype": {"strategy": "choice", "values": {"cAD": 1, "bNAC": 2}}},
            },
            "drawn": deep | {"partitions": ["all"], "cell_types": ["deep"]},
            "inputs": {"strategy": "entities", "partitions": ["all"], "cell_types": ["input"]},
        },
        "after_placement": {
            "a": {
                "strategy": "label",
                "cell_types": ["table"],
                "labels": ["active"],
                "where": {"layer": "L4"},
                "count": 40,
            },
            "b": {"strategy": "label", "cell_types": ["table", "deep"], "labels": ["half"], "fraction": 0.5},
        },
        "connectivity": {
            "feed": between("table", "deep", strategy="fixed_indegree", indegree=5),
            "drive": between("input", "deep", strategy="fixed_indegree", indegree=3),
        },
        "simulations": {"quick": quick},
    }


def written(workflow: Workflow, circuit: dict) -> Workflow:
    workflow.write(circuit)
    rng = np.random.default_rng(1)
    rows = [f"{x:.3f},{y:.3f},{z:.3f},L{4 + i % 2},{i}" for i, (x, y, z) in enumerate(rng.uniform(0, 100, (300, 3)))]
    (workflow.folder / "cells.csv").write_text("x,y,z,layer,number\n" + "\n".join(rows) + "\n")
    return workflow


def other_weights(circuit: dict) -> None:
    circuit["placement"]["read"]["distribute"]["etype"]["values"]["cAD"] = 2


def other_fraction(circuit: dict) -> None:
    circuit["after_placement"]["b"]["fraction"] = 0.4


HOOKS = {"after_placement_a", "after_placement_b"}
EDITS = [
    (other_weights, {"place_read", *HOOKS, "connect_feed", "connect_drive"}),
    (other_fraction, {"after_placement_b", "connect_feed", "connect_drive"}),
]


def test_a_run_has_it_all_and_seven_tiles_give_the_same_bytes(tmp_path):
    circuit = described()
    circuit["connectivity"]["feed"]["presynaptic"]["labels"] = ["active", "half"]
    workflow = written(Workflow(tmp_path / "one", tiles=1), circuit).built()
    nodes = {t: Nodes(workflow.results / f"nodes/{t}.h5") for t in circuit["cell_types"]}
    labels = nodes["table"].column("labels")
    active = np.flatnonzero(["active" in s.split() for s in labels])
    half = np.flatnonzero(["half" in s.split() for s in labels])
    assert (len(active), len(half)) == (40, 150)
    assert set(nodes["table"].column("layer")[active]) == {"L4"}
    assert sorted(nodes["table"].column("number").tolist()) == list(range(300))
    assert np.median(nodes["deep"].positions()[:, 2]) > 80
    assert not nodes["input"].positions().any()

    with Edges(workflow.results / "edges/feed.h5") as edges:
        source, _ = edges.block(0, edges.n)
        assert edges.n == 5 * 200
        assert set(source) <= {*active, *half}
        assert len(set(source)) > 0.9 * len({*active, *half})

    spiking = read_spikes(workflow.results / "simulations/quick/spikes.h5")["table"][1]
    assert set(spiking) == set(active), "noise reaches those that are labelled, and they alone"

    from bluepysnap import Circuit

    snap = Circuit(str(workflow.results / "circuit_config.json"))
    assert snap.nodes.ids("active").get_ids().tolist() == active.tolist()
    assert len(snap.nodes.ids("half")) == 150 + 100
    assert len(snap.nodes["table"].ids({"etype": "cAD", "labels": ["active half", "active"]})) > 0
    assert "active" in json.loads((workflow.results / "node_sets.json").read_text())

    later = {"simulate_quick": 1, "validate_quick": 1, "circuit_config": 1, "report": 1, "all": 1, "parse": 1}
    for edit, planned in EDITS:
        changed = copy.deepcopy(circuit)
        edit(changed)
        workflow.write(changed)
        rules = {rule for rule in workflow.plan() if not rule.startswith("build")} - later.keys()
        assert rules == planned, "an edit of one distributor or hook reruns what depends on it"
    workflow.write(circuit)
    assert workflow.plan() == {}

    seven = written(Workflow(tmp_path / "seven", tiles=7), circuit)
    seven.target = "circuit"
    assert seven.built().circuit_files() == workflow.circuit_files()
