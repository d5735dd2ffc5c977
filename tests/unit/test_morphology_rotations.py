import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from snakefold.morphology.rotations import between, turned_by, uniform

unit = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: sum(x * x for x in v) > 0.01)


def scipys(q):
    return Rotation.from_quat(np.roll(q, -1, axis=-1))


def test_random_rotations_are_uniform_on_so3():
    """Where each axis is turned to is uniform on the sphere (its moments), and so are angles: (t - sin t) / pi."""
    from scipy.stats import kstest

    q = uniform(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1)
    assert (q[:, 0] >= 0).all()
    for axis in np.eye(3):
        to = turned_by(q, np.broadcast_to(axis, (len(q), 3)))
        for coordinate in to.T:
            assert kstest(coordinate, "uniform", args=(-1, 2)).pvalue > 1e-3
    angle = 2 * np.arccos(np.clip(q[:, 0], 0, 1))
    assert kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3


def test_the_bsbs_three_angles_would_not_pass():
    from scipy.stats import kstest

    angles = np.random.default_rng(1).random((20_000, 3)) * 360
    to = Rotation.from_euler("xyz", angles, degrees=True).apply([1.0, 0.0, 0.0])
    assert kstest(to[:, 2], "uniform", args=(-1, 2)).pvalue < 1e-6


@settings(max_examples=100)
@given(unit, unit)
def test_a_vector_is_turned_to_another_by_the_smallest_angle(a, b):
    (q,) = between(a, np.array([b]))
    a, b = np.array(a) / np.linalg.norm(a), np.array(b) / np.linalg.norm(b)
    np.testing.assert_allclose(scipys(q).apply(a), b, atol=1e-6)
    np.testing.assert_allclose(turned_by(q[None], a[None])[0], b, atol=1e-6)
    angle = np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)
    np.testing.assert_allclose(scipys(q).magnitude(), angle, atol=1e-5)


def test_opposite_equal_and_unknown_directions():
    q = between([0, -1, 0], np.array([[0, 5, 0], [0, -2, 0], [0, 0, 0], [np.nan, 0, 1]]))
    np.testing.assert_allclose(turned_by(q[:1], np.array([[0.0, -1, 0]])), [[0, 1, 0]], atol=1e-12)
    assert q[0, 0] == 0
    np.testing.assert_array_equal(q[1:], [[1, 0, 0, 0]] * 3)


@settings(max_examples=50)
@given(st.integers(0, 2**32), unit)
def test_a_rotation_and_its_inverse_are_none(seed, vector):
    q = uniform(1, np.random.default_rng(seed))
    there = turned_by(q, np.array([vector]))
    np.testing.assert_allclose(there, scipys(q).apply([vector]), atol=1e-12)
    np.testing.assert_allclose(turned_by(q * [1, -1, -1, -1], there), [vector], atol=1e-12)
