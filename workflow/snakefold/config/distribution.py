"""Distributions of scipy.stats, by name: `{distribution: norm, loc: 20, scale: 3}`, or a number that stands for itself.

scipy is imported when a description uses one, never before. Its parameters are keys beside the name.
"""

import functools
import math
from typing import Any

import numpy as np

from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.errors import did_you_mean, listed

CONSTANT = "constant"
NORMAL = "norm"  # its cdf does without scipy
_MEDIAN = 0.5


@functools.cache
def _stats() -> dict[str, Any]:
    """Return scipy's distributions of one variable by name."""
    from scipy import stats

    kinds = (stats.rv_continuous, stats.rv_discrete)
    return {name: value for name, value in vars(stats).items() if isinstance(value, kinds)}


def _parameters(name: str) -> list[str]:
    if name == CONSTANT:
        return [CONSTANT]
    distribution = _stats()[name]
    shapes = [shape.strip() for shape in distribution.shapes.split(",")] if distribution.shapes else []
    return [*shapes, "loc", *(["scale"] if hasattr(distribution, "pdf") else [])]  # the discrete ones have no scale


def _restored() -> bool:
    """Return whether a component is restored from its slice, in which nothing is wrong: importing scipy takes long."""
    return context.current().files is not None


def _known(node: Node, name: str) -> str | None:
    if _restored():
        return None
    known = [*_stats(), CONSTANT]
    return None if name in known else f'scipy.stats has no distribution "{name}"{did_you_mean(name, known)}'


class Distribution(Node):
    """A distribution of scipy.stats; its parameters are keys beside its name."""

    distribution = Attribute(
        types.string(),
        required=True,
        constraint=_known,
        doc="Its name in scipy.stats, as in norm, truncexpon or poisson; or constant.",
    )
    parameters = Attribute(
        types.DictOf(types.number(), names=False),
        default=lambda node: {},
        catches=True,
        doc="Its parameters, as scipy names them.",
    )

    def fault(self) -> tuple[str, str]:
        """Return (parameter or an empty string, what is wrong), ("", "") if nothing is."""
        known = _parameters(self.distribution)
        for key in self.parameters:
            if key not in known:
                return key, f'{self.distribution} has no parameter "{key}"{did_you_mean(key, known)} ({listed(known)})'
        needed = [key for key in known if key not in ("loc", "scale", *self.parameters)]
        if needed:
            return "", f"{self.distribution} needs {listed(needed)}"
        if self.distribution != CONSTANT and not math.isfinite(float(self._frozen.ppf(_MEDIAN))):
            given = ", ".join(f"{key}: {value:g}" for key, value in self.parameters.items())
            return "", f"no {self.distribution} distribution has these parameters (got: {given})"
        return "", ""

    @property
    def _frozen(self):
        return _stats()[self.distribution](**self.parameters)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n,) float64 draws."""
        if self.distribution == CONSTANT:
            return np.full(n, self.parameters[CONSTANT], np.float64)
        return np.asarray(self._frozen.rvs(size=n, random_state=rng), np.float64)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of a draw of at most x, float64 of x's shape."""
        if self.distribution == CONSTANT:
            return (np.asarray(x) >= self.parameters[CONSTANT]).astype(np.float64)
        if self.distribution == NORMAL:
            away = (np.asarray(x, np.float64) - self.parameters.get("loc", 0)) / self.parameters.get("scale", 1)
            return np.vectorize(math.erfc, otypes=[np.float64])(-away / math.sqrt(2)) / 2
        return np.asarray(self._frozen.cdf(x), np.float64)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Return the values below which draws are with some probabilities, float64 of their shape."""
        if self.distribution == CONSTANT:
            return np.full(np.shape(probability), self.parameters[CONSTANT], np.float64)
        return np.asarray(self._frozen.ppf(probability), np.float64)

    def interval(self, outside: float = 0.0) -> tuple[float, float]:
        """Return the quantiles of `outside` and 1 - `outside`; infinite where the distribution is not bounded."""
        if self.distribution == CONSTANT:
            return (self.parameters[CONSTANT],) * 2
        return float(self._frozen.ppf(outside)), float(self._frozen.ppf(1.0 - outside))


class DistributionOf(types.Type):
    """A `Distribution`; a number stands for the constant one."""

    says = "a number, or {distribution: one of scipy.stats, its parameters}"

    def nodes(self) -> list[type[Node]]:
        return [Distribution]

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [Distribution.schema(definitions), types.number().schema(definitions)]}

    def cast(self, value, path, parent):
        if not isinstance(value, dict):
            number = types.number().cast(value, path, parent)
            if number is INVALID:
                return INVALID
            value = {"distribution": CONSTANT, CONSTANT: number}
        build = context.current()
        before = len(build.mistakes)
        made = Distribution.build(value, path, parent)
        if len(build.mistakes) == before and not _restored():
            key, wrong = made.fault()
            if wrong:
                build.mistake((*path, key) if key else path, wrong)
        return INVALID if len(build.mistakes) > before else made

    def to_json(self, value):
        if value.distribution == CONSTANT:
            return value.parameters[CONSTANT]
        return {"distribution": value.distribution, **value.parameters}
