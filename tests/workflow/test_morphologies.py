"""Morphologies: built once each and exported, equal bytes for any tiles, and an edited file reruns its own job alone."""

import numpy as np
import pytest

from flow import Workflow, description

CELL = "1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 20 0 0 1 2\n4 2 0 -9 0 1 1\n"
OTHER = "1 1 0 0 0 4 -1\n2 3 0 9 0 1 1\n3 16 0 30 5 1 2\n"


def circuit() -> dict:
    """Return the base circuit, whose exc and inh have one of two morphologies and are turned."""
    tree = description(simulations={}, morphologies=["cell.swc", {"file": "other.swc", "pipeline": ["center"]}])
    tree["connectivity"] = {"feed": tree["connectivity"]["feed"]}
    tree["cell_types"]["exc"]["spatial"]["morphologies"] = ["*"]
    tree["cell_types"]["inh"]["spatial"]["morphologies"] = ["cell"]
    tree["placement"]["low_cells"]["distribute"] = {"rotations": {"strategy": "random"}}
    return tree


def written(workflow: Workflow) -> Workflow:
    workflow.write(circuit())
    (workflow.folder / "cell.swc").write_text(CELL)
    (workflow.folder / "other.swc").write_text(OTHER)
    return workflow


def test_two_morphologies_from_the_description_to_bluepysnap_and_back(workflow, tmp_path):
    from bluepysnap import Circuit

    workflow.tiles = 7
    files = written(workflow).built(jobs=2).files()
    assert {"morphologies/cell.swc", "morphologies/other.swc"} <= set(files)
    in_one = written(Workflow(tmp_path / "other", tiles=1)).built().files()
    of_circuit = [name for name in files if name.startswith(("nodes/", "edges/", "morphologies/"))]
    assert [in_one[name] for name in of_circuit] == [files[name] for name in of_circuit]

    cells = Circuit(str(workflow.results / "circuit_config.json")).nodes["exc"]
    assert set(cells.get(properties="morphology")) == {"cell", "other"}
    own, turned = cells.morph.get(0).points, cells.morph.get(0, transform=True).points
    assert np.linalg.norm(np.diff(turned, axis=0), axis=1) == pytest.approx(
        np.linalg.norm(np.diff(own, axis=0), axis=1)
    )
    assert not np.allclose(turned - turned[0], own - own[0], atol=0.1)

    (workflow.folder / "other.swc").write_text(OTHER + "4 16 0 50 5 1 3\n")
    ran = workflow.run()
    assert ran.code == 0 and ran.jobs == {"build_morphology": 1, "report": 1, "all": 1}, ran.output
    edited = workflow.files()
    changed = {name for name in files if edited[name] != files[name]}
    assert changed - {"report.html", "ro-crate-metadata.json"} == {"morphologies/other.swc"}
    assert workflow.plan() == {}


def test_a_broken_file_is_told_before_any_job(workflow):
    written(workflow)
    (workflow.folder / "other.swc").write_text("1 1 0 0 0 4 -1\n2 3 0 9 1 1\n")
    ran = workflow.run()
    assert ran.code == 1 and not ran.jobs
    assert "other.swc:2: morphologies[1]: should be: seven numbers, id, type, x, y, z, radius, parent" in ran.output
    assert not (workflow.results / "nodes").exists()
