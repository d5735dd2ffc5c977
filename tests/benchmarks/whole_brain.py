"""A mouse brain of voxels of 25 um: three regions of an annotation, with types by density and by a volume of it.

Aims: counts exact, no job above 2 GB. The annotation is as large as the Allen Institute's, of 32 bits, gzipped; of the
densities one has 32 bits and is gzipped, the other has 64 and is raw.
Run: python tests/benchmarks/whole_brain.py
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np

from cost import results, run, table

SIZES, VOXEL_UM = (528, 320, 456), 25.0
DENSITY = 4e-6  # um^-3, of the types by density
NETWORK = """
rng: {seed: 1}
network: {x: 13200, y: 8000, z: 11400, chunk_size: 400}
files:
  annotation: {type: nrrd, file: annotation.nrrd}
  cells: {type: nrrd, file: cells.nrrd}
  glia: {type: nrrd, file: glia.nrrd}
partitions:
  outer: {type: nrrd, mask_source: annotation, mask_value: 315, sources: [cells, glia]}
  middle: {type: nrrd, mask_source: annotation, mask_value: 549, sources: [cells, glia]}
  inner: {type: nrrd, mask_source: annotation, mask_value: 512, sources: [cells]}
cell_types:
  plain: {spatial: {radius: 4, density: 4.0e-6}}
  dense: {spatial: {radius: 4, density_key: cells}}
  glial: {spatial: {radius: 4, density_key: glia}}
placement:
  everywhere: {strategy: random, partitions: [outer, middle, inner], cell_types: [plain, dense]}
  shells: {strategy: random, partitions: [outer, middle], cell_types: [glial]}
"""


def generate(folder: Path) -> dict[str, int]:
    """Write the volumes, an ellipsoid with three shells, and return the numbers of cells that they mean."""
    import nrrd

    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in SIZES)
    r = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)
    annotation = np.zeros(SIZES, np.uint32, order="F")
    for radius, value in ((0.95, 315), (0.8, 549), (0.5, 512)):
        annotation[r < radius] = value
    cells = np.asfortranarray(np.where(annotation > 0, 2e-6 * (1 + r), 0).astype(np.float32))
    glia = np.asfortranarray(3e-6 * r.astype(np.float64))
    header = {"space dimension": 3, "space directions": np.eye(3) * VOXEL_UM, "space units": ["um"] * 3}
    nrrd.write(str(folder / "annotation.nrrd"), annotation, header, compression_level=1)
    nrrd.write(str(folder / "cells.nrrd"), cells, header | {"encoding": "gzip"}, compression_level=1)
    nrrd.write(str(folder / "glia.nrrd"), glia, header | {"encoding": "raw"})
    voxel, shells = VOXEL_UM**3, (annotation == 315) | (annotation == 549)
    return {
        "plain": round((annotation > 0).sum() * voxel * DENSITY),
        "dense": round(cells[annotation > 0].sum(dtype=np.float64) * voxel),
        "glial": round(glia[shells].sum() * voxel),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        wanted = generate(Path(folder))
        costs = run(NETWORK, Path(folder), *(f"nodes/{cell_type}.h5" for cell_type in wanted))
        for cell_type, n in wanted.items():
            with h5py.File(results(Path(folder)) / f"nodes/{cell_type}.h5") as file:
                found = len(file[f"nodes/{cell_type}/node_type_id"])
            assert found == n, f"{cell_type}: {n} cells wanted, {found} placed"
    print(f"{sum(wanted.values())} cells, counts exact\n{table(costs)}")
