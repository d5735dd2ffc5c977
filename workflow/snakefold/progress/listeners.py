"""Listeners: code of the user's own that is told of every change of status, as it happens.

An installed package announces a listener as an entry point of the group `snakefold.listeners`: a function of one
`Change`, or a class, made once for a run, whose objects are called so and whose `close()`, if there is one, is called
at the end. Listeners run in the process that the user started, each in a thread of its own: none can slow the run.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable

from snakefold.progress.jobs import Change

GROUP = "snakefold.listeners"
PATIENCE_S = 5.0  # that the end of a run waits for listeners

Listener = Callable[[Change], object]


def installed(tell: Callable[[str], object]) -> dict[str, Listener]:
    """Return the listeners of installed packages by the names of their entry points; what fails is told."""
    from importlib.metadata import entry_points

    found: dict[str, Listener] = {}
    for entry in entry_points(group=GROUP):
        try:
            listener = entry.load()
            found[entry.name] = listener() if isinstance(listener, type) else listener
        except (Exception, SystemExit) as error:
            tell(f"the listener {entry.name} cannot be loaded: {_said(error)}")
    return found


class Audience:
    """Tells listeners of changes, in order; each in a thread of its own, so that none keeps another waiting.

    Parameters
    ----------
    listeners : by name
    tell : takes what the user should know; an exception of a listener is told once
    """

    def __init__(self, listeners: dict[str, Listener], tell: Callable[[str], object]):
        self._tell = tell
        self._ears = {name: _Ear(name, listener, tell) for name, listener in listeners.items()}

    def hear(self, changes: Iterable[Change]) -> None:
        """Pass changes on; does not wait."""
        for change in changes:
            for ear in self._ears.values():
                ear.changes.put(change)

    def close(self) -> None:
        """Wait, but not for ever, until all is told."""
        until = time.monotonic() + PATIENCE_S
        for ear in self._ears.values():
            ear.changes.put(None)
        for ear in self._ears.values():
            ear.thread.join(max(until - time.monotonic(), 0.0))
        if late := [name for name, ear in self._ears.items() if ear.thread.is_alive()]:
            self._tell(f"listeners have not come to an end in {PATIENCE_S:g} s: {', '.join(late)}")


class _Ear:
    def __init__(self, name: str, listener: Listener, tell: Callable[[str], object]):
        self.name, self.listener, self.tell, self.silent = name, listener, tell, False
        self.changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=f"snakefold-listener-{name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (change := self.changes.get()) is not None:
            self._try(self.listener, change)
        if callable(close := getattr(self.listener, "close", None)):
            self._try(close)

    def _try(self, what: Callable, *arguments: object) -> None:
        try:
            what(*arguments)
        except (Exception, SystemExit) as error:
            if not self.silent:
                self.silent = True
                self.tell(f"the listener {self.name} failed, and is told on: {_said(error)}")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
