import nrrd
import numpy as np
import pytest

from snakefold.config.context import BuildContext, building
from snakefold.errors import UserError
from snakefold.topology.nrrd import Volume, read_data, read_header
from volumes import write_volume

DATA = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def volume(folder, **given):
    build = BuildContext(folder_of=lambda path: folder)
    with building(build):
        node = Volume.build(given)
    assert build.mistakes == []
    return node


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_sizes_spacing_origin_and_data_are_those_of_the_file(tmp_path, encoding):
    write_volume(tmp_path / "v.nrrd", DATA, 10.0, (5, 6, 7), encoding=encoding)
    header = read_header(tmp_path / "v.nrrd")
    assert (header.sizes, header.components, header.dtype) == ((2, 3, 4), (), np.int16)
    assert (header.spacing, header.origin, header.n_bytes) == ((10, 10, 10), (5, 6, 7), 48)
    assert (read_data(tmp_path / "v.nrrd", header) == DATA).all()


def test_the_components_of_vectors_come_last(tmp_path):
    vectors = np.arange(72.0).reshape(3, 2, 3, 4)
    directions = np.vstack([np.full(3, np.nan), np.eye(3) * 25])
    nrrd.write(str(tmp_path / "v.nrrd"), vectors, {"space dimension": 3, "space directions": directions})
    header = read_header(tmp_path / "v.nrrd")
    assert (header.sizes, header.components, header.spacing) == ((2, 3, 4), (3,), (25, 25, 25))
    assert (read_data(tmp_path / "v.nrrd", header)[1, 2, 3] == vectors[:, 1, 2, 3]).all()


@pytest.mark.parametrize(
    ("fields", "spacing"),
    [
        ({"space directions": np.diag([0.02, 0.03, 0.04]), "space units": ["mm"] * 3}, (20, 30, 40)),
        ({"space directions": np.eye(3) * 8, "space units": ["microns"] * 3}, (8, 8, 8)),
        ({"spacings": [0.5, 1, 2], "units": ["mm"] * 3}, (500, 1000, 2000)),
        ({"spacings": [5, 6, 7]}, (5, 6, 7)),
        ({}, None),
    ],
)
def test_lengths_are_in_um_or_in_what_the_header_says(tmp_path, fields, spacing):
    more = {"space dimension": 3} if "space directions" in fields else {}
    write_volume(tmp_path / "v.nrrd", DATA, None, **more, **fields)
    found = read_header(tmp_path / "v.nrrd").spacing
    assert found == (None if spacing is None else pytest.approx(spacing))


def test_keys_come_before_the_header_and_the_bsbs_default_after_it(tmp_path):
    write_volume(tmp_path / "v.nrrd", DATA, 10.0, (5, 6, 7))
    write_volume(tmp_path / "bare.nrrd", DATA, None)
    own = volume(tmp_path, file="v.nrrd")
    assert (own.spacing, own.corner) == ((10, 10, 10), (5, 6, 7))
    given = volume(tmp_path, file="v.nrrd", voxel_size=40)
    assert (given.spacing, given.corner) == ((40, 40, 40), (0, 0, 0))
    assert volume(tmp_path, file="v.nrrd", origin=[1, 2, 3]).corner == (1, 2, 3)
    bare = volume(tmp_path, file="bare.nrrd")
    assert (bare.spacing, bare.corner) == ((25, 25, 25), (0, 0, 0))
    assert own.voxel_of([[4.9, 6, 17]]).tolist() == [[-1, 0, 1]]


def header_with(**fields):
    return "NRRD0004\n" + "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"


GOOD = {"type": "uint8", "dimension": 3, "sizes": "2 2 2", "encoding": "raw"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "broken.nrrd: has no header of an NRRD file"),
        (b"\x00\xff" * 40, "no header of an NRRD file"),
        (b"NRRD0004\n\n", "lacks: dimension, type, encoding, sizes"),
        (header_with(**GOOD | {"sizes": "2 x 2"}), "no header of an NRRD file"),
        (header_with(**GOOD | {"sizes": "2 2"}), "should have three axes"),
        (header_with(**GOOD | {"sizes": "2 2", "dimension": 2}), "should have three axes"),
        (header_with(**GOOD | {"sizes": "2 0 2"}), "should have 1 to"),
        (header_with(**GOOD | {"sizes": "99999999 99999999 9"}), "should have 1 to"),
        (header_with(**GOOD | {"type": "block", "block size": 4}), "type block"),
        (header_with(**GOOD | {"type": "quaternion"}), "no header of an NRRD file"),
        (header_with(**GOOD | {"encoding": "hex"}), "its encoding should be: raw"),
        (header_with(**GOOD | {"data file": "v.raw"}), "data are in another file"),
        (header_with(**GOOD | {"spacings": "1 -1 1"}), "its spacing should be"),
        (header_with(**GOOD | {"spacings": "1 nan 1"}), "its spacing should be"),
        (header_with(**GOOD | {"spacings": "1 1 1", "units": '"s" "s" "s"'}), "its units should be"),
        (header_with(**GOOD | {"space dimension": 3, "space directions": "(0,1,0) (1,0,0) (0,0,1)"}), "not along"),
        (header_with(**GOOD | {"space dimension": 3, "space directions": "(-1,0,0) (0,1,0) (0,0,1)"}), "its spacing"),
        (header_with(**GOOD) + "1234567", "cut short: its header announces 8 bytes of data (there are 7)"),
        (header_with(**GOOD | {"encoding": "gzip"}), "has a header but no data"),
    ],
)
def test_a_broken_header_is_a_mistake_that_says_what_and_where(tmp_path, content, says):
    path = tmp_path / "broken.nrrd"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        read_header(path)
    assert says in str(caught.value) and str(path) in str(caught.value)


def test_broken_data_are_a_mistake_too(tmp_path):
    path = tmp_path / "v.nrrd"
    write_volume(path, np.random.default_rng(1).integers(0, 999, (20, 20, 20)), encoding="gzip")
    header, whole = read_header(path), path.read_bytes()
    for content in (whole[:-500], whole[:600] + b"x" * 300 + whole[900:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="its data cannot be read"):
            read_data(path, header)
