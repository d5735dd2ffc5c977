"""Components that exercise each clause of a component's contract: prepare, halo, passes, depends_on, hooks, both sides.

What is special about each is small enough to check by hand in test_contracts.py.
"""

import os
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.strategy import AfterConnectivity, ConnectivityStrategy, Synapses
from snakefold.placement.strategy import AfterPlacement, PlacementStrategy


def _note(what: str) -> None:
    """Append a line to the file named by CONTRACT_NOTES, so that a test can count what ran."""
    if name := os.environ.get("CONTRACT_NOTES"):
        with Path(name).open("a") as file:
            file.write(f"{what}\n")


class Prepared(PlacementStrategy):
    """Places its cells at offsets that its prepare step drew up."""

    columns: ClassVar[dict[str, str]] = {"rank": "i4"}

    step = Attribute(types.number(above=0), default=10.0, unit="um", doc="Distance between cells.")

    def prepare(self, pieces, grid):
        _note("prepare place")
        return {"offsets": np.arange(1000) * self.step, "volume": np.array([pieces.volume.sum()])}

    def place(self, chunk, rng, given):
        placed = {}
        for cell_type, n in chunk.counts.items():
            position = np.tile(chunk.lower, (n, 1)) + 0.5
            position[:, 0] += given.prepared["offsets"][:n] % (chunk.upper - chunk.lower)[0]
            placed[cell_type] = {"position": position, "rank": np.arange(n)}
        return placed


class Beside(PlacementStrategy):
    """Puts a cell on the nearest cell of the strategies it depends on, among those within the halo of its chunk."""

    halo_um = 100.0

    def place(self, chunk, rng, given):
        others = np.concatenate([cells.positions for cells in given.cells.values()])
        low, high = chunk.lower - self.halo_um - 100, chunk.upper + self.halo_um + 100
        assert ((others >= low) & (others <= high)).all(), "more than the halo's chunks were given"
        placed = {}
        for cell_type, n in chunk.counts.items():
            points = chunk.lower + rng.random((n, 3)) * (chunk.upper - chunk.lower)
            nearest = np.linalg.norm(points[:, None] - others[None], axis=2).argmin(axis=1)
            placed[cell_type] = {"position": others[nearest]}
        return placed


class TwoColours(PlacementStrategy):
    """Places chunks in two passes; those of the second put every cell on a cell of the first within the halo."""

    halo_um = 1.0
    n_passes: ClassVar[int] = 2

    def colour(self, ijk):
        return ijk.sum(axis=1) % 2

    def place(self, chunk, rng, given):
        placed = {}
        for cell_type, n in chunk.counts.items():
            if cell_type in given.earlier:
                there = given.earlier[cell_type]
                placed[cell_type] = {"position": there[rng.integers(0, len(there), n)]}
            else:
                placed[cell_type] = {"position": chunk.lower + rng.random((n, 3)) * (chunk.upper - chunk.lower)}
        return placed


class Near(ConnectivityStrategy):
    """Connects each target cell with all sources nearer than the halo, which its prepare step may shorten."""

    halo_um = 60.0
    columns: ClassVar[dict[str, str]] = {"distance": "f4"}

    def prepare(self, sources, targets, given):
        _note("prepare connect")
        return {"radius": np.array([self.halo_um])}

    def connect(self, sources, targets, rng, given):
        made = {}
        for pre, post in self.pairs():
            apart = targets[post].positions[:, None] - sources[pre].positions[None]
            distance = np.linalg.norm(apart, axis=2)
            target, source = np.nonzero(distance < given.prepared["radius"][0])
            made[pre, post] = Synapses(source, target, {"distance": distance[target, source]})
        return made


class Backwards(ConnectivityStrategy):
    """Answers every synapse of the edge sets it depends on with one in the other direction."""

    def connect(self, sources, targets, rng, given):
        made = {}
        for edges in given.edges.values():
            pre, post = edges.target, edges.source  # of the answer
            source, target = edges.block(0, edges.n)
            ids = targets[post].node_ids
            mine = np.isin(source, ids)
            made[pre, post] = Synapses(target[mine].astype(np.int64), np.searchsorted(ids, source[mine]))
        return made


class Fragile(ConnectivityStrategy):
    """One synapse onto each target cell from source 0; counts its chunks, and fails at one while a file is there."""

    def connect(self, sources, targets, rng, given):
        (pre, post) = self.pairs()[0]
        n = len(targets[post])
        first = int(targets[post].runs[0, 0])
        if (name := os.environ.get("CONTRACT_FAIL_AT")) and Path(name).exists() and first >= 60:
            raise RuntimeError("told to fail")
        _note(f"chunk {first}")
        return {(pre, post): Synapses(np.zeros(n, int), np.arange(n))}

    def prepare(self, sources, targets, given):
        _note("prepare fragile")
        return {"nothing": np.zeros(1)}


class Lift(AfterPlacement):
    """Moves all cells of the types that it rewrites up, and adds one cell of each new type at the origin."""

    by = Attribute(types.number(), default=1.0, unit="um", doc="How far up.")

    def postprocess(self, cells, rng):
        made = {}
        for cell_type in self.rewrites:
            made[cell_type] = {**cells[cell_type], "position": cells[cell_type]["position"] + [0, 0, self.by]}
        for cell_type in self.adds:
            made[cell_type] = {"position": np.zeros((1, 3))}
        return made


class Thin(AfterConnectivity):
    """Keeps every other synapse of the sets that it rewrites, and copies the first of them to each set that it adds."""

    def postprocess(self, edges, rng):
        kept = {name: {c: a[::2] for c, a in edges[name].items()} for name in self.rewrites}
        first = next(iter(kept.values()))
        return kept | {name: {"source": first["source"], "target": first["target"]} for name in self.adds}
