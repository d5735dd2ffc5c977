"""How cells are turned: unit quaternions (w, x, y, z), from the frame of a morphology into that of the circuit."""

import numpy as np

from snakefold.placement.distribute import PlacedCells, RotationDistributor

UNTURNED = (1.0, 0.0, 0.0, 0.0)


class NoRotations(RotationDistributor):
    """Cells are not turned, unless what gives them their morphologies does that."""

    def columns(self, name, cell_type, about):
        return {}

    def distribute(self, cells, rng):
        return {}


class ExplicitNoRotations(RotationDistributor):
    """Cells are not turned, even where what gives them their morphologies would."""

    def distribute(self, cells, rng):
        return np.tile(np.float32(UNTURNED), (len(cells), 1))


class RandomRotations(RotationDistributor):
    """Each cell is turned at random, uniformly over all rotations.

    The BSB draws three Euler angles instead, which turns cells towards the poles of one axis more often than elsewhere.
    """

    def distribute(self, cells: PlacedCells, rng: np.random.Generator) -> np.ndarray:
        return uniform(len(cells), rng)


def uniform(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return quaternions, (n, 4) float64, w not below 0, that are uniform over all rotations.

    Four normal numbers have no preferred direction (Marsaglia 1972, Ann. Math. Statist. 43:645-646), and the rotations'
    measure is that of the sphere of unit quaternions.
    """
    q = rng.standard_normal((n, 4))
    q /= np.sqrt((q**2).sum(axis=1, keepdims=True))
    return np.where(q[:, :1] < 0, -q, q)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the quaternions, (n, 4) float64, that turn one vector, (3,), into the directions of others, (n, 3).

    Each turns by the smallest angle; half a turn, to the opposite, is about an axis perpendicular to `a`. Vectors of no
    length, or with NaN, turn nothing.
    """
    a = np.asarray(a, np.float64)
    a = a / np.sqrt((a**2).sum())
    b = np.asarray(b, np.float64)
    length = np.sqrt((b**2).sum(axis=1))
    known = np.isfinite(length) & (length > 0)
    unit = np.where(known[:, None], b, a) / np.where(known, length, 1.0)[:, None]
    q = np.concatenate([1 + (unit * a).sum(axis=1, keepdims=True), np.cross(a, unit)], axis=1)
    norm = np.sqrt((q**2).sum(axis=1))
    opposite = norm < 1e-7
    across = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
    q[opposite] = [0.0, *(across / np.sqrt((across**2).sum()))]
    return q / np.where(opposite, 1.0, norm)[:, None]


def turned_by(quaternions: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points, (n, 3), each turned by its quaternion, (n, 4)."""
    w, axis = quaternions[:, :1], quaternions[:, 1:]
    across = 2 * np.cross(axis, points)
    return points + w * across + np.cross(axis, across)


def matrices(quaternions: np.ndarray) -> np.ndarray:
    """Return the matrices, (n, 3, 3) float64, that turn as quaternions, (n, 4), do."""
    n = len(quaternions)
    turned = turned_by(np.repeat(np.asarray(quaternions, np.float64), 3, axis=0), np.tile(np.eye(3), (n, 1)))
    return turned.reshape(n, 3, 3).transpose(0, 2, 1)
