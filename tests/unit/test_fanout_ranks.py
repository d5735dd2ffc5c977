"""Real MPI ranks, started by the mpirun of the test environment."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakefold.fanout.journal import Journal

SCRIPT = Path(__file__).with_name("ranked.py")
MPIRUN = Path(sys.executable).with_name("mpirun")
SIZES = "sizes: " + " ".join(map(str, range(60)))
HANG_S = 120


def environment(**more):
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return dict(os.environ) | root | {"PYTHONPATH": str(SCRIPT.parents[2] / "workflow")} | more


def start(folder, ranks, fail_at=-1, seconds=0.01, **variables):
    command = [sys.executable, str(SCRIPT), str(folder), str(fail_at), str(seconds)]
    if ranks > 1:
        command = [str(MPIRUN), "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command]
    return subprocess.Popen(
        command, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=HANG_S)
    return process.returncode, output


def committed(folder):
    return {key for key, _ in Journal(folder, "digest").read()}


@pytest.mark.parametrize("ranks", [2, 3])
def test_every_chunk_is_made_once_whatever_rank_makes_it(tmp_path, ranks):
    code, output = finish(start(tmp_path / "journal", ranks))
    assert code == 0, output
    assert SIZES in output
    made = [int(n) for n in re.findall(r"rank \d made (\d+) chunks", output)]
    assert len(made) == ranks
    assert sum(made) == 60
    assert min(made) > 0, "rank 0 computes too, and so do the others"


def test_an_error_on_one_rank_stops_all_with_its_message_and_keeps_what_is_done(tmp_path):
    code, output = finish(start(tmp_path, 2, fail_at=40))
    assert code != 0
    assert "error: place x: chunk 40: no room" in output
    assert "Traceback" not in output
    kept = committed(tmp_path)
    assert len(kept) >= 20
    code, output = finish(start(tmp_path, 3))
    assert code == 0, output
    assert f"60 chunks, {len(kept)} of them from the journal, on 3 ranks" in output
    assert SIZES in output


@pytest.mark.parametrize("then", [1, 3])
def test_what_two_ranks_committed_before_one_was_killed_is_used_on_any_number_of_ranks(tmp_path, then):
    process = start(tmp_path, 2, seconds=0.1)
    end = time.monotonic() + HANG_S
    while len(committed(tmp_path)) < 10:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    ranks = subprocess.run(["pgrep", "-f", f"{SCRIPT} {tmp_path} "], capture_output=True, text=True).stdout.split()
    ranks = [int(p) for p in ranks if int(p) != process.pid]
    os.kill(ranks[-1], signal.SIGKILL)
    code, output = finish(process)
    assert code != 0, output
    kept = committed(tmp_path)
    assert 10 <= len(kept) < 60
    code, output = finish(start(tmp_path, then))
    assert code == 0, output
    assert f"60 chunks, {len(kept)} of them from the journal" in output
    assert SIZES in output


def test_on_a_full_disk_all_ranks_stop_and_when_there_is_room_again_what_was_committed_is_used(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * ((1 << 20) - (16 << 10)))  # the chunks need half as much again
    code, output = finish(start(small_disk / "journal", 2))
    assert code != 0
    assert "the journal cannot be written: [Errno 28] No space left on device" in output
    assert str(small_disk / "journal") in output
    assert "Traceback" not in output
    kept = committed(small_disk / "journal")
    assert 0 < len(kept) < 60
    ballast.unlink()
    code, output = finish(start(small_disk / "journal", 3))
    assert code == 0, output
    assert f"60 chunks, {len(kept)} of them from the journal" in output
    assert SIZES in output


def test_where_the_journal_cannot_be_all_ranks_stop_and_say_so(tmp_path):
    (tmp_path / "file").write_text("")
    code, output = finish(start(tmp_path / "file", 2))
    assert code != 0
    assert "the journal cannot be written: [Errno 20] Not a directory" in output
    assert "Traceback" not in output


def test_a_job_that_is_told_to_end_commits_what_it_has(tmp_path):
    process = start(tmp_path, 1, seconds=0.1)
    end = time.monotonic() + HANG_S
    while len(committed(tmp_path)) < 3:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.terminate()
    code, output = finish(process)
    assert code == 128 + signal.SIGTERM
    assert "error: told to end" in output
    assert "cost: " in output


def test_a_world_of_another_size_than_asked_for_stops_the_job(tmp_path):
    code, output = finish(start(tmp_path, 1, SNAKEFOLD_TASKS="2"))
    assert code == 1
    assert "error: 2 MPI ranks were asked for, but this world has 1" in output


def test_a_launcher_without_mpi4py_stops_the_job(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('no MPI library')")
    code, output = finish(
        start(tmp_path / "journal", 1, SNAKEFOLD_TASKS="2", PYTHONPATH=f"{tmp_path}:{SCRIPT.parents[2] / 'workflow'}")
    )
    assert code == 1
    assert "needs mpi4py and an MPI library" in output


def test_without_a_launcher_mpi4py_is_not_imported(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise SystemExit('imported')")
    code, output = finish(start(tmp_path / "journal", 1, PYTHONPATH=f"{tmp_path}:{SCRIPT.parents[2] / 'workflow'}"))
    assert code == 0, output
    assert SIZES in output
