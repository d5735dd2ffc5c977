"""Simulations with NEST, each in a process of its own: what is made of the edges, recorded, written, and left behind.

The tests' own process never imports NEST.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import libsonata
import numpy as np
import pytest

import snakefold
from snakefold.nest.simulation import partial
from snakefold.sonata.edges import write_edges
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.sonata.spikes import read_spikes

N = {"A": 20, "B": 1, "E": 0, "G": 4}
SETS = {"aa": ("A", "A", 60), "ab": ("A", "B", 60), "gg": ("G", "G", 9), "ea": ("E", "A", 0)}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(snakefold.__file__).parents[1])}
RUN = """
import json, sys
from snakefold.nest import simulation
asked = json.loads(sys.argv[1])
"""
SIMULATE = RUN + "simulation.simulate(**asked, report=lambda line: print(line, flush=True))\n"


@pytest.fixture(scope="module")
def circuit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("circuit")
    for name, n in N.items():
        chunks = Chunks(("p",), np.zeros(1, np.uint16), np.zeros(1, np.uint64), np.array([0, n]))
        write_nodes(folder / f"{name}.h5", name, n, [dict.fromkeys("xyz", np.zeros(n, np.float32))], chunks, "d")
    rng = np.random.default_rng(5)
    for name, (source, target, n) in SETS.items():
        pairs = sorted(zip(rng.integers(0, N[target], n), rng.integers(0, max(N[source], 1), n), strict=True))
        targets, sources = np.array(pairs, np.int64).reshape(-1, 2).T
        write_edges(folder / f"{name}.h5", name, source, target, N[source], N[target], n, [(sources, targets, {})], "d")
    return folder


def normal(mean, std):
    return {"distribution": "normal", "mean": mean, "std": std}


def synapse(**given):
    default = {"model": "static_synapse", "weight": normal(30.0, 5.0), "delay": normal(1.5, 1.0)}
    return default | {"receptor_type": None, "constants": {}} | given


def connection(name, *synapses, multapses="collapse"):
    source, target, _ = SETS[name]
    return {"key": name, "source": source, "target": target, "multapses": multapses, "synapses": list(synapses)}


def device(nest_model, kind="stimulus", targets=("A", "B"), **given):
    empty = {"weight": None, "delay": None, "receptor_type": None, "properties": [], "units": [], "interval": None}
    return {"nest_model": nest_model, "kind": kind, "constants": {}, "targets": list(targets)} | empty | given


CELL = {"model": "iaf_psc_exp", "constants": {"C_m": 250.0}, "parameters": {"V_m": normal(-60.0, 5.0), "t_ref": 2.0}}
SIMULATION = {
    "name": "basal",
    "seed": 1234,
    "key": "basal",
    "run": {"duration": 250.0, "resolution": 0.1, "threads": 2, "rng_seed": None, "modules": []},
    "cells": {"A": CELL, "B": CELL, "E": CELL},
    "connections": {
        "aa": connection("aa", synapse(), synapse(model="stdp_synapse", weight=3.0, constants={"lambda": 0.02})),
        "ab": connection("ab", synapse(delay=1.0), multapses="keep"),
        "ea": connection("ea", synapse()),
    },
    "devices": {
        "noise": device("poisson_generator", constants={"rate": 8000.0}, weight=87.8, delay=1.5),
        "times": device("spike_generator", targets=["B", "E"], constants={"spike_times": [3.0, 5]}, weight=1e4),
        "one": device("spike_recorder", "spike_recorder"),
        "two": device("spike_recorder", "spike_recorder", ["A", "E"]),
        "state": device("multimeter", "multimeter", properties=["V_m", "I_syn_ex"], units=["mV", "pA"], interval=0.5),
        "fine": device("multimeter", "multimeter", ["B", "E"], properties=["V_m"], interval=0.1),
    },
}


def asked(circuit, folder, simulation=SIMULATION, **more):
    return {
        "simulation": simulation,
        "nodes": {name: str(circuit / f"{name}.h5") for name in simulation["cells"]},
        "edges": {name: str(circuit / f"{name}.h5") for name in simulation["connections"]},
        "folder": str(folder / "out"),
        "journal_folder": str(folder / "journal"),
        "digest": "digest",
    } | more


def run(code, given, **environment):
    command = [sys.executable, "-c", code, json.dumps(given)]
    return subprocess.run(command, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=120)


def simulated(circuit, folder, simulation=SIMULATION, **more):
    done = run(SIMULATE, asked(circuit, folder, simulation, **more))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def results(circuit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return folder, simulated(circuit, folder)


def test_files_and_progress(results):
    folder, lines = results
    assert set(contents(folder)) == {
        "fine.h5",
        "node_sets.json",
        "provenance.json",
        "simulation_config.json",
        "spikes.h5",
        "state_I_syn_ex.h5",
        "state_V_m.h5",
    }
    assert [line.split(",")[0] for line in lines if " ms" in line] == [
        "basal: 100 of 250 ms",
        "basal: 200 of 250 ms",
        "basal: 250 of 250 ms",
    ]
    assert not (folder / "journal").exists()


def test_same_description_is_same_bytes_whatever_the_order_and_the_segments(circuit, results, tmp_path):
    backwards = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(SIMULATION.items())
    }
    simulated(circuit, tmp_path, backwards, segment_ms=37.0)
    assert contents(tmp_path) == contents(results[0])


def test_another_seed_is_another_simulation(circuit, results, tmp_path):
    simulated(circuit, tmp_path, SIMULATION | {"seed": 1235})
    assert contents(tmp_path)["spikes.h5"] != contents(results[0])["spikes.h5"]


def test_no_spike_is_recorded_twice_and_poisson_noise_makes_some(results):
    spikes = read_spikes(results[0] / "out/spikes.h5")
    assert set(spikes) == {"A", "B", "E"} and len(spikes["E"][0]) == 0
    times, ids = spikes["A"]
    assert len(times) > 100 and ids.max() < N["A"] and times.max() <= 250.0
    assert len(set(zip(times, ids, strict=True))) == len(times)
    assert np.array_equal(times, np.round(times, 1)) and (np.diff(times) >= 0).all()


def test_spike_generator_reaches_its_target(results):
    times, _ = read_spikes(results[0] / "out/spikes.h5")["B"]
    assert 4.1 in times  # 3 ms, a delay of 1 ms, and the next step


def test_reports_are_read_by_libsonata(results):
    folder = results[0] / "out"
    reader = libsonata.SomaReportReader(str(folder / "state_V_m.h5"))
    assert reader.get_population_names() == ["A", "B"]
    assert (reader["A"].times, reader["A"].data_units) == ((0.5, 250.0, 0.5), "mV")
    frame = reader["A"].get()
    assert frame.data.shape == (499, N["A"]) and np.isfinite(frame.data).all()
    fine = libsonata.SomaReportReader(str(folder / "fine.h5"))["B"]
    assert fine.data_units == "mV"  # not given, but known
    times, data = np.round(fine.get().times, 1), fine.get().data[:, 0]
    half = np.isin(times, np.round(frame.times, 1))
    np.testing.assert_array_equal(data[half], reader["B"].get().data[:, 0])  # two meters, one voltage
    config = libsonata.SimulationConfig.from_file(str(folder / "simulation_config.json"))
    assert config.report("state_V_m").variable_name == "V_m" and config.run.tstop == 250.0


def test_provenance_has_versions_and_no_path(results):
    provenance = json.loads((results[0] / "out/provenance.json").read_text())
    assert provenance["nest"] and provenance["digest"] == "digest" and provenance["seed"] == 1234
    assert str(results[0]) not in str(provenance)


CONNECTIONS = (
    RUN
    + """
from snakefold.fanout.ranks import Alone
from snakefold.nest.network import Network
from snakefold.nest.share import Share
from snakefold.nest.targetting import chosen_by_all
from snakefold.nest.values import restored
nest = simulation.load(Alone())
asked["simulation"] = restored(asked["simulation"], {})
share = Share(n_virtual=2)
simulation._set_kernel(nest, asked["simulation"], share)
built = Network(
    nest, asked["simulation"], asked["nodes"], asked["edges"],
    chosen_by_all(asked["simulation"], asked["nodes"]), lambda line: None, Alone(), share,
)
found = nest.GetConnections(source=nest.NodeCollection(range(1, nest.network_size + 1))).get(
    ["source", "target", "weight", "delay", "synapse_model"]
)
header = built.header
print(json.dumps([header.first, [list(map(str, v)) if k == "synapse_model" else list(v) for k, v in found.items()],
    list(found)]))
"""
)


def built_connections(circuit, folder, *connections):
    """Return {(source id, target id): [(weight, delay), ...]} as NEST has them."""
    cells = {t: CELL if t != "G" else CELL | {"model": "hh_psc_alpha_gap", "parameters": {}} for t in "ABG"}
    simulation = SIMULATION | {"devices": {}, "cells": cells, "connections": {c["key"]: c for c in connections}}
    done = run(CONNECTIONS, asked(circuit, folder, simulation))
    assert done.returncode == 0, done.stderr
    first, columns, names = json.loads(done.stdout)
    found = dict(zip(names, columns, strict=True))
    source, target, _ = SETS[connections[0]["key"]]
    made = {}
    rows = zip(found["source"], found["target"], found["weight"], found["delay"], strict=True)
    for a, b, weight, delay in sorted(rows):
        made.setdefault((a - first[source], b - first[target]), []).append((weight, delay))
    return made


def edges_of(circuit, name):
    from snakefold.sonata.edges import Edges

    with Edges(circuit / f"{name}.h5") as edges:
        source, target = edges.block()
    return list(zip(source.tolist(), target.tolist(), strict=True))


def test_collapsed_contacts_sum_their_weights(circuit, tmp_path):
    pairs = edges_of(circuit, "ab")
    assert len(set(pairs)) < len(pairs)  # there are multapses
    draws = {"weight": normal(30.0, 5.0), "delay": normal(5.0, 1.0)}
    kept = built_connections(circuit, tmp_path, connection("ab", synapse(**draws), multapses="keep"))
    made = built_connections(circuit, tmp_path, connection("ab", synapse(**draws)))
    assert {pair: len(rows) for pair, rows in kept.items()} == {pair: pairs.count(pair) for pair in pairs}
    assert made.keys() == kept.keys()
    for pair, ((weight, delay),) in made.items():
        assert weight == pytest.approx(sum(w for w, _ in kept[pair]))
        assert delay in [d for _, d in kept[pair]] and delay >= 0.1


def test_constants_are_those_of_a_copy_of_the_model(circuit, tmp_path):
    constant = synapse(model="stdp_synapse_hom", weight=2.0, delay=1.0, constants={"tau_plus": 15.0})
    made = built_connections(circuit, tmp_path, connection("ab", constant, multapses="keep"))
    assert {row for rows in made.values() for row in rows} == {(2.0, 1.0)}


def test_gap_junctions_are_made_both_ways(circuit, tmp_path):
    gap = synapse(model="gap_junction", delay=None, weight=2.0)
    made = built_connections(circuit, tmp_path, connection("gg", gap))
    unordered = {tuple(sorted(pair)) for pair in edges_of(circuit, "gg") if pair[0] != pair[1]}
    assert {pair for pair in made if pair[0] != pair[1]} == unordered | {(b, a) for a, b in unordered}


def test_killed_run_leaves_its_spikes_and_the_next_starts_over(circuit, results, tmp_path):
    given = asked(circuit, tmp_path, segment_ms=5.0, commit_every_s=0.0)
    code = SIMULATE.replace("print(line, flush=True)", "(print(line, flush=True), time.sleep(0.05))")
    process = subprocess.Popen(
        [sys.executable, "-c", "import time\n" + code, json.dumps(given)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "100 of 250 ms" in line:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "out").exists()
    left = partial(tmp_path / "journal")
    assert (left.name, left.duration) == ("basal", 250.0) and 100.0 <= left.until < 250.0
    for name, (times, ids) in read_spikes(results[0] / "out/spikes.h5").items():
        before = times <= left.until
        np.testing.assert_array_equal(left.spikes[name][0], times[before])
        np.testing.assert_array_equal(left.spikes[name][1], ids[before])
    lines = simulated(circuit, tmp_path)
    assert f"basal: an earlier attempt got to {left.until:g} of 250 ms; NEST starts over" in lines
    assert contents(tmp_path) == contents(results[0])
    assert partial(tmp_path / "journal") is None


REFUSED = {
    "cell_models.A": {"cells": SIMULATION["cells"] | {"A": CELL | {"constants": {"C_m": -1.0}}}},
    "connection_models.aa.synapses[1]": {
        "connections": {"aa": connection("aa", synapse(), synapse(receptor_type=9))},
    },
    "devices.noise": {"devices": {"noise": device("poisson_generator", constants={"rate": -1.0})}},
    "modules[0]": {"run": SIMULATION["run"] | {"modules": ["nomodule"]}},
}


@pytest.mark.parametrize("place", REFUSED)
def test_what_nest_refuses_is_named(circuit, tmp_path, place):
    code = RUN + "from snakefold.errors import UserError\ntry:\n    simulation.simulate(**asked)\n"
    code += "except UserError as error:\n    print('ERROR', error)\n"
    done = run(code, asked(circuit, tmp_path, SIMULATION | REFUSED[place]))
    assert f"ERROR simulations.basal.{place}: NEST refuses: " in done.stdout


AS_JOB = RUN + "from snakefold import job\njob.run(simulation.simulate, **asked)\n"


def test_a_nest_without_mpi_under_a_launcher_says_so(circuit, tmp_path):
    """Without a question first, it would end its process with exit code 127 and no message."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    mpirun = [str(Path(sys.executable).with_name("mpirun")), "--oversubscribe", "--bind-to", "none", "-n", "2"]
    command = [*mpirun, sys.executable, "-c", AS_JOB, json.dumps(asked(circuit, tmp_path))]
    environment = ENVIRONMENT | root | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "error: NEST cannot run on 2 MPI ranks: that of" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_a_launcher_has_left_in_the_environment_does_not_reach_nest(circuit, results, tmp_path):
    leaked = {"SNAKEFOLD_TASKS": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMI_SIZE": "2", "SLURM_STEP_NUM_TASKS": "2"}
    done = run(
        SIMULATE + "assert 'SLURM_STEP_NUM_TASKS' not in simulation.os.environ", asked(circuit, tmp_path), **leaked
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(results[0])


def test_a_journal_that_vanishes_under_a_simulation_is_an_error_and_no_result(circuit, tmp_path):
    """As when a job that was left behind by a killed run ends at the same time."""
    code = AS_JOB.replace("**asked", "**asked, report=lambda line: 'of 250' in line and shutil.rmtree(journal)")
    code = f"import shutil\njournal = {str(tmp_path / 'journal')!r}\n" + code
    done = run(code, asked(circuit, tmp_path, segment_ms=250.0, commit_every_s=0.0))
    assert done.returncode == 1, done.stderr
    assert f"error: {tmp_path}/journal/digest: it was removed" in done.stderr
    assert not (tmp_path / "out").exists()


def test_lists_are_constants_beside_one_value_per_cell(circuit, tmp_path):
    parameters = {"V_m": normal(-60.0, 5.0)}
    for n, cell_type in enumerate(("B", "A", "G"), start=1):
        constants = {"tau_syn": [1.0, 2.0, 3.0, 4.0][: max(n, N[cell_type]) if cell_type == "G" else n]}
        model = {"model": "iaf_psc_exp_multisynapse", "constants": constants, "parameters": parameters}
        simulation = SIMULATION | {"cells": {cell_type: model}, "connections": {}, "devices": {}}
        code = CONNECTIONS.partition("found =")[0]
        code += "print(json.dumps([nest.NodeCollection([1]).get('tau_syn'), nest.network_size], default=list))"
        done = run(code, asked(circuit, tmp_path, simulation))
        assert done.stdout.splitlines()[-1:] == [json.dumps([constants["tau_syn"], N[cell_type]])], done.stderr


def test_nothing_recorded_is_an_empty_spike_file(circuit, tmp_path):
    simulated(circuit, tmp_path, SIMULATION | {"devices": {}})
    assert read_spikes(tmp_path / "out/spikes.h5") == {}
