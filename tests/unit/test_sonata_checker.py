"""One test per corruption: a good circuit, one fault, exactly that mistake."""

import json

import h5py
import numpy as np
import pytest

from snakefold.sonata import findings, index
from snakefold.sonata.checker import check_circuit, check_edges, check_node_sets, check_nodes, check_report
from snakefold.sonata.checker import check_spikes as check_spike_file
from snakefold.sonata.edges import write_edges
from test_sonata_circuit import pairs, write_circuit

NODES, EDGES = "nodes/L4E.h5", "edges/E_to_I.h5"
SPIKES, REPORT = "simulations/rest/spikes.h5", "simulations/rest/vm.h5"
N, E = "nodes/L4E", "edges/E_to_I"
T2S = f"{E}/indices/target_to_source"
SIZES = {"L4E": 20, "L4I": 8}


def put(path, *index_and_value):
    """Overwrite elements of a dataset."""

    def damage(file):
        for at, value in index_and_value:
            file[path][at] = value

    return damage


def replaced(path, change):
    """Replace a dataset by a function of its values, attributes kept."""

    def damage(file):
        old = file[path]
        values, attributes = change(old[:]), dict(old.attrs)
        del file[path]
        file.create_dataset(path, data=values).attrs.update(attributes)

    return damage


def removed(path):
    def damage(file):
        del file[path]

    return damage


def attribute(path, name, value=None):
    def damage(file):
        if value is None:
            del file[path].attrs[name]
        else:
            file[path].attrs[name] = value

    return damage


def swap(path, a, b):
    def damage(file):
        values = file[path][:]
        values[[a, b]] = values[[b, a]]
        file[path][:] = values

    return damage


def unlinked(file):
    copy = file[f"{T2S}/node_id_to_ranges"][:]
    del file[f"{T2S}/node_id_to_range"]
    file[f"{T2S}/node_id_to_range"] = copy


def both_links(change):
    def damage(file):
        values = change(file[f"{T2S}/node_id_to_ranges"][:])
        for name in ("node_id_to_ranges", "node_id_to_range"):
            del file[f"{T2S}/{name}"]
        file[f"{T2S}/node_id_to_ranges"] = values
        file[f"{T2S}/node_id_to_range"] = file[f"{T2S}/node_id_to_ranges"]

    return damage


def second_population(kind):
    def damage(file):
        file.create_group(f"{kind}/other")

    return damage


NODE_FAULTS = {
    "no magic": (attribute("/", "magic"), "", "magic"),
    "wrong magic": (attribute("/", "magic", np.uint32(1)), "", "magic"),
    "no version": (attribute("/", "version"), "", "version"),
    "two populations": (second_population("nodes"), "nodes", "one population per file"),
    "no node_type_id": (removed(f"{N}/node_type_id"), f"{N}/node_type_id", "missing"),
    "unsigned types": (replaced(f"{N}/node_type_id", lambda v: v.astype("u8")), f"{N}/node_type_id", "dtype"),
    "short types": (replaced(f"{N}/node_type_id", lambda v: v[:-1]), f"{N}/node_type_id", "shape"),
    "ids not dense": (put(f"{N}/node_id", (4, 5)), f"{N}/node_id", "row 4 should be 4"),
    "ids i8": (replaced(f"{N}/node_id", lambda v: v.astype("i8")), f"{N}/node_id", "dtype"),
    "group id": (put(f"{N}/node_group_id", (0, 1)), f"{N}/node_group_id", "should be 0"),
    "group index": (swap(f"{N}/node_group_index", 2, 3), f"{N}/node_group_index", "row 2"),
    "no group": (removed(f"{N}/0"), f"{N}/0", "missing"),
    "no x": (removed(f"{N}/0/x"), f"{N}/0/x", "missing"),
    "x f8": (replaced(f"{N}/0/x", lambda v: v.astype("f8")), f"{N}/0/x", "dtype"),
    "short y": (replaced(f"{N}/0/y", lambda v: v[:-1]), f"{N}/0/y", "shape"),
    "NaN position": (put(f"{N}/0/z", (19, np.nan)), f"{N}/0/z", "row 19 is not finite"),
    "infinite radius": (put(f"{N}/0/radius", (slice(None), np.inf)), f"{N}/0/radius", "row 0 is not finite"),
    "short column": (replaced(f"{N}/0/radius", lambda v: v[:-1]), f"{N}/0/radius", "shape"),
    "code out of range": (put(f"{N}/0/partition", (7, 2)), f"{N}/0/partition", "row 7: no string 2"),
    "signed codes": (replaced(f"{N}/0/layer", lambda v: v.astype("i4")), f"{N}/0/layer", "unsigned"),
    "equal strings": (
        put(f"{N}/0/@library/partition", (slice(None), "same")),
        f"{N}/0/@library/partition",
        "distinct",
    ),
    "library without column": (removed(f"{N}/0/layer"), f"{N}/0/@library/layer", "without a column"),
    "no chunk table": (removed("chunks"), "chunks", "missing"),
    "chunk table ends early": (put("chunks/offsets", (-1, 19)), "chunks", "number of cells, 20"),
    "chunk table falls": (put("chunks/offsets", (1, 11)), "chunks", "rise"),
    "chunks out of order": (swap("chunks/chunk", 0, 1), "chunks", "sorted"),
    "chunk of no strategy": (put("chunks/block", (3, 2)), "chunks", "block index"),
    "chunk dtype": (replaced("chunks/chunk", lambda v: v.astype("i4")), "chunks/chunk", "dtype"),
}

EDGE_FAULTS = {
    "no magic": (attribute("/", "magic"), "", "magic"),
    "no edge_type_id": (replaced(f"{E}/edge_type_id", lambda v: v.astype("u8")), f"{E}/edge_type_id", "dtype"),
    "no edge_group_id": (removed(f"{E}/edge_group_id"), f"{E}/edge_group_id", "missing"),
    "group index": (put(f"{E}/edge_group_index", (5, 4)), f"{E}/edge_group_index", "row 5"),
    "sources shorter": (replaced(f"{E}/source_node_id", lambda v: v[:-1]), f"{E}/source_node_id", "shape"),
    "sources i8": (replaced(f"{E}/source_node_id", lambda v: v.astype("i8")), f"{E}/source_node_id", "dtype"),
    "no population": (attribute(f"{E}/source_node_id", "node_population"), f"{E}/source_node_id", "node_population"),
    "unknown population": (
        attribute(f"{E}/target_node_id", "node_population", "L4X"),
        f"{E}/target_node_id",
        'no population "L4X" in the circuit; did you mean',
    ),
    "smaller population": (
        attribute(f"{E}/source_node_id", "node_population", "L4I"),
        f"{E}/source_node_id",
        "there are 8",
    ),
    "source too large": (put(f"{E}/source_node_id", (-1, 20)), f"{E}/source_node_id", "no cell 20"),
    "target too large": (put(f"{E}/target_node_id", (-1, 8)), f"{E}/target_node_id", "no cell 8"),
    "targets out of order": (put(f"{E}/target_node_id", (0, 7)), E, "edge 1 is not"),
    "order between blocks": (put(f"{E}/target_node_id", (1, 7)), E, "edge 2 is not"),
    "sources out of order": (put(f"{E}/source_node_id", (0, 19)), E, "edge 1 is not"),
    "no index": (removed(T2S), T2S, "missing"),
    "first range": (put(f"{T2S}/range_to_edge_id", ((0, 0), 1)), f"{T2S}/range_to_edge_id", "range 0"),
    "second range": (put(f"{T2S}/range_to_edge_id", ((1, 1), 1)), f"{T2S}/range_to_edge_id", "range 1"),
    "last range": (put(f"{T2S}/range_to_edge_id", ((-1, 1), 0)), f"{T2S}/range_to_edge_id", "range 6"),
    "ranges shorter": (replaced(f"{T2S}/range_to_edge_id", lambda v: v[:-1]), f"{T2S}/range_to_edge_id", "(7, 2)"),
    "ranges i8": (
        replaced(f"{T2S}/range_to_edge_id", lambda v: v.astype("i8")),
        f"{T2S}/range_to_edge_id",
        "dtype",
    ),
    "node's range": (put(f"{T2S}/node_id_to_ranges", ((2, 1), 2)), f"{T2S}/node_id_to_ranges", "node 2"),
    "node with a range too many": (put(f"{T2S}/node_id_to_ranges", ((3, 1), 5)), f"{T2S}/node_id_to_ranges", "node 3"),
    "nodes missing": (both_links(lambda v: v[:-1]), f"{T2S}/node_id_to_ranges", "(8, 2)"),
    "no hard link": (removed(f"{T2S}/node_id_to_range"), f"{T2S}/node_id_to_range", "hard link"),
    "a copy, not a link": (unlinked, f"{T2S}/node_id_to_range", "hard link"),
    "NaN delay": (put(f"{E}/0/delay", (3, np.nan)), f"{E}/0/delay", "row 3 is not finite"),
    "negative delay": (put(f"{E}/0/delay", (3, -1.5)), f"{E}/0/delay", "row 3 should be: above 0"),
    "zero delay": (put(f"{E}/0/delay", (3, 0)), f"{E}/0/delay", "row 3 should be: above 0"),
    "infinite weight": (put(f"{E}/0/syn_weight", (3, -np.inf)), f"{E}/0/syn_weight", "row 3 is not finite"),
    "short column": (replaced(f"{E}/0/delay", lambda v: v[:-1]), f"{E}/0/delay", "shape"),
    "code out of range": (put(f"{E}/0/model_template", (3, 1)), f"{E}/0/model_template", "no string 1"),
}

S, R = "spikes/L4E", "report/L4E"
OUTPUT_FAULTS = {
    "no magic": (SPIKES, attribute("/", "magic"), "", "magic"),
    "NaN spike": (SPIKES, put(f"{S}/timestamps", (1, np.nan)), f"{S}/timestamps", "spike 1 is not finite"),
    "spikes unsorted": (SPIKES, put(f"{S}/timestamps", (0, 9.0)), S, "spike 1 is not"),
    "spikes unsorted between blocks": (SPIKES, put(f"{S}/timestamps", (1, 9.0)), S, "spike 2 is not"),
    "ids unsorted": (SPIKES, swap(f"{S}/node_ids", 0, 1), S, "spike 1 is not"),
    "no such cell": (SPIKES, put(f"{S}/node_ids", (2, 20)), f"{S}/node_ids", "no cell 20"),
    "no sorting": (SPIKES, attribute(S, "sorting"), S, "sorting"),
    "no units": (SPIKES, attribute(f"{S}/timestamps", "units"), f"{S}/timestamps", "units"),
    "fewer ids": (SPIKES, replaced(f"{S}/node_ids", lambda v: v[:-1]), f"{S}/node_ids", "shape"),
    "unknown population": (SPIKES, lambda file: file.move("spikes/L4I", "spikes/L4X"), "spikes/L4X", "no population"),
    "infinite data": (REPORT, put(f"{R}/data", ((4, 1), np.inf)), R, "step 4, column 1 is not finite"),
    "data f8": (REPORT, replaced(f"{R}/data", lambda v: v.astype("f8")), f"{R}/data", "f4"),
    "no data units": (REPORT, attribute(f"{R}/data", "units"), f"{R}/data", "units"),
    "report of no cell": (REPORT, put(f"{R}/mapping/node_ids", (2, 20)), f"{R}/mapping/node_ids", "no cell 20"),
    "cells unsorted": (REPORT, swap(f"{R}/mapping/node_ids", 0, 1), f"{R}/mapping/node_ids", "should rise"),
    "no sorted": (REPORT, attribute(f"{R}/mapping/node_ids", "sorted"), f"{R}/mapping/node_ids", "sorted"),
    "wrong pointers": (REPORT, put(f"{R}/mapping/index_pointers", (3, 2)), f"{R}/mapping/index_pointers", "columns, 3"),
    "fewer elements": (
        REPORT,
        replaced(f"{R}/mapping/element_ids", lambda v: v[:-1]),
        f"{R}/mapping/element_ids",
        "shape",
    ),
    "wrong time": (REPORT, put(f"{R}/mapping/time", (1, 2.0)), f"{R}/mapping/time", "10 steps"),
    "dt of 0": (REPORT, put(f"{R}/mapping/time", (2, 0.0)), f"{R}/mapping/time", "dt positive"),
}


@pytest.fixture(params=[1 << 20, 2], ids=["one block", "many blocks"])
def config(request, tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "BLOCK_ROWS", request.param)
    monkeypatch.setattr(index, "BLOCK_ROWS", request.param)
    return write_circuit(tmp_path)


def expect_one(mistakes, file, path, text):
    assert [str(mistake) for mistake in mistakes if text not in mistake.message] == []
    (mistake,) = mistakes
    assert (mistake.where, "/".join(mistake.path)) == (str(file), path)


def damage(path, fault):
    with h5py.File(path, "r+") as file:
        fault(file)
    return path


def test_a_good_circuit_has_no_mistakes(config):
    assert check_circuit(config) == []
    assert check_circuit(config, resolution_ms=1.5) == []
    for path in config.parent.glob("nodes/*.h5"):
        assert check_nodes(path) == []
    for path in config.parent.glob("edges/*.h5"):
        assert check_edges(path) == []
    for sizes in (None, SIZES):
        assert check_spike_file(config.parent / SPIKES, sizes) == []
        assert check_report(config.parent / REPORT, sizes) == []


@pytest.mark.parametrize("fault", NODE_FAULTS)
def test_a_fault_of_nodes(config, fault):
    change, path, text = NODE_FAULTS[fault]
    file = damage(config.parent / NODES, change)
    expect_one(check_nodes(file), file, path, text)


@pytest.mark.parametrize("fault", EDGE_FAULTS)
def test_a_fault_of_edges(config, fault):
    change, path, text = EDGE_FAULTS[fault]
    file = damage(config.parent / EDGES, change)
    expect_one(check_circuit(config), file, path, text)


@pytest.mark.parametrize("fault", OUTPUT_FAULTS)
def test_a_fault_of_outputs(config, fault):
    name, change, path, text = OUTPUT_FAULTS[fault]
    file = damage(config.parent / name, change)
    expect_one((check_spike_file if name == SPIKES else check_report)(file, SIZES), file, path, text)


def test_delays_below_the_resolution(config):
    (mistake,) = check_circuit(config, resolution_ms=2.0)
    assert "row 0 should be: 2.0 ms or more (got: 1.5)" in mistake.message


@pytest.mark.parametrize("resolution", [0.1, 0.7])
def test_a_delay_of_the_resolution_in_float32_is_allowed(tmp_path, resolution):
    block = (np.zeros(1, int), np.zeros(1, int), {"delay": np.full(1, resolution)})
    write_edges(tmp_path / "e.h5", "E", "a", "b", 1, 1, 1, [block], "d", {"delay": "f4"})
    assert check_edges(tmp_path / "e.h5", resolution_ms=resolution) == []


def source_index(file):
    """Write the index of sources, as libsonata would."""
    source = file[f"{E}/source_node_id"][:]
    order = np.argsort(source, kind="stable")
    breaks = np.flatnonzero((np.diff(source[order]) != 0) | (np.diff(order) != 1)) + 1
    spans = [(rows[0], rows[-1] + 1) for rows in np.split(order, breaks)]
    owners = np.array([source[a] for a, _ in spans])
    group = file.create_group(f"{E}/indices/source_to_target")
    group["node_id_to_ranges"] = np.searchsorted(owners, np.column_stack([np.arange(20), np.arange(20) + 1])).astype(
        "u8"
    )
    group["node_id_to_range"] = group["node_id_to_ranges"]
    group["range_to_edge_id"] = np.array(spans, "u8")


def test_an_index_of_sources(config):
    file = damage(config.parent / EDGES, source_index)
    assert check_circuit(config) == []
    path = f"{E}/indices/source_to_target/range_to_edge_id"
    damage(file, put(path, ((30, 0), 2)))
    expect_one(check_circuit(config), file, path, "range 30")


def test_runs_are_those_of_a_plain_scan(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "BLOCK_ROWS", 4)
    source, _ = pairs(5, 6, 40)
    got = list(zip(*(a.tolist() for a in index.runs(source)), strict=True))
    wanted, start = [], 0
    for row in range(1, 41):
        if row == 40 or source[row] != source[start]:
            wanted.append((source[start], start, row))
            start = row
    assert got == sorted(wanted)


def test_files_that_are_missing_or_no_hdf5(config):
    (config.parent / NODES).unlink()
    mistakes = check_nodes(config.parent / NODES)
    expect_one(mistakes, config.parent / NODES, "", "is missing")
    (config.parent / EDGES).write_text("text")
    expect_one(check_edges(config.parent / EDGES), config.parent / EDGES, "", "cannot be read as HDF5")


def edit(config, change):
    content = json.loads(config.read_text())
    change(content)
    config.write_text(json.dumps(content))


def test_faults_of_the_configuration(config):
    edit(config, lambda c: c["networks"]["nodes"][0]["populations"].update(L4I={}))
    mistakes = check_circuit(config)
    assert [m.message for m in mistakes if m.where == str(config)] == ['population "L4I" is listed twice']
    config.write_text("{")
    expect_one(check_circuit(config), config, "", "cannot be read as JSON")
    config.write_text("{}")
    expect_one(check_circuit(config), config, "networks", "has no networks")


def test_a_population_that_its_file_has_not(config):
    edit(config, lambda c: c["networks"]["edges"][0].update(populations={"other": {}}))
    expect_one(check_circuit(config), config.parent / EDGES, "edges/other", "missing")


@pytest.mark.parametrize(
    ("sets", "path", "text"),
    [
        ({"a": {"population": "L4E"}, "b": ["a", "c"]}, "b", 'no node set "c"'),
        ({"a": {"population": ["L4E", "L5"]}}, "a", 'no population "L5"'),
        ({"a": 3}, "a", "a rule or a list"),
    ],
)
def test_faults_of_node_sets(tmp_path, sets, path, text):
    file = tmp_path / "node_sets.json"
    file.write_text(json.dumps(sets))
    expect_one(check_node_sets(file, set(SIZES)), file, path, text)
