import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from packings import Packed, domain, filled, gap, voxels
from snakefold.errors import UserError
from snakefold.placement.packing import kernels, solver
from snakefold.placement.packing.lattice import SLACK, Lattice, code_of
from snakefold.topology.chunks import decode

CUBE = np.array([[[0, 0, 0], [180, 180, 180]]], float)
LAYERS = np.array([[[0, 0, 0], [220, 220, 30.1]], [[0, 0, 30.1], [220, 220, 110.4]]], float)
SHELL = voxels((18, 18, 18), 10.0, lambda p: np.abs(np.linalg.norm(p - 0.5, axis=1) - 0.35) < 0.13)
RADII = np.array([8.0, 5.0, 3.5])


def volume(boxes):
    return np.diff(boxes, axis=1).prod(axis=2).sum()


@pytest.mark.parametrize("boxes", [CUBE, LAYERS, SHELL], ids=["box", "layers", "voxels"])
@pytest.mark.parametrize(("fraction", "seeds"), [(0.1, 5), (0.3, 5), (0.45, 5)])
def test_no_two_spheres_of_mixed_radii_overlap_and_all_stay_in_the_domain(boxes, fraction, seeds):
    numbers = filled(volume(boxes), fraction, RADII, (0.5, 0.3, 0.2))
    for seed in range(seeds):
        packed = Packed(boxes, numbers, RADII, seed=seed)
        assert gap(packed.points, packed.radii) >= 0
        assert packed.outside() == 0
        assert [int((packed.radii == r).sum()) for r in RADII] == numbers


@pytest.mark.parametrize("boxes", [CUBE, SHELL], ids=["box", "voxels"])
def test_what_is_packed_together_does_not_matter(boxes):
    numbers = filled(volume(boxes), 0.3, RADII, (0.5, 0.3, 0.2))
    at_once, few, one = (Packed(boxes, numbers, RADII, batch=b).points for b in (1000, 8, 1))
    assert (at_once == few).all() and (at_once == one).all()


def test_two_seeds_give_two_packings():
    a, b = (Packed(CUBE, [2000], [4.0], seed=s).points for s in (1, 2))
    assert (a != b).any(axis=1).all()


def test_obstacles_are_kept_away_from_also_where_cells_start_in_them():
    rng = np.random.default_rng(3)
    middles = Packed(CUBE, [40], [15.0]).points
    for radii in (np.full(40, 15.0), rng.uniform(1, 15, 40)):
        packed = Packed(CUBE, [3000], [4.0], obstacles=(middles, radii))
        everything = np.concatenate([packed.points, middles]), np.concatenate([packed.radii, radii])
        assert gap(*everything) >= 0
        start = np.concatenate([packed.starts(c).points for c in packed.chunks.tolist()])
        away = np.linalg.norm(start[:, None] - middles, axis=2) < radii
        assert away.any(axis=1).sum() > 50


def test_cells_do_not_crowd_at_obstacles():
    """Those that start in obstacles would lie at their surfaces: 13 times as many there as elsewhere."""
    middles = Packed(CUBE, [40], [15.0]).points
    packed = Packed(CUBE, [3000], [4.0], obstacles=(middles, np.full(40, 15.0)))
    sample = np.random.default_rng(0).uniform(0, 180, (200_000, 3))
    away, of_sample = (cKDTree(middles).query(p)[0] - 19 for p in (packed.points, sample))
    expected = ((of_sample >= 0) & (of_sample < 1)).sum() / (of_sample >= 0).sum() * 3000
    assert (away < 1).sum() < 2.5 * expected


def test_spheres_that_start_at_one_point_are_pulled_apart(monkeypatch):
    monkeypatch.setattr(solver, "MARGIN", 2.0)
    original = Packed.starts
    same = lambda self, c: solver.Starts(np.full_like(original(self, c).points, 30.0), original(self, c).radii)  # noqa: E731
    monkeypatch.setattr(Packed, "starts", same)
    packed = Packed([[[0, 0, 0], [60, 60, 60]]], [120], [3.0])
    assert gap(packed.points, packed.radii) >= 0


def test_what_cannot_be_packed_is_an_error_that_says_where_and_how_far_it_got(monkeypatch):
    with pytest.raises(
        UserError, match=r"from \(0\.0, .* um, \d+ of 30 somata still overlap another \(\d+\.\d% are free"
    ):
        Packed([[[0, 0, 0], [20, 20, 20]]], [30], [5.0])


# The lattice of regions


def random_lattice(seed):
    rng = np.random.default_rng(seed)
    return Lattice(np.array([-5.0, 3.0, 0.0]), np.array([-5.0, 3.0, 0.0]) + rng.uniform(5, 70, 3), 1.0)


def apart(low, high, i, j):
    """Return how far boxes i are from boxes j."""
    return np.linalg.norm(np.maximum(0, np.maximum(low[i] - high[j], low[j] - high[i])), axis=1)


@pytest.mark.parametrize("seed", range(8))
def test_regions_that_can_touch_depend_on_one_another(seed):
    lattice = random_lattice(seed)
    nodes = np.stack(np.meshgrid(*(np.arange(2 * n - 1) for n in lattice.n), indexing="ij"), -1).reshape(-1, 3)
    low, high = lattice.boxes(nodes)
    above = [set(map(tuple, a[a[:, 0] >= 0].tolist())) for a in lattice.above(nodes)]
    i, j = np.triu_indices(len(nodes), 1)
    near = apart(low, high, i, j) < lattice.d * (1 + 2 * SLACK) * (1 - 1e-9)
    names = list(map(tuple, nodes.tolist()))
    assert all(names[a] in above[b] or names[b] in above[a] for a, b in zip(i[near], j[near], strict=True))
    assert all(above[names.index(n)] <= above[k] for k in range(len(names)) for n in above[k])


@pytest.mark.parametrize("seed", range(8))
def test_a_sphere_starts_in_the_box_of_its_region(seed):
    lattice = random_lattice(seed)
    points = np.random.default_rng(seed).uniform(lattice.lower, lattice.upper, (5000, 3))
    codes = lattice.of(points)
    low, high = lattice.boxes(decode(codes))
    assert ((points >= low - 1e-9) & (points <= high + 1e-9)).all()
    assert set(codes.tolist()) <= set(code_of(decode(codes)).tolist())


# The domain


def test_an_l_is_not_its_bounding_box():
    made = domain([[[0, 0, 0], [10, 30, 5]], [[10, 0, 0], [40, 10, 5]]])
    inside = [
        kernels.is_inside(np.array(p, float), made.edges, made.mask) for p in ([5, 25, 1], [30, 5, 1], [30, 25, 1])
    ]
    assert inside == [True, True, False]
    assert [kernels.is_inside(np.array(p, float), made.edges, made.mask) for p in ([0, 0, 0], [1, 1, 5])] == [
        True,
        False,
    ]


@given(st.integers(0, 10**6))
def test_a_point_slides_along_faces_and_never_leaves(seed):
    rng = np.random.default_rng(seed)
    boxes = voxels((4, 4, 4), 3.0, lambda p: rng.random(len(p)) < 0.6)
    if not len(boxes):
        return
    made = domain(boxes)
    p = boxes[0].mean(axis=0).astype(np.float32).astype(float)
    at = np.empty(3, np.int64)
    for _ in range(30):
        target = (p + rng.normal(0, 4, 3)).astype(np.float32).astype(float)
        before = p.copy()
        kernels.slide(p, target, made.edges, made.below, made.mask, at)
        assert kernels.is_inside(p, made.edges, made.mask)
        assert ((np.minimum(before, target) <= p) & (p <= np.maximum(before, target))).all()
    free = domain([[[-100] * 3, [100] * 3]])
    kernels.slide(p, target, free.edges, free.below, free.mask, at)
    assert (p == target).all()


# The kernels, against NumPy over all pairs


def test_a_push_is_what_numpy_finds_over_all_pairs():
    rng = np.random.default_rng(7)
    n, h = 300, 4.1
    pos, rad = rng.uniform(1, 19, (n, 3)), rng.uniform(0.8, 2.0, n)
    kind = rng.integers(0, 3, n).astype(np.int8)
    origin, shape = np.zeros(3), np.full(3, 6)
    head, after, cell = np.full(216, -1, np.int32), np.full(n, -1, np.int32), np.empty(n, np.int64)
    for i in range(n):
        kernels._put(i, pos[i], origin, h, shape, head, after, cell)
    away = pos[:, None] - pos
    distance = np.linalg.norm(away, axis=2)
    np.fill_diagonal(distance, np.inf)
    touching = rad[:, None] + rad
    into = np.maximum(1.01 * touching - distance, 0) / distance * np.where(kind == kernels.FIXED, 1.0, 0.5)
    expected = (into[..., None] * away).sum(axis=1)
    out = np.empty(3)
    for i in range(n):
        awake = np.zeros(n, bool)
        found = kernels.push(
            pos[i], rad[i], i, pos, rad, kind, head, after, origin, h, shape, 1.01, np.uint64(1), awake, out
        )
        np.testing.assert_allclose(out, expected[i], atol=1e-12)
        kinds = set(kind[distance[i] < touching[i]].tolist())
        assert {k for k in range(3) if found & 1 << k} == kinds
        pushing = distance[i] < 1.01 * touching[i]
        assert bool(found & 8) == pushing.any()
        assert (awake == pushing & (kind != kernels.FIXED)).all()
        assert kernels.is_free(pos[i], rad[i], i, pos, rad, head, after, origin, h, shape) == (not kinds)


def test_compiled_kernels_give_what_python_gives():
    key = np.uint64(0x123456789ABCDEF0)
    with np.errstate(over="ignore"):
        plain = [kernels.uniform.py_func(key, np.uint64(i)) for i in range(5)]
    assert plain == [kernels.uniform(key, i) for i in range(5)]
    many = np.array([kernels.uniform(kernels.keyed(key, 3), i) for i in range(20_000)])
    assert abs(many.mean() - 0.5) < 0.01 and abs(many.var() - 1 / 12) < 0.003
    assert abs(np.corrcoef(many[:-1], many[1:])[0, 1]) < 0.03
