"""NWB: a simulation as Neurodata Without Borders 2, a unit per recorded cell, a time series per report.

Units have the cells' type, node id, region, partition and position, um. A report becomes the series
processing/icephys/<report>_<population>, whose columns are the rows of the table <series>_cells; in the units of the
SI, with NWB's conversion factor. Times are s of model time from 0; the session's date is `DATE`, as results have none.

Spikes and samples are streamed. Equal results are equal bytes: ids of objects are made from the digest and their paths.
Reference: Ruebel et al. (2022), eLife 11:e78362.
"""

import contextlib
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import h5py
import numpy as np
from hdmf.common import DynamicTable, ElementIdentifiers, VectorData, VectorIndex
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.file import Subject
from pynwb.misc import Units

import snakefold
from snakefold import hdf5
from snakefold.export import DATE
from snakefold.export.finished import Simulated
from snakefold.export.trains import Trains
from snakefold.sonata.reports import Report
from snakefold.sonata.spikes import populations

_BUFFER = 1 << 20  # values in memory at a time
_CHUNK = 1 << 16
_SI = {"mV": ("volts", 1e-3), "pA": ("amperes", 1e-12), "nS": ("siemens", 1e-9), "pF": ("farads", 1e-12)}
_COLUMNS = {
    "node_id": "Id of the cell in the SONATA population of its type.",
    "cell_type": "Cell type: the SONATA population.",
    "region": "Region of the description that the cell is in.",
    "partition": "Partition of the description that the cell is in.",
    "x": "Position of the soma, um; NaN for cells that are nowhere.",
    "y": "Position of the soma, um; NaN for cells that are nowhere.",
    "z": "Position of the soma, um; NaN for cells that are nowhere.",
}


def write_nwb(simulation: Simulated, output: str | Path) -> None:
    """Write a simulation as an NWB file."""
    provenance, date = simulation.provenance, datetime.fromisoformat(DATE)
    circuit = simulation.circuit
    file = NWBFile(
        session_description=f"{simulation.name}: simulation of the circuit {circuit.name} with NEST",
        identifier=simulation.digest,
        session_start_time=date,
        file_create_date=[date],
        session_id=simulation.name,
        source_script=f"snakefold {snakefold.__version__}",
        source_script_file_name="snakefold export",
        experiment_description=f"The simulation {simulation.name} of the circuit {circuit.name}.",
        keywords=["simulation", "NEST", "SONATA"],
        subject=_no_animal(circuit.name),
        notes="Simulated, not recorded: the dates are a convention. "
        + ", ".join(f"{key}: {value}" for key, value in sorted(provenance.items())),
    )
    with contextlib.ExitStack() as opened:  # until the file is written, which reads what is streamed
        if recorded := [name for name in populations(simulation.spikes_file) if name in circuit.nodes]:
            file.units = _units(simulation, recorded, opened)
        module = None
        for name, (path, variable) in simulation.reports.items():
            report = opened.enter_context(Report(path))
            module = module or file.create_processing_module("icephys", "What multimeters recorded, by population.")
            for population in report.populations:
                if report.shape(population)[1]:
                    _add_traces(module, simulation, report, name, variable, population)
        _name_objects(file, simulation.digest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns whose length it does not know before they are streamed
            written = h5py.File(output, "w")
            with hdf5.closed(written):
                NWBHDF5IO(str(output), "w", file=written).write(file)


class _Streamed(GenericDataChunkIterator):
    """Rows of a float dataset, made when they are written.

    Parameters
    ----------
    rows : (start, stop) -> those rows
    """

    def __init__(self, rows: Callable[[int, int], np.ndarray], shape: tuple[int, ...], dtype: object):
        self._made, self._shape, self._kind = rows, shape, np.dtype(dtype)
        width = int(np.prod(shape[1:], dtype=np.int64))
        chunk = max(1, min(shape[0], _CHUNK // width))
        n = max(chunk, min(shape[0], _BUFFER // width // chunk * chunk))
        super().__init__(buffer_shape=(n, *shape[1:]), chunk_shape=(chunk, *shape[1:]))

    def __len__(self) -> int:
        return self._shape[0]

    def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
        return self._made(selection[0].start, selection[0].stop)[(slice(None), *selection[1:])]

    def _get_maxshape(self) -> tuple[int, ...]:
        return self._shape

    def _get_dtype(self) -> np.dtype:
        return self._kind


def _streamed(rows: Callable[[int, int], np.ndarray], shape: tuple[int, ...], dtype: object) -> object:
    return _Streamed(rows, shape, dtype) if 0 not in shape else np.empty(shape, dtype)


def _units(simulation: Simulated, names: list[str], opened: contextlib.ExitStack) -> Units:
    """Return the table of all recorded cells, by type and node id."""
    trains, tables = [], []
    for name in names:
        ids = simulation.recorded(name)
        trains.append(opened.enter_context(Trains(simulation.spikes_file, name, ids)))
        tables.append(simulation.circuit.cells(name, ids))
    ends = np.concatenate([[0], np.cumsum([len(train) for train in trains])]).astype(np.int64)

    def seconds(start: int, stop: int) -> np.ndarray:
        spans = [(t, max(start, a), min(stop, b)) for t, a, b in zip(trains, ends, ends[1:], strict=False)]
        parts = [t.rows(a - first, b - first) for (t, a, b), first in zip(spans, ends, strict=False) if b > a]
        return np.concatenate(parts) / 1e3

    times = VectorData(
        name="spike_times",
        description="Times of the spikes of each cell, s.",
        data=_streamed(seconds, (int(ends[-1]),), "f8"),
    )
    stops = np.cumsum(np.concatenate([train.counts for train in trains]))
    index = VectorIndex(name="spike_times_index", data=stops.astype(np.uint64), target=times)
    return Units(
        name="units",
        description="The cells whose spikes were recorded, also those without spikes.",
        id=ElementIdentifiers(name="id", data=np.arange(len(stops))),
        columns=[index, times, *_columns(tables)],
        colnames=["spike_times", *_COLUMNS],
        resolution=float(simulation.config["run"]["dt"]) / 1e3,
    )


def _columns(tables: list[dict[str, np.ndarray]]) -> list[VectorData]:
    joined = {name: np.concatenate([table[name] for table in tables]) for name in _COLUMNS}
    joined |= {name: column.tolist() for name, column in joined.items() if column.dtype == object}
    return [VectorData(name=name, description=text, data=joined[name]) for name, text in _COLUMNS.items()]


def _add_traces(module, simulation: Simulated, report: Report, name: str, variable: str, population: str) -> None:
    """Add a population's samples of one variable, and the table of their cells."""
    shape, unit = report.shape(population), report.units(population)
    si, factor = _SI.get(unit, (unit, 1.0))
    title = f"{name}_{population}"
    start, _, step = report.span(population)
    module.add(
        TimeSeries(
            name=title,
            description=f"{variable} of {shape[1]} cells of type {population}: column i is row i of {title}_cells.",
            data=_streamed(lambda a, b: report.data(population, a, b), shape, "f4"),
            unit=si,
            conversion=factor,
            starting_time=start / 1e3,
            rate=1e3 / step,
        )
    )
    cells = simulation.circuit.cells(population, report.node_ids(population).astype(np.int64))
    module.add(
        DynamicTable(
            name=f"{title}_cells",
            description=f"The cells of the columns of {title}.",
            id=ElementIdentifiers(name="id", data=np.arange(shape[1])),
            columns=_columns([cells]),
            colnames=list(_COLUMNS),
        )
    )


def _no_animal(name: str) -> Subject:
    """Return the subject, which NWB's inspector demands: of any species, age and sex."""
    return Subject(
        subject_id=name,
        description="A circuit that was built and simulated; there was no animal.",
        species="http://purl.obolibrary.org/obo/NCBITaxon_1",
        age="P0D/",
        sex="U",
    )


def _name_objects(file: NWBFile, digest: str) -> None:
    """Give objects ids made from the digest and their names: pynwb draws them, and takes none."""
    space = uuid5(NAMESPACE_OID, digest)
    for item in file.all_children():
        steps, at = [], item
        while at is not None:
            steps.append(at.name)
            at = at.parent
        item._AbstractContainer__object_id = str(uuid5(space, "/".join(reversed(steps))))
