import json

import numpy as np
import pytest

from snakefold.sonata.circuit import write_circuit
from snakefold.sonata.labels import holding, joined, labelled, labels_of, with_labels
from snakefold.sonata.nodes import Chunks, Nodes, write_nodes

SETS = ("", "deep", "active deep", "active")
CODES = np.array([0, 1, 2, 3, 3, 2, 0, 1])


@pytest.fixture
def files(tmp_path):
    """Two populations: a has labels, b has none; one label is named as a population."""
    chunks = Chunks(("s",), np.zeros(1, np.uint16), np.zeros(1, np.uint64), np.array([0, 8]))
    for name, columns in (("a", {"labels": SETS}), ("b", {}), ("c", {"labels": ("", "a deep")})):
        block = dict.fromkeys("xyz", np.arange(8, dtype="f4"))
        block |= {column: (CODES % len(kind)).astype("u4") for column, kind in columns.items()}
        write_nodes(tmp_path / f"{name}.h5", name, 8, [block], chunks, "digest", columns=columns)
    return tmp_path


def test_labels_are_a_set():
    assert joined(["deep", "active", "deep"]) == "active deep"
    assert labels_of("active deep") == ["active", "deep"]
    assert labels_of("") == []
    which = np.array([True, True, False])
    first = with_labels(None, which, ["b"])
    assert first.tolist() == ["b", "b", ""]
    assert with_labels(first, which[::-1], ["a", "b"]).tolist() == ["b", "a b", "a b"]
    assert first.tolist() == ["b", "b", ""]


def test_any_of_the_labels_and_of_none_those_without(files):
    assert holding(SETS, ["active"]) == ["active deep", "active"]
    assert holding(SETS, ["act", "eep"]) == []
    with Nodes(files / "a.h5") as a, Nodes(files / "b.h5") as b:
        assert np.flatnonzero(labelled(a, ["deep"])).tolist() == [1, 2, 5, 7]
        assert np.flatnonzero(labelled(a, ["deep", "active"])).tolist() == [1, 2, 3, 4, 5, 7]
        assert np.flatnonzero(labelled(a, [])).tolist() == [0, 6]
        assert labelled(a, ["active"], 2, 4).tolist() == [True, True]
        assert not labelled(b, ["deep"]).any()
        assert labelled(b, [], 3).tolist() == [True] * 5


def test_readers_resolve_a_cell_set_by_label(files):
    write_circuit([str(files / f"{t}.h5") for t in "abc"], [], files / "circuit_config.json")
    sets = json.loads((files / "node_sets.json").read_text())
    assert sets["active"] == {"population": ["a"], "labels": ["active", "active deep"]}
    assert sets["a"] == {"population": "a"}
    assert sets["label_a"] == {"population": ["c"], "labels": ["a deep"]}

    import libsonata
    from bluepysnap import Circuit

    ids = Circuit(str(files / "circuit_config.json")).nodes.ids("deep")
    found = {t: sorted(ids.get_ids()[ids.get_populations() == t].tolist()) for t in "ac"}
    assert found == {"a": [1, 2, 5, 7], "c": [1, 3, 4, 7]}
    node_sets = libsonata.NodeSets.from_file(str(files / "node_sets.json"))
    population = libsonata.NodeStorage(str(files / "a.h5")).open_population("a")
    assert node_sets.materialize("deep", population).flatten().tolist() == [1, 2, 5, 7]
