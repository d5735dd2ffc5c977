"""NIX: Neo reads back what the results have, after the command of the page."""

import contextlib
import shlex
import subprocess
import sys

import numpy as np
import pytest

from pages import STEPS, run_by
from simulated import ENVIRONMENT
from snakefold.sonata.nodes import Nodes
from snakefold.sonata.reports import Report
from snakefold.sonata.spikes import read_spikes


@pytest.fixture(scope="module")
def simulation(finished):
    return finished[0].simulation("s")


@pytest.fixture(scope="module")
def block(simulation, tmp_path_factory):
    from neo.io import NixIO

    folder = tmp_path_factory.mktemp("nix")
    (step,) = run_by(__file__, "EXPORT.md")
    _, _, results, _, written = shlex.split(step.command)
    (folder / results).parent.mkdir()
    (folder / results).symlink_to(simulation.circuit.folder)
    command = [sys.executable, "-m", *shlex.split(step.command)]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (trains,) = (step.shown for step in STEPS["EXPORT.md"] if step.file == "trains.py")
    with contextlib.chdir(folder):
        exec(trains, page := {})
        assert [train.annotations["cell_type"] for train in page["segment"].spiketrains].count("e") == 5
        with NixIO(written, mode="ro") as io:
            return io.read_block()


def test_spike_trains_are_the_recorded_cells_with_their_places(block, simulation):
    spikes, (segment,) = read_spikes(simulation.spikes_file), block.segments
    cells = [(train.annotations["cell_type"], int(train.annotations["node_id"])) for train in segment.spiketrains]
    assert cells == [*(("a", i) for i in range(1, 40, 2)), *(("e", i) for i in range(5))]
    with Nodes(simulation.circuit.nodes["a"]) as nodes:
        positions = nodes.positions()
    for train, (cell_type, node_id) in zip(segment.spiketrains, cells, strict=True):
        times, ids = spikes[cell_type]
        np.testing.assert_array_equal(train.rescale("ms").magnitude, times[ids == node_id])
        assert float(train.t_stop.rescale("ms")) == 60.0
        if cell_type == "a":
            np.testing.assert_array_equal(np.float32(train.annotations["position"]), positions[node_id])
            assert train.annotations["region"] in ("hind", "fore")


def test_signals_are_the_reports_with_their_cells(block, simulation):
    (segment,) = block.segments
    with Report(simulation.folder / "voltage.h5") as report:
        assert [signal.name for signal in segment.analogsignals] == ["voltage a", "voltage b"]
        for signal, cell_type in zip(segment.analogsignals, "ab", strict=True):
            np.testing.assert_array_equal(signal.magnitude, report.data(cell_type))
            np.testing.assert_allclose(signal.times.rescale("ms").magnitude, report.times(cell_type), atol=1e-9)
            assert str(signal.dimensionality) == "mV"
            ids = signal.array_annotations["node_id"]
            assert np.asarray(ids).tolist() == report.node_ids(cell_type).tolist()


def test_the_block_says_what_it_is_of(block, simulation):
    assert block.name == "s"
    assert block.annotations["digest"] == simulation.digest
    assert int(block.annotations["seed"]) == 7
