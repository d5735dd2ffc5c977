"""Weights and delays: drawn by block, collapsed by pair, whatever the blocks."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakefold.config.context import BuildContext, building
from snakefold.nest import connections
from snakefold.nest.connections import both_ways, collapsed, connect, synapses
from snakefold.nest.distributions import draw, fault, samples
from snakefold.nest.share import Share
from snakefold.nest.values import CellDistribution
from snakefold.streams import stream

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40).map(sorted)


def blocks_of(pairs, size):
    """(target, source)-ordered edges in blocks, with weights 1, 2, 4, ... and delays that are the edges' numbers."""
    target, source = (np.array(c, np.int64) for c in zip(*pairs, strict=True)) if pairs else (np.empty(0, int),) * 2
    weight, delay = np.exp2(np.arange(len(pairs))), np.arange(len(pairs), dtype=float)
    for at in range(0, len(pairs), size):
        rows = slice(at, at + size)
        yield source[rows], target[rows], {"weight": weight[rows], "delay": delay[rows]}


@given(PAIRS, st.integers(1, 12))
def test_collapse_sums_each_pair_across_blocks(pairs, size):
    expected = {}
    for edge, pair in enumerate(pairs):
        weight, delay = expected.get(pair, (0.0, float(edge)))
        expected[pair] = weight + 2.0**edge, delay
    blocks = collapsed(blocks_of(pairs, size))
    made = [row for s, t, of in blocks for row in zip(s, t, of["weight"], of["delay"], strict=True)]
    assert [(t, s) for s, t, _, _ in made] == sorted(set(pairs))
    assert {(t, s): (w, d) for s, t, w, d in made} == expected


@given(PAIRS, st.integers(1, 12))
def test_gap_junctions_join_each_unordered_pair_once(pairs, size):
    made = [(s, t) for block in both_ways(blocks_of(pairs, size), True) for s, t in zip(*block[:2], strict=True)]
    assert sorted(made) == sorted({(min(pair), max(pair)) for pair in pairs})


class Connected:
    """What is used of NEST: connections that are asked for, of which a rank makes those onto its cells."""

    def __init__(self, share):
        self.share, self.rows, self.n_calls, self.n_rows = share, [], 0, 0

    def Connect(self, source, target, rule, spec):
        assert rule == "one_to_one" and len(source)
        assert (np.diff(source) >= 0).all() or (np.diff(target) >= 0).all(), "by source, of one direction"
        assert spec["synapse_model"] == "m" and spec["receptor_type"] == 3
        rows = np.array(list(zip(source.tolist(), target.tolist(), spec["weight"].tolist(), strict=True)))
        self.rows += rows[self.share.rows(target)].tolist()
        self.n_calls, self.n_rows = self.n_calls + 1, self.n_rows + len(rows)


@given(PAIRS, st.integers(1, 12), st.sampled_from([(2, 2), (2, 4), (3, 3)]), st.booleans())
def test_ranks_together_connect_what_one_does_each_what_is_onto_its_cells(pairs, size, ranks, reciprocal):
    n_ranks, n_virtual = ranks

    def connected(share):
        nest = Connected(share)
        return connect(nest, blocks_of(pairs, size), 1, 5, "m", 3, share, reciprocal), nest

    n, alone = connected(Share(0, 1, n_virtual))
    assert n == len(pairs) and len(alone.rows) == n * (1 + reciprocal)
    shares = [connected(Share(rank, n_ranks, n_virtual)) for rank in range(n_ranks)]
    assert sum(n_own for n_own, _ in shares) == n
    for rank, (_, nest) in enumerate(shares):
        assert nest.rows == [row for row in alone.rows if row[1] % n_virtual % n_ranks == rank]
        assert nest.n_calls == alone.n_calls, "NEST's ranks should all know that there are new connections"
        assert nest.n_rows <= len(nest.rows) + nest.n_calls, "NEST is given little that is not this rank's"


class FileOfEdges:
    """What is used of an edge file."""

    def __init__(self, n):
        self.n = n

    def block(self, start, stop):
        return np.arange(start, stop, dtype=np.uint64), np.zeros(stop - start, np.uint64)


def test_nothing_but_edge_set_synapse_and_block_enters_a_draw(monkeypatch):
    monkeypatch.setattr(connections, "BLOCK", 10)
    number = {"distribution": "normal", "mean": 0.2, "std": 0.3}
    synapse = {"weight": number, "delay": number, "receptor_type": None, "parameters": {"tau_rec": number}}
    purpose = ("simulate", "s", "connection", "set", 0)
    made = list(synapses(FileOfEdges(25), synapse, purpose, 7, 0.1, None))
    assert [len(source) for source, *_ in made] == [10, 10, 5]
    alone = draw(number, 10, stream(7, *purpose, "weight", 1))
    np.testing.assert_array_equal(made[1][2]["weight"], alone)
    drawn = [values[name][:5].tolist() for *_, values in made for name in ("weight", "delay", "tau_rec")]
    assert len({tuple(five) for five in drawn}) == 9
    assert min(of["delay"].min() for *_, of in made) >= 0.1 > min(of["weight"].min() for *_, of in made)
    without = next(synapses(FileOfEdges(5), synapse | {"delay": None}, purpose, 7, 0.1, None))
    assert set(without[2]) == {"weight", "tau_rec"}


NUMBERS = [
    ({"distribution": "normal", "mean": 1.0, "std": 2.0, "min": 0.0, "max": 3.0}, 0.0, 3.0),
    ({"distribution": "lognormal", "mean": 0.0, "std": 1.0, "max": 2.0}, 0.0, 2.0),
    ({"distribution": "exponential", "beta": 2.0, "min": 1.0}, 1.0, math.inf),
    ({"distribution": "uniform", "min": -1.0, "max": 1.0}, -1.0, 1.0),
    ({"distribution": "uniform_int", "max": 4}, 0, 3),
    (3.0, 3.0, 3.0),
]


@pytest.mark.parametrize(("number", "low", "high"), NUMBERS)
def test_draws_and_samples_are_within_bounds(number, low, high):
    assert fault(number) == ""
    values = draw(number, 2000, stream(1, "x"))
    assert values.shape == (2000,) and values.min() >= low and values.max() <= high
    assert all(low <= value <= high for value in samples(number))


def test_means_are_nests():
    rng = stream(3, "means")
    assert draw({"distribution": "exponential", "beta": 4.0}, 20000, rng).mean() == pytest.approx(4.0, rel=0.05)
    log = np.log(draw({"distribution": "lognormal", "mean": 1.0, "std": 0.5}, 20000, rng))
    assert (log.mean(), log.std()) == (pytest.approx(1.0, rel=0.05), pytest.approx(0.5, rel=0.05))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ({"distribution": "normal", "mean": 0.0, "std": 1.0, "min": 2.0, "max": 1.0}, "min should not be above max"),
        ({"distribution": "normal", "mean": 0.0, "std": 1.0, "max": 0.05}, ""),
        ({"distribution": "normal", "mean": 0.0, "std": 0.0}, "fewer than one"),
        ({"distribution": "normal", "mean": -9.0, "std": 1.0}, "fewer than one"),
        ({"distribution": "normal", "mean": float("nan"), "std": 1.0}, "mean should be a finite number"),
        ({"distribution": "uniform", "min": 0.0, "max": 1.0}, "min should be at least 0.01"),
        ({"distribution": "uniform_int", "max": 0.5}, "max should be a whole number >= 1"),
        ({"distribution": "uniform_int", "max": 3}, "0, its least value, should be at least 0.01"),
        (float("inf"), "a finite number is expected"),
        (True, "a finite number is expected"),
    ],
)
def test_faults(number, words):
    found = fault(number, least=0.01)
    assert words in found and bool(words) == bool(found)
    if words and isinstance(number, dict):
        with pytest.raises(ValueError, match=words):
            draw(number, 3, stream(1, "x"), least=0.01)


def test_whole_numbers_are_whole_and_all_of_them():
    drawn = draw({"distribution": "uniform_int", "max": 4}, 2000, stream(1, "x"))
    assert drawn.dtype == np.int64 and set(drawn) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["normal", "lognormal", "exponential", "uniform"])
def test_numbers_that_are_not_given_are_nests(name):
    code = (
        "import os; os.environ['PYNEST_QUIET'] = '1'\nimport inspect, json, nest.random\n"
        f"f = inspect.signature(nest.random.{name}).parameters\nprint(json.dumps({{k: p.default for k, p in f.items()}}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    defaults = json.loads(said.splitlines()[-1])
    with building(BuildContext()) as build:
        made = CellDistribution.build({"distribution": name}, ("x",)).resolved()
    assert build.mistakes == [] and made == {"distribution": name, **defaults}
