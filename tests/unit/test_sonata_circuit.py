"""The circuit's JSON files, and the small circuit that the tests of readers and of the checker use."""

import json
from pathlib import Path

import numpy as np
import pytest

from snakefold.errors import UserError
from snakefold.hdf5 import write_text
from snakefold.sonata import circuit
from snakefold.sonata.edges import write_edges
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.sonata.reports import write_report
from snakefold.sonata.spikes import write_spikes

SIZES = {"L4E": 20, "L4I": 8}
PARTITIONS = ("upper", "lower")


def chunks_of(n: int) -> Chunks:
    """Return a chunk table of two strategies with two chunks each."""
    quarters = np.array([0, n // 4, n // 2, n // 2, n])
    return Chunks(("first", "second"), np.array([0, 0, 1, 1], "u2"), np.array([3, 9, 0, 2], "u8"), quarters)


def cells(n: int, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    xyz = {axis: rng.random(n, dtype=np.float32) * 100 for axis in "xyz"}
    return xyz | {"partition": np.arange(n) % 2}


def pairs(n_sources: int, n_targets: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random (source, target) sorted by (target, source), repeats included."""
    rng = np.random.default_rng(seed)
    source, target = rng.integers(0, n_sources, n), rng.integers(0, n_targets, n)
    order = np.lexsort((source, target))
    return source[order], target[order]


def write_circuit(folder: Path, *, empty: bool = True) -> Path:
    """Write a whole small circuit; return its configuration's path."""
    sizes = SIZES | ({"none": 0} if empty else {})
    for seed, (population, n) in enumerate(sizes.items()):
        write_nodes(
            folder / f"nodes/{population}.h5",
            population,
            n,
            [cells(n, seed)],
            chunks_of(n),
            "digest",
            columns={"partition": PARTITIONS},
            constants={"layer": "4", "radius": 7.5},
        )
    joins = [("E_to_I", "L4E", "L4I", 60), ("I_to_E", "L4I", "L4E", 0)]
    if empty:
        joins.append(("E_to_none", "L4E", "none", 0))
    for name, pre, post, n in joins:
        source, target = pairs(sizes[pre], sizes[post] or 1, n)
        keep = target != 3  # a target without edges
        source, target = source[keep], target[keep]
        values = {"delay": np.full(len(source), 1.5), "syn_weight": np.arange(len(source))}
        write_edges(
            folder / f"edges/{name}.h5",
            name,
            pre,
            post,
            sizes[pre],
            sizes[post],
            len(source),
            [(source, target, values)],
            "digest",
            {"delay": "f4", "syn_weight": "f4"},
        )
    nodes, edges = sorted(folder.glob("nodes/*.h5")), sorted(folder.glob("edges/*.h5"))
    types = {"node_types_file": "node_types.csv", "edge_types_file": "edge_types.csv"}
    files = {
        "circuit_config.json": circuit.circuit_config(nodes, edges, folder, **types),
        "node_sets.json": circuit.node_sets(nodes, {"layer4": {"layer": ["4"]}}),
        "simulations/rest/simulation_config.json": circuit.simulation_config(
            tstop=1.0,
            dt=0.1,
            random_seed=1,
            reports={"vm": {"variable_name": "V_m", "dt": 0.1, "start_time": 0.0, "end_time": 1.0, "unit": "mV"}},
        ),
    }
    for name, content in files.items():
        write_text(folder / name, json.dumps(content, indent=2))
    write_text(folder / "node_types.csv", circuit.NODE_TYPES_CSV)
    write_text(folder / "edge_types.csv", circuit.EDGE_TYPES_CSV)
    write_spikes(
        folder / "simulations/rest/spikes.h5",
        {"L4E": (np.array([2.0, 1.0, 1.0]), np.array([0, 5, 2])), "L4I": (np.empty(0), np.empty(0, int))},
        "digest",
    )
    data = np.arange(30, dtype="f4").reshape(10, 3)
    write_report(
        folder / "simulations/rest/vm.h5", {"L4E": (np.array([1, 4, 19]), [data])}, 10, 0.0, 1.0, 0.1, "mV", "digest"
    )
    return folder / "circuit_config.json"


@pytest.fixture
def config(tmp_path):
    return json.loads(write_circuit(tmp_path).read_text())


def test_paths_are_relative_and_empty_populations_left_out(config):
    nodes, edges = config["networks"]["nodes"], config["networks"]["edges"]
    assert [entry["nodes_file"] for entry in nodes] == ["$BASE_DIR/nodes/L4E.h5", "$BASE_DIR/nodes/L4I.h5"]
    assert [next(iter(entry["populations"])) for entry in nodes] == ["L4E", "L4I"]
    assert [entry["edges_file"] for entry in edges] == ["$BASE_DIR/edges/E_to_I.h5", "$BASE_DIR/edges/I_to_E.h5"]
    assert config["manifest"] == {"$BASE_DIR": "."}


def test_an_edge_set_of_an_unknown_population_is_an_error(tmp_path):
    write_circuit(tmp_path)
    with pytest.raises(UserError, match="no node file has population L4I"):
        circuit.circuit_config([tmp_path / "nodes/L4E.h5"], [tmp_path / "edges/E_to_I.h5"], tmp_path)
    with pytest.raises(UserError, match="in two files"):
        circuit.circuit_config([tmp_path / "nodes/L4E.h5"] * 2, [], tmp_path)


def test_node_sets_of_cell_types_partitions_and_all(tmp_path):
    write_circuit(tmp_path)
    sets = json.loads((tmp_path / "node_sets.json").read_text())
    assert sets["L4E"] == {"population": "L4E"}
    assert sets["upper"] == {"partition": "upper"}
    assert sets["All"] == ["L4E", "L4I"]
    assert "none" not in sets


def test_a_partition_named_as_a_cell_type_keeps_both(tmp_path):
    write_nodes(tmp_path / "a.h5", "same", 2, [cells(2)], chunks_of(2), "d", columns={"partition": ("same", "other")})
    sets = circuit.node_sets([tmp_path / "a.h5"])
    assert sets["same"] == {"population": "same"}
    assert sets["partition_same"] == {"partition": "same"}
