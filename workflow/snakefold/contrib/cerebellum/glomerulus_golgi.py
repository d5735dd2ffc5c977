"""Glomeruli to Golgi cells: all that are near, each at a tip of a dendrite, more likely a near one."""

from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.locations import AFFERENT, columns, located
from snakefold.connectivity.sample import Sample
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses
from snakefold.contrib.cerebellum.tips import tips_of
from snakefold.morphology.rotations import turned_by

SCALE, STEEPNESS = 0.03, 5.0
_MOST_DISTANCES = 1 << 21  # held at once


def share(u: np.ndarray) -> np.ndarray:
    """Return numbers, (n,), of an exponential distribution of scale 0.03 that ends at 0.15, given uniform ones."""
    return -SCALE * np.log1p(-u * -np.expm1(-STEEPNESS))


class GlomerulusToGolgi(ConnectivityStrategy):
    """Connects every Golgi cell with all glomeruli nearer than `radius`, each at a tip of a labelled dendrite.

    Tips are the ends of branches that no other grows from. Of n tips, sorted by their distance from the glomerulus, it
    is the one at floor(n x), x from an exponential distribution of scale 0.03, truncated at 0.15.
    """

    algorithm_version: ClassVar[int] = 1
    by_distance: ClassVar[bool] = True
    shaped: ClassVar[tuple[str, ...]] = ("postsynaptic",)
    columns: ClassVar[dict[str, str]] = columns(AFFERENT)
    cost_per_edge_s: ClassVar[float] = 2e-5

    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Glomeruli nearer than this are taken.")

    @property
    def halo_um(self) -> float:
        """How near candidates are."""
        return self.radius

    def of_a_pair(self, pair: Pair, sample: Sample) -> float:
        apart, share = sample.apart(pair, np.array([[-self.radius] * 3, [self.radius] * 3]))
        return float(share[np.linalg.norm(apart, axis=1) < self.radius].sum() / len(apart))

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        from scipy.spatial import cKDTree

        made = {}
        for pre, post in self.pairs():
            glomeruli, cells = sources[pre].positions.astype(np.float64), targets[post]
            places = cells.positions.astype(np.float64)
            if not len(places) or not len(glomeruli):
                continue
            near = cKDTree(places).sparse_distance_matrix(cKDTree(glomeruli), self.radius, output_type="ndarray")
            near = near[near["v"] < self.radius]
            code = np.sort(near["i"].astype(np.int64) * len(glomeruli) + near["j"])
            golgi, glomerulus = np.divmod(code, len(glomeruli))
            x = share(rng.random(len(code)))
            made[pre, post] = Synapses(
                glomerulus, golgi, self._tips(cells, golgi, glomeruli[glomerulus] - places[golgi], x, given)
            )
        return made

    def _tips(
        self, cells: Cells, golgi: np.ndarray, offset: np.ndarray, x: np.ndarray, given: Given
    ) -> dict[str, np.ndarray]:
        """Return where the synapses are: column -> (n,).

        Parameters
        ----------
        golgi : (n,) int64, index of the cell of each
        offset : (n, 3) um, from the cell to the glomerulus
        x : (n,) the tip's rank by distance, as a share of all
        """
        point = np.zeros(len(golgi), np.int64)
        turns = cells.rotations
        code = cells.morphology[golgi]
        for m in np.unique(code).tolist():
            name = cells.morphologies[m]
            morphology = given.morphologies[name]
            tips = tips_of(self.postsynaptic, name, morphology)
            rows = np.flatnonzero(code == m)
            step = max(_MOST_DISTANCES // (3 * len(tips)), 1)
            for some in np.split(rows, range(step, len(rows), step)):
                back = offset[some] if turns is None else turned_by(turns[golgi[some]] * (1, -1, -1, -1), offset[some])
                distance = ((morphology.points[tips] - back[:, None, :]) ** 2).sum(axis=2)
                rank = np.minimum((len(tips) * x[some]).astype(np.int64), len(tips) - 1)
                order = np.argsort(distance, axis=1, kind="stable")
                point[some] = tips[order[np.arange(len(some)), rank]]
        return located(AFFERENT, cells, given.morphologies, golgi, point)
