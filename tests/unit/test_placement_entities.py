import numpy as np
import pytest

from descriptions import edited, plan_of, run
from snakefold.errors import UserError
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

ENTITIES = {"strategy": "bsb.placement.Entities", "partitions": ["base", "top"], "cell_types": ["a"]}

BOX = {"origin": [0, 0, 0], "dimensions": [50, 50, 50]}
LABEL = {"strategy": "label", "cell_types": ["a"], "labels": ["x"]}
NEAR = {"strategy": "distance_probability", "profile": "linear", "peak": 0.5, "max_distance": 60}


def tree(*edits):
    return edited(
        ("cell_types.a", {"entity": True, "spatial": {"count": 120}}), ("placement.lower", dict(ENTITIES)), *edits
    )


def test_entities_are_exact_in_number_nowhere_and_connected(tmp_path):
    plan = run(plan_of(tmp_path, tree(), 3))
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.n == 120
        assert not nodes.positions().any()
        assert "partition" not in nodes.columns
        assert nodes.chunks.fault(120) == ""
        assert len(nodes.chunks.chunk) > 1, "they are dealt out to chunks"
    with Edges(plan.edges("a_to_b")) as edges, Nodes(plan.nodes("b")) as b:
        assert edges.n == 5 * b.n
        assert len(np.unique(edges.block(0, edges.n)[0])) > 60, "all of them are candidates"


def test_entities_need_no_radius_and_may_be_as_dense_as_cells(tmp_path):
    plan = run(plan_of(tmp_path, tree(("cell_types.a.spatial", {"density": 4e-5})), 2), "place")
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.n == round(4e-5 * 200 * 100 * 150)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("cell_types.a", {"entity": True}), "how many"),
        (("cell_types.a", {}), '"spatial" is missing'),
        (("cell_types.a", {"entity": "perhaps", "spatial": {"count": 1}}), "entity"),
        (("placement.lower.strategy", "random"), '"a" is an entity, whose cells are nowhere'),
        (
            ("connectivity.a_to_b", dict(NEAR, presynaptic={"cell_types": ["a"]}, postsynaptic={"cell_types": ["b"]})),
            "presynaptic.cell_types.0.: .* there is no distance to them",
        ),
        (("after_placement", {"h": dict(LABEL, box=BOX)}), '"a" are nowhere'),
        (("after_placement", {"h": dict(LABEL, partitions=["base"])}), 'no property "partition"'),
    ],
)
def test_what_cannot_be_is_told_at_check(tmp_path, edit, message):
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, tree(edit))


def test_a_sphere_holds_no_entities(tmp_path):
    sphere = {"strategy": "sphere", "origin": [0, 0, 0], "radius": 500}
    device = {"device": "poisson_generator", "rate": 10, "weight": 1, "delay": 1, "targetting": sphere}
    plan = plan_of(tmp_path, tree(("simulations.rest.devices.noise", device)))
    assert plan.parts["simulate/rest"].slice["devices"]["noise"]["targets"] == ["b"]
