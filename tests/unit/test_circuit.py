import copy
import json
import random

import pytest
from jsonschema import Draft202012Validator

from descriptions import CIRCUITS, edited, small, text_of, write
from snakefold.circuit import load, schema
from snakefold.config.parse import parse
from snakefold.errors import UserError
from snakefold.plan import make


def mistakes(folder, tree):
    with pytest.raises(UserError) as caught:
        load(write(folder, tree))
    return [str(m) for m in caught.value.mistakes]


def line_of(tree, dotted):
    return list(tree).index(dotted.partition(".")[0]) + 1


@pytest.mark.parametrize("file", sorted(CIRCUITS.glob("*.yaml")), ids=lambda p: p.name)
def test_the_circuits_that_come_with_it_are_whole_and_fit_the_schema(file):
    loaded = load(file)
    assert loaded.warnings == []
    assert not list(Draft202012Validator(schema()).iter_errors(parse(file).tree))


def test_the_schema_is_valid_and_tells_wrong_from_right():
    Draft202012Validator.check_schema(schema())
    validator = Draft202012Validator(schema())
    assert validator.is_valid(small())
    for edit in (
        ("network.x", -1),
        ("network.xx", 1),
        ("network", ...),
        ("placement.lower.strategy", "nope"),
        ("placement.lower.strategy", ...),
        ("partitions.base.thickness", "thick"),
        ("connectivity.a_to_b.indegree", 1.5),
        ("simulations.rest.devices.spikes.rate", 3),
        ("cell_types.a.spatial.radius", 0),
    ):
        assert not validator.is_valid(edited(edit)), edit


def test_numbers_of_cells(tmp_path):
    tree = edited(
        ("cell_types.c.spatial", {"radius": 1.0, "relative_to": "b", "count_ratio": 0.5}),
        ("cell_types.d.spatial", {"radius": 1.0, "planar_density": 1e-3}),
        ("placement.upper.cell_types", ["b", "c", "d"]),
        ("placement.lower.overrides", {"a": {"density": 1e-4}}),
    )
    loaded = load(write(tmp_path, tree))
    # 200 x 100 x 80 um of b; c by b's rounded number; 200 x 100 um of d; 200 x 100 x 70 um of a
    assert loaded.n_cells() == {"a": 140, "b": 80, "c": 40, "d": 20}


def test_a_type_placed_twice_is_counted_twice_and_its_ratio_with_it(tmp_path):
    tree = edited(
        ("cell_types.c.spatial", {"radius": 1.0, "relative_to": "a", "count_ratio": 0.5}),
        ("placement.more", {"strategy": "random", "partitions": ["top"], "cell_types": ["a", "c"]}),
    )
    loaded = load(write(tmp_path, tree))
    assert loaded.n_cells() == {"a": 240, "b": 80, "c": 120}
    assert loaded.circuit.placed_by("a") == ["lower", "more"]


def test_of_several_indicators_none_is_chosen_silently(tmp_path):
    (message,) = mistakes(tmp_path, edited(("cell_types.a.spatial.density", 1e-4)))
    assert 'cell_types.a.spatial: how many "a"? It gives count, density: give one' in message


def test_a_missing_seed_is_a_fixed_one_with_a_warning(tmp_path):
    loaded = load(write(tmp_path, edited(("rng", ...))))
    assert loaded.circuit.seed == 1
    assert "no rng.seed" in str(loaded.warnings[0])
    assert load(write(tmp_path, edited(("rng.seed", 0)))).circuit.seed == 0


def test_variables_may_use_those_before_them(tmp_path):
    tree = {"variables": {"k": 2, "n": "= 10 * k"}} | edited(("cell_types.a.spatial.count", "= n + 1"))
    assert load(write(tmp_path, tree)).n_cells()["a"] == 21


ONE_MISTAKE = [
    ("network.xx", 1, 'network.xx: unknown key "xx"'),
    ("network.x", "wide", "network.x: should be: a number > 0 (got: 'wide')"),
    ("network.x", ..., '"x" is missing (Extent along x, um)'),
    ("partitions.base.type", "lajer", 'partitions.base.type: no partition component "lajer"; did you mean "layer"?'),
    ("placement.lower.strategy", ..., '"strategy" is missing'),
    ("placement.lower.strategy", 3, 'no placement component "3"'),
    ("placement.lower.cell_types", ["A"], 'placement.lower.cell_types[0]: no cell type "A"; did you mean "a"?'),
    ("placement.lower.partitions", [], "should be: a list of at least 1"),
    ("placement.lower.depends_on", ["lower"], "placement.lower.depends_on: depends on itself"),
    ("placement.lower.overrides", {"b": {"count": 3}}, '"b" is none of its cell types'),
    ("cell_types.a.spatial.count", ..., 'how many "a"? It needs one of: count, density'),
    ("cell_types.a.spatial.count", 10**10, "should be: a whole number >= 0 and <= 4294967295"),
    ("cell_types.a.spatial.count_ratio", 2, 'needs "relative_to"'),
    ("cell_types.b.spatial.density", 1.0, "placement.upper: too dense: somata would fill 33.5 of the volume"),
    ("cell_types.b.spatial.density", 1e300, "cell_types.b.spatial: 1.6e+306 cells asked for"),
    ("connectivity.a_to_b.indegree", 121, "connectivity.a_to_b.indegree: 121 distinct partners asked for"),
    ("connectivity.a_to_b.postsynaptic.cell_types", ["c"], 'no cell type "c"'),
    ("cell_types.c/d", {"spatial": {"radius": 1}}, 'the name "c/d" should be'),
    ("regions.column.children", ["base", "tip"], 'no region or partition "tip"; did you mean "top"?'),
    ("regions.column.anchor", "x", 'no region or partition "x"'),
    ("simulations.rest.duration", 0, "simulations.rest.duration: should be: a number > 0"),
    ("simulations.rest.devices.spikes.targetting", ..., '"targetting" is missing'),
    ("partitions.top.thickness", 1e-30, "partitions.top: its box cannot be told apart from nothing"),
    ("network.chunk_size", 1e-3, "network.chunk_size should be larger"),
    ("components", ["nowhere.py"], "components[0]: "),
    ("rng.seed", -1, "rng.seed: should be: a whole number >= 0"),
    ("nmae", "x", 'unknown key "nmae"; did you mean "name"?'),
]


@pytest.mark.parametrize(("key", "value", "says"), ONE_MISTAKE, ids=[f"{k}={str(v)[:20]}" for k, v, _ in ONE_MISTAKE])
def test_a_mistake_is_found_with_its_path_and_line(tmp_path, key, value, says):
    tree = edited((key, value))
    found = mistakes(tmp_path, tree)
    at = tmp_path / "circuit.yaml"
    assert any(says in m for m in found), found
    section = says.split(".", maxsplit=1)[0] if says.startswith(("placement.upper", "cell_types.b")) else key
    if "chunk_size" not in key:
        assert all(m.startswith(f"{at}:{line_of(tree, section)}: ") for m in found), found
        assert len(found) == 1, found


def test_several_mistakes_are_found_at_once_in_the_order_of_lines(tmp_path):
    tree = edited(
        ("network.y", "x"),
        ("partitions.base.thicknes", 1),
        ("cell_types.a.spatial.radius", -1),
        ("placement.lower.cell_types", ["q"]),
        ("simulations.rest.threads", 0),
    )
    found = mistakes(tmp_path, tree)
    assert len(found) == 5
    lines = [int(m.split(":")[1]) for m in found]
    assert lines == sorted(lines)


def test_several_mistakes_of_the_whole_are_found_at_once(tmp_path):
    tree = edited(
        ("cell_types.a.spatial.count", ...),
        ("cell_types.b.spatial.density", 1.0),
        ("placement.upper.depends_on", ["lower"]),
        ("placement.lower.depends_on", ["upper"]),
    )
    found = mistakes(tmp_path, tree)
    assert len(found) == 4


def test_a_number_relative_to_itself_names_the_round(tmp_path):
    tree = edited(
        ("cell_types.a.spatial", {"radius": 1, "relative_to": "b", "count_ratio": 1}),
        ("cell_types.b.spatial", {"radius": 1, "relative_to": "a", "count_ratio": 1}),
    )
    assert any("a to b to a" in m for m in mistakes(tmp_path, tree))


def test_a_type_that_nothing_places_is_a_warning_until_it_is_connected(tmp_path):
    tree = edited(("cell_types.c.spatial", {"radius": 1, "count": 3}))
    assert ["cell_types.c: is placed by no strategy" in str(w) for w in load(write(tmp_path, tree)).warnings] == [True]
    tree["connectivity"]["a_to_b"]["presynaptic"]["cell_types"] = ["a", "c"]
    assert any('"c" is placed by no strategy' in m for m in mistakes(tmp_path, tree))


def test_two_strategies_may_not_make_one_edge_set(tmp_path):
    one = small()["connectivity"]["a_to_b"]
    tree = edited(
        ("connectivity.x", one | {"presynaptic": {"cell_types": ["a", "b"]}}), ("connectivity.x_a_to_b", dict(one))
    )
    tree["connectivity"]["x_a_to_b"]["presynaptic"] = {"cell_types": ["a"]}
    tree["connectivity"]["x"] |= {"postsynaptic": {"cell_types": ["a", "b"]}}
    assert any('its edge set "x_a_to_b" is also made by "x"' in m for m in mistakes(tmp_path, tree))


def test_edge_sets_are_named_as_the_bsb_names_them(tmp_path):
    tree = edited(("connectivity.a_to_b.presynaptic.cell_types", ["a", "b"]))
    circuit = load(write(tmp_path, tree)).circuit
    assert circuit.connectivity["a_to_b"].edge_sets() == {"a_to_b_a_to_b": ("a", "b"), "a_to_b_b_to_b": ("b", "b")}
    assert load(write(tmp_path, small())).circuit.connectivity["a_to_b"].edge_sets() == {"a_to_b": ("a", "b")}


def test_names_of_the_bsb_are_names_here(tmp_path):
    tree = edited(
        ("placement.lower.strategy", "bsb.placement.RandomPlacement"),
        ("connectivity.a_to_b.strategy", "bsb.connectivity.FixedIndegree"),
    )
    one, other = load(write(tmp_path, tree)), load(write(tmp_path, small()))
    assert one.circuit.to_json() == other.circuit.to_json()


HOOKS = """
from snakefold.placement.strategy import AfterPlacement
from snakefold.connectivity.strategy import AfterConnectivity

class Shift(AfterPlacement):
    pass

class Prune(AfterConnectivity):
    pass
"""


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("after_placement.h.rewrites", ["b"]), ""),
        (("after_placement.h.rewrites", ["c"]), 'after_placement.h.rewrites[0]: no cell type "c" is made before it'),
        (("after_placement.h.adds", ["c"]), ""),
        (("after_placement.h.adds", ["a"]), 'the cell type "a" is made already'),
        (("after_connectivity.k.rewrites", ["a_to_b"]), ""),
        (
            ("after_connectivity.k.rewrites", ["a_to_B"]),
            'no edge set "a_to_B" is made before it; did you mean "a_to_b"?',
        ),
        (("after_connectivity.k.adds", {"new": ["a", "b"]}), ""),
        (("after_connectivity.k.adds", {"new": ["a", "b", "a"]}), "should be: [source cell type, target cell type]"),
        (("after_connectivity.k.adds", {"a_to_b": ["a", "b"]}), 'the edge set "a_to_b" is made already'),
    ],
)
def test_hooks_rewrite_what_is_there_and_add_what_is_not(tmp_path, edit, says):
    (tmp_path / "hook_checks.py").write_text(HOOKS)
    key, value = edit
    strategy = "Shift" if "placement" in key else "Prune"
    tree = edited(
        ("components", ["hook_checks.py"]),
        ("cell_types.c.spatial", {"radius": 1, "count": 3}),
        (key.rpartition(".")[0], {"strategy": strategy}),
        (key, value),
    )
    if says:
        assert any(says in m for m in mistakes(tmp_path, tree))
    else:
        make(load(write(tmp_path, tree)), "r", 1)


# Whatever a description says, the answer is a circuit or a list of mistakes

VALUES = [
    *(None, True, False, 0, -1, 1, 2.5, -1e-300, 1e300, 1e308, 10**30, 10**400, 1e-300, 1e-3, 10**12, 2**63, 2**64),
    *(float("nan"), float("inf"), -float("inf"), "", "x", "=", "= 1", "= 1/0", "= nope", "= 2**2**2**2**60"),
    *("= sqrt(-1)", "= __import__('os')", "../x", "a b", "-x", ".x", "ü", "$ref", "base_type", "x.csv", "a\0b"),
    *([], [1], [None], [[]], [1, 2, 3], [1e308] * 3, ["base_type"], ["base_type"] * 2, {}, {"a": 1}, {"": 1}),
    *({"strategy": "x"}, {"distribution": "normal"}, {"distribution": []}, {"*": {"*": 1}}, {"*": 1}),
    *({"$ref": "#/"}, {"$ref": "#"}, {"$ref": 3}, {"$ref": "#/cell_types"}, {"$ref": "a\0b#/"}, {"$import": 3}),
    {"$import": {"ref": "#/cell_types", "values": ["base_type"]}},
]


def paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def mutated(tree, rng):
    """Return a description with one to three things dropped, renamed, replaced, nested, flattened, scaled or doubled."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = rng.choice([p for p in paths(tree) if p])
        parent, last = at(tree, path[:-1]), path[-1]
        value = parent[last]
        kind = rng.choice(["drop", "rename", "set", "set", "set", "swap", "nest", "flatten", "scale", "double"])
        if kind == "drop":
            del parent[last]
        elif kind == "rename" and isinstance(parent, dict):
            new = rng.choice(["x", f"{last}s", last[:-1], last.upper(), "", "$ref", "a/b", "..", "strategy", "type"])
            parent[new] = parent.pop(last)
        elif kind == "set":
            parent[last] = copy.deepcopy(rng.choice(VALUES))
        elif kind == "swap":
            parent[last] = copy.deepcopy(at(tree, rng.choice([p for p in paths(tree) if p])))
        elif kind == "nest":
            parent[last] = rng.choice([[value], {"x": value}, {str(last): value}])
        elif kind == "flatten" and isinstance(value, dict | list) and value:
            parent[last] = rng.choice(list(value.values()) if isinstance(value, dict) else value)
        elif kind == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
            parent[last] = value * rng.choice([0, -1, 1e-12, 1e6, 1e12, 1e40])
        elif kind == "double" and isinstance(value, list):
            parent[last] = value + value
    return tree


@pytest.mark.parametrize("part", range(4))
def test_whatever_a_description_says_there_is_a_plan_or_a_list_of_mistakes(tmp_path, part):
    tree = parse(CIRCUITS / "two_layers.yaml").tree
    path = tmp_path / "circuit.yaml"
    n_fine = 0
    for seed in range(part * 400, part * 400 + 400):
        changed = mutated(tree, random.Random(seed))
        path.write_text(text_of(changed))
        try:
            plan = make(load(path), "results/circuit")
            json.dumps(plan.to_json(), allow_nan=False)
            plan.final_files()
            n_fine += 1
        except UserError as error:
            assert error.mistakes, seed
            assert all(str(tmp_path) in str(m) for m in error.mistakes), (seed, str(error))
        except Exception as error:
            raise AssertionError(f"mutation {seed}: {text_of(changed)}") from error
    assert 40 < n_fine < 200


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", {"a": {"file": "x.nrrd"}}),
        ("morphologies", ["x.swc"]),
        ("rng.generators", {"other": {"generator": "numpy"}}),
        ("rng.settings", {"nest": {"seed": 1}}),
        ("cell_types.a.entity", True),
        ("cell_types.a.spatial.geometry", {"dendrite": 3}),
        ("cell_types.a.spatial.morphologies", ["*"]),
        ("cell_types.a.spatial.density_key", "d"),
        ("placement.lower.distribute", {"rotations": {"strategy": "random"}}),
        ("connectivity.a_to_b.presynaptic.labels", ["x"]),
        ("connectivity.a_to_b.postsynaptic.morphology_labels", ["soma"]),
    ],
)
def test_what_is_not_yet_supported_is_named_and_never_ignored(tmp_path, key, value):
    messages = mistakes(tmp_path, edited((key, value)))
    assert len(messages) == 1
    assert f": {key}: not yet supported: " in messages[0]
    assert Draft202012Validator(schema()).is_valid(edited((key, value))), "the schema knows the key"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("placement.lower.strategy", "bsb.placement.PoissonDiskPlacement"),
        ("connectivity.a_to_b.strategy", "bsb.connectivity.VoxelIntersection"),
        ("partitions.base.type", "allen"),
        ("simulations.rest.simulator", "neuron"),
    ],
)
def test_components_that_are_not_yet_supported_are_named(tmp_path, key, value):
    assert any(
        f': {key}: not yet supported: {key.rpartition(".")[2]} "{value}"' in m
        for m in mistakes(tmp_path, edited((key, value)))
    )


def test_packages_that_are_missing_or_others_are_warnings(tmp_path):
    loaded = load(write(tmp_path, edited(("packages", ["numpy>=1", "numpy<1", "no-such-package"]))))
    assert [str(w).partition(": packages")[2] for w in loaded.warnings] == [
        f"[1]: numpy<1 is asked for (installed: {__import__('numpy').__version__})",
        "[2]: no-such-package is not installed",
    ]
    assert "packages[0]: should be: a requirement" in mistakes(tmp_path, edited(("packages", ["numpy =="])))[0]


def test_edge_sets_are_named_as_asked_for(tmp_path):
    def names(*edits):
        return make(load(write(tmp_path, edited(*edits))), "r").edge_sets()

    several = ("connectivity.a_to_b.presynaptic.cell_types", ["a", "b"])
    naming = "connectivity.a_to_b.output_naming"
    assert names() == {"a_to_b": ("a", "b")}
    assert names((naming, "excitation")) == {"excitation": ("a", "b")}
    assert names(several) == {"a_to_b_a_to_b": ("a", "b"), "a_to_b_b_to_b": ("b", "b")}
    assert names(several, (naming, {"b": {"b": "own"}})) == {"a_to_b_a_to_b": ("a", "b"), "own": ("b", "b")}
    assert "one name for 2 edge sets" in mistakes(tmp_path, edited(several, (naming, "one")))[0]
    assert "two of its edge sets have one name" in "\n".join(
        mistakes(tmp_path, edited(several, (naming, {"a": {"b": "one"}, "b": {"b": "one"}})))
    )
    assert "no pair b to a is connected by it" in mistakes(tmp_path, edited((naming, {"b": {"a": "x"}})))[0]
    assert "should be: a name of letters" in mistakes(tmp_path, edited((naming, "../up")))[0]
