"""Which cells of a simulation a rank has: NEST deals cells to virtual processes, and these to ranks, round robin.

The number of virtual processes is part of the description, that of ranks is not: on n ranks each has an n-th of the
virtual processes, as threads, and nothing else changes.
"""

from dataclasses import dataclass

import numpy as np

from snakefold.errors import UserError, expects


@dataclass(frozen=True)
class Share:
    """The share of one rank; by default, of the only one.

    Attributes
    ----------
    rank, n_ranks : this one, of how many
    n_virtual : virtual processes of all ranks together

    Raises
    ------
    UserError : the ranks cannot share the virtual processes evenly
    """

    rank: int = 0
    n_ranks: int = 1
    n_virtual: int = 1

    def __post_init__(self) -> None:
        if self.n_virtual % self.n_ranks:
            raise UserError(expects("threads", f"a multiple of the {self.n_ranks} MPI ranks", self.n_virtual))

    @property
    def n_threads(self) -> int:
        """Threads of this rank."""
        return self.n_virtual // self.n_ranks

    def rows(self, gids: np.ndarray) -> slice | np.ndarray:
        """Return the rows of those cells, of some by NEST's ids, that are this rank's: an index of arrays."""
        if self.n_ranks == 1:
            return slice(None)
        return np.flatnonzero(gids % self.n_virtual % self.n_ranks == self.rank)
