import numpy as np
import pytest

from descriptions import edited, plan_of, run, small
from shapes import CELL, OTHER
from snakefold.cells import Cells, Population
from snakefold.topology.chunks import Grid

GRID = Grid((0.0, 0.0, 0.0), (50.0, 50.0, 50.0))


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    plan = run(plan_of(tmp_path_factory.mktemp("cells"), small(), 2), "place")
    return Population(plan.nodes("a"))


def test_all_cells_are_dense_ids_with_their_positions(population):
    cells = population.all
    assert (len(cells), cells.type) == (120, "a")
    assert cells.node_ids.tolist() == list(range(120))
    assert cells.positions.shape == (120, 3)
    assert cells.ids_of(np.array([3, 119])).tolist() == [3, 119]


def test_runs_that_are_apart_are_read_together(population):
    some = Cells(population.nodes, np.array([[5, 9], [50, 51], [100, 120]]))
    expected = [*range(5, 9), 50, *range(100, 120)]
    assert len(some) == 25
    assert some.node_ids.tolist() == expected
    assert (some.positions == population.all.positions[expected]).all()
    assert some.ids_of(np.array([4, 5])).tolist() == [50, 100]
    assert (some.column("x") == some.positions[:, 0]).all()


def test_no_cells_are_empty_arrays(population):
    none = population.run(7, 7)
    assert (len(none), none.positions.shape, none.node_ids.shape) == (0, (0, 3), (0,))
    nothing = Cells(population.nodes, np.empty((0, 2), np.int64))
    assert (len(nothing), nothing.positions.shape, nothing.node_ids.shape) == (0, (0, 3), (0,))


def test_units_are_the_cells_of_each_strategy_and_chunk(population):
    units = population.of_units()
    assert sum(b - a for a, b in units.values()) == 120
    for (strategy, chunk), (start, stop) in units.items():
        assert strategy == "lower"
        assert (GRID.chunk_of(population.run(start, stop).positions) == chunk).all()


@pytest.mark.parametrize("halo", [0.0, 10.0, 49.0, 51.0, 1e6])
def test_near_has_every_cell_within_the_halo_and_whole_chunks_only(population, halo):
    lower, upper = np.array([50.0, 0.0, 0.0]), np.array([100.0, 50.0, 50.0])
    near = population.near(GRID, lower, upper, halo)
    position = population.all.positions
    inside = ((position > lower - halo) & (position < upper + halo)).all(axis=1)
    assert set(np.flatnonzero(inside)) <= set(near.node_ids.tolist())
    chunks = set(GRID.chunk_of(near.positions).tolist())
    assert set(np.flatnonzero(np.isin(GRID.chunk_of(position), list(chunks)))) == set(near.node_ids.tolist())
    if halo == 0.0:
        assert len(chunks) == 1
    if halo == 1e6:
        assert len(near) == 120


def test_near_joins_ranges_of_ids_that_follow_each_other(population):
    assert population.near(GRID, np.zeros(3), np.ones(3), 1e6).runs.tolist() == [[0, 120]]
    assert population.near(GRID, np.full(3, 1e4), np.full(3, 2e4), 0.0).runs.shape == (0, 2)
    few = population.near(GRID, np.array([0.0, 0.0, 0.0]), np.array([150.0, 50.0, 50.0]), 0.0)
    units = {span for span in population.of_units().values() if span[0] in few.node_ids}
    assert sorted(n for start, stop in units for n in range(start, stop)) == few.node_ids.tolist()
    assert (few.runs[1:, 0] > few.runs[:-1, 1]).all()


@pytest.mark.parametrize("rotations", ["none", "random"])
def test_cells_know_their_morphologies_and_how_they_are_turned(tmp_path, rotations):
    for name, text in {"pyr.swc": CELL, "int.swc": OTHER}.items():
        (tmp_path / name).write_text(text)
    tree = edited(
        ("morphologies", ["pyr.swc", "int.swc"]),
        ("cell_types.a.spatial.morphologies", ["pyr", "int"]),
        ("placement.lower.distribute.morphologies.strategy", "roundrobin"),
        ("placement.lower.distribute.rotations.strategy", rotations),
    )
    shaped = Population(run(plan_of(tmp_path, tree), "place").nodes("a"))
    some = Cells(shaped.nodes, np.array([[5, 9], [50, 60]]))
    assert sorted(shaped.all.morphologies) == ["int", "pyr"]
    names = np.array(some.morphologies, object)[some.morphology]
    assert (names == some.column("morphology")).all() and set(names) == {"int", "pyr"}
    if rotations == "none":
        assert some.rotations is None
    else:
        assert some.rotations.shape == (14, 4)
        np.testing.assert_allclose((some.rotations**2).sum(axis=1), 1, atol=1e-6)
        assert (some.rotations[:4] == shaped.all.rotations[5:9]).all()


def test_cells_without_morphologies_have_none(population):
    assert population.all.morphologies == ("",)
    assert population.all.rotations is None
