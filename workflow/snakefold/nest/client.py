"""Asking a NEST kernel in a process of its own, and telling "no" from "could not be asked".

A kernel that crashes, aborts, hangs or cannot import NEST makes the question unreachable, never its answer a "no".
After a crash another kernel is started for the questions that are left, so that one bad question does not hide others.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakefold import launcher

SERVER = Path(__file__).with_name("kernel.py")
MOST_RESTARTS = 8
MOST_TIMEOUTS = 2
_STDERR_BYTES = 2000

Query = Mapping[str, object]


@dataclass(frozen=True)
class Unreachable:
    """An answer that could not be had.

    Attributes
    ----------
    message : what happened
    """

    message: str


Answer = dict | Unreachable


def environment() -> dict[str, str]:
    """Return the environment of a kernel: this one's, without the launchers' and tracers' variables, and passive."""
    return launcher.stripped() | {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1", "PYNEST_QUIET": "1"}


class Kernel:
    """A NEST kernel to ask, as a context manager; it is started by the first question.

    Parameters
    ----------
    modules : extension modules to install, names or absolute paths
    timeout_s : limit for starting and for each question
    python : the interpreter that has NEST

    Attributes
    ----------
    n_started : how many processes were started so far
    about : version and build of NEST; None until it was reached
    """

    def __init__(self, modules: Sequence[str] = (), timeout_s: float = 60.0, python: str = sys.executable):
        self.modules, self.timeout_s, self.python = tuple(modules), timeout_s, python
        self.n_started, self.about = 0, None
        self._process: subprocess.Popen | None = None
        self._stderr = None
        self._buffer = b""
        self._hopeless: Unreachable | None = None
        self._n_timeouts = 0

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that is running, if any."""
        return self._process.pid if self._process else None

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Return one answer per question, in order: a dictionary, or why it could not be had."""
        answers: list[Answer] = []
        while len(answers) < len(queries):
            if self._hopeless is None and self._process is None:
                self._start()
            if self._hopeless is not None:
                return answers + [self._hopeless] * (len(queries) - len(answers))
            self._exchange(queries[len(answers) :], answers)
        return answers

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()
        self._process, self._buffer = None, b""

    def _start(self) -> None:
        if self.n_started > MOST_RESTARTS:
            self._hopeless = Unreachable(f"NEST ended {self.n_started} times; not started again")
            return
        self.n_started += 1
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        try:
            self._process = subprocess.Popen(
                [self.python, str(SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment(),
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            self._hopeless = Unreachable(f"{self.python} cannot be started: {error}")
            return
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        hello: list[Answer] = []
        self._exchange([{"modules": list(self.modules)}], hello)
        first = hello[0]
        if isinstance(first, Unreachable):
            self._hopeless = Unreachable(f"NEST cannot be loaded by {self.python}: {first.message}")
            self.close()
        else:
            self.about = first["ready"]

    def _exchange(self, queries: Sequence[Query], answers: list[Answer]) -> None:
        """Send questions and append their answers; if the process fails, one Unreachable answer ends the list."""
        process, wanted = self._process, len(answers) + len(queries)
        unsent = memoryview("".join(json.dumps(dict(query)) + "\n" for query in queries).encode())
        limit = time.monotonic() + self.timeout_s
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            ready.register(process.stdin, selectors.EVENT_WRITE)
            while len(answers) < wanted:
                for key, _ in ready.select(max(0.0, limit - time.monotonic())):
                    if key.fileobj is process.stdin:
                        with contextlib.suppress(BlockingIOError, BrokenPipeError):
                            unsent = unsent[os.write(process.stdin.fileno(), unsent) :]
                        if not unsent or process.poll() is not None:
                            ready.unregister(process.stdin)
                        continue
                    some = os.read(process.stdout.fileno(), 1 << 16)
                    if not some:
                        answers.append(self._ended())
                        return
                    *lines, self._buffer = (self._buffer + some).split(b"\n")
                    answers += [_read(line) for line in lines]
                    if lines:
                        limit = time.monotonic() + self.timeout_s
                if len(answers) < wanted and time.monotonic() >= limit:
                    answers.append(self._overdue())
                    return

    def _ended(self) -> Unreachable:
        process = self._process
        try:
            code = process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            code = None
        last = self._last_words()
        self.close()
        if code is None:
            what = "closed its pipe"
        elif code < 0:
            what = f"was ended by {signal.Signals(-code).name}"
        else:
            what = f"ended with exit code {code}"
        return Unreachable(f"the NEST process {what}" + (f": {last}" if last else ""))

    def _overdue(self) -> Unreachable:
        self._process.kill()
        self.close()
        self._n_timeouts += 1
        message = f"the NEST process did not answer within {self.timeout_s:g} s"
        if self._n_timeouts >= MOST_TIMEOUTS:
            self._hopeless = Unreachable(message)
        return Unreachable(message)

    def _last_words(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_BYTES))
        lines = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        return " ".join(lines[-2:])


def _read(line: bytes) -> Answer:
    answer = json.loads(line)
    return Unreachable(answer["failed"]) if "failed" in answer else answer
