"""Ask NEST, in a process of its own, whether it can run a simulation.

Inputs: build/simulate/<name>.h5, libraries of extension modules.
Outputs: validate/<name>.h5: a verdict per question; not written where NEST answers "no".
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(build: str, modules: list[str], output: str) -> None:
    """Validate one simulation."""
    from snakefold.nest.jobs import validate

    validate(build, modules, output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--modules", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
