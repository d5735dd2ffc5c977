"""The page: what is wanted, built and simulated, read from a results folder and written as one HTML file.

The page is a function of the results and of the rates that the description expects: no time, no path, no random
number; equal results are equal bytes. Where SLURM has accounted for the jobs, it also says what they have cost. It
needs neither network nor scripts, and no other file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from snakefold import hdf5
from snakefold.report import figures, measures, wanted
from snakefold.report.activity import Activity, read_activity
from snakefold.report.figures import Picture
from snakefold.report.measures import Summary
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

SOMATA = 20_000
FEW_ROWS = 24  # a table with more is folded away, but for its rows that deviate
FEW_PAIRS = 4  # of cell types; fewer need no grid
_BLOCK_CELLS = 1 << 20


@dataclass(frozen=True)
class CellRow:
    """A cell type: built against wanted."""

    name: str
    makers: tuple[str, ...]
    wanted: float | None
    built: int
    density: float
    verdict: str


@dataclass(frozen=True)
class EdgeRow:
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


@dataclass(frozen=True)
class DegreeRow:
    """A target type: synapses per cell over all its edge sets."""

    name: str
    n_sets: int
    degrees: Summary


@dataclass
class Circuit:
    """What was read of the circuit."""

    cells: list[CellRow] = field(default_factory=list)
    edges: list[EdgeRow] = field(default_factory=list)
    n_cells: dict[str, int] = field(default_factory=dict)
    positions: dict[str, np.ndarray] = field(default_factory=dict)  # of the types whose cells are somewhere
    degrees: dict[str, np.ndarray] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)

    def degree_rows(self) -> list[DegreeRow]:
        """Return a row per target type."""
        counts = {name: sum(edge.target == name for edge in self.edges) for name in self.degrees}
        return [DegreeRow(name, counts[name], measures.summary(d)) for name, d in self.degrees.items()]

    def matrix(self) -> tuple[list[str], list[str], np.ndarray]:
        """Return source types, target types and the (n_sources, n_targets) int64 numbers of synapses between them."""
        sources, targets = (sorted({getattr(edge, end) for edge in self.edges}) for end in ("source", "target"))
        counts = np.zeros((len(sources), len(targets)), np.int64)
        for edge in self.edges:
            counts[sources.index(edge.source), targets.index(edge.target)] += edge.built
        return sources, targets, counts


def write_report(
    results: str,
    cell_types: list[str],
    edge_sets: list[str],
    simulations: list[str],
    output: str,
    builds: list[str] | None = None,
    costs: Mapping[str, object] | None = None,
    expected_rates: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Write the report of a circuit.

    Parameters
    ----------
    results : the folder of its results
    cell_types, edge_sets, simulations : the names that are reported
    output : the HTML file
    builds : files of the build phase that belong to the circuit; None for all that lie in its results
    costs : what the jobs of rules have cost, rule -> `cost.Cost`
    expected_rates : simulation -> cell type -> rate that is compared with, Hz

    Raises
    ------
    UserError : a result is missing or damaged, or the page cannot be written
    """
    import jinja2

    folder = Path(results)
    circuit = read_circuit(folder, sorted(cell_types), sorted(edge_sets), builds)
    expected = expected_rates or {}
    activities = [read_activity(folder, n, circuit.n_cells, expected.get(n, {})) for n in sorted(simulations)]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": count, "number": number, "signed": signed}
    source = resources.files("snakefold.report").joinpath("page.html").read_text(encoding="utf-8")
    colour = figures.colours(circuit.n_cells)
    text = environment.from_string(source).render(
        name=folder.resolve().name,
        circuit=circuit,
        activities=activities,
        colour=colour,
        pictures=_pictures(circuit, activities, colour),
        circuit_digest=hdf5.combine(*circuit.digests),
        digests=wanted.digests(folder, builds),
        rows=[*circuit.cells, *circuit.edges],
        few=FEW_ROWS,
        limits={name: getattr(measures, name) for name in ("Z_LIMIT", "TRANSIENT_MS", "LONG_MS", "MIN_SPIKES", "OK")},
        most_panels=figures.MOST_PANELS,
        costs=dict(sorted((costs or {}).items())),
    )
    hdf5.write_text(output, text)


def read_circuit(
    results: Path, cell_types: list[str], edge_sets: list[str], builds: list[str] | None = None
) -> Circuit:
    """Read what was built; edges only through their index, so that their number hardly matters."""
    circuit, placed_by = Circuit(), {}
    for name in cell_types:
        with Nodes(results / "nodes" / f"{name}.h5") as nodes:
            circuit.n_cells[name], placed_by[name] = nodes.n, nodes.chunks.blocks
            circuit.digests.append(nodes.digest)
    cells = wanted.cells(results, placed_by, builds)
    somewhere = {name: n for name, n in circuit.n_cells.items() if cells[name].located}
    shown = measures.allotted(list(somewhere.values()), SOMATA)
    for (name, n), most in zip(somewhere.items(), shown, strict=True):
        with Nodes(results / "nodes" / f"{name}.h5") as nodes:
            circuit.positions[name] = _positions(nodes, measures.sampled(n, most))
    for name, w in cells.items():
        built = circuit.n_cells[name]
        row = CellRow(name, w.makers, w.mean, built, measures.density(built, w.volume), measures.verdict(built, w.mean))
        circuit.cells.append(row)
    asked = wanted.synapses(results, edge_sets, builds)
    degrees: dict[str, np.ndarray] = {}
    for name in edge_sets:
        with Edges(results / "edges" / f"{name}.h5") as edges:
            w, ends = asked[name], (edges.source, edges.target)
            z = float("nan") if w.mean is None else measures.z_score(edges.n, w.mean, w.sd)
            verdict = measures.verdict(edges.n, w.mean, w.sd)
            circuit.edges.append(EdgeRow(name, *ends, w.makers, w.mean, w.sd, edges.n, z, verdict))
            circuit.digests.append(edges.digest)
            known = degrees.setdefault(edges.target, np.zeros(edges.n_targets, np.int64))
            known += edges.in_degrees(len(known))
    circuit.degrees = dict(sorted(degrees.items()))
    return circuit


def _positions(nodes: Nodes, index: np.ndarray) -> np.ndarray:
    """Return (n, 3) float32, um: the positions of some cells, rising indices, read in blocks."""
    parts = [np.empty((0, 3), np.float32)]
    for start in range(0, nodes.n, _BLOCK_CELLS):
        low, high = np.searchsorted(index, [start, start + _BLOCK_CELLS])
        if high > low:
            parts.append(nodes.positions(start, start + _BLOCK_CELLS)[index[low:high] - start])
    return np.concatenate(parts)


def _pictures(circuit: Circuit, activities: list[Activity], colour: dict[str, str]) -> dict[str, object]:
    """Return the pictures of the page; a picture with nothing to show is None."""
    degrees = {name: d for name, d in circuit.degrees.items() if len(d)}
    made: dict[str, Picture | None] = {
        "somata": figures.somata(circuit.positions, colour) if any(map(len, circuit.positions.values())) else None,
        "matrix": figures.matrix(*circuit.matrix()) if circuit.matrix()[2].size >= FEW_PAIRS else None,
        "degrees": figures.in_degrees(degrees, colour) if degrees else None,
    }
    drawn: dict[str, dict[str, object]] = {}
    for activity in activities:
        measured = [p for p in activity.populations if p.rate is not None and p.n_cells] if activity.raster else []
        drawn[activity.name] = {
            "raster": figures.raster(activity.raster, colour) if activity.raster else None,
            "bars": figures.bars({p.name: p.rate for p in measured}, {p.name: p.cv for p in measured}, colour)
            if measured
            else None,
            "recordings": [figures.traces(r.traces, r.variable, r.units, colour) for r in activity.recordings],
        }
    return {**made, "simulations": drawn}


def count(number: float | None) -> str:
    """Write a whole number with separators, a mean with one decimal; "–" where there is none."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def number(value: float | None, decimals: int = 2) -> str:
    """Write a number with some decimals; "–" where there is none."""
    return "–" if value is None or value != value else f"{value:,.{decimals}f}"


def signed(value: float | None, decimals: int = 0) -> str:
    """Write a difference with its sign; "–" where there is none."""
    if value is None or value != value:
        return "–"
    text = f"{value:+,.{decimals}f}"
    return text.lstrip("+-") if not text.strip("+-0.,") else text.replace("-", "\N{MINUS SIGN}")
