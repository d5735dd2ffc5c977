"""Distance-dependent probability: each pair of cells is connected with a probability that its distance gives.

Profiles as they are fitted to paired recordings, with d the distance of the somata: exponential (Perin, Berger &
Markram 2011, PNAS 108:5419), Gaussian (Hellwig 2000, Biol. Cybern. 82:111), linear, sigmoid, or a table.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.strategy import Arrays, ConnectivityStrategy, Given, Pair, Synapses
from snakefold.connectivity.thinning import Bins, Space, pairs
from snakefold.errors import listed
from snakefold.topology.boxes import AXES

PROFILES: dict[str, tuple[str, ...]] = {  # and the attributes that each takes
    "exponential": ("peak", "length"),
    "gaussian": ("peak", "sigma"),
    "linear": ("peak",),
    "sigmoid": ("peak", "midpoint", "width"),
    "table": ("table",),
}


def _of(*profiles: str) -> dict:
    """Return what an attribute of some profiles is declared with: required by these, a mistake with others."""

    def constraint(node: "DistanceProbability", value: object) -> str | None:
        wrong = node.profile is not None and node.profile not in profiles
        return f'the profile "{node.profile}" does not use it ({" ".join(PROFILES[node.profile])})' if wrong else None

    return {"required": lambda node: node.profile in profiles, "constraint": constraint}


def _rows(node: "DistanceProbability", table: np.ndarray) -> str | None:
    if wrong := _of("table")["constraint"](node, table):
        return wrong
    distance, probability = table.T
    if len(table) < 1 or distance[0] < 0 or (np.diff(distance) <= 0).any() or distance[-1] == 0:
        return "distances should be: at least 0 um, rising, the last above 0"
    return None if ((probability >= 0) & (probability <= 1)).all() else "probabilities should be: from 0 to 1"


def _network(node: "DistanceProbability", of: Callable) -> tuple[float, ...] | None:
    """Return something of the network's box, where space repeats and the network is known."""
    network = getattr(node.root(), "network", None)
    whole = network is not None and None not in (network.x, network.y, network.z, network.origin)
    return tuple(of(network)) if "periodic" in node.mentioned and whole else None


def _nothing_repeats(node: "DistanceProbability", _: object) -> str | None:
    return None if "periodic" in node.mentioned else 'nothing repeats; say along which axes with "periodic"'


def _repeats(node: "DistanceProbability", periodic: list[str]) -> str | None:
    if other := [axis for axis in periodic if axis not in (node.axes or AXES)]:
        return f"distance is measured along {listed(node.axes)} only (got: {listed(other)})"
    for axis in periodic if None not in (node.max_distance, node.period) else ():
        if node.max_distance > (half := node.period[AXES[axis]] / 2):
            far = f"half of what repeats along {axis}, {half:g} um, or a pair would meet twice"
            return f"the largest distance should be: at most {far} (got: {node.max_distance:g})"
    return None


class DistanceProbability(ConnectivityStrategy):
    """Connects each pair of cells with a probability that falls with their distance, independently of all others.

    The probability at a distance d, up to `max_distance`; beyond it is 0:
    exponential: peak exp(-d / length); gaussian: peak exp(-d^2 / (2 sigma^2)); linear: peak (1 - d / max_distance);
    sigmoid: peak / (1 + exp((d - midpoint) / width)); table: linear between its rows, constant before the first and 0
    after the last.
    """

    algorithm_version: ClassVar[int] = 1
    by_distance: ClassVar[bool] = True
    cost_per_edge_s: ClassVar[float] = 6e-7

    profile = Attribute(types.Choice(*PROFILES), required=True, doc="How the probability falls with distance.")
    peak = Attribute(
        types.number(above=0, max=1),
        doc="Probability at distance 0 (of a sigmoid: far below its midpoint).",
        **_of("exponential", "gaussian", "linear", "sigmoid"),
    )
    length = Attribute(types.number(above=0), unit="um", doc="Length constant of an exponential.", **_of("exponential"))
    sigma = Attribute(types.number(above=0), unit="um", doc="Standard deviation of a Gaussian.", **_of("gaussian"))
    midpoint = Attribute(types.number(), unit="um", doc="Where a sigmoid is half its peak.", **_of("sigmoid"))
    width = Attribute(types.number(above=0), unit="um", doc="Width of a sigmoid's slope.", **_of("sigmoid"))
    table = Attribute(
        types.Array(None, 2, says="a list of rows [distance, probability]"),
        doc="Rows [distance in um, probability], the distances rising.",
        required=lambda node: node.profile == "table",
        constraint=_rows,
    )
    axes = Attribute(
        types.ListOf(types.Choice(*AXES), least=1, distinct=True),
        default=lambda node: list(AXES),
        doc="Axes along which distance is measured, as in [x, y] for the distance across layers; all, if not given.",
    )
    max_distance = Attribute(
        types.number(above=0),
        unit="um",
        doc="Pairs that are farther apart are not connected; of a table, the distance of its last row if not given.",
        required=lambda node: node.profile != "table",
        default=lambda node: float(node.table[-1, 0]) if node.table is not None and len(node.table) else None,
    )
    period = Attribute(
        types.Vector(types.number(above=0)),
        default=lambda node: _network(node, lambda n: (n.x, n.y, n.z)),
        constraint=_nothing_repeats,
        unit="um",
        doc="After what lengths space repeats; the network's, if not given.",
    )
    origin = Attribute(
        types.Vector(types.number()),
        default=lambda node: _network(node, lambda n: n.origin),
        constraint=_nothing_repeats,
        unit="um",
        doc="Lower corner of what repeats; the network's, if not given.",
    )
    periodic = Attribute(
        types.ListOf(types.Choice(*AXES), distinct=True),
        default=lambda node: [],
        doc="Axes along which space repeats: what leaves it on one side comes back on the other.",
        constraint=_repeats,
    )
    autapses = Attribute(types.boolean(), default=True, doc="Whether a cell may have a synapse with itself.")

    def probability(self, distance: np.ndarray) -> np.ndarray:
        """Return the probability, (n,), of pairs at distances of at most `max_distance`, (n,) um."""
        if self.profile == "exponential":
            return self.peak * np.exp(-distance / self.length)
        if self.profile == "gaussian":
            return self.peak * np.exp(-0.5 * (distance / self.sigma) ** 2)
        if self.profile == "linear":
            return self.peak * (1 - distance / self.max_distance)
        if self.profile == "sigmoid":
            return self.peak / (1 + np.exp(np.minimum((distance - self.midpoint) / self.width, 700.0)))
        return np.interp(distance, *self.table.T, right=0.0)

    def bound(self, distance: np.ndarray) -> np.ndarray:
        """Return the largest probability, (n,), at some distances, (n,) um, and beyond."""
        if self.profile != "table":
            return self.probability(distance)
        at, values = self.table.T
        beyond = np.append(np.maximum.accumulate(values[::-1])[::-1], 0.0)
        return np.maximum(self.probability(distance), beyond[np.searchsorted(at, distance)])

    def space(self) -> Space:
        """Return the axes along which it measures distance."""
        index = [AXES[axis] for axis in self.axes]
        period = [self.period[AXES[axis]] if axis in self.periodic else 0.0 for axis in self.axes]
        return Space(np.asarray(self.origin or (0.0, 0.0, 0.0))[index], np.array(period))

    def prepare(self, sources: dict[str, Cells], targets: dict[str, Cells], given: Given) -> Arrays:
        arrays = {}
        for cell_type, cells in sources.items():
            bins = Bins.of(self._positions(cells), self.max_distance, self.space())
            arrays |= {f"{cell_type}/{name}": array for name, array in vars(bins).items()}
        return arrays

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made, space = {}, self.space()
        for pre, post in self.pairs():
            bins = Bins(*(given.prepared[f"{pre}/{field.name}"] for field in fields(Bins)))
            places = self._positions(targets[post])
            source, target = pairs(rng, bins, places, space, self.max_distance, self.probability, self.bound)
            if pre == post and not self.autapses:
                other = sources[pre].ids_of(source) != targets[post].ids_of(target)
                source, target = source[other], target[other]
            made[pre, post] = Synapses(source, target)
        return made

    def _positions(self, cells: Cells) -> np.ndarray:
        return cells.positions[:, [AXES[axis] for axis in self.axes]]
