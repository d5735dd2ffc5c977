"""Parsers: how the file of a morphology is read. `bsb` reads SWC as the BSB does, `morphio` SWC, ASC and HDF5."""

import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.errors import Mistake, UserError
from snakefold.morphology import swc
from snakefold.morphology.morphology import Morphology, coded

FORMATS = (".swc", ".asc", ".h5")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r"^(?P<file>.*):(?P<line>\d+):error$", re.MULTILINE)


class Tags(types.Type):
    """Labels by SWC type: `{16: [axon, ascending], 17: axon}`."""

    says = "a mapping from SWC types, whole numbers, to a label or a list of labels"

    def schema(self, definitions: dict) -> dict:
        from snakefold.config.schema import KEYS, mapping

        label = types.ListOrOne(types.string()).schema(definitions)
        keys = {"pattern": f"^([0-9]+|{'|'.join(KEYS)})$"}
        return mapping(definitions, {}, additionalProperties=label, propertyNames=keys)

    def cast(self, value, path, parent):
        if not isinstance(value, dict):
            return types.wrong(path, self.says, value)
        cast = {}
        for tag, labels in value.items():
            if not re.fullmatch(r"[0-9]{1,9}", tag):
                context.current().mistake((*path, tag), f"should be: an SWC type, a whole number (got: {tag:.60})")
                continue
            found = types.ListOrOne(types.string()).cast(labels, (*path, tag), parent)
            if found is not INVALID:
                cast[int(tag)] = found
        return cast

    def to_json(self, value):
        return {str(tag): labels for tag, labels in value.items()}


class Parser(Node):
    """Base of the parsers: a class with `parse` makes a morphology of a file.

    Class attributes
    ----------------
    formats : endings of the files that it reads
    """

    kind: ClassVar[str] = "morphology_parser"
    chosen_by: ClassVar[str] = "parser"
    algorithm_version: ClassVar[int] = 1
    formats: ClassVar[tuple[str, ...]] = (".swc",)

    cls = types.later("Class of the morphologies that it makes.")
    branch_cls = types.later("Class of their branches.")

    def parse(self, path: Path) -> Morphology:
        """Return the morphology of a file.

        Raises
        ------
        UserError : what is wrong with the file, with its name and, where it can be known, line
        """
        raise NotImplementedError


def read_text(path: Path) -> str:
    """Return the text of a file; comments may be in any encoding."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error


class BsbParser(Parser):
    """Reads SWC as the BSB does, with labels by the type of each point."""

    tags = Attribute(Tags(), doc="Labels of SWC types; without it 1 is soma, 2 axon, 3 dendrites, and n tag_n.")
    skip_boundary_labels = Attribute(
        types.ListOf(types.string()),
        default=lambda node: [],
        doc="Labels of points to which the branches that grow from them are not joined, as of a soma.",
    )

    def parse(self, path):
        return swc.read(read_text(path), str(path), tags=self.tags, skip_boundary_labels=self.skip_boundary_labels)


FLAGS = (
    "no_modifier",
    "two_points_sections",
    "soma_sphere",
    "no_duplicates",
    "nrn_order",
    "allow_unifurcated_section_change",
)


class MorphioParser(Parser):
    """Reads SWC, ASC (Neurolucida) and HDF5 with MorphIO; its sections are the branches, and grow from the soma's."""

    formats: ClassVar[tuple[str, ...]] = FORMATS

    flags = Attribute(
        types.ListOf(types.Choice(*FLAGS)), default=lambda node: [], doc="Options of MorphIO's, as it calls them."
    )
    tags = Attribute(Tags(), doc="Labels of types, as of the parser `bsb`.")

    def parse(self, path):
        if path.suffix.lower() == ".swc":
            swc.read_table(read_text(path), str(path))  # MorphIO leaves out what no root leads to, and says nothing
        found = _read_with_morphio(path, self.flags)
        soma = found.soma
        pieces, tags, parents = [], [], []
        if len(soma.points):
            pieces.append((soma.points, soma.diameters))
            tags.append(1)
            parents.append(-1)
        base = len(pieces)
        order = {}
        for section in found.iter():  # depth first
            order[section.id] = len(pieces)
            parents.append(base - 1 if section.is_root else order[section.parent.id])
            tags.append(int(section.type))
            pieces.append((section.points, section.diameters))
        if not pieces:
            raise UserError("has no points: it is empty", where=str(path))
        sizes = [len(points) for points, _ in pieces]
        types_ = np.repeat(np.array(tags, np.int32), sizes)
        labels_of = {tag: (f"tag_{tag}",) for tag in set(tags)} | swc.DEFAULT_LABELS | (self.tags or {})
        codes, sets = coded(types_, labels_of)
        return Morphology(
            np.concatenate([points for points, _ in pieces]).astype(np.float64),
            np.concatenate([diameters for _, diameters in pieces]).astype(np.float64) / 2,
            types_,
            codes,
            np.concatenate([[0], np.cumsum(sizes)]),
            np.array(parents),
            sets,
        )


def _read_with_morphio(path: Path, flags: list[str]):
    import morphio

    morphio.set_maximum_warnings(0)
    options = morphio.Option.no_modifier
    for flag in flags:
        options = options | getattr(morphio.Option, flag)
    try:
        return morphio.Morphology(str(path), options)
    except (morphio.MorphioError, RuntimeError, ValueError) as error:
        raise UserError(_translated(str(error), path)) from error
    except IndexError as error:  # as of a bracket that opens twice
        raise UserError(_translated(f"its branches do not fit together ({error})", path)) from error


def _translated(message: str, path: Path) -> Mistake:
    """Return what MorphIO said as one line, with the file's name and the line it found."""
    message = _ANSI.sub("", message)
    place = _PLACE.search(message)
    where = f"{path}:{place['line']}" if place else str(path)
    words = " ".join(_PLACE.sub("", message).split()).replace(str(path), path.name)
    return Mistake(f"MorphIO cannot read it: {words}", where=where)
