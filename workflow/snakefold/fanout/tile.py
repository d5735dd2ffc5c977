"""Running a tile: its chunks one after the other, those of an earlier attempt taken from the journal."""

from collections.abc import Callable

from snakefold.errors import Mistake, UserError
from snakefold.fanout.journal import Arrays, Journal


def run(
    keys: list[str],
    compute: Callable[[int], Arrays],
    journal: Journal,
    what: str,
    log: Callable[[str], None] = print,
) -> list[Arrays]:
    """Return the arrays of each chunk of a tile, in order.

    Parameters
    ----------
    keys : one for each chunk, by which the journal knows it
    compute : the arrays of the i-th chunk
    journal : where finished chunks are committed, also when a chunk fails
    what : what is done to chunks, for messages, as in "place granule_placement"

    Raises
    ------
    UserError : a chunk failed; the message names it
    """
    journal.discard_others()
    wanted = set(keys)
    done = {key: arrays for key, arrays in journal.read() if key in wanted}
    log(f"{what}: {len(keys)} chunks, {len(done)} of them from the journal")
    try:
        for i, key in enumerate(keys):
            if key not in done:
                done[key] = _compute(compute, i, f"{what}: chunk {key}")
                journal.append(key, done[key])
    except BaseException:
        journal.close()
        raise
    log(f"{what}: done, {len(keys)} chunks")
    return [done[key] for key in keys]


def _compute(compute: Callable[[int], Arrays], i: int, what: str) -> Arrays:
    try:
        return compute(i)
    except UserError as error:
        raise UserError([Mistake(f"{what}: {m.message}", m.path, m.where) for m in error.mistakes]) from error
    except Exception as error:
        error.add_note(f"in {what}")
        raise
