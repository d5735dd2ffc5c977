"""Compile a file in NESTML to an extension module of NEST.

Inputs: the frozen slice (JSON), the file.
Outputs: build/module/<name>.so.
Determinism: models follow from the file and the versions of NEST and NESTML; its bytes also from the compiler.
"""

import argparse

from snakefold import job


def main(slice_file: str, source: str, threads: int, output: str) -> None:
    """Compile one module."""
    from snakefold.nest.compilation import compile_module

    compile_module(slice_file, source, output, threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", dest="slice_file", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
