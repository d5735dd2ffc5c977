"""What a profile says about jobs, and the resources that jobs ask a scheduler for.

A profile says it among its `default-resources`, since Snakemake hands these on to the jobs that it submits; Snakefold's
own names there are `ranks`, `simulation_ranks`, `launcher` and `longest`. A job asks for what it needs by estimate, and
for more each time it is tried again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from snakefold.errors import UserError
from snakefold.needs import Needs

LEAST_MB = 600  # a SLURM job carries two processes of Snakemake beside its own
LEAST_MIN = 10
_START_MB = 450  # those two, Python, NumPy and h5py
_RANK_MB = 120  # a further Python with MPI
_MARGIN = 2.0  # of time: nodes differ

Resource = int | str | Callable[..., int]


@dataclass(frozen=True)
class Profile:
    """What a profile says about jobs.

    Attributes
    ----------
    ranks : MPI ranks of a tile job
    simulation_ranks : MPI ranks of a simulation
    launcher : what starts them, as in "mpirun --bind-to none"
    longest : the longest time that a job may ask for, minutes; None if there is no limit
    """

    ranks: int = 1
    simulation_ranks: int = 1
    launcher: str = "mpirun"
    longest: int | None = None

    @classmethod
    def of(cls, default_resources: object) -> "Profile":
        """Return what Snakemake's default resources (or None) say.

        Raises
        ------
        UserError : a number is none
        """
        given = {name: value for name, _, value in (a.partition("=") for a in getattr(default_resources, "args", ()))}
        given = {name: value.strip("'\"") for name, value in given.items()}
        numbers = {}
        for name in ("ranks", "simulation_ranks", "longest"):
            if name in given:
                if not given[name].isdecimal() or int(given[name]) < 1:
                    what = f"{name} should be: a whole number of at least 1 (got: {given[name]})"
                    raise UserError(what, where="default-resources")
                numbers[name] = int(given[name])
        return cls(launcher=given.get("launcher", cls.launcher), **numbers)

    def of_job(self, needs: Needs, n_cores: int = 1) -> dict[str, Resource]:
        """Return the resources of a job of one process."""
        return self._shared(needs, 1, n_cores)

    def of_tile(self, needs: Needs) -> dict[str, Resource]:
        """Return the resources of a tile job, whose ranks share its work."""
        return self._shared(needs, self.ranks, 1)

    def of_simulation(self, needs: Needs, threads: int) -> dict[str, Resource]:
        """Return the resources of a simulation, whose ranks share its threads."""
        return self._shared(needs, self.simulation_ranks, threads // self.simulation_ranks)

    def _shared(self, needs: Needs, ranks: int, cores: int) -> dict[str, Resource]:
        """Return the resources of a job of some ranks, each of some cores."""
        made = {"tasks": ranks, "mem_mb": self._mem_mb(needs, ranks), "runtime": self._runtime(needs, ranks * cores)}
        return made | ({"mpi": self.launcher, "cpus_per_task": cores} if ranks > 1 else {})

    def _mem_mb(self, needs: Needs, ranks: int) -> Callable[..., int]:
        base = max(LEAST_MB, ceil(_START_MB + (ranks - 1) * _RANK_MB + needs.memory_mb))
        return lambda wildcards, attempt: base * attempt

    def _runtime(self, needs: Needs, n_cores: int) -> Callable[..., int]:
        base = max(LEAST_MIN, ceil(_MARGIN * needs.cpu_s / n_cores / 60))
        return lambda wildcards, attempt: min(base * attempt, self.longest or base * attempt)
