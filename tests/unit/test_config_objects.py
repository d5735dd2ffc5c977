"""Functions, classes and methods that a description names."""

import math
import sys
from pathlib import Path

import pytest

from snakefold.config.context import BuildContext, building
from snakefold.config.nodes import INVALID, Attribute, Node
from snakefold.config.objects import Class, Function, Method
from snakefold.errors import UserError


def double(x):
    return 2 * x


class Kernel(Node):
    """A component with all three."""

    shape = Attribute(Function(), required=True)
    base = Attribute(Class())
    how = Attribute(Method(Path))


def built(**keys):
    with building(BuildContext()) as build:
        node = Kernel.build(keys, ("kernel",))
    if build.mistakes:
        raise UserError(build.mistakes)
    return node


def test_a_bare_name_is_of_the_components_own_module_and_a_dotted_one_of_an_installed_module():
    node = built(shape="double", base="pathlib.Path", how="exists")
    assert node.shape(4) == 8
    assert (node.base.object, node.how.object) == (Path, Path.exists)
    assert built(shape="math.sqrt").shape(9) == 3
    assert node.to_json()["shape"] == "double"
    assert node.to_json()["how"] == "exists"
    again = built(**node.to_json())
    assert again.to_json() == node.to_json()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"shape": "duble"}, "kernel.shape: should be: the name of a function, as in module.name (got: 'duble'); "),
        ({"shape": "duble"}, 'did you mean "double"?'),
        ({"shape": "math.pi"}, 'the module "math" has none of that name'),
        ({"shape": "no_such_module.f"}, 'the module "no_such_module" cannot be imported'),
        ({"shape": "..f"}, "cannot be imported"),
        ({"shape": 3}, "should be: the name of a function"),
        ({"shape": "double", "base": "double"}, "should be: the name of a class"),
        (
            {"shape": "double", "how": "exist"},
            "kernel.how: should be: the name of a method of Path (got: 'exist'); did",
        ),
    ],
)
def test_what_is_none_is_a_mistake(keys, says):
    with pytest.raises(UserError) as caught:
        built(**keys)
    assert len(caught.value.mistakes) == 1
    assert says in str(caught.value)


def test_an_edit_of_an_installed_module_changes_what_a_slice_holds_and_a_job_refuses_it(tmp_path, monkeypatch):
    module = tmp_path / "snakefold_test_kernels.py"
    module.write_text("def wide(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = built(shape="snakefold_test_kernels.wide").to_json()
    assert built(**before).to_json() == before
    module.write_text("def wide(x):\n    return 10 * x\n")
    del sys.modules["snakefold_test_kernels"]
    assert built(shape="snakefold_test_kernels.wide").to_json() != before
    with pytest.raises(
        UserError, match=r'kernel\.shape: the module "snakefold_test_kernels" has changed since the plan'
    ):
        built(**before)
    del sys.modules["snakefold_test_kernels"]


def test_what_is_no_name_is_refused_without_importing_anything():
    with building(BuildContext()) as build:
        assert all(
            Function().cast(value, ("at",), None) is INVALID for value in (None, [], {}, {"name": "x"}, math.nan)
        )
    assert len(build.mistakes) == 5
