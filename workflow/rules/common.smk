# Common: the plan of this run, made from the description by the process that the user started, and from then on frozen.
# Guarantees: PLAN is the same in every process of a run; nothing runs if the description or the simulator says no.
import os
import sys

WORKFLOW = f"{workflow.basedir}/workflow"
sys.path.insert(0, WORKFLOW)
os.environ["PYTHONPATH"] = os.pathsep.join([WORKFLOW, *filter(None, [os.environ.get("PYTHONPATH")])])
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import snakefold

if Path(snakefold.__file__).resolve().parents[1] != Path(WORKFLOW).resolve():
    sys.exit(f"{WORKFLOW}: the library should be the one beside the workflow (got: {snakefold.__file__})")

from snakefold import results
from snakefold.workflow import mistakes_shown, plan_for, start, warn

with mistakes_shown():
    PLAN = plan_for(config)

SCRIPTS = f"{workflow.basedir}/scripts"
PYTHON = "python" if "conda" in [str(m) for m in workflow.deployment_settings.deployment_method] else sys.executable
ENVS = f"{workflow.basedir}/envs"


wildcard_constraints:
    tile=r"\d+",
    color=r"\d+",
    cell_type="|".join(map(re.escape, PLAN.cell_types)),


onstart:
    with mistakes_shown():
        warn(start(PLAN))


onsuccess:
    results.prune(PLAN)


def log_of(phase, name, *more):
    """Return the log file of a job."""
    return PLAN.path("logs", phase, ".".join([name, *more, "log"]))


def benchmark_of(phase, name, *more):
    """Return the benchmark file of a job."""
    return PLAN.path("benchmarks", phase, ".".join([name, *more, "tsv"]))


def tile_files(phase, name, passes, tiles):
    """Return the tile files of a strategy, pass after pass, tile after tile."""
    return [PLAN.path(phase, name, f"{p}.{t}.h5") for p in range(passes) for t in range(tiles)]
