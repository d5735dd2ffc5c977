import json
import os
from base64 import urlsafe_b64encode
from pathlib import Path

import h5py
import pytest

from descriptions import edited, plan_of, small
from snakefold import hdf5, results
from snakefold.build import build
from snakefold.errors import UserError


def test_a_new_folder_is_claimed_and_is_this_circuits_from_then_on(tmp_path):
    folder, circuit = str(tmp_path / "r" / "c"), str(tmp_path / "c.yaml")
    results.check_owner(folder, circuit)
    assert not Path(folder).exists()
    results.claim(folder, circuit)
    results.check_owner(folder, circuit)
    mark = Path(folder, results.OWNER)
    before = mark.stat().st_mtime_ns
    results.claim(folder, circuit)
    assert mark.stat().st_mtime_ns == before


@pytest.mark.parametrize("file", ["r", "r/c"])
def test_a_file_instead_of_a_folder_is_refused(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(UserError, match=f"r/c: should be: a folder, or a new one .*/{file} is none"):
        results.check_owner(str(tmp_path / "r/c"), "c.yaml")


def test_another_circuit_of_the_same_stem_is_refused(tmp_path):
    folder = str(tmp_path / "r" / "c")
    results.claim(folder, str(tmp_path / "one" / "c.yaml"))
    with pytest.raises(UserError, match=r"holds the results of another circuit, .*one/c\.yaml"):
        results.check_owner(folder, str(tmp_path / "two" / "c.yaml"))


def test_a_folder_that_moved_together_with_its_circuit_is_still_its_own(tmp_path):
    (tmp_path / "here").mkdir()
    results.claim(str(tmp_path / "here" / "r" / "c"), str(tmp_path / "here" / "c.yaml"))
    (tmp_path / "here").rename(tmp_path / "there")
    results.check_owner(str(tmp_path / "there" / "r" / "c"), str(tmp_path / "there" / "c.yaml"))


def test_a_newer_schema_is_refused_an_older_one_is_not(tmp_path):
    folder, circuit = str(tmp_path / "c"), str(tmp_path / "c.yaml")
    results.claim(folder, circuit)
    mark = Path(folder, results.OWNER)
    owner = json.loads(mark.read_text())
    for schema, refused in ((hdf5.SCHEMA_VERSION + 1, True), (hdf5.SCHEMA_VERSION - 1, False)):
        mark.write_text(json.dumps(owner | {"schema": schema}))
        if refused:
            with pytest.raises(UserError, match="written by a newer Snakefold"):
                results.check_owner(folder, circuit)
        else:
            results.check_owner(folder, circuit)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"schema": "x"}', '{"schema": null, "relative": "", "absolute": ""}']
)
def test_a_damaged_mark_is_a_users_mistake(tmp_path, text):
    results.claim(str(tmp_path), "c.yaml")
    (tmp_path / results.OWNER).write_text(text)
    (tmp_path / "parse.h5").touch()
    with pytest.raises(UserError, match="delete it"):
        results.check_owner(str(tmp_path), "c.yaml")
    (tmp_path / results.OWNER).unlink()
    results.check_owner(str(tmp_path), "c.yaml")  # what the message says helps
    (tmp_path / ".plan").rmdir()
    with pytest.raises(UserError, match=r"if they are this circuit's results: mkdir .*/\.plan$"):
        results.check_owner(str(tmp_path), "c.yaml")


def test_files_of_somebody_else_are_not_overwritten(tmp_path):
    (tmp_path / "logs").mkdir()
    results.check_owner(str(tmp_path), "c.yaml")
    (tmp_path / "thesis.doc").write_text("x")
    with pytest.raises(UserError, match="choose another results folder or empty it"):
        results.check_owner(str(tmp_path), "c.yaml")


def touch(plan, *paths):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("")


def test_what_is_no_longer_in_the_description_is_removed_and_nothing_else(tmp_path):
    before = plan_of(tmp_path, edited(("connectivity.more", small()["connectivity"]["a_to_b"])))
    files = before.kept_files()
    own = [before.path("logs/x.log"), before.path("nodes/.a.h5.host.1.part"), before.path("notes.txt")]
    touch(before, *files, *own)
    after = plan_of(tmp_path, edited(("simulations", {})))
    gone = {str(p) for p in results.remove_obsolete(after)}
    short = {p.removeprefix(after.results + "/") for p in gone}
    simulation = {f"simulations/rest/{f}" for f in ("simulation_config.json", "spikes.h5", "provenance.json")}
    assert short == {
        "edges/more.h5",
        "build/connect/more.h5",
        "build/simulate/rest.h5",
        "validate/rest.h5",
        *simulation,
    }
    assert not Path(after.path("simulations")).exists()
    assert all(Path(f).exists() for f in [*after.final_files(), *own])
    assert results.obsolete(after) == []


def test_pruning_keeps_the_current_plan_and_its_slices(tmp_path):
    old, new = plan_of(tmp_path, small()), plan_of(tmp_path, edited(("rng.seed", 9)))
    results.claim(new.results, new.circuit)
    old.freeze()
    frozen = new.freeze()
    touch(new, new.path(".journal/place/lower/0/d/x.journal"))
    results.prune(new)
    assert {p.name for p in Path(new.path(".plan")).glob("*.json")} == {frozen.name, "owner.json"}
    slices = {p.stem for p in Path(new.path(".plan/slices")).iterdir()}
    assert slices == {part.digest for part in new.parts.values()}
    assert not Path(new.path(".journal")).exists()


def test_pruning_removes_tiles_and_prepared_files_that_are_older_than_what_is_made_of_them(tmp_path):
    """As they lie there when the last job that reads them has ended after Snakemake was killed."""
    plan = plan_of(tmp_path, small())
    placement, (cell_type, *more) = next((name, p.cell_types) for name, p in plan.placements.items())
    connection = next(iter(plan.connections))
    tile, prepared = plan.path("place", placement, "0.1.h5"), plan.path("prepare/connect", f"{connection}.h5")
    touch(plan, tile, prepared, *(plan.nodes(t) for t in more))
    edges = [plan.edges(name) for name in plan.connections[connection].sets]
    touch(plan, *edges)
    for path in edges:
        os.utime(path, (1, 1))
    results.prune(plan)
    assert Path(tile).exists(), "a cell type is not gathered yet"
    assert Path(prepared).exists(), "it is newer than the edges, which are to be made again"
    touch(plan, plan.nodes(cell_type), *edges)
    results.prune(plan, keep_temporary=True)
    assert Path(tile).exists()
    results.prune(plan)
    assert not Path(tile).exists()
    assert not Path(prepared).exists()


def frozen_and_built(plan):
    plan.freeze()
    for name, part in plan.parts.items():
        if name != "parse":
            build(plan.slice_file(part.digest), [plan.built(p) for p in part.inputs], [], plan.built(name))


def test_an_edit_that_snakemake_has_no_record_to_see_by_is_refused(tmp_path, monkeypatch):
    """Its records lie in the folder it is started in, under the paths it was given: elsewhere all would be up to date."""
    monkeypatch.chdir(tmp_path)
    before = plan_of(tmp_path, small())
    frozen_and_built(before)
    results.check_recorded(before)
    after = plan_of(tmp_path, edited(("connectivity.a_to_b.indegree", 6)))
    file = after.built("connect/a_to_b")
    with pytest.raises(UserError, match="built from another description, and Snakemake has no record of it") as caught:
        results.check_recorded(after)
    assert [m.where for m in caught.value.mistakes] == [file]
    for folder in results.RECORDS:
        record = tmp_path / folder / urlsafe_b64encode(file.encode()).decode()
        record.parent.mkdir(parents=True)
        record.write_text("{}")
        results.check_recorded(after)
        record.unlink()
    Path(file).unlink()
    results.check_recorded(after)


def test_files_that_are_cut_off_are_found(tmp_path):
    whole = {"parse.h5": None, "build/place/a.h5": None, "verdicts.json": "{}", "report.html": "<html></html>\n"}
    for name, text in whole.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        h5py.File(tmp_path / name, "w").close() if text is None else (tmp_path / name).write_text(text)
    (tmp_path / ".journal").mkdir()
    (tmp_path / ".journal/1.h5").touch()
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes/.a.h5.part.h5").touch()
    assert results.damaged(tmp_path) == []
    for name in whole:
        os.truncate(tmp_path / name, (tmp_path / name).stat().st_size // 2)
    found = results.damaged(tmp_path)
    assert sorted(m.where for m in found) == sorted(str(tmp_path / name) for name in whole)
    assert all(m.message.startswith("is damaged (") and m.message.endswith("; delete it and run again") for m in found)
