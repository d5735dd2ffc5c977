"""From circuit files to one resolved tree, with the file, line and column of everything in it.

YAML (numbers as in version 1.2: `1e-4` is one) and JSON, by the file's ending. `{"$ref": "file#/pointer", ...}` takes
over the mapping it points to, merged with what stands beside it; `{"$import": {"ref": ..., "values": [...]}}`
takes over the named keys. References are relative to the file in which they stand.
"""

import bisect
import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass
from json.decoder import scanstring
from pathlib import Path
from typing import NamedTuple

import yaml

from snakefold.errors import Mistake, UserError, did_you_mean, listed
from snakefold.errors import Path as TreePath

MOST_BYTES = {".yaml": 2_000_000, ".yml": 2_000_000, ".json": 64_000_000}
MOST_VALUES = 1_000_000  # of a YAML file, aliases expanded
MOST_REFERRED = 200_000
MOST_DEPTH = 100


class Mark(NamedTuple):
    """Where a value stands: file, line and column (from 1)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Mapping(dict):
    """A mapping of a description with the mark of each of its keys."""

    def __init__(self, mark: Mark):
        super().__init__()
        self.mark, self.marks = mark, {}
        self.failed = False  # whether a reference that should have filled it could not be followed

    def put(self, key: str, value: object, mark: Mark) -> None:
        """Set a key and its mark."""
        self[key], self.marks[key] = value, mark


class Sequence(list):
    """A list of a description with the mark of each of its items."""

    def __init__(self, mark: Mark):
        super().__init__()
        self.mark, self.marks = mark, []

    def put(self, value: object, mark: Mark) -> None:
        """Append an item and its mark."""
        self.append(value)
        self.marks.append(mark)


@dataclass(frozen=True)
class Source:
    """A file that was read: its path as given or referred to, size in bytes and BLAKE2b digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True)
class Document:
    """A resolved description: plain tree, marks by path, and the files it was read from (the first is the circuit)."""

    tree: dict
    marks: dict[TreePath, Mark]
    sources: tuple[Source, ...]

    def locate(self, path: TreePath) -> str:
        """Return `file:line` of a path, or of the nearest thing above it that stands in a file."""
        for n in range(len(path), -1, -1):
            if path[:n] in self.marks:
                return str(self.marks[path[:n]])
        return self.sources[0].path

    def folder_of(self, path: TreePath) -> Path:
        """Return the folder of the file in which a value stands: file names in it are relative to that."""
        file = self.locate(path).rpartition(":")[0] or self.sources[0].path
        return Path(file).parent


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
        self.mistakes: list[Mistake] = []
        self.paths: dict[str, str] = {}  # real path -> the path under which the file was met first
        self.referred, self.left = 0, MOST_REFERRED  # references that are being followed; what they may still bring in

    def name(self, path: str | Path) -> str:
        """Return the one path by which a file is known here, however it was referred to."""
        real = os.path.realpath(path) if "\0" not in str(path) else str(path)
        return self.paths.setdefault(real, str(path))

    def file(self, path: str, asked_from: str) -> object:
        """Return the marked tree of a file, read once."""
        if path not in self.files:
            self.files[path], self.sources[path] = read_file(path, asked_from)
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
            if not isinstance(key, str) or key not in target:
                self._mistake(mark, f'$import: no key "{key}" in {order["ref"]}{did_you_mean(key, target)}')
            else:
                result.put(key, target[key], target.marks[key])

    def _target(self, ref, mark, at, open_nodes) -> Mapping:
        """Return the resolved mapping that a reference points to; an empty one after a mistake."""
        nothing = Mapping(mark)
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


def read_file(path: str, asked_from: str = "") -> tuple[object, Source]:
    """Read one YAML or JSON file into a marked tree.

    Raises
    ------
    UserError : missing, too large, not UTF-8, malformed (with line and column), or a key that stands twice
    """
    ending = Path(path).suffix.lower()
    asked = f" (referred to at {asked_from})" if asked_from else ""
    if ending not in MOST_BYTES:
        raise UserError(f"a circuit file should end in: {', '.join(MOST_BYTES)}{asked}", where=path)
    try:
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in its name
        raise UserError(f"cannot be read: {getattr(error, 'strerror', error)}{asked}", where=path) from None
    if len(raw) > MOST_BYTES[ending]:
        raise UserError(
            f"is larger than {MOST_BYTES[ending] // 1_000_000} MB; import positions or pairs from CSV", where=path
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError("is not UTF-8 text", where=f"{path}:{line}") from None
    tree = _Json(text, path).value() if ending == ".json" else _read_yaml(text, path)
    return tree, Source(path, len(raw), hashlib.blake2b(raw, digest_size=16).hexdigest())


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML with the numbers of version 1.2 (`1e-4`, `0o17`) and without its dates and octal surprises."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if not tag.endswith((":float", ":int", ":timestamp"))]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$|^0o[0-7]+$|^0x[0-9a-fA-F]+$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+.0123456789"),
)
_SCALARS = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() in ("yes", "true", "on"),
    "tag:yaml.org,2002:int": lambda text: int(text, 0) if text[:2] in ("0o", "0x") else int(text),
    "tag:yaml.org,2002:float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:value": str,
}


def _read_yaml(text: str, path: str) -> object:
    try:
        _check_depth(text, path)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise UserError(f"malformed YAML: {error.problem or error.context}", where=at) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"malformed YAML: {error}", where=path) from None
    if node is None:
        raise UserError("is empty", where=path)
    return _Yaml(path).convert(node, 0)


def _check_depth(text: str, path: str) -> None:
    """Refuse what is nested too deeply before it is composed: libyaml's binding recurses without a limit of its own."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                at = f"{path}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
                raise UserError(f"holds too much: more than {MOST_DEPTH} levels", where=at)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Yaml:
    """Converts composed YAML nodes to a marked tree; aliases may repeat a node, but not without end."""

    def __init__(self, path: str):
        self.path, self.left = path, MOST_VALUES

    def mark(self, node) -> Mark:
        return Mark(self.path, node.start_mark.line + 1, node.start_mark.column + 1)

    def fail(self, node, message: str):
        mark = self.mark(node)
        raise UserError(message, where=f"{mark}:{mark.column}")

    def convert(self, node, depth):
        self.left -= 1
        if self.left < 0 or depth > MOST_DEPTH:
            self.fail(node, f"holds too much: more than {MOST_VALUES} values or {MOST_DEPTH} levels (aliases count)")
        if isinstance(node, yaml.ScalarNode):
            if node.tag not in _SCALARS:
                self.fail(node, f'the tag "{node.tag}" is not allowed: plain YAML only')
            try:
                return _SCALARS[node.tag](node.value)
            except ValueError:
                self.fail(node, f'"{node.value[:40]}" is not a number that can be read')
        if isinstance(node, yaml.SequenceNode):
            result = Sequence(self.mark(node))
            for item in node.value:
                result.put(self.convert(item, depth + 1), self.mark(item))
            return result
        result, inherited = Mapping(self.mark(node)), []
        for key_node, item in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                inherited.append(self.convert(item, depth + 1))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.fail(key_node, "a key should be: a name")
            key = str(key_node.value)
            if key in result:
                self.fail(key_node, f'the key "{key}" stands twice here (first: line {result.marks[key].line})')
            result.put(key, self.convert(item, depth + 1), self.mark(key_node))
        for base in (b for bases in inherited for b in (bases if isinstance(bases, Sequence) else [bases])):
            if isinstance(base, Mapping):
                for key in base:
                    if key not in result:
                        result.put(key, base[key], base.marks[key])
        return result


class _Json:
    """A JSON reader (RFC 8259) that remembers where each value stands, which the standard library's does not."""

    _SPACE = re.compile(r"[ \t\r\n]*")
    _NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
    _NUMBERS = re.compile(r"\[[-0-9.eE+, ]+\]")  # such as a position: read at once, and known by one mark
    _WORDS = {"true": True, "false": False, "null": None}

    def __init__(self, text: str, path: str):
        self.text, self.path, self.at = text, path, 0
        self.starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def value(self) -> object:
        self.skip()
        value = self.any(0)
        self.skip()
        if self.at < len(self.text):
            self.fail("nothing should follow the end of the value")
        return value

    def mark(self) -> Mark:
        line = bisect.bisect_right(self.starts, self.at)
        return Mark(self.path, line, self.at - self.starts[line - 1] + 1)

    def fail(self, message: str):
        mark = self.mark()
        raise UserError(f"malformed JSON: {message}", where=f"{mark}:{mark.column}")

    def skip(self) -> None:
        self.at = self._SPACE.match(self.text, self.at).end()

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def expect(self, character: str) -> None:
        if self.peek() != character:
            self.fail(f"expected '{character}' (got: {self.peek()!r})" if self.peek() else f"'{character}' is missing")
        self.at += 1
        self.skip()

    def string(self) -> str:
        try:
            text, self.at = scanstring(self.text, self.at + 1, True)
        except json.JSONDecodeError as error:
            self.at = min(error.pos, len(self.text))
            self.fail(error.msg)
        return text

    def any(self, depth: int) -> object:
        if depth > MOST_DEPTH:
            self.fail(f"more than {MOST_DEPTH} levels")
        first = self.peek()
        if first == '"':
            return self.string()
        if first in ("{", "["):
            return self.mapping(depth) if first == "{" else self.sequence(depth)
        for word, value in self._WORDS.items() if first in ("t", "f", "n") else ():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        match = self._NUMBER.match(self.text, self.at)
        if not match:
            self.fail("expected a value")
        self.at = match.end()
        if match.group(1) or match.group(2) or len(match.group()) > 300:
            return float(match.group())
        return int(match.group())

    def mapping(self, depth: int) -> Mapping:
        result = Mapping(self.mark())
        self.expect("{")
        while self.peek() != "}":
            mark = self.mark()
            if self.peek() != '"':
                self.fail("expected a key in double quotes")
            key = self.string()
            if key in result:
                raise UserError(f'the key "{key}" stands twice here (first: {result.marks[key]})', where=str(mark))
            self.skip()
            self.expect(":")
            result.put(key, self.any(depth + 1), mark)
            self.skip()
            if self.peek() != "}":
                self.expect(",")
                if self.peek() == "}":
                    self.fail("a comma before '}'")
        self.at += 1
        return result

    def sequence(self, depth: int) -> Sequence:
        result = Sequence(self.mark())
        if (numbers := self._NUMBERS.match(self.text, self.at)) and len(numbers.group()) < 4000:
            with contextlib.suppress(ValueError):  # malformed: read on and say where
                result.extend(json.loads(numbers.group()))
                result.marks = [result.mark] * len(result)
                self.at = numbers.end()
                return result
        self.expect("[")
        while self.peek() != "]":
            mark = self.mark()
            result.put(self.any(depth + 1), mark)
            self.skip()
            if self.peek() != "]":
                self.expect(",")
                if self.peek() == "]":
                    self.fail("a comma before ']'")
        self.at += 1
        return result
