import contextlib
import copy
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from descriptions import CIRCUITS, edited, run, small, write
from snakefold.circuit import schema
from snakefold.config.parse import parse
from snakefold.errors import UserError
from snakefold.loading import BrokenCircuit, load
from snakefold.planning import make
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes
from snakefold.workflow import plan_for, with_simulator


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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cell_types.a.spatial.geometry", {"dendrite": 3}),
        ("connectivity.a_to_b.postsynaptic.morpho_loader", "mine.load"),
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
        ("files.base.type", "code"),
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
    assert names(several, (naming, "one")) == {"one_a_to_b": ("a", "b"), "one_b_to_b": ("b", "b")}
    assert names(several, (naming, ["one"])) == names(several, (naming, "one"))
    assert names((naming, ["one"])) == {"one": ("a", "b")}
    assert names(several, (naming, {"b": {"b": ["own"]}})) == {"a_to_b_a_to_b": ("a", "b"), "own": ("b", "b")}
    assert "a to b is one edge set and has one name (got: x, y)" in mistakes(tmp_path, edited((naming, ["x", "y"])))[0]
    assert "two of its edge sets have one name" in "\n".join(
        mistakes(tmp_path, edited(several, (naming, {"a": {"b": "one"}, "b": {"b": "one"}})))
    )
    assert "no pair b to a is connected by it" in mistakes(tmp_path, edited((naming, {"b": {"a": "x"}})))[0]
    assert "should be: a name of letters" in mistakes(tmp_path, edited((naming, "../up")))[0]
    assert "should be: a name of letters" in mistakes(tmp_path, edited((naming, {"a": {"b": 3}})))[0]


def test_a_pair_without_a_name_is_left_out(tmp_path):
    naming = "connectivity.a_to_b.output_naming"
    edits = [
        ("connectivity.a_to_b.presynaptic.cell_types", ["a", "b"]),
        ("connectivity.a_to_b.strategy", "all_to_all"),
        ("connectivity.a_to_b.indegree", ...),
    ]
    plan = make(load(write(tmp_path, edited(*edits, (naming, {"b": {"b": None}})))), f"{tmp_path}/r", 2)
    assert plan.edge_sets() == {"a_to_b_a_to_b": ("a", "b")}
    assert plan.parts["connect/a_to_b"].slice["component"]["attributes"]["output_naming"] == {"b": {"b": None}}
    run(plan)
    n = {t: Nodes(plan.nodes(t)).n for t in "ab"}
    assert Edges(plan.edges("a_to_b_a_to_b")).n == n["a"] * n["b"]
    assert not Path(plan.edges("a_to_b_b_to_b")).exists()
    everything = {"a": {"b": []}, "b": {"b": None}}
    assert "leaves out every pair" in mistakes(tmp_path, edited(*edits, (naming, everything)))[0]
    drawn_together = mistakes(tmp_path, edited(edits[0], (naming, {"b": {"b": None}})))
    assert "drawn over all its types together" in drawn_together[0] and "null for b to b" in drawn_together[0]


def test_a_partition_that_reaches_out_of_the_network_and_a_region_of_nothing_are_warnings(tmp_path):
    def warnings(*edits):
        return [str(w).partition(": ")[2] for w in load(write(tmp_path, edited(*edits))).warnings]

    assert warnings() == []
    assert warnings(("partitions.top.thickness", 81.0)) == [
        "partitions.top: reaches out of the network: (0.0, 0.0, 70.0) to (200.0, 100.0, 151.0) um, "
        "the network (0.0, 0.0, 0.0) to (200.0, 100.0, 150.0) um"
    ]
    assert warnings(("regions.empty", {"children": []})) == ["regions.empty: has no children: nothing is in it"]


def test_overrides_are_of_the_strategys_own_types_and_of_those_whose_density_it_takes_a_ratio_of(tmp_path):
    override = ("placement.upper.overrides", {"a": {"density": 1e-4}})
    ratio = ("cell_types.b.spatial", {"radius": 2.0, "relative_to": "a", "density_ratio": 0.5})
    assert load(write(tmp_path, edited(override, ratio))).totals["upper"] == {"b": 80}
    (message,) = mistakes(tmp_path, edited(override))
    assert 'placement.upper.overrides.a: "a" is none of its cell types' in message
    broken = ("cell_types.b.spatial", {"radius": 2.0, "count": 1, "density": 1.0})
    assert len(mistakes(tmp_path, edited(override, broken))) == 2


# One mistake, one error: what only follows from it is not told

RICH = (
    ("variables", {"k": 2}),
    ("regions.column.axis", "z"),
    ("cell_types.a.spatial.count", "= 60 * k"),
    ("cell_types.c.spatial", {"radius": 2.0, "relative_to": "a", "count_ratio": 0.5}),
    ("placement.lower.cell_types", ["a", "c"]),
    ("connectivity.all", {"strategy": "all_to_all", "affinity": 0.1, "depends_on": ["a_to_b"]}),
    ("connectivity.all.presynaptic.cell_types", ["a"]),
    ("connectivity.all.postsynaptic.cell_types", ["c"]),
    ("connectivity.total", {"strategy": "fixed_total_number", "number": 9}),
    ("connectivity.total.presynaptic.cell_types", ["c"]),
    ("connectivity.total.postsynaptic.cell_types", ["a"]),
    ("simulations.rest.cell_models.a.parameters.V_m", {"distribution": "normal", "mean": -60.0, "std": 1.0}),
    ("simulations.rest.cell_models.c.model", "iaf_psc_exp"),
    ("simulations.rest.connection_models.all.synapses", [{"weight": 1.0, "delay": 1.0}]),
    ("simulations.rest.devices.noise", {"device": "poisson_generator", "rate": 3.0, "weight": 1.0, "delay": 1.0}),
    ("simulations.rest.devices.noise.targetting", {"strategy": "cell_model", "cell_models": ["a"]}),
    ("simulations.rest.devices.meter", {"device": "multimeter", "properties": ["V_m"], "delay": 1.0}),
    ("simulations.rest.devices.meter.targetting", {"strategy": "by_id", "ids": {"a": [1]}}),
)


def rich(*edits):
    """Return the small description with much more in it, and with further edits."""
    return edited(*copy.deepcopy(RICH), *edits)


def keys_of(tree, path=()):
    """Yield the paths of the keys of a description that are not names given in it."""
    for key, item in tree.items():
        named = (len(path) == 1 and path[0] not in ("rng", "network")) or (len(path) == 3 and path[0] == "simulations")
        if not named and path[-1:] not in (("ids",), ("parameters",)):
            yield (*path, key)
        if isinstance(item, dict):
            yield from keys_of(item, (*path, key))


def mistakes_in(folder, tree):
    """Return all that is said of a description without asking NEST."""
    try:
        make(load(write(folder, tree)), "results")
    except UserError as error:
        return [str(mistake) for mistake in error.mistakes]
    return []


def changed(path, what):
    """Return the rich description in which something is done to what stands at a path."""
    tree = rich()
    parent = tree
    for step in path[:-1]:
        parent = parent[step]
    items = list(parent.items())
    parent.clear()
    for key, value in items:
        new_key, new_value = what(key, value) if key == path[-1] else (key, value)
        parent[new_key] = new_value
    return tree


PATHS = [path for path in keys_of(rich()) if path != ("rng",)]
IDS = [".".join(path) for path in PATHS]


def test_the_rich_description_has_no_mistake(tmp_path):
    assert mistakes_in(tmp_path, rich()) == []
    assert len(PATHS) > 60


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_misspelt_key_is_one_mistake(tmp_path, path):
    key = path[-1]
    misspelt = f"{key}q" if len(key) < 4 else key[:-1]
    (said,) = mistakes_in(tmp_path, changed(path, lambda key, value: (misspelt, value)))
    assert f'unknown key "{misspelt}"; did you mean "{key}"?' in said


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_value_of_the_wrong_kind_is_one_mistake(tmp_path, path):
    wrong = 3 if not isinstance(at(rich(), path), int | float | str) else [[1]]
    (said,) = mistakes_in(tmp_path, changed(path, lambda key, value: (key, wrong)))
    assert f"{'.'.join(path)}: " in said


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ([("cell_types.c.spatial.relative_to", "q")], 'no cell type "q"'),
        ([("cell_types.c.spatial.count_ratio", "x")], "should be: a number >= 0"),
        ([("variables.k", "x")], "variables.k: should be: a number"),
        ([("variables.k", "= lost")], 'variables.k: the expression uses "lost", which is no variable'),
        ([("variables", {"m": "= lost", "n": "= m", "k": "= n"})], "variables.m: the expression"),
        ([("connectivity.total.probability", 0.1)], "not both"),
        ([("connectivity.total.number", "x.csv")], "cannot be read"),
        ([("components", ["nowhere.py"]), ("placement.lower.strategy", "nowhere.Rings")], "nowhere.py cannot be read"),
        ([("components", ["bad.py"]), ("placement.lower.strategy", "Rings")], "bad.py:1: components[0]: cannot be imp"),
        ([("components", ["bad.py"]), ("placement.lower.strategy", "bad.Rings")], "bad.py:1: "),
        ([("components", 3), ("placement.lower.strategy", "own.Rings")], "components: should be: a list"),
        ([("components", [3]), ("placement.lower.strategy", "own.Rings")], "components[0]: should be: a text"),
        ([("component", ["own.py"]), ("placement.lower.strategy", "Rings")], 'did you mean "components"?'),
        ([("simulations.rest.cell_models.a.model", 3)], "cell_models.a.model: should be: a text"),
        ([("simulations.rest.devices.meter.targetting", {"ids": {"a": [1]}})], 'did you mean "by_id"?'),
        ([("placement.lower", 3)], 'placement.lower: should be: a mapping with "strategy"'),
        ([("cell_types", ...)], '"cell_types" is missing'),
        ([("partitions", ...)], '"partitions" is missing'),
        ([("network.x", ...)], '"x" is missing'),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0][0],
)
def test_what_follows_from_a_mistake_is_not_told(tmp_path, edits, says):
    (tmp_path / "bad.py").write_text("import nowhere_to_be_found\n\n\nclass Rings:\n    pass\n")
    (said,) = mistakes_in(tmp_path, rich(*edits))
    assert says in said


def test_each_place_that_names_what_is_not_there_is_a_mistake(tmp_path):
    tree = rich()
    tree["cell_types"]["bb"] = tree["cell_types"].pop("b")
    said = mistakes_in(tmp_path, tree)
    assert len(said) == 2 == len([m for m in said if 'no cell type "b"' in m]), said


def test_a_broken_component_hides_no_mistake_of_another_name(tmp_path):
    (tmp_path / "bad.py").write_text("import nowhere_to_be_found\n")
    said = mistakes_in(tmp_path, edited(("components", ["bad.py"]), ("placement.lower.strategy", "randon")))
    assert len(said) == 2 and 'no placement component "randon"; did you mean "random"?' in said[1]


def test_mistakes_of_unimportant_keys_end_no_further_checks(tmp_path):
    tree = edited(("nmae", 1), ("packages", ["numpy =="]), ("connectivity.a_to_b.indegree", 5000))
    assert len(mistakes_in(tmp_path, tree)) == 3


def test_empty_values_of_what_is_not_yet_supported_ask_for_nothing(tmp_path):
    assert mistakes_in(tmp_path, edited(("morphologies", []), ("files", {}), ("cell_types.a.entity", False))) == []


def test_a_misspelt_cell_model_is_one_mistake(tmp_path):
    tree = rich()
    models = tree["simulations"]["rest"]["cell_models"]
    models["aa"] = models.pop("a")
    (said,) = mistakes_in(tmp_path, tree)
    assert 'simulations.rest.cell_models.aa: no cell type "aa"; did you mean "a"?' in said


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("simulations.rest.cell_models.a.model", 3), "cell_models.a.model: should be: a text"),
        (("simulations.rest.cell_models.a.parameters.V_m.std", -1), "V_m.std: should be: a number >= 0"),
        (("simulations.rest.cell_models.a", [1]), "cell_models.a: should be: a mapping"),
        (("cell_types.a.spatial.radius", "wide"), "cell_types.a.spatial.radius: should be: a number > 0"),
        (("connectivity.a_to_b.indegree", "many"), "connectivity.a_to_b.indegree: should be: a whole number"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_names_something_broken_in_a_simulation_is_no_mistake(tmp_path, monkeypatch, edit, says):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BrokenCircuit) as caught:
        load(write(tmp_path, rich(edit)))
    (said,) = with_simulator(caught.value).mistakes
    assert says in str(said)


def test_what_is_relative_to_something_broken_is_no_mistake_but_what_is_relative_to_itself_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def said(*edits):
        with pytest.raises(BrokenCircuit) as caught:
            load(write(tmp_path, rich(*edits)))
        return [str(m).split(": ", 1)[1] for m in with_simulator(caught.value).mistakes]

    apart = (
        ("placement.lower.cell_types", ["a"]),
        ("placement.more", {"strategy": "random", "partitions": ["top"], "cell_types": ["c"]}),
    )
    broken = ("placement.lower.strategy", "randon")
    (message,) = said(*apart, broken)
    assert message.startswith('placement.lower.strategy: no placement component "randon"')
    first, second = said(*apart, broken, ("cell_types.c.spatial.relative_to", "c"))
    assert first == "cell_types.c.spatial.relative_to: the number is relative to itself: c to c"
    assert second == message


def test_mistakes_of_a_simulation_and_of_nest_are_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tree = rich(("simulations.rest.cell_models.b.model", "iaf_psc_exq"), ("simulations.rest.cell_models.z", {}))
    with pytest.raises(UserError) as caught, contextlib.chdir(tmp_path):
        plan_for({"circuit": write(tmp_path, tree).name})
    said = str(caught.value)
    assert len(caught.value.mistakes) == 2, said
    assert 'no cell type "z"' in said and 'did you mean "iaf_psc_exp"?' in said
