"""Descriptions mutated at random: whatever they say, the answer is a circuit or a list of mistakes.

By hand: `python tests/unit/mutations.py N SEED [JOBS]` tries N mutations and tells those that did anything else, the
slowest and the largest. A case is known by (SEED, its number), and `python tests/unit/mutations.py --show SEED NUMBER
FOLDER` writes its files. Every case is tried in a process that may have 1 GB of memory, and has 10 s of processor time.
"""

import contextlib
import copy
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(Path(__file__).parent)]

from descriptions import text_of  # noqa: E402

MOST_BYTES, MOST_CPU_S, MOST_WALL_S = 10**9, 10, 300
BATCH = 50
CIRCUITS, DATA = ROOT / "config/circuits", ROOT / "tests/data"
# folder, circuit file, files that are mutated
BASES = [
    (CIRCUITS, "two_layers.yaml", ["two_layers.yaml"]),
    (CIRCUITS, "microcircuit.yaml", ["microcircuit.yaml"]),
    (DATA, "contracts.yaml", ["contracts.yaml"]),
    (DATA / "bsb", "guide_nest.json", ["guide_nest.json"]),
    (DATA / "bsb", "guide_nest.yaml", ["guide_nest.yaml", "getting_started.yaml"]),
    (DATA / "bsb", "writing_components.yaml", ["writing_components.yaml", "getting_started.yaml"]),
    (DATA / "tissue", "circuit.yaml", ["circuit.yaml"]),
    (DATA / "touching", "circuit.yaml", ["circuit.yaml"]),
    (DATA / "twenty", "circuit.yaml", ["circuit.yaml", "cells.json", "simulations.json", "parts/strategies.yaml"]),
]

VALUES = [
    *(None, True, False, 0, -1, 1, 2.5, -1e-300, 1e300, 1e308, 10**30, 10**400, 1e-300, 1e-3, 10**12, 2**63, 2**64),
    *(float("nan"), float("inf"), -float("inf"), "", "x", "=", "= 1", "= 1/0", "= nope", "= 2**2**2**2**60"),
    *(
        "= sqrt(-1)",
        "= __import__('os')",
        "../x",
        "a b",
        "-x",
        ".x",
        "ü",
        "$ref",
        "base_type",
        "x.csv",
        "a\0b",
        "\ud800",
    ),
    *("../../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/zero.csv", ".", "..", "/", "~", "a/../../b", "x" * 5000),
    *("loop.yaml", "pipe.csv", "pipe.py", "zero.csv", "zero.py", "folder.csv", "= " + "(" * 400, "1e5", "010", "no"),
    *([], [1], [None], [[]], [1, 2, 3], [1e308] * 3, ["base_type"], ["base_type"] * 2, {}, {"a": 1}, {"": 1}),
    *({"strategy": "x"}, {"distribution": "normal"}, {"distribution": []}, {"*": {"*": 1}}, {"*": 1}, {"rule": "x"}),
    *({"$ref": "#/"}, {"$ref": "#"}, {"$ref": 3}, {"$ref": "#/cell_types"}, {"$ref": "a\0b#/"}, {"$import": 3}),
    *({"$ref": "/dev/zero#/"}, {"$ref": "../../x.yaml#/"}, {"$ref": "loop.yaml#/a"}, {"$ref": "zero.yaml#/"}),
    *({"distribution": "norm", "scale": -1}, {"distribution": "norm", "loc": [1]}, {"strategy": "distance_delay"}),
    {"$import": {"ref": "#/cell_types", "values": ["base_type"]}},
    {"$import": {"ref": "#/", "values": [["x"], None, "cell_types"]}},
]
KINDS = ["drop", "rename", "set", "set", "set", "swap", "nest", "flatten", "scale", "double", "copy", "deepen", "cast"]
NAMES = ["x", "", "$ref", "$import", "a/b", "..", "strategy", "type", "count", "rule", "a\0b", "<<", "é"]


def plain(value: object) -> object:
    """Return a marked tree as plain dicts and lists, which may be changed."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def paths(value: object, path: tuple = ()):
    """Yield the paths of everything in a tree."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def at(tree: object, path: tuple) -> object:
    """Return what stands at a path."""
    for step in path:
        tree = tree[step]
    return tree


def mutated(tree: dict, rng: random.Random) -> dict:
    """Return a tree with one to three things dropped, renamed, replaced, nested, flattened, scaled, doubled or cast."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        there = [p for p in paths(tree) if p]
        if not there:
            break
        path = rng.choice(there)
        parent, last = at(tree, path[:-1]), path[-1]
        value, kind = parent[last], rng.choice(KINDS)
        if kind == "drop":
            del parent[last]
        elif kind == "rename" and isinstance(parent, dict):
            parent[rng.choice([*NAMES, f"{last}s", last[:-1], last.upper()])] = parent.pop(last)
        elif kind == "set":
            parent[last] = copy.deepcopy(rng.choice(VALUES))
        elif kind == "swap":
            parent[last] = copy.deepcopy(at(tree, rng.choice(there)))
        elif kind == "nest":
            parent[last] = rng.choice([[value], {"x": value}, {str(last): value}])
        elif kind == "flatten" and isinstance(value, dict | list) and value:
            parent[last] = rng.choice(list(value.values()) if isinstance(value, dict) else value)
        elif kind == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
            parent[last] = value * rng.choice([0, -1, 1e-12, 1e6, 1e12, 1e40])
        elif kind == "double" and isinstance(value, list):
            parent[last] = value + value
        elif kind == "copy" and isinstance(parent, dict):
            parent[rng.choice([f"{last}2", *parent])] = copy.deepcopy(value)
        elif kind == "deepen":
            for _ in range(rng.choice([20, 90, 120, 200])):
                value = [value] if rng.random() < 0.5 else {"a": value}
            parent[last] = value
        elif kind == "cast":
            parent[last] = str(value) if isinstance(value, int | float) else len(str(value))
    return tree


def bomb(levels: int, width: int) -> str:
    """Return YAML whose aliases expand to width ** levels values."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def broken(text: bytes, rng: random.Random) -> bytes:
    """Return the text of a file with something done to it that no tree has."""
    lines = text.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(text) + 1)
    kind = rng.randrange(16)
    if kind == 0:  # the same key twice
        lines.insert(i, lines[i])
    elif kind == 1:
        lines[i] = b"\t" + lines[i]
    elif kind == 2:
        lines[i] += rng.choice(
            [b" !!python/object/apply:os.system ['true']", b" !!binary aaaa", b" !x", b" &a", b" *a"]
        )
    elif kind == 3:
        return text[:j]
    elif kind == 4:
        return text[:j] + bytes(rng.randrange(256) for _ in range(rng.choice([1, 1, 4, 40]))) + text[j:]
    elif kind == 5:
        return text[:j] + rng.choice([b"\xff\xfe", b"\xc3\x28", b"\x00", b"\xed\xa0\x80", b"\xef\xbb\xbf"]) + text[j:]
    elif kind == 6:
        return bomb(rng.choice([3, 9, 30]), 9).encode() + text
    elif kind == 7:
        return text[:j] + rng.choice([b"[", b"{a: ", b'{"a":', b"- "]) * rng.choice([50, 5000, 200_000]) + text[j:]
    elif kind == 8:
        return (
            text[:j]
            + rng.choice([b"9" * 5000, b"1e999999", b"-0", b"0x" + b"f" * 500, b"1:30", b"2020-01-01"])
            + text[j:]
        )
    elif kind == 9:
        return b"\n".join(rng.sample(lines, len(lines)))
    elif kind == 10:
        lines[i] = b" " * rng.randrange(9) + lines[i].lstrip()
    elif kind == 11:
        return text.decode().encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"]))
    elif kind == 12:
        return text + b"\n---\n" + text
    elif kind == 13:
        return b"%YAML 9.9\n---\n" + text
    elif kind == 14:
        return text.replace(b":", b": ? ", 3)
    else:
        return rng.choice([b"", b"\n", b"[]", b"3", b"null", b'"x"', b"# nothing", b" " * 2_100_000, b"- a: b"])
    return b"\n".join(lines)


def write_case(seed: int, number: int, folder: Path) -> Path:
    """Write the files of a case into an empty folder and return its circuit file."""
    from snakefold.config.read import read_file

    rng = random.Random(f"{seed}/{number}")
    source, circuit, files = rng.choice(BASES)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    file = folder / rng.choice(files)
    tree = plain(read_file(str(file))[0])
    (folder / "loop.yaml").write_text("a: {$ref: 'loop.yaml#/b'}\nb: {$ref: 'loop.yaml#/a'}\n")
    (folder / "folder.csv").mkdir()
    for name in ("pipe.csv", "pipe.py"):
        os.mkfifo(folder / name)
    for name in ("zero.csv", "zero.py", "zero.yaml"):
        (folder / name).symlink_to("/dev/zero")
    how = rng.choice(["tree", "tree", "tree", "text"])
    if how == "tree":
        tree = mutated(tree, rng)
    as_json = file.suffix == ".json" if file.name != circuit else rng.random() < 0.5
    if as_json:
        text = json.dumps(tree, indent=rng.choice([None, 1]))
    else:
        text = "".join(f"{json.dumps(k)}: {text_of(v)}\n" for k, v in tree.items())
        if how == "text" and file.suffix != ".json":
            text = file.read_text(encoding="utf-8")
    raw = text.encode("utf-8", "surrogatepass")
    if how == "text":
        raw = broken(raw, rng)
    if file.name == circuit:
        file.unlink()
        file = file.with_suffix(".json" if as_json else ".yaml")
        circuit = file.name
    file.write_bytes(raw)
    return folder / circuit


def answer(circuit: Path) -> str:
    """Return "fine" or "mistakes": what is said of a description, NEST being asked about those without a mistake."""
    from snakefold.errors import UserError
    from snakefold.workflow import ask_simulator, plan_for, with_simulator  # noqa: F401 (imported before the limits)

    try:
        with contextlib.chdir(circuit.parent):
            plan = plan_for({"circuit": circuit.name})
            json.dumps(plan.to_json(), allow_nan=False)
            plan.final_files()
            if plan.simulations:
                ask_simulator(plan)
        return "fine"
    except UserError as error:
        lines = str(error).splitlines()
        located = all(mistake.where and mistake.message for mistake in error.mistakes)
        if not error.mistakes or not located or "Traceback" in str(error):
            raise AssertionError(f"a mistake without place or words: {lines}") from error
        return "mistakes"


def try_cases(seed: int, first: int, n: int) -> None:
    """Try some cases in this process, under the limits; print a line of JSON before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))

    def overdue(*_):
        raise TimeoutError(f"took more than {MOST_CPU_S} s of processor time")

    signal.signal(signal.SIGPROF, overdue)
    for number in range(first, first + n):
        print(json.dumps({"begins": number}), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            limit = sys.getrecursionlimit()
            sys.setrecursionlimit(20_000)  # for what is nested on purpose
            circuit = write_case(seed, number, Path(folder))
            sys.setrecursionlimit(limit)
            before, words = time.process_time(), ""
            signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
            signal.alarm(MOST_WALL_S)  # ends the process
            try:
                said = answer(circuit)
            except BaseException:
                said, words = "crash", traceback.format_exc()
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
        took, most = time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"case": number, "says": said, "words": words, "cpu_s": took, "bytes": most}), flush=True)


def batch(seed: int, first: int, n: int) -> list[dict]:
    """Try some cases in another process; where a case ends it, go on after that in a further one."""
    done: list[dict] = []
    while len(done) < n:
        command = [sys.executable, __file__, "--cases", str(seed), str(first + len(done)), str(n - len(done))]
        ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith(('{"begins"', '{"case"'))]
        done += [line for line in lines if "case" in line]
        if len(done) < n:
            words = f"the process ended with exit code {ran.returncode}: {ran.stderr[-2000:]}"
            died = {"case": first + len(done), "says": "crash", "words": words, "cpu_s": 0.0, "bytes": 0}
            done.append(died)
    return done


def tried(n: int, seed: int, jobs: int = 1):
    """Yield what became of each of the cases 0 to n - 1 of a seed."""
    with ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(lambda first: batch(seed, first, min(BATCH, n - first)), range(0, n, BATCH)):
            yield from done


def main(n: int, seed: int, jobs: int = 1) -> int:
    """Try cases and print what a person wants to know; the exit code says whether any went wrong."""
    counts = {"fine": 0, "mistakes": 0, "crash": 0}
    slowest = largest = {"cpu_s": 0.0, "bytes": 0, "case": None}
    for case in tried(n, seed, jobs):
        counts[case["says"]] += 1
        slowest, largest = max(slowest, case, key=lambda c: c["cpu_s"]), max(largest, case, key=lambda c: c["bytes"])
        if case["says"] == "crash":
            print(f"seed {seed}, case {case['case']}:\n{case['words']}", flush=True)
        if case["case"] % 1000 == 999:
            print(f"{case['case'] + 1} tried: {counts}", flush=True)
    print(f"{n} mutations of seed {seed}: {counts}")
    print(f"slowest: case {slowest['case']}, {slowest['cpu_s']:.2f} CPU-s")
    print(f"largest: case {largest['case']}, {largest['bytes'] / 1e6:.0f} MB (of a process that tried up to {BATCH})")
    return 1 if counts["crash"] else 0


if __name__ == "__main__":
    if sys.argv[1] == "--cases":
        try_cases(*map(int, sys.argv[2:5]))
    elif sys.argv[1] == "--show":
        print(write_case(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
