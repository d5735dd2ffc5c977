"""Run a hook: one stage of populations or edge sets to the next.

Inputs: build/after_placement/<hook>.h5 or build/after_connectivity/<hook>.h5, the stages that it reads.
Outputs: the next stage of each population or edge set that it rewrites or adds (SONATA).
Determinism: a stream keyed by (seed, phase, hook).
"""

import argparse

from snakefold import job


def main(phase: str, build: str, inputs: list[str], nodes: list[str], names: list[str], outputs: list[str]) -> None:
    """Run one hook."""
    from snakefold import hooks

    files = dict(zip(names, outputs, strict=True))
    if phase == "after_placement":
        hooks.after_placement(build, inputs, files)
    else:
        hooks.after_connectivity(build, inputs, nodes, files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phase", choices=["after_placement", "after_connectivity"])
    parser.add_argument("--build", required=True)
    for name in ("inputs", "nodes", "names", "outputs"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    job.run(main, **vars(parser.parse_args()))
