"""The distributions that weights, delays and parameters are drawn from, with NEST's names, meanings and defaults.

A number of a description is a plain number, or {"distribution": "normal" | "lognormal" (mean, std: of the normal
underneath) | "uniform" (min, max) | "uniform_int" (max: whole numbers from 0, below it) | "exponential" (beta: the
mean), ...}. The bounds `min` and `max` of the others redraw what is outside them, as nest.math.redraw does. A number
that a component computes is in a slice {"component": ..., "typical": some of its values}: no distribution.
"""

import math

import numpy as np

Number = float | dict
PARAMETERS = {  # distribution -> (its own, bounds that it may have)
    "normal": (("mean", "std"), ("min", "max")),
    "lognormal": (("mean", "std"), ("min", "max")),
    "exponential": (("beta",), ("min", "max")),
    "uniform": (("min", "max"), ()),
    "uniform_int": (("max",), ()),
}
DEFAULTS = {
    "normal": {"mean": 0.0, "std": 1.0},
    "lognormal": {"mean": 0.0, "std": 1.0},
    "exponential": {"beta": 1.0},
    "uniform": {"min": 0.0, "max": 1.0},
}
MOST_INT = 2**53
LEAST_ACCEPTED = 1e-3  # of draws inside the bounds


def draw(number: Number, n: int, rng: np.random.Generator, least: float = -math.inf) -> np.ndarray:
    """Return (n,) float64 of a number, int64 of a uniform_int; draws below `least` are drawn again.

    Raises
    ------
    ValueError : see `fault`
    """
    if not isinstance(number, dict):
        return np.full(n, float(number))
    if why := fault(number, least):
        raise ValueError(why)
    values = _raw(number, n, rng)
    if number["distribution"] in ("uniform", "uniform_int"):
        return values
    low, high = _bounds(number, least)
    out = np.flatnonzero((values < low) | (values > high))
    while len(out):
        again = _raw(number, len(out), rng)
        values[out] = again
        out = out[(again < low) | (again > high)]
    return values


def fault(number: Number, least: float = -math.inf) -> str:
    """Return what is wrong with a number, or an empty string."""
    if not isinstance(number, dict):
        return "" if _is_finite(number) else f"a finite number is expected (got: {number})"
    if "distribution" not in number:
        return ""
    for name, value in number.items():
        if name != "distribution" and not _is_finite(value):
            return f"{name} should be a finite number (got: {value})"
    low, high = number.get("min", -math.inf), number.get("max", math.inf)
    if low > high:
        return f"min should not be above max (got: {low:g} and {high:g})"
    if number["distribution"] == "uniform_int":
        if high < 1 or high != int(high) or high > MOST_INT:
            return f"max should be a whole number >= 1 (got: {high:g})"
        return f"0, its least value, should be at least {least:g}" if least > 0 else ""
    if number["distribution"] == "uniform":
        return f"min should be at least {least:g} (got: {low:g})" if low < least else ""
    if "min" in number and low < least:
        return f"min should be at least {least:g} (got: {low:g})"
    low = max(low, least)
    if _below(number, high) - _below(number, low, strictly=True) < LEAST_ACCEPTED:
        return f"fewer than one in {1 / LEAST_ACCEPTED:.0f} draws is between {low:g} and {high:g}"
    return ""


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def samples(number: Number, least: float = -math.inf) -> list[float]:
    """Return typical and extreme values of a number that has no fault; none where they are not known."""
    if not isinstance(number, dict):
        return [float(number)]
    if "distribution" not in number:
        return [least] if math.isfinite(least) else list(number["typical"])
    if number["distribution"] == "uniform_int":
        return list(dict.fromkeys([int(number["max"]) - 1, 0]))
    low, high = _bounds(number, least)
    name = number["distribution"]
    if name == "uniform":
        return [low] if low == high else [low, float(np.nextafter(high, low))]
    middle = {"normal": number.get("mean"), "exponential": number.get("beta")}.get(name)
    if name == "lognormal":
        middle = math.exp(min(number["mean"], 700.0))
    return [min(max(middle, low), high), *(number[k] for k in ("min", "max") if k in number)]


def _bounds(number: dict, least: float) -> tuple[float, float]:
    return max(number.get("min", -math.inf), least), number.get("max", math.inf)


def _raw(number: dict, n: int, rng: np.random.Generator) -> np.ndarray:
    match number["distribution"]:
        case "normal":
            return rng.normal(number["mean"], number["std"], n)
        case "lognormal":
            return rng.lognormal(number["mean"], number["std"], n)
        case "exponential":
            return rng.exponential(number["beta"], n)
        case "uniform":
            return rng.uniform(number["min"], number["max"], n)
        case "uniform_int":
            return rng.integers(0, int(number["max"]), n)
    raise ValueError(f"no distribution {number['distribution']!r}")


def _below(number: dict, x: float, strictly: bool = False) -> float:
    """Return the probability of a draw of at most x (below x)."""
    if x == math.inf:
        return 1.0
    if number["distribution"] == "exponential":
        return 1.0 - math.exp(-x / number["beta"]) if x > 0 else 0.0
    if number["distribution"] == "lognormal":
        if x <= 0:
            return 0.0
        x = math.log(x)
    mean, std = number["mean"], number["std"]
    if std == 0:
        return float(mean < x if strictly else mean <= x)
    return 0.5 * math.erfc(-(x - mean) / (std * math.sqrt(2.0)))
