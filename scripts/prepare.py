"""Run the prepare step of a strategy: what it computes once for all its chunks.

Inputs: build/place/<strategy>.h5 and its partitions and nodes, or build/connect/<strategy>.h5 and its nodes, edges
    and morphologies.
Outputs: prepare/<phase>/<strategy>.h5: the arrays that the component returned. A temporary file.
Determinism: as the component's.
"""

import argparse

from snakefold import job


def main(
    phase: str,
    build: str,
    partitions: list[str],
    nodes: list[str],
    edges: list[str],
    morphologies: list[str],
    output: str,
) -> None:
    """Prepare one strategy."""
    if phase == "place":
        from snakefold.placement.tile import Inputs, prepare

        prepare(Inputs(build, tuple(partitions), tuple(nodes)), output)
    else:
        from snakefold.connectivity.tile import Inputs, prepare

        prepare(Inputs(build, tuple(nodes), tuple(edges), tuple(morphologies)), output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phase", choices=["place", "connect"])
    parser.add_argument("--build", required=True)
    for name in ("partitions", "nodes", "edges", "morphologies"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
