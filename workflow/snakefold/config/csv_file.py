"""CSV files: read in blocks of rows, so that memory does not grow with them, and all mistakes told with their lines.

The first row has the names of the columns, of which capitals and spaces around them do not matter. Rows without
anything in them are passed over.
"""

import contextlib
import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Mistake, UserError, did_you_mean, listed

MOST_MISTAKES = 20  # of one file that are told
_BLOCK_ROWS = 4_000  # more of them at once take longer: Python looks through them for garbage

Rows = tuple[np.ndarray, list[tuple[str, ...]]]


def _one_character(node: Node, value: str) -> str | None:
    return None if len(value) == 1 and value not in '"\r\n' else f"should be: one character (got: {value!r:.20})"


def delimiter() -> Attribute:
    """Return the attribute that says what separates the columns of a file."""
    return Attribute(types.string(), default=",", constraint=_one_character, doc="What separates the columns.")


def progress_bar() -> Attribute:
    """Return the attribute by which the BSB shows progress."""
    return Attribute(
        types.boolean(), default=True, semantic=False, doc="Accepted as the BSB's; progress is in the job's log."
    )


def cache() -> Attribute:
    """Return the attribute by which the BSB keeps files that it fetches."""
    return Attribute(types.boolean(), default=False, semantic=False, doc="Accepted as the BSB's; nothing is fetched.")


class CsvFile:
    """A CSV file and what is found wrong with it.

    Attributes
    ----------
    names : of its columns, in small letters
    mistakes : found so far
    """

    def __init__(self, path: Path, delimiter: str):
        self.path, self._delimiter = path, delimiter
        self.mistakes: list[Mistake] = []
        with readable(path), self._open() as file:
            first = next(self._csv(file), None)
        if not first:
            raise UserError(f"{path.name} is empty; its first row should have the names of the columns")
        self.names = [name.strip().lower() for name in first]

    def column(self, key: str | tuple, name: str) -> int:
        """Return the index of a column; that there is none, or several, is a mistake at a key of the description."""
        found = [i for i, known in enumerate(self.names) if known == name.strip().lower()]
        if len(found) == 1:
            return found[0]
        what = "several columns" if found else "no column"
        near = "" if found else did_you_mean(name, self.names)
        at = key if isinstance(key, tuple) else (key,)
        self.mistakes.append(Mistake(f'{self.path.name} has {what} "{name}"{near} ({listed(self.names)})', at))
        return 0

    def check(self) -> None:
        """Raise the mistakes found so far, some of them at once, if there are any."""
        if self.mistakes:
            raise UserError(self.mistakes[:MOST_MISTAKES])

    def blocks(self) -> Iterator[Rows]:
        """Yield (numbers of the lines, columns) of blocks of rows; rows of another length are mistakes."""
        with readable(self.path), self._open() as file:
            reader, width = self._csv(file), len(self.names)
            next(reader)
            while True:
                before = reader.line_num
                rows = list(islice(reader, _BLOCK_ROWS))
                if not rows:
                    return
                lines = np.arange(before + 1, before + 1 + len(rows))
                length = np.fromiter(map(len, rows), np.int64, len(rows))
                if (length != width).any():
                    for at in np.flatnonzero((length != width) & (length != 0))[:MOST_MISTAKES].tolist():
                        what = f"should have {width} columns, as the first (got: {length[at]})"
                        self.mistake(lines[at], what)
                    good = np.flatnonzero(length == width)
                    rows, lines = [rows[at] for at in good.tolist()], lines[good]
                if rows:
                    yield lines, list(zip(*rows, strict=True))

    def mistake(self, line: int, what: str) -> None:
        """Note what is wrong with a line."""
        self.mistakes.append(Mistake(f"{self.path.name}:{line}: {what}"))

    def numbers(self, texts: tuple[str, ...], lines: np.ndarray, name: str) -> np.ndarray:
        """Return (n,) float64; what is no finite number that single precision holds is a mistake, and NaN."""
        values = floats(texts)
        if values is None:
            values = np.array([v[0] if (v := floats((text,))) is not None else np.nan for text in texts])
        values[abs(values) > np.finfo(np.float32).max] = np.nan
        for at in np.flatnonzero(~np.isfinite(values))[:MOST_MISTAKES].tolist():
            self.mistake(lines[at], f'"{name}" should be: a finite number (got: {texts[at]!r:.40})')
        return values

    def _open(self):
        return self.path.open(newline="", encoding="utf-8-sig")

    def _csv(self, file) -> Iterator[list[str]]:
        return csv.reader(file, delimiter=self._delimiter, strict=True)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say what keeps a file from being read, in the block, as a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} should be: text in UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise UserError(f"{path.name} should be: a CSV file ({error})") from error


def floats(texts: tuple[str, ...]) -> np.ndarray | None:
    """Return (n,) float64, None where one of them is no number."""
    try:
        return np.array(list(map(float, texts)), np.float64)
    except ValueError:
        return None
