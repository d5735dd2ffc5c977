"""Cells turned along a field of directions: a volume in NRRD with a vector for each voxel."""

import numpy as np

from snakefold.config.nodes import Attribute
from snakefold.config.types import file_digest
from snakefold.errors import UserError, expects
from snakefold.morphology.rotations import between
from snakefold.placement.distribute import Arrays, PlacedCells, RotationDistributor
from snakefold.topology.chunks import Grid, Pieces
from snakefold.topology.nrrd import VolumeOf, slabs


class OrientationField(RotationDistributor):
    """Turns each cell along the vector of the voxel that it is in.

    As in the BSB, the direction that `default_vector` of the volume has in a morphology comes to lie *against* that of
    the field, by the smallest angle: with [0, -1, 0], a dendrite that grows along +y points where the field points.
    Cells outside the field, or where it has no direction, are not turned.
    """

    orientation_path = Attribute(
        VolumeOf(), required=True, doc="The field: an NRRD file with three components for each voxel."
    )

    def faults(self):
        volume = self.orientation_path
        if volume is None:
            return []
        wrong = []
        if tuple(volume.header.components) != (3,):
            given = " x ".join(map(str, volume.header.components)) or "1"
            wrong.append(("orientation_path", f"should be: a volume of vectors, 3 numbers a voxel (got: {given})"))
        if not any(volume.default_vector):
            wrong.append(("orientation_path", "its default_vector should be: a direction, not [0, 0, 0]"))
        return wrong

    def prepare(self, pieces: Pieces, grid: Grid) -> Arrays:
        """Return the field where the strategy's cells may be.

        Returns
        -------
        voxel (m,) int64, ascending, flat in `shape` (3,), those that have a direction; direction (m, 3) float32;
        spacing and corner, (3,) float64, um
        """
        volume = self.orientation_path
        if file_digest(volume.file.path) != volume.file.digest:
            raise UserError("has changed since the plan was made; run snakemake again", where=str(volume))
        field = volume.read()
        if field.ndim != 4 or field.shape[-1] != 3:
            raise UserError(expects("shape", "(nx, ny, nz, 3)", field.shape), where=str(volume))
        shape = np.array(field.shape[:3])
        low = high = np.zeros(3, np.int64)
        if len(pieces.lower):
            low = np.clip(volume.voxel_of(pieces.lower.min(axis=0)[None])[0], 0, shape)
            high = np.clip(volume.voxel_of(pieces.upper.max(axis=0)[None])[0] + 1, low, shape)
        window = field[tuple(map(slice, low, high))]
        voxels, directions = [np.empty(0, np.int64)], [np.empty((0, 3), np.float32)]
        for layers in slabs(window.shape[:3]):
            part = np.asarray(window[:, :, layers], np.float32)
            there = np.isfinite(part).all(axis=-1) & (part != 0).any(axis=-1)
            ijk = np.argwhere(there) + low + [0, 0, layers.start]
            voxels.append(np.ravel_multi_index(tuple(ijk.T), tuple(shape)))
            directions.append(part[there])
        voxel, direction = np.concatenate(voxels), np.concatenate(directions)
        order = np.argsort(voxel)
        return {
            "voxel": voxel[order],
            "direction": direction[order],
            "shape": shape,
            "spacing": np.asarray(volume.spacing, np.float64),
            "corner": np.asarray(volume.corner, np.float64),
        }

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        field = cells.prepared
        ijk = np.floor((cells.positions.astype(np.float64) - field["corner"]) / field["spacing"]).astype(np.int64)
        inside = ((ijk >= 0) & (ijk < field["shape"])).all(axis=1)
        flat = np.ravel_multi_index(tuple(np.where(inside[:, None], ijk, 0).T), tuple(field["shape"]))
        at = np.minimum(np.searchsorted(field["voxel"], flat), max(len(field["voxel"]) - 1, 0))
        known = inside & (field["voxel"][at] == flat) if len(field["voxel"]) else np.zeros(len(cells), bool)
        direction = np.zeros((len(cells), 3))
        direction[known] = -field["direction"][at[known]].astype(np.float64)
        return between(np.asarray(self.orientation_path.default_vector), direction)
