"""Locations of contacts: what MorphIO finds there in the file that is written for other programs."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from descriptions import edited, plan_of, run, write
from shapes import CELL, OTHER
from snakefold.connectivity.locations import AFFERENT, EFFERENT, KINDS, columns, locate, located
from snakefold.loading import BrokenCircuit, load
from snakefold.morphology import swc
from snakefold.morphology.morphology import Morphology, coded
from snakefold.sonata.edges import Edges

OWN = """
import numpy as np
from snakefold.connectivity.locations import AFFERENT, columns, locate, located
from snakefold.connectivity.strategy import ConnectivityStrategy, Synapses

class ToTips(ConnectivityStrategy):
    shaped = ("postsynaptic",)
    columns = columns(AFFERENT)

    def prepare(self, sources, targets, given):
        return {name: self.postsynaptic.points_of(m)[-1:] for name, m in given.morphologies.items()}

    def connect(self, sources, targets, rng, given):
        made = {}
        for pre, post in self.pairs():
            cells = targets[post]
            at = {}
            for code, name in enumerate(cells.morphologies):
                point = given.prepared[name]
                at[code] = locate(AFFERENT, given.morphologies[name], point)
            of = {c: np.array([at[m][c][0] for m in cells.morphology.tolist()]) for c in self.columns}
            made[pre, post] = Synapses(np.zeros(len(cells), int), np.arange(len(cells)), of)
        return made
"""


@pytest.fixture
def described(tmp_path):
    for name, text in {"pyr.swc": CELL, "int.swc": OTHER, "tips_of_cells.py": OWN}.items():
        (tmp_path / name).write_text(text)

    def tree(*edits):
        return edited(
            ("components", ["tips_of_cells.py"]),
            ("morphologies", ["pyr.swc", "int.swc"]),
            ("cell_types.b.spatial.morphologies", ["pyr", "int"]),
            ("connectivity.a_to_b.strategy", "tips_of_cells.ToTips"),
            ("connectivity.a_to_b.indegree", ...),
            *edits,
        )

    return tree


@pytest.mark.parametrize("tiles", [1, 3])
def test_a_strategy_reads_morphologies_and_says_where_contacts_are(described, tmp_path, tiles):
    labels = ("connectivity.a_to_b.postsynaptic.morphology_labels", ["axon"])
    tree = described(labels, ("cell_types.b.spatial.morphologies", ["pyr"]))
    edges = Edges(run(plan_of(tmp_path, tree, tiles)).edges("a_to_b"))
    assert set(columns(AFFERENT)) <= set(edges.columns)
    assert set(edges.column("afferent_segment_offset").tolist()) == {15.0}


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([("cell_types.b.spatial.morphologies", ...)], '"b" has no morphology'),
        ([("connectivity.a_to_b.postsynaptic.morphology_labels", ["axxon"])], 'labelled axxon; did you mean "axon"?'),
        ([("connectivity.a_to_b.postsynaptic.morphology_labels", [])], "morphology_labels"),
    ],
)
def test_what_a_strategy_cannot_find_on_cells_is_said_before_anything_runs(described, tmp_path, edits, said):
    with pytest.raises(BrokenCircuit, match=said):
        load(write(tmp_path, described(*edits)))


def test_a_shape_that_cannot_be_read_is_told_once(described, tmp_path):
    (tmp_path / "pyr.swc").unlink()
    tree = described(("cell_types.b.spatial.morphologies", ["pyr"]))
    with pytest.raises(BrokenCircuit) as told:
        load(write(tmp_path, tree))
    (mistake,) = told.value.mistakes
    assert "pyr.swc cannot be read" in str(mistake)


def test_labels_that_a_strategy_does_not_look_at_are_a_warning(described, tmp_path):
    tree = described(("connectivity.a_to_b.presynaptic.morphology_labels", ["axon"]))
    (warning,) = [w for w in load(write(tmp_path, tree)).warnings if "ToTips" in str(w)]
    assert "does not look at the morphologies" in str(warning)


LABELS = {1: ("soma",), 2: ("axon",), 3: ("dendrites",), 16: ("axon", "beam"), 17: ("dendrites", "basal")}


def shape(points, tags, offsets, parents) -> Morphology:
    codes, sets = coded(np.array(tags), LABELS)
    return Morphology(np.array(points, float), np.ones(len(points)), tags, codes, offsets, parents, sets)


def random_tree(seed: int) -> Morphology:
    """Return a cell of branches with and without copies of what they grow from, of one child and many, in any order."""
    rng = np.random.default_rng(seed)
    n_soma = int(rng.integers(0, 4))
    points, tags, sizes, parents = [], [], [], []

    def branch(parent: int, n: int, tag: int, start: np.ndarray, copy: bool) -> None:
        steps = rng.normal(0, 8, (n, 3)) * (rng.random((n, 1)) > 0.1)  # some points lie on those before
        own = start + np.cumsum(steps, axis=0)
        rows = np.concatenate([[start], own]) if copy else own
        points.append(rows)
        tags.append(np.full(len(rows), tag))
        sizes.append(len(rows))
        parents.append(parent)

    if n_soma and rng.random() < 0.2:
        branch(-1, int(rng.integers(1, 5)), 2, np.full(3, 99.0), copy=False)
    if n_soma:
        branch(-1, n_soma, 1, np.zeros(3), copy=False)
        somata = [len(parents) - 1]
    else:
        branch(-1, int(rng.integers(1, 5)), int(rng.choice([2, 3, 16])), np.zeros(3), copy=False)
    for _ in range(int(rng.integers(0, 14))):
        if n_soma and rng.random() < 0.2:  # more of the soma, from which neurites grow, too
            of = somata[-1]
            branch(of, int(rng.integers(1, 3)), 1, points[of][-1], rng.random() < 0.5)
            somata.append(len(parents) - 1)
        parent = int(rng.integers(-1 if n_soma else 0, len(parents)))
        if n_soma and rng.random() < 0.3:
            parent = int(rng.choice(somata))
        start = points[parent][-1] if parent >= 0 else rng.normal(0, 50, 3)
        copy = parent >= 0 and rng.random() < 0.7
        branch(parent, int(rng.integers(1, 5)), int(rng.choice([2, 3, 16, 17])), start, copy)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return shape(np.concatenate(points), np.concatenate(tags), offsets, parents)


def of_morphio(folder, morphology: Morphology):
    import morphio

    file = folder / "exported.swc"
    file.write_text(swc.write(morphology, standard=True))
    morphio.set_maximum_warnings(0)
    return morphio.Morphology(str(file))


def isolated(morphology: Morphology, point: int) -> bool:
    branch = morphology.branch_of[point]
    alone = morphology.parents[branch] < 0 and branch not in morphology.parents
    return alone and (morphology.branch_of == branch).sum() == 1


def check(folder, morphology: Morphology) -> None:
    """Check that the location of each point is that point, in MorphIO's arrays."""
    theirs = of_morphio(folder, morphology)
    found = locate(AFFERENT, morphology, np.arange(len(morphology)))
    section, pos, segment, offset = (found[f"afferent_{name}"] for name in KINDS)
    soma = np.concatenate([theirs.soma.points, np.full((1, 3), np.inf)])
    starts = []
    for i, point in enumerate(morphology.points):
        if section[i] == 0:
            assert (segment[i], offset[i], pos[i]) == (0, 0.0, 0.5)
            assert np.abs(soma - point).max(axis=1).min() < 1e-3 or isolated(morphology, i)
            continue
        own = theirs.section(int(section[i]) - 1).points.astype(float)
        lengths = np.linalg.norm(np.diff(own, axis=0), axis=1)
        at, length = int(segment[i]), float(offset[i])
        assert at < max(len(lengths), 1)
        if len(lengths) and lengths[at] > 0:
            there = own[at] + (own[at + 1] - own[at]) * length / lengths[at]
        else:
            assert length < 1e-3
            there = own[at]
        assert np.abs(there - point).max() < 1e-3
        along = lengths[:at].sum() + length
        assert pos[i] == pytest.approx(along / lengths.sum() if lengths.sum() > 0 else 0.0, abs=1e-4)
        starts.append(int(section[i]))
    assert set(starts) == {s.id + 1 for s in theirs.iter()}


@settings(max_examples=150)
@given(seed=st.integers(0, 10**6))
def test_each_point_is_where_morphio_finds_it(tmp_path_factory, seed):
    check(tmp_path_factory.mktemp("tree"), random_tree(seed))


@pytest.mark.parametrize(
    ("morphology", "sections"),
    [
        # a soma of one point, and the one branch that goes on from it
        (shape([[0, 0, 0], [5, 0, 0], [9, 0, 0]], [1, 3, 3], [0, 3], [-1]), [0, 1, 1]),
        # branches that grow from a soma, with and without a copy of its point, which is on the soma
        (
            shape([[0, 0, 0], [0, 0, 0], [5, 0, 0], [0, 4, 0], [0, 9, 0]], [1, 3, 3, 2, 2], [0, 1, 3, 5], [-1, 0, 0]),
            [0, 0, 1, 2, 2],
        ),
        # a change of type without a branching point is no section; the copy is the point before it
        (shape([[0, 0, 0], [4, 0, 0], [4, 0, 0], [9, 0, 0]], [2, 2, 16, 16], [0, 2, 4], [-1, 0]), [1, 1, 1, 1]),
        # the copy of a branching point is at the start of the section that grows there
        (
            shape(
                [[0, 0, 0], [4, 0, 0], [4, 0, 0], [9, 0, 0], [4, 0, 0], [4, 7, 0]],
                [3, 3, 3, 3, 3, 3],
                [0, 2, 4, 6],
                [-1, 0, 0],
            ),
            [1, 1, 2, 2, 3, 3],
        ),
    ],
)
def test_sections_counted_by_hand(tmp_path, morphology, sections):
    assert locate(EFFERENT, morphology, np.arange(len(morphology)))["efferent_section_id"].tolist() == sections
    check(tmp_path, morphology)


def test_columns_are_of_the_kinds_they_are_said_to_be():
    found = locate(EFFERENT, random_tree(4), np.array([1, 1, 0]))
    assert {name: values.dtype.str[1:] for name, values in found.items()} == columns(EFFERENT)
    assert all(len(values) == 3 for values in found.values())


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_a_contact_within_a_segment_is_where_morphio_finds_it(tmp_path_factory, seed):
    morphology = random_tree(seed)
    theirs = of_morphio(tmp_path_factory.mktemp("tree"), morphology)
    ends = morphology.segments()
    fraction = np.random.default_rng(seed).random(len(ends))
    found = locate(AFFERENT, morphology, ends, fraction)
    section, pos, segment, offset = (found[f"afferent_{name}"] for name in KINDS)
    for i, (end, along) in enumerate(zip(ends, fraction, strict=True)):
        if section[i] == 0:
            assert (segment[i], offset[i], pos[i]) == (0, 0.0, 0.5)
            continue
        start, stop = morphology.points[end - 1 : end + 1]
        own = theirs.section(int(section[i]) - 1).points.astype(float)
        lengths = np.linalg.norm(np.diff(own, axis=0), axis=1)
        at = int(segment[i])
        if (
            morphology.tags[end - 1] == 1
            or locate(AFFERENT, morphology, np.array([end - 1]))["afferent_section_id"] == 0
        ):
            assert (at, offset[i], pos[i]) == (0, 0.0, 0.0)  # from the soma to the section's start
            continue
        length = max(lengths[at] if len(lengths) else 0.0, 1e-9)
        there = own[at] + (own[min(at + 1, len(own) - 1)] - own[at]) * offset[i] / length
        assert np.abs(there - (start + along * (stop - start))).max() < 2e-3
        passed = lengths[:at].sum() + offset[i]
        assert pos[i] == pytest.approx(passed / lengths.sum() if lengths.sum() > 0 else 0.0, abs=1e-4)


def test_locations_of_cells_with_different_morphologies():
    shapes_of = {name: random_tree(seed) for name, seed in (("p", 4), ("q", 9))}
    some = SimpleNamespace(morphologies=("", "p", "q"), morphology=np.array([1, 2, 2, 1]))
    cell, point, fraction = np.array([3, 1, 0, 2, 1]), np.array([1, 2, 0, 3, 1]), np.array([0.5, 1, 0.1, 0, 0.3])
    for along in (None, fraction):
        found = located(EFFERENT, some, shapes_of, cell, point, along)
        for k, (i, p) in enumerate(zip(cell, point, strict=True)):
            name = some.morphologies[some.morphology[i]]
            alone = locate(EFFERENT, shapes_of[name], np.array([p]), None if along is None else along[k : k + 1])
            assert all(found[c][k] == alone[c][0] for c in columns(EFFERENT))
