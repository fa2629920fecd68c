"""Two commits side by side: everything that pytest can do with a test, and every way to measure one."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have"),
]

KIT = """
FACTOR = 1
ROUNDS = 6

def work(*_):
    return sum(i * i for i in range(100 * FACTOR))

def steady(*_):
    return sorted(range(300))

async def later():
    return work()

def gone():
    return work()
"""
SLOWER = KIT.replace("FACTOR = 1", "FACTOR = 20").replace("ROUNDS = 6", "ROUNDS = 9").replace("def gone", "def arrived")
CONFTEST = """
import os

import pytest

def noted(scope):
    @pytest.fixture(scope=scope, name=f"of_{scope}")
    def fixture():
        for word in ("up", "down"):
            with open(os.environ["NOTES"], "a") as file:
                file.write(f"{os.getpid()} {scope} {word}\\n")
            if word == "up":
                yield scope
    return fixture

of_session, of_module, of_class, of_function = map(noted, ["session", "module", "class", "function"])

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
TESTS = """
import os
import sys
import unittest

import kit
import pytest

class TestScopes:
    def test_one(self, pe_latency, of_session, of_module, of_class, of_function):
        assert (of_session, of_function) == ("session", "function")
        pe_latency(kit.steady)

    def test_two(self, pe_latency, of_session, of_module, of_class, of_function):
        pe_latency(kit.steady)

@pytest.mark.parametrize("size", [1, 2], ids=["a b::c", "\u00fc/[x]"])
def test_odd(pe_latency, size):
    pe_latency(kit.work, size)

def test_names(pe_latency):
    pe_latency["same"](kit.steady)
    pe_latency["slow"](kit.work)

def test_one_name_more(pe_latency):
    pe_latency["same"](kit.steady)
    if kit.FACTOR > 1:
        pe_latency["more"](kit.steady)

@pytest.mark.asyncio
async def test_asyncio(pe_latency):
    await pe_latency(kit.later)

@pytest.mark.anyio
@pytest.mark.pe_latency
async def test_anyio_body(anyio_backend):
    for _ in range(30):  # so that anyio's own share is small
        await kit.later()

def test_coroutine(pe_latency):
    pe_latency(kit.later)

@pytest.mark.pe_latency
@pytest.mark.pe_memory
def test_body():
    kit.work()

def test_benchmark(benchmark):
    benchmark(kit.work)

@pytest.mark.benchmark
def test_benchmark_body():
    kit.work()

def test_pedantic(benchmark):
    made = []
    benchmark.pedantic(lambda: (made.append(1), kit.work()), rounds=kit.ROUNDS, iterations=5, warmup_rounds=1)
    assert len(made) == (kit.ROUNDS + 1) * 5 + 1  # the last one is for the result

def test_pedantic_setup(benchmark):
    made = []
    def setup():
        made.append(1)
        return (len(made),), {}
    benchmark.pedantic(kit.work, setup=setup, rounds=5)
    assert len(made) == 5

@pytest.mark.pe_import("heavy")
def test_import():
    pass

@pytest.mark.pe_latency(max_latency="1 s")
def test_within_budget(pe_latency):
    pe_latency(kit.steady)

@pytest.mark.xfail(reason="known to be slow", strict=True)
def test_expected(pe_latency):
    pe_latency(kit.work)

@pytest.mark.skip(reason="not today")
def test_skipped(pe_latency):
    pe_latency(kit.work)

@pytest.mark.skipif(kit.FACTOR > 1, reason="not on head")
def test_skipped_on_head(pe_latency):
    pe_latency(kit.work)

def test_fails_on_base(pe_latency):
    pe_latency(kit.arrived)

def test_fails_on_head(pe_latency):
    pe_latency(kit.gone)

def test_noise(pe_latency):
    print("noise" * 20_000)
    os.write(1, b"noise" * 20_000)
    sys.stderr.write("noise")
    assert sys.stdin.read() == ""
    pe_latency(kit.steady)

@pytest.mark.pe_latency
class TestOfUnittest(unittest.TestCase):
    def test_it(self):
        kit.work()

def test_plain(of_session):
    assert kit.work()
"""
PLUGINS = ("-p", "xdist", "-p", "pytest_asyncio.plugin", "-p", "anyio.pytest_plugin")
MARKED = '[tool.pytest.ini_options]\nasyncio_default_fixture_loop_scope = "function"\n'


@pytest.fixture(scope="module")
def ran(shared_repository):
    """One run of everything, with -n 2 and without capturing; head is slower and has another function."""
    project = shared_repository
    project.settings(MARKED)
    project.write("kit.py", KIT)
    project.write("heavy/__init__.py", "TABLE = None\n")
    project.write("conftest.py", CONFTEST)
    project.write("test_kit.py", TESTS)
    project.commit()
    project.write("kit.py", SLOWER)
    project.write("heavy/__init__.py", "TABLE = [i * i for i in range(1_000_000)][-1]\n")
    notes = project.room / "notes.txt"
    done = project.decided("HEAD", *PLUGINS, "-n", "2", "-s", "--junitxml=junit.xml", NOTES=str(notes))
    return project, done, notes.read_text()


def test_every_kind_of_test_is_compared(ran):
    """What calls the slower code is regressed, whatever measures it; what does not is unchanged."""
    project, done, _ = ran
    assert done.status == 1, done.out
    worst = project.worst()
    slower = ["test_odd[a b::c]", "test_odd[\\xfc/[x]]", "test_names", "test_asyncio", "test_anyio_body"]
    slower += ["test_coroutine", "test_body", "test_benchmark", "test_benchmark_body", "test_pedantic"]
    slower += ["test_pedantic_setup", "test_import", "test_expected"]
    assert {test: worst.get(test) for test in slower} == dict.fromkeys(slower, "regressed"), project.reasons()
    same = ["TestScopes::test_one", "TestScopes::test_two", "test_within_budget", "test_noise"]
    assert {test: worst.get(test) for test in same} == dict.fromkeys(same, "unchanged")
    verdicts = project.verdicts()
    assert verdicts["test_names", "same", "latency"] == "unchanged"
    assert verdicts["test_names", "slow", "latency"] == "regressed"
    assert verdicts["test_import", "", "import"] == "regressed"


def test_what_becomes_of_the_tests_is_pytest_s_business(ran):
    """A regression fails its test unless it is expected, a skipped test is skipped, and a broken one fails."""
    project, done, _ = ran
    outcomes = project.outcomes()
    assert outcomes["test_expected"] == "skipped"  # that is how JUnit has an expected failure
    assert outcomes["test_skipped"] == outcomes["test_skipped_on_head"] == "skipped"
    assert "AttributeError" in outcomes["test_fails_on_head"]
    passed = ["test_fails_on_base", "test_noise", "test_it", "test_plain", "test_one", "test_within_budget"]
    assert {test: outcomes[test] for test in passed} == dict.fromkeys(passed, "passed")
    assert "-n 2 set aside" in done.out


def test_what_one_side_lacks_says_which(ran):
    """A test that gives no number on a side has that as its reason; what base cannot run is new, a skipped one no news."""
    project, _, _ = ran
    worst, reasons = project.worst(), project.reasons()
    assert "test_skipped" not in worst
    assert reasons["test_skipped"] == "not today"
    for test, why in {
        "test_skipped_on_head": "on head: not on head",
        "test_fails_on_base": "on base: it failed: AttributeError",
        "test_fails_on_head": "on head: it failed: AttributeError",
        "test_one_name_more": "on base: it did not measure more",
        "TestOfUnittest::test_it": "on both sides: tests of unittest.TestCase cannot be measured",
    }.items():
        assert worst[test] == ("new" if test == "test_fails_on_base" else "inconclusive")
        assert reasons[f"{test} latency"].startswith(why)


def test_every_fixture_is_torn_down_in_every_process(ran):
    """Of each scope, each process has torn down what it has set up: sessions and modules once, functions test by test."""
    _, _, notes = ran
    counts = Counter(tuple(line.split()) for line in notes.splitlines())
    processes = {pid for pid, _, _ in counts}
    assert len(processes) >= 2 * 4 + 2 + 1
    for pid, scope, word in counts:
        assert counts[pid, scope, word] == counts[pid, scope, "down" if word == "up" else "up"], (pid, scope)
        if scope != "function":
            assert counts[pid, scope, word] == 1
    assert {scope for _, scope, _ in counts} == {"session", "module", "class", "function"}


def test_a_selection_is_all_that_is_compared(ran):
    """-k, --lf and -x choose what is measured and when to stop; nothing that was left out is called missing."""
    project, _, _ = ran
    notes = project.room / "more.txt"
    selected = ("-k", "test_odd or test_names or test_noise", "--lf", "-x")
    done = project.decided("HEAD", *selected, NOTES=str(notes))
    assert done.status == 1, done.out
    assert "1 failed" in done.out
    assert "passed" not in done.out.splitlines()[-1]
    assert project.worst() == dict.fromkeys(["test_odd[a b::c]", "test_odd[\\xfc/[x]]", "test_names"], "regressed")
    assert not notes.exists()
