"""Parallel arrays: rows of cells in the x-y plane, side by side along x and tilted, as of Purkinje cells.

Rows are `spacing_x` apart. A cell is somewhere around its place in the row, and anywhere along z.
"""

from math import ceil, cos, floor, tan
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.errors import UserError
from snakefold.placement.counts import deal
from snakefold.placement.strategy import Arrays
from snakefold.placement.whole import WholePlacement
from snakefold.streams import stream

_STEEPEST = 1e-6  # cosine of the angle, from which on rows are parallel to x
_MOST_ROWS = 10_000_000


class ParallelArrayPlacement(WholePlacement):
    """Places cells in parallel rows on the x-y plane, apart along x by `spacing_x` and tilted against y by `angle`.

    The number is exact: rows are as dense as it takes, and where they have more places than cells, some stay empty.
    Where it takes all rows that there can be, one that leaves at one side comes back at the other.
    """

    algorithm_version: ClassVar[int] = 1

    spacing_x = Attribute(types.number(above=0), required=True, unit="um", doc="Distance between rows along x.")
    angle = Attribute(
        types.Degrees(),
        required=True,
        unit="degrees",
        constraint=lambda node, angle: None if abs(cos(angle)) > _STEEPEST else "should be: no odd multiple of 90",
        doc="Angle between the rows and y.",
    )

    def misfits(self, totals: dict[str, int], radii: dict[str, float], boxes: np.ndarray) -> list[str]:
        if self.spacing_x is None or self.angle is None:
            return []
        found = []
        for cell_type, n in totals.items():
            for box, share in zip(boxes, _shares(n, boxes), strict=True):
                radius = radii[cell_type]
                if share and (fault := self._fault(cell_type, int(share), radius, box[1] - box[0])):
                    found.append(fault)
        return found

    def lay_out(self, cell_type: str, n: int, bounds: np.ndarray) -> Arrays:
        parts = [np.empty((0, 3))]
        for partition, box, share in zip(self.partitions, bounds, _shares(n, bounds), strict=True):
            rng = stream(self.setting.seed, "place", self.setting.name, "lattice", cell_type, partition)
            if share:
                radius = self.setting.radii[cell_type]
                parts.append(box[0] + self._lattice(cell_type, int(share), radius, box[1] - box[0], rng))
        return {"position": np.concatenate(parts)}

    def _most(self, radius: float, extent: np.ndarray) -> float:
        """Return how many cells there can be in a row, so that those next to each other do not overlap."""
        return floor((extent[1] - 2 * radius) / (2 * radius * abs(cos(self.angle)))) if radius else np.inf

    def _n_rows(self, extent: np.ndarray) -> int:
        return max(1, ceil(extent[0] / self.spacing_x))

    def _fault(self, cell_type: str, n: int, radius: float, extent: np.ndarray) -> str:
        if (extent[:2] <= 2 * radius).any() or extent[2] < 2 * radius * (1 - 1e-9):
            return f'a soma of "{cell_type}", {2 * radius:g} um wide, does not fit into {extent.tolist()} um'
        if extent[0] > _MOST_ROWS * self.spacing_x:
            what = f"{extent[0]:g} um would have too many rows (at most {_MOST_ROWS:.0e})"
            return f"{what}; spacing_x should be larger than {self.spacing_x:g} um"
        rows = self._n_rows(extent)
        most = rows * self._most(radius, extent)
        if n <= most:
            return ""
        what = f'{n} cells of "{cell_type}" do not fit into the rows: at most {most:.0f}, in {rows} rows'
        return f"{what}; spacing_x should be smaller than {self.spacing_x:g} um, or the cells fewer or smaller"

    def _lattice(
        self, cell_type: str, n: int, radius: float, extent: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return (n, 3) um, from the lower corner of a box.

        Raises
        ------
        UserError : the rows have not so many places
        """
        if fault := self._fault(cell_type, n, radius, extent):
            raise UserError(fault)
        rows = self._n_rows(extent)
        start = np.arange(rows) * self.spacing_x + rng.random() * self.spacing_x
        width, depth = extent[0] - 2 * radius, extent[1] - 2 * radius
        around = max(rows * self.spacing_x - 2 * radius, width)  # rows that leave at one side come back at the other
        m, most = ceil(n / rows), self._most(radius, extent)
        while True:
            y = (np.arange(m) + 0.5) * (depth / m)
            x = (start + (y * tan(self.angle))[:, None]) % around
            inside = np.flatnonzero((x.ravel() < width) | (around == width))
            if len(inside) >= n:
                break
            if m >= most or not len(inside):  # rows beside the partition: lead them back at its own width
                around, m = width, ceil(n / rows)
                continue
            m = int(min(m + ceil((n - len(inside)) / rows), most))
        taken = inside[np.arange(n) * len(inside) // n]
        room = depth / m - 2 * radius * abs(cos(self.angle))  # along y between neighbours in a row
        made = np.empty((n, 3))
        made[:, 0] = x.ravel()[taken]
        made[:, 1] = y[taken // rows] + max(room, 0.0) * (rng.random(n) - 0.5)
        made[:, 2] = rng.random(n) * max(extent[2] - 2 * radius, 0.0)
        return made + radius


def _shares(n: int, boxes: np.ndarray) -> np.ndarray:
    """Return how many of n cells are in each box, by volume."""
    return deal(n, np.nan_to_num(np.prod(boxes[:, 1] - boxes[:, 0], axis=1)))
