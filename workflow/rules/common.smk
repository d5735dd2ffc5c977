# Common: the plan of this run, made from the description by the process that the user started, and from then on frozen.
# Guarantees: PLAN is the same in every process of a run; nothing runs if the description or the simulator says no.
import json
import re
import sys

# A clone has the library in its folder workflow, a wheel has the workflow inside the library.
ROOT = Path(workflow.current_basedir).resolve().parents[1]
LIBRARY = ROOT / "workflow/snakefold"
if LIBRARY.is_dir():
    sys.path.insert(0, str(LIBRARY.parent))
else:
    LIBRARY = ROOT.parent

import snakefold

if Path(snakefold.__file__).resolve().parent != LIBRARY:
    sys.exit(f"the library should be the one that belongs to the workflow, {LIBRARY} (got: {snakefold.__file__})")

from snakefold import leftovers, results
from snakefold.invocation import config_files
from snakefold.progress import attach as progress
from snakefold.scheduling import Profile
from snakefold.workflow import (
    check_ranks,
    check_room,
    how_to_go_on,
    job_environment,
    job_functions,
    mistakes_shown,
    out_of_bounds,
    plan_for,
    start,
    warn,
    with_conda,
)

DEPLOYMENT = workflow.deployment_settings.deployment_method
job_environment(DEPLOYMENT)

with mistakes_shown():
    CONFIG = config_files()

for file in CONFIG:

    configfile: file


with mistakes_shown():
    PROFILE = Profile.of(workflow.resource_settings.default_resources)
    PLAN = plan_for(config)
    check_ranks(PLAN, PROFILE)

shell.prefix(job_functions(ROOT / "scripts", DEPLOYMENT, PROFILE))

ENVS = f"{ROOT}/envs"


wildcard_constraints:
    tile=r"\d+",
    color=r"\d+",
    module="|".join(map(re.escape, PLAN.modules)) or "none",
    simulation="|".join(map(re.escape, PLAN.simulations)) or "none",


onstart:
    with mistakes_shown():
        warn(check_room(PLAN, workflow.dag.needrun_jobs(), config.get("disk")))
        warn(start(PLAN, log, 1 if with_conda(DEPLOYMENT) else PROFILE.simulation_ranks))
    progress.begin(PLAN, workflow, config.get("progress"))


onsuccess:
    progress.end("success")
    warn(out_of_bounds(PLAN))
    results.prune(PLAN, keep_temporary=workflow.storage_settings.notemp)
    leftovers.cross_out(PLAN.results)


onerror:
    progress.end("failed")
    leftovers.cross_out(PLAN.results)
    warn([how_to_go_on()])


def log_of(phase, name, *more):
    """Return the log file of a job."""
    return PLAN.path("logs", phase, ".".join([name, *more, "log"]))


def benchmark_of(phase, name, *more):
    """Return the benchmark file of a job."""
    return PLAN.path("benchmarks", phase, ".".join([name, *more, "tsv"]))


def told_of(files, file, caption, category, subcategory):
    """Return files of which one is shown by snakemake --report."""
    shown = {"caption": caption, "category": category, "subcategory": subcategory}
    return [report(path, **shown) if Path(path).name == file else path for path in files]


def tile_files(phase, name, passes, tiles):
    """Return the tile files of a strategy, pass after pass, tile after tile."""
    return [PLAN.path(phase, name, f"{p}.{t}.h5") for p in range(passes) for t in range(tiles)]
