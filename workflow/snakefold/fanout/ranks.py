"""The ranks that share a job. Chunks are dealt to them as they get free, and rank 0, which works too, collects.

A thread of rank 0 answers the others, so that a long chunk of its own keeps nobody waiting. What a rank has made
reaches rank 0 through the rank's own journal file, never through MPI: it is on disk anyway. mpi4py is imported only
where there are several ranks.
"""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from snakefold.errors import UserError
from snakefold.launcher import n_ranks

_POLL_S = 0.001
_SHARES = 8  # a deal is this share of what is left for each rank: large at first, single chunks at the end
_ASK, _DEAL, _HAND_IN = 1, 2, 3


class Alone:
    """The only rank."""

    rank, size = 0, 1

    def shared(self, todo: list[int]) -> list[int]:
        """Return what rank 0 gives, on every rank."""
        return todo

    def gathered(self, item: object) -> list:
        """Return, on every rank, what each gives, when all have given it."""
        return [item]

    def deal(self, todo: list[int]) -> Iterator[int]:
        """Yield what this rank is to do, each item on one rank only."""
        return iter(todo)

    def hand_in(self, path: Path | None) -> None:
        """Tell rank 0 the file with what this rank has made."""

    def handed_in(self) -> list[Path]:
        """Return, on rank 0, the files of the others, when all are complete."""
        return []


class Ranks(Alone):
    """This rank among several; `comm` is an MPI communicator."""

    def __init__(self, comm):
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self._lock, self._left = threading.Lock(), []
        self._files: dict[int, Path | None] = {}
        self._failed: BaseException | None = None

    def shared(self, todo: list[int]) -> list[int]:
        return self.comm.bcast(todo, root=0)

    def gathered(self, item: object) -> list:
        return self.comm.allgather(item)

    def deal(self, todo: list[int]) -> Iterator[int]:
        if self.rank == 0:
            self._left = list(reversed(todo))
            threading.Thread(target=self._serve, daemon=True).start()
        while items := (self._next() if self.rank == 0 else self._asked()):
            yield from items

    def _next(self) -> list[int]:
        with self._lock:
            n = max(len(self._left) // (_SHARES * self.size), 1)
            return [self._left.pop() for _ in range(min(n, len(self._left)))]

    def _asked(self) -> list[int]:
        self.comm.send(None, dest=0, tag=_ASK)
        while not self.comm.iprobe(source=0, tag=_DEAL):
            time.sleep(_POLL_S)
        return self.comm.recv(source=0, tag=_DEAL)

    def _serve(self) -> None:
        """Answer the other ranks until all have handed in."""
        try:
            while len(self._files) < self.size - 1:
                if self.comm.iprobe(tag=_ASK):
                    who = self._received(_ASK)[0]
                    self.comm.send(self._next(), dest=who, tag=_DEAL)
                elif self.comm.iprobe(tag=_HAND_IN):
                    who, path = self._received(_HAND_IN)
                    self._files[who] = path
                else:
                    time.sleep(_POLL_S)
        except BaseException as error:  # told by the main thread
            self._failed = error

    def _received(self, tag: int) -> tuple[int, object]:
        from mpi4py import MPI

        status = MPI.Status()
        message = self.comm.recv(tag=tag, status=status)
        return status.Get_source(), message

    def hand_in(self, path: Path | None) -> None:
        self.comm.send(path, dest=0, tag=_HAND_IN)

    def handed_in(self) -> list[Path]:
        while len(self._files) < self.size - 1:
            if self._failed is not None:
                raise self._failed
            time.sleep(_POLL_S)
        return [path for _, path in sorted(self._files.items()) if path is not None]


def world() -> Alone:
    """Return this process's rank among those of its job.

    Raises
    ------
    UserError : there should be several, and mpi4py is missing, or the launcher started another number of them
    """
    wanted = n_ranks()
    if wanted == 1:
        return Alone()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"one of {wanted} MPI ranks needs mpi4py and an MPI library, which {sys.executable} has not ({error}); "
            "install both, or give the job one rank"
        ) from error
    if (size := MPI.COMM_WORLD.Get_size()) != wanted:
        library = MPI.Get_library_version().split(",")[0].strip()
        raise UserError(
            f"{wanted} MPI ranks were asked for, but this world has {size}: the launcher does not know the MPI library "
            f"of mpi4py ({library}); use the launcher that belongs to it (with srun, another --mpi)"
        )
    return Ranks(MPI.COMM_WORLD)


def abort() -> None:
    """End all ranks of this job with exit code 1; does nothing where there is one."""
    if "mpi4py.MPI" in sys.modules:
        comm = sys.modules["mpi4py.MPI"].COMM_WORLD
        if comm.Get_size() > 1:
            comm.Abort(1)
