"""The kernel process: what it answers, and that nothing it does or suffers is taken for an answer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import snakefold
from snakefold.nest import catalogue
from snakefold.nest.catalogue import Catalogue
from snakefold.nest.client import SERVER, Kernel, Unreachable, environment

ABOUT = {"ask": "about"}
ABORTS = {"ask": "settings", "threads": 0}
NODE = {"ask": "node", "model": "iaf_psc_exp"}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pid: int, within_s: float = 20.0) -> bool:
    limit = time.monotonic() + within_s
    while is_running(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not is_running(pid)


@pytest.fixture(scope="module")
def kernel():
    with Kernel() as kernel:
        yield kernel


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def interpreter(folder: Path, line: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return str(path)


def test_describes_models(kernel):
    about, node, unknown, synapse = kernel.ask(
        [ABOUT, NODE, {"ask": "node", "model": "iaf_psc_exq"}, {"ask": "synapse", "model": "gap_junction"}]
    )
    assert about["version"] and not about["refused_modules"]
    assert node["keys"]["C_m"] == "number" and "V_m" in node["recordables"]
    assert unknown == {"known": False}
    assert synapse["requires_symmetric"] and not synapse["has_delay"]


def test_parameters_that_need_one_another_are_taken_together(kernel):
    def wrong(model="iaf_psc_exp", **parameters):
        return kernel.ask([{"ask": "set_node", "model": model, "parameters": parameters}])[0]["wrong"].keys()

    assert wrong(V_th=-80.0, V_reset=-90.0) == set()
    assert wrong(V_th=-80.0, V_reset=-90.0, C_m=-1.0, bad=1) == {"C_m", "bad"}
    assert wrong("iaf_cond_alpha", E_L=-70.0, V_reset=-40.0, tau_syn_ex=0.0) == {"V_reset", "tau_syn_ex"}
    multi = {"E_rev": [0.0, -80.0], "tau_syn": [1.0, 2.0]}
    assert wrong("aeif_cond_alpha_multisynapse", **multi) == set()
    assert wrong("aeif_cond_alpha_multisynapse", **multi, C_m=-1.0) == {"C_m"}


def test_refused_parameters_leave_no_trace(kernel):
    bad = {"ask": "set_synapse", "model": "stdp_synapse_hom", "parameters": {"tau_plus": 3.0, "bad": 1}}
    first, second, _ = kernel.ask([bad, bad, NODE])
    assert first["wrong"].keys() == second["wrong"].keys() == {"bad"}


def test_room_for_synapse_models_does_not_run_out(kernel):
    query = {"ask": "set_synapse", "model": "stdp_synapse", "parameters": {"lambda": 0.1}}
    assert kernel.ask([query] * 600) == [{"wrong": {}}] * 600


def test_unknown_question_is_unreachable(kernel):
    bad, good = kernel.ask([{"ask": "nothing"}, NODE])
    assert isinstance(bad, Unreachable) and good["known"]


def test_killed_kernel_hides_no_other_question():
    with Kernel() as kernel:
        assert kernel.ask([ABOUT])[0]["version"]
        os.kill(kernel.pid, signal.SIGKILL)
        killed, *others = kernel.ask([NODE, NODE, ABOUT])
        assert isinstance(killed, Unreachable) and "SIGKILL" in killed.message
        assert [type(answer) for answer in others] == [dict, dict] and kernel.n_started == 2


def test_abort_is_unreachable_and_hides_no_other_question():
    with Kernel() as kernel:
        before, aborted, after = kernel.ask([NODE, ABORTS, NODE])
        assert before == after and before["known"]
        assert isinstance(aborted, Unreachable) and "SIGABRT" in aborted.message


def test_hanging_kernel_is_unreachable_and_ended():
    with Kernel() as kernel:
        kernel.ask([ABOUT])
        kernel.timeout_s, pid = 0.5, kernel.pid
        os.kill(pid, signal.SIGSTOP)
        (answer,) = kernel.ask([NODE])
        assert isinstance(answer, Unreachable) and "0.5 s" in answer.message
        assert not is_running(pid)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f'exec "{sys.executable}" -S "$@"', "No module named 'nest'"),
        ("echo no licence >&2; exit 127", "exit code 127: no licence"),
        ("exec /nowhere/python", "exit code"),
    ],
)
def test_python_without_nest_is_unreachable(tmp_path, line, words):
    with Kernel(python=interpreter(tmp_path, f"unset PYTHONPATH; {line}")) as kernel:
        answers = kernel.ask([ABOUT, NODE])
    assert all(isinstance(answer, Unreachable) and words in answer.message for answer in answers)
    assert kernel.n_started == 1 and kernel.pid is None


def test_missing_interpreter_is_unreachable(tmp_path):
    with Kernel(python=str(tmp_path / "none")) as kernel:
        (answer,) = kernel.ask([ABOUT])
    assert isinstance(answer, Unreachable) and "cannot be started" in answer.message


def test_launchers_variables_are_stripped(monkeypatch):
    launched = dict.fromkeys(
        ["OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK", "SLURM_NTASKS", "PRTE_X", "HYDRA_X", "MPICH_X", "I_MPI_X"],
        "2",
    )
    for name, value in (launched | {"OTEL_TRACES_EXPORTER": "x", "OMP_NUM_THREADS": "7", "KEPT": "1"}).items():
        monkeypatch.setenv(name, value)
    kept = environment()
    assert not kept.keys() & {*launched, "OTEL_TRACES_EXPORTER"}
    assert (kept["KEPT"], kept["OMP_NUM_THREADS"], kept["OMP_WAIT_POLICY"]) == ("1", "1", "passive")
    with Kernel() as kernel:  # without MPI, NEST exits at import where it sees the first two
        assert isinstance(kernel.ask([ABOUT])[0], dict)


def test_kernel_ends_with_its_input():
    process = subprocess.Popen([sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b'{"modules": []}\n')
    process.stdin.flush()
    assert "ready" in json.loads(process.stdout.readline())
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_kernel_ends_with_its_caller(tmp_path):
    code = (
        "import time\nfrom snakefold.nest.client import Kernel\n"
        "kernel = Kernel()\nkernel.ask([{'ask': 'about'}])\nprint(kernel.pid, flush=True)\ntime.sleep(60)\n"
    )
    library = os.environ | {"PYTHONPATH": str(Path(snakefold.__file__).parents[1])}
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=library)
    pid = int(caller.stdout.readline())
    assert is_running(pid)
    caller.kill()
    caller.wait()
    caller.stdout.close()
    assert ends(pid)


def test_module_that_is_not_there_is_told(tmp_path):
    with Kernel(modules=[str(tmp_path / "none.so")]) as kernel:
        (about,) = kernel.ask([ABOUT])
    assert list(about["refused_modules"]) == [str(tmp_path / "none.so")]


def test_second_check_needs_no_kernel(cache):
    with Catalogue() as first:
        answers = first.ask([ABOUT, NODE, ABORTS])
    assert first.kernel.n_started and isinstance(answers[2], Unreachable)
    with Catalogue() as second:
        assert second.ask([ABOUT, NODE]) == answers[:2]
        assert second.kernel.n_started == 0
        assert isinstance(second.ask([ABORTS])[0], Unreachable)  # asked again: what was unreachable is not kept
        assert second.kernel.n_started


def test_damaged_cache_is_ignored(cache):
    with Catalogue() as first:
        (known,) = first.ask([NODE])
    for damage in ('{"node', "[1]", '{"a": 1}', ""):
        first.path.write_text(damage)
        with Catalogue() as again:
            assert again.ask([NODE]) == [known]
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]


def test_unwritable_home_is_no_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with Catalogue() as some:
        assert some.ask([NODE])[0]["known"]
        assert some.path is None


def test_another_nest_has_another_cache(cache, monkeypatch):
    here = Catalogue().path
    monkeypatch.setattr(catalogue, "nest_version", lambda: "3.9.0")
    assert Catalogue().path != here
    module = cache / "m.so"
    module.write_text("1")
    one = Catalogue([str(module)]).path
    module.write_text("2")
    assert len({here, one, Catalogue([str(module)]).path}) == 3
    assert Catalogue(["not_a_file"]).path is None


def test_nothing_is_kept_where_a_module_failed(cache):
    module = cache / "m.so"
    module.write_text("not a library")
    with Catalogue([str(module)]) as some:
        assert some.ask([ABOUT])[0]["refused_modules"]
        assert not some.path.exists()
