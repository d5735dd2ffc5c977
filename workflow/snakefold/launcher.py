"""What launched this process: alone, or as one of the MPI ranks of a launcher (mpirun, srun)?

A rule says how many ranks its job has, in the variable SNAKEFOLD_TASKS; a script started by hand under a launcher goes
by the launcher's own variables. Nothing here imports MPI.
"""

import os
from collections.abc import Mapping

TASKS = "SNAKEFOLD_TASKS"
# What makes a child of an MPI rank or of a SLURM step start, or wait for, an MPI of its own.
STRIPPED = ("OMPI_", "PMI", "SLURM_", "PRTE_", "HYDRA_", "HYDI_", "MPICH_", "MPI_LOCAL", "MPIR_", "I_MPI_", "OTEL_")
_WORLD_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")


def n_ranks(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many ranks this process's job should have, itself included."""
    asked = environ.get(TASKS, "")
    if asked.isdecimal():
        return int(asked)
    return max((int(v) for name in _WORLD_SIZES if (v := environ.get(name, "")).isdecimal()), default=1)


def stripped(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment without what launchers and tracers leave in it."""
    return {key: value for key, value in environ.items() if not key.startswith(STRIPPED)}


def strip() -> None:
    """Take what launchers and tracers have left out of this process's own environment, before it loads a library."""
    for key in os.environ.keys() - stripped().keys():
        del os.environ[key]
