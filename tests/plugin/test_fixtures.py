"""The fixtures and markers: what they take, what they return, and how they fail."""

from __future__ import annotations

import importlib.util
import json

import pytest

CONFTEST = """
import collections
import json

import pytest

TICKS = collections.Counter()

@pytest.fixture
def tick(request):
    return lambda: TICKS.update([request.node.name])

@pytest.fixture
def made(request):
    '''Check how often a function was called: once, or as often as measuring takes.'''
    gate = request.config.getoption("pe_perf")
    def check(function):
        assert function.calls > 5 if gate else function.calls == 1
    return check

def pytest_sessionfinish(session):
    if not session.config.getoption("pe_perf"):
        with open("ticks.json", "w") as file:
            json.dump(TICKS, file)

@pytest.fixture(scope="session")
def of_session():
    return "session"

@pytest.fixture(scope="module")
def of_module(of_session):
    return of_session + " module"

@pytest.fixture
def timed(pe_latency):
    return pe_latency["by another fixture"]
"""
COUNTING = """
import asyncio

def fine():
    return sum(range(200))

async def later(value=5):
    await asyncio.sleep(0)
    return value

class Counted:
    def __init__(self):
        self.calls = 0

    def __call__(self, /, *args, **kwargs):
        self.calls += 1
        fine()
        return args, kwargs

def broken(value):
    raise LookupError(f"no {value} here")
"""
CALLS = """
import functools

import pytest
from counting import Counted, broken, fine, later

def test_arguments(pe_latency, made):
    function = Counted()
    assert pe_latency(function, 1, 2, key=3) == ((1, 2), {"key": 3})
    made(function)

def test_odd_names(pe_latency, pe_memory, made):
    for fixture in (pe_latency, pe_memory):
        function = Counted()
        odd = {"class": 1, "not an identifier": 2, "fn": 3, "self": 4}
        assert fixture(function, **odd) == ((), odd)
        made(function)

def test_partial(pe_latency, made):
    function = Counted()
    assert pe_latency(functools.partial(function, 1, key=2), 3) == ((1, 3), {"key": 2})
    made(function)

def test_builtin(pe_latency, pe_memory):
    numbers = list(range(300))
    assert pe_latency(sorted, numbers, reverse=True) == pe_memory(sorted, numbers, reverse=True) == numbers[::-1]

def test_names(pe_latency, made):
    for name in ("parse", "format it"):
        function = Counted()
        pe_latency[name](function)
        made(function)

def test_coroutine(pe_latency, pe_memory):
    assert pe_latency(later, 7) == 7
    assert pe_memory(functools.partial(later, value=8)) == 8

@pytest.mark.pe_memory
def test_one_call_for_both(pe_latency):
    pe_latency(fine)

def test_through_a_fixture(timed, made):
    function = Counted()
    timed(function)
    made(function)

def test_by_request(request, made):
    function = Counted()
    request.getfixturevalue("pe_latency")(function)
    made(function)

def test_fast(pe_latency):
    pe_latency(abs, 1)

class TestClass:
    def test_method(self, pe_latency, of_module):
        assert pe_latency(str.upper, of_module * 50)

@pytest.mark.parametrize("value", [1, "a b", "x::y", "[z", "\u00fc", "", "a/../b"])
def test_each(pe_latency, value):
    pe_latency(fine)
"""
MISTAKES = """
import unittest

import pytest
from counting import broken, fine, later

def test_twice(pe_latency):
    pe_latency(fine)
    pe_latency(fine)

def test_never(pe_latency):
    pass

def test_never_by_name(pe_latency):
    pe_latency["x"]

def test_result(pe_latency):
    pe_latency(fine())

def test_no_name(pe_latency):
    pe_latency[" "](fine)

def test_raises(pe_memory):
    pe_memory(broken, 7)

@pytest.mark.anyio
async def test_not_awaited(pe_latency):
    coroutine = pe_latency(later)
    coroutine.close()

@pytest.mark.pe_latency(max_latency="5 parsecs")
def test_unit():
    pass

@pytest.mark.pe_memory(limits="5 MiB")
def test_option():
    pass

@pytest.mark.pe_latency("5 ms")
def test_positional():
    pass

@pytest.mark.skip(reason="not today")
def test_skipped(pe_latency):
    pe_latency(fine)

@pytest.mark.xfail(reason="known")
def test_expected(pe_latency):
    pe_latency(fine)
    assert False

def test_fails_later(pe_latency):
    pe_latency(fine)
    assert fine() == 0

class TestOld(unittest.TestCase):
    @pytest.mark.pe_latency
    def test_case(self):
        self.assertTrue(fine())
"""
MARKERS = """
import pytest
from counting import Counted, fine, later

@pytest.fixture(params=["asyncio", *TRIO])
def anyio_backend(request):
    return request.param

@pytest.mark.pe_latency
@pytest.mark.pe_memory
def test_body(tick):
    tick()
    fine()

@pytest.mark.benchmark
def test_benchmark_body(tick):
    tick()
    fine()

@pytest.mark.pe_latency
class TestClass:
    def test_method(self, tick):
        tick()
        fine()

@pytest.mark.asyncio
@pytest.mark.pe_latency
async def test_asyncio_body(tick):
    tick()
    assert await later() == 5

@pytest.mark.asyncio
async def test_asyncio(pe_latency, made):
    assert await pe_latency["a"](later, 3) == 3
    function = Counted()
    pe_latency["b"](function)
    made(function)

@pytest.mark.anyio
@pytest.mark.pe_latency
async def test_anyio_body(tick):
    tick()
    assert await later_here() == 5

@pytest.mark.anyio
async def test_anyio(pe_latency, pe_memory):
    assert await pe_latency(later_here, 3) == 3
    assert await pe_memory(later_here, 3) == 3

async def later_here(value=5):
    import anyio
    await anyio.lowlevel.checkpoint()
    return value
"""
MODULE = """
import pytest
from counting import fine

pytestmark = [pytest.mark.pe_latency(threshold="700 %"), pytest.mark.pe_latency(margin="600 %")]

def test_whole_module(tick):
    tick()
    fine()
"""
TRIO = ["trio"] if importlib.util.find_spec("trio") else []
ASYNC = ("-p", "pytest_asyncio.plugin", "-p", "anyio.pytest_plugin")


@pytest.fixture(scope="module")
def written(shared):
    shared.write("conftest.py", CONFTEST)
    shared.write("counting.py", COUNTING)
    shared.write("test_calls.py", CALLS)
    shared.write("test_markers.py", MARKERS.replace("*TRIO", repr(TRIO).strip("[]")))
    shared.write("test_mistakes.py", MISTAKES)
    shared.write("test_module.py", MODULE)
    return shared


@pytest.fixture(scope="module")
def gated(written):
    """All of it under the gate, once."""
    done = written.gate(*ASYNC, "--pe-perf-time=2 ms", "--junitxml=junit.xml", "--tb=long")
    assert done.status == 1, done.out
    return written, done, written.outcomes(), written.verdicts(), written.reasons()


@pytest.fixture(scope="module")
def plain(written):
    """All of it without the gate, once."""
    done = written.pytest(*ASYNC, "--junitxml=plain.xml", "--strict-markers")
    assert "pe-perf" not in done.out.replace("[pe-perf", "")
    return written.outcomes("plain.xml"), json.loads((written.folder / "ticks.json").read_text())


def test_functions_of_all_kinds_are_called_with_their_arguments_and_return_their_result(gated):
    """Every test that uses the fixtures rightly passes under the gate, its own assertions included, and is new."""
    _, done, outcomes, verdicts, _ = gated
    mistaken = {name for name, outcome in outcomes.items() if outcome != "passed"}
    assert not mistaken & set(CALLS.split()), done.out
    measured = {test for test, _, _ in verdicts}
    for name in ("test_arguments", "test_odd_names", "test_partial", "test_builtin", "test_coroutine", "test_names"):
        assert outcomes[name] == "passed"
        assert f"test_calls.py::{name}".split("::")[1] in measured
    assert {n for test, n, _ in verdicts if test == "test_names"} == {"parse", "format it"}
    assert {n for test, n, _ in verdicts if test == "test_through_a_fixture"} == {"by another fixture"}
    assert "test_by_request" in measured
    assert "TestClass::test_method" in measured


def test_two_fixtures_measure_two_things_and_a_marker_adds_the_other(gated):
    """A memory marker beside pe_latency weighs the same call; both fixtures in one test make rows of both."""
    _, _, _, verdicts, _ = gated
    for test in ("test_one_call_for_both", "test_builtin", "test_coroutine"):
        metrics = {metric for name, _, metric in verdicts if name == test}
        assert {"latency", "peak", "allocations"} <= metrics


def test_each_parameter_has_its_own_row(gated):
    """Seven parameters, spaces, brackets, colons and an empty text among them, are seven rows that are all measured."""
    _, done, _, verdicts, _ = gated
    each = {test: word for (test, _, _), word in verdicts.items() if test.startswith("test_each[")}
    assert len(each) == 7
    assert set(each.values()) == {"new"}, done.out


def test_markers_measure_the_whole_body(gated):
    """Plain, async and class-based tests with a marker and no fixture are measured, module-wide markers included."""
    _, done, _, verdicts, _ = gated
    bodies = ["test_body", "test_benchmark_body", "TestClass::test_method", "test_asyncio_body", "test_whole_module"]
    bodies += [f"test_anyio_body[{backend}]" for backend in ("asyncio", *TRIO)]
    for body in bodies:
        assert verdicts[body, "", "latency"] in {"new", "inconclusive"}, done.out
    assert verdicts["test_body", "", "peak"] == "new"


def test_async_tests_await_the_fixture(gated):
    """In tests that are coroutines the call is awaited in their own loop, under pytest-asyncio, anyio and trio."""
    _, done, outcomes, verdicts, _ = gated
    assert outcomes["test_asyncio"] == "passed", done.out
    assert {name for test, name, _ in verdicts if test == "test_asyncio"} == {"a", "b"}
    for backend in ("asyncio", *TRIO):
        assert outcomes[f"test_anyio[{backend}]"] == "passed", done.out
        assert verdicts[f"test_anyio[{backend}]", "", "allocations"] == "new"


def test_what_is_too_fast_cannot_be_judged(gated):
    """A function below 100 ns is inconclusive and the reason says so; its test passes."""
    _, _, outcomes, verdicts, reasons = gated
    assert outcomes["test_fast"] == "passed"
    assert verdicts["test_fast", "", "latency"] == "inconclusive"
    assert "below 100 ns" in reasons["test_fast latency"]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_twice", ["measured twice under no name", 'pe_latency["parse"]']),
        ("test_never", ["pe_latency was requested and never called", "drop the argument"]),
        ("test_never_by_name", ["pe_latency was requested and never called"]),
        ("test_not_awaited[asyncio]", ["pe_latency was requested and never called", "await"]),
        ("test_result", ["pe_latency takes a function", "19900", "not pe_latency(function(argument))"]),
        ("test_no_name", ["pe_latency[' ']", "not empty"]),
        ("test_unit", ["the pe_latency marker: max_latency: '5 parsecs' is not a duration", "5 ms"]),
        ("test_option", ["unknown option 'limits' in the pe_memory marker: did you mean 'limit'?"]),
        ("test_positional", ["the pe_latency marker takes no positional arguments"]),
    ],
)
def test_a_mistake_fails_with_one_message(gated, test, words):
    """The test that makes the mistake fails, its message says what to do, and there is no traceback through us."""
    _, done, outcomes, _, reasons = gated
    message = outcomes[test]
    assert all(word in message for word in words), message
    assert "Traceback" not in message
    assert "pytest_pe_perf/" not in message
    assert "failed: " in reasons[test], done.out


def test_what_a_benchmark_raises_is_shown_as_the_users_own(gated):
    """The traceback of a function that raises has the user's two frames and none of ours."""
    _, _, outcomes, _, reasons = gated
    message = outcomes["test_raises"]
    assert "no 7 here" in message
    assert "counting.py" in message
    assert "test_mistakes.py" in message
    assert "pytest_pe_perf" not in message
    assert "<string>" not in message
    assert reasons["test_raises"] == "it failed: LookupError: no 7 here"


def test_tests_that_were_not_measured_are_named(gated):
    """Skipped, expected to fail, failed, and unittest's: each is said as not measured with its reason, on screen too."""
    _, done, outcomes, verdicts, reasons = gated
    assert reasons["test_skipped"] == "not today"
    assert "expected" in reasons["test_expected"]
    assert "it failed" in reasons["test_fails_later"]
    assert "unittest.TestCase" in reasons["TestOld::test_case"]
    assert outcomes["test_case"] == "passed"
    assert not {test for test, _, _ in verdicts} & reasons.keys()
    assert done.out.count("not measured: ") == len([name for name in reasons if " " not in name])
    assert "Traceback" not in done.out


def test_without_the_gate_each_function_runs_once(plain):
    """The same tests make each call and run each body exactly once, and the functions' own errors are all that fails."""
    outcomes, ticks = plain
    assert ticks
    assert set(ticks.values()) == {1}
    wrong = {name for name, outcome in outcomes.items() if outcome not in {"passed", "skipped"}}
    assert wrong == {"test_result", "test_no_name", "test_raises", "test_fails_later"}
