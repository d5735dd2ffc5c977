"""Poisson disk placement: uniform, but no two cells nearer than a minimum distance, across chunks and cell types."""

from dataclasses import replace
from math import pi
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.packing.somata import Somata, cost_s
from snakefold.placement.random import scattered
from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy
from snakefold.streams import key, stream

# Share of the volume that spheres of half the distance fill at most. Random sequential addition, which disks that are
# thrown one after the other come to, ends at 0.384 (Torquato, Uche & Stillinger 2006); Bridson's sampling near that.
MOST_FILLED = 0.36


class PoissonDiskPlacement(PlacementStrategy):
    """Places cells at random so that no two, of any types and in any chunks, are nearer than a minimum.

    The distance is what counts: numbers are upper bounds, as in the BSB. Where more cells are asked for than find a
    place at that distance, every type is placed in part, and a warning says how many. Cells are drawn uniformly and
    moved apart; where that brings many close to the minimum, Metropolis sweeps then give them the distances of a fluid
    of hard spheres.
    """

    algorithm_version: ClassVar[int] = 1
    bytes_per_cell: ClassVar[int] = Somata.BYTES_PER_CELL

    min_distance = Attribute(
        types.number(above=0),
        unit="um",
        doc="Least distance of two cells. If not given, that of as many cells on a lattice, and two radii at least.",
    )
    tries = Attribute(
        types.integer(min=1), default=30, semantic=False, doc="Accepted as the BSB's: there is no limit of tries here."
    )
    seed = Attribute(
        types.integer(min=0), doc="Seed of its own; without, it draws with the root seed, or the one named under rng."
    )
    seamless = Attribute(
        types.boolean(),
        default=True,
        semantic=False,
        doc="Accepted as the BSB's: the distance holds across chunks in any case.",
    )

    _somata: Somata | None = None

    def distance(self, n: int, radii: dict[str, float | None], volume: float) -> float:
        """Return the minimum distance, um, of `n` cells in a volume, um^3."""
        if self.min_distance is not None:
            return self.min_distance
        return max((volume / max(n, 1)) ** (1 / 3), *(2 * (radius or 0.0) for radius in radii.values()))

    def cost_s(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> float:
        n = sum(totals.values())
        half = dict.fromkeys(totals, self.distance(n, radii, volume) / 2)
        kept = min(_most(2 * max(half.values()), volume) / max(n, 1), 1.0)
        return 1.5 * cost_s({t: round(kept * of) for t, of in totals.items()}, half, volume)

    def warnings(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        n = sum(totals.values())
        distance = self.distance(n, radii, volume)
        if n <= (most := _most(distance, volume)):
            return []
        return [
            f"about {most:.0f} of {n} cells will be placed: no more find a place {distance:.4g} um from each other"
            + ("" if self.min_distance else "; give a min_distance for all of them")
        ]

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        if self._somata is None:
            self._begin(given)
        return self._somata.place(chunk)

    def _begin(self, given: Given) -> None:
        around = given.around
        chunks = around.near(around.lower, around.upper)
        counts = around.counts(chunks)
        n, volume = int(counts.sum()), around.volume
        distance = self.distance(n, dict(around.radii), volume)
        kept = min(_most(distance, volume) / max(n, 1), 1.0)
        # Rounded cumulatively over the chunks, for each type.
        ends = np.floor(np.cumsum(counts, axis=1) * kept + 1e-9).astype(np.int64)
        numbers = dict(zip(chunks.tolist(), np.diff(ends, axis=1, prepend=0).T.tolist(), strict=True))

        def fewer(chunk: Chunk, rng: np.random.Generator) -> dict[str, Arrays]:
            if self.seed is not None:
                rng = stream(self.seed, "poisson disk", chunk.id)
            return scattered(replace(chunk, counts=dict(zip(chunk.counts, numbers[chunk.id], strict=True))), rng)

        filled = n * kept * pi / 6 * distance**3 / volume
        sweeps = 20 if filled < 0.25 else 30
        own = around.key("packing") if self.seed is None else key(self.seed, "poisson disk") % 2**64
        radii = dict.fromkeys(around.radii, distance / 2)
        self._somata = Somata(fewer, radii, around, own, obstacles=False, mc_sweeps=sweeps)


def _most(distance: float, volume: float) -> float:
    """Return how many cells find a place at a distance, um, from each other, in a volume, um^3; at least 1."""
    return max(MOST_FILLED * volume / (pi / 6 * distance**3), 1.0)
