"""HDF5 stages: whole or absent, equal bytes for equal content, and each says what it is and what went into it.

A file is written beside its target under a temporary name, flushed, synced and renamed, so that no partial file is
ever seen under a final name. Time stamps are off and the file format is fixed. Root attributes: `snakefold_schema`
(what kind of stage), `snakefold_version` (of the schemas), `snakefold_digest` (of all that went in; no path, no time).
"""

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")  # network file systems; no file has two writers

import h5py

from snakefold.errors import UserError

SCHEMA_VERSION = 1
crashes_at_exit = False  # HDF5 does, as it tidies up, in a process in which a write has failed; see job.run


@contextlib.contextmanager
def create(path: str | Path, schema: str, digest: str) -> Iterator[h5py.File]:
    """Open a new stage for writing; it appears under its name, complete, when the block ends without an error.

    Raises
    ------
    UserError : the folder cannot be written or the disk is full
    """
    with whole_or_absent(Path(path)) as temporary:
        file = h5py.File(temporary, "w", libver=("v110", "v110"), track_order=False)
        with closed(file):
            file.attrs["snakefold_schema"] = schema
            file.attrs["snakefold_version"] = SCHEMA_VERSION
            file.attrs["snakefold_digest"] = digest
            yield file


@contextlib.contextmanager
def closed(file: h5py.File) -> Iterator[None]:
    """Close a new file after a block; after an error, without writing what is left of it.

    Raises
    ------
    OSError : not all could be written, as on a full disk
    """
    with _writes_noticed() as failed:
        try:
            yield
            file.flush()
            if failed:
                raise failed[0]
        except BaseException as error:
            _abandon(file)
            if _is_write_failure(error):
                global crashes_at_exit
                crashes_at_exit = True
                number = re.search(r"errno = (\d+)", str(error))
                raise (
                    OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
                ) from error
            raise
        file.close()


def _is_write_failure(error: BaseException) -> bool:
    """Return whether an exception of h5py's says that not all could be written, as on a full disk."""
    return isinstance(error, (OSError, RuntimeError, ValueError)) and "file write failed" in str(error)


@contextlib.contextmanager
def _writes_noticed() -> Iterator[list[BaseException]]:
    """Collect failures to write that h5py cannot raise, as in a dataset that is written when it is forgotten."""
    failed: list[BaseException] = []
    before = sys.unraisablehook, sys.excepthook

    def notice(unraisable) -> None:
        if _is_write_failure(unraisable.exc_value):
            failed.append(unraisable.exc_value)
        else:
            before[0](unraisable)

    def be_quiet(kind, error, trace) -> None:
        if not _is_write_failure(error):  # which Cython prints, before it calls the other
            before[1](kind, error, trace)

    sys.unraisablehook, sys.excepthook = notice, be_quiet
    try:
        yield failed
    finally:
        sys.unraisablehook, sys.excepthook = before


def _abandon(file: h5py.File) -> None:
    """Close a file that is not wanted any more; what is still to be written goes nowhere, and so cannot fail."""
    with contextlib.suppress(OSError, RuntimeError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), file.id.get_vfd_handle())
        file.close()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all, as `create` does for HDF5."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all, as `create` does for HDF5."""
    with whole_or_absent(Path(path)) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def whole_or_absent(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a file, and after the block sync what was written there and rename it."""
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UserError(f"cannot be written: {error}", where=str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def open_stage(path: str | Path, schema: str) -> h5py.File:
    """Open a stage for reading, after checking that it is one, of this kind and of a version known here.

    Raises
    ------
    UserError : missing, corrupt, of another kind, or written by a newer Snakefold
    """
    file = _opened(path)
    found, version = file.attrs.get("snakefold_schema"), file.attrs.get("snakefold_version", 0)
    if found != schema:
        file.close()
        raise UserError(f"is not a {schema} file (got: {found}); delete it and run again", where=str(path))
    if version != SCHEMA_VERSION:
        file.close()
        newer = "written by a newer Snakefold; update Snakefold" if version > SCHEMA_VERSION else "older; run again"
        raise UserError(f"has schema version {version}, this is {SCHEMA_VERSION}: {newer}", where=str(path))
    return file


def _opened(path: str | Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except FileNotFoundError as error:
        raise UserError("is not there; run the workflow", where=str(path)) from error
    except OSError as error:
        raise UserError(f"cannot be read as HDF5 ({error}); delete it and run again", where=str(path)) from error


def digest_of(path: str | Path) -> str:
    """Return the digest of what went into a stage, without checking its kind.

    Raises
    ------
    UserError : missing or corrupt
    """
    with _opened(path) as file:
        return str(file.attrs["snakefold_digest"])


def combine(*digests: str) -> str:
    """Return the digest of a stage from those of its parts, in order."""
    return hashlib.blake2b("\n".join(digests).encode(), digest_size=16).hexdigest()
