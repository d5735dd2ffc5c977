"""What bmtk's PointNet needs to run a circuit by region: types of cells and synapses, their parameters, and devices.

bmtk takes models and parameters from types: node_types.csv has a type for each cell type of a region, edge_types.csv
one for each synapse of an edge set, and components/ a JSON file for each, in which a parameter that differs from cell
to cell is a list, as NEST's Create takes it. bmtk knows no devices of NEST's, so that those that stimulate cells are
in devices.json, and run_bmtk.py, which is not ours to import, connects them.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snakefold import hdf5
from snakefold.cells import Population
from snakefold.export.finished import Finished, Simulated
from snakefold.export.joined import Joined
from snakefold.installation import PACKAGE
from snakefold.nest.modules import label
from snakefold.nest.parameters import values_of_cells, values_of_device
from snakefold.nest.targetting import chosen_by_all
from snakefold.nest.values import is_drawn, numbers_of

CONFIG, SCRIPT, DEVICES, COMPONENTS = "bmtk_config.json", "run_bmtk.py", "devices.json", "components"
SILENT = "parrot_neuron"  # in the place of cells that a simulation leaves out; nothing is connected to them


@dataclass(frozen=True)
class Types:
    """The types of a simulation's cells and synapses, numbered from 0.

    Attributes
    ----------
    cells : (region, cell type) -> node_type_id
    synapses : (edge set, index of the synapse) -> edge_type_id
    """

    cells: dict[tuple[str, str], int]
    synapses: dict[tuple[str, int], int]

    @classmethod
    def of(cls, circuit: Finished, joined: Joined, slice_: Mapping | None) -> "Types":
        """Return those of a simulation; none without one."""
        if slice_ is None:
            return cls({}, {})
        cells = [(region, cell_type) for region in joined.regions for cell_type in joined.cells_of(region)]
        kept = ((name, slice_["connections"].get(name, {})) for name in sorted(circuit.edges))
        synapses = [(name, i) for name, of in kept if "rule" not in of for i in range(len(of.get("synapses", ())))]
        return cls(*({key: i for i, key in enumerate(keys)} for keys in (cells, synapses)))


def write_bmtk(simulation: Simulated, slice_: Mapping, joined: Joined, types: Types, folder: Path) -> list[str]:
    """Write all that bmtk needs beside nodes, edges and circuit_config.json, and return what it cannot be given.

    Parameters
    ----------
    slice_ : the simulation's, components restored
    folder : of the export
    """
    circuit = simulation.circuit
    cells = ["node_type_id model_type model_template dynamics_params cell_type region"]
    for cell_type in sorted(circuit.nodes):
        constants, columns = _of_cells(circuit, slice_, cell_type)
        for region in joined.regions:
            if (region, cell_type) not in types.cells:
                continue
            ids = joined.cells_of(region)[cell_type]
            number, file = types.cells[region, cell_type], f"{region}.{cell_type}.json"
            _write(folder / COMPONENTS / "cells" / file, _parameters(constants, columns, ids))
            model = slice_["cells"].get(cell_type, {"model": SILENT})["model"]
            cells.append(f"{number} point_neuron nest:{model} {file} {cell_type} {region}")
    synapses = ["edge_type_id model_template dynamics_params edge_set"]
    for (edge_set, i), number in types.synapses.items():
        synapse, file = slice_["connections"][edge_set]["synapses"][i], f"{edge_set}.{i}.json"
        given = dict(synapse["constants"])
        if synapse["receptor_type"] is not None and not is_drawn(synapse["receptor_type"]):
            given["receptor_type"] = synapse["receptor_type"]
        _write(folder / COMPONENTS / "synapses" / file, given)
        synapses.append(f"{number} nest:{synapse['model']} {file} {edge_set}")
    hdf5.write_text(folder / "node_types.csv", "\n".join([cells[0], *sorted(cells[1:], key=_number)]) + "\n")
    hdf5.write_text(folder / "edge_types.csv", "\n".join(synapses) + "\n")
    seed = simulation.config["run"]["random_seed"]
    _write(folder / DEVICES, {"rng_seed": seed, "devices": _devices(circuit, slice_, joined)})
    shutil.copyfile(PACKAGE / "skeleton" / SCRIPT, folder / SCRIPT)
    _write_config(slice_, folder)
    return list(_lost(slice_, types))


def write_config(folder: Path, further: Mapping[str, object] | None = None) -> None:
    """Write the configuration of an export as bmtk reads it: with "." it means the folder that it is started in."""
    config = json.loads((folder / "circuit_config.json").read_text(encoding="utf-8"))
    _write(folder / CONFIG, config | {"manifest": {"$BASE_DIR": "${configdir}"}} | dict(further or {}))


def _write_config(slice_: Mapping, folder: Path) -> None:
    run = slice_["run"]
    components = {f"{kind}_models_dir": f"$BASE_DIR/{COMPONENTS}/{name}" for kind, name in _FOLDERS.items()}
    if modules := [module for module in run["modules"] if isinstance(module, str)]:
        components["nest_modules"] = modules
    further = {
        "target_simulator": "NEST",
        "components": components,
        "run": {"tstop": run["duration"], "dt": run["resolution"], "n_thread": run["threads"]},
        "output": {"output_dir": "$BASE_DIR/output", "spikes_file": "spikes.h5", "spikes_sort_order": "by_time"},
    }
    write_config(folder, further)


_FOLDERS = {"point_neuron": "cells", "synaptic": "synapses"}


def _number(row: str) -> int:
    return int(row.partition(" ")[0])


def _of_cells(circuit: Finished, slice_: Mapping, cell_type: str) -> tuple[dict, dict[str, np.ndarray]]:
    if cell_type not in slice_["cells"]:
        return {}, {}
    population = Population(circuit.nodes[cell_type])
    with population.nodes:
        return values_of_cells(slice_, cell_type, population.all)


def _parameters(constants: dict, columns: dict[str, np.ndarray], ids: np.ndarray) -> dict:
    """Return the parameters of some cells of a type; with lists among them, NEST takes every list as one per cell."""
    if columns:
        constants = {k: [v] * len(ids) if isinstance(v, list) else v for k, v in constants.items()}
    return constants | {name: column[ids].tolist() for name, column in columns.items()}


def _devices(circuit: Finished, slice_: Mapping, joined: Joined) -> list[dict]:
    """Return the devices that stimulate cells, and which: runs of node ids, half open, by region."""
    files = {cell_type: circuit.folder / "nodes" / f"{cell_type}.h5" for cell_type in slice_["cells"]}
    made = []
    for name, chosen in chosen_by_all(slice_, files).items():
        device = slice_["devices"][name]
        if device["kind"] in _RECORDERS or "rule" in device:
            continue
        targets = []
        for cell_type in (t for t in chosen if t in circuit.nodes):
            some = slice(None) if chosen[cell_type] is None else chosen[cell_type]
            regions, ids = joined.region[cell_type][some], joined.ids[cell_type][some].astype(np.int64)
            for at in np.unique(regions).tolist():
                targets.append({"population": joined.regions[at], "node_ids": _runs(ids[regions == at])})
        synapse = {key: device[key] for key in ("weight", "delay", "receptor_type") if device[key] is not None}
        parameters = values_of_device(slice_, name)
        made.append(
            {"name": name, "model": device["nest_model"], "params": parameters, "syn_spec": synapse, "targets": targets}
        )
    return made


_RECORDERS = ("spike_recorder", "multimeter")


def _runs(ids: np.ndarray) -> list[list[int]]:
    """Return rising ids as half-open ranges."""
    ends = np.flatnonzero(np.diff(ids) > 1)
    first, last = ids[np.concatenate([[0], ends + 1])], ids[np.concatenate([ends, [len(ids) - 1]])] + 1
    return np.column_stack([first, last]).tolist()


def _lost(slice_: Mapping, types: Types) -> Iterator[str]:
    """Yield what of a simulation bmtk cannot be given."""
    for name, device in sorted(slice_["devices"].items()):
        if device["kind"] == "multimeter":
            yield f"the multimeter {name}"
        elif "rule" in device:
            yield f"{name}, whose cells NEST draws"
    for module in slice_["run"]["modules"]:
        if not isinstance(module, str):
            yield f"the module {label(module)}, which has to be installed there"
    for edge_set, i in types.synapses:
        numbers = numbers_of(slice_["connections"][edge_set]["synapses"][i]).keys() - {"weight", "delay"}
        yield from (f"{number} of the synapses of {edge_set}" for number in sorted(numbers))


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hdf5.write_text(path, json.dumps(content, indent=2 if path.name == CONFIG else None) + "\n")
