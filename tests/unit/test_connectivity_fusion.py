import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptions import edited, plan_of, run, run_hooks_on_edges, write
from snakefold.connectivity.fusion import fuse, fused_pairs
from snakefold.connectivity.strategy import Set
from snakefold.errors import UserError
from snakefold.loading import BrokenCircuit, load
from snakefold.plan import Plan
from snakefold.planning import make
from snakefold.sonata.edges import Edges

N_CELLS = 6


def random_sets(pairs: list[tuple[str, str]], seed: int) -> dict[str, Set]:
    """Return an edge set for each pair, with numbers that tell edges apart as their locations."""
    rng = np.random.default_rng(seed)
    sets = {}
    for k, pair in enumerate(pairs):
        n = int(rng.integers(0, 12))
        ids = rng.integers(0, N_CELLS, (2, n)).astype(np.uint64)
        marks = {f"{side}_section_id": 1000 * k + np.arange(n, dtype="u4") for side in ("efferent", "afferent")}
        sets[f"s{k}"] = Set(pair, {"source": ids[0], "target": ids[1], "delay": np.ones(n, "f4"), **marks})
    return sets


def by_walking(sets: dict[str, Set], passed: set[str]) -> dict:
    """Return, by pair of types, all walks through types that are passed: (source, target, first mark, last mark)."""
    found: dict = {}

    def walk(first: str, start: tuple, cell_type: str, cell: int, mark: int) -> None:
        if cell_type not in passed:
            found.setdefault((first, cell_type), []).append((start[0], cell, start[1], mark))
            return
        for of in sets.values():
            for i in np.flatnonzero(of["source"] == cell) if of.pair[0] == cell_type else ():
                walk(first, start, of.pair[1], int(of["target"][i]), int(of["afferent_section_id"][i]))

    for of in sets.values():
        for i in range(len(of["source"])) if of.pair[0] not in passed else ():
            start = int(of["source"][i]), int(of["efferent_section_id"][i])
            walk(of.pair[0], start, of.pair[1], int(of["target"][i]), int(of["afferent_section_id"][i]))
    return found


@pytest.mark.parametrize(
    ("pairs", "passed"),
    [
        (["ab", "bc"], "b"),
        (["ab", "bc", "cd"], "bc"),
        (["ab", "ac", "bd", "cd"], "bc"),  # several paths of one pair
        (["ab", "bc", "cd", "be"], "bc"),  # a tree with two ends
        (["ac", "bc", "cd", "ad"], "c"),  # two beginnings, and one direct
        (["ab", "ab", "bc"], "b"),  # two sets of one pair
        (["ab", "ba"], "b"),  # back to where it began
    ],
)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_fused_are_all_walks_with_their_ends(pairs, passed, seed):
    sets = random_sets([tuple(pair) for pair in pairs], seed)
    expected, made = by_walking(sets, set(passed)), fuse(sets, set(passed))
    assert set(made) == set(fused_pairs({name: of.pair for name, of in sets.items()}, set(passed)))
    for pair, arrays in made.items():
        assert set(arrays) == {"source", "target", "efferent_section_id", "afferent_section_id"}
        columns = ("source", "target", "efferent_section_id", "afferent_section_id")
        rows = zip(*(arrays[column].tolist() for column in columns), strict=True)
        assert sorted(rows) == sorted(expected.get(pair, []))


def test_locations_that_one_path_lacks_are_left_out():
    sets = random_sets([("a", "b"), ("b", "c"), ("a", "c")], 1)
    del sets["s2"]["efferent_section_id"]
    (arrays,) = fuse(sets, {"b"}).values()
    assert set(arrays) == {"source", "target", "afferent_section_id"}


def fixed(pre: str, post: str, n: int) -> dict:
    sides = {"presynaptic": {"cell_types": [pre]}, "postsynaptic": {"cell_types": [post]}}
    return {"strategy": "fixed_indegree", "indegree": n, **sides}


def tree(*edits):
    kinds = {f"cell_types.{t}": {"spatial": {"radius": 1.0, "count": 15}} for t in "abcde"}
    placed = ("placement", {"all": {"strategy": "random", "partitions": ["base"], "cell_types": list("abcde")}})
    connected = {"ab": fixed("a", "b", 2), "bc": fixed("b", "c", 3), "cd": fixed("c", "d", 1), "be": fixed("b", "e", 4)}
    return edited(*kinds.items(), placed, ("connectivity", connected), ("simulations", {}), *edits)


def pairs_of(path) -> list:
    with Edges(path) as edges:
        return sorted(zip(*(ids.tolist() for ids in edges.block()), strict=True))


def product(left: list, right: list) -> list:
    return sorted((a, d) for a, b in left for c, d in right if b == c)


def test_fuse_connectivity_adds_a_set_and_keeps_those_it_joins(tmp_path):
    hook = {"strategy": "bsb.postprocessing.FuseConnectivity", "connections": ["ab", "bc", "cd"]}
    plan = run_hooks_on_edges(run(plan_of(tmp_path, tree(("after_connectivity.far", hook)))))
    assert plan.edge_sets() == {
        "ab": ("a", "b"),
        "bc": ("b", "c"),
        "be": ("b", "e"),
        "cd": ("c", "d"),
        "far": ("a", "d"),
    }
    assert pairs_of(plan.edges("far")) == product(
        product(pairs_of(plan.edges("ab")), pairs_of(plan.edges("bc"))), pairs_of(plan.edges("cd"))
    )
    assert len(pairs_of(plan.edges("far"))) == 15 * 1 * 3 * 2
    assert Plan.from_json(plan.to_json()) == plan


def test_several_fused_sets_are_called_by_their_types(tmp_path):
    hook = {"strategy": "fuse_connectivity", "connections": ["ab", "bc", "be", "ab"]}
    plan = plan_of(tmp_path, tree(("after_connectivity.tree", hook)))
    assert plan.edge_sets().keys() - {"ab", "bc", "be", "cd"} == {"a_to_c", "a_to_e"}


def test_one_set_alone_is_left_as_it_is(tmp_path):
    plan = plan_of(tmp_path, tree(("after_connectivity.one", {"strategy": "FuseConnectivity", "connections": ["ab"]})))
    assert plan.after_connectivity == {} and len(plan.edge_sets()) == 4


def test_intermediate_bypass_takes_types_out_of_the_connections(tmp_path):
    hook = {"strategy": "bsb.postprocessing.IntermediateBypass", "cell_list": ["b", "c"]}
    plan = run_hooks_on_edges(run(plan_of(tmp_path, tree(("after_connectivity.relays", hook)))))
    assert plan.edge_sets() == {"a_to_d": ("a", "d"), "a_to_e": ("a", "e")}
    assert set(plan.cell_types) == set("abcde")
    staged = {name: pairs_of(plan.staged("edges", name)) for name in ("ab", "bc", "cd", "be")}
    assert pairs_of(plan.edges("a_to_d")) == product(product(staged["ab"], staged["bc"]), staged["cd"])
    assert pairs_of(plan.edges("a_to_e")) == product(staged["ab"], staged["be"])
    assert not any(plan.edges(name) in plan.kept_files() for name in staged)
    assert all(plan.staged("edges", name) in plan.kept_files() for name in staged)


def test_hooks_follow_one_another(tmp_path):
    hooks = {
        "a_first": {"strategy": "intermediate_bypass", "cell_list": ["b"]},
        "then": {"strategy": "FuseConnectivity", "connections": ["a_to_c", "cd"]},
        "twice": {"strategy": "repeat_synapses", "connections": ["a_to_c"], "contacts": 2, "depends_on": ["then"]},
    }
    plan = run_hooks_on_edges(run(plan_of(tmp_path, tree(("after_connectivity", hooks)))))
    once, twice = pairs_of(plan.staged("edges", "a_to_c")), pairs_of(plan.edges("a_to_c"))
    assert twice == sorted(once * 2)
    assert pairs_of(plan.edges("then")) == product(once, pairs_of(plan.edges("cd")))


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ({"strategy": "FuseConnectivity", "connections": ["ab", "bd"]}, r'connections\[1\]: no edge set "bd" is made'),
        ({"strategy": "FuseConnectivity", "connections": ["ab", "cd"]}, r"no chain joins these .*: cd \(c to d\)"),
        ({"strategy": "FuseConnectivity", "connections": ["ab", "ba"]}, r"in a circle.*: ab \(a to b\), ba \(b to a\)"),
        ({"strategy": "FuseConnectivity", "connections": ["be", "aa", "ab"]}, r"in a circle.*: aa \(a to a\)"),
        ({"strategy": "IntermediateBypass", "cell_list": ["b", "a"]}, r"in a circle"),
        ({"strategy": "IntermediateBypass", "cell_list": ["e"]}, r'cell_list\[0\]: .* no edge set leads from "e"'),
        ({"strategy": "IntermediateBypass", "cell_list": ["x"]}, r'no cell type "x"'),
        ({"strategy": "IntermediateBypass", "cell_list": ["c"]}, r'the edge set "b_to_d" is made already'),
    ],
)  # fmt: skip
def test_what_cannot_be_fused_is_said_before_anything_runs(tmp_path, hook, said):
    back = [("connectivity.ba", fixed("b", "a", 1)), ("connectivity.aa", fixed("a", "a", 1))]
    taken = ("connectivity.b_to_d", fixed("b", "d", 1))
    with pytest.raises(BrokenCircuit, match=said):
        load(write(tmp_path, tree(*back, taken, ("after_connectivity.h", hook))))


def test_a_simulation_is_told_where_connections_have_gone(tmp_path):
    models = {t: {"model": "iaf_psc_exp"} for t in "abcd"}
    synapse = {"synapses": [{"weight": 1.0, "delay": 1.0}]}
    simulation = {"simulator": "nest", "duration": 1.0, "cell_models": models, "connection_models": {"bc": synapse}}
    bypass = ("after_connectivity.relays", {"strategy": "IntermediateBypass", "cell_list": ["b"]})
    loaded = load(write(tmp_path, tree(bypass, ("simulations.rest", simulation))))
    with pytest.raises(UserError, match=r'"bc" is no part .* any more: after_connectivity\.relays replaces'):
        make(loaded, f"{tmp_path}/results")
