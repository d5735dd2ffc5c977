"""Build one part of the circuit from its frozen slice.

Inputs: the slice (JSON), parts that it needs (build/*.h5), data files that it names.
Outputs: build/<part>.h5: slice (JSON), files (JSON); partitions: boxes (n, 2, 3) float64 um; placements: chunks (n,)
    uint64, counts (n_types, n) int64, colours (n,) int64, tiles (n_tiles + 1,) int64; morphologies: points (n, 3)
    float64 um, radii (n,) float64 um, tags (n,) int32, labels (n,) uint16 into label_sets, offsets (n_branches + 1,)
    int64, parents (n_branches,) int64. The SWC file of a morphology.
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(slice_file: str, inputs: list[str], files: list[str], output: str, export: str) -> None:
    """Build one part."""
    from snakefold.build import build

    build(slice_file, inputs, files, output, export)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", dest="slice_file", required=True)
    parser.add_argument("--inputs", nargs="*", default=[])
    parser.add_argument("--files", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    parser.add_argument("--export", default="")
    job.run(main, **vars(parser.parse_args()))
