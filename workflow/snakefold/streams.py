"""Keyed random streams: what is drawn depends on what it is drawn for, never on who draws it or when.

A stream is a Philox generator (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3) whose 128-bit key is
the BLAKE2b digest of (seed, component, purpose, index). No two chunks share a stream, and no tile, rank, executor or
order of jobs enters it.
"""

import hashlib

import numpy as np


def key(seed: int, *purpose: str | int) -> int:
    """Return the 128-bit key of what is drawn for, a positive integer."""
    text = "\x1f".join([str(int(seed)), *(f"{type(p).__name__[0]}{p}" for p in map(_plain, purpose))])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator for one purpose, as in `stream(seed, "place", "granule", "positions", chunk)`."""
    return np.random.Generator(np.random.Philox(key=key(seed, *purpose)))


def beside(rng: np.random.Generator, k: int) -> np.random.Generator:
    """Return the k-th stream beside one, 2**128 k draws on: for another purpose, where one stream is given."""
    return np.random.Generator(rng.bit_generator.jumped(k))


def simulator_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed for a simulator's own generators, 1 to 2**31 - 1."""
    return key(seed, *purpose) % (2**31 - 1) + 1


def _plain(step: str | int) -> str | int:
    return step if isinstance(step, str) else int(step)
