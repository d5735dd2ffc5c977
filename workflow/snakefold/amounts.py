"""How many cells and synapses a circuit will have: exactly, with a spread, or about, by samples of pairs of cells."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import isfinite, nan
from pathlib import Path

import numpy as np

from snakefold import needs
from snakefold.circuit import Circuit, Loaded
from snakefold.connectivity.sample import MOST_SHAPES, Sample
from snakefold.errors import UserError
from snakefold.morphology.morphology import Morphology
from snakefold.placement.counts import Space
from snakefold.plan import Amount

LARGEST_SHAPE = 2_000_000  # bytes of a morphology's file that is read to estimate synapses by


def cells(loaded: Loaded) -> dict[str, Amount]:
    """Return how many cells of each type there will be, as wanted."""
    known, guessed = loaded.n_cells(), loaded.n_cells(guessed=True)
    return {t: Amount(float(n), known=t in known) for t, n in guessed.items() if loaded.circuit.placed_by(t)}


def synapses(loaded: Loaded, space: Space) -> dict[str, Amount]:
    """Return how many synapses the edge sets of connectivity strategies will have: by the strategies, or by samples."""
    circuit, n_cells, known = loaded.circuit, loaded.n_cells(guessed=True), set(loaded.n_cells())
    sample, made = _sample(loaded, space), {}
    for _, strategy in sorted(circuit.connectivity.items()):
        types = {*strategy.presynaptic.cell_types, *strategy.postsynaptic.cell_types}
        counted = not strategy.by_labels() and types <= known
        for edge_set, pair in strategy.edge_sets().items():
            mean, sd = strategy.expected(pair, n_cells)
            if isfinite(mean):
                made[edge_set] = Amount(mean, sd, counted)
                continue
            one = strategy.of_a_pair(pair, sample) if sample.boxes.keys() >= {*pair} else nan
            guessed = strategy.guess(pair, n_cells) or needs.UNKNOWN_EDGES
            mean = n_cells[pair[0]] * n_cells[pair[1]] * one if isfinite(one) else guessed
            made[edge_set] = Amount(float(mean), known=False)
    return made


def _sample(loaded: Loaded, space: Space) -> Sample:
    circuit, boxes = loaded.circuit, {}
    for cell_type in circuit.cell_types:
        partitions = {p for name in circuit.placed_by(cell_type) for p in circuit.placement[name].partitions}
        found = [space.boxes.get(p, [[loaded.boxes[p].lower, loaded.boxes[p].upper]]) for p in sorted(partitions)]
        if found:
            boxes[cell_type] = np.concatenate(found).astype(np.float64)
    recipes = {recipe.name: recipe for recipe in circuit.recipes}

    @cache
    def shape(name: str) -> Morphology | None:
        recipe = recipes.get(name)
        if recipe is None or Path(recipe.file.path).stat().st_size > LARGEST_SHAPE:
            return None
        if name in loaded.shapes:
            return loaded.shapes[name]
        try:
            return recipe.make()
        except UserError:  # its job says what is wrong
            return None

    def shapes(cell_type: str) -> list[Morphology]:
        names = circuit.morphologies_on(cell_type)[:MOST_SHAPES]
        return [made for name in names if (made := shape(name)) is not None]

    return Sample(boxes, shapes)


def after_hooks(synapses: Mapping[str, Amount], circuit: Circuit) -> dict[str, Amount]:
    """Return the synapses of the edge sets that there are after hooks; what these make of them is not known."""
    synapses = dict(synapses)
    for effect in circuit.effects().values():
        read = [synapses[s].mean for s in (*effect.reads, *effect.removes) if s in synapses]
        for added in effect.adds:
            synapses[added] = Amount(max(read, default=needs.UNKNOWN_EDGES), known=False)
        synapses |= {s: replace(synapses[s], known=False) for s in effect.rewrites if s in synapses}
    return synapses
