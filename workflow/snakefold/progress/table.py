"""Progress as text: a line for each phase, what runs, what has failed, and how long it may take; at most 80 columns."""

import time
from math import ceil

from snakefold.progress.counts import UNITS, Count, Counter
from snakefold.progress.jobs import ABORTED, FAILED, OPEN, QUEUED, RUNNING, SUCCESS, Change, Job, Run

WIDTH = 80
_BESIDE_S = 0.7  # that a job takes beside its process: Snakemake, its shell
_FORMS = ("{:<9}", " {:<9}", " {:>11}", " {:>11}", "  {}")
_CHUNKS_AT, _MADE_AT = 43, 70  # columns of the screen
_MOST_RUNNING = 3
_MOST_FAILED = 5
_RED, _GREEN, _BLUE, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"
_COLOURS = {SUCCESS: _GREEN, RUNNING: _BLUE, FAILED: _RED, ABORTED: _RED}


def table(run: Run, counter: Counter, now: float, *, colour: bool = False, width: int = WIDTH) -> list[str]:
    """Return the lines of a run's progress.

    Parameters
    ----------
    now : seconds since the epoch
    colour : whether statuses have one
    width : that no line exceeds, but for names of logs; columns for which it leaves no room are left out
    """
    shown = slice(5 if width >= _MADE_AT else 4 if width >= _CHUNKS_AT else 3)
    lines = [_row(["phase", "status", "jobs", "chunks", "made"][shown])[:width]]
    for phase, jobs in run.phases().items():
        numbers, status = run.numbers(phase), run.status(phase)
        count = counter.of_phase(phase, jobs)
        chunks = f"{count.chunks:,}/{_about(count.wanted_chunks)}" if count.wanted_chunks else ""
        jobs_done = f"{numbers[SUCCESS]:,}/{len(jobs):,}"
        if status == SUCCESS:
            count.wanted = None  # it was an expectation
        text = _row([phase[:9], status, jobs_done, chunks, _made(phase, count)][shown])[:width]
        if colour and status in _COLOURS:
            text = text[:10] + _COLOURS[status] + text[10:19] + _PLAIN + text[19:]
        lines.append(text)
    return [*lines, *_running(run, counter, now, width), *_failed(run, colour, width)]


def _row(columns: list[str]) -> str:
    return "".join(form.format(text) for text, form in zip(columns, _FORMS, strict=False)).rstrip()


def summary(run: Run, counter: Counter, now: float) -> str:
    """Return how many jobs are done, since when, and how long the others may take."""
    n = sum(job.status == SUCCESS for job in run.jobs.values())
    lasted = duration((run.ended or now) - run.began)
    text = f"{n:,} of {len(run.jobs):,} jobs in {lasted}"
    if run.state in OPEN and (left := left_s(run, counter, now)) is not None:
        text += f", about {duration(left)} left"
    return text


def _running(run: Run, counter: Counter, now: float, width: int) -> list[str]:
    jobs = sorted((job for job in run.jobs.values() if job.status == RUNNING), key=lambda job: job.since)
    lines = [f"  {_named(job)}: {_of_job(job, counter, now)}"[:width] for job in jobs[:_MOST_RUNNING]]
    more = [f"  {len(jobs) - _MOST_RUNNING} more run"] if len(jobs) > _MOST_RUNNING else []
    queued = [job for job in run.jobs.values() if job.status == QUEUED]
    if queued:
        numbers = ", ".join(job.external for job in queued if job.external)
        text = f"  {len(queued)} wait in the queue{f': {numbers}' if numbers else ''}"
        more.append(text if len(text) <= width else f"{text[: width - 4]} ...")
    return lines + more


def _named(job: Job) -> str:
    return f"{job.name} ({job.external})" if job.external else job.name


def _of_job(job: Job, counter: Counter, now: float) -> str:
    count, words = counter.of_job(job), []
    if count.wanted_chunks:
        words.append(f"{count.chunks:,} of {count.wanted_chunks:,.0f} chunks")
    if count.made and job.phase in UNITS:
        words.append(_made(job.phase, count))
    return ", ".join([*words, duration(now - job.since)])


def _failed(run: Run, colour: bool, width: int) -> list[str]:
    jobs = [job for job in run.jobs.values() if job.status in (FAILED, ABORTED)]
    red, plain = (_RED, _PLAIN) if colour else ("", "")
    lines = []
    for job in jobs[:_MOST_FAILED]:
        lines.append(f"{red}{f'  {_named(job)}: {job.status}'[:width]}{plain}")
        if job.log:
            lines.append(f"    {run.results}/{job.log}")
    if len(jobs) > _MOST_FAILED:
        lines.append(f"  {len(jobs) - _MOST_FAILED} more did not succeed")
    return lines


def line(change: Change, count: Count, done: str) -> str:
    """Return a change as one line of a log; `done` is the run's summary."""
    when = time.strftime("%H:%M:%S", time.localtime(change.at))
    words = [f"{change.name}: {change.status}"]
    if change.seconds:
        words.append(duration(change.seconds))
    if change.status == SUCCESS:
        if count.chunks:
            words.append(_counted(count.chunks, "chunk"))
        if count.made and change.phase in UNITS:
            words.append(f"{count.made:,.0f} {UNITS[change.phase]}")
    elif change.log:
        words.append(change.log)
    text = f"{when} {', '.join(words)}"
    return f"{text} ({done})" if change.what == "job" and done else text


def _made(phase: str, count: Count) -> str:
    unit = UNITS.get(phase)
    if unit is None or not (count.made or count.wanted):
        return ""
    if not count.wanted or count.made == count.wanted:
        return f"{count.made:,.0f} {unit}"
    return f"{count.made:,.0f} of {_about(count.wanted)} {unit}"


def _about(number: float) -> str:
    return f"{ceil(number):,}"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return seconds as people read them."""
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"


def left_s(run: Run, counter: Counter, now: float) -> float | None:
    """Return how long a run may still take; None before anything can be said.

    Jobs are weighed by their estimates, times how much longer those of their phase (where none has ended, of all) have
    taken than estimated; jobs that say how far they are, by that. The work left is shared as the work done was.
    """
    measured: dict[str, tuple[float, float]] = {}
    busy, at_least, left = 0.0, 0.0, 0.0
    for job in run.jobs.values():
        if job.status == SUCCESS and job.seconds:  # without, it was not seen to run
            took, wanted = measured.get(job.phase, (0.0, 0.0))
            measured[job.phase] = took + job.seconds, wanted + job.cost_s + _BESIDE_S
            busy += job.seconds
    all_took, all_wanted = (sum(column) for column in zip((0.0, 0.0), *measured.values(), strict=True))
    rest = [job for job in run.jobs.values() if job.status in OPEN]
    if not rest:
        return None
    fractions = {job.id: counter.of_job(job).fraction for job in rest if job.status == RUNNING}
    if not all_wanted and not any(fractions.values()):
        return None
    for job in rest:
        took, wanted = measured.get(job.phase, (all_took, all_wanted))
        mine = (job.cost_s + _BESIDE_S) * (took / wanted if wanted else 1.0)
        if job.status == RUNNING:
            so_far, fraction = now - job.since, fractions[job.id]
            busy += so_far
            mine = so_far * (1 - fraction) / fraction if fraction else max(mine - so_far, mine / 10)
        left, at_least = left + mine, max(at_least, mine)
    side_by_side = max(busy / max(now - run.began, 1e-9), 1.0)
    return max(left / side_by_side, at_least)
