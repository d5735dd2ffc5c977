"""Devices in NEST: each fires or records as it should, on exactly the cells that are its targets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import libsonata
import numpy as np
import pytest

import snakefold
from descriptions import edited, plan_of
from snakefold.errors import UserError
from snakefold.nest.targetting import chosen_by_all
from snakefold.nest.validation import validate
from snakefold.sonata.circuit import write_circuit
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.sonata.reports import Report
from snakefold.sonata.spikes import read_spikes

pytestmark = pytest.mark.usefixtures("own_catalogue")

N = {"a": 60, "b": 10, "e": 0}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(snakefold.__file__).parents[1])}
RUN = """
import json, sys
from snakefold.errors import UserError
from snakefold.nest import simulation
asked = json.loads(sys.argv[1])
try:
    simulation.simulate(**asked)
except UserError as error:
    print("ERROR", error)
"""
ALL = {"strategy": "all"}
ONLY_A = {"strategy": "cell_model", "cell_models": ["a"]}


@pytest.fixture(scope="module")
def circuit(tmp_path_factory):
    """Cells in a row along x, 1 um apart."""
    folder = tmp_path_factory.mktemp("circuit")
    (folder / "nodes").mkdir()
    for name, n in N.items():
        chunks = Chunks(("p",), np.zeros(1, np.uint16), np.zeros(1, np.uint64), np.array([0, n]))
        columns = {"x": np.arange(n, dtype="f4"), "y": np.zeros(n, "f4"), "z": np.zeros(n, "f4")}
        write_nodes(folder / f"nodes/{name}.h5", name, n, [columns], chunks, "d")
    write_circuit([str(folder / f"nodes/{name}.h5") for name in N], [], folder / "circuit_config.json")
    return folder


def slice_of(folder, devices, model="iaf_psc_exp", duration=50.0, cells=("a", "b")):
    """Return the slice that a description with these devices leads to."""
    models = {t: {"model": model} for t in cells}
    rest = {"simulator": "nest", "duration": duration, "cell_models": models, "devices": devices}
    plan = plan_of(folder, edited(("simulations.rest", rest)))
    return plan.parts["simulate/rest"].slice


def nodes_of(circuit, slice_):
    return {name: str(circuit / f"nodes/{name}.h5") for name in slice_["cells"]}


def simulated(circuit, folder, slice_):
    """Simulate and return (the results' folder, the lines of output)."""
    out = circuit / "simulations" / folder.name
    asked = {"simulation": slice_, "nodes": nodes_of(circuit, slice_), "edges": {}, "digest": "d"}
    asked |= {"folder": str(out), "journal_folder": str(folder / "journal")}
    command = [sys.executable, "-c", RUN, json.dumps(asked)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return out, done.stdout.splitlines()


def no(verdicts):
    return {verdict.path[2:]: verdict.message for verdict in verdicts if verdict.answer == "no"}


SPIKES = {"device": "spike_recorder", "targetting": ALL}
TARGETS = {  # each alone makes its targets fire, in a window of its own
    "model": {"strategy": "cell_model", "cell_models": ["b"]},
    "count": {"strategy": "cell_model", "cell_models": ["a", "b"], "count": 7},
    "part": ONLY_A | {"fraction": 0.25},
    "few": {"strategy": "representatives", "n": 2},
    "ids": {"strategy": "by_id", "ids": {"b": [9, 0], "a": [3, 59]}},
    "ball": {"strategy": "sphere", "origin": [8.2, 0, 0], "radius": 3.0},
    "ball_a": {"strategy": "sphere_cell_types", "cell_types": ["a"], "origin": [20.5, 1, 0], "radius": 4.0},
    "tube": {"strategy": "cylinder", "axis": "z", "origin": [50.0, 0.0], "radius": 2.5},
    "nothing": {"strategy": "sphere", "origin": [0, 900, 0], "radius": 3.0},
    "everything": ALL,
}
EXACT = {
    "model": {"a": [], "b": range(10)},
    "ids": {"a": [3, 59], "b": [0, 9]},
    "ball": {"a": range(6, 12), "b": range(6, 10)},
    "ball_a": {"a": range(17, 25), "b": []},
    "tube": {"a": range(48, 53), "b": []},
    "nothing": {"a": [], "b": []},
    "everything": {"a": range(60), "b": range(10)},
}
NUMBERS = {"count": {"a": 7, "b": 7}, "part": {"a": 15, "b": 0}, "few": {"a": 2, "b": 2}}


@pytest.fixture(scope="module")
def targetted(circuit, tmp_path_factory):
    """Return device -> {cell type: the cells that fired because of it}, and the slice."""
    folder = tmp_path_factory.mktemp("targetted")
    devices = {"spikes": SPIKES}
    for i, (name, targetting) in enumerate(TARGETS.items()):
        given = {"device": "dc_generator", "amplitude": 5000.0, "start": 40.0 * i, "stop": 40.0 * i + 5.0}
        devices[name] = given | {"targetting": targetting, "weight": 1.0, "delay": 0.1}
    slice_ = slice_of(folder, devices, duration=40.0 * len(TARGETS))
    assert no(validate(slice_)) == {}
    out, lines = simulated(circuit, folder, slice_)
    spikes = read_spikes(out / "spikes.h5")
    fired = {}
    for i, name in enumerate(TARGETS):
        inside = {t: (times > 40.0 * i) & (times <= 40.0 * (i + 1)) for t, (times, _) in spikes.items()}
        fired[name] = {t: sorted(set(spikes[t][1][inside[t]].tolist())) for t in spikes}
    return fired, slice_, lines


@pytest.mark.parametrize("name", TARGETS)
def test_exactly_the_targets_fire(targetted, name):
    cells = targetted[0][name]
    if name in EXACT:
        assert cells == {t: list(ids) for t, ids in EXACT[name].items()}
    else:
        assert {t: len(ids) for t, ids in cells.items()} == NUMBERS[name]


def test_random_targets_are_those_of_the_keyed_stream(targetted, circuit):
    fired, slice_, _ = targetted
    chosen = chosen_by_all(slice_, nodes_of(circuit, slice_))
    for name in NUMBERS:
        assert {t: ids.tolist() for t, ids in chosen[name].items()} == {t: fired[name][t] for t in chosen[name]}
    alone = slice_ | {"devices": {"few": slice_["devices"]["few"]}}
    again = chosen_by_all(alone, nodes_of(circuit, slice_))["few"]
    assert all(np.array_equal(again[t], chosen["few"][t]) for t in "ab")


def test_numbers_of_targets_are_in_the_progress(targetted):
    lines = targetted[2]
    assert "rest: ball: 6 a, 4 b" in lines and "rest: nothing: 0 a, 0 b" in lines
    assert not [line for line in lines if line.startswith("rest: everything")]


def test_recorders_of_some_cells_record_those_and_say_so(circuit, tmp_path):
    devices = {
        "drive": {"device": "dc_generator", "amplitude": 800.0, "targetting": ALL},
        "left": {"device": "spike_recorder", "targetting": {"strategy": "by_id", "ids": {"a": [1, 2, 40]}}},
        "near": {"device": "spike_recorder", "targetting": TARGETS["ball"]},
        "volts": {
            "device": "multimeter",
            "properties": ["V_m"],
            "targetting": {"strategy": "by_id", "ids": {"b": [8], "a": [50, 7, 2]}},
        },
        "all_volts": {"device": "multimeter", "properties": ["V_m"], "targetting": ALL},
        "no_volts": {"device": "multimeter", "properties": ["V_m"], "targetting": TARGETS["nothing"]},
    }
    out, _ = simulated(circuit, tmp_path, slice_of(tmp_path, devices))
    recorded = {"a": [1, 2, *range(6, 12), 40], "b": list(range(6, 10))}
    spikes = read_spikes(out / "spikes.h5")
    assert {t: sorted(set(ids.tolist())) for t, (_, ids) in spikes.items()} == recorded
    for times, ids in spikes.values():
        assert len(set(zip(times, ids, strict=True))) == len(times) > 0
    with Report(out / "volts.h5") as some, Report(out / "all_volts.h5") as whole:
        assert some.node_ids("a").tolist() == [2, 7, 50] and some.node_ids("b").tolist() == [8]
        for t in "ab":
            np.testing.assert_array_equal(some.data(t), whole.data(t)[:, some.node_ids(t).astype(int)])
    with Report(out / "no_volts.h5") as none:
        assert none.populations == ()
    # readers of the field
    config = libsonata.SimulationConfig.from_file(out / "simulation_config.json")
    sets = libsonata.NodeSets.from_file(config.node_sets_file)
    cells = {t: libsonata.NodeStorage(str(circuit / f"nodes/{t}.h5")).open_population(t) for t in "ab"}

    def ids_of(name):
        return {t: sets.materialize(name, cells[t]).flatten().tolist() for t in "ab"}

    assert ids_of("cells/recorded") == recorded
    assert ids_of(config.node_set) == {t: list(range(N[t])) for t in "ab"}
    assert ids_of(config.report("volts").cells) == {"a": [2, 7, 50], "b": [8]}
    assert ids_of(config.report("no_volts").cells) == {"a": [], "b": []}
    reader = libsonata.SomaReportReader(str(out / "volts.h5"))["a"]
    assert reader.get_node_ids() == [2, 7, 50]


def test_whole_cell_types_need_no_node_sets_of_their_own(circuit, tmp_path):
    meter = {"device": "multimeter", "properties": ["V_m"]}
    devices = {"one": meter | {"targetting": ONLY_A}, "both": meter | {"targetting": ALL}, "spikes": SPIKES}
    out, _ = simulated(circuit, tmp_path, slice_of(tmp_path, devices, duration=5.0))
    assert not (out / "node_sets.json").exists()
    config = libsonata.SimulationConfig.from_file(out / "simulation_config.json")
    assert (config.report("one").cells, config.report("both").cells, config.node_set) == ("a", "All", "All")


def test_sinusoidal_poisson_generator_fires_with_the_phase(circuit, tmp_path):
    wave = {"device": "sinusoidal_poisson_generator", "rate": 100.0, "amplitude": 100.0, "frequency": 10.0}
    wave |= {"targetting": ONLY_A, "weight": 1.0, "delay": 0.1}
    devices = {"wave": wave, "shifted": wave | {"phase": 180.0, "targetting": TARGETS["model"]}, "spikes": SPIKES}
    devices["shifted"] |= {"start": 100.0, "stop": 600.0}
    slice_ = slice_of(tmp_path, devices, "parrot_neuron", 1000.0)
    assert slice_["devices"]["wave"]["constants"]["phase"] == 0.0 and no(validate(slice_)) == {}
    spikes = read_spikes(simulated(circuit, tmp_path, slice_)[0] / "spikes.h5")
    for t, n_seconds, first in (("a", 60.0, True), ("b", 5.0, False)):
        times = spikes[t][0]
        rise = ((times % 100.0) < 50.0).sum() if first else ((times % 100.0) >= 50.0).sum()
        # mean of the upper half wave: 100 + 100 * 2 / pi
        assert len(times) / n_seconds == pytest.approx(100.0, abs=5 * np.sqrt(100.0 / n_seconds))
        assert rise / (n_seconds / 2) == pytest.approx(163.7, abs=5 * np.sqrt(163.7 / (n_seconds / 2)))
    assert spikes["b"][0].min() > 100.0 and spikes["b"][0].max() <= 600.2


EXTERNAL = {"device": "external", "targetting": ALL}


def test_external_devices_are_those_of_nest(circuit, tmp_path):
    steps = {"amplitude_times": [10.0, 15.0], "amplitude_values": [5000.0, 0.0]}
    own = {
        "steps": EXTERNAL | {"nest_model": "step_current_generator", "constants": steps, "targetting": ONLY_A},
        "rate": EXTERNAL | {"nest_model": "poisson_generator", "constants": {"rate": "= 2 * 4000"}, "weight": 900.0},
        "trains": EXTERNAL | {"nest_model": "spike_train_injector", "constants": {"spike_times": [30.0]}},
    }
    own["rate"] |= {"delay": 1.0, "targetting": TARGETS["model"]}
    external = {
        "spikes": EXTERNAL | {"nest_model": "spike_recorder"},
        "meter": EXTERNAL | {"nest_model": "multimeter", "constants": {"record_from": ["V_m"], "interval": 0.5}},
        "volt": EXTERNAL | {"nest_model": "voltmeter", "constants": {"start": 20.0}},
    }
    built_in = {
        "spikes": SPIKES,
        "meter": {"device": "multimeter", "properties": ["V_m"], "interval": 0.5, "targetting": ALL},
    }
    slice_ = slice_of(tmp_path, own | external)
    assert no(validate(slice_)) == {}
    out, _ = simulated(circuit, tmp_path, slice_)
    (tmp_path / "other").mkdir()
    other, _ = simulated(circuit, tmp_path / "other", slice_of(tmp_path, own | built_in))
    for name in ("spikes.h5", "meter.h5"):
        assert (out / name).read_bytes() == (other / name).read_bytes()
    spikes = read_spikes(out / "spikes.h5")
    assert len(set(spikes["a"][1].tolist())) == 60 and spikes["a"][0].min() > 10.0 and spikes["a"][0].max() < 18.0
    assert len(spikes["b"][0]) > 10
    with Report(out / "volt.h5") as volt, Report(out / "meter.h5") as meter:
        assert volt.times("a").tolist() == np.arange(21.0, 50.0).tolist() and volt.units("a") == "mV"
        np.testing.assert_array_equal(volt.data("a"), meter.data("a")[41::2])


def test_a_multimeter_that_says_nothing_samples_at_the_resolution_as_the_bsbs_does(tmp_path):
    slice_ = slice_of(tmp_path, {"meter": {"device": "multimeter", "properties": ["V_m"], "targetting": ALL}})
    assert slice_["devices"]["meter"]["interval"] == slice_["run"]["resolution"]
    outside = EXTERNAL | {"nest_model": "multimeter", "constants": {"record_from": ["V_m"]}}
    assert slice_of(tmp_path, {"meter": outside})["devices"]["meter"]["interval"] == 1.0, "NEST's own default"


REFUSED = {
    "weight_recorder": '"weight_recorder" records what no result is made of (recorders: spike_recorder, multimeter',
    "correlation_detector": "records what no result is made of",
    "iaf_psc_exp": '"iaf_psc_exp" is no device; it is of the type "neuron"',
    "volume_transmitter": "is no device",
}


@pytest.mark.parametrize("model", REFUSED)
def test_what_is_no_device_is_refused_at_its_place(circuit, tmp_path, model):
    slice_ = slice_of(tmp_path, {"odd": EXTERNAL | {"nest_model": model, "constants": {"foo": 1}}})
    ((path, message),) = no(validate(slice_)).items()
    assert path == ("devices", "odd", "nest_model") and REFUSED[model] in message
    _, lines = simulated(circuit, tmp_path, slice_)
    (line,) = [line for line in lines if line.startswith("ERROR")]
    assert line.startswith("ERROR simulations.rest.devices.odd: ") and REFUSED[model] in line


def test_nest_is_asked_about_external_devices(tmp_path):
    devices = {
        "model": EXTERNAL | {"nest_model": "noise_generatr"},
        "key": EXTERNAL | {"nest_model": "noise_generator", "constants": {"std_": 1.0, "mean": 2.0}},
        "value": EXTERNAL | {"nest_model": "noise_generator", "constants": {"std": -1.0}},
        "meter": EXTERNAL | {"nest_model": "multimeter", "constants": {"record_from": ["V_m", "Vm"], "interval": 0.01}},
        "port": EXTERNAL | {"nest_model": "ac_generator", "receptor_type": 3},
    }
    told = no(validate(slice_of(tmp_path, devices)))
    assert told.keys() == {
        ("devices", "model", "nest_model"),
        ("devices", "key", "constants", "std_"),
        ("devices", "value", "constants", "std"),
        ("devices", "meter", "constants", "record_from", 1),
        ("devices", "meter", "constants", "interval"),
        ("devices", "port", "receptor_type"),
    }
    assert 'did you mean "noise_generator"?' in told["devices", "model", "nest_model"]
    assert 'did you mean "V_m"?' in told["devices", "meter", "constants", "record_from", 1]


METER = EXTERNAL | {"nest_model": "multimeter"}
SINUS = {"device": "sinusoidal_poisson_generator", "targetting": ALL, "rate": 1, "amplitude": 1, "frequency": 1}
MISTAKES = [
    (EXTERNAL, "", '"nest_model" is missing'),
    (METER, ".constants", '"record_from" is missing'),
    (METER | {"constants": {"record_from": []}}, ".constants.record_from", "a list of distinct recordables"),
    (METER | {"constants": {"record_from": ["V_m", "V_m"]}}, ".constants.record_from", "distinct"),
    (METER | {"constants": {"record_from": "V_m", "interval": 0}}, ".constants.interval", "a number > 0, ms"),
    (METER | {"constants": {"record_from": "V_m", "record_to": "ascii"}}, ".constants.record_to", "cannot be given"),
    (
        EXTERNAL | {"nest_model": "spike_recorder", "constants": {"start": 5.0}},
        ".constants.start",
        'not yet supported: "start" of a spike recorder',
    ),
    ({k: v for k, v in SINUS.items() if k != "frequency"}, "", '"frequency" is missing'),
    (SINUS | {"rate": -1}, ".rate", ">= 0"),
    (SINUS | {"start": 5, "stop": 5}, ".stop", "should be after the start, 5 ms (got: 5)"),
]


@pytest.mark.parametrize(("device", "place", "words"), MISTAKES)
def test_mistake_of_a_description_is_told_at_its_place(tmp_path, device, place, words):
    with pytest.raises(UserError) as error:
        slice_of(tmp_path, {"d": device})
    (told,) = error.value.mistakes
    assert ".".join(map(str, told.path)) == f"simulations.rest.devices.d{place}" and words in told.message
