import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snakefold.errors import UserError
from snakefold.sonata.spikes import read_spikes, write_spikes


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(spikes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4))))
def test_spikes_come_back_sorted_by_time_and_id(tmp_path, spikes):
    times, ids = np.array([t for t, _ in spikes]) / 10, np.array([i for _, i in spikes], dtype=int)
    write_spikes(tmp_path / "s.h5", {"L4E": (times, ids)}, "d")
    got = read_spikes(tmp_path / "s.h5")["L4E"]
    assert list(zip(*got, strict=True)) == [(t / 10, i) for t, i in sorted(spikes)]
    assert (got[0].dtype, got[1].dtype) == (np.float64, np.uint64)


def test_bytes_do_not_depend_on_the_order_of_spikes(tmp_path):
    times, ids = np.array([1.0, 1.0, 0.5]), np.array([2, 1, 3])
    for name, order in (("a", [0, 1, 2]), ("b", [2, 1, 0])):
        both = {"B": (times[order], ids[order]), "A": (times[:0], ids[:0])}
        write_spikes(tmp_path / name, both if name == "a" else dict(reversed(both.items())), "d")
    assert len({hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in "ab"}) == 1


@pytest.mark.parametrize(
    ("times", "ids", "message"),
    [
        ([1.0, 2.0], [1], "times and node ids of L4E"),
        ([1.0], [1.0], "times and node ids of L4E"),
        ([1.0, np.nan], [1, 1], "not finite"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path, times, ids, message):
    with pytest.raises(UserError, match=message):
        write_spikes(tmp_path / "s.h5", {"L4E": (np.array(times), np.array(ids))}, "d")
