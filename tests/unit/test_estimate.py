from dataclasses import replace
from pathlib import Path

import pytest

from descriptions import CIRCUITS, edited, plan_of, run, small
from snakefold import estimate
from snakefold.loading import load
from snakefold.planning import make


def costs(plan, cpu_s: float, mb: float, *phases: str) -> int:
    """Write logs of a plan's jobs that cost as much as `cpu_s` and `mb` times the estimate."""
    n = 0
    for log, job in estimate.jobs(plan).items():
        if not phases or job.phase in phases:
            n += 1
            path = Path(plan.path(log))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"cost: {job.needs.cpu_s * cpu_s:.3f} CPU-s, {job.needs.memory_mb * mb:.0f} MB at most\n")
    return n


@pytest.fixture
def plan(tmp_path):
    return plan_of(tmp_path, small())


def test_every_job_of_a_plan_is_there_by_its_log(tmp_path):
    assert set(estimate.jobs(plan_of(tmp_path, small(), tiles=2))) == {
        "logs/parse/parse.log",
        *(f"logs/build/{p}.log" for p in ("partition/base", "partition/top", "place/lower", "place/upper")),
        *(f"logs/build/{p}.log" for p in ("connect/a_to_b", "simulate/rest")),
        *(f"logs/place/{n}.0.{t}.log" for n in ("lower", "upper") for t in range(2)),
        "logs/gather/cells.a.log",
        "logs/gather/cells.b.log",
        "logs/connect/a_to_b.0.log",
        "logs/connect/a_to_b.1.log",
        "logs/gather/edges.a_to_b.log",
        "logs/simulate/circuit.log",
        "logs/simulate/rest.log",
        "logs/validate/rest.log",
        "logs/report/report.log",
    }


def test_files_are_estimated_within_a_factor_of_two(tmp_path):
    many = edited(("cell_types.a.spatial.count", 3000), ("connectivity.a_to_b.indegree", 900))
    plan = run(plan_of(tmp_path, many, simulations="none"))
    files = estimate.files(plan)
    for path in (plan.nodes("a"), plan.nodes("b"), plan.edges("a_to_b")):
        assert 0.5 < files[path] / Path(path).stat().st_size < 2, path


def test_recordings_are_those_of_the_devices():
    plan = make(load(str(CIRCUITS / "two_layers.yaml")), "results")
    sizes = {Path(path).name: n for path, n in estimate.files(plan).items() if "simulations" in path}
    assert sizes["top_voltage.h5"] == 400 * 500 * 4
    assert sizes["spikes.h5"] == pytest.approx(1436 * 0.5 * 4 * 16)


def test_what_passes_is_of_the_jobs_that_run(plan):
    every = estimate.passing(plan, estimate.jobs(plan))
    edges = estimate.passing(plan, ["logs/connect/a_to_b.log"])
    assert edges == plan.synapses["a_to_b"].mean * 16
    assert 0 == estimate.passing(plan, ["logs/report/report.log"]) < edges < every


def test_what_is_replaced_makes_room(plan):
    edges, free = plan.edges("a_to_b"), 1e5
    Path(edges).parent.mkdir(parents=True)
    Path(edges).write_bytes(bytes(4000))
    disk = replace(estimate.Disk.of(plan, {edges: 1e5}, [], [edges, "elsewhere"]), free=free)
    assert disk == estimate.Disk(1e5, 4000, 0.0, free)
    assert disk.too_small() == ""
    said = replace(disk, passes=4001.0).too_small()
    assert said.startswith("the run needs about 100 kB more (4 kB of it only while it runs), and 100 kB are free")


def test_without_earlier_runs_estimates_stand(plan):
    jobs = estimate.jobs(plan)
    assert estimate.calibrated(plan, jobs) == (jobs, 0)


def test_earlier_runs_of_the_circuit_correct_its_own_jobs(plan):
    Path(plan.results).mkdir(parents=True)
    owned(plan)
    n = costs(plan, 3.0, 1.5, "connect", "simulate")
    jobs = estimate.jobs(plan)
    corrected, earlier = estimate.calibrated(plan, jobs)
    assert earlier == n
    for log in ("logs/connect/a_to_b.log", "logs/simulate/rest.log"):
        assert corrected[log].needs.cpu_s == pytest.approx(3 * jobs[log].needs.cpu_s, rel=0.01)
        assert corrected[log].needs.memory_mb == pytest.approx(1.5 * jobs[log].needs.memory_mb, rel=0.01)
    assert corrected["logs/report/report.log"] == jobs["logs/report/report.log"]


def test_other_circuits_correct_what_is_alike_and_no_simulation(tmp_path, plan):
    other = make(load(str(tmp_path / "circuit.yaml")), str(Path(plan.results).parent / "other"))
    owned(other)
    costs(other, 2.0, 1.0)
    jobs = estimate.jobs(plan)
    corrected, _ = estimate.calibrated(plan, jobs)
    place, simulate = "logs/place/lower.log", "logs/simulate/rest.log"
    assert corrected[place].needs.cpu_s == pytest.approx(2 * jobs[place].needs.cpu_s, rel=0.01)
    assert corrected[simulate] == jobs[simulate]


def owned(plan) -> None:
    """Freeze a plan in a results folder that has an owner."""
    plan.freeze()
    Path(plan.path(estimate.OWNER)).write_text("{}")
