import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from descriptions import edited, plan_of, run, small
from snakefold import build, hdf5
from snakefold.errors import UserError
from snakefold.topology.chunks import Grid, cut


def built(plan, *part):
    return build.read(plan.built(*part))


def test_partitions_are_boxes_and_placements_counts_by_chunk(tmp_path):
    plan = run(plan_of(tmp_path, small(), 3), jobs="")
    boxes = built(plan, "partition/top").arrays["boxes"]
    assert boxes.tolist() == [[[0, 0, 70], [200, 100, 150]]]
    part = built(plan, "place/upper")
    pieces = cut(Grid((0.0,) * 3, (50.0,) * 3), [boxes])
    chunks, counts = part.arrays["chunks"], part.arrays["counts"]
    assert chunks.tolist() == sorted(set(pieces.chunk.tolist()))
    assert counts.sum() == 80
    share = np.array([pieces.volume[pieces.chunk == c].sum() for c in chunks]) / pieces.volume.sum()
    assert np.abs(np.cumsum(counts[0]) - np.cumsum(share) * 80).max() <= 0.5 + 1e-9
    assert part.arrays["tiles"].tolist()[0::3] == [0, len(chunks)]
    assert len(part.arrays["tiles"]) == 4
    assert (part.arrays["colours"] == 0).all()
    assert type(part.component()).__name__ == "RandomPlacement"
    assert part.grid == Grid((0.0,) * 3, (50.0,) * 3)


def test_the_digest_follows_content_and_inputs_but_not_tiles(tmp_path):
    def digest(tree, tiles, folder):
        (tmp_path / folder).mkdir()
        return hdf5.digest_of(run(plan_of(tmp_path / folder, tree, tiles), jobs="").built("place/upper"))

    one = digest(small(), 1, "one")
    assert digest(small(), 7, "seven") == one
    assert digest(edited(("partitions.top.thickness", 90.0)), 1, "thicker") != one
    assert digest(edited(("cell_types.a.spatial.count", 7)), 1, "other type") == one


def test_equal_parts_are_equal_bytes(tmp_path):
    shas = []
    for folder in "ab":
        (tmp_path / folder).mkdir()
        plan = run(plan_of(tmp_path / folder, small()), jobs="")
        names = ("partition/base", "place/lower", "connect/a_to_b")
        shas.append([hashlib.sha256(Path(plan.built(n)).read_bytes()).hexdigest() for n in names])
    assert shas[0] == shas[1]


FILED = """
from snakefold.placement.strategy import PlacementStrategy
from snakefold.config import types
from snakefold.config.nodes import Attribute

class Filed(PlacementStrategy):
    table = Attribute(types.FileOf(), required=True)
"""


def filed(folder):
    (folder / "filed.py").write_text(FILED)
    (folder / "table.csv").write_text("1,2\n")
    return edited(
        ("components", ["filed.py"]), ("placement.lower.strategy", "Filed"), ("placement.lower.table", "table.csv")
    )


def test_a_data_file_is_an_input_and_its_digest_part_of_the_slice(tmp_path):
    plan = run(plan_of(tmp_path, filed(tmp_path)), jobs="")
    part = plan.parts["place/lower"]
    assert list(part.files.values()) == [str(tmp_path / "table.csv")]
    assert str(tmp_path) not in str(part.slice)
    assert built(plan, "place/lower").component().table.path == tmp_path / "table.csv"
    before = part.digest
    (tmp_path / "table.csv").write_text("1,2,3\n")
    assert plan_of(tmp_path, filed_again(tmp_path)).parts["place/lower"].digest != before


def filed_again(folder):
    return edited(
        ("components", ["filed.py"]), ("placement.lower.strategy", "Filed"), ("placement.lower.table", "table.csv")
    )


def test_a_data_file_that_changed_after_the_plan_stops_the_build(tmp_path):
    plan = plan_of(tmp_path, filed(tmp_path))
    (tmp_path / "table.csv").write_text("edited while the job was queued\n")
    with pytest.raises(UserError, match="has changed since the plan was made"):
        run(plan, jobs="")


def test_a_part_of_another_version_is_refused(tmp_path):
    plan = run(plan_of(tmp_path, small()), jobs="")
    with h5py.File(plan.built("place/lower"), "r+") as file:
        file.attrs["snakefold_version"] = hdf5.SCHEMA_VERSION + 1
    with pytest.raises(UserError, match="newer Snakefold"):
        built(plan, "place/lower")
