from snakefold.launcher import n_ranks, stripped


def test_a_plain_process_is_the_only_rank():
    assert n_ranks({}) == 1
    assert n_ranks({"OMPI_COMM_WORLD_SIZE": "many", "SLURM_JOB_ID": "7"}) == 1


def test_a_launchers_variables_say_how_many_ranks_there_are():
    assert n_ranks({"OMPI_COMM_WORLD_SIZE": "3"}) == 3
    assert n_ranks({"PMI_SIZE": "2", "SLURM_STEP_NUM_TASKS": "2"}) == 2


def test_what_the_rule_says_counts_more_than_the_launchers_variables():
    assert n_ranks({"SNAKEFOLD_TASKS": "1", "SLURM_STEP_NUM_TASKS": "4"}) == 1
    assert n_ranks({"SNAKEFOLD_TASKS": "2"}) == 2


def test_what_makes_a_child_start_an_mpi_is_stripped():
    given = {
        "PATH": "/bin",
        "OMPI_X": "1",
        "PMIX_RANK": "0",
        "SLURM_STEPID": "1",
        "OTEL_TRACES": "x",
        "SNAKEFOLD_TASKS": "2",
    }
    assert stripped(given) == {"PATH": "/bin", "SNAKEFOLD_TASKS": "2"}
