"""A suspicion against a baseline is settled beside the commit that accepted it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

SLOW = "range(20000)"
TESTS = """
import work

def test_slow(pe_latency):
    pe_latency(work.f)

def test_other(pe_latency):
    pe_latency(work.g)

def test_big(pe_memory):
    pe_memory(work.h)
"""
WORK = """
def h():
    return [object() for _ in range(100)]

def f():
    return sum(range(1000))

def g():
    return sum(range(900))
"""


def git(folder: Path, *args: str) -> str:
    command = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", *args)
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def template(shared):
    """A project whose baseline was accepted in a commit."""
    project = shared
    git(project.folder, "init", "-q")
    project.write(".gitignore", ".pe-perf/\n__pycache__/\n")
    project.write("work.py", WORK)
    project.write("tests/test_it.py", TESTS)
    project.settings('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    project.accept()
    git(project.folder, "add", "-A")
    git(project.folder, "commit", "-qm", "accepted")
    return project


@pytest.fixture
def repository(template, tmp_path):
    """Such a project for a test of its own."""
    return template.copy(tmp_path)


def make_baseline_faster(project, test: str, times: int) -> None:
    """Let the accepted value be one that the code never had, as on a machine that was faster then."""
    value = project.rows()[test, "latency"]["value"]
    project.edit_row(test, "latency", value=float(f"{value / times:.4g}"))


def test_a_slower_test_is_red_beside_its_commit_and_can_be_accepted(repository):
    """The verdict rests on a pair, names the commit, fails that test alone, and the printed command accepts it."""
    accepted = git(repository.folder, "rev-parse", "HEAD")
    repository.write("work.py", WORK.replace("range(1000)", SLOW))
    result = repository.gate("-rA")
    assert result.status == 1
    assert "1 failed, 2 passed" in result.out
    assert f"beside {accepted[:10]}" in result.out
    assert "tier paired" in result.out
    assert repository.verdicts()["test_slow", "", "latency"] == "regressed"
    assert repository.verdicts()["test_other", "", "latency"] == "unchanged"
    updated = repository.update("tests/test_it.py::test_slow", "--reason", "meant")
    assert updated.status == 0, updated.out
    git(repository.folder, "add", "-A")
    git(repository.folder, "commit", "-qm", "accepted again")
    again = repository.gate()
    assert again.status == 0, again.out


@pytest.fixture(scope="module")
def of_other_days(template, tmp_path_factory):
    """Such a project whose baseline holds a time and a count that the code never had, and a run of it."""
    project = template.copy(tmp_path_factory.mktemp("of_other_days"))
    make_baseline_faster(project, "test_slow", 20)
    value = project.rows()["test_big", "allocations"]["value"]
    project.edit_row("test_big", "allocations", value=value - 1)
    git(project.folder, "commit", "-qam", "from another machine")
    return project, project.gate()


def test_a_baseline_of_faster_days_is_no_regression(of_other_days):
    """Where the commit that accepted the row is as slow today, the test passes and the reason says so."""
    project, result = of_other_days
    assert result.status == 0, result.out
    assert project.verdicts()["test_slow", "", "latency"] == "unchanged"
    assert "beside" in project.reasons()["test_slow latency"]


def test_a_count_that_grew_is_red_beside_its_commit(repository):
    """Both sides are weighed again, and what is more there too fails the test."""
    accepted = git(repository.folder, "rev-parse", "HEAD")
    repository.write("work.py", WORK.replace("range(100)", "range(101)"))
    result = repository.gate()
    assert result.status == 1, result.out
    assert repository.verdicts()["test_big", "", "allocations"] == "regressed"
    assert repository.reasons()["test_big allocations"] == f"beside {accepted[:10]}: 1 more in 3 processes"


def test_a_count_of_other_days_is_no_regression(of_other_days):
    """A count that depends on a clock differs from its baseline in every process of one hour, and not from its commit."""
    project, result = of_other_days
    assert result.status == 0, result.out
    assert project.verdicts()["test_big", "", "allocations"] == "unchanged"
    assert project.reasons()["test_big allocations"].endswith(": equal")


def test_a_count_that_does_not_repeat_beside_its_commit_is_inconclusive(repository):
    """What is more in some processes of both sides proves nothing."""
    often = "import os\n" + WORK.replace("range(100)", "range(100 + 50 * (os.getpid() % 2))")
    repository.write("work.py", often)
    git(repository.folder, "commit", "-qam", "depends on the process")
    value = repository.rows()["test_big", "allocations"]["value"]
    repository.edit_row("test_big", "allocations", value=value - 20)
    git(repository.folder, "commit", "-qam", "on a faster machine")
    result = repository.gate()
    assert result.status == 0, result.out
    assert repository.verdicts()["test_big", "", "allocations"] in ("inconclusive", "unchanged")


@pytest.mark.parametrize("why", ["not committed", "never"])
def test_what_no_pair_settles_is_judged_as_before(repository, why):
    """An uncommitted row, or confirm = never: five processes decide."""
    make_baseline_faster(repository, "test_slow", 20)
    if why == "never":
        git(repository.folder, "commit", "-qam", "from another machine")
        text = (repository.folder / "pyproject.toml").read_text()
        repository.write("pyproject.toml", text.replace('time = "20 ms"', 'time = "20 ms"\nconfirm = "never"'))
    result = repository.gate()
    assert result.status == 1
    assert "tier stored" in result.out
    assert repository.verdicts()["test_slow", "", "latency"] == "regressed"


def test_a_pair_may_be_kept_for_what_would_fail(repository):
    """With confirm = failing a small suspicion is inconclusive, not followed up; one that would fail is settled by one.

    A strict run asks further.
    """
    text = (repository.folder / "pyproject.toml").read_text()
    few = text.replace('margin = "300 %"', 'margin = "100 %"').replace(
        'time = "20 ms"', 'time = "20 ms"\nconfirm = "failing"'
    )
    repository.write("pyproject.toml", few)
    # So fast on a machine so slow: now the reference is not slow, whatever the machine does, which would be asked about.
    reference = repository.rows()["test_slow", "latency"]["reference"]
    repository.edit_row("test_slow", "latency", reference=float(f"{3 * reference:.4g}"))
    git(repository.folder, "commit", "-qam", "from another machine")
    for _ in range(3):  # three times as slow is between margin and threshold, unless the machine is in a bad moment
        small = repository.gate()
        assert small.status == 0, small.out
        again = re.search(r"test_slow\s+(again|beside)", small.out)
        if not again and "not followed up" in repository.reasons()["test_slow latency"]:
            break
    assert repository.verdicts()["test_slow", "", "latency"] == "inconclusive"
    assert not again
    strict = repository.gate("--pe-perf-strict")
    assert re.search(r"test_slow\s+again", strict.out)
    make_baseline_faster(repository, "test_slow", 20)
    git(repository.folder, "commit", "-qam", "from a much faster one")
    large = repository.gate()
    assert large.status == 0, large.out
    assert repository.verdicts()["test_slow", "", "latency"] == "unchanged"
    assert "beside" in repository.reasons()["test_slow latency"]


def test_what_cannot_be_settled_says_how_it_could(repository):
    """Within what a stored baseline can prove, and without a commit, the row is inconclusive and names the command."""
    text = (repository.folder / "pyproject.toml").read_text()
    repository.write("pyproject.toml", text.replace('margin = "300 %"', 'margin = "100 %"'))
    make_baseline_faster(repository, "test_slow", 3)
    result = repository.gate()
    assert result.status == 0, result.out
    assert repository.verdicts()["test_slow", "", "latency"] == "inconclusive"
    assert "--pe-perf-against COMMIT" in repository.reasons()["test_slow latency"]


def test_memory_is_not_weighed_again_where_only_a_time_is_in_doubt(project):
    """Fresh processes measure what is in doubt of a test; a count in doubt is counted behind the same calls as before."""
    project.write("work.py", WORK)
    project.write("test_it.py", "import work\n\ndef test_slow(benchmark):\n    benchmark(work.f)\n")
    project.settings('confirm = "never"\n[tool.pytest.ini_options]\npythonpath = ["."]\n')
    project.accept()
    make_baseline_faster(project, "test_slow", 20)
    assert project.gate().status == 1
    samples = {row["key"]["metric"]: len(row["samples"]) for row in project.run_file()["run"]["rows"]}
    assert (samples["latency"], samples["allocations"]) == (5, 1)
    value = project.rows()["test_slow", "allocations"]["value"]
    project.edit_row("test_slow", "allocations", value=value + 1)
    project.gate()
    samples = {row["key"]["metric"]: len(row["samples"]) for row in project.run_file()["run"]["rows"]}
    assert samples["allocations"] >= 3
