"""Random placement: uniform, or by a density; exact counts, somata may overlap (as the BSB's RandomPlacement)."""

from math import pi
from typing import ClassVar

import numpy as np

from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy

WARN_PACKING, MOST_PACKING, IMPOSSIBLE_PACKING = 0.2, 0.4, 0.64


class RandomPlacement(PlacementStrategy):
    """Places cells in its partitions, uniformly or in proportion to a `density_key`; somata may overlap.

    The packing factor, the somata's share of the volume, is limited as in the BSB: above 0.2 a warning, above 0.4 an
    error; above 0.64 spheres cannot be packed at random (Bernal & Mason 1960).
    """

    algorithm_version: ClassVar[int] = 1
    cost_per_cell_s: ClassVar[float] = 1e-6

    def faults(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        packing = _packing(totals, radii, volume)
        if packing <= MOST_PACKING:
            return []
        limit = "what random packing of spheres can reach" if packing > IMPOSSIBLE_PACKING else "the limit"
        over = packing / MOST_PACKING
        return [
            f"too dense: somata would fill {packing:.3g} of the volume, {over:.2f} times the limit {MOST_PACKING}"
            + (f" and more than {limit}, {IMPOSSIBLE_PACKING}" if packing > IMPOSSIBLE_PACKING else "")
            + f"; place at most {int(sum(totals.values()) / over)} cells instead of {sum(totals.values())}"
            + ", or smaller ones, or in a larger volume"
        ]

    def warnings(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        packing = _packing(totals, radii, volume)
        if WARN_PACKING < packing <= MOST_PACKING:
            return [f"dense: somata fill {packing:.3g} of the volume (above {WARN_PACKING} many will overlap)"]
        return []

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        lower, extent = chunk.pieces.lower, chunk.pieces.upper - chunk.pieces.lower
        placed = {}
        for cell_type, n in chunk.counts.items():
            points = rng.random((n, 3))
            if len(lower) == 1:
                placed[cell_type] = {"position": lower[0] + points * extent[0]}
                continue
            share = np.cumsum(chunk.weights(cell_type))
            piece = np.searchsorted(share, rng.random(n) * share[-1], side="right")
            placed[cell_type] = {"position": lower[piece] + points * extent[piece]}
        return placed


def _packing(totals: dict[str, int], radii: dict[str, float], volume: float) -> float:
    radius = {t: radii.get(t, 0.0) for t in totals}
    return sum(n * 4 / 3 * pi * radius[t] * radius[t] * radius[t] for t, n in totals.items()) / volume
