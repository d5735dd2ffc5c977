"""Random placement: uniform or by a density, exact counts; somata may overlap, as the BSB's, or may not."""

from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.packing.somata import Somata, cost_s, fraction, missing_radii, too_dense
from snakefold.placement.strategy import Arrays, Chunk, Given, PlacementStrategy

WARN_PACKING, MOST_PACKING, IMPOSSIBLE_PACKING = 0.2, 0.4, 0.64


class RandomPlacement(PlacementStrategy):
    """Places cells in its partitions, uniformly or in proportion to a `density_key`; somata may overlap.

    Where they may not, those that would are moved: no two somata of its cell types overlap, nor with any of the cell
    types that the strategies in `depends_on` place. Middles of somata stay in the partitions; numbers are exact.

    The packing factor, the somata's share of the volume, is limited as in the BSB: above 0.2 a warning, above 0.4 an
    error; above 0.64 spheres cannot be packed at random (Bernal & Mason 1960).
    """

    algorithm_version: ClassVar[int] = 1
    cost_per_cell_s: ClassVar[float] = 1e-6

    overlap = Attribute(
        types.boolean(),
        default=True,
        doc="Whether somata may overlap; if not, every type needs a radius, and half of the volume can be filled.",
    )

    _somata: Somata | None = None

    @property
    def bytes_per_cell(self) -> int:
        """Bytes that packing holds of a cell."""
        return 0 if self.overlap else Somata.BYTES_PER_CELL

    def cost_s(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> float:
        return super().cost_s(totals, radii, volume) if self.overlap else cost_s(totals, radii, volume)

    def lacks(self, radii: dict[str, float]) -> list[str]:
        return [] if self.overlap else missing_radii(self, radii)

    def faults(self, totals: dict[str, int], radii: dict[str, float], volume: float) -> list[str]:
        if not self.overlap:
            return too_dense(totals, radii, volume)
        packing = fraction(totals, radii, volume)
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
        packing = fraction(totals, radii, volume)
        if self.overlap and WARN_PACKING < packing <= MOST_PACKING:
            return [f"dense: somata fill {packing:.3g} of the volume (above {WARN_PACKING} many will overlap)"]
        return []

    def place(self, chunk: Chunk, rng: np.random.Generator, given: Given) -> dict[str, Arrays]:
        if self.overlap:
            return scattered(chunk, rng)
        if self._somata is None:
            self._somata = Somata(scattered, given.around.radii, given.around, given.around.key("packing"))
        return self._somata.place(chunk)


def scattered(chunk: Chunk, rng: np.random.Generator) -> dict[str, Arrays]:
    """Return cells drawn in a chunk's part of the partitions, uniformly or by a density, as `place`."""
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
