"""kill -9 of whatever takes part, at any moment: the rerun ends with the same bytes, and no lock needs more than --unlock.

python tests/cluster/test_kill_nine.py N SEED [FOLDER]      N kills at random moments, and what each has cost
"""

import collections
import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parent))

import h5py
import pytest
import slurm
import yaml
from on_slurm import MPIRUN, OnSlurm, kill, notes, of_watched, pids, until

from flow import Ran, Workflow

FRAGILE = ("--default-resources", "slurm_partition=fragile")
ON_RANKS = ("--default-resources", "ranks=2", MPIRUN)
CHUNKS = {"network": {"x": 100, "y": 100, "z": 200, "chunk_size": [50, 50, 25]}}
CHUNK_S = 1.0
LOST = 2  # chunks that a killed process loses: the one in flight, and one that waits for its commit
DONE = 0.7  # of a run, when its tiles are there
TILE_JOBS, OTHER_JOBS = ("place", "connect"), ("build", "prepare", "gather_cells", "gather_edges")


@dataclass(frozen=True)
class Variant:
    """What a description is edited to: the in-degree of its slow strategy, and the number of its target cells."""

    indegree: int = 8
    count: int = 50

    def write(self, workflow: Workflow) -> None:
        """Edit a description."""
        circuit = yaml.safe_load(workflow.description.read_text())
        circuit["connectivity"]["own"]["indegree"] = self.indegree
        circuit["cell_types"]["top"]["spatial"]["count"] = self.count
        workflow.write(circuit)


def killable(folder: Path, kind: type = Workflow) -> Workflow:
    """Return a workflow with a slow strategy of 2 tiles of 8 chunks, without a report."""
    workflow = of_watched(folder, kind, **CHUNKS)
    workflow.target = "circuit"
    return workflow


class Right:
    """The files of all variants, made where nothing is killed.

    Attributes
    ----------
    first : a workflow that has built the first variant, to be copied
    """

    def __init__(self, folder: Path):
        self.first = killable(folder / "first").built(jobs=2)
        self.workflow = self.copy(folder / "right", Workflow)
        self.workflow.env["SLEEP"] = "0"
        self.files = {Variant(): self.first.circuit_files()}

    def __getitem__(self, variant: Variant) -> dict[str, str]:
        if variant not in self.files:
            variant.write(self.workflow)
            self.files[variant] = self.workflow.built().circuit_files()
        return self.files[variant]

    def copy(self, folder: Path, kind: type) -> Workflow:
        """Return a slow workflow that has built the first variant."""
        shutil.copytree(self.first.folder, folder, dirs_exist_ok=True)
        workflow = killable(folder, kind)
        workflow.env["SLEEP"] = str(CHUNK_S)
        return workflow


def assert_whole(workflow: Workflow, *right: dict[str, str]) -> None:
    """Assert that each file that has a final name is whole, and that those of the circuit are of a right one."""
    for path in workflow.results.rglob("*.h5"):
        if not path.name.startswith("."):
            with contextlib.suppress(FileNotFoundError), h5py.File(path, "r") as file:
                assert "snakefold_digest" in file.attrs, path
    with contextlib.suppress(FileNotFoundError):  # a job of a killed run goes on
        for name, digest in workflow.circuit_files().items():
            assert digest in [files[name] for files in right], f"{name} is not whole"


def assert_clean(workflow: Workflow) -> None:
    """Assert that a run that ended well has left nothing but its results."""
    left = [
        path
        for folder in (".journal", "prepare", "place", "connect")
        for path in (workflow.results / folder).rglob("*")
    ]
    left += workflow.results.glob(".plan/runs/*.json")
    assert [path for path in left if path.is_file()] == []


def made_twice(workflow: Workflow, since: int) -> int:
    """Return how many chunks the slow strategy has made more than once, in its notes from one on."""
    made = [line for line in notes(workflow)[since:] if line.startswith("chunk")]
    return len(made) - len(set(made))


def scripts(workflow: Workflow, *names: str) -> list[int]:
    """Return the Python processes of a workflow's jobs that run one of some scripts."""
    found = pids(rf"^[^ ]*python[^ ]* [^ ]*scripts/({'|'.join(names)})\.py ")
    return [p for p in found if _in(p, workflow)]


def launchers(workflow: Workflow) -> list[int]:
    """Return the processes that have started the ranks of a workflow's tiles."""
    return [p for p in pids(r"^[^ ]*(mpirun|prterun) .*scripts/(place|connect)\.py ") if _in(p, workflow)]


def _in(pid: int, workflow: Workflow) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == workflow.folder.resolve()
    except OSError:
        return False


def finished(workflow: Workflow, *arguments: str) -> tuple[Ran, int]:
    """Run again until all is done; return that run, and how many times a lock had to be taken away."""
    ran, n_unlocked = workflow.run(*arguments, jobs=2), 0
    if ran.code and "--unlock" in ran.output:
        unlocked = workflow.run("--unlock")
        assert unlocked.code == 0, unlocked.output
        ran, n_unlocked = workflow.run(*arguments, jobs=2), 1
    assert ran.code == 0, ran.output
    assert_clean(workflow)
    return ran, n_unlocked


def lose_node(workflow: OnSlurm, *, noticed: bool) -> None:
    """Lose the node of the partition fragile, and have it back, before or after SLURM has `noticed`."""
    running = {n for n, _, _ in workflow.jobs("running")}
    slurm.kill_node("n4")
    try:
        until(lambda: not scripts(workflow, *TILE_JOBS, *OTHER_JOBS), "its jobs are dead")
        if noticed:
            until(lambda: "n4" not in slurm.up(), "SLURM has noticed")
    finally:
        slurm.start_node("n4")
    until(lambda: not running & {n for n, _, _ in workflow.jobs("running,completing")}, "SLURM has queued them again")
    for job in running & {n for n, _, _ in workflow.jobs("pending")}:  # by itself it waits for two minutes
        slurm.command("scontrol", "update", f"jobid={job}", "starttime=now")


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return Right(tmp_path_factory.mktemp("right"))


@pytest.fixture
def started(right, tmp_path):
    """Return a function that starts the run after an edit, and waits until chunks are made."""

    def start(kind, *arguments):
        here = right.copy(tmp_path / "here", kind)
        variant = Variant(indegree=9)
        files = right[variant]
        variant.write(here)
        before = len(notes(here))
        process = here.start(*arguments, jobs=2)
        until(lambda: len(notes(here)) > before + 4, "chunks are made", process)
        return here, process, before, files

    return start


def test_a_chunk_job_killed_on_its_node_is_tried_again(cluster, started):
    here, process, before, files = started(OnSlurm)
    kill(scripts(here, "connect")[0])
    ran = here.finish(process)
    assert ran.code == 0, ran.output
    assert ran.output.count("Trying to restart job") == 1
    assert here.circuit_files() == files
    assert made_twice(here, before) <= LOST
    assert_clean(here)


def test_one_of_two_ranks_killed_ends_the_job_and_the_rerun_goes_on(right, started):
    here, process, before, files = started(Workflow, *ON_RANKS)
    kill(scripts(here, "connect")[-1])
    ran = here.finish(process)
    assert ran.code == 1, "a rank is dead, and there are no retries"
    assert_whole(here, right[Variant()], files)
    again, n_unlocked = finished(here, *ON_RANKS)
    assert again.jobs["connect_own"] == 1, "the other tile is kept"
    assert here.circuit_files() == files
    assert made_twice(here, before) <= 2 * LOST
    assert n_unlocked == 0


def test_a_killed_snakemake_whose_jobs_go_on(cluster, right, started):
    here, process, before, files = started(OnSlurm)
    kill(process.pid)
    process.communicate()
    assert here.jobs()
    assert_whole(here, right[Variant()], files)
    _, n_unlocked = finished(here)
    assert here.circuit_files() == files
    assert made_twice(here, before) <= 2 * LOST
    assert n_unlocked == 1


def test_a_node_that_is_lost(cluster, right, started):
    here, process, before, files = started(OnSlurm, *FRAGILE)
    lose_node(here, noticed=True)
    assert_whole(here, right[Variant()], files)
    ran = here.finish(process)
    assert ran.code == 0, ran.output
    assert here.circuit_files() == files
    assert made_twice(here, before) <= 2 * LOST
    assert_clean(here)


@dataclass(frozen=True)
class Killed:
    """What a kill has cost.

    Attributes
    ----------
    twice : chunks made more than once
    unlocked : times that a lock had to be taken away
    alone : whether the run went on by itself and ended well
    """

    twice: int
    unlocked: int
    alone: bool


SLURM, RANKS = "SLURM", "2 ranks"
VICTIMS = {
    SLURM: ("chunk job", "other job", "snakemake", "chunk job", "node"),
    RANKS: ("rank", "other job", "snakemake", "rank", "mpirun"),
}


def strike(workflow: Workflow, process: subprocess.Popen, victim: str, rng: random.Random) -> bool:
    """Kill a victim of a run, now or as soon as there is one; return whether there was."""
    if victim == "snakemake":
        process.kill()
        process.stdout.close()
        return process.wait() != 0
    if victim == "node":
        lose_node(workflow, noticed=rng.random() < 0.5)
        return True
    alive = {
        "chunk job": lambda: scripts(workflow, *TILE_JOBS),
        "rank": lambda: scripts(workflow, *TILE_JOBS),
        "other job": lambda: scripts(workflow, *OTHER_JOBS),
        "mpirun": lambda: launchers(workflow),
    }[victim]
    while process.poll() is None:
        if found := alive():
            with contextlib.suppress(ProcessLookupError):
                kill(rng.choice(found))
                return True
        else:
            time.sleep(rng.uniform(0, 0.5 if victim == "other job" else 3))
    return False


def kill_once(
    workflow: Workflow, arguments: tuple, victim: str, latest_s: float, rng: random.Random, *right: dict[str, str]
) -> Killed | None:
    """Start a run, kill at a random moment, and run again until it is done; return what that cost.

    Parameters
    ----------
    latest_s : the moment is not later, in seconds after the start
    right : the files of what was built before, and of what is to be built

    Returns
    -------
    None if there was nothing to kill any more
    """
    before = len(notes(workflow))
    process = workflow.start(*arguments, jobs=2)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0.5, latest_s))
    was_hit = process.poll() is None and strike(workflow, process, victim, rng)
    assert_whole(workflow, *right)
    alone = victim != "snakemake" and workflow.finish(process).code == 0
    unlocked = 0 if alone else finished(workflow, *arguments)[1]
    assert workflow.circuit_files() == right[-1], "the files are others than those of a run that nothing disturbs"
    assert_clean(workflow)
    assert workflow.plan() == {}, "something is left to do"
    twice = made_twice(workflow, before)
    assert twice <= 2 * LOST, f"{twice} chunks were made twice"
    return Killed(twice, unlocked, alone) if was_hit else None


def main(n: int, seed: int = 0, folder: str = "") -> None:
    """Kill n times, on SLURM and on two ranks in turns, and print what was killed and what it cost."""
    slurm.start()
    rng, base = random.Random(seed), Path(folder or tempfile.mkdtemp()).resolve()
    right = Right(base)
    runs = {SLURM: (OnSlurm, ()), RANKS: (Workflow, ON_RANKS)}
    now, usual_s, at = {}, {}, {}
    tally: dict[tuple[str, str], list[Killed]] = {}
    n_wrong = 0
    for i in range(n * 2):
        if sum(map(len, tally.values())) + n_wrong >= n:
            break
        way = (SLURM, RANKS)[i % 2]
        kind, arguments = runs[way]
        if way not in now:
            now[way], at[way] = right.copy(base / f"{way} {i}".replace(" ", "_"), kind), Variant(indegree=4)
            at[way].write(now[way])
            since = time.monotonic()
            now[way].built(*arguments, jobs=2)
            usual_s.setdefault(way, time.monotonic() - since)
        victim = VICTIMS[way][i // 2 % len(VICTIMS[way])]
        old, count = at[way], at[way].count if rng.random() < 0.75 else rng.choice([50, 60])
        new = Variant(rng.choice([k for k in range(4, 9) if k != old.indegree]), count)
        files = right[old], right[new]
        new.write(now[way])
        more = FRAGILE if victim == "node" else ()
        since = time.monotonic()
        try:
            with (
                slurm.alone() if victim == "node" else contextlib.nullcontext()
            ):  # of others that kill at the same time
                latest_s = usual_s[way] * (DONE if victim in ("chunk job", "rank", "mpirun") else 1)
                killed = kill_once(now[way], (*arguments, *more), victim, latest_s, rng, *files)
        except AssertionError as error:
            n_wrong += 1
            print(f"{i}: {way}: {victim}: WRONG in {now.pop(way).folder}: {error}", flush=True)
            continue
        at[way] = new
        print(f"{i}: {way}: {victim}: {killed or 'not hit'}, {time.monotonic() - since:.0f} s", flush=True)
        if killed:
            tally.setdefault((way, victim), []).append(killed)
    for (way, victim), kills in sorted(tally.items()):
        twice = collections.Counter(killed.twice for killed in kills)
        print(
            f"{way}, {victim}: {len(kills)} kills, {sum(k.alone for k in kills)} ended well without a rerun, "
            f"{sum(k.unlocked for k in kills)} unlocked; chunks made twice: "
            + ", ".join(f"{chunks} ({times} times)" for chunks, times in sorted(twice.items()))
        )
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, int, str), sys.argv[1:], strict=False)))
