"""Entities: cells that are nowhere, such as inputs, but are connected and simulated as others are."""

from typing import ClassVar

import numpy as np

from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy


class Entities(PlacementStrategy):
    """Makes cells without positions; partitions say no more than how many, where a density asks for that.

    They belong to chunks as other cells do, so that work on them can be dealt out; their x, y and z are 0, as SONATA's
    readers want numbers there.
    """

    algorithm_version: ClassVar[int] = 1
    located: ClassVar[bool] = False
    cost_per_cell_s: ClassVar[float] = 1e-7

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        return {cell_type: {"position": np.zeros((n, 3))} for cell_type, n in chunk.counts.items()}
