"""Where compiled kernels are kept from job to job."""

import os
import tempfile
from pathlib import Path


def enable() -> bool:
    """Tell numba, before it compiles, where to keep what it compiles; return whether it can be kept.

    The folder is $NUMBA_CACHE_DIR, or else one of the user's own, $XDG_CACHE_HOME/snakefold/numba: the package may be
    installed where nobody can write. numba files what it compiles under the CPU's name and features and the source's
    digest, and renames whole files into place, so that different nodes may share the folder. Where it cannot be
    written, every job compiles.
    """
    import numba

    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or home / "snakefold" / "numba")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return False
    numba.config.CACHE_DIR = str(folder)
    return True
