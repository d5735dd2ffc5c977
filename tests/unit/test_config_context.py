import pytest

from snakefold.config.context import BuildContext, building, current


def test_a_context_lives_as_long_as_its_block():
    outer, inner = BuildContext(), BuildContext()
    with building(outer):
        with building(inner):
            assert current() is inner
        assert current() is outer
    with pytest.raises(LookupError):
        current()


@pytest.mark.parametrize("fails", [False, True])
def test_clean_up_runs_in_reverse_order_also_after_an_error(fails):
    gone = []
    build = BuildContext()
    with pytest.raises(ZeroDivisionError) if fails else building(BuildContext()), building(build):
        for name in "abc":
            assert build.share(name, lambda name=name: name, gone.append) == name
        if fails:
            raise ZeroDivisionError
        assert gone == []
    assert gone == ["c", "b", "a"]
    with pytest.raises(LookupError):
        current()


def test_one_failing_clean_up_does_not_stop_the_others():
    gone = []

    def fail(_):
        raise OSError("no")

    build = BuildContext()
    with pytest.raises(OSError, match="no"), building(build):
        build.share("first", lambda: 1, gone.append)
        build.share("second", lambda: 2, fail)
        build.share("third", lambda: 3, gone.append)
    assert gone == [3, 1]


def test_a_shared_resource_is_made_once():
    made = []
    build = BuildContext()
    with building(build):
        for _ in range(3):
            assert build.share("kernel", lambda: made.append(1) or "k") == "k"
    assert made == [1]


def test_mistakes_are_collected():
    build = BuildContext()
    build.mistake(("a",), "one")
    build.mistake(("b",), "two")
    assert [str(m) for m in build.mistakes] == ["a: one", "b: two"]
