"""The journal of a job: what it has finished, kept outside its declared output so that a killed job can resume.

A journal is a folder of append-only files, one per writing process, so that no two writers ever share a file. A record
is a key and named arrays, with a checksum; a torn or damaged record ends its file, and everything before it counts.
The folder's name carries the digest of what went into the job; a journal of another digest is never read.
"""

import contextlib
import hashlib
import json
import os
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from snakefold.errors import UserError

_MAGIC = b"SNKF"
_HEAD = struct.Struct("<4sQQ16s")  # magic, header length, payload length, BLAKE2b-128 of header and payload

Arrays = dict[str, np.ndarray]


class Journal:
    """The journal of one job.

    Parameters
    ----------
    folder : where the journals of this job lie, one folder per digest
    digest : of everything that determines the job's results
    every_s : seconds between commits; records of shorter jobs are never written

    Attributes
    ----------
    path : the file that is written; None before the first commit
    """

    def __init__(self, folder: str | Path, digest: str, every_s: float = 2.0):
        self.root, self.folder, self.every_s = Path(folder), Path(folder) / digest, every_s
        self.path: Path | None = None
        self._file = None
        self._pending: list[tuple[str, Arrays]] = []
        self._committed_at = time.monotonic()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def discard_others(self) -> None:
        """Remove the journals of other digests: they belong to another description."""
        if self.root.is_dir():
            for other in self.root.iterdir():
                if other != self.folder:
                    shutil.rmtree(other, ignore_errors=True)

    def read(self) -> Iterator[tuple[str, Arrays]]:
        """Yield (key, arrays) of every whole record, file by file, each file in the order of writing."""
        if self.folder.is_dir():
            for path in sorted(self.folder.glob("*.journal")):
                yield from records(path)

    def append(self, key: str, arrays: Arrays) -> None:
        """Add a finished piece of work; it is committed within `every_s` seconds of the next call, or by `commit`."""
        self._pending.append((key, arrays))
        if time.monotonic() - self._committed_at >= self.every_s:
            self.commit()

    def commit(self) -> None:
        """Put everything appended so far on disk.

        Raises
        ------
        UserError : the folder cannot be written or the disk is full; what was committed before stays
        """
        if not self._pending:
            return
        try:
            if self._file is None:
                self._file = self._new_file()
            self._file.writelines(_pack(*record) for record in self._pending)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                if self._file is not None:
                    self._file.close()
            self._file = None  # a torn record ends its file: later ones go to another
            raise UserError(f"the journal cannot be written: {error}", where=str(self.folder)) from error
        self._pending.clear()
        self._committed_at = time.monotonic()

    def _new_file(self) -> BinaryIO:
        name = f"{os.uname().nodename}.{os.getpid()}.{time.time_ns():x}.journal"
        for _ in range(10):  # a stale job that ends now takes the folder with it
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self.path = self.folder / name
                return self.path.open("xb")
        raise FileNotFoundError(f"{self.folder} keeps vanishing")

    def close(self) -> None:
        """Commit, and close the file."""
        try:
            self.commit()
        finally:
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.close()
                self._file = None

    def finish(self) -> None:
        """Write no more: the results are in their place. What is on disk stays until somebody has used them.

        Snakemake, if it was killed, does not know that a job has finished, and deletes its results to make them again.
        """
        self._pending.clear()
        self.close()

    def remove(self) -> None:
        """Delete the journals of this job: its results are in their final place."""
        self.finish()
        remove([self.root])


def remove(folders: Iterable[str | Path]) -> None:
    """Delete journals, each folder with all below it."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _pack(key: str, arrays: Arrays) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = json.dumps([key, {n: [a.dtype.str, a.shape] for n, a in arrays.items()}]).encode()
    payload = b"".join(a.tobytes() for a in arrays.values())
    checksum = hashlib.blake2b(header + payload, digest_size=16).digest()
    return _HEAD.pack(_MAGIC, len(header), len(payload), checksum) + header + payload


def records(path: Path) -> Iterator[tuple[str, Arrays]]:
    """Yield (key, arrays) of every whole record of one file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # its job has just finished
        return
    with file:
        while (head := _head(file)) is not None:
            n_header, n_payload, checksum = head
            header, payload = file.read(n_header), file.read(n_payload)
            if hashlib.blake2b(header + payload, digest_size=16).digest() != checksum:
                return
            key, layout = json.loads(header)
            arrays, at = {}, 0
            for name, (dtype, shape) in layout.items():
                array = np.frombuffer(payload, dtype, count=int(np.prod(shape)), offset=at).reshape(shape)
                arrays[name], at = array, at + array.nbytes
            yield key, arrays


def sizes(path: Path, offset: int = 0) -> tuple[dict[str, int], int]:
    """Return the rows of every whole record of one file after an offset, by key, and where the next one will begin.

    No payload is read, so that this costs little while the file's job runs.
    """
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        file.seek(offset)
        while (head := _head(file)) is not None:
            n_header, n_payload, _ = head
            key, layout = json.loads(file.read(n_header))
            found[key] = rows({name: shape for name, (_, shape) in layout.items()})
            offset = file.seek(n_payload, os.SEEK_CUR)
    return found, offset


def rows(shapes: Mapping[str, Sequence[int]]) -> int:
    """Return how many rows arrays called "<group>/<column>" have, of all groups together."""
    groups = {name.rpartition("/")[0]: shape[0] for name, shape in shapes.items() if shape}
    return sum(groups.values())


def _head(file: BinaryIO) -> tuple[int, int, bytes] | None:
    """Read the head of a record: the lengths of header and payload, and their checksum; None if it is not whole."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, n_header, n_payload, checksum = _HEAD.unpack(head)
    left = os.fstat(file.fileno()).st_size - file.tell()
    return None if magic != _MAGIC or n_header + n_payload > left else (n_header, n_payload, checksum)
