"""Fixed total number: so many synapses between two types, their cells drawn at random.

With replacement, as NEST's fixed_total_number: the rule of Potjans & Diesmann 2014, Cereb. Cortex 24:785. Its totals
are dealt out to the chunks of target cells as a multinomial (with distinct pairs: a multivariate hypergeometric)
variate, so that all synapses together are distributed as if drawn in one place.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from math import log1p
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.sampling import distinct_rows
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses
from snakefold.errors import did_you_mean, listed

MOST_DISTINCT_PAIRS = 10**9  # NumPy's hypergeometric variates go no further


class FixedTotalNumber(ConnectivityStrategy):
    """Draws a fixed number of synapses for each pair of types, source and target cell uniformly and independently."""

    algorithm_version: ClassVar[int] = 1
    cost_per_edge_s: ClassVar[float] = 2e-7

    probability = Attribute(
        types.PairTableOf(types.number(min=0, max=1)),
        doc=(
            "The probability C that a pair of cells has at least one synapse: "
            "number = ln(1 - C) / ln(1 - 1 / (N_source N_target)), rounded (Potjans & Diesmann 2014, Eq. 1)."
        ),
    )
    number = Attribute(
        types.PairTableOf(types.number(min=0)),
        required=lambda node: False if "probability" in node.mentioned else 'or "probability"',
        doc="Number of synapses: one, or a table {source type: {target type: number}}, also as CSV; rounded.",
        constraint=lambda node, _: 'give this or "probability", not both' if "probability" in node.mentioned else None,
    )
    sizes = Attribute(
        types.DictOf(types.integer(min=1)),
        default=lambda node: {},
        doc="Numbers of cells that `probability` was measured for, by type; the built ones where not given.",
    )
    factor = Attribute(
        types.number(min=0), default=1.0, doc="Multiplies every number, before rounding (a scaled-down circuit)."
    )
    autapses = Attribute(types.boolean(), default=True, doc="Whether a cell may have synapses with itself.")
    multapses = Attribute(types.boolean(), default=True, doc="Whether a pair of cells may have several synapses.")

    def total(self, pair: Pair, n_cells: Mapping[str, int]) -> int:
        """Return the number of synapses of a pair of types."""
        if self.number is not None:
            return round((self.number.value(*pair) or 0.0) * self.factor)
        c = self.probability.value(*pair) or 0.0
        n_pairs = self.sizes.get(pair[0], n_cells[pair[0]]) * self.sizes.get(pair[1], n_cells[pair[1]])
        if c == 0 or n_pairs == 0:
            return 0
        full = log1p(-c) / log1p(-1 / n_pairs) if n_pairs > 1 else 1.0
        return round(round(full) * self.factor)

    def pairs(self) -> list[Pair]:
        table = self.number if self.number is not None else self.probability
        return [pair for pair in super().pairs() if table is None or table.value(*pair)]

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        key = "number" if self.number is not None else "probability"
        found = [(key, "no pair of its types has a synapse in it")] if not self.pairs() else []
        found += self._unknown_names(key)
        for pre, post in self.pairs():
            if self.probability is not None and self.probability.value(pre, post) >= 1:
                found.append((key, f"{pre} to {post}: should be: below 1, or no number of synapses is enough"))
                continue
            total, most = self.total((pre, post), n_cells), self._n_pairs(pre, post, n_cells)
            if total and most == 0:
                found.append((key, f"{pre} to {post}: {total} synapses asked for, but there are no cells to connect"))
            elif not self.multapses and total > most:
                found.append((key, f"{pre} to {post}: {total} distinct pairs asked for, but there are only {most}"))
            elif not self.multapses and most > MOST_DISTINCT_PAIRS:
                found.append(
                    ("multapses", f"{pre} to {post}: distinct pairs are drawn of at most 1e9 (got: {most:.2g})")
                )
        return found

    def _unknown_names(self, key: str) -> list[tuple[str, str]]:
        """Return the names and patterns of its tables that no cell type of it matches: they would do nothing."""
        sources, targets = self.presynaptic.cell_types, self.postsynaptic.cell_types
        rows = (self.number if self.number is not None else self.probability).rows or {}
        given = [(key, "source", name, sources) for name in rows]
        given += [(key, "target", name, targets) for name in dict.fromkeys(n for row in rows.values() for n in row)]
        given += [("sizes", "source or target", name, [*sources, *targets]) for name in self.sizes]
        return [
            (k, f'no {side} cell type "{name}" here{did_you_mean(name, known)} ({listed(dict.fromkeys(known))})')
            for k, side, name, known in given
            if not any(fnmatchcase(t, name) for t in known)
        ]

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        return float(self.total(pair, n_cells)), 0.0

    def deal(
        self, rng: np.random.Generator, n_sources: dict[str, int], n_targets: dict[str, np.ndarray]
    ) -> dict[Pair, np.ndarray]:
        n_cells = {t: int(n.sum()) for t, n in n_targets.items()} | n_sources
        dealt = {}
        for pre, post in self.pairs():
            total, weights = self.total((pre, post), n_cells), n_targets[post]
            if not total:
                dealt[pre, post] = np.zeros(len(weights), np.int64)
            elif self.multapses:
                dealt[pre, post] = rng.multinomial(total, weights / weights.sum())
            else:
                slots = weights * self._n_sources(pre, post, n_cells)
                dealt[pre, post] = rng.multivariate_hypergeometric(slots, total, method="marginals")
        return dealt

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        made = {}
        for pre, post in self.pairs():
            n, own = int(given.numbers[pre, post]), targets[post]
            n_sources = self._n_sources(pre, post, {pre: len(sources[pre])})
            if self.multapses:
                target = np.sort(rng.integers(0, max(len(own), 1), n, np.int32))
                source = rng.integers(0, max(n_sources, 1), n, np.int32)
            else:
                slot = distinct_rows(rng, 1, len(own) * n_sources, n)[0]
                target, source = np.divmod(slot, max(n_sources, 1))
            if n_sources < len(sources[pre]):  # leave the cell itself out
                source = source + (source >= own.node_ids[target])
            made[pre, post] = Synapses(source, target)
        return made

    def _n_sources(self, pre: str, post: str, n_cells: Mapping[str, int]) -> int:
        """Return how many source cells each target cell can choose from."""
        return max(n_cells[pre] - (pre == post and not self.autapses), 0)

    def _n_pairs(self, pre: str, post: str, n_cells: Mapping[str, int]) -> int:
        return self._n_sources(pre, post, n_cells) * n_cells[post]
