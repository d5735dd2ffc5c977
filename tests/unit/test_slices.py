import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.errors import UserError
from snakefold.slices import canonical, content_digest, digest_of, read_slice

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3), max_leaves=9
)


@given(st.dictionaries(st.text(), values, max_size=4), st.randoms())
def test_key_order_does_not_matter_and_nothing_is_lost(tree, random):
    items = list(tree.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(tree)
    assert json.loads(canonical(tree)) == tree


def test_digest_tells_values_apart():
    assert len({digest_of(v) for v in (1, 1.5, "1", [1], {"1": 1}, None, True)}) == 7


def test_only_the_number_of_tiles_is_no_content():
    one = {"name": "x", "tiles": 1, "seed": 3}
    assert content_digest(one) == content_digest(one | {"tiles": 7})
    assert content_digest(one) != content_digest(one | {"seed": 4})
    assert digest_of(one) != digest_of(one | {"tiles": 7})


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


@pytest.mark.parametrize("text", [None, "", "{", '{"a": 1'])
def test_a_missing_or_damaged_slice_is_a_users_mistake(tmp_path, text):
    path = tmp_path / "slice.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="run snakemake again"):
        read_slice(path)


def test_a_slice_is_read_back(tmp_path):
    path = tmp_path / "slice.json"
    path.write_text(canonical({"a": [1, {"b": None}]}))
    assert read_slice(path) == {"a": [1, {"b": None}]}
