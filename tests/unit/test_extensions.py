"""Modules of the user's own: files beside the circuit, dotted names, names that are taken."""

import os
import sys

import pytest

from descriptions import edited, plan_of, write
from snakefold import components, extensions
from snakefold.config.context import BuildContext, building
from snakefold.errors import UserError
from snakefold.loading import load

SOURCE = '''
from snakefold.placement.random import RandomPlacement as Base

class {name}(Base):
    """Random, called otherwise."""
    algorithm_version = {version}
'''


def using(*entries, strategy):
    return edited(("components", list(entries)), ("placement.lower.strategy", strategy))


def component_of(tmp_path, *entries, strategy):
    return plan_of(tmp_path, using(*entries, strategy=strategy)).parts["place/lower"].slice["component"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package in a folder that Python imports from."""
    site = tmp_path / "site"
    package = site / "snakefold_test_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from snakefold_test_package.cells import Scattered\n")
    (package / "cells.py").write_text(SOURCE.format(name="Scattered", version=2))
    monkeypatch.syspath_prepend(str(site))
    forget(package)
    yield package
    forget(package)


def forget(package):
    """Let the package be imported anew, as in another process."""
    for name in [n for n in sys.modules if n.startswith(package.name)]:
        del sys.modules[name]
    for key in [k for k in extensions._extensions if k[0].startswith(package.name)]:
        del extensions._extensions[key]


@pytest.mark.parametrize("entry", ["snakefold_test_package", "snakefold_test_package.cells"])
def test_an_installed_module_is_used_by_its_dotted_name(tmp_path, installed, entry):
    for strategy in ("Scattered", "snakefold_test_package.cells.Scattered", f"{entry}.Scattered"):
        written = component_of(tmp_path, entry, strategy=strategy)
        assert (written["class"], written["version"]) == ("snakefold_test_package.cells.Scattered", 2)
        assert (written["module"], "source" in written) == (entry, False)
        assert type(components.restore(written, "lower")).__name__ == "Scattered"


def test_an_edit_of_an_installed_module_changes_the_slice_and_a_job_refuses_the_old_one(tmp_path, installed):
    before = component_of(tmp_path, "snakefold_test_package", strategy="Scattered")
    (installed / "cells.py").write_text(SOURCE.format(name="Scattered", version=2) + "# edited\n")
    forget(installed)
    after = component_of(tmp_path, "snakefold_test_package", strategy="Scattered")
    assert {k for k in after if after[k] != before[k]} == {"source_blake2b"}
    with pytest.raises(
        UserError, match=r'source of "snakefold_test_package\.cells" has changed since the plan was made'
    ):
        components.restore(before, "lower")


def test_a_dotted_name_is_that_of_a_file_below_the_circuit_first(tmp_path, installed):
    (tmp_path / "snakefold_test_package").mkdir()
    (tmp_path / "snakefold_test_package/cells.py").write_text(SOURCE.format(name="Scattered", version=7))
    entry = "snakefold_test_package.cells"
    written = component_of(tmp_path, entry, strategy=f"{entry}.Scattered")
    assert (written["version"], written["module"]) == (7, entry)
    assert "algorithm_version = 7" in written["source"]
    assert components.restore(written, "lower").algorithm_version == 7


def test_a_module_as_the_bsb_writes_it(tmp_path):
    (tmp_path / "own.py").write_text(SOURCE.format(name="Own", version=1))
    assert component_of(tmp_path, {"module": "own.py"}, strategy="own.Own")["class"] == "own.Own"
    with pytest.raises(UserError, match=r"components\[0\]\.attr: not yet supported"):
        load(write(tmp_path, using({"module": "own.py", "attr": "x"}, strategy="own.Own")))


@pytest.mark.parametrize("entry", ["no_such_package_of_this_name", "no_such_package.of.this.name"])
def test_a_module_that_is_not_there_is_a_mistake_in_its_line(tmp_path, entry):
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, using(entry, strategy="random")))
    (mistake,) = caught.value.mistakes
    assert mistake.path == ("components", 0)
    assert f'the module "{entry}" cannot be imported: ModuleNotFoundError' in mistake.message


def test_two_files_of_one_name_are_a_mistake_that_names_both(tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(SOURCE.format(name=folder.title(), version=1))
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, using("left/own.py", "right/own.py", strategy="own.Left")))
    (mistake,) = caught.value.mistakes
    assert mistake.path == ("components", 1)
    assert str(tmp_path / "left/own.py") in mistake.message and str(tmp_path / "right/own.py") in mistake.message
    assert load(write(tmp_path, using("left/own.py", "left/own.py", strategy="own.Left"))).complete


def upper(tree):
    tree["placement"]["upper"]["strategy"] = "bsb.RandomPlacement"
    return tree


@pytest.mark.parametrize("name", ["random", "RandomPlacement"])
def test_a_name_that_a_built_in_has_is_never_taken_silently(tmp_path, name):
    (tmp_path / "own.py").write_text(SOURCE.format(name=name, version=5))
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, upper(using("own.py", strategy=name))))
    (mistake,) = caught.value.mistakes
    assert mistake.path == ("placement", "lower", "strategy")
    assert f'"{name}" is the name of several: ' in mistake.message and f"own.{name}" in mistake.message
    for full, version in ((f"own.{name}", 5), ("bsb.placement.RandomPlacement", 1)):
        plan = plan_of(tmp_path, upper(using("own.py", strategy=full)))
        assert plan.parts["place/lower"].slice["component"]["version"] == version


def test_two_classes_of_one_name_are_told_apart_by_their_modules(tmp_path):
    for i, stem in enumerate(("left", "right")):
        (tmp_path / f"{stem}.py").write_text(SOURCE.format(name="Own", version=i))
    with pytest.raises(UserError, match=r'"Own" is the name of several: left\.Own, right\.Own; give one of these'):
        load(write(tmp_path, using("left.py", "right.py", strategy="Own")))
    assert component_of(tmp_path, "left.py", "right.py", strategy="right.Own")["version"] == 1


def test_components_of_another_circuit_are_not_seen(tmp_path):
    (tmp_path / "own.py").write_text(SOURCE.format(name="SeenInOneCircuitAlone", version=1))
    load(write(tmp_path, using("own.py", strategy="SeenInOneCircuitAlone")))
    with pytest.raises(UserError, match='no placement component "SeenInOneCircuitAlone"'):
        load(write(tmp_path, edited(("placement.lower.strategy", "SeenInOneCircuitAlone"))))
    with building(BuildContext()):
        assert components.find("placement", "own.SeenInOneCircuitAlone") == []


def test_a_pipe_is_no_module(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(UserError, match=r"components\[0\]: .*pipe\.py cannot be read: Not a regular file"):
        load(write(tmp_path, using("pipe.py", strategy="random")))
