import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.config.expression import evaluate

numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(numbers, numbers, st.sampled_from("+-*/"))
def test_arithmetic_is_pythons(a, b, sign):
    if sign == "/" and b == 0:
        return
    expected = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0}[sign]
    assert evaluate(f"= {a!r} {sign} ({b!r})", {}) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("= round(20683 * scale)", 2068),
        ("=2**10", 1024),
        ("= 2 ** -1", 0.5),
        ("= 7 // 2 + 7 % 2", 4),
        ("= sqrt(2) * pi", math.sqrt(2) * math.pi),
        ("= max(1, 2, 3) - min(1, 2)", 2),
        ("= -4 * w", -40),
        ("scale", 0.1),
    ],
)
def test_values(text, value):
    assert evaluate(text, {"scale": 0.1, "w": 10}) == value


def test_a_variable_goes_before_a_constant():
    assert evaluate("= e", {"e": 2.0}) == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "= __import__('os').system('true')",
        "= ().__class__",
        "= scale.real",
        "= [x for x in (1, 2)]",
        "= (lambda: 1)()",
        "= 'text'",
        "= True",
        "= 1 if 1 else 2",
        "= open",
        "= print(1)",
        "= round(number=1.5)",
        "= max(*(1, 2))",
        "= scale[0]",
        "= f'{1}'",
        "= 1 < 2",
        "= (scale := 3)",
        "= 1j",
    ],
)
def test_nothing_of_python_can_be_reached(text):
    with pytest.raises(ValueError, match=r"not allowed|is no variable"):
        evaluate(text, {"scale": 0.1})


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "= 1 +",
        "= 1/0",
        "= sqrt(-1)",
        "= (-8) ** 0.5",
        "= 1e308 * 10",
        "= 0 ** -1",
        "= min()",
        "= min(1)",
        "= round(1, 2, 3)",
        "= " + "(" * 300 + "1" + ")" * 300,
        "= " + "-" * 900 + "1",
        "= 1\0",
        "= 9" * 999,
        "= 9 ** 9 ** 9",
        "= (((9**64)**64)**64)**64",
        "= 1; 2",
    ],
)
def test_what_has_no_value_is_a_value_error_that_repeats_the_text_at_once(text):
    try:
        value = evaluate(text, {})
    except ValueError as error:
        assert text.lstrip("= ")[:20] in str(error) or "1000 characters" in str(error)
    else:
        assert value == 1  # 900 signs are still arithmetic


def test_an_unknown_variable_is_named_with_those_there_are():
    with pytest.raises(
        ValueError, match=r'uses "scal", which is no variable; did you mean "scale"\? \(variables: .*scale\)'
    ):
        evaluate("= scal", {"scale": 1})
