"""What was built, against what was wanted: cells, synapses and degrees, read from a results folder."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snakefold.report import measures
from snakefold.report.distances import Falloff, falloff
from snakefold.report.measures import Summary
from snakefold.report.wanted import Parts, Wanted
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

SOMATA = 50_000  # more are sampled
_BLOCK_CELLS = 1 << 20
_BLOCK_EDGES = 1 << 22


class _Row:
    """What the rows have in common: a number, built against wanted, which hooks may have changed since."""

    @property
    def said(self) -> str:
        """The verdict in words; where there is none, why."""
        if self.verdict != measures.UNKNOWN:
            return self.verdict
        if self.wanted is None or not self.changed_by:
            return "not stated"
        return f"{'thinned' if self.built < self.wanted else 'changed'} by {', '.join(self.changed_by)}"


@dataclass(frozen=True)
class CellRow(_Row):
    """A cell type: built against wanted."""

    name: str
    makers: tuple[str, ...]
    wanted: float | None
    built: int
    density: float
    verdict: str
    changed_by: tuple[str, ...] = ()

    what = "cells"


@dataclass(frozen=True)
class EdgeRow(_Row):
    """An edge set: built against wanted, and `z`, in standard deviations, NaN where it has none."""

    name: str
    source: str
    target: str
    makers: tuple[str, ...]
    wanted: float | None
    sd: float
    built: int
    z: float
    verdict: str
    changed_by: tuple[str, ...] = ()

    what = "synapses"


@dataclass(frozen=True)
class DegreeRow(_Row):
    """Synapses onto ("in") or from ("out") each cell of a type, over some edge sets.

    Attributes
    ----------
    n_sets : how many edge sets are added up
    wanted, sd : mean over the cells and its spread by design; wanted is None where nobody said
    degrees : of the cells
    z : of the mean; NaN where it has none
    strategy : whose degree this is, the same for every cell by design; "" for all edge sets of the type
    changed_by : hooks that rewrite some of the edge sets
    """

    name: str
    side: str
    n_sets: int
    wanted: float | None
    sd: float
    degrees: Summary
    z: float
    verdict: str
    strategy: str = ""
    changed_by: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What it is, in words."""
        return f"{self.side}-degree{f' by {self.strategy}' if self.strategy else ''}"

    @property
    def built(self) -> float:
        """Mean degree."""
        return self.degrees.mean


@dataclass
class Circuit:
    """What was read of the circuit."""

    cells: list[CellRow] = field(default_factory=list)
    edges: list[EdgeRow] = field(default_factory=list)
    n_cells: dict[str, int] = field(default_factory=dict)
    positions: dict[str, np.ndarray] = field(default_factory=dict)  # of the types whose cells are somewhere
    radius: dict[str, float] = field(default_factory=dict)  # um
    degrees: dict[str, dict[str, np.ndarray]] = field(default_factory=lambda: {"in": {}, "out": {}})
    degree_rows: list[DegreeRow] = field(default_factory=list)
    falloffs: dict[str, Falloff] = field(default_factory=dict)  # by edge set
    digests: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)  # of the description: part -> digest
    seeds: list[int] = field(default_factory=list)

    @property
    def rows(self) -> list[CellRow | EdgeRow | DegreeRow]:
        """All that has a verdict."""
        return [*self.cells, *self.edges, *self.degree_rows]

    def matrix(self) -> tuple[list[str], list[str], np.ndarray]:
        """Return source types, target types and the (n_sources, n_targets) int64 numbers of synapses between them."""
        sources, targets = (sorted({getattr(edge, end) for edge in self.edges}) for end in ("source", "target"))
        counts = np.zeros((len(sources), len(targets)), np.int64)
        for edge in self.edges:
            counts[sources.index(edge.source), targets.index(edge.target)] += edge.built
        return sources, targets, counts


def read_circuit(
    results: Path, cell_types: list[str], edge_sets: list[str], builds: list[str] | None = None
) -> Circuit:
    """Read what was built; of edges, the index and once the ids of their sources, in blocks."""
    parts, placed_by = Parts(results, builds), {}
    circuit = Circuit(parts=parts.digests, seeds=parts.seeds)
    for name in cell_types:
        with Nodes(results / "nodes" / f"{name}.h5") as nodes:
            circuit.n_cells[name], placed_by[name] = nodes.n, nodes.chunks.blocks
            circuit.digests.append(nodes.digest)
    cells = parts.cells(placed_by)
    somewhere = {name: n for name, n in circuit.n_cells.items() if cells[name].located}
    shown = measures.allotted(list(somewhere.values()), SOMATA)
    for (name, n), most in zip(somewhere.items(), shown, strict=True):
        with Nodes(results / "nodes" / f"{name}.h5") as nodes:
            circuit.positions[name] = _positions(nodes, measures.sampled(n, most))
        circuit.radius[name] = cells[name].radius
    for name, w in cells.items():
        built = circuit.n_cells[name]
        _, verdict = _judged(built, w.mean, 0.0, w.changed_by)
        density = measures.density(built, w.volume)
        circuit.cells.append(CellRow(name, w.makers, w.mean, built, density, verdict, w.changed_by))
    _read_edges(circuit, results, parts.synapses(edge_sets))
    return circuit


def _read_edges(circuit: Circuit, results: Path, asked: dict[str, Wanted]) -> None:
    places: dict[str, np.ndarray] = {}
    fixed: dict[tuple[str, str, str], np.ndarray] = {}
    for name, w in asked.items():
        with Edges(results / "edges" / f"{name}.h5") as edges:
            ends = (edges.source, edges.target)
            judged = _judged(edges.n, w.mean, w.sd, w.changed_by)
            circuit.edges.append(EdgeRow(name, *ends, w.makers, w.mean, w.sd, edges.n, *judged, w.changed_by))
            circuit.digests.append(edges.digest)
            for side, end, degrees in (
                ("in", edges.target, edges.in_degrees(edges.n_targets)),
                ("out", edges.source, out_degrees(edges)),
            ):
                known = circuit.degrees[side].setdefault(end, np.zeros(len(degrees), np.int64))
                known += degrees
                if w.fixed and w.fixed[0] == side:
                    fixed[side, w.makers[0], end] = fixed.get((side, w.makers[0], end), 0) + degrees
            if all(end in circuit.positions for end in ends) and edges.n:
                for end in ends:
                    if end not in places:
                        with Nodes(results / "nodes" / f"{end}.h5") as nodes:
                            places[end] = nodes.positions()
                circuit.falloffs[name] = falloff(edges, *(places[end] for end in ends))
    circuit.degrees = {side: dict(sorted(of.items())) for side, of in circuit.degrees.items()}
    circuit.degree_rows = [*_by_type(circuit), *_by_strategy(circuit, fixed, asked)]


def _judged(built: int, mean: float | None, sd: float, changed_by: tuple[str, ...]) -> tuple[float, str]:
    """Return z and verdict: none for a number that is not as wanted where hooks change what strategies have made."""
    z = float("nan") if mean is None else measures.z_score(built, mean, sd)
    verdict = measures.verdict(built, mean, sd)
    return (float("nan"), measures.UNKNOWN) if changed_by and verdict == measures.DEVIATES else (z, verdict)


def out_degrees(edges: Edges) -> np.ndarray:
    """Return (n_sources,) int64: the number of edges from each source."""
    degrees = np.zeros(edges.n_sources, np.int64)
    for start in range(0, edges.n, _BLOCK_EDGES):
        sources, _ = edges.block(start, start + _BLOCK_EDGES)
        degrees += np.bincount(sources.astype(np.int64), minlength=edges.n_sources)
    return degrees


def _by_type(circuit: Circuit) -> Iterable[DegreeRow]:
    """Return the degrees of each type over all its edge sets; the draws of different sets are independent."""
    for side, end in (("in", "target"), ("out", "source")):
        for name, degrees in circuit.degrees[side].items():
            sets = [edge for edge in circuit.edges if getattr(edge, end) == name]
            stated = len(degrees) and all(edge.wanted is not None for edge in sets)
            mean = float(sum(edge.wanted for edge in sets)) if stated else None
            sd = float(sum(edge.sd**2 for edge in sets)) ** 0.5
            built, n = int(degrees.sum()), max(len(degrees), 1)
            each = (None, 0.0) if mean is None else (mean / n, sd / n)
            changed_by = tuple(sorted({hook for edge in sets for hook in edge.changed_by}))
            judged = _judged(built, mean, sd, changed_by)
            found = measures.summary(degrees)
            yield DegreeRow(name, side, len(sets), *each, found, *judged, changed_by=changed_by)


def _by_strategy(
    circuit: Circuit, fixed: dict[tuple[str, str, str], np.ndarray], asked: dict[str, Wanted]
) -> Iterable[DegreeRow]:
    """Return the degrees that strategies give every cell, where there are cells enough on the other side for it."""
    for (side, strategy, name), degrees in sorted(fixed.items(), key=lambda item: item[0]):
        end = "target" if side == "in" else "source"
        sets = [e.name for e in circuit.edges if e.makers == (strategy,) and getattr(e, end) == name]
        _, each = asked[sets[0]].fixed
        means = [asked[s].mean for s in sets]
        if not len(degrees) or None in means or abs(sum(means) - each * len(degrees)) > 0.5:
            continue
        found = measures.summary(degrees)
        verdict = measures.OK if found.least == found.most == each else measures.DEVIATES
        yield DegreeRow(name, side, len(sets), float(each), 0.0, found, float("nan"), verdict, strategy)


def _positions(nodes: Nodes, index: np.ndarray) -> np.ndarray:
    """Return (n, 3) float32, um: the positions of some cells, rising indices, read in blocks."""
    parts = [np.empty((0, 3), np.float32)]
    for start in range(0, nodes.n, _BLOCK_CELLS):
        low, high = np.searchsorted(index, [start, start + _BLOCK_CELLS])
        if high > low:
            parts.append(nodes.positions(start, start + _BLOCK_CELLS)[index[low:high] - start])
    return np.concatenate(parts)
