"""Volumes: NRRD files, of which the header is read when a circuit is loaded, and the data in jobs only.

Format: https://teem.sourceforge.net/nrrd/format.html. As in voxcell, the first axes of a file with more than three are
components of one voxel's value, the space origin is the lower corner of the first voxel, and axes are the circuit's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config import context, types
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.errors import UserError

VOXEL_UM = 25.0  # the BSB's, where nothing is said
MOST_VOXELS = 2**33
_UM = dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1.0)
_UNITS = _UM | dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre"), 1e3) | {"nm": 1e-3, "m": 1e6, "": 1.0}
_ENCODINGS = ("raw", "gzip", "gz", "bzip2", "bz2", "ascii", "text", "txt")

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Header:
    """What the header of a volume says.

    Attributes
    ----------
    sizes : number of voxels along x, y and z
    components : of one voxel's value, () for a number
    dtype : of the data
    spacing, origin : edge lengths of a voxel and lower corner of the first, um, or None where it is not said
    """

    sizes: tuple[int, int, int]
    components: tuple[int, ...]
    dtype: np.dtype
    spacing: Triple | None
    origin: Triple | None

    @property
    def n_bytes(self) -> int:
        """Size of the data in memory."""
        return prod(self.sizes) * prod(self.components) * self.dtype.itemsize


def read_header(path: str | Path) -> Header:
    """Read the header of an NRRD file.

    Raises
    ------
    UserError : it is missing, broken, or of a kind that is not supported
    """
    import nrrd

    try:
        with Path(path).open("rb") as file:
            fields = nrrd.read_header(file)
            data_at = file.tell()
            size = file.seek(0, 2)
        header = _interpreted(fields)
    except _Unsupported as error:
        raise UserError(str(error), where=str(path)) from error
    except (
        nrrd.NRRDError,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        StopIteration,
        OverflowError,
    ) as error:
        said = str(error).strip().splitlines()
        what = f"has no header of an NRRD file{': ' + said[0] if said else ''}"
        raise UserError(what, where=str(path)) from error
    if fields["encoding"] == "raw" and size - data_at < header.n_bytes:
        what = f"is cut short: its header announces {header.n_bytes} bytes of data (there are {size - data_at})"
        raise UserError(what, where=str(path))
    if size == data_at:
        raise UserError("has a header but no data", where=str(path))
    return header


def read_data(path: str | Path, header: Header) -> np.ndarray:
    """Read the data of an NRRD file, (nx, ny, nz) or (nx, ny, nz, components), of the header's type.

    Raises
    ------
    UserError : it is broken, or no longer what the header said
    """
    import zlib

    import nrrd

    try:
        data, _ = nrrd.read(str(path))
    except (nrrd.NRRDError, OSError, ValueError, zlib.error, EOFError, MemoryError) as error:
        said = str(error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        raise UserError(f"its data cannot be read: {reason}", where=str(path)) from error
    for _ in header.components:
        data = np.moveaxis(data, 0, -1)
    return data


class _Unsupported(Exception):
    """A sound header of something else than a volume that can be used here."""


def _interpreted(fields: dict) -> Header:
    """Return the header that the fields of a file make.

    Raises
    ------
    _Unsupported : what is said cannot be used
    """
    missing = [field for field in ("dimension", "type", "encoding", "sizes") if field not in fields]
    if missing:
        raise _Unsupported(f"its header lacks: {', '.join(missing)}")
    if any(field in fields for field in ("data file", "datafile")):
        raise _Unsupported(
            "its data are in another file; join them (`unu save -f nrrd`), so that one file is the volume"
        )
    if fields["encoding"] not in _ENCODINGS:
        raise _Unsupported(f"its encoding should be: {', '.join(_ENCODINGS)} (got: {fields['encoding']})")
    sizes = [int(n) for n in fields["sizes"]]
    if len(sizes) != fields["dimension"] or len(sizes) < 3:
        raise _Unsupported(f"should have three axes, and its voxels' components before them (got: sizes {sizes})")
    if min(sizes) < 1 or prod(sizes) > MOST_VOXELS:
        raise _Unsupported(f"should have 1 to {MOST_VOXELS:.0e} voxels (got: sizes {sizes})")
    if fields["type"] == "block":
        raise _Unsupported("has data of type block; they should be numbers")
    from nrrd.reader import _determine_datatype as dtype_of

    n_before = len(sizes) - 3
    spacing, origin = _geometry(fields, n_before)
    return Header(tuple(sizes[n_before:]), tuple(sizes[:n_before]), np.dtype(dtype_of(fields)), spacing, origin)


def _geometry(fields: dict, n_before: int) -> tuple[Triple | None, Triple | None]:
    """Return spacing and origin, um, where a header has them."""
    unit = fields.get("space units")
    unit = fields.get("units", [""] * (n_before + 3))[n_before:] if unit is None else unit
    unit = [str(u).strip().strip('"').lower() for u in unit]
    unit = [_UNITS.get("" if u in ("???", "none", "nan", "") else u) for u in unit]
    spacing = origin = None
    if fields.get("space directions") is not None:
        directions = np.asarray(fields["space directions"], np.float64)[n_before:]
        if directions.shape != (3, 3) or not np.isfinite(directions).all():
            raise _Unsupported("its space directions should be three vectors of three numbers")
        if np.abs(directions - np.diag(np.diag(directions))).max() > 1e-6 * np.abs(directions).max():
            raise _Unsupported("its space directions are not along the axes x, y and z in this order; resample it")
        spacing = np.diag(directions)
    elif fields.get("spacings") is not None:
        spacing = np.asarray(fields["spacings"], np.float64)[n_before:]
        spacing = None if np.isnan(spacing).all() else spacing
    if spacing is not None:
        if len(spacing) != 3 or not (spacing > 0).all() or not np.isfinite(spacing).all():
            raise _Unsupported(f"its spacing should be: three numbers above 0 (got: {np.asarray(spacing).tolist()})")
        if len(unit) != 3 or None in unit:
            said = fields.get("space units") or fields.get("units")
            raise _Unsupported(f"its units should be: um or mm (got: {', '.join(map(str, said))})")
        spacing = tuple(float(s * u) for s, u in zip(spacing, unit, strict=True))
        if fields.get("space origin") is not None:
            at = np.asarray(fields["space origin"], np.float64)
            if at.shape != (3,) or not np.isfinite(at).all():
                raise _Unsupported(f"its space origin should be: three numbers (got: {at.tolist()})")
            origin = tuple(float(o * u) for o, u in zip(at, unit, strict=True))
    return spacing, origin


class Volume(Node):
    """A volume in an NRRD file: a number, or a vector, for each voxel."""

    kind: ClassVar[str] = "file"
    chosen_by: ClassVar[str] = "type"
    algorithm_version: ClassVar[int] = 1
    name: str = ""

    file = Attribute(types.FileOf(), required=True, doc="The NRRD file.")
    voxel_size = Attribute(
        types.voxel_size(),
        unit="um",
        doc="Edge lengths of a voxel, instead of what the file says of these and its origin; 25 if neither does.",
    )
    origin = Attribute(
        types.Vector(types.number()),
        unit="um",
        doc="Lower corner of the first voxel; the file's, or [0, 0, 0] where that says none or voxel_size is given.",
    )
    default_vector = Attribute(
        types.Vector(types.number()),
        default=(0.0, -1.0, 0.0),
        doc="Of an orientation field: the direction that cells have before they are rotated to that of their voxel.",
    )
    pipeline = types.later("Operations on the volume.")

    @classmethod
    def build(cls, value, path=(), parent=None):
        node = super().build(value, path, parent)
        if node.file is not None and context.current().files is None:
            try:
                node.header  # noqa: B018, kept for later
            except UserError as error:
                context.current().mistake((*path, "file"), f"{node.file} {error.mistakes[0].message}")
                node.file = None
        return node

    @cached_property
    def header(self) -> Header:
        """What its file's header says; raises as `read_header`."""
        return read_header(self.file.path)

    @property
    def spacing(self) -> Triple:
        """Edge lengths of a voxel, um."""
        return self.voxel_size or self.header.spacing or (VOXEL_UM,) * 3

    @property
    def corner(self) -> Triple:
        """Lower corner of the first voxel, um."""
        said = None if self.voxel_size else self.header.origin
        return self.origin or said or (0.0, 0.0, 0.0)

    def read(self) -> np.ndarray:
        """Return its data, (nx, ny, nz) or (nx, ny, nz, components)."""
        return read_data(self.file.path, self.header)

    def voxel_of(self, positions: np.ndarray) -> np.ndarray:
        """Return the voxels, (n, 3) int64, that hold positions, (n, 3) um; they need not be in the volume."""
        return np.floor((np.asarray(positions, np.float64) - self.corner) / self.spacing).astype(np.int64)

    def __str__(self) -> str:
        return str(self.file)


class VolumeOf(types.Type):
    """A volume: the name of one in `files`, the name of a file, or a mapping.

    Parameters
    ----------
    named : whether results depend on its name, as where columns are called by it
    """

    says = "a name in `files`, the name of an NRRD file, or a mapping: Volume"

    def __init__(self, named: bool = False):
        self.named = named

    def nodes(self):
        return [Volume]

    def schema(self, definitions: dict) -> dict:
        return {"anyOf": [{"type": "string"}, Volume.schema(definitions)]}

    def cast(self, value, path, parent):
        build = context.current()
        if isinstance(value, str):
            known = getattr(parent.root(), "files", None) if build.files is None else None
            if value in (types.references().get("files") or ()) and build.files is None:
                if (known or {}).get(value) is None:
                    return INVALID  # told where it stands
                return _called(known[value], value)
            n = len(build.mistakes)
            node = Volume.build({"file": value}, path, parent)
            build.mistakes[n:] = [replace(m, path=path) for m in build.mistakes[n:]]
            return _called(node, value)
        if not isinstance(value, dict):
            return types.wrong(path, self.says, value)
        value = dict(value)
        if value.get("type") not in (None, "nrrd"):
            return types.wrong((*path, "type"), "nrrd", value["type"])
        value.pop("type", None)
        name = value.pop("name", None) if build.files is not None else None
        node = Volume.build(value, path, parent)
        return _called(node, name or (Path(str(node.file.path)).stem if node.file is not None else ""))

    def to_json(self, value):
        return value.to_json() | ({"name": value.name} if self.named else {})


def _called(volume: Volume, name: str):
    """Return a volume under a name, or INVALID where it is broken."""
    if volume.file is None:
        return INVALID
    if volume.name not in ("", name):
        other = Volume.__new__(Volume)
        other.__dict__.update(volume.__dict__)
        volume = other
    volume.name = name
    return volume


def slabs(shape: tuple[int, ...], most: int = 2**21) -> Iterator[slice]:
    """Yield runs of the last axis, in which files are in order, of at most `most` voxels each, or one layer."""
    step = max(1, most // max(1, prod(shape[:2])))
    return (slice(at, at + step) for at in range(0, shape[2], step))
