"""The field's own readers take every file: bluepysnap, libsonata and bmtk."""

import json

import numpy as np
import pytest

from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns
from snakefold.hdf5 import write_text
from snakefold.sonata import circuit
from snakefold.sonata.edges import Edges, write_edges
from snakefold.sonata.nodes import write_nodes
from test_sonata_circuit import PARTITIONS, cells, chunks_of, pairs, write_circuit

E_IDS, E_TIMES = [2, 5, 0], [1.0, 1.0, 2.0]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return write_circuit(tmp_path_factory.mktemp("circuit"))


@pytest.fixture(scope="module")
def edges():
    source, target = pairs(20, 8, 60)
    return source[target != 3], target[target != 3]


def test_bluepysnap_validates_without_an_error(config):
    from bluepysnap.circuit_validation import validate

    found = [error for error in validate(str(config), skip_slow=False) if error.level == "FATAL"]
    assert found == []


def test_bluepysnaps_command_prints_no_error(config):
    pytest.importorskip("bluepysnap.cli")
    from bluepysnap.cli import cli
    from click.testing import CliRunner

    result = CliRunner().invoke(cli, ["validate-circuit", "--no-skip-slow", str(config)])
    assert result.exit_code == 0, result.output
    assert "FATAL" not in result.output and "ERROR" not in result.output
    result = CliRunner().invoke(
        cli, ["validate-simulation", str(config.parent / "simulations/rest/simulation_config.json")]
    )
    assert result.exit_code == 0, result.output
    assert "FATAL" not in result.output and "ERROR" not in result.output


def test_bluepysnap_reads_cells_edges_and_node_sets(config, edges):
    from bluepysnap import Circuit, Simulation

    circuit = Circuit(str(config))
    nodes = circuit.nodes["L4E"]
    np.testing.assert_array_equal(nodes.positions().to_numpy(), np.column_stack([cells(20)[a] for a in "xyz"]))
    assert nodes.get(properties="partition").tolist() == [PARTITIONS[i % 2] for i in range(20)]
    assert set(nodes.get(properties="layer")) == {"4"}
    assert circuit.nodes.ids("L4I").get_ids().tolist() == list(range(8))
    assert len(circuit.nodes.ids("upper")) == 14
    assert len(circuit.nodes.ids("layer4")) == len(circuit.nodes.ids("All")) == 28
    source, target = edges
    population = circuit.edges["E_to_I"]
    assert population.afferent_nodes(target[0]).tolist() == sorted(set(source[target == target[0]]))
    assert population.afferent_edges(3).tolist() == []
    assert set(population.get(population.ids(), ["delay"])["delay"]) == {1.5}
    simulation = Simulation(str(config.parent / "simulations/rest/simulation_config.json"))
    assert simulation.spikes["L4E"].get().tolist() == E_IDS
    assert simulation.reports["vm"]["L4E"].get().to_numpy().tolist() == np.arange(30).reshape(10, 3).tolist()


def test_libsonata_reads_cells_and_edges(config, edges):
    import libsonata

    circuit = libsonata.CircuitConfig.from_file(str(config))
    nodes = circuit.node_population("L4E")
    np.testing.assert_array_equal(nodes.get_attribute("x", nodes.select_all()), cells(20)["x"])
    assert nodes.get_attribute("partition", libsonata.Selection([1])) == ["lower"]
    population, (source, target) = circuit.edge_population("E_to_I"), edges
    assert (population.source, population.target, population.size) == ("L4E", "L4I", len(source))
    for cell in range(8):
        assert population.afferent_edges(cell).flatten().tolist() == np.flatnonzero(target == cell).tolist()
    assert population.source_nodes(population.select_all()).tolist() == source.tolist()
    assert circuit.edge_population("I_to_E").size == 0


def test_libsonata_opens_populations_without_cells_by_file(config):
    import libsonata

    assert libsonata.NodeStorage(str(config.parent / "nodes/none.h5")).open_population("none").size == 0
    assert libsonata.EdgeStorage(str(config.parent / "edges/E_to_none.h5")).open_population("E_to_none").size == 0


def test_libsonatas_index_is_ours(config, tmp_path):
    """Our target_to_source against the one that libsonata writes, but for its way with targets without edges."""
    import shutil

    import h5py
    import libsonata

    path = shutil.copy(config.parent / "edges/E_to_I.h5", tmp_path)
    group = "edges/E_to_I/indices/target_to_source"
    with h5py.File(path, "r+") as file:
        ours = {name: file[group][name][:] for name in ("node_id_to_ranges", "range_to_edge_id")}
        del file["edges/E_to_I/indices"]
    libsonata.EdgePopulation.write_indices(path, "E_to_I", 20, 8)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file[group]["range_to_edge_id"][:], ours["range_to_edge_id"])
        theirs = file[group]["node_id_to_ranges"][:]
    has = theirs[:, 1] > theirs[:, 0]
    np.testing.assert_array_equal(theirs[has], ours["node_id_to_ranges"][has])
    assert (ours["node_id_to_ranges"][~has, 0] == ours["node_id_to_ranges"][~has, 1]).all()


def test_libsonata_reads_spikes_and_reports(config):
    import libsonata

    folder = config.parent / "simulations/rest"
    spikes = libsonata.SpikeReader(str(folder / "spikes.h5"))
    assert spikes["L4E"].get() == list(zip(E_IDS, E_TIMES, strict=True))
    assert (spikes["L4E"].sorting, spikes["L4E"].time_units) == ("by_time", "ms")
    assert spikes["L4I"].get() == []
    report = libsonata.SomaReportReader(str(folder / "vm.h5"))["L4E"]
    assert (report.get_node_ids(), report.sorted, report.data_units, report.time_units) == (
        [1, 4, 19],
        True,
        "mV",
        "ms",
    )
    frame = report.get(node_ids=[4])
    np.testing.assert_allclose(frame.times, np.arange(10) / 10, atol=1e-9)
    assert np.asarray(frame.data).ravel().tolist() == np.arange(30).reshape(10, 3)[:, 1].tolist()


def test_libsonata_reads_the_simulations_configuration(config):
    import libsonata

    simulation = libsonata.SimulationConfig.from_file(str(config.parent / "simulations/rest/simulation_config.json"))
    assert (simulation.run.tstop, simulation.run.dt, simulation.run.random_seed) == (1.0, 0.1, 1)
    assert simulation.list_report_names == {"vm"}


def test_bmtk_reads_cells_edges_spikes_and_reports(config, edges):
    from bmtk.utils.reports import SpikeTrains
    from bmtk.utils.reports.compartment import CompartmentReport
    from bmtk.utils.sonata.file import File

    folder = config.parent
    files = [*folder.glob("nodes/*.h5"), *folder.glob("edges/*_to_?.h5")]
    opened = File([str(f) for f in files], [str(folder / "node_types.csv"), str(folder / "edge_types.csv")])
    nodes = opened.nodes["L4E"]
    np.testing.assert_array_equal(nodes.to_dataframe()["x"], cells(20)["x"])
    assert [node.node_id for node in nodes] == list(range(20))
    population, (source, target) = opened.edges["E_to_I"], edges
    assert len(population) == len(source)
    for cell in range(8):
        assert [edge.source_node_id for edge in population.get_target(cell)] == source[target == cell].tolist()
    assert len(opened.edges["I_to_E"]) == len(opened.nodes["none"]) == 0
    spikes = SpikeTrains.load(str(folder / "simulations/rest/spikes.h5")).to_dataframe(populations="L4E")
    assert sorted(zip(spikes["timestamps"], spikes["node_ids"], strict=True)) == sorted(
        zip(E_TIMES, E_IDS, strict=True)
    )
    report = CompartmentReport(str(folder / "simulations/rest/vm.h5"))
    assert report.data(node_id=4, population="L4E").ravel().tolist() == list(range(1, 31, 3))


def test_our_readers_agree(config, edges):
    with Edges(config.parent / "edges/E_to_I.h5") as ours:
        np.testing.assert_array_equal(ours.block(), edges)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A circuit with two edge sets of 50 synapses a target: one of pairs alone, one with both locations of contacts."""
    folder = tmp_path_factory.mktemp("large")
    sizes, n = {"pre": 1000, "post": 800}, 40_000
    for population, count in sizes.items():
        path, kinds = folder / f"nodes/{population}.h5", {"partition": PARTITIONS}
        write_nodes(path, population, count, [cells(count)], chunks_of(count), "digest", columns=kinds)
    source, target = pairs(1000, 800, n)
    rng = np.random.default_rng(3)
    there = {name: rng.integers(1, 900, n).astype(kind) for name, kind in columns(EFFERENT, AFFERENT).items()}
    for name, values in (("point", {}), ("located", there)):
        kinds = {column: array.dtype for column, array in values.items()}
        path, block = folder / f"edges/{name}.h5", (source, target, values)
        write_edges(path, name, "pre", "post", 1000, 800, n, [block], "digest", kinds)
    nodes, edges = sorted(folder.glob("nodes/*.h5")), sorted(folder.glob("edges/*.h5"))
    types = {"node_types_file": "node_types.csv", "edge_types_file": "edge_types.csv"}
    write_text(folder / "circuit_config.json", json.dumps(circuit.circuit_config(nodes, edges, folder, **types)))
    write_text(folder / "node_sets.json", "{}")
    write_text(folder / "node_types.csv", circuit.NODE_TYPES_CSV)
    write_text(folder / "edge_types.csv", circuit.EDGE_TYPES_CSV)
    return folder, source, target, there


def test_edges_are_small_and_all_readers_read_them_back(large):
    import libsonata
    from bluepysnap import Circuit
    from bmtk.utils.sonata.file import File

    folder, source, target, there = large
    sizes = {name: (folder / f"edges/{name}.h5").stat().st_size / len(source) for name in ("point", "located")}
    assert sizes["point"] <= 29 and sizes["located"] <= 60, sizes
    snap = Circuit(str(folder / "circuit_config.json"))
    for name, columns_ in (("point", {}), ("located", there)):
        theirs = libsonata.EdgeStorage(str(folder / f"edges/{name}.h5")).open_population(name)
        every = theirs.select_all()
        assert theirs.source_nodes(every).tolist() == source.tolist()
        assert theirs.target_nodes(every).tolist() == target.tolist()
        assert set(theirs.get_attribute("model_template", every)) == {""}  # constant: it takes no space
        opened = File(
            [str(f) for f in folder.glob("nodes/*.h5")] + [str(folder / f"edges/{name}.h5")],
            [str(folder / "node_types.csv"), str(folder / "edge_types.csv")],
        ).edges[name]
        mine = np.flatnonzero(target == 7)
        assert [edge.source_node_id for edge in opened.get_target(7)] == source[mine].tolist()
        frame = snap.edges[name].get(snap.edges[name].ids(), ["@source_node", "@target_node", *columns_])
        assert frame["@source_node"].tolist() == source.tolist()
        for column, values in columns_.items():
            np.testing.assert_array_equal(theirs.get_attribute(column, every), values)
            np.testing.assert_array_equal(frame[column], values)
            assert [edge[column] for edge in opened.get_target(7)] == values[mine].tolist()
