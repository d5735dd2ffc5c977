import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakefold import hdf5
from snakefold.topology.chunks import Grid
from snakefold.topology.filling import Filling
from snakefold.topology.voxelised import Cutting, Frame, Voxelised, column_of

sizes = st.tuples(*[st.integers(1, 6)] * 3)
lengths = st.sampled_from([2.0, 2.5, 3.0, 7.0])


def voxelised(path, mask, frame, grid, *columns):
    with hdf5.create(path, "build", "digest") as file:
        cutting = Cutting(mask, frame, grid)
        cutting.write(file.create_group("voxels"))
        for i, data in enumerate(columns):
            cutting.write_column(file["voxels"], str(i), data)
    return Voxelised(path, [f"data/c{i}.nrrd" for i in range(len(columns))])


@settings(max_examples=30)
@given(sizes, st.tuples(lengths, lengths, lengths), st.tuples(lengths, lengths, lengths), st.integers(0, 99))
def test_pieces_are_the_mask_cut_at_the_faces_of_chunks(tmp_path_factory, n, spacing, chunk, seed):
    rng = np.random.default_rng(seed)
    mask, density = np.asfortranarray(rng.random(n) < 0.6), np.asfortranarray(rng.random(n))
    mask.flat[rng.integers(mask.size)] = True
    frame = Frame(n, spacing, tuple(rng.choice([-5.0, 0.0, 3.3], 3)))
    grid = Grid((0.0, 1.0, -2.0), chunk)
    found = voxelised(tmp_path_factory.mktemp("v") / "v.h5", mask, frame, grid, density)
    extent = found.extent()
    assert extent.volume == pytest.approx(mask.sum() * np.prod(spacing))
    assert extent.integrals[0] == pytest.approx(density[mask].sum() * np.prod(spacing))
    assert (extent.pieces.chunk[1:] > extent.pieces.chunk[:-1]).all()
    volume, amount = np.zeros(n), np.zeros(n)
    for i, chunk_id in enumerate(extent.pieces.chunk.tolist()):
        pieces = found.within(chunk_id, ["c0"])
        low, high = grid.bounds(pieces.chunk)
        assert (pieces.lower >= low - 1e-9).all() and (pieces.upper <= high + 1e-9).all()
        assert (pieces.upper > pieces.lower).all()
        ijk = tuple(np.floor(((pieces.lower + pieces.upper) / 2 - frame.corner) / spacing).astype(int).T)
        np.add.at(volume, ijk, pieces.volume)
        np.add.at(amount, ijk, pieces.amounts["c0"])
        assert extent.pieces.volume[i] == pytest.approx(pieces.volume.sum())
        assert extent.pieces.amounts["data/c0.nrrd"][i] == pytest.approx(pieces.amounts["c0"].sum())
        assert extent.pieces.lower[i] == pytest.approx(pieces.lower.min(axis=0))
        assert extent.pieces.upper[i] == pytest.approx(pieces.upper.max(axis=0))
    assert volume == pytest.approx(mask * np.prod(spacing))
    assert amount == pytest.approx(mask * density * np.prod(spacing))


def test_faces_that_fall_together_but_for_rounding_make_no_slivers(tmp_path):
    frame = Frame((30, 1, 1), (0.1, 1.0, 1.0), (0.0, 0.0, 0.0))
    found = voxelised(tmp_path / "v.h5", np.ones((30, 1, 1), bool, order="F"), frame, Grid((0.0,) * 3, (0.3, 1, 1)))
    assert len(found.chunk) == 10
    assert [len(found.within(c).chunk) for c in found.chunk.tolist()] == [3] * 10


def test_a_chunk_without_voxels_has_no_pieces(tmp_path):
    mask = np.zeros((4, 1, 1), bool, order="F")
    mask[[0, 3]] = True
    found = voxelised(tmp_path / "v.h5", mask, Frame((4, 1, 1), (1.0,) * 3, (0.0,) * 3), Grid((0.0,) * 3, (1.0,) * 3))
    assert len(found.chunk) == 2
    between = Grid((0.0,) * 3, (1.0,) * 3).chunk_of([[1.5, 0.5, 0.5]])[0]
    assert len(found.within(int(between), []).chunk) == 0


def test_many_blocks_write_what_one_does(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    mask, data = np.asfortranarray(rng.random((20, 30, 10)) < 0.5), np.asfortranarray(rng.random((24, 30, 11)))
    frame, grid = Frame(mask.shape, (2.0,) * 3, (0.0,) * 3), Grid((0.0,) * 3, (5.0,) * 3)
    voxelised(tmp_path / "one.h5", mask, frame, grid, data)
    monkeypatch.setattr("snakefold.topology.voxelised._BLOCK", 40)
    voxelised(tmp_path / "many.h5", mask, frame, grid, data)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "many.h5").read_bytes()


def test_values_that_are_no_densities_are_counted(tmp_path):
    data = np.array([1, -1, np.nan, np.inf, 0, 2], np.float32).reshape(6, 1, 1)
    frame = Frame((6, 1, 1), (1.0,) * 3, (0.0,) * 3)
    found = voxelised(tmp_path / "v.h5", np.ones((6, 1, 1), bool), frame, Grid((0.0,) * 3, (2.0,) * 3), data)
    assert found.extent().bad == (3,)
    with h5py.File(tmp_path / "v.h5") as file:
        assert file["voxels/column/0"].dtype == np.float32


def test_columns_go_by_name_or_by_stem():
    names = ["a", "data/b.nrrd", "x/c.nrrd", "y/c.nrrd", "b2"]
    assert [column_of(names, n) for n in ("a", "b", "data/b.nrrd", "y/c.nrrd", "c", "d")] == [0, 1, 1, 3, None, None]


def test_what_boxes_and_voxels_fill_around_a_point_is_one_domain(tmp_path):
    grid = Grid((0.0,) * 3, (4.0,) * 3)
    mask = np.zeros((4, 4, 4), bool, order="F")
    mask[:2] = True
    voxels = voxelised(tmp_path / "v.h5", mask, Frame((4,) * 3, (3.0,) * 3, (0.0,) * 3), grid)  # x from 0 to 6
    filling = Filling(grid, [np.array([[[5.0, 0, 0], [9, 2, 2]]]), voxels])
    domain = filling.around(np.array([3.0, 1, 1]), np.array([8.0, 5, 5]))
    assert domain.volume == pytest.approx(3 * 4 * 4 + 2 * 1 * 1)
    points = np.array([[3.5, 4, 4], [7, 1.5, 1.5], [7, 3, 3], [2, 2, 2]])
    assert domain.holds(points).tolist() == [True, True, False, False]
    pieces = filling.within(int(grid.chunk_of([[5.0, 1, 1]])[0]))
    assert set(pieces.partition.tolist()) == {0, 1}
    assert pieces.volume.sum() == pytest.approx(2 * 4 * 4 + 3 * 2 * 2)
