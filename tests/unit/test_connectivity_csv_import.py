import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import connect, edited, plan_of, run
from snakefold.errors import UserError
from snakefold.loading import BrokenCircuit
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

CELLS = "x,y,z,type,gid,name\n" + "".join(
    f"{20 * i % 190},{7 * i % 90},{11 * i % 140},{'ab'[i % 2]},{1000 - i},n{i}\n" for i in range(40)
)


def tree(*edits, **more):
    own = {
        "strategy": "bsb.connectivity.import_.CsvImportConnectivity",
        "source": "edges.csv",
        "presynaptic": {"cell_types": ["a"]},
        "postsynaptic": {"cell_types": ["b"]},
    }
    placed = {
        "strategy": "csv_import_placement",
        "source": "cells.csv",
        "cell_types": ["a", "b"],
        "type_header": "type",
    }
    return edited(
        ("cell_types.a.spatial.count", ...),
        ("placement", {"table": placed}),
        ("connectivity", {"table": own | more}),
        ("simulations", {}),
        *edits,
    )


def planned(folder: Path, text: str | bytes, description=None, tiles=1):
    folder.mkdir(exist_ok=True)
    (folder / "cells.csv").write_text(CELLS)
    (folder / "edges.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return plan_of(folder, tree() if description is None else description, tiles)


def edges_of(plan) -> list[tuple[int, ...]]:
    with Edges(plan.edges("table")) as edges:
        return list(zip(*(ids.tolist() for ids in edges.block()), strict=True))


def test_each_row_is_a_synapse_of_the_cells_with_its_ids(tmp_path):
    rows = [(3, 1), (0, 19), (3, 1), (19, 0)]
    text = "\ufeff Post ;PRE;note\r\n" + "".join(f"{b};{a}.0;x\r\n" for a, b in rows)
    plan = run(planned(tmp_path, text, tree(delimiter=";")))
    assert edges_of(plan) == sorted(rows, key=lambda row: row[::-1])
    assert plan.parts["connect/table"].slice["expected"] == {"table": [4.0, 0.0]}
    with Edges(plan.edges("table")) as edges:
        assert set(edges.columns) == {"model_template"}


@pytest.mark.parametrize(("key", "name"), [("gid", lambda i: 1000 - i), ("name", "n{}".format)])
def test_cells_are_named_by_a_property(tmp_path, key, name):
    rng = np.random.default_rng(4)
    rows = [(2 * int(i), 2 * int(j) + 1) for i, j in rng.integers(0, 20, (100, 2))]  # a are even, b odd
    text = "pre,post\n" + "".join(f"{name(i)},{name(j)}\n" for i, j in rows)
    plan = run(planned(tmp_path, text, tree(mapping_key=key), tiles=3))
    with Nodes(plan.nodes("a")) as a, Nodes(plan.nodes("b")) as b:
        numbers = {t: (1000 - nodes.column("gid")).tolist() for t, nodes in (("a", a), ("b", b))}
    assert sorted((numbers["a"][i], numbers["b"][j]) for i, j in edges_of(plan)) == sorted(rows)


def test_columns_that_are_asked_for_go_with_their_synapses(tmp_path):
    text = "pre,post,Delay,afferent_section_id,afferent_section_pos,other\n"
    text += "".join(f"{i},{19 - i},{i / 10},{i + 7},0.25,none\n" for i in range(20))
    plan = run(planned(tmp_path, text, tree(columns=["afferent_section_id", "delay"]), tiles=2))
    with Edges(plan.edges("table")) as edges:
        assert {c: k for c, k in edges.columns.items() if c != "model_template"} == {
            "afferent_section_id": np.dtype("u4"),
            "delay": np.dtype("f4"),
        }
        source, _ = edges.block()
        assert edges.column("afferent_section_id").tolist() == (source + 7).tolist()
        np.testing.assert_allclose(edges.column("delay"), source / 10, rtol=1e-6)


def test_synapses_are_the_same_bytes_for_any_number_of_tiles(tmp_path):
    rng = np.random.default_rng(1)
    text = "pre,post,w\n" + "".join(f"{i},{j},{w}\n" for i, j, w in zip(*rng.integers(0, 20, (3, 9000)), strict=True))
    found = []
    for tiles in (1, 3):
        plan = run(planned(tmp_path / str(tiles), text, tree(columns=["w"]), tiles))
        found.append(hashlib.sha256(Path(plan.edges("table")).read_bytes()).hexdigest())
    assert found[0] == found[1]
    assert len(edges_of(plan)) == 9000


def test_a_file_without_rows_has_no_synapses(tmp_path):
    plan = run(planned(tmp_path, "pre,post\n"))
    assert edges_of(plan) == []
    assert any("edges.csv has no rows: there will be no synapses" in str(warning) for warning in plan.warnings)
    assert not any("no rows" in str(warning) for warning in planned(tmp_path, "pre,post\n1,2\n").warnings)


@pytest.mark.parametrize(("text", "n"), [
    ("pre,post\n1,2\n\n3,4", 2), ("pre,post\r\n1,2\r\n3,4\r\n\r\n", 2), ("pre,post", 0), ('pre,post\n"1",2\n', None),
])  # fmt: skip
def test_rows_are_counted_where_they_can_be(tmp_path, text, n):
    expected = planned(tmp_path, text).parts["connect/table"].slice["expected"]["table"]
    assert expected == (None if n is None else [n, 0.0])


WRONG = [
    ("pre,post\n1,20\n2,3\n-1,4\n", {}, r'edges\.csv:2: "post": no cell of "b" has the id \'20\' \(there are 20\)'),
    ("pre,post\n1,20\n2,3\n-1,4\n", {}, r'edges\.csv:4: "pre": no cell of "a" has the id \'-1\''),
    ("pre,post\n1,2\n1.5,2\n", {}, r'edges\.csv:3: "pre" should be: a node id, a whole number \(got: \'1\.5\'\)'),
    ("pre,post\n1,two\n", {}, r'edges\.csv:2: "post" should be: a finite number \(got: \'two\'\)'),
    ("pre,post\n1,2,3\n", {}, r"edges\.csv:2: should have 2 columns"),
    ("pre,to\n1,2\n", {}, r'post_header: edges\.csv has no column "post".*\(pre, to\)'),
    ("pre,post,d\n1,2,3\n", {"columns": ["delay"]}, r'columns: edges\.csv has no column "delay"'),
    ("pre,post,d\n1,2,inf\n", {"columns": ["d"]}, r'edges\.csv:2: "d" should be: a finite number'),
    ("pre,post,afferent_segment_id\n1,2,-3\n", {"columns": ["afferent_segment_id"]}, r"edges\.csv:2: .*whole number, 0 or"),
    ("pre,post,source\n1,2,3\n", {"columns": ["source"]}, r"cannot be a further column of edges"),
    ("pre,post\n", {"delimiter": "::"}, "one character"),
    ("", {}, "is empty"),
    ("pre,post\n1,2\n", {"presynaptic": {"cell_types": ["a", "b"]}}, r"from one cell type to one other \(got: a, b\)"),
    ("pre,post\n1,2\n", {"mapping_key": "gids"}, r'mapping_key: "a" has no property "gids"; did you mean "gid"'),
    ("pre,post\n1,2\n", {"source": "edge.csv"}, "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "more", "said"), WRONG)
def test_what_is_wrong_is_said_before_anything_runs(tmp_path, text, more, said):
    with pytest.raises(BrokenCircuit, match=said):
        planned(tmp_path, text, tree(**more))


def test_keys_that_name_no_cell_are_told_with_their_lines(tmp_path):
    plan = planned(tmp_path, "pre,post\n1000,999\n999,999\n998,7\n", tree(mapping_key="gid"))
    with pytest.raises(UserError) as error:
        run(plan)
    told = [m.message for m in error.value.mistakes]
    assert told == [
        'edges.csv:3: "pre": no cell of "a" has \'999\' as "gid"',
        'edges.csv:4: "post": no cell of "b" has \'7\' as "gid"',
    ]


def test_cells_without_the_labels_of_a_side_are_not_among_those_that_a_row_may_name(tmp_path):
    hook = {"strategy": "label", "cell_types": ["b"], "labels": ["lit"], "count": 5}
    edits = ("after_placement.h", hook), ("connectivity.table.postsynaptic.labels", ["lit"])
    plan = planned(tmp_path, "pre,post\n" + "".join(f"1,{i}\n" for i in range(20)), tree(*edits))
    with pytest.raises(UserError, match=r'no cell of "b" labelled lit has the id \'\d+\' \(there are 0\)'):
        run(plan)  # without the hook: none is labelled


def test_a_property_that_cells_share_names_none_of_them(tmp_path):
    plan = planned(tmp_path, "pre,post\n1,2\n", tree(mapping_key="radius"))
    with pytest.raises(UserError, match=r'cells of "a" share values of "radius": 2\.0 \(20 cells\)'):
        run(plan)


def test_a_file_that_has_changed_is_not_read(tmp_path):
    plan = run(planned(tmp_path, "pre,post\n1,2\n"), "place")
    (tmp_path / "edges.csv").write_text("pre,post\n1,3\n")
    with pytest.raises(UserError, match="has changed since the plan was made"):
        connect(plan, "table")
