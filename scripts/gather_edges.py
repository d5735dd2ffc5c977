"""Put the tiles of one edge set together and index them.

Inputs: build/connect/<strategy>.h5, nodes of its cell types, edges and morphologies it depends on, its tiles in order.
Outputs: edges/<set>.h5 (SONATA), ordered by (target, source), with the target index.
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(
    name: str,
    build: str,
    nodes: list[str],
    edges: list[str],
    morphologies: list[str],
    tiles: list[str],
    journals: list[str],
    output: str,
) -> None:
    """Gather one edge set."""
    from snakefold.connectivity.gather import gather_edges
    from snakefold.connectivity.tile import Inputs

    inputs = Inputs(build, tuple(nodes), tuple(edges), tuple(morphologies))
    gather_edges(name, inputs, tiles, output, journals)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--build", required=True)
    for name in ("nodes", "edges", "morphologies", "tiles", "journals"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
