"""RO-Crate: ro-crate-metadata.json, which says what the results are, for archives and whoever finds the folder later.

A Process Run Crate: the circuit was created by Snakefold, and each simulation's results by NEST from the circuit. Files
are known by the digests of all that they depend on. Equal results are equal bytes: no time; `DATE` stands where the
format demands one. Neither the report's size nor parse.h5's is told: they may change when no result does.
Reference: Soiland-Reyes et al. (2022), Data Science 5:97; Leo et al. (2024), PLoS ONE 19:e0309210.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import snakefold
from snakefold import build, hdf5
from snakefold.export import DATE
from snakefold.nest.description import result_files

NAME = "ro-crate-metadata.json"
_VERSION = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TYPES = {".h5": "application/x-hdf5", ".json": "application/json", ".csv": "text/csv", ".html": "text/html"}
_SONATA = "https://github.com/BlueBrain/sonata-extension"
_ABOUT = {
    "circuit_config.json": "SONATA configuration of the circuit",
    "node_sets.json": "SONATA node sets of the circuit",
    "node_types.csv": "Table of node types, for bmtk",
    "edge_types.csv": "Table of edge types, for bmtk",
    "parse.h5": "The circuit's description, complete, and the files that it was read from",
    "report.html": "What was built against what was wanted, and what the simulations did",
    "verdicts.json": "What was built against what was wanted, as a list for programs",
    "simulation_config.json": "SONATA configuration of the simulation",
    "spikes.h5": "SONATA spikes",
    "provenance.json": "Versions, seeds and digest of the simulation",
}
Entity = dict[str, object]


def write_crate(
    results: str | Path,
    cell_types: list[str],
    edge_sets: list[str],
    simulations: list[str],
    builds: list[str],
    authors: Sequence[str] = (),
    license_: str = "",
) -> None:
    """Write the metadata of a circuit's results into their folder.

    Parameters
    ----------
    cell_types, edge_sets, simulations : the names of those that are results
    builds : files of the build phase that belong to the circuit
    authors : their names, each alone or followed by an address that is theirs, as "Jane Doe <https://orcid.org/...>"
    license_ : an identifier of SPDX or an address; "" where it is not stated

    Raises
    ------
    UserError : a result is missing or damaged
    """
    folder = Path(results)
    name = folder.resolve().name
    circuit = [
        *(_population(folder, f"nodes/{t}.h5", f"SONATA nodes: the cells of type {t}") for t in sorted(cell_types)),
        *(_population(folder, f"edges/{s}.h5", f"SONATA edges: the synapses of {s}") for s in sorted(edge_sets)),
        *(_file(folder, f"morphologies/{m}.swc", f"Morphology {m}") for m in _morphologies(builds)),
        *(_file(folder, file, _ABOUT[file]) for file in ("circuit_config.json", "node_sets.json")),
        *(_file(folder, file, _ABOUT[file]) for file in ("node_types.csv", "edge_types.csv")),
    ]
    description = _file(folder, "parse.h5", _ABOUT["parse.h5"], sized=False)
    report = [_file(folder, file, _ABOUT[file], sized=False) for file in ("report.html", "verdicts.json")]
    snake = _software("#snakefold", "Snakefold", snakefold.__version__)
    actions = [_action("#build", f"Building the circuit {name}", snake, [description], circuit)]
    programs, files = {"#snakefold": snake}, [description, *circuit, *report]
    for simulation in sorted(simulations):
        nest, made = _simulated(folder, simulation)
        programs[str(nest["@id"])] = nest
        actions.append(_action(f"#simulate-{simulation}", f"Simulation {simulation} of {name}", nest, circuit, made))
        files += made
    outcome = [*circuit, *(file for file in files if str(file["@id"]).startswith("simulations/"))]
    actions.append(_action("#report", f"Report of {name}", snake, outcome, report))
    persons, licence = [_person(author) for author in authors], _licence(license_)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": f"The brain circuit {name} in the SONATA format, and simulations of it with NEST",
        "datePublished": DATE,
        "license": {"@id": licence["@id"]},
        "conformsTo": {"@id": _PROFILE},
        "hasPart": _ids(files),
        "mentions": _ids(actions),
        "mainEntity": {"@id": "circuit_config.json"},
    } | ({"author": _ids(persons)} if persons else {})
    profile = {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    sonata = {"@id": _SONATA, "@type": "CreativeWork", "name": "SONATA"}
    itself = {
        "@id": NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _VERSION},
        "about": {"@id": "./"},
    }
    graph = [itself, root, licence, *persons, profile, sonata, *programs.values(), *actions, *files]
    crate = {"@context": f"{_VERSION}/context", "@graph": graph}
    hdf5.write_text(folder / NAME, json.dumps(crate, indent=2) + "\n")


def _morphologies(builds: Iterable[str]) -> list[str]:
    return sorted(Path(path).stem for path in builds if Path(path).parent.name == "morphology")


def _file(folder: Path, path: str, name: str, *, sized: bool = True) -> Entity:
    """Return what the crate says of a file."""
    made: Entity = {"@id": path, "@type": "File", "name": name}
    made["encodingFormat"] = _TYPES.get(Path(path).suffix, "text/plain")
    if sized:
        made["contentSize"] = str((folder / path).stat().st_size)
    return made


def _population(folder: Path, path: str, name: str) -> Entity:
    """Return what the crate says of a SONATA file."""
    own = {"identifier": hdf5.digest_of(folder / path), "conformsTo": {"@id": _SONATA}}
    return _file(folder, path, name) | own


def _software(name: str, title: str, version: str) -> Entity:
    return {"@id": name, "@type": "SoftwareApplication", "name": title, "softwareVersion": version}


def _simulated(folder: Path, simulation: str) -> tuple[Entity, list[Entity]]:
    """Return the NEST that ran a simulation, and its files."""
    where = Path("simulations", simulation)
    names = result_files(build.read(folder / "build/simulate" / f"{simulation}.h5").slice)
    provenance = json.loads((folder / where / "provenance.json").read_text(encoding="utf-8"))
    files = []
    for file in names:
        what = f"{_ABOUT.get(file, f'Recordings or further results: {file}')} ({simulation})"
        files.append(_file(folder, str(where / file), what) | {"identifier": provenance["digest"]})
    version = str(provenance["nest"])
    return _software(f"#nest-{version}", "NEST", version) | {"url": "https://www.nest-simulator.org"}, files


def _person(author: str) -> Entity:
    name, _, address = author.partition("<")
    name, address = name.strip(), address.rstrip("> ")
    return {"@id": address or f"#{quote(name)}", "@type": "Person", "name": name}


def _licence(given: str) -> Entity:
    if given:
        address = given if "://" in given else f"https://spdx.org/licenses/{given}"
        return {"@id": address, "@type": "CreativeWork", "name": given, "description": f"The licence {given}"}
    said = f"Whoever owns the circuit says so. Results have no date, so that equal ones are equal: {DATE}."
    return {"@id": "#license", "@type": "CreativeWork", "name": "Not stated", "description": said}


def _action(name: str, title: str, instrument: Entity, given: list[Entity], made: list[Entity]) -> Entity:
    return {
        "@id": name,
        "@type": "CreateAction",
        "name": title,
        "description": f"{title}, by {instrument['name']} {instrument['softwareVersion']}",
        "instrument": {"@id": instrument["@id"]},
        "object": _ids(given),
        "result": _ids(made),
    }


def _ids(entities: Iterable[Entity]) -> Entity | list[Entity]:
    """Return references to some entities; to one, as RO-Crate has it, not in a list."""
    ids = [{"@id": entity["@id"]} for entity in entities]
    return ids[0] if len(ids) == 1 else ids
