from types import SimpleNamespace

import pytest

from descriptions import CIRCUITS, edited, plan_of
from snakefold.errors import UserError
from snakefold.loading import load
from snakefold.needs import UNKNOWN_EDGES, Needs, connecting, gathering, placing, simulating
from snakefold.planning import make
from snakefold.scheduling import Profile

SIDES = "presynaptic", "postsynaptic"


def profile(*resources):
    return Profile.of(SimpleNamespace(args=list(resources)))


def asked(resources, attempt=1):
    return {name: value(None, attempt) if callable(value) else value for name, value in resources.items()}


def test_a_profile_that_says_nothing_means_one_process_a_job():
    assert Profile.of(None) == profile("mem_mb=max(600, 1000 * attempt)") == Profile(launcher="mpirun")
    assert asked(profile().of_tile(Needs())) == {"tasks": 1, "mem_mb": 600, "runtime": 10}


def test_ranks_and_their_launcher():
    said = profile("ranks=3", "launcher='srun --mpi=pmix'", "mem_mb=600")
    assert (said.ranks, said.launcher) == (3, "srun --mpi=pmix")
    tile = asked(said.of_tile(Needs(1000, 3600)))
    assert tile == {"tasks": 3, "mpi": "srun --mpi=pmix", "cpus_per_task": 1, "mem_mb": 1690, "runtime": 40}
    assert "mpi" not in said.of_job(Needs()), "a job of one process would be told to be an MPI job"


def test_ranks_of_a_simulation_share_its_threads():
    said = profile("simulation_ranks=2", "launcher=mpirun --bind-to none")
    assert asked(said.of_tile(Needs()))["tasks"] == 1
    simulation = asked(said.of_simulation(Needs(1000, 3600), threads=4))
    assert (simulation["tasks"], simulation["cpus_per_task"], simulation["mpi"]) == (2, 2, "mpirun --bind-to none")
    assert simulation["runtime"] == 30
    assert asked(profile("ranks=2").of_simulation(Needs(1000, 3600), 4)) == asked(
        profile().of_job(Needs(1000, 3600), 4)
    )


def test_a_job_that_was_tried_before_asks_for_more():
    job = profile().of_job(Needs(1000, 3600))
    assert [asked(job, n)["mem_mb"] for n in (1, 2, 3)] == [1450, 2900, 4350]
    assert [asked(job, n)["runtime"] for n in (1, 2, 3)] == [120, 240, 360]


def test_no_job_asks_for_longer_than_the_partition_allows():
    job = profile("longest=150").of_job(Needs(0, 3600))
    assert [asked(job, n)["runtime"] for n in (1, 2, 3)] == [120, 150, 150]


def test_cores_share_the_time():
    assert asked(profile().of_job(Needs(0, 3600), n_cores=4))["runtime"] == 30


@pytest.mark.parametrize("resource", ["ranks=0", "ranks=two", "simulation_ranks=0", "longest=1.5", "longest=-3"])
def test_a_number_that_is_none_is_a_mistake(resource):
    name, _, value = resource.partition("=")
    with pytest.raises(UserError, match=f"default-resources: {name} should be: a whole number.*got: {value}"):
        profile(resource)


def test_what_is_needed_grows_with_what_is_made():
    for few, many in (
        (placing(1e3, 1e-3), placing(1e6, 1.0)),
        (connecting(1e5, 1e5, 1e3, 2e-7), connecting(1e8, 1e8, 1e3, 2e-7)),
        (gathering(1e3), gathering(1e7)),
        (simulating([(1e3, "iaf_psc_exp")], 1e5, 100, 0.1), simulating([(1e4, "iaf_psc_exp")], 1e7, 100, 0.1)),
    ):
        assert many.memory_mb > few.memory_mb
        assert many.cpu_s > few.cpu_s


def test_synapses_with_columns_are_estimated_within_a_factor_of_two():
    for n_edges, n_cells, n_bytes, mb in (  # measured: NumPy's memory of a job of one tile
        (398_661, 300, 32, 64),
        (156_308, 30_720, 32, 32),
        (1_835_610, 4000, 0, 78),
    ):
        assert mb <= connecting(n_edges, n_edges, n_cells, 1e-6, n_bytes).memory_mb < 2 * mb


@pytest.mark.parametrize("affinity", [1e-3, 1.0])
def test_synapses_that_only_a_guess_is_known_of_are_estimated_by_it(affinity, tmp_path):
    shape = {"shapes": [{"type": "sphere", "origin": [0, 0, 0], "radius": 20}], "labels": [["soma"]], "voxel_size": 4}
    sides = {side: {"cell_types": [t], "shapes_composition": shape} for side, t in zip(SIDES, "ab", strict=True)}
    strategy = {"strategy": "shape_to_shape", "affinity": affinity, "pruning_ratio": 1} | sides
    plan = plan_of(tmp_path, edited(("connectivity", {"c": strategy}), ("simulations", ...)))
    assert (plan.needs["connect/c"].memory_mb > 1) == (affinity == 1)
    assert plan.needs["connect/c"].memory_mb < connecting(UNKNOWN_EDGES, UNKNOWN_EDGES, 0, 0).memory_mb / 2


def test_the_microcircuit_at_a_tenth_is_estimated_within_a_factor_of_two():
    needs = simulating([(7714, "iaf_psc_exp")], 2.99e6, 10_000, 0.1)  # measured: 69 CPU-s, 540 MB of the process
    assert 69 / 2 < needs.cpu_s < 69 * 2
    assert 400 / 1.5 < needs.memory_mb < 400 * 2


@pytest.mark.parametrize("name", ["two_layers", "microcircuit"])
def test_every_job_of_a_shipped_circuit_is_estimated(name):
    plan = make(load(str(CIRCUITS / f"{name}.yaml")), "results")
    tiles = {f"place/{p}" for p in plan.placements} | {f"connect/{c}" for c in plan.connections}
    jobs = {f"cells/{t}" for t in plan.cell_types} | {f"simulate/{s}" for s in plan.simulations}
    assert set(plan.needs) == tiles | jobs
    assert all(needs.memory_mb > 0 and needs.cpu_s > 0 for needs in plan.needs.values())


def test_the_jobs_of_the_microcircuit_ask_for_what_they_use_and_not_for_twice_that():
    """Used, as accounted by SLURM for all processes of a job: largest memory, and the time of the simulation."""
    plan = make(load(str(CIRCUITS / "microcircuit.yaml")), "results")
    used_mb = {"connect/cortex": 386, "place/L4_cells": 348, "simulate/spontaneous": 836}
    for job, mb in used_mb.items():
        assert mb < asked(profile().of_job(plan.needs[job]))["mem_mb"] < 2 * mb, job
    assert asked(profile().of_job(plan.needs["simulate/spontaneous"], 2))["runtime"] * 60 > 201
