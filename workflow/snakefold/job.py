"""The frame of a job: run its library call, turn a user's mistake into a message, and end the log with what it cost."""

import os
import resource
import sys
from collections.abc import Callable

from snakefold.errors import UserError


def run(main: Callable[..., None], **arguments: object) -> None:
    """Call `main`, and end the process with exit code 1, without a traceback, after a user's mistake.

    The last line of the log is `cost: <CPU-s> CPU-s, <MB> MB at most`, of the whole process, start-up included.
    """
    failed = False
    try:
        main(**arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        failed = True
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(f"cost: {used.ru_utime + used.ru_stime:.3f} CPU-s, {used.ru_maxrss / 1024:.0f} MB at most", flush=True)
    if failed:
        if getattr(sys.modules.get("snakefold.hdf5"), "crashes_at_exit", False):
            os._exit(1)
        sys.exit(1)
