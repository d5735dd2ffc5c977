"""Write the report: the circuit and its simulations on one self-contained page; and what the results are, as RO-Crate.

Inputs: the results folder: build/, nodes/, edges/, simulations/; rates that the description expects; about the run:
    benchmarks/, .plan/run.jsonl, and on SLURM what sacct says.
Outputs: report.html, verdicts.json, ro-crate-metadata.json.
Determinism: no random numbers, no time, but for the page's section about the run.
"""

import argparse
import json

from snakefold import job


def main(
    results: str,
    builds: list[str],
    cell_types: list[str],
    edge_sets: list[str],
    simulations: list[str],
    expected_rates: str,
    output: str,
    verdicts: str,
    authors: list[str],
    license: str,
) -> None:
    """Write the report, and the metadata into the results folder."""
    from snakefold.cost import of_benchmarks, of_slurm
    from snakefold.export.crate import write_crate
    from snakefold.installation import about
    from snakefold.progress.record import failures
    from snakefold.report.page import write_report

    rates = json.loads(expected_rates)
    costs = of_slurm(results) or of_benchmarks(results, failures(results))
    write_report(results, cell_types, edge_sets, simulations, output, builds, costs, rates, about(), verdicts)
    write_crate(results, cell_types, edge_sets, simulations, builds, authors, license)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True)
    for name in ("builds", "cell-types", "edge-sets", "simulations", "authors"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    parser.add_argument("--expected-rates", default="{}")
    parser.add_argument("--license", default="")
    parser.add_argument("--output", required=True)
    parser.add_argument("--verdicts", required=True)
    job.run(main, **vars(parser.parse_args()))
