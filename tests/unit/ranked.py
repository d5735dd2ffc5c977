"""A tile of 60 chunks, run by the tests as several MPI ranks: python ranked.py FOLDER FAIL_AT SECONDS_A_CHUNK."""

import sys
import time

import numpy as np

from snakefold import job
from snakefold.errors import UserError
from snakefold.fanout.journal import Journal
from snakefold.fanout.tile import run

N = 60


def main(folder: str, fail_at: int, seconds: float) -> None:
    def compute(i: int) -> dict[str, np.ndarray]:
        time.sleep(seconds)
        if i == fail_at:
            raise UserError("no room")
        return {"x": np.arange(i)}

    journal = Journal(folder, "digest", every_s=0.05)
    made = run([str(i) for i in range(N)], compute, journal, "place x")
    if made is not None:
        print("sizes:", *(len(arrays["x"]) for arrays in made), flush=True)
        journal.remove()


if __name__ == "__main__":
    job.run(main, folder=sys.argv[1], fail_at=int(sys.argv[2]), seconds=float(sys.argv[3]))
