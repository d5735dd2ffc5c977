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
from snakefold.connectivity.boxes import Boxes, around, blocks
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, located
from snakefold.connectivity.sampling import share_of, some_of_each
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

    def boxes(self, cells: Cells) -> np.ndarray:
        """Return the boxes around the shapes of some cells, (n, 2, 3) float64 um."""
        return cells.positions.astype(np.float64)[:, None] + bounds(self.shapes)


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

    algorithm_version: ClassVar[int] = 1
    by_distance: ClassVar[bool] = True
    cost_per_edge_s: ClassVar[float] = 1e-6

    affinity = Attribute(types.fraction(), required=True, doc="Share of the contacts of two cells that are kept.")
    pruning_ratio = Attribute(types.fraction(), required=True, doc="Share of these that are connections.")

    def met(self, pair: Pair, n_cells: Mapping[str, int], n_points: float, shapes: list[Shape]) -> float:
        """Return how many synapses there are where as many points of each cell lie anywhere in the network."""
        network = self.root().network
        share = min(sum(shape.volume for shape in shapes) / (network.x * network.y * network.z), 1.0)
        return n_cells[pair[0]] * n_cells[pair[1]] * n_points * share * self.affinity * self.pruning_ratio

    def streams(self, rng: np.random.Generator, pair: int) -> list[np.random.Generator]:
        """Return the streams of a pair of types: for clouds, numbers, choices and pruning."""
        return [np.random.Generator(rng.bit_generator.jumped(4 * pair + i + 1)) for i in range(4)]

    def pruned(self, rng: np.random.Generator, n: int) -> np.ndarray | slice:
        """Return which of n synapses are kept."""
        if self.pruning_ratio == 1:
            return slice(None)
        return some_of_each(rng, np.zeros(n, np.int64), share_of(rng, np.array([n]), self.pruning_ratio))


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

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        arrays = {}
        for cell_type, cells in targets.items():
            arrays |= Boxes.of(self.postsynaptic.boxes(cells)).arrays(cell_type)
        return arrays

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for k, (pre, post) in enumerate(self.pairs()):
            streams = self.streams(rng, k)
            candidates = Boxes.restored(given.prepared, post)
            parts = list(self._counts(sources[pre], targets[post], candidates, streams))
            source, target, n = (np.concatenate([np.empty(0, np.int64), *(p[i] for p in parts)]) for i in range(3))
            source, target = np.repeat(source, n), np.repeat(target, n)
            kept = self.pruned(streams[3], len(source))
            made[pre, post] = Synapses(source[kept], target[kept])
        return made

    def _counts(self, sources: Cells, targets: Cells, candidates: Boxes, streams) -> Iterator[tuple]:
        """Yield source and target cells, and how many contacts of theirs are kept, (n,) each, in blocks."""
        shapes = self.presynaptic.shapes
        numbers = self.presynaptic.shapes_composition.numbers(shapes)
        of, others = self.presynaptic.boxes(sources), self.postsynaptic.shapes
        places = sources.positions.astype(np.float64), targets.positions
        for a, b in blocks(np.full(len(sources), sum(numbers)), 4 * MOST_AT_ONCE):
            cloud = np.moveaxis(clouds(streams[0], shapes, numbers, b - a), -1, 0).copy()
            for source, target in candidates.meeting(of[a:b]):
                apart = places[0][source + a] - places[1][target]
                hits = np.empty(len(source), np.int64)
                for i, j in blocks(np.full(len(source), sum(numbers)), MOST_AT_ONCE):
                    points = [along[source[i:j]] + apart[i:j, axis, None] for axis, along in enumerate(cloud)]
                    hits[i:j] = np.count_nonzero(inside(others, *points), axis=1)
                met = hits > 0
                yield source[met] + a, target[met], share_of(streams[1], hits[met], self.affinity)


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
        arrays = {f"points/{name}": side.points_of(given.morphologies[name]) for name in sorted(names)}
        for cell_type, of in sources.items():
            made = Boxes.of(self._boxes("presynaptic", of, Given(arrays, morphologies=given.morphologies)))
            arrays |= made.arrays(f"boxes/{cell_type}")
        return arrays

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for k, (pre, post) in enumerate(self.pairs()):
            streams = self.streams(rng, k)
            candidates = Boxes.restored(given.prepared, f"boxes/{pre}")
            parts = list(self._contacts(sources[pre], targets[post], candidates, given, streams))
            source, target, point = (np.concatenate([np.empty(0, np.int64), *(p[i] for p in parts)]) for i in range(3))
            kept = self.pruned(streams[3], len(source))
            source, target, point = source[kept], target[kept], point[kept]
            (_, (cell, cells)), _ = self._sides((source, sources[pre]), (target, targets[post]))
            made[pre, post] = Synapses(source, target, located(self.location, cells, given.morphologies, cell, point))
        return made

    def _contacts(self, sources: Cells, targets: Cells, candidates: Boxes, given: Given, streams) -> Iterator[tuple]:
        """Yield source cells, target cells and points of morphologies, (n,), of contacts that are kept, in blocks."""
        (_, cells), (side, others) = self._sides(sources, targets)
        shapes, tables = side.shapes, self._points(cells, given)
        n_points = np.array([len(table) for table in tables], np.int64)
        first, points = np.cumsum(n_points) - n_points, np.concatenate([np.empty(0, np.int64), *tables])
        xyz = [m.points[table] for m, table in self._tables(cells, tables, given)]
        xyz = np.concatenate([np.empty((0, 3)), *xyz])
        for target, source in candidates.meeting(self._boxes("postsynaptic", targets, given)):
            (_, cell), (_, other) = self._sides(source, target)
            n = n_points[cells.morphology[cell]]
            apart = cells.positions[cell].astype(np.float64) - others.positions[other]
            for a, b in blocks(n, MOST_AT_ONCE):
                row = np.repeat(np.arange(a, b), n[a:b])
                at = first[cells.morphology[cell[row]]] + counted(n[a:b])
                place = xyz[at] if cells.rotations is None else turned_by(cells.rotations[cell[row]], xyz[at])
                met = np.flatnonzero(inside(shapes, *(place + apart[row]).T))
                row, at = row[met], at[met]
                if self.affinity < 1:
                    _, of, hits = np.unique(row, return_inverse=True, return_counts=True)
                    wanted = np.maximum(np.floor(hits * self.affinity), self.affinity > 0)
                    kept = some_of_each(streams[2], of, wanted)
                    row, at = row[kept], at[kept]
                yield source[row], target[row], points[at]

    def _boxes(self, key: str, cells: Cells, given: Given) -> np.ndarray:
        """Return the boxes around some cells on a side, (n, 2, 3) float64 um."""
        if key not in self.shaped:
            return getattr(self, key).boxes(cells)
        tables = self._points(cells, given)
        bounds_of = np.tile(np.array([[np.inf], [-np.inf]]), (len(tables), 1, 3))
        for code, table in enumerate(tables):
            if len(table):
                points = given.morphologies[cells.morphologies[code]].points[table]
                bounds_of[code] = points.min(axis=0), points.max(axis=0)
        return around(bounds_of, cells.morphology, cells.positions.astype(np.float64), cells.rotations)

    def _points(self, cells: Cells, given: Given) -> list[np.ndarray]:
        """Return, for each morphology of some cells, its points that may be connected."""
        none = np.empty(0, np.int64)
        return [given.prepared.get(f"points/{name}", none) for name in cells.morphologies]

    def _tables(self, cells: Cells, tables: list[np.ndarray], given: Given) -> Iterator[tuple]:
        for name, table in zip(cells.morphologies, tables, strict=True):
            if len(table):
                yield given.morphologies[name], table


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
