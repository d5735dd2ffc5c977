"""Trials: whether instances of models, with the parameters that NEST took, can be connected and recorded."""

import math
from collections.abc import Mapping

from snakefold.errors import Path, did_you_mean, listed
from snakefold.nest.distributions import fault, samples
from snakefold.nest.inquiry import Inquiry
from snakefold.nest.kernel import RECEPTOR
from snakefold.nest.rules import misnamed, place_of, trial
from snakefold.nest.values import numbers_of

_OF_SYNAPSES = (*RECEPTOR, "BadDelay", "IllegalConnection")


class Trials(Inquiry):
    """The trials of one simulation."""

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
        for connection in self.simulation["connections"].values():
            if "rule" in connection:
                self._ask_rule(connection)
        for name, device in self.simulation["devices"].items():
            self._ask_device((*self.root, "devices", name), device)

    def _ask_rule(self, connection: Mapping) -> None:
        """Try the rule between the models, with those of their synapses that were accepted."""
        rule, path = connection["rule"], (*self.root, "connection_models", connection["key"])
        source, target = connection["source"], connection["target"]
        pre, post, synapses = self._instance(source), self._instance(target), []
        if not self._rule_is_known(path, rule) or pre is None or post is None:
            return
        for i, synapse in enumerate(connection["synapses"]):
            constants = self.accepted.get((*path, "synapses", i, "constants"))
            if constants is None or any(map(fault, numbers_of(synapse).values())):
                return
            given = {key: self._typical(key, number) for key, number in numbers_of(synapse).items()}
            given |= {"receptor_type": self._typical("receptor_type", synapse["receptor_type"])}
            given = {key: value for key, value in given.items() if value is not None}
            synapses.append({"synapse_model": synapse["model"], "constants": constants, **given})
        words = f"{source} to {target} by {rule['rule']}"

        def then(answer: dict) -> None:
            why = answer["refused"]
            if why is None:
                self._add((*path, "rule"), words)
            elif why["kind"] not in _OF_SYNAPSES:  # which are told where the synapses are tried
                self._add((*path, *place_of(rule, why["message"])), words, f"{words}: {why['message']}")

        query = {"ask": "connect_by_rule", "source": pre, "target": None if source == target else post}
        query |= {"rule": trial(rule), "synapses": synapses, "resolution": self.resolution}
        self._later(query, (*path, "rule"), words, then)

    def _rule_is_known(self, path: Path, rule: Mapping) -> bool:
        """Check the name of a rule; return whether it can be tried."""
        name, known = rule["rule"], self.models["rule"]
        message = "" if name in known else f'NEST has no rule "{name}"{did_you_mean(name, known)} ({listed(known)})'
        self._add((*path, "rule"), f'rule "{name}"', message)
        return not message and not any(misnamed(name, rule))

    def _typical(self, name: str, number: object) -> object:
        """Return a value of a number that has no fault; None where none is known."""
        if not isinstance(number, dict):
            return number
        return next(iter(samples(number, (self.resolution or 0.0) if name == "delay" else -math.inf)), None)

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
        if (partner := self._partner(model)) not in (None, post[0]):
            message = f'"{model}" is made for the target model "{partner}" (got: "{post[0]}" of {target})'
            self._add((*path, "model"), f"connect {words}", message)
            return

        def then(answer: dict) -> None:
            why = answer["refused"]
            for name in answer["common"]:
                message = f'{name} is common to all synapses of "{model}"; it cannot be drawn or computed'
                self._add((*path, "parameters", name), f'{name} of "{model}"', message)
            if why is None:
                self._add((*path, "model"), f"connect {words}")
                return
            if any((*self.root, "cell_models", end, "constants") in self.incomplete for end in (source, target)):
                return  # what it is without the parameters that were refused says nothing of what it will be
            if why["kind"] in RECEPTOR:
                where, message = "receptor_type", why["message"] + self._receptors(post[0], answer["ports"])
            elif why["kind"] == "BadDelay":
                where, message = "delay", why["message"]
            else:
                where = "weight" if "weight" in why["message"].lower() else "model"
                message = f"{words} cannot be connected: {why['message']}"
                if "volume transmitter" in why["message"]:
                    message += " That is not yet supported; take a synapse that needs none"
            self._add((*path, where), f"connect {words}", message)

        parameters = self.accepted.get((*path, "parameters"), {})
        weights = list(dict.fromkeys(samples(synapse["weight"]))) or [None]
        receptor = synapse["receptor_type"]
        ports = samples(receptor) if isinstance(receptor, dict) else [receptor]
        for weight, port in [(w, next(iter(ports), None)) for w in weights] + [(weights[0], p) for p in ports[1:]]:
            tried = {
                "model": model,
                "constants": constants,
                "weight": weight,
                "delay": self._typical("delay", delay),
                "receptor_type": port,
                "both_ways": traits["requires_symmetric"],
                **({"parameters": parameters} if parameters else {}),
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

    def _partner(self, synapse: str) -> str | None:
        """Return the neuron model that a synapse was generated with by NESTML, whose class NEST takes for granted."""
        name, _, neuron = synapse.removesuffix("_hpc").removesuffix("_lbl").partition("__with_")
        partner = f"{neuron}__with_{name}"
        return partner if partner in self.models["node"] else None

    def _receptors(self, model: str, ports: list[int]) -> str:
        known = {number: name for name, number in self.nodes[model]["receptor_types"].items()}
        return f' (receptor types of "{model}": {listed(f"{n} {known.get(n, str())}".strip() for n in ports)})'

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
        if "rule" in device and not self._rule_is_known((*path, "targetting"), device["rule"]):
            return
        for target in device["targets"]:
            post = self._instance(target)
            recorded = self._recorded(path, device, target)
            if post is None or constants is None or any(faults.values()) or recorded is None:
                continue
            instance = [model, constants | ({"record_from": recorded} if recorded else {})]
            words = f'"{model}" and {target} ("{post[0]}")'

            def then(answer: dict, words: str = words, post: list = post, target: str = target) -> None:
                why = answer["refused"]
                if why and (*self.root, "cell_models", target, "constants") in self.incomplete:
                    return
                where: Path = ("targetting",)
                allowed = ""
                if why and why["kind"] in RECEPTOR:
                    where, allowed = ("receptor_type",), self._receptors(post[0], answer["ports"])
                elif why and why["kind"] == "BadDelay":
                    where = ("delay",)
                elif why and "rule" in device:
                    where = ("targetting", *place_of(device["rule"], why["message"]))
                message = f"{words} cannot be connected: {why['message']}{allowed}" if why else ""
                self._add((*path, *where), f"connect {words}", message)

            synapse = {"weight": weight, "delay": delay, "receptor_type": device["receptor_type"]}
            query = {"ask": "connect_device", "device": instance, "target": post, "kind": device["kind"]}
            query |= {"rule": trial(device["rule"])} if "rule" in device else {}
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
