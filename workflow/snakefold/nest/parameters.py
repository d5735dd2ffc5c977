"""Parameters that are computed when a simulation is loaded: one value per cell, or one per edge.

A strategy is one function of arrays. A cell parameter sees all cells of its type; a connection parameter sees blocks of
edges, always the same ones, in file order, each with a random stream of its own.
"""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import expects
from snakefold.nest.distributions import draw
from snakefold.nest.values import is_drawn
from snakefold.sonata.edges import Edges
from snakefold.streams import stream


@dataclass(frozen=True)
class EdgeBlock:
    """Some edges of one set.

    Attributes
    ----------
    edges : the open edges file
    start, stop : the first row, and the one after the last
    source, target : (n,) int64, node ids
    positions : returns the positions of all cells of a type, (n_cells, 3) float32, um
    resolution : of the simulation, ms
    """

    edges: Edges
    start: int
    stop: int
    source: np.ndarray
    target: np.ndarray
    positions: Callable[[str], np.ndarray]
    resolution: float

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def source_positions(self) -> np.ndarray:
        """(n, 3) float32, um: the somata that the edges come from."""
        return self.positions(self.edges.source)[self.source]

    @cached_property
    def target_positions(self) -> np.ndarray:
        """(n, 3) float32, um: the somata that the edges go to."""
        return self.positions(self.edges.target)[self.target]

    def column(self, name: str) -> np.ndarray:
        """Return a property of the edges, (n,)."""
        return self.edges.column(name, self.start, self.stop)


class _Parameter(Node):
    """Base of the parameters that are computed.

    Class attributes
    ----------------
    algorithm_version : raise it when the same description gives other values than before
    typical : values that it gives, which NEST is asked about at check; of none only the parameter's name is checked
    """

    chosen_by: ClassVar[str] = "strategy"
    algorithm_version: ClassVar[int] = 1
    typical: ClassVar[tuple[float, ...]] = ()


class CellParameter(_Parameter):
    """Base of the parameters of a cell model that are computed, one value per cell."""

    kind: ClassVar[str] = "cell_parameter"

    def compute(self, cells: Cells, rng: np.random.Generator) -> np.ndarray:
        """Return one value per cell, (n,), of all cells of a type."""
        raise NotImplementedError


class ConnectionParameter(_Parameter):
    """Base of the parameters of a synapse that are computed, one value per edge."""

    kind: ClassVar[str] = "connection_parameter"

    def compute(self, edges: EdgeBlock, rng: np.random.Generator) -> np.ndarray:
        """Return one value per edge, (n,), of a block of edges."""
        raise NotImplementedError


class DistanceDelay(ConnectionParameter):
    """A delay from the distance between two somata: divided by a speed, and at least the resolution."""

    axon_speed = Attribute(types.number(above=0), required=True, unit="um/ms", doc="Speed of conduction along axons.")

    def compute(self, edges: EdgeBlock, rng: np.random.Generator) -> np.ndarray:
        vector = edges.source_positions.astype(np.float64) - edges.target_positions
        return np.maximum(np.sqrt((vector**2).sum(axis=1)) / self.axon_speed, edges.resolution)


def values(number: object, over: Sized, rng: np.random.Generator, least: float = -np.inf) -> np.ndarray:
    """Return a number's values, (n,), for n cells or edges.

    Parameters
    ----------
    number : as in a slice whose components are restored
    over : `Cells` or an `EdgeBlock`
    least : draws below it are drawn again; what a component computes may not be below

    Raises
    ------
    ValueError : a component gave something else, or see `distributions.fault`
    """
    if not isinstance(number, Node):
        return draw(number, len(over), rng, least)
    made = np.asarray(number.compute(over, rng))
    if made.shape != (len(over),) or made.dtype.kind not in "iuf":
        given = f"shape {made.shape} of {made.dtype}"
        raise ValueError(expects(f"what {type(number).__name__} computes", f"{len(over)} numbers", given))
    if not np.isfinite(made).all():
        raise ValueError(f"{type(number).__name__} computes {np.count_nonzero(~np.isfinite(made))} values not finite")
    if len(made) and made.min() < least * (1 - 1e-9):
        raise ValueError(f"{type(number).__name__} computes {made.min():g}, which is below {least:g}")
    return made if made.dtype.kind == "i" else made.astype(np.float64)


def values_of_cells(simulation: Mapping, cell_type: str, cells: Cells) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the parameters of a type's cells in a simulation: those that are one for all, and columns, (n,).

    Parameters
    ----------
    simulation : its slice, components restored
    cells : all of the type
    """
    cell = simulation["cells"][cell_type]
    drawn = {key: number for key, number in sorted(cell["parameters"].items()) if is_drawn(number)}
    constants = cell["constants"] | {k: v for k, v in cell["parameters"].items() if k not in drawn}
    seed = cell.get("seed", simulation["seed"])
    rngs = {key: stream(seed, "simulate", simulation["name"], "cell", cell_type, key) for key in drawn}
    return constants, {key: values(number, cells, rngs[key]) for key, number in drawn.items()}


def values_of_device(simulation: Mapping, name: str) -> dict:
    """Return the parameters of one of a simulation's devices."""
    device, made = simulation["devices"][name], {}
    for key, number in device["constants"].items():
        rng = stream(device.get("seed", simulation["seed"]), "simulate", simulation["name"], "device", name, key)
        made[key] = draw(number, 1, rng)[0].item() if is_drawn(number) else number
    return made
