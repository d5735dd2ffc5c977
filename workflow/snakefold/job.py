"""The frame of a job: run its library call, and turn a user's mistake into one message and exit code 1."""

import sys
from collections.abc import Callable

from snakefold.errors import UserError


def run(main: Callable[..., None], **arguments: object) -> None:
    """Call `main` and end the process with exit code 1, without a traceback, after a user's mistake.

    Files are often given to several jobs at once; a message that names none says which job it was from the log's name.
    """
    try:
        main(**arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
