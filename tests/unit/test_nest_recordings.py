"""What several ranks record is, read together, what one would have recorded."""

import numpy as np
import pytest

from snakefold.fanout.journal import Journal
from snakefold.nest.recordings import (
    HEADER,
    SEGMENT,
    Header,
    Meter,
    Recorders,
    Recording,
    partial,
    read_samples,
    read_spikes,
    read_steps,
    sample_columns,
)
from snakefold.nest.share import Share

N_VIRTUAL, SEGMENT_MS, N_SEGMENTS = 6, 10.0, 3
METERS = [
    Meter("all", ["V_m", "g"], ["mV", "nS"], 1.0, ["B", "A"]),
    Meter("some", ["V_m"], ["mV"], 2.0, ["A"], {"A": [1, 4, 5]}),
    Meter("one", ["V_m"], ["mV"], 5.0, ["B"], {"B": [2]}),  # most ranks have nothing of it
    Meter("none", ["V_m"], ["mV"], 5.0, ["E"]),  # of a population without cells: NEST has no such device
]


class Device:
    """What NEST has recorded of some cells in a segment, as a recording device gives it, in any order."""

    def __init__(self, events):
        self.events = events

    def get(self, _):
        return self.events

    def set(self, n_events):
        assert n_events == 0
        self.events = {name: values[:0] for name, values in self.events.items()}


def header(share):
    return Header("s", 0.1, 30.0, {"A": 1, "B": 10, "E": 0}, {"A": 9, "B": 5, "E": 0}, ["A", "B"], METERS, share)


def events(rng, steps, senders, **values):
    """Return shuffled events of the given pairs of step and sender."""
    order = rng.permutation(len(steps))
    made = {"times": steps, "senders": senders, "offsets": np.zeros(len(steps))} | values
    return {name: column[order] for name, column in made.items()}


def recorded(folder, share, n_segments=N_SEGMENTS):
    """Write the journal of one rank; what a cell does depends on the cell and the time only."""
    head, rng = header(share), np.random.default_rng(share.rank)
    recorders = Recorders(head)
    with Journal(folder, "digest", every_s=0.0) as journal:
        journal.append(HEADER, head.arrays())
        for segment in range(n_segments):
            times = np.arange(1, 101) + 100 * segment
            steps, gids = (a.ravel() for a in np.meshgrid(times, np.arange(1, 15)))
            fired = np.zeros(len(gids), bool)
            fired[share.rows(gids)] = True
            fired &= (steps * gids) % 7 == 0
            recorders.spikes = Device(events(rng, steps[fired], gids[fired]))
            for meter in METERS[:3]:
                own = head.recorded(meter)[head.own_columns(meter)]
                sampled = times[times % round(meter.interval / 0.1) == 0]
                at, who = (a.ravel() for a in np.meshgrid(sampled, own))
                values = {name: at + who / 64 + i for i, name in enumerate(meter.properties)}
                recorders.meters[meter.name] = Device(events(rng, at, who, **values))
            journal.append(SEGMENT, recorders.drain((segment + 1) * SEGMENT_MS))
    return journal.path


def everything(files):
    """Return all that results are made of."""
    recording = Recording(files)
    made = {("spikes", name): spikes for name, spikes in read_spikes(recording).items()}
    for meter in METERS:
        made[meter.name, "steps"] = (read_steps(recording, meter),)
        for population, columns in sample_columns(recording.header, meter).items():
            for name in meter.properties:
                parts = list(read_samples(recording, meter, name, columns))
                made[meter.name, population, name] = (np.concatenate(parts),)
    return made


@pytest.mark.parametrize("n_ranks", [2, 3, 6])
def test_ranks_together_record_what_one_records(tmp_path, n_ranks):
    alone = everything([recorded(tmp_path / "alone", Share(0, 1, N_VIRTUAL))])
    files = [recorded(tmp_path / "ranks", Share(rank, n_ranks, N_VIRTUAL)) for rank in range(n_ranks)]
    together = everything(reversed(files))
    assert together.keys() == alone.keys()
    for key, arrays in alone.items():
        for one, other in zip(arrays, together[key], strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, err_msg=str(key))
    assert len(alone["spikes", "A"][0]) > 100
    assert alone["all", "B", "g"][0].shape == (30, 5)
    assert alone["some", "A", "V_m"][0][1].tolist() == [40 + gid / 64 for gid in (2, 5, 6)]


def test_of_ranks_that_were_killed_those_segments_are_left_that_all_have(tmp_path):
    for rank, n_segments in enumerate((3, 1, 2)):
        recorded(tmp_path, Share(rank, 3, N_VIRTUAL), n_segments)
    left = partial(tmp_path)
    assert (left.name, left.until, left.duration) == ("s", 10.0, 30.0)
    assert left.spikes["A"][0].max() == 10.0


def test_a_rank_that_left_nothing_leaves_nothing_of_all(tmp_path):
    for rank in (0, 2):
        recorded(tmp_path, Share(rank, 3, N_VIRTUAL))
    assert partial(tmp_path) is None
