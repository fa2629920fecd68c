"""pytest-benchmark's fixture under the gate: its whole surface, its files, its hooks, and its silence without us."""

from __future__ import annotations

import importlib.util
import json
import re
import sys

import pytest

CONFTEST = """
import time

import pytest

SEEN = []

def fine():
    return sum(range(200))

class Counted:
    def __init__(self):
        self.calls = 0

    def __call__(self, /, *args, **kwargs):
        self.calls += 1
        fine()
        return args, kwargs

@pytest.fixture
def counted():
    return Counted()

@pytest.fixture
def benchmark(benchmark):
    benchmark.extra_info["by"] = "conftest"
    return benchmark

@pytest.fixture(params=["small", "large"])
def size(request):
    return request.param

def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["room"] = "12"

def pytest_benchmark_update_commit_info(config, commit_info):
    commit_info["told"] = True

def pytest_benchmark_update_json(config, benchmarks, output_json):
    output_json["seen"] = len(benchmarks)

@pytest.hookimpl(hookwrapper=True)
def pytest_benchmark_group_stats(config, benchmarks, group_by):
    print("GROUPS", len(benchmarks))
    yield

def pytest_benchmark_scale_unit(config, unit, benchmarks, best, worst, sort):
    print("SCALED")
    return ("m", 1e3) if unit == "seconds" else ("", 1.0)
"""
TESTS = """
import time

import pytest
from conftest import Counted, fine
from pytest_benchmark.fixture import BenchmarkFixture, FixtureAlreadyUsed

def test_call(benchmark, counted):
    assert isinstance(benchmark, BenchmarkFixture)
    assert benchmark.enabled and not benchmark.disabled
    assert benchmark.name == "test_call" and benchmark.fullname.endswith("test_bench.py::test_call")
    assert benchmark.params is None and not benchmark.stats
    assert benchmark(counted, 1, key=2) == ((1,), {"key": 2})
    assert counted.calls > 5
    stats = benchmark.stats
    assert stats["mean"] == stats.stats.mean > 0
    assert stats["min"] <= stats["median"] <= stats["max"]
    assert stats["rounds"] == stats.stats.rounds == len(stats.stats.data) >= 5
    assert stats["iterations"] * stats["rounds"] < counted.calls
    assert stats["ops"] and not benchmark.has_error

def test_decorator(benchmark):
    benchmark.group = "grouped"
    benchmark.extra_info["n"] = 3

    @benchmark
    def result():
        return fine()

    assert result == fine()

def test_used_twice(benchmark):
    benchmark(fine)
    with pytest.raises(FixtureAlreadyUsed):
        benchmark(fine)

def test_sizes(benchmark, size):
    assert benchmark.param == size and benchmark.params == {"size": size}
    benchmark(fine)

def test_unused(benchmark):
    pass

def test_slow(benchmark, counted):
    def slow():
        counted()
        time.sleep(0.002)
    benchmark(slow)
    assert benchmark.stats["rounds"] >= 5

@pytest.mark.benchmark(max_time=0.01, min_rounds=40, timer=time.process_time, group="marked", disable_gc=True,
                       warmup=True, warmup_iterations=2, min_time=0.000001, calibration_precision=5)
def test_marked(benchmark):
    benchmark(time.sleep, 0.001)
    assert benchmark.stats["rounds"] >= 40
    assert benchmark.stats["min"] < 0.0009
    assert benchmark.group == "marked"

def test_raises(benchmark):
    with pytest.raises(ZeroDivisionError):
        benchmark(lambda: 1 / 0)
    assert benchmark.has_error

def test_cleans_up(benchmark_weave):
    pass

def test_pedantic(benchmark, counted):
    made = []
    def setup():
        made.append("up")
        return (len(made),), {"b": 1}
    result = benchmark.pedantic(counted, setup=setup, teardown=lambda n, b: made.append("down"), rounds=4, warmup_rounds=2)
    assert result == ((11,), {"b": 1})
    assert counted.calls == 6 and made == ["up", "down"] * 6
    assert benchmark.stats["rounds"] == 4 and benchmark.stats["iterations"] == 1

def test_pedantic_iterations(benchmark, counted):
    assert benchmark.pedantic(counted, args=(1,), kwargs={"b": 2}, rounds=3, iterations=7, warmup_rounds=1) == ((1,), {"b": 2})
    assert counted.calls == (3 + 1) * 7 + 1
    assert benchmark.stats["rounds"] == 3 and benchmark.stats["iterations"] == 7

@pytest.mark.parametrize("bad, error", [
    ({"rounds": 0}, ValueError), ({"iterations": 0}, ValueError), ({"warmup_rounds": -1}, ValueError),
    ({"iterations": 2, "setup": fine}, ValueError), ({"args": (1,), "setup": lambda: ((1,), {})}, TypeError),
])
def test_pedantic_refuses(benchmark, bad, error, counted):
    with pytest.raises(error):
        benchmark.pedantic(counted, **bad)
    assert counted.calls == 0
"""
WEAVE = """
import conftest

def test_weave(benchmark):
    benchmark.weave(conftest.fine)
    conftest.fine()

def test_patch(benchmark):
    benchmark.patch("conftest.fine")
    conftest.fine()
"""
ASYNC = """
import asyncio

import pytest

async def later(value):
    await asyncio.sleep(0)
    return value

@pytest.mark.asyncio
async def test_async(benchmark):
    assert await benchmark(later, 5) == 5
"""
TABLE = "Rounds  Iterations"
MEASURED = {"test_call", "test_decorator", "test_used_twice", "test_sizes[small]", "test_sizes[large]", "test_slow"}
MEASURED |= {"test_marked", "test_pedantic", "test_pedantic_iterations", "test_async"}


@pytest.fixture(scope="module")
def written(shared):
    shared.write("conftest.py", CONFTEST)
    shared.write("test_bench.py", TESTS)
    shared.write("test_async.py", ASYNC)
    if importlib.util.find_spec("aspectlib"):
        shared.write("test_weave.py", WEAVE)
    shared.settings("benchmark_memory = false\n")
    return shared


@pytest.fixture(scope="module")
def gated(written):
    done = written.gate(
        *("-p", "pytest_asyncio.plugin", "-rw", "-s", "--pe-perf-time=3 ms", "--junitxml=junit.xml"),
        *("--benchmark-json=bench.json", "--benchmark-save=kept"),
    )
    return written, done, written.outcomes(), written.verdicts()


def test_the_surface_of_the_fixture_is_the_originals(gated):
    """Calls, decorators, exact numbers of pedantic calls, stats, errors and a conftest on top work as the tests say."""
    _, done, outcomes, verdicts = gated
    assert done.status == 0, done.out
    assert set(outcomes.values()) == {"passed"}
    measured = {test for test, _, metric in verdicts if metric == "latency"}
    assert measured >= MEASURED
    assert ("test_weave" in measured) == bool(importlib.util.find_spec("aspectlib"))
    assert {metric for _, _, metric in verdicts} == {"latency"}
    assert set(verdicts.values()) <= {"new", "inconclusive"}


def test_an_unused_fixture_warns_and_is_said(gated):
    """pytest-benchmark's own warning appears, the test passes, and it is said as not measured."""
    project, done, outcomes, _ = gated
    assert "Benchmark fixture was not used at all in this test!" in done.out
    assert outcomes["test_unused"] == "passed"
    assert project.reasons()["test_unused"] == "it passed and measured nothing"


def test_its_json_its_storage_and_its_hooks_go_on_working(gated):
    """The JSON and the saved file hold our readings, groups and extra info, and what conftest's hooks put into them."""
    project, done, _, _ = gated
    content = json.loads((project.folder / "bench.json").read_text())
    found = {bench["name"]: bench for bench in content["benchmarks"]}
    assert found.keys() >= MEASURED - {"test_used_twice"}
    assert content["machine_info"]["room"] == "12"
    assert content["commit_info"]["told"] is True
    assert content["seen"] >= len(found)
    assert found["test_decorator"]["group"] == "grouped"
    assert found["test_decorator"]["extra_info"] == {"by": "conftest", "n": 3}
    assert found["test_marked"]["options"]["timer"] == "process_time"
    assert found["test_pedantic"]["stats"]["rounds"] == 4
    assert len(found["test_call"]["stats"]["data"]) == found["test_call"]["stats"]["rounds"]
    rows = {(row["key"]["test"].split("::")[1], row["key"]["metric"]): row for row in project.run_file()["run"]["rows"]}
    assert rows["test_call", "latency"]["samples"][0]["value"] == pytest.approx(found["test_call"]["stats"]["min"])
    (saved,) = (project.folder / ".benchmarks").rglob("*_kept.json")
    assert json.loads(saved.read_text())["seen"] == content["seen"]
    assert "GROUPS" in done.out


def test_its_wide_table_is_for_those_who_ask(gated):
    """No table under the gate; --benchmark-verbose, -vv and --benchmark-cprofile show it, the last with its profile."""
    project, done, _, _ = gated
    assert TABLE not in done.out
    assert "SCALED" not in done.out
    asked = project.gate("-s", "-vv", "-k", "test_decorator", "--benchmark-cprofile=tottime", "--pe-perf-time=3 ms")
    assert asked.status == 0
    assert TABLE in asked.out
    assert "SCALED" in asked.out
    assert "cProfile (time in s)" in asked.out
    assert "fine" in asked.out.split("cProfile (time in s)")[1]


def test_its_switches_are_obeyed_and_said(written):
    """--benchmark-disable runs functions once and says so; --benchmark-skip and -only skip as ever."""
    disabled = written.gate("--benchmark-disable", "-k", "test_decorator or test_pedantic_it")
    assert written.reasons()["test_decorator"] == "pytest-benchmark is disabled (--benchmark-disable)"
    assert disabled.out.count("not measured: ") == 2
    assert "1 failed, 1 passed" in disabled.out  # test_pedantic_iterations counts its calls
    skipped = written.gate("--benchmark-skip", "-k", "test_decorator")
    assert "1 skipped" in skipped.out
    assert "Skipping benchmark" in written.reasons()["test_decorator"]
    written.write("test_other.py", "def test_other(pe_latency):\n    pe_latency(sorted, range(99))\n")
    only = written.gate("--benchmark-only", "-k", "test_other or test_decorator", "--pe-perf-time=3 ms")
    assert "1 passed, 1 skipped" in only.out


def without_times(text):
    return re.sub(r"[\d.]+", "#", text)


def test_without_the_gate_pytest_benchmark_is_alone(written):
    """Its table, its header, its counts and its exit status are the same whether we are loaded or not."""
    arguments = ["-k", "test_call or test_unused or test_raises or refuses", "--benchmark-max-time=0.01", "-p"]
    arguments += ["pytest_benchmark.plugin"]
    runs = [
        written.command(sys.executable, "-m", "pytest", *arguments, *ours)
        for ours in ([], ["-p", "pytest_pe_perf.plugin"])
    ]
    assert runs[0].status == runs[1].status == 0
    assert TABLE in runs[0].out
    lines = [
        [without_times(line).split() for line in run.out.splitlines() if not line.startswith("test_call ")]
        for run in runs
    ]
    assert [[word for word in line if set(word) != {"-"}] for line in lines[0]] == [
        [word for word in line if set(word) != {"-"}] for line in lines[1]
    ]


CODSPEED = ("-p", "pytest_codspeed.plugin", "-k", "test_decorator or test_async", "-p", "pytest_asyncio.plugin")


def test_codspeed_beside_us_is_no_matter_and_both_at_once_are_refused(written):
    """With pytest-codspeed loaded the gate measures; --codspeed together with --pe-perf is a usage error that says so."""
    done = written.gate(*CODSPEED, "--pe-perf-time=3 ms")
    assert done.status == 0, done.out
    assert written.verdicts()["test_decorator", "", "latency"] == "new"
    assert written.pytest(*CODSPEED).status == 0
    both = written.gate(*CODSPEED, "--codspeed")
    assert both.status == 4
    assert "--codspeed and --pe-perf" in both.out
    assert "Traceback" not in both.out
