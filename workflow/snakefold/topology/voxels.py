"""Partitions of voxels: what a mask over a volume selects, with volumes of data that give each voxel its values.

When a circuit is loaded only headers are read; masks and data are read by the part's build job, which cuts the voxels
at the faces of chunks (`voxelised`).
"""

from collections.abc import Iterator
from math import prod

import h5py
import numpy as np

from snakefold.config import context, types
from snakefold.config.nodes import Attribute
from snakefold.errors import Mistake, UserError, listed
from snakefold.topology.boxes import Box
from snakefold.topology.chunks import Grid
from snakefold.topology.nrrd import Volume, VolumeOf, slabs
from snakefold.topology.partitions import Partition
from snakefold.topology.voxelised import MOST_VOXELS_IN_CHUNK, Cutting, Frame, VoxelExtent


class Voxels(Partition):
    """Base of the partitions of voxels: a frame, a mask over it, and columns of data."""

    can_move = False
    cannot_move = "its voxels lie where its file says"
    known_extent = False

    def frame(self) -> Frame:
        """Return where its voxels are."""
        raise NotImplementedError

    def columns(self) -> list[str]:
        """Return the names of its data columns."""
        return []

    def mask(self) -> np.ndarray:
        """Return which voxels belong to it, (nx, ny, nz) bool; read in its build job."""
        raise NotImplementedError

    def data(self) -> Iterator[np.ndarray]:
        """Yield the data of each column, (nx, ny, nz) or larger."""
        return iter(())

    def layout(self, parent: Box) -> Box:
        frame = self.frame()
        return Box.of(frame.corner, tuple(n * s for n, s in zip(frame.sizes, frame.spacing, strict=True)))

    def boxes(self, box: Box) -> list[Box]:
        raise NotImplementedError

    def extent(self) -> VoxelExtent:
        """Return what is known of it before its part is built."""
        frame = self.frame()
        return VoxelExtent(tuple(self.columns()), prod(frame.sizes) * prod(frame.spacing))

    def load(self) -> tuple[int, int]:
        """Return the number of voxels of its frame and of bytes of its largest volume, for estimates of cost."""
        n = prod(self.frame().sizes)
        return n, 8 * n

    def faults(self, grid: Grid) -> Iterator[Mistake]:
        """Yield what is wrong with it in a grid of chunks."""
        n = prod(max(size / spacing, 1.0) for size, spacing in zip(grid.size, self.frame().spacing, strict=True))
        if min(n, prod(self.frame().sizes)) > MOST_VOXELS_IN_CHUNK:
            what = f"a chunk has {n:.3g} of its voxels (at most {MOST_VOXELS_IN_CHUNK:.3g})"
            yield Mistake(f"{what}; network.chunk_size should be smaller", self.path)

    def write(self, group: h5py.Group, grid: Grid) -> None:
        """Write its voxels, cut by the grid.

        Raises
        ------
        UserError : a file is broken, or no voxel belongs to it
        """
        cutting = Cutting(self.mask(), self.frame(), grid)
        cutting.write(group)
        for i, volume in enumerate(self.data()):
            cutting.write_column(group, str(i), volume)


class NrrdVoxels(Voxels):
    """Voxels of NRRD files: those that are not 0, or are `mask_value`, in the mask or else in any of the sources."""

    mask_source = Attribute(
        VolumeOf(), doc="Volume that says which voxels belong to it; where it is not given, the sources do."
    )
    mask_value = Attribute(types.integer(), doc="Value of the voxels that belong to it; without it, or 0: any but 0.")
    sources = Attribute(
        types.ListOf(VolumeOf(named=True)),
        default=lambda node: [],
        doc="Volumes of data, columns of its voxels; a file is called as it stands here, or by its stem.",
    )
    mask_only = Attribute(types.boolean(), default=False, doc="Whether the sources' data are left out.")
    sparse = Attribute(
        types.boolean(), default=True, semantic=False, doc="Accepted as the BSB's: masks are kept as bits."
    )
    strict = Attribute(
        types.boolean(),
        default=True,
        doc="Whether all volumes have the same sizes; otherwise the sources may be larger than the masks.",
    )

    @classmethod
    def build(cls, value, path=(), parent=None):
        build = context.current()
        n = len(build.mistakes)
        node = super().build(value, path, parent)
        given = value if isinstance(value, dict) else {}
        lacks = any(given.get(key) is not None and getattr(node, key) is None for key in ("mask_source", "sources"))
        if len(build.mistakes) == n and build.files is None and not lacks:  # a broken one of `files` is told there
            for at, message in node.misfits():
                build.mistake((*path, *at), message)
        return node

    def masks(self) -> list[Volume]:
        """Return the volumes that say which voxels belong to it."""
        return [self.mask_source] if self.mask_source else self.sources

    def misfits(self) -> Iterator[tuple[tuple, str]]:
        """Yield (keys, what is wrong) of volumes that are missing or do not fit together."""
        if not self.masks():
            yield (), 'needs "mask_source" or "sources": which voxels belong to it?'
            return
        volumes = {("mask_source",): self.mask_source} if self.mask_source else {}
        volumes |= {("sources", i): source for i, source in enumerate(self.sources)}
        first = self.masks()[0]
        smallest = np.min([s.header.sizes for s in self.sources or self.masks()], axis=0)
        largest = np.max([m.header.sizes for m in self.masks()], axis=0)
        for at, volume in volumes.items():
            if volume.header.components:
                what = f"{volume} has {prod(volume.header.components)} numbers for each voxel; it should have one"
                yield at, what
            elif volume.header.dtype.kind not in "biuf":
                yield at, f"{volume} should have real numbers (got: {volume.header.dtype})"
            for what in ("spacing", "corner"):
                own, other = getattr(volume, what), getattr(first, what)
                if not np.allclose(own, other, rtol=1e-6, atol=1e-6 * min(first.spacing)):
                    said = {"spacing": "its voxels should be as large as", "corner": "it should begin where"}[what]
                    verb = "" if what == "spacing" else " does"
                    yield at, f"{said} {first}{verb}: {_um(other)} um (got: {_um(own)} um)"
            if self.strict and volume.header.sizes != first.header.sizes:
                sizes = f"{list(first.header.sizes)} voxels (got: {list(volume.header.sizes)})"
                yield at, f"should have as many as {first}: {sizes}; strict: false takes larger sources"
        if not self.strict and (largest > smallest).any():
            what = f"a mask of {largest.tolist()} voxels may select some that are outside the sources, of which the"
            yield ("strict",), f"{what} smallest have {smallest.tolist()}"
        names = [source.name for source in self.sources]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield ("sources", i), f'another source is called "{name}", too; give them names in `files`'

    def frame(self) -> Frame:
        masks = self.masks()
        sizes = np.max([m.header.sizes for m in masks], axis=0)
        return Frame(tuple(int(n) for n in sizes), masks[0].spacing, masks[0].corner)

    def columns(self) -> list[str]:
        return [] if self.mask_only else [source.name for source in self.sources]

    def data(self) -> Iterator[np.ndarray]:
        return (source.read() for source in ([] if self.mask_only else self.sources))

    def load(self) -> tuple[int, int]:
        return prod(self.frame().sizes), max(v.header.n_bytes for v in (*self.masks(), *self.sources))

    def selects(self, values: np.ndarray) -> np.ndarray:
        """Return which values of a mask are those of voxels that belong to it; those that are no number are not."""
        if self.mask_value:
            return values == self.mask_value
        return (values != 0) & (values == values)

    def selection(self) -> str:
        """Return what the voxels that belong to it are, in words."""
        return f"has the value {self.mask_value}" if self.mask_value else "is other than 0"

    def mask(self) -> np.ndarray:
        made = np.zeros(self.frame().sizes, bool, order="F")
        for volume in self.masks():
            values = volume.read()
            for slab in slabs(values.shape):
                part = self.selects(values[:, :, slab])
                nx, ny, nz = part.shape
                made[:nx, :ny, slab][..., :nz] |= part
            del values
        if not made.any():
            what = f"no voxel of {listed(str(v.file.path.name) for v in self.masks())} {self.selection()}"
            raise UserError(Mistake(f"is empty: {what}", ("partitions", self.node_name)))
        return made


def _um(lengths: tuple) -> str:
    return ", ".join(f"{x:g}" for x in lengths)
