import numpy as np
import pytest

from snakefold.components import Component
from snakefold.config.context import BuildContext, building
from snakefold.connectivity.shapes import ShapesComposition, bounds, clouds, inside
from snakefold.connectivity.strategy import ConnectivityStrategy

TILTED = {
    "sphere": {"type": "sphere", "origin": [3, -2, 5], "radius": 7},
    "ellipsoid": {
        "type": "ellipsoid",
        "origin": [1, 2, 3],
        "lambdas": [9, 4, 2],
        "v0": [1, 1, 0],
        "v1": [-1, 1, 0],
        "v2": [0, 0, 3],
    },
    "cone": {"type": "cone", "apex": [1, 1, 8], "origin": [4, -3, -2], "radius": 5},
    "cylinder": {"type": "cylinder", "origin": [0, 1, 2], "top_center": [6, 6, -4], "radius": 3},
    "cuboid": {
        "type": "cuboid",
        "origin": [1, 0, -1],
        "top_center": [3, 5, 4],
        "side_length_1": 4,
        "side_length_2": 7,
    },
    "parallelepiped": {
        "type": "parallelepiped",
        "origin": [-1, 2, 0],
        "side_vector_1": [5, 1, 0],
        "side_vector_2": [2, 6, 1],
        "side_vector_3": [0, -2, 4],
    },
}
h = {"cone": np.sqrt(9 + 16 + 100), "cylinder": np.sqrt(36 + 25 + 36), "cuboid": np.sqrt(4 + 25 + 25)}
VOLUMES = {
    "sphere": 4 / 3 * np.pi * 343,
    "ellipsoid": 4 / 3 * np.pi * 72,
    "cone": np.pi * 25 * h["cone"] / 3,
    "cylinder": np.pi * 9 * h["cylinder"],
    "cuboid": 28 * h["cuboid"],
    "parallelepiped": 5 * (6 * 4 + 2) - 1 * (2 * 4),
}


def made(value):
    with building(BuildContext()) as context:
        shape = Component("shape", "type").cast(value, ("shape",), None)
    assert context.mistakes == [], [str(m) for m in context.mistakes]
    return shape


def by_hand(value, p):
    """Return which points, (n, 3), lie in a shape, from what its attributes mean; without its epsilon."""
    v = {key: np.asarray(item, float) for key, item in value.items() if key != "type"}
    kind = value["type"]
    if kind == "sphere":
        return np.linalg.norm(p - v["origin"], axis=1) <= v["radius"]
    if kind == "ellipsoid":
        along = [(p - v["origin"]) @ v[f"v{i}"] / np.linalg.norm(v[f"v{i}"]) / v["lambdas"][i] for i in range(3)]
        return sum(a**2 for a in along) <= 1
    if kind == "parallelepiped":
        sides = np.stack([v[f"side_vector_{i}"] for i in (1, 2, 3)], axis=1)
        parts = np.linalg.solve(sides, (p - v["origin"]).T)
        return ((parts >= 0) & (parts <= 1)).all(axis=0)
    start, end = (v["apex"], v["origin"]) if kind == "cone" else (v["origin"], v["top_center"])
    height = np.linalg.norm(end - start)
    up = (end - start) / height
    along = (p - start) @ up
    across = p - start - along[:, None] * up
    level = (along >= 0) & (along <= height)
    if kind in ("cone", "cylinder"):
        widest = v["radius"] * (along / height if kind == "cone" else 1)
        return level & (np.linalg.norm(across, axis=1) <= widest)
    axis = np.cross([0, 0, 1], up)  # the smallest turn of z into it is about this
    sine, cosine = np.linalg.norm(axis), up[2]
    k = axis / sine
    first, second = (e * cosine + np.cross(k, e) * sine + k * (k @ e) * (1 - cosine) for e in np.eye(3)[:2])
    sides = np.abs(across @ first) <= v["side_length_1"] / 2, np.abs(across @ second) <= v["side_length_2"] / 2
    return level & sides[0] & sides[1]


@pytest.mark.parametrize("name", TILTED)
def test_points_are_inside_as_the_attributes_say(name):
    shape = made(TILTED[name] | {"epsilon": 0})
    points = np.random.default_rng(1).uniform(-15, 15, (40000, 3))
    got = shape.inside(*points.T)
    np.testing.assert_array_equal(got, by_hand(TILTED[name], points))
    assert got.sum() > 100


@pytest.mark.parametrize("name", TILTED)
def test_volumes_and_boxes(name):
    shape = made(TILTED[name] | {"epsilon": 0})
    assert shape.volume == pytest.approx(VOLUMES[name])
    points = shape.drawn(np.random.default_rng(2).random((200000, 3)))
    lower, upper = shape.bounds
    assert (points >= lower - 1e-9).all() and (points <= upper + 1e-9).all()
    np.testing.assert_allclose(
        [points.min(axis=0), points.max(axis=0)], [lower, upper], atol=0.1 * (upper - lower).max()
    )


@pytest.mark.parametrize("name", TILTED)
def test_points_are_drawn_uniformly_inside(name):
    """As many in every cell of a grid as the volume of the shape in it asks for; 5 standard deviations."""
    shape = made(TILTED[name])
    rng = np.random.default_rng(3)
    points = shape.drawn(rng.random((50000, 3)))
    assert shape.inside(*points.T).all()
    lower, upper = shape.bounds
    every = rng.uniform(lower, upper, (400000, 3))
    every = every[shape.inside(*every.T)]
    edges = [np.linspace(a, b, 6) for a, b in zip(lower, upper, strict=True)]
    got, want = (np.histogramdd(p, edges)[0] for p in (points, every))
    share = len(points) / len(every)
    spread = np.sqrt(want * share * (1 + share))
    some = want * share > 20
    assert some.sum() > 10
    assert (np.abs(got - want * share)[some] < 5 * spread[some]).all()


@pytest.mark.parametrize(
    ("name", "edge", "out"),
    [
        ("sphere", (7, 0, 0), (1, 0, 0)),
        ("ellipsoid", (0, 0, -2), (0, 0, -1)),
        ("cone", (0, 0, 0), (0, 0, -1)),
        ("cone", (0, 2.5, 2.5), (0, 1, 0)),
        ("cylinder", (0, 3, 9), (0, 1, 0)),
        ("cylinder", (1, 1, 10), (0, 0, 1)),
        ("cuboid", (2, 1, 5), (1, 0, 0)),
        ("cuboid", (0, 0, 0), (0, 0, -1)),
        ("parallelepiped", (1, 1, 4), (0, 0, 1)),
    ],
)
def test_what_lies_outside_by_less_than_epsilon_counts_as_inside(name, edge, out):
    upright = {
        "sphere": {"origin": [0, 0, 0], "radius": 7},
        "ellipsoid": {"origin": [0, 0, 0], "lambdas": [9, 4, 2], "v0": [1, 0, 0], "v1": [0, 1, 0], "v2": [0, 0, 1]},
        "cone": {"apex": [0, 0, 0], "origin": [0, 0, 10], "radius": 10},
        "cylinder": {"origin": [0, 0, 0], "top_center": [0, 0, 10], "radius": 3},
        "cuboid": {"origin": [0, 0, 0], "top_center": [0, 0, 10], "side_length_1": 4, "side_length_2": 7},
        "parallelepiped": {
            "origin": [0, 0, 0],
            "side_vector_1": [2, 0, 0],
            "side_vector_2": [0, 3, 0],
            "side_vector_3": [0, 0, 4],
        },
    }
    shape = made(upright[name] | {"type": name, "epsilon": 0.5})
    points = np.array(edge) + np.array([[0.4], [0.6]]) * out
    assert shape.inside(*points.T).tolist() == [True, False]
    assert (points[0] >= shape.bounds[0]).all() and (points[0] <= shape.bounds[1]).all()


def composition(**more):
    value = {"shapes": [TILTED["sphere"], TILTED["cone"]], "labels": [["soma"], ["axon", "tuft"]], "voxel_size": 2}
    with building(BuildContext()) as context:
        node = ShapesComposition.build(value | more, ("composition",))
    return node, [str(m) for m in context.mistakes]


def test_a_composition_has_as_many_points_as_voxels_fill_its_shapes():
    node, wrong = composition()
    assert wrong == []
    assert node.numbers(node.shapes) == [int(VOLUMES["sphere"] // 8), int(VOLUMES["cone"] // 8)]
    assert [s.body.__name__ for s in node.labelled(["tuft", "other"])] == ["Spike"]
    assert node.labelled(None) == node.shapes and node.known_labels == ["axon", "soma", "tuft"]
    points = np.random.default_rng(1).uniform(-15, 15, (9000, 3))
    either = [by_hand(TILTED[name], points) for name in ("sphere", "cone")]
    assert np.mean(inside(node.shapes, *points.T) != either[0] | either[1]) < 1e-3
    low, high = bounds(node.shapes)
    assert (low <= node.shapes[0].bounds[0]).all() and (high >= node.shapes[1].bounds[1]).all()


def test_clouds_are_those_of_one_cell_after_another():
    node, _ = composition()
    numbers = node.numbers(node.shapes)
    whole = clouds(np.random.default_rng(5), node.shapes, numbers, 7)
    rng = np.random.default_rng(5)
    parts = [clouds(rng, node.shapes, numbers, n) for n in (3, 1, 3)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.shape == (7, sum(numbers), 3)
    twice = clouds(np.random.default_rng(5), [node.shapes[0]] * 2, [50, 50], 3)
    assert len(np.unique(twice.reshape(-1, 3), axis=0)) == 300  # the points of each shape are its own
    assert node.shapes[0].inside(*whole[:, : numbers[0]].T).all()
    assert node.shapes[1].inside(*whole[:, numbers[0] :].T).all()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"type": "sphere", "origin": [0, 0, 0], "radius": 0}, "radius: should be: a number > 0"),
        (TILTED["cylinder"] | {"top_center": [0, 1, 2]}, "top_center: should be: another point than origin"),
        (TILTED["cone"] | {"origin": [1, 1, 8]}, "origin: should be: another point than apex"),
        (TILTED["cuboid"] | {"side_length_2": -1}, "side_length_2: should be: a number > 0"),
        (TILTED["ellipsoid"] | {"v1": [0, 0, 0]}, "v1: should be: a vector with a length"),
        (TILTED["ellipsoid"] | {"v2": [0, 1, 1]}, "v2: should be: perpendicular to v0"),
        (TILTED["ellipsoid"] | {"lambdas": [1, 0, 1]}, "lambdas"),
        (TILTED["parallelepiped"] | {"side_vector_3": [7, 7, 1]}, "outside the plane of the two others"),
        ({"type": "sphere"}, '"origin" is missing'),
        ({"type": "spheer", "origin": [0, 0, 0]}, 'did you mean "sphere"'),
        ({"origin": [0, 0, 0]}, '"type" is missing'),
    ],
)
def test_shapes_that_make_no_sense_are_mistakes(shape, said):
    with building(BuildContext()) as context:
        Component("shape", "type").cast(shape, ("shape",), None)
    assert any(said in str(m) for m in context.mistakes), [str(m) for m in context.mistakes]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"labels": [["soma"]]}, "labels: should be: 2 lists, one for each shape (got: 1)"),
        ({"shapes": []}, "a list of at least 1"),
        ({"voxel_size": 0}, "voxel_size"),
        ({"labels": None}, '"labels" is missing'),
    ],
)
def test_compositions_that_make_no_sense_are_mistakes(more, said):
    assert any(said in m for m in composition(**more)[1])


def test_the_names_of_the_bsb():
    from snakefold.components import find

    for name in TILTED:
        cls = name.capitalize()
        (found,) = find("shape", f"bsb.connectivity.geometric.geometric_shapes.{cls}")
        assert found.__name__ == cls and find("shape", name) == [found]
    for name in ("ShapeToShape", "MorphologyToShape", "ShapeToMorphology"):
        (found,) = find("connectivity", f"bsb.connectivity.geometric.{name}Intersection")
        assert issubclass(found, ConnectivityStrategy) and found.__name__ == name
