import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from descriptions import CIRCUITS, edited, write
from snakefold import cli, invocation
from snakefold.errors import UserError
from volumes import halves, write_volume

TIDY = """
import signal, sys, time
def tidy(*_):
    time.sleep(1.0)
    print("tidied", flush=True)
    sys.exit(7)
signal.signal(signal.SIGINT, tidy)
print("ready", flush=True)
time.sleep(60)
"""
WAIT = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from snakefold import cli; " + (
    "sys.exit(cli._waited_for([sys.executable, '-c', sys.argv[1]]))"
)


def test_an_interrupted_workflow_has_the_time_to_end_and_its_exit_code_is_passed_on():
    with subprocess.Popen(
        [sys.executable, "-c", WAIT, TIDY], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "tidied\n"
    assert process.returncode == 7


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_exit_codes_are_a_shells(end, code):
    from snakefold import cli

    assert cli._waited_for([sys.executable, "-c", f"import os, sys; {end}"]) == code


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "config/config.yaml:2:1: malformed YAML: "),
        ("- a", "config/config.yaml: should be: a mapping"),
        ("\xe9", "config/config.yaml: should be: a mapping"),
        ("", "config/config.yaml: is empty"),
        ("tiles: 1\ntiles: 2", 'config/config.yaml:2:1: the key "tiles" stands twice here (first: line 1)'),
        ("\nciruit: x", 'config/config.yaml:2: config.ciruit: unknown key "ciruit"; did you mean "circuit"? '),
        ("progress: x", "config/config.yaml:1: config.progress: should be: auto, lines, or snakemake (got: 'x')"),
    ],
)
def test_a_config_that_cannot_be_read_is_told(tmp_path, monkeypatch, text, words):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli.main, ["check", str(CIRCUITS / "two_layers.yaml"), "--no-simulator"])
    assert ran.exit_code == 1
    assert ran.stderr.startswith(words)


def test_check_refuses_a_name_that_a_run_refuses(tmp_path):
    circuit = tmp_path / "two layers.yaml"
    circuit.write_text((CIRCUITS / "two_layers.yaml").read_text())
    ran = CliRunner().invoke(cli.main, ["check", str(circuit), "--no-simulator"])
    assert ran.exit_code == 1 and "(got: 'two layers')" in ran.stderr


@pytest.mark.parametrize("command", ["verify", "status", "cost", "cancel", "salvage a b", "export nwb b"])
def test_a_folder_above_results_is_told_from_results(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/mine/.plan").mkdir(parents=True)
    name, *more = command.split()
    ran = CliRunner().invoke(cli.main, [name, "results", *more])
    what = "is not the folder of a circuit's results, <results>/<circuit>; did you mean: results/mine"
    assert (ran.exit_code, ran.stderr) == (1, f"results: {what}\n1 mistake\n")
    assert what not in CliRunner().invoke(cli.main, [name, "results/mine", *more]).output


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_circuit_after_options_is_no_target(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    ran = CliRunner().invoke(cli.main, [command, "--cores", "1", "mine.yaml"])
    assert ran.exit_code == 1
    assert ran.stderr.startswith("mine.yaml: the circuit should come before the options of Snakemake\n")


def test_keys_are_read_as_snakemake_reads_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("circuit: a.yaml\ntiles: 1\nreport: fail\nresults: a")
    (tmp_path / "more.yaml").write_text("tiles: 2\nresults: b")
    arguments = ("-n", "--configfile", "more.yaml", "--cores", "1", "--config=progress=lines", "-C", "results=c")
    keys = {"circuit": "b.yaml", "tiles": 2, "report": "fail", "results": "c", "progress": "lines"}
    assert invocation.keys("b.yaml", arguments) == keys
    for setting in ("tiles", "tiles=["):
        with pytest.raises(UserError, match=r"--config: should be: KEY=VALUE, as in tiles=4 \(got: tiles"):
            invocation.keys("b.yaml", ("--config", setting))
    with pytest.raises(UserError, match=r"no\.yaml: cannot be read"):
        invocation.keys("b.yaml", ("--configfile", "no.yaml"))


def test_keys_reach_snakemake_as_they_are():
    from snakemake.cli import parse_config

    keys = {"circuit": "a: b.yaml", "results": "x{y} #z", "tiles": 3, "simulations": ["a", "b"], "report": "1"}
    keys |= {
        "results2": "C:\\new \"folder\" '%d' $HOME\n\u00fc",
        "results3": "true",
        "results4": "1e3",
        "results5": "it's'",
    }
    assert parse_config(invocation.as_arguments(keys)) == keys


def test_check_says_that_numbers_of_cells_are_not_known_before_voxels_are_read(tmp_path):
    write_volume(tmp_path / "mask.nrrd", halves())
    voxels = {"base": {"type": "nrrd", "mask_source": "mask.nrrd"}, "top": {"thickness": 80.0}}
    dense = ("cell_types.b.spatial", {"radius": 2, "density": 1e-6})
    tree = edited(("regions", {}), ("partitions", voxels), dense, ("placement.upper.partitions", ["base"]))
    ran = CliRunner().invoke(cli.main, ["check", str(write(tmp_path, tree)), "--no-simulator"])
    assert ran.exit_code == 0, ran.output
    assert "120 cells of 2 types and those of 1 not known before" in ran.output
