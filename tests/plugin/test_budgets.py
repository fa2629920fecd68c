"""Absolute limits in markers, what markers set, and the options of the command line and of the project file."""

from __future__ import annotations

import json

import pytest

TESTS = """
import time

import pytest

KEPT = []

def nap():
    time.sleep(0.004)

def eat():
    return bytearray(100_000)

def keep():
    KEPT.append(bytearray(500))

@pytest.mark.pe_latency(max_latency="1 ms")
def test_slow(pe_latency):
    pe_latency(nap)

@pytest.mark.pe_latency(max_latency="10 s", threshold="600 %", margin="500 %", time="5 ms")
def test_slow_allowed(pe_latency):
    pe_latency(nap)

@pytest.mark.pe_memory(limit="50 kB")
def test_large(pe_memory):
    pe_memory(eat)

@pytest.mark.pe_memory(limit="1 MB", max_allocations=1000, leak="1 kB")
def test_large_allowed(pe_memory):
    pe_memory(eat)

@pytest.mark.pe_memory(max_allocations=3)
def test_many(pe_memory):
    pe_memory(lambda: [bytearray(n + 1) for n in range(600, 700)])

@pytest.mark.pe_memory(leak="100 B")
def test_leaks(pe_memory):
    pe_memory(keep)

@pytest.mark.pe_latency(margin="500 %")
def test_margin(pe_latency):
    pass

@pytest.mark.pe_memory(max_allocations=1.5)
def test_count(pe_memory):
    pass

@pytest.mark.pe_latency(time="2 h")
def test_time(pe_latency):
    pass
"""


@pytest.fixture(scope="module")
def run(shared):
    shared.write("test_limits.py", TESTS)
    done = shared.gate("--junitxml=junit.xml")
    return shared, done, shared.outcomes(), shared.verdicts()


@pytest.mark.parametrize(
    ("test", "metric", "limit"),
    [
        ("test_slow", "latency", "max_latency='1 ms'"),
        ("test_large", "peak", "limit='50 kB'"),
        ("test_many", "allocations", "max_allocations=3"),
        ("test_leaks", "retained", "leak='100 B'"),
    ],
)
def test_over_its_budget_a_test_fails_without_a_baseline(run, test, metric, limit):
    """The row is over budget, measured by several processes, and the message names the limit as it was written."""
    project, done, outcomes, verdicts = run
    assert done.status == 1
    assert verdicts[test, "", metric] == "over budget"
    assert limit in outcomes[test]
    assert "Traceback" not in outcomes[test]
    row = next(r for r in project.run_file()["run"]["rows"] if r["key"]["test"].endswith(f"::{test}") and r["budget"])
    assert len(row["samples"]) >= 3


def test_within_its_budget_a_test_passes_and_is_measured_as_its_marker_says(run):
    """Limits that hold change nothing, and time, threshold and margin of the marker are those of its rows."""
    project, _, outcomes, verdicts = run
    assert outcomes["test_slow_allowed"] == outcomes["test_large_allowed"] == "passed"
    assert verdicts["test_slow_allowed", "", "latency"] == "new"
    rows = {row["key"]["test"].split("::")[1]: row for row in project.run_file()["run"]["rows"]}
    assert (rows["test_slow_allowed"]["threshold"], rows["test_slow_allowed"]["margin"]) == (6.0, 5.0)
    assert (rows["test_slow"]["threshold"], rows["test_slow"]["margin"]) == (4.0, 3.0)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_margin", ["test_margin: the margin (500.0%)", "is larger than the threshold (400.0%)"]),
        ("test_count", ["the pe_memory marker: max_allocations: 1.5 is not a whole number"]),
        ("test_time", ["the pe_latency marker: time: '2 h'", "ms"]),
    ],
)
def test_a_marker_that_cannot_be_read_names_itself_and_the_option(run, test, words):
    """The test errs at its setup with one message; the others run."""
    _, _, outcomes, _ = run
    assert all(word in outcomes[test] for word in words), outcomes[test]
    assert "Traceback" not in outcomes[test]


def test_a_limit_is_not_lifted_by_an_update(run):
    """With --pe-perf-update and a reason a row over its budget still fails, while its baseline is written."""
    project, *_ = run
    done = project.gate("--pe-perf-update", "--pe-perf-reason=because", "-k", "test_large")
    assert done.status == 1
    assert project.verdicts()["test_large", "", "peak"] in {"over budget", "accepted"}
    assert "limit='50 kB'" in done.out
    assert ("test_large_allowed", "peak") in project.rows()


SMALL = """
def work():
    return sum(range(WORK))

def test_work(pe_latency):
    pe_latency(work)
"""


def start(project, size=200):
    project.write("test_small.py", SMALL.replace("WORK", str(size)))


def test_paths_of_the_command_line_win_over_the_project_file(project):
    """Report, run file, baselines and time go where and are what the command line says, whatever pyproject.toml says."""
    start(project)
    project.settings('report = "from-file.html"\njson = "from-file.json"\nbaselines = "from-file"\n')
    done = project.gate(
        "--pe-perf-report=out/page.html",
        "--pe-perf-json=out/run.json",
        "--pe-perf-baselines=accepted",
        "--pe-perf-time=3 ms",
        "--pe-perf-update",
    )
    assert done.status == 0, done.out
    assert "3.00 ms per test" in done.out
    assert (project.folder / "out/page.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert json.loads((project.folder / "out/run.json").read_text())["judgements"][0]["verdict"] == "accepted"
    assert list((project.folder / "accepted").rglob("*.json"))
    assert not list(project.folder.glob("from-file*"))
    assert not (project.folder / "baselines").exists()


def test_strict_and_update_from_new_to_accepted_to_worse(project):
    """Strict fails what is new; an update accepts it; a worse row needs a reason, which the baseline keeps."""
    start(project)
    strict, created = project.in_turn(["--pe-perf-strict"], ["--pe-perf-strict", "--pe-perf-update"])
    assert strict.status == 1
    assert "1 failed" in strict.out
    assert created.status == 0, created.out
    assert "create" in created.out
    before = project.baseline_files()

    start(project, 20_000)
    refused = project.gate("--pe-perf-update")
    assert refused.status == 1
    assert "--pe-perf-reason" in refused.out
    assert project.baseline_files() == before
    accepted = project.gate("--pe-perf-update", "--pe-perf-reason", "exact sums")
    assert accepted.status == 0, accepted.out
    assert project.rows()["test_work", "latency"]["reason"] == "exact sums"
    assert project.gate("--pe-perf-strict").status == 0


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ("treshold = '5 %'\n", ["--pe-perf"], ["unknown setting 'treshold'", "[tool.pe_perf]", "threshold"]),
        ("fresh = '2'\n", ["--pe-perf"], ["[tool.pe_perf] of pyproject.toml: fresh: '2' is not a whole number"]),
        ("report = \n", ["--pe-perf"], ["pyproject.toml", "line"]),
        ("", ["--pe-perf", "--pe-perf-time=5"], ["--pe-perf-time: '5' is not a duration", "5 ms"]),
        ("", ["--pe-perf", "--pe-perf-reason=x"], ["together with --pe-perf-update"]),
        ("", ["--pe-perf-update"], ["--pe-perf-update", "add --pe-perf"]),
    ],
)
def test_what_cannot_be_understood_is_a_usage_error(project, table, options, words):
    """Exit status 4, one message that names where it stands and what to do, and nothing ran or was written."""
    start(project)
    project.settings(table)
    done = project.pytest(*options)
    assert done.status == 4, done.out
    assert all(word in done.out for word in words), done.out
    assert "Traceback" not in done.out
    assert not (project.folder / ".pe-perf").exists()
