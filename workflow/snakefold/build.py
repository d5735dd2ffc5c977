"""The build phase: one part from its slice, to R/build/<part>.h5, from which all later jobs of that part start.

A part's file holds its slice; the file of a partition its boxes or voxels, of a morphology its points and branches,
that of a placement the number of cells per (cell type, chunk) and the boundaries of its tiles. The digest of the file
is that of the slice without the number of tiles and of the parts that were read.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from snakefold import components, hdf5
from snakefold.config.nodes import Node
from snakefold.config.types import file_digest
from snakefold.errors import Mistake, UserError, expects, listed
from snakefold.morphology import swc
from snakefold.morphology.description import made
from snakefold.morphology.morphology import Morphology
from snakefold.placement.counts import Space, shares, total
from snakefold.placement.strategy import Setting
from snakefold.slices import canonical, content_digest, named_files, read_slice
from snakefold.sonata.columns import mapped
from snakefold.streams import stream
from snakefold.topology.boxes import Box
from snakefold.topology.chunks import Grid, decode
from snakefold.topology.tiles import boundaries
from snakefold.topology.voxelised import Voxelised

SCHEMA = "build"
COMPILED = "compiled"  # the group of what a placement strategy leaves for its chunks


@dataclass(frozen=True)
class Built:
    """A part as later jobs read it: slice, digest, arrays, its file, and what a placement strategy has compiled."""

    slice: dict
    digest: str
    arrays: dict[str, np.ndarray]
    files: dict[str, Path]
    path: Path
    compiled: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The grid of chunks."""
        return _grid(self.slice)

    @cached_property
    def voxels(self) -> Voxelised | None:
        """The voxels of a partition that has any; they stay in the file."""
        with hdf5.open_stage(self.path, SCHEMA) as file:
            columns = file["voxels"].attrs["columns"].tolist() if "voxels" in file else None
        return None if columns is None else Voxelised(self.path, columns)

    @property
    def morphology(self) -> Morphology:
        """The morphology of the part of one."""
        return Morphology.of(self.arrays)

    def component(self) -> Node:
        """Return the part's component, restored."""
        return _restored(self.slice, self.files)


def read(path: str | Path) -> Built:
    """Read the file of a part."""
    with hdf5.open_stage(path, SCHEMA) as file:
        arrays = {name: item[()] for name, item in file.items() if name not in ("slice", "files", "voxels", COMPILED)}
        compiled: dict[str, np.ndarray] = {}
        if COMPILED in file:
            file[COMPILED].visititems(lambda name, item: compiled.update(_mapped(name, item)))
        files = {digest: Path(name) for digest, name in json.loads(file["files"].asstr()[()]).items()}
        slice_, digest = json.loads(file["slice"].asstr()[()]), str(file.attrs["snakefold_digest"])
        return Built(slice_, digest, arrays, files, Path(path), compiled)


class Morphologies(Mapping[str, Morphology]):
    """Morphologies by name, from the files of their parts; each is read when it is first asked for."""

    def __init__(self, paths: Iterable[str | Path]):
        self._paths = {Path(path).stem: path for path in paths}
        self._read: dict[str, Morphology] = {}

    def __getitem__(self, name: str) -> Morphology:
        if name not in self._paths:
            raise UserError(f'no morphology "{name}" (morphologies: {listed(self._paths)})')
        if name not in self._read:
            self._read[name] = read(self._paths[name]).morphology
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _mapped(name: str, item: h5py.Group | h5py.Dataset) -> dict[str, np.ndarray]:
    """Return {name: rows}, mapped from the file where there are any: a job reads what its chunks need."""
    if isinstance(item, h5py.Group):
        return {}
    return {name: mapped(item) if item.size else item[()]}


def _restored(slice_: dict, files: dict[str, Path]) -> Node:
    """Return the component of a slice; a placement strategy that knows all its cells beforehand with its setting."""
    component = components.restore(slice_["component"], slice_.get("name", ""), files)
    if getattr(component, "whole", False):
        radii = {cell_type: of["radius"] or 0.0 for cell_type, of in slice_["types"].items()}
        component.setting = Setting(slice_["name"], slice_["seed"], radii)
    return component


def build(
    slice_file: str | Path, inputs: list[str], files: list[str], output: str | Path, export: str | Path = ""
) -> None:
    """Build one part.

    Parameters
    ----------
    slice_file : its frozen slice
    inputs : files of the parts it reads
    files : the data files that the slice names
    export : for a morphology, the SWC file for other programs

    Raises
    ------
    UserError : a data file is no longer what it was when the plan was made, or the part cannot be built
    """
    slice_ = read_slice(slice_file)
    by_digest = {file_digest(Path(file)): file for file in files}
    for digest in named_files(slice_):
        if digest not in by_digest:
            raise UserError("a data file has changed since the plan was made; run snakemake again", where=str(files))
    parts = {part.slice["name"]: part for part in map(read, inputs)}
    paths = {digest: Path(file) for digest, file in by_digest.items()}
    phases = {"partition": _partition, "place": _placement, "morphology": _morphology}
    arrays = phases.get(slice_["phase"], lambda *_: {})(slice_, parts, paths)
    if export:
        hdf5.write_text(export, swc.write(Morphology.of(arrays), standard=True))
    digest = hdf5.combine(content_digest(slice_), *(part.digest for part in parts.values()))
    with hdf5.create(output, SCHEMA, digest) as file:
        file.create_dataset("slice", data=canonical(slice_))
        file.create_dataset("files", data=canonical(by_digest))
        for name, array in sorted(arrays.items()):
            file.create_dataset(name, data=array)
        if slice_["phase"] == "partition" and not arrays:
            component = components.restore(slice_["component"], slice_["name"], paths)
            voxels = file.create_group("voxels")
            voxels.attrs["columns"] = np.array(component.columns(), h5py.string_dtype())
            component.write(voxels, _grid(slice_))


def space_of(parts: dict[str, Built], grid: Grid | None = None, files: dict[str, Path] | None = None) -> Space:
    """Return what numbers of cells are measured by in some partitions that were built."""
    boxes = {name: part.arrays["boxes"] for name, part in parts.items() if "boxes" in part.arrays}
    voxels = {name: part.voxels.extent() for name, part in parts.items() if name not in boxes}
    return Space(boxes, grid, files or {}, voxels)


def _grid(slice_: dict) -> Grid:
    return Grid(tuple(slice_["grid"]["origin"]), tuple(slice_["grid"]["size"]))


def _partition(slice_: dict, parts: dict[str, Built], files: dict[str, Path]) -> dict[str, np.ndarray]:
    """Return boxes (n, 2, 3) float64, um: lower and upper corners; nothing for a partition of voxels."""
    if "box" not in slice_:
        return {}
    component = components.restore(slice_["component"], slice_["name"], files)
    boxes = component.boxes(Box(*map(tuple, slice_["box"])))
    return {"boxes": np.array([[b.lower, b.upper] for b in boxes], np.float64)}


def _morphology(slice_: dict, parts: dict[str, Built], files: dict[str, Path]) -> dict[str, np.ndarray]:
    """Return the arrays of a morphology (see `morphology.morphology`)."""
    component = components.restore(slice_["component"], slice_["name"], files)
    if "templates" in slice_:
        rng = stream(slice_["seed"], "generate", *slice_["for"], slice_["index"])
        shape = component.generate(slice_["index"], {name: parts[name].morphology for name in slice_["templates"]}, rng)
        if not isinstance(shape, Morphology):
            raise UserError(expects(f"what {type(component).__name__}.generate returns", "a Morphology", shape))
        return shape.arrays()
    steps = [components.restore(step, slice_["name"], files) for step in slice_["pipeline"]]
    return made(files[slice_["file"]["blake2b"]], component, steps).arrays()


def _placement(slice_: dict, parts: dict[str, Built], files: dict[str, Path]) -> dict[str, np.ndarray]:
    """Return chunks (n,) uint64, counts (n_types, n) int64, colours (n,) and tiles (n_tiles + 1,) int64.

    Raises
    ------
    UserError : what could not be checked before the voxels of its partitions were known
    """
    strategy = _restored(slice_, files)
    grid = _grid(slice_)
    space = space_of(parts, grid, files)
    indicators = {t: slice_["types"][t]["indicator"] for t in strategy.cell_types}
    totals, mistakes = {}, []
    for cell_type, indicator in indicators.items():
        try:
            totals[cell_type] = total(indicator, space)
        except UserError as error:
            mistakes += [replace(m, path=("cell_types", cell_type, "spatial")) for m in error.mistakes]
    if mistakes:
        raise UserError(mistakes)
    pieces = space.pieces(strategy.partitions)
    if space.voxels:
        radii = {t: slice_["types"][t]["radius"] or 0.0 for t in strategy.cell_types}
        volume = sum(space.volume(partition) for partition in strategy.partitions)
        bounds = pieces.bounds(len(strategy.partitions))
        if faults := [*strategy.faults(totals, radii, volume), *strategy.misfits(totals, radii, bounds)]:
            raise UserError([Mistake(fault, ("placement", slice_["name"])) for fault in faults])
        for warning in strategy.warnings(totals, radii, volume):
            print(f"warning: placement.{slice_['name']}: {warning}", file=sys.stderr)
    share = {t: shares(indicator, space, *pieces.volumes()) for t, indicator in indicators.items()}
    chunks, counts = strategy.deal(totals, share, pieces, grid)
    cost = counts.sum(axis=0) + 100.0  # a chunk costs about as much as a hundred cells
    compiled = {f"{COMPILED}/{name}": a for name, a in strategy.compiled(totals, pieces, grid).items()}
    return compiled | {
        "chunks": chunks.astype(np.uint64),
        "counts": counts.astype(np.int64),
        "colours": strategy.colour(decode(chunks)).astype(np.int64),
        "tiles": boundaries(cost, slice_["tiles"]),
    }


def check_current(job: object) -> None:
    """Check that the files a job reads, through its `inputs`, `built` and `digest`, are those that it began with.

    A job that outlives its run may end when a later run has edited the part or cut it into other tiles; what it made is
    whole, but of another circuit.

    Raises
    ------
    UserError : they are not
    """
    now = type(job)(job.inputs)
    if (now.digest, now.built.slice) != (job.digest, job.built.slice):
        raise UserError(
            "it has changed since this job began, of an earlier run; nothing is written", where=job.inputs.build
        )
