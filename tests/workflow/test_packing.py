"""Somata that do not overlap, in layers and voxels: exact counts, obstacles, equal bytes for any tiles."""

import shutil

import nrrd
import numpy as np
from scipy.spatial import cKDTree

from flow import Workflow
from snakefold.sonata.nodes import Nodes

SIZES = (28, 20, 15)
RADII = {"large": 9.0, "small": 4.0, "dense": 4.0}


def annotation() -> np.ndarray:
    """Return a ball of voxels of 10 um with a hole through it."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZES), indexing="ij")
    return ((x**2 + y**2 + z**2 < 0.95) & (x**2 + y**2 > 0.05)).astype(np.uint8)


def density() -> np.ndarray:
    """Return 4e-4 cells per um^3 where x is small, and half of that where it is large."""
    return np.where(np.arange(SIZES[0])[:, None, None] < 14, 4e-4, 2e-4) * np.ones(SIZES)


def circuit() -> dict:
    ball = {"type": "nrrd", "mask_source": "annotation.nrrd", "sources": ["density.nrrd"]}
    packed = {"strategy": "random", "overlap": False}
    return {
        "rng": {"seed": 5},
        "network": {"x": 280, "y": 200, "z": 150, "chunk_size": 60},
        "regions": {"all": {"type": "stack", "children": ["low", "high"]}},
        "partitions": {"low": {"thickness": 70}, "high": {"thickness": 80}, "ball": ball},
        "cell_types": {
            "large": {"spatial": {"radius": RADII["large"], "count": 200}},
            "small": {"spatial": {"radius": RADII["small"], "count": 4000}},
            "dense": {"spatial": {"radius": RADII["dense"], "density_key": "density"}},
        },
        "placement": {
            "layers": packed | {"partitions": ["low", "high"], "cell_types": ["large", "small"]},
            "voxels": packed | {"partitions": ["ball"], "cell_types": ["dense"], "depends_on": ["layers"]},
        },
    }


def test_no_somata_overlap_in_layers_and_voxels_and_bytes_do_not_depend_on_tiles(tmp_path):
    one, seven = (Workflow(tmp_path / str(n), tiles=n, target="circuit") for n in (1, 7))
    for name, data in {"annotation": annotation(), "density": density()}.items():
        fields = {"space dimension": 3, "space directions": np.eye(3) * 10.0}
        nrrd.write(str(one.folder / f"{name}.nrrd"), data, fields)
        shutil.copy(one.folder / f"{name}.nrrd", seven.folder)  # it has the time in it
    for workflow in (one, seven):
        workflow.write(circuit())
        workflow.built()
    assert one.circuit_files() == seven.circuit_files()
    points = {t: Nodes(one.results / f"nodes/{t}.h5").positions().astype(np.float64) for t in RADII}
    wanted = round(float((annotation() * density()).sum() * 1000))
    assert {t: len(p) for t, p in points.items()} == {"large": 200, "small": 4000, "dense": wanted}
    everything, radii = np.concatenate(list(points.values())), np.repeat(list(RADII.values()), [200, 4000, wanted])
    i, j = cKDTree(everything).query_pairs(2 * RADII["large"], output_type="ndarray").T
    assert (np.linalg.norm(everything[i] - everything[j], axis=1) >= radii[i] + radii[j]).all()
    assert annotation()[tuple((points["dense"] // 10).astype(int).T)].all()
    assert one.plan() == {}
