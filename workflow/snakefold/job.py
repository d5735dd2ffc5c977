"""The frame of a job: run its library call, turn a user's mistake into a message, and end the log with what it cost."""

import contextlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from snakefold import launcher
from snakefold.errors import UserError


def run(main: Callable[..., None], **arguments: object) -> None:
    """Call `main`, and end the process with exit code 1, without a traceback, after a user's mistake.

    A job that is told to end (SIGTERM: cancelled, or out of time) ends as after an error, its journal committed. An
    error on one of several ranks ends them all. The last line of the log is `cost: <CPU-s> CPU-s, <MB> MB at most`, of
    the whole process, start-up included, and of those that it waited for, as a compiler.
    """
    signal.signal(signal.SIGTERM, _told_to_end)
    with contextlib.suppress(ValueError):  # a strategy may have more tiles than the usual 1024 open files
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    code = 0
    try:
        try:
            main(**arguments)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends, and says why, whoever else tells it to
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    except _ToldToEnd as end:
        why = "was cancelled, or is out of time" if launcher.n_ranks() == 1 else "has ended on another rank"
        print(f"error: told to end: the job {why}; what is finished is kept", file=sys.stderr, flush=True)
        code = 128 + end.args[0]
    except BaseException:
        if launcher.n_ranks() == 1:
            raise
        traceback.print_exc()
        code = 1
    finally:
        print(_cost(), flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if code:
        if launcher.n_ranks() > 1:
            from snakefold.fanout.ranks import abort

            abort()
        leave(code)


def leave(code: int) -> NoReturn:
    """End the process; at once where HDF5 would crash at its end, as after a failure to write."""
    if getattr(sys.modules.get("snakefold.hdf5"), "crashes_at_exit", False):
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _cost() -> str:
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = sum(used.ru_utime + used.ru_stime for used in (own, others))
    # Linux begins the account of a process with the memory of the one that starts it: only more is its own.
    beside = others.ru_maxrss if others.ru_maxrss > own.ru_maxrss else 0
    return f"cost: {cpu_s:.3f} CPU-s, {(own.ru_maxrss + beside) / 1024:.0f} MB at most"


class _ToldToEnd(BaseException):
    """A signal to end, by its number."""


def _told_to_end(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one is not waited for
    raise _ToldToEnd(number)
