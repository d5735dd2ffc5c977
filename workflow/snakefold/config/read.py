"""One YAML or JSON file as a marked tree: plain values that know the file, line and column where each stands.

YAML with the numbers of version 1.2 (`1e-4` is one) and plain tags only; JSON as in RFC 8259. A key may stand once.
"""

import bisect
import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from json.decoder import scanstring
from pathlib import Path
from typing import NamedTuple

import yaml

from snakefold.config.files import read_bytes
from snakefold.errors import UserError

MOST_BYTES = {".yaml": 2_000_000, ".yml": 2_000_000, ".json": 64_000_000}
MOST_VALUES = 400_000  # of a file, aliases expanded
MOST_NUMBERS = 3_000_000  # of those in long lists of a JSON file
INSTEAD = "import positions or pairs from CSV"
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


def read_file(path: str, asked_from: str = "") -> tuple[object, Source]:
    """Read one YAML or JSON file into a marked tree.

    Raises
    ------
    UserError : missing, too large, not UTF-8, malformed (with line and column), or a key that stands twice
    """
    ending = Path(path).suffix.lower()
    asked = f" (referred to at {asked_from})" if asked_from else ""
    if ending not in MOST_BYTES:
        raise UserError(f"its name should end in: {', '.join(MOST_BYTES)}{asked}", where=path)
    try:
        raw = read_bytes(path, MOST_BYTES[ending])
    except (OSError, ValueError) as error:  # ValueError: a null character in its name
        raise UserError(f"cannot be read: {getattr(error, 'strerror', error)}{asked}", where=path) from None
    if len(raw) > MOST_BYTES[ending]:
        raise UserError(f"is larger than {MOST_BYTES[ending] // 1_000_000} MB; {INSTEAD}", where=path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError("is not UTF-8 text", where=f"{path}:{line}") from None
    tree = _Json(text, path).value() if ending == ".json" else _read_yaml(text, path)
    return tree, Source(path, len(raw), hashlib.blake2b(raw, digest_size=16).hexdigest())


_TOO_MUCH = f"holds too much: more than {MOST_VALUES} values or {MOST_DEPTH} levels (aliases count); {INSTEAD}"


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
        _check_size(text, path)
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


def _check_size(text: str, path: str) -> None:
    """Refuse what is too much before it is composed: libyaml's binding recurses without a limit of its own."""
    depth = 0
    for n, event in enumerate(yaml.parse(text, _Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_DEPTH or n > 2 * MOST_VALUES:  # at most two events each
            at = f"{path}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
            raise UserError(_TOO_MUCH, where=at)


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
            self.fail(node, _TOO_MUCH)
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
    _RUN = re.compile(r"[-0-9.eE+,\s\[\]]*")  # such as many positions
    _LONG = 4000  # characters
    _decode = json.JSONDecoder().raw_decode
    _WORDS = {"true": True, "false": False, "null": None}

    def __init__(self, text: str, path: str):
        self.text, self.path, self.at = text, path, 0
        self.left, self.numbers_left = MOST_VALUES, MOST_NUMBERS
        self.tried = 0  # up to where it was tried to read numbers at once
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

    def fail(self, message: str, what: str = "malformed JSON: "):
        mark = self.mark()
        raise UserError(what + message, where=f"{mark}:{mark.column}")

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
        self.left -= 1
        if depth > MOST_DEPTH or self.left < 0:
            self.fail(_TOO_MUCH, "")
        first = self.peek()
        if first == '"':
            return self.string()
        if first in ("{", "["):
            return self.mapping(depth) if first == "{" else self.numbers() or self.sequence(depth)
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

    def numbers(self) -> list | None:
        """Return a long list of numbers, or of lists of numbers, without marks; None where that is not what follows."""
        long = self.at + self._LONG
        if self.at < self.tried or self._RUN.match(self.text, self.at, long).end() < long:
            return None
        self.tried = end = self._RUN.match(self.text, self.at).end()
        n = self.text.count(",", self.at, end)
        if n > self.numbers_left:
            self.fail(f"holds too much: more than {MOST_NUMBERS} numbers; {INSTEAD}", "")
        try:
            value, stop = self._decode(self.text, self.at)
        except (ValueError, RecursionError):  # malformed: read on and say where
            return None
        if stop > end or any(isinstance(x, list) for row in value if isinstance(row, list) for x in row):
            return None
        self.at, self.numbers_left = stop, self.numbers_left - n
        return value

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
