"""Make the synapses of one tile of a connectivity strategy.

Inputs: build/connect/<strategy>.h5, nodes of its cell types, edges of strategies it depends on, morphologies
    that it reads, its prepared file.
Outputs: a tile file (per edge set source, target uint32 and further columns, per chunk), or, where the strategy has one
    tile, edges/<set>.h5 (SONATA).
Determinism: streams keyed by (seed, "connect", strategy, "synapses", placement, chunk).
"""

import argparse

from snakefold import job


def main(
    build: str,
    nodes: list[str],
    edges: list[str],
    morphologies: list[str],
    prepared: str,
    tile: int,
    journal: str,
    output: str,
    write_edges: list,
) -> None:
    """Connect one tile."""
    from snakefold.connectivity.tile import Inputs, connect

    inputs = Inputs(build, tuple(nodes), tuple(edges), tuple(morphologies), prepared)
    connect(inputs, tile, journal, output, tuple(write_edges))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    for name in ("nodes", "edges", "morphologies", "write-edges"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--prepared", default="")
    parser.add_argument("--tile", type=int, default=0)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--output", default="")
    job.run(main, **vars(parser.parse_args()))
