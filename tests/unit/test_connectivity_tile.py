import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import connect_inputs, edited, plan_of, run, small
from snakefold.connectivity import tile as connecting
from snakefold.errors import UserError
from snakefold.sonata.edges import Edges

SIDES = {"presynaptic": {"cell_types": ["a", "b"]}, "postsynaptic": {"cell_types": ["b", "a"]}}
STRATEGIES = {
    "fixed_indegree": {"indegree": 7},
    "fixed_outdegree": {"outdegree": 6},
    "all_to_all": {"affinity": 0.2},
    "fixed_total_number": {"number": {"a": {"b": 321, "a": 20}, "b": {"*": 55}}},
}


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def tree_of(strategy):
    return edited(("connectivity", {"s": SIDES | STRATEGIES[strategy] | {"strategy": strategy}}), ("simulations", {}))


def in_folder(folder, name):
    (folder / name).mkdir()
    return folder / name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_edges_are_the_same_bytes_for_any_number_of_tiles_and_written_by_tile_or_gather(tmp_path, strategy):
    found = []
    for tiles in (1, 2, 9) if strategy != "all_to_all" else (1, 60):
        plan = run(plan_of(in_folder(tmp_path, str(tiles)), tree_of(strategy), tiles))
        sets = plan.connections["s"].sets
        found.append([sha(plan.edges(s)) for s in sets])
        if tiles == 1:
            direct = tuple(str(tmp_path / "direct" / f"{s}.h5") for s in sets)
            connecting.connect(connect_inputs(plan, "s"), 0, tmp_path / "journal", edges=direct)
            found.append([sha(path) for path in direct])
    assert len(found[0]) == 4
    assert all(f == found[0] for f in found)


@pytest.mark.parametrize("later", ["another seed", "other tiles"])
def test_a_job_that_ends_after_a_later_run_has_begun_writes_nothing(tmp_path, monkeypatch, later):
    plan = run(plan_of(tmp_path, tree_of("fixed_indegree"), 2))
    output, to_end = Path(plan.path("connect/s/0.1.h5")), connecting.fanout.run
    before = output.read_bytes()

    def and_meanwhile(*arguments, **options):
        made = to_end(*arguments, **options)
        seed, tiles = (8, 2) if later == "another seed" else (small()["rng"]["seed"], 3)
        run(plan_of(tmp_path, tree_of("fixed_indegree") | {"rng": {"seed": seed}}, tiles), "")
        return made

    connecting.connect(connect_inputs(plan, "s"), 1, tmp_path / "journal", output)
    monkeypatch.setattr(connecting.fanout, "run", and_meanwhile)
    with pytest.raises(UserError, match="has changed since this job began"):
        connecting.connect(connect_inputs(plan, "s"), 1, tmp_path / "journal", output)
    assert output.read_bytes() == before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_edges_are_in_order_and_keep_the_strategys_promise(tmp_path, strategy):
    plan = run(plan_of(tmp_path, tree_of(strategy), 4))
    ends = {}
    for name, pair in plan.connections["s"].sets.items():
        with Edges(plan.edges(name)) as edges:
            source, target = edges.block()
            key = target.astype(np.uint64) << np.uint64(32) | source.astype(np.uint64)
            assert (key[1:] >= key[:-1]).all()
            ends[pair] = source, target
    sizes = {"a": 120, "b": 80}
    if strategy == "fixed_total_number":
        assert {p: len(s) for p, (s, _) in ends.items()} == {
            ("a", "b"): 321,
            ("a", "a"): 20,
            ("b", "b"): 55,
            ("b", "a"): 55,
        }
    for cell_type, n in sizes.items():
        into = sum(np.bincount(t, minlength=n) for (_, post), (_, t) in ends.items() if post == cell_type)
        out_of = sum(np.bincount(s, minlength=n) for (pre, _), (s, _) in ends.items() if pre == cell_type)
        if strategy == "fixed_indegree":
            assert (into == 7).all()
        if strategy == "fixed_outdegree":
            assert (out_of == 6).all()


def test_a_seed_and_nothing_else_changes_the_synapses(tmp_path):
    one = run(plan_of(in_folder(tmp_path, "one"), tree_of("fixed_indegree"), 2))
    more = tree_of("fixed_indegree")
    more["connectivity"]["t"] = more["connectivity"]["s"] | {"indegree": 3}
    other = run(plan_of(in_folder(tmp_path, "other"), more, 2))
    assert all(sha(one.edges(s)) == sha(other.edges(s)) for s in one.connections["s"].sets)
    assert sha(other.edges("t_a_to_b")) != sha(other.edges("s_a_to_b"))


def test_an_own_strategy_sees_only_the_cells_within_its_halo_and_may_have_columns(tmp_path):
    (tmp_path / "near.py").write_text(
        """
import numpy as np
from snakefold.connectivity.strategy import ConnectivityStrategy, Synapses

class Near(ConnectivityStrategy):
    halo_um = 20.0
    columns = {"distance": "f4"}

    def connect(self, sources, targets, rng, given):
        made = {}
        for pre, post in self.pairs():
            a, b = sources[pre].positions, targets[post].positions
            far = np.sqrt(((a[None] - b[:, None]) ** 2).sum(axis=2))
            target, source = np.nonzero(far < 20.0)
            made[pre, post] = Synapses(source, target, {"distance": far[target, source]})
        return made

class Wrong(ConnectivityStrategy):
    def connect(self, sources, targets, rng, given):
        return {self.pairs()[0]: Synapses(np.array([10**6]), np.array([0]))}

class Stranger(ConnectivityStrategy):
    def connect(self, sources, targets, rng, given):
        return {("x", "y"): Synapses(np.array([0]), np.array([0]))}
"""
    )
    side = {"presynaptic": {"cell_types": ["a"]}, "postsynaptic": {"cell_types": ["b"]}}
    for strategy, says in (
        ("Near", ""),
        ("Wrong", "source indices should be: 0 to 119"),
        ("Stranger", "none of its pairs"),
    ):
        tree = edited(
            ("components", ["near.py"]),
            ("connectivity", {"s": side | {"strategy": f"near.{strategy}"}}),
            ("simulations", {}),
        )
        plan = plan_of(in_folder(tmp_path, "x") if strategy == "Near" else tmp_path / "x", small(), 3)
        (tmp_path / "x" / "near.py").write_text((tmp_path / "near.py").read_text())
        plan = plan_of(tmp_path / "x", tree, 3)
        if says:
            with pytest.raises(UserError, match=says):
                run(plan)
            continue
        run(plan)
        from snakefold.sonata.nodes import Nodes

        with Edges(plan.edges("s")) as edges, Nodes(plan.nodes("a")) as a, Nodes(plan.nodes("b")) as b:
            source, target = edges.block()
            far = np.sqrt(((a.positions()[None] - b.positions()[:, None]) ** 2).sum(axis=2))
            assert set(zip(target.tolist(), source.tolist(), strict=True)) == set(
                zip(*(i.tolist() for i in np.nonzero(far < 20)), strict=True)
            )
            assert np.allclose(edges.column("distance"), far[target.astype(int), source.astype(int)], atol=1e-4)
            assert len(source) > 5
