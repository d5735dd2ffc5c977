import threading
from importlib.metadata import EntryPoint

import pytest

from snakefold.progress import listeners
from snakefold.progress.jobs import RUNNING, Change
from snakefold.progress.listeners import Audience, installed

CHANGES = [Change("job", name, RUNNING, "pending", 0.0) for name in "abc"]


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_each_listener_hears_everything_in_order_and_a_failing_one_is_told_of_once(error):
    heard, told = [], []

    def fails(change):
        raise error(f"no {change.name}")

    audience = Audience({"fails": fails, "notes": lambda change: heard.append(change.name)}, told.append)
    audience.hear(CHANGES)
    audience.close()
    assert heard == ["a", "b", "c"]
    assert told == [f"the listener fails failed, and is told on: {error.__name__}: no a"]


def test_a_listener_that_hangs_keeps_neither_the_run_nor_the_others_waiting(monkeypatch):
    monkeypatch.setattr(listeners, "PATIENCE_S", 0.1)
    heard, told, may_go_on = [], [], threading.Event()
    audience = Audience({"slow": lambda change: may_go_on.wait(60), "quick": heard.append}, told.append)
    audience.hear(CHANGES)
    audience.close()
    may_go_on.set()
    assert told == ["listeners have not come to an end in 0.1 s: slow"] and heard == CHANGES


class Closing:
    """A listener that is made for a run."""

    heard: list = []

    def __call__(self, change):
        self.heard.append(change.name)

    def close(self):
        self.heard.append("closed")


@pytest.fixture
def announced(monkeypatch):
    entries = [
        EntryPoint("made", "test_progress_listeners:Closing", listeners.GROUP),
        EntryPoint("missing", "test_progress_listeners:nothing", listeners.GROUP),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == listeners.GROUP else [])


def test_listeners_are_entry_points_and_one_that_cannot_be_loaded_is_told_of(announced):
    told = []
    found = installed(told.append)
    assert list(found) == ["made"]
    assert len(told) == 1 and told[0].startswith("the listener missing cannot be loaded: AttributeError")
    audience = Audience(found, told.append)
    audience.hear(CHANGES)
    audience.close()
    assert found["made"].heard == ["a", "b", "c", "closed"]
