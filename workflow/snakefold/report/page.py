"""The page: what is wanted, built and simulated, read from a results folder and written as one HTML file.

The page is a function of the results and of the rates that the description expects: no time, no path, no random
number; equal results are equal bytes. One section, which a caller may leave out, is about the run that made
them: host, commit, what its jobs have cost. It needs no network and no other file, and reads without scripts too; its
only script is ours, which the page's policy names by its digest.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from snakefold import hdf5
from snakefold.report import figures, measures, view
from snakefold.report.activity import Activity, read_activity
from snakefold.report.built import Circuit, read_circuit
from snakefold.report.figures import Picture
from snakefold.report.verdicts import write_verdicts

if TYPE_CHECKING:
    from markupsafe import Markup

FEW_ROWS = 24  # a table with more is folded away, but for its rows that deviate
FEW_PAIRS = 4  # of cell types; fewer need no grid


def write_report(
    results: str,
    cell_types: list[str],
    edge_sets: list[str],
    simulations: list[str],
    output: str,
    builds: list[str] | None = None,
    costs: Mapping[str, object] | None = None,
    expected_rates: Mapping[str, Mapping[str, float]] | None = None,
    run: Mapping[str, str] | None = None,
    verdicts: str = "",
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
    run : what else is known of the run that made the results, as its host
    verdicts : the file for the verdicts; "" for none

    Raises
    ------
    UserError : a result is missing or damaged, or the page cannot be written
    """
    import jinja2
    from markupsafe import Markup

    folder = Path(results)
    circuit = read_circuit(folder, sorted(cell_types), sorted(edge_sets), builds)
    expected = expected_rates or {}
    activities = [read_activity(folder, n, circuit.n_cells, expected.get(n, {})) for n in sorted(simulations)]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": count, "number": number, "signed": signed, "breakable": breakable}
    shipped = resources.files("snakefold.report")
    source, style, script = (shipped.joinpath(f"page.{s}").read_text(encoding="utf-8") for s in ("html", "css", "js"))
    colour = figures.colours(circuit.n_cells)
    text = environment.from_string(source).render(
        style=Markup(style),
        script=Markup(script),
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        name=folder.resolve().name,
        circuit=circuit,
        activities=activities,
        colour=colour,
        pictures=_pictures(circuit, activities, colour),
        circuit_digest=hdf5.combine(*circuit.digests),
        parts_digest=hdf5.combine(*circuit.parts.values()),
        rows=circuit.rows,
        cells_3d=view.encoded(circuit.positions, circuit.radius, colour) if _somewhere(circuit) else "",
        extents=view.extents(circuit.positions),
        few=FEW_ROWS,
        limits={name: getattr(measures, name) for name in ("Z_LIMIT", "SKEW", "TRANSIENT_MS", "LONG_MS", "MIN_SPIKES")},
        most_panels=figures.MOST_PANELS,
        costs=dict(sorted((costs or {}).items())),
        run=dict(run or {}),
    )
    hdf5.write_text(output, text)
    if verdicts:
        write_verdicts(circuit.rows, verdicts)


def _somewhere(circuit: Circuit) -> bool:
    return any(map(len, circuit.positions.values()))


def _pictures(circuit: Circuit, activities: list[Activity], colour: dict[str, str]) -> dict[str, object]:
    """Return the pictures of the page; a picture with nothing to show is None."""
    degrees = {side: {name: d for name, d in of.items() if len(d)} for side, of in circuit.degrees.items()}
    most = sorted(circuit.falloffs, key=lambda name: (-circuit.falloffs[name].n_synapses, name))[: figures.MOST_PANELS]
    falloffs = {edge.name: circuit.falloffs[edge.name] for edge in circuit.edges if edge.name in most}
    paint = {edge.name: colour[edge.source] for edge in circuit.edges if edge.source in colour}
    made: dict[str, Picture | None] = {
        "somata": figures.somata(circuit.positions, colour) if _somewhere(circuit) else None,
        "matrix": figures.matrix(*circuit.matrix()) if circuit.matrix()[2].size >= FEW_PAIRS else None,
        "in": figures.degrees(degrees["in"], "onto", colour) if degrees["in"] else None,
        "out": figures.degrees(degrees["out"], "from", colour) if degrees["out"] else None,
        "falloffs": figures.falloffs(falloffs, paint) if falloffs else None,
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


def breakable(name: str) -> "Markup":
    """Write a name that a line may be broken in, after an underscore."""
    from markupsafe import Markup, escape

    return Markup(str(escape(name)).replace("_", "_<wbr>"))


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
