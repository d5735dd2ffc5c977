"""Data files that components read, known by what they hold."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from snakefold.config import context
from snakefold.config.files import status_of
from snakefold.config.leaf import Type, wrong
from snakefold.config.nodes import INVALID


@dataclass(frozen=True)
class DataFile:
    """A file that a component reads: where it is now, and what it held when the plan was made."""

    path: Path
    digest: str

    def __str__(self) -> str:
        return str(self.path)


class FileOf(Type):
    """The name of a data file, relative to the file of the description in which it stands (see `context.file_at`)."""

    says = "the name of a file"

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [{"type": "string", "format": "path"}]}

    def cast(self, value, path, parent):
        build = context.current()
        if isinstance(value, dict) and build.files is not None:  # restored from a slice, in a job
            return DataFile(build.files[value["blake2b"]], value["blake2b"])
        if not isinstance(value, str):
            return wrong(path, "the name of a file", value)
        try:
            file = build.file_at(path, value)
            return DataFile(file, file_digest(file))
        except (OSError, ValueError) as error:
            build.mistake(path, f"{build.folder_of(path) / value} cannot be read: {getattr(error, 'strerror', error)}")
            return INVALID

    def to_json(self, value):
        return {"blake2b": value.digest}


@functools.cache
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file's bytes; read once for one path, size and time of change."""
    status = status_of(path)
    return _digest(str(path), status.st_size, status.st_mtime_ns)
