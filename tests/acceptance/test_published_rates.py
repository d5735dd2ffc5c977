"""Acceptance: the microcircuit at 0.1, 10 s of model time, against the published circuit's numbers."""

import numpy as np
import pytest

from microcircuit import POPULATIONS, REFERENCE, REFERENCE_CV, build, irregularity, rates
from snakefold.sonata.edges import Edges

TOLERANCE = {"L23E": 0.15, "L5E": 0.15}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return build(tmp_path_factory.mktemp("microcircuit"))


def test_rates(results):
    found = rates(results, 10_000.0)
    for population in POPULATIONS:
        print(f"{population:5s} {found[population]:.3f} Hz, reference {REFERENCE[population]:.3f} Hz")
    wrong = {
        p: (found[p], REFERENCE[p]) for p in POPULATIONS if abs(found[p] / REFERENCE[p] - 1) > TOLERANCE.get(p, 0.05)
    }
    assert not wrong


def test_irregularity(results):
    found = irregularity(results)
    for population in POPULATIONS:
        print(f"{population:5s} CV {found[population]:.3f}, reference {REFERENCE_CV[population]:.3f}")
    assert {p: v for p, v in found.items() if abs(v - REFERENCE_CV[p]) > 0.02} == {}


def test_in_degrees_are_binomial(results):
    for path in sorted((results / "edges").glob("*.h5")):
        with Edges(path) as edges:
            degrees = edges.in_degrees(edges.n_targets)
            p = 1 / edges.n_targets
            mean, variance = edges.n * p, edges.n * p * (1 - p)
            assert np.isclose(degrees.mean(), mean)
            spread = variance * np.sqrt(2 / edges.n_targets + 1 / (edges.n_targets * max(mean, 1e-9)))
            assert abs(degrees.var() - variance) < 5 * spread, path.name
