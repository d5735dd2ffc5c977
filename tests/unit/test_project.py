import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from snakefold import cli, project
from snakefold.errors import UserError
from snakefold.installation import ROOT
from snakefold.loading import load
from snakefold.project import TEMPLATES, create


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def init(*arguments):
    return CliRunner().invoke(cli.main, ["init", *map(str, arguments)])


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_has_its_circuit_and_names_it(tmp_path, template):
    circuit = create(str(tmp_path / "mine"), template)
    assert load(str(tmp_path / "mine" / circuit)).n_cells()
    ours = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    keys = (tmp_path / "mine/config/config.yaml").read_text()
    assert yaml.safe_load(keys) == ours | {"circuit": str(circuit)}
    assert keys.count("#") == (ROOT / "config/config.yaml").read_text().count("#") > 3
    readme = (tmp_path / "mine/README.md").read_text()
    assert readme.startswith("# mine\n") and f"`{circuit}`" in readme and "$" not in readme


def test_files_that_the_readme_explains_are_all_there_are(tmp_path):
    create(str(tmp_path))
    table = [line.split("|")[1] for line in (tmp_path / "README.md").read_text().splitlines() if line.startswith("| `")]
    named = {name.strip("` ").rstrip("/") for cell in table for name in cell.split(",")}
    there = {p.name for p in tmp_path.iterdir() if p.is_file()} | {
        f"profiles/{p.name}" for p in (tmp_path / "profiles").iterdir()
    }
    there |= {str(p.relative_to(tmp_path)) for folder in ("config", "circuits") for p in (tmp_path / folder).iterdir()}
    assert there - named == {"README.md", ".gitignore"}
    assert named - there == {"results", ".snakemake"}
    assert (tmp_path / "slurm").readlink() == Path("profiles/slurm")
    assert os.access(tmp_path / "profiles/generic/status.sh", os.X_OK)


def test_profiles_can_be_edited_where_the_installed_ones_cannot(tmp_path, monkeypatch):
    locked = tmp_path / "installed/profiles/slurm/config.yaml"
    locked.parent.mkdir(parents=True)
    locked.write_text("executor: slurm\n")
    locked.chmod(0o444)
    (tmp_path / "installed/config").symlink_to(ROOT / "config")
    monkeypatch.setattr(project, "ROOT", tmp_path / "installed")
    create(str(tmp_path / "mine"))
    assert (tmp_path / "mine/profiles/slurm/config.yaml").stat().st_mode & 0o200


def test_what_is_printed_is_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = init("my circuit").stdout
    assert "\n  cd 'my circuit'\n  snakemake -c all\n" in told
    assert told.endswith("The report will be my circuit/results/two_layers/report.html\n")
    assert max(map(len, told.splitlines())) <= 80
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    told = init(".", "--template", "microcircuit").stdout
    assert "cd " not in told and "results/microcircuit/report.html" in told
    assert (tmp_path / "here/README.md").read_text().startswith("# here\n")


@pytest.mark.parametrize("there", [".git", "notes.txt"])
def test_a_folder_with_anything_in_it_is_refused_and_left_alone(tmp_path, there):
    (tmp_path / there).touch()
    ran = init(tmp_path)
    assert ran.exit_code == 1
    assert ran.stderr == (
        f"{tmp_path}: should be: an empty folder, or a new one (there: {there})\n1 mistake; nothing was written\n"
    )
    assert everything(tmp_path) == [there]


def test_an_unknown_template_is_told_with_those_that_there_are(tmp_path):
    ran = init(tmp_path / "x", "--template", "two_layer")
    assert ran.exit_code == 1 and not (tmp_path / "x").exists()
    assert 'no template "two_layer"; did you mean "two_layers"? (templates: two_layers, microcircuit' in ran.stderr


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_is_told(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    ran = init(name)
    assert ran.exit_code == 1 and ran.stderr.startswith(f"{name}: ") and "Traceback" not in ran.output
    assert everything(tmp_path) == ["file"] and Path("file").read_text() == "mine"


@pytest.mark.parametrize("existed", [True, False])
def test_nothing_is_left_of_a_project_that_could_not_be_written(tmp_path, monkeypatch, existed):
    def full(*_):
        raise OSError(28, "No space left on device")

    folder = tmp_path / "mine"
    if existed:
        folder.mkdir()
    monkeypatch.setattr(Path, "symlink_to", full)  # what is written last
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        create(str(folder))
    assert everything(tmp_path) == (["mine"] if existed else [])


def test_a_name_that_is_no_text_makes_a_project_too(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9 `$x`")
    create(str(folder))
    assert (folder / "README.md").read_text().startswith("# caf? `$x`\n")


def test_check_takes_the_circuit_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli.main, ["check"])
    assert ran.exit_code == 1 and "config/config.yaml: names no circuit" in ran.stderr
    create("mine")
    monkeypatch.chdir(tmp_path / "mine")
    ran = CliRunner().invoke(cli.main, ["check", "--no-simulator"])
    assert ran.exit_code == 0 and ran.stdout.startswith("circuits/two_layers.yaml: 1,436 cells")


def test_a_snakemake_without_snakefold_says_so(tmp_path):
    create(str(tmp_path))
    code = "import sys; sys.modules['snakefold'] = None; from snakemake.cli import main; sys.argv[1:] = ['-n']; main()"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1 and "Snakefold is not installed where this Snakemake is" in ran.stderr
    assert "Traceback" not in ran.stderr
