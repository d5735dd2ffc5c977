"""The network of a simulation in NEST: cells, their synapses, devices and recorders, from files and a slice.

All random numbers but NEST's own are keyed draws: parameters of cells per cell type and parameter, those of synapses
per edge set, synapse, parameter and block of edges in file order, those of devices per device and parameter.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from snakefold.cells import Population
from snakefold.errors import Mistake, UserError, expects
from snakefold.errors import Path as Where
from snakefold.fanout.ranks import Alone
from snakefold.nest import rules
from snakefold.nest.connections import both_ways, collapsed, connect, synapses_of
from snakefold.nest.devices import role_fault
from snakefold.nest.parameters import values_of_cells, values_of_device
from snakefold.nest.recordings import Header, Meter, Recorders
from snakefold.nest.share import Share
from snakefold.nest.targetting import Chosen, union
from snakefold.nest.units import unit
from snakefold.nest.values import is_drawn, numbers_of
from snakefold.sonata.edges import Edges
from snakefold.sonata.nodes import Nodes

Report = Callable[[str], None]
_RECORDING = {"synapse_model": "static_synapse"}


@contextlib.contextmanager
def naming(nest, *path: str | int) -> Iterator[None]:
    """Turn what NEST refuses into an error of the user's that names the part of the description."""
    try:
        yield
    except (nest.NESTError, ValueError, TypeError, AttributeError, RuntimeError, LookupError) as error:
        words = " ".join(str(error).split())
        message = f"NEST refuses: {words}" if isinstance(error, nest.NESTError) else words
        raise UserError(Mistake(message, path=tuple(path))) from error


class Network:
    """What NEST has of a simulation.

    Parameters
    ----------
    nest : the module, its kernel set
    simulation : the slice, components restored
    nodes, edges : cell type -> node file, edge set -> edge file
    chosen : device -> the cells it is connected to; of a device with a rule, those that NEST chose are put there
    ranks : those that share the simulation; every one makes the whole network, of which NEST keeps its share
    share : this rank's

    Attributes
    ----------
    cells : cell type -> its nodes in NEST; an empty list where there are none
    devices : name -> its node in NEST; of all spike recorders, the one that records for them
    header : of the journal
    recorders : the recording devices

    Raises
    ------
    UserError : NEST refuses a part of the description, which is named
    """

    def __init__(
        self,
        nest,
        simulation: Mapping,
        nodes: Mapping[str, Path],
        edges: Mapping[str, Path],
        chosen: dict[str, Chosen],
        report: Report,
        ranks: Alone,
        share: Share,
    ):
        self.nest, self.simulation, self.nodes, self.edges = nest, simulation, nodes, edges
        self.ranks, self.share = ranks, share
        self.chosen, self.devices = chosen, {}
        self.name = simulation["name"]
        self.root: Where = ("simulations", self.name)
        self._copies: dict[str, str] = {}
        self._read: dict[str, np.ndarray] = {}
        self.cells = {cell_type: self._create(cell_type) for cell_type in sorted(simulation["cells"])}
        self.header = self._header()
        report(f"{self.name}: {sum(map(len, self.cells.values()))} cells")
        made = sum(self._connect(name, of) for name, of in sorted(simulation["connections"].items()))
        self._read.clear()
        report(f"{self.name}: {sum(ranks.gathered(made))} synapses")
        self.recorders = Recorders(self.header)
        for device, of in sorted(simulation["devices"].items()):
            if of.get("subset"):
                numbers = (f"{len(ids)} {cell_type}" for cell_type, ids in chosen[device].items())
                report(f"{self.name}: {device}: {', '.join(numbers)}")
            with naming(nest, *self.root, "devices", device):
                self._add_device(device, of)
        if self.header.spikes_of:
            with naming(nest, *self.root, "devices"):
                self._record_spikes()

    # Cells

    def _create(self, cell_type: str):
        """Create the cells of a type; an empty list if there are none."""
        cell = self.simulation["cells"][cell_type]
        population = Population(self.nodes[cell_type])
        with population.nodes, naming(self.nest, *self.root, "cell_models", cell_type):
            if population.n == 0:
                return []
            constants, columns = values_of_cells(self.simulation, cell_type, population.all)
            given = [constants]
            if columns:
                rows = zip(*columns.values(), strict=True)
                given = [constants | dict(zip(columns, row, strict=True)) for row in rows]
            cells = self.nest.Create(cell["model"], population.n)
            cells.set(given)  # a dictionary per cell: arrays NEST takes only where a rank has all cells
            return cells

    def _positions(self, cell_type: str) -> np.ndarray:
        if cell_type not in self._read:
            with Nodes(self.nodes[cell_type]) as file:
                self._read[cell_type] = file.positions()
        return self._read[cell_type]

    # Synapses

    def _connect(self, name: str, connection: Mapping) -> int:
        """Make the synapses of an edge set and return how many."""
        where = (*self.root, "connection_models", connection["key"])
        source, target = connection["source"], connection["target"]
        if "rule" in connection:
            with naming(self.nest, *where):
                return self._connect_by_rule(connection)
        made = 0
        with Edges(self.edges[name]) as file:
            n = self.header.n
            wanted, got = (
                (source, n[source], target, n[target]),
                (file.source, file.n_sources, file.target, file.n_targets),
            )
            if wanted != got:
                raise UserError(expects(f"source and target of {name}", str(wanted), got), where=str(self.edges[name]))
            first = self.header.first[source], self.header.first[target]
            for i, synapse in enumerate(connection["synapses"]):
                with naming(self.nest, *where, "synapses", i):
                    model = self._synapse_model(synapse)
                    reciprocal = bool(self.nest.GetDefaults(model).get("requires_symmetric", False))
                    blocks = synapses_of(self.simulation, name, i, file, self._positions)
                    if reciprocal:
                        blocks = both_ways(blocks, source == target)
                    elif connection["multapses"] == "collapse":
                        blocks = collapsed(blocks)
                    receptor = None if is_drawn(synapse["receptor_type"]) else synapse["receptor_type"]
                    made += connect(self.nest, blocks, *first, model, receptor, self.share, reciprocal)
        return made

    def _connect_by_rule(self, connection: Mapping) -> int:
        pre, post = self.cells[connection["source"]], self.cells[connection["target"]]
        if not len(pre) or not len(post):
            return 0
        specs = []
        for synapse in connection["synapses"]:
            spec = {"synapse_model": self._synapse_model(synapse)}
            if synapse["receptor_type"] is not None:
                spec["receptor_type"] = rules.parameter(self.nest, synapse["receptor_type"])
            for key, number in numbers_of(synapse).items():
                least = self.header.resolution if key == "delay" else -np.inf
                spec[key] = rules.parameter(self.nest, number, least)
            specs.append(spec)
        return rules.connect(self.nest, pre, post, connection["rule"], specs)

    def _synapse_model(self, synapse: Mapping) -> str:
        """Return the model, or a copy of it with the constants; NEST has room for few, so equal ones share a copy."""
        if not synapse["constants"]:
            return synapse["model"]
        key = json.dumps([synapse["model"], synapse["constants"]], sort_keys=True)
        if key not in self._copies:
            name = f"snakefold_{len(self._copies)}"
            self.nest.CopyModel(synapse["model"], name, dict(synapse["constants"]))
            self._copies[key] = name
        return self._copies[key]

    # Devices

    def _header(self) -> Header:
        simulation, meters = self.simulation, []
        for name, device in sorted(simulation["devices"].items()):
            if device["kind"] == "multimeter":
                given = dict(zip(device["properties"], device["units"] or [], strict=False))
                units = [given.get(p) or unit(p) or "1" for p in device["properties"]]
                ids = {t: ids.tolist() for t, ids in self.chosen[name].items() if ids is not None}
                targets = list(self.chosen[name])
                meters.append(Meter(name, list(device["properties"]), units, device["interval"], targets, ids))
        return Header(
            name=self.name,
            resolution=simulation["run"]["resolution"],
            duration=simulation["run"]["duration"],
            first={t: cells[0].global_id if len(cells) else 0 for t, cells in self.cells.items()},
            n={t: len(cells) for t, cells in self.cells.items()},
            spikes_of=list(self._recorded()),
            meters=meters,
            share=self.share,
        )

    def _recorded(self) -> Chosen:
        """Return the cells that some spike recorder is for."""
        devices = self.simulation["devices"].items()
        return union(self.chosen[name] for name, device in devices if device["kind"] == "spike_recorder")

    def _add_device(self, name: str, device: Mapping) -> None:
        """Create a device and connect it to its cells; spikes are recorded by one device for all recorders."""
        nest = self.nest
        if device["kind"] == "spike_recorder":
            return
        if device.get("external") and (why := role_fault(device["nest_model"], nest.GetDefaults(device["nest_model"]))):
            raise ValueError(why)
        parameters = values_of_device(self.simulation, name)
        if device["kind"] == "multimeter":
            record_from = list(device["properties"])
            parameters |= {"record_from": record_from, "interval": device["interval"], "time_in_steps": True}
        targets = [_of(self.cells[t], ids) for t, ids in self.chosen[name].items()]
        targets = [target for target in targets if len(target)]
        if not targets:
            return
        made = self.devices[name] = nest.Create(device["nest_model"], params=parameters)
        given = {key: device[key] for key in ("weight", "delay", "receptor_type") if device[key] is not None}
        if "rule" in device:
            rules.connect(nest, made, sum(targets, start=nest.NodeCollection()), device["rule"], [given])
            self.chosen[name] = self._connected(made, self.chosen[name])
        for target in targets if "rule" not in device else ():
            nest.Connect(made, target, syn_spec=given)
        if device["kind"] == "multimeter":
            self.recorders.meters[name] = made

    def _connected(self, device, targets: Chosen) -> Chosen:
        """Return the cells of some types that a device is connected to, on any rank."""
        found = self.nest.GetConnections(source=device)
        own = np.array(found.get("target") if len(found) else [], np.int64)
        gids = np.unique(np.concatenate(self.ranks.gathered(own)))
        first, n = self.header.first, self.header.n
        return {t: gids[(gids >= first[t]) & (gids < first[t] + n[t])] - first[t] for t in targets}

    def _record_spikes(self) -> None:
        """Connect one recorder to every cell that some spike recorder is for: no spike is recorded twice."""
        constants: dict = {}
        recorders = [n for n, device in self.simulation["devices"].items() if device["kind"] == "spike_recorder"]
        for name in sorted(recorders):
            constants |= self.simulation["devices"][name]["constants"]
        made = self.recorders.spikes = self.nest.Create("spike_recorder", params=constants | {"time_in_steps": True})
        self.devices |= dict.fromkeys(recorders, made)
        for target, ids in self._recorded().items():
            if ids is None and len(self.cells[target]):
                self.nest.Connect(self.cells[target], made)
            elif ids is not None and len(ids):  # as arrays: from many separate cells, NEST is a hundred times slower
                sources = ids + self.header.first[target]
                self.nest.Connect(sources, np.full(len(ids), made.global_id), "one_to_one", dict(_RECORDING))


def _of(cells, ids: np.ndarray | None):
    """Return the cells with some node ids, rising; all if None."""
    if ids is None or len(ids) == len(cells):
        return cells
    return cells[ids] if len(ids) else []
