import os
import shutil
import subprocess
import sys

import h5py
import pytest
from click.testing import CliRunner

from simulated import ENVIRONMENT
from snakefold import cli
from snakefold.errors import UserError
from snakefold.export import ways
from snakefold.export.ways import export


@pytest.fixture
def results(finished):
    return str(finished[0].folder)


def run(*arguments):
    return CliRunner().invoke(cli.main, ["export", *map(str, arguments)])


@pytest.fixture
def several(finished, tmp_path):
    """Results with two simulations."""
    shutil.copytree(finished[0].folder, tmp_path / "several")
    for kind, name in (("simulations", "s"), ("build/simulate", "s.h5")):
        source = tmp_path / "several" / kind / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, source.with_name(name.replace("s", "t", 1)))
    return tmp_path / "several"


def test_it_says_what_it_wrote(results, tmp_path):
    ran = run(results, "sonata", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    lines = ran.output.splitlines()
    assert lines[0].startswith(f"{tmp_path}/out: 75 cells in e, fore, free, hind; ")
    assert lines[1:] == [
        f"weights and delays are those of s; {tmp_path}/out/run_bmtk.py runs it with bmtk",
        "bmtk runs it without the multimeter voltage",
        "left out, as the simulation does not have their edges: ba",
    ]
    ran = run(results, "nwb", tmp_path / "s.nwb")
    assert (ran.exit_code, ran.output) == (0, f"{tmp_path}/s.nwb: spikes and reports of s\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "s.nwb"]


@pytest.mark.parametrize("to", ["nwb", "sonata"])
def test_one_of_several_simulations_has_to_be_named(several, tmp_path, to):
    ran = run(several, to, tmp_path / "out")
    assert ran.exit_code == 1 and "name one with --simulation: s, t" in ran.stderr
    ran = run(several, to, tmp_path / "out", "--simulation", "st")
    assert ran.exit_code == 1 and 'no simulation "st"' in ran.stderr and "(simulations: s, t)" in ran.stderr
    assert not (tmp_path / "out").exists()
    assert run(several, to, tmp_path / "out", "--simulation", "t").exit_code == 0


def test_without_a_simulation_there_is_nothing_for_nwb_and_no_weights_for_sonata(several, tmp_path):
    shutil.rmtree(several / "simulations")
    ran = run(several, "nwb", tmp_path / "out")
    assert ran.exit_code == 1 and "has no finished simulation" in ran.stderr
    assert "weights" not in run(several, "sonata", tmp_path / "out").output


def test_nothing_is_replaced_unasked(results, tmp_path):
    (tmp_path / "s.nwb").write_text("mine")
    ran = run(results, "nwb", tmp_path / "s.nwb")
    assert ran.exit_code == 1 and "replace it with --force" in ran.stderr
    assert (tmp_path / "s.nwb").read_text() == "mine"
    assert run(results, "nwb", tmp_path / "s.nwb", "--force").exit_code == 0
    assert (tmp_path / "s.nwb").read_bytes()[1:4] == b"HDF"


def test_a_folder_is_replaced_only_if_it_is_an_export(results, tmp_path):
    assert run(results, "sonata", tmp_path / "out").exit_code == 0
    (tmp_path / "out/nodes/old.h5").write_text("old")
    assert run(results, "sonata", tmp_path / "out", "--force").exit_code == 0
    assert not (tmp_path / "out/nodes/old.h5").exists()
    (tmp_path / "out/thesis.doc").write_text("mine")
    ran = run(results, "sonata", tmp_path / "out", "--force")
    assert ran.exit_code == 1 and "holds more than an export (thesis.doc)" in ran.stderr
    ran = run(results, "nwb", tmp_path / "out", "--force")
    assert ran.exit_code == 1 and "is a folder" in ran.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_what_fails_leaves_nothing(results, tmp_path, monkeypatch):
    def fails(*_):
        (tmp_path / "seen").write_text("")
        raise UserError("no")

    monkeypatch.setattr("snakefold.export.sonata.write_circuit", fails)
    ran = run(results, "sonata", tmp_path / "out")
    assert ran.exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["seen"]


def test_results_that_do_not_belong_together_or_are_broken_are_told(several, tmp_path):
    shutil.rmtree(several / "simulations/t")
    file = several / "edges/aa.h5"
    whole = file.read_bytes()
    for make, said in (
        (lambda: _change(file, "edges/aa/target_node_id", 10**6), "has edges of cells that are not there"),
        (lambda: _change(file, None, "0" * 32), "these results are of the circuit or the simulation as it was before"),
        (lambda: file.write_bytes(whole[: len(whole) // 2]), "aa.h5: cannot be read as HDF5"),
        (file.unlink, "aa.h5: is not there; run the workflow"),
    ):
        make()
        ran = run(several, "sonata", tmp_path / "out")
        assert ran.exit_code == 1 and said in ran.stderr
        assert not (tmp_path / "out").exists()


def _change(path, dataset, value):
    with h5py.File(path, "r+") as file:
        if dataset is None:
            file.attrs["snakefold_digest"] = value
        else:
            file[dataset][0] = value


@pytest.mark.parametrize("to", ["nwb", "sonata", "nix"])
def test_a_full_disk_is_told_without_a_crash_and_leaves_nothing(results, small_disk, to):
    """HDF5 crashes the process when it tidies up what could not be written."""
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (room.f_bavail * room.f_frsize - 50_000))
    command = [sys.executable, "-m", "snakefold", "export", results, to, str(small_disk / "out")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr and done.stderr.endswith("\n1 mistake\n")
    assert "Traceback" not in done.stderr
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]


def test_a_missing_package_is_told_with_what_installs_it(results, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "snakefold.export.nix", raising=False)
    monkeypatch.setitem(sys.modules, "neo", None)
    ran = run(results, "nix", tmp_path / "out")
    assert ran.exit_code == 1 and "export to nix needs neo: pip install 'snakefold[export]'" in ran.stderr


def test_what_is_no_finished_circuit_is_told(tmp_path):
    (tmp_path / ".plan").mkdir()
    ran = run(tmp_path, "nwb", tmp_path / "out")
    assert ran.exit_code == 1 and "circuit_config.json: is not there" in ran.stderr


def test_many_cells_are_a_warning_with_nix(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(ways, "NIX_S_PER_CELL", 10.0)
    first = next(export(finished[0].folder, "nix", tmp_path / "out"))
    assert first == "NIX takes long for many cells: about 4 minutes for 25; NWB is quicker"
