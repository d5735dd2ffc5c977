"""Write the resolved description: for provenance and the report.

Inputs: a frozen slice (JSON: document, marks, source files).
Outputs: parse.h5: document (canonical JSON), marks (JSON: pointer -> file, line, column), sources (path, size, digest).
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(slice_file: str, output: str) -> None:
    """Write parse.h5 from the frozen slice."""
    from snakefold.config.stage import write_parse

    write_parse(slice_file, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", dest="slice_file", required=True)
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
