"""Golgi cells to granule cells, through glomeruli: a Golgi cell reaches all cells that the glomeruli it takes feed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, located
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses
from snakefold.contrib.cerebellum.dependence import between, index_of, needed, once, unrelated
from snakefold.contrib.cerebellum.tips import tips_of
from snakefold.sonata.edges import Edges
from snakefold.streams import beside
from snakefold.topology.chunks import counted


@dataclass(frozen=True)
class Links:
    """Synapses of glomeruli onto cells of one type, by glomerulus.

    Attributes
    ----------
    first : (n_glomeruli + 1,) int64, where those of each glomerulus begin
    target : (n,) int64, indices of the cells
    columns : column -> (n,), where on them they are
    """

    first: np.ndarray
    target: np.ndarray
    columns: dict[str, np.ndarray]


@dataclass(frozen=True)
class Fed:
    """The glomeruli that feed any cell.

    Attributes
    ----------
    number : (m,) int64, their indices among the glomeruli of all types, laid end to end
    places : (m, 3) float64, um
    links : their synapses, by target type
    """

    number: np.ndarray
    places: np.ndarray
    links: dict[str, Links]


class GolgiToGlomerulus(ConnectivityStrategy):
    """Connects every Golgi cell with all cells that are fed by the glomeruli nearest to it.

    These are up to `divergence` of the glomeruli within `radius` that feed any. A synapse is where that of the
    glomerulus is (at the soma, if it does not say), and comes from a tip of a labelled branch of the Golgi cell, drawn
    at random.
    """

    algorithm_version: ClassVar[int] = 1
    partitioned_by: ClassVar[str] = "source"
    by_distance: ClassVar[bool] = True
    shaped: ClassVar[tuple[str, ...]] = ("presynaptic",)
    columns: ClassVar[dict[str, str]] = columns(EFFERENT, AFFERENT)
    cost_per_edge_s: ClassVar[float] = 2e-6

    radius = Attribute(types.number(above=0), required=True, unit="um", doc="Farthest that a glomerulus is taken.")
    divergence = Attribute(types.integer(min=1), required=True, doc="Most glomeruli of each Golgi cell.")
    glom_post_strats = Attribute(
        types.ListOf(types.Reference("connectivity", "connectivity"), least=1, distinct=True),
        required=True,
        doc="Strategies that connect glomeruli with the target cells.",
    )
    glom_cell_types = Attribute(
        types.ListOf(types.Reference("cell_types", "cell type"), least=1, distinct=True),
        required=True,
        doc="Cell types of the glomeruli.",
    )

    def dependencies(self) -> list[str]:
        return needed(self, self.glom_post_strats)

    def looks_at(self) -> list[str]:
        return list(self.glom_cell_types or ())

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        return unrelated(self, "glom_post_strats", self.glom_cell_types or (), self.postsynaptic.cell_types)

    def guess(self, pair: Pair, n_cells: Mapping[str, int]) -> float:
        feeding = [self.root().connectivity[name] for name in self.glom_post_strats]
        fed = [s.expected(p, n_cells)[0] for s in feeding for p in s.pairs() if p[1] == pair[1]]
        n_glomeruli = sum(n_cells[t] for t in self.glom_cell_types)
        if not n_glomeruli or not np.isfinite(fed).all():
            return 0.0
        return n_cells[pair[0]] * min(self.divergence, n_glomeruli) * sum(fed) / n_glomeruli

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        fed, made = once(self, given, lambda: self._fed(targets, given)), {}
        for i, (pre, cells) in enumerate(sources.items()):
            if not len(cells) or not len(fed.number):
                continue
            golgi, glomerulus = self._taken(cells.positions.astype(np.float64), fed.places)
            for k, (post, links) in enumerate(fed.links.items()):
                if (pre, post) not in self.pairs():
                    continue
                n = np.diff(links.first)[glomerulus]
                row = np.repeat(links.first[glomerulus], n) + counted(n)
                source = np.repeat(golgi, n)
                u = beside(rng, i * len(fed.links) + k).random(len(row))
                at = self._tips(cells, source, u, given) | {name: a[row] for name, a in links.columns.items()}
                made[pre, post] = Synapses(source, links.target[row], at)
        return made

    def _taken(self, places: np.ndarray, glomeruli: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (Golgi cell, glomerulus), each (n,) int64: those that each takes, nearest first."""
        from scipy.spatial import cKDTree

        most = min(self.divergence, len(glomeruli))
        reach = np.nextafter(self.radius, np.inf)  # it is within, here, what is beyond it there
        index = cKDTree(glomeruli).query(places, k=np.arange(1, most + 1), distance_upper_bound=reach)[1]
        golgi, rank = np.nonzero(index < len(glomeruli))
        return golgi, index[golgi, rank]

    def _fed(self, targets: dict[str, Cells], given: Given) -> Fed:
        """Return the glomeruli that feed any of the targets."""
        sizes = [len(given.cells[t]) for t in self.glom_cell_types]
        first = dict(zip(self.glom_cell_types, np.cumsum([0, *sizes]), strict=False))
        found: dict[str, list] = {post: [] for post in targets}
        for edges in between(given.edges, self.glom_cell_types, list(targets)):
            glomerulus, target = edges.block()
            index = index_of(targets[edges.target], target)
            kept = index >= 0
            at = {name: _column(edges, name)[kept] for name in columns(AFFERENT)}
            found[edges.target].append((first[edges.source] + glomerulus[kept].astype(np.int64), index[kept], at))
        number = np.unique(
            np.concatenate([np.empty(0, np.int64), *(g for parts in found.values() for g, _, _ in parts)])
        )
        places = np.concatenate([given.cells[t].positions for t in self.glom_cell_types]).astype(np.float64)
        links = {post: _links(number, parts) for post, parts in found.items()}
        return Fed(number, places[number], links)

    def _tips(self, cells: Cells, golgi: np.ndarray, u: np.ndarray, given: Given) -> dict[str, np.ndarray]:
        """Return where synapses begin, column -> (n,), of cells given by their index, (n,), and uniform numbers."""
        point = np.zeros(len(golgi), np.int64)
        code = cells.morphology[golgi]
        for m in np.unique(code).tolist():
            name = cells.morphologies[m]
            tips = tips_of(self.presynaptic, name, given.morphologies[name])
            rows = np.flatnonzero(code == m)
            point[rows] = tips[np.minimum((u[rows] * len(tips)).astype(np.int64), len(tips) - 1)]
        return located(EFFERENT, cells, given.morphologies, golgi, point)


def _column(edges: Edges, name: str) -> np.ndarray:
    return edges.column(name) if name in edges.columns else np.zeros(edges.n, columns(AFFERENT)[name])


def _links(number: np.ndarray, parts: list[tuple[np.ndarray, np.ndarray, dict]]) -> Links:
    """Return the synapses of glomeruli, (m,) ascending, from those of edge sets: (glomeruli, targets, columns)."""
    glomerulus = np.concatenate([np.empty(0, np.int64), *(g for g, _, _ in parts)])
    target = np.concatenate([np.empty(0, np.int64), *(t for _, t, _ in parts)])
    order = np.argsort(glomerulus, kind="stable")
    first = np.searchsorted(glomerulus[order], np.append(number, np.iinfo(np.int64).max))
    at = {
        name: np.concatenate([np.empty(0, kind), *(c[name] for _, _, c in parts)])
        for name, kind in columns(AFFERENT).items()
    }
    return Links(
        first, target[order], {name: values.astype(columns(AFFERENT)[name])[order] for name, values in at.items()}
    )
