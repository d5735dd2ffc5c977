import os

import pytest

from descriptions import edited, small, write
from snakefold import workflow
from snakefold.errors import Mistake, UserError
from snakefold.scheduling import Profile


@pytest.fixture(autouse=True)
def no_frozen_plan(monkeypatch):
    monkeypatch.delenv(workflow.FROZEN, raising=False)


def config_for(folder, tree=None, **keys):
    return {"circuit": str(write(folder, tree or small())), "results": str(folder / "r"), "tiles": 1} | keys


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "config.circuit: should be: a circuit file"),
        ({"circuit": "x.yaml", "tile": 3}, 'unknown key "tile"; did you mean "tiles"?'),
        ({"circuit": "a b.yaml"}, "the file's name becomes a folder"),
        ({"circuit": ".yaml"}, "config.circuit"),
        ({"circuit": 3}, "config.circuit"),
        ({"circuit": "x.yaml", "tiles": 0}, "config.tiles: should be: auto, or a number from 1 to 100000 (got: 0)"),
        ({"circuit": "x.yaml", "tiles": "many"}, "config.tiles"),
        ({"circuit": "x.yaml", "tiles": True}, "config.tiles"),
        ({"circuit": "x.yaml", "tiles": 2.5}, "config.tiles"),
        ({"circuit": "x.yaml", "results": ""}, "config.results"),
        ({"circuit": "x.yaml", "simulations": 3}, "config.simulations"),
    ],
)
def test_a_wrong_key_of_the_workflow_is_a_users_mistake(config, says):
    with pytest.raises(UserError) as caught:
        workflow.checked(config)
    assert len(caught.value.mistakes) == 1
    assert says in str(caught.value)


def test_all_wrong_keys_are_found_at_once_and_the_rest_has_defaults():
    with pytest.raises(UserError) as caught:
        workflow.checked({"circuit": 1, "tiles": 0, "results": 2, "x": 3})
    assert len(caught.value.mistakes) == 4
    assert workflow.checked({"circuit": "c.yaml"}) == {
        "circuit": "c.yaml",
        "results": "results",
        "tiles": "auto",
        "report": "warn",
        "progress": "auto",
        "disk": "fail",
        "authors": [],
        "license": "",
        "simulations": "all",
    }


def test_results_lie_in_a_folder_named_as_the_circuit(tmp_path):
    assert workflow.results_of({"results": "out/", "circuit": "/x/my.circuit.yaml"}) == "out/my.circuit"
    assert workflow.plan_for(config_for(tmp_path)).results == f"{tmp_path}/r/circuit"


@pytest.mark.parametrize("given", ["out", "./out", "out/", "x/../out", "{here}/out"])
def test_one_folder_of_results_has_one_path_by_which_snakemake_knows_its_files(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    assert workflow.results_of({"results": given.format(here=tmp_path), "circuit": "c.yaml"}) == "out/c"


def test_a_spawned_process_takes_the_frozen_plan_and_not_the_edited_description(tmp_path, monkeypatch):
    config = config_for(tmp_path, edited(("simulations", {})))
    plan = workflow.plan_for(config)
    monkeypatch.setattr(workflow, "ask_simulator", lambda plan: [])
    assert workflow.start(plan) == []
    write(tmp_path, edited(("simulations", {}), ("rng.seed", 99)))
    assert workflow.plan_for(config).digest != plan.digest  # the main process itself
    _, _, frozen = os.environ[workflow.FROZEN].partition(":")
    monkeypatch.setenv(workflow.FROZEN, f"{os.getpid() + 1}:{frozen}")
    assert workflow.plan_for(config) == plan
    write(tmp_path, {"nonsense": 1})
    assert workflow.plan_for(config) == plan
    with pytest.raises(UserError):
        workflow.plan_for(config | {"results": str(tmp_path / "another")})


def test_making_a_plan_writes_nothing(tmp_path):
    workflow.plan_for(config_for(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["circuit.yaml"]


def test_results_of_another_circuit_stop_the_plan(tmp_path):
    config = config_for(tmp_path)
    workflow.results.claim(f"{tmp_path}/r/circuit", str(tmp_path / "other" / "circuit.yaml"))
    with pytest.raises(UserError, match="another circuit"):
        workflow.plan_for(config)


def test_nothing_is_claimed_where_the_simulator_says_no(tmp_path, monkeypatch):
    def refuse(plan):
        raise UserError("no such model")

    plan = workflow.plan_for(config_for(tmp_path))
    monkeypatch.setattr(workflow, "ask_simulator", refuse)
    with pytest.raises(UserError, match="no such model"):
        workflow.start(plan)
    assert not (tmp_path / "r").exists()
    assert workflow.FROZEN not in os.environ


def test_ranks_of_simulations_should_divide_their_threads(tmp_path):
    tree = edited(("simulations.rest.threads", 6))
    tree["simulations"]["odd"] = tree["simulations"]["rest"] | {"threads": 3}
    plan = workflow.plan_for(config_for(tmp_path, tree))
    workflow.check_ranks(plan, Profile(simulation_ranks=3))
    with pytest.raises(UserError) as caught:
        workflow.check_ranks(plan, Profile(simulation_ranks=2))
    (mistake,) = caught.value.mistakes
    assert "simulations.odd.threads: should be: a multiple of the 2 MPI ranks" in str(mistake)
    assert "circuit.yaml:" in str(mistake) and "(got: 3)" in str(mistake)


def test_ranks_are_refused_before_anything_runs_where_nest_has_no_mpi(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan = workflow.plan_for(config_for(tmp_path, edited(("simulations.rest.threads", 2))))
    with pytest.raises(UserError, match=r"NEST cannot run on 2 MPI ranks: .* built without MPI"):
        workflow.start(plan, simulation_ranks=2)
    assert not (tmp_path / "r").exists()


def test_an_interrupt_while_nothing_runs_yet_has_no_traceback(capsys):
    with pytest.raises(SystemExit) as caught, workflow.mistakes_shown():
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted; nothing was run\n"


def test_mistakes_are_shown_one_to_a_line_without_a_traceback_and_end_with_exit_code_1(capsys):
    with pytest.raises(SystemExit) as caught, workflow.mistakes_shown():
        raise UserError([Mistake("one", ("a",), "f:1"), Mistake("two")])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "f:1: a: one\ntwo\n2 mistakes; nothing was run\n"


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), workflow.mistakes_shown():
        _ = 1 / 0
