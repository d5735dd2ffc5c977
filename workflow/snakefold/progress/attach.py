"""Progress in a run of Snakemake: where it hears of jobs, and what it puts in place of Snakemake's messages.

The user's choice of logger plug-ins stands: with another one that writes to the terminal, nothing is shown, but the
record is kept and listeners are told. Nothing here ends a run.
"""

import contextlib
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Iterable

from snakefold import estimate, leftovers
from snakefold.plan import Plan
from snakefold.progress.jobs import Job, Run, job_of

PLUGIN = "snakemake_logger_plugin_snakefold"
_SETTLE_S = 5.0

_watch = None  # of this process's run


def begin(plan: Plan, workflow, wanted: str | None = None) -> None:
    """Begin to watch the run of this process, which is about to start its first job.

    Parameters
    ----------
    workflow : Snakemake's, with the graph of jobs
    wanted : the key `progress` of the workflow's configuration
    """
    global _watch
    cpu_s = time.thread_time()
    try:
        from snakefold.progress.listeners import installed
        from snakefold.progress.screen import screen_of
        from snakefold.progress.watch import Watch

        logger = logging.getLogger("snakemake.logging")
        handler, plain = _handler(logger, workflow.output_settings, wanted)
        of = {"nocolor": workflow.output_settings.nocolor, "logs": workflow.output_settings.show_failed_logs}
        screen = screen_of(plain, **of, lines=wanted == "lines") if plain else None
        run = Run(plan.results, jobs_of(plan, workflow.dag.needrun_jobs()), expected(plan), time.time())
        if not run.jobs:
            return
        listeners = installed(logger.warning)
        noted = next(r for r in leftovers.noted(plan.results) if (r.host, r.pid) == (os.uname().nodename, os.getpid()))
        _settle(logger)  # what was said before the run begins is shown as it was said
        cpu_s = time.thread_time() - cpu_s
        watch = Watch(run, noted, screen, listeners, local=workflow.local_exec, spent_s=cpu_s)
        _watch = handler.watch = watch
        if isinstance(handler, Relay):  # Snakemake has the plug-in's already
            logger.addHandler(handler)
            if plain in logger.handlers:
                logger.removeHandler(plain)
    except Exception as error:
        logging.getLogger("snakemake.logging").warning(f"progress is not shown: {type(error).__name__}: {error}")


def end(status: str) -> None:
    """End the watch of this process's run."""
    with contextlib.suppress(Exception):
        if _watch is not None:
            _settle(logging.getLogger("snakemake.logging"))
            _watch.end(status)


def _settle(logger: logging.Logger) -> None:
    """Wait until what was logged has reached the plug-ins, to which Snakemake hands it on through a queue."""
    queues = [handler.queue for handler in logger.handlers if isinstance(handler, logging.handlers.QueueHandler)]
    until = time.monotonic() + _SETTLE_S
    while any(queue.unfinished_tasks for queue in queues) and time.monotonic() < until:
        time.sleep(0.01)


class Relay(logging.Handler):
    """Passes what Snakemake logs to a watch, and after its end to Snakemake's own handler.

    Attributes
    ----------
    plain : Snakemake's own handler, which this one stands for; None where it goes on by itself
    watch : takes what is logged
    """

    def __init__(self, plain: logging.Handler | None):
        super().__init__()
        self.plain, self.watch = plain, None

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        if not self.watch.ended:
            self.watch.put(record)
        elif self.plain is not None:
            self.plain.handle(record)

    def close(self) -> None:
        """End a watch whose run was interrupted."""
        if self.watch is not None and not self.watch.ended:
            self.watch.end("aborted")
        super().close()


def _handler(logger: logging.Logger, settings, wanted: str | None) -> tuple[logging.Handler, logging.Handler | None]:
    """Return a handler that can have a watch, and Snakemake's handler whose place it takes, if it takes one."""
    quiet = {what.name for what in settings.quiet or ()} & {"ALL", "PROGRESS", "RULES"}
    if wanted == "snakemake" or quiet or settings.verbose or settings.debug_dag:
        return Relay(None), None
    chosen = getattr(getattr(sys.modules.get(PLUGIN), "LogHandler", None), "chosen", None)
    if chosen is not None:
        return chosen, chosen.plain
    plain = next((handler for handler in logger.handlers if handler.name == "DefaultStreamHandler"), None)
    return Relay(plain), plain


def jobs_of(plan: Plan, dag_jobs: Iterable) -> dict[int, Job]:
    """Return the jobs of Snakemake's graph that are to run, by their numbers, without those that only name others."""
    made, estimates = {}, estimate.jobs(plan)
    for job in dag_jobs:
        if job.is_norun:
            continue
        log = str(next(iter(job.log), "")).removeprefix(f"{plan.results}/")
        cost_s = estimates[log].needs.cpu_s if log in estimates else 0.0
        made[job.jobid] = job_of(job.jobid, job.rule.name, job.wildcards_dict, log, cost_s)
    return made


def expected(plan: Plan) -> dict[str, float]:
    """Return what parts are to make: of connectivity strategies synapses, where known, of simulations ms."""
    made = {}
    for name in plan.connections:
        of_sets = plan.parts[f"connect/{name}"].slice["expected"].values()
        if all(of_sets):
            made[f"connect/{name}"] = sum(mean for mean, _ in of_sets)
    for name in plan.simulations:
        made[f"simulate/{name}"] = plan.parts[f"simulate/{name}"].slice["run"]["duration"]
    return made
