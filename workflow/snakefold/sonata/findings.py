"""What is found in one file, and the checks that all kinds of SONATA files share."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold.errors import Mistake, did_you_mean, expects, listed
from snakefold.sonata import columns as col

BLOCK_ROWS = 1 << 20


class Findings:
    """The mistakes of one file, as they are found."""

    def __init__(self, where: str | Path):
        self.where, self.mistakes = str(where), []

    def add(self, message: str, *path: str) -> None:
        """Note one mistake."""
        self.mistakes.append(Mistake(message, tuple(path), self.where))

    def dataset(self, group: h5py.Group, name: str, kinds: str, n: int | None, *path: str) -> h5py.Dataset | None:
        """Return a column if it is there, of a dtype in `kinds` (as "u8 i8") and of length n; else note why not."""
        dataset = group.get(name)
        if not isinstance(dataset, h5py.Dataset):
            self.add("is missing", *path, name)
        elif dataset.dtype.kind + str(dataset.dtype.itemsize) not in kinds.split():
            self.add(expects("dtype", " or ".join(kinds.split()), dataset.dtype.str.lstrip("<>|")), *path, name)
        elif dataset.ndim != 1 or (n is not None and len(dataset) != n):
            self.add(expects("shape", f"({'n' if n is None else n},)", dataset.shape), *path, name)
        else:
            return dataset
        return None


@contextlib.contextmanager
def opened(path: str | Path, found: Findings) -> Iterator[h5py.File | None]:
    """Open a SONATA file, None if that fails; note that, and what the root attributes lack."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        found.add("is missing; run again to make it")
        yield None
        return
    except OSError as error:
        found.add(f"cannot be read as HDF5: {error}; delete it and run again")
        yield None
        return
    with file:
        for name, wanted in (("magic", col.MAGIC), ("version", col.VERSION)):
            if not np.array_equal(file.attrs.get(name, ()), wanted):
                found.add(expects(f"attribute {name}", str(wanted), file.attrs.get(name, "none")))
        yield file


def blocks_of(n: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of blocks of rows that are read at a time."""
    for start in range(0, n, BLOCK_ROWS):
        yield start, min(n, start + BLOCK_ROWS)


def check_range(found: Findings, ids: h5py.Dataset, n: int | None, *at: str) -> bool:
    """Check that ids are below n, unless n is unknown; return whether they are."""
    for start, stop in blocks_of(len(ids) if n is not None else 0):
        block = ids[start:stop]
        if block.max() >= n:
            row = int(np.argmax(block >= n))
            found.add(f"row {start + row}: no cell {block[row]}; there are {n}", *at)
            return False
    return True


def size_of(found: Findings, population: str, sizes: Mapping[str, int] | None, *at: str) -> int | None:
    """Return the number of cells of a population, None if unknown; note it if the circuit has no such population."""
    if sizes is not None and population not in sizes:
        near = did_you_mean(population, sizes)
        found.add(f'no population "{population}" in the circuit{near} (populations: {listed(sizes)})', *at)
    return None if sizes is None else sizes.get(population)


def group_of(found: Findings, parent: h5py.Group, name: str, *at: str) -> h5py.Group | None:
    """Return a group if it is there; note it if not."""
    group = parent.get(name)
    if not isinstance(group, h5py.Group):
        found.add("is missing", *at, name)
        return None
    return group
