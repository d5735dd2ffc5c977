"""The parse stage: parse.h5, the resolved document with its marks and sources, for provenance and the report."""

import json
from pathlib import Path

import numpy as np

from snakefold import hdf5
from snakefold.slices import canonical, content_digest, read_slice

SCHEMA = "parse"


def write_parse(slice_file: str | Path, output: str | Path) -> None:
    """Write parse.h5.

    Datasets: document (canonical JSON), marks (JSON: path -> [file, line, column]), sources/{path, size, digest}.
    """
    slice_ = read_slice(slice_file)
    with hdf5.create(output, SCHEMA, content_digest(slice_)) as file:
        file.create_dataset("document", data=canonical(slice_["tree"]))
        file.create_dataset("marks", data=canonical(slice_["marks"]))
        sources = file.create_group("sources")
        for key in ("path", "digest"):
            sources.create_dataset(key, data=np.array([s[key].encode() for s in slice_["sources"]]))
        sources.create_dataset("size", data=np.array([s["size"] for s in slice_["sources"]], np.int64))


def read_document(path: str | Path) -> dict:
    """Return the resolved document of parse.h5."""
    with hdf5.open_stage(path, SCHEMA) as file:
        return json.loads(file["document"].asstr()[()])
