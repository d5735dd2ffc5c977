"""JSON Schema of mappings: of their own keys, and of the references that may stand in for them.

Wherever a description has a mapping, `$ref` and `$import` may bring keys into it (`config.parse`), so that none of its
own has to stand there.
"""

from collections.abc import Iterable

REFERENCE = {
    "type": "string",
    "description": "Takes over the mapping at file#/pointer, merged with what stands beside it.",
}
IMPORT = {
    "type": "object",
    "description": "Takes over some keys of the mapping at file#/pointer.",
    "properties": {"ref": {"type": "string"}, "values": {"type": "array", "items": {"type": "string"}}},
    "required": ["ref", "values"],
    "additionalProperties": False,
}
HAS_REFERENCE = {"anyOf": [{"required": ["$ref"]}, {"required": ["$import"]}]}
KEYS = (r"\$ref", r"\$import")  # as patterns, for names of keys


def mapping(definitions: dict, properties: dict, required: Iterable[str] = (), **more: object) -> dict:
    """Return the schema of a mapping.

    Parameters
    ----------
    definitions : the schemas that others refer to, to which those of references are added
    properties : schemas by key
    required : keys that must be there, unless a reference may bring them
    more : further keywords
    """
    definitions |= {"reference": REFERENCE, "import": IMPORT}
    references = {"$ref": {"$ref": "#/$defs/reference"}, "$import": {"$ref": "#/$defs/import"}}
    schema = {"type": "object", "properties": properties | references, **more}
    if needed := list(required):
        schema |= {"if": HAS_REFERENCE, "else": {"required": needed}}
    return schema
