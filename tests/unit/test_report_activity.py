"""Activity of populations of which only a part was recorded."""

import json

import numpy as np

from snakefold.report.activity import read_activity
from snakefold.report.measures import among
from test_report_page import simulated


def write_sets(results, sets):
    folder = results / "simulations/rest"
    (folder / "node_sets.json").write_text(json.dumps(sets))
    config = json.loads((folder / "simulation_config.json").read_text())
    config["node_sets_file"] = "$BASE_DIR/node_sets.json"
    (folder / "simulation_config.json").write_text(json.dumps(config))


def test_spikes_among_some_cells_are_renumbered():
    times, ids = np.arange(6.0), np.array([4, 9, 0, 4, 2, 11], np.uint64)
    some = among(times, ids, np.array([0, 4, 9]))
    assert some[0].tolist() == [0, 1, 2, 3] and some[1].tolist() == [1, 2, 0, 1]
    assert among(times, ids, np.array([], np.int64))[0].tolist() == []


def test_rates_are_of_the_cells_that_were_recorded(tmp_path):
    (tmp_path / "simulations/rest").mkdir(parents=True)
    spikes = {"a": (np.array([100.0, 200.0, 300.0]), np.array([7, 7, 30])), "b": (np.array([50.0]), np.array([1]))}
    simulated(tmp_path, "rest", ["a", "b", "c"], spikes)
    n_cells = {"a": 40, "b": 4, "c": 3}
    whole = {p.name: p for p in read_activity(tmp_path, "rest", n_cells).populations}
    assert (whole["a"].n_recorded, whole["a"].rate.n, whole["a"].rate.mean) == (40, 40, 3 / 40)
    sets = {"cells/recorded": ["cells/recorded/a", "cells/recorded/b"], "cells/recorded/b": {"population": "b"}}
    sets["cells/recorded/a"] = {"population": "a", "node_id": [3, 7, 30, 39]}
    write_sets(tmp_path, sets)
    activity = read_activity(tmp_path, "rest", n_cells)
    part = {p.name: p for p in activity.populations}
    assert (part["a"].n_cells, part["a"].n_recorded, part["a"].n_spikes) == (40, 4, 3)
    assert (part["a"].rate.n, part["a"].rate.mean, part["a"].rate.most) == (4, 3 / 4, 2.0)
    assert part["b"].rate == whole["b"].rate and part["b"].n_recorded == 4
    assert part["c"].n_recorded is None and part["c"].rate is None
    assert activity.raster.rows == {"a": 4, "b": 4} and activity.raster.row["a"].tolist() == [1, 1, 2]


def test_a_population_without_recorded_cells_has_no_rate_and_no_rows(tmp_path):
    (tmp_path / "simulations/rest").mkdir(parents=True)
    spikes = {"a": (np.empty(0), np.empty(0, int)), "b": (np.array([50.0]), np.array([1]))}
    simulated(tmp_path, "rest", ["a", "b"], spikes)
    sets = {"cells/recorded/a": {"population": "a", "node_id": []}}
    write_sets(tmp_path, sets)
    activity = read_activity(tmp_path, "rest", {"a": 40, "b": 4})
    assert (activity.populations[0].n_recorded, activity.populations[0].rate.n) == (0, 0)
    assert activity.raster.rows == {"b": 4}
