import numpy as np
import pytest

from snakefold.export import trains
from snakefold.export.trains import Trains
from snakefold.sonata.spikes import write_spikes


@pytest.fixture(params=[1 << 22, 7], ids=["one_block", "many_blocks"])
def case(tmp_path, monkeypatch, request):
    """Trains of 9 of 12 cells, one of them silent, and the same by hand."""
    monkeypatch.setattr(trains, "BLOCK", request.param)
    monkeypatch.setattr(trains, "HELD", 3 * request.param)
    rng = np.random.default_rng(3)
    ids, times = rng.integers(0, 11, 200), np.round(rng.uniform(0, 50, 200), 1)
    write_spikes(tmp_path / "spikes.h5", {"a": (times, ids), "b": (np.empty(0), np.empty(0, int))}, "d")
    cells = np.array([0, 1, 3, 4, 5, 7, 8, 10, 11])
    return tmp_path / "spikes.h5", cells, [np.sort(times[ids == cell]) for cell in cells]


def test_trains_are_the_spikes_of_each_cell_in_time(case):
    path, cells, wanted = case
    made = Trains(path, "a", cells)
    assert made.counts.tolist() == [len(train) for train in wanted] and len(made) == sum(made.counts)
    for i, train in enumerate(wanted):
        np.testing.assert_array_equal(made.times(i, i + 1), train)
    np.testing.assert_array_equal(made.times(2, 7), np.concatenate(wanted[2:7]))


def test_rows_are_a_stretch_of_all_trains(case):
    path, cells, wanted = case
    made, whole = Trains(path, "a", cells), np.concatenate(wanted)
    for start, stop in ((0, len(whole)), (5, 6), (17, 93), (len(whole) - 3, len(whole))):
        np.testing.assert_array_equal(made.rows(start, stop), whole[start:stop])


def test_groups_have_the_spikes_that_fit_or_one_cell(case):
    path, cells, _ = case
    made = Trains(path, "a", cells)
    groups = list(made.groups(40))
    assert [first for first, _ in groups[1:]] == [last for _, last in groups[:-1]]
    assert (groups[0][0], groups[-1][1], len(groups) > 3) == (0, len(cells), True)
    assert all(made.counts[first:last].sum() <= 40 for first, last in groups)


def test_of_nobody(case):
    path, _, _ = case
    assert len(Trains(path, "a", np.empty(0, np.int64))) == len(Trains(path, "b", np.arange(3))) == 0
