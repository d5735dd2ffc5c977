"""Regions of cells: which part of the brain a cell belongs to, for tools whose populations are regions.

A cell is in a partition, and belongs to the region that has this partition among its children: of nested regions the
innermost. A partition that is in no region is a region itself. Cells that are in no partition, as entities, are a
region of their own, one for each cell type, named after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Regions:
    """The regions of a circuit.

    Attributes
    ----------
    parents : partition -> the region that it is in
    own : cell type -> region of those of its cells that are in no partition
    """

    parents: dict[str, str]
    own: dict[str, str]

    @classmethod
    def of(cls, document: Mapping, cell_types: list[str]) -> "Regions":
        """Return those of a resolved description."""
        regions: Mapping[str, Mapping] = document.get("regions") or {}
        parents = {name: name for name in document.get("partitions") or {}}
        parents |= {c: name for name, region in regions.items() for c in region.get("children") or () if c in parents}
        taken = {*parents.values()}
        return cls(parents, {t: f"{t}_cells" if t in taken else t for t in cell_types})

    def of_partition(self, partition: str, cell_type: str) -> str:
        """Return the region of those cells of a type that are in a partition, or, of an empty name, in none."""
        return self.parents.get(partition, partition) if partition else self.own[cell_type]
