"""The NEST kernel that is asked: a process of its own, started by file path, that answers questions over a pipe.

NEST keeps global state, cannot unload modules and can abort its process, so whoever checks a description never imports
it. This file imports nothing of Snakefold: any Python that has NEST can run it. The first line on standard input is
`{"modules": [...]}`, answered by `{"ready": {...}}` or `{"failed": "..."}`; every further line is one question, and is
answered by one line. NEST prints to file descriptor 1, so that is pointed at standard error first, and the answers go
to a private copy. The process ends when its standard input closes, whatever ended its caller.

Nothing in NEST is atomic, so every trial is made on a fresh instance or a fresh copy.
"""

import itertools
import json
import os
import queue
import re
import signal
import sys
import threading

MOST_COPIES = 350  # NEST has room for 511 synapse models, its own included
MOST_TRIALS = 600
MOST_NODES = 20_000
MOST_PORTS = 20
UNKNOWN_KEY = ("UnaccessedDictionaryEntry",)
RECEPTOR = ("UnknownReceptorType", "IncompatibleReceptorType", "UnknownPort")

_PREFIX = re.compile(
    r"^(Setting status of a '.*?' with node ID \d+|Creation of connection is not possible because):\s*"
)


class Questions:
    """What can be asked; every public method is one kind of question, its arguments and its answer plain JSON."""

    def __init__(self, nest, modules):
        self.nest, self.modules = nest, modules
        self.bad_modules = {}
        self._fresh(None)

    def _fresh(self, resolution):
        nest = self.nest
        nest.ResetKernel()
        _quiet(nest)
        self.n_copies = 0
        for module in self.modules:
            if module not in self.bad_modules:
                try:
                    nest.Install(module)
                except Exception as error:
                    self.bad_modules[module] = _refusal(error)
        self.resolution = resolution
        if resolution is not None:
            nest.set(resolution=resolution)

    def _ready(self, resolution):
        full = self.n_copies > MOST_COPIES or self.nest.network_size > MOST_NODES
        if full or (resolution is not None and resolution != self.resolution):
            self._fresh(self.resolution if resolution is None else resolution)

    def about(self):
        """Which NEST is this, and which modules did it refuse?"""
        build = self.nest.build_info
        return {
            "version": str(build.get("version", getattr(self.nest, "__version__", ""))),
            "have_mpi": bool(build.get("have_mpi", False)),
            "have_threads": bool(build.get("have_threads", False)),
            "refused_modules": self.bad_modules,
        }

    def models(self):
        """Which models and connection rules are there?"""
        nest = self.nest
        return {name: _names(getattr(nest, f"{name}_models")) for name in ("node", "synapse")} | {
            "rule": _names(nest.connection_rules)
        }

    def settings(self, resolution=None, threads=None, others=None):
        """Can the kernel be set so? {"wrong": {name: refusal}}."""
        wrong = {}
        for name, value in {"resolution": resolution, "local_num_threads": threads, **(others or {})}.items():
            if value is not None:
                self._fresh(None)
                try:
                    self.nest.set(**{name: value})
                except Exception as error:
                    wrong[name] = _refusal(error)
        self._fresh(None)
        return {"wrong": wrong}

    def node(self, model):
        """What a node model is: its keys and their types, recordables, receptor types."""
        if model not in _names(self.nest.node_models):
            return {"known": False}
        defaults = self.nest.GetDefaults(model)
        return {
            "known": True,
            "element_type": str(defaults.get("element_type", "")),
            "keys": _types(defaults),
            "recordables": _names(defaults.get("recordables", ())),
            "receptor_types": {str(k): int(v) for k, v in dict(defaults.get("receptor_types", {})).items()},
        }

    def synapse(self, model):
        """What a synapse model is: its keys and their types, whether it has a delay."""
        if model not in _names(self.nest.synapse_models):
            return {"known": False}
        defaults = self.nest.GetDefaults(model)
        return {
            "known": True,
            "has_delay": bool(defaults.get("has_delay", True)),
            "requires_symmetric": bool(defaults.get("requires_symmetric", False)),
            "keys": _types(defaults),
        }

    def set_node(self, model, parameters, resolution=None):
        """Which parameters of a node are refused? {"wrong": {key: refusal}}."""
        self._ready(resolution)
        return {"wrong": _wrong(lambda given: self._create(model, given), parameters)}

    def set_synapse(self, model, parameters, resolution=None):
        """Which parameters of a synapse model are refused? {"wrong": {key: refusal}}."""
        self._ready(resolution)

        def copy(given):
            self._ready(resolution)
            self._copy(model, given)

        return {"wrong": _wrong(copy, parameters)}

    def recordables(self, model, parameters, resolution=None):
        """What can be recorded from a node with these parameters?"""
        self._ready(resolution)
        return {"recordables": _names(self._create(model, parameters).get().get("recordables", ()))}

    def connect(self, source, target, synapse, resolution=None):
        """Can a source be connected to a target? {"refused": refusal or None, "common": parameters, "ports": numbers}.

        source, target : [model, parameters]; synapse : {"model", "constants", "weight", "delay", "receptor_type",
        "both_ways", "parameters"}. Made through arrays, as a simulation makes its synapses. A parameter that all
        synapses of a model have in common is taken without a word for each, and changes nothing: it is in "common".
        "ports" are those that are taken where it is the receptor type that is refused.
        """
        import numpy as np

        self._ready(resolution)
        constants = synapse.get("constants")
        model = self._copy(synapse["model"], constants) if constants else synapse["model"]
        spec = {"synapse_model": model}
        for name in ("weight", "delay"):
            if synapse.get(name) is not None:
                spec[name] = np.array([float(synapse[name])])
        parameters = synapse.get("parameters") or {}
        spec |= {name: np.array([value]) for name, value in parameters.items()}

        def connected(port):
            pre, post = self._create(*source), self._create(*target)
            for a, b in [(pre, post), (post, pre)] if synapse.get("both_ways") else [(pre, post)]:
                arrays = np.array(a.tolist()), np.array(b.tolist())
                self.nest.Connect(*arrays, "one_to_one", spec | _receptor(port))
            return pre, post

        try:
            pre, post = connected(synapse.get("receptor_type"))
        except Exception as error:
            return {"refused": _refusal(error), "common": [], "ports": _ports(error, connected)}
        own = self.nest.GetConnections(pre, post).get() if parameters else {}
        return {"refused": None, "common": [name for name in parameters if name not in own]}

    def connect_by_rule(self, source, target, rule, synapses, resolution=None):
        """Can cells be connected by a rule of NEST's? {"refused": refusal or None}.

        source, target : [model, parameters]; the target is None where it is the source. Two cells of each are tried.
        synapses : each {"synapse_model", "constants", weight, delay, ...}
        """
        self._ready(resolution)
        try:
            pre = self._create(*source, 2)
            post = pre if target is None else self._create(*target, 2)
            specs = []
            for synapse in synapses:
                constants = synapse.pop("constants")
                model = self._copy(synapse["synapse_model"], constants) if constants else synapse["synapse_model"]
                specs.append(synapse | {"synapse_model": model})
            self.nest.Connect(pre, post, rule, self.nest.CollocatedSynapses(*specs))
        except Exception as error:
            return {"refused": _refusal(error)}
        return {"refused": None}

    def connect_device(self, device, target, kind, synapse, resolution=None, rule=None):
        """Can a device be connected to a cell? {"refused": refusal or None, "ports": numbers}, as `connect` answers.

        device, target : [model, parameters]
        """
        self._ready(resolution)
        spec = {name: value for name, value in synapse.items() if value is not None and name != "receptor_type"}

        def connected(port):
            one, cell = self._create(*device), self._create(*target, 2 if rule and rule["rule"] != "one_to_one" else 1)
            pair = (cell, one) if kind == "spike_recorder" else (one, cell)
            self.nest.Connect(*pair, rule, spec | _receptor(port))

        try:
            connected(synapse.get("receptor_type"))
        except Exception as error:
            return {"refused": _refusal(error), "ports": _ports(error, connected)}
        return {"refused": None}

    def _create(self, model, parameters, n=1):
        node = self.nest.Create(model, n)
        if parameters:
            node.set(dict(parameters))
        return node

    def _copy(self, model, parameters):
        self.n_copies += 1
        name = f"snakefold_trial_{self.n_copies}"
        self.nest.CopyModel(model, name, dict(parameters))
        return name


def _wrong(make, parameters):
    """Return {key: refusal} of the fewest keys without which the rest is accepted; parameters may need one another."""

    def refusal(keys):
        try:
            make({key: parameters[key] for key in keys})
        except Exception as error:
            return _refusal(error)
        return None

    keys = list(parameters)
    if not keys or refusal(keys) is None:
        return {}
    alone = {key: refusal([key]) for key in keys}
    wrong = {key: why for key, why in alone.items() if why and why["kind"] in UNKNOWN_KEY}
    keys = [key for key in keys if key not in wrong]
    if not keys or refusal(keys) is None:
        return wrong
    suspects = [key for key in keys if alone[key]] or keys
    subsets = itertools.chain.from_iterable(itertools.combinations(suspects, n) for n in range(1, len(suspects) + 1))
    for out in itertools.islice(subsets, MOST_TRIALS):
        rest = [key for key in keys if key not in out]
        if not rest or refusal(rest) is None:
            return wrong | {key: refusal([*rest, key]) or alone[key] or refusal(keys) for key in out}
    return wrong | {key: alone[key] or refusal(keys) for key in suspects}


def _receptor(port):
    return {} if port is None else {"receptor_type": port}


def _ports(error, connected):
    """Return the receptor types that can be connected, where it is the receptor type that was refused."""
    ports = []
    for port in range(MOST_PORTS) if type(error).__name__ in RECEPTOR else ():
        try:
            connected(port)
        except Exception:
            continue
        ports.append(port)
    return ports


def _refusal(error):
    return {"kind": type(error).__name__, "message": " ".join(_PREFIX.sub("", str(error)).split())}


def _names(models):
    return sorted(str(name) for name in models)


def _types(defaults):
    return {str(key): _type(value) for key, value in defaults.items() if not str(key).startswith("__")}


def _type(value):
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (dict, "dictionary")):
        if isinstance(value, kind):
            return name
    return "list" if hasattr(value, "__len__") else "other"


def _quiet(nest):
    if hasattr(nest, "VerbosityLevel"):
        nest.verbosity = nest.VerbosityLevel.ERROR
    else:
        nest.set_verbosity("M_ERROR")


def _die_with_caller():
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass


def _lines():
    """Yield the lines of standard input; the process ends when that closes, also in the middle of an answer."""
    lines = queue.Queue()

    def read():
        for line in sys.stdin.buffer:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


def main():
    """Answer questions until standard input closes."""
    _die_with_caller()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller, who gets it too, closes the pipe
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ["PYNEST_QUIET"] = "1"
    sys.argv = [""]
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH120, PTH100

    def answer(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    lines = _lines()
    modules = json.loads(next(lines))["modules"]
    try:
        import nest

        questions = Questions(nest, modules)
    except BaseException as error:
        answer({"failed": f"{type(error).__name__}: {error}"})
        os._exit(1)  # the reading thread waits for a line that will not come
    answer({"ready": questions.about()})
    for line in lines:
        asked = json.loads(line)
        try:
            answer(getattr(questions, asked.pop("ask"))(**asked))
        except Exception as error:
            answer({"failed": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
