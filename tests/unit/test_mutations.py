"""Whatever a description says, the answer is a circuit or a list of mistakes, in 10 s of processor time and 1 GB."""

from collections import Counter

import pytest

import mutations

pytestmark = pytest.mark.usefixtures("own_catalogue")

SEED, EACH = 20, 100


@pytest.mark.parametrize("part", range(4))
def test_whatever_a_description_says_there_is_a_circuit_or_a_list_of_mistakes(part):
    cases = mutations.batch(SEED, part * EACH, EACH)
    assert [case["case"] for case in cases] == list(range(part * EACH, part * EACH + EACH))
    wrong = {case["case"]: case["words"] for case in cases if case["says"] == "crash"}
    assert not wrong, f"python tests/unit/mutations.py --show {SEED} NUMBER FOLDER; {wrong}"
    said = Counter(case["says"] for case in cases)
    assert said["fine"] > 5 and said["mistakes"] > 40


def test_a_case_is_always_the_same(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for number in range(20):
        one, other = (mutations.write_case(SEED, number, tmp_path / f"{f}/{number}") for f in "ab")
        assert one.name == other.name and one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('a defect')", "ValueError: a defect"),
        ("return [0] * 10**9", "MemoryError"),
        ("while True: pass", "processor time"),
        ("os._exit(3)", "exit code 3"),
    ],
)
def test_what_goes_wrong_is_noticed(tmp_path, monkeypatch, body, words):
    text = (mutations.ROOT / "tests/unit/mutations.py").read_text()
    text = text.replace("ROOT = Path(__file__).resolve().parents[2]", f"ROOT = Path({str(mutations.ROOT)!r})")
    text = text.replace("str(Path(__file__).parent)", "str(ROOT / 'tests/unit')")
    text = text.replace("MOST_WALL_S = 10**9, 10, 300", "MOST_WALL_S = 10**9, 1, 300")
    broken = tmp_path / "mutations.py"
    broken.write_text(text.replace("    from snakefold.errors import UserError\n", f"    {body}\n", 1))
    monkeypatch.setattr(mutations, "__file__", str(broken))
    cases = mutations.batch(SEED, 0, 2)
    assert [case["says"] for case in cases] == ["crash", "crash"]
    assert all(words in case["words"] for case in cases)
