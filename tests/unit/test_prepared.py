import numpy as np

from snakefold import hdf5
from snakefold.prepared import read_prepared, write_prepared


def test_arrays_come_back_and_equal_ones_are_equal_bytes(tmp_path):
    arrays = {
        "tree": np.arange(6).reshape(2, 3),
        "a": np.array([1.5], "f4"),
        "none": np.empty(0),
        "a_type/x": np.ones(2),
    }
    write_prepared(tmp_path / "one.h5", "d", arrays)
    write_prepared(tmp_path / "two.h5", "d", dict(reversed(arrays.items())))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    found = read_prepared(tmp_path / "one.h5")
    assert found.keys() == arrays.keys()
    assert all(found[k].dtype == a.dtype and (found[k] == a).all() for k, a in arrays.items())
    assert hdf5.digest_of(tmp_path / "one.h5") == "d"


def test_no_file_is_no_arrays():
    assert read_prepared("") == {}
