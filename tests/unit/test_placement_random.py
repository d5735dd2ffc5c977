from math import pi

import numpy as np
import pytest

from snakefold.config.context import BuildContext, building
from snakefold.placement.random import RandomPlacement
from snakefold.placement.strategy import Chunk, Given
from snakefold.streams import stream
from snakefold.topology.chunks import Grid, cut

GRID = Grid((0.0, 0.0, 0.0), (100.0, 100.0, 100.0))


def strategy():
    with building(BuildContext()) as build:
        made = RandomPlacement.build({"cell_types": ["a", "b"], "partitions": ["p"]}, ("placement", "s"))
    assert build.mistakes == []
    return made


def chunk_of(boxes, counts):
    pieces = cut(GRID, [np.array([box], float) for box in boxes])
    assert len(set(pieces.chunk)) == 1
    lower, upper = GRID.bounds(pieces.chunk[:1])
    return Chunk(int(pieces.chunk[0]), lower[0], upper[0], pieces, counts, GRID)


def test_counts_are_exact_and_cells_are_uniform_in_the_partition():
    chunk = chunk_of([[[10, 20, 30], [60, 40, 100]]], {"a": 40_000, "b": 0})
    placed = strategy().place(chunk, stream(1, "test"), Given())
    position = placed["a"]["position"]
    assert position.shape == (40_000, 3)
    assert placed["b"]["position"].shape == (0, 3)
    unit = (position - [10, 20, 30]) / [50, 20, 70]
    assert unit.min() >= 0
    assert unit.max() <= 1
    counts = np.histogramdd(unit, bins=4, range=[(0, 1)] * 3)[0].ravel()
    chi = ((counts - 625) ** 2 / 625).sum()
    assert chi < 63 + 6 * np.sqrt(2 * 63)


def test_several_pieces_take_their_share_by_volume():
    chunk = chunk_of([[[0, 0, 0], [10, 10, 10]], [[50, 50, 50], [80, 60, 60]]], {"a": 40_000})
    position = strategy().place(chunk, stream(1, "test"), Given())["a"]["position"]
    first = (position <= 10).all(axis=1)
    assert (((position >= [50, 50, 50]) & (position <= [80, 60, 60])).all(axis=1) | first).all()
    assert abs(first.sum() - 10_000) < 6 * np.sqrt(40_000 * 0.25 * 0.75)


def radius_for(packing, n=100, volume=1e6):
    return (packing * volume / (n * 4 / 3 * pi)) ** (1 / 3)


@pytest.mark.parametrize(
    ("packing", "warns", "fault"),
    [
        (0.19, False, ""),
        (0.21, True, ""),
        (0.39, True, ""),
        (0.41, False, "1.0"),
        (0.7, False, "more than what random"),
    ],
)
def test_packing_limits_are_the_bsbs_and_the_error_says_by_how_much(packing, warns, fault):
    totals, radii = {"a": 60, "b": 40}, dict.fromkeys("ab", radius_for(packing))
    assert bool(strategy().warnings(totals, radii, 1e6)) == warns
    found = strategy().faults(totals, radii, 1e6)
    assert bool(found) == bool(fault)
    assert fault in "".join(found)
    if found:
        most = int(found[0].split("place at most ")[1].split()[0])
        assert strategy().faults({"a": most}, radii, 1e6) == []
        assert strategy().faults({"a": most + 2}, radii, 1e6) != []
