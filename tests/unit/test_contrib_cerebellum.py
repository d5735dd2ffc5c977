"""The rules of the granular layer: each against its definition, on random positions, and together in a small circuit."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import plan_of, run, write
from fakes import FakeCells, build
from shapes import parsed
from snakefold.connectivity.locations import AFFERENT, EFFERENT, columns, locate
from snakefold.connectivity.strategy import Given
from snakefold.contrib.cerebellum import glomerulus_golgi, glomerulus_granule, to_glomerulus
from snakefold.contrib.cerebellum.dependence import index_of
from snakefold.contrib.cerebellum.glomerulus_golgi import GlomerulusToGolgi
from snakefold.contrib.cerebellum.glomerulus_granule import GlomerulusToGranule
from snakefold.contrib.cerebellum.golgi_glomerulus import GolgiToGlomerulus
from snakefold.contrib.cerebellum.tips import ends, tips
from snakefold.contrib.cerebellum.to_glomerulus import MossyToGlomerulus
from snakefold.errors import UserError
from snakefold.loading import BrokenCircuit, load
from snakefold.morphology.rotations import turned_by, uniform
from snakefold.sonata.edges import Edges

SOMA = "1 1 0 0 0 2 -1\n"
GRANULE = SOMA + "".join(
    f"{2 * i + 2} 3 {x} {y} 0 1 1\n{2 * i + 3} 3 {5 * x} {5 * y} -4 1 {2 * i + 2}\n"
    for i, (x, y) in enumerate([(3, 0), (-3, 0), (0, 3), (0, -3), (2, 2)])
)
GOLGI = (
    SOMA
    + "2 3 0 5 0 1 1\n3 3 9 20 0 1 2\n4 3 -9 20 0 1 2\n5 3 -9 30 5 1 4\n6 3 0 -20 0 1 1\n7 3 0 -30 9 1 6\n"
    + "8 2 5 0 0 1 1\n9 2 30 0 9 1 8\n10 2 30 0 -9 1 8\n"
)
BOX = np.array([150.0, 120.0, 100.0])


class Placed(FakeCells):
    """Cells with positions and, some of them, shapes."""

    morphologies = ("shape",)
    rotations = None

    def __init__(self, positions, first=0):
        super().__init__(len(positions), first)
        self.positions = np.asarray(positions, np.float32)
        self.morphology = np.zeros(len(positions), np.uint32)


class Linked:
    """Synapses as a strategy reads them from an edge set."""

    def __init__(self, source, target, pairs, **more):
        self.source, self.target, self.n, self.more = source, target, len(pairs), more
        self.pairs = np.asarray(pairs, np.uint64).reshape(-1, 2)
        self.columns = dict.fromkeys(more)

    def block(self):
        return self.pairs[:, 0], self.pairs[:, 1]

    def column(self, name):
        return self.more[name]


def placed(n, seed):
    return np.random.default_rng(seed).random((n, 3)) * BOX


def distances(a, b):
    return np.linalg.norm(np.float32(a)[:, None].astype(float) - np.float32(b).astype(float), axis=2)


def within(counts, n, p, sd=5):
    """Whether counts are of n trials with some probabilities, within so many standard deviations."""
    return (np.abs(counts - n * p) <= sd * np.sqrt(n * p * (1 - p)) + 1e-9).all()


# Mossy fibres to glomeruli


def fibres_of(glomeruli, fibres, x, y, seed=1):
    strategy = build(MossyToGlomerulus, "m", "g", x_length=x, y_length=y)
    made = strategy.connect({"m": Placed(fibres)}, {"g": Placed(glomeruli)}, np.random.default_rng(seed), Given())
    assert made["m", "g"].target.tolist() == list(range(len(glomeruli)))
    return made["m", "g"].source


def test_a_glomerulus_takes_a_fibre_in_its_box_or_else_the_nearest(monkeypatch):
    glomeruli, fibres = placed(400, 1), placed(40, 2)
    taken = fibres_of(glomeruli, fibres, 20, 10)
    apart = np.abs(np.float32(glomeruli)[:, None] - np.float32(fibres))
    inside = (apart[..., 0] <= 20) & (apart[..., 1] <= 10)
    boxed = inside.any(axis=1)
    assert 50 < boxed.sum() < 350
    assert inside[boxed, taken[boxed]].all()
    assert (taken[~boxed] == distances(glomeruli, fibres).argmin(axis=1)[~boxed]).all()
    monkeypatch.setattr(to_glomerulus, "_MOST_PAIRS", 100)
    assert (fibres_of(glomeruli, fibres, 20, 10) == taken).all()


def test_nearer_fibres_are_taken_more_often_as_the_rule_says():
    fibres, n = placed(7, 3), 40_000
    taken = fibres_of(np.tile(BOX / 2, (n, 1)), fibres, 200, 200)
    order = distances([BOX / 2], fibres)[0].argsort()
    t = np.arange(8) / 7
    below = 1 + np.log(t * (1 - np.exp(-2)) + np.exp(-2)) / 2  # P(t' < t), from u = 1 - below
    assert within(np.bincount(taken, minlength=7)[order], n, np.diff(below))


def test_without_fibres_nothing_can_be_taken():
    strategy = build(MossyToGlomerulus, "m", "g", x_length=9, y_length=9)
    assert strategy.faults({"m": 0, "g": 3}) and not strategy.faults({"m": 0, "g": 0})
    assert strategy.expected(("m", "g"), {"m": 2, "g": 30}) == (30, 0)
    with pytest.raises(UserError, match="there are none"):
        fibres_of(placed(3, 1), np.empty((0, 3)), 9, 9)


# Glomeruli to granule cells


@pytest.fixture
def granule(tmp_path):
    return parsed(tmp_path, GRANULE)


def granular(**more):
    own = {"radius": 30, "convergence": 4, "pre_glom_strats": ["up"], "pre_cell_types": ["m"]}
    strategy = build(GlomerulusToGranule, "g", "c", **(own | more))
    strategy.postsynaptic.morphology_labels = ["dendrites"]
    return strategy


def dendrites_of(granules, glomeruli, fibre, shape, seed=1, strategy=None):
    """Return (n, 4): the glomeruli of each granule cell; and the sections that they are on."""
    up = Linked("m", "g", np.stack([fibre, np.arange(len(fibre))], axis=1))
    given = Given(edges={"up": up}, morphologies={"shape": shape})
    strategy = strategy or granular()
    rng = np.random.default_rng(seed)
    made = strategy.connect({"g": Placed(glomeruli)}, {"c": Placed(granules)}, rng, given)["g", "c"]
    assert made.target.tolist() == np.repeat(np.arange(len(granules)), strategy.convergence).tolist()
    return (made.source.reshape(len(granules), -1), made.columns["afferent_section_id"].reshape(len(granules), -1))


def test_a_granule_cell_takes_near_glomeruli_of_different_fibres(granule, monkeypatch):
    granules, glomeruli = placed(600, 1), placed(120, 2)
    fibre = np.random.default_rng(3).integers(0, 9, 120)
    taken, section = dendrites_of(granules, glomeruli, fibre, granule)
    distance = distances(granules, glomeruli)
    n_short = 0
    for i in range(len(granules)):
        near = set(fibre[distance[i] < 30].tolist())
        assert len(set(fibre[taken[i]].tolist())) == 4
        is_near = distance[i, taken[i]] < 30
        assert is_near.sum() == min(4, len(near)) and (np.diff(is_near.astype(int)) <= 0).all()
        n_short += len(near) < 4
        for glomerulus in taken[i][~is_near]:
            of = np.flatnonzero(fibre == fibre[glomerulus])
            assert glomerulus == of[distance[i, of].argmin()]
    assert 20 < n_short < 580
    tip = set(locate(AFFERENT, granule, ends(granular().postsynaptic, granule))["afferent_section_id"].tolist())
    assert len(tip) == 5 and all(len(set(row)) == 4 and set(row) <= tip for row in section.tolist())
    monkeypatch.setattr(glomerulus_granule, "_MOST_PAIRS", 50)
    again = dendrites_of(granules, glomeruli, fibre, granule)
    assert (again[0] == taken).all() and (again[1] == section).all()


def test_clusters_are_as_likely_as_each_other_and_so_are_their_glomeruli_and_the_dendrites(granule):
    n, fibre = 20_000, np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6])
    glomeruli = BOX / 2 + np.random.default_rng(5).uniform(-8, 8, (len(fibre), 3))
    taken, section = dendrites_of(np.tile(BOX / 2, (n, 1)), glomeruli, fibre, granule)
    share = 4 / 6 / np.bincount(fibre)[fibre]
    assert within(np.bincount(taken.ravel(), minlength=len(fibre)), n, share)
    assert within(np.bincount(fibre[taken[:, 0]], minlength=6), n, np.full(6, 1 / 6))
    for slot in range(4):
        assert within(np.unique(section[:, slot], return_counts=True)[1], n, np.full(5, 1 / 5))


def test_beyond_the_radius_the_clusters_left_over_are_as_likely_as_each_other(granule):
    n, fibre = 20_000, np.repeat(np.arange(7), 3)
    glomeruli = placed(len(fibre), 6) + np.array([500.0, 0, 0])
    glomeruli[:2] = BOX / 2  # two near ones of the first fibre
    taken, _ = dendrites_of(np.tile(BOX / 2, (n, 1)), glomeruli, fibre, granule)
    assert set(taken[:, 0].tolist()) == {0, 1}
    distance = distances([BOX / 2], glomeruli)[0]
    nearest = [np.flatnonzero(fibre == c)[distance[fibre == c].argmin()] for c in range(1, 7)]
    counts = np.bincount(taken[:, 1:].ravel(), minlength=len(fibre))
    assert within(counts[nearest], n, np.full(6, 1 / 2)) and counts.sum() == counts[nearest].sum()


def test_too_few_fibres_or_dendrites_are_told(granule):
    strategy = granular(convergence=5)
    assert strategy.expected(("g", "c"), {"g": 9, "c": 7}) == (35, 0)
    assert not strategy.faults({"m": 5, "g": 9, "c": 7})
    ((key, what),) = strategy.faults({"m": 4, "g": 9, "c": 7})
    assert key == "convergence" and "only 4 cells of m" in what
    with pytest.raises(UserError, match="that feed any are only 3"):
        dendrites_of(placed(2, 1), placed(9, 2), np.arange(9) % 3, granule)
    with pytest.raises(UserError, match='"shape" has only 5'):
        dendrites_of(placed(2, 1), placed(9, 2), np.arange(9), granule, strategy=granular(convergence=6))


# Glomeruli to Golgi cells


@pytest.fixture
def golgi(tmp_path):
    return parsed(tmp_path, GOLGI)


def near_golgi(cells, glomeruli, shape, seed=1):
    strategy = build(GlomerulusToGolgi, "g", "c", radius=40)
    strategy.postsynaptic.morphology_labels = ["dendrites"]
    given = Given(morphologies={"shape": shape})
    return strategy, strategy.connect({"g": Placed(glomeruli)}, {"c": cells}, np.random.default_rng(seed), given)[
        "g", "c"
    ]


def test_a_golgi_cell_takes_all_glomeruli_within_the_radius(golgi, monkeypatch):
    cells, glomeruli = Placed(placed(30, 1)), placed(300, 2)
    strategy, made = near_golgi(cells, glomeruli, golgi)
    have = sorted(zip(made.target.tolist(), made.source.tolist(), strict=True))
    assert strategy.halo_um == 40
    assert have == [tuple(x) for x in np.argwhere(distances(cells.positions, glomeruli) < 40).tolist()]
    monkeypatch.setattr(glomerulus_golgi, "_MOST_DISTANCES", 60)
    again = near_golgi(cells, glomeruli, golgi)[1]
    assert all((again.columns[name] == values).all() for name, values in made.columns.items())


@pytest.mark.parametrize("turned", [False, True])
def test_tips_are_taken_by_their_distance_as_the_rule_says(golgi, turned):
    """With 3 tips, only the nearest can be taken."""
    cells, glomeruli = Placed(placed(40, 1)), placed(300, 2)
    if turned:
        cells.rotations = uniform(40, np.random.default_rng(5))
    strategy, made = near_golgi(cells, glomeruli, golgi)
    tip = tips(strategy.postsynaptic, golgi)
    assert len(tip) == 3
    points = golgi.points[tip]
    if turned:
        points = turned_by(np.repeat(cells.rotations[made.target], 3, axis=0), np.tile(points, (len(made.target), 1)))
        points = points.reshape(-1, 3, 3)
    places = cells.positions[made.target].astype(float)[:, None] + points
    apart = np.linalg.norm(places - np.float32(glomeruli)[made.source].astype(float)[:, None], axis=2)
    wanted = locate(AFFERENT, golgi, tip[apart.argmin(axis=1)])
    assert len(set(wanted["afferent_section_id"].tolist())) == 3
    assert all((made.columns[name] == values).all() for name, values in wanted.items())


def test_of_many_tips_the_nearest_few_are_taken(tmp_path):
    lines = [f"{i + 2} 3 {10 + 2 * i} {i} 0 1 1\n" for i in range(20)]
    star, n = parsed(tmp_path, SOMA + "".join(lines)), 20_000
    strategy, made = near_golgi(Placed([[50, 50, 50]]), np.tile([40.0, 50, 50], (n, 1)), star)
    tip = tips(strategy.postsynaptic, star)
    order = np.linalg.norm(star.points[tip] - [-10, 0, 0], axis=1).argsort()
    section = locate(AFFERENT, star, tip[order])["afferent_section_id"]
    counts = np.array([(made.columns["afferent_section_id"] == s).sum() for s in section])
    wanted = (1 - np.exp(-np.arange(4) / 20 / 0.03)) / (1 - np.exp(-5))
    assert len(tip) == 20 and within(counts[:3], n, np.diff(wanted)) and counts.sum() == counts[:3].sum() == n


def test_shares_are_exponential_and_end():
    x = glomerulus_golgi.share(np.random.default_rng(1).random(100_000))
    assert x.min() >= 0 and x.max() < 0.15
    at = np.linspace(0, 0.15, 16)
    wanted = (1 - np.exp(-at / 0.03)) / (1 - np.exp(-5))
    assert within(np.histogram(x, at)[0], 100_000, np.diff(wanted))


# Golgi cells through glomeruli


@pytest.mark.parametrize(("radius", "divergence"), [(45, 6), (500, 3), (30, 1000)])
def test_a_golgi_cell_reaches_all_that_the_nearest_glomeruli_feed(golgi, radius, divergence):
    rng = np.random.default_rng(3)
    cells, glomeruli = placed(25, 1), placed(90, 2)
    links = np.stack([rng.integers(0, 80, 400), np.sort(rng.integers(0, 70, 400))], axis=1)  # some feed none
    at = {name: rng.integers(1, 99, 400).astype(kind) for name, kind in columns(AFFERENT).items()}
    strategy = build(
        GolgiToGlomerulus,
        "p",
        "c",
        radius=radius,
        divergence=divergence,
        glom_post_strats=["down"],
        glom_cell_types=["g"],
    )
    strategy.presynaptic.morphology_labels = ["axon"]
    given = Given(
        edges={"down": Linked("g", "c", links, **at)}, cells={"g": Placed(glomeruli)}, morphologies={"shape": golgi}
    )
    targets = {"c": Placed(placed(70, 4))}
    made = strategy.connect({"p": Placed(cells)}, targets, np.random.default_rng(1), given)["p", "c"]
    wanted, distance = [], distances(cells, glomeruli)
    fed = np.unique(links[:, 0])
    for i in range(len(cells)):
        near = fed[distance[i, fed].argsort()]
        for glomerulus in near[distance[i, near] <= radius][:divergence]:
            rows = np.flatnonzero(links[:, 0] == glomerulus)
            wanted += [(i, links[r, 1], *(at[name][r] for name in sorted(at))) for r in rows]
    rows = zip(made.source, made.target, *(made.columns[name] for name in sorted(at)), strict=True)
    assert sorted(rows) == sorted(wanted) and len(wanted) > 40
    tip = locate(EFFERENT, golgi, tips(strategy.presynaptic, golgi))["efferent_section_id"]
    n = np.array([(made.columns["efferent_section_id"] == t).sum() for t in tip])
    assert len(tip) == 2 and n.sum() == len(wanted) and within(n, len(wanted), np.full(2, 1 / 2))


# All of them


def circuit(folder: Path) -> dict:
    """Return a small circuit with all four rules, its morphologies in a folder beside that of a part of it."""
    (folder / "shapes").mkdir(exist_ok=True)
    (folder / "shapes/grain.swc").write_text(GRANULE)
    (folder / "shapes/golgi.swc").write_text(GOLGI)
    shapes = {"morphologies": [{"file": "shapes/grain.swc"}, {"file": "shapes/golgi.swc"}]}
    write(folder / "shapes", shapes, "shapes.yaml")
    rule = "cerebellar_models.connectome"

    def side(*types, labels=()):
        return {"cell_types": list(types)} | ({"morphology_labels": list(labels)} if labels else {})

    return {
        "components": ["cerebellar_models.nest_models.build_models"],
        "$import": {"ref": "shapes/shapes.yaml#/", "values": ["morphologies"]},
        "rng": {"seed": 4},
        "network": {"x": 120, "y": 100, "z": 60, "chunk_size": 50},
        "partitions": {"granular": {"thickness": 60}},
        "cell_types": {
            "glom": {"spatial": {"radius": 1.5, "count": 150}},
            "mossy": {"spatial": {"radius": 1, "relative_to": "glom", "count_ratio": 0.1}},
            "grain": {"spatial": {"radius": 2.5, "count": 700, "morphologies": ["grain"]}},
            "golgi": {"spatial": {"radius": 8, "count": 9, "morphologies": ["golgi"]}},
        },
        "placement": {
            "all": {"strategy": "random", "partitions": ["granular"], "cell_types": ["glom", "mossy", "grain", "golgi"]}
        },
        "connectivity": {
            "up": {
                "strategy": f"{rule}.to_glomerulus.ConnectomeMossyGlomerulus",
                "presynaptic": side("mossy"),
                "postsynaptic": side("glom"),
                "x_length": 60,
                "y_length": 20,
            },
            "grains": {
                "strategy": f"{rule}.glomerulus_granule.ConnectomeGlomerulusGranule",
                "presynaptic": side("glom"),
                "postsynaptic": side("grain", labels=["dendrites"]),
                "pre_glom_strats": ["up"],
                "pre_cell_types": ["mossy"],
                "radius": 40,
                "convergence": 4,
            },
            "golgis": {
                "strategy": f"{rule}.glomerulus_golgi.ConnectomeGlomerulusGolgi",
                "presynaptic": side("glom"),
                "postsynaptic": side("golgi", labels=["dendrites"]),
                "radius": 50,
            },
            "down": {
                "strategy": f"{rule}.golgi_glomerulus.ConnectomeGolgiGlomerulus",
                "presynaptic": side("golgi", labels=["axon"]),
                "postsynaptic": side("grain"),
                "glom_post_strats": ["grains"],
                "glom_cell_types": ["glom"],
                "radius": 60,
                "divergence": 10,
            },
        },
        "after_connectivity": {
            "page": {
                "strategy": "cerebellar_models.analysis.structure_analysis.RunStructureReport",
                "output_filename": "structure.pdf",
            }
        },
    }


def test_all_four_in_a_circuit_are_the_same_for_any_number_of_tiles(tmp_path):
    digests = []
    for tiles in (1, 3):
        folder = tmp_path / str(tiles)
        folder.mkdir()
        plan = run(plan_of(folder, circuit(folder), tiles))
        sets = {s: plan.edges(s) for s in ("up", "grains", "golgis", "down")}
        digests.append({s: hashlib.sha256(Path(path).read_bytes()).hexdigest() for s, path in sets.items()})
    assert digests[0] == digests[1]
    edges = {s: Edges(path) for s, path in sets.items()}
    assert (edges["up"].n, edges["grains"].n) == (150, 2800)
    assert edges["up"].in_degrees().tolist() == [1] * 150 and edges["grains"].in_degrees().tolist() == [4] * 700
    assert edges["golgis"].n > 100 and edges["down"].n > 9 * 10 * 5
    fed, golgi = edges["grains"], edges["down"]
    ends_of_grains = set(zip(fed.block()[1], fed.column("afferent_section_id"), strict=True))
    assert set(zip(golgi.block()[1], golgi.column("afferent_section_id"), strict=True)) <= ends_of_grains
    assert plan.after_connectivity == {} and "after_connectivity/page" not in plan.parts
    assert any('"structure.pdf" is not made' in warning for warning in plan.warnings)


def test_what_the_rules_cannot_do_is_told_before_anything_runs(tmp_path):
    tree = circuit(tmp_path)
    tree["connectivity"]["grains"]["pre_glom_strats"] = ["golgis"]
    tree["connectivity"]["grains"]["convergence"] = 16
    tree["connectivity"]["down"]["glom_post_strats"] = ["up"]
    tree["connectivity"]["golgis"]["postsynaptic"]["morphology_labels"] = ["dendrite"]
    with pytest.raises(BrokenCircuit) as told:
        load(write(tmp_path, tree))
    for words in (
        '"golgis" connects none of mossy with glom',
        "only 15 cells of mossy",
        '"up" connects none of glom with grain',
        'did you mean "dendrites"?',
    ):
        assert words in str(told.value)
    assert len(told.value.mistakes) == 4


def test_a_glomerulus_at_the_radius_is_not_nearer_than_it(granule):
    """Of six fibres none has a near glomerulus, so that each is as likely to come first."""
    glomeruli = np.concatenate([[[30.0, 0, 0]], 500 + placed(5, 1)])
    taken, _ = dendrites_of(np.zeros((6000, 3)), glomeruli, np.arange(6), granule)
    assert within(np.bincount(taken[:, 0], minlength=6), 6000, np.full(6, 1 / 6))


def test_cells_that_are_not_among_those_given_have_no_index():
    assert index_of(Placed(placed(3, 1), first=10), np.array([9, 10, 12, 13])).tolist() == [-1, 0, 2, -1]
    assert index_of(Placed(placed(0, 1)), np.array([0, 4])).tolist() == [-1, -1]
