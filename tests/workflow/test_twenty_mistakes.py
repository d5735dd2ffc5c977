"""One description with twenty mistakes, each of another kind, in four files: twenty errors, each where its mistake is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow import ROOT

TWENTY = ROOT / "tests/data/twenty"
STRATEGIES, CELLS, SIMULATIONS = "parts/strategies.yaml", "cells.json", "simulations.json"
MODEL, SYNAPSES = "simulations.quick.cell_models.exc", "simulations.quick.connection_models.feed.synapses"
# file, what stands in the line, path, words of the message
EXPECTED = [
    (CELLS, '"both": {"spatial"', "cell_types.both.spatial", 'how many "both"? It gives count, density: give one'),
    (CELLS, '"wide"\n', "cell_types.wide.spatial.radius", "should be: a number > 0 (got: 'wide')"),
    (CELLS, "3 * scal", "cell_types.many.spatial.count", 'uses "scal", which is no variable; did you mean "scale"?'),
    ("circuit.yaml", "nmae", "nmae", 'unknown key "nmae"; did you mean "name"?'),
    ("circuit.yaml", "numpy ==", "packages[0]", "should be: a requirement"),
    ("circuit.yaml", "hihg", "regions.aside.children[0]", 'no region or partition "hihg"; did you mean "high"?'),
    ("circuit.yaml", "dimension:", "partitions.cap.dimension", 'unknown key "dimension"; did you mean "dimensions"?'),
    ("circuit.yaml", "randon", "placement.odd_cells.strategy", 'no placement component "randon"; did you mean'),
    ("circuit.yaml", "#/nowhere", "", 'parts/strategies.yaml#/nowhere: nothing at "nowhere" in parts/strategies.yaml'),
    (STRATEGIES, "- exk", "placement.high_cells.cell_types[2]", 'no cell type "exk"; did you mean "exc"?'),
    (STRATEGIES, "crowd:", "placement.crowd", "too dense: somata would fill 3.82 of the volume"),
    (STRATEGIES, "5000", "connectivity.greedy.indegree", "5000 distinct partners asked for, but there are only 156"),
    (STRATEGIES, "-0.5", "connectivity.weak.affinity", "should be: a number >= 0 and <= 1 (got: -0.5)"),
    (STRATEGIES, "no_such.csv", "connectivity.counted.number", "parts/no_such.csv cannot be read"),
    (SIMULATIONS, "tau_n", f"{MODEL}.constants.tau_n", 'has no parameter "tau_n"; did you mean "tau_m" (ms)?'),
    (SIMULATIONS, "0.01", f"{SYNAPSES}[1].delay", "0.01 ms is below the resolution, 0.1 ms"),
    (SIMULATIONS, '"receptor_type": 7', f"{SYNAPSES}[2].receptor_type", "Receptor type 7 is not available"),
    (SIMULATIONS, '"fed"', "simulations.quick.connection_models.fed", 'no edge set or connectivity strategy "fed"'),
    (SIMULATIONS, '"V_n"', "simulations.quick.devices.voltage.properties[1]", 'called "V_n"'),
    (SIMULATIONS, "alhpa", "simulations.other.cell_models.inh.model", 'did you mean "iaf_psc_alpha"?'),
]


def check(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "snakefold", "check", "circuit.yaml", *arguments]
    return subprocess.run(command, cwd=TWENTY, env=environment, capture_output=True, text=True, check=False)


def line_of(file: str, text: str) -> int:
    """Return the line, from 1, of the only place of a text in a file of the description."""
    before, found, after = Path(TWENTY, file).read_text().partition(text)
    assert found and text not in after, (file, text)
    return before.count("\n") + 1


@pytest.fixture(scope="module")
def as_text():
    return check()


@pytest.fixture(scope="module")
def as_json():
    return check("--json")


def test_there_are_twenty_and_no_more(as_text, as_json):
    assert len(EXPECTED) == 20 == len({words for *_, words in EXPECTED})
    assert (as_text.returncode, as_json.returncode) == (1, 1)
    lines = as_text.stderr.splitlines()
    assert lines[-1].startswith("20 mistakes")
    assert len(lines) == 21, as_text.stderr
    assert len(json.loads(as_json.stdout)["mistakes"]) == 20
    assert as_text.stdout == as_json.stderr == ""


@pytest.mark.parametrize(
    ("file", "text", "path", "words"), EXPECTED, ids=[path or text for _, text, path, _ in EXPECTED]
)
def test_each_is_where_it_stands(as_text, as_json, file, text, path, words):
    line = line_of(file, text)
    where = f"{file}:{line}: {path}: " if path else f"{file}:{line}: "
    assert len([said for said in as_text.stderr.splitlines() if said.startswith(where) and words in said]) == 1
    at = {"file": file, "line": line, "path": path}
    mine = [m for m in json.loads(as_json.stdout)["mistakes"] if m.items() >= at.items() and words in m["message"]]
    assert len(mine) == 1


def test_nothing_is_written_by_a_check():
    assert sorted(p.relative_to(TWENTY).as_posix() for p in TWENTY.rglob("*") if p.is_file()) == sorted(
        {file for file, *_ in EXPECTED}
    )
