"""A gate that compares nothing says so: the cases of docs/method/never-vacuous.md, each with its words and exit status.

What another test shows already is not run again: its words are looked for in that test.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

def test_a(pe_memory):
    pe_memory(bytes, 600)

@pytest.mark.parametrize("n", [600])
def test_p(pe_memory, n):
    pe_memory(bytes, n)
"""
GONE = """
def test_benchmark(benchmark):
    benchmark.pedantic(sorted, (range(300),), rounds=20)

def test_gone(pe_memory):
    pe_memory(bytes, 700)
"""
# Case -> options, words and exit status.
RUN = {
    "no baseline": (["test_it.py", "-k", "test_a", "--pe-perf-baselines=nowhere"], "nothing compared: 3 new rows", 0),
    "unreadable file": (["--pe-perf-baselines=broken"], "bad-baseline", 4),
    "`-n` of pytest-xdist": (
        ["test_gone.py", "-p", "xdist", "-n", "2"],
        "set aside: everything is measured serially",
        0,
    ),
    "`-k`": (["test_it.py", "-k", "test_a"], "belong to tests that were not part of this run", 0),
    "everything deselected": (["test_it.py", "-k", "nothing"], "nothing measured", 5),
    "renamed parameters": (["test_it.py"], "but with other parameters", 0),
}
# Case -> the test that runs it, its words and its exit status.
FRESH = "plugin/test_bad_input.py::test_a_fresh_process_that_dies_or_hangs_is_inconclusive_with_the_reason"
ELSEWHERE = {
    "no test on both sides": (
        "plugin/test_shard.py::test_beside_a_commit_both_sides_have_the_same_share",
        "nothing compared: 1 missing, 1 new rows",
        0,
    ),
    "plugin disabled": (
        "plugin/test_off.py::test_it_can_be_switched_off_by_name",
        "unrecognized arguments: --pe-perf",
        4,
    ),
    "base is head": (
        "plugin/test_against.py::test_a_commit_is_measured_and_not_the_working_tree",
        "base and head have the same code: this run compares it with itself",
        0,
    ),
    "missing shard": ("plugin/test_shard.py::test_together_they_are_the_suite", "there is no shard", 2),
    "time-out": (FRESH, "did not finish within", 0),
    "crashed worker": (FRESH, "gave no numbers", 0),
}
# What is missing fails under strict, and no worker of pytest-xdist alone could know of it.
SERIAL = ["test_gone.py", "-p", "xdist", "--pe-perf-strict"]
# How the header calls it -> how workers are asked for; the last time by PYTEST_ADDOPTS.
WORKERS = {
    "-n 2": ["-n", "2", "--dist", "loadfile"],
    "-n ": ["-n", "auto"],
    "--dist loadscope": ["--dist", "loadscope", "--tx", "2*popen"],
    "-n 3": ["-o", "addopts=-n 3"],
    "--dist load ": [],
}
ADDOPTS = "-d --tx 2*popen"


@pytest.fixture(scope="module")
def told(shared):
    """What every session says, in the order of the tables, and their project."""
    shared.write("test_it.py", TESTS)
    shared.write("test_gone.py", GONE)
    done = shared.accept("--pe-perf-time=5 ms")
    assert done.status == 0, done.out
    shared.write("test_it.py", TESTS.replace("[600]", "[9000]"))
    shared.write("test_gone.py", GONE.partition("def test_gone")[0])
    (accepted,) = (shared.folder / "baselines").rglob("test_it*.json")
    shared.write(f"broken/{accepted.relative_to(shared.folder / 'baselines')}", "<<<<<<< ours")
    sessions = [given for given, *_ in RUN.values()]
    sessions += [SERIAL, *([*SERIAL, *more] for more in WORKERS.values())]
    everything = [["--pe-perf-time=5 ms", f"--pe-perf-json={n}.json", *given] for n, given in enumerate(sessions)]
    return shared, shared.in_turn(*everything, addopts={len(sessions) - 1: ADDOPTS})


@pytest.mark.parametrize("case", RUN)
def test_it_is_said_and_has_its_exit_status(told, case):
    """The words stand on the screen, and the exit status is the one of the table."""
    done, (_, words, status) = told[1][list(RUN).index(case)], RUN[case]
    assert words in done.words, done.out
    assert done.status == status, done.out


@pytest.mark.parametrize("given", WORKERS)
def test_workers_change_no_verdict(told, given):
    """However they are asked for: the header says what is set aside, and verdicts and exit status are those without."""
    project, done = told
    first = len(RUN)
    number = first + 1 + list(WORKERS).index(given)
    assert f"pe-perf: {given}" in done[number].words, done[number].out
    assert done[number].words.count("set aside: everything is measured serially") == 1
    assert "set aside" not in done[first].words
    serial, with_workers = (verdicts(project.folder / f"{n}.json") for n in (first, number))
    assert with_workers.keys() == serial.keys()
    # What a busy machine makes of a time of 5 ms is its own business.
    exact = [{key: verdict for key, verdict in v.items() if key[2] != "latency"} for v in (serial, with_workers)]
    assert exact[0] == exact[1]
    assert set(exact[0].values()) == {"missing"}
    assert len(serial) == len(exact[0]) + 1
    assert (done[number].status, done[first].status) == (1, 1)


def verdicts(path):
    return {tuple(j["key"].values()): j["verdict"] for j in json.loads(path.read_text())["judgements"]}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_another_test_shows_the_rest(case):
    """That test is there, and has the words and the exit status."""
    node, words, status = ELSEWHERE[case]
    file, _, name = node.partition("::")
    text = (ROOT / "tests" / file).read_text()
    (function,) = [item for item in ast.parse(text).body if isinstance(item, ast.FunctionDef) and item.name == name]
    start = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    source = "\n".join(text.splitlines()[start - 1 : function.end_lineno])
    assert words in source
    assert re.search(rf"(status|returncode) == {status}\b", source)


def test_the_page_lists_these_cases():
    """Each case of the page is one of these, with its words and exit status, and the other way round."""
    page = (ROOT / "docs/method/never-vacuous.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    shown = {case: (words.strip("`"), status) for case, words, status, *_ in rows[1:]}
    assert shown == {name: (words, str(status)) for name, (_, words, status) in (RUN | ELSEWHERE).items()}
    assert len(shown) == 12
