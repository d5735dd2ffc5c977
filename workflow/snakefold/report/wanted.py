"""What the description asked for, from the files of the build phase: cells per type, synapses per set, and by whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
    changed_by : names of the hooks among them that rewrite what strategies have made
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
    changed_by: tuple[str, ...] = ()
    volume: float | None = None
    pair: tuple[str, str] = ("", "")
    located: bool = True
    radius: float = 0.0
    fixed: tuple[str, int] | None = None


class Parts:
    """The parts of a circuit, from the files of the build phase, each read once.

    Attributes
    ----------
    digests : part -> digest
    seeds : with which parts draw their random numbers
    """

    def __init__(self, results: Path, builds: Iterable[str] | None = None):
        """Read the files `builds`, or all that lie in the results.

        Parts that are no longer in the description stay in the results; a page of the circuit has to say which count.
        """
        folder = results / "build"
        paths = folder.rglob("*.h5") if builds is None else map(Path, builds)
        found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}
        self._parts = {name: _short(build.read(found[name])) for name in sorted(found)}
        self.digests = {name: part.digest for name, part in self._parts.items()}
        seeds = (part.slice.get("seed") for part in self._parts.values())
        self.seeds = sorted({int(seed) for seed in seeds if seed is not None})

    def cells(self, placed_by: Mapping[str, Iterable[str]]) -> dict[str, Wanted]:
        """Return cell type -> what was wanted.

        Parameters
        ----------
        placed_by : cell type -> strategies that its node file names; a strategy that is in none, left over from an
            earlier description, does not count
        """
        strategies, hooks = self._of("place"), self._of("after_placement")
        found = {}
        for cell_type, names in placed_by.items():
            placing = [part for part in strategies if cell_type in part.slice["types"]]
            named = [part for part in placing if part.slice["name"] in set(names)]
            placing = named or placing
            somewhere = [part for part in placing if _located(part)]
            changed_by = _hooks(hooks, cell_type, "rewrites")
            radii = (part.slice["types"][cell_type].get("radius") for part in placing)
            found[cell_type] = Wanted(
                mean=float(sum(_placed(part, cell_type) for part in placing)) if placing else None,
                makers=(*(part.slice["name"] for part in placing), *_hooks(hooks, cell_type, "adds"), *changed_by),
                changed_by=changed_by,
                volume=self._volume(p for part in somewhere for p in _attributes(part).get("partitions", [])),
                located=bool(somewhere) or not placing,
                radius=max((float(radius or 0.0) for radius in radii), default=0.0),
            )
        return found

    def synapses(self, edge_sets: Iterable[str]) -> dict[str, Wanted]:
        """Return edge set -> what was wanted."""
        strategies, hooks = self._of("connect"), self._of("after_connectivity")
        found = {}
        for name in edge_sets:
            by = [part for part in strategies if name in part.slice["sets"]][-1:]
            mean, sd = next((part.slice["expected"].get(name) or (None, 0.0) for part in by), (None, 0.0))
            pairs = [part.slice["sets"] for part in by] + [part.slice["effect"]["adds"] for part in hooks]
            pair = next((pair[name] for pair in pairs if name in pair), ("", ""))
            changed_by = _hooks(hooks, name, "rewrites")
            makers = (*(part.slice["name"] for part in by), *_hooks(hooks, name, "adds"), *changed_by)
            fixed = _fixed(by[0]) if by and len(makers) == 1 else None
            found[name] = Wanted(mean, float(sd or 0.0), makers, changed_by, pair=tuple(pair), fixed=fixed)
        return found

    def _of(self, phase: str) -> list[build.Built]:
        return [part for name, part in self._parts.items() if Path(name).parent.name == phase]

    def _volume(self, partitions: Iterable[str]) -> float | None:
        """Return the volume of some partitions, um^3; None if there are none or one's file is missing."""
        parts = {name: self._parts.get(f"partition/{name}") for name in sorted(set(partitions))}
        if not parts or None in parts.values():
            return None
        space = build.space_of(parts)
        return float(sum(space.volume(name) for name in parts))


def _short(part: build.Built) -> build.Built:
    """Return a part without the arrays that nothing is asked of here: there may be points of all cells among them."""
    kept = {key: array for key, array in part.arrays.items() if key in ("boxes", "counts")}
    return replace(part, arrays=kept, compiled={})


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


def _hooks(hooks: list[build.Built], name: str, does: str) -> tuple[str, ...]:
    """Return the hooks that do something, "adds" or "rewrites", to a cell type or an edge set."""
    return tuple(hook.slice["name"] for hook in hooks if name in hook.slice["effect"][does])
