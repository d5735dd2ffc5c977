"""The circuit by region: the same cells and edges, in the readers of others, with the weights that NEST had."""

import json
import shutil
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest

from finished import N_CELLS
from snakefold.export import joined
from snakefold.export.finished import Finished
from snakefold.export.sonata import write_regions
from snakefold.sonata.checker import check_circuit
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

REGIONS = ["e", "fore", "free", "hind"]


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    circuit, _ = finished
    folder = tmp_path_factory.mktemp("regions") / "out"
    made = write_regions(circuit, circuit.simulation(None), folder)
    assert sorted(made.nodes) == REGIONS and sum(made.nodes.values()) == sum(N_CELLS.values())
    assert made.left_out == ["ba"]
    return folder


def origins(folder):
    """Return region -> (cell type, node id) of each of its cells."""
    found = {}
    for name in REGIONS:
        with Nodes(folder / f"nodes/{name}.h5") as nodes:
            ids = zip(nodes.column("cell_type").tolist(), nodes.column("original_id").tolist(), strict=True)
            found[name] = list(ids)
    return found


def edges_of(folder):
    """Return edge set -> rows of (source cell, target cell, weight, delay), from all files."""
    cells, found = origins(folder), defaultdict(list)
    for path in sorted(folder.glob("edges/*.h5")):
        with Edges(path) as edges:
            source, target = edges.block()
            sets = np.array(edges.columns["edge_set"])[edges.column("edge_set")].tolist()
            values = [
                edges.column(name).tolist() if name in edges.columns else sets for name in ("syn_weight", "delay")
            ]
            for name, s, t, weight, delay in zip(sets, source.tolist(), target.tolist(), *values, strict=True):
                found[name].append((cells[edges.source][s], cells[edges.target][t], weight, delay))
    return found


def test_every_cell_is_in_its_region_once_with_its_place_and_properties(folder, finished):
    circuit, _ = finished
    cells = origins(folder)
    together = sorted(cell for of in cells.values() for cell in of)
    assert together == sorted((t, i) for t, n in N_CELLS.items() for i in range(n))
    expected = {"low": "hind", "mid": "fore", "free": "free"}
    for region in REGIONS:
        with Nodes(folder / f"nodes/{region}.h5") as nodes:
            for row, (cell_type, node_id) in enumerate(cells[region]):
                with Nodes(circuit.nodes[cell_type]) as own:
                    np.testing.assert_array_equal(nodes.positions(row, row + 1), own.positions(node_id, node_id + 1))
                    if cell_type == "e":
                        assert region == "e"
                        continue
                    (partition,) = own.column("partition", node_id, node_id + 1)
                assert expected[partition] == region
                assert nodes.column("partition", row, row + 1).tolist() == [partition]
                assert nodes.column("mtype", row, row + 1).tolist() == [cell_type]
                assert nodes.column("model_template", row, row + 1).tolist() == ["nest:iaf_psc_exp"]


def test_edges_are_the_circuits_and_sorted(folder, finished):
    circuit, _ = finished
    assert check_circuit(folder / "circuit_config.json") == []
    found = edges_of(folder)
    assert sorted(found) == ["aa", "ab", "ea"]
    for name, times in (("aa", 2), ("ab", 1), ("ea", 1)):
        with Edges(circuit.edges[name]) as edges:
            source, target = edges.block()
            pairs = [((name[0], s), (name[1], t)) for s, t in zip(source.tolist(), target.tolist(), strict=True)]
        assert sorted(pairs * times) == sorted((s, t) for s, t, *_ in found[name])


def test_weights_and_delays_are_those_that_nest_has(folder, finished):
    """Contacts of ab are collapsed: NEST has one synapse of a pair, of their summed weight."""
    _, probed = finished
    first, table = probed["first"], probed["connections"]
    cell = {first[t] + i: (t, i) for t, n in N_CELLS.items() for i in range(n)}
    columns = (table[name] for name in ("source", "target", "weight", "delay"))
    nest = sorted((cell[s], cell[t], w, d) for s, t, w, d in zip(*columns, strict=True) if s in cell and t in cell)
    found = edges_of(folder)
    summed, delays = defaultdict(float), defaultdict(set)
    for s, t, weight, delay in found["ab"]:
        summed[s, t] += weight
        delays[s, t].add(delay)
    assert len(summed) < len(found["ab"]), "some pairs have several contacts"
    assert all(len(of) == 1 for of in delays.values())
    ours = [(*pair, weight, *delays[pair]) for pair, weight in summed.items()]
    ours = sorted([*ours, *found["aa"], *found["ea"]])
    assert [row[:2] for row in ours] == [row[:2] for row in nest]
    by_weight = [sorted(rows, key=lambda row: (row[:2], round(row[2], 3))) for rows in (ours, nest)]
    np.testing.assert_allclose(*([row[2] for row in rows] for rows in by_weight), rtol=1e-5)
    np.testing.assert_allclose(*([row[3] for row in rows] for rows in by_weight), atol=0.0501)


def test_libsonata_and_bluepysnap_open_it(folder):
    import libsonata
    from bluepysnap.circuit_validation import validate

    assert [e for e in validate(str(folder / "circuit_config.json"), skip_slow=False) if e.level == "FATAL"] == []
    config = libsonata.CircuitConfig.from_file(folder / "circuit_config.json")
    assert config.node_populations == set(REGIONS)
    sets = libsonata.NodeSets.from_file(folder / "node_sets.json")
    n_a = [sets.materialize("a", config.node_population(r)).flat_size for r in ("fore", "hind")]
    assert sum(n_a) == N_CELLS["a"] and min(n_a) > 0


def test_bmtk_reads_the_same_edges(folder):
    from bmtk.simulator.core.simulation_config import SimulationConfig
    from bmtk.utils.sonata import File

    config = SimulationConfig.from_json(str(folder / "bmtk_config.json"))
    files = [*(n["nodes_file"] for n in config.nodes), *(e["edges_file"] for e in config.edges)]
    opened = File(files, [str(folder / "node_types.csv"), str(folder / "edge_types.csv")])
    assert {n.name for n in opened.nodes.populations} == set(REGIONS)
    with Edges(folder / "edges/hind_to_fore.h5") as edges:
        source, target = edges.block()
        weights = edges.column("syn_weight")
    population = opened.edges["hind_to_fore"]
    found = [
        (e.source_node_id, e.target_node_id, e["syn_weight"])
        for t in range(max(target) + 1)
        for e in population.get_target(t)
    ]
    assert found == list(zip(source.tolist(), target.tolist(), weights.tolist(), strict=True))


RUN_WITH_BMTK = """
import json, runpy, sys
network = runpy.run_path(sys.argv[1] + "/run_bmtk.py")["network"]
import nest
columns = ["source", "target", "weight", "delay"]
cell = {gid: list(network.gid_map.get_pool_id(gid)) for gid in network.gid_map.gids}
of = nest.NodeCollection(list(cell)).get(["V_th", "tau_m"])
made = {"cell": cell, "of": dict(zip(cell, zip(of["V_th"], of["tau_m"])))}
made["connections"] = nest.GetConnections().get(columns)
noise = nest.GetConnections(source=nest.GetNodes({"model": "poisson_generator"}))
made["noise"] = noise.get(["target", "weight", "delay"])
made["rng_seed"] = nest.rng_seed
open(sys.argv[2], "w").write(json.dumps(made, default=str))
"""


def test_bmtk_runs_it_with_the_cells_synapses_and_stimuli_that_nest_had(folder, finished, tmp_path):
    """Contacts of ab that the simulation collapses into one synapse are several: their weights add up."""
    _, probed = finished
    copy = shutil.copytree(folder, tmp_path / "moved")
    command = [sys.executable, "-c", RUN_WITH_BMTK, str(copy), str(tmp_path / "made.json")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / "output/spikes.h5").stat().st_size > 0
    made = json.loads((tmp_path / "made.json").read_text())
    cells = origins(folder)
    cell = {int(gid): cells[region][int(node)] for gid, (node, region) in made["cell"].items()}
    assert sorted(cell.values()) == sorted((t, i) for t, n in N_CELLS.items() for i in range(n))
    assert len(set(probed["cells"]["a"]["V_th"])) == N_CELLS["a"]
    own = {(t, i): row for t, of in probed["cells"].items() for i, row in enumerate(zip(*of.values(), strict=True))}
    assert {cell[int(gid)]: tuple(of) for gid, of in made["of"].items()} == own

    def synapses(table, cell):
        """Return (source, target) -> [number, weight] of each delay, of synapses between cells."""
        found = defaultdict(lambda: [0, 0.0])
        for s, t, weight, delay in zip(*(table[c] for c in ("source", "target", "weight", "delay")), strict=True):
            if s in cell and t in cell:
                of = found[cell[s], cell[t], delay]
                of[0], of[1] = of[0] + 1, of[1] + weight
        return dict(found)

    first = probed["first"]
    theirs = synapses(made["connections"], cell)
    ours = synapses(probed["connections"], {first[t] + i: (t, i) for t, n in N_CELLS.items() for i in range(n)})
    assert theirs.keys() == ours.keys()
    collapsed = {key for key in ours if theirs[key][0] != ours[key][0]}
    assert collapsed and {(s[0], t[0]) for s, t, _ in collapsed} == {("a", "b")}
    np.testing.assert_allclose([theirs[key][1] for key in ours], [w for _, w in ours.values()], rtol=1e-12)
    assert {cell[target] for target in made["noise"]["target"]} == {(t, i) for t in "ae" for i in range(N_CELLS[t])}
    assert ({*made["noise"]["weight"]}, {*made["noise"]["delay"]}) == ({60.0}, {1.0})
    assert made["rng_seed"] == probed["kernel"]["rng_seed"]


def test_without_a_simulation_all_edges_are_there_and_have_no_weights(finished, tmp_path):
    circuit, _ = finished
    made = write_regions(circuit, None, tmp_path / "out")
    total = 0
    for path in circuit.edges.values():
        with Edges(path) as edges:
            total += edges.n
    assert (sum(made.edges.values()), made.left_out) == (total, [])
    with Edges(tmp_path / "out/edges/hind_to_fore.h5") as edges:
        assert set(edges.columns) == {"edge_set", "model_template"}
    assert check_circuit(tmp_path / "out/circuit_config.json") == []


def test_small_blocks_make_the_same_bytes(finished, folder, tmp_path, monkeypatch):
    circuit, _ = finished
    monkeypatch.setattr(joined, "_CELLS", 7)
    monkeypatch.setattr("snakefold.export.sonata.merge", lambda *a: _merge(*a, most=50))
    write_regions(Finished.of(circuit.folder), circuit.simulation("s"), tmp_path / "out")
    files = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    assert len(files) > 10
    assert [str(f) for f in files if (folder / f).read_bytes() != (tmp_path / "out" / f).read_bytes()] == []


def _merge(*arguments, most):
    from snakefold.sonata.edges import merge

    return merge(*arguments, most=most)


def test_a_pair_cut_by_a_block_keeps_the_delay_of_its_first_contact():
    from snakefold.export.sonata import _of_pairs

    def columns(pairs, delays):
        source, target = np.array(pairs).T
        return source, target, {"delay": np.array(delays)}

    blocks = [columns([(1, 0), (2, 0), (2, 0)], [1.0, 2.0, 3.0]), columns([(2, 0), (2, 0), (2, 1)], [4.0, 5.0, 6.0])]
    assert [made["delay"].tolist() for _, _, made in _of_pairs(iter(blocks))] == [[1.0, 2.0, 2.0], [2.0, 2.0, 6.0]]
