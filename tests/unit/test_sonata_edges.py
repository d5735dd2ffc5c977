import hashlib
import itertools

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snakefold.errors import UserError
from snakefold.sonata import columns as col
from snakefold.sonata import edges as module
from snakefold.sonata.edges import Edges, merge, write_edges
from snakefold.sonata.tiles import Tile, write_tile
from test_sonata_circuit import pairs

N_SOURCES, N_TARGETS = 9, 7


def write(path, source, target, values=None, at=(), n=None, n_targets=N_TARGETS, columns=None):
    values = {"delay": np.arange(len(source)) + 1.0} if values is None else values
    edges = [0, *at, len(source)]
    blocks = [(source[a:b], target[a:b], {k: v[a:b] for k, v in values.items()}) for a, b in itertools.pairwise(edges)]
    n = len(source) if n is None else n
    columns = dict.fromkeys(values, "f4") if columns is None else columns
    write_edges(path, "E", "pre", "post", N_SOURCES, n_targets, n, blocks, "digest", columns)
    return path


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_round_trip(tmp_path):
    source, target = pairs(N_SOURCES, N_TARGETS, 40)
    with Edges(write(tmp_path / "e.h5", source.astype("u4"), target.astype("u4"))) as edges:
        assert (edges.name, edges.source, edges.target, edges.n) == ("E", "pre", "post", 40)
        assert (edges.n_sources, edges.n_targets, edges.digest) == (N_SOURCES, N_TARGETS, "digest")
        np.testing.assert_array_equal(edges.block(), [source, target])
        np.testing.assert_array_equal(edges.block(3, 9), [source[3:9], target[3:9]])
        assert edges.column("delay", 3, 5).tolist() == [4.0, 5.0]
        assert edges.columns == {"delay": np.dtype("f4"), "model_template": ("",)}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(n=st.integers(0, 30), seed=st.integers(0, 5), first=st.integers(0, N_TARGETS), more=st.integers(0, N_TARGETS))
def test_the_index_is_that_of_a_full_scan(tmp_path, n, seed, first, more):
    source, target = pairs(N_SOURCES, N_TARGETS, n, seed)
    with Edges(write(tmp_path / "e.h5", source, target)) as edges:
        start, stop = edges.targets_range(first, min(first + more, N_TARGETS))
        inside = (target >= first) & (target < min(first + more, N_TARGETS))
        assert stop - start == inside.sum()
        assert inside[start:stop].all()
        np.testing.assert_array_equal(edges.in_degrees(), np.bincount(target, minlength=N_TARGETS))
    with h5py.File(tmp_path / "e.h5") as file:
        index = file["edges/E/indices/target_to_source"]
        assert index["node_id_to_ranges"] == index["node_id_to_range"]
        assert index["node_id_to_ranges"].dtype == index["range_to_edge_id"].dtype == np.uint64
        for node, (a, b) in enumerate(index["node_id_to_ranges"][:]):
            rows = [np.arange(*index["range_to_edge_id"][r]) for r in range(a, b)]
            assert np.concatenate([*rows, []]).tolist() == np.flatnonzero(target == node).tolist()
            assert b - a == (node in target)


@pytest.mark.parametrize("at", [[1], [0, 0, 17, 40], list(range(1, 40))])
def test_bytes_do_not_depend_on_blocks(tmp_path, monkeypatch, at):
    source, target = pairs(N_SOURCES, N_TARGETS, 40)
    whole = write(tmp_path / "whole.h5", source, target)
    monkeypatch.setattr(col, "BUFFER_ROWS", 16)
    monkeypatch.setattr(module, "_INDEX_ROWS", 3)
    assert sha(write(tmp_path / "split.h5", source, target, at=at)) == sha(whole)


def test_no_edges_and_no_targets(tmp_path):
    none = np.empty(0, int)
    with Edges(write(tmp_path / "e.h5", none, none)) as edges:
        assert edges.n == 0
        assert edges.in_degrees().tolist() == [0] * N_TARGETS
        assert edges.targets_range(0, N_TARGETS) == (0, 0)
    with Edges(write(tmp_path / "f.h5", none, none, n_targets=0)) as edges:
        assert edges.n_targets == 0


GOOD = np.array([1, 4, 2]), np.array([0, 0, 5])


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("source", "target", "values", "n", "message"),
    [
        ([4, 1, 2], [0, 0, 5], None, 3, "edge 1 comes before"),
        ([1, 4, 2], [5, 5, 0], None, 3, "edge 2 comes before"),
        ([1, 9, 2], [0, 0, 5], None, 3, "source id of edge 1 should be: 0 to 8 \\(got: 9\\)"),
        ([1, -1, 2], [0, 0, 5], None, 3, "source id of edge 1 .*got: -1"),
        ([1, 4, 2], [0, 0, 7], None, 3, "target id of edge 2 should be: 0 to 6 \\(got: 7\\)"),
        ([1.0, 4.0, 2.0], [0, 0, 5], None, 3, "'source_node_id' dtype"),
        ([1, 4, 2], [0, 0, 5], {"delay": np.array([1, np.inf, 1])}, 3, "'delay' of row 1 is not finite"),
        ([1, 4, 2], [0, 0, 5], None, 4, "number of rows should be: 4 \\(got: 3\\)"),
        ([1, 4, 2], [0, 0, 5], None, 2, "number of rows should be: 2 \\(got: 3"),
        ([1, 4, 2], [0, 0, 5], {"delay": np.ones(2)}, 3, "shape"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path, monkeypatch, rows, source, target, values, n, message):
    monkeypatch.setattr(col, "BUFFER_ROWS", rows)
    with pytest.raises(UserError, match=message):
        write(tmp_path / "e.h5", np.array(source), np.array(target), values, n=n)
    assert list(tmp_path.iterdir()) == []


def test_missing_columns_are_an_error(tmp_path):
    with pytest.raises(UserError, match="columns should be"):
        write(tmp_path / "e.h5", *GOOD, values={}, columns={"delay": "f4"})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sizes=st.lists(st.integers(0, 25), min_size=1, max_size=4), most=st.integers(1, 60), seed=st.integers(0, 9))
def test_merge_is_a_stable_sort_in_bounded_blocks(tmp_path, sizes, most, seed):
    """Parts: one edge file, and the units of one tile."""
    each = [pairs(N_SOURCES, N_TARGETS, n, seed + at) for at, n in enumerate(sizes)]
    tags = np.split(np.arange(sum(sizes), dtype="f4"), np.cumsum(sizes)[:-1])
    write(tmp_path / "e.h5", *each[0], {"tag": tags[0]})
    rest = {
        "source": np.concatenate([source for source, _ in each[1:]] or [np.empty(0)]).astype("u4"),
        "target": np.concatenate([target for _, target in each[1:]] or [np.empty(0)]).astype("u4"),
        "tag": np.concatenate(tags[1:] or [np.empty(0)]).astype("f4"),
    }
    units = np.column_stack([np.zeros(len(sizes) - 1), np.arange(len(sizes) - 1)])
    write_tile(tmp_path / "t.h5", "d", units, {"E": rest}, {"E": np.array(sizes[1:], dtype=int)})
    with Edges(tmp_path / "e.h5") as first, Tile(tmp_path / "t.h5") as tile:
        blocks = list(merge([first, *tile.edges_of_units("E")], N_TARGETS, ["tag"], most=most))
    source, target = (np.concatenate([pair[side] for pair in each]) for side in (0, 1))
    order = np.lexsort((np.arange(len(source)), source, target))
    got = [np.concatenate([block[side] for block in blocks] or [[]]) for side in (0, 1)]
    np.testing.assert_array_equal(got, [source[order], target[order]])
    assert (
        np.concatenate([block[2]["tag"] for block in blocks] or [[]]).tolist() == np.concatenate(tags)[order].tolist()
    )
    most_of_one = np.bincount(target, minlength=1).max()
    assert all(0 < len(block[0]) <= max(most, most_of_one) for block in blocks)
