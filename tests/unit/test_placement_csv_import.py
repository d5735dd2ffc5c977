import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, plan_of, run
from snakefold.errors import UserError
from snakefold.sonata.nodes import Nodes
from snakefold.topology.chunks import Grid

ROWS = """X, Y,z,Type,Age,Layer,id
10,20,30,a,1.5,L1,7
-20.5,900,1e2,b,2.5,L2,8
110,20,30,a,3.5,L1,9
10,20,130,a,4.5,,10
"""


def tree(**more):
    own = {"strategy": "bsb.placement.CsvImportPlacement", "source": "cells.csv", "cell_types": ["a", "b"]}
    own |= {"partitions": ["top"], "type_header": "type"}
    own = {key: value for key, value in (own | more).items() if value is not ...}
    return edited(
        ("cell_types.a.spatial.count", ...),
        ("placement", {"table": own}),
        ("connectivity", {}),
        ("simulations", {}),
    )


def planned(folder, text=ROWS, description=None, tiles=1):
    folder.mkdir(exist_ok=True)
    (folder / "cells.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return plan_of(folder, tree() if description is None else description, tiles)


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_each_row_is_a_cell_wherever_it_is(tmp_path):
    plan = run(planned(tmp_path, tiles=3), "place")
    with Nodes(plan.nodes("a")) as a, Nodes(plan.nodes("b")) as b:
        order = np.argsort(a.column("age"))
        assert a.positions()[order].tolist() == [[10, 20, 30], [110, 20, 30], [10, 20, 130]]
        assert a.column("age")[order].tolist() == [1.5, 3.5, 4.5]
        assert a.column("layer")[order].tolist() == ["L1", "L1", ""]
        assert a.columns["id"] == np.int64
        assert a.column("id")[order].tolist() == [7, 9, 10]
        assert b.positions().tolist() == [[-20.5, 900, 100]]
        assert set(a.column("partition")) == {"top"}


def test_cells_are_the_same_bytes_for_any_number_of_tiles(tmp_path):
    rng = np.random.default_rng(1)
    cells = zip(rng.uniform(0, 150, (500, 3)), "ab" * 250, "uvwxy" * 100, strict=True)
    rows = [f"{x},{y},{z},{t},{g}" for (x, y, z), t, g in cells]
    text = "x,y,z,type,group\n" + "\n".join(rows)
    found = []
    for tiles in (1, 2, 30):
        plan = run(planned(tmp_path / str(tiles), text, tiles=tiles), "place")
        found.append([sha(plan.nodes(t)) for t in "ab"])
        with Nodes(plan.nodes("a")) as nodes:
            assert nodes.n == 250
            grid, table = Grid((0.0, 0.0, 0.0), (50.0, 50.0, 50.0)), nodes.chunks
            assert (grid.chunk_of(nodes.positions()) == table.chunk.repeat(np.diff(table.offsets))).all()
    assert found[0] == found[1] == found[2]


def test_one_type_needs_no_column_of_types_and_no_partition(tmp_path):
    text = "\ufeffpos_x;pos_y;pos_z;radius\r\n1;2;3;4\r\n\r\n5;6;7;2.5\r\n"
    more = {"cell_types": ["a"], "type_header": ..., "partitions": ..., "delimiter": ";", "progress_bar": False}
    description = tree(**more, x_header="POS_X", y_header="pos_y", z_header="pos_z")
    plan = run(planned(tmp_path, text, description), "place")
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.positions().tolist() == [[1, 2, 3], [5, 6, 7]]
        assert nodes.column("radius").tolist() == [4, 2.5]
        assert "partition" not in nodes.columns


def test_what_others_place_of_a_type_has_its_own_radius_and_partition(tmp_path):
    description = tree(cell_types=["a"], type_header=..., partitions=...)
    description["cell_types"]["a"]["spatial"]["count"] = 5
    description["placement"]["more"] = {"strategy": "random", "partitions": ["base"], "cell_types": ["a"]}
    plan = run(planned(tmp_path, "x,y,z,radius,layer\n1,2,3,4,L4\n", description), "place")
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.n == 6, "the count is that of the random placement"
        assert nodes.column("radius").tolist() == [2.0] * 5 + [4.0]
        assert nodes.column("partition").tolist() == ["base"] * 5 + [""]
        assert nodes.column("layer").tolist() == [""] * 5 + ["L4"]


def test_all_cell_types_are_placed_if_none_are_given(tmp_path):
    plan = run(planned(tmp_path, description=tree(cell_types=...)), "place")
    assert plan.placements["table"].cell_types == ("a", "b")


def test_an_edit_of_the_file_changes_the_part(tmp_path):
    one, other = planned(tmp_path), planned(tmp_path, ROWS.replace("110", "111"))
    assert one.parts["place/table"].digest != other.parts["place/table"].digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("x,y,type\n1,2,a\n", r'z_header: .*no column "z"'),
        ("x,y,z,x,type\n", 'several columns "x"'),
        ("x,y,z,type\n1,2,three,a\n4,5,6,a\n,5,6,a\n", r'cells\.csv:2: "z" should be: a finite number \(got: \'three'),
        ("x,y,z,type\n1,2,three,a\n4,5,6,a\n,5,6,a\n", r'cells\.csv:4: "x" should be: a finite number \(got: \'\''),
        ("x,y,z,type\n1,2,nan,a\n", r"cells\.csv:2: .*finite"),
        ("x,y,z,type\n1,2,1e300,a\n", r"cells\.csv:2: .*finite"),
        ("x,y,z,type\n\n1,2,3,A\n", r'cells\.csv:3: no cell type "A".*did you mean "a"'),
        ("x,y,z,type\n1,2,3\n1,2,3,a,5\n", r"cells\.csv:2: should have 4 columns.*\(got: 3\)"),
        ("x,y,z,type,mtype\n1,2,3,a,m\n", '"mtype" cannot be a property'),
        ("x,y,z,type,a/b\n1,2,3,a,m\n", "without slashes"),
        ("x,y,z,type,\n1,2,3,a,m\n", "without slashes"),
        ("x,y,z,type,k,k\n1,2,3,a,m,m\n", 'several columns "k"'),
        (b"x,y,z,type\n1,2,3,\xff\n", "UTF-8"),
        ('x,y,z,type\n1,2,3,"a\n', "CSV"),
        ("x,y,z,type,n\n" + "".join(f"1,2,3,a,n{i}\n" for i in range(10_001)), "different strings"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        planned(tmp_path, text)


def test_mistakes_come_all_at_once_but_not_without_end(tmp_path):
    with pytest.raises(UserError) as caught:
        planned(tmp_path, "x,y,z,type\n" + "1,2,x,c\n" * 1000)
    assert len(caught.value.mistakes) == 20


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"source": "nowhere.csv"}, "cannot be read"),
        ({"source": ...}, '"source" is missing'),
        ({"source": "."}, "cannot be read"),
        ({"type_header": ...}, '"type_header" is missing: the cells of the file are of a, b'),
        ({"delimiter": "ab"}, "one character"),
        ({"delimiter": ""}, "one character"),
        ({"x_header": 3}, "x_header"),
        ({"cell_types": ["c"]}, "c"),
        ({"distribute": {"age": {"strategy": "constant", "value": 1}}}, 'itself gives its cells "age"'),
    ],
)
def test_what_is_wrong_in_the_description_is_told(tmp_path, more, message):
    with pytest.raises(UserError, match=message):
        planned(tmp_path, description=tree(**more))


def test_no_rows_are_no_cells(tmp_path):
    plan = run(planned(tmp_path, "x,y,z,type\n"), "place")
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.n == 0
