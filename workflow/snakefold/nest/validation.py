"""Checks the description of a simulation against the NEST that will run it, without importing NEST.

What NEST would refuse is answered "no", with all mistakes at once; what could not be asked is "unreachable". The order
follows what depends on what: settings and modules, then models, then their parameters, then trial connections between
instances with the parameters that were accepted. A mistake ends the questions that depend on it, so it is told once.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath

from snakefold.errors import Path, did_you_mean, listed
from snakefold.nest.catalogue import Catalogue
from snakefold.nest.client import Unreachable
from snakefold.nest.devices import role_fault
from snakefold.nest.distributions import fault, samples
from snakefold.nest.refusals import is_finite, refused, value_fault
from snakefold.nest.verdicts import NO, UNREACHABLE, YES, Verdict, mistakes, read_verdicts, unreachable, write_verdicts

__all__ = [
    "Verdict",
    "mistakes",
    "read_verdicts",
    "unreachable",
    "validate",
    "validate_all",
    "write_verdicts",
]

_RECEPTOR = ("UnknownReceptorType", "IncompatibleReceptorType")


def validate(simulation: Mapping, *, timeout_s: float = 60.0, python: str = sys.executable) -> list[Verdict]:
    """Return a verdict for everything that is asked about one simulation.

    Parameters
    ----------
    simulation : its slice, plain JSON
    timeout_s, python : of the kernel process
    """
    return validate_all([simulation], timeout_s=timeout_s, python=python)[simulation["name"]]


def validate_all(
    simulations: Iterable[Mapping], *, timeout_s: float = 60.0, python: str = sys.executable
) -> dict[str, list[Verdict]]:
    """Return the verdicts of several simulations by name; those with the same modules share a kernel."""
    groups: dict[tuple[str, ...], list[Mapping]] = {}
    for simulation in simulations:
        groups.setdefault(tuple(module_names(simulation)), []).append(simulation)
    verdicts = {}
    for modules, group in groups.items():
        with Catalogue(modules, timeout_s, python) as catalogue:
            for simulation in group:
                verdicts[simulation["name"]] = _Validation(simulation, catalogue).verdicts()
    return verdicts


def module_names(simulation: Mapping) -> list[str]:
    """Return the modules of a simulation as NEST takes them: files as absolute paths, others as they are."""
    named = simulation["run"].get("modules") or []
    return [str(FilePath(m).absolute()) if "/" in m or FilePath(m).is_file() else m for m in named]


class _Validation:
    """The questions about one simulation."""

    def __init__(self, simulation: Mapping, catalogue: Catalogue):
        self.simulation, self.catalogue = simulation, catalogue
        self.root: Path = ("simulations", simulation["name"])
        self.found: dict[Verdict, None] = {}
        self.pending: list[tuple[dict, Path, str, Callable]] = []
        self.resolution: float | None = None
        self.models: dict[str, list[str]] = {"node": [], "synapse": []}
        self.bad_modules: dict[str, dict] = {}
        self.nodes: dict[str, dict] = {}
        self.synapses: dict[str, dict] = {}
        self.accepted: dict[Path, dict] = {}  # path of constants -> those that NEST took
        self.recordables: dict[str, list[str]] = {}

    def verdicts(self) -> list[Verdict]:
        """Return what was found out, in the order of asking."""
        self._check_numbers()
        if self._check_settings():
            for phase in (self._ask_models, self._ask_parameters, self._ask_recordables, self._ask_connections):
                phase()
                self._flush()
        return list(self.found)

    def _add(self, path: Path, question: str, message: str = "", answer: str = "") -> None:
        self.found[Verdict(path, question, answer or (NO if message else YES), message)] = None

    def _later(self, query: dict, path: Path, question: str, then: Callable[[dict], None]) -> None:
        self.pending.append((query, path, question, then))

    def _flush(self) -> None:
        while self.pending:
            pending, self.pending = self.pending, []
            answers = self.catalogue.ask([query for query, *_ in pending])
            for (_, path, question, then), answer in zip(pending, answers, strict=True):
                if isinstance(answer, Unreachable):
                    self._add(path, question, answer.message, UNREACHABLE)
                else:
                    then(answer)

    # Numbers

    def _check_numbers(self) -> None:
        """Refuse numbers that are none, also where NEST cannot be asked."""
        for name, cell in self.simulation["cells"].items():
            path = (*self.root, "cell_models", name)
            for key, value in cell["constants"].items():
                if not is_finite(value):
                    self._add((*path, "constants", key), f'{key} of "{cell["model"]}"', value_fault(key, value, {}))
            for key, number in cell["parameters"].items():
                if why := fault(number):
                    self._add((*path, "parameters", key), f'{key} of "{cell["model"]}"', why)
        for connection, path, synapse in self._each_synapse():
            for name in ("weight", "delay"):
                if synapse[name] is not None and (why := fault(synapse[name])):
                    self._add((*path, name), f"{name}, {connection['source']} to {connection['target']}", why)

    # Settings and modules

    def _check_settings(self) -> bool:
        """Check what stands for itself; return whether NEST can be asked at all."""
        run, root = self.simulation["run"], self.root
        duration, resolution = run["duration"], run["resolution"]
        good = True
        for name in ("duration", "resolution"):
            why = fault(run[name]) or ("" if run[name] > 0 else f"{name} should be above 0 (got: {run[name]:g})")
            self._add((*root, name), name, why)
            good = good and not why
        if good and abs(round(duration / resolution) * resolution - duration) > 1e-6:
            message = f"{duration:g} ms should be a multiple of the resolution, {resolution:g} ms"
            self._add((*root, "duration"), "duration on the grid", message)
        asked = [{"ask": "about"}, {"ask": "models"}]
        if good:
            asked.append({"ask": "settings", "resolution": resolution})
        about, models, *settings = self.catalogue.ask(asked)
        for answer in (about, models, *settings):
            if isinstance(answer, Unreachable):
                self._add(root, "NEST", answer.message, UNREACHABLE)
                return False
        self.models = models
        if settings and (why := settings[0]["wrong"].get("resolution")):
            self._add((*root, "resolution"), "resolution", f"{resolution:g} ms: {why['message']}")
        elif good:
            self.resolution = resolution
        if run["threads"] > 1 and not about["have_threads"]:
            self._add((*root, "threads"), "threads", f"this NEST has no threads (got: {run['threads']})")
        self.bad_modules = about["refused_modules"]
        for i, (given, module) in enumerate(zip(run.get("modules") or [], module_names(self.simulation), strict=True)):
            why = self.bad_modules.get(module)
            message = f'module "{given}" cannot be installed: {why["message"]}' if why else ""
            self._add((*root, "modules", i), f'module "{given}"', message)
        return True

    # Models

    def _ask_models(self) -> None:
        for name, cell in self.simulation["cells"].items():
            self._ask_model("node", cell["model"], (*self.root, "cell_models", name, "model"), self.nodes)
        for name, device in self.simulation["devices"].items():
            key = "nest_model" if device.get("external") else "device"
            self._ask_model("node", device["nest_model"], (*self.root, "devices", name, key), self.nodes)
        for _, path, synapse in self._each_synapse():
            self._ask_model("synapse", synapse["model"], (*path, "model"), self.synapses)

    def _ask_model(self, kind: str, model: str, path: Path, known: dict[str, dict]) -> None:
        word = "model" if kind == "node" else "synapse model"
        question = f'NEST {word} "{model}"'

        def then(answer: dict) -> None:
            if answer["known"]:
                known[model] = answer
                self._add(path, question)
                return
            other = "synapse" if kind == "node" else "node"
            message = f'no NEST {word} "{model}"'
            if model in self.models[other]:
                message += f"; that is a {other} model"
            elif near := did_you_mean(model, self.models[kind]):
                message += near
            else:
                message += f" ({len(self.models[kind])} {word}s are installed; nestml modules are named under modules)"
            if self.bad_modules:
                self._add(path, question, f"{message}; the modules could not all be installed", UNREACHABLE)
            else:
                self._add(path, question, message)

        self._later({"ask": kind, "model": model}, path, question, then)

    def _each_synapse(self) -> Iterable[tuple[dict, Path, dict]]:
        for connection in self.simulation["connections"].values():
            for i, synapse in enumerate(connection["synapses"]):
                yield connection, (*self.root, "connection_models", connection["key"], "synapses", i), synapse

    # Parameters

    def _ask_parameters(self) -> None:
        for name, cell in self.simulation["cells"].items():
            if cell["model"] in self.nodes:
                self._ask_cell((*self.root, "cell_models", name), cell)
        for name, device in self.simulation["devices"].items():
            model, path = device["nest_model"], (*self.root, "devices", name)
            if model in self.nodes:
                external = device.get("external", False)
                if external and (why := role_fault(model, self.nodes[model])):
                    self._add((*path, "nest_model"), f'role of "{model}"', why)
                    continue
                constants = dict(device["constants"])
                if device.get("interval") is not None:
                    constants["interval"] = device["interval"]
                own = (*path, "constants") if external else path
                self._ask_set("set_node", model, path, constants, place=lambda key, own=own: (*own, key))
        for _, path, synapse in self._each_synapse():
            if synapse["model"] in self.synapses:
                self._ask_set("set_synapse", synapse["model"], (*path, "constants"), synapse["constants"])

    def _ask_cell(self, path: Path, cell: Mapping) -> None:
        """Ask about constants and typical values of parameters together, and then about the parameters' extremes."""
        drawn = {}
        for key, number in cell["parameters"].items():
            if not fault(number):
                drawn[key] = samples(number) if isinstance(number, dict) else [number]
        typical = {key: given[0] for key, given in drawn.items()}
        accepted_at = (*path, "constants")

        def place(key: str) -> Path:
            return (*path, "parameters" if key in cell["parameters"] else "constants", key)

        def then() -> None:
            taken = self.accepted[accepted_at]
            for at in range(1, max(map(len, drawn.values()), default=0)):
                values = {key: given[at] for key, given in drawn.items() if at < len(given) and key in taken}
                beside = {key: value for key, value in taken.items() if key not in values}
                self._ask_set("set_node", cell["model"], path, values, beside, place=place, keep=False)

        given = dict(cell["constants"]) | typical
        self._ask_set("set_node", cell["model"], accepted_at, given, place=place, then=then)

    def _ask_set(
        self,
        ask: str,
        model: str,
        path: Path,
        given: Mapping,
        beside: Mapping | None = None,
        *,
        place: Callable[[str], Path] | None = None,
        then: Callable[[], None] = lambda: None,
        keep: bool = True,
    ) -> None:
        """Ask whether a model takes parameters; those that it takes go to `accepted`, under the path.

        beside : what is set together with them, and not asked about
        place : of a key in the description; under the path if not given
        """
        keys = (self.nodes if ask == "set_node" else self.synapses)[model]["keys"]
        place = place or (lambda key: (*path, key))
        asked = {}
        for key, value in given.items():
            if why := value_fault(key, value, keys, own=ask == "set_synapse"):
                self._add(place(key), f'{key} of "{model}"', why)
            else:
                asked[key] = value

        def answered(answer: dict) -> None:
            wrong = answer["wrong"]
            if wrong and not wrong.keys() & asked.keys():  # what is refused is what they make of those beside them
                wrong = dict.fromkeys(asked, next(iter(wrong.values())))
            for key, value in asked.items():
                message = refused(model, key, value, wrong[key], keys) if key in wrong else ""
                self._add(place(key), f'{key} of "{model}"', message)
            if keep:
                self.accepted[path] = {key: value for key, value in asked.items() if key not in wrong}
            then()

        if not asked:
            if keep:
                self.accepted[path] = {}
                then()
            return
        query = {"ask": ask, "model": model, "parameters": dict(beside or {}) | asked, "resolution": self.resolution}
        self._later(query, path, f'parameters of "{model}"', answered)

    def _instance(self, cell_type: str) -> list | None:
        """Return [model, parameters that were taken] of a cell type; None if its model is not known."""
        cell = self.simulation["cells"].get(cell_type)
        if cell is None or cell["model"] not in self.nodes:
            return None
        constants = self.accepted.get((*self.root, "cell_models", cell_type, "constants"))
        return None if constants is None else [cell["model"], constants]

    # Recordables

    def _ask_recordables(self) -> None:
        wanted = {t for d in self.simulation["devices"].values() if d["properties"] for t in d["targets"]}
        for cell_type in sorted(wanted):
            if instance := self._instance(cell_type):

                def then(answer: dict, cell_type: str = cell_type) -> None:
                    self.recordables[cell_type] = answer["recordables"]

                query = {"ask": "recordables", "model": instance[0], "parameters": instance[1]}
                path = (*self.root, "cell_models", cell_type)
                question = f'recordables of "{instance[0]}"'
                self._later(query | {"resolution": self.resolution}, path, question, then)

    # Connections

    def _ask_connections(self) -> None:
        for connection, path, synapse in self._each_synapse():
            if synapse["model"] in self.synapses:
                self._ask_synapse(connection, path, synapse)
        for name, device in self.simulation["devices"].items():
            self._ask_device((*self.root, "devices", name), device)

    def _ask_synapse(self, connection: Mapping, path: Path, synapse: Mapping) -> None:
        model, (source, target) = synapse["model"], (connection["source"], connection["target"])
        traits = self.synapses[model]
        weight_fault = fault(synapse["weight"])
        self._add((*path, "weight"), f"weight, {source} to {target}", weight_fault)
        delay, delay_fault = synapse["delay"], ""
        if traits["has_delay"]:
            delay_fault = self._delay_fault(delay) if delay is not None else f'"{model}" needs a delay (ms)'
        elif delay is not None:
            delay_fault = f'"{model}" has no delay; leave it out'
        self._add((*path, "delay"), f"delay, {source} to {target}", delay_fault)
        pre, post = self._instance(source), self._instance(target)
        constants = self.accepted.get((*path, "constants"))
        if weight_fault or delay_fault or pre is None or post is None or constants is None:
            return
        words = f'{source} ("{pre[0]}") to {target} ("{post[0]}") with "{model}"'

        def then(answer: dict) -> None:
            why = answer["refused"]
            if why is None:
                self._add((*path, "model"), f"connect {words}")
                return
            if why["kind"] in _RECEPTOR:
                where, message = "receptor_type", why["message"] + self._receptors(post[0])
            elif why["kind"] == "BadDelay":
                where, message = "delay", why["message"]
            else:
                where = "weight" if "weight" in why["message"].lower() else "model"
                message = f"{words} cannot be connected: {why['message']}"
            self._add((*path, where), f"connect {words}", message)

        delays = [None] if delay is None else samples(delay, self.resolution or 0.0)
        for weight in dict.fromkeys(samples(synapse["weight"])):
            tried = {
                "model": model,
                "constants": constants,
                "weight": weight,
                "delay": delays[0],
                "receptor_type": synapse["receptor_type"],
                "both_ways": traits["requires_symmetric"],
            }
            query = {"ask": "connect", "source": pre, "target": post, "synapse": tried, "resolution": self.resolution}
            self._later(query, (*path, "model"), f"connect {words}", then)

    def _delay_fault(self, delay: object) -> str:
        least = self.resolution or 0.0
        if isinstance(delay, dict):
            why = fault(delay, least)
            return why and f"{why}; a delay is at least the resolution, {least:g} ms"
        if why := fault(delay):
            return why
        below = delay < least * (1 - 1e-9)
        return f"{delay:g} ms is below the resolution, {least:g} ms" if below else ""

    def _receptors(self, model: str) -> str:
        types = self.nodes[model]["receptor_types"]
        return f' (receptor types of "{model}": {listed(f"{n} {name}" for name, n in types.items())})' if types else ""

    def _ask_device(self, path: Path, device: Mapping) -> None:
        constants, model = self.accepted.get(path), device["nest_model"]
        weight, delay = device["weight"], device["delay"]
        faults = {
            "weight": "" if weight is None else fault(weight),
            "delay": "" if delay is None else self._delay_fault(delay),
        }
        for name, why in faults.items():
            if device[name] is not None:
                self._add((*path, name), f"{name} of {path[-1]}", why)
        for target in device["targets"]:
            post = self._instance(target)
            recorded = self._recorded(path, device, target)
            if post is None or constants is None or any(faults.values()) or recorded is None:
                continue
            instance = [model, constants | ({"record_from": recorded} if recorded else {})]
            words = f'"{model}" and {target} ("{post[0]}")'

            def then(answer: dict, words: str = words, post: list = post) -> None:
                why = answer["refused"]
                where = "targetting"
                if why and why["kind"] in _RECEPTOR:
                    where = "receptor_type"
                elif why and why["kind"] == "BadDelay":
                    where = "delay"
                message = f"{words} cannot be connected: {why['message']}{self._receptors(post[0])}" if why else ""
                self._add((*path, where), f"connect {words}", message)

            synapse = {"weight": weight, "delay": delay, "receptor_type": device["receptor_type"]}
            query = {"ask": "connect_device", "device": instance, "target": post, "kind": device["kind"]}
            query |= {"synapse": synapse, "resolution": self.resolution}
            self._later(query, (*path, "targetting"), f"connect {words}", then)

    def _recorded(self, path: Path, device: Mapping, target: str) -> list[str] | None:
        """Return which properties can be recorded from a target; None if they should be some and are none."""
        if not device["properties"]:
            return []
        if target not in self.recordables:
            return None
        known = self.recordables[target]
        own = ("constants", "record_from") if device.get("external") else ("properties",)
        for i, name in enumerate(device["properties"]):
            message = ""
            if name not in known:
                model = self.simulation["cells"][target]["model"]
                near = did_you_mean(name, known)
                message = (
                    f'nothing to record called "{name}" in "{model}" ({target}){near} (recordables: {listed(known)})'
                )
            self._add((*path, *own, i), f'recordable "{name}" of {target}', message)
        return [name for name in device["properties"] if name in known] or None
