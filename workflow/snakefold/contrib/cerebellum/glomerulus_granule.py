"""Glomeruli to granule cells: a glomerulus on each of a few dendrites, every one of another mossy fibre."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.locations import AFFERENT, columns, located
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses, split
from snakefold.contrib.cerebellum.dependence import between, index_of, needed, once, unrelated
from snakefold.contrib.cerebellum.tips import ends
from snakefold.errors import UserError, listed
from snakefold.streams import beside

_MOST_PAIRS = 1 << 21  # held at once


@dataclass(frozen=True)
class Clusters:
    """Glomeruli by the mossy fibre that feeds them.

    Attributes
    ----------
    number : (m,) int64, the cluster of each member, ascending from 0
    member : (m,) int64, index of the glomerulus among all sources, laid end to end
    places : (m, 3) float64, um
    """

    number: np.ndarray
    member: np.ndarray
    places: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """(n_clusters,) int64, where the members of each begin."""
        return np.flatnonzero(np.append(True, self.number[1:] != self.number[:-1])[: len(self.number)])

    def near(self, places: np.ndarray, reach: float) -> "Clusters":
        """Return them without members that are farther than `reach` from a box around some places."""
        low, high = places.min(axis=0) - reach, places.max(axis=0) + reach
        kept = ((self.places >= low) & (self.places <= high)).all(axis=1)
        return Clusters(self.number[kept], self.member[kept], self.places[kept])


class GlomerulusToGranule(ConnectivityStrategy):
    """Gives every granule cell glomeruli near it that belong to different mossy fibres, each on a dendrite of its own.

    Glomeruli are clustered by the fibre that feeds them. For each granule cell, clusters are gone through in random
    order: one with glomeruli nearer than `radius` gives one of these, drawn at random, until there are `convergence`.
    If clusters run out, those left over give their nearest glomerulus, in random order, too. The synapses are at the
    ends of different dendrites, in random order.
    """

    algorithm_version: ClassVar[int] = 1
    by_distance: ClassVar[bool] = True
    shaped: ClassVar[tuple[str, ...]] = ("postsynaptic",)
    columns: ClassVar[dict[str, str]] = columns(AFFERENT)
    cost_per_edge_s: ClassVar[float] = 5e-6

    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Glomeruli nearer than this are taken.")
    convergence = Attribute(types.integer(min=1), required=True, doc="Number of glomeruli of each granule cell.")
    pre_glom_strats = Attribute(
        types.ListOf(types.Reference("connectivity", "connectivity"), least=1, distinct=True),
        required=True,
        doc="Strategies that connect mossy fibres with glomeruli.",
    )
    pre_cell_types = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        doc="Cell types of the mossy fibres.",
    )

    def dependencies(self) -> list[str]:
        return needed(self, self.pre_glom_strats)

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        pre = self.pre_cell_types or []
        found = unrelated(self, "pre_glom_strats", pre, self.presynaptic.cell_types)
        n = sum(n_cells.get(t, 0) for t in pre)
        if self.convergence and n < self.convergence and any(n_cells[t] for t in self.postsynaptic.cell_types):
            what = f"{self.convergence} different fibres asked for, but there are only {n} cells of {listed(pre)}"
            found.append(("convergence", what))
        return found

    def naming_faults(self) -> list[str]:
        if not (out := self.left_out()):
            return super().naming_faults()
        left_out = listed(f"{a} to {b}" for a, b in out)
        return [
            f"glomeruli are drawn over all types together, so that no pair can be left out (got: null for {left_out})"
        ]

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        if len(self.presynaptic.cell_types) > 1:
            return super().expected(pair, n_cells)
        return float(n_cells[pair[1]] * self.convergence), 0.0

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        clusters = once(self, given, lambda: self._clusters(sources, given))
        sizes = [len(c) for c in sources.values()], [len(c) for c in targets.values()]
        glomerulus, at = [], {name: [] for name in self.columns}
        for i, cells in enumerate(targets.values()):
            streams = [beside(rng, 4 * i + k) for k in range(4)]
            taken = self._glomeruli(clusters, cells.positions.astype(np.float64), streams)
            glomerulus.append(taken.ravel())
            for name, values in self._ends(cells, given, streams[3]).items():
                at[name].append(values)
        granule = np.repeat(np.arange(sum(sizes[1])), self.convergence)
        at = {name: np.concatenate(parts) for name, parts in at.items()}
        return split(self.pairs(), sizes, np.concatenate(glomerulus), granule, at)

    def _clusters(self, sources: dict[str, Cells], given: Given) -> Clusters:
        """Return the clusters of all glomeruli.

        Raises
        ------
        UserError : there are fewer than a granule cell needs
        """
        first = dict(zip(sources, np.cumsum([0, *(len(c) for c in sources.values())]), strict=False))
        number, member = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        n = 0
        for edges in between(given.edges, self.pre_cell_types, list(sources)):
            fibre, glomerulus = edges.block()
            index = index_of(sources[edges.target], glomerulus)
            fibres, cluster = np.unique(fibre[index >= 0], return_inverse=True)
            number.append(n + cluster)
            member.append(first[edges.target] + index[index >= 0])
            n += len(fibres)
        if n < self.convergence:
            what = f"{self.convergence} glomeruli of different fibres asked for"
            raise UserError(f"{what}, but the fibres of {listed(self.pre_cell_types)} that feed any are only {n}")
        number, member = np.concatenate(number), np.concatenate(member)
        order = np.lexsort((member, number))
        places = np.concatenate([cells.positions for cells in sources.values()]).astype(np.float64)
        return Clusters(number[order], member[order], places[member[order]])

    def _glomeruli(self, clusters: Clusters, places: np.ndarray, streams: list[np.random.Generator]) -> np.ndarray:
        """Return the glomeruli, (n, convergence) int64, of granule cells at some places, (n, 3) um."""
        from scipy.spatial import cKDTree

        taken = np.full((len(places), self.convergence), -1, np.int64)
        if not len(places):
            return taken
        around = clusters.near(places, self.radius)
        tree = cKDTree(around.places)
        ball = 4 / 3 * np.pi * self.radius**3
        volume = np.prod(np.maximum(np.ptp(around.places, axis=0), self.radius)) if len(around.places) else 1.0
        step = int(max(_MOST_PAIRS / max(len(around.places) * min(ball / volume, 1.0), 1.0), 1))
        for a in range(0, len(places), step):
            some = places[a : a + step]
            pairs = cKDTree(some).sparse_distance_matrix(tree, self.radius, output_type="ndarray")
            pairs = pairs[pairs["v"] < self.radius]
            code = np.sort(pairs["i"].astype(np.int64) * len(around.places) + pairs["j"])
            self._draw(taken[a : a + step], around, *np.divmod(code, max(len(around.places), 1)), streams)
        few = np.flatnonzero(taken[:, -1] < 0)
        step = max(_MOST_PAIRS // max(len(clusters.number), 1), 1)
        for a in range(0, len(few), step):
            rows = few[a : a + step]
            taken[rows] = self._completed(taken[rows], clusters, places[rows], streams[2])
        return taken

    def _draw(
        self,
        taken: np.ndarray,
        clusters: Clusters,
        cell: np.ndarray,
        member: np.ndarray,
        streams: list[np.random.Generator],
    ) -> None:
        """Fill the glomeruli of cells from pairs of cells and near members of clusters, ordered by both."""
        if not len(cell):
            return
        number = clusters.number[member]
        first = np.flatnonzero(np.append(True, (cell[1:] != cell[:-1]) | (number[1:] != number[:-1])))
        n = np.diff(np.append(first, len(cell)))
        one = first + np.minimum((streams[0].random(len(first)) * n).astype(np.int64), n - 1)
        key, cell = streams[1].random(len(first)), cell[first]
        order = np.lexsort((key, cell))  # of the clusters around each cell
        start = np.append(True, cell[1:] != cell[:-1])
        rank = np.arange(len(cell)) - np.flatnonzero(start)[np.cumsum(start) - 1]
        kept = rank < self.convergence
        taken[cell[kept], rank[kept]] = clusters.member[member[one[order[kept]]]]

    def _completed(
        self, taken: np.ndarray, clusters: Clusters, places: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return glomeruli, (n, convergence), of which -1 are replaced by the nearest of clusters without near ones."""
        starts = clusters.starts
        distance = np.sqrt(((places[:, None, :] - clusters.places) ** 2).sum(axis=2))
        least = np.minimum.reduceat(distance, starts, axis=1)
        key = np.where(least < self.radius, np.inf, rng.random(least.shape))
        order = np.argsort(key, axis=1)[:, : self.convergence]
        missing = taken < 0
        row, slot = np.nonzero(missing)
        cluster = order[row, slot - (~missing).sum(axis=1)[row]]
        is_nearest = distance == np.repeat(least, np.diff(np.append(starts, len(clusters.number))), axis=1)
        first = np.minimum.reduceat(
            np.where(is_nearest, np.arange(distance.shape[1]), distance.shape[1]), starts, axis=1
        )
        completed = taken.copy()
        completed[row, slot] = clusters.member[first[row, cluster]]
        return completed

    def _ends(self, cells: Cells, given: Given, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return where on its dendrites each cell has its synapses, cell after cell: column -> (n * convergence,).

        Raises
        ------
        UserError : a morphology has fewer dendrites
        """
        point = np.zeros((len(cells), self.convergence), np.int64)
        code = cells.morphology if len(cells) else np.empty(0, np.uint32)
        names = {i: cells.morphologies[i] for i in np.unique(code).tolist()}
        points = {i: ends(self.postsynaptic, given.morphologies[name]) for i, name in names.items()}
        for i, name in names.items():
            if len(points[i]) < self.convergence:
                what = f"{self.convergence} synapses asked for, each on a dendrite of its own"
                raise UserError(f'{what}, but the morphology "{name}" has only {len(points[i])} that are labelled so')
        keys = rng.random((len(cells), max(map(len, points.values()), default=0)))
        for i in names:
            rows = np.flatnonzero(code == i)
            point[rows] = points[i][np.argsort(keys[rows, : len(points[i])], axis=1)[:, : self.convergence]]
        index = np.repeat(np.arange(len(cells)), self.convergence)
        return located(AFFERENT, cells, given.morphologies, index, point.ravel())
