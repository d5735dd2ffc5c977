import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from descriptions import CIRCUITS, edited, write
from snakefold import cli
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


@pytest.mark.parametrize(("text", "words"), [("a: [", "cannot be read"), ("- a", "a mapping"), ("\xe9", "a mapping")])
def test_a_config_that_cannot_be_read_is_told(tmp_path, monkeypatch, text, words):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli.main, ["check", str(CIRCUITS / "two_layers.yaml"), "--no-simulator"])
    assert ran.exit_code == 1
    assert "config/config.yaml: " in ran.stderr and words in ran.stderr


def test_check_says_that_numbers_of_cells_are_not_known_before_voxels_are_read(tmp_path):
    write_volume(tmp_path / "mask.nrrd", halves())
    voxels = {"base": {"type": "nrrd", "mask_source": "mask.nrrd"}, "top": {"thickness": 80.0}}
    dense = ("cell_types.b.spatial", {"radius": 2, "density": 1e-6})
    tree = edited(("regions", {}), ("partitions", voxels), dense, ("placement.upper.partitions", ["base"]))
    ran = CliRunner().invoke(cli.main, ["check", str(write(tmp_path, tree)), "--no-simulator"])
    assert ran.exit_code == 0, ran.output
    assert "120 cells of 2 types and those of 1 not known before" in ran.output
