"""Words for what is wrong with a parameter: what NEST need not be asked about, and what it refused."""

import json
import math
from collections.abc import Mapping

from snakefold.errors import did_you_mean, listed
from snakefold.nest.kernel import UNKNOWN_KEY
from snakefold.nest.units import unit

_WRONG_TYPE = ("TypeMismatch", "ValueError", "AttributeError", "TypeError", "RuntimeError", "KeyError")
_OWN_KEYS = ("weight", "delay", "receptor_type", "synapse_model")  # of a synapse: not among its constants
_READ_ONLY = frozenset(
    [
        "archiver_length",
        "available",
        "capacity",
        "element_type",
        "elementsize",
        "events",
        "global_id",
        "has_connections",
        "has_delay",
        "instantiations",
        "local",
        "model",
        "model_id",
        "n_events",
        "node_uses_wfr",
        "num_connections",
        "receptor_types",
        "recordables",
        "requires_symmetric",
        "sizeof",
        "synapse_model",
        "synapse_modelid",
        "synaptic_elements",
        "thread",
        "thread_local_id",
        "type_id",
        "vp",
        "weight_recorder",
        "delay",
        "weight",
        "receptor_type",
    ]
)


def value_fault(key: str, value: object, keys: Mapping[str, str], own: bool = False) -> str:
    """Return what is wrong with a value that NEST need not be asked about, or would take without a word."""
    if own and key in _OWN_KEYS:
        return f'"{key}" is given beside the constants, not among them'
    if not is_finite(value):
        return f"{key} should be finite (got: {json.dumps(value)})"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key not in _READ_ONLY and keys.get(key) in ("number", "integer") and not is_number:
        return _wrong_type(key, value, keys[key])
    return ""


def _wrong_type(key: str, value: object, kind: str) -> str:
    its_unit = f", {unit(key)}" if kind == "number" and unit(key) else ""
    return f"{key} should be {'an' if kind == 'integer' else 'a'} {kind}{its_unit} (got: {json.dumps(value)})"


def is_finite(value: object) -> bool:
    """Return whether there is no NaN and no infinity in a value or a list."""
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def name_fault(model: str, key: str, keys: Mapping[str, str]) -> str:
    """Return what is wrong with the name of a parameter that is to be set, whatever its value."""
    if key in keys and key not in _READ_ONLY:
        return ""
    return refused(model, key, None, {"kind": UNKNOWN_KEY[0]}, keys)


def refused(model: str, key: str, value: object, why: Mapping[str, str], keys: Mapping[str, str]) -> str:
    """Return the message for a parameter that NEST refused."""
    if why["kind"] in UNKNOWN_KEY:
        if key in keys:
            return f'"{key}" of "{model}" can be read, not set; leave it out'
        names = [name for name in keys if name not in _READ_ONLY]
        near = did_you_mean(key, names)
        name = near.partition('"')[2].rpartition('"')[0]
        if near and (its := unit(name)):
            near = f"{near[:-1]} ({its})?"
        return f'"{model}" has no parameter "{key}"{near or f" (parameters: {listed(names)})"}'
    if why["kind"] in _WRONG_TYPE and keys.get(key, "other") != "other":
        return _wrong_type(key, value, keys[key])
    return f"{key} cannot be {json.dumps(value)}: {why['message']}"
