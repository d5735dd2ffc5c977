"""What Snakemake really uses under each profile, after merging; and that the profile for other schedulers works."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from on_slurm import HANG_S, OnSlurm, notes, of_watched, until

from flow import ROOT, Workflow, clone

# Appended to a clone's Snakefile: prints what this process uses when jobs are about to run, and ends it.
HOOK = """

onstart:
    from dataclasses import asdict
    import json

    settings = [workflow.execution_settings, workflow.scheduling_settings, workflow.remote_execution_settings]
    used = {key: value for s in settings + [workflow.output_settings] for key, value in vars(s).items()}
    used |= {"force_incomplete": workflow.dag_settings.force_incomplete, "nodes": workflow.resource_settings.nodes}
    given = getattr(workflow.resource_settings.default_resources, "args", ())
    used |= {"default_resources": given, "executor": asdict(workflow.executor_settings), "profile": asdict(PROFILE)}
    used["max_jobs_per_timespan"] = vars(used["max_jobs_per_timespan"]) if used["max_jobs_per_timespan"] else None
    print("USED " + json.dumps(used, default=repr), flush=True)
    sys.exit(3)
"""
# What holds under every profile, from profiles/default.
EVERYWHERE = {"keep_going": True, "force_incomplete": True, "scheduler": "greedy", "show_failed_logs": True}
ON_A_CLUSTER = EVERYWHERE | {"retries": 2, "latency_wait": 30, "nodes": 200}
ON_A_CLUSTER |= {"max_jobs_per_timespan": {"max_jobs": 50, "timespan": 1}}
GROWING = ["mem_mb=max(600, 1000 * attempt)", "runtime=30 * attempt"]
SBATCH = (
    "sbatch --parsable --comment={rule} --output=/dev/null --nodes=1 --ntasks={threads} --cpus-per-task=1 "
    "--mem={resources.mem_mb} --time={resources.runtime}"
)
MPIRUN = "mpirun --oversubscribe --bind-to none"
EFFECTIVE = {
    "": (EVERYWHERE | {"retries": 0, "latency_wait": 5}, {}, [], {"ranks": 1, "longest": None}),
    "slurm": (
        ON_A_CLUSTER,
        {"status_command": "squeue", "init_seconds_before_status_checks": 5, "no_account": True},
        GROWING,
        {"ranks": 1, "longest": None},
    ),
    "profiles/mpi": (
        EVERYWHERE | {"retries": 0, "latency_wait": 5},
        {},
        ["ranks=2", f"launcher={MPIRUN}"],
        {"ranks": 2, "launcher": MPIRUN, "longest": None},
    ),
    "profiles/generic": (
        ON_A_CLUSTER,
        {"submit_cmd": SBATCH, "status_cmd": "profiles/generic/status.sh", "cancel_cmd": "scancel"},
        GROWING,
        {"ranks": 1, "longest": None},
    ),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A clone whose Snakefile only says what it would use."""
    folder = clone(tmp_path_factory.mktemp("settings") / "clone")
    (folder / "slurm").unlink(missing_ok=True)
    (folder / "slurm").symlink_to("profiles/slurm")
    with (folder / "Snakefile").open("a") as file:
        file.write(HOOK)
    return folder


def used(folder, profile, *more):
    """Return what Snakemake uses in a clone under a profile."""
    arguments = ["--profile", profile] if profile else ["--cores", "1"]
    circuit = ["--config", "circuit=config/circuits/two_layers.yaml", "simulations=none"]
    command = [sys.executable, "-m", "snakemake", *arguments, *more, *circuit]
    clean = {k: v for k, v in os.environ.items() if k != "SNAKEMAKE_PROFILE"}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=HANG_S)
    told = re.search("^USED (.*)$", done.stdout + done.stderr, re.MULTILINE)
    assert told, done.stdout + done.stderr
    return json.loads(told[1])


@pytest.mark.parametrize("profile", EFFECTIVE)
def test_the_effective_settings(here, profile):
    found = used(here, profile, *(["--cores", "2"] if profile == "profiles/mpi" else []))
    settings, executor, resources, said = EFFECTIVE[profile]
    shown = {key: found[key] for key in (*ON_A_CLUSTER, "precommand", "default_resources", "executor", "profile")}
    print(json.dumps({profile or "(none)": shown}, indent=2))
    assert {key: found[key] for key in settings} == settings
    assert {key: found["executor"][key] for key in executor} == executor
    assert [r for r in found["default_resources"] if not r.startswith("tmpdir=")] == resources
    assert {key: found["profile"][key] for key in said} == said


def test_the_default_profile_says_nothing_that_another_one_says():
    """It is merged last, and would win."""
    of = {path.parent.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("profiles/*/config.yaml")}
    assert set(of) == {"default", "slurm", "mpi", "generic"}
    default = of.pop("default")
    assert set(default) == {"keep-going", "rerun-incomplete", "scheduler", "show-failed-logs"}
    for name, profile in of.items():
        assert not set(default) & set(profile), name


@pytest.mark.parametrize("name", ["slurm", "generic"])
def test_every_commented_key_is_right_when_it_is_uncommented(here, name):
    """As someone edits it: "# key: value" loses its "# "; an account replaces slurm-no-account; conda is not here."""
    path = here / "profiles" / name / "config.yaml"
    text = path.read_text()
    edited = re.sub(r"^( *)# (?!software)([a-z_-]+: \S.*)$", r"\1\2", text, flags=re.MULTILINE)
    edited = edited.replace("\nslurm-no-account: true\n", "\n")
    path.write_text(edited)
    try:
        found = used(here, f"profiles/{name}")
    finally:
        path.write_text(text)
    given = dict(r.split("=", 1) for r in found["default_resources"])
    assert found["profile"]["ranks"] == 8 and found["profile"]["longest"] == 1440
    if name == "generic":
        assert found["profile"]["launcher"] == "mpirun --bind-to none"
        return
    assert found["profile"]["simulation_ranks"] == 2
    assert found["profile"]["launcher"] == "srun --kill-on-bad-exit=1 --mpi=pmix"
    assert found["precommand"] == "module load openmpi"
    assert (given["slurm_account"], given["slurm_partition"], given["constraint"]) == ("my_account", "main", "skylake")
    assert given["slurm_extra"] == "'--container-image=/images/snakefold.sqsh'"
    assert found["executor"]["no_account"] is False


def test_retries_are_in_profiles_only():
    """In a rule they would also count inside the allocation, with the second attempt's needs in the first one's limits."""
    rules = [ROOT / "Snakefile", *ROOT.glob("workflow/rules/*.smk")]
    assert len(rules) > 5
    assert not [path.name for path in rules if re.search(r"^\s*retries\s*[:=]", path.read_text(), re.MULTILINE)]


class OnGeneric(OnSlurm):
    """A workflow whose jobs are submitted as profiles/generic says."""

    def command(self, *arguments, jobs):
        quick = ("--seconds-between-status-checks", "2", "--latency-wait", "20")
        profile = str(self.root / "profiles/generic")
        return Workflow.command(self, "--profile", profile, *quick, *arguments, jobs=jobs)


def test_the_profile_for_other_schedulers_runs_a_circuit_and_notices_a_cancelled_job(cluster, tmp_path):
    undisturbed = of_watched(tmp_path / "undisturbed", Workflow).built().circuit_files()
    here = of_watched(tmp_path / "here", OnGeneric)
    here.env["SLEEP"] = "1"
    process = here.start()
    running = lambda: [n for n, _, rule in here.jobs("running") if rule == "connect_own"]  # noqa: E731
    until(lambda: any(line.startswith("chunk") for line in notes(here)), "chunks are made", process)
    cluster.command("scancel", until(running, "a connect job runs", process)[0])
    ran = here.finish(process)
    assert ran.code == 0, ran.output
    assert ran.output.count("Trying to restart job") == 1
    assert "with external jobid" in ran.output
    assert here.circuit_files() == undisturbed
    made = [line for line in notes(here) if line.startswith("chunk")]
    assert len(made) <= len(set(made)) + 1, "what the cancelled job had made is used"
