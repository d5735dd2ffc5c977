"""RO-Crate: ro-crate-py reads it, every file of it is there, and it says what made what."""

import json
import shutil
from pathlib import Path

import pytest

from snakefold import hdf5
from snakefold.export.crate import NAME, write_crate


@pytest.fixture(scope="module")
def crate(finished):
    from rocrate.rocrate import ROCrate

    folder = finished[0].folder
    (folder / "report.html").write_text("<p>")
    (folder / "verdicts.json").write_text("[]")
    builds = [str(path) for path in folder.glob("build/**/*.h5")]
    arguments = (folder, ["e", "b", "a"], ["ab", "aa", "ba", "ea"], ["s"])
    write_crate(*arguments, builds)
    before = (folder / NAME).read_bytes()
    (folder / "report.html").write_text("<p>longer</p>")
    write_crate(*arguments, builds[::-1])
    assert (folder / NAME).read_bytes() == before, "the report's size is not a result"
    return ROCrate(folder)


def test_it_has_what_the_format_demands(crate):
    root = crate.root_dataset
    assert all(root[key] for key in ("name", "description", "datePublished", "license"))
    assert root["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    assert crate.mainEntity.id == "circuit_config.json"


def test_every_file_is_there_and_described(crate, finished):
    folder = finished[0].folder
    files = {entity.id: entity for entity in crate.data_entities}
    assert all((folder / name).is_file() for name in files)
    results = {
        str(p.relative_to(folder)) for kind in ("nodes", "edges", "simulations") for p in folder.rglob(f"{kind}/**/*.*")
    }
    assert results <= files.keys()
    edges = files["edges/ab.h5"]
    assert edges["identifier"] == hdf5.digest_of(folder / "edges/ab.h5")
    assert int(edges["contentSize"]) == (folder / "edges/ab.h5").stat().st_size
    assert "contentSize" not in files["report.html"].properties()


def test_it_says_what_made_what(crate, finished):
    by_id = {entity.id: entity for entity in crate.contextual_entities}
    simulated = by_id["#simulate-s"]
    provenance = json.loads(Path(finished[0].folder, "simulations/s/provenance.json").read_text())
    assert (simulated["instrument"]["name"], simulated["instrument"]["softwareVersion"]) == ("NEST", provenance["nest"])
    assert {"nodes/a.h5", "edges/ab.h5"} <= {entity.id for entity in simulated["object"]}
    assert {"simulations/s/spikes.h5", "simulations/s/voltage.h5"} <= {entity.id for entity in simulated["result"]}
    assert by_id["#build"]["object"].id == "parse.h5"


def test_authors_and_licence_are_those_that_are_given(finished, tmp_path):
    from rocrate.rocrate import ROCrate

    folder = shutil.copytree(finished[0].folder, tmp_path / "own", ignore=shutil.ignore_patterns("ro-crate*"))
    for file in ("report.html", "verdicts.json"):
        (folder / file).write_text("")
    doe = "https://orcid.org/0000-0002-1825-0097"
    authors = [f"Jane Doe <{doe}>", "Ramón y Cajal"]
    for given, wanted in (
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0"),
        ("https://own.org/l", "https://own.org/l"),
    ):
        write_crate(folder, ["a"], [], [], [], authors, given)
        root = ROCrate(folder).root_dataset
        assert [(person.id, person["name"]) for person in root["author"]] == [
            (doe, "Jane Doe"),
            ("#Ram%C3%B3n%20y%20Cajal", "Ramón y Cajal"),
        ]
        assert (root["license"].id, root["license"]["name"]) == (wanted, given)


def test_every_reference_is_to_something_described(finished, crate):
    graph = json.loads((finished[0].folder / NAME).read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)

    def references(value):
        if isinstance(value, list):
            return {name for item in value for name in references(item)}
        return {value["@id"]} if isinstance(value, dict) else set()

    named = {name for entity in graph for value in entity.values() for name in references(value)}
    assert named - known == {"https://w3id.org/ro/crate/1.1"}
