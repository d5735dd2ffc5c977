"""The results of a simulation: configuration, spikes, reports, provenance, and node sets where it has its own."""

import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

import snakefold
from snakefold import hdf5
from snakefold.nest.devices import report_file
from snakefold.nest.recordings import Meter, Recording, read_samples, read_spikes, read_steps, sample_columns
from snakefold.nest.targetting import RECORDED, SIMULATED, Chosen, has_node_sets, node_sets
from snakefold.sonata.circuit import simulation_config
from snakefold.sonata.reports import write_report
from snakefold.sonata.spikes import write_spikes


def write_results(
    simulation: Mapping,
    recording: Recording,
    chosen: Mapping[str, Chosen],
    folder: Path,
    digest: str,
    rng_seed: int,
    nest_version: str,
) -> None:
    """Write the results of a simulation that is recorded to its end.

    Parameters
    ----------
    simulation : its slice
    chosen : device -> the cells it is connected to
    digest : of everything that determines the results
    rng_seed : of NEST's own generators
    """
    run, reports, own_sets = simulation["run"], {}, has_node_sets(simulation)
    header = recording.header
    for meter in header.meters:
        node_set = f"device/{meter.name}" if own_sets else meter.targets[0] if len(meter.targets) == 1 else "All"
        reports |= _write_reports(recording, meter, node_set, folder, digest)
    stimuli = {name: d for name, d in sorted(simulation["devices"].items()) if d["kind"] == "stimulus"}
    # libsonata takes no nested values there.
    config = simulation_config(
        **({"node_set": SIMULATED} if own_sets else {}),
        tstop=run["duration"],
        dt=run["resolution"],
        random_seed=rng_seed,
        reports=reports,
        metadata={"simulator": "NEST", "threads": run["threads"], "devices": json.dumps(stimuli)},
    )
    if own_sets:
        config["node_sets_file"] = "$BASE_DIR/node_sets.json"
        sets = node_sets(simulation, chosen, header.n)
        hdf5.write_text(folder / "node_sets.json", json.dumps(sets, separators=(",", ":")) + "\n")
    provenance = {
        "snakefold": snakefold.__version__,
        "nest": nest_version,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": simulation["seed"],
        "rng_seed": rng_seed,
        "threads": run["threads"],
        "digest": digest,
    }
    hdf5.write_text(folder / "simulation_config.json", json.dumps(config, indent=2) + "\n")
    hdf5.write_text(folder / "provenance.json", json.dumps(provenance, indent=2) + "\n")
    write_spikes(folder / "spikes.h5", read_spikes(recording), digest)


def _write_reports(recording: Recording, meter: Meter, node_set: str, folder: Path, digest: str) -> dict[str, dict]:
    """Write the reports of a multimeter, and return what the simulation's configuration says of them."""
    header, steps = recording.header, read_steps(recording, meter)
    start = round(float(steps[0]) * header.resolution, 6) if len(steps) else meter.interval
    stop = round(start + len(steps) * meter.interval, 6)
    reports = {}
    for name, its_unit in zip(meter.properties, meter.units, strict=True):
        populations = {
            target: (
                np.array(meter.ids.get(target, range(header.n[target]))),
                read_samples(recording, meter, name, columns),
            )
            for target, columns in sample_columns(header, meter).items()
        }
        file = report_file(meter.name, meter.properties, name)
        write_report(folder / file, populations, len(steps), start, stop, meter.interval, its_unit, digest)
        reports[file.removesuffix(".h5")] = {
            "cells": node_set,
            "variable_name": name,
            "dt": meter.interval,
            "start_time": start,
            "end_time": stop,
            "unit": its_unit,
        }
    return reports


def recorded_cells(folder: Path, config: Mapping) -> dict[str, np.ndarray]:
    """Return population -> ids, rising, of the cells whose spikes were recorded, of those of which only some were.

    Parameters
    ----------
    folder, config : of a simulation's results, and what simulation_config.json says
    """
    file = config.get("node_sets_file")  # where the simulation has node sets of its own
    sets = json.loads((folder / Path(file).name).read_text(encoding="utf-8")) if file else {}
    rules = {name.removeprefix(f"{RECORDED}/"): rule for name, rule in sets.items() if name.startswith(f"{RECORDED}/")}
    return {name: np.unique(np.array(rule["node_id"], np.int64)) for name, rule in rules.items() if "node_id" in rule}


def digest_of_results(part: str, files: Iterable[str | Path]) -> str:
    """Return the digest of all that a simulation's results depend on.

    Parameters
    ----------
    part : the digest of its part
    files : nodes and edges that it uses, of one circuit
    """
    return hdf5.combine("simulate", part, *map(hdf5.digest_of, sorted(map(str, files))))
