"""Random morphologies and cells that have them, for tests of contacts, and cells as connectivity strategies see them."""

import numpy as np

from fakes import FakeCells
from snakefold.morphology.morphology import Morphology
from snakefold.morphology.rotations import uniform


def tree(rng: np.random.Generator, n_branches: int = 6, step: float = 8.0) -> Morphology:
    """Return a random morphology of short branches, points of every other one labelled "even"; the last is one point."""
    points, parents, offsets = [np.zeros(3)], [-1], [0]
    ends = [np.zeros(3)]
    for branch in range(1, n_branches):
        parent = int(rng.integers(branch))
        n = int(rng.integers(1, 6))
        offsets.append(len(points))
        parents.append(parent)
        points += list(
            ends[parent] + np.cumsum(np.vstack([np.zeros(3), step * rng.standard_normal((n - 1, 3))]), axis=0)
        )
        ends.append(points[-1])
    offsets.append(len(points))
    n = len(points)
    branch_of = np.repeat(np.arange(n_branches), np.diff(offsets))
    return Morphology(
        np.array(points),
        rng.uniform(0.2, 1.5, n),
        np.where(branch_of == 0, 1, 3),
        branch_of % 2,
        np.array(offsets),
        np.array(parents),
        (("even",), ("odd",)),
    )


class ShapedCells(FakeCells):
    """Cells with positions, morphologies and rotations."""

    type = "a"

    def __init__(self, positions, morphologies=("",), morphology=None, rotations=None, first=0):
        super().__init__(len(positions), first)
        self.positions = np.asarray(positions, np.float32).reshape(-1, 3)
        self.morphologies, self.rotations = tuple(morphologies), rotations
        self.morphology = np.zeros(len(self), np.uint32) if morphology is None else np.asarray(morphology)

    def ids_of(self, index):
        return np.asarray(index) + self.first

    def some(self, start: int, stop: int) -> "ShapedCells":
        """Return a run of the cells."""
        turned = None if self.rotations is None else self.rotations[start:stop]
        of = self.positions[start:stop], self.morphologies, self.morphology[start:stop], turned
        return ShapedCells(*of, first=self.first + start)


def cells(rng: np.random.Generator, n: int, box: float, names=("",), turned: bool = True) -> ShapedCells:
    """Return cells at random in a cube, of random morphologies, turned at random."""
    of = rng.integers(len(names), size=n)
    return ShapedCells(box * rng.random((n, 3)), names, of, uniform(n, rng) if turned else None)
