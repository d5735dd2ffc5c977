"""The registry of components: those that are built in, and those of modules of the user's own (`extensions`).

A component is a class of one of the kinds below with declared attributes (`config.nodes`). A description names it by a
short name, its class name or, for those it shares with the BSB, the BSB's dotted name. A job restores a component from
its slice: class, algorithm version, attributes, and what it needs of its module.
"""

import importlib
import re
from collections import Counter

from snakefold import extensions
from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Node
from snakefold.config.schema import HAS_REFERENCE, mapping
from snakefold.errors import UserError, did_you_mean, listed, nearest


def _of_bsb(module: str, cls: str, *short: str, package: str) -> tuple[str, ...]:
    """Return the names of a component that the BSB has, too: short ones, its class, and the dotted paths to that."""
    return (*short, cls, f"bsb.{package}.{cls}", f"bsb.{package}.{module}.{cls}", f"bsb.{cls}")


def _of_modules(short: str, cls: str, *modules: str) -> tuple[str, ...]:
    """Return a short name, the class in the BSB, and that class by its dotted paths in some modules."""
    return (short, cls, *(f"{module}.{cls}" for module in modules))


def _of_geometry(name: str, short: str, module: str) -> tuple[str, ...]:
    """Return the names of a strategy that connects by shapes: our own, and those of the BSB."""
    cls = f"{name}Intersection"
    package = "bsb.connectivity.geometric"
    return (short, name, *_of_modules(f"{short}_intersection", cls, f"{package}.{module}", package, "bsb.connectivity"))


def _shape(cls: str) -> tuple[str, ...]:
    return _of_modules(
        cls.lower(),
        cls,
        "bsb.connectivity.geometric.geometric_shapes",
        "bsb.connectivity.geometric",
        "bsb.connectivity",
    )


def _of_cerebellum(module: str, cls: str, registered: str) -> tuple[str, ...]:
    """Return the names of a rule that the package cerebellar-models has, too."""
    return (module, registered, cls, f"cerebellar_models.connectome.{module}.{cls}")


BUILT_IN: dict[str, dict[str, tuple[str, ...]]] = {
    "file": {"snakefold.topology.nrrd:Volume": _of_modules("nrrd", "NrrdDependencyNode", "bsb.storage._files", "bsb")},
    "region": {
        "snakefold.topology.regions:Group": _of_bsb("region", "RegionGroup", "group", package="topology"),
        "snakefold.topology.regions:Stack": _of_bsb("region", "Stack", "stack", package="topology"),
    },
    "partition": {
        "snakefold.topology.partitions:Layer": _of_bsb("partition", "Layer", "layer", package="topology"),
        "snakefold.topology.partitions:Rhomboid": _of_bsb("partition", "Rhomboid", "rhomboid", package="topology"),
        "snakefold.topology.voxels:NrrdVoxels": _of_bsb("partition", "NrrdVoxels", "nrrd", package="topology"),
        "snakefold.topology.atlas:AllenStructure": _of_bsb("partition", "AllenStructure", "allen", package="topology"),
    },
    "placement": {
        "snakefold.placement.random:RandomPlacement": _of_bsb(
            "random", "RandomPlacement", "random", "random_placement", package="placement"
        ),
        "snakefold.placement.poisson_disk:PoissonDiskPlacement": _of_bsb(
            "poisson_disk", "PoissonDiskPlacement", "poisson_disk_placement", package="placement"
        ),
        "snakefold.placement.fixed:FixedPositions": _of_bsb(
            "strategy", "FixedPositions", "fixed_positions", package="placement"
        ),
        "snakefold.placement.entities:Entities": _of_bsb("strategy", "Entities", "entities", package="placement"),
        "snakefold.placement.parallel_array:ParallelArrayPlacement": _of_bsb(
            "arrays", "ParallelArrayPlacement", "parallel_array_placement", package="placement"
        ),
        "snakefold.placement.csv_import:CsvImportPlacement": _of_bsb(
            "import_", "CsvImportPlacement", "csv_import_placement", package="placement"
        ),
        "snakefold.placement.distribution:DistributionPlacement": _of_bsb(
            "random", "DistributionPlacement", "distribution_placement", package="placement"
        ),
    },
    "distributor": {
        "snakefold.placement.properties:Constant": ("constant", "Constant"),
        "snakefold.placement.properties:Drawn": ("distribution", "Drawn"),
        "snakefold.placement.properties:Choice": ("choice", "Choice"),
    },
    "morphology_distributor": {
        "snakefold.morphology.distributors:RandomMorphologies": _of_bsb(
            "distributor", "RandomMorphologies", "random", package="placement"
        ),
        "snakefold.morphology.distributors:RoundRobinMorphologies": _of_bsb(
            "distributor", "RoundRobinMorphologies", "roundrobin", package="placement"
        ),
    },
    "rotation_distributor": {
        "snakefold.morphology.rotations:NoRotations": _of_bsb(
            "distributor", "ImplicitNoRotations", "none", package="placement"
        ),
        "snakefold.morphology.rotations:ExplicitNoRotations": _of_bsb(
            "distributor", "ExplicitNoRotations", "explicitly_none", package="placement"
        ),
        "snakefold.morphology.rotations:RandomRotations": _of_bsb(
            "distributor", "RandomRotations", "random", package="placement"
        ),
        "snakefold.morphology.orientation:OrientationField": _of_bsb(
            "distributor", "VolumetricRotations", "orientation_field", package="placement"
        ),
    },
    "morphology_parser": {
        "snakefold.morphology.parsers:BsbParser": _of_modules("bsb", "BsbParser", "bsb.morphologies.parsers.parser"),
        "snakefold.morphology.parsers:MorphioParser": _of_modules(
            "morphio", "MorphIOParser", "bsb.morphologies.parsers.parser"
        ),
    },
    "morphology_step": {
        "snakefold.morphology.steps:Translate": ("translate",),
        "snakefold.morphology.steps:Rotate": ("rotate",),
        "snakefold.morphology.steps:RootRotate": ("root_rotate",),
        "snakefold.morphology.steps:Center": ("center",),
        "snakefold.morphology.steps:CloseGaps": ("close_gaps",),
        "snakefold.morphology.steps:Collapse": ("collapse",),
        "snakefold.morphology.steps:Simplify": ("simplify", "simplify_branches"),
        "snakefold.morphology.steps:SwapAxes": ("swap_axes",),
        "snakefold.morphology.steps:Label": ("label",),
    },
    "morphology_selector": {
        "snakefold.morphology.selectors:ByName": _of_modules("by_name", "NameSelector", "bsb.morphologies.selector"),
    },
    "after_placement": {"snakefold.placement.labels:LabelCells": ("label", "LabelCells")},
    "connectivity": {
        "snakefold.connectivity.all_to_all:AllToAll": _of_bsb(
            "general", "AllToAll", "all_to_all", package="connectivity"
        ),
        "snakefold.connectivity.fixed_degree:FixedIndegree": _of_bsb(
            "general", "FixedIndegree", "fixed_indegree", package="connectivity"
        ),
        "snakefold.connectivity.fixed_degree:FixedOutdegree": _of_bsb(
            "general", "FixedOutdegree", "fixed_outdegree", package="connectivity"
        ),
        "snakefold.connectivity.fixed_total_number:FixedTotalNumber": ("fixed_total_number", "FixedTotalNumber"),
        "snakefold.connectivity.voxel_intersection:VoxelIntersection": (
            *_of_bsb("voxel_intersection", "VoxelIntersection", "voxel_intersection", package="connectivity.detailed"),
            "bsb.connectivity.VoxelIntersection",
        ),
        "snakefold.connectivity.distance_probability:DistanceProbability": (
            "distance_probability",
            "DistanceProbability",
        ),
        "snakefold.connectivity.csv_import:CsvImportConnectivity": _of_bsb(
            "import_", "CsvImportConnectivity", "csv_import_connectivity", package="connectivity"
        ),
        "snakefold.connectivity.segment_intersection:SegmentIntersection": _of_modules(
            "segment_intersection",
            "SegmentIntersection",
            "bsb.connectivity",
            "bsb.connectivity.detailed",
            "bsb.connectivity.detailed.segment_intersection",
        ),
        "snakefold.connectivity.shape_intersection:ShapeToShape": _of_geometry(
            "ShapeToShape", "shape_to_shape", "shape_shape_intersection"
        ),
        "snakefold.connectivity.shape_intersection:MorphologyToShape": _of_geometry(
            "MorphologyToShape", "morphology_to_shape", "morphology_shape_intersection"
        ),
        "snakefold.connectivity.shape_intersection:ShapeToMorphology": _of_geometry(
            "ShapeToMorphology", "shape_to_morphology", "shape_morphology_intersection"
        ),
        "snakefold.contrib.cerebellum.to_glomerulus:MossyToGlomerulus": _of_cerebellum(
            "to_glomerulus", "ConnectomeMossyGlomerulus", "mossy_glom"
        ),
        "snakefold.contrib.cerebellum.glomerulus_granule:GlomerulusToGranule": _of_cerebellum(
            "glomerulus_granule", "ConnectomeGlomerulusGranule", "glom_gran"
        ),
        "snakefold.contrib.cerebellum.glomerulus_golgi:GlomerulusToGolgi": _of_cerebellum(
            "glomerulus_golgi", "ConnectomeGlomerulusGolgi", "glom_golgi"
        ),
        "snakefold.contrib.cerebellum.golgi_glomerulus:GolgiToGlomerulus": _of_cerebellum(
            "golgi_glomerulus", "ConnectomeGolgiGlomerulus", "golgi_glom"
        ),
    },
    "shape": {
        f"snakefold.connectivity.shapes:{cls}": _shape(cls)
        for cls in ("Ellipsoid", "Cone", "Cylinder", "Sphere", "Cuboid", "Parallelepiped")
    },
    "after_connectivity": {
        "snakefold.connectivity.fusion:FuseConnectivity": _of_modules(
            "fuse_connectivity", "FuseConnectivity", "bsb.postprocessing", "bsb"
        ),
        "snakefold.connectivity.fusion:IntermediateBypass": _of_modules(
            "intermediate_bypass", "IntermediateBypass", "bsb.postprocessing", "bsb"
        ),
        "snakefold.connectivity.duplication:RepeatSynapses": ("repeat_synapses", "RepeatSynapses"),
        "snakefold.connectivity.duplication:BidirectionalContact": _of_modules(
            "bidirectional_contact", "BidirectionalContact", "bsb.postprocessing", "bsb"
        ),
        "snakefold.contrib.cerebellum.reports:StructureReport": _of_modules(
            "struct_report", "RunStructureReport", "cerebellar_models.analysis.structure_analysis"
        ),
    },
    "simulation": {"snakefold.nest.description:NestSimulation": ("nest", "NestSimulation")},
    "after_prepare": {},
    "after_simulation": {
        "snakefold.contrib.cerebellum.reports:SimulationReport": _of_modules(
            "sim_report", "RunSimulationReport", "cerebellar_models.analysis.spike_plots"
        ),
    },
    "cell_parameter": {},
    "connection_parameter": {
        "snakefold.nest.parameters:DistanceDelay": _of_modules(
            "distance_delay", "DistanceDelayParameter", "bsb.simulation.parameter"
        ),
    },
    "device": {
        "snakefold.nest.devices:PoissonGenerator": _of_modules(
            "poisson_generator", "PoissonGenerator", "bsb_nest.devices", "bsb_nest.devices.poisson_generator"
        ),
        "snakefold.nest.devices:SinusoidalPoissonGenerator": _of_modules(
            "sinusoidal_poisson_generator",
            "SinusoidalPoissonGenerator",
            "bsb_nest.devices",
            "bsb_nest.devices.sinusoidal_poisson_generator",
        ),
        "snakefold.nest.devices:DcGenerator": _of_modules(
            "dc_generator", "DCGenerator", "bsb_nest.devices", "bsb_nest.devices.dc_generator"
        ),
        "snakefold.nest.devices:SpikeGenerator": ("spike_generator", "SpikeGenerator"),
        "snakefold.nest.devices:SpikeRecorder": _of_modules(
            "spike_recorder", "SpikeRecorder", "bsb_nest.devices", "bsb_nest.devices.spike_recorder"
        ),
        "snakefold.nest.devices:Multimeter": _of_modules(
            "multimeter", "Multimeter", "bsb_nest.devices", "bsb_nest.devices.multimeter"
        ),
        "snakefold.nest.devices:External": _of_modules("external", "ExtNestDevice", "bsb_nest.device"),
    },
    "targetting": {
        "snakefold.nest.targetting:AllCells": _of_modules("all", "CellTargetting", "bsb.simulation.targetting"),
        "snakefold.nest.targetting:AllConnections": _of_modules(
            "all_connections", "ConnectionTargetting", "bsb.simulation.targetting"
        ),
        "snakefold.nest.targetting:CellModels": _of_modules(
            "cell_model", "CellModelTargetting", "bsb.simulation.targetting"
        ),
        "snakefold.nest.targetting:Representatives": _of_modules(
            "representatives", "RepresentativesTargetting", "bsb.simulation.targetting"
        ),
        "snakefold.nest.targetting:ById": _of_modules("by_id", "ByIdTargetting", "bsb.simulation.targetting"),
        "snakefold.nest.targetting:ByLabel": _of_modules("by_label", "ByLabelTargetting", "bsb.simulation.targetting"),
        "snakefold.nest.targetting:InCylinder": _of_modules(
            "cylinder", "CylindricalTargetting", "bsb.simulation.targetting"
        ),
        "snakefold.nest.targetting:InSphere": _of_modules("sphere", "SphericalTargetting", "bsb.simulation.targetting"),
        "snakefold.nest.targetting:CellTypesInSphere": _of_modules(
            "sphere_cell_types", "SphericalTargettingCellTypes", "bsb.simulation.targetting"
        ),
    },
}

LATER: dict[str, tuple[str, ...]] = {  # components of the BSB that are known by their names only
    "file": ("file", "FileDependencyNode", "code", "CodeDependencyNode", "morphology", "MorphologyDependencyNode"),
    "after_connectivity": (
        "spoof_details",
        "SpoofDetails",
        "relay",
        "Relay",
    ),
    "simulation": ("neuron", "arbor"),
}


def find(kind: str, name: str) -> list[type[Node]]:
    """Return the component classes of a kind that have a name: none, one, or several that share it."""
    found = [_import(target) for target, words in BUILT_IN[kind].items() if name in words]
    for extension in extensions.visible():
        found += [c for c in extension.classes if c.kind == kind and name in extension.names_of(c)]
    return list(dict.fromkeys(found))


def names(kind: str) -> list[str]:
    """Return one name for each component of a kind, for messages and schemas."""
    return [words[0] for words, _ in installed(kind)]


def installed(kind: str) -> list[tuple[list[str], type[Node]]]:
    """Return (all names, class) of each component of a kind; none of the names is another's, too."""
    found = {_import(target): list(words) for target, words in BUILT_IN[kind].items()}
    for extension in extensions.visible():
        found |= {c: extension.names_of(c) for c in extension.classes if c.kind == kind}
    held = Counter(word for words in found.values() for word in set(words))
    return [([word for word in words if held[word] == 1], cls) for cls, words in found.items()]


def name_of(cls: type[Node]) -> str:
    """Return the name by which slices know a class."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    for kind in BUILT_IN.values():
        if target in kind:
            return kind[target][0]
    return extensions.name_of(cls)


def record(component: Node) -> dict:
    """Return what a slice holds of a component: enough to restore it in a job, and all that its results depend on."""
    cls = type(component)
    written = {
        "kind": cls.kind,
        "class": name_of(cls),
        "version": cls.algorithm_version,
        "attributes": component.to_json(),
    }
    if extension := extensions.extension_of(cls):
        written |= extension.record(cls)
    return written


def data_files(*components: Node) -> dict[str, str]:
    """Return the data files of some components: digest -> path."""
    nodes = (node for component in components for node in component.walk())
    found = (value for node in nodes for value in vars(node).values() if isinstance(value, types.DataFile))
    return {file.digest: str(file.path) for file in found}


def restore(written: dict, name: str, files: dict | None = None) -> Node:
    """Return the component of a slice.

    Raises
    ------
    UserError : its class is not installed here, or its algorithm is of another version
    """
    extension = extensions.restored(written)
    with context.building(context.BuildContext(files=files or {})) as build:
        if extension:
            extensions.use(extension)
        cls = next((c for c in find(written["kind"], written["class"]) if name_of(c) == written["class"]), None)
        if cls is None:
            raise UserError(f'no {written["kind"]} component "{written["class"]}" is installed here')
        if cls.algorithm_version != written["version"]:
            raise UserError(
                f"{written['class']}: algorithm version should be: {written['version']} (got: {cls.algorithm_version})"
                "; the plan was made by another version of it: run snakemake again"
            )
        component = cls.build(written["attributes"], (name,))
    if build.mistakes:
        raise UserError(build.mistakes)
    return component


def broken() -> list[tuple[str, str | None]]:
    """Return (module, source or None) of the modules that this build could not import; it is told of them.

    A module without a name is one of which it is not known what it is called.
    """
    return context.current().share("broken components", list)


def _may_be_broken(name: str, known: list[str]) -> bool:
    for module, source in broken():
        if module and name.startswith(f"{module}."):
            return True
        may_hold = source is None or re.search(rf"^class {re.escape(name)}\b", source, re.MULTILINE)
        if may_hold and ("." not in name or not module) and not nearest(name, known):
            return True
    return False


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
            chosen: dict = {"properties": {self.key: {"enum": words}}, "required": [self.key]}
            if self.default in words:
                chosen = {"properties": chosen["properties"], "not": HAS_REFERENCE}
            cases.append({"if": chosen, "then": cls.schema(definitions)})
        word: dict = {"enum": known}
        if later := LATER.get(self.kind):
            word = {"anyOf": [word, {"type": "string", "pattern": rf"^([\w.]+\.)?({'|'.join(later)})$"}]}
        rules = {"allOf": cases} if cases else {}
        return mapping(definitions, {self.key: word}, () if self.default else [self.key], **rules)

    def cast(self, value, path, parent):
        if not isinstance(value, dict):
            return types.wrong(path, f'a mapping with "{self.key}"', value)
        name = self.default if value.get(self.key) is None else value[self.key]
        if value.get(self.key) is None and (misspelt := self._misspelt(value)):
            hint = f'unknown key "{misspelt}"; did you mean "{self.key}"?'
            context.current().mistake((*path, misspelt), f"{hint} ({self.key}: {listed(names(self.kind), 20)})")
            return INVALID
        if name == "":
            context.current().mistake(path, f'"{self.key}" is missing (one of: {listed(names(self.kind), 20)})')
            return INVALID
        found = find(self.kind, name) if isinstance(name, str) else []
        if len(found) > 1:
            said = listed(next(w for w in words if w != name) for words, cls in installed(self.kind) if cls in found)
            context.current().mistake((*path, self.key), f'"{name}" is the name of several: {said}; give one of these')
            return INVALID
        if not found:
            known = names(self.kind)
            if _may_be_broken(str(name), known):
                return INVALID
            if str(name).rpartition(".")[2] in LATER.get(self.kind, ()):
                what = f'not yet supported: {self.key} "{name}"'
            else:
                what = f'no {self.kind} component "{name!s:.60}"{did_you_mean(name, known)}'
            context.current().mistake((*path, self.key), f"{what} ({self.key}: {listed(known, 20)})")
            return INVALID
        (cls,) = found
        if value.get(self.key) is None and (meant := self._meant(value, cls)):
            what = f'"{self.key}" is missing: without it, this is "{name}", which has other keys'
            context.current().mistake(path, f'{what}; did you mean "{meant}"? (one of: {listed(names(self.kind), 20)})')
            return INVALID
        return cls.build({k: v for k, v in value.items() if k != self.key}, path, parent)

    def _misspelt(self, value: dict) -> str:
        """Return the key that may have been meant to choose the component, where none does, or an empty string."""
        keys = find(self.kind, self.default)[0].keys() if self.default else ()
        return next((key for key in value if key not in keys and nearest(key, [*keys, self.key]) == self.key), "")

    def _meant(self, value: dict, default: type[Node]) -> str:
        """Return the component that has all the keys of a mapping, some of which the default has not, or ""."""
        keys = default.keys()
        if not any(key not in keys and not nearest(key, keys) for key in value):
            return ""
        return next((words[0] for words, cls in installed(self.kind) if set(value) <= {*cls.keys(), self.key}), "")

    def to_json(self, value):
        return {self.key: name_of(type(value))} | value.to_json()
