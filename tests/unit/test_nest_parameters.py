"""Parameters that are computed or drawn when a simulation is loaded: what NEST is given of them."""

import numpy as np
import pytest

from simulated import circuit, network, planned, probed, rows, simulate
from snakefold.errors import UserError
from snakefold.nest import connections
from snakefold.nest.connections import synapses
from snakefold.nest.parameters import DistanceDelay, EdgeBlock
from snakefold.sonata.edges import Edges, write_edges
from snakefold.sonata.nodes import Nodes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return network(tmp_path_factory.mktemp("network"))


def positions(made, cell_type):
    with Nodes(made.nodes(cell_type)) as nodes:
        return nodes.positions().astype(np.float64)


def ab(*synapse, **more):
    return {"ab": {"synapses": list(synapse), **more}}


DELAY = {"strategy": "distance_delay", "axon_speed": 20.0}


def test_distance_delay_is_that_of_the_somata_and_at_least_the_resolution(made, tmp_path):
    tree = circuit(connection_models=ab({"weight": 2.0, "parameters": {"delay": DELAY}}))
    found = rows(probed(tmp_path, tree, made), "a", "b", "delay")
    source, target, delay = (np.array(column) for column in zip(*found, strict=True))
    distance = np.linalg.norm(positions(made, "a")[source] - positions(made, "b")[target], axis=1)
    np.testing.assert_allclose(delay, np.maximum(distance / 20.0, 0.1), atol=0.0501)  # NEST rounds to its grid
    assert len(set(delay)) > 10
    fast = circuit(connection_models=ab({"weight": 2.0, "delay": DELAY | {"axon_speed": 1e6}}))
    assert {d for *_, d in rows(probed(tmp_path, fast, made), "a", "b", "delay")} == {0.1}


def test_per_cell_values_by_strategy_and_distribution(made, tmp_path):
    cell_models = {
        "a": {
            "model": "iaf_psc_exp",
            "parameters": {"C_m": {"strategy": "probe.Height", "slope": 2.0}, "t_ref": 3.0},
            "constants": {"V_m": {"distribution": "uniform", "max": 2.0}},
        },
        "b": {"model": "iaf_psc_exp", "parameters": {"I_e": {"distribution": "uniform_int", "max": 3}}},
    }
    tree = circuit(cell_models=cell_models)
    cells = probed(tmp_path, tree, made, asked=["C_m", "t_ref", "V_m", "I_e"])["cells"]
    np.testing.assert_allclose(cells["a"]["C_m"], 100.0 + 2.0 * positions(made, "a")[:, 2], atol=1.1e-3)
    assert set(cells["a"]["t_ref"]) == {3.0} and 0.0 <= min(cells["a"]["V_m"]) < max(cells["a"]["V_m"]) < 2.0
    assert set(cells["b"]["I_e"]) == {0.0, 1.0, 2.0}


def test_a_generator_of_its_own_draws_for_a_cell_model(made, tmp_path):
    def drawn(seed, **more):
        tree = circuit(cell_models={"a": {"parameters": {"V_m": {"distribution": "normal"}}, **more}, "b": {}})
        tree["rng"]["seed"] = seed
        tree["simulations"]["s"]["devices"] = {}
        return probed(tmp_path, tree, made, asked=["V_m"])["cells"]["a"]["V_m"]

    assert drawn(1) != drawn(2) and drawn(1, rng="derived") != drawn(2, rng="derived")
    assert drawn(1, rng="own") == drawn(2, rng="own") == drawn(8)


def test_per_edge_values_and_constants_beside_the_other_keys(made, tmp_path):
    synapse = {
        "model": "tsodyks_synapse",
        "weight": {"strategy": "Sum"},
        "delay": 1.0,
        "tau_rec": 300.0,
        "constants": {"tau_psc": 2.0},
        "parameters": {"U": {"distribution": "uniform", "min": 0.2, "max": 0.4}, "tau_fac": 50.0},
    }
    tree = circuit(connection_models=ab(synapse, multapses="keep"), devices={})
    columns = ("weight", "U", "tau_rec", "tau_fac", "tau_psc")
    found = rows(probed(tmp_path, tree, made, columns=list(columns[1:])), "a", "b", *columns)
    assert len(found) == 300
    for source, target, weight, u, *constants in found:
        assert source + target <= weight < source + target + 0.5 and 0.2 <= u < 0.4
        assert constants == [300.0, 50.0, 2.0]
    assert len({row[3] for row in found}) == 300


def test_a_receptor_may_be_drawn_and_a_pair_has_the_values_of_its_first_edge(made, tmp_path):
    cell_models = {"a": {}, "b": {"model": "iaf_psc_exp_multisynapse", "constants": {"tau_syn": [1.0, 2.0, 3.0]}}}
    synapse = {"weight": 1.0, "delay": 1.0, "parameters": {"receptor_type": {"distribution": "uniform_int", "max": 2}}}
    tree = circuit(cell_models=cell_models, connection_models=ab(synapse), devices={})
    done = simulate(tmp_path, tree, made)
    assert done.returncode == 1 and "receptor" in done.stderr.lower()  # port 0 is none


class Numbers:
    """An edge set whose node ids are its row numbers."""

    n, source, target = 25, "a", "b"

    def block(self, start, stop):
        return np.arange(start, stop, dtype=np.uint64), np.arange(start, stop, dtype=np.uint64)


def test_blocks_are_fixed_and_each_has_its_own_rows_and_positions(monkeypatch):
    monkeypatch.setattr(connections, "BLOCK", 10)
    at = {"a": np.zeros((25, 3), np.float32), "b": np.arange(75, dtype=np.float32).reshape(25, 3)}
    delay = DistanceDelay()
    delay.axon_speed = 2.0
    synapse = {"weight": 1.0, "delay": delay, "receptor_type": None}
    blocks = list(synapses(Numbers(), synapse, ("x",), 7, 0.1, at.__getitem__))
    assert [len(source) for source, *_ in blocks] == [10, 10, 5]
    made = np.concatenate([values["delay"] for *_, values in blocks])
    np.testing.assert_allclose(made, np.maximum(np.linalg.norm(at["b"], axis=1) / 2.0, 0.1), rtol=1e-6)


def test_a_block_has_the_columns_of_its_edges(tmp_path):
    distance = np.arange(20, dtype=np.float32)
    ends = np.zeros(20, np.int64), np.arange(20)
    write_edges(tmp_path / "e.h5", "e", "a", "b", 1, 20, 20, [(*ends, {"distance": distance})], "d", {"distance": "f4"})
    with Edges(tmp_path / "e.h5") as edges:
        block = EdgeBlock(edges, 5, 15, *edges.block(5, 15), None, 0.1)
        np.testing.assert_array_equal(block.column("distance"), distance[5:15])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("short", "what Wrong computes should be: 40 numbers (got: shape (3,) of float64)"),
        ("nan", "Wrong computes 40 values not finite"),
        ("text", "what Wrong computes should be: 40 numbers (got: shape (40,) of <U1)"),
    ],
)
def test_what_a_parameter_may_not_give_is_named(made, tmp_path, how, words):
    tree = circuit(cell_models={"a": {"parameters": {"C_m": {"strategy": "Wrong", "how": how}}}, "b": {}})
    done = simulate(tmp_path, tree, made)
    assert done.returncode == 1 and f"simulations.s.cell_models.a: {words}" in done.stderr


MISTAKES = [
    ({"weight": 1.0, "parameters": {"weight": 2.0}}, 'parameters.weight: "weight" is given beside the parameters'),
    ({"weight": 1.0, "tau": 1.0, "constants": {"tau": 2.0}}, 'tau: "tau" is given among the constants, too'),
    ({"weight": 1.0, "tau": 1.0, "parameters": {"tau": 2.0}}, 'parameters.tau: "tau" is given in constants, too'),
    ({"weight": 1.0, "tau": {"strategy": "Sum"}}, "tau: should be: a constant; what is computed"),
    ({"delay": 1.0}, '"weight" is missing'),
    ({"parameters": {"weight": "x", "delay": {"strategy": "distance_delay"}}}, 'delay: "axon_speed" is missing'),
]


@pytest.mark.parametrize(("synapse", "words"), MISTAKES)
def test_mistakes_of_synapses(tmp_path, synapse, words):
    with pytest.raises(UserError) as raised:
        planned(tmp_path, circuit(connection_models=ab(synapse)))
    assert len(raised.value.mistakes) == 1 and words in str(raised.value)
    assert "circuit.yaml:" in str(raised.value)


def test_a_cell_parameter_given_twice(tmp_path):
    models = {"a": {"constants": {"C_m": 1.0}, "parameters": {"C_m": {"distribution": "normal"}}}, "b": {}}
    with pytest.raises(UserError, match=r'parameters\.C_m: "C_m" is given in constants, too'):
        planned(tmp_path, circuit(cell_models=models))
