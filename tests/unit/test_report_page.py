"""The page of a small circuit whose numbers are known by hand."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from snakefold import build, hdf5
from snakefold.cost import Cost
from snakefold.errors import UserError
from snakefold.report import figures
from snakefold.report.built import read_circuit
from snakefold.report.page import count, number, signed, write_report
from snakefold.report.verdicts import FILE, read_verdicts, require_bounds, write_verdicts
from snakefold.slices import canonical
from snakefold.sonata.edges import write_edges
from snakefold.sonata.nodes import Chunks, write_nodes
from snakefold.sonata.reports import write_report as write_recording
from snakefold.sonata.spikes import write_spikes


def part(results, phase, slice_, **arrays):
    with hdf5.create(results / "build" / phase / f"{slice_['name']}.h5", "build", f"digest of {slice_['name']}") as f:
        f.create_dataset("slice", data=canonical({"phase": phase, **slice_}))
        f.create_dataset("files", data="{}")
        for key, array in arrays.items():
            f.create_dataset(key, data=array)


def cells(results, cell_type, n, strategy="p", side=100.0):
    index = np.arange(n)
    x, y, z = (np.float32((index * step) % side) for step in (37.7, 61.1, 17.3))
    chunks = Chunks((strategy,), np.zeros(1, np.uint16), np.zeros(1, np.uint64), np.array([0, n]))
    write_nodes(results / f"nodes/{cell_type}.h5", cell_type, n, [{"x": x, "y": y, "z": z}], chunks, f"d{cell_type}")


def placed(results, name, counts, partitions=("slab",), strategy="random"):
    """A placement part that wants {cell type: numbers per chunk}."""
    types = {t: {"radius": 5.0, "indicator": {"count": int(sum(n))}} for t, n in counts.items()}
    attributes = {"cell_types": list(counts), "partitions": list(partitions)}
    slice_ = {"name": name, "types": types, "component": {"class": strategy, "attributes": attributes}}
    part(results, "place", slice_, counts=np.array([*counts.values()], np.int64))


def synapses(results, name, ends, sizes, source, target):
    order = np.lexsort((source, target))
    block = (np.asarray(source, np.int64)[order], np.asarray(target, np.int64)[order], {})
    write_edges(results / f"edges/{name}.h5", name, *ends, *sizes, len(source), [block], f"d{name}")


def connected(results, name, sets, expected, strategy="fixed_total_number", **attributes):
    component = {"class": strategy, "attributes": attributes}
    part(results, "connect", {"name": name, "seed": 5, "sets": sets, "expected": expected, "component": component})


def simulated(results, name, cells_, spikes, duration=1000.0, reports=None):
    run = {"duration": duration, "resolution": 0.1, "threads": 2}
    models = {t: {"model": "iaf_psc_exp"} for t in cells_}
    part(results, "simulate", {"name": name, "run": run, "cells": models, "devices": {}})
    folder = results / "simulations" / name
    write_spikes(folder / "spikes.h5", spikes, "ds")
    config = {"run": {"tstop": duration, "dt": 0.1}, "reports": reports or {}}
    (folder / "simulation_config.json").write_text(json.dumps(config))
    provenance = {
        "versions": {"nest": "3.10.0", "numpy": "2.1", "where": "/home/me"},
        "started": "yesterday",
        "folder": "/home/me",
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))


def regular(n_spikes, interval, first=1.0):
    return first + interval * np.arange(n_spikes)


@pytest.fixture
def results(tmp_path):
    """Two types, of which b lacks a cell; three edge sets, of which b_to_a deviates and hooked is a hook's."""
    results = tmp_path / "column"
    part(results, "partition", {"name": "slab"}, boxes=np.array([[[0.0, 0, 0], [100, 100, 100]]]))
    placed(results, "p", {"a": [30, 10], "b": [3, 2]})
    cells(results, "a", 40)
    cells(results, "b", 4)
    sets = {"a_to_b": ["a", "b"], "b_to_a": ["b", "a"]}
    connected(results, "c", sets, {"a_to_b": [12.0, 0.0], "b_to_a": [50.0, 1.5]})
    effect = {"adds": {"hooked": ["a", "b"]}, "rewrites": ["a_to_b"]}
    part(results, "after_connectivity", {"name": "tidy", "component": {"class": "h"}, "effect": effect})
    synapses(results, "a_to_b", ("a", "b"), (40, 4), np.arange(12), np.repeat([0, 1, 2], [6, 4, 2]))
    synapses(results, "b_to_a", ("b", "a"), (4, 40), np.zeros(40, int), np.arange(40))
    synapses(results, "hooked", ("a", "b"), (40, 4), [5, 5], [3, 3])
    # a0 fires 20 times every 40 ms, a1 alternates 10 and 30 ms, the others are silent; b is not recorded
    uneven = 1 + np.concatenate([[0], np.cumsum(np.tile([10.0, 30.0], 10))])
    times = np.concatenate([regular(20, 40.0), uneven])
    ids = np.repeat([0, 1], [20, 21])
    reports = {"volts": {"variable_name": "V_m", "file_name": "volts.h5"}}
    simulated(results, "rest", ["a", "b"], {"a": (times, ids)}, reports=reports)
    rows = np.tile(np.linspace(-70, -50, 1000, dtype="f4")[:, None], 3)
    write_recording(
        results / "simulations/rest/volts.h5", {"a": (np.array([0, 7, 9]), [rows])}, 1000, 0.0, 1000.0, 1.0, "mV", "dv"
    )
    return results


NOTHING = {"adds": {}, "rewrites": []}
TYPES, SETS = ["a", "b"], ["a_to_b", "b_to_a", "hooked"]


def page_of(results, types=TYPES, sets=SETS, simulations=("rest",), name="report.html"):
    write_report(str(results), list(types), list(sets), list(simulations), str(results / name))
    return (results / name).read_text(encoding="utf-8")


def table(text, title):
    """The table of a title."""
    rest = text.partition(f'aria-label="Table: {title}"')[2]
    return Tables("<table" + rest.partition("<table")[2].partition("</div>")[0])


class Tables(HTMLParser):
    """Collects the rows of all tables, the tags, their attributes and the ids of a page."""

    VOID = {"meta", "img", "br", "link", "input", "wbr"}

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.ids, self._open, self._cell = [], [], [], [], None
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [v for k, v in attributes if k == "id"]
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag in ("td", "th"):
            self.rows[-1].append(self._cell.strip())
            self._cell = None

    def row(self, name, n_columns):
        (found,) = (r for r in self.rows if r[0] == name and len(r) == n_columns)
        return found


def test_cells_against_wanted(results):
    tables = Tables(page_of(results))
    # 40 cells in 1e6 um^3 are 40,000 per mm^3
    assert tables.row("a", 7) == ["a", "40", "40", "0", "40,000", "✓ ok", "p"]
    assert tables.row("b", 7) == ["b", "5", "4", "−1", "4,000", "✗ deviates", "p"]


def test_synapses_against_wanted(results):
    tables = Tables(page_of(results))
    assert tables.row("a_to_b", 9) == ["a_to_b", "a", "b", "12", "12", "0", "exact", "✓ ok", "c, tidy"]
    assert tables.row("b_to_a", 9) == ["b_to_a", "b", "a", "50 ± 1.5", "40", "−10", "−6.67", "✗ deviates", "c"]
    assert tables.row("hooked", 9) == ["hooked", "a", "b", "–", "2", "–", "–", "not stated", "tidy"]


def test_what_a_hook_has_changed_is_not_held_against_the_strategy(results):
    effect = {"adds": {}, "rewrites": ["b_to_a", "b"]}
    for phase in ("after_connectivity", "after_placement"):
        part(results, phase, {"name": "prune", "component": {"class": "h"}, "effect": effect})
    text = page_of(results)
    row = Tables(text).row("b_to_a", 9)
    assert row[3:] == ["50 ± 1.5", "40", "−10", "–", "thinned by prune", "c, prune"]
    assert Tables(text).row("b", 7)[5] == "thinned by prune"
    assert table(text, "out-degrees").row("b", 9)[7:] == ["–", "thinned by prune"]
    assert ">deviates<" not in text and "All 2 numbers" in text
    connected(results, "c", {"b_to_a": ["b", "a"]}, {"b_to_a": [30.0, 2.0]})
    assert Tables(page_of(results)).row("b_to_a", 9)[6:] == ["–", "changed by prune", "c, prune"]
    connected(results, "c", {"b_to_a": ["b", "a"]}, {"b_to_a": [41.0, 2.0]})
    assert Tables(page_of(results)).row("b_to_a", 9)[6:] == ["−0.50", "✓ ok", "c, prune"]


def test_each_part_is_read_once(results, monkeypatch):
    read, known = [], build.read
    monkeypatch.setattr("snakefold.report.wanted.build.read", lambda path: read.append(path) or known(path))
    read_circuit(results, TYPES, SETS)
    assert sorted(read) == sorted((results / "build").rglob("*.h5"))


def test_overview_counts_what_deviates(results):
    text = page_of(results)
    wrong = "cells of b, synapses of b_to_a, in-degree of a, out-degree of b"
    assert f"4 of 6 numbers are not as wanted: {wrong}." in text
    assert text.count('<tr class="out">') == 4
    assert "<dt>Cells</dt><dd>44</dd>" in text and "<dt>Synapses</dt><dd>54</dd>" in text


def test_all_as_wanted(results):
    placed(results, "p", {"a": [30, 10], "b": [4, 0]})
    connected(results, "c", {"a_to_b": ["a", "b"], "b_to_a": ["b", "a"]}, {"a_to_b": [12, 0], "b_to_a": [41, 1]})
    text = page_of(results)
    assert ">deviates<" not in text and 'class="out"' not in text
    assert "All 6 numbers of cells, synapses and degrees" in text


def test_strategies_left_over_from_an_earlier_description_do_not_count(results):
    placed(results, "old", {"a": [40]})
    assert Tables(page_of(results)).row("a", 7)[1:3] == ["40", "40"]


def test_cells_of_two_strategies_add_up_in_the_volume_of_both(results):
    part(results, "partition", {"name": "more"}, boxes=np.array([[[0.0, 0, 100], [100, 100, 200]]]))
    placed(results, "q", {"a": [2]}, partitions=["more", "slab"])
    chunks = Chunks(("p", "q"), np.array([0, 1], np.uint16), np.zeros(2, np.uint64), np.array([0, 40, 42]))
    xyz = {axis: np.zeros(42, np.float32) for axis in "xyz"}
    write_nodes(results / "nodes/a.h5", "a", 42, [xyz], chunks, "da")
    synapses(results, "b_to_a", ("b", "a"), (4, 42), np.zeros(40, int), np.arange(40))
    assert Tables(page_of(results)).row("a", 7) == ["a", "42", "42", "0", "21,000", "✓ ok", "p, q"]


def test_in_degrees_are_summed_over_edge_sets(results):
    tables = table(page_of(results), "in-degrees")
    # onto b: 6, 4, 2 and 0 of a_to_b, and 2 of hooked onto the last; sd of 6, 4, 2, 2 is sqrt(2.75)
    assert tables.row("b", 9) == ["b", "all 2 together", "–", "3.5", "1.7", "2", "6", "–", "not stated"]
    # 50 with sd 1.5 are wanted onto 40 cells
    assert tables.row("a", 9) == ["a", "its only one", "1.2 ± 0.04", "1.0", "0.0", "1", "1", "−6.67", "✗ deviates"]


def test_out_degrees_are_counted_block_by_block(results, monkeypatch):
    monkeypatch.setattr("snakefold.report.built._BLOCK_EDGES", 7)
    tables = table(page_of(results), "out-degrees")
    # from b: all 40 of b_to_a are of the first of its 4 cells
    assert tables.row("b", 9)[3:7] == ["10.0", "17.3", "0", "40"]
    # from a: one each of the first 12 to b, and 2 more from a5: 14 of 40 cells
    assert tables.row("a", 9)[3:7] == ["0.3", "0.6", "0", "3"]


def test_a_degree_that_a_strategy_gives_every_cell_is_looked_at_cell_by_cell(results):
    sets = {"a_to_b": ["a", "b"]}
    (results / "build/connect/c.h5").unlink()
    connected(results, "even", sets, {"a_to_b": [12.0, 0.0]}, "fixed_indegree", indegree=3)

    def by_even():
        return [r for r in table(page_of(results), "in-degrees").rows if r[1] == "1 of even"]

    assert by_even() == [], "a hook rewrites it"
    part(results, "after_connectivity", {"name": "tidy", "component": {"class": "h"}, "effect": NOTHING})
    # 12 synapses onto 4 cells as wanted, but 6, 4, 2 and none of them
    assert by_even() == [["b", "1 of even", "3.0", "3.0", "2.2", "0", "6", "not exact", "✗ deviates"]]
    synapses(results, "a_to_b", ("a", "b"), (40, 4), np.arange(12), np.repeat([0, 1, 2, 3], 3))
    assert by_even()[0][5:] == ["3", "3", "exact", "✓ ok"]
    connected(results, "even", sets, {"a_to_b": [8.0, 0.0]}, "fixed_indegree", indegree=3)
    assert by_even() == [], "there are too few cells to have 3 distinct sources each"


def test_verdicts_are_for_programs_too_and_can_be_required(results):
    write_report(str(results), TYPES, SETS, ["rest"], str(results / "r.html"), verdicts=str(results / FILE))
    found = {(v["what"], v["name"]): v for v in read_verdicts(results / FILE)}
    assert ("synapses", "hooked") not in found and len(found) == 6
    expected = {"what": "synapses", "name": "b_to_a", "wanted": 50.0, "built": 40, "z": -6.6667, "verdict": "deviates"}
    assert found["synapses", "b_to_a"] == expected
    with pytest.raises(UserError) as told:
        require_bounds(results / FILE, results / "fine")
    lines = str(told.value).splitlines()
    assert lines[0] == "cells of b: 4 built, 5 wanted"
    assert lines[1] == "synapses of b_to_a: 40 built, 50 wanted (z = -6.67)"
    assert lines[-1].startswith("4 of 6 numbers are out of bounds")
    assert not (results / "fine").exists()
    write_verdicts([r for r in read_circuit(results, TYPES, SETS).rows if r.verdict == "ok"], results / FILE)
    require_bounds(results / FILE, results / "fine")
    assert (results / "fine").read_text() == "All 2 numbers that the description states are as wanted.\n"


def test_the_cells_in_3d_are_where_they_are(results):
    text = page_of(results)
    (view,) = [a["data-cells"] for _, a in Tables(text).tags if "data-cells" in a]
    cells_3d = json.loads(view)
    circuit = read_circuit(results, TYPES, SETS)
    everywhere = np.concatenate([*circuit.positions.values()])
    assert [t["name"] for t in cells_3d["types"]] == TYPES and {t["radius"] for t in cells_3d["types"]} == {5.0}
    np.testing.assert_allclose(cells_3d["size"], np.ptp(everywhere, axis=0), atol=1e-3)
    for of in cells_3d["types"]:
        points = np.frombuffer(base64.b64decode(of["points"]), "<u2").reshape(-1, 3)
        back = points / 65535 * cells_3d["size"] + everywhere.min(axis=0)
        np.testing.assert_allclose(back, circuit.positions[of["name"]], atol=2e-3)


def test_what_is_about_the_run_is_one_section_that_can_be_cut_out(results):
    plain = page_of(results)
    arguments = (str(results), TYPES, SETS, ["rest"], str(results / "r.html"))
    write_report(*arguments, costs={"build": Cost(2, 3.0, 80, 4.25)}, run={"Host": "node<7>"})
    told = (results / "r.html").read_text(encoding="utf-8")
    before, _, rest = told.partition("<!-- the run -->")
    section, _, after = rest.partition("<!-- end of the run -->")
    assert "node&lt;7&gt;" in section and "4.2" in section and "node&lt;" not in before + after
    link, footer = '<li><a href="#cost">The run</a></li>', ", but for the section about the run"
    assert (before.replace(link, "") + after.replace(footer, "")).split() == plain.split()


def test_rates_and_irregularity(results):
    tables = table(page_of(results), "rates of rest")
    # 41 spikes of 40 cells in 1 s; CV of 40, 40, ... is 0, of 10, 30, 10, 30, ... it is 10 / 20
    row = tables.row("a", 9)
    assert row[:4] == ["a", "40", "41", "1.02"]
    assert row[5:] == ["0.25", "0.25", "2", "iaf_psc_exp"]
    assert tables.row("b", 4) == ["b", "4", "spikes not recorded", "iaf_psc_exp"]


def test_the_first_500_ms_of_a_long_simulation_are_left_out_and_it_says_so(results):
    times = np.concatenate([regular(100, 4.0), regular(3, 100.0, first=600.0)])
    simulated(results, "rest", ["a"], {"a": (times, np.zeros(103, int))}, duration=2000.0)
    text = page_of(results)
    # 3 spikes of 40 cells in 1.5 s
    assert table(text, "rates of rest").row("a", 9)[2:4] == ["103", "0.05"]
    assert "the first 500 ms are left out" in text
    assert "first and the last 500 ms" in text
    simulated(results, "rest", ["a"], {"a": (times[:100], np.zeros(100, int))}, duration=1000.0)
    assert "are left out" not in page_of(results)


def test_traces_are_of_the_reports_that_the_configuration_names(results):
    assert "V_m over time of the cells a 0, a 7, a 9." in page_of(results)
    (results / "simulations/rest/simulation_config.json").write_text('{"reports": {}}')
    assert "V_m over time" not in page_of(results)


def test_provenance_has_versions_and_no_times_or_paths(results):
    text = page_of(results)
    assert Tables(text).row("nest", 2) == ["nest", "3.10.0"]
    assert "yesterday" not in text and "/home/me" not in text and str(results.parent) not in text


def test_equal_results_are_equal_bytes_in_any_process_order_and_place(results, tmp_path):
    first = page_of(results)
    moved = results.rename(tmp_path / "elsewhere")
    (tmp_path / "again").mkdir()
    moved = moved.rename(tmp_path / "again" / "column")
    arguments = [str(moved), TYPES[::-1], SETS[::-1], ["rest"], str(moved / "other.html")]
    script = f"import matplotlib; matplotlib.rcParams['axes.grid'] = True; matplotlib.rcParams['svg.hashsalt'] = 'x'\n\
from snakefold.report.page import write_report; write_report(*{arguments!r})"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (moved / "other.html").read_text(encoding="utf-8") == first


def test_what_slurm_has_accounted_for_is_a_section_and_without_it_there_is_none(results):
    assert 'id="cost"' not in page_of(results)
    costs = {"connect_<own>": Cost(12, 3600.0, 700, 95, 1200, 2), "build": Cost(3, 6.0, 80, 4, 600)}
    write_report(str(results), list(TYPES), list(SETS), ["rest"], str(results / "costly.html"), costs=costs)
    page = (results / "costly.html").read_text()
    section = page.partition('id="cost"')[2].partition("</section>")[0]
    assert "15 jobs took 60.1 CPU minutes; 2 of them failed" in section
    rows = [re.findall(r">([^<]+)</t[hd]>", row) for row in section.split("<tr>")[2:]]
    assert rows == [
        ["build", "3", "0", "6.0", "4", "80", "600"],
        ["connect_&lt;own&gt;", "12", "2", "3,600.0", "95", "700", "1,200"],
    ]


def test_it_needs_no_other_file_and_no_network(results):
    text = page_of(results)
    assert "http" not in text.replace("http-equiv", "")
    tables = Tables(text)
    for tag, attributes in tables.tags:
        assert tag not in ("link", "iframe", "object", "base")
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in text and "@import" not in text
    assert "fetch" not in text and "import(" not in text
    script = text.partition("<script>")[2].partition("</script>")[0]
    assert text.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    assert f"{policy}{digest}'" in text.replace("&#43;", "+")


def test_embedded_svg_refers_to_nothing_outside_and_has_no_date(results):
    svgs = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", page_of(results))
    assert len(svgs) == 6  # matrix, in- and out-degrees, distances, bars, traces
    for svg in (base64.b64decode(s).decode() for s in svgs):
        assert "date>" not in svg and "<image" not in svg
        assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', svg))


def test_it_can_be_read_without_seeing_it(results):
    tables = Tables(page_of(results))
    headings = [int(tag[1]) for tag, _ in tables.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(headings))
    assert len(set(tables.ids)) == len(tables.ids)
    assert {a["href"][1:] for t, a in tables.tags if t == "a"} <= set(tables.ids)
    assert all(a.get("alt") for t, a in tables.tags if t == "img")
    assert all(a.get("scope") in ("row", "col") for t, a in tables.tags if t == "th")
    assert ("html", {"lang": "en"}) in tables.tags


def test_long_names_of_panels_are_in_two_lines():
    assert figures.in_lines("base_to_top_base_type_to_inter_type", 22) == "base_to_top_base_\ntype_to_inter_type"
    for name in ("base_to_top", "a" * 40, "_" + "a" * 40 + "_"):
        assert figures.in_lines(name, 22).replace("\n", "") == name and figures.in_lines(name, 42) == name


def test_names_are_escaped(tmp_path):
    results, name = tmp_path / "<b>$x$", r'<script>alert("$\bad$")&amp;'
    file = name.replace("/", "")
    placed(results, name, {name: [3]}, partitions=[])
    cells(results, file, 3, strategy=name)
    connected(results, name, {name: [name, name]}, {name: [1.0, 0.0]})
    synapses(results, name, (name, name), (3, 3), [0], [1])
    simulated(results, name, [name], {name: (np.array([5.0]), np.array([2]))})
    text = page_of(results, [name], [name], [name])
    assert text.count("<script") == 1 and "<b>" not in text
    assert name in Tables(text).row(name, 7)
    assert "<h1>&lt;b&gt;$x$</h1>" in text


def test_an_empty_circuit(tmp_path):
    text = page_of(tmp_path / "nothing", [], [], [])
    for words in ("No cell types.", "No edge sets.", "No cells.", "No simulations.", "states no numbers"):
        assert words in text
    Tables(text)


def test_types_without_cells_sets_without_edges_and_silent_populations(tmp_path):
    results = tmp_path / "bare"
    placed(results, "p", {"none": [0], "quiet": [3]}, partitions=[])
    cells(results, "none", 0)
    cells(results, "quiet", 3)
    sets = {"s": ["none", "quiet"], "t": ["quiet", "none"]}
    connected(results, "c", sets, {"s": [0.0, 0.0], "t": None})
    synapses(results, "s", ("none", "quiet"), (0, 3), [], [])
    synapses(results, "t", ("quiet", "none"), (3, 0), [], [])
    empty = (np.empty(0), np.empty(0, np.int64))
    simulated(results, "still", ["none", "quiet"], {"none": empty, "quiet": empty}, duration=50.0)
    text = page_of(results, ["none", "quiet"], ["s", "t"], ["still"])
    tables = Tables(text)
    assert tables.row("none", 7) == ["none", "0", "0", "0", "–", "✓ ok", "p"]
    assert tables.row("s", 9)[4:] == ["0", "0", "exact", "✓ ok", "c"]
    assert tables.row("t", 9)[3:] == ["–", "0", "–", "–", "not stated", "c"]
    degrees, rates = table(text, "in-degrees"), table(text, "rates of still")
    assert degrees.row("quiet", 9)[1:] == ["its only one", "0.0", "0.0", "0.0", "0", "0", "exact", "✓ ok"]
    assert degrees.row("none", 9)[1:] == ["its only one", "–", "–", "–", "–", "–", "–", "not stated"]
    assert rates.row("quiet", 9)[2:8] == ["0", "0.00", "0.00", "–", "–", "0"]
    assert rates.row("none", 9)[2:8] == ["0", "–", "–", "–", "–", "0"]


def test_many_edge_sets_are_folded_away_but_not_those_that_deviate(tmp_path):
    results, names = tmp_path / "many", [f"s{i:02}" for i in range(30)]
    cells(results, "a", 5)
    connected(results, "c", {s: ["a", "a"] for s in names}, {s: [2.0 if s == "s07" else 1.0, 0.0] for s in names})
    for name in names:
        synapses(results, name, ("a", "a"), (5, 5), [0], [4])
    text = page_of(results, ["a"], names, [])
    before, after = text.split("<summary>All 30 edge sets")
    before, after = before.partition('id="synapses"')[2], after.partition('id="degrees"')[0]
    assert before.count('<th scope="row">s07</th>') == 1 and '<th scope="row">s08</th>' not in before
    assert after.count('<th scope="row">s') == 30
    circuit = read_circuit(results, ["a"], names)
    assert circuit.matrix()[2].tolist() == [[30]]


def test_somata_are_sampled_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr("snakefold.report.built.SOMATA", 10)
    monkeypatch.setattr("snakefold.report.built._BLOCK_CELLS", 7)
    results = tmp_path / "r"
    cells(results, "a", 40)
    cells(results, "b", 3)
    circuit = read_circuit(results, ["a", "b"], [])
    assert {t: len(p) for t, p in circuit.positions.items()} == {"a": 9, "b": 1}
    expected = np.float32((np.array([0, 4, 8, 13, 17, 22, 26, 31, 35]) * 37.7) % 100)
    np.testing.assert_array_equal(circuit.positions["a"][:, 0], expected)
    assert "10 of 43 cells (23.3 %)" in page_of(results, ["a", "b"], [], [])


def test_entities_have_no_density_and_are_not_drawn(results):
    cells(results, "input", 40, "inputs", side=1e-9)
    placed(results, "inputs", {"input": [40]}, strategy="entities")
    circuit = read_circuit(results, [*TYPES, "input"], [])
    assert set(circuit.positions) == set(TYPES)
    row = next(row for row in circuit.cells if row.name == "input")
    assert np.isnan(row.density) and row.verdict == "ok"
    assert "All cells but entities" in page_of(results, [*TYPES, "input"], [], [])


def test_colours_are_by_name_and_distinct():
    assert figures.colours(["b", "a"]) == {"a": figures.CYCLE[0], "b": figures.CYCLE[1]}
    assert len(set(figures.CYCLE)) == len(figures.CYCLE)


def test_the_library_is_lean():
    code = "import sys, snakefold.report.page\nassert not {'matplotlib', 'jinja2', 'nest', 'mpi4py'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (count, 1234567, "1,234,567"),
        (count, 12.5, "12.5"),
        (count, None, "–"),
        (number, float("nan"), "–"),
        (number, 1.005, "1.00"),
        (signed, 0.0, "0"),
        (signed, -0.2, "0"),
        (signed, 3, "+3"),
        (signed, -1200, "−1,200"),
        (figures.short, 950, "950"),
        (figures.short, 999.9, "1.0k"),
        (figures.short, 12345, "12k"),
        (figures.short, 298880969, "299M"),
    ],
)
def test_numbers_are_written_for_reading(write, value, text):
    assert write(value) == text


def test_rates_are_beside_those_that_the_description_expects(results):
    arguments = [str(results), TYPES, SETS, ["rest"], str(results / "report.html")]
    write_report(*arguments, expected_rates={"rest": {"a": 0.5, "b": 3.0}})
    text = (results / "report.html").read_text(encoding="utf-8")
    rows = [row for row in Tables(text).rows if "Expected" in row or (row[0] == "a" and len(row) == 11)]
    head, cells = rows
    found = dict(zip(head, cells, strict=True))
    rate = float(found["Rate (1/s)"])
    assert rate > 0 and found["Expected"] == "0.50"
    assert float(found["Deviation (%)"].replace("\N{MINUS SIGN}", "-")) == pytest.approx(100 * (rate / 0.5 - 1), abs=2)
    assert "Expected" not in page_of(results)
