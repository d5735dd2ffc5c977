"""The root key `rng`: whose seeds components and simulators draw with, and what is warned of."""

import pytest

from descriptions import edited, plan_of, write
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.streams import key, simulator_seed

NAMED = ("rng.generators", {"own": {"seed": 8}, "derived": {"strategy": "numpy"}})


def seeds(tmp_path, *edits):
    plan = plan_of(tmp_path, edited(NAMED, *edits))
    return {name: part.slice.get("seed") for name, part in plan.parts.items() if "/" in name}


def test_a_component_draws_with_the_generator_that_it_names(tmp_path):
    edits = ("placement.lower.rng", "own"), ("connectivity.a_to_b.rng", "derived")
    derived = key(7, "rng", "generator", "derived") % 2**63
    assert seeds(tmp_path)["place/lower"] == seeds(tmp_path)["connect/a_to_b"] == 7
    found = seeds(tmp_path, *edits)
    assert (found["place/lower"], found["place/upper"], found["connect/a_to_b"]) == (8, 7, derived)
    varied = seeds(tmp_path, *edits, ("rng.seed", 9))
    assert (varied["place/lower"], varied["place/upper"]) == (8, 9) and varied["connect/a_to_b"] not in (9, derived)


def test_a_generator_that_no_component_names_changes_no_slice(tmp_path):
    plain = plan_of(tmp_path, edited()).parts
    with_generators = plan_of(tmp_path, edited(NAMED)).parts
    assert {n for n in plain if plain[n].digest != with_generators[n].digest} == {"parse"}


def test_settings_of_a_simulation(tmp_path):
    settings = ("rng.settings", {"kernel": {"strategy": "nest"}, "fixed": {"strategy": "nest", "seed": 5}})

    def rng_seed(*edits):
        return plan_of(tmp_path, edited(settings, *edits)).parts["simulate/rest"].slice["run"]["rng_seed"]

    assert rng_seed() is None
    assert rng_seed(("simulations.rest.rng", "fixed")) == 5
    assert rng_seed(("simulations.rest.rng", "kernel")) == simulator_seed(7, "rng", "settings", "kernel")


def test_another_bit_generator_is_a_warning(tmp_path):
    def warnings(value):
        return [str(w) for w in load(write(tmp_path, edited(("rng.bit_generator", value)))).warnings]

    assert warnings("Philox") == []
    (warning,) = warnings("PCG64")
    assert "rng.bit_generator: PCG64 is not used: every stream is one of Philox" in warning
    tree = edited(("rng.generators", {"x": {"bit_generator": "MT19937"}}))
    assert "rng.generators.x.bit_generator: MT19937 is not used" in str(load(write(tmp_path, tree)).warnings[0])


MISTAKES = [
    (("rng.bit_generator", "PCG65"), "rng.bit_generator: should be: one of MT19937, PCG64, PCG64DXSM, Philox, SFC64"),
    (("rng.generators", {"x": {"strategy": "rust"}}), "rng.generators.x.strategy: should be: one of numpy"),
    (("rng.generators", {"x": {"sed": 1}}), 'rng.generators.x.sed: unknown key "sed"; did you mean "seed"?'),
    (("rng.settings", {"x": {"strategy": "nest", "seed": 0}}), "rng.settings.x.seed: should be: a whole number >= 1"),
    (("rng.settings", {"x": {"seed": 1}}), 'rng.settings.x: "strategy" is missing'),
    (("placement.lower.rng", "x"), 'placement.lower.rng: no generator "x" (rng.generators: none)'),
]


@pytest.mark.parametrize(("edit", "words"), MISTAKES)
def test_mistakes(tmp_path, edit, words):
    with pytest.raises(UserError) as raised:
        load(write(tmp_path, edited(edit)))
    (mistake,) = raised.value.mistakes
    assert words in str(mistake) and "circuit.yaml:" in mistake.where
