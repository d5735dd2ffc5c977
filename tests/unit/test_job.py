import re

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
