"""The cerebellar cortex of cerebellar-models at another size or seed, built in this process, and what is expected of it.

Expected numbers of synapses are computed by brute force, pair by pair and voxel by voxel, on the positions of the
cells that were placed: nothing of the strategies is used.
"""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from scipy import stats

from descriptions import run
from snakefold.build import read
from snakefold.loading import load
from snakefold.morphology.voxels import edges_of
from snakefold.plan import Plan
from snakefold.planning import make
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / ".cerebellum/cerebellar_models"
CORTEX = PACKAGE / "configurations/mouse/mouse_cerebellar_cortex.yaml"


def write(folder: Path, seed: int, x: float = 100.0, y: float = 100.0, name: str = "cortex.yaml") -> Path:
    """Write a description of the cortex with another seed and extent, um, without hooks; return its file."""
    assert CORTEX.is_file(), f"{CORTEX} is not there: run `make cerebellum`, or `make acceptance`"
    file = folder / name
    lines = [f"$ref: {CORTEX}#/", f"rng: {{seed: {seed}}}", f"network: {{x: {x}, y: {y}}}"]
    file.write_text("\n".join(lines) + "\n")
    return file


def built(folder: Path, seed: int) -> Plan:
    """Build the cortex of 100 x 100 um in this process; return its plan."""
    with contextlib.redirect_stdout(None):
        return run(make(load(write(folder, seed)), str(folder / f"seed{seed}"), 1, "none"))


def snakemake(folder: Path, *arguments: str, tiles: int = 1) -> tuple[Path, list[str]]:
    """Return where the cortex of 100 x 100 um is built below a folder, and the command that does it."""
    folder.mkdir(exist_ok=True)
    description = write(folder, 1234)
    command = [sys.executable, "-m", "snakemake", "circuit", "-c2", "-q", "all", "-s", str(ROOT / "Snakefile")]
    config = [f"circuit={description}", "results=results", f"tiles={tiles}", "simulations=none"]
    return folder / "results/cortex", [*command, "-d", str(folder), *arguments, "--config", *config]


def n_cells(plan: Plan) -> dict[str, int]:
    """Return the number of cells of each type."""
    return {t: Nodes(plan.nodes(t)).n for t in plan.cell_types}


def n_synapses(plan: Plan) -> dict[str, int]:
    """Return the number of synapses of each edge set."""
    return {s: Edges(plan.edges(s)).n for s in plan.edge_sets()}


@dataclass(frozen=True)
class Expected:
    """The number of synapses of a strategy on given positions: its mean and variance over what is drawn."""

    mean: float
    variance: float = 0.0


def expected(plan: Plan) -> dict[str, Expected]:
    """Return what is expected of each strategy, by brute force."""
    found = {}
    for name, connection in plan.connections.items():
        slice_ = plan.parts[f"connect/{name}"].slice
        says = slice_["component"]["attributes"]
        pre, post = (
            np.asarray(Nodes(plan.nodes(t)).positions(), float) for t in (*connection.sources, *connection.targets)
        )
        if "voxels_pre" in says:
            found[name] = _by_voxels(plan, connection, says, pre, post)
        elif "x_length" in says:  # one fibre for each glomerulus
            found[name] = Expected(len(post))
        elif "convergence" in says:
            found[name] = Expected(len(post) * says["convergence"])
        elif "divergence" in says:
            found[name] = Expected(_through_glomeruli(plan, says, pre))
        else:
            distance = np.linalg.norm(pre[:, None] - post[None], axis=2)
            found[name] = Expected(int((distance < says["radius"]).sum()))
    return found


def _through_glomeruli(plan: Plan, says: dict, golgi: np.ndarray) -> int:
    edges = Edges(plan.edges(says["glom_post_strats"][0]))
    fed = np.bincount(edges.block()[0].astype(int))
    places = Nodes(plan.nodes(says["glom_cell_types"][0])).positions().astype(float)[: len(fed)]
    places, fed = places[fed > 0], fed[fed > 0]
    total = 0
    for cell in golgi:
        distance = np.linalg.norm(places - cell, axis=1)
        near = np.argsort(distance)[: says["divergence"]]
        total += fed[near[distance[near] <= says["radius"]]].sum()
    return int(total)


def _by_voxels(plan: Plan, connection, says: dict, pre: np.ndarray, post: np.ndarray) -> Expected:
    shapes, labels, n = [], [], (says["voxels_pre"], says["voxels_post"])
    for side, cell_type in (("presynaptic", *connection.sources), ("postsynaptic", *connection.targets)):
        (name,) = set(Nodes(plan.nodes(cell_type)).column("morphology"))
        shapes.append(read(plan.built("morphology", name)).morphology)
        labels.append(shapes[-1].labelled(says[side]["morphology_labels"]))
    (a, s), (b, t) = ((shape.points[of], edges_of(shape, k)) for shape, of, k in zip(shapes, labels, n, strict=True))
    own = np.unique(np.floor(a / s), axis=0)
    mean, variance = _contacts(says["contacts"])
    affinity, total, spread = says["affinity"], 0.0, 0.0
    for cell in pre:
        apart = post - cell
        meets = np.ones(len(post), bool)
        for axis in range(3):
            low, high = (np.array([f(m.points[:, axis]) for m in shapes]) for f in (np.min, np.max))
            meets &= (low[0] <= high[1] + apart[:, axis]) & (low[1] + apart[:, axis] <= high[0])
        h, m = int(_touching(own, s, b, t, apart[meets]).sum()), int(meets.sum())
        if not h:
            continue
        k, more = divmod(m * affinity, 1)
        hits = h * affinity
        drawn = sum(
            p * size * (h / m) * (1 - h / m) * (m - size) / max(m - 1, 1)
            for size, p in ((k, 1 - more), (k + 1, more))
            if p
        )
        total += hits * mean
        spread += hits * variance + (drawn + (h / m) ** 2 * more * (1 - more)) * mean**2
    return Expected(total, spread)


def _contacts(says: float | dict) -> tuple[float, float]:
    """Return the mean and the variance of a number that is given, or normal and rounded towards 0."""
    if not isinstance(says, dict):
        return float(int(says)), 0.0
    assert says["distribution"] == "norm"
    law = stats.norm(says["loc"], says["scale"])
    k = np.arange(0, 400)
    p = law.cdf(k + 1) - np.where(k > 0, law.cdf(k), 0.0)
    mean = (k * p).sum()
    return float(mean), float((k**2 * p).sum() - mean**2)


@njit
def _meet(low, high, j, t):
    return low <= j * t + t and j * t <= high


@njit
def _touching(own, s, points, t, apart):
    """Return whether any voxel of each of some cells touches one of the source's; voxels are closed boxes."""
    found = np.zeros(len(apart), np.bool_)
    j, last = np.empty(3), np.empty(3)
    least, most = np.empty(3), np.empty(3)
    for axis in range(3):
        least[axis], most[axis] = own[:, axis].min(), own[:, axis].max()
    for pair in range(len(apart)):
        last[:] = np.inf
        for n in range(len(points)):
            same, far = True, False
            for axis in range(3):
                j[axis] = np.floor((points[n, axis] + apart[pair, axis]) / t[axis])
                same &= j[axis] == last[axis]
                far |= not _meet(least[axis] * s[axis], most[axis] * s[axis] + s[axis], j[axis], t[axis])
            if same or far:
                continue
            last[:] = j
            for i in range(len(own)):
                touch = True
                for axis in range(3):
                    touch &= _meet(own[i, axis] * s[axis], own[i, axis] * s[axis] + s[axis], j[axis], t[axis])
                if touch:
                    found[pair] = True
                    break
            if found[pair]:
                break
    return found
