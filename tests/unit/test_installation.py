import subprocess
import sys
from pathlib import Path

from snakefold import installation
from snakefold.installation import PACKAGE, ROOT, SNAKEFILE, folder_of_library
from snakefold.workflow import job_environment

CLONE = Path(__file__).resolve().parents[2]


def installed(monkeypatch, folder):
    """Work in a folder as if the library had come with a wheel."""
    monkeypatch.setattr(installation, "BUNDLED", True)
    monkeypatch.setattr("snakefold.workflow.BUNDLED", True)
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    monkeypatch.chdir(folder)


def test_a_clone_is_around_its_library():
    assert ROOT == CLONE and SNAKEFILE == CLONE / "Snakefile"
    assert folder_of_library() == CLONE / "workflow"


def test_another_python_finds_the_installed_library_and_nothing_beside_it(tmp_path, monkeypatch):
    installed(monkeypatch, tmp_path)
    for _ in range(2):
        folder = folder_of_library()
        assert folder.is_absolute() and [p.name for p in folder.iterdir()] == ["snakefold"]
    code = "import snakefold.errors as e, pathlib; print(pathlib.Path(e.__file__).resolve().parent)"
    alone = [sys.executable, "-S", "-c", code]
    found = subprocess.run(alone, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True).stdout
    assert found == f"{PACKAGE}\n"


def test_a_link_to_what_was_installed_before_is_mended(tmp_path, monkeypatch):
    installed(monkeypatch, tmp_path)
    link = folder_of_library() / "snakefold"
    link.unlink()
    link.symlink_to("/nonexistent/snakefold")
    folder_of_library()
    assert link.readlink() == PACKAGE


def test_jobs_of_an_installed_library_are_told_of_it_only_where_they_have_another_python(tmp_path, monkeypatch):
    import os

    installed(monkeypatch, tmp_path)
    job_environment([])
    assert os.environ["PYTHONPATH"] == "/theirs" and not list(tmp_path.iterdir())
    for _ in range(2):
        job_environment(["conda"])
        assert os.environ["PYTHONPATH"] == f"{tmp_path}/.snakemake/snakefold:/theirs"
