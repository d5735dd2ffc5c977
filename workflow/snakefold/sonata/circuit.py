"""The three JSON files of a SONATA circuit: its configuration, its node sets and a simulation's configuration.

All paths are relative to the folder of the file that holds them, so a result folder can be moved. bluepysnap's schemas
know few types of populations: "point_process" is theirs for point neurons, and "brian2_synapse" their only synapse that
does not demand a conductance or a place on a dendrite; the name says nothing about the simulator.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from snakefold import hdf5
from snakefold.errors import UserError, listed
from snakefold.sonata.edges import Edges
from snakefold.sonata.labels import COLUMN as LABELS
from snakefold.sonata.labels import holding, labels_of
from snakefold.sonata.nodes import Nodes

VERSION = 2.4  # of the SONATA extension that libsonata and bluepysnap read
NODE_TYPE = "point_process"
EDGE_TYPE = "brian2_synapse"
NODE_TYPES_CSV = "node_type_id\n-1\n"
EDGE_TYPES_CSV = "edge_type_id\n-1\n"


def circuit_config(
    node_files: Iterable[str | Path],
    edge_files: Iterable[str | Path],
    base: str | Path,
    *,
    node_sets_file: str = "node_sets.json",
    node_types_file: str | None = None,
    edge_types_file: str | None = None,
    components: Mapping[str, object] | None = None,
    node_type: str = NODE_TYPE,
    edge_type: str = EDGE_TYPE,
) -> dict:
    """Return the circuit's configuration.

    Populations without cells, and the edge sets onto or from them, are left out: libsonata and bluepysnap fail on them.

    Parameters
    ----------
    node_files, edge_files : one population each, in the order in which they are listed
    base : the folder of the configuration, from which all paths count
    node_sets_file, node_types_file, edge_types_file : relative to `base`; bmtk wants the two CSV files, whose whole
        contents are NODE_TYPES_CSV and EDGE_TYPES_CSV
    components : SONATA's, as in {"morphologies_dir": "$BASE_DIR/morphologies"}

    Raises
    ------
    UserError : two files have the same population, or an edge set joins a population that no node file has
    """
    cells: dict[str, int] = {}
    nodes, edges, sets = [], [], set()
    for path in node_files:
        with Nodes(path) as population:
            if population.population in cells:
                raise UserError(f'population "{population.population}" is in two files', where=str(path))
            cells[population.population] = population.n
            if population.n:
                entry = {"nodes_file": _relative(path, base), "node_types_file": _csv(node_types_file)}
                nodes.append(entry | {"populations": {population.population: {"type": node_type}}})
    for path in edge_files:
        with Edges(path) as edge_set:
            if edge_set.name in sets:
                raise UserError(f'edge set "{edge_set.name}" is in two files', where=str(path))
            sets.add(edge_set.name)
            if unknown := {edge_set.source, edge_set.target} - cells.keys():
                message = f"no node file has population {listed(sorted(unknown))} (populations: {listed(cells)})"
                raise UserError(message, where=str(path))
            if cells[edge_set.source] and cells[edge_set.target]:
                entry = {"edges_file": _relative(path, base), "edge_types_file": _csv(edge_types_file)}
                edges.append(entry | {"populations": {edge_set.name: {"type": edge_type}}})
    config = {"version": VERSION, "manifest": {"$BASE_DIR": "."}, "node_sets_file": f"$BASE_DIR/{node_sets_file}"}
    if components:
        config["components"] = dict(components)
    return config | {"networks": {"nodes": nodes, "edges": edges}}


def _relative(path: str | Path, base: str | Path) -> str:
    return f"$BASE_DIR/{Path(os.path.relpath(path, base)).as_posix()}"


def _csv(name: str | None) -> str | None:
    return None if name is None else f"$BASE_DIR/{name}"


def node_sets(node_files: Iterable[str | Path], further: Mapping[str, object] | None = None) -> dict:
    """Return the node sets: one per cell type, one per partition, one per label, All, and further ones.

    A partition that is named as a cell type is called partition_<name>, a label that is named as one of these
    label_<name>. Cell types without cells are left out.

    Parameters
    ----------
    node_files : one population each; partitions are the strings of their library column `partition`, labels
        those of `labels` (see `labels`)
    further : name -> rule, as in {"layer4": {"layer": ["4"]}}; these win
    """
    types: list[str] = []
    partitions: list[str] = []
    labels: dict[str, dict[str, list[str]]] = {}  # label -> cell type -> its strings that hold it
    for path in node_files:
        with Nodes(path) as nodes:
            if not nodes.n:
                continue
            types.append(nodes.population)
            strings = nodes.library(LABELS) or ()
            for label in {label for string in strings for label in labels_of(string)}:
                labels.setdefault(label, {})[nodes.population] = holding(strings, [label])
            if isinstance(strings := nodes.columns.get("partition"), tuple):
                partitions += [name for name in strings if name and name not in partitions]
    sets: dict[str, object] = {name: {"population": name} for name in types}
    for name in sorted(partitions):
        sets[f"partition_{name}" if name in sets else name] = {"partition": name}
    for label, by_type in sorted(labels.items()):
        strings = sorted({string for held in by_type.values() for string in held})
        name = f"label_{label}" if label in sets or label == "All" else label
        sets[name] = {"population": sorted(by_type), LABELS: strings}
    sets.setdefault("All", sorted(types))
    return sets | dict(further or {})


def simulation_config(
    *,
    tstop: float,
    dt: float,
    random_seed: int,
    network: str = "$BASE_DIR/../../circuit_config.json",
    node_set: str = "All",
    inputs: Mapping[str, object] | None = None,
    reports: Mapping[str, Mapping[str, object]] | None = None,
    spikes_file: str = "spikes.h5",
    metadata: Mapping[str, object] | None = None,
) -> dict:
    """Return a simulation's configuration; its outputs lie beside it.

    Parameters
    ----------
    tstop, dt : ms
    inputs : SONATA's; devices of NEST that SONATA has no name for belong into `metadata`
    reports : name -> {"cells": node set, "variable_name", "dt", "start_time", "end_time", "unit"}; times in ms; the
        file is <name>.h5 unless "file_name" says otherwise
    """
    config: dict[str, object] = {
        "version": VERSION,
        "manifest": {"$BASE_DIR": "."},
        "network": network,
        "node_set": node_set,
        "run": {"tstop": tstop, "dt": dt, "random_seed": int(random_seed)},
        "output": {"output_dir": "$BASE_DIR", "spikes_file": spikes_file, "spikes_sort_order": "by_time"},
        "inputs": dict(inputs or {}),
        "reports": {
            name: {"cells": node_set, "sections": "soma", "type": "compartment", "file_name": f"{name}.h5"} | dict(rule)
            for name, rule in (reports or {}).items()
        },
    }
    return config | ({"metadata": dict(metadata)} if metadata else {})


def write_circuit(
    nodes: Iterable[str | Path],
    edges: Iterable[str | Path],
    output: str | Path,
    morphologies: str | Path = "",
    further: Mapping[str, object] | None = None,
) -> None:
    """Write circuit_config.json, and beside it node_sets.json and the two tables of types that bmtk wants.

    Parameters
    ----------
    morphologies : the folder of the morphologies as SWC files, where there are any
    further : node sets, see `node_sets`
    """
    base = Path(output).parent
    components = {"morphologies_dir": _relative(morphologies, base)} if morphologies else {}
    names = {"node_types_file": "node_types.csv", "edge_types_file": "edge_types.csv"}
    hdf5.write_text(base / names["node_types_file"], NODE_TYPES_CSV)
    hdf5.write_text(base / names["edge_types_file"], EDGE_TYPES_CSV)
    config = circuit_config(nodes, edges, base, components=components, **names)
    hdf5.write_text(base / "node_sets.json", json.dumps(node_sets(nodes, further), indent=2) + "\n")
    hdf5.write_text(output, json.dumps(config, indent=2) + "\n")
