import os

import numpy as np
import pytest

from snakefold.fanout.journal import Journal, sizes
from snakefold.progress.counts import Counter
from snakefold.progress.jobs import QUEUED, RUNNING, SUCCESS, Run, job_of


def chunk(n):
    return {"set/source": np.zeros(n, np.uint32), "set/target": np.zeros(n, np.uint32), "other/source": np.zeros(1)}


@pytest.fixture
def run(tmp_path):
    jobs = [job_of(i, "connect_feed", {"tile": str(i)}, f"logs/connect/feed.{i}.log") for i in range(4)]
    jobs.append(job_of(9, "simulate_quick", {}, "logs/simulate/quick.log"))
    (tmp_path / "logs/connect").mkdir(parents=True)
    (tmp_path / "logs/simulate").mkdir()
    return Run(str(tmp_path), {job.id: job for job in jobs}, {"connect/feed": 1000.0, "simulate/quick": 300.0})


def test_a_journal_is_counted_as_it_grows_also_where_it_is_torn(tmp_path):
    with Journal(tmp_path, "d", every_s=0) as journal:
        journal.append("0", chunk(5))
        journal.append("1", chunk(7))
        found, offset = sizes(journal.path)
        assert found == {"0": 6, "1": 8}
        assert sizes(journal.path, offset) == ({}, offset)
        journal.append("2", chunk(2))
        assert sizes(journal.path, offset)[0] == {"2": 3}
        whole = journal.path.read_bytes()
        journal.path.write_bytes(whole[:-1])
        assert sizes(journal.path, offset) == ({}, offset)
    assert sizes(tmp_path / "nothing") == ({}, 0)


def test_a_running_tile_is_counted_by_its_journal_and_a_finished_one_by_its_log(run, tmp_path):
    counter, job = Counter(run), run.jobs[0]
    log = tmp_path / job.log
    assert counter.of_job(job).chunks == 0
    run.change(0, RUNNING, 1.0)
    log.write_text("connect feed: 8 chunks, 1 of them from the journal\n")
    with Journal(tmp_path / job.journal, "d", every_s=0) as journal:
        journal.append("0", chunk(5))
        assert (counter.of_job(job).chunks, counter.of_job(job).made, counter.of_job(job).fraction) == (1, 6, 1 / 8)
        journal.append("1", chunk(7))
        assert (counter.of_job(job).chunks, counter.of_job(job).made) == (2, 14)
    with Journal(tmp_path / job.journal, "d", every_s=0) as another_rank:
        another_rank.append("2", chunk(1))
        assert (counter.of_job(job).chunks, counter.of_job(job).made) == (3, 16)
    log.write_text(
        log.read_text() + "more\n" * 2000 + "connect feed: done, 8 chunks, 999 synapses\ncost: 1 CPU-s, 1 MB\n"
    )
    run.change(0, SUCCESS, 2.0)
    count = counter.of_job(job)
    assert (count.chunks, count.wanted_chunks, count.made, count.fraction) == (8, 8, 999, 1.0)


def test_the_log_of_an_earlier_attempt_is_not_counted_while_the_next_begins(run, tmp_path):
    counter, job = Counter(run), run.jobs[9]
    log = tmp_path / job.log
    log.write_text("quick: 300 of 300 ms, 1 spikes, about 0 s left\n")
    os.utime(log, (900.0, 900.0))
    run.change(9, QUEUED, 1000.0)
    run.change(9, RUNNING, 1060.0)
    assert counter.of_job(job).made == 0
    os.utime(log, (1030.0, 1030.0))  # since it was submitted; that it runs was seen later
    assert counter.of_job(job).made == 300


def test_chunks_of_a_phase_are_those_known_and_as_many_for_each_other_tile(run, tmp_path):
    counter = Counter(run)
    for i, n in ((0, 8), (1, 10)):
        (tmp_path / run.jobs[i].log).write_text(f"connect feed: {n} chunks, 0 of them from the journal\n")
        run.change(i, RUNNING, 1.0)
    count = counter.of_phase("connect", run.phases()["connect"])
    assert (count.wanted_chunks, count.wanted, count.made) == (36, 1000, 0)


def test_model_time_is_the_last_in_the_log(run, tmp_path):
    counter, job = Counter(run), run.jobs[9]
    run.change(9, RUNNING, 1.0)
    assert counter.of_job(job).fraction == 0
    (tmp_path / job.log).write_text("quick: 100 of 300 ms, 5 spikes, about 3 s left\nquick: 200 of 300 ms, 9 spikes, a")
    assert (counter.of_job(job).made, counter.of_job(job).wanted) == (200, 300)
    run.change(9, SUCCESS, 2.0)
    assert counter.of_job(job).made == 300


def test_cells_are_known_when_the_placement_is_built(tmp_path):
    from descriptions import plan_of
    from snakefold.build import build

    tree = {
        "rng": {"seed": 1},
        "network": {"x": 100, "y": 100, "z": 100, "chunk_size": 50},
        "partitions": {"slab": {"thickness": 100}},
        "cell_types": {"a": {"spatial": {"radius": 2, "count": 40}}},
        "placement": {"low": {"strategy": "random", "partitions": ["slab"], "cell_types": ["a"]}},
    }
    plan = plan_of(tmp_path, tree, tiles=2)
    plan.freeze()
    jobs = [
        job_of(0, "build", {"part": "place/low"}),
        *(job_of(i, "place_low", {"color": "0", "tile": str(i - 1)}) for i in (1, 2)),
    ]
    run = Run(plan.results, {job.id: job for job in jobs})
    counter = Counter(run)
    assert counter.of_phase("place", run.phases()["place"]).wanted is None
    for part in ("partition/slab", "place/low"):
        inputs = [plan.built(p) for p in plan.parts[part].inputs]
        build(plan.slice_file(plan.parts[part].digest), inputs, [], plan.built(part))
    assert counter.of_phase("place", run.phases()["place"]).wanted is None  # it may be that of an earlier description
    run.change(0, SUCCESS, 1.0)
    count = counter.of_phase("place", run.phases()["place"])
    assert (count.wanted, count.wanted_chunks) == (40, 8)
