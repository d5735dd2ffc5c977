"""What a description can have, as Markdown, from the declarations of all that is installed: keys, components."""

import json
import re

from snakefold import components
from snakefold.circuit import Circuit
from snakefold.config.nodes import Node

_HEAD = """# Reference of every key

`config.yaml` has the workflow's own keys, each with a comment. `circuits/` has circuit descriptions. This page lists
every key of a description; it is written by `snakefold schema --markdown` from the declarations of the components.

A number may be an expression of `variables`, as in `= 20683 * scale`. `{$ref: "file#/pointer", ...}` takes over the
mapping it points to, merged with what stands beside it; `{$import: {ref: ..., values: [...]}}` takes over named keys.
"""
_LIST_HEAD = """# List of components

Everything that a circuit description can name, by its shortest name, with a link to its keys. The names of the BSB
mean the same. This page is written by `snakefold schema --list`; [components of your own](COMPONENTS.md) are on it
where they are installed.
"""
_REFERENCE = "../config/README.md"
_KINDS = {
    "file": "A file known by name (`files`)",
    "partition": "A partition (`partitions`)",
    "region": "A region (`regions`)",
    "morphology_parser": "How a morphology's file is read (`parser` of `morphologies`)",
    "morphology_step": "A step of a morphology's pipeline (`pipeline` of `morphologies`)",
    "morphology_selector": "What selects morphologies (`morphologies` of a cell type's `spatial`)",
    "placement": "A placement strategy (`placement`)",
    "distributor": "A property of cells (any name under `distribute` of a placement)",
    "morphology_distributor": "Which morphologies cells have (`morphologies` under `distribute` of a placement)",
    "rotation_distributor": "How cells are turned (`rotations` under `distribute` of a placement)",
    "after_placement": "A hook after placement (`after_placement`)",
    "connectivity": "A connectivity strategy (`connectivity`)",
    "shape": "A geometric shape (`shapes` of a `shapes_composition`)",
    "after_connectivity": "A hook after connectivity (`after_connectivity`)",
    "simulation": "A simulation (`simulations`)",
    "cell_parameter": "A parameter computed per cell (`parameters` of a cell model)",
    "connection_parameter": "A parameter computed per edge (`parameters`, `weight`, `delay` of a synapse)",
    "after_prepare": "A hook before a simulation runs (`after_prepare` of a simulation)",
    "after_simulation": "A hook after a simulation (`after_simulation` of a simulation)",
    "device": "A device (`devices` of a simulation)",
    "targetting": "What a device is connected to (`targetting`)",
}


def reference() -> str:
    """Return the page."""
    parts = [_HEAD]
    done: set[type[Node]] = set()
    _add(parts, Circuit, "The root", "", done)
    for kind, title in _KINDS.items():
        for names, cls in components.installed(kind):
            _add(parts, cls, f"{title}: {names[0]}", _aliases(cls, names), done)
    return "\n".join(parts)


def overview() -> str:
    """Return the list of all components: a table for each kind, linked to the reference as seen from docs/."""
    parts = [_LIST_HEAD]
    for kind, title in _KINDS.items():
        rows = []
        for names, cls in components.installed(kind):
            anchor = re.sub(r"[^\w -]", "", f"{title}: {names[0]}".lower()).replace(" ", "-")
            rows.append(f"| [`{names[0]}`]({_REFERENCE}#{anchor}) | {_doc(cls)} |")
        rows += [f"| `{name}` | Not yet supported. |" for name in _later(kind)]
        if rows:
            parts.append("\n".join([f"## {title.replace('`', '')}", "", "| name | |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _later(kind: str) -> list[str]:
    """Return the names of what is known by name only, without those of classes."""
    return [name for name in components.LATER.get(kind, ()) if name.islower()]


def _doc(cls: type[Node]) -> str:
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split()).replace("|", "\\|")


def _aliases(cls: type[Node], names: list[str]) -> str:
    others = f" (also: {', '.join(f'`{name}`' for name in names[1:])})" if len(names) > 1 else ""
    return f"`{cls.chosen_by}: {names[0]}`{others}"


def _add(parts: list[str], cls: type[Node], title: str, aliases: str, done: set[type[Node]]) -> None:
    """Add the section of a class, and those of the classes of its attributes."""
    if cls in done:
        return
    done.add(cls)
    rows = ["| key | value | unit | default | |", "|---|---|---|---|---|", *map(_row, cls.attributes())]
    parts.append("\n".join([f"## {title}", "", *([aliases, ""] if aliases else []), _doc(cls), "", *rows, ""]))
    for attribute in cls.attributes():
        for inner in attribute.type.nodes():
            _add(parts, inner, f"{inner.__name__} (`{attribute.key}`)", "", done)


def _row(attribute) -> str:
    required = "**required**" if attribute.required is True else ""
    default = attribute.default
    if not required and default is not None and not callable(default):
        required = f"`{json.dumps(attribute.type.to_json(default))}`"
    cells = (f"`{attribute.key}`", attribute.type.says, attribute.unit, required, attribute.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
