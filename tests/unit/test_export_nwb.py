"""NWB: its validator and inspector find nothing, and spikes, cells and traces are those of the results."""

import numpy as np
import pytest

from snakefold.export import nwb
from snakefold.export.nwb import write_nwb
from snakefold.sonata.nodes import Nodes
from snakefold.sonata.reports import Report
from snakefold.sonata.spikes import read_spikes


@pytest.fixture(scope="module")
def simulation(finished):
    return finished[0].simulation("s")


@pytest.fixture(scope="module")
def path(simulation, tmp_path_factory):
    path = tmp_path_factory.mktemp("nwb") / "s.nwb"
    write_nwb(simulation, path)
    return path


def test_the_validator_and_the_inspector_find_nothing(path):
    import pynwb
    from nwbinspector import inspect_nwbfile

    assert pynwb.validate(path=str(path)) == []
    found = {m.check_function_name for m in inspect_nwbfile(nwbfile_path=str(path))}
    # Who did it, and where, is nothing that results know. Cells that are nowhere have no position.
    assert found <= {"check_experimenter_exists", "check_institution", "check_col_not_nan"}


def test_units_are_the_recorded_cells_with_their_spikes_and_places(path, simulation):
    from pynwb import NWBHDF5IO

    spikes = read_spikes(simulation.spikes_file)
    assert sum(len(times) for times, _ in spikes.values()) > 50
    with NWBHDF5IO(str(path), "r") as io:
        units = io.read().units.to_dataframe()
    assert list(zip(units["cell_type"], units["node_id"], strict=True)) == [
        *(("a", i) for i in range(1, 40, 2)),
        *(("e", i) for i in range(5)),
    ]
    with Nodes(simulation.circuit.nodes["a"]) as nodes:
        positions, partitions = nodes.positions(), nodes.column("partition")
    for row in units.itertuples():
        times, ids = spikes[row.cell_type]
        np.testing.assert_allclose(row.spike_times, times[ids == row.node_id] / 1e3, rtol=1e-12)
        if row.cell_type == "a":
            np.testing.assert_array_equal(np.float32([row.x, row.y, row.z]), positions[row.node_id])
            assert row.partition == partitions[row.node_id]
            assert row.region == {"low": "hind", "mid": "fore"}[row.partition]
        else:
            assert np.isnan([row.x, row.y, row.z]).all() and (row.partition, row.region) == ("", "e")


def test_traces_are_the_reports_with_their_cells(path, simulation):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r") as io, Report(simulation.folder / "voltage.h5") as report:
        traces = io.read().processing["icephys"]
        assert set(traces.data_interfaces) == {f"voltage_{t}{more}" for t in "ab" for more in ("", "_cells")}
        for cell_type in "ab":
            series = traces[f"voltage_{cell_type}"]
            np.testing.assert_array_equal(series.data[:], report.data(cell_type))
            assert (series.unit, series.conversion) == ("volts", 1e-3)
            assert series.rate == pytest.approx(2000)
            assert series.starting_time == pytest.approx(report.times(cell_type)[0] / 1e3)
            assert traces[f"voltage_{cell_type}_cells"]["node_id"][:].tolist() == report.node_ids(cell_type).tolist()


def test_small_buffers_and_another_time_make_the_same_bytes(path, simulation, tmp_path, monkeypatch):
    monkeypatch.setattr(nwb, "_BUFFER", 64)
    write_nwb(simulation, tmp_path / "s.nwb")
    assert path.read_bytes() == (tmp_path / "s.nwb").read_bytes()
