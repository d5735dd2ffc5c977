"""An inquiry: the questions to NEST about one simulation, what it answered, and what is known from that."""

from collections.abc import Callable, Iterable, Mapping

from snakefold.errors import Path
from snakefold.nest.catalogue import Catalogue
from snakefold.nest.client import Unreachable
from snakefold.nest.verdicts import NO, UNREACHABLE, YES, Verdict


class Inquiry:
    """Questions that are collected and asked together, and the verdicts that come of the answers.

    Attributes
    ----------
    found : the verdicts, in the order of asking
    models : names of all that there are, by kind
    missing_modules : those that are not compiled yet or cannot be installed
    nodes, synapses : what is known of the models that there are
    accepted : path of constants -> those that NEST took
    incomplete : paths of constants without a list that was refused: of receptors, maybe
    recordables : by cell type
    """

    def __init__(self, simulation: Mapping, catalogue: Catalogue):
        self.simulation, self.catalogue = simulation, catalogue
        self.root: Path = ("simulations", simulation["name"])
        self.found: dict[Verdict, None] = {}
        self.pending: list[tuple[dict, Path, str, Callable]] = []
        self.resolution: float | None = None
        self.models: dict[str, list[str]] = {"node": [], "synapse": []}
        self.missing_modules: list[str | Mapping] = []
        self.nodes: dict[str, dict] = {}
        self.synapses: dict[str, dict] = {}
        self.accepted: dict[Path, dict] = {}
        self.incomplete: set[Path] = set()
        self.recordables: dict[str, list[str]] = {}

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

    def _each_synapse(self) -> Iterable[tuple[dict, Path, dict]]:
        for connection in self.simulation["connections"].values():
            for i, synapse in enumerate(connection["synapses"]):
                yield connection, (*self.root, "connection_models", connection["key"], "synapses", i), synapse

    def _instance(self, cell_type: str) -> list | None:
        """Return [model, parameters that were taken] of a cell type; None if its model is not known."""
        cell = self.simulation["cells"].get(cell_type)
        if cell is None or cell["model"] not in self.nodes:
            return None
        constants = self.accepted.get((*self.root, "cell_models", cell_type, "constants"))
        return None if constants is None else [cell["model"], constants]
