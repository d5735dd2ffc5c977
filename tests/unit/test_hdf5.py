import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from snakefold import hdf5
from snakefold.errors import UserError


def write(path, value=1.0, digest="d", schema="kind"):
    with hdf5.create(path, schema, digest) as file:
        file.create_dataset("x", data=np.full(1000, value))
        file.create_group("deep").create_dataset("y", data=np.arange(5))


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_stage_says_what_it_is_and_what_went_into_it(tmp_path):
    write(tmp_path / "new" / "a.h5", digest="abc")
    with hdf5.open_stage(tmp_path / "new" / "a.h5", "kind") as file:
        assert file["x"][0] == 1.0
    assert hdf5.digest_of(tmp_path / "new" / "a.h5") == "abc"


def test_equal_content_is_equal_bytes_at_another_time_and_place(tmp_path):
    write(tmp_path / "a.h5")
    time.sleep(1.1)  # time stamps of HDF5 have whole seconds
    write(tmp_path / "longer_name.h5")
    assert sha(tmp_path / "a.h5") == sha(tmp_path / "longer_name.h5")
    write(tmp_path / "a.h5", value=2.0)
    assert sha(tmp_path / "a.h5") != sha(tmp_path / "longer_name.h5")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_after_an_error_there_is_nothing_and_an_older_file_stays(tmp_path, error):
    for name in ("new.h5", "old.h5"):
        if name == "old.h5":
            write(tmp_path / name)
            before = sha(tmp_path / name)
        with (
            pytest.raises(UserError if error is OSError else error),
            hdf5.create(tmp_path / name, "kind", "d") as file,
        ):
            file["half"] = np.zeros(10)
            raise error("in the middle")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.h5"]
    assert sha(tmp_path / "old.h5") == before


def test_after_kill_there_is_no_file_under_the_final_name(tmp_path):
    code = (
        "import sys, time\nfrom snakefold import hdf5\n"
        "with hdf5.create(sys.argv[1], 'kind', 'd') as file:\n"
        "    file['x'] = range(1000); file.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    library = str(Path(hdf5.__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "a.h5"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": library},
    )
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / "a.h5").exists()
    assert all(p.name.endswith(".part") and p.name.startswith(".") for p in tmp_path.iterdir())
    write(tmp_path / "a.h5")
    assert hdf5.open_stage(tmp_path / "a.h5", "kind")["x"].shape == (1000,)


@pytest.mark.parametrize(
    ("version", "says"), [(hdf5.SCHEMA_VERSION + 1, "written by a newer Snakefold"), (0, "older; run again")]
)
def test_another_schema_version_is_refused(tmp_path, version, says):
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["snakefold_version"] = version
    with pytest.raises(UserError, match=says) as caught:
        hdf5.open_stage(tmp_path / "a.h5", "kind")
    assert str(tmp_path / "a.h5") in str(caught.value)


def test_a_file_of_another_kind_a_foreign_a_torn_and_a_missing_file_are_refused(tmp_path):
    write(tmp_path / "a.h5", schema="other")
    with h5py.File(tmp_path / "foreign.h5", "w"):
        pass
    (tmp_path / "torn.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:200])
    for name in ("a.h5", "foreign.h5", "torn.h5", "missing.h5"):
        with pytest.raises(UserError, match=name):
            hdf5.open_stage(tmp_path / name, "kind")


def test_an_unwritable_folder_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    for make in (lambda p: write(p), lambda p: hdf5.write_text(p, "x")):
        with pytest.raises(UserError, match="cannot be written"):
            make(tmp_path / "file" / "a.h5")


def test_a_full_disk_is_a_users_mistake_and_leaves_nothing(small_disk):
    with pytest.raises(UserError, match="cannot be written"), hdf5.create(small_disk / "a.h5", "kind", "d") as file:
        file["x"] = np.random.default_rng(1).random(1_000_000)
    assert list(small_disk.iterdir()) == []
    with pytest.raises(UserError, match="cannot be written"):
        hdf5.write_text(small_disk / "a.txt", "x" * 5_000_000)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(("n", "size"), [(1, 1_000_000), (8, 16_000), (40, 2_600), (200, 600)])
def test_a_job_on_a_full_disk_ends_with_a_message_and_without_a_crash(small_disk, n, size):
    """Where h5py cannot raise, as in forgetting a dataset, the file would be taken for whole; HDF5 crashes at exit."""
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (room.f_bavail * room.f_frsize - 100_000))
    code = (
        "import sys, numpy\nfrom snakefold import hdf5, job\n"
        "def main():\n"
        "    with hdf5.create(sys.argv[1], 'kind', 'd') as file:\n"
        f"        for i in range({n}): file.create_dataset(str(i), data=numpy.ones({size}))\n"
        "job.run(main)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, small_disk / "a.h5"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert f"error: {small_disk}/a.h5: cannot be written: [Errno 28] No space left on device\n" in ended.stderr
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]


def test_a_failed_write_that_h5py_cannot_raise_keeps_the_file_from_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "crashes_at_exit", False)
    unraised = SimpleNamespace(exc_value=RuntimeError("Can't decrement id ref count (file write failed: errno = 28)"))
    with pytest.raises(UserError, match="No space left on device"), hdf5.create(tmp_path / "a.h5", "kind", "d"):
        sys.unraisablehook(unraised)
    assert list(tmp_path.iterdir()) == []
    assert hdf5.crashes_at_exit


def test_text_is_written_whole(tmp_path):
    hdf5.write_text(tmp_path / "deep" / "a.txt", "ü\n")
    assert (tmp_path / "deep" / "a.txt").read_text(encoding="utf-8") == "ü\n"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]


def test_a_digest_of_parts_depends_on_each_and_on_their_order():
    assert len({hdf5.combine("a", "b"), hdf5.combine("b", "a"), hdf5.combine("ab"), hdf5.combine("a", "b", "")}) == 4


def test_locking_is_off():
    assert os.environ["HDF5_USE_FILE_LOCKING"] == "FALSE"


def test_a_disk_that_is_full_when_a_dataset_is_made_is_a_users_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "crashes_at_exit", False)
    path = tmp_path / "a.h5"
    with pytest.raises(UserError, match=r"a\.h5: cannot be written: .*No space left"), hdf5.create(path, "test/1", "d"):
        raise ValueError("Unable to synchronously create dataset (file write failed: errno = 28, error message = '')")
    assert hdf5.crashes_at_exit and not list(tmp_path.iterdir())
