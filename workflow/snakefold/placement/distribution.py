"""Placement along an axis by a distribution: cells lie as densely along x, y or z as it says, uniform across.

The distribution, cut to the interval outside which it is with `interval_probability` at either end, is stretched over
the box around each partition. Chunks get their exact shares by its cumulative distribution function, and within a chunk
a coordinate is its inverse at uniform draws, so that no cell is drawn in vain and no chunk looks at another.
"""

from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.distribution import DistributionOf
from snakefold.config.nodes import Attribute
from snakefold.errors import UserError
from snakefold.placement.counts import deal
from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy
from snakefold.topology.chunks import Grid, Pieces


class DistributionPlacement(PlacementStrategy):
    """Places cells along an axis as a distribution says, uniformly in the other two."""

    algorithm_version: ClassVar[int] = 1

    distribution = Attribute(DistributionOf(), required=True, doc="Distribution of the coordinate along the axis.")
    axis = Attribute(types.integer(min=0, max=2), default=2, doc="The axis: 0 is x, 1 is y, 2 is z.")
    direction = Attribute(
        types.Choice("positive", "negative"), default="positive", doc="Whether it rises along the axis or against it."
    )
    interval_probability = Attribute(
        types.number(min=1e-9, max=1e-3),
        default=1e-9,
        doc="The distribution is cut where it has this probability left, at either end.",
    )

    def faults(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        if self.distribution is None or self.interval_probability is None:
            return []
        low, high = self.distribution.interval(self.interval_probability)
        if np.isfinite([low, high]).all() and low < high:
            return []
        return [f"its distribution has no extent that could be laid along the axis: {low:g} to {high:g}"]

    def deal(
        self, totals: dict[str, int], shares: dict[str, np.ndarray], pieces: Pieces, grid: Grid
    ) -> tuple[np.ndarray, np.ndarray]:
        weights = self._share(pieces, pieces.bounds(len(self.partitions)))[0]
        chunks, first = pieces.by_chunk()
        by_chunk = np.add.reduceat(weights, first[:-1]) if len(chunks) else np.empty(0)
        if any(totals.values()) and not by_chunk.sum() > 0:
            raise UserError("the distribution puts no cells where the partitions are")
        counts = [deal(n, by_chunk) for n in totals.values()]
        return chunks, np.array(counts, np.int64).reshape(len(totals), -1)

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        weights, below, above = self._share(chunk.pieces, given.bounds)
        lower, extent = chunk.pieces.lower, chunk.pieces.upper - chunk.pieces.lower
        start, length = given.bounds[:, 0, self.axis], np.diff(given.bounds, axis=1)[:, 0, self.axis]
        low, high = self.distribution.interval(self.interval_probability)
        share = np.cumsum(weights)
        placed = {}
        for cell_type, n in chunk.counts.items():
            points = rng.random((n, 3))
            piece = np.searchsorted(share, rng.random(n) * share[-1], side="right")
            position = lower[piece] + points * extent[piece]
            probability = above[piece] - points[:, self.axis] * (above - below)[piece]
            part = (self.distribution.quantile(probability) - low) / (high - low)
            partition = chunk.pieces.partition[piece]
            along = start[partition] + (1 - part if self.direction == "negative" else part) * length[partition]
            position[:, self.axis] = np.clip(along, lower[piece, self.axis], (lower + extent)[piece, self.axis])
            placed[cell_type] = {"position": position}
        return placed

    def _share(self, pieces: Pieces, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what numbers of cells in pieces are in proportion to, and the cumulative probabilities at their ends.

        A partition that is a box has its share by its volume, whatever the distribution.

        Parameters
        ----------
        bounds : the boxes around the partitions, (n_partitions, 2, 3)

        Returns
        -------
        (n,) um^3, and (n,), (n,): of at most the smaller and at most the larger value that a piece stands for
        """
        low, high = self.distribution.interval(self.interval_probability)
        start, end = bounds[pieces.partition, :, self.axis].T
        ends = np.stack([pieces.lower[:, self.axis], pieces.upper[:, self.axis]])
        part = (ends - start) / (end - start)
        if self.direction == "negative":
            part = 1 - part[::-1]
        below, above = self.distribution.cdf(low + np.clip(part, 0, 1) * (high - low))
        of_all = np.diff(self.distribution.cdf(np.array([low, high])))
        weights = pieces.volume * (above - below) / (of_all * np.diff(part, axis=0)[0])
        return weights, below, above
