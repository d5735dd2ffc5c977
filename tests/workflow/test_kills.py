"""Killed jobs: what the journal has is not computed again, no partial file is ever seen, the bytes are the same.

By hand, at any number of random moments: python tests/workflow/test_kills.py [N [SEED [SECONDS A CHUNK]]]
"""

import contextlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import psutil
import pytest

from flow import HANG_S, WATCHED, Ran, Workflow, between, description

TILES = 2  # of eight chunks each, at once
CHUNK_S = 0.4  # so that a tile takes longer than the two seconds between commits to the journal
MOMENTS = 2  # of each kind


class Watch(Workflow):
    """A workflow with a slow strategy that notes each chunk that it computes."""

    def __init__(self, folder: Path, chunk_s: float = 0.0):
        super().__init__(folder, tiles=TILES, target="circuit")
        self.notes, self.marker = self.folder / "notes", self.folder / "fail"
        self.env = {"WATCH": str(self.notes), "FAIL": str(self.marker), "SLEEP": str(chunk_s)}
        circuit = description(components=["own.py"], simulations={})
        circuit["network"]["chunk_size"] = [50, 50, 25]
        circuit["connectivity"] = {
            "own": between("exc", "top", strategy="own.Watched", indegree=8),
            "back": between("top", "inh", strategy="fixed_outdegree", outdegree=4),
        }
        self.write(circuit)
        (self.folder / "own.py").write_text(WATCHED)

    def noted(self, what: str = "chunk") -> list[tuple[int, ...]]:
        """Return (process, chunk) of each computation so far; a chunk is known by its first target cell."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [(int(pid), *map(int, rest)) for pid, word, *rest in map(str.split, lines) if word == what]

    def journalled(self) -> set[int]:
        """Return the chunks that are in the journals of the slow strategy's unfinished tiles."""
        from snakefold.fanout.journal import Journal

        made = {path.name for path in (self.results / "connect/own").glob("*.h5")}
        tiles = [f for f in (self.results / ".journal/connect/own").glob("*") if f"0.{f.name}.h5" not in made]
        folders = [folder for tile in tiles for folder in tile.iterdir()]
        records = [arrays for f in folders for _, arrays in Journal(f.parent, f.name).read()]
        return {int(arrays["own/target"].min()) for arrays in records if len(arrays["own/target"])}

    def assert_whole(self) -> None:
        """Assert that whatever is there under a final name is whole."""
        from snakefold.sonata.checker import check_edges, check_nodes

        for path in self.results.rglob("*.h5"):
            with contextlib.suppress(FileNotFoundError), h5py.File(path, "r") as file:
                assert "snakefold_digest" in file.attrs
                file.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)
        for folder, check in (("nodes", check_nodes), ("edges", check_edges)):
            for path in self.results.glob(f"{folder}/*.h5"):
                assert check(path) == []

    def assert_clean(self) -> None:
        """Assert that a run that ended well has left nothing temporary behind."""
        for folder in (".journal", "prepare", "place", "connect"):
            assert [path for path in (self.results / folder).rglob("*") if path.is_file()] == []


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbs: its bytes, its chunks in their order, and its time with slow chunks, in seconds."""

    files: dict[str, str]
    chunks: list[int]
    duration: float


def measure(folder: Path, chunk_s: float = CHUNK_S) -> Undisturbed:
    """Return what an undisturbed run gives."""
    workflow, start = Watch(folder, chunk_s), time.monotonic()
    workflow.built(jobs=2)
    duration = time.monotonic() - start
    workflow.assert_whole()
    workflow.assert_clean()
    assert len(workflow.noted("prepare")) == 1
    return Undisturbed(workflow.circuit_files(), sorted(chunk for _, chunk in workflow.noted()), duration)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("undisturbed"))


def test_a_tile_that_fails_once(tmp_path, undisturbed):
    workflow = Watch(tmp_path / "here")
    last = undisturbed.chunks[-3:]
    workflow.marker.write_text(str(last[0]))
    failed = workflow.run()
    assert (failed.code, failed.jobs["connect_own"]) == (1, TILES)
    workflow.assert_whole()
    assert sorted(chunk for _, chunk in workflow.noted()) == undisturbed.chunks[:-2]  # the tiles in any order
    assert workflow.journalled() == set(undisturbed.chunks[len(undisturbed.chunks) // 2 : -3])
    workflow.marker.unlink()
    jobs = {"connect_own": 1, "gather_edges_own": 1, "circuit_config": 1, "circuit": 1}
    assert workflow.plan() == jobs
    before = len(workflow.noted())
    again = workflow.run()
    assert (again.code, again.jobs) == (0, jobs), again.output
    assert [chunk for _, chunk in workflow.noted()[before:]] == last
    assert len(workflow.noted("prepare")) == 1
    assert workflow.circuit_files() == undisturbed.files
    workflow.assert_clean()


def wait_for_chunks(workflow: Watch, process: subprocess.Popen, n: int = 1) -> None:
    """Wait until so many chunks have been begun."""
    end = time.monotonic() + HANG_S
    while len(workflow.noted()) < n:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)


def tile_jobs(process: subprocess.Popen) -> list[list[psutil.Process]]:
    """Return the processes of each job of the slow strategy that is running: its shell and what that runs."""
    found = []
    for job in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            tree = [job, *job.children(recursive=True)]
            if any("connect.py" in word for p in tree for word in p.cmdline()[1:2]) and "/own.h5" in str(
                tree[-1].cmdline()
            ):
                found.append(tree)
    return found


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes that this test has started, the first first."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def resume(workflow: Watch, undisturbed: Undisturbed, old: set[int]) -> tuple[Ran, int, list[int]]:
    """Run again after a kill, and assert that all is well in the end.

    Parameters
    ----------
    old : processes of the run that was killed

    Returns
    -------
    the run, how many chunks its jobs had from the journal, and those that they computed
    """
    workflow.assert_whole()
    for log in workflow.results.glob("logs/connect/own.*.log"):
        log.unlink()
    ran = workflow.run(jobs=2)
    assert ran.code == 0, ran.output
    assert workflow.circuit_files() == undisturbed.files
    computed = [(pid, chunk) for pid, chunk in workflow.noted() if pid not in old]
    kept = 0
    for log in workflow.results.glob("logs/connect/own.*.log"):
        n, n_kept = map(int, re.search(r": (\d+) chunks, (\d+) of them from the journal", log.read_text()).groups())
        assert n == len(undisturbed.chunks) / TILES
        kept += n_kept
    again = [chunk for _, chunk in computed]
    assert len(again) == len(set(again)) == ran.jobs.get("connect_own", 0) * len(undisturbed.chunks) / TILES - kept
    return ran, kept, again


def kill_a_tile_job(folder: Path, undisturbed: Undisturbed, rng: random.Random, chunk_s: float = CHUNK_S) -> str:
    """Kill a tile job at a random moment of its life, and resume; return what happened."""
    workflow = Watch(folder, chunk_s)
    running = workflow.start(jobs=2)
    wait_for_chunks(workflow, running)
    moment = rng.uniform(0, 0.95) * chunk_s * len(undisturbed.chunks) / TILES
    time.sleep(moment)
    victim = rng.choice(tile_jobs(running))
    kill(victim)
    ran = workflow.finish(running)
    assert (ran.code, "Error in rule connect_own" in ran.output) == (1, True), ran.output
    saved = workflow.journalled()
    ran, n_kept, again = resume(workflow, undisturbed, {pid for pid, _ in workflow.noted()})
    assert ran.jobs["connect_own"] == 1
    assert "prepare_connect_own" not in ran.jobs
    assert (n_kept, saved & set(again)) == (len(saved), set())
    workflow.assert_clean()
    assert workflow.plan() == {}
    return f"tile job killed {moment:.2f} s after its first chunk: {n_kept} chunks kept, {len(again)} computed again"


def kill_snakemake(folder: Path, undisturbed: Undisturbed, rng: random.Random, chunk_s: float = CHUNK_S) -> str:
    """Kill Snakemake alone at a random moment, unlock and resume while its jobs may go on; return what happened."""
    workflow = Watch(folder, chunk_s)
    running = workflow.start(jobs=2)
    if rng.random() < 0.5:
        since, moment = "the start", rng.uniform(0.05, 0.95) * undisturbed.duration
    else:
        since, moment = "its first chunk", rng.uniform(0, 0.95) * chunk_s * len(undisturbed.chunks) / TILES
        wait_for_chunks(workflow, running)
    time.sleep(moment)
    running.send_signal(signal.SIGSTOP)  # it starts no more jobs while these are listed
    orphans = psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []
    running.kill()
    running.wait()
    running.stdout.close()
    unlocked = workflow.run("--unlock")
    assert unlocked.code == 0, unlocked.output
    n_left = sum(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in orphans)
    old = {pid for pid, _ in workflow.noted()} | {orphan.pid for orphan in orphans}
    _, n_kept, again = resume(workflow, undisturbed, old)
    assert all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in orphans), "the rerun has ended them"
    workflow.assert_whole()
    workflow.assert_clean()
    assert workflow.circuit_files() == undisturbed.files
    assert workflow.plan() == {}
    return (
        f"snakemake killed {moment:.2f} s after {since}, {n_left} orphans at the rerun: "
        f"{n_kept} chunks kept, {len(again)} computed again"
    )


KINDS = [kill_a_tile_job, kill_snakemake]


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("how", KINDS, ids=lambda how: how.__name__)
def test_kill(tmp_path, undisturbed, how, moment):
    how(tmp_path / "here", undisturbed, random.Random(f"{how.__name__} {moment}"))


def main(n: int = 10, seed: int = 0, chunk_s: float = CHUNK_S) -> None:
    """Kill at `n` random moments, by turns a tile job and Snakemake, and say what happened."""
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = measure(Path(folder, "undisturbed"), chunk_s)
        for i in range(n):
            how = KINDS[i % len(KINDS)]
            print(i, how(Path(folder, str(i)), undisturbed, random.Random(f"{seed} {i}"), chunk_s), flush=True)


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, int, float), sys.argv[1:], strict=False)))
