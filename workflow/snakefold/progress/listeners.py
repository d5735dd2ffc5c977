"""Listeners: code of the user's own that is told of every change of status, as it happens.

An installed package announces a listener as an entry point of the group `snakefold.listeners`: a function of one
`Change`, or a class, made once for a run, whose objects are called so and whose `close()`, if there is one, is called
at the end. Listeners run in the process that the user started, in a thread of their own: none can stop or slow the run.
"""

import queue
import threading
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
        except Exception as error:
            tell(f"the listener {entry.name} cannot be loaded: {_said(error)}")
    return found


class Audience:
    """Tells listeners of changes, in order, in a thread of its own; an exception of one is told, once.

    Parameters
    ----------
    listeners : by name
    tell : takes what the user should know
    """

    def __init__(self, listeners: dict[str, Listener], tell: Callable[[str], object]):
        self._listeners, self._tell, self._silent = listeners, tell, set()
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="snakefold-listeners", daemon=True)
        if listeners:
            self._thread.start()

    def hear(self, changes: Iterable[Change]) -> None:
        """Pass changes on; does not wait."""
        if self._listeners:
            for change in changes:
                self._changes.put(change)

    def close(self) -> None:
        """Wait, but not for ever, until all is told."""
        if self._listeners:
            self._changes.put(None)
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                self._tell(f"listeners have not come to an end in {PATIENCE_S:g} s: {', '.join(self._listeners)}")

    def _run(self) -> None:
        while (change := self._changes.get()) is not None:
            for name, listener in self._listeners.items():
                self._try(name, listener, change)
        for name, listener in self._listeners.items():
            if callable(close := getattr(listener, "close", None)):
                self._try(name, close)

    def _try(self, name: str, what: Callable, *arguments: object) -> None:
        try:
            what(*arguments)
        except Exception as error:
            if name not in self._silent:
                self._silent.add(name)
                self._tell(f"the listener {name} failed, and is told on: {_said(error)}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
