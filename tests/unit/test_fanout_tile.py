import numpy as np
import pytest

from snakefold.errors import UserError
from snakefold.fanout.journal import Journal
from snakefold.fanout.tile import run


class Compute:
    def __init__(self, fails_at=None, error=None):
        self.fails_at, self.error, self.asked = fails_at, error, []

    def __call__(self, i):
        self.asked.append(i)
        if i == self.fails_at:
            raise self.error
        return {"x": np.array([i])}


KEYS = [f"chunk {i}" for i in range(5)]


def values(made):
    return [int(a["x"][0]) for a in made]


def test_chunks_come_back_in_order(tmp_path):
    lines = []
    assert values(run(KEYS, Compute(), Journal(tmp_path, "d"), "place x", lines.append)) == [0, 1, 2, 3, 4]
    assert lines == ["place x: 5 chunks, 0 of them from the journal", "place x: done, 5 chunks, 5 rows"]


@pytest.mark.parametrize("error", [UserError("no room"), ValueError("defect"), KeyboardInterrupt()])
def test_after_a_failure_only_the_chunks_that_the_journal_does_not_have_run(tmp_path, error):
    first = Compute(3, error)
    with pytest.raises(type(error)) as caught:
        run(KEYS, first, Journal(tmp_path, "d", every_s=1000), "place x")
    if isinstance(error, UserError):
        assert str(caught.value) == "place x: chunk chunk 3: no room"
    elif isinstance(error, ValueError):
        assert caught.value.__notes__ == ["in place x: chunk chunk 3"]
    second = Compute()
    assert values(run(KEYS, second, Journal(tmp_path, "d"), "place x")) == [0, 1, 2, 3, 4]
    assert first.asked == [0, 1, 2, 3]
    assert second.asked == [3, 4]


def test_a_journal_of_another_digest_or_of_other_chunks_is_not_taken(tmp_path):
    with pytest.raises(ValueError, match="defect"):
        run(KEYS, Compute(4, ValueError("defect")), Journal(tmp_path, "old"), "place x")
    other = Compute()
    run(KEYS, other, Journal(tmp_path, "new"), "place x")
    assert other.asked == [0, 1, 2, 3, 4]
    assert not (tmp_path / "old").exists()


def test_another_cut_into_tiles_takes_the_chunks_that_it_shares(tmp_path):
    with pytest.raises(ValueError, match="defect"):
        run(KEYS[:4], Compute(3, ValueError("defect")), Journal(tmp_path, "d"), "place x")
    other = Compute()
    assert values(run(KEYS[2:], lambda i: other(i + 2), Journal(tmp_path, "d"), "place x")) == [2, 3, 4]
    assert other.asked == [3, 4]


def test_no_chunks_are_no_arrays(tmp_path):
    assert run([], Compute(), Journal(tmp_path, "d"), "place x") == []


def test_a_full_disk_stops_the_tile_with_a_users_mistake(small_disk):
    noise = np.random.default_rng(1).random(60_000)
    with pytest.raises(UserError, match="the journal cannot be written"):
        run(KEYS, lambda i: {"x": noise}, Journal(small_disk, "d", every_s=0), "place x")
