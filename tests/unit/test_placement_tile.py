import hashlib
from pathlib import Path

import numpy as np
import pytest

from descriptions import edited, place_inputs, plan_of, run, small
from snakefold import hdf5
from snakefold.errors import UserError
from snakefold.placement import tile as placing
from snakefold.sonata.nodes import Nodes


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def two_partitions():
    return edited(
        ("placement.lower.partitions", ["top", "base"]),
        ("placement.more", {"strategy": "random", "partitions": ["base"], "cell_types": ["a", "b"]}),
    )


def in_folder(folder, name):
    (folder / name).mkdir()
    return folder / name


@pytest.mark.parametrize("tree", [small(), two_partitions()], ids=["simple", "two strategies and partitions"])
def test_nodes_are_the_same_bytes_for_any_number_of_tiles(tmp_path, tree):
    found = []
    for tiles in (1, 2, 7, 60):
        plan = run(plan_of(in_folder(tmp_path, str(tiles)), tree, tiles), "place")
        found.append([sha(plan.nodes(t)) for t in "ab"])
    assert all(f == found[0] for f in found)


def test_a_tile_that_writes_the_nodes_itself_writes_what_gathering_writes(tmp_path):
    gathered = run(plan_of(in_folder(tmp_path, "gathered"), small(), 3), "place")
    direct = run(plan_of(in_folder(tmp_path, "direct"), small(), 1), "")
    placing.place(place_inputs(direct, "lower"), 0, 0, tmp_path / "journal", nodes=(direct.nodes("a"),))
    assert sha(direct.nodes("a")) == sha(gathered.nodes("a"))
    assert not (tmp_path / "journal").exists()


def test_cells_are_exact_in_number_inside_their_partition_and_in_chunk_order(tmp_path):
    plan = run(plan_of(tmp_path, two_partitions(), 5), "place")
    with Nodes(plan.nodes("a")) as nodes:
        position, partition = nodes.positions(), nodes.column("partition")
        assert nodes.n == 240
        table = nodes.chunks
        assert table.fault(240) == ""
        assert table.blocks == ("lower", "more")
        z = position[:, 2]
        names = np.array([p.decode() if isinstance(p, bytes) else p for p in partition])
        assert ((z <= 70.001) == (names == "base")).all()
        assert (names[120:] == "base").all()
        share = (names[:120] == "top").mean()
        assert 0.35 < share < 0.72  # 80 of 150 um
        assert (position >= -1e-3).all()
        assert (position <= np.array([200.001, 100.001, 150.001])).all()


def test_a_seed_and_nothing_else_changes_the_positions(tmp_path):
    one = run(plan_of(in_folder(tmp_path, "one"), small(), 2), "place")
    other = run(plan_of(in_folder(tmp_path, "other"), edited(("rng.seed", 8)), 2), "place")
    moved = run(plan_of(in_folder(tmp_path, "moved"), edited(("cell_types.b.spatial.density", 1e-5)), 2), "place")
    assert sha(one.nodes("a")) != sha(other.nodes("a"))
    assert sha(one.nodes("a")) == sha(moved.nodes("a"))


def test_a_type_without_a_radius_is_placed(tmp_path):
    plan = run(plan_of(tmp_path, edited(("cell_types.a.spatial.radius", ...)), 2), "place")
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.n == 120
        assert "radius" not in nodes.columns


def test_a_type_of_no_cells_is_a_population_of_none(tmp_path):
    plan = run(
        plan_of(tmp_path, edited(("cell_types.a.spatial.count", 0), ("connectivity", {}), ("simulations", {})), 3)
    )
    with Nodes(plan.nodes("a")) as nodes:
        assert nodes.n == 0


def test_fixed_positions_are_all_there(tmp_path):
    points = (np.random.default_rng(1).integers(-3, 9, (200, 3)) * 25.0).tolist()
    tree = edited(
        (
            "placement.lower",
            {"strategy": "fixed_positions", "partitions": ["base"], "cell_types": ["a"], "positions": points},
        ),
        ("connectivity", {}),
        ("simulations", {}),
    )
    plan = run(plan_of(tmp_path, tree, 4), "place")
    with Nodes(plan.nodes("a")) as nodes:
        assert sorted(map(tuple, nodes.positions().tolist())) == sorted(map(tuple, points))


SLOW = """
from snakefold.errors import UserError
from snakefold.placement.random import RandomPlacement
import pathlib

class Breaks(RandomPlacement):
    def place(self, chunk, rng, given):
        log = pathlib.Path(FOLDER, "asked")
        log.write_text(log.read_text() + f"{chunk.id}\\\\n" if log.exists() else f"{chunk.id}\\\\n")
        if pathlib.Path(FOLDER, "broken").exists() and len(log.read_text().split()) == 5:
            raise UserError("no room")
        return super().place(chunk, rng, given)

class TooMany(RandomPlacement):
    def place(self, chunk, rng, given):
        placed = super().place(chunk, rng, given)
        return {t: {"position": a["position"].repeat(2, axis=0)} for t, a in placed.items()}
"""


def own(folder, strategy):
    name = f"slow_{folder.name}".replace("-", "_")
    (folder / f"{name}.py").write_text(f"FOLDER = {str(folder)!r}\n" + SLOW.replace("\\\\n", "\\n"))
    return edited(("components", [f"{name}.py"]), ("placement.lower.strategy", f"{name}.{strategy}"))


def test_after_a_failed_tile_only_the_chunks_that_the_journal_does_not_have_run(tmp_path):
    tree = own(tmp_path, "Breaks")
    plan = run(plan_of(tmp_path, tree, 1), "")
    (tmp_path / "broken").touch()
    arguments = (place_inputs(plan, "lower"), 0, 0, tmp_path / "journal", str(tmp_path / "tile.h5"))
    with pytest.raises(UserError, match=r"place lower: chunk .*: no room"):
        placing.place(*arguments)
    assert not (tmp_path / "tile.h5").exists()
    (tmp_path / "broken").unlink()
    placing.place(*arguments)
    asked = (tmp_path / "asked").read_text().split()
    n_chunks = 4 * 2 * 2
    assert len(asked) == n_chunks + 1
    assert asked.count(asked[4]) == 2
    resumed = sha(tmp_path / "tile.h5")
    (tmp_path / "tile.h5").unlink()  # as Snakemake does, if it was killed before it knew that the job had finished
    placing.place(*arguments)
    assert sha(tmp_path / "tile.h5") == resumed
    again = (tmp_path / "asked").read_text().split()[len(asked) :]
    assert not set(again) & set(asked[:4]), "the journal outlives the job"


def test_more_cells_than_wanted_are_refused(tmp_path):
    plan = run(plan_of(tmp_path, own(tmp_path, "TooMany"), 1), "")
    with pytest.raises(UserError, match=r"positions of a should be: at most \(\d+, 3\)"):
        placing.place(place_inputs(plan, "lower"), 0, 0, tmp_path / "journal", str(tmp_path / "tile.h5"))


def test_tiles_carry_the_digest_of_all_that_their_cells_depend_on(tmp_path):
    digests = set()
    for seed in (7, 8):
        plan = run(plan_of(in_folder(tmp_path, str(seed)), edited(("rng.seed", seed)), 2), "place")
        digests.add(hdf5.digest_of(plan.path("place", "lower", "0.0.h5")))
        assert hdf5.digest_of(plan.path("place", "lower", "0.0.h5")) == hdf5.digest_of(
            plan.path("place", "lower", "0.1.h5")
        )
    assert len(digests) == 2
