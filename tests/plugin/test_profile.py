"""What fails is looked at once more: the message names the function that made it worse, and no verdict rests on that."""

from __future__ import annotations

import re
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have")

CODE = """
def read(lines):
    return [line.split(",") for line in lines]

def hold(parts):
    return [part * 2 for part in parts]

def work(lines):
    rows = read(lines)
    return [hold(row) for row in rows]
"""
LARGER = CODE.replace("part * 2", "part * 200")
TESTS = """
import work

LINES = ["a,b,c,d"] * 20

def test_memory(pe_memory):
    pe_memory(work.work, LINES)

def test_steady(pe_memory):
    pe_memory(work.read, LINES)
"""
# A side that is asked for a profile has this in its environment before any plugin is configured.
BREAKS = """
import os
if '"profile":[{' in os.environ.get("PE_PERF_FRESH", ""):
    os._exit(3)
"""


def settings(project, profile="failing", more=""):
    project.settings(more)
    text = (project.folder / "pyproject.toml").read_text()
    project.write("pyproject.toml", text.replace('"never"', f'"{profile}"', 1))


def profiles(project):
    return {
        (each["key"]["test"].rpartition("::")[2], each["key"]["metric"]): each
        for each in project.run_file()["run"]["profiles"]
    }


@pytest.fixture(scope="module")
def accepted(make_repository, tmp_path_factory):
    """A baseline of memory, accepted in a commit, and a function that holds more now."""
    project = make_repository(tmp_path_factory.mktemp("stored"))
    settings(project)
    project.write("work.py", CODE)
    project.write("test_work.py", TESTS)
    done = project.gate("--pe-perf-update")
    assert done.status == 0, done.out
    project.commit("accepted")
    project.write("work.py", "# moved\n\n\n" + LARGER)
    return project


@pytest.mark.slow
def test_memory_is_held_beside_the_commit_that_accepted_it(accepted):
    """Both sides are looked at, for the one test that fails."""
    done = accepted.gate()
    assert done.status == 1, done.out
    assert re.search(r"^cause: hold \(work\.py:9\) holds ", done.out, re.MULTILINE), done.out
    assert {test for test, _ in profiles(accepted)} == {"test_memory"}
    assert all(each["paired"] for each in profiles(accepted).values())


def test_on_request_everything_is_looked_at(accepted):
    """A test that passes, too; without a pair head alone is shown, and the file says why."""
    settings(accepted, more='confirm = "never"\n')
    done = accepted.gate("--pe-perf-profile", "-k", "steady")
    assert done.status == 0, done.out
    (note,) = {each["note"] for each in profiles(accepted).values()}
    assert note == "of head alone: confirm is set to never"


def test_a_profile_that_cannot_be_made_changes_no_verdict(accepted):
    """The run says in its place why nobody could look, and is what it would have been."""
    settings(accepted, more='confirm = "never"\n')
    accepted.write("conftest.py", BREAKS)
    done = accepted.gate("--pe-perf-profile", "-k", "steady")
    assert done.status == 0, done.out
    assert set(accepted.verdicts().values()) == {"unchanged"}
    for each in profiles(accepted).values():
        assert each["note"].startswith("no profile: a process that was to profile ended with status 3; it said: ")
