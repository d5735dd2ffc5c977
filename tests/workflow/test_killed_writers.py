"""A job that is killed after an edit leaves no old file in place of what it should have made: the rerun does the rest.

Snakemake deletes what a job that fails should have made, and then asks only for files that nothing older stands for.
"""

import shutil

import pytest

from flow import Workflow, description

HOOK = '''\
"""A hook that moves cells."""

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.placement.strategy import AfterPlacement


class Shift(AfterPlacement):
    """Moves cells along x."""

    by = Attribute(types.number(), required=True, unit="um", doc="How far.")

    def postprocess(self, cells, rng):
        return {t: {"position": columns["position"] + [self.by, 0, 0]} for t, columns in cells.items()}
'''
# Beside the workflow on PYTHONPATH: the process whose command line has the words kills itself.
KILL = """\
import os, signal, sys

if all(word in " ".join(sys.orig_argv) for word in os.environ.get("KILL", "nothing at all").split()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def indegree(circuit: dict) -> None:
    circuit["connectivity"]["feed"]["indegree"] = 9


def thickness(circuit: dict) -> None:
    circuit["partitions"]["high"]["thickness"] = 90


def count(circuit: dict) -> None:
    circuit["cell_types"]["top"]["spatial"]["count"] = 55


def shift(circuit: dict) -> None:
    circuit["after_placement"]["moved"]["by"] = 3


def constant(circuit: dict) -> None:
    circuit["simulations"]["quick"]["cell_models"]["top"]["constants"]["t_ref"] = 2.5


VICTIMS = {
    "build.py build/connect/feed.h5": indegree,
    "gather_edges.py edges/feed.h5": indegree,
    "build.py build/partition/high.h5": thickness,
    "gather_cells.py stage/0/nodes/top.h5": count,
    "build.py build/after_placement/moved.h5": shift,
    "build.py build/simulate/quick.h5": constant,
}


def circuit() -> dict:
    made = description(components=["shift.py"])
    made["after_placement"] = {"moved": {"strategy": "shift.Shift", "by": 2, "rewrites": ["top"]}}
    made["simulations"] = {"quick": made["simulations"]["quick"]}
    return made


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    (folder / "shift.py").write_text(HOOK)
    workflow = Workflow(folder, tiles=2)
    workflow.write(circuit())
    return workflow.built(jobs=2)


@pytest.fixture(scope="module")
def planned():
    """What is to be done after an edit, by the edit."""
    return {}


@pytest.mark.parametrize("victim", VICTIMS)
def test_after_a_killed_job_the_plan_is_what_that_run_left(base, planned, tmp_path, victim):
    here = Workflow(shutil.copytree(base.folder, tmp_path / "here"), tiles=2)
    edited, edit = circuit(), VICTIMS[victim]
    edit(edited)
    here.write(edited)
    if edit not in planned:
        planned[edit] = here.plan()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(KILL)
    here.env |= {"PYTHONPATH": str(tmp_path / "site"), "KILL": victim}
    killed = here.run(jobs=2)
    assert killed.code == 1
    (failed,) = {
        line.split()[-1].rstrip(":") for line in killed.output.splitlines() if line.startswith("Error in rule")
    }
    here.env["KILL"] = "nothing at all"
    left = {rule: n - killed.jobs.get(rule, 0) + (rule == failed) for rule, n in planned[edit].items()}
    assert here.plan() == {rule: n for rule, n in left.items() if n}
