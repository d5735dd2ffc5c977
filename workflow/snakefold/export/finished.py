"""Finished results, as exports read them: a circuit's files, what its cells are, and one of its simulations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from snakefold import build
from snakefold.config.stage import read_document
from snakefold.errors import UserError, did_you_mean, listed
from snakefold.export.regions import Regions
from snakefold.nest.results import digest_of_results, recorded_cells
from snakefold.sonata.nodes import Nodes


@dataclass(frozen=True)
class Finished:
    """A circuit that is built.

    Attributes
    ----------
    folder : of its results
    nodes, edges : cell type -> node file, edge set -> edge file; those without cells are left out
    """

    folder: Path
    nodes: dict[str, Path]
    edges: dict[str, Path]

    @classmethod
    def of(cls, folder: str | Path) -> "Finished":
        """Return the circuit whose results are in a folder.

        Raises
        ------
        UserError : they are not finished, or not there
        """
        folder = Path(folder)
        networks = _json(folder / "circuit_config.json", "the circuit is not finished, or this is not its folder")
        files: dict[str, dict[str, Path]] = {}
        for kind in ("nodes", "edges"):
            entries = networks["networks"][kind]
            paths = [folder / entry[f"{kind}_file"].removeprefix("$BASE_DIR/") for entry in entries]
            files[kind] = {name: p for p, entry in zip(paths, entries, strict=True) for name in entry["populations"]}
        return cls(folder, **files)

    @property
    def name(self) -> str:
        """The name of the results' folder."""
        return self.folder.resolve().name

    @property
    def simulations(self) -> list[str]:
        """Names of the simulations that are finished."""
        return sorted(path.parent.name for path in self.folder.glob("simulations/*/simulation_config.json"))

    @cached_property
    def regions(self) -> Regions:
        """The regions of the cells."""
        return Regions.of(read_document(self.folder / "parse.h5"), list(self.nodes))

    def simulation(self, name: str | None) -> "Simulated | None":
        """Return a simulation: the one that is named, or the only one; None if there is none and none is named.

        Raises
        ------
        UserError : it is not there, or none is named and there are several
        """
        known = self.simulations
        if name is None and len(known) > 1:
            raise UserError(f"has several simulations; name one with --simulation: {listed(known)}", str(self.folder))
        if name is not None and name not in known:
            near = did_you_mean(name, known)
            raise UserError(f'no simulation "{name}"{near} (simulations: {listed(known)})', str(self.folder))
        name = name or next(iter(known), None)
        return None if name is None else Simulated(self, name)

    def cells(self, cell_type: str, ids: np.ndarray) -> dict[str, np.ndarray]:
        """Return what is known of some cells of a type, each (n,).

        Returns
        -------
        node_id (int64), cell_type, region and partition (str; empty where there is none), x, y, z (float32, um; NaN for
        cells that are nowhere)
        """
        with Nodes(self.nodes[cell_type]) as nodes:
            placed = "partition" in nodes.columns
            partition = nodes.column("partition")[ids] if placed else np.full(len(ids), "", object)
            positions = nodes.positions()[ids]
        positions[partition == ""] = np.nan
        table = {"node_id": ids.astype(np.int64), "cell_type": np.full(len(ids), cell_type, object)}
        named, code = np.unique(partition.astype(str), return_inverse=True)
        region = np.array([self.regions.of_partition(p, cell_type) for p in named.tolist()], object)
        table |= {"region": region[code] if len(ids) else partition, "partition": partition}
        return table | dict(zip("xyz", positions.T, strict=True))


class Simulated:
    """A simulation that is finished.

    Attributes
    ----------
    folder : of its results
    config, provenance : what simulation_config.json and provenance.json say
    built : its part, with the slice

    Raises
    ------
    UserError : it is not finished, or its results are older than the circuit
    """

    def __init__(self, circuit: Finished, name: str):
        self.circuit, self.name = circuit, name
        self.folder = circuit.folder / "simulations" / name
        what = "the simulation is not finished; run the workflow"
        self.config = _json(self.folder / "simulation_config.json", what)
        self.provenance = _json(self.folder / "provenance.json", what)
        self.built = build.read(circuit.folder / "build/simulate" / f"{name}.h5")
        connected = [s for s, connection in self.built.slice["connections"].items() if "rule" not in connection]
        files = {"nodes": self.built.slice["cells"], "edges": connected}
        used = [circuit.folder / kind / f"{file}.h5" for kind, names in files.items() for file in names]
        if digest_of_results(self.built.digest, used) != self.digest:
            what = "these results are of the circuit or the simulation as it was before; run the workflow"
            raise UserError(what, where=str(self.folder))

    @property
    def digest(self) -> str:
        """The digest of all that its results depend on."""
        return str(self.provenance["digest"])

    @property
    def spikes_file(self) -> Path:
        """Its spikes."""
        return self.folder / "spikes.h5"

    @property
    def reports(self) -> dict[str, tuple[Path, str]]:
        """Its reports: name -> (file, variable)."""
        rules: Mapping = self.config.get("reports") or {}
        return {
            name: (self.folder / rule.get("file_name", f"{name}.h5"), str(rule.get("variable_name", name)))
            for name, rule in sorted(rules.items())
        }

    def recorded(self, cell_type: str) -> np.ndarray:
        """Return (n,) int64: ids, rising, of those of a type's cells whose spikes were recorded."""
        some = recorded_cells(self.folder, self.config)
        if cell_type in some:
            return some[cell_type]
        with Nodes(self.circuit.nodes[cell_type]) as nodes:
            return np.arange(nodes.n)


def _json(path: Path, otherwise: str) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"is not there: {otherwise}", where=str(path)) from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error}); delete it and run again", where=str(path)) from error
