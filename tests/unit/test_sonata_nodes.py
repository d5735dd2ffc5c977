import hashlib
import itertools

import h5py
import numpy as np
import pytest

from snakefold.errors import UserError
from snakefold.sonata import columns as col
from snakefold.sonata.nodes import Chunks, Nodes, write_nodes
from test_sonata_circuit import PARTITIONS, cells, chunks_of


def write(path, n=20, blocks=None, **changes):
    given = {"columns": {"partition": PARTITIONS}, "constants": {"layer": "4", "radius": 7.5, "rank": 3}} | changes
    write_nodes(path, "L4E", n, [cells(n)] if blocks is None else blocks, chunks_of(n), "digest", **given)
    return path


def split(block, at):
    edges = [0, *at, len(block["x"])]
    return [{k: v[a:b] for k, v in block.items()} for a, b in itertools.pairwise(edges)]


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_round_trip(tmp_path):
    wanted = cells(20)
    with Nodes(write(tmp_path / "n.h5")) as nodes:
        assert (nodes.population, nodes.n, nodes.digest) == ("L4E", 20, "digest")
        assert nodes.positions().dtype == np.float32
        np.testing.assert_array_equal(nodes.positions(), np.column_stack([wanted[a] for a in "xyz"]))
        np.testing.assert_array_equal(nodes.positions(3, 5), nodes.positions()[3:5])
        assert nodes.column("partition", 0, 3).tolist() == ["upper", "lower", "upper"]
        assert nodes.column("partition", 0, 3, codes=True).tolist() == [0, 1, 0]
        assert nodes.column("layer", 18).tolist() == ["4", "4"]
        assert nodes.column("radius").tolist() == [7.5] * 20
        assert nodes.columns["partition"] == PARTITIONS
        assert nodes.columns["radius"] == np.float32
        assert nodes.columns["rank"] == np.int64
        assert nodes.chunks.blocks == ("first", "second")
        np.testing.assert_array_equal(nodes.chunks.offsets, [0, 5, 10, 10, 20])
        with pytest.raises(UserError, match='no column "layr"; did you mean "layer"'):
            nodes.column("layr")


def test_constants_take_no_space(tmp_path):
    def size(n):
        return write(tmp_path / f"{n}.h5", n).stat().st_size

    assert size(2000) - size(1000) == 1000 * (3 * 4 + 4 + 2 * 8)  # x, y, z; partition codes; node_id, group_index


@pytest.mark.parametrize("at", [[], [1], [0, 0, 7, 20], list(range(1, 20))])
def test_bytes_do_not_depend_on_blocks(tmp_path, monkeypatch, at):
    whole = write(tmp_path / "whole.h5")
    monkeypatch.setattr(col, "BUFFER_ROWS", 6)
    assert sha(write(tmp_path / "split.h5", blocks=split(cells(20), at))) == sha(whole)


def test_order_of_a_callers_dictionaries_within_a_block_is_no_matter(tmp_path):
    turned = dict(reversed(cells(20).items()))
    assert sha(write(tmp_path / "a.h5")) == sha(write(tmp_path / "b.h5", blocks=[turned]))


@pytest.mark.parametrize("blocks", [[], [cells(0)]])
def test_a_population_without_cells(tmp_path, blocks):
    with Nodes(write(tmp_path / "n.h5", 0, blocks)) as nodes:
        assert nodes.n == 0
        assert nodes.positions().shape == (0, 3)
        assert nodes.column("partition").shape == (0,)


def test_fill_values_are_sonatas(tmp_path):
    with h5py.File(write(tmp_path / "n.h5")) as file:
        root = file["nodes/L4E"]
        assert file.attrs["magic"] == 0x0A7A and file.attrs["magic"].dtype == np.uint32
        assert file.attrs["version"].tolist() == [0, 1]
        assert root["node_type_id"].dtype == np.int64 and set(root["node_type_id"][:]) == {-1}
        assert root["node_group_index"][:].tolist() == root["node_id"][:].tolist() == list(range(20))


def damaged(**changes):
    return [{k: v for k, v in (cells(20) | changes).items() if v is not None}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": damaged(y=None)}, "columns should be"),
        ({"blocks": damaged(more=np.zeros(20))}, "columns should be"),
        ({"blocks": damaged(y=np.zeros(19, "f4"))}, "'y' shape should be: \\(20,\\)"),
        ({"blocks": damaged(partition=np.zeros(20, "f4"))}, "'partition' dtype"),
        ({"blocks": damaged(partition=np.full(20, 2))}, "'partition' of cell 0: no such string"),
        ({"blocks": damaged(partition=np.full(20, -1))}, "no such string"),
        ({"blocks": damaged(z=np.where(np.arange(20) == 7, np.nan, 0))}, "'z' of row 7 is not finite"),
        ({"blocks": damaged(z=np.full(20, 1e300))}, "not finite"),
        ({"blocks": [cells(19)]}, "number of rows should be: 20 \\(got: 19\\)"),
        ({"blocks": [cells(20), cells(1)]}, "number of rows should be: 20 \\(got: 21"),
        ({"constants": {"x": 1.0}}, "given twice: x"),
        ({"constants": {"partition": "p"}}, "given twice: partition"),
    ],
)
def test_what_does_not_fit_is_an_error_and_leaves_no_file(tmp_path, changes, message):
    with np.errstate(over="ignore"), pytest.raises(UserError, match=message):
        write(tmp_path / "n.h5", **changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 5, 10, 10, 19])}, "number of cells"),
        ({"offsets": np.array([0, 11, 10, 10, 20])}, "rise"),
        ({"offsets": np.array([0, 20])}, "'offsets' shape"),
        ({"chunk": np.array([9, 3, 0, 2], "u8")}, "sorted by"),
        ({"chunk": np.array([3, 3, 0, 2], "u8")}, "distinct"),
        ({"block": np.array([0, 0, 1, 2], "u2")}, "block index"),
        ({"block": np.array([0, 0, 1], "u2")}, "one block and one chunk"),
    ],
)
def test_a_chunk_table_that_does_not_fit(tmp_path, change, message):
    table = Chunks(**(vars(chunks_of(20)) | change))
    with pytest.raises(UserError, match=message):
        write_nodes(tmp_path / "n.h5", "L4E", 20, [cells(20)], table, "d", columns={"partition": PARTITIONS})
