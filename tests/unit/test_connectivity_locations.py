import numpy as np
import pytest

from descriptions import edited, plan_of, run, write
from shapes import CELL, OTHER, parsed
from snakefold.connectivity.locations import AFFERENT, columns, locate
from snakefold.loading import BrokenCircuit, load
from snakefold.sonata.edges import Edges

OWN = """
import numpy as np
from snakefold.connectivity.locations import AFFERENT, columns, locate
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


def test_the_location_of_a_point_is_its_place_along_its_branch(tmp_path):
    morphology = parsed(tmp_path, CELL)
    found = locate(AFFERENT, morphology, np.arange(len(morphology)))
    for branch in range(morphology.n_branches):
        points = np.arange(morphology.first[branch], morphology.last[branch] + 1)
        xyz = morphology.points[points]
        lengths = np.linalg.norm(np.diff(xyz, axis=0), axis=1)
        if morphology.tags[points[0]] == 1:
            assert (found["afferent_section_id"][points] == 0).all()
            continue
        whole = max(lengths.sum(), 1e-9)
        np.testing.assert_allclose(
            found["afferent_section_pos"][points], np.append(0, np.cumsum(lengths)) / whole, atol=1e-6
        )
        segment = found["afferent_segment_id"][points]
        assert segment.tolist() == [0, *range(len(lengths))]


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


def test_labels_that_a_strategy_does_not_look_at_are_a_warning(described, tmp_path):
    tree = described(("connectivity.a_to_b.presynaptic.morphology_labels", ["axon"]))
    (warning,) = [w for w in load(write(tmp_path, tree)).warnings if "ToTips" in str(w)]
    assert "does not look at the morphologies" in str(warning)
