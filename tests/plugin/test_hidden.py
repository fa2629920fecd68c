"""What a typical call does not show: a slow tail, the collector's cost, the first call, an import."""

from __future__ import annotations

import pytest

BASE = """
import itertools

calls = itertools.count()

def unit(n=1500):
    return sum(i * i for i in range(n))

def tail():
    next(calls)
    return unit()

class Node:
    pass

def collected():
    return [Node() for _ in range(200)][0]

def first():
    return unit()
"""
HEAD = BASE.replace("    next(calls)\n", "    if next(calls) % 10 == 3:\n        unit(15000)\n")
HEAD = HEAD.replace(
    "    return [Node() for _ in range(200)][0]",
    "    nodes = [Node() for _ in range(200)]\n    for node in nodes:\n        node.me = node\n    return nodes[0]",
)
HEAD = HEAD.replace(
    "def first():\n", "ready = []\n\ndef first():\n    if not ready:\n        ready.append(unit(400000))\n"
)
TESTS = """
import pytest
import work

@pytest.mark.pe_latency(time="1 s")
def test_tail(pe_latency):
    pe_latency(work.tail)

@pytest.mark.pe_latency(time="2 s", margin="10 %", threshold="20 %")
def test_collector(pe_latency):
    pe_latency(work.collected)

def test_first(pe_latency):
    pe_latency(work.first)

@pytest.mark.pe_import("slow_to_import")
def test_import():
    pass
"""


@pytest.fixture(scope="module")
def run(shared_repository):
    """A run in which each test got worse in its own hidden way."""
    shared_repository.settings('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    shared_repository.write("work.py", BASE)
    shared_repository.write("slow_to_import.py", "value = 1\n")
    shared_repository.write("test_hidden.py", TESTS)
    shared_repository.commit("base")
    shared_repository.write("work.py", HEAD)
    shared_repository.write("slow_to_import.py", "value = sum(range(2_000_000))\n")
    result = shared_repository.against("HEAD")
    return shared_repository, result


@pytest.mark.parametrize("metric", ["tail", "collector", "first", "import"])
@pytest.mark.slow
def test_what_is_hidden_is_found(run, metric):
    """Each of the four has a row of its own, and fails its test."""
    project, result = run
    assert result.status == 1
    assert project.verdicts()[f"test_{metric}", "", metric] == "regressed", result.out
    assert f"({metric}) regressed" in result.out


@pytest.mark.slow
def test_the_typical_call_is_not_blamed(run):
    """A tail and a first call leave the row of the time alone."""
    project, _ = run
    assert project.verdicts()["test_tail", "", "latency"] == "unchanged"
    assert project.verdicts()["test_first", "", "latency"] == "unchanged"
