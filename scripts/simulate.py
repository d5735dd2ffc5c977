"""Run one simulation with NEST.

Inputs: build/simulate/<name>.h5, libraries of extension modules, nodes/*.h5, edges/*.h5.
Outputs: simulations/<name>/: simulation_config.json, spikes.h5, provenance.json, one report per recorded variable.
Determinism: weights, delays and per-cell parameters from keyed streams; NEST's generators from a seed of their own and
    a fixed number of virtual processes.
"""

import argparse

from snakefold import job


def main(build: str, modules: list[str], nodes: list[str], edges: list[str], folder: str, journal: str) -> None:
    """Run one simulation."""
    from snakefold.nest.jobs import simulate

    simulate(build, modules, nodes, edges, folder, journal)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    for name in ("modules", "nodes", "edges"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--journal", required=True)
    job.run(main, **vars(parser.parse_args()))
