"""Packed cells are distributed as if there were no chunks, regions or tiles; each test is tried on a wrong version, too."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import chi2, ttest_1samp

from packings import Packed, filled
from snakefold.placement.packing import lattice, solver

RADIUS, SIDE, CHUNK = 5.0, 360.0, 60.0
BOX = np.array([[[0, 0, 0], [SIDE] * 3]])


def packed(fraction=0.2, seed=1, **how):
    return Packed(BOX, filled(SIDE**3, fraction, [RADIUS], [1.0]), [RADIUS], seed=seed, chunk=CHUNK, **how)


def profile_p(points, pitch, bins=12):
    """Return how probable it is that a density is as even across borders, `pitch` apart, as this one, or less so.

    Only the inner part of the box counts; the three axes are one sample. Packed spheres are more regular than a Poisson
    process, so the variance of the counts is that of the same cells between planes at random places.
    """
    inner = points[((points > CHUNK / 2) & (points < SIDE - CHUNK / 2)).all(axis=1)]

    def counts(pitch):
        return sum(np.histogram(inner[:, axis] % pitch, bins, (0, pitch))[0] for axis in range(3))

    span = SIDE - CHUNK

    def uneven(pitch):
        edges = np.linspace(0, pitch, bins + 1)
        periods = np.arange(np.floor(SIDE / pitch) + 1)[:, None] * pitch
        clipped = np.clip(periods + edges, CHUNK / 2, SIDE - CHUNK / 2)
        expected = 3 * np.diff(clipped, axis=1).sum(axis=0) / span * len(inner)
        return ((counts(pitch) - expected) ** 2 / expected).sum()

    others = [uneven(p) for p in np.linspace(0.71, 0.97, 40) * pitch]
    return chi2.sf(uneven(pitch) / np.mean(others) * (bins - 1), bins - 1)


def near_neighbours(points):
    """Return the number of neighbours nearer than 1.2 diameters of each sphere that is well within the box."""
    inner = np.flatnonzero(((points > 30) & (points < SIDE - 30)).all(axis=1))
    return inner, cKDTree(points).query_ball_point(points[inner], 2.4 * RADIUS, return_length=True) - 1


def near_minus_far(packing):
    """Return how many more neighbours spheres near planes of the lattice have than those far from them."""
    points = packing.points.astype(float)
    inner, n = near_neighbours(points)
    pitch = packing.lattice.pitch
    x = points[inner] / pitch
    away = (np.abs(x - np.clip(np.rint(x), 1, packing.lattice.n - 1)) * pitch).min(axis=1)
    return n[away < 3 * RADIUS].mean() - n[away > 5 * RADIUS].mean()


def borders_p(packings):
    """Return how probable it is that spheres near planes have neighbours as other as these, by the spread over seeds."""
    return ttest_1samp([near_minus_far(p) for p in packings], 0).pvalue


@pytest.fixture(scope="module")
def many():
    return [packed(0.3, seed) for seed in range(1, 17)]


def test_density_does_not_show_chunks_or_regions(many):
    for pitch in (CHUNK, float(many[0].lattice.pitch[0])):
        assert min(profile_p(p.points, pitch) for p in many) > 1e-3


def test_neighbours_near_planes_are_as_those_far_from_them(many):
    """The standard error is 0.4 % of the number of neighbours: 3 % more or fewer would be found in all but 1 of 1000."""
    assert borders_p(many) > 1e-3


def test_a_start_on_a_jittered_lattice_would_show(monkeypatch):
    def lattice_starts(self, chunk):
        n = round(len(original(self, chunk).points) ** (1 / 3))
        low, _ = self.grid.bounds(np.array([chunk], np.uint64))
        ijk = np.indices((n,) * 3).reshape(3, -1).T
        jitter = np.random.default_rng(chunk).uniform(0.3, 0.7, ijk.shape)
        points = (low + (ijk + jitter) * CHUNK / n).astype(np.float32)[: len(original(self, chunk).points)]
        rest = original(self, chunk).points[len(points) :]
        return solver.Starts(np.concatenate([points, rest]), original(self, chunk).radii)

    original = Packed.starts
    monkeypatch.setattr(Packed, "starts", lattice_starts)
    assert profile_p(packed(0.3).points, CHUNK) < 1e-3


def test_regions_without_ghosts_would_show(monkeypatch):
    none = np.full((1, 1, 3), -1)
    monkeypatch.setattr(lattice.Lattice, "beside", lambda self, nodes: np.repeat(none, len(nodes), axis=0))
    assert borders_p([packed(0.3, seed) for seed in range(1, 9)]) < 1e-3


def test_metropolis_sweeps_make_a_fluid_of_hard_spheres():
    """Contact value by Carnahan & Starling (1969), g(d) = (1 - phi/2) / (1 - phi)^3."""
    phi = 0.2
    packing = packed(phi, mc_sweeps=30)
    points = packing.points.astype(float)
    inner = points[((points > 30) & (points < SIDE - 30)).all(axis=1)]
    d = 2 * RADIUS
    tree = cKDTree(points)
    n = tree.query_ball_point(inner, 1.04 * d, return_length=True).sum() - len(inner)
    g = n / len(inner) / (len(points) / SIDE**3 * 4 / 3 * np.pi * d**3 * (1.04**3 - 1))
    assert abs(g - (1 - phi / 2) / (1 - phi) ** 3) < 0.12
    sticky = packed(phi).points.astype(float)
    assert len(cKDTree(sticky).query_pairs(1.02 * d)) > 1.5 * len(tree.query_pairs(1.02 * d))
