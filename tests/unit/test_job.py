import re
import resource

import pytest

from snakefold import job
from snakefold.errors import UserError


def test_a_job_calls_main_and_says_what_it_cost(capsys):
    called = []
    job.run(lambda a, b: called.append((a, b)), a=1, b="x")
    assert called == [(1, "x")]
    assert re.fullmatch(r"cost: [\d.]+ CPU-s, \d+ MB at most\n", capsys.readouterr().out)


def test_a_users_mistake_is_a_message_and_exit_code_1(capsys):
    def fail():
        raise UserError("no room", where="f:1")

    with pytest.raises(SystemExit) as caught:
        job.run(fail)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: f:1: no room\n"


def test_a_job_may_open_as_many_files_as_it_is_allowed_to():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        job.run(lambda: None)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
