import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeCells, build
from snakefold.config.context import BuildContext, building
from snakefold.connectivity.distance_probability import DistanceProbability
from snakefold.connectivity.strategy import Given
from snakefold.connectivity.thinning import Bins, Space, pairs

BOX = np.array([300.0, 200.0, 250.0])
PROFILES = {
    "exponential": {"profile": "exponential", "peak": 0.8, "length": 30, "max_distance": 90},
    "gaussian": {"profile": "gaussian", "peak": 0.3, "sigma": 25, "max_distance": 80},
    "linear": {"profile": "linear", "peak": 1, "max_distance": 60},
    "sigmoid": {"profile": "sigmoid", "peak": 0.5, "midpoint": 40, "width": 5, "max_distance": 85},
    "table": {"profile": "table", "table": [[10, 0.2], [20, 0.6], [50, 0.1], [70, 0.0]]},
}
BY_HAND = {  # at 0, 30 and 60 um
    "exponential": [0.8, 0.8 / np.e, 0.8 / np.e**2],
    "gaussian": [0.3, 0.3 * np.exp(-0.72), 0.3 * np.exp(-2.88)],
    "linear": [1, 0.5, 0],
    "sigmoid": [0.5 / (1 + np.exp(-8)), 0.5 / (1 + np.exp(-2)), 0.5 / (1 + np.exp(4))],
    "table": [0.2, 0.6 - 0.5 / 3, 0.05],
}


class Placed(FakeCells):
    """Cells with positions."""

    def __init__(self, positions, first=0):
        super().__init__(len(positions), first)
        self.positions = np.asarray(positions, np.float32)

    def ids_of(self, index):
        return index + self.first


def placed(n, seed, box=BOX):
    return np.random.default_rng(seed).random((n, 3)).astype(np.float32) * box.astype(np.float32)


def connected(strategy, sources, targets, seed=1):
    """Return (source, target) indices of one chunk that has all the targets."""
    prepared = strategy.prepare({"a": Placed(sources)}, {"b": Placed(targets)}, Given())
    post = strategy.postsynaptic.cell_types[0]
    rng = np.random.default_rng(seed)
    made = strategy.connect({"a": Placed(sources)}, {post: Placed(targets)}, rng, Given(prepared))
    return made["a", post].source, made["a", post].target


def all_distances(a, b, axes=(0, 1, 2), period=(0, 0, 0)):
    apart = np.abs(a[:, None, :].astype(float) - b[None, :, :])[..., list(axes)]
    repeats = np.asarray(period, float)[list(axes)]
    apart = np.where(
        repeats > 0, np.minimum(apart % np.maximum(repeats, 1e-9), -apart % np.maximum(repeats, 1e-9)), apart
    )
    return np.sqrt((apart**2).sum(-1))


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_by_hand(name):
    strategy = build(DistanceProbability, "a", "b", **PROFILES[name])
    assert strategy.probability(np.array([0.0, 30.0, 60.0])) == pytest.approx(BY_HAND[name])
    at = np.linspace(0, strategy.max_distance, 500)
    bound = strategy.bound(at)
    assert (bound >= strategy.probability(at)).all() and (np.diff(bound) <= 1e-12).all()


@pytest.mark.parametrize("name", PROFILES)
def test_as_many_synapses_as_expected_in_every_bin_of_distance(name):
    """Against the exact expectation over all pairs, 20 bins of distance; 5 standard deviations."""
    strategy = build(DistanceProbability, "a", "b", **PROFILES[name])
    sources, targets = placed(1500, 1), placed(1200, 2)
    d = all_distances(sources, targets)
    p = np.where(d <= strategy.max_distance, strategy.probability(np.minimum(d, strategy.max_distance)), 0)
    edges = np.linspace(0, d.max(), 41)
    want, var = (np.histogram(d, edges, weights=w)[0] for w in (p, p * (1 - p)))
    source, target = connected(strategy, sources, targets)
    assert len({*zip(source.tolist(), target.tolist(), strict=True)}) == len(source), "no pair twice"
    have = np.histogram(d[source, target], edges)[0]
    assert want.sum() > 3000
    assert (np.abs(have - want) <= 5 * np.sqrt(var) + 1e-9).all()
    assert abs(have.sum() - want.sum()) < 4 * np.sqrt(var.sum())


def test_pairs_are_independent_of_each_other():
    """In-degrees vary as sums of independent trials do: the variance over seeds against the exact one."""
    strategy = build(DistanceProbability, "a", "b", **PROFILES["gaussian"])
    sources, targets = placed(800, 3), placed(40, 4)
    d = all_distances(sources, targets)
    p = np.where(d <= 80, strategy.probability(d), 0)
    degrees = np.array([np.bincount(connected(strategy, sources, targets, s)[1], minlength=40) for s in range(400)])
    assert np.abs(degrees.mean(0) - p.sum(0)).max() < 5 * np.sqrt((p * (1 - p)).sum(0).max() / 400)
    ratio = degrees.var(0, ddof=1) / (p * (1 - p)).sum(0)
    assert abs(ratio.mean() - 1) < 5 * np.sqrt(2 / 399 / 40)
    total = degrees.sum(1)
    assert abs(total.var(ddof=1) / (p * (1 - p)).sum() - 1) < 5 * np.sqrt(2 / 399)


@pytest.mark.parametrize("periodic", [[], ["x"], ["y", "z"], ["x", "y", "z"]])
@pytest.mark.parametrize("axes", [["x", "y", "z"], ["z", "y"], ["y"]])
def test_where_the_probability_is_1_all_pairs_within_reach_are_there_and_no_other(axes, periodic):
    periodic = [axis for axis in periodic if axis in axes]
    table = {"profile": "table", "table": [[0, 1], [70, 1]], "axes": axes, "periodic": periodic}
    space = {"period": BOX.tolist(), "origin": [-20, 0, 30]} if periodic else {}
    strategy = build(DistanceProbability, "a", "b", **table, **space)
    sources, targets = placed(300, 5) - 40, placed(200, 6) + 25  # some beyond the box, on both sides
    period = [length if axis in periodic else 0 for axis, length in zip("xyz", BOX, strict=True)]
    d = all_distances(sources, targets, ["xyz".index(axis) for axis in axes], period)
    source, target = connected(strategy, sources, targets)
    assert sorted(zip(source.tolist(), target.tolist(), strict=True)) == [
        tuple(x) for x in np.argwhere(d <= 70).tolist()
    ]


@given(st.integers(0, 60), st.integers(0, 30), st.floats(0.5, 500), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=60)
def test_any_numbers_of_cells_and_any_reach(n_sources, n_targets, reach, p, seed):
    sources, targets = placed(n_sources, seed), placed(n_targets, seed + 1)
    space = Space(np.zeros(3), np.array([0.0, max(2 * reach, 200.0), 0.0]))
    flat = lambda d: np.full(d.shape, p)  # noqa: E731
    bins = Bins.of(sources, reach, space)
    source, target = pairs(np.random.default_rng(seed), bins, targets, space, reach, flat, flat)
    d = all_distances(sources, targets, period=space.period)
    assert len({*zip(source.tolist(), target.tolist(), strict=True)}) == len(source)
    assert (d[source, target] <= reach * (1 + 1e-6)).all()
    if p in (0, 1):
        assert abs(len(source) - p * (d <= reach).sum()) <= (np.abs(d - reach) < 1e-4).sum()


def test_cells_far_apart_and_all_at_one_place():
    strategy = build(DistanceProbability, "a", "b", profile="table", table=[[0, 1], [1e-3, 1]])
    far = np.array([[0, 0, 0], [1e6, -1e6, 1e6], [1e6, -1e6, 1e6]], np.float32)
    source, target = connected(strategy, far, far)
    assert sorted(zip(source.tolist(), target.tolist(), strict=True)) == [(0, 0), (1, 1), (1, 2), (2, 1), (2, 2)]


def test_without_autapses_no_cell_has_a_synapse_with_itself():
    cells = placed(50, 7)
    for autapses in (True, False):
        strategy = build(DistanceProbability, "a", "a", profile="table", table=[[0, 1], [300, 1]], autapses=autapses)
        source, target = connected(strategy, cells, cells)
        assert (source == target).any() == autapses


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"profile": "gaussian", "peak": 0.1, "max_distance": 5}, '"sigma" is missing'),
        ({"profile": "gaussian", "peak": 0.1, "sigma": 2}, '"max_distance" is missing'),
        ({"profile": "linear", "peak": 0.1, "sigma": 2, "max_distance": 5}, 'profile "linear" does not use it (peak)'),
        ({"profile": "linear", "peak": 1.5, "max_distance": 5}, "should be: a number > 0 and <= 1"),
        ({"profile": "linear", "peak": 0, "max_distance": 5}, "should be: a number > 0 and <= 1"),
        ({"profile": "gausian", "peak": 0.1, "max_distance": 5}, 'did you mean "gaussian"?'),
        ({"profile": "table", "table": [[5, 0.1], [5, 0.2]]}, "um, rising"),
        ({"profile": "table", "table": [[-1, 0.1], [5, 0.2]]}, "at least 0 um"),
        ({"profile": "table", "table": []}, "um, rising"),
        ({"profile": "table", "table": [[1, 1.1]]}, "from 0 to 1"),
        ({"profile": "table", "table": [[0, 0.1]]}, "the last above 0"),
        ({"profile": "table"}, '"table" is missing'),
        ({"profile": "table", "table": [[1, 1]], "peak": 0.5}, 'profile "table" does not use it (table)'),
        (
            {"profile": "table", "table": [[9, 1]], "periodic": ["x"], "period": [10, 10, 10]},
            "at most half of what repeats along x, 5 um",
        ),
        (
            {"profile": "linear", "peak": 1, "max_distance": 6, "periodic": ["x"], "period": [10, 10, 10]},
            "at most half",
        ),
        (
            {"profile": "linear", "peak": 1, "max_distance": 6, "axes": ["x"], "periodic": ["y"]},
            "along x only (got: y)",
        ),
        ({"profile": "linear", "peak": 1, "max_distance": 6, "period": [20, 20, 20]}, "period: nothing repeats"),
        ({"profile": "linear", "peak": 1, "max_distance": 6, "origin": [0, 0, 0]}, "origin: nothing repeats"),
    ],
)
def test_mistakes(attributes, says):
    side = {"cell_types": ["a"]}
    with building(BuildContext()) as context:
        DistanceProbability.build({"presynaptic": side, "postsynaptic": side} | attributes, ("s",))
    assert any(says in str(mistake) for mistake in context.mistakes), [str(m) for m in context.mistakes]
