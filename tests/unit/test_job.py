import os
import re
import resource
import signal
from types import SimpleNamespace

import pytest

from snakefold import job
from snakefold.errors import UserError


def test_a_job_calls_main_and_says_what_it_cost(capsys):
    called = []
    job.run(lambda a, b: called.append((a, b)), a=1, b="x")
    assert called == [(1, "x")]
    assert re.fullmatch(r"cost: [\d.]+ CPU-s, \d+ MB at most\n", capsys.readouterr().out)


@pytest.mark.parametrize(("of_children", "mb"), [(400, 561), (160, 161)])
def test_a_compiler_that_a_job_waits_for_is_counted(of_children, mb, monkeypatch, capsys):
    used = {resource.RUSAGE_SELF: (3.0, 1.0, 161), resource.RUSAGE_CHILDREN: (8.0, 0.5, of_children)}

    def getrusage(who):
        user, system, mb = used[who]
        return SimpleNamespace(ru_utime=user, ru_stime=system, ru_maxrss=mb * 1024)

    monkeypatch.setattr(resource, "getrusage", getrusage)
    job.run(lambda: None)
    assert capsys.readouterr().out == f"cost: 12.500 CPU-s, {mb} MB at most\n"


def test_a_users_mistake_is_a_message_and_exit_code_1(capsys):
    def fail():
        raise UserError("no room", where="f:1")

    with pytest.raises(SystemExit) as caught:
        job.run(fail)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: f:1: no room\n"


def test_a_job_that_fails_says_why_though_it_is_told_to_end_meanwhile(capsys):
    class Mistake(UserError):
        def __str__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            return "no room"

    def fail():
        raise Mistake("")

    with pytest.raises(SystemExit) as caught:
        job.run(fail)
    out, err = capsys.readouterr()
    assert (caught.value.code, err) == (1, "error: no room\n") and out.startswith("cost: ")


def test_a_job_may_open_as_many_files_as_it_is_allowed_to():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        job.run(lambda: None)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
