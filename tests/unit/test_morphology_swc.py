import numpy as np
import pytest

from shapes import ASC, CELL, DIALECTS, made_of, parsed
from snakefold.errors import UserError
from snakefold.morphology import swc
from snakefold.morphology.parsers import BsbParser, MorphioParser


def with_morphio(tmp_path, text, name="of_morphio.swc", flags=()):
    import morphio

    file = tmp_path / name
    file.write_text(text, newline="")
    morphio.set_maximum_warnings(0)
    return morphio.Morphology(str(file), [*flags]) if flags else morphio.Morphology(str(file))


def tree(morphology):
    """Return the branches as {points, without the copy of the parent's last: those of the parent}."""
    spans = [slice(a, b) for a, b in zip(morphology.offsets[:-1], morphology.offsets[1:], strict=True)]
    points = [tuple(map(tuple, morphology.points[span].round(4).tolist())) for span in spans]
    return [(points[b], points[p] if p >= 0 else None) for b, p in enumerate(morphology.parents.tolist())]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_five_dialects_have_the_arbor_that_morphio_finds(tmp_path, dialect):
    mine = parsed(tmp_path, DIALECTS[dialect])
    theirs = with_morphio(tmp_path, DIALECTS[dialect].replace("\ufeff", ""))
    arbors = {tuple(map(tuple, s.points.tolist())) for s in theirs.iter()}
    of_mine = {points for points, _ in tree(mine)}
    joined = of_mine | {points[1:] for points in of_mine}  # morphio's first sections do not begin in the soma
    assert arbors <= joined
    n_soma = (mine.tags == 1).sum()
    # a soma point that several branches grow from stands in the branches that go on in the soma, too
    assert n_soma - {"three point soma": 2, "contour soma": 1}.get(dialect, 0) == len(theirs.soma.points)


@pytest.mark.parametrize(
    ("dialect", "sizes", "parents"),
    [
        ("single point soma", [1, 3, 3, 2, 3], [-1, 0, 1, 1, 0]),
        ("three point soma", [1, 2, 2, 3, 3, 2, 3], [-1, 0, 0, 0, 3, 3, 0]),
        ("contour soma", [1, 4, 3, 3, 2, 3], [-1, 0, 0, 2, 2, 0]),
        ("no soma", [1, 3, 3, 2, 3], [-1, 0, 1, 1, 0]),
    ],
)
def test_branches_of_the_dialects_counted_by_hand(tmp_path, dialect, sizes, parents):
    morphology = parsed(tmp_path, DIALECTS[dialect])
    assert np.diff(morphology.offsets).tolist() == sizes
    assert morphology.parents.tolist() == parents


def test_a_cell_in_full(tmp_path):
    cell = parsed(tmp_path, CELL)
    assert tree(cell) == [
        (((0, 0, 0),), None),
        (((0, 0, 0), (5, 0, 0), (10, 0, 0)), ((0, 0, 0),)),
        (((10, 0, 0), (15, 5, 0), (20, 5, 0)), ((0, 0, 0), (5, 0, 0), (10, 0, 0))),
        (((10, 0, 0), (15, -5, 0)), ((0, 0, 0), (5, 0, 0), (10, 0, 0))),
        (((0, 0, 0), (0, -5, 0), (0, -20, 0)), ((0, 0, 0),)),
    ]
    assert cell.radii.tolist() == [5, 5, 1, 1, 1, 0.5, 0.5, 1, 0.5, 5, 0.5, 0.25]
    assert cell.tags.tolist() == [1, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2]
    assert cell.labelled(["axon"]).tolist() == [False] * 9 + [True] * 3
    assert cell.known_labels == ["axon", "dendrites", "soma"]
    assert cell.terminal.tolist() == [False, False, True, True, True]
    assert cell.path_length == pytest.approx(10 + 50**0.5 + 5 + 50**0.5 + 20)


def test_the_sparse_unsorted_dialect_is_the_same_cell(tmp_path):
    one, other = parsed(tmp_path, CELL), parsed(tmp_path, list(DIALECTS.values())[-1])
    assert sorted(tree(one), key=str) == sorted(tree(other), key=str)


def test_tags_to_labels(tmp_path):
    text = "1 1 0 0 0 5 -1\n2 16 5 0 0 1 1\n3 16 6 0 0 1 2\n4 17 7 0 0 1 3\n5 4 0 5 0 1 1\n"
    cell = parsed(tmp_path, text, tags={"16": ["axon", "ascending"], "17": "parallel", "1": "body"})
    assert cell.known_labels == ["ascending", "axon", "body", "parallel", "tag_4"]
    assert cell.points[cell.labelled(["ascending"])][:, 0].tolist() == [0, 5, 6]
    assert cell.points[cell.labelled(["parallel", "tag_4"])].tolist() == [[7, 0, 0], [0, 0, 0], [0, 5, 0]]
    assert cell.tags[0] == 1 and cell.labelled(["body"]).sum() == 1


def test_boundaries_that_are_skipped_leave_gaps(tmp_path):
    text = "1 1 0 0 0 5 -1\n2 1 1 0 0 5 1\n3 3 5 0 0 1 2\n4 3 6 0 0 1 3\n"
    joined = parsed(tmp_path, text)
    assert np.diff(joined.offsets).tolist() == [4] and joined.labelled(["soma"]).sum() == 2
    gap = parsed(tmp_path, text, skip_boundary_labels=["soma"])
    assert np.diff(gap.offsets).tolist() == [2, 2] and gap.parents.tolist() == [-1, 0]
    assert gap.points[:, 0].tolist() == [0, 1, 5, 6]
    branching = parsed(tmp_path, CELL, skip_boundary_labels=["soma"])
    assert np.diff(branching.offsets).tolist() == [1, 2, 3, 2, 2]
    assert branching.points[1].tolist() == [5, 0, 0]


def test_a_soma_with_one_dendrite_keeps_its_type(tmp_path):
    cell = parsed(tmp_path, "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 6 0 0 1 2\n")
    assert cell.tags.tolist() == [1, 3, 3] and cell.labelled(["soma"]).tolist() == [True, False, False]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_written_and_read_again_it_is_the_same(tmp_path, dialect):
    cell = parsed(tmp_path, DIALECTS[dialect])
    again = parsed(tmp_path, swc.write(cell))
    for name, array in cell.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name], err_msg=name)


def test_what_is_written_neurom_reads(tmp_path):
    import neurom

    cell = parsed(tmp_path, CELL)
    (tmp_path / "written.swc").write_text(swc.write(cell))
    theirs = neurom.load_morphology(tmp_path / "written.swc")
    assert sorted(neurom.get("section_lengths", theirs)) == pytest.approx(sorted([5, 15, 5 + 50**0.5, 50**0.5]))
    assert neurom.get("soma_radius", theirs) == 5
    assert [n.type.value for n in theirs.neurites] == [3, 2]


@pytest.mark.parametrize(
    ("text", "tags", "types"),
    [
        # along one stretch 16, 17: morphio would refuse the change
        ("1 1 0 0 0 5 -1\n2 16 5 0 0 1 1\n3 16 6 0 0 1 2\n4 17 7 0 0 1 3\n5 3 0 5 0 1 1\n", {"16": "axon"}, [1, 2, 2, 2, 3]),
        ("1 1 0 0 0 5 -1\n2 16 5 0 0 1 1\n3 18 6 0 0 1 2\n4 18 0 6 0 1 2\n", {"18": ["x", "dendrites"]}, [1, 16, 3, 3]),
        ("1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 4 6 0 0 1 2\n4 4 7 0 0 1 3\n", {}, [1, 4, 4, 4]),
        ("1 1 0 0 0 5 -1\n2 20 5 0 0 1 1\n3 20 6 0 0 1 2\n", {}, [1, 0, 0]),
    ],
)  # fmt: skip
def test_standard_types_are_those_of_labels_and_morphio_reads_them(tmp_path, text, tags, types):
    cell = parsed(tmp_path, text, tags=tags)
    written = swc.write(cell, standard=True)
    assert [int(line.split()[1]) for line in written.splitlines()] == types
    assert len(with_morphio(tmp_path, written).points) >= len(types) - 1


BROKEN = [
    ("", "cell.swc: has no points: it is empty"),
    ("# only\n\n", "cell.swc: has no points: it is empty"),
    ("1 1 0 0 0 5\n", "cell.swc:1: should be: seven numbers, id, type, x, y, z, radius, parent (got: 1 1 0 0 0 5)"),
    ("\n1 1 0 0 x 5 -1\n", "cell.swc:2: should be: seven numbers"),
    ("1 1 0 0 nan 5 -1\n", "cell.swc:1: should be: finite numbers"),
    ("1 1 0 0 1e999 5 -1\n", "cell.swc:1: should be: finite numbers"),
    ("1 1 0 0 1e39 5 -1\n", "cell.swc:1: should be: finite numbers, of at most 3.4e+38"),
    ("1.5 1 0 0 0 5 -1\n", "cell.swc:1: id should be: a whole number"),
    ("1 1e30 0 0 0 5 -1\n", "cell.swc:1: type should be: a whole number"),
    ("1 -3 0 0 0 5 -1\n", "cell.swc:1: id and type should be: 0 or more"),
    ("1 1 0 0 0 -5 -1\n", "cell.swc:1: radius should be: 0 or more"),
    ("1 1 0 0 0 5 -1\n2 3 5 0 0 1 9\n", "cell.swc:2: its parent should be: the id of a point, or -1 (got: 9)"),
    ("1 1 0 0 0 5 -1\n1 3 5 0 0 1 1\n", "cell.swc:2: the id 1 stands twice (first: line 1)"),
    ("1 1 0 0 0 5 -1\n2 3 5 0 0 1 3\n3 3 6 0 0 1 2\n", "cell.swc:2: the point 2 descends from itself"),
    ("1 1 0 0 0 5 1\n", "cell.swc:1: the point 1 descends from itself"),
    ("1 1 0\n" * 9, "cell.swc: ... (4 more)"),
    (b"\x89HDF\r\n\x1a\n\x00\x00", "cell.swc:1: should be: seven numbers"),
]


@pytest.mark.parametrize("parser", [BsbParser, MorphioParser])
@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path, text, message, parser):
    with pytest.raises(UserError) as found:
        parsed(tmp_path, text, parser=parser)
    assert message in str(found.value)


def test_zero_based_ids_and_numbers_with_a_point_are_read(tmp_path):
    cell = parsed(tmp_path, "0 1 0 0 0 5 -1\n1.0 3.0 5 0 0 1 0\n2 3 6 0 0 1 1.0\n")
    assert cell.points[:, 0].tolist() == [0, 5, 6]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("cell.asc", "", "cell.asc:1: MorphIO cannot read it: Can't iterate past the end"),
        ("cell.asc", '("CellBody" (CellBody) (0 0 0 1 S1)', "cell.asc:1: MorphIO cannot read it: Hit end of file"),
        ("cell.asc", ASC.replace("  (5 1", "  (\n  (5 1"), "cell.asc: MorphIO cannot read it: its branches do not fit"),
        ("cell.h5", "junk", "cell.h5: MorphIO cannot read it: Could not open morphology file cell.h5"),
        ("cell.swc", "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 4 6 0 0 1 2\n4 4 7 0 0 1 3\n", "Section type changed"),
    ],
)
def test_what_morphio_says_is_told_in_one_line(tmp_path, name, text, message):
    with pytest.raises(UserError) as found:
        parsed(tmp_path, text, name, MorphioParser)
    assert message in str(found.value) and "\x1b" not in str(found.value) and "\n" not in str(found.value)


def test_morphios_sections_are_branches_and_grow_from_its_soma(tmp_path):
    cell = parsed(tmp_path, ASC, "cell.asc", MorphioParser)
    assert np.diff(cell.offsets).tolist() == [3, 2, 3, 3] and cell.parents.tolist() == [-1, 0, 1, 1]
    assert cell.points[:5].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [3, 0, 0], [4, 0, 0]]
    assert cell.tags.tolist() == [1] * 3 + [3] * 8 and cell.known_labels == ["dendrites", "soma"]
    assert set(cell.radii[3:]) == {1.0}


def test_hdf5_and_asc_of_one_cell_are_the_same(tmp_path):
    import morphio

    of_asc = parsed(tmp_path, ASC, "cell.asc", MorphioParser)
    morphio.mut.Morphology(str(tmp_path / "cell.asc")).write(str(tmp_path / "cell.h5"))
    of_h5 = made_of(MorphioParser, {}).parse(tmp_path / "cell.h5")
    for name, array in of_asc.arrays().items():
        if name == "radii":  # of the soma, HDF5 has none
            array = np.where(of_asc.tags == 1, of_h5.radii, array)
        np.testing.assert_array_equal(array, of_h5.arrays()[name], err_msg=name)


def test_flags_of_morphio_are_passed_on(tmp_path):
    text = "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 4 6 0 0 1 2\n4 4 7 0 0 1 3\n"
    cell = parsed(tmp_path, text, parser=MorphioParser, flags=["allow_unifurcated_section_change"])
    assert cell.known_labels == ["dendrites", "soma", "tag_4"]
    two = parsed(tmp_path, CELL, parser=MorphioParser, flags=["two_points_sections"])
    assert np.diff(two.offsets).tolist() == [1, 2, 2, 2, 2]
