"""Hooks: what changes or adds populations and edge sets between two stages. A stage is read whole and written anew."""

import numpy as np

from snakefold import build, hdf5
from snakefold.connectivity.strategy import Set
from snakefold.errors import UserError, listed
from snakefold.sonata.edges import DEFAULTS, Edges, write_edges
from snakefold.sonata.nodes import Chunks, Nodes, write_nodes
from snakefold.streams import stream

RESERVED = ("x", "y", "z")


def after_placement(part: str, inputs: list[str], outputs: dict[str, str]) -> None:
    """Run a hook on populations.

    Parameters
    ----------
    part : file of the hook's part
    inputs : the node files that it reads
    outputs : cell type -> node file, of all that it rewrites or adds
    """
    built = build.read(part)
    hook, name = built.component(), built.slice["name"]
    nodes = {n.population: n for n in map(Nodes, inputs)}
    cells = {t: {"position": n.positions()} | _node_columns(n) for t, n in nodes.items()}
    made = hook.postprocess(cells, stream(built.slice["seed"], "after_placement", name))
    digest = hdf5.combine("after_placement", built.digest, *map(hdf5.digest_of, inputs))
    for cell_type, path in outputs.items():
        _missing(made, cell_type, name)
        columns = {c: np.asarray(a) for c, a in made[cell_type].items()}
        position = columns.pop("position").astype(np.float32).reshape(-1, 3)
        before = nodes.get(cell_type)
        if before is not None and before.n == len(position) and (position == before.positions()).all():
            table, order = before.chunks, slice(None)
        else:
            table, order = _chunked(name, built.grid.chunk_of(position))
        coded = {c: _coded(a) for c, a in columns.items()}
        block = dict(zip("xyz", position[order].T, strict=True)) | {c: a[order] for c, (a, _) in coded.items()}
        kinds = {c: kind for c, (_, kind) in coded.items()}
        write_nodes(
            path, cell_type, len(position), [block], table, hdf5.combine("nodes", cell_type, digest), columns=kinds
        )


def after_connectivity(part: str, inputs: list[str], nodes: list[str], outputs: dict[str, str]) -> None:
    """Run a hook on edge sets.

    Parameters
    ----------
    part : file of the hook's part
    inputs : the edges files that it reads
    nodes : node files of all populations
    outputs : edge set -> edges file, of all that it rewrites or adds
    """
    built = build.read(part)
    hook, name = built.component(), built.slice["name"]
    sizes = {n.population: n.n for n in map(Nodes, nodes)}
    sets = {e.name: e for e in map(Edges, inputs)}
    edges = {set_name: _edges_of(e) for set_name, e in sets.items()}
    made = hook.postprocess(edges, stream(built.slice["seed"], "after_connectivity", name))
    digest = hdf5.combine("after_connectivity", built.digest, *map(hdf5.digest_of, inputs))
    for set_name, path in outputs.items():
        _missing(made, set_name, name)
        arrays = {c: np.asarray(a) for c, a in made[set_name].items()}
        order = np.lexsort((arrays["source"], arrays["target"]))
        before = sets.get(set_name)
        pre, post = (before.source, before.target) if before is not None else built.slice["effect"]["adds"][set_name]
        coded = {c: _coded(a) for c, a in arrays.items() if c not in ("source", "target")}
        block = (arrays["source"][order], arrays["target"][order], {c: a[order] for c, (a, _) in coded.items()})
        kinds = {c: kind for c, (_, kind) in coded.items()}
        digest_of_set = hdf5.combine("edges", set_name, digest)
        write_edges(path, set_name, pre, post, sizes[pre], sizes[post], len(order), [block], digest_of_set, kinds)


def _edges_of(edges: Edges) -> Set:
    """Return all edges of a set; strings as strings, and without what every set has."""
    source, target = edges.block()
    arrays = {"source": source, "target": target}
    for column, kind in edges.columns.items():
        if column not in DEFAULTS:
            values = edges.column(column)
            arrays[column] = np.array(kind, object)[values] if isinstance(kind, tuple) else values
    return Set((edges.source, edges.target), arrays)


def _missing(made: dict, name: str, hook: str) -> None:
    if name not in made:
        raise UserError(f'hook "{hook}" should return "{name}" (got: {listed(made)})')


def _node_columns(nodes: Nodes) -> dict[str, np.ndarray]:
    return {c: nodes.column(c) for c in nodes.columns if c not in RESERVED}


def _coded(array: np.ndarray) -> tuple[np.ndarray, object]:
    """Return numbers as they are, strings as codes into their library."""
    if array.dtype.kind in "OUS":
        given = [str(string) for string in array.tolist()]
        strings = tuple(sorted(set(given)))
        code = {string: i for i, string in enumerate(strings)}
        return np.fromiter(map(code.__getitem__, given), np.uint32, len(given)), strings
    return array, array.dtype


def _chunked(name: str, chunk: np.ndarray) -> tuple[Chunks, np.ndarray]:
    """Return the chunk table of cells that a hook placed, and the order that puts them in chunk order."""
    order = np.argsort(chunk, kind="stable")
    chunks, counts = np.unique(chunk, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Chunks((name,), np.zeros(len(chunks), np.uint16), chunks, offsets), order
