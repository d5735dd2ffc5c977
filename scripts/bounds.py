"""Fail where a verdict of the report is out of bounds.

Inputs: verdicts.json.
Outputs: within_bounds.txt, a line.
Determinism: a function of the input.
"""

import argparse

from snakefold import job


def main(verdicts: str, output: str) -> None:
    """Write that all is as wanted, if it is."""
    from snakefold.report.verdicts import require_bounds

    require_bounds(verdicts, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdicts", required=True)
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
