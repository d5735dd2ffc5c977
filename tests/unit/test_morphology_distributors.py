import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, plan_of, run, write
from shapes import CELL, OTHER
from snakefold import build
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.sonata.circuit import write_circuit
from snakefold.sonata.nodes import Nodes

ORIENTATION = [f"orientation_{letter}" for letter in "wxyz"]
OWN = """
import numpy as np
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.morphology import operations
from snakefold.morphology.distributors import MorphologyGenerator
from snakefold.placement.distribute import ORIENTATION, MorphologyDistributor

class Longer(MorphologyGenerator):
    by = Attribute(types.number(), default=10.0, unit="um")
    def generate(self, i, templates, rng):
        return operations.translate(templates["pyr"], [i * self.by, rng.random(), 0])

class Nothing(MorphologyGenerator):
    def generate(self, i, templates, rng):
        return None

class Upside(MorphologyDistributor):
    turns = True
    def distribute(self, cells, rng):
        n = len(cells)
        return {"morphology": np.zeros(n, int)} | dict(zip(ORIENTATION, np.tile([0.0, 1, 0, 0], (n, 1)).T))
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in {"pyr.swc": CELL, "int.swc": OTHER}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def own_of(folder):
    name = "own_" + hashlib.md5(str(folder).encode()).hexdigest()
    (folder / f"{name}.py").write_text(OWN)
    return name


def described(distribute, *edits, selected=("pyr", "int")):
    return edited(
        ("morphologies", ["pyr.swc", "int.swc"]),
        ("cell_types.a.spatial.morphologies", list(selected)),
        ("placement.lower.distribute", distribute),
        ("connectivity", {}),
        ("simulations", {}),
        *edits,
    )


def placed(folder, tree, tiles=1, name="there"):
    plan = plan_of(folder, tree, tiles)
    run(plan, "place")
    return plan


def orientation_of(nodes):
    return np.stack([nodes.column(name) for name in ORIENTATION], axis=1)


def test_morphologies_are_drawn_if_nothing_is_said(folder):
    plan = placed(folder, described({}))
    nodes = Nodes(plan.nodes("a"))
    counts = Counter(nodes.column("morphology").tolist())
    assert set(counts) == {"pyr", "int"} and 40 <= counts["pyr"] <= 80
    assert np.array_equal(orientation_of(nodes), np.tile([1, 0, 0, 0], (120, 1)))
    assert set(Nodes(plan.nodes("b")).column("morphology")) == {""}


def test_round_robin_goes_on_from_chunk_to_chunk_whatever_the_tiles(folder):
    tree = described({"morphologies": {"strategy": "roundrobin"}})
    columns = []
    for tiles in (1, 5):
        nodes = Nodes(placed(folder, tree, tiles).nodes("a"))
        assert nodes.column("morphology").tolist() == ["pyr", "int"] * 60
        columns.append(nodes.path.read_bytes())
        assert len(nodes.chunks.chunk) > 3
    assert columns[0] == columns[1]


def test_rotations_are_unit_and_the_same_for_any_tiles(folder):
    tree = described({"rotations": {"strategy": "random"}, "morphologies": {}})
    made = []
    for tiles in (1, 7):
        nodes = Nodes(placed(folder, tree, tiles).nodes("a"))
        made.append(nodes.path.read_bytes())
    turned = orientation_of(nodes)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-6)
    assert len(np.unique(turned, axis=0)) == 120
    assert made[0] == made[1]


def test_a_type_that_several_strategies_place_is_turned_only_where_it_is_said(folder):
    tree = described(
        {"rotations": {"strategy": "random"}},
        ("placement.upper.cell_types", ["a", "b"]),
        ("placement.upper.overrides", {"a": {"morphologies": ["int"], "count": 30}}),
    )
    nodes = Nodes(placed(folder, tree).nodes("a"))
    turned = orientation_of(nodes)
    assert (turned[:120] != [1, 0, 0, 0]).any(axis=1).all()
    assert np.array_equal(turned[120:], np.tile([1, 0, 0, 0], (30, 1)))
    assert set(nodes.column("morphology")[120:]) == {"int"}


def test_what_turns_its_morphologies_is_overridden_by_explicit_rotations_alone(folder):
    own = own_of(folder)
    for rotations, expected in (("none", [0, 1, 0, 0]), ("explicitly_none", [1, 0, 0, 0])):
        tree = described(
            {"morphologies": {"strategy": f"{own}.Upside"}, "rotations": {"strategy": rotations}},
            ("components", [f"{own}.py"]),
        )
        nodes = Nodes(placed(folder, tree).nodes("a"))
        assert np.array_equal(orientation_of(nodes), np.tile(expected, (120, 1)))
        assert set(nodes.column("morphology")) == {"pyr"}


def built(plan, name):
    part = plan.parts[f"morphology/{name}"]
    plan.freeze()
    inputs = [plan.built(p) for p in part.inputs]
    output = plan.built("morphology", name)
    build.build(plan.slice_file(part.digest), inputs, list(part.files.values()), output, plan.morphology(name))
    return build.read(output).morphology


def test_generated_morphologies_are_made_once_each_from_the_selected(folder):
    own = own_of(folder)
    tree = described(
        {"morphologies": {"strategy": f"{own}.Longer", "number": 3}}, ("components", [f"{own}.py"]), selected=["pyr"]
    )
    plan = placed(folder, tree)
    names = [f"lower-a-{i}" for i in range(3)]
    assert plan.morphologies() == ["pyr", "int", *names]
    assert set(Nodes(plan.nodes("a")).column("morphology")) == set(names)
    built(plan, "pyr")
    made = [built(plan, name) for name in names]
    assert [m.points[0, 0] for m in made] == [0, 10, 20] and len({m.points[0, 1] for m in made}) == 3
    assert all(Path(plan.morphology(name)).is_file() for name in names)
    assert np.array_equal(built(plan, names[1]).points, made[1].points)
    tree["placement"]["lower"]["distribute"]["morphologies"]["number"] = 4
    more = plan_of(folder, tree)
    assert more.parts["morphology/lower-a-1"].inputs == ("morphology/pyr",)
    (folder / "pyr.swc").write_text(OTHER)
    changed = plan_of(folder, tree)
    different = {n for n in more.parts if more.parts[n].digest != changed.parts[n].digest}
    assert different == {"morphology/pyr"}  # the generated ones follow it as files do


def test_a_generator_that_returns_none_is_told_so(folder):
    own = own_of(folder)
    tree = described({"morphologies": {"strategy": f"{own}.Nothing", "number": 1}}, ("components", [f"{own}.py"]))
    plan = plan_of(folder, tree)
    built(plan, "pyr"), built(plan, "int")
    with pytest.raises(UserError, match=r"Nothing.generate returns should be: a Morphology \(got: None\)"):
        built(plan, "lower-a-0")


@pytest.mark.parametrize(
    ("distribute", "words"),
    [
        ({"morphologies": {"strategy": "randm"}}, 'did you mean "random"'),
        ({"rotations": {"strategy": "explicitly_non"}}, 'did you mean "explicitly_none"'),
        ({"rotations": 3}, "placement.lower.distribute.rotations"),
        ({"morphologies": {"strategy": "OWN.Longer"}}, '"number" is missing'),
        ({"morphologies": {"strategy": "OWN.Longer", "number": 0}}, "placement.lower.distribute.morphologies.number"),
    ],
)
def test_what_is_wrong_with_distribute(folder, distribute, words):
    own = own_of(folder)
    if "strategy" in (m := distribute.get("morphologies", {})):
        m["strategy"] = m["strategy"].replace("OWN", own)
    with pytest.raises(UserError) as found:
        load(write(folder, described(distribute, ("components", [f"{own}.py"]))))
    assert len(found.value.mistakes) == 1 and words in str(found.value), str(found.value)


def test_morphologies_of_cells_that_select_none_are_a_mistake(folder):
    with pytest.raises(UserError, match=r"placement.lower.distribute.morphologies: its cell types select no morph"):
        load(write(folder, described({"morphologies": {"strategy": "roundrobin"}}, selected=[])))


def test_a_generated_name_that_is_there_is_a_mistake(folder):
    own = own_of(folder)
    tree = described({"morphologies": {"strategy": f"{own}.Longer", "number": 3}}, ("components", [f"{own}.py"]))
    tree["morphologies"].append({"file": "int.swc", "name": "lower-a-1"})
    with pytest.raises(UserError, match='the morphology "lower-a-1" is there already'):
        load(write(folder, tree))


def test_bluepysnap_finds_and_turns_the_morphology_of_a_cell(folder):
    from bluepysnap import Circuit
    from bluepysnap.circuit_validation import validate

    plan = placed(folder, described({"rotations": {"strategy": "random"}}))
    for name in plan.morphologies():
        built(plan, name)
    config = Path(plan.path("circuit_config.json"))
    write_circuit([plan.nodes("a"), plan.nodes("b")], [], config, plan.path("morphologies"))
    cells = Circuit(str(config)).nodes["a"]
    assert cells.morph.get_name(0) in ("pyr", "int")
    assert Path(cells.morph.get_filepath(0)).is_file()
    of_pyr = cells.ids({"morphology": "pyr"})[0]
    own, turned = cells.morph.get(of_pyr), cells.morph.get(of_pyr, transform=True)
    at, by = cells.positions(of_pyr).to_numpy(), np.array(cells.orientations(of_pyr))
    np.testing.assert_allclose(turned.points, own.points @ by.T + at, atol=1e-4)
    q = orientation_of(Nodes(plan.nodes("a")))[of_pyr]
    from snakefold.morphology.rotations import turned_by

    np.testing.assert_allclose(
        turned.points, turned_by(np.tile(q, (len(own.points), 1)).astype(float), own.points) + at, atol=1e-4
    )
    wrong = [str(e.message) for e in validate(str(config), skip_slow=False) if e.level == "FATAL"]
    assert len(wrong) == 1 and "networks.edges: [] should be non-empty" in wrong[0]  # there are none here


def test_libsonata_reads_the_columns(folder):
    import libsonata

    plan = placed(folder, described({"rotations": {"strategy": "random"}}))
    population = libsonata.NodeStorage(plan.nodes("a")).open_population("a")
    names = population.get_attribute("morphology", population.select_all())
    assert set(names) == {"pyr", "int"}
    assert len(population.get_attribute("orientation_w", population.select_all())) == 120
