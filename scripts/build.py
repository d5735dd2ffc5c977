"""Build one part of the circuit from its frozen slice.

Inputs: the slice (JSON), parts that it needs (build/*.h5), data files that it names.
Outputs: build/<part>.h5: slice (JSON), files (JSON); partitions: boxes (n, 2, 3) float64 um; placements: chunks (n,)
    uint64, counts (n_types, n) int64, colours (n,) int64, tiles (n_tiles + 1,) int64.
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(slice_file: str, inputs: list[str], files: list[str], output: str) -> None:
    """Build one part."""
    from snakefold.build import build

    build(slice_file, inputs, files, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", dest="slice_file", required=True)
    parser.add_argument("--inputs", nargs="*", default=[])
    parser.add_argument("--files", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
