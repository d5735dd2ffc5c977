"""Contacts where what stands for a cell, geometric shapes, meets another cell's shapes or its morphology.

One side's points are looked at, those of a cloud drawn in its shapes or those of its morphologies: each that lies in
the other side's shapes is a contact. `affinity` is the share of the contacts of a pair of cells that are kept,
`pruning_ratio` that of what is left of all contacts of a chunk.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import context, types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.boxes import around, blocks, meeting, near
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, located
from snakefold.connectivity.sampling import Draws, chosen, share_of, subsets
from snakefold.connectivity.shapes import MOST_POINTS, Shape, ShapesComposition, bounds, clouds, inside
from snakefold.connectivity.strategy import Arrays, ConnectivityStrategy, Given, Pair, Side, Synapses
from snakefold.errors import did_you_mean, listed
from snakefold.morphology.rotations import turned_by
from snakefold.topology.chunks import counted

POINTS = 500.0  # of a morphology: a typical number, to guess by
MOST_AT_ONCE = 1 << 16  # points that are tested together: what fits a cache is faster


def _some_shape(node: "ShapeSide", labels: list[str]) -> str | None:
    known = node.shapes_composition.known_labels if node.shapes_composition else labels
    if set(labels).isdisjoint(known):
        return f"no shape is labelled {listed(labels)}{did_you_mean(labels[0], known)} (labels: {listed(known)})"
    return None


class ShapeSide(Side):
    """The cells on one side of a connection, for which shapes stand."""

    own_labels: ClassVar[bool] = True

    shapes_composition = Attribute(types.NodeOf(ShapesComposition), required=True, doc="The shapes of each cell.")
    morphology_labels = Attribute(
        types.ListOf(types.string(), least=1, distinct=True),
        doc="Labels, any of which the shapes have; all shapes if not given.",
        constraint=_some_shape,
    )

    @property
    def shapes(self) -> list[Shape]:
        """The shapes that may be connected."""
        return self.shapes_composition.labelled(self.morphology_labels)


def _cloud(node: "ShapeToShape", side: ShapeSide) -> str | None:
    """Return what is wrong with the number of points that represent the cells, where nothing else is."""
    if any(mistake.path[: len(side.path)] == side.path for mistake in context.current().mistakes):
        return None
    n = sum(side.shapes_composition.numbers(side.shapes))
    what = f"shapes_composition.voxel_size, {side.shapes_composition.voxel_size:g} um, should be"
    if n > MOST_POINTS:
        return f"{what} larger: {n} points would represent a cell, and {MOST_POINTS} may"
    return None if n else f"{what} smaller: no point represents the shapes"


class _Shaped(ConnectivityStrategy):
    """Base of the strategies that connect by shapes."""

    algorithm_version: ClassVar[int] = 2
    shares: ClassVar[tuple[str, ...]] = ("affinity", "pruning_ratio")
    by_distance: ClassVar[bool] = True
    cost_per_edge_s: ClassVar[float] = 1e-6

    affinity = Attribute(types.fraction(), required=True, doc="Share of the contacts of two cells that are kept.")
    pruning_ratio = Attribute(types.fraction(), required=True, doc="Share of these that are connections.")

    def met(self, pair: Pair, n_cells: Mapping[str, int], n_points: float, shapes: list[Shape]) -> float:
        """Return how many synapses there are where as many points of each cell lie anywhere in the network."""
        network = self.root().network
        share = min(sum(shape.volume for shape in shapes) / (network.x * network.y * network.z), 1.0)
        return n_cells[pair[0]] * n_cells[pair[1]] * n_points * share * self.affinity * self.pruning_ratio

    def pruned(self, draws: Draws, purpose: int, n: int) -> np.ndarray:
        """Return the indices of those of n synapses that are kept; `purpose` and the next are drawn."""
        return subsets(np.array([n]), self.pruning_ratio, draws, purpose)


class ShapeToShape(_Shaped):
    """Connects cells whose shapes overlap: points drawn in those of the source that lie in the target's are contacts.

    Every source cell has a cloud of its own, uniform in each of its shapes. Of the contacts of two cells the share
    `affinity` is kept, the whole part of it, and one more with the probability of the rest; of those of all source
    cells of a chunk, in the same way, `pruning_ratio`.
    """

    partitioned_by: ClassVar[str] = "source"

    presynaptic = Attribute(
        types.NodeOf(ShapeSide), required=True, doc="Where the synapses come from.", constraint=_cloud
    )
    postsynaptic = Attribute(types.NodeOf(ShapeSide), required=True, doc="Where the synapses go to.")

    def guess(self, pair: Pair, n_cells: Mapping[str, int]) -> float:
        side = self.presynaptic
        return self.met(pair, n_cells, sum(side.shapes_composition.numbers(side.shapes)), self.postsynaptic.shapes)

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made, draws = {}, Draws(rng)
        for k, (pre, post) in enumerate(self.pairs()):
            parts = list(self._counts(sources[pre], targets[post], draws, 4 * k))
            source, target, n = (np.concatenate([np.empty(0, np.int64), *(p[i] for p in parts)]) for i in range(3))
            source, target = np.repeat(source, n), np.repeat(target, n)
            kept = self.pruned(draws, 4 * k + 2, len(source))
            made[pre, post] = Synapses(source[kept], target[kept])
        return made

    def _counts(self, sources: Cells, targets: Cells, draws: Draws, purpose: int) -> Iterator[tuple]:
        """Yield source and target cells, and how many contacts of theirs are kept, (n,) each, in blocks.

        Clouds are drawn for `purpose`, numbers for the next.
        """
        shapes, others = self.presynaptic.shapes, self.postsynaptic.shapes
        numbers = self.presynaptic.shapes_composition.numbers(shapes)
        places = sources.positions.astype(np.float64)
        own = places[:, None] + bounds(shapes)
        index = near(bounds(others)[None], targets.positions, False, own)
        there = targets.positions[index].astype(np.float64)
        for met in meeting(own, there[:, None] + bounds(others)):
            ends = np.concatenate([[0], np.cumsum(met.n)])
            for a, b in blocks(np.full(len(met.n), sum(numbers)), 4 * MOST_AT_ONCE):
                cloud = np.moveaxis(clouds(draws(purpose), shapes, numbers, b - a), -1, 0).copy()
                source, target = met.pairs(np.arange(ends[a], ends[b]))
                apart, of = places[source] - there[target], source - met.first - a
                hits = np.empty(len(source), np.int64)
                for i, j in blocks(np.full(len(source), sum(numbers)), MOST_AT_ONCE):
                    points = [along[of[i:j]] + apart[i:j, axis, None] for axis, along in enumerate(cloud)]
                    hits[i:j] = np.count_nonzero(inside(others, *points), axis=1)
                some = hits > 0
                yield source[some], index[target[some]], share_of(draws(purpose + 1), hits[some], self.affinity)


class _ShapeAndMorphology(_Shaped):
    """Base of those that connect the shapes of cells on one side with the points of morphologies on the other.

    Points are those that have `morphology_labels`, where the side says any. Of the contacts of two cells the share
    `affinity` is kept, the whole part of it but one at least; of those of all target cells of a chunk `pruning_ratio`,
    the whole part of it, and one more with the probability of the rest.
    """

    location: ClassVar[str]

    def _sides(self, sources, targets) -> tuple[tuple[Side, object], tuple[Side, object]]:
        """Return the side with morphologies and the one with shapes, each with what is given of it."""
        sides = (self.presynaptic, sources), (self.postsynaptic, targets)
        return sides if self.shaped == ("presynaptic",) else sides[::-1]

    def guess(self, pair: Pair, n_cells: Mapping[str, int]) -> float:
        _, (side, _) = self._sides(None, None)
        return self.met(pair, n_cells, POINTS, side.shapes)

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        (side, cells), _ = self._sides(sources, targets)
        names = {name for of in cells.values() for name in of.morphologies if name}
        return {f"points/{name}": side.points_of(given.morphologies[name]) for name in sorted(names)}

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made, draws = {}, Draws(rng)
        for k, (pre, post) in enumerate(self.pairs()):
            parts = list(self._contacts(sources[pre], targets[post], given, draws, 3 * k))
            source, target, point = (np.concatenate([np.empty(0, np.int64), *(p[i] for p in parts)]) for i in range(3))
            kept = self.pruned(draws, 3 * k + 1, len(source))
            source, target, point = source[kept], target[kept], point[kept]
            (_, (cell, cells)), _ = self._sides((source, sources[pre]), (target, targets[post]))
            made[pre, post] = Synapses(source, target, located(self.location, cells, given.morphologies, cell, point))
        return made

    def _contacts(self, sources: Cells, targets: Cells, given: Given, draws: Draws, purpose: int) -> Iterator[tuple]:
        """Yield source cells, target cells and points of morphologies, (n,), of contacts that are kept, in blocks."""
        (_, cells), (side, others) = self._sides(sources, targets)
        shapes, tables = side.shapes, self._points(cells, given)
        n_points = np.array([len(table) for table in tables], np.int64)
        first, points = np.cumsum(n_points) - n_points, np.concatenate([np.empty(0, np.int64), *tables])
        some = [(name, table) for name, table in zip(cells.morphologies, tables, strict=True) if len(table)]
        xyz = np.concatenate([np.empty((0, 3)), *(given.morphologies[name].points[table] for name, table in some)])
        _, boxes = self._boxes("postsynaptic", targets, given)
        index, near_ = self._boxes("presynaptic", sources, given, boxes)
        for met in meeting(boxes, near_):
            target, source = met.pairs(np.arange(met.n.sum()))
            source = index[source]
            (_, cell), (_, other) = self._sides(source, target)
            n = n_points[cells.morphology[cell]]
            apart = cells.positions[cell].astype(np.float64) - others.positions[other]
            for a, b in blocks(n, MOST_AT_ONCE):
                row = np.repeat(np.arange(a, b), n[a:b])
                at = first[cells.morphology[cell[row]]] + counted(n[a:b])
                place = xyz[at] if cells.rotations is None else turned_by(cells.rotations[cell[row]], xyz[at])
                within = np.flatnonzero(inside(shapes, *(place + apart[row]).T))
                row, at = row[within], at[within]
                if self.affinity < 1:
                    hits = np.bincount(row - a, minlength=b - a)
                    wanted = np.maximum(np.floor(hits * self.affinity).astype(np.int64), self.affinity > 0)
                    kept = chosen(hits, wanted, draws, purpose)
                    row, at = row[kept], at[kept]
                yield source[row], target[row], points[at]

    def _boxes(
        self, key: str, cells: Cells, given: Given, boxes: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes around some cells on a side, or at least those that meet some boxes.

        Returns
        -------
        indices of the cells, (n,) int64, and (n, 2, 3) float64, um
        """
        if key in self.shaped:
            bounds_of, turns, code = self._bounds(cells, given), cells.rotations, cells.morphology
        else:  # shapes are not turned with their cells
            bounds_of, turns, code = bounds(getattr(self, key).shapes)[None], None, np.zeros(len(cells), np.int64)
        which = np.arange(len(cells))
        if boxes is not None:
            which = near(bounds_of, cells.positions, turns is not None, boxes)
        places = cells.positions[which].astype(np.float64)
        return which, around(bounds_of, code[which], places, None if turns is None else turns[which])

    def _bounds(self, cells: Cells, given: Given) -> np.ndarray:
        """Return the boxes around the points of the morphologies of some cells that may be connected, (m, 2, 3)."""
        tables = self._points(cells, given)
        bounds_of = np.tile(np.array([[np.inf], [-np.inf]]), (len(tables), 1, 3))
        for code, table in enumerate(tables):
            if len(table):
                points = given.morphologies[cells.morphologies[code]].points[table]
                bounds_of[code] = points.min(axis=0), points.max(axis=0)
        return bounds_of

    def _points(self, cells: Cells, given: Given) -> list[np.ndarray]:
        """Return, for each morphology of some cells, its points that may be connected."""
        none = np.empty(0, np.int64)
        return [given.prepared.get(f"points/{name}", none) for name in cells.morphologies]


class MorphologyToShape(_ShapeAndMorphology):
    """Connects each point of a source cell's morphology that lies in the target cell's shapes."""

    shaped: ClassVar[tuple[str, ...]] = ("presynaptic",)
    columns: ClassVar[dict[str, str]] = columns(EFFERENT)
    location: ClassVar[str] = EFFERENT

    postsynaptic = Attribute(types.NodeOf(ShapeSide), required=True, doc="Where the synapses go to.")


class ShapeToMorphology(_ShapeAndMorphology):
    """Connects each point of a target cell's morphology that lies in the source cell's shapes."""

    shaped: ClassVar[tuple[str, ...]] = ("postsynaptic",)
    columns: ClassVar[dict[str, str]] = columns(AFFERENT)
    location: ClassVar[str] = AFFERENT

    presynaptic = Attribute(types.NodeOf(ShapeSide), required=True, doc="Where the synapses come from.")
