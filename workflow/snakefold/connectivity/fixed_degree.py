"""Fixed in-degree and fixed out-degree: every cell takes the same number of distinct partners."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from snakefold.cells import Cells
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.sampling import distinct_rows
from snakefold.connectivity.strategy import ConnectivityStrategy, Given, Pair, Synapses, split
from snakefold.errors import UserError, listed


class _FixedDegree(ConnectivityStrategy):
    """What the two have in common: a degree, and partners drawn over all partner types together."""

    def degree(self) -> tuple[str, int]:
        """Return the attribute's name and value."""
        raise NotImplementedError

    def sides(self) -> tuple[list[str], list[str]]:
        """Return the types whose cells have the degree, and those of their partners."""
        pre, post = self.presynaptic.cell_types, self.postsynaptic.cell_types
        return (post, pre) if self.partitioned_by == "target" else (pre, post)

    def faults(self, n_cells: Mapping[str, int]) -> list[tuple[str, str]]:
        name, degree = self.degree()
        partners = sum(n_cells[t] for t in self.sides()[1])
        if degree is None or degree <= partners or not sum(n_cells[t] for t in self.sides()[0]):
            return []
        what = "source" if self.partitioned_by == "target" else "target"
        return [(name, f"{degree} distinct partners asked for, but there are only {partners} {what} cells")]

    def naming_faults(self) -> list[str]:
        if not (out := self.left_out()):
            return super().naming_faults()
        left_out = listed(f"{a} to {b}" for a, b in out)
        what = "partners are drawn over all its types together, so that no pair can be left out"
        return [f"{what} (got: null for {left_out}); give such types a strategy of their own"]

    def expected(self, pair: Pair, n_cells: Mapping[str, int]) -> tuple[float, float]:
        partners = self.sides()[1]
        mine, theirs = pair[::-1] if self.partitioned_by == "target" else pair
        n = sum(n_cells[t] for t in partners)
        share, degree = n_cells[theirs] / n if n else 0.0, self.degree()[1]
        variance = degree * share * (1 - share) * (n - degree) / (n - 1) if n > 1 else 0.0  # hypergeometric
        return n_cells[mine] * degree * share, (n_cells[mine] * variance) ** 0.5

    def draw(self, n_own: list[int], n_partners: list[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (own, partner) indices over all types laid end to end, ordered by both."""
        name, degree = self.degree()
        if degree > sum(n_partners) and sum(n_own):  # fewer were built than wanted: a hook, or a minimum distance
            raise UserError(f"{name} is {degree}, but there are only {sum(n_partners)} cells to choose from")
        partner = distinct_rows(rng, sum(n_own), sum(n_partners), degree) if sum(n_own) else np.empty(0, np.int32)
        return np.repeat(np.arange(sum(n_own), dtype=np.int32), degree), partner.reshape(-1)


class FixedIndegree(_FixedDegree):
    """Gives every target cell `indegree` synapses from distinct source cells, drawn over all source types together."""

    algorithm_version: ClassVar[int] = 1
    cost_per_edge_s: ClassVar[float] = 2e-7

    indegree = Attribute(types.integer(min=0), required=True, doc="Synapses onto each target cell.")

    def degree(self) -> tuple[str, int]:
        return "indegree", self.indegree

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        sizes = [len(c) for c in sources.values()], [len(c) for c in targets.values()]
        target, source = self.draw(sizes[1], sizes[0], rng)
        return split(self.pairs(), sizes, source, target)


class FixedOutdegree(_FixedDegree):
    """Gives every source cell `outdegree` synapses onto distinct target cells, drawn over all target types together."""

    algorithm_version: ClassVar[int] = 1
    partitioned_by: ClassVar[str] = "source"

    outdegree = Attribute(types.integer(min=0), required=True, doc="Synapses from each source cell.")

    def degree(self) -> tuple[str, int]:
        return "outdegree", self.outdegree

    def connect(
        self, sources: dict[str, Cells], targets: dict[str, Cells], rng: np.random.Generator, given: Given
    ) -> dict[Pair, Synapses]:
        sizes = [len(c) for c in sources.values()], [len(c) for c in targets.values()]
        source, target = self.draw(sizes[0], sizes[1], rng)
        return split(self.pairs(), sizes, source, target)
