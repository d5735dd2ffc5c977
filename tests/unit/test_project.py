import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from snakefold import cli, project
from snakefold.errors import UserError
from snakefold.installation import ROOT
from snakefold.loading import load
from snakefold.nest import compilation
from snakefold.project import create


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def init(*arguments):
    return CliRunner().invoke(cli.main, ["init", *map(str, arguments)])


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """What pip finds: a package of the name, with a file, and nothing on any network."""
    folder = tmp_path / "packages"
    folder.mkdir()
    about = {"METADATA": "Metadata-Version: 2.1\nName: cerebellar-models\nVersion: 0.13.0\nRequires-Dist: bsb\n"}
    about |= {"WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "RECORD": ""}
    with zipfile.ZipFile(folder / "cerebellar_models-0.13.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("cerebellar_models/mouse.yaml", "{}")
        for name, text in about.items():
            wheel.writestr(f"cerebellar_models-0.13.0.dist-info/{name}", text)
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)


@pytest.mark.parametrize("template", ["two_layers", "microcircuit"])
def test_a_project_has_its_circuit_and_names_it(tmp_path, template):
    circuit = create(str(tmp_path / "mine"), template).circuit
    assert load(str(tmp_path / "mine" / circuit)).n_cells()
    ours = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    keys = (tmp_path / "mine/config/config.yaml").read_text()
    assert yaml.safe_load(keys) == ours | {"circuit": str(circuit)}
    assert keys.count("#") == (ROOT / "config/config.yaml").read_text().count("#") > 3
    readme = (tmp_path / "mine/README.md").read_text()
    assert readme.startswith("# mine\n") and f"`{circuit}`" in readme and "$" not in readme


@pytest.mark.parametrize("tools", [True, False])
def test_the_cerebellum_has_its_package_and_a_model_that_can_be_had(tmp_path, monkeypatch, packages, tools):
    monkeypatch.setattr(compilation, "what_is_missing", lambda: "" if tools else "no make")
    ran = init(tmp_path / "mine", "--template", "cerebellum")
    assert ran.exit_code == 0, ran.output
    circuit = "cortex_in_vitro" if tools else "cortex_in_vitro_built_in"
    assert ran.stderr.startswith(
        "" if tools else "warning: models in NESTML cannot be compiled: no make;\n  the circuit has"
    )
    assert bool(ran.stderr) != tools and max(map(len, ran.stderr.splitlines()), default=0) <= 80
    assert "pip" not in ran.stdout and f"\nThen open results/{circuit}/report.html" in ran.stdout
    keys = yaml.safe_load((tmp_path / "mine/config/config.yaml").read_text())
    assert keys["circuit"] == f"circuits/{circuit}.yaml"
    there = {p.name for p in (tmp_path / "mine/circuits").iterdir()}
    files = {"cortex_in_vitro.yaml", "cortex_in_vitro_built_in.yaml", "cerebellar_models"}
    assert there == files | {"cerebellar_models-0.13.0.dist-info"}
    named = re.findall(
        r"cerebellar_models/[\w/.-]+\.\w+", (tmp_path / "mine/circuits/cortex_in_vitro.yaml").read_text()
    )
    assert named, "what it takes from the package, it takes from beside it"
    done = subprocess.run(
        "git init -q . && git add . && git ls-files", shell=True, cwd=tmp_path / "mine", capture_output=True, text=True
    )
    kept = {Path(name).name for name in done.stdout.split() if name.startswith("circuits/")}
    assert kept == {"cortex_in_vitro.yaml", "cortex_in_vitro_built_in.yaml"}


def test_what_compiling_lacks_is_told_with_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # tools of its environment are found, too
    nestml = "pip install 'snakefold[nestml]'"
    for tool, wanted in {
        "make": "c++, make, cmake not found (Debian: apt install g++ make cmake)",
        "c++": "c++, cmake not found (Debian: apt install g++ cmake)",
        "cmake": f"cmake not found (Debian: apt install cmake, or {nestml})",
    }.items():
        assert compilation.what_is_missing() == wanted
        (tmp_path / tool).touch(mode=0o755)
    assert compilation.what_is_missing() == ""
    monkeypatch.setattr(compilation, "has_nestml", lambda: False)
    assert compilation.what_is_missing() == f"NESTML is not installed ({nestml})"
    (tmp_path / "cmake").unlink()
    assert compilation.what_is_missing() == f"NESTML is not installed ({nestml})", "which brings cmake"


def test_without_a_network_the_command_that_gets_the_package_comes_first(tmp_path, monkeypatch, packages):
    links = os.environ["PIP_FIND_LINKS"]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    ran = init(tmp_path / "mine", "--template", "cerebellum")
    assert ran.exit_code == 0 and "could not be installed into circuits/:\n  ERROR: No matching" in ran.stderr
    command = re.search(r"^  cd .+\n  (python -m pip .+)\n  snakemake -c all$", ran.stdout, re.MULTILINE)[1]
    assert f"```\n{command}\n```" in (tmp_path / "mine/README.md").read_text()
    environment = os.environ | {"PIP_FIND_LINKS": links}
    subprocess.run([sys.executable, *command.split()[1:]], cwd=tmp_path / "mine", env=environment, check=True)
    assert (tmp_path / "mine/circuits/cerebellar_models/mouse.yaml").is_file()


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
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/snakemake").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    told = init("my circuit").stdout
    assert "To run it (about a minute):\n\n  cd 'my circuit'\n  snakemake -c all\n\nThen open results/two_l" in told
    assert max(map(len, told.splitlines())) <= 80
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    told = init(".", "--template", "microcircuit").stdout
    assert "cd " not in told and "open results/microcircuit/report.html" in told
    assert (tmp_path / "here/README.md").read_text().startswith("# here\n")
    told = init("--", "-x").stdout
    assert "\n  cd ./-x\n" in told


@pytest.mark.parametrize("other", [True, False])
def test_where_snakemake_is_not_that_of_the_environment_it_is_to_be_activated(tmp_path, monkeypatch, other):
    own, elsewhere = tmp_path / "the env/bin", tmp_path / "elsewhere"
    for folder in (own, elsewhere):
        folder.mkdir(parents=True)
    (own / "activate").write_text(f"PATH='{own}:/usr/bin:/bin'\n")
    (own / "snakemake").write_text("#!/bin/sh\necho run in $PWD, $*\n")
    (own / "snakemake").chmod(0o755)
    if other:
        (elsewhere / "snakemake").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(elsewhere))
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^  (.+)$", init("mine").stdout, re.MULTILINE)
    assert commands == [f". '{own}/activate'", "cd mine", "snakemake -c all"]
    ran = subprocess.run(["/bin/sh", "-c", " && ".join(commands)], capture_output=True, text=True)
    assert ran.stdout == f"run in {tmp_path}/mine, -c all\n", ran.stderr


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


@pytest.mark.parametrize(
    "name, what",
    [
        ("file", "is a file"),
        ("file/below", "or above it"),
        ("/proc/nowhere", "cannot be"),
        ("link", "leads nowhere"),
        ("", "."),
    ],
)
def test_a_folder_that_cannot_be_is_told(tmp_path, monkeypatch, name, what):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("link").symlink_to("nowhere")
    ran = init(name)
    assert ran.exit_code == 1 and ran.stderr.startswith(f"{name or 'DIR'}: ") and what in ran.stderr
    assert "Traceback" not in ran.output
    assert everything(tmp_path) == ["file", "link"] and Path("file").read_text() == "mine"


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
