"""Extension modules: what is read off a NESTML file, what of it reaches a slice, and what compiling needs."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from descriptions import edited, plan_of
from snakefold.config.context import BuildContext, building
from snakefold.config.nodes import INVALID
from snakefold.errors import UserError
from snakefold.nest import compilation, modules
from snakefold.nest.modules import ModuleOf, faults, installable, label, located, models_in, name_of, names, resolved
from snakefold.plan import thaw
from snakefold.results import obsolete
from snakefold.slices import canonical

LEAKY = Path(__file__).parents[1] / "data/leaky.nestml"
NAMES = {
    "node": ["leaky_neuron", "leaky_neuron__with_growing_synapse"],
    "synapse": [f"growing_synapse__with_leaky_neuron{kind}" for kind in ("", "_hpc", "_lbl")],
}
SYNAPSE = "model a_synapse:\n  state:\n    w real = 1\n  input:\n    pre_spikes <- spike\n"


def cast(value, folder=LEAKY.parent):
    """Return a module of a description in a folder, and what is wrong with it."""
    with building(BuildContext(folder_of=lambda path: folder)) as build:
        return ModuleOf().cast(value, ("modules", 0), None), [mistake.message for mistake in build.mistakes]


def test_models_of_a_file():
    neuron, synapse = models = models_in(LEAKY.read_text())
    assert (neuron.name, neuron.is_synapse, neuron.ports) == ("leaky_neuron", False, {"spikes": True, "current": False})
    assert (synapse.name, synapse.is_paired, synapse.has_weight) == ("growing_synapse", True, True)
    lines = LEAKY.read_text().splitlines()
    assert [lines[model.line - 1] for model in models] == ["model leaky_neuron:", "model growing_synapse:"]
    assert list(faults(models)) == []
    assert names(models) == NAMES


def test_comments_and_texts_are_no_models():
    text = '"""\nmodel no:\n"""\n# model no:\nmodel yes: # model no:\n    """\n    w real = 1\n    """\n'
    (model,) = models_in(text)
    assert (model.name, model.line, model.has_weight) == ("yes", 5, False)


def test_a_comment_makes_no_port_take_spikes():
    (model,) = models_in("model a:\n    input:\n        x <- spike # one\n        y pA <- continuous # no spike\n")
    assert model.ports == {"x": True, "y": False}


@pytest.mark.parametrize(
    ("line", "declares"),
    [("w real = 1", 1), ("v, w real = 1", 1), ("w nS = 1 nS", 1), ("w = 3", 0), ("w += 3", 0), ("if w == 3:", 0)],
)
def test_a_weight_is_declared(line, declares):
    (model,) = models_in(f"model a:\n    {line}\n")
    assert model.has_weight == bool(declares)


def test_a_text_of_any_form_is_read_at_once():
    lines = ["a" * 300_000, "w," * 150_000, " " * 300_000, '"""' * 100_000, "model " * 50_000, "a <" * 100_000]
    assert models_in("\n".join(lines)) == []
    assert [model.name for model in models_in("model a:\n" + "\n".join(lines))] == ["a"]


def test_a_synapse_that_needs_no_target_stands_alone():
    models = models_in(SYNAPSE)
    assert list(faults(models)) == []
    assert names(models) == {"node": [], "synapse": ["a_synapse", "a_synapse_hpc", "a_synapse_lbl"]}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("hello", 1, "defines no model"),
        ("", 1, "defines no model"),
        ("model a:\nmodel b:\nmodel a:\n", 3, 'another model is called "a"'),
        (SYNAPSE.replace("w real", "v real"), 1, "its weight as a variable or parameter w"),
        (SYNAPSE.replace("pre_spikes <- spike", "pre_spikes <- spike\n    mod_spikes <- spike"), 1, "mod_spikes)"),
        (SYNAPSE.replace("<- spike", "<- continuous"), 1, "one port for the spikes of its source"),
        (SYNAPSE + "    post_spikes <- spike\n", 1, "its target neuron should be in the same file"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(tmp_path, text, line, words):
    ((at, message),) = faults(models_in(text))
    assert at == line and words in message
    (tmp_path / "m.nestml").write_text(text)
    found, (told,) = cast("m.nestml", tmp_path)
    assert found is INVALID and told == f"{tmp_path / 'm.nestml'}:{line}: {message}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("none.nestml", "cannot be read: No such file"),
        ("none.so", "cannot be read: No such file"),
        ("some/module", "should be: the name of an installed module"),
        ("", "should be: the name of an installed module"),
        (3, "should be: the name of an installed module"),
        ("bad name.nestml", "letters, digits"),
        ("latin.nestml", "text in UTF-8"),
        ("folder.nestml", "cannot be read"),
        ("large.nestml", "at most 1000 kB"),
        ("pipe.nestml", "Not a regular file"),
    ],
)
def test_files_that_are_none(tmp_path, value, words):
    (tmp_path / "bad name.nestml").write_text("model a:\n")
    (tmp_path / "latin.nestml").write_bytes(b"model \xe9:\n")
    (tmp_path / "folder.nestml").mkdir()
    (tmp_path / "large.nestml").write_text("model a:\n" + "#" * 1_000_000)
    os.mkfifo(tmp_path / "pipe.nestml")
    found, (told,) = cast(value, tmp_path)
    assert found is INVALID and words in told


def test_what_stands_in_a_slice(tmp_path):
    assert resolved(cast("mymodule")[0]) == "mymodule"
    (tmp_path / "mine.so").write_bytes(b"1")
    library = resolved(cast("mine.so", tmp_path)[0])
    assert library["file"] == "mine.so"
    (tmp_path / "mine.so").write_bytes(b"22")
    assert resolved(cast("mine.so", tmp_path)[0])["library"] != library["library"]
    compiled = resolved(cast(LEAKY.name)[0])
    assert (compiled["file"], compiled["models"]) == (LEAKY.name, NAMES)
    assert str(tmp_path) not in canonical([library, compiled])


def test_the_name_follows_from_the_content_and_the_versions(tmp_path, monkeypatch):
    (tmp_path / "2-layers.x.nestml").write_text("model a:\n")
    module, _ = cast("2-layers.x.nestml", tmp_path)
    name = name_of(module)
    assert name.isidentifier() and name.startswith("_2_layers_x_") and name.endswith("module")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(tmp_path / "2-layers.x.nestml", elsewhere)
    assert name_of(cast("2-layers.x.nestml", elsewhere)[0]) == name
    others = set()
    for version in ("nest_version", "nestml_version"):
        with monkeypatch.context() as patch:
            patch.setattr(modules, version, lambda: "0.1")
            others.add(name_of(module))
    (tmp_path / "2-layers.x.nestml").write_text("model b:\n")
    others.add(name_of(cast("2-layers.x.nestml", tmp_path)[0]))
    assert len(others | {name}) == 4


def test_located_modules_can_be_installed(tmp_path):
    (tmp_path / "there.so").write_text("")
    given = ["installed", {"file": "a.nestml", "models": {}}, {"file": "b.so"}]
    simulation = {"name": "s", "run": {"duration": 1, "modules": given}}
    found = located(simulation, [str(tmp_path / "not_yet.so"), str(tmp_path / "there.so")])["run"]["modules"]
    assert [installable(module) for module in found] == ["installed", None, str(tmp_path / "there.so")]
    assert [label(module) for module in found] == ["installed", "a.nestml", "b.so"]
    assert simulation["run"]["modules"] is given and "path" not in given[2]


def test_a_plan_with_modules_is_the_same_thawed(tmp_path):
    shutil.copy(LEAKY, tmp_path)
    (tmp_path / "mine.so").write_text("")
    tree = edited(("simulations.rest.modules", ["installed", "leaky.nestml", "mine.so"]))
    plan = plan_of(tmp_path, tree)
    (name,) = plan.modules
    assert plan.libraries == {"rest": (f"{plan.results}/build/module/{name}.so", str(tmp_path / "mine.so"))}
    assert list(plan.modules[name].files.values()) == [str(tmp_path / "leaky.nestml")]
    assert thaw(plan.freeze()) == plan
    assert Path(plan.slice_file(plan.modules[name].digest)).is_file()
    library = Path(plan.library(name))
    library.parent.mkdir(parents=True)
    for file in (library, library.with_name("old.so")):
        file.write_text("")
    assert obsolete(plan) == [library.with_name("old.so")]
    slice_ = plan.parts["simulate/rest"].slice
    (tmp_path / "leaky.nestml").write_text(LEAKY.read_text() + "\n# edited\n")
    assert plan_of(tmp_path, tree).parts["simulate/rest"].slice != slice_


# Compiling


def compiled(folder, text, **environment):
    """Compile a text in NESTML as the job does, in a process of its own; return what it ended with."""
    source = folder / "mine.nestml"
    source.write_text(text)
    module, _ = cast("mine.nestml", folder)
    (folder / "slice.json").write_text(canonical(modules.slice_of(module)))
    script = Path(__file__).parents[2] / "scripts/build_module.py"
    arguments = {"slice": folder / "slice.json", "source": source, "output": folder / "out/mine_module.so"}
    command = [sys.executable, str(script), *(f"--{key}={value}" for key, value in arguments.items())]
    library = {"PYTHONPATH": str(Path(modules.__file__).parents[2]), "TMPDIR": str(folder)}
    env = os.environ | library | environment
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert not list(folder.glob("snakefold-module-*")) and not (folder / "out").exists()
    assert "Traceback" not in ran.stderr
    return ran


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("V_m = V_reset", "V_m = = V_reset", "extraneous input '='"),
        ("V_m = V_reset", "V_m = V_rest", 'Could not resolve symbol "V_rest"'),
        ("tau_m ms = 12 ms", "tau_m ms = 12 pA", 'Expected: "ms", got: "pA"'),
    ],
)
def test_a_mistake_in_nestml_is_told_with_its_line(tmp_path, right, wrong, words):
    text = LEAKY.read_text()
    assert text.count(right) == 1
    ran = compiled(tmp_path, text.replace(right, wrong))
    line = text[: text.index(right)].count("\n") + 1
    assert ran.returncode == 1
    assert f"error: {tmp_path}/mine.nestml:{line}: " in ran.stderr and words in ran.stderr


def test_missing_tools_are_named_with_their_packages(tmp_path):
    source = LEAKY.read_text()
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    (tmp_path / "bin/make").symlink_to("/bin/true")
    code = f"import sys; sys.executable = {str(python)!r}; import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(wrapper))
        ran = compiled(tmp_path, source, PATH=str(tmp_path / "bin"))
    assert ran.returncode == 1
    assert "c++, cmake not found" in ran.stderr and "apt install g++ cmake" in ran.stderr


def test_it_is_compiled_without_a_launchers_variables_and_with_the_users(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("CPATH", "/opt/include")
    before = dict(os.environ)
    with compilation._own_environment():
        assert "OMPI_COMM_WORLD_SIZE" not in os.environ and os.environ["CPATH"] == "/opt/include"
        assert os.environ["PATH"] == f"{Path(sys.executable).parent}:{before['PATH']}"
    assert dict(os.environ) == before


def test_missing_nestml_is_told_with_the_extra(tmp_path, monkeypatch):
    module, _ = cast(LEAKY.name)
    (tmp_path / "slice.json").write_text(canonical(modules.slice_of(module)))
    monkeypatch.setattr(compilation, "has_nestml", lambda: False)
    with pytest.raises(UserError, match=r"snakefold\[nestml\]"):
        compilation.compile_module(tmp_path / "slice.json", LEAKY, tmp_path / "x_module.so")


def test_a_file_that_has_changed_is_not_compiled(tmp_path):
    (tmp_path / "slice.json").write_text(canonical(modules.slice_of(cast(LEAKY.name)[0]) | {"source": "another"}))
    with pytest.raises(UserError, match="has changed since the plan was made"):
        compilation.compile_module(tmp_path / "slice.json", LEAKY, tmp_path / "x_module.so")


def test_a_nest_config_that_works_is_used_and_another_replaced(tmp_path, monkeypatch):
    headers = tmp_path / "headers"
    headers.mkdir()
    config = tmp_path / "bin/nest-config"
    config.parent.mkdir()
    config.write_text(f'#!/bin/sh\ncase "$1" in --compiler) echo sh;; --includes) echo -I{headers};; esac\n')
    config.chmod(0o755)
    monkeypatch.setenv("PATH", f"{config.parent}:{os.environ['PATH']}")
    stand_in = compilation._nest_path(tmp_path / "one")
    assert stand_in != tmp_path
    said = {
        o: compilation._said(str(stand_in / "bin/nest-config"), f"--{o}") for o in ("compiler", "includes", "cflags")
    }
    assert said["compiler"] == "c++" and Path(said["includes"].removeprefix("-I"), "config.h").is_file()
    assert "-include" in said["cflags"]
    (headers / "config.h").write_text("")
    assert compilation._nest_path(tmp_path / "two") == tmp_path


def test_headers_that_are_missing_are_named_with_their_package():
    said = ["x.h:3:10: fatal error: gsl/gsl_errno.h: No such file or directory\n"]
    assert compilation._reason(said, ValueError("make")).endswith("(Debian: apt install libgsl-dev)")
    assert compilation._reason(["a.cpp:1: error: no such thing\n"], ValueError("make")) == "no such thing"
    assert compilation._reason([], ValueError("make")) == "ValueError: make"


def test_units_that_stand_alone_get_a_number():
    text = "a\n  x = 0 * pA\n  y = pow(2, -1) / ms * nS\n"
    alone = [(2, text.splitlines()[1].index("pA")), (3, 19), (3, 24)]
    assert compilation.with_numbers(text, alone) == "a\n  x = 0 * 1 pA\n  y = pow(2, -1) / 1 ms * 1 nS\n"


def test_what_stands_in_for_the_headers_of_gsl_is_in_the_wheels_library(tmp_path):
    declared = set(re.findall(r"\b(gsl_odeiv_[a-z0-9_]+)(?=\(|;\n)", compilation._GSL)) - {
        f"gsl_odeiv_{word}" for word in ("system", "step_type", "step", "control", "evolve")
    }
    assert len(declared) == 11
    library = next(Path(importlib.util.find_spec("nest").origin).parent.glob("nestkernel_api*.so")).read_bytes()
    assert all(name.encode() in library for name in declared)
    (tmp_path / "gsl_odeiv.h").write_text(compilation._GSL)
    command = ["c++", "-Wall", "-Werror", "-fsyntax-only", "-x", "c++-header", str(tmp_path / "gsl_odeiv.h")]
    assert subprocess.run(command, check=False).returncode == 0
