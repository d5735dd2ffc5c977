import pytest

from snakefold.progress.counts import Count, Counter
from snakefold.progress.jobs import FAILED, RUNNING, SUCCESS, Change, Run, job_of
from snakefold.progress.table import duration, left_s, line, summary, table


def a_run(n_tiles=4, cost_s=9.0):
    jobs = [job_of(i, "connect_feed", {"tile": str(i)}, f"logs/connect/feed.{i}.log", cost_s) for i in range(n_tiles)]
    return Run("R", {job.id: job for job in jobs}, {"connect/feed": 1e9}, began=0.0)


@pytest.mark.parametrize(
    "seconds, text", [(0, "0 s"), (-1, "0 s"), (59.4, "59 s"), (61, "1:01 min"), (3600, "1:00:00"), (90061, "25:01:01")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_nothing_is_said_of_what_is_left_before_anything_is_known():
    run = a_run()
    assert left_s(run, Counter(run), 1.0) is None
    assert summary(run, Counter(run), 1.0) == "0 of 4 jobs in 1 s"


def test_what_is_left_follows_from_estimates_and_what_jobs_took():
    run = a_run()
    run.change(0, RUNNING, 0.0)
    run.change(0, SUCCESS, 20.0)  # twice the 9 + 1 s that it was estimated
    assert left_s(run, Counter(run), 20.0) == pytest.approx(60.0)  # one after another
    run.change(1, RUNNING, 20.0)
    assert left_s(run, Counter(run), 30.0) == pytest.approx(50.0)
    for i in (1, 2, 3):
        run.change(i, SUCCESS, 40.0)
    assert left_s(run, Counter(run), 40.0) is None


def test_jobs_side_by_side_take_less():
    run = a_run()
    for i in (0, 1):
        run.change(i, RUNNING, 0.0)
        run.change(i, SUCCESS, 10.0)
    assert left_s(run, Counter(run), 10.0) == pytest.approx(10.0)


def test_a_job_that_says_how_far_it_is_says_how_long_it_takes(tmp_path):
    run = Run(
        str(tmp_path), {0: job_of(0, "simulate_quick", {}, "quick.log", 5.0)}, {"simulate/quick": 1000.0}, began=0.0
    )
    run.change(0, RUNNING, 0.0)
    (tmp_path / "quick.log").write_text("quick: 250 of 1000 ms, 1 spikes, about 1 s left\n")
    assert left_s(run, Counter(run), 10.0) == pytest.approx(30.0)


@pytest.mark.parametrize("width, last", [(80, "made"), (50, "chunks"), (39, "jobs")])
def test_the_table_has_at_most_as_many_columns_as_the_screen_and_few_lines_whatever_runs(width, last):
    run = Run("R", {i: job_of(i, f"connect_{'long_' * 20}{i}", {}, "logs/x.log") for i in range(2000)}, began=0.0)
    for i in range(300):
        run.change(i, RUNNING, 1.0)
    for i in range(100):
        run.change(i, FAILED, 2.0)
    lines = table(run, Counter(run), 3.0, width=width)
    assert len(lines) < 20 and max(map(len, lines)) <= width
    assert lines[0].split()[-1] == last
    assert any("more run" in text for text in lines) and any("95 more did not succeed" in text for text in lines)


def test_colours_only_where_they_are_wanted():
    run = a_run(1)
    run.change(0, RUNNING, 0.0)
    run.change(0, FAILED, 1.0)
    assert "\x1b" not in "".join(table(run, Counter(run), 3.0))
    assert "\x1b[31mfailed" in "".join(table(run, Counter(run), 3.0, colour=True))


def test_a_line_says_what_was_made_or_where_the_log_is():
    count = Count(8, 8, 1234, 1234)
    success = Change("job", "connect feed tile 1", SUCCESS, RUNNING, 0.0, 3.2, "connect", log="R/logs/x.log")
    assert line(success, count, "1 of 4 jobs")[9:] == (
        "connect feed tile 1: success, 3 s, 8 chunks, 1,234 synapses (1 of 4 jobs)"
    )
    failed = Change("job", "connect feed tile 1", FAILED, RUNNING, 0.0, 3.2, "connect", log="R/logs/x.log")
    assert line(failed, Count(), "")[9:] == "connect feed tile 1: failed, 3 s, R/logs/x.log"
