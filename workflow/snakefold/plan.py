"""The plan: every part of a circuit with its slice, frozen before the first job so that no later edit reaches a job.

A slice is all that a build job depends on, as canonical JSON under the digest of its bytes; only through slices does an
edit of the description enter the workflow. `tiles` in a slice says how a strategy is cut into jobs and changes no
result: it is left out of the content digest that results carry.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from snakefold import hdf5
from snakefold.config.parse import readings
from snakefold.errors import UserError
from snakefold.needs import Needs
from snakefold.nest.description import result_files
from snakefold.slices import canonical, digest_of


@dataclass(frozen=True)
class Part:
    """One build job.

    Attributes
    ----------
    slice : see the module
    files : data files that it names: digest -> path
    inputs : other parts that it reads
    """

    slice: dict
    files: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The address of the slice."""
        return digest_of(self.slice)


@dataclass(frozen=True)
class Placement:
    """How a placement strategy runs: what it places, in how many jobs, and the cell types it reads."""

    cell_types: tuple[str, ...]
    tiles: int
    passes: int
    prepares: bool
    reads: tuple[str, ...]
    direct: bool


@dataclass(frozen=True)
class Connection:
    """How a connectivity strategy runs: its edge sets, in how many jobs, and the cells, edges and shapes it reads.

    Attributes
    ----------
    column_bytes : of the further columns of one of its edges
    """

    sets: dict[str, tuple[str, str]]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    looks_at: tuple[str, ...]
    tiles: int
    prepares: bool
    reads: tuple[str, ...]
    morphologies: tuple[str, ...]
    direct: bool
    column_bytes: int

    @property
    def cell_types(self) -> list[str]:
        """The cell types whose cells it reads."""
        return list(dict.fromkeys([*self.sources, *self.targets, *self.looks_at]))


@dataclass(frozen=True)
class Hook:
    """What a hook reads and writes.

    Attributes
    ----------
    files : population or edge set that it writes -> the stage of it that it reads, None where it adds it
    reads : others that it reads -> their stage
    removes : of these, those that are no part of the circuit any more
    adds : edge sets that it adds -> (source cell type, target cell type)
    """

    files: dict[str, int | None]
    reads: dict[str, int] = field(default_factory=dict)
    removes: tuple[str, ...] = ()
    adds: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Amount:
    """How many cells or synapses there will be.

    Attributes
    ----------
    mean, sd : what is expected, and its standard deviation; 0 where it is exact
    known : whether that follows from the description; else it is an estimate
    """

    mean: float
    sd: float = 0.0
    known: bool = True


@dataclass(frozen=True)
class Plan:
    """Everything that the rules need to know of a circuit, from which the same DAG follows in every process.

    Attributes
    ----------
    modules : extension modules that are compiled, by name
    libraries : of each simulation, those of its extension modules that are files, in their order
    expected_rates : of each simulation that states some, the rates that the report compares with, Hz, by cell type
    cells, synapses : how many of each cell type and edge set
    """

    circuit: str
    results: str
    cell_types: tuple[str, ...]
    parts: dict[str, Part]
    placements: dict[str, Placement]
    connections: dict[str, Connection]
    after_placement: dict[str, Hook]
    after_connectivity: dict[str, Hook]
    simulations: tuple[str, ...]
    modules: dict[str, Part]
    libraries: dict[str, tuple[str, ...]]
    expected_rates: dict[str, dict[str, float]]
    warnings: tuple[str, ...]
    needs: dict[str, Needs]
    cells: dict[str, Amount]
    synapses: dict[str, Amount]

    # Where things lie

    def path(self, *steps: object) -> str:
        """Return a path in the results of this circuit."""
        return "/".join([self.results, *(str(s) for s in steps)])

    def built(self, *part: str) -> str:
        """Return the file of a part."""
        return self.path("build", *part) + ".h5"

    def library(self, module: str) -> str:
        """Return the library of an extension module that is compiled."""
        return self.path("build/module", f"{module}.so")

    def morphology(self, name: str) -> str:
        """Return the file of a morphology that other programs read."""
        return self.path("morphologies", f"{name}.swc")

    def nodes(self, cell_type: str) -> str:
        """Return the final node file of a cell type."""
        return self.path("nodes", f"{cell_type}.h5")

    def edges(self, name: str) -> str:
        """Return the final edges file of an edge set."""
        return self.path("edges", f"{name}.h5")

    def staged(self, kind: str, name: str, stage: int = 0) -> str:
        """Return a stage of a population ("nodes") or an edge set ("edges"): the final file where no hook follows."""
        hooks = self.after_placement if kind == "nodes" else self.after_connectivity
        n_stages = len([h for h in hooks.values() if h.files.get(name) is not None or name in h.removes])
        return self.path(kind, f"{name}.h5") if stage >= n_stages else self.path("stage", stage, kind, f"{name}.h5")

    def hook_inputs(self, kind: str, name: str) -> list[str]:
        """Return the files that a hook reads."""
        hook = self._hook(kind, name)
        stages = hook.files | hook.reads
        return [self.staged(kind, of, stage) for of, stage in stages.items() if stage is not None]

    def hook_outputs(self, kind: str, name: str) -> list[str]:
        """Return the files that a hook writes."""
        hook = self._hook(kind, name)
        return [self.staged(kind, of, 0 if stage is None else stage + 1) for of, stage in hook.files.items()]

    def _hook(self, kind: str, name: str) -> Hook:
        return (self.after_placement if kind == "nodes" else self.after_connectivity)[name]

    def placers(self, cell_type: str) -> list[str]:
        """Return the strategies that place a cell type, in the order of its cells' ids."""
        return [name for name, p in self.placements.items() if cell_type in p.cell_types]

    def gathered_cell_types(self) -> list[str]:
        """Return the cell types whose node files are gathered from tiles."""
        return [t for t in self.cell_types if any(not self.placements[n].direct for n in self.placers(t))]

    def edge_sets(self) -> dict[str, tuple[str, str]]:
        """Return all edge sets of the circuit: name -> (source cell type, target cell type)."""
        sets = {name: pair for c in self.connections.values() for name, pair in c.sets.items()}
        for hook in self.after_connectivity.values():
            sets = {name: pair for name, pair in sets.items() if name not in hook.removes} | hook.adds
        return sets

    def needs_of_build(self, part: str) -> Needs:
        """Return what the build job of a part needs; more than any job only where it reads volumes."""
        return self.needs.get(part, Needs()) if part.startswith("partition/") else Needs()

    def morphologies(self) -> list[str]:
        """Return the names of the circuit's morphologies."""
        return [part.removeprefix("morphology/") for part in self.parts if part.startswith("morphology/")]

    def simulation_outputs(self, name: str) -> list[str]:
        """Return the files that a simulation writes."""
        files = result_files(self.parts[f"simulate/{name}"].slice)
        return [self.path("simulations", name, file) for file in files]

    def circuit_files(self) -> list[str]:
        """Return the files that are the circuit."""
        return [
            *(self.nodes(t) for t in self.cell_types),
            *(self.edges(s) for s in self.edge_sets()),
            *(self.morphology(m) for m in self.morphologies()),
            *map(self.path, ("circuit_config.json", "node_sets.json", "node_types.csv", "edge_types.csv")),
        ]

    def final_files(self) -> list[str]:
        """Return every final file."""
        simulated = [file for name in self.simulations for file in self.simulation_outputs(name)]
        reported = map(self.path, ("report.html", "verdicts.json", "ro-crate-metadata.json"))
        return [self.path("parse.h5"), *self.circuit_files(), *simulated, *reported]

    def files_behind_circuit(self) -> list[str]:
        """Return the files that stay and that the circuit is made from: its parts, and stages before hooks.

        A rule that makes final files asks for these, too. The output of a job that is killed is gone, and Snakemake
        does not miss what only jobs read whose own outputs are there, older ones: it would keep these.
        """
        parts = [self.built(part) for part in self.parts if part != "parse" and not part.startswith("simulate/")]
        stages = [
            self.staged(kind, name, stage)
            for kind, hooks in (("nodes", self.after_placement), ("edges", self.after_connectivity))
            for hook in hooks.values()
            for name, stage in (hook.files | {removed: hook.reads[removed] for removed in hook.removes}).items()
            if stage is not None
        ]
        return parts + stages

    def kept_files(self) -> list[str]:
        """Return every file that stays when all is made."""
        simulations = [self.built("simulate", name) for name in self.simulations]
        verdicts = [self.path("validate", f"{name}.h5") for name in self.simulations]
        modules = [self.library(module) for module in self.modules]
        return [*self.final_files(), *self.files_behind_circuit(), *simulations, *verdicts, *modules]

    def locate(self, path: tuple) -> str:
        """Return `file:line` of a path into the description."""
        marks = self.parts["parse"].slice["marks"]
        found = (marks[key] for at in readings(path) if (key := json.dumps(at)) in marks)
        return next((f"{file}:{line}" for file, line, *_ in found), self.circuit)

    # Frozen

    def to_json(self) -> dict:
        """Return the plan as plain JSON."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Digest of the whole plan."""
        return digest_of(self.to_json())

    @classmethod
    def from_json(cls, tree: dict) -> "Plan":
        """Return the plan of `to_json`."""
        made = dict(tree)
        for key in ("parts", "modules"):
            made[key] = {k: Part(v["slice"], v["files"], tuple(v["inputs"])) for k, v in tree[key].items()}
        made["libraries"] = _tuples(tree["libraries"])
        kinds = {"placements": Placement, "connections": Connection, "needs": Needs}
        kinds |= {"cells": Amount, "synapses": Amount}
        for key, what in kinds.items():
            made[key] = {name: what(**_tuples(fields)) for name, fields in tree[key].items()}
        for key in ("after_placement", "after_connectivity"):
            made[key] = {name: Hook(**_tuples(fields)) for name, fields in tree[key].items()}
        return cls(**_tuples(made))

    def freeze(self) -> Path:
        """Write the plan and its slices, each under its digest, and return the plan's file, the newest of all."""
        for digest, slice_ in self.slices().items():
            _write_once(Path(self.slice_file(digest)), canonical(slice_))
        path = Path(self.path(".plan", f"{self.digest}.json"))
        _write_once(path, canonical(self.to_json()))
        path.touch()
        return path

    def slices(self) -> dict[str, dict]:
        """Return the slices of all jobs that have one, by their digests."""
        return {part.digest: part.slice for part in (*self.parts.values(), *self.modules.values())}

    def slice_file(self, digest: str) -> str:
        """Return the file of a slice."""
        return self.path(".plan", "slices", f"{digest}.json")


def thaw(path: str | Path) -> Plan:
    """Return a frozen plan."""
    try:
        return Plan.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the frozen plan cannot be read: {error}; run snakemake again"
        raise UserError(what, where=str(path)) from error


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        hdf5.write_text(path, text)


def _tuples(fields: dict) -> dict:
    made = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return made | {key: _tuples(made[key]) for key in ("sets", "adds") if key in made}
