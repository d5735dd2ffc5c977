"""Hooks of a simulation, and the settings of the kernel: what they get, what they leave, what is said of mistakes."""

import json

import pytest

from simulated import circuit, network, planned, probed, simulate
from snakefold.errors import UserError
from snakefold.nest.validation import mistakes, validate
from snakefold.plan import Plan
from snakefold.streams import simulator_seed, stream

pytestmark = pytest.mark.usefixtures("own_catalogue")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return network(tmp_path_factory.mktemp("network"))


def outputs(plan: Plan) -> set[str]:
    return {path.rpartition("/")[2] for path in plan.simulation_outputs("s")}


def files(*declared, made=None, **more):
    made = list(declared) if made is None else made
    return {"strategy": "probe.Files", "declared": list(declared), "made": made, **more}


def test_a_hook_before_has_cells_devices_and_a_stream_of_its_own(made, tmp_path):
    meter = {"device": "multimeter", "properties": ["V_m"]}
    devices = {"one": {"device": "spike_recorder"}, "two": {"device": "spike_recorder"}, "meter": meter}
    devices["dc"] = {
        "nest_model": "dc_generator",
        "constants": {"amplitude": {"distribution": "uniform", "min": 5.0, "max": 6.0}},
    }
    found = probed(tmp_path, circuit(devices=devices), made)
    assert found["first"] == {"a": 1, "b": 41} and set(found["devices"]) == set(devices)
    assert found["devices"]["one"]["global_id"] == found["devices"]["two"]["global_id"]
    assert 5.0 <= found["devices"]["dc"]["amplitude"] < 6.0
    assert found["draw"] == stream(7, "after_prepare", "s", "probe").random()


def test_a_hook_after_adds_its_files_to_the_results(made, tmp_path):
    tree = circuit(after_simulation={"x": files("x.txt", "y.txt"), "w": files("w.txt", rng="own")})
    plan = planned(tmp_path, tree)
    done = simulate(tmp_path, tree, made)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == outputs(plan) >= {"x.txt", "y.txt", "w.txt"}
    seen, draw = (tmp_path / "out/x.txt").read_text().rsplit(" ", 1)
    assert "spikes.h5" in seen and "w.txt" in seen and "y.txt" not in seen  # by name, and none of its own
    assert float(draw) == stream(7, "after_simulation", "s", "x").random()
    own = (tmp_path / "out/w.txt").read_text().rpartition(" ")[2]
    assert float(own) == stream(8, "after_simulation", "s", "w").random()


FAULTY = {
    "less": (files("x.txt", "y.txt", made=["x.txt"]), "should make: x.txt, y.txt (got: x.txt)"),
    "more": (files("x.txt", made=["x.txt", "z.txt"]), "should make: x.txt (got: x.txt, z.txt)"),
    "none": (files("x.txt", made=["no/x.txt"]), "the hook raised FileNotFoundError"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_files_that_were_not_declared_or_not_made(made, tmp_path, case):
    hook, words = FAULTY[case]
    done = simulate(tmp_path, circuit(after_simulation={"x": hook}), made)
    assert done.returncode == 1 and f"error: simulations.s.after_simulation.x: {words}" in done.stderr
    assert "Traceback" not in done.stderr and not list((tmp_path / "out").glob(".hook*"))


def test_a_hook_that_raises_is_named_with_its_line(made, tmp_path):
    done = simulate(tmp_path, circuit(after_prepare={"bad": {"strategy": "Broken"}}), made)
    assert done.returncode == 1
    assert "simulations.s.after_prepare.bad: the hook raised KeyError: 'broken' (probe.py:" in done.stderr


NAMES = {
    "spikes.h5": 'its file "spikes.h5" is also made by the simulation',
    "../x": "the file name '../x' should be: letters",
    "y.txt": 'its file "y.txt" is also made by the hook "other"',
}


@pytest.mark.parametrize("file", NAMES)
def test_file_names_that_cannot_be(tmp_path, file):
    tree = circuit(after_simulation={"other": files("y.txt"), "x": files(file)})
    with pytest.raises(UserError) as raised:
        planned(tmp_path, tree)
    (mistake,) = raised.value.mistakes
    assert mistake.path == ("simulations", "s", "after_simulation", "x") and NAMES[file] in mistake.message


def test_a_hook_is_in_the_slice_of_its_simulation_only(tmp_path):
    plain = planned(tmp_path / "1", circuit()).parts
    hooked = planned(tmp_path / "2", circuit(after_simulation={"x": files("x.txt")})).parts
    changed = {name for name in plain if plain[name].digest != hooked[name].digest}
    assert changed == {"simulate/s", "parse"}
    assert set(hooked["simulate/s"].slice["after_simulation"]["x"]) == {"adds", "hook"}
    assert "after_simulation" not in plain["simulate/s"].slice


# Settings


def test_settings_of_waveform_relaxation_reach_the_kernel(made, tmp_path):
    assert probed(tmp_path, circuit(), made)["kernel"]["use_wfr"] is True
    assert probed(tmp_path, circuit(wfr_tol=0.5), made)["kernel"]["wfr_tol"] == 0.5
    assert probed(tmp_path, circuit(use_wfr=False), made)["kernel"]["use_wfr"] is False


def test_gap_junctions_of_the_edges_run_with_and_without_waveform_relaxation(made, tmp_path):
    gaps = {"aa": {"synapses": [{"model": "gap_junction", "weight": 5.0}]}}
    meter = {
        "v": {
            "device": "multimeter",
            "properties": ["V_m"],
            "targetting": {"strategy": "cell_model", "cell_models": ["a"]},
        }
    }
    cell_models = {"a": {"model": "hh_psc_alpha_gap", "constants": {"I_e": 500.0}}, "b": {}}
    volts = []
    for use_wfr in (True, False):
        tree = circuit(connection_models=gaps, cell_models=cell_models, devices=meter, use_wfr=use_wfr)
        assert simulate(tmp_path, tree, made).returncode == 0
        volts.append((tmp_path / "out/v.h5").read_bytes())
    assert volts[0] != volts[1]


def test_seeds_of_nest(made, tmp_path):
    def seed(**simulation):
        return probed(tmp_path, circuit(**simulation), made)["kernel"]["rng_seed"]

    assert seed() == simulator_seed(7, "simulate", "s")
    assert seed(seed=5) == 5
    assert seed(rng="kernel") == simulator_seed(7, "rng", "settings", "kernel")


def test_verbosity_is_heard_and_changes_no_byte(made, tmp_path):
    tree = circuit(connection_models={"ab": {"synapses": [{"weight": 1.0, "delay": 1.0}]}})
    contents, logs = [], []
    for verbosity in ("M_ERROR", "M_INFO"):
        tree["simulations"]["s"]["verbosity"] = verbosity
        done = simulate(tmp_path, tree, made)
        assert done.returncode == 0, done.stderr
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
        logs.append(done.stdout + done.stderr)
    assert contents[0] == contents[1]
    assert "[INFO]" in logs[1] and "[INFO]" not in logs[0]


SETTINGS = [
    ({"verbosity": "LOUD"}, "verbosity", "should be: one of ALL, DEBUG"),
    ({"wfr_interpolation_order": 2}, "wfr_interpolation_order", "should be: 0, 1 or 3 (got: 2)"),
    ({"use_wfr": False, "wfr_tol": 0.1}, "wfr_tol", "use_wfr is off"),
    ({"rng": "kernels"}, "rng", 'no entry of rng.settings "kernels"; did you mean "kernel"?'),
    ({"rng": "kernel", "seed": 3}, "seed", 'give "seed" or "rng", not both'),
]


@pytest.mark.parametrize(("simulation", "key", "words"), SETTINGS)
def test_mistakes_in_settings(tmp_path, simulation, key, words):
    with pytest.raises(UserError) as raised:
        planned(tmp_path, circuit(**simulation))
    (mistake,) = raised.value.mistakes
    assert mistake.path == ("simulations", "s", key) and words in mistake.message


def test_nest_is_asked_about_waveform_relaxation(tmp_path):
    slice_ = json.loads(json.dumps(planned(tmp_path, circuit(wfr_tol=0.1)).parts["simulate/s"].slice))
    assert mistakes(validate(slice_)) == []
    slice_["run"]["wfr"]["wfr_tol"] = -1.0
    (mistake,) = mistakes(validate(slice_))
    assert mistake.path == ("simulations", "s", "wfr_tol")


ASKED = [
    (
        {"t_reff": {"strategy": "Wrong", "how": "nan"}},
        "t_reff",
        'has no parameter "t_reff"; did you mean "t_ref" (ms)?',
    ),
    ({"C_m": {"strategy": "Height"}, "tau_n": 1.0}, "tau_n", 'has no parameter "tau_n"'),
    ({"tau_m": {"distribution": "uniform_int", "max": 3}}, "tau_m", "tau_m cannot be 0"),
]


@pytest.mark.parametrize(("parameters", "key", "words"), ASKED)
def test_nest_is_asked_about_drawn_and_computed_parameters(tmp_path, parameters, key, words):
    cell_models = {"a": {"model": "iaf_psc_exp", "parameters": parameters}, "b": {}}
    plan = planned(tmp_path, circuit(cell_models=cell_models, devices={}))
    (mistake,) = mistakes(validate(plan.parts["simulate/s"].slice))
    assert mistake.path == ("simulations", "s", "cell_models", "a", "parameters", key) and words in mistake.message


SYNAPSES = [
    ({"model": "stdp_synapse_hom", "parameters": {"tau_plus": {"strategy": "Sum"}}}, "tau_plus", "is common to all"),
    ({"parameters": {"tau_x": {"strategy": "Sum"}}}, "tau_x", 'has no parameter "tau_x"'),
    (
        {"model": "tsodyks_synapse", "parameters": {"U": {"distribution": "uniform", "min": 0.0, "max": 2.0}}},
        "U",
        "U cannot",
    ),
    (
        {"model": "tsodyks_synapse", "parameters": {"U": {"distribution": "uniform", "min": 1.5, "max": 2.0}}},
        "U",
        "1.5",
    ),
    ({"model": "static_synapse", "tau_rec": 3.0}, "tau_rec", 'has no parameter "tau_rec"'),
]


@pytest.mark.parametrize(("synapse", "key", "words"), SYNAPSES)
def test_nest_is_asked_about_what_differs_between_synapses(tmp_path, synapse, key, words):
    plan = planned(tmp_path, circuit(connection_models={"ab": {"synapses": [{"weight": 1.0, "delay": 1.0} | synapse]}}))
    (mistake,) = mistakes(validate(plan.parts["simulate/s"].slice))
    assert mistake.path[:5] == ("simulations", "s", "connection_models", "ab", "synapses")
    assert mistake.path[-1] == key and words in mistake.message


def test_a_device_draws_its_constants_and_nest_is_asked(tmp_path):
    constants = {"amplitudes": {"distribution": "normal"}}
    plan = planned(tmp_path, circuit(devices={"dc": {"nest_model": "dc_generator", "constants": constants}}))
    (mistake,) = mistakes(validate(plan.parts["simulate/s"].slice))
    assert mistake.path[2:] == ("devices", "dc", "constants", "amplitudes") and '"amplitude" (pA)' in mistake.message
