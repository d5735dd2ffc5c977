"""Checks the description of a simulation against the NEST that will run it, without importing NEST.

What NEST would refuse is answered "no", with all mistakes at once; what could not be asked is "unreachable". The order
follows what depends on what: settings and modules, then models, then their parameters, then trial connections between
instances with the parameters that were accepted. A mistake ends the questions that depend on it, so it is told once.
"""

import sys
from collections.abc import Callable, Iterable, Mapping

from snakefold.errors import Path, did_you_mean, listed, nearest
from snakefold.nest.catalogue import Catalogue
from snakefold.nest.client import Unreachable
from snakefold.nest.devices import role_fault
from snakefold.nest.distributions import fault, samples
from snakefold.nest.modules import has_nestml, installable, label
from snakefold.nest.refusals import is_finite, name_fault, refused, value_fault
from snakefold.nest.trials import Trials
from snakefold.nest.values import numbers_of
from snakefold.nest.verdicts import UNREACHABLE, Verdict, mistakes, read_verdicts, unreachable, write_verdicts

__all__ = [
    "Verdict",
    "mistakes",
    "read_verdicts",
    "unreachable",
    "validate",
    "validate_all",
    "write_verdicts",
]


def validate(simulation: Mapping, *, timeout_s: float = 60.0, python: str = sys.executable) -> list[Verdict]:
    """Return a verdict for everything that is asked about one simulation.

    Parameters
    ----------
    simulation : its slice, plain JSON, that knows where its modules are (`modules.located`)
    timeout_s, python : of the kernel process
    """
    return validate_all([simulation], timeout_s=timeout_s, python=python)[simulation["name"]]


def validate_all(
    simulations: Iterable[Mapping], *, timeout_s: float = 60.0, python: str = sys.executable
) -> dict[str, list[Verdict]]:
    """Return the verdicts of several simulations by name; those with the same modules share a kernel."""
    groups: dict[tuple[str, ...], list[Mapping]] = {}
    for simulation in simulations:
        modules = map(installable, simulation["run"]["modules"])
        groups.setdefault(tuple(module for module in modules if module is not None), []).append(simulation)
    verdicts = {}
    for modules, group in groups.items():
        with Catalogue(modules, timeout_s, python) as catalogue:
            for simulation in group:
                verdicts[simulation["name"]] = _Validation(simulation, catalogue).verdicts()
    return verdicts


class _Validation(Trials):
    """The questions about one simulation."""

    def verdicts(self) -> list[Verdict]:
        """Return what was found out, in the order of asking."""
        self._check_numbers()
        if self._check_settings():
            for phase in (self._ask_models, self._ask_parameters, self._ask_recordables, self._ask_connections):
                phase()
                self._flush()
        return list(self.found)

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
            for name, number in numbers_of(synapse).items():
                if why := fault(number):
                    self._add((*path, name), f"{name}, {connection['source']} to {connection['target']}", why)
        for name, device in self.simulation["devices"].items():
            for key, number in device["constants"].items():
                if isinstance(number, dict) and (why := fault(number)):
                    self._add((*self.root, "devices", name, "constants", key), f"{key} of {name}", why)

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
            asked.append({"ask": "settings", "resolution": resolution, "others": run.get("wfr", {})})
        about, models, *settings = self.catalogue.ask(asked)
        for answer in (about, models, *settings):
            if isinstance(answer, Unreachable):
                self._add(root, "NEST", answer.message, UNREACHABLE)
                return False
        self.models = models
        for name in run.get("wfr", {}) if settings else ():
            why = settings[0]["wrong"].get(name)
            self._add((*root, name), name, f"cannot be {run['wfr'][name]} {why['message']}".rstrip() if why else "")
        if settings and (why := settings[0]["wrong"].get("resolution")):
            self._add((*root, "resolution"), "resolution", f"{resolution:g} ms: {why['message']}")
        elif good:
            self.resolution = resolution
        if run["threads"] > 1 and not about["have_threads"]:
            self._add((*root, "threads"), "threads", f"this NEST has no threads (got: {run['threads']})")
        for i, module in enumerate(run["modules"]):
            self._add_module((*root, "modules", i), module, about["refused_modules"])
        return True

    def _add_module(self, path: Path, module: str | Mapping, refused_modules: Mapping[str, Mapping]) -> None:
        name, message, answer = f'module "{label(module)}"', "", ""
        if installable(module) is None:
            message, answer = "not compiled yet; what uses it is checked by a job, after the one that does", UNREACHABLE
            if not has_nestml():
                message += "; NESTML is not installed here (pip install 'snakefold[nestml]')"
        elif why := refused_modules.get(installable(module)):
            message = f"{name} cannot be installed: {why['message']}"
        if message:
            self.missing_modules.append(module)
        self._add(path, name, message, answer)

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
            for module in self.missing_modules:
                if "models" in module and model in module["models"][kind]:
                    self._add(path, question, f"it is in {label(module)}, which is not there to be asked", UNREACHABLE)
                    return
            other = "synapse" if kind == "node" else "node"
            names = [*self.models[kind], *self._names_in_missing(kind)]
            message = f'no NEST {word} "{model}"'
            if model in self.models[other] or model in self._names_in_missing(other):
                message += f"; that is a {other} model"
            elif near := did_you_mean(model, names):
                message += near
            else:
                message += f" ({len(names)} {word}s are installed; extension modules are named under modules)"
            unknown = [label(module) for module in self.missing_modules if "models" not in module]
            if unknown:
                self._add(path, question, f"{message}; {listed(unknown)} could not be installed", UNREACHABLE)
            else:
                self._add(path, question, message)

        self._later({"ask": kind, "model": model}, path, question, then)

    def _names_in_missing(self, kind: str) -> list[str]:
        """Return the models that are known to be in modules that are not there."""
        return [name for module in self.missing_modules if "models" in module for name in module["models"][kind]]

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
                constants = {key: n for key, n in device["constants"].items() if not isinstance(n, dict)}
                drawn = {key: n for key, n in device["constants"].items() if isinstance(n, dict) and not fault(n)}
                constants |= {key: samples(number)[0] for key, number in drawn.items()}
                if device.get("interval") is not None:
                    constants["interval"] = device["interval"]
                own = (*path, "constants") if external else path
                self._ask_set("set_node", model, path, constants, place=lambda key, own=own: (*own, key))
        for _, path, synapse in self._each_synapse():
            if synapse["model"] in self.synapses:
                self._ask_synapse_parameters(path, synapse)

    def _ask_synapse_parameters(self, path: Path, synapse: Mapping) -> None:
        """Ask about constants, and then about typical and extreme values of what differs between synapses."""
        model, constants_at, parameters_at = synapse["model"], (*path, "constants"), (*path, "parameters")
        drawn = {key: samples(number) for key, number in synapse.get("parameters", {}).items() if not fault(number)}
        typical = {key: given[0] for key, given in drawn.items() if given}
        self._check_names(parameters_at, model, set(drawn) - set(typical), self.synapses[model]["keys"])

        def extremes() -> None:
            taken, beside = self.accepted[parameters_at], self.accepted[constants_at]
            for at in range(1, max(map(len, drawn.values()), default=0)):
                values = {key: given[at] for key, given in drawn.items() if at < len(given) and key in taken}
                self._ask_set("set_synapse", model, parameters_at, values, beside, keep=False)

        def then() -> None:
            self._ask_set("set_synapse", model, parameters_at, typical, self.accepted[constants_at], then=extremes)

        self._ask_set("set_synapse", model, constants_at, synapse["constants"], then=then)

    def _check_names(self, path: Path, model: str, names: Iterable[str], keys: Mapping[str, str]) -> None:
        """Check the names of parameters of whose values nothing is known."""
        for key in sorted(names):
            self._add((*path, key), f'{key} of "{model}"', name_fault(model, key, keys))

    def _ask_cell(self, path: Path, cell: Mapping) -> None:
        """Ask about constants and typical values of parameters together, and then about the parameters' extremes."""
        drawn = {}
        for key, number in cell["parameters"].items():
            if not fault(number):
                drawn[key] = samples(number) if isinstance(number, dict) else [number]
        typical = {key: given[0] for key, given in drawn.items() if given}
        unknown = set(drawn) - set(typical)
        self._check_names((*path, "parameters"), cell["model"], unknown, self.nodes[cell["model"]]["keys"])
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

        def leave_out(key: str) -> None:
            if keys.get(nearest(key, keys)) == "list":
                self.incomplete.add(path)

        for key, value in given.items():
            if why := value_fault(key, value, keys, own=ask == "set_synapse"):
                self._add(place(key), f'{key} of "{model}"', why)
                leave_out(key)
            else:
                asked[key] = value

        def answered(answer: dict) -> None:
            wrong = answer["wrong"]
            if wrong and not wrong.keys() & asked.keys():  # what is refused is what they make of those beside them
                wrong = dict.fromkeys(asked, next(iter(wrong.values())))
            for key, value in asked.items():
                message = refused(model, key, value, wrong[key], keys) if key in wrong else ""
                self._add(place(key), f'{key} of "{model}"', message)
            for key in wrong:
                leave_out(key)
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
