"""NIX, through Neo: a simulation as a block of one segment, a spike train per recorded cell, a signal per report.

Spike trains are annotated with their cell's type, node id, region, partition and position, um; the columns of a signal
in the same way, as array annotations. A NIX file has times and ids of its own, so that two exports are equal in
content, not in bytes. Neo holds all of a block in memory.
Reference: Garcia et al. (2014), Front. Neuroinform. 8:10.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from neo import AnalogSignal, Block, Segment, SpikeTrain
from neo.io import NixIO
from quantities import Quantity

from snakefold import hdf5
from snakefold.export.finished import Simulated
from snakefold.export.trains import Trains
from snakefold.sonata.reports import Report
from snakefold.sonata.spikes import populations

_NO_UNIT = ("", "1")


def write_nix(simulation: Simulated, output: str | Path) -> None:
    """Write a simulation as a NIX file."""
    circuit = simulation.circuit
    about = {key: value for key, value in sorted(simulation.provenance.items()) if isinstance(value, str | int | float)}
    block = Block(
        name=simulation.name,
        description=f"Simulation of the circuit {circuit.name} with NEST",
        circuit=circuit.name,
        **about,
    )
    segment = Segment(name=simulation.name, index=0)
    block.segments.append(segment)
    for name in populations(simulation.spikes_file):
        if name in circuit.nodes:
            segment.spiketrains.extend(list(_spike_trains(simulation, name)))
    for name, (path, variable) in simulation.reports.items():
        with Report(path) as report:
            for population in report.populations:
                if 0 not in report.shape(population):
                    segment.analogsignals.append(_signal(simulation, report, population, name, variable))
    io = NixIO(str(output), mode="ow")
    with hdf5.closed(io.nix_file._h5file):
        io.write_block(block)


def _spike_trains(simulation: Simulated, population: str) -> Iterator[SpikeTrain]:
    ids = simulation.recorded(population)
    cells = simulation.circuit.cells(population, ids)
    stop = float(simulation.config["run"]["tstop"])
    places = np.stack([cells.pop(axis) for axis in "xyz"], axis=1).tolist()  # as one: Neo takes 3 ms for each
    columns = {name: column.tolist() for name, column in cells.items()} | {"position": places}
    with Trains(simulation.spikes_file, population, ids) as trains:
        for first, last in trains.groups():
            times, starts = trains.times(first, last), trains.starts[first : last + 1] - trains.starts[first]
            for i in range(first, last):
                spikes = times[starts[i - first] : starts[i - first + 1]]
                about = {name: column[i] for name, column in columns.items()}
                yield SpikeTrain(spikes, t_stop=stop, units="ms", name=f"{population} {ids[i]}", **about)


def _signal(simulation: Simulated, report: Report, population: str, name: str, variable: str) -> AnalogSignal:
    start, _, step = report.span(population)
    unit = report.units(population)
    cells = simulation.circuit.cells(population, report.node_ids(population).astype(np.int64))
    return AnalogSignal(
        report.data(population),
        units="dimensionless" if unit in _NO_UNIT else unit,
        sampling_rate=Quantity(1.0 / step, "1/ms"),
        t_start=Quantity(start, "ms"),
        name=f"{name} {population}",
        array_annotations=_plain(cells),
        variable=variable,
        population=population,
    )


def _plain(cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column.astype(str) if column.dtype == object else column for name, column in cells.items()}
