"""A verdict: one question about a simulation's description, what NEST answered, and where that stands."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath

import numpy as np

from snakefold import hdf5
from snakefold.errors import Mistake, Path

SCHEMA = "validate"
YES, NO, UNREACHABLE = "yes", "no", "unreachable"
_COLUMNS = ("path", "question", "answer", "message")


@dataclass(frozen=True)
class Verdict:
    """The answer to one question.

    Attributes
    ----------
    path : keys and indices from the root of the description to what was asked about
    question : what was asked, in words
    answer : "yes", "no" (a mistake) or "unreachable" (could not be asked)
    message : what was given, what is allowed, what to do; empty where the answer is yes
    """

    path: Path
    question: str
    answer: str
    message: str = ""


def mistakes(verdicts: Iterable[Verdict]) -> list[Mistake]:
    """Return the mistakes among the verdicts, for a `UserError`."""
    return [Mistake(verdict.message, path=verdict.path) for verdict in verdicts if verdict.answer == NO]


def unreachable(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return what could not be asked, for a warning."""
    return [verdict for verdict in verdicts if verdict.answer == UNREACHABLE]


def write_verdicts(path: str | FilePath, verdicts: Iterable[Verdict], digest: str, nest_version: str = "") -> None:
    """Write verdicts: /path (JSON), /question, /answer, /message, each (n,) fixed-length UTF-8; root attribute nest."""
    verdicts = list(verdicts)
    rows = [(json.dumps(v.path), v.question, v.answer, v.message) for v in verdicts]
    with hdf5.create(path, SCHEMA, digest) as file:
        file.attrs["nest"] = nest_version
        for name, values in zip(_COLUMNS, zip(*rows, strict=True) if rows else [()] * len(_COLUMNS), strict=True):
            texts = [value.encode() for value in values]
            width = max(map(len, texts), default=0) + 1
            file.create_dataset(name, data=np.array(texts, f"S{width}"), track_times=False)


def read_verdicts(path: str | FilePath) -> list[Verdict]:
    """Return the verdicts of a file, in the order of writing."""
    with hdf5.open_stage(path, SCHEMA) as file:
        columns = [[value.decode() for value in file[name][:]] for name in _COLUMNS]
    return [Verdict(tuple(json.loads(where)), *rest) for where, *rest in zip(*columns, strict=True)]
