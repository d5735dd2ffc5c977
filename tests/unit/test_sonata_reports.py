import hashlib

import numpy as np
import pytest

from snakefold.errors import UserError
from snakefold.sonata.reports import Report, steps_between, write_report

DATA = np.arange(30, dtype="f4").reshape(10, 3)


def write(path, blocks=(DATA,), ids=(1, 4, 19), n_steps=10, times=(2.0, 3.0, 0.1)):
    write_report(path, {"L4E": (np.array(ids), blocks)}, n_steps, *times, "mV", "digest")
    return path


def test_round_trip(tmp_path):
    with Report(write(tmp_path / "r.h5")) as report:
        assert (report.populations, report.digest, report.units("L4E")) == (("L4E",), "digest", "mV")
        assert report.node_ids("L4E").tolist() == [1, 4, 19]
        np.testing.assert_allclose(report.times("L4E"), np.linspace(2.0, 2.9, 10))
        np.testing.assert_array_equal(report.data("L4E", 3, 5), DATA[3:5])
        with pytest.raises(UserError, match='no population "L4I"'):
            report.data("L4I")


def test_bytes_do_not_depend_on_blocks(tmp_path):
    a = write(tmp_path / "a.h5").read_bytes()
    b = write(tmp_path / "b.h5", (DATA[:1], DATA[1:1], DATA[1:7], DATA[7:])).read_bytes()
    assert hashlib.sha256(a).digest() == hashlib.sha256(b).digest()


def test_no_cells_and_no_steps(tmp_path):
    write(tmp_path / "a.h5", [np.zeros((10, 0))], np.empty(0, int))
    write(tmp_path / "b.h5", [], n_steps=0, times=(1.0, 1.0, 0.1))


@pytest.mark.parametrize(("times", "steps"), [((0, 1, 0.1), 10), ((0, 1, 0.3), 4), ((0, 0, 1), 0), ((0.5, 1, 0.1), 5)])
def test_steps_are_counted_as_libsonata_does(times, steps):
    assert steps_between(*times) == steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": [DATA[:9]]}, "number of time steps of L4E should be: 10 \\(got: 9\\)"),
        ({"blocks": [DATA, DATA[:1]]}, "got: 11"),
        ({"blocks": [DATA[:, :2]]}, "shape of a block"),
        ({"ids": (4, 1, 19)}, "should rise"),
        ({"ids": (4, 4, 19)}, "should rise"),
        ({"times": (0.0, 1.0, 0.0)}, "dt positive"),
        ({"times": (0.0, 2.0, 0.1)}, "should be: 20 \\(got: 10\\)"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / "r.h5", **changes)
    assert list(tmp_path.iterdir()) == []
