"""Place the cells of one tile of a placement strategy.

Inputs: build/place/<strategy>.h5, build/partition/*.h5, nodes of strategies it depends on, its prepared file, the tiles
    of its earlier passes.
Outputs: a tile file (per cell type x, y, z float32 um and further columns, per chunk), or, where the strategy has one
    tile and its cell types no other, nodes/<cell_type>.h5 (SONATA).
Determinism: streams keyed by (seed, "place", strategy, "cells", chunk).
"""

import argparse

from snakefold import job


def main(tile: int, pass_: int, journal: str, output: str, write_nodes: list[str], **inputs) -> None:
    """Place one tile."""
    from snakefold.placement.tile import Inputs, place

    inputs = {name: tuple(files) if isinstance(files, list) else files for name, files in inputs.items()}
    place(Inputs(**inputs), tile, pass_, journal, output, tuple(write_nodes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    for name in ("partitions", "nodes", "earlier", "write-nodes"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--prepared", default="")
    parser.add_argument("--tile", type=int, default=0)
    parser.add_argument("--pass", dest="pass_", type=int, default=0)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--output", default="")
    job.run(main, **vars(parser.parse_args()))
