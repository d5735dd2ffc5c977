"""Distributions of scipy by name: what they draw, and what is said of names and parameters that are none."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from snakefold.config.context import BuildContext, building
from snakefold.config.distribution import DistributionOf
from snakefold.config.nodes import INVALID
from snakefold.streams import stream

HANDLER = DistributionOf()


def cast(value):
    with building(BuildContext({"width": 2.0})) as build:
        made = HANDLER.cast(value, ("contacts",), None)
    return made, [str(mistake) for mistake in build.mistakes]


GOOD = [
    ({"distribution": "norm", "loc": 3.0, "scale": 2.0}, stats.norm(3.0, 2.0)),
    ({"distribution": "gamma", "a": 2.0}, stats.gamma(2.0)),
    ({"distribution": "truncexpon", "b": "= 2 * width"}, stats.truncexpon(4.0)),
    ({"distribution": "poisson", "mu": 4}, stats.poisson(4)),
    ({"distribution": "uniform"}, stats.uniform()),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_draws_are_those_of_scipy_and_of_the_stream_alone(value, expected):
    made, mistakes = cast(value)
    assert mistakes == []
    drawn = made.draw(4000, stream(3, "x"))
    assert drawn.dtype == np.float64 and drawn.shape == (4000,)
    np.testing.assert_array_equal(drawn, expected.rvs(4000, random_state=stream(3, "x")))
    np.testing.assert_array_equal(made.draw(4000, stream(3, "x")), drawn)
    assert drawn.mean() == pytest.approx(expected.mean(), rel=0.1)
    np.testing.assert_allclose(made.cdf([0.5, 3.0]), expected.cdf([0.5, 3.0]))
    assert made.interval(0.1) == (expected.ppf(0.1), expected.ppf(0.9))


def test_a_number_stands_for_itself():
    for value in (3, {"distribution": "constant", "constant": 3}):
        made, mistakes = cast(value)
        assert mistakes == [] and HANDLER.to_json(made) == 3.0
        assert made.draw(3, stream(1, "x")).tolist() == [3.0] * 3
        assert made.interval() == (3.0, 3.0) and made.cdf([2.0, 3.0]).tolist() == [0.0, 1.0]


def test_it_is_written_back_with_its_own_parameters():
    made, _ = cast({"distribution": "norm", "loc": 3})
    assert HANDLER.to_json(made) == {"distribution": "norm", "loc": 3.0}
    assert HANDLER.to_json(cast(HANDLER.to_json(made))[0]) == HANDLER.to_json(made)


BAD = [
    ({"distribution": "nrm"}, 'contacts.distribution: scipy.stats has no distribution "nrm"; did you mean "norm"?'),
    ({"distribution": "rv_continuous"}, 'contacts.distribution: scipy.stats has no distribution "rv_continuous"'),
    ({"distribution": "norm", "scal": 1}, 'contacts.scal: norm has no parameter "scal"; did you mean "scale"?'),
    ({"distribution": "poisson", "mu": 1, "scale": 2}, 'contacts.scale: poisson has no parameter "scale" (mu, loc)'),
    ({"distribution": "gamma"}, "contacts: gamma needs a"),
    ({"distribution": "norm", "scale": -1}, "contacts: no norm distribution has these parameters (got: scale: -1)"),
    ({"distribution": "norm", "loc": "x"}, "contacts.loc: should be: a number (got: 'x')"),
    ({"loc": 1}, 'contacts: "distribution" is missing'),
    ("norm", "contacts: should be: a number (got: 'norm')"),
    (float("nan"), "contacts: should be: a number (got: nan)"),
]


@pytest.mark.parametrize(("value", "words"), BAD)
def test_mistakes(value, words):
    made, mistakes = cast(value)
    assert made is INVALID and len(mistakes) == 1 and mistakes[0].startswith(words)


def test_scipy_is_imported_when_a_distribution_is_used_and_not_before():
    code = "import sys, snakefold.config.distribution, snakefold.planning; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
