"""Checks of a SONATA circuit that other validators leave out, and those they make, in bounded memory.

Every function returns all that is wrong as a list of mistakes: `where` is the file, `path` the object in it. A fault is
reported once: what follows from it (an index of edges that are out of order, a chunk table of a missing column) is not
looked at. Files of other writers are taken too; only the chunk table is required of our own alone.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from snakefold.errors import Mistake, did_you_mean, expects, listed
from snakefold.sonata import nodes as node_files
from snakefold.sonata.findings import Findings, blocks_of, check_range, group_of, opened, size_of
from snakefold.sonata.index import check_indices
from snakefold.sonata.output_checks import check_report, check_spikes

__all__ = ["check_circuit", "check_edges", "check_node_sets", "check_nodes", "check_report", "check_spikes"]


def check_circuit(config_path: str | Path, resolution_ms: float | None = None) -> list[Mistake]:
    """Check a circuit: its configuration, node sets, node files and edge files.

    Parameters
    ----------
    config_path : circuit_config.json
    resolution_ms : the shortest delay an edge may have; by default any above 0
    """
    config_path = Path(config_path)
    found = Findings(config_path)
    config = _json(config_path, found)
    networks = config.get("networks") if isinstance(config, dict) else None
    if not isinstance(networks, dict):
        return found.mistakes or [Mistake("has no networks", ("networks",), str(config_path))]
    nodes, edges = (list(_populations(config, config_path, kind, found)) for kind in ("nodes", "edges"))
    sizes: dict[str, int] = {}
    for population, path in nodes:
        found.mistakes += check_nodes(path, population)
        sizes[population] = _size(path, population)
    for edge_set, path in edges:
        found.mistakes += check_edges(path, edge_set, sizes, resolution_ms)
    if "node_sets_file" in config:
        path = _resolved(str(config["node_sets_file"]), config, config_path)
        found.mistakes += check_node_sets(path, set(sizes))
    return found.mistakes


def check_node_sets(path: str | Path, populations: set[str] | None = None) -> list[Mistake]:
    """Check that node sets are rules or lists of other sets, and name populations that exist."""
    found = Findings(path)
    sets = _json(Path(path), found)
    for name, rule in sets.items() if isinstance(sets, dict) else ():
        if isinstance(rule, list):
            for other in rule:
                if other not in sets:
                    found.add(f'no node set "{other}"{did_you_mean(other, sets)}', name)
        elif not isinstance(rule, dict):
            found.add(expects("node set", "a rule or a list of node sets", rule), name)
        elif populations is not None and "population" in rule:
            given = rule["population"] if isinstance(rule["population"], list) else [rule["population"]]
            for other in given:
                if other not in populations:
                    near = did_you_mean(other, populations)
                    found.add(f'no population "{other}"{near} (populations: {listed(sorted(populations))})', name)
    return found.mistakes


def check_nodes(path: str | Path, population: str | None = None) -> list[Mistake]:
    """Check a node file: attributes, dtypes, dense ids, finite numbers, libraries, the chunk table."""
    found = Findings(path)
    with opened(path, found) as file:
        root = _population(file, "nodes", population, found) if file else None
        if root is None:
            return found.mistakes
        at = ("nodes", root.name.rpartition("/")[2])
        ids = found.dataset(root, "node_id", "u8", None, *at)
        n = len(ids if ids is not None else root.get("node_type_id", ()))
        found.dataset(root, "node_type_id", "i8", n, *at)
        _check_ids(found, root, "node_id", n, *at)
        _check_group(found, root, "node", n, *at)
        if (group := group_of(found, root, "0", *at)) is not None:
            for axis in node_files.POSITION:
                found.dataset(group, axis, "f4", n, *at, "0")
            _check_columns(found, group, n, node_files.POSITION, *at, "0")
        if "snakefold_schema" in file.attrs and (table := group_of(found, file, "chunks")) is not None:
            wanted = {"block": "u2", "chunk": "u8", "offsets": "i8", "blocks": "O8"}
            if all([found.dataset(table, name, kind, None, "chunks") is not None for name, kind in wanted.items()]):
                fault = node_files.read_chunks(file).fault(n)
                if fault:
                    found.add(fault, "chunks")
    return found.mistakes


def check_edges(
    path: str | Path,
    edge_set: str | None = None,
    sizes: Mapping[str, int] | None = None,
    resolution_ms: float | None = None,
) -> list[Mistake]:
    """Check an edge file: attributes, dtypes, ids, order, indices against a full scan, finite numbers, delays.

    Parameters
    ----------
    sizes : population -> number of cells; by default ids are checked against the index alone
    resolution_ms : the shortest delay an edge may have; by default any above 0
    """
    found = Findings(path)
    with opened(path, found) as file:
        root = _population(file, "edges", edge_set, found) if file else None
        if root is None:
            return found.mistakes
        at = ("edges", root.name.rpartition("/")[2])
        n = len(root.get("edge_type_id", ()))
        found.dataset(root, "edge_type_id", "i8", None, *at)
        _check_group(found, root, "edge", n, *at)
        sides = {side: found.dataset(root, f"{side}_node_id", "u8", n, *at) for side in ("source", "target")}
        counts = {side: _cells(found, ids, side, sizes, *at) for side, ids in sides.items() if ids is not None}
        if len(counts) == 2 and _check_pairs(found, sides, counts, *at):
            check_indices(found, root, sides, counts, *at)
        if (group := group_of(found, root, "0", *at)) is not None:
            _check_columns(found, group, n, (), *at, "0")
            _check_delay(found, group, n, resolution_ms, *at, "0")
    return found.mistakes


def _check_pairs(found: Findings, sides: Mapping, counts: Mapping, *at: str) -> bool:
    """Check the range of both ids and the order (target, source); return whether the indices can be checked."""
    in_range = [check_range(found, sides[side], counts[side], *at, f"{side}_node_id") for side in sides]
    if not all(in_range):
        return False
    last = (np.uint64(0), np.uint64(0))
    for start, stop in blocks_of(len(sides["target"])):
        target = np.concatenate([[last[0]], sides["target"][start:stop]])
        source = np.concatenate([[last[1]], sides["source"][start:stop]])
        wrong = (target[1:] < target[:-1]) | ((target[1:] == target[:-1]) & (source[1:] < source[:-1]))
        if wrong.any():
            found.add(f"edges should be ordered by (target, source); edge {start + int(np.argmax(wrong))} is not", *at)
            return False
        last = (target[-1], source[-1])
    return True


def _check_ids(found: Findings, group: h5py.Group, name: str, n: int, *at: str) -> None:
    """Check that a column that is there counts 0, 1, 2, ..."""
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != (n,) or dataset.dtype.kind not in "iu":
        return
    for start, stop in blocks_of(n):
        wrong = dataset[start:stop] != np.arange(start, stop, dtype=np.uint64)
        if wrong.any():
            row = start + int(np.argmax(wrong))
            found.add(f"row {row} should be {row} (got: {dataset[row]})", *at, name)
            return


def _check_group(found: Findings, root: h5py.Group, kind: str, n: int, *at: str) -> None:
    """Check that all rows are rows of group 0, in order."""
    group_id = found.dataset(root, f"{kind}_group_id", "u8", n, *at)
    if group_id is not None and any(group_id[start:stop].any() for start, stop in blocks_of(n)):
        found.add("should be 0 throughout", *at, f"{kind}_group_id")
    if found.dataset(root, f"{kind}_group_index", "u8", n, *at) is not None:
        _check_ids(found, root, f"{kind}_group_index", n, *at)


def _check_columns(found: Findings, group: h5py.Group, n: int, done: tuple[str, ...], *at: str) -> None:
    """Check lengths, finite numbers, and codes against their libraries."""
    libraries = group.get("@library", {})
    for name in libraries:
        if name not in group:
            found.add("is a library without a column", *at, "@library", name)
    for name, dataset in group.items():
        if not isinstance(dataset, h5py.Dataset):
            continue
        if dataset.shape != (n,):
            if name not in done:
                found.add(expects("shape", f"({n},)", dataset.shape), *at, name)
        elif name in libraries:
            strings = libraries[name][:].tolist()
            if len(set(strings)) != len(strings):
                found.add("strings should be distinct", *at, "@library", name)
            if dataset.dtype.kind != "u":
                found.add(expects("dtype", "unsigned codes", dataset.dtype), *at, name)
                continue
            for start, stop in blocks_of(n):
                codes = dataset[start:stop]
                if codes.max() >= len(strings):
                    row = int(np.argmax(codes >= len(strings)))
                    found.add(f"row {start + row}: no string {codes[row]}; there are {len(strings)}", *at, name)
                    break
        elif dataset.dtype.kind == "f":
            for start, stop in blocks_of(n):
                values = dataset[start:stop]
                if not np.isfinite(values).all():
                    row = int(np.argmax(~np.isfinite(values)))
                    found.add(f"row {start + row} is not finite (got: {values[row]})", *at, name)
                    break


def _check_delay(found: Findings, group: h5py.Group, n: int, resolution: float | None, *at: str) -> None:
    delays = group.get("delay")
    if not isinstance(delays, h5py.Dataset) or delays.shape != (n,) or delays.dtype.kind not in "fiu":
        return
    shortest = None if resolution is None else delays.dtype.type(resolution)  # 0.7 in float32 is below 0.7
    for start, stop in blocks_of(n):
        values = delays[start:stop]
        wrong = values <= 0 if shortest is None else values < shortest
        if wrong.any():
            row, allowed = int(np.argmax(wrong)), "above 0" if shortest is None else f"{resolution} ms or more"
            found.add(expects(f"row {start + row}", allowed, values[row]), *at, "delay")
            return


def _cells(found: Findings, ids: h5py.Dataset, side: str, sizes: Mapping | None, *at: str) -> int | None:
    """Return how many cells the population on one side has, None where that is not known."""
    population = ids.attrs.get("node_population")
    if isinstance(population, bytes):
        population = population.decode()
    if not isinstance(population, str):
        found.add("has no attribute node_population", *at, f"{side}_node_id")
        return None
    return size_of(found, population, sizes, *at, f"{side}_node_id")


def _population(file: h5py.File, kind: str, name: str | None, found: Findings) -> h5py.Group | None:
    root = group_of(found, file, kind)
    if root is None:
        return None
    if len(root) != 1:
        found.add(f"one population per file expected (got: {listed(root)})", kind)
    name = next(iter(root), None) if name is None else name
    return None if name is None else group_of(found, root, name, kind)


def _size(path: Path, population: str) -> int:
    try:
        with h5py.File(path, "r") as file:
            return len(file[f"nodes/{population}/node_type_id"])
    except (OSError, KeyError, TypeError):
        return 0


def _json(path: Path, found: Findings) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found.add(f"cannot be read as JSON: {error}; delete it and run again")
        return {}


def _resolved(text: str, config: Mapping, config_path: Path) -> Path:
    for _ in range(10):  # entries of the manifest may use one another
        for name, folder in config.get("manifest", {}).items():
            text = text.replace(name, str(folder))
    return config_path.parent / text


def _populations(config: Mapping, config_path: Path, kind: str, found: Findings) -> Iterator[tuple[str, Path]]:
    """Yield (population, file) of the configuration's nodes or edges."""
    seen: set[str] = set()
    for at, entry in enumerate(config["networks"].get(kind, ())):
        file = entry.get(f"{kind}_file")
        if not file:
            found.add(f"has no {kind}_file", "networks", kind, at)
            continue
        for population in entry.get("populations", {}):
            if population in seen:
                found.add(f'population "{population}" is listed twice', "networks", kind, at)
            seen.add(population)
            yield population, _resolved(str(file), config, config_path)
