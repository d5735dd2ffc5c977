"""Arithmetic in a description: a number may be written as `= 20683 * scale`, where `variables` has `scale`.

Only numbers, the variables, + - * / // % ** and a few functions are known; nothing of Python can be reached. `np.sqrt`
and `np.pi` are `sqrt` and `pi`, for expressions written for the BSB.
"""

import ast
import math
import operator
from collections.abc import Iterable

from snakefold.errors import did_you_mean

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: math.pow(a, b) if max(abs(a), abs(b)) > 64 or isinstance(b, float) else a**b,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS = {
    name: getattr(math, name)
    for name in ("sqrt", "exp", "log", "log10", "sin", "cos", "tan", "atan2", "floor", "ceil", "hypot")
} | {"round": round, "min": min, "max": max, "abs": abs}
CONSTANTS = {"pi": math.pi, "e": math.e}


class _Refused(ValueError):
    """What an expression may not say."""


class UnknownVariable(_Refused):
    """A name that is none of the variables."""

    def __init__(self, name: str, known: Iterable[str]):
        self.variable = name
        super().__init__(
            f'uses "{name}", which is no variable{did_you_mean(name, known)} (variables: {", ".join(known)})'
        )


def evaluate(text: str, variables: dict[str, float]) -> float:
    """Return the value of an expression (with or without its leading `=`).

    Raises
    ------
    ValueError : malformed, unknown name, or not a finite number; the message says which
    """
    text = text.lstrip("= \t")
    if len(text) > 1000:
        raise ValueError("is longer than 1000 characters")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f'"{text}" is not arithmetic: {getattr(error, "msg", error)}') from None
    try:
        value = _value(tree, variables)
        finite = math.isfinite(value)
    except _Refused:
        raise
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'"{text}" cannot be evaluated: {error}') from None
    if not finite:
        raise ValueError(f'"{text}" is not finite')
    return value


def _value(node: ast.expr, variables: dict[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return node.value
        case ast.Name(id=name):
            known = {**CONSTANTS, **variables}
            if name not in known:
                raise UnknownVariable(name, known)
            return known[name]
        case ast.Attribute(value=ast.Name(id="np" | "numpy" | "math"), attr=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=op) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(node.operand, variables))
        case ast.BinOp(op=op) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(node.left, variables), _value(node.right, variables))
        case (
            ast.Call(func=ast.Name(id=name), keywords=[])
            | ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy" | "math"), attr=name), keywords=[])
        ) if name in FUNCTIONS:
            return FUNCTIONS[name](*(_value(a, variables) for a in node.args))
    raise _Refused(f'"{ast.unparse(node)}" is not allowed here: numbers, variables, + - * / ** and functions')
