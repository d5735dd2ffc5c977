"""The root key `rng`: the root seed, named seeds that components draw with instead, and those handed to simulators.

Every stream is keyed (see `streams`), so a generator is a seed and nothing else: what draws with one of its own stays
the same while the root seed is varied. A seed that is not given follows from the root seed and the name.
"""

from collections.abc import Iterator
from typing import ClassVar

from snakefold.config import types
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import Mistake
from snakefold.streams import key, simulator_seed

DEFAULT_SEED = 1
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")  # NumPy's, which the BSB takes by name
MOST_SEED = 2**64 - 1


def _bit_generator() -> Attribute:
    return Attribute(
        types.Choice(*BIT_GENERATORS),
        doc="Accepted as the BSB's; streams are keyed ones of Philox here, and another name is a warning.",
        semantic=False,
    )


def _strategy(*names: str) -> Attribute:
    return Attribute(types.Choice(*names), default=names[0], doc="What it is; there is one.", semantic=False)


class Generator(Node):
    """A named seed, for components that name it under `rng`."""

    strategy = _strategy("numpy", "NumpyRng", "bsb.rng.NumpyRng")
    seed = Attribute(types.integer(min=0, max=MOST_SEED), doc="Seed; from the root seed and its name if not given.")
    bit_generator = _bit_generator()


class Settings(Node):
    """A named seed of a simulator's own generators, for simulations that name it under `rng`."""

    strategy = Attribute(
        types.Choice("nest", "NestRngSettings", "bsb_nest.rng.NestRngSettings"),
        required=True,
        doc="The simulator.",
        semantic=False,
    )
    seed = Attribute(
        types.integer(min=1, max=2**32 - 1), doc="Seed of NEST; from the root seed and its name if not given."
    )


class Rng(Node):
    """Random numbers."""

    strategy = _strategy("numpy", "NumpyRng", "bsb.rng.NumpyRng")
    seed = Attribute(types.integer(min=0), doc="Root seed, from which every stream is keyed.")
    bit_generator = _bit_generator()
    generators = Attribute(
        types.DictOf(types.NodeOf(Generator)),
        default=lambda node: {},
        doc="Named seeds; a component that names one under `rng` draws with it instead of the root seed.",
    )
    settings = Attribute(
        types.DictOf(types.NodeOf(Settings)),
        default=lambda node: {},
        doc="Named seeds of simulators; a simulation names one under `rng`.",
    )

    TABLES: ClassVar[dict[str, str]] = {"generators": "rng.generators", "settings": "rng.settings"}

    def warnings(self) -> Iterator[Mistake]:
        """Yield which names of generators are not followed."""
        for node in (self, *self.generators.values()):
            if node.bit_generator not in (None, "Philox"):
                what = f"{node.bit_generator} is not used: every stream is one of Philox"
                yield Mistake(what, (*node.path, "bit_generator"))


def drawn_with() -> Attribute:
    """Return the attribute `rng` of a component that draws."""
    return Attribute(
        types.Reference("rng.generators", "generator"),
        doc="One of rng.generators, to draw with its seed instead of the root seed.",
        semantic=False,  # the seed is in the slice
    )


def root_seed(rng: Rng | None) -> int:
    """Return the root seed."""
    return DEFAULT_SEED if rng is None or rng.seed is None else rng.seed


def seed_of(component: Node, rng: Rng | None) -> int:
    """Return the seed that a component draws with."""
    name = getattr(component, "rng", None)
    if name is None or rng is None:
        return root_seed(rng)
    seed = rng.generators[name].seed
    return key(root_seed(rng), "rng", "generator", name) % 2**63 if seed is None else seed


def own_seed(component: Node, rng: Rng | None) -> dict[str, int]:
    """Return {"seed": ...} for the slice of a component that names a generator, {} for any other."""
    return {"seed": seed_of(component, rng)} if getattr(component, "rng", None) is not None else {}


def simulator_seed_of(simulation: Node, rng: Rng | None) -> int | None:
    """Return the seed that a simulation hands to its simulator, None where it names none of rng.settings."""
    if simulation.rng is None or rng is None:
        return None
    seed = rng.settings[simulation.rng].seed
    return simulator_seed(root_seed(rng), "rng", "settings", simulation.rng) if seed is None else seed
