"""From circuit files to one resolved tree, with the file, line and column of everything in it.

YAML (numbers as in version 1.2: `1e-4` is one) and JSON, by the file's ending. `{"$ref": "file#/pointer", ...}` takes
over the mapping it points to, merged with what stands beside it; `{"$import": {"ref": ..., "values": [...]}}`
takes over the named keys. References are relative to the file in which they stand.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snakefold.config.read import Mapping, Mark, Sequence, Source, read_file
from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.errors import Path as TreePath

MOST_REFERRED = 200_000


@dataclass(frozen=True)
class Document:
    """A resolved description: plain tree, marks by path, and the files it was read from (the first is the circuit)."""

    tree: dict
    marks: dict[TreePath, Mark]
    sources: tuple[Source, ...]

    def locate(self, path: TreePath) -> str:
        """Return `file:line` of a path, or of the nearest thing above it that stands in a file."""
        return next((str(self.marks[at]) for at in readings(path) if at in self.marks), self.sources[0].path)

    def folder_of(self, path: TreePath) -> Path:
        """Return the folder of the file in which a value stands: file names in it are relative to that."""
        file = self.locate(path).rpartition(":")[0] or self.sources[0].path
        return Path(file).parent

    @property
    def top(self) -> Path:
        """The folder that holds all files of the description."""
        return Path(os.path.commonpath([Path(source.path).resolve().parent for source in self.sources]))


def readings(path: TreePath) -> Iterator[TreePath]:
    """Yield the places where what a path names may stand, the exact one first, and then all that it stands in.

    A parameter of a model may stand among its constants, its parameters, or beside its other keys.
    """
    yield path
    above = path[:-2] if path[-2:-1] in (("constants",), ("parameters",)) else path[:-1]
    for steps in ((), ("constants",), ("parameters",)) if path else ():
        yield (*above, *steps, path[-1])
    for n in range(len(path) - 1, -1, -1):
        yield path[:n]


def parse(path: str | Path) -> Document:
    """Read a circuit file and everything that it refers to.

    Raises
    ------
    UserError : every file that is missing or malformed, every reference that is cyclic or leads nowhere
    """
    document, mistakes, _ = parse_what_can_be(path)
    if mistakes:
        raise UserError(mistakes)
    return document


def parse_what_can_be(path: str | Path) -> tuple[Document, list[Mistake], list[TreePath]]:
    """Read a circuit file as `parse` does, but go on after a reference that fails.

    Returns
    -------
    document : in which mappings are incomplete where a reference failed
    mistakes : the references that failed
    incomplete : the paths of the mappings that they should have filled

    Raises
    ------
    UserError : the file itself is missing, malformed or no mapping
    """
    resolver = _Resolver()
    root = resolver.file(resolver.name(path), "")
    if not isinstance(root, Mapping):
        raise UserError(f"a circuit description should be: a mapping (got: {type(root).__name__})", where=str(path))
    tree = resolver.resolve(root, (str(path), ()), ())
    marks: dict[TreePath, Mark] = {}
    incomplete: list[TreePath] = []
    plain = _flatten(tree, (), marks, incomplete)
    mistakes = list(dict.fromkeys(resolver.mistakes))
    return Document(plain, marks, tuple(resolver.sources.values())), mistakes, incomplete


class _Resolver:
    """Loads files once and replaces references, remembering what it is in the middle of."""

    def __init__(self):
        self.files: dict[str, object] = {}
        self.sources: dict[str, Source] = {}
        self.unreadable: dict[str, UserError] = {}
        self.mistakes: list[Mistake] = []
        self.paths: dict[str, str] = {}  # real path -> the path under which the file was met first
        self.referred, self.left = 0, MOST_REFERRED  # references that are being followed; what they may still bring in

    def name(self, path: str | Path) -> str:
        """Return the one path by which a file is known here, however it was referred to."""
        real = os.path.realpath(path) if "\0" not in str(path) else str(path)
        return self.paths.setdefault(real, str(path))

    def file(self, path: str, asked_from: str) -> object:
        """Return the marked tree of a file, read once, also where it cannot be read."""
        if path in self.unreadable:
            raise self.unreadable[path]
        if path not in self.files:
            try:
                self.files[path], self.sources[path] = read_file(path, asked_from)
            except UserError as error:
                self.unreadable[path] = error
                raise
        return self.files[path]

    def resolve(self, value, at, open_nodes):
        """Return `value` (which stands at (file, pointer)) with every reference below it replaced."""
        if self.referred:
            self.left -= 1
        if self.left < 0:
            what = f"holds too much: references bring in more than {MOST_REFERRED} mappings and lists"
            raise UserError(what, where=at[0])
        if isinstance(value, Sequence):
            if not any(isinstance(item, Mapping | Sequence) for item in value):
                return value
            result = Sequence(value.mark)
            for i, (item, mark) in enumerate(zip(value, value.marks, strict=True)):
                result.put(self.resolve(item, (at[0], (*at[1], str(i))), (*open_nodes, at)), mark)
            return result
        if not isinstance(value, Mapping):
            return value
        open_nodes = (*open_nodes, at)
        result, n = Mapping(value.mark), len(self.mistakes)
        if "$ref" in value:
            target = self._target(value["$ref"], value.marks["$ref"], at, open_nodes)
            _merge(result, target)
        if "$import" in value:
            self._import(value["$import"], value.marks["$import"], at, open_nodes, result)
        result.failed = len(self.mistakes) > n
        own = Mapping(value.mark)
        for key, item in value.items():
            if key not in ("$ref", "$import"):
                own.put(key, self.resolve(item, (at[0], (*at[1], key)), open_nodes), value.marks[key])
        _merge(result, own)
        return result

    def _import(self, order, mark, at, open_nodes, result):
        keys = order.get("values") if isinstance(order, Mapping) else None
        if not isinstance(keys, Sequence) or "ref" not in order:
            self._mistake(mark, "$import should be: {ref: file#/pointer, values: [keys]}")
            return
        target = self._target(order["ref"], mark, at, open_nodes)
        for key in keys:
            if isinstance(key, str) and key in target:
                result.put(key, target[key], target.marks[key])
            elif not target.failed:  # else it may be in what could not be read, which is told
                self._mistake(mark, f'$import: no key "{key}" in {order["ref"]}{did_you_mean(key, target)}')

    def _target(self, ref, mark, at, open_nodes) -> Mapping:
        """Return the resolved mapping that a reference points to; an empty one after a mistake."""
        nothing = Mapping(mark)
        nothing.failed = True
        if not isinstance(ref, str):
            self._mistake(mark, f"a reference should be: file#/pointer (got: {ref!r})")
            return nothing
        name, _, pointer = ref.partition("#")
        file = self.name(Path(at[0]).parent / name) if name else at[0]
        steps = tuple(s.replace("~1", "/").replace("~0", "~") for s in pointer.strip("/").split("/") if s)
        try:
            value = self.file(file, str(mark))
        except UserError as error:
            self.mistakes.extend(error.mistakes)
            return nothing
        target = (file, steps)
        for node in open_nodes:
            if node == target:
                self._mistake(mark, f"cyclic reference: {ref} leads back to {_name(node)}, from where it was reached")
                return nothing
        for i, step in enumerate(steps):
            if isinstance(value, Mapping) and ("$ref" in value or "$import" in value):
                here, n = (file, steps[:i]), len(self.mistakes)
                if here not in open_nodes:
                    whole = self.resolve(value, here, open_nodes)
                    if len(self.mistakes) > n and step in value:  # they are reported where they stand
                        del self.mistakes[n:]
                    else:
                        value = whole
                elif step not in value:
                    self._mistake(mark, f"cyclic reference: {ref} leads back to {_name(here)}")
                    return nothing
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, Sequence) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                there = listed(value) if isinstance(value, Mapping) else f"a {type(value).__name__.lower()}"
                self._mistake(mark, f'{ref}: nothing at "{step}" in {file} (there: {there})')
                return nothing
        if not isinstance(value, Mapping):
            self._mistake(mark, f"{ref} should point to: a mapping (got: {type(value).__name__.lower()})")
            return nothing
        self.referred += 1
        value = self.resolve(value, target, open_nodes)
        self.referred -= 1
        return value

    def _mistake(self, mark: Mark, message: str) -> None:
        self.mistakes.append(Mistake(message, where=str(mark)))


def _name(node) -> str:
    return f"{node[0]}#/{'/'.join(node[1])}"


def _merge(into: Mapping, what: Mapping) -> None:
    for key, value in what.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), Mapping):
            merged = Mapping(value.mark)
            _merge(merged, into[key])
            _merge(merged, value)
            merged.failed = into[key].failed or value.failed
            value = merged
        into.put(key, value, what.marks[key])


def _flatten(value, path, marks, incomplete):
    if isinstance(value, Mapping):
        marks.setdefault(path, value.mark)
        if value.failed:
            incomplete.append(path)
        plain = {}
        for key, item in value.items():
            marks[*path, key] = value.marks[key]
            plain[key] = _flatten(item, (*path, key), marks, incomplete)
        return plain
    if isinstance(value, Sequence):
        marks.setdefault(path, value.mark)
        for i, mark in enumerate(value.marks):
            if mark is not value.mark:
                marks[*path, i] = mark
        return [_flatten(item, (*path, i), marks, incomplete) for i, item in enumerate(value)]
    return value
