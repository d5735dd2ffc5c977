"""The small circuit from description to report: counts, readers of the field, the commands, and lean processes."""

import base64
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pages import run_by

ROOT = Path(__file__).resolve().parents[2]
CIRCUIT = ROOT / "config/circuits/two_layers.yaml"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}


def snakefold(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakefold", *arguments]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_layers")
    done = snakefold("run", str(CIRCUIT), "--cores", "2", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return folder / "results/two_layers"


def test_counts_are_exact(results):
    import libsonata

    n = {t: libsonata.NodeStorage(results / f"nodes/{t}.h5").open_population(t).size for t in ("base_type", "top_type")}
    n["inter_type"] = libsonata.NodeStorage(results / "nodes/inter_type.h5").open_population("inter_type").size
    assert n == {"base_type": round(3.9e-5 * 400 * 600 * 100), "top_type": 400, "inter_type": 100}


def test_libsonata_reads_all(results):
    import libsonata

    config = libsonata.CircuitConfig.from_file(results / "circuit_config.json")
    assert config.node_populations == {"base_type", "top_type", "inter_type"}
    assert len(config.edge_populations) == 3
    edges = config.edge_population("base_to_top_base_type_to_top_type")
    assert edges.size == 40 * 400
    sources = edges.source_nodes(edges.afferent_edges([7]))
    assert len(sources) == len(set(sources)) == 40
    node_sets = libsonata.NodeSets.from_file(results / "node_sets.json")
    layer = node_sets.materialize("top_layer", config.node_population("top_type"))
    assert layer.flat_size == 400
    simulation = results / "simulations/basal_activity"
    spikes = libsonata.SpikeReader(str(simulation / "spikes.h5"))["base_type"].get()
    assert len(spikes) > 100 and all(0 < t <= 500 for _, t in spikes)
    report = libsonata.SomaReportReader(str(simulation / "top_voltage.h5"))["top_type"]
    assert list(report.get_node_ids()) == list(range(400))
    assert np.isfinite(report.get(node_ids=[0, 399]).data).all()


@pytest.mark.parametrize("kind", ["nodes", "edges"])
def test_each_file_holds_the_population_it_is_named_after(results, kind):
    import h5py

    files = sorted((results / kind).glob("*.h5"))
    assert len(files) == 3
    for path in files:
        with h5py.File(path) as file:
            assert list(file[kind]) == [path.stem]


def test_bluepysnap_finds_no_error(results):
    from bluepysnap import Circuit
    from bluepysnap.circuit_validation import validate
    from bluepysnap.exceptions import BluepySnapValidationError

    found = validate(str(results / "circuit_config.json"), skip_slow=False)
    assert {e for e in found if e.level == BluepySnapValidationError.FATAL} == set()
    circuit = Circuit(results / "circuit_config.json")
    assert circuit.nodes["base_type"].positions().shape == (936, 3)
    assert circuit.nodes["base_type"].positions()["z"].between(0, 100).all()
    assert circuit.nodes["top_type"].positions()["z"].between(100, 200).all()


def test_bmtk_reads_nodes_and_edges(results):
    from bmtk.utils import sonata

    file = sonata.File(
        data_files=[
            str(results / "nodes/base_type.h5"),
            str(results / "nodes/top_type.h5"),
            str(results / "edges/base_to_top_base_type_to_top_type.h5"),
        ],
        data_type_files=[str(results / "node_types.csv"), str(results / "edge_types.csv")],
    )
    edges = file.edges["base_to_top_base_type_to_top_type"]
    assert len(list(edges.get_target(5))) == 40


def test_bmtk_reads_spikes(results):
    from bmtk.utils.reports.spike_trains import SpikeTrains

    trains = SpikeTrains.from_sonata(str(results / "simulations/basal_activity/spikes.h5"), population="base_type")
    assert trains.n_spikes(population="base_type") > 100


def test_verify_is_content_and_finds_damage(results, tmp_path):
    assert snakefold("verify", str(results), cwd=tmp_path).returncode == 0
    import h5py

    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    with h5py.File(copy / "edges/inter_to_top.h5", "r+") as file:
        file["edges/inter_to_top/target_node_id"][0] = 10**6
    done = snakefold("verify", str(copy), cwd=tmp_path)
    assert done.returncode == 1 and "inter_to_top.h5" in done.stderr and "Traceback" not in done.stderr


def test_report_is_there_and_offline(results):
    page = (results / "report.html").read_text()
    assert "base_to_top" in page and "basal_activity" in page
    assert 'src="http' not in page and 'href="http' not in page


def test_every_way_out_of_the_docs_opens_in_its_reader(folder, tmp_path):
    import h5py
    import libsonata
    import pynwb

    commands = [shlex.split(step.command) for step in run_by(__file__, "EXPORT.md") if " export " in step.command]
    assert [words[3] for words in commands] == ["nwb", "sonata"]
    here = tmp_path / "here"
    shutil.copytree(folder, here, symlinks=True)
    for words in commands:
        done = snakefold(*words[1:], cwd=here)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "replace it with --force" in snakefold(*commands[0][1:], cwd=here).stderr
    assert pynwb.validate(path=str(here / "basal_activity.nwb")) == []
    spikes = libsonata.SpikeReader(str(folder / "results/two_layers/simulations/basal_activity/spikes.h5"))
    with pynwb.NWBHDF5IO(str(here / "basal_activity.nwb"), "r") as io:
        units = io.read().units
        assert len(units) == 936 + 400 + 100
        assert len(units["spike_times"].target.data) == len(spikes["base_type"].get())
    (script,) = (step.command for step in run_by(__file__, "EXPORT.md") if step.command.startswith("python "))
    done = subprocess.run([sys.executable, *script.split()[1:]], cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = libsonata.NodeStorage(here / "by_region/nodes/brain_region.h5").open_population("brain_region")
    names, own = (np.array(cells.get_attribute(name, cells.select_all())) for name in ("cell_type", "original_id"))
    with h5py.File(here / "by_region/output/spikes.h5") as file:
        found = file["spikes/brain_region"]
        ids, times = found["node_ids"][:], found["timestamps"][:]
    for name in spikes.get_population_names():
        wanted, of = spikes[name].get_dict(), names[ids] == name
        rows = sorted(zip(own[ids[of]].tolist(), times[of].round(4).tolist(), strict=True))
        assert rows == sorted(zip(wanted["node_ids"].tolist(), wanted["timestamps"].round(4).tolist(), strict=True))


def test_the_results_folder_is_a_crate(results):
    from rocrate.rocrate import ROCrate

    crate = ROCrate(results)
    files = {entity.id for entity in crate.data_entities}
    assert {"report.html", "edges/inter_to_top.h5", "simulations/basal_activity/spikes.h5"} <= files
    assert all((results / name).is_file() for name in files)


def test_snakemakes_report_has_ours(folder):
    (step,) = (step for step in run_by(__file__, "EXPORT.md") if "--report" in step.command)
    command = [sys.executable, "-m", *shlex.split(step.command)]
    where = ["-s", str(ROOT / "Snakefile"), "--config", f"circuit={CIRCUIT}"]
    done = subprocess.run([*command, *where], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page, ours = (folder / command[-1]).read_text(), (folder / "results/two_layers/report.html").read_bytes()
    assert "What was built against what was wanted" in page and "versions, seeds, threads" in page
    assert base64.b64encode(ours).decode()[:10_000] in page


def test_running_again_runs_nothing(folder):
    done = snakefold("run", str(CIRCUIT), "--cores", "2", cwd=folder)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


def test_every_job_says_what_it_cost(results):
    logs = sorted((results / "logs").rglob("*.log"))
    assert len(logs) > 10
    assert all("cost: " in log.read_text() for log in logs)


def test_run_removes_what_is_no_longer_described(folder, results, tmp_path):
    copy = tmp_path / "project"
    shutil.copytree(folder, copy, symlinks=True)
    text = CIRCUIT.read_text()
    start = text.index("  inter_to_top:\n    strategy")
    shorter = text[:start] + text[text.index("\nsimulations:") :]
    shorter = shorter.replace(shorter[shorter.index("      inter_to_top:") : shorter.index("    devices:")], "")
    circuit = copy / "two_layers.yaml"
    circuit.write_text(shorter)
    shutil.rmtree(copy / "results/two_layers/.plan")
    done = snakefold("run", str(circuit), "--cores", "2", cwd=copy)
    assert done.returncode == 1 and "whose they are" in done.stderr, "without the mark nothing is touched"
    shutil.copytree(results / ".plan", copy / "results/two_layers/.plan")
    owner = json.loads((copy / "results/two_layers/.plan/owner.json").read_text())
    owner["absolute"] = str(circuit.resolve())
    (copy / "results/two_layers/.plan/owner.json").write_text(json.dumps(owner))
    done = snakefold("run", str(circuit), "--cores", "2", cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "edges/inter_to_top.h5 is no longer part of the circuit" in done.stderr
    assert not (copy / "results/two_layers/edges/inter_to_top.h5").exists()
    assert snakefold("verify", "results/two_layers", cwd=copy).returncode == 0


def test_check_writes_nothing(tmp_path):
    done = snakefold("check", str(CIRCUIT), cwd=tmp_path)
    assert done.returncode == 0 and "1,436 cells of 3 types" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_check_as_json(tmp_path):
    good = snakefold("check", "--json", str(CIRCUIT), cwd=tmp_path)
    assert good.returncode == 0 and json.loads(good.stdout) == {"mistakes": [], "warnings": []}
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        CIRCUIT.read_text().replace("iaf_cond_alpha", "iaf_cond_alfa", 1).replace("indegree: 40", "indegree: x")
    )
    done = snakefold("check", "--json", "bad.yaml", cwd=tmp_path)
    found = {m["path"]: (m["file"], m["line"]) for m in json.loads(done.stdout)["mistakes"]}
    lines = bad.read_text().split("\n")
    assert done.returncode == 1 and found == {
        "connectivity.base_to_top.indegree": ("bad.yaml", lines.index("    indegree: x") + 1),
        "simulations.basal_activity.cell_models.base_type.model": (
            "bad.yaml",
            lines.index("        model: iaf_cond_alfa") + 1,
        ),
    }


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys; from snakefold.loading import load; from snakefold.planning import make; import snakefold.cli;"
        "import snakefold.placement.tile, snakefold.connectivity.gather, snakefold.build, snakefold.hooks;"
        f"make(load({str(CIRCUIT)!r}), 'results');"
        "print([m for m in ('nest', 'mpi4py', 'matplotlib', 'scipy', 'jinja2', 'snakemake') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_quick():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import sys; sys.argv = ['snakefold', '--help']; import atexit; from snakefold.cli import main\n"
    code += "atexit.register(lambda: print([m for m in ('numpy', 'h5py', 'yaml', 'jsonschema') if m in sys.modules]))\nmain()"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"snakefold --help: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.3f} CPU-s")
    assert done.stdout.strip().endswith("[]"), "only click is imported for --help"


@pytest.mark.parametrize("profile", ["slurm", "profiles/slurm"])
def test_slurm_profile_is_found_from_the_root(profile, tmp_path):
    command = [sys.executable, "-m", "snakemake", "--profile", profile, "-n", "--config", f"circuit={CIRCUIT}"]
    done = subprocess.run([*command, f"results={tmp_path}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mem_mb=1000" in done.stdout + done.stderr and "runtime=30" in done.stdout + done.stderr
