"""Type handlers of numbers. Where one is allowed, so is an expression (`= 20683 * scale`, see `config.expression`)."""

import math
import re

from snakefold.config import context
from snakefold.config.expression import evaluate
from snakefold.config.leaf import Leaf, wrong
from snakefold.config.nodes import INVALID

NUMBER_AS_TEXT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
EXPRESSION = {
    "type": "string",
    "pattern": rf"^(\s*=|{NUMBER_AS_TEXT.pattern}$)",
    "description": "an expression, as in `= 0.5 * scale`, or a number in quotes",
}
MOST_DIGITS = 300


class Number(Leaf):
    """A finite number, an expression, or a number in quotes, as the BSB takes it."""

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [self.fragment, EXPRESSION]}

    def cast(self, value, path, parent):
        if isinstance(value, str) and value.lstrip().startswith("="):
            build = context.current()
            try:
                value = evaluate(value, build.variables)
            except ValueError as error:
                if not build.follows(error):
                    build.mistake(path, f"the expression {error}")
                return INVALID
            if self.fragment["type"] == "integer" and float(value).is_integer():
                value = int(value)
        elif isinstance(value, str) and len(value) < MOST_DIGITS and NUMBER_AS_TEXT.fullmatch(value):
            value = int(value) if value.lstrip("+-").isdecimal() else float(value)
        if isinstance(value, float) and not math.isfinite(value):
            return wrong(path, self.says, value)
        value = super().cast(value, path, parent)
        if value is INVALID:
            return INVALID
        try:
            return int(value) if self.fragment["type"] == "integer" else float(value)
        except OverflowError:
            return wrong(path, self.says, value)


def number(*, min: float | None = None, above: float | None = None, max: float | None = None) -> Number:
    """Return the handler of a number with `min` <= or `above` < number <= `max`."""
    return Number(*_numeric("number", min, above, max))


def fraction() -> Number:
    """Return the handler of a number from 0 to 1."""
    return number(min=0, max=1)


class Angle(float):
    """An angle in radians that remembers the degrees it was given as."""

    degrees: float

    def to_json(self) -> float:
        """Return it as it stands in a description."""
        return self.degrees


class Degrees(Number):
    """An angle, given in degrees, used in radians."""

    def __init__(self):
        super().__init__({"type": "number"}, "a number of degrees")

    def cast(self, value, path, parent):
        degrees = super().cast(value, path, parent)
        if degrees is INVALID:
            return INVALID
        angle = Angle(math.radians(degrees))
        angle.degrees = degrees
        return angle

    def to_json(self, value):
        return value.to_json() if isinstance(value, Angle) else math.degrees(value)


def integer(*, min: int | None = None, max: int | None = None) -> Number:
    """Return the handler of a whole number."""
    return Number(*_numeric("integer", min, None, max))


def _numeric(kind: str, least, above, most) -> tuple[dict, str]:
    fragment, says = {"type": kind}, {"number": "a number", "integer": "a whole number"}[kind]
    for key, sign, bound in (("minimum", ">=", least), ("exclusiveMinimum", ">", above), ("maximum", "<=", most)):
        if bound is not None:
            fragment[key] = bound
            says += f"{' and' if len(fragment) > 2 else ''} {sign} {bound}"
    return fragment, says
