"""What a description says of morphologies: which files, how they are read, and what is done to them before use."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snakefold.components import Component
from snakefold.config import types
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.config.types import DataFile
from snakefold.errors import Mistake, UserError, listed
from snakefold.errors import Path as TreePath
from snakefold.morphology.morphology import Morphology
from snakefold.morphology.parsers import FORMATS, BsbParser, MorphioParser, Parser
from snakefold.morphology.steps import Step, StepOf


class ShapeFile(types.FileOf):
    """The name of a morphology's file, relative to the file of the description in which it stands."""

    says = f"the name of a file ({', '.join(FORMATS)})"

    def cast(self, value, path, parent):
        if isinstance(value, str) and "://" in value:
            return types.wrong(path, self.says, value, "; nothing is downloaded: put the file beside the description")
        if isinstance(value, str) and Path(value).suffix.lower() not in FORMATS:
            return types.wrong(path, self.says, value)
        return super().cast(value, path, parent)


class ParserOf(types.Type):
    """A parser, or its name alone."""

    def __init__(self):
        self._component = Component("morphology_parser", "parser", "bsb")
        self.says = f"a name or {self._component.says}"

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [{"type": "string"}, self._component.schema(definitions)]}

    def cast(self, value, path, parent):
        return self._component.cast({"parser": value} if isinstance(value, str) else value, path, parent)

    def to_json(self, value):
        return self._component.to_json(value)


def _usual_parser(node: "MorphologyFile") -> Parser:
    bsb = node.file is None or _format(node.file) in BsbParser.formats
    return (BsbParser if bsb else MorphioParser).build({}, (*node.path, "parser"), node)


class MorphologyFile(Node):
    """A morphology: a file, how it is read, and what is done to it."""

    file = Attribute(ShapeFile(), required=True, doc="SWC, ASC or HDF5.")
    name = Attribute(types.name(), doc="Name of the morphology; that of the file without its ending, if not given.")
    parser = Attribute(
        ParserOf(), default=_usual_parser, doc="How the file is read; bsb for SWC, morphio for others, if not given."
    )
    pipeline = Attribute(
        types.ListOf(StepOf()), default=lambda node: [], doc="What is done to it, step by step; the result is kept."
    )


class FileOrName(types.Type):
    """A `MorphologyFile`, or the name of its file alone."""

    says = f"{ShapeFile.says}, or a mapping: MorphologyFile"

    def nodes(self) -> list[type[Node]]:
        return [MorphologyFile]

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [ShapeFile().schema(definitions), MorphologyFile.schema(definitions)]}

    def cast(self, value, path, parent):
        if isinstance(value, str):
            if ShapeFile().cast(value, path, parent) is INVALID:
                return INVALID
            value = {"file": value}
        return MorphologyFile.build(value, path, parent)

    def to_json(self, value):
        return value.to_json()


class MorphologyFiles(Node):
    """Several morphologies to which the same is done."""

    files = Attribute(
        types.ListOf(FileOrName(), least=1),
        required=True,
        doc="Files, or mappings as of one morphology, whose own pipeline comes before the common one.",
    )
    parser = Attribute(ParserOf(), doc="How the files that do not say otherwise are read.")
    pipeline = Attribute(types.ListOf(StepOf()), default=lambda node: [], doc="What is done to each of them.")


class EntryOf(FileOrName):
    """An entry of the circuit's `morphologies`."""

    says = f"{FileOrName.says} or MorphologyFiles"

    def nodes(self) -> list[type[Node]]:
        return [MorphologyFile, MorphologyFiles]

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [super().schema(definitions), MorphologyFiles.schema(definitions)]}

    def cast(self, value, path, parent):
        if isinstance(value, dict) and "files" in value:
            return MorphologyFiles.build(value, path, parent)
        return super().cast(value, path, parent)


@dataclass(frozen=True)
class Recipe:
    """How one morphology is made.

    Attributes
    ----------
    name : of the morphology
    file : that it is read from
    parser, steps : components
    path : where it stands in the description
    """

    name: str
    file: DataFile
    parser: Parser
    steps: tuple[Step, ...]
    path: TreePath

    @property
    def readable(self) -> bool:
        """Whether the parser reads files of that ending."""
        return _format(self.file) in self.parser.formats

    def make(self) -> Morphology:
        """Return the morphology; raises as `made`."""
        return made(self.file.path, self.parser, self.steps)


def made(path: Path, parser: Parser, steps: tuple[Step, ...] | list[Step]) -> Morphology:
    """Return what the steps of a pipeline make of a file.

    Raises
    ------
    UserError : what is wrong with the file, or with a step for this morphology
    """
    morphology = parser.parse(path)
    for i, step in enumerate(steps):
        try:
            morphology = step.apply(morphology)
        except UserError as error:
            where = f"step {i + 1} of its pipeline, {type(step).__name__}"
            raise UserError(Mistake(f"{where}: {m.message}", where=str(path)) for m in error.mistakes) from error
    return morphology


def recipes(entries: list[MorphologyFile | MorphologyFiles]) -> Iterator[Recipe]:
    """Yield how each morphology of a circuit is made, in the order of the description."""
    for entry in entries:
        several = isinstance(entry, MorphologyFiles)
        for file in entry.files if several else [entry]:
            of_all = entry.parser if several and "parser" not in file.mentioned else None
            steps = (*file.pipeline, *(entry.pipeline if several else ()))
            name = file.file.path.stem if file.name is None else file.name
            yield Recipe(name, file.file, of_all or file.parser, steps, file.path)


def _format(file: DataFile) -> str:
    return file.path.suffix.lower()


def recipe_faults(found: list[Recipe]) -> Iterator[Mistake]:
    """Yield names that cannot be files' or stand twice, and parsers of several files that cannot read one of them."""
    first: dict[str, Recipe] = {}
    for recipe in found:
        if not types.NAME.fullmatch(recipe.name):
            what = f'the name "{recipe.name}" should be: letters, digits, _ . -, not starting with a dot or dash'
            yield Mistake(f"{what}; give it a name", recipe.path)
        if recipe.name in first:
            yield Mistake(
                f'the morphology "{recipe.name}" is there already ({first[recipe.name].file}); give it another name',
                recipe.path,
            )
        first.setdefault(recipe.name, recipe)
        if not recipe.readable:
            what = f"its parser reads {listed(recipe.parser.formats)} (got: {recipe.file.path.name})"
            yield Mistake(what, recipe.path)
