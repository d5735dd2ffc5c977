"""VoxelIntersection: cells are connected where voxels of their morphologies touch.

As in the BSB: the box around a whole morphology is divided into about `voxels_pre` or `voxels_post` voxels, of which
those count that have points with the labels; candidates are the cells whose boxes meet; of each source's candidates a
part, `affinity`, is looked at; those of which voxels touch get contacts, each a pair of points drawn uniformly from
all pairs of points whose voxels touch. Both grids have a corner at the source cell and turn with it (see `touch`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.distribution import CONSTANT, Distribution, DistributionOf
from snakefold.config.nodes import Attribute, Node
from snakefold.connectivity.boxes import around, meeting, near
from snakefold.connectivity.contacts import Contacts, Wanted, turned, unturned
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, located
from snakefold.connectivity.sample import Sample
from snakefold.connectivity.sampling import Draws, subsets
from snakefold.connectivity.strategy import Arrays, ConnectivityStrategy, Given, Pair, Side, Synapses
from snakefold.connectivity.touch import Placed, Touched, Turned, thick
from snakefold.errors import Mistake, UserError
from snakefold.morphology.morphology import Morphology
from snakefold.morphology.rotations import matrices
from snakefold.morphology.voxels import Voxels, edges_of, voxelize

MOST_CONTACTS = 10**6  # of a pair of cells
MOST_VOXELS = 1000  # of a cell: with more, a sample would cost too much
BOX = 400.0  # um along each axis, around a cell, in which lie those whose voxels touch its: a guess


def _one(node: Node) -> Distribution:
    return Distribution.build({"distribution": CONSTANT, CONSTANT: 1}, (*node.path, "contacts"), node)


class VoxelIntersection(ConnectivityStrategy):
    """Connects cells where voxels of their morphologies touch."""

    algorithm_version: ClassVar[int] = 1
    partitioned_by: ClassVar[str] = "source"  # of a source's candidates a fixed part is looked at
    shaped: ClassVar[tuple[str, ...]] = ("presynaptic", "postsynaptic")
    columns: ClassVar[dict[str, str]] = columns(EFFERENT, AFFERENT)
    shares: ClassVar[tuple[str, ...]] = ("affinity",)
    by_distance: ClassVar[bool] = True
    cost_per_edge_s: ClassVar[float] = 2e-6

    contacts = Attribute(
        DistributionOf(),
        default=_one,
        doc="Contacts of a pair of cells that makes any: a number or a distribution, rounded towards 0.",
    )
    voxels_pre = Attribute(
        types.integer(min=1),
        default=50,
        doc="About how many voxels the box around a source's morphology is divided into.",
    )
    voxels_post = Attribute(
        types.integer(min=1),
        default=50,
        doc="About how many voxels the box around a target's morphology is divided into.",
    )
    affinity = Attribute(
        types.fraction(), default=1.0, doc="Part of the cells whose boxes meet a source's that is looked at."
    )
    cache = Attribute(types.boolean(), default=True, doc="Accepted as the BSB's, without effect.", semantic=False)
    favor_cache = Attribute(
        types.Choice("pre", "post"), default="pre", doc="Accepted as the BSB's, without effect.", semantic=False
    )

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        wrong = None if self.contacts is None else _too_many(self.contacts)
        return [("contacts", wrong)] if wrong else []

    def warnings(self) -> list[tuple[str, str]]:
        none = float(_cumulative(self.contacts)[0]) == 1
        return super().warnings() + ([("contacts", "are always below 1: there will be no synapses")] if none else [])

    def guess(self, pair: Pair, n_cells: Mapping[str, int]) -> float:
        network = self.root().network
        near = np.prod([min(BOX / side, 1.0) for side in (network.x, network.y, network.z)])
        return n_cells[pair[0]] * n_cells[pair[1]] * near * self.affinity * self._mean()

    def of_a_pair(self, pair: Pair, sample: Sample) -> float:
        """Return the mean over cells that are not turned: turning them changes little on average."""
        shares = []
        if max(self.voxels_pre, self.voxels_post) > MOST_VOXELS:
            return float("nan")
        for source, target in product(*map(sample.shapes, pair)):
            a = _voxels(self.presynaptic, source, self.voxels_pre)
            b = _voxels(self.postsynaptic, target, self.voxels_post)
            if a is None or b is None:
                shares.append(0.0)
                continue
            places = target.points[b.points]
            touched = Touched.make(a, b.size, Placed.margin(places, b.size))
            (low, high), (least, most) = source.bounds, target.bounds
            apart, share = sample.apart(pair, np.stack([low - most, high - least]))  # where their boxes meet
            one = Wanted(np.zeros(1), Draws(np.random.Generator(np.random.PCG64(0))), 0)
            found = unturned(touched, Placed.make(places, b.points, touched), apart, one)
            shares.append(share[found.pair].sum() / len(apart))
        return float(np.mean(shares)) * self.affinity * self._mean() if shares else float("nan")

    def _mean(self) -> float:
        """Return the mean number of contacts of a pair of cells that makes any."""
        return float((1 - _cumulative(self.contacts)).sum())

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        arrays = {"contacts": _cumulative(self.contacts)}
        shapes = given.morphologies
        voxels = [
            {name: _voxels(side, shapes[name], n) for cells in of.values() for name in cells.morphologies if name}
            for side, of, n in (
                (self.presynaptic, sources, self.voxels_pre),
                (self.postsynaptic, targets, self.voxels_post),
            )
        ]
        made: dict[tuple[str, str], Touched] = {}
        for pre, post in self.pairs():
            turns = sources[pre].rotations is not None or targets[post].rotations is not None
            for source, target in product(sources[pre].morphologies, targets[post].morphologies):
                a, b = voxels[0].get(source), voxels[1].get(target)
                if a is None or b is None:
                    continue
                places = shapes[target].points[b.points]
                try:
                    if (source, target) not in made:
                        made[source, target] = Touched.make(a, b.size, Placed.margin(places, b.size))
                    touched = made[source, target]
                    other = Turned.make(b, places, touched) if turns else Placed.make(places, b.points, touched)
                except UserError as error:
                    at = (*self.path, "voxels_post")
                    what = f'from "{source}" to "{target}"'
                    raise UserError(Mistake(f"{what}: {m.message}", at) for m in error.mistakes) from None
                for part in (touched, other):
                    at = _prefix(source, target, type(part))
                    arrays |= {at + name: array for name, array in part.arrays().items()}
        return arrays

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made, draws, purpose = {}, Draws(rng), 0
        for pre, post in self.pairs():
            own = _Shaped.of(sources[pre], given)
            others = _Shaped.of(targets[post], given, own.boxes)
            pairs = _Pairs(own, others, given, draws, purpose)
            source, target, *points = pairs.contacts(self.affinity)
            at = {}
            for side, cells, of, point in zip(
                (EFFERENT, AFFERENT), (sources[pre], targets[post]), (source, target), points, strict=True
            ):
                at |= located(side, cells, given.morphologies, of, point)
            made[pre, post] = Synapses(source, target, at)
            purpose += pairs.n_purposes
        return made


@dataclass(frozen=True)
class _Shaped:
    """The cells of a type that have a morphology.

    Attributes
    ----------
    names : of morphologies
    index : (n,) int64, among all cells that are given
    code : (n,) integers, into `names`
    positions : (n, 3) float64, um
    rotations : (n, 4) float64, or None where none is turned
    boxes : (n, 2, 3) float64, um, around their whole morphologies
    """

    names: tuple[str, ...]
    index: np.ndarray
    code: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray | None
    boxes: np.ndarray

    @classmethod
    def of(cls, cells: Cells, given: Given, boxes: np.ndarray | None = None) -> "_Shaped":
        """Return those of some cells, or at least those whose boxes meet some boxes."""
        names, nothing = cells.morphologies, np.array([[np.inf] * 3, [-np.inf] * 3])
        bounds = np.array([given.morphologies[name].bounds if name else nothing for name in names])
        index = np.flatnonzero(np.array([bool(name) for name in names])[cells.morphology])
        if boxes is not None:
            index = index[near(bounds, cells.positions[index], cells.rotations is not None, boxes)]
        code, positions = cells.morphology[index], cells.positions[index].astype(np.float64)
        rotations = None if cells.rotations is None else cells.rotations[index]
        boxes = around(bounds, code, positions, rotations)
        return cls(names, index, code, positions, rotations, boxes)

    def turns(self, which: np.ndarray) -> np.ndarray:
        """Return the rotations of some cells, (m, 3, 3)."""
        if self.rotations is None:
            return np.broadcast_to(np.eye(3), (len(which), 3, 3))
        return matrices(self.rotations[which])


@dataclass(frozen=True)
class _Pairs:
    """The cells of two types in a unit.

    Attributes
    ----------
    sources, targets : cells
    given : the tables of `prepare`, and the morphologies
    draws, purpose : what is drawn from: `purpose` and the n_purposes - 1 after it
    """

    sources: _Shaped
    targets: _Shaped
    given: Given
    draws: Draws
    purpose: int

    @property
    def n_purposes(self) -> int:
        """Two for the candidates, and two for each pair of morphologies."""
        return 2 + 2 * len(self.sources.names) * len(self.targets.names)

    def contacts(self, affinity: float) -> np.ndarray:
        """Return the contacts, (4, n) int64: source and target cell, and the point of the morphology of each."""
        sources, targets = self.sources, self.targets
        made: dict[int, list[np.ndarray]] = {}
        for met in meeting(sources.boxes, targets.boxes):
            source, target = met.pairs(subsets(met.n, affinity, self.draws, self.purpose))
            group = sources.code[source].astype(np.int64) * len(targets.names) + targets.code[target]
            for of in np.unique(group).tolist():
                pre, post = source[group == of], target[group == of]
                found = self._contacts(of, pre, post)
                cells = sources.index[pre[found.pair]], targets.index[post[found.pair]]
                made.setdefault(of, []).append(np.stack([*cells, found.source, found.target]))
        parts = [part for _, parts in sorted(made.items()) for part in parts]
        return np.concatenate([np.empty((4, 0), np.int64), *parts], axis=1)

    def _names(self, group: int) -> tuple[str, str]:
        """Return the names of a pair of morphologies."""
        source, target = divmod(group, len(self.targets.names))
        return self.sources.names[source], self.targets.names[target]

    def _contacts(self, group: int, source: np.ndarray, target: np.ndarray) -> Contacts:
        """Return the contacts of pairs of cells of one pair of morphologies."""
        prepared, names = self.given.prepared, self._names(group)
        wanted = Wanted(prepared["contacts"], self.draws, self.purpose + 2 + 2 * group)
        if _prefix(*names, Touched) + "size" not in prepared:  # no point of one of them has the labels
            return Contacts.joined([])
        touched = Touched.of(prepared, _prefix(*names, Touched))
        apart = self.targets.positions[target] - self.sources.positions[source]
        if self.sources.rotations is None and self.targets.rotations is None:
            return unturned(touched, Placed.of(prepared, _prefix(*names, Placed)), apart, wanted)
        back = self.sources.turns(source).transpose(0, 2, 1)
        apart = np.einsum("pij,pj->pi", back, apart)
        turn = back @ self.targets.turns(target)
        return turned(touched, Turned.of(prepared, _prefix(*names, Turned)), apart, turn, wanted)


def _prefix(source: str, target: str, table: type) -> str:
    """Return what the names of the arrays of a table of two morphologies begin with."""
    return f"tables/{source}/{target}/{table.__name__}/"


def _voxels(side: Side, morphology: Morphology, n: int) -> Voxels | None:
    """Return the voxels with points of a morphology that may be connected; None if there are no such points."""
    if not len(side.points_of(morphology)):
        return None
    return voxelize(morphology, size=thick(edges_of(morphology, n)), labels=side.morphology_labels)


def _too_many(contacts: Distribution) -> str | None:
    """Return what is wrong with a distribution whose draws may be very large."""
    if contacts.cdf(np.array([MOST_CONTACTS]))[0] >= 1 - 1e-12:
        return None
    return f"should be: practically never more than {MOST_CONTACTS} for a pair of cells"


def _cumulative(contacts: Distribution) -> np.ndarray:
    """Return the probability of at most 0, 1, 2, ... contacts, (m,) float64; m or more are never drawn.

    Raises
    ------
    UserError : m would be very large
    """
    if wrong := _too_many(contacts):
        raise UserError(f"contacts {wrong}")
    m, found = 16, np.empty(0)
    while not len(found) or (found[-1] < 1 and m <= MOST_CONTACTS):
        m *= 4
        found = contacts.cdf(np.nextafter(np.arange(1.0, m + 1), 0))  # a draw below n + 1 makes n contacts at most
    return found[: int(np.searchsorted(found, 1.0)) + 1]
