"""How connections depend on distance: synapses per pair of cells, by the distance between their somata.

All edges onto a sample of targets are counted, and all pairs of these targets with a sample of sources; samples are
evenly spread, so that no random numbers are needed.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snakefold.report.measures import sampled

BINS = 24
RUNS, RUN = 32, 4  # targets: so many runs of neighbours in the file, of so many each
SOURCES = 8192
LEAST_PAIRS = 20  # of a bin with a value
LEAST_SYNAPSES = 10  # found there, or to be expected there if distance made no difference: a third of spread by chance


class SourcesByTarget(Protocol):
    """What is asked of an edge file: `sonata.edges.Edges` has it."""

    source: str
    target: str

    def targets_range(self, first: int, last: int) -> tuple[int, int]:
        """Return (start, stop) of the edges onto targets in [first, last)."""

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (source ids, target ids) of edges start:stop."""


@dataclass(frozen=True)
class Falloff:
    """Synapses per pair by distance.

    Attributes
    ----------
    edges : (n_bins + 1,) um
    per_pair : (n_bins,) float64; NaN where there are fewer than LEAST_PAIRS pairs or LEAST_SYNAPSES synapses
    n_synapses : how many it is estimated from
    """

    edges: np.ndarray
    per_pair: np.ndarray
    n_synapses: int


def falloff(edges: SourcesByTarget, sources: np.ndarray, targets: np.ndarray) -> Falloff:
    """Return how many synapses a pair has at which distance.

    Parameters
    ----------
    sources, targets : (n, 3) um, of all cells of the two types
    """
    runs = sampled(-(-len(targets) // RUN), RUNS) * RUN
    picked = np.concatenate([np.arange(first, min(first + RUN, len(targets))) for first in runs])
    from_ = sampled(len(sources), SOURCES)
    apart = np.linalg.norm(targets[picked][:, None] - sources[from_][None], axis=2)  # (n_picked, n_from)
    counts = [edges.block(*edges.targets_range(int(first), int(min(first + RUN, len(targets))))) for first in runs]
    source, target = (np.concatenate([c[side] for c in counts]).astype(np.int64) for side in (0, 1))
    lengths = np.linalg.norm(targets[target] - sources[source], axis=1)
    farthest = max(float(apart.max(initial=0)), float(lengths.max(initial=0)), 1e-3)
    bins = np.linspace(0, np.nextafter(np.float32(farthest), np.float32(np.inf)), BINS + 1)
    others = np.ones(apart.shape, bool) if edges.source != edges.target else picked[:, None] != from_[None]
    pairs = np.histogram(apart[others], bins)[0]
    synapses = np.histogram(lengths, bins)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_pair = synapses / (pairs * (len(sources) / max(len(from_), 1)))
        expected = synapses.sum() * (pairs / pairs.sum())
    enough = (pairs >= LEAST_PAIRS) & (np.maximum(synapses, expected) >= LEAST_SYNAPSES)
    return Falloff(bins, np.where(enough, per_pair, np.nan), len(source))
