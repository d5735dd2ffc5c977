"""Write the circuit's configuration and node sets.

Inputs: nodes/*.h5, edges/*.h5.
Outputs: circuit_config.json, node_sets.json (SONATA).
Determinism: no random numbers.
"""

import argparse

from snakefold import job


def main(nodes: list[str], edges: list[str], output: str, morphologies: str) -> None:
    """Write circuit_config.json and, beside it, node_sets.json; `morphologies` is their folder, or empty."""
    from snakefold.sonata.circuit import write_circuit

    write_circuit(nodes, edges, output, morphologies)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("nodes", "edges"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--output", required=True)
    parser.add_argument("--morphologies", default="")
    job.run(main, **vars(parser.parse_args()))
