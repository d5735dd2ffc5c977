import nrrd
import numpy as np
import pytest

from descriptions import edited, plan_of, run, write
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.morphology.rotations import turned_by
from snakefold.placement import tile as placing
from snakefold.sonata.nodes import Nodes

ORIENTATION = [f"orientation_{letter}" for letter in "wxyz"]


def field(folder, values, name="field.nrrd", **header):
    """Write a field, (nx, ny, nz, 3), as voxcell does: components first."""
    nrrd.write(str(folder / name), np.moveaxis(values, -1, 0), header={"kinds": ["vector", *["domain"] * 3], **header})


def described(**attributes):
    own = {"strategy": "orientation_field", "orientation_path": {"file": "field.nrrd", "voxel_size": 50}} | attributes
    return edited(("placement.lower.distribute", {"rotations": own}), ("connectivity", {}), ("simulations", {}))


def turned(folder, tree, tiles=1):
    plan = plan_of(folder, tree, tiles)
    run(plan, "place")
    nodes = Nodes(plan.nodes("a"))
    return nodes, np.stack([nodes.column(name) for name in ORIENTATION], axis=1).astype(float)


def slabs_of_directions():
    """Return a field over half of the network: along x, then along y, then none, then -y."""
    values = np.zeros((4, 2, 2, 3), np.float32)
    values[0] = [2, 0, 0]
    values[1] = [0, 0.5, 0]
    values[2] = [0, np.nan, 1]
    values[3] = [0, -1, 0]
    return values[:, :1]


def test_what_grows_along_y_points_where_the_field_points(tmp_path):
    field(tmp_path, slabs_of_directions())
    nodes, q = turned(tmp_path, described())
    up = turned_by(q, np.tile([0.0, 1, 0], (len(q), 1)))
    at = (nodes.positions() // 50).astype(int)
    expected = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, -1, 0]], float)[at[:, 0]]
    expected[(at[:, 1] > 0) | (at[:, 2] > 1)] = [0, 1, 0]  # beyond the field
    np.testing.assert_allclose(up, expected, atol=1e-6)
    assert len(np.unique(at[:, 0])) == 4 and (at[:, 1] > 0).any()
    again = nodes.path.read_bytes()
    assert turned(tmp_path, described(), tiles=5)[0].path.read_bytes() == again


def test_the_default_vector_lies_against_the_field(tmp_path):
    field(tmp_path, np.tile(np.float32([0, 1, 0]), (4, 2, 3, 1)))
    volume = {"file": "field.nrrd", "voxel_size": 50, "default_vector": [0, 0, -2]}
    _, q = turned(tmp_path, described(orientation_path=volume))
    np.testing.assert_allclose(
        turned_by(q, np.tile([0.0, 0, 1], (len(q), 1))), np.tile([0, 1, 0], (len(q), 1)), atol=1e-6
    )


@pytest.mark.parametrize(
    ("values", "attributes", "words"),
    [
        (np.ones((2, 2, 2)), {}, "should be: a volume of vectors, 3 numbers a voxel (got: 1)"),
        (np.ones((2, 2, 2, 4)), {}, "should be: a volume of vectors, 3 numbers a voxel (got: 4)"),
        (None, {"orientation_path": "none.nrrd"}, "none.nrrd"),
        (None, {"orientation_path": None}, '"orientation_path" is missing'),
        (np.ones((2, 2, 2, 3)), {"orientation_path": {"file": "field.nrrd", "default_vector": [0, 0, 0]}}, "not [0, 0, 0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_field_is_told(tmp_path, values, attributes, words):
    if values is not None and values.ndim == 4:
        field(tmp_path, values)
    elif values is not None:
        nrrd.write(str(tmp_path / "field.nrrd"), values)
    with pytest.raises(UserError) as found:
        load(write(tmp_path, described(**attributes)))
    assert len(found.value.mistakes) == 1 and words in str(found.value), str(found.value)


def test_a_field_that_changes_after_the_plan_is_an_error_of_the_job(tmp_path):
    field(tmp_path, slabs_of_directions())
    plan = plan_of(tmp_path, described())
    from snakefold import build

    plan.freeze()
    for part in plan.parts.values():
        if part.slice["phase"] in ("partition", "place"):
            name = f"{part.slice['phase']}/{part.slice['name']}"
            build.build(
                plan.slice_file(part.digest),
                [plan.built(p) for p in part.inputs],
                list(part.files.values()),
                plan.built(name),
            )
    field(tmp_path, np.ones((4, 2, 3, 3), np.float32))
    inputs = placing.Inputs(plan.built("place/lower"), (plan.built("partition/base"),))
    with pytest.raises(UserError, match="has changed since the plan was made"):
        placing.prepare(inputs, tmp_path / "prepared.h5")
