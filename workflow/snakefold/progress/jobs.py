"""The jobs of a run as a user sees them: phase, name, status; and the run that is made of them.

The statuses are those of the BSB's pools of jobs. A run, and each of its phases, has one, too, which follows from
those of its jobs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

PENDING = "pending"  # waits for other jobs, or for a core
QUEUED = "queued"  # waits in a scheduler's queue
RUNNING = "running"
SUCCESS = "success"
FAILED = "failed"  # it ended with an error
CANCELLED = "cancelled"  # it never began: what it needs has failed, or the run has ended
ABORTED = "aborted"  # it was killed
OPEN = (PENDING, QUEUED, RUNNING)

PHASES = ("parse", "build", "validate", "place", "connect", "simulate", "report")
# rule, or the beginning of its name -> phase, what it does
_RULES = {
    "parse": ("parse", ""),
    "build_morphology": ("build", "morphology"),
    "build_module": ("build", "module"),
    "build": ("build", ""),
    "validate": ("validate", ""),
    "prepare_place_": ("place", "prepare"),
    "place_": ("place", ""),
    "gather_cells_": ("place", "gather"),
    "after_placement_": ("place", "hook"),
    "prepare_connect_": ("connect", "prepare"),
    "connect_": ("connect", ""),
    "gather_edges_": ("connect", "gather"),
    "after_connectivity_": ("connect", "hook"),
    "circuit_config": ("simulate", "configuration of the circuit"),
    "simulate_": ("simulate", ""),
    "report": ("report", ""),
    "within_bounds": ("report", "bounds"),
}


@dataclass
class Job:
    """A job.

    Attributes
    ----------
    id : its number in the run
    rule, phase : of the workflow
    name : for people, as in "connect feed tile 3"
    log : its log file, relative to the results folder
    part : the part whose chunks or model time it makes, as in "connect/feed"; "" for other jobs
    journal : where it commits them, relative to the results folder
    cost_s : CPU time that its process is estimated to need
    status, since : now, and from when on (seconds since the epoch)
    asked : when Snakemake started or submitted it, the last time
    began : when it began to run, the last time; None before
    seconds : how long it ran, when it has ended
    external : its number at the scheduler that it was submitted to; "" for none
    """

    id: int
    rule: str
    phase: str
    name: str
    log: str = ""
    part: str = ""
    journal: str = ""
    cost_s: float = 0.0
    status: str = PENDING
    since: float = 0.0
    asked: float = 0.0
    began: float | None = None
    seconds: float = 0.0
    external: str = ""

    def become(self, status: str, at: float) -> None:
        """Change the status."""
        if status == QUEUED or (status == RUNNING and self.status != QUEUED):
            self.asked = at
        if status == RUNNING:
            self.began = at
        elif status in (PENDING, QUEUED):
            self.began, self.external = None, ""
        self.seconds = at - self.began if self.began is not None and status not in OPEN else 0.0
        self.status, self.since = status, at


def job_of(number: int, rule: str, wildcards: Mapping[str, str], log: str = "", cost_s: float = 0.0) -> Job:
    """Return the job of a rule, which may be one of the user's own."""
    key = rule if rule in _RULES else next((k for k in _RULES if k.endswith("_") and rule.startswith(k)), "")
    phase, does = _RULES.get(key, (rule, ""))
    of = rule.removeprefix(key) if key.endswith("_") else next(iter(wildcards.values()), "")
    tile = f"tile {wildcards['tile']}" if "tile" in wildcards else ""
    name = " ".join(word for word in (phase, does, of, tile) if word)
    if key in ("place_", "connect_"):
        colour = wildcards.get("color", "0")
        steps = ([colour] if phase == "place" else []) + [wildcards.get("tile", "0")]
        return Job(number, rule, phase, name, log, f"{phase}/{of}", f".journal/{phase}/{of}/{'.'.join(steps)}", cost_s)
    if key == "simulate_":
        return Job(number, rule, phase, name, log, f"{phase}/{of}", "", cost_s)
    return Job(number, rule, phase, name, log, cost_s=cost_s)


@dataclass(frozen=True)
class Change:
    """A change of status, as listeners get it.

    Attributes
    ----------
    what : "job", "phase" or "run"
    name : of the job, phase or circuit
    status, previous : pending, queued, running, success, failed, cancelled or aborted
    at : when, seconds since the epoch
    seconds : how long the job, phase or run ran, where it has ended
    phase, rule, id, log : of a job: its phase and rule, its number in the run and its log file
    external : of a job: its number at the scheduler that it was submitted to, as SLURM; "" for none
    results : folder of the circuit's results
    """

    what: str
    name: str
    status: str
    previous: str
    at: float
    seconds: float = 0.0
    phase: str = ""
    rule: str = ""
    id: int = -1
    log: str = ""
    results: str = ""
    external: str = ""


@dataclass
class Run:
    """A run of the workflow.

    Attributes
    ----------
    results : folder of the circuit's results
    jobs : by their numbers
    expected : part -> what is to be made: synapses, or ms of model time
    began, ended : seconds since the epoch
    state : its status
    """

    results: str
    jobs: dict[int, Job]
    expected: dict[str, float] = field(default_factory=dict)
    began: float = 0.0
    ended: float | None = None
    state: str = RUNNING

    def __post_init__(self):
        self._numbers = {phase: Counter(job.status for job in jobs) for phase, jobs in self.phases().items()}
        self._began: dict[str, float] = {}

    def phases(self) -> dict[str, list[Job]]:
        """Return the jobs of each phase, in the order of the phases."""
        of: dict[str, list[Job]] = {phase: [] for phase in PHASES}
        for job in self.jobs.values():
            of.setdefault(job.phase, []).append(job)
        return {phase: jobs for phase, jobs in of.items() if jobs}

    def change(self, number: int, status: str, at: float) -> list[Change]:
        """Change a job's status; return that change, and its phase's, if there is one; none if it is no news."""
        job = self.jobs.get(number)
        if job is None or job.status == status:
            return []
        numbers, was = self._numbers[job.phase], job.status
        before = status_of(numbers)
        job.become(status, at)
        numbers[was] -= 1
        numbers[status] += 1
        log = f"{self.results}/{job.log}" if job.log else ""
        of = (job.phase, job.rule, job.id, log, self.results, job.external)
        one = Change("job", job.name, status, was, at, job.seconds, *of)
        now = status_of(numbers)
        if job.began is not None:
            self._began.setdefault(job.phase, job.began)
        if now == before:
            return [one]
        took = at - self._began.get(job.phase, at) if now not in OPEN else 0.0
        return [one, Change("phase", job.phase, now, before, at, took, job.phase, results=self.results)]

    def status(self, phase: str) -> str:
        """Return the status of a phase."""
        return status_of(self._numbers[phase])

    def numbers(self, phase: str) -> Mapping[str, int]:
        """Return how many jobs of a phase have which status."""
        return self._numbers[phase]

    def end(self, status: str, at: float) -> list[Change]:
        """End the run, and return what changes: jobs that run are killed, and those that have not begun never will."""
        changes = []
        for job in self.jobs.values():
            if job.status in OPEN:
                changes += self.change(job.id, ABORTED if job.status == RUNNING else CANCELLED, at)
        before, self.state, self.ended = self.state, status, at
        return [*changes, Change("run", self.results, status, before, at, at - self.began, results=self.results)]


def status_of(numbers: Mapping[str, int]) -> str:
    """Return the status of some jobs together, of which so many have each status."""
    there = {status for status, n in numbers.items() if n}
    if there <= {PENDING}:
        return PENDING
    if there <= {PENDING, QUEUED}:
        return QUEUED
    if there & {*OPEN}:  # some have begun, and some have not ended
        return RUNNING
    return next((status for status in (FAILED, ABORTED, CANCELLED) if status in there), SUCCESS)
