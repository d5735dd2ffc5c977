"""SONATA by region: one node population per region, with the weights and delays of a simulation on its edges.

For tools whose populations are regions and whose synapses are edges, as bmtk, and NEURON through it. A cell has the
columns `cell_type` and `original_id`, an edge has `edge_set`: where it is in the circuit. With a simulation,
edges are its synapses: `syn_weight`, `delay` (ms), `receptor_type`, and the model as `model_template`; edge sets that
it leaves out, or whose pairs NEST draws, are not there. Contacts that a simulation collapses into one synapse stay
edges of their own, with the weight that is theirs of the sum and the delay of the synapse.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snakefold import hdf5
from snakefold.errors import UserError
from snakefold.export.bmtk import Types, write_bmtk, write_config
from snakefold.export.finished import Finished, Simulated
from snakefold.export.joined import Joined, Kinds, Parts, Population, constant, varying
from snakefold.nest.connections import BLOCK, Columns, synapses_of
from snakefold.nest.values import restored
from snakefold.sonata.circuit import write_circuit
from snakefold.sonata.edges import TYPE, Block, Edges, merge, write_edges
from snakefold.sonata.nodes import Chunks, Nodes, write_nodes

DEFAULT_WEIGHT, DEFAULT_DELAY = 1.0, 1.0  # NEST's, where a description gives none; the delay in ms


@dataclass
class Made:
    """What was written: cells and edges by population, edge sets that were left out, and what bmtk lacks."""

    nodes: dict[str, int] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def write_regions(circuit: Finished, simulation: Simulated | None, folder: str | Path) -> Made:
    """Write a circuit by region into a new folder.

    Raises
    ------
    UserError : a file is missing or damaged
    """
    folder, made, joined = Path(folder), Made(), Joined.of(circuit)
    slice_ = None if simulation is None else restored(simulation.built.slice, simulation.built.files)
    digest = hdf5.combine("regions", "" if simulation is None else simulation.digest)
    types = Types.of(circuit, joined, slice_)
    nodes = _write_nodes(circuit, joined, slice_, types, folder, digest, made)
    parts, digests = Parts(folder / "parts", joined), [digest]
    for name, path in sorted(circuit.edges.items()):
        if slice_ is not None and "rule" in slice_["connections"].get(name, {"rule": None}):
            made.left_out.append(name)
            continue
        with Edges(path) as edges:
            digests.append(edges.digest)
            _check(edges, joined)
            for key, block, kinds in _blocks(circuit, edges, slice_, types):
                parts.add(key, (edges.source, edges.target), block, kinds)
    edge_files = _write_edges(parts, joined, folder, hdf5.combine(*digests), made)
    shutil.rmtree(folder / "parts", ignore_errors=True)  # which is not there without edges
    morphologies = ""
    if (circuit.folder / "morphologies").is_dir():
        morphologies = shutil.copytree(circuit.folder / "morphologies", folder / "morphologies")
    write_circuit(nodes, edge_files, folder / "circuit_config.json", morphologies, _type_sets(circuit, joined))
    if simulation is None:
        write_config(folder)
    else:
        made.lost = write_bmtk(simulation, slice_, joined, types, folder)
    return made


def _write_nodes(
    circuit: Finished, joined: Joined, slice_: Mapping | None, types: Types, folder: Path, digest: str, made: Made
) -> list[Path]:
    models = {} if slice_ is None else {name: cell["model"] for name, cell in slice_["cells"].items()}
    files = []
    for name, n in zip(joined.regions, joined.sizes, strict=True):
        cells = joined.cells_of(name)
        numbers = {t: types.cells[name, t] for t in cells if types.cells}
        population = Population(circuit, cells, models, numbers)
        own = hdf5.combine(digest, *(hdf5.digest_of(circuit.nodes[t]) for t in population.cells))
        # One chunk, from which any cell may be any distance away: whoever looks for neighbours looks at all.
        whole = Chunks(("regions",), np.zeros(1, np.uint16), np.zeros(1, np.uint64), np.array([0, n]), float("inf"))
        files.append(folder / "nodes" / f"{name}.h5")
        kinds = population.kinds
        columns = {"columns": varying(kinds), "constants": constant(kinds)}
        write_nodes(files[-1], name, n, population.blocks(), whole, own, **columns)
        made.nodes[name] = n
    return files


def _write_edges(parts: Parts, joined: Joined, folder: Path, digest: str, made: Made) -> list[Path]:
    files = []
    for pair in sorted(parts.of_pair):
        source, target = (joined.regions[at] for at in pair)
        name = f"{source}_to_{target}"
        while name in made.edges:  # of regions that have "_to_" in their names
            name += "_"
        rows, kinds = parts.joined(pair)
        made.edges[name] = sum(part.n for part in rows)
        files.append(folder / "edges" / f"{name}.h5")
        n_cells = [joined.sizes[at] for at in pair]
        write_edges(
            files[-1],
            name,
            source,
            target,
            *n_cells,
            made.edges[name],
            merge(rows, n_cells[1], varying(kinds)),
            digest,
            varying(kinds),
            constants=constant(kinds),
        )
    return files


def _check(edges: Edges, joined: Joined) -> None:
    """Check that the cells of an edge set are there, as in a file that is damaged they may not be."""
    n_cells = [len(joined.ids[cell_type]) for cell_type in (edges.source, edges.target)]
    for start in range(0, edges.n, BLOCK):
        if any(ids.max() >= n for ids, n in zip(edges.block(start, start + BLOCK), n_cells, strict=True)):
            raise UserError("has edges of cells that are not there; delete it and run again", where=str(edges.path))


def _blocks(
    circuit: Finished, edges: Edges, slice_: Mapping | None, types: Types
) -> Iterator[tuple[object, Block, Kinds]]:
    """Yield the blocks of an edge set, of each of its synapses in a simulation, with a key of their own."""
    own: Kinds = {name: kind for name, kind in edges.columns.items() if name != "model_template"}
    own["edge_set"] = (edges.name,)
    if slice_ is None:
        for start in range(0, edges.n, BLOCK):
            yield edges.name, (*edges.block(start, start + BLOCK), _columns(edges, own, start, start + BLOCK)), own
        return
    connection, read = slice_["connections"][edges.name], {}

    def positions(cell_type: str) -> np.ndarray:
        if cell_type not in read:
            with Nodes(circuit.nodes[cell_type]) as nodes:
                read[cell_type] = nodes.positions()
        return read[cell_type]

    for i, synapse in enumerate(connection["synapses"]):
        kinds = own | dict.fromkeys(("syn_weight", "delay"), np.dtype("f8")) | {TYPE: np.dtype("i8")}
        kinds["model_template"] = (synapse["model"],)
        receptor = synapse["receptor_type"]
        if receptor is not None:
            kinds["receptor_type"] = np.dtype("i8")
        start = 0
        blocks = synapses_of(slice_, edges.name, i, edges, positions)
        for source, target, drawn in _of_pairs(blocks) if connection["multapses"] == "collapse" else blocks:
            stop = start + len(source)
            values = _columns(edges, own, start, stop) | {
                "syn_weight": drawn.get("weight", np.full(stop - start, DEFAULT_WEIGHT)),
                "delay": drawn.get("delay", np.full(stop - start, DEFAULT_DELAY)),
                TYPE: np.full(stop - start, types.synapses[edges.name, i]),
            }
            if receptor is not None:
                made = drawn.get("receptor_type")  # unless it is one for all
                values["receptor_type"] = np.full(stop - start, receptor) if made is None else made
            yield (edges.name, i), (source, target, values), kinds
            start = stop


def _columns(edges: Edges, kinds: Kinds, start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: edges.column(name, start, stop) for name in varying(kinds)}


def _of_pairs(blocks: Iterator[Columns]) -> Iterator[Columns]:
    """Give every edge of a pair the delay of the pair's first, as when they are collapsed into one synapse."""
    last: tuple[int, int, float] | None = None
    for source, target, drawn in blocks:
        if "delay" in drawn and len(source):
            new = np.concatenate([[True], (source[1:] != source[:-1]) | (target[1:] != target[:-1])])
            first = np.maximum.accumulate(np.where(new, np.arange(len(source)), 0))
            delay = drawn["delay"][first]
            if last is not None and last[:2] == (source[0], target[0]):
                delay[first == 0] = last[2]  # the pair began in the block before
            last = int(source[-1]), int(target[-1]), float(delay[-1])
            drawn = drawn | {"delay": delay}
        yield source, target, drawn


def _type_sets(circuit: Finished, joined: Joined) -> dict[str, dict]:
    """Return a node set for each cell type; of one that is named as a region, type_<name>."""
    return {f"type_{t}" if t in joined.regions else t: {"cell_type": t} for t in sorted(circuit.nodes)}
