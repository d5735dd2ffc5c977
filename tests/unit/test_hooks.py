from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, plan_of, run
from snakefold import hooks
from snakefold.build import build
from snakefold.errors import UserError
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

SOURCE = """
import numpy as np
from snakefold.placement.strategy import AfterPlacement
from snakefold.connectivity.strategy import AfterConnectivity

class Lift(AfterPlacement):
    def postprocess(self, cells, rng):
        made = {t: dict(cells[t]) for t in self.rewrites}
        for columns in made.values():
            columns["position"] = columns["position"] + [0, 0, 100]
            columns["mark"] = np.arange(len(columns["position"]), dtype="f4")
        kept = cells["a"]["position"][rng.random(len(cells["a"]["position"])) < 0.5]
        return made | {t: {"position": kept[::-1], "kind": np.array(["odd", "even"])[np.arange(len(kept)) % 2]}
                       for t in self.adds}

class Same(AfterPlacement):
    def postprocess(self, cells, rng):
        return cells

class Thin(AfterConnectivity):
    def postprocess(self, edges, rng):
        kept = rng.permutation(len(edges["a_to_b"]["source"]))[::3]
        thinned = {c: a[kept] for c, a in edges["a_to_b"].items()}
        turned = {"source": thinned["target"], "target": thinned["source"], "w": np.ones(len(kept), "f4")}
        return {"a_to_b": thinned} | {name: turned for name in self.adds}

class Forgets(AfterConnectivity):
    def postprocess(self, edges, rng):
        return {}
"""


@pytest.fixture
def plan(tmp_path):
    name = f"hooks_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(SOURCE)
    tree = edited(
        ("components", [f"{name}.py"]),
        ("cell_types.c", {"spatial": {"radius": 1.0, "count": 3}}),
        ("after_placement.lift", {"strategy": f"{name}.Lift", "rewrites": ["a"], "adds": ["c"]}),
        ("after_placement.same", {"strategy": f"{name}.Same", "rewrites": ["b"]}),
        ("after_connectivity.thin", {"strategy": f"{name}.Thin", "rewrites": ["a_to_b"], "adds": {"back": ["b", "a"]}}),
        ("after_connectivity.z", {"strategy": f"{name}.Forgets", "rewrites": ["a_to_b"]}),
        ("simulations", {}),
    )
    plan = plan_of(tmp_path, tree, 2)
    for part in [p for p in plan.parts if p.startswith("after")]:
        plan.freeze()
        build(plan.slice_file(plan.parts[part].digest), [], [], plan.built(part))
    run(plan_of(tmp_path, edited(("simulations", {})), 2))  # what comes before the hooks
    return plan


def read(path):
    with Nodes(path) as nodes:
        return nodes.positions(), {c: nodes.column(c) for c in nodes.columns}, nodes.chunks


def test_populations_are_rewritten_and_added_and_what_was_read_stays(plan, tmp_path):
    before = read(plan.nodes("a"))[0]
    raw = Path(plan.nodes("a")).read_bytes()
    out = {t: str(tmp_path / f"{t}.h5") for t in "ac"}
    hooks.after_placement(plan.built("after_placement/lift"), [plan.nodes("a")], out)
    position, columns, chunks = read(out["a"])
    assert Path(plan.nodes("a")).read_bytes() == raw
    assert sorted(map(tuple, position.tolist())) == sorted(
        map(tuple, np.add(before, [0, 0, 100]).astype("f4").tolist())
    )
    assert sorted(columns["mark"].tolist()) == list(range(120))
    assert (position[:, 2] == before[columns["mark"].astype(int), 2] + 100).all()
    assert chunks.fault(120) == ""
    assert chunks.blocks == ("lift",)
    added, columns, chunks = read(out["c"])
    assert 35 < len(added) < 85
    assert {k.decode() if isinstance(k, bytes) else str(k) for k in columns["kind"]} == {"odd", "even"}
    assert chunks.fault(len(added)) == ""
    again = {t: str(tmp_path / f"again_{t}.h5") for t in "ac"}
    hooks.after_placement(plan.built("after_placement/lift"), [plan.nodes("a")], {"a": again["a"], "c": again["c"]})
    assert all(Path(out[t]).read_bytes() == Path(again[t]).read_bytes() for t in "ac")


def test_cells_that_did_not_move_keep_their_chunks(plan, tmp_path):
    hooks.after_placement(plan.built("after_placement/same"), [plan.nodes("b")], {"b": str(tmp_path / "b.h5")})
    before, after = read(plan.nodes("b")), read(tmp_path / "b.h5")
    assert (before[0] == after[0]).all()
    assert after[2].blocks == before[2].blocks == ("upper",)
    assert (after[2].chunk == before[2].chunk).all()
    assert (after[2].offsets == before[2].offsets).all()


def test_edge_sets_are_rewritten_and_added_in_order(plan, tmp_path):
    out = {name: str(tmp_path / f"{name}.h5") for name in ("a_to_b", "back")}
    nodes = [plan.nodes(t) for t in "ab"]
    hooks.after_connectivity(plan.built("after_connectivity/thin"), [plan.edges("a_to_b")], nodes, out)
    with Edges(plan.edges("a_to_b")) as before, Edges(out["a_to_b"]) as after, Edges(out["back"]) as back:
        assert before.n == 400
        assert after.n == back.n == 134
        assert set(zip(*(i.tolist() for i in after.block()), strict=True)) <= set(
            zip(*(i.tolist() for i in before.block()), strict=True)
        )
        for edges, ends in ((after, ("a", "b")), (back, ("b", "a"))):
            source, target = edges.block()
            assert (edges.source, edges.target) == ends
            key = target.astype(np.uint64) << np.uint64(32) | source.astype(np.uint64)
            assert (key[1:] >= key[:-1]).all()
        assert (back.column("w") == 1).all()


def test_a_hook_that_does_not_return_what_it_declares_is_named(plan, tmp_path):
    with pytest.raises(UserError, match=r'hook "z" should return "a_to_b" \(got: none\)'):
        hooks.after_connectivity(
            plan.built("after_connectivity/z"),
            [plan.edges("a_to_b")],
            [plan.nodes(t) for t in "ab"],
            {"a_to_b": str(tmp_path / "x.h5")},
        )
    assert not (tmp_path / "x.h5").exists()
