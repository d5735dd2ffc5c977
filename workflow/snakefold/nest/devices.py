"""The devices of a NEST simulation: stimuli and recorders."""

from collections.abc import Mapping
from typing import ClassVar

from snakefold.components import Component
from snakefold.config import types
from snakefold.config.context import current
from snakefold.config.nodes import Attribute, Node
from snakefold.errors import listed
from snakefold.nest.rules import RuleTargetting
from snakefold.nest.targetting import AllCells
from snakefold.nest.values import CELL_CONSTANT, has, number_of
from snakefold.rng import Rng, drawn_with, own_seed

# NEST's recorders that results are read from: their roles. Of what is recorded by others there are no results.
RECORDERS = {"spike_recorder": "spike_recorder", "multimeter": "multimeter", "voltmeter": "multimeter"}
_STIMULI = ("spike_train_injector",)  # which NEST takes for a neuron
_OF_METERS = ("record_from", "interval", "offset", "start", "stop", "origin")


def role_fault(model: str, defaults: Mapping[str, object]) -> str:
    """Return why a model of NEST can be no device of a description, or an empty string.

    Parameters
    ----------
    defaults : what NEST says of the model, `element_type` among it
    """
    element = str(defaults.get("element_type", ""))
    if model in RECORDERS or element == "stimulator" or model in _STIMULI:
        return ""
    if element == "recorder":
        return f'"{model}" records what no result is made of (recorders: {listed(RECORDERS)})'
    return f'"{model}" is no device; it is of the type "{element}"'


TARGETTING = types.OneOf(
    (has("rule"), types.NodeOf(RuleTargetting)), (lambda value: True, Component("targetting", "strategy", "all"))
)


class Device(Node):
    """Base of the devices."""

    kind: ClassVar[str] = "device"
    chosen_by: ClassVar[str] = "device"
    algorithm_version: ClassVar[int] = 1
    nest_model: ClassVar[str]
    role: ClassVar[str] = "stimulus"

    targetting = Attribute(
        TARGETTING,
        default=lambda node: AllCells.build({}, (*node.path, "targetting"), node),
        doc="What it is connected to: cells chosen by a strategy, or by a rule of NEST's; all cells if not given.",
    )
    weight = Attribute(types.number(), doc="Weight of its connections.")
    delay = Attribute(types.number(above=0), unit="ms", doc="Delay of its connections.")
    receptor_type = Attribute(types.integer(min=0), doc="Receptor port of its targets.")
    rng = drawn_with()

    def constants(self) -> dict:
        """Return the parameters of the NEST device: the attributes that the class itself declares."""
        common = {*Device._attributes, "properties", "units", "interval"}
        values = {a.name: getattr(self, a.name) for a in self.attributes() if a.name not in common}
        return {name: value for name, value in values.items() if value is not None}

    def made_as(self) -> str:
        """Return what results are made of: a spike_recorder, a multimeter, or nothing: a stimulus."""
        return self.role

    def resolved(self, simulated: list[str], n_cells: Mapping[str, int], rng: Rng | None = None) -> dict:
        """Return the device as plain JSON.

        Parameters
        ----------
        simulated : the cell types that are simulated
        n_cells : cell type -> wanted number, of those of which it is known
        rng : the seeds that it may name
        """
        targets = self.targetting.resolved(simulated, n_cells, rng) if self.targetting else {"targets": []}
        if "rule" in targets and self.made_as() != "stimulus":
            current().mistake((*self.targetting.path, "rule"), "not yet supported: a rule, for recorders")
        return {
            "nest_model": self.nest_model,
            "kind": self.made_as(),
            "constants": self.constants(),
            "weight": self.weight,
            "delay": self.delay,
            "receptor_type": self.receptor_type,
            "properties": getattr(self, "properties", []),
            "units": getattr(self, "units", []),
            "interval": getattr(self, "interval", None),
            **targets,
            **own_seed(self, rng),
        }


def _after_start(node: Node, stop: float) -> str | None:
    start = node.start or 0.0
    return None if stop > start else f"should be after the start, {start:g} ms (got: {stop:g})"


class _Timed(Device):
    """A device that is active for a while."""

    start = Attribute(types.number(min=0), unit="ms", doc="When it starts.")
    stop = Attribute(
        types.number(min=0),
        unit="ms",
        constraint=_after_start,
        doc="When it stops; the end of the simulation if not given.",
    )


class PoissonGenerator(_Timed):
    """Independent Poisson spike trains to each of its targets."""

    nest_model: ClassVar[str] = "poisson_generator"

    rate = Attribute(types.number(min=0), required=True, unit="Hz", doc="Rate.")


class SinusoidalPoissonGenerator(_Timed):
    """Independent spike trains to each of its targets: Poisson, with a rate that oscillates (and is cut off at 0)."""

    nest_model: ClassVar[str] = "sinusoidal_poisson_generator"

    rate = Attribute(types.number(min=0), required=True, unit="Hz", doc="Mean rate.")
    amplitude = Attribute(types.number(), required=True, unit="Hz", doc="Amplitude of the oscillation.")
    frequency = Attribute(types.number(min=0), required=True, unit="Hz", doc="Frequency of the oscillation.")
    phase = Attribute(types.number(), default=0.0, unit="deg", doc="Phase of the oscillation (of its sine) at 0 ms.")


class DcGenerator(_Timed):
    """A constant current."""

    nest_model: ClassVar[str] = "dc_generator"

    amplitude = Attribute(types.number(), required=True, unit="pA", doc="Current.")


class SpikeGenerator(_Timed):
    """Spikes at given times."""

    nest_model: ClassVar[str] = "spike_generator"

    spike_times = Attribute(
        types.ListOf(types.number(above=0)), required=True, unit="ms", doc="Spike times, ascending."
    )


class SpikeRecorder(Device):
    """Records spikes to spikes.h5; several recorders write one file, without duplicates."""

    nest_model: ClassVar[str] = "spike_recorder"
    role: ClassVar[str] = "spike_recorder"


class Multimeter(Device):
    """Records state variables, one SONATA report for each."""

    nest_model: ClassVar[str] = "multimeter"
    role: ClassVar[str] = "multimeter"

    properties = Attribute(
        types.ListOf(types.string(), least=1, distinct=True), required=True, doc="Recordables, as in [V_m]."
    )
    units = Attribute(types.ListOf(types.string()), default=lambda node: [], doc="Unit of each, as in [mV].")
    interval = Attribute(
        types.number(above=0), unit="ms", doc="Time between samples; the resolution of the simulation if not given."
    )


class External(Device):
    """Any device of NEST: a stimulus, or one of the recorders spike_recorder, multimeter and voltmeter."""

    nest_model = Attribute(types.string(), required=True, doc="Name of the NEST model of the device.")
    parameters = Attribute(
        types.DictOf(CELL_CONSTANT, names=False),
        default=lambda node: {},
        key="constants",
        doc="Parameters of the NEST model, in NEST's units: values, or {distribution: ...} for one that is drawn.",
    )

    def made_as(self) -> str:
        return RECORDERS.get(self.nest_model, "stimulus")

    def constants(self) -> dict:
        return {key: number_of(value) for key, value in (self.parameters or {}).items()}

    def resolved(self, simulated: list[str], n_cells: Mapping[str, int], rng: Rng | None = None) -> dict:
        made = super().resolved(simulated, n_cells, rng) | {"external": True}
        constants = made["constants"]
        if made["kind"] == "spike_recorder":
            for key in constants:
                self._mistake(key, f'not yet supported: "{key}" of a spike recorder; they all record from start to end')
        if made["kind"] == "multimeter":
            for key in [key for key in constants if key not in _OF_METERS]:
                self._mistake(key, f'"{key}" cannot be given here (constants: {listed(_OF_METERS)})')
            made["properties"] = self._recorded(constants.pop("record_from", None))
            made["interval"] = self._interval(constants.pop("interval", 1.0))
        return made

    def _mistake(self, key: str, message: str) -> None:
        current().mistake((*self.path, "constants", key), message)

    def _recorded(self, given: object) -> list[str]:
        if given is None and self.nest_model == "voltmeter":
            return ["V_m"]
        if given is None:
            current().mistake((*self.path, "constants"), '"record_from" is missing (Recordables, as in [V_m])')
            return []
        names = [given] if isinstance(given, str) else given
        good = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
        if not good or len(set(names)) < len(names):
            self._mistake("record_from", f"should be: a list of distinct recordables, as in [V_m] (got: {given!r:.60})")
            return []
        return names

    def _interval(self, given: object) -> float:
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1e12:
            self._mistake("interval", f"should be: a number > 0, ms (got: {given!r:.60})")
            return 1.0
        return float(given)


def report_file(device: str, properties: list[str], variable: str) -> str:
    """Return the file name of the report of one of the variables that a multimeter records."""
    return f"{device}.h5" if len(properties) == 1 else f"{device}_{variable}.h5"
