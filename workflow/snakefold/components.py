"""The registry of components: built in, from an installed package, or from a Python file beside the circuit.

A component is a class of one of the kinds below with declared attributes (`config.nodes`). A description names it by a
short name, its class name or, for those it shares with the BSB, the BSB's dotted name. An installed package announces a
module of its own under the entry point group `snakefold.components`; a file is listed under the circuit's `components`.

A job restores a component from its slice: class, algorithm version and attributes; a component from a file also carries
the file's source, so that editing the file while jobs are queued does not reach them.
"""

import functools
import importlib
import sys
from types import ModuleType

from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Node
from snakefold.errors import UserError, did_you_mean, listed

BUILT_IN: dict[str, dict[str, tuple[str, ...]]] = {
    "region": {
        "snakefold.topology.regions:Group": ("group", "RegionGroup", "bsb.topology.region.RegionGroup"),
        "snakefold.topology.regions:Stack": ("stack", "Stack", "bsb.topology.region.Stack"),
    },
    "partition": {
        "snakefold.topology.partitions:Layer": ("layer", "Layer", "bsb.topology.partition.Layer"),
        "snakefold.topology.partitions:Rhomboid": ("rhomboid", "Rhomboid", "bsb.topology.partition.Rhomboid"),
    },
    "placement": {
        "snakefold.placement.random:RandomPlacement": (
            "random",
            "RandomPlacement",
            "bsb.placement.RandomPlacement",
            "bsb.placement.random.RandomPlacement",
        ),
        "snakefold.placement.fixed:FixedPositions": (
            "fixed_positions",
            "FixedPositions",
            "bsb.placement.FixedPositions",
            "bsb.placement.strategy.FixedPositions",
        ),
    },
    "after_placement": {},
    "connectivity": {
        "snakefold.connectivity.all_to_all:AllToAll": (
            "all_to_all",
            "AllToAll",
            "bsb.connectivity.AllToAll",
            "bsb.connectivity.general.AllToAll",
        ),
        "snakefold.connectivity.fixed_degree:FixedIndegree": (
            "fixed_indegree",
            "FixedIndegree",
            "bsb.connectivity.FixedIndegree",
            "bsb.connectivity.general.FixedIndegree",
        ),
        "snakefold.connectivity.fixed_degree:FixedOutdegree": (
            "fixed_outdegree",
            "FixedOutdegree",
            "bsb.connectivity.FixedOutdegree",
            "bsb.connectivity.general.FixedOutdegree",
        ),
        "snakefold.connectivity.fixed_total_number:FixedTotalNumber": ("fixed_total_number", "FixedTotalNumber"),
    },
    "after_connectivity": {},
    "simulation": {"snakefold.nest.description:NestSimulation": ("nest", "NestSimulation")},
    "device": {
        "snakefold.nest.devices:PoissonGenerator": ("poisson_generator", "PoissonGenerator"),
        "snakefold.nest.devices:SinusoidalPoissonGenerator": (
            "sinusoidal_poisson_generator",
            "SinusoidalPoissonGenerator",
        ),
        "snakefold.nest.devices:DcGenerator": ("dc_generator", "DCGenerator"),
        "snakefold.nest.devices:SpikeGenerator": ("spike_generator", "SpikeGenerator"),
        "snakefold.nest.devices:SpikeRecorder": ("spike_recorder", "SpikeRecorder"),
        "snakefold.nest.devices:Multimeter": ("multimeter", "Multimeter"),
        "snakefold.nest.devices:External": ("external", "ExtNestDevice"),
    },
    "targetting": {
        "snakefold.nest.targetting:AllCells": ("all", "CellTargetting", "bsb.simulation.targetting.CellTargetting"),
        "snakefold.nest.targetting:AllConnections": (
            "all_connections",
            "ConnectionTargetting",
            "bsb.simulation.targetting.ConnectionTargetting",
        ),
        "snakefold.nest.targetting:CellModels": (
            "cell_model",
            "CellModelTargetting",
            "bsb.simulation.targetting.CellModelTargetting",
        ),
        "snakefold.nest.targetting:Representatives": (
            "representatives",
            "RepresentativesTargetting",
            "bsb.simulation.targetting.RepresentativesTargetting",
        ),
        "snakefold.nest.targetting:ById": ("by_id", "ByIdTargetting", "bsb.simulation.targetting.ByIdTargetting"),
        "snakefold.nest.targetting:ByLabel": (
            "by_label",
            "ByLabelTargetting",
            "bsb.simulation.targetting.ByLabelTargetting",
        ),
        "snakefold.nest.targetting:InCylinder": (
            "cylinder",
            "CylindricalTargetting",
            "bsb.simulation.targetting.CylindricalTargetting",
        ),
        "snakefold.nest.targetting:InSphere": (
            "sphere",
            "SphericalTargetting",
            "bsb.simulation.targetting.SphericalTargetting",
        ),
        "snakefold.nest.targetting:CellTypesInSphere": (
            "sphere_cell_types",
            "SphericalTargettingCellTypes",
            "bsb.simulation.targetting.SphericalTargettingCellTypes",
        ),
    },
}

LATER: dict[str, tuple[str, ...]] = {  # components of the BSB that are known by name only
    "partition": ("nrrd", "allen"),
    "placement": (
        "PoissonDiskPlacement",
        "ParallelArrayPlacement",
        "DistributionPlacement",
        "CsvImportPlacement",
        "Entities",
    ),
    "connectivity": (
        "VoxelIntersection",
        "SegmentIntersection",
        "ShapeToShape",
        "MorphologyToShape",
        "ShapeToMorphology",
        "CsvImportConnectivity",
    ),
    "after_connectivity": ("FuseConnectivity", "IntermediateBypass"),
    "simulation": ("neuron", "arbor"),
}

_loaded: dict[tuple[str, str], type[Node]] = {}  # (kind, name) -> a component of the user's own
_sources: dict[str, str] = {}  # module name -> source, of the files loaded


def find(kind: str, name: str) -> type[Node] | None:
    """Return the component class of a kind by any of its names, or None."""
    for target, names in BUILT_IN[kind].items():
        if name in names:
            return _import(target)
    if (kind, name) not in _loaded:
        _load_entry_points()
    return _loaded.get((kind, name))


def names(kind: str) -> list[str]:
    """Return one name for each component of a kind, for messages and schemas."""
    _load_entry_points()
    own = dict.fromkeys(name_of(cls) for (k, _), cls in _loaded.items() if k == kind)
    return [*(n[0] for n in BUILT_IN[kind].values()), *own]


def installed(kind: str) -> list[tuple[list[str], type[Node]]]:
    """Return (all names, class) of each component of a kind."""
    _load_entry_points()
    own: dict[type[Node], list[str]] = {}
    for (k, name), cls in _loaded.items():
        if k == kind:
            own.setdefault(cls, []).append(name)
    return [(list(n), _import(t)) for t, n in BUILT_IN[kind].items()] + [(n, cls) for cls, n in own.items()]


def name_of(cls: type[Node]) -> str:
    """Return the name by which slices know a class."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    for kind in BUILT_IN.values():
        if target in kind:
            return kind[target][0]
    return f"{cls.__module__.removeprefix(_PREFIX)}.{cls.__qualname__}"


def record(component: Node) -> dict:
    """Return what a slice holds of a component: enough to restore it in a job, and all that its results depend on."""
    cls = type(component)
    written = {
        "kind": cls.kind,
        "class": name_of(cls),
        "version": cls.algorithm_version,
        "attributes": component.to_json(),
    }
    if cls.__module__ in _sources:
        written["module"] = cls.__module__.removeprefix(_PREFIX)
        written["source"] = _sources[cls.__module__]
    return written


def restore(written: dict, name: str, files: dict | None = None) -> Node:
    """Return the component of a slice.

    Raises
    ------
    UserError : its class is not installed here, or its algorithm is of another version
    """
    if "source" in written:
        load(written["module"], written["source"], f"{written['module']}.py")
    cls = find(written["kind"], written["class"])
    if cls is None:
        raise UserError(f'no {written["kind"]} component "{written["class"]}" is installed here')
    if cls.algorithm_version != written["version"]:
        raise UserError(
            f"{written['class']}: algorithm version should be: {written['version']} (got: {cls.algorithm_version})"
            "; the plan was made by another version of it: run snakemake again"
        )
    with context.building(context.BuildContext(files=files or {})) as build:
        component = cls.build(written["attributes"], (name,))
    if build.mistakes:
        raise UserError(build.mistakes)
    return component


_PREFIX = "snakefold_user."


def load(module: str, source: str, file: str) -> None:
    """Register the components of a Python file of the user's own, under `module.Class` and `Class`.

    Raises
    ------
    UserError : the file cannot be imported; the message has the line
    """
    name = _PREFIX + module
    if _sources.get(name) == source:
        return
    made = ModuleType(name)
    made.__file__ = file
    sys.modules[name] = made
    try:
        exec(compile(source, file, "exec"), made.__dict__)
    except Exception as error:
        del sys.modules[name]
        frame, line = error.__traceback__, getattr(error, "lineno", None)
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == file:
                line = frame.tb_lineno
            frame = frame.tb_next
        raise UserError(f"cannot be imported: {type(error).__name__}: {error}", where=f"{file}:{line or 1}") from error
    _sources[name] = source
    _register(made)


def _register(module: ModuleType) -> None:
    for cls in vars(module).values():
        if (
            isinstance(cls, type)
            and issubclass(cls, Node)
            and cls.__module__ == module.__name__
            and hasattr(cls, "kind")
        ):
            _loaded[cls.kind, name_of(cls)] = _loaded[cls.kind, cls.__qualname__] = cls


@functools.cache
def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="snakefold.components"):
        try:
            _register(entry.load())
        except Exception as error:
            raise UserError(f'the component package "{entry.value}" cannot be imported: {error}') from error


def _import(target: str) -> type[Node]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


class Component(types.Type):
    """A mapping whose class is chosen by the word at `key` among the components of a kind."""

    def __init__(self, kind: str, key: str, default: str = ""):
        self.kind, self.key, self.default = kind, key, default
        self.says = f"a mapping: one of the {kind} components below"

    def schema(self, definitions: dict) -> dict:
        cases, known = [], []
        for words, cls in installed(self.kind):
            known += words
            chosen = {"properties": {self.key: {"enum": words}}}
            if self.default not in words:
                chosen["required"] = [self.key]
            cases.append({"if": chosen, "then": cls.schema(definitions)})
        schema = {"type": "object"} | ({"properties": {self.key: {"enum": known}}, "allOf": cases} if cases else {})
        return schema | ({} if self.default else {"required": [self.key]})

    def cast(self, value, path, parent):
        if not isinstance(value, dict):
            return types.wrong(path, f'a mapping with "{self.key}"', value)
        name = self.default if value.get(self.key) is None else value[self.key]
        if name == "":
            context.current().mistake(path, f'"{self.key}" is missing (one of: {listed(names(self.kind), 20)})')
            return INVALID
        cls = find(self.kind, name) if isinstance(name, str) else None
        if cls is None:
            known = names(self.kind)
            if str(name).rpartition(".")[2] in LATER.get(self.kind, ()):
                what = f'not yet supported: {self.key} "{name}"'
            else:
                what = f'no {self.kind} component "{name!s:.60}"{did_you_mean(name, known)}'
            context.current().mistake((*path, self.key), f"{what} ({self.key}: {listed(known, 20)})")
            return INVALID
        return cls.build({k: v for k, v in value.items() if k != self.key}, path, parent)

    def to_json(self, value):
        return {self.key: name_of(type(value))} | value.to_json()
