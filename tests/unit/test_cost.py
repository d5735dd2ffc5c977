import os

import pytest
from click.testing import CliRunner

from snakefold import cli, cost
from snakefold.cost import Cost

# What sacct 22.05 says of a run: a job that was tried twice, jobs of a phase, one that still runs; lines cut short.
COMMAND = "--wrap=python -m snakemake --target-jobs 'connect_own:tile=0' | tee"
SACCT = f"""\
336|OUT_OF_MEMORY|17|00:03.501||600M|sbatch --parsable --job-name x --comment rule_connect_own_wildcards_0 {COMMAND}
336.batch|OUT_OF_MEMORY|17|00:01.618|155908K||
336.0|OUT_OF_MEMORY|9|00:01.883|600M||srun python -m snakemake
337|COMPLETED|3700|01:01:40||1200M|sbatch --parsable --job-name x --comment rule_connect_own_wildcards_0 {COMMAND}
337.batch|COMPLETED|3700|00:01.602|155548K||
337.0|COMPLETED|3690|01:01:38|1G||srun python -m snakemake
338|CANCELLED by 0|16|00:03.400||1000M|sbatch --comment rule_gather_edges_own
339|COMPLETED|5|1-00:00:01||1000M|sbatch --comment rule_gather_cells_exc
339.batch|COMPLETED|5|1-00:00:01|1048576K||
340|COMPLETED|4|00:02.000||1000M|sbatch --comment rule_after_placement_hook
341|RUNNING|4|00:00:00||1000M|sbatch --comment rule_report
342|COMPLETED|2|00:01.000||1000Mc|sbatch something of another kind
"""


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for name, text in {
        "connect/own.0.log": "rank 0\ncost: 1.500 CPU-s, 90 MB at most\ncost: 2.500 CPU-s, 80 MB at most\n",
        "connect/own.1.log": "cost: 1.000 CPU-s, 200 MB at most\n",
        "place/low.log": "it costs: nothing\ncost: 10.000 CPU-s, 50 MB at most\n",
        "place/high.log": "it was killed\n",
        "build/connect/own.log": "cost: 0.250 CPU-s, 45 MB at most\n",
    }.items():
        (folder / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "logs" / name).write_text(text)
    return folder


def accounted(tmp_path, monkeypatch, said, code=0):
    """Put a sacct on the PATH, and a run's note into the results."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "said").write_text(said)
    (folder / "sacct").write_text(f'#!/bin/sh\necho "$*" > {folder}/asked\ncat {folder}/said\nexit {code}\n')
    (folder / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    ended = tmp_path / "results/.plan/runs/ended"
    ended.mkdir(parents=True)
    (ended / "one.json").write_text('{"name": "one", "host": "n1", "pid": 1, "started": 1}')
    (ended.parent / "two.json").write_text('{"name": "two", "host": "n1", "pid": 1, "started": 1}')
    return folder


def test_logs_are_added_up_by_rule_and_ranks_by_job(results):
    assert cost.of_logs(results) == {
        "build": Cost(1, 0.25, 45),
        "connect": Cost(2, 5.0, 200),
        "place": Cost(1, 10.0, 50),
    }


@pytest.mark.parametrize(
    ("log", "rule"),
    [
        ("connect/own.0.log", "connect"),
        ("build/connect/own.log", "build"),
        ("build/morphology/cell.log", "build_morphology"),
        ("build/module/cell.log", "build_module"),
        ("simulate/circuit.log", "circuit_config"),
        ("simulate/rest.log", "simulate"),
        ("prepare/connect.own.log", "prepare"),
    ],
)
def test_a_log_says_the_rule(log, rule):
    assert cost.rule_of(log) == rule


def test_benchmarks_tell_times_and_logs_the_rest_with_the_attempts_that_failed(results):
    head = "s\th:m:s\tmax_rss\tmax_vms\tcpu_time\n"
    for name, rows in {
        "connect/own.0.tsv": "3.5\t0:00:03\t109.5\t200\t1.75\n",
        "connect/own.1.tsv": "9.0\t0:00:09\t90\t200\t8.0\n",
        "build/connect/own.tsv": "0.1\t0:00:00\tNA\tNA\tNA\n",
        "build/place/low.tsv": "",
        "build/morphology/cell.tsv": "0.5\t0:00:00\t60\t200\t0.5\n",
        "validate/lone.tsv": "2.5\t0:00:02\t70\t200\t1.5\n",
    }.items():
        (results / "benchmarks" / name).parent.mkdir(parents=True, exist_ok=True)
        (results / "benchmarks" / name).write_text(head + rows)
    (results / "benchmarks/build/torn.tsv").write_text("")
    found = cost.of_benchmarks(results, {"connect": 2, "simulate": 1})
    connect, lost = Cost(2, 5.0, 200, 9.0, failed=2), Cost(failed=1)
    build, lone = Cost(1, 0.25, 45, 0.1), Cost(1, 1.5, 70, 2.5)
    cell = Cost(1, 0.5, 60, 0.5)
    assert found == {"build": build, "build_morphology": cell, "connect": connect, "simulate": lost, "validate": lone}
    assert cost.of_benchmarks(results / "nowhere") == {}


def test_what_slurm_has_accounted_for(results, tmp_path, monkeypatch):
    folder = accounted(tmp_path, monkeypatch, SACCT)
    costs = cost.of_slurm(results)
    assert "--name=one,two" in (folder / "asked").read_text()
    assert costs == {
        "connect_own": Cost(2, pytest.approx(3703.501), pytest.approx(1024 + 155548 / 1024), 3700, 1200, 1),
        "gather_edges_own": Cost(1, pytest.approx(3.4), 0, 16, 1000, 1),
        "gather_cells_exc": Cost(1, 86401.0, 1024, 5, 1000),
        "after_placement_hook": Cost(1, 2.0, 0, 4, 1000),
        "jobs": Cost(1, 1.0, 0, 2, 1000),
    }
    kinds = cost.without_names(costs)
    assert list(kinds) == ["connect", "gather", "after_placement", "jobs"]
    assert kinds["gather"] == Cost(2, pytest.approx(86404.4), 1024, 16, 1000, 1)


def test_where_no_sacct_answers_there_is_nothing(results, tmp_path, monkeypatch):
    assert cost.of_slurm(results) == {}
    accounted(tmp_path, monkeypatch, "Slurm accounting storage is disabled\n", code=1)
    assert cost.of_slurm(results) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cost.of_slurm(results) == {}


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("00:03.501", 3.501), ("01:02:03", 3723), ("2-00:00:01", 172801), ("12:34", 754)]
)
def test_times_as_slurm_writes_them(text, seconds):
    assert cost._seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "mb"), [("", 0), ("2048K", 2), ("1.50G", 1536), ("600M", 600), ("4000Mn", 4000), ("0", 0), ("1T", 2**20)]
)
def test_memory_as_slurm_writes_it(text, mb):
    assert cost._megabytes(text) == pytest.approx(mb)


def test_the_command_prints_both_tables_within_80_columns(results, tmp_path, monkeypatch):
    accounted(tmp_path, monkeypatch, SACCT)
    ran = CliRunner().invoke(cli.main, ["cost", str(results)])
    assert ran.exit_code == 0, ran.output
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "connect                   2      0        5.0        200        -         -" in lines
    assert "all                       4      0       15.2        200        -         -" in lines
    assert "connect                   2      1     3703.5       1176     1200      3700" in lines
    assert "all                       6      2    90110.9       1176     1200      3700" in lines


def test_the_command_of_a_folder_without_logs_prints_no_cost(tmp_path):
    (tmp_path / "logs").mkdir()
    ran = CliRunner().invoke(cli.main, ["cost", str(tmp_path)])
    assert ran.exit_code == 0
    assert ran.stdout.splitlines()[-1].split() == ["all", "0", "0", "0.0", "0", "-", "-"]
