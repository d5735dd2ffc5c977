"""Partitions of voxels: exact counts, equal bytes for any tiles, and an edit of a file reruns what depends on it."""

import shutil

import h5py
import nrrd
import numpy as np
import pytest

from flow import Workflow

SIZES = (24, 20, 16)


def annotation() -> np.ndarray:
    """Return two shells of a ball: 1 outside, 2 inside."""
    r = np.linalg.norm(np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZES), indexing="ij"), -1), axis=-1)
    return np.select([r < 0.5, r < 0.9], [2, 1], 0).astype(np.uint32)


def put(workflow: Workflow, name: str, data: np.ndarray) -> None:
    nrrd.write(str(workflow.folder / name), data, {"space dimension": 3, "space directions": np.eye(3) * 25.0})


def circuit() -> dict:
    shell = {"type": "nrrd", "mask_source": "annotation.nrrd", "mask_value": 1, "sources": ["density.nrrd"]}
    return {
        "rng": {"seed": 5},
        "network": {"x": 600, "y": 500, "z": 400, "chunk_size": 110},
        "partitions": {"shell": shell, "core": {"type": "nrrd", "mask_source": "core.nrrd"}},
        "cell_types": {
            "even": {"spatial": {"radius": 2, "density": 2e-5}},
            "dense": {"spatial": {"radius": 2, "density_key": "density"}},
            "inner": {"spatial": {"radius": 2, "count": 333}},
        },
        "placement": {
            "outside": {"strategy": "random", "partitions": ["shell"], "cell_types": ["even", "dense"]},
            "inside": {"strategy": "random", "partitions": ["core"], "cell_types": ["inner"]},
        },
    }


@pytest.fixture()
def made(tmp_path):
    def make(name: str, tiles: int) -> Workflow:
        workflow = Workflow(tmp_path / name, tiles=tiles, target="circuit")
        if name != "one":  # pynrrd writes the time into a file, whose bytes results depend on
            for file in (tmp_path / "one").glob("*.nrrd"):
                shutil.copy(file, workflow.folder)
        else:
            put(workflow, "annotation.nrrd", annotation())
            put(workflow, "density.nrrd", 1e-5 * (1.0 + annotation()))
            put(workflow, "core.nrrd", (annotation() == 2).astype(np.uint8))
        workflow.write(circuit())
        return workflow.built()

    return make


def test_counts_are_exact_bytes_do_not_depend_on_tiles_and_an_edit_reruns_what_follows(made):
    one = made("one", 1)
    shell = (annotation() == 1).sum() * 25**3
    wanted = {"even": round(2e-5 * shell), "dense": round(2e-5 * shell), "inner": 333}
    for cell_type, n in wanted.items():
        with h5py.File(one.results / f"nodes/{cell_type}.h5") as file:
            assert len(file[f"nodes/{cell_type}/node_type_id"]) == n
    before = one.circuit_files()
    assert made("seven", 7).circuit_files() == before
    assert one.plan() == {}
    put(one, "core.nrrd", (annotation() > 0).astype(np.uint8))
    planned = one.plan()
    assert planned["build"] == 2 and planned["place_inside"] == 1 and "place_outside" not in planned
    one.built()
    changed = {name for name, digest in one.circuit_files().items() if before[name] != digest}
    assert changed == {"nodes/inner.h5"}
