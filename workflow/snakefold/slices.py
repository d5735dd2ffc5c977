"""Slices: what a job depends on, as canonical JSON, known by the digest of its bytes."""

import hashlib
import json
from pathlib import Path

from snakefold.errors import UserError


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no white space: equal values are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: object) -> str:
    """Return the BLAKE2b digest of a value's canonical JSON."""
    return hashlib.blake2b(canonical(value).encode(), digest_size=16).hexdigest()


def content_digest(slice_: dict) -> str:
    """Return the digest of a slice without the number of tiles and what NEST writes to a log: they change no result."""
    return digest_of({key: value for key, value in slice_.items() if key not in ("tiles", "verbosity")})


def named_files(value: object) -> list[str]:
    """Return the digests of the data files that a slice, or a part of one, names."""
    if isinstance(value, dict):
        own = [value["blake2b"]] if set(value) == {"blake2b"} else []
        return own + [d for v in value.values() for d in named_files(v)]
    return [d for v in value for d in named_files(v)] if isinstance(value, list) else []


def read_slice(path: str | Path) -> dict:
    """Read a frozen slice.

    Raises
    ------
    UserError : it is missing or damaged
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the frozen slice cannot be read: {error}; run snakemake again", where=str(path)) from error
