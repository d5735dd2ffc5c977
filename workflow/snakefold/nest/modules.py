"""Extension modules of NEST: those it finds by name, libraries, and files in NESTML, which a job compiles.

What a file in NESTML defines is read off its text, so that a description can be checked before anything is compiled.
As for NESTML, a model whose name ends in `synapse` is a synapse and any other a neuron. A synapse that reads the spikes
of its target, through a port called `post_spikes`, is generated together with each neuron of the file; that makes the
models `SYNAPSE__with_NEURON` and `NEURON__with_SYNAPSE`, which belong together.

The compiled library lies in R/build/module, under a name that says what it was made of: the file's content and the
versions of NEST, NESTML and the compiling job. It is compiled once, whatever simulations use it.
"""

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakefold.config import context
from snakefold.config.files import read_bytes
from snakefold.config.nodes import INVALID
from snakefold.config.types import NAME, DataFile, FileOf, wrong
from snakefold.errors import Path as TreePath
from snakefold.errors import listed
from snakefold.nest.catalogue import nest_version
from snakefold.slices import digest_of

COMPILER_VERSION = 1  # of what the job makes of a file
NESTML, LIBRARY = ".nestml", ".so"
POST = "post_spikes"
WEIGHT = "w"
MOST_BYTES = 1_000_000

_TEXT = re.compile(r'"""(?:.|\n)*?"""')
_MODEL = re.compile(r"\s*model\s+(\w+)\s*:")
_PORT = re.compile(r"\s*(\w+)\b[^<]*<-\s*(.*)")
_DECLARES = re.compile(r"([\w\s,*/()]*)=(?!=)")  # names and their type


@dataclass(frozen=True)
class Model:
    """A model in a NESTML file.

    Attributes
    ----------
    line : where it begins, from 1
    ports : its input ports -> whether they take spikes
    has_weight : whether it declares `w`
    """

    name: str
    line: int
    ports: Mapping[str, bool]
    has_weight: bool

    @property
    def is_synapse(self) -> bool:
        """Whether NESTML takes it for a synapse."""
        return self.name.endswith("synapse")

    @property
    def is_paired(self) -> bool:
        """Whether it is generated together with a neuron."""
        return self.is_synapse and POST in self.ports


def models_in(text: str) -> list[Model]:
    """Return the models that a text in NESTML defines, in its order."""
    text = _TEXT.sub(lambda found: "\n" * found[0].count("\n"), text)
    models = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0]
        if begins := _MODEL.match(line):
            models.append(Model(begins[1], number, {}, False))
        elif models and (port := _PORT.match(line)):
            models[-1].ports[port[1]] = bool(re.search(r"\bspike\b", port[2]))
        elif models and (declared := _DECLARES.match(line)) and WEIGHT in re.findall(r"\w+", declared[1])[:-1]:
            models[-1] = Model(models[-1].name, models[-1].line, models[-1].ports, True)
    return models


def faults(models: Sequence[Model]) -> Iterator[tuple[int, str]]:
    """Yield (line, what is wrong) of models that cannot be used here, though NESTML may take them."""
    if not models:
        yield 1, "defines no model; one begins with `model NAME:`"
    neurons = [model.name for model in models if not model.is_synapse]
    for i, model in enumerate(models):
        if model.name in (other.name for other in models[:i]):
            yield model.line, f'another model is called "{model.name}", too'
        if not model.is_synapse:
            continue
        others = [name for name, spikes in model.ports.items() if name != POST or not spikes]
        if len(others) != 1 or not model.ports[others[0]]:
            ports = f"one port for the spikes of its source and, if it needs those of its target, {POST}"
            yield model.line, f'the synapse "{model.name}" should have {ports} (got: {listed(model.ports)})'
        if not model.has_weight:
            yield model.line, f'the synapse "{model.name}" should have its weight as a variable or parameter {WEIGHT}'
        if model.is_paired and not neurons:
            yield model.line, f'the synapse "{model.name}" reads {POST}: its target neuron should be in the same file'


def pairs(models: Sequence[Model]) -> list[tuple[str, str]]:
    """Return (neuron, synapse) of the models that are generated together."""
    return [(n.name, s.name) for s in models if s.is_paired for n in models if not n.is_synapse]


def names(models: Sequence[Model]) -> dict[str, list[str]]:
    """Return what the models are called in NEST: {"node": names, "synapse": names}."""
    nodes = [model.name for model in models if not model.is_synapse]
    synapses = [model.name for model in models if model.is_synapse and not model.is_paired]
    for neuron, synapse in pairs(models):
        nodes.append(f"{neuron}__with_{synapse}")
        synapses.append(f"{synapse}__with_{neuron}")
    return {"node": nodes, "synapse": [f"{name}{kind}" for name in synapses for kind in ("", "_hpc", "_lbl")]}


@dataclass(frozen=True)
class NestmlFile(DataFile):
    """A file in NESTML, and the models that it defines."""

    models: tuple[Model, ...]


class ModuleOf(FileOf):
    """The name of a module that NEST finds by itself, or of a NESTML file or a library beside the description."""

    says = f"the name of an installed module, or of a {NESTML} or {LIBRARY} file"

    def schema(self, definitions: dict) -> dict:
        return {"type": "string"}

    def cast(self, value, path, parent):
        if not isinstance(value, str) or not value:
            return wrong(path, self.says, value)
        if not value.endswith((NESTML, LIBRARY)):
            return wrong(path, self.says, value) if "/" in value else value
        file = super().cast(value, path, parent)
        if file is INVALID:
            return INVALID
        if not NAME.fullmatch(file.path.stem):
            allowed = "a file whose name has letters, digits, _ . -, and does not start with a dot or dash"
            return wrong(path, allowed, value)
        return file if value.endswith(LIBRARY) else _read(file, path)

    def to_json(self, value):
        return super().to_json(value) if isinstance(value, DataFile) else value


def _read(file: DataFile, path: TreePath):
    """Return a NESTML file with its models, or INVALID after reporting what is wrong with them."""
    try:
        text = read_bytes(file.path, MOST_BYTES)
        models = models_in(text.decode("utf-8"))
    except (OSError, ValueError) as error:
        context.current().mistake(path, f"{file.path} cannot be read as text in UTF-8: {error}")
        return INVALID
    if len(text) > MOST_BYTES:
        return wrong(path, f"a file of at most {MOST_BYTES // 1000} kB", str(file.path))
    found = list(faults(models))
    for line, message in found:
        context.current().mistake(path, f"{file.path}:{line}: {message}")
    return INVALID if found else NestmlFile(file.path, file.digest, tuple(models))


def nestml_version() -> str:
    """Return the version of the NESTML of this interpreter, without importing it; empty if there is none."""
    try:
        return importlib.metadata.version("nestml")
    except importlib.metadata.PackageNotFoundError:
        return ""


def has_nestml() -> bool:
    """Return whether this interpreter has NESTML, without importing it."""
    return importlib.util.find_spec("pynestml") is not None


def slice_of(module: NestmlFile) -> dict:
    """Return all that the library compiled from a NESTML file depends on."""
    return {
        "phase": "module",
        "version": COMPILER_VERSION,
        "source": module.digest,
        "nest": nest_version(),
        "nestml": nestml_version(),
    }


def name_of(module: NestmlFile) -> str:
    """Return the name of the module compiled from a file: the file's, and a digest of what it is made of.

    NESTML wants an identifier that ends in `module`, and NEST finds the module in the library by the library's name.
    """
    stem = re.sub(r"\W", "_", module.path.stem)
    return f"{'_' if stem[0].isdigit() else ''}{stem}_{digest_of(slice_of(module))[:16]}_module"


def resolved(module: str | DataFile) -> str | dict:
    """Return a module as it stands in a simulation's slice: a name; {"file", "library": digest}; or {"file", "nestml":
    name of the compiled module, "models": their names}."""
    if isinstance(module, NestmlFile):
        return {"file": module.path.name, "nestml": name_of(module), "models": names(module.models)}
    return {"file": module.path.name, "library": module.digest} if isinstance(module, DataFile) else module


def located(simulation: Mapping, libraries: Sequence[str]) -> dict:
    """Return the slice of a simulation in which the modules that are files know the path of their library.

    Parameters
    ----------
    libraries : one for each module that is a file, in their order; one that is not there yet is left out
    """
    paths = iter(libraries)
    modules = []
    for module in simulation["run"]["modules"]:
        if not isinstance(module, str) and (path := Path(next(paths)).absolute()).is_file():
            module = {**module, "path": str(path)}
        modules.append(module)
    return {**simulation, "run": {**simulation["run"], "modules": modules}}


def installable(module: str | Mapping) -> str | None:
    """Return a module as NEST's Install takes it; None if it is not compiled yet."""
    return module if isinstance(module, str) else module.get("path")


def label(module: str | Mapping) -> str:
    """Return a module of a slice as messages name it."""
    return module if isinstance(module, str) else module["file"]
