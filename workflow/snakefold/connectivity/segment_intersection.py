"""Contacts where the branches of two cells come near each other."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.boxes import meeting
from snakefold.connectivity.capsules import Bodies, Contacts, contacts, in_order, restored
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, located
from snakefold.connectivity.sampling import Draws, subsets
from snakefold.connectivity.strategy import Arrays, ConnectivityStrategy, Given, Pair, Synapses
from snakefold.streams import stream

REACH, CONTACTS = 200.0, 5.0  # um, and of a pair of cells that near: typical ones, to guess by
SIDES = {"presynaptic": EFFERENT, "postsynaptic": AFFERENT}


class SegmentIntersection(ConnectivityStrategy):
    """Makes a synapse wherever a segment of a source cell comes near one of a target cell.

    Segments are capsules: straight lines with a radius, the mean of those at their ends. Two that are no farther apart
    than their radii and `contact_distance` are one contact, at the points of either line that are nearest. Of points
    with `morphology_labels`, segments between two of them count. A cell is a candidate of itself.

    Candidates of a target cell are the source cells whose boxes come within the contact distance of its own, around all
    that may be connected; `affinity` is the share of these that it keeps: the whole part of it, and one more with the
    probability of the rest.
    """

    algorithm_version: ClassVar[int] = 2
    columns: ClassVar[dict[str, str]] = columns(EFFERENT, AFFERENT)
    shaped: ClassVar[tuple[str, ...]] = tuple(SIDES)
    shares: ClassVar[tuple[str, ...]] = ("affinity",)
    by_distance: ClassVar[bool] = True
    cost_per_edge_s: ClassVar[float] = 6e-6

    contact_distance = Attribute(
        types.number(min=0), default=0.0, unit="um", doc="How far apart the surfaces of two segments may be."
    )
    affinity = Attribute(types.fraction(), default=1.0, doc="Share of a target cell's candidates that it keeps.")
    favor_cache = Attribute(
        types.Choice("pre", "post"), default="pre", doc="Accepted, and without effect.", semantic=False
    )
    seed = Attribute(
        types.integer(min=0), doc="Seed of its own; without, it draws with the root seed, or the one named under rng."
    )

    def guess(self, pair: Pair, n_cells: Mapping[str, int]) -> float:
        network = self.root().network
        near = np.prod([min(REACH / side, 1.0) for side in (network.x, network.y, network.z)])
        return float(n_cells[pair[0]] * n_cells[pair[1]] * near * self.affinity * CONTACTS)

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        arrays = {}
        for side, cells in (("presynaptic", sources), ("postsynaptic", targets)):
            for name in sorted({name for of in cells.values() for name in of.morphologies if name}):
                shape = given.morphologies[name]
                arrays[f"{side}/points/{name}"] = in_order(shape, getattr(self, side).points_of(shape))
        return arrays

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for k, (pre, post) in enumerate(self.pairs()):
            if self.seed is not None and len(targets[post]):
                rng = stream(self.seed, "segment intersection", post, int(targets[post].node_ids[0]))
            cells = sources[pre], targets[post]
            bodies = [self._bodies(side, of, given) for side, of in zip(SIDES, cells, strict=True)]
            made[pre, post] = self._joined(cells, given, list(self._contacts(*bodies, Draws(rng), 2 * k)))
        return made

    def _contacts(self, sources: Bodies, targets: Bodies, draws: Draws, purpose: int):
        """Yield source and target cells of contacts, and the contacts, in blocks; `purpose` and the next are drawn."""
        boxes = targets.boxes + np.array([[-self.contact_distance], [self.contact_distance]])
        index, near = sources.near(boxes)
        for met in meeting(boxes, near.boxes):
            target, source = met.pairs(subsets(met.n, self.affinity, draws, purpose))
            for found in contacts(near, targets, source, target, self.contact_distance):
                yield index[source[found.pair]], target[found.pair], found

    def _joined(self, cells: tuple[Cells, Cells], given: Given, parts: list[tuple]) -> Synapses:
        """Return the synapses of some contacts, with where they are."""
        if not parts:
            return Synapses(np.empty(0, np.int64), np.empty(0, np.int64), {})
        source, target = (np.concatenate([part[i] for part in parts]) for i in range(2))
        found = [part[2] for part in parts]
        of = Contacts(*(np.concatenate([getattr(f, name) for f in found]) for name in Contacts.__dataclass_fields__))
        own = (source, of.source_point, of.source_fraction), (target, of.target_point, of.target_fraction)
        made = {}
        for side, there, values in zip(SIDES.values(), cells, own, strict=True):
            made |= located(side, there, given.morphologies, *values)
        return Synapses(source, target, made)

    def _bodies(self, side: str, cells: Cells, given: Given) -> Bodies:
        names = cells.morphologies
        points = {name: given.prepared.get(f"{side}/points/{name}", ()) for name in names}
        segments = restored(given.morphologies, names, points)
        return Bodies(cells.positions.astype(np.float64), cells.rotations, cells.morphology, segments)
