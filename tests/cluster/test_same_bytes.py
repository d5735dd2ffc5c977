"""The same bytes, however the work was shared out."""

from on_slurm import MPIRUN, SRUN_RANKS, OnSlurm, of_watched

from flow import Workflow


def test_nodes_and_edges_are_the_same_bytes_however_they_were_made(cluster, tmp_path):
    ways = {
        "one core": (Workflow, (), 1),
        "two cores": (Workflow, (), 2),
        "2 MPI ranks": (Workflow, ("--default-resources", "ranks=2", MPIRUN), 1),
        "3 MPI ranks": (Workflow, ("--default-resources", "ranks=3", MPIRUN), 2),
        "SLURM jobs": (OnSlurm, (), 50),
        "SLURM jobs of 2 ranks": (OnSlurm, SRUN_RANKS, 50),
    }
    made = {}
    for way, (kind, arguments, jobs) in ways.items():
        here = of_watched(tmp_path / way.replace(" ", "_"), kind)
        made[way] = here.built(*arguments, jobs=jobs).circuit_files()
        logs = "".join(log.read_text() for log in here.results.glob("logs/connect/*.log"))
        n = {"2 MPI ranks": 2, "3 MPI ranks": 3, "SLURM jobs of 2 ranks": 2}.get(way)
        assert n is None or f"on {n} ranks" in logs
    assert len(made["one core"]) == 4
    for way, files in made.items():
        assert files == made["one core"], way
