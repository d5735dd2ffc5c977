"""Validation: every mistake gets its verdict and its place; what could not be asked is never called a mistake."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import snakefold
from snakefold.nest.validation import mistakes, read_verdicts, unreachable, validate, validate_all, write_verdicts

pytestmark = pytest.mark.usefixtures("own_catalogue")

ROOT = ("simulations", "basal")
NAN = float("nan")


def synapse(model="static_synapse", weight=1.0, delay=1.5, receptor_type=None, **constants):
    return {
        "model": model,
        "weight": weight,
        "delay": delay,
        "receptor_type": receptor_type,
        "constants": constants,
    }


def connection(source, target, *synapses, key="k"):
    return {"key": key, "source": source, "target": target, "multapses": "collapse", "synapses": list(synapses)}


def device(nest_model="poisson_generator", kind="stimulus", targets=("A",), constants=None, **given):
    empty = {"weight": None, "delay": None, "receptor_type": None, "properties": [], "units": [], "interval": None}
    rest = {"nest_model": nest_model, "kind": kind, "constants": constants or {}, "targets": list(targets)}
    return empty | rest | given


def cell(model="iaf_psc_exp", constants=None, parameters=None):
    return {"model": model, "constants": constants or {}, "parameters": parameters or {}}


def slice_of(cells=None, connections=None, devices=None, name="basal", **run):
    default = {"duration": 100.0, "resolution": 0.1, "threads": 1, "rng_seed": None, "modules": []}
    return {
        "name": name,
        "seed": 1,
        "key": name,
        "run": default | run,
        "cells": cells or {"A": cell()},
        "connections": connections or {},
        "devices": devices or {},
    }


def normal(mean, std, **bounds):
    return {"distribution": "normal", "mean": mean, "std": std, **bounds}


GOOD = slice_of(
    {
        "A": cell(constants={"C_m": 250.0, "V_th": -80.0, "V_reset": -90}, parameters={"V_m": normal(-95.0, 1.0)}),
        "M": cell("iaf_psc_exp_multisynapse", {"tau_syn": [1.0, 2.0]}),
        "G": cell("hh_psc_alpha_gap"),
        "D": cell(constants={"V_th": -80.0}, parameters={"V_reset": normal(-95.0, 1.0, max=-85.0)}),
        "I": cell("ignore_and_fire", parameters={"phase": 1, "rate": 10}),
        "S": cell("ppd_sup_generator", {"n_proc": 3}),
    },
    {
        "aa": connection("A", "A", synapse(weight=normal(1.0, 1.0), delay=normal(0.5, 1.0))),
        "am": connection("A", "M", synapse("stdp_synapse", receptor_type=2, **{"lambda": 0.02}), key="am"),
        "gg": connection("G", "G", synapse("gap_junction", delay=None), key="gg"),
        "hom": connection("A", "A", synapse("stdp_synapse_hom", tau_plus=15.0), key="hom"),
    },
    {
        "noise": device(constants={"rate": 8.0, "start": 0.5}, weight=87.8, delay=1.5),
        "second_port": device("dc_generator", targets=["M"], constants={"amplitude": 1.0}),
        "times": device("spike_generator", constants={"spike_times": [1.0, 2]}, weight=1.0),
        "spikes": device("spike_recorder", "spike_recorder", ["A", "M", "G"]),
        "meter": device("multimeter", "multimeter", ["M"], properties=["V_m", "I_syn_2"], interval=0.5),
    },
)

BAD = slice_of(
    {
        "A": cell(
            constants={"C_m": 250.0, "Cm": 3.0, "t_spike": 3.0, "tau_m": "x", "I_e": NAN, "tau_syn_ex": -1.0},
            parameters={
                "V_m": normal(-60.0, 5.0),
                "V_mm": 3.0,
                "t_ref": {"distribution": "uniform", "min": -1.0, "max": 2.0},
                "E_L": normal(0.0, 1.0, min=100.0),
            },
        ),
        "B": cell("iaf_cond_alpha_mc"),
        "C": cell("iaf_psc_exq", {"foo": 1}),
        "D": cell("static_synapse"),
        "E": cell(constants={"C_m": True, "tau_m": [10.0, 20.0], "E_L": None}),
        "I": cell("ppd_sup_generator", {"n_proc": 3.5}),
        "S": cell(constants={"V_th": -80.0}, parameters={"V_reset": normal(-95.0, 1.0, max=-75.0)}),
    },
    {
        "ab": connection(
            "A",
            "B",
            synapse(),
            synapse(delay=0.01, receptor_type=1, bad=1),
            synapse("static_synapsis"),
            synapse(weight=float("inf"), delay=normal(1.0, 1.0, min=0.01), receptor_type=1),
            synapse("gap_junction"),
            synapse(delay=None),
            synapse(receptor_type=77),
            synapse("clopath_synapse", receptor_type=1),
            synapse("tsodyks_synapse", receptor_type=1, U=-5.0, weight_=1),
        ),
        "aa": connection("A", "A", synapse("gap_junction", delay=None), synapse(receptor_type=3), key="aa"),
        "ac": connection("A", "C", synapse(), key="ac"),
    },
    {
        "rate": device(constants={"rate": -8.0}),
        "start": device(constants={"rate": 8.0, "start": 0.03}, delay=0.01),
        "port": device(constants={"rate": 8.0}, targets=["B"], receptor_type=0),
        "weight": device(constants={"rate": 8.0}, weight=NAN),
        "meter": device("multimeter", "multimeter", ["A"], properties=["V_m", "Vm"], interval=1.0),
        "fine": device("multimeter", "multimeter", ["A"], properties=["V_m"], interval=0.01),
        "model": device("poison_generator"),
    },
)

S = ("connection_models", "k", "synapses")
EXPECTED = {
    ("cell_models", "A", "constants", "Cm"): 'no parameter "Cm"; did you mean "C_m" (pF)?',
    ("cell_models", "A", "constants", "t_spike"): "can be read, not set",
    ("cell_models", "A", "constants", "tau_m"): 'tau_m should be a number, ms (got: "x")',
    ("cell_models", "A", "constants", "I_e"): "I_e should be finite (got: NaN)",
    ("cell_models", "A", "constants", "tau_syn_ex"): "strictly positive",
    ("cell_models", "A", "parameters", "V_mm"): 'did you mean "V_m" (mV)?',
    ("cell_models", "A", "parameters", "t_ref"): "t_ref cannot be -1.0",
    ("cell_models", "A", "parameters", "E_L"): "fewer than one in 1000",
    ("cell_models", "C", "model"): 'no NEST model "iaf_psc_exq"; did you mean "iaf_psc_exp"?',
    ("cell_models", "D", "model"): "that is a synapse model",
    ("cell_models", "E", "constants", "C_m"): "should be a number, pF (got: true)",
    ("cell_models", "E", "constants", "tau_m"): "should be a number, ms (got: [10.0, 20.0])",
    ("cell_models", "E", "constants", "E_L"): "should be a number, mV (got: null)",
    ("cell_models", "I", "constants", "n_proc"): "n_proc should be an integer (got: 3.5)",
    ("cell_models", "S", "parameters", "V_reset"): "V_reset cannot be -75.0: Reset potential",
    (*S, 0, "receptor_type"): "does not accept SpikeEvent. (receptor types of",
    (*S, 1, "delay"): "0.01 ms is below the resolution, 0.1 ms",
    (*S, 1, "constants", "bad"): '"static_synapse" has no parameter "bad"',
    (*S, 2, "model"): 'did you mean "static_synapse"?',
    (*S, 3, "weight"): "finite number",
    (*S, 3, "delay"): "min should be at least 0.1",
    (*S, 4, "delay"): '"gap_junction" has no delay',
    (*S, 5, "delay"): '"static_synapse" needs a delay (ms)',
    (*S, 6, "receptor_type"): "Receptor type 77 is not available",
    (*S, 7, "model"): "cannot be connected: This synapse model is not supported",
    (*S, 8, "constants", "U"): "U cannot be -5.0",
    (*S, 8, "constants", "weight_"): 'no parameter "weight_"',
    ("connection_models", "aa", "synapses", 0, "model"): "does not support gap junction",
    ("connection_models", "aa", "synapses", 1, "receptor_type"): "Receptor type 3 is not available",
    ("devices", "rate", "rate"): "rate cannot be -8.0",
    ("devices", "start", "start"): "multiple of the simulation resolution",
    ("devices", "start", "delay"): "below the resolution",
    ("devices", "port", "receptor_type"): "soma_exc",
    ("devices", "weight", "weight"): "finite number",
    ("devices", "meter", "properties", 1): '"Vm" in "iaf_psc_exp" (A); did you mean "V_m"?',
    ("devices", "fine", "interval"): "at least as long as the simulation resolution",
    ("devices", "model", "device"): 'no NEST model "poison_generator"; did you mean "poisson_generator"?',
}


@pytest.fixture(scope="module")
def verdicts(own_catalogue):
    return validate_all([GOOD | {"name": "good"}, BAD])


def test_good_simulation_has_only_yes(verdicts):
    assert [verdict for verdict in verdicts["good"] if verdict.answer != "yes"] == []
    places = {verdict.path[2:4] for verdict in verdicts["good"]}
    assert places > {("cell_models", "A"), ("connection_models", "k"), ("devices", "meter")}


@pytest.mark.parametrize("place", EXPECTED, ids=lambda place: ".".join(map(str, place)))
def test_mistake_is_told_at_its_place(verdicts, place):
    told = [verdict for verdict in verdicts["basal"] if verdict.path == ROOT + place and verdict.answer == "no"]
    assert len(told) == 1
    assert EXPECTED[place] in told[0].message


def test_nothing_else_is_a_mistake(verdicts):
    assert {verdict.path for verdict in verdicts["basal"] if verdict.answer == "no"} == {ROOT + p for p in EXPECTED}
    assert [mistake.path for mistake in mistakes(verdicts["basal"])].count((*ROOT, "cell_models", "C", "model")) == 1
    assert unreachable(verdicts["basal"]) == []


@pytest.mark.parametrize(
    ("run", "key", "words"),
    [
        ({"resolution": 1e-5}, "resolution", "one tic"),
        ({"resolution": NAN}, "resolution", "finite"),
        ({"duration": 100.05}, "duration", "multiple of the resolution"),
        ({"duration": 0.0}, "duration", "above 0"),
    ],
)
def test_settings(run, key, words):
    (told,) = [verdict for verdict in validate(slice_of(**run)) if verdict.answer == "no"]
    assert told.path == (*ROOT, key) and words in told.message


def test_missing_module_is_told_once_and_makes_no_model_wrong():
    verdicts = validate(slice_of({"A": cell("my_neuron"), "B": cell()}, modules=["mymodule"]))
    (told,) = mistakes(verdicts)
    assert told.path == (*ROOT, "modules", 0) and '"mymodule" cannot be installed' in told.message
    assert [verdict.path for verdict in unreachable(verdicts)] == [(*ROOT, "cell_models", "A", "model")]


@pytest.mark.parametrize("weights", [[2.0, 3.0], [NAN, 3.0]])
def test_python_without_nest_makes_nothing_wrong_but_numbers(tmp_path, weights):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    connections = {"aa": connection("A", "A", *[synapse(weight=weight) for weight in weights])}
    verdicts = validate(slice_of({"A": cell("iaf_psc_exq")}, connections), python=str(python))
    (not_asked,) = unreachable(verdicts)
    assert "No module named 'nest'" in not_asked.message
    wrong = [(*ROOT, *S, i, "weight") for i, weight in enumerate(weights) if weight != weight]
    assert [mistake.path for mistake in mistakes(verdicts)] == wrong


def test_caller_imports_no_nest_and_second_check_starts_no_kernel(tmp_path):
    code = """
import json, subprocess, sys
from snakefold.nest.validation import validate
started = []
popen = subprocess.Popen
subprocess.Popen = lambda *args, **more: started.append(args) or popen(*args, **more)
first = validate(json.loads(sys.argv[1])); n = len(started)
second = validate(json.loads(sys.argv[1]))
heavy = {"nest", "mpi4py", "matplotlib", "scipy"} & set(sys.modules)
print(json.dumps([n, len(started), first == second, sorted(heavy)]))
"""
    library = {"PYTHONPATH": str(Path(snakefold.__file__).parents[1]), "XDG_CACHE_HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(GOOD)], env=os.environ | library, capture_output=True, check=True
    )
    assert json.loads(ran.stdout) == [1, 1, True, []]


def test_verdicts_are_read_as_written(tmp_path, verdicts):
    for name in ("one.h5", "two.h5"):
        write_verdicts(tmp_path / name, verdicts["basal"], "digest", "3.10")
    assert read_verdicts(tmp_path / "one.h5") == verdicts["basal"]
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    write_verdicts(tmp_path / "none.h5", [], "digest")
    assert read_verdicts(tmp_path / "none.h5") == []


def test_messages_name_no_path_of_this_machine(verdicts):
    assert not [v.message for v in verdicts["basal"] if re.search(r"/(home|tmp|root)/", v.message)]


MULTI = cell("iaf_psc_exp_multisynapse", {"tau_syn": [1.0, 2.0]})
NOT_SUPPORTED = "cannot be connected: This synapse model is not supported by the neuron model"
DRAWN = {"tau_plus": normal(20.0, 1.0)}
REFUSED = {
    # name: (synapse, target, key of the synapse, words)
    "port_out_of_range": (synapse(receptor_type=3), "M", "receptor_type", '"iaf_psc_exp_multisynapse": 1, 2)'),
    "port_not_given": (synapse(), "M", "receptor_type", '(receptor types of "iaf_psc_exp_multisynapse": 1, 2)'),
    "port_below": (synapse(receptor_type=0), "M", "receptor_type", '"iaf_psc_exp_multisynapse": 1, 2)'),
    "ports_drawn": (
        synapse(receptor_type={"distribution": "uniform_int", "max": 3}),
        "M",
        "receptor_type",
        '"iaf_psc_exp_multisynapse": 1, 2)',
    ),
    "port_with_names": (synapse(receptor_type=9), "C", "receptor_type", '"iaf_cond_alpha_mc": 1 soma_exc, 2 soma_inh,'),
    "port_of_none": (synapse(receptor_type=1), "A", "receptor_type", '(receptor types of "iaf_psc_exp": 0)'),
    "no_port_at_all": (synapse(receptor_type=0), "E", "receptor_type", '(receptor types of "cm_default": none)'),
    "eprop": (synapse("eprop_synapse_bsshslm_2020"), "A", "model", NOT_SUPPORTED),
    "urbanczik": (synapse("urbanczik_synapse"), "A", "model", NOT_SUPPORTED),
    "clopath": (synapse("clopath_synapse"), "A", "model", NOT_SUPPORTED),
    "learning_signal": (synapse("eprop_learning_signal_connection_bsshslm_2020"), "A", "model", "cannot be connected"),
    "dopamine": (synapse("stdp_dopamine_synapse"), "A", "model", "No volume transmitter"),
    "gap": (synapse("gap_junction", delay=None), "A", "model", "does not support gap junction"),
    "gap_of_one": (synapse("gap_junction", delay=None), "G", "model", "does not support gap junction output"),
    "rate": (synapse("rate_connection_instantaneous", delay=None), "A", "model", "instantaneous rate output"),
    "common": (synapse("stdp_synapse_hom") | {"parameters": DRAWN}, "A", ("parameters", "tau_plus"), "common to all"),
    "common_weight": (synapse("static_synapse_hom_w"), "A", "weight", "Setting of individual weights is not possible"),
    "unknown_drawn": (
        synapse("stdp_synapse") | {"parameters": {"tau_pluss": normal(20.0, 1.0)}},
        "A",
        None,
        "tau_plus",
    ),
    "negative_drawn": (
        synapse("tsodyks_synapse") | {"parameters": {"U": normal(-9.0, 1.0)}},
        "A",
        ("parameters", "U"),
        "U cannot be -9.0",
    ),
}


@pytest.fixture(scope="module")
def refusals(own_catalogue):
    cells = {"A": cell(), "M": MULTI, "C": cell("iaf_cond_alpha_mc"), "G": cell("hh_psc_alpha_gap")}
    cells["E"] = cell("cm_default")
    connections = {name: connection("A", to, tried, key=name) for name, (tried, to, _, _) in REFUSED.items()}
    fine = synapse("stdp_synapse", receptor_type=2) | {"parameters": DRAWN}
    connections["fine"] = connection("A", "M", fine, key="fine")
    return validate(slice_of(cells, connections))


@pytest.mark.parametrize("name", REFUSED)
def test_connection_that_nest_refuses(refusals, name):
    _, _, key, words = REFUSED[name]
    told = {v.path[6:]: v.message for v in refusals if v.answer == "no" and v.path[3:4] == (name,)}
    place = ("parameters", "tau_pluss") if key is None else key if isinstance(key, tuple) else (key,)
    assert told.keys() == {place}
    assert words in told[place]


def test_parameters_of_each_synapse_are_taken(refusals):
    told = [v for v in refusals if v.path[3:4] == ("fine",)]
    assert told and {v.answer for v in told} == {"yes"}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tau_m", {"a": 1}, "tau_m should be a number, ms (got: {"),
        ("V_m", [1.0], "V_m should be a number, mV (got: [1.0])"),
        ("node_uses_wfr", True, "can be read, not set"),
        ("t_ref", -1.0, "t_ref cannot be -1.0"),
        ("tau_M", 1.0, 'no parameter "tau_M"; did you mean "tau_m" (ms)?'),
        ("C_m", math.inf, "should be finite"),
    ],
)
def test_parameter_that_nest_refuses(key, value, words):
    (told,) = mistakes(validate(slice_of({"A": cell(constants={key: value})})))
    assert told.path == (*ROOT, "cell_models", "A", "constants", key) and words in told.message
