"""Number the cells of one type and write its node file.

Inputs: build/place/*.h5 of the strategies that place it, their tiles, pass after pass, tile after tile.
Outputs: nodes/<cell_type>.h5 (SONATA), cells in (strategy, chunk) order.
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(cell_type: str, builds: list[str], tiles: list[str], journals: list[str], output: str) -> None:
    """Gather one cell type."""
    from snakefold.placement.gather import gather_cells

    gather_cells(cell_type, builds, tiles, output, journals)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell-type", required=True)
    parser.add_argument("--builds", nargs="+", required=True)
    parser.add_argument("--tiles", nargs="+", required=True)
    parser.add_argument("--journals", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    job.run(main, **vars(parser.parse_args()))
