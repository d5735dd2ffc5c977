from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from shapes import CELL, OTHER, parsed
from snakefold.errors import UserError
from snakefold.morphology import operations as op
from snakefold.morphology import swc
from snakefold.morphology.morphology import Morphology
from snakefold.morphology.voxels import divisions, voxelize

angle = st.floats(-720, 720)
angles = st.tuples(angle, angle, angle)
vector = st.tuples(*[st.floats(-1e3, 1e3)] * 3)
CELL_ = swc.read(CELL)
TWO_ROOTS = swc.read("1 3 0 0 0 1 -1\n2 3 1 0 0 1 1\n3 2 10 4 0 1 -1\n4 2 10 9 0 1 3\n")
GAPS = swc.read(
    "1 1 0 0 0 5 -1\n2 1 1 0 0 5 1\n3 3 5 0 0 1 2\n4 3 6 0 0 1 3\n5 3 6 2 0 1 4\n6 3 6 -2 0 1 4\n",
    skip_boundary_labels=["soma"],
)


def line(*points, radius=1.0):
    n = len(points)
    return Morphology(np.array(points, float), np.arange(n) + radius, np.full(n, 3), np.zeros(n), [0, n], [-1])


def same_but_for_points(one, other):
    a, b = one.arrays(), other.arrays()
    return all(np.array_equal(a[name], b[name]) for name in a if name != "points")


@settings(max_examples=50)
@given(vector)
def test_a_translation_and_back_is_none(by):
    there = op.translate(CELL_, by)
    np.testing.assert_allclose(there.points - CELL_.points, np.broadcast_to(by, (len(CELL_), 3)), atol=1e-9)
    np.testing.assert_allclose(op.translate(there, [-b for b in by]).points, CELL_.points, atol=1e-9)
    assert same_but_for_points(there, CELL_)


@settings(max_examples=50)
@given(angles, vector)
def test_a_rotation_is_scipys_and_keeps_lengths(turn, about):
    turned = op.rotate(CELL_, turn, about)
    theirs = Rotation.from_euler("xyz", turn, degrees=True).apply(CELL_.points - about) + about
    np.testing.assert_allclose(turned.points, theirs, atol=1e-8)
    assert turned.path_length == pytest.approx(CELL_.path_length)
    assert same_but_for_points(turned, CELL_)


@settings(max_examples=50)
@given(angles)
def test_a_rotation_undone_axis_by_axis_is_none(turn):
    x, y, z = turn
    back = op.rotate(CELL_, turn)
    for undo in ((0, 0, -z), (0, -y, 0), (-x, 0, 0)):
        back = op.rotate(back, undo)
    np.testing.assert_allclose(back.points, CELL_.points, atol=1e-9)


def test_a_quarter_turn_by_hand():
    np.testing.assert_allclose(op.rotate(line([1, 0, 0]), [0, 0, 90]).points, [[0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(op.rotate(line([1, 0, 0]), [0, 0, 90], [1, 1, 0]).points, [[2, 1, 0]], atol=1e-12)


def test_each_root_turns_about_its_own_first_point():
    turned = op.root_rotate(TWO_ROOTS, [0, 0, 90])
    np.testing.assert_allclose(turned.points, [[0, 0, 0], [0, 1, 0], [10, 4, 0], [5, 4, 0]], atol=1e-12)


def test_what_is_downstream_of_a_point_turns_about_it():
    turned = op.root_rotate(line([0, 0, 0], [1, 0, 0], [2, 0, 0]), [0, 0, 90], 1)
    np.testing.assert_allclose(turned.points, [[0, 0, 0], [1, 0, 0], [1, 1, 0]], atol=1e-12)
    whole = op.root_rotate(GAPS, [0, 0, 90], 1)
    np.testing.assert_allclose(whole.points[:2], GAPS.points[:2])
    np.testing.assert_allclose(whole.points[2:4], [[1, 4, 0], [1, 5, 0]], atol=1e-12)
    with pytest.raises(UserError, match=r"a point of the root, 0 to 1 \(got: 2\)"):
        op.root_rotate(GAPS, [0, 0, 90], 2)
    with pytest.raises(UserError, match=r"one root \(got: 2\)"):
        op.root_rotate(TWO_ROOTS, [0, 0, 90], 1)


def test_points_that_single_precision_cannot_hold_are_told():
    with pytest.raises(UserError, match="not finite numbers, of at most"):
        op.translate(CELL_, [1e39, 0, 0])


def test_center_puts_the_mean_of_the_roots_first_points_at_the_origin():
    np.testing.assert_allclose(op.center(TWO_ROOTS).points, TWO_ROOTS.points - [5, 2, 0])
    moved = op.translate(CELL_, [7, 8, 9])
    np.testing.assert_allclose(op.center(moved).points, CELL_.points, atol=1e-12)
    np.testing.assert_allclose(op.center(moved).origin, 0, atol=1e-12)


def test_gaps_are_closed_from_the_root_on():
    assert GAPS.points[2].tolist() == [5, 0, 0]
    closed = op.close_gaps(GAPS)
    assert closed.points.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0], [2, 0, 0], [2, 0, 0], [2, 2, 0], [2, 0, 0], [2, -2, 0]]  # fmt: skip
    np.testing.assert_array_equal(op.close_gaps(CELL_).points, CELL_.points)
    np.testing.assert_array_equal(op.close_gaps(closed).points, closed.points)


def test_roots_collapse_onto_their_mean_one_of_them_or_a_point():
    starts = TWO_ROOTS.first[TWO_ROOTS.roots]
    assert op.collapse(TWO_ROOTS).points[starts].tolist() == [[5, 2, 0]] * 2
    assert op.collapse(TWO_ROOTS, 1).points[starts].tolist() == [[10, 4, 0]] * 2
    assert op.collapse(TWO_ROOTS, 1).points[1].tolist() == [11, 4, 0]
    assert op.collapse(TWO_ROOTS, [1, 2, 3]).points[starts].tolist() == [[1, 2, 3]] * 2
    grown = swc.read("1 3 0 0 0 1 -1\n2 3 1 0 0 1 1\n3 3 2 0 0 1 2\n4 3 1 1 0 1 2\n5 2 9 9 0 1 -1\n")
    assert grown.n_branches == 4
    moved = op.collapse(grown, 1).points
    np.testing.assert_array_equal(moved[:-1], grown.points[:-1] + np.array([9, 9, 0]))  # with all that grows from it
    with pytest.raises(UserError, match=r"a root, 0 to 1 \(got: 2\)"):
        op.collapse(TWO_ROOTS, 2)


def test_axes_are_swapped_and_back():
    swapped = op.swap_axes(CELL_, 0, 2)
    np.testing.assert_array_equal(swapped.points, CELL_.points[:, [2, 1, 0]])
    np.testing.assert_array_equal(op.swap_axes(swapped, 0, 2).points, CELL_.points)
    np.testing.assert_array_equal(op.swap_axes(CELL_, 1, 1).points, CELL_.points)


def test_simplified_by_hand():
    # chord 0-4: the point at x = 2 is 3 away; then 0-2: x = 1 is |3*1 - 2*1.2| / sqrt(13) = 0.17 away, 2-4 likewise
    zigzag = line([0, 0, 0], [1, 1.2, 0], [2, 3, 0], [3, 1.2, 0], [4, 0, 0])
    assert op.simplify(zigzag, 3.1).points[:, 0].tolist() == [0, 4]
    kept = op.simplify(zigzag, 0.2)
    assert kept.points[:, 0].tolist() == [0, 2, 4] and kept.radii.tolist() == [1, 3, 5]
    assert op.simplify(zigzag, 0.1).points[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_closed_line_is_simplified_by_distance_from_its_end():
    loop = line([0, 0, 0], [5, 0, 0], [5, 5, 0], [0, 0, 0])
    assert op.simplify(loop, 1).points.tolist() == [[0, 0, 0], [5, 0, 0], [5, 5, 0], [0, 0, 0]]


@settings(max_examples=30)
@given(st.lists(vector, min_size=1, max_size=30), st.floats(0, 500))
def test_no_point_that_is_left_out_was_farther_than_epsilon(points, epsilon):
    whole = line(*points)
    kept = op.simplify(whole, epsilon)
    at = (kept.radii - 1).astype(int)
    assert at[0] == 0 and at[-1] == len(points) - 1
    for a, b in pairwise(at):
        assert (op._from_line(whole.points[a + 1 : b], whole.points[a], whole.points[b]) <= epsilon).all()


def test_branches_and_labels_outlive_simplification():
    straight = swc.read("1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 9 0 0 2 2\n4 2 0 5 0 1 1\n5 2 0 6 0 1 4\n")
    kept = op.simplify(straight, 0.1)
    assert kept.offsets.tolist() == [0, 1, 3, 5] and kept.parents.tolist() == straight.parents.tolist()
    assert kept.points[kept.labelled(["dendrites"])].tolist() == [[0, 0, 0], [9, 0, 0]]


# voxels


def test_voxels_by_size_hold_every_point_once():
    grid = voxelize(CELL_, size=5)
    assert len(grid) == len(np.unique(grid.index, axis=0))
    assert sorted(grid.points.tolist()) == list(range(len(CELL_)))
    for voxel, a, b in zip(grid.index, grid.offsets[:-1], grid.offsets[1:], strict=True):
        inside = CELL_.points[grid.points[a:b]]
        assert (inside >= voxel * 5).all() and (inside < voxel * 5 + 5).all() and b > a
    assert grid.counts.sum() == len(CELL_)


def test_voxels_by_hand():
    flat = line([0, 0, 0], [1, 1, 0], [3.5, 0.5, 0], [4, 2, 0])  # 4 x 2 x 0: 8 boxes of 1 x 1
    grid = voxelize(flat, 8)
    assert grid.size.tolist() == [1, 1, 0]
    assert grid.index.tolist() == [[0, 0, 0], [1, 1, 0], [3, 0, 0], [4, 2, 0]]
    assert voxelize(line([3, 4, 5]), 10).index.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("sides", "n", "parts"),
    [
        ((10, 10, 10), 27, (3, 3, 3)),
        ((10, 10, 10), 30, (3, 3, 3)),
        ((100, 10, 10), 10, (10, 1, 1)),
        ((1, 2, 0), 8, (2, 4, 1)),
        ((0, 7, 0), 5, (1, 5, 1)),
        ((0, 0, 0), 5, (1, 1, 1)),
        ((150, 8, 130), 50, (8, 1, 6)),
        ((150, 8, 140), 53, (8, 1, 7)),
    ],
)
def test_sides_are_cut_as_the_bsb_cuts_them(sides, n, parts):
    assert divisions(np.array(sides, float), n).tolist() == list(parts)


def test_voxels_of_labels_divide_the_box_of_the_whole():
    axon = voxelize(CELL_, 50, labels=["axon"])
    whole = voxelize(CELL_, 50)
    np.testing.assert_array_equal(axon.size, whole.size)
    assert CELL_.labelled(["axon"])[axon.points].all() and len(axon.points) == 3
    with pytest.raises(UserError, match='no point is labelled axn; did you mean "axon"'):
        voxelize(CELL_, 50, labels=["axn"])


@pytest.mark.parametrize("wrong", [{}, {"n": 3, "size": 5}, {"n": 0}, {"size": 0}, {"size": (1, 2, -3)}])
def test_wrong_boxes(wrong):
    with pytest.raises(UserError):
        voxelize(CELL_, **wrong)


# the class


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"points": np.zeros((0, 3)), "radii": [], "tags": [], "labels": []}, "no points"),
        ({"radii": [1, 1]}, "'radii' shape should be: (12,) (got: (2,))"),
        ({"points": np.zeros((12, 2))}, "'points' shape"),
        ({"points": np.full((12, 3), np.nan)}, "not finite"),
        ({"parents": [-1, 0, 3, 1, 0]}, "an earlier branch or -1"),
        ({"offsets": [0, 1, 1, 7, 9, 12]}, "'offsets' should be"),
        ({"labels": np.full(12, 9)}, "'labels' should be: below"),
    ],
)
def test_arrays_that_are_no_morphology(changed, message):
    with pytest.raises(UserError) as found:
        Morphology.of(CELL_.arrays() | changed)
    assert message in str(found.value)


def test_arrays_and_back_and_nothing_can_be_changed():
    again = Morphology.of(CELL_.arrays())
    assert again.label_sets == CELL_.label_sets and np.array_equal(again.points, CELL_.points)
    with pytest.raises(ValueError, match="read-only"):
        again.points[0] = 1


def test_labels_are_added():
    more = CELL_.with_labels(["tip", "far"], CELL_.last[CELL_.terminal])
    assert more.labelled(["tip"]).sum() == 3
    assert more.labelled(["axon"]).sum() == 3 and "far" in more.known_labels
    other = swc.read(OTHER).with_labels(["x"], slice(None))
    assert other.labelled(["x"]).all() and other.labelled(["tag_16"]).sum() == 3


def test_a_cell_of_morphio_is_moved_as_by_morph_tool(tmp_path):
    import morphio
    from morph_tool import transform

    (tmp_path / "cell.swc").write_text(CELL)
    theirs = morphio.mut.Morphology(str(tmp_path / "cell.swc"))
    turn = Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix()
    transform.rotate(theirs, turn)
    transform.translate(theirs, [1, 2, 3])
    mine = op.translate(op.rotate(parsed(tmp_path, CELL), [20, 30, 40]), [1, 2, 3])
    for section in theirs.iter():
        distance = np.abs(mine.points[None] - section.points[:, None]).max(axis=2).min(axis=1)
        assert (distance < 1e-5).all()
