"""Figures of the report, as pictures to embed: SVG, and PNG where there are many points.

All are drawn on white, in matplotlib's own style and font whatever the user's settings are, with the same colour for a
cell type everywhere. Equal content is equal bytes: no dates, no random names.
"""

import base64
import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from snakefold.report.distances import Falloff
from snakefold.report.measures import Summary, integer_bins, outline, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# After Okabe & Ito 2008 and Tol 2021, without what is pale on white: told apart with any colour vision.
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#882255", "#999933")
MOST_PANELS = 24
WIDTH = 7.4  # inch
_PIXELS = 118  # of the page, per inch
_DPI = 200  # of a PNG
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#667085",
    "axes.labelcolor": "#1d2433",
    "axes.linewidth": 0.7,
    "xtick.color": "#667085",
    "ytick.color": "#667085",
    "xtick.labelcolor": "#1d2433",
    "ytick.labelcolor": "#1d2433",
    "text.color": "#1d2433",
    "text.parse_math": False,  # a "$" in a name is a "$"
    "svg.hashsalt": "snakefold",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Picture:
    """A figure to embed.

    Attributes
    ----------
    uri : data URI
    alt : what it shows, in words
    width, height : px of the page
    """

    uri: str
    alt: str
    width: int
    height: int


def colours(cell_types: Iterable[str]) -> dict[str, str]:
    """Return cell type -> colour, by the place of its name in alphabetical order; beyond the cycle, it starts again."""
    return {name: CYCLE[i % len(CYCLE)] for i, name in enumerate(sorted(cell_types))}


@contextlib.contextmanager
def _figure(width: float, height: float) -> Iterator["Figure"]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _picture(figure: "Figure", alt: str, kind: str = "svg") -> Picture:
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    width, height = (round(inch * _PIXELS) for inch in figure.get_size_inches())
    return Picture(f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}", alt, width, height)


def somata(positions: Mapping[str, np.ndarray], colour: Mapping[str, str]) -> Picture:
    """Draw cells seen from the side, x to the right and z up, the nearest (lowest y) in front.

    Parameters
    ----------
    positions : cell type -> (n, 3), um
    """
    points = np.concatenate([p for p in positions.values()] or [np.empty((0, 3))])
    paint = np.repeat([colour[name] for name in positions], [len(p) for p in positions.values()])
    order = np.argsort(-points[:, 1], kind="stable")
    wide = np.ptp(points, axis=0) if len(points) else np.ones(3)
    tall = float(wide[2] / wide[0]) if wide[0] > 0 else 1.0
    height = float(np.clip(6.4 * tall + 0.6, 2.5, 6.0))
    with _figure(float(np.clip((height - 0.6) / max(tall, 0.01) + 1.2, 4.5, WIDTH)), height) as figure:
        axes = figure.add_subplot()
        size = float(np.clip(160 / max(len(points), 1) ** 0.5, 1.1, 7.0))
        axes.scatter(points[order, 0], points[order, 2], s=size**2, c=paint[order], linewidths=0, alpha=0.85)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel="x (µm)", ylabel="z (µm)")
        shown = ", ".join(f"{name} {len(p)}" for name, p in positions.items())
        return _picture(figure, f"Side view of the cells, x to the right and z up. Cells shown: {shown}.", "png")


def matrix(sources: Sequence[str], targets: Sequence[str], counts: np.ndarray) -> Picture:
    """Draw (n_sources, n_targets) numbers of synapses as a grid; a pair without synapses is white."""
    from matplotlib.colors import LogNorm

    n, m = counts.shape
    side = float(np.clip(5.2 / max(n, m), 0.11, 0.5))
    written = max(n, m) <= 12
    upright = m > 6 or max(map(len, targets), default=0) * _letter(side) > side * 0.9
    present = np.ma.masked_less(counts.astype(np.float64), 1)
    low, high = (float(present.min()), float(present.max())) if present.count() else (1.0, 1.0)
    left, below = (_letter(side) * max(map(len, names)) for names in (sources, targets))
    with _figure(m * side + left + (0.5 if written else 1.4), n * side + (below if upright else 0.2) + 0.5) as figure:
        axes = figure.add_subplot()
        norm = LogNorm(low / 2.5, high * 1.001)  # the least is not white
        mesh = axes.pcolormesh(present, cmap="Blues", norm=norm, edgecolors="white", linewidth=0.6)
        axes.set_aspect("equal")
        axes.set_xticks(np.arange(m) + 0.5, targets, rotation=90 if upright else 0, fontsize=_fitting(side))
        axes.set_yticks(np.arange(n) + 0.5, sources, fontsize=_fitting(side))
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.set(xlabel="to", ylabel="from")
        axes.spines[:].set_visible(False)
        if written:
            for i, j in zip(*np.nonzero(counts), strict=True):
                ink = "white" if norm(counts[i, j]) > 0.6 else "#1d2433"
                axes.text(j + 0.5, i + 0.5, short(counts[i, j]), ha="center", va="center", color=ink, fontsize=7)
        else:
            bar = figure.colorbar(mesh, ax=axes, label="synapses", shrink=0.7, aspect=25, format=lambda x, _: short(x))
            bar.outline.set_visible(False)
            bar.solids.set(rasterized=False, edgecolor="face")
        alt = f"Grid of the numbers of synapses from {n} to {m} cell types, {short(low)} to {short(high)} per pair."
        return _picture(figure, alt)


@contextlib.contextmanager
def _panels(names: Sequence[str]) -> Iterator[tuple["Figure", dict[str, "Axes"]]]:
    """Give a figure and a small panel of it for each name, which is its title."""
    columns = min(4, max(len(names), 1))
    rows = max(-(-len(names) // columns), 1)
    with _figure(WIDTH * (0.06 + 0.235 * columns), 1.55 * rows + 0.4) as figure:
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, names, strict=False):
            title = in_lines(name, 22)
            widest = max(map(len, title.splitlines()))
            axes.set_title(title, fontsize=float(np.clip(180 / widest, 5, 9)), loc="left")
            axes.tick_params(labelsize=7.5)
        yield figure, dict(zip(names, panels, strict=False))


def in_lines(name: str, letters: int) -> str:
    """Write a name of more letters than these in two lines, broken after the underscore nearest to its middle."""
    places = [i + 1 for i, letter in enumerate(name[:-1]) if letter == "_"]
    if len(name) <= letters or not places:
        return name
    middle = min(places, key=lambda i: abs(2 * i - len(name)))
    return f"{name[:middle]}\n{name[middle:]}"


def degrees(of: Mapping[str, np.ndarray], end: str, colour: Mapping[str, str]) -> Picture:
    """Draw a histogram of the synapses per cell for each type, MOST_PANELS at most.

    Parameters
    ----------
    of : cell type -> (n,) int
    end : "onto" or "from"
    """
    names = list(of)[:MOST_PANELS]
    with _panels(names) as (figure, panels):
        for name, axes in panels.items():
            edges = integer_bins(of[name])
            heights, _ = np.histogram(of[name], edges)
            axes.stairs(heights, edges, fill=True, color=colour[name])
            middle, half = (edges[0] + edges[-1]) / 2, max((edges[-1] - edges[0]) * 0.52, 3.0)
            axes.set_xlim(middle - half, middle + half)  # a single bar is a bar, not a wall
            axes.locator_params(nbins=4, integer=True)
        figure.supxlabel(f"synapses {end} a cell", fontsize=9)
        figure.supylabel("cells", fontsize=9)
        means = ", ".join(f"{name} {of[name].mean():.1f}" for name in names if len(of[name]))
        return _picture(figure, f"Histograms of synapses {end} a cell, by its type. Means: {means or 'none'}.")


def falloffs(curves: Mapping[str, Falloff], paint: Mapping[str, str]) -> Picture:
    """Draw the synapses per pair of cells by the distance of their somata, a panel per edge set.

    Parameters
    ----------
    paint : edge set -> colour
    """
    with _panels(list(curves)) as (figure, panels):
        for name, axes in panels.items():
            curve = curves[name]
            axes.stairs(curve.per_pair, curve.edges, color=paint[name], lw=1.4)
            axes.set(xlim=(0, curve.edges[-1]), ylim=(0, None if np.nansum(curve.per_pair) > 0 else 1))
            axes.locator_params(nbins=4)
            axes.ticklabel_format(axis="y", scilimits=(-4, 4))
            axes.yaxis.get_offset_text().set_fontsize(7)
        figure.supxlabel("distance of the somata (µm)", fontsize=9)
        figure.supylabel("synapses per pair", fontsize=9)
        peaks = ", ".join(f"{name} {_peak(curve)}" for name, curve in curves.items())
        return _picture(figure, f"Synapses per pair of cells by the distance of their somata. Most: {peaks}.")


def _peak(curve: Falloff) -> str:
    if not np.nansum(curve.per_pair) > 0:
        return "nowhere"
    at = int(np.nanargmax(curve.per_pair))
    return f"{curve.per_pair[at]:.2g} at {curve.edges[at]:.0f} to {curve.edges[at + 1]:.0f} µm"


@dataclass(frozen=True)
class Raster:
    """Spikes to draw.

    Attributes
    ----------
    spans : parts of the time shown, [(start, stop)], ms
    rows : cell type -> number of its rows, from the top
    times, row : cell type -> (n,) ms and rows within the type
    """

    spans: list[tuple[float, float]]
    rows: dict[str, int]
    times: dict[str, np.ndarray]
    row: dict[str, np.ndarray]


def raster(spikes: Raster, colour: Mapping[str, str]) -> Picture:
    """Draw spikes, a row per cell, ordered by type from the top, one panel per part of the time."""
    total = max(sum(spikes.rows.values()), 1)
    height = float(np.clip(0.02 * total + 0.9, 2.0, 5.4))
    tick = float(np.clip(0.75 * 72 * (height - 0.6) / total, 2.2, 6.0))
    with _figure(WIDTH, height) as figure:
        figure.get_layout_engine().set(wspace=0.06)
        widths = [stop - start for start, stop in spikes.spans]
        panels = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
        first = np.concatenate([[0], np.cumsum(list(spikes.rows.values()))]).astype(np.int64)
        for axes, (start, stop) in zip(panels, spikes.spans, strict=True):
            for name, at in zip(spikes.rows, first, strict=False):
                shown = (spikes.times[name] >= start) & (spikes.times[name] <= stop)
                times, rows = spikes.times[name][shown], spikes.row[name][shown] + at
                axes.plot(times, rows, ls="none", marker="|", ms=tick, mew=0.9, color=colour[name])
            for edge in first[1:-1]:
                axes.axhline(edge - 0.5, color="#d0d5dd", lw=0.5)
            axes.set(xlim=(start, stop), ylim=(total - 0.5, -0.5), xlabel="time (ms)")
            axes.locator_params(axis="x", nbins=5)
        middles = (first[1:] + first[:-1] - 1) / 2
        inch = min((height - 0.6) / max(len(middles), 1), 0.14)
        beside = spread(middles, inch / (height - 0.6) * total, 0.0, total - 1.0)
        panels[0].set_yticks(beside, list(spikes.rows), fontsize=_fitting(inch))
        for middle, label in zip(middles, beside, strict=True):  # from a name to its rows, which may be too few for it
            line = {"transform": panels[0].get_yaxis_transform(), "clip_on": False, "color": "#667085", "lw": 0.6}
            panels[0].plot([-0.03, 0], [label, middle], **line)
        for axes in panels:
            axes.tick_params(axis="y", length=0)
        panels[0].tick_params(axis="y", pad=14)
        parts = " and ".join(f"{start:g} to {stop:g} ms" for start, stop in spikes.spans)
        rows = ", ".join(f"{name} {n}" for name, n in spikes.rows.items())
        return _picture(figure, f"Spikes over time, {parts}, a row per cell. Cells shown: {rows}.", "png")


def bars(rates: Mapping[str, Summary], irregularity: Mapping[str, Summary], colour: Mapping[str, str]) -> Picture:
    """Draw mean rates and mean CV of ISI per population, with standard deviations over cells, side by side."""
    names = list(rates)
    inch = float(np.clip(6.0 / max(len(names), 1), 0.12, 0.3))
    with _figure(WIDTH, inch * len(names) + 0.8) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, of, label in ((left, rates, "rate (spikes/s)"), (right, irregularity, "CV of ISI")):
            means = np.nan_to_num([of[name].mean for name in names])
            sds = np.nan_to_num([of[name].sd for name in names])
            shown = np.minimum(sds, means), sds  # whiskers end at 0
            axes.barh(np.arange(len(names)), means, 0.72, color=[colour[name] for name in names])
            for ink, width in (("white", 2.6), ("#1d2433", 0.9)):  # seen on any colour
                axes.errorbar(means, np.arange(len(names)), xerr=shown, fmt="none", ecolor=ink, elinewidth=width)
            axes.set(xlabel=label, xlim=(0, None if (means + sds).any() else 1))
            axes.tick_params(axis="y", length=0)
        left.set_yticks(np.arange(len(names)), names, fontsize=_fitting(inch))
        left.set_ylim(len(names) - 0.4, -0.6)
        shown = ", ".join(f"{name} {rates[name].mean:.2f}" for name in names)
        return _picture(figure, f"Bars of mean rates and CV of ISI per population. Rates in spikes/s: {shown}.")


@dataclass(frozen=True)
class Trace:
    """One recorded cell: `times` (n,) ms, `values` (n,)."""

    cell_type: str
    node_id: int
    times: np.ndarray
    values: np.ndarray


def traces(recorded: Sequence[Trace], variable: str, units: str, colour: Mapping[str, str]) -> Picture:
    """Draw a variable of some cells over time, one above the other."""
    with _figure(WIDTH, 0.85 * len(recorded) + 0.7) as figure:
        panels = figure.subplots(len(recorded), 1, sharex=True, squeeze=False)[:, 0]
        for axes, trace in zip(panels, recorded, strict=True):
            axes.plot(*outline(trace.times, trace.values, 1600), lw=0.8, color=colour[trace.cell_type])
            axes.set_title(f"{trace.cell_type} {trace.node_id}", fontsize=8, loc="left", pad=2)
            axes.margins(x=0.01)
            axes.locator_params(axis="y", nbins=3)
            axes.tick_params(labelsize=7.5)
        panels[-1].set_xlabel("time (ms)")
        figure.supylabel(f"{variable} ({units})" if units else variable, fontsize=9)
        cells = ", ".join(f"{trace.cell_type} {trace.node_id}" for trace in recorded)
        return _picture(figure, f"{variable} over time of the cells {cells}.")


def short(number: float) -> str:
    """Write a number in at most four characters or so: 950, 1.2k, 35k, 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:.1f}{letter}" if number < 9.95 * size else f"{number / size:.0f}{letter}"
    return f"{number:.0f}"


def _letter(inch: float) -> float:
    """Return about how wide a letter is, inch, where lines are `inch` apart."""
    return 0.085 * _fitting(inch) / 9


def _fitting(inch: float) -> float:
    """Return a size of letters, pt, for lines that are `inch` apart."""
    return float(np.clip(72 * inch * 0.8, 3.0, 9.0))
