"""Rates of the microcircuit over some seeds: where the tolerances of the tests come from.

Run: python tests/acceptance/seeds.py [NUMBER OF SEEDS, 10] [DURATION in ms, 10000] [FOLDER, a temporary one]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from microcircuit import POPULATIONS, REFERENCE, build, rates


def main(n_seeds: int, duration_ms: float, folder: Path) -> None:
    """Print the mean and spread of each population's rate, over the whole time and over its first 2 s."""
    found = []
    for seed in range(1, n_seeds + 1):
        results = build(folder / str(seed), seed, duration_ms, "--until", "simulate_spontaneous")
        found.append([[rates(results, until)[p] for p in POPULATIONS] for until in (duration_ms, 2000.0)])
    found = np.array(found)  # (seeds, windows, populations)
    for window, until in enumerate((duration_ms, 2000.0)):
        print(f"500 to {until:g} ms, {n_seeds} seeds: Hz")
        for i, population in enumerate(POPULATIONS):
            values, reference = found[:, window, i], REFERENCE[population]
            print(
                f"  {population:5s} mean {values.mean():.3f} ({values.mean() / reference - 1:+.1%} of the reference) "
                f"sd {values.std(ddof=1):.3f} from {values.min():.3f} to {values.max():.3f}"
            )


if __name__ == "__main__":
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        main(
            int(given[0]) if given else 10,
            float(given[1]) if len(given) > 1 else 10_000.0,
            Path(given[2] if len(given) > 2 else temporary),
        )
