"""A placement of a user's own: the density along one axis follows a distribution of scipy's."""

from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.distribution import DistributionOf
from snakefold.config.nodes import Attribute
from snakefold.placement.counts import deal
from snakefold.placement.strategy import PlacementStrategy

OUTSIDE = 1e-9  # probability beyond either end of the axis


class ProfilePlacement(PlacementStrategy):
    """Places cells whose coordinate along an axis has a distribution, stretched over the extent of the partitions."""

    algorithm_version: ClassVar[int] = 1

    distribution = Attribute(DistributionOf(), required=True, doc="Distribution of the coordinate.")
    axis = Attribute(types.integer(min=0, max=2), default=2, doc="The axis: 0, 1, 2 for x, y, z.")
    direction = Attribute(types.Choice("positive", "negative"), default="positive", doc="Where its beginning is.")

    def below(self, at, ends):
        """Return the probability of a coordinate below `at`, um, on an axis with these ends."""
        part = (at - ends[0]) / (ends[1] - ends[0])
        low, high = self.distribution.interval(OUTSIDE)
        if self.direction == "negative":
            return 1 - self.distribution.cdf(high - part * (high - low))
        return self.distribution.cdf(low + part * (high - low))

    def ends(self, pieces):
        """Return where the partitions begin and end along the axis, um."""
        return np.array([pieces.lower[:, self.axis].min(), pieces.upper[:, self.axis].max()])

    def deal(self, totals, shares, pieces, grid):
        ends, extent = self.ends(pieces), pieces.upper - pieces.lower
        mass = self.below(pieces.upper[:, self.axis], ends) - self.below(pieces.lower[:, self.axis], ends)
        chunks, first = pieces.by_chunk()
        weight = np.add.reduceat(mass * pieces.volume / extent[:, self.axis], first[:-1])
        return chunks, np.array([deal(n, weight) for n in totals.values()])

    def prepare(self, pieces, grid):
        return {"ends": self.ends(pieces)}

    def place(self, chunk, rng, given):
        low, high = chunk.pieces.lower[0], chunk.pieces.upper[0]
        grid = np.linspace(low[self.axis], high[self.axis], 1001)
        below = self.below(grid, given.prepared["ends"])
        placed = {}
        for cell_type, n in chunk.counts.items():
            position = low + rng.random((n, 3)) * (high - low)
            position[:, self.axis] = np.interp(rng.uniform(below[0], below[-1], n), below, grid)
            placed[cell_type] = {"position": position}
        return placed
