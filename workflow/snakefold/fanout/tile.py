"""Running a tile: its chunks, on one process or several ranks, those of an earlier attempt taken from the journal."""

from collections.abc import Callable

from snakefold.errors import Mistake, UserError
from snakefold.fanout.journal import Arrays, Journal, records, rows
from snakefold.fanout.ranks import world


def _say(line: str) -> None:
    print(line, flush=True)


def run(
    keys: list[str],
    compute: Callable[[int], Arrays],
    journal: Journal,
    what: str,
    log: Callable[[str], None] = _say,
    of: str = "rows",
) -> list[Arrays] | None:
    """Return the arrays of each chunk of a tile, in order; on ranks other than 0, None.

    Parameters
    ----------
    keys : one for each chunk, by which the journal knows it
    compute : the arrays of the i-th chunk
    journal : where finished chunks are committed, also when a chunk fails
    what : what is done to chunks, for messages, as in "place granule_placement"
    log : takes the first and the last line, from which progress is read (snakefold.progress.counts)
    of : what the rows of a chunk are, as in "cells"

    Raises
    ------
    UserError : a chunk failed; the message names it
    """
    ranks = world()
    first = ranks.rank == 0
    done: dict[str, Arrays] = {}
    if first:
        journal.discard_others()
        wanted = set(keys)
        done = {key: arrays for key, arrays in journal.read() if key in wanted}
        shared = f", on {ranks.size} ranks" if ranks.size > 1 else ""
        log(f"{what}: {len(keys)} chunks, {len(done)} of them from the journal{shared}")
    todo = ranks.shared([i for i, key in enumerate(keys) if key not in done])
    n_own = 0
    try:
        for i in ranks.deal(todo):
            arrays = _compute(compute, i, f"{what}: chunk {keys[i]}")
            journal.append(keys[i], arrays)
            n_own += 1
            if first:
                done[keys[i]] = arrays
    except BaseException:
        journal.close()
        raise
    if ranks.size > 1:
        log(f"{what}: rank {ranks.rank} made {n_own} chunks")
    if not first:
        journal.close()
        ranks.hand_in(journal.path)
        return None
    for path in ranks.handed_in():
        done |= records(path)
    if lost := [key for key in keys if key not in done]:
        raise UserError(f"{what}: {len(lost)} chunks of other ranks cannot be read, chunk {lost[0]} among them")
    made = [done[key] for key in keys]
    n_rows = sum(rows({name: array.shape for name, array in arrays.items()}) for arrays in made)
    log(f"{what}: done, {len(keys)} chunks, {n_rows} {of}")
    return made


def _compute(compute: Callable[[int], Arrays], i: int, what: str) -> Arrays:
    try:
        return compute(i)
    except UserError as error:
        raise UserError([Mistake(f"{what}: {m.message}", m.path, m.where) for m in error.mistakes]) from error
    except Exception as error:
        error.add_note(f"in {what}")
        raise
