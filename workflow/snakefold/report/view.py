"""The cells in space, for the page to draw: positions in 16 bits an axis, as base64 in JSON."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_MOST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Extent:
    """Where the cells of a type are: number, lowest and highest coordinates, (3,) um."""

    n: int
    low: np.ndarray
    high: np.ndarray


def encoded(positions: Mapping[str, np.ndarray], radius: Mapping[str, float], colour: Mapping[str, str]) -> str:
    """Return JSON: `size` of the box around all cells, um; `types`, each with name, colour, radius (um) and points.

    Points are x, y, z of one cell after the other, as unsigned little-endian 16-bit integers from the lowest (0) to the
    highest (65535) corner of the box, in base64.

    Parameters
    ----------
    positions : cell type -> (n, 3) um
    """
    known = [p for p in positions.values() if len(p)]
    low = np.min([p.min(axis=0) for p in known], axis=0).astype(np.float64)
    size = np.max([p.max(axis=0) for p in known], axis=0) - low
    per_um = np.divide(_MOST, size, out=np.zeros(3), where=size > 0)
    types = [
        {
            "name": name,
            "colour": colour[name],
            "radius": round(float(radius.get(name, 0.0)), 3),
            "points": base64.b64encode(np.rint((p - low) * per_um).astype("<u2").tobytes()).decode(),
        }
        for name, p in positions.items()
    ]
    return json.dumps({"size": [round(float(s), 3) for s in size], "types": types}, separators=(",", ":"))


def extents(positions: Mapping[str, np.ndarray]) -> dict[str, Extent]:
    """Return cell type -> where its cells are; types without cells are left out."""
    return {name: Extent(len(p), p.min(axis=0), p.max(axis=0)) for name, p in positions.items() if len(p)}
