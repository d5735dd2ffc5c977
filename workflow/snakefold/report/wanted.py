"""What the description asked for, from the files of the build phase: cells per type, synapses per set, and by whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snakefold import build, components
from snakefold.connectivity.fixed_degree import FixedIndegree, FixedOutdegree


@dataclass(frozen=True)
class Wanted:
    """How many were asked for.

    Attributes
    ----------
    mean, sd : number wanted and its spread by design; None where nobody said
    makers : names of the strategies that make it, and of the hooks that add or rewrite it
    volume : of the partitions it is placed in, um^3; None where that is not known, or the cells are nowhere
    located : whether the cells are somewhere, and not entities
    radius : of the cells, um; 0 where they have none
    fixed : "in" or "out" and the degree that the one strategy which makes an edge set gives every cell, over all its
        sets; None where degrees vary by design
    pair : source and target cell type of an edge set
    """

    mean: float | None = None
    sd: float = 0.0
    makers: tuple[str, ...] = ()
    volume: float | None = None
    pair: tuple[str, str] = ("", "")
    located: bool = True
    radius: float = 0.0
    fixed: tuple[str, int] | None = None


def cells(
    results: Path, placed_by: Mapping[str, Iterable[str]], builds: Iterable[str] | None = None
) -> dict[str, Wanted]:
    """Return cell type -> what was wanted.

    Parameters
    ----------
    placed_by : cell type -> strategies that its node file names; a strategy that is in none, left over from an earlier
        description, does not count
    builds : see `_paths`
    """
    strategies = _parts(results, "place", builds)
    hooks = _parts(results, "after_placement", builds)
    found = {}
    for cell_type, names in placed_by.items():
        placing = [part for part in strategies if cell_type in part.slice["types"]]
        named = [part for part in placing if part.slice["name"] in set(names)]
        placing = named or placing
        somewhere = [part for part in placing if _located(part)]
        found[cell_type] = Wanted(
            mean=float(sum(_placed(part, cell_type) for part in placing)) if placing else None,
            makers=(*(part.slice["name"] for part in placing), *_rewriters(hooks, cell_type)),
            volume=_volume(results, [p for part in somewhere for p in _attributes(part).get("partitions", [])]),
            located=bool(somewhere) or not placing,
            radius=max((float(part.slice["types"][cell_type].get("radius") or 0.0) for part in placing), default=0.0),
        )
    return found


def synapses(results: Path, edge_sets: Iterable[str], builds: Iterable[str] | None = None) -> dict[str, Wanted]:
    """Return edge set -> what was wanted."""
    strategies, hooks = (_parts(results, phase, builds) for phase in ("connect", "after_connectivity"))
    found = {}
    for name in edge_sets:
        by = [part for part in strategies if name in part.slice["sets"]][-1:]
        mean, sd = next((part.slice["expected"].get(name) or (None, 0.0) for part in by), (None, 0.0))
        pairs = [part.slice["sets"] for part in by] + [part.slice["effect"]["adds"] for part in hooks]
        pair = next((pair[name] for pair in pairs if name in pair), ("", ""))
        makers = (*(part.slice["name"] for part in by), *_rewriters(hooks, name))
        fixed = _fixed(by[0]) if by and len(makers) == 1 else None
        found[name] = Wanted(mean, float(sd or 0.0), makers, pair=tuple(pair), fixed=fixed)
    return found


def digests(results: Path, builds: Iterable[str] | None = None) -> dict[str, str]:
    """Return part -> digest, of every file of the build phase."""
    folder = results / "build"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): build.read(path).digest for path in _paths(results, builds)
    }


def seeds(results: Path, builds: Iterable[str] | None = None) -> list[int]:
    """Return the seeds that parts draw their random numbers with."""
    found = (build.read(path).slice.get("seed") for path in _paths(results, builds))
    return sorted({int(seed) for seed in found if seed is not None})


def _parts(results: Path, phase: str, builds: Iterable[str] | None) -> list[build.Built]:
    return [build.read(path) for path in _paths(results, builds) if path.parent.name == phase]


def _paths(results: Path, builds: Iterable[str] | None) -> list[Path]:
    """Return the files of the build phase that belong to the circuit: `builds`, or all that lie in the results.

    Parts that are no longer in the description stay in the results, so a page of the circuit has to say which count.
    """
    folder = results / "build"
    paths = folder.rglob("*.h5") if builds is None else map(Path, builds)
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


def _attributes(part: build.Built) -> dict:
    return part.slice["component"]["attributes"]


def _placed(part: build.Built, cell_type: str) -> int:
    return int(part.arrays["counts"][_attributes(part)["cell_types"].index(cell_type)].sum())


def _located(part: build.Built) -> bool:
    """Return whether the cells of a placement are somewhere; a class that is not installed here is taken to say so."""
    return all(cls.located for cls in components.find("placement", part.slice["component"]["class"]))


def _fixed(part: build.Built) -> tuple[str, int] | None:
    """Return "in" or "out" and the degree that a strategy gives every cell; None where degrees vary by design."""
    for cls in components.find("connectivity", part.slice["component"]["class"]):
        for side, strategy in (("in", FixedIndegree), ("out", FixedOutdegree)):
            if cls is strategy:
                return side, int(_attributes(part)[f"{side}degree"])
    return None


def _rewriters(hooks: list[build.Built], name: str) -> list[str]:
    effects = {hook.slice["name"]: hook.slice["effect"] for hook in hooks}
    return [hook for hook, effect in effects.items() if name in effect["adds"] or name in effect["rewrites"]]


def _volume(results: Path, partitions: list[str]) -> float | None:
    """Return the volume of some partitions, um^3; None if there are none or one's file is missing."""
    files = [results / "build" / "partition" / f"{name}.h5" for name in sorted(set(partitions))]
    if not files or not all(file.exists() for file in files):
        return None
    parts = {part.slice["name"]: part for part in map(build.read, files)}
    space = build.space_of(parts)
    return float(sum(space.volume(name) for name in parts))
