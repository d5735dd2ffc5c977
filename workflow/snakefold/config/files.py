"""Files that a description names: regular ones only, as a pipe or a device may never end."""

import errno
import os
import stat
from pathlib import Path


def status_of(path: str | Path) -> os.stat_result:
    """Return the status of a file.

    Raises
    ------
    OSError : there is none, or it is a folder, a pipe or a device
    ValueError : the name cannot be one (a null character)
    """
    status = Path(path).stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    return status


def read_bytes(path: str | Path, most: int) -> bytes:
    """Return a file's bytes, or, of a larger file, `most` + 1 of them; raises as `status_of`."""
    status_of(path)
    with Path(path).open("rb") as file:
        return file.read(most + 1)
