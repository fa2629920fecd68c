"""Two commits side by side: what changed is found, what did not is not, and it is the merge base that is compared."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from datetime import date

import pytest

from pytest_pe_perf.cli.judged import read_judged
from pytest_pe_perf.judge.accept import Entries
from pytest_pe_perf.rejudge import rejudge

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have")

CODE = """
KEPT = []

def work():
    return sum(i * i for i in range(100))

def steady():
    return sorted(range(300))

def slow():
    return sum(i * i for i in range(2000))

def one_more():
    return bytes(600)

def larger():
    return [0] * 1000

def keeps():
    return bytes(67)
"""
CHANGED = (
    CODE.replace("range(100)", "range(2001)")
    .replace("range(2000)", "range(100)")
    .replace("return bytes(600)", "return bytes(600), bytes(601)")
    .replace("[0] * 1000", "[0] * 10_000")
    .replace("return bytes(67)", "KEPT.append(bytes(67))")
)
TESTS = """
import pytest
import shop

def test_work(pe_latency):
    assert pe_latency(shop.work) > 0

class TestInClass:
    @pytest.mark.parametrize("what", ["work", "steady"])
    def test_by_name(self, pe_latency, what):
        pe_latency["once " + what](getattr(shop, what))

def test_steady(pe_latency):
    assert pe_latency(shop.steady)

def test_faster(pe_latency):
    pe_latency(shop.slow)

def test_one_more(pe_memory):
    pe_memory(shop.one_more)

def test_larger(pe_memory):
    pe_memory(shop.larger)

def test_keeps(pe_memory):
    pe_memory(shop.keeps)

@pytest.mark.pe_latency(max_latency="1 ns")
def test_budget(pe_latency):  # faster, too: so large a change is confirmed by few pairs
    pe_latency(shop.slow)

def test_plain():
    assert shop.work()
"""
WORSE = {"test_work", "TestInClass::test_by_name[work]", "test_one_more", "test_larger", "test_keeps", "test_budget"}


@pytest.fixture(scope="module")
def moved_on(shared_repository):
    """A branch that changes the code, from a main that has moved on since and cannot even be imported there."""
    project = shared_repository
    text = (project.folder / "pyproject.toml").read_text()
    project.write("pyproject.toml", text.replace('profile = "never"', 'profile = "failing"'))
    project.write("shop.py", CODE)
    project.write("test_shop.py", TESTS)
    project.commit("start")
    project.git("branch", "topic")
    project.write("shop.py", "raise SystemError('the tip of main is not the base')\n")
    project.commit("the tip")
    project.git("switch", "--quiet", "topic")
    return project


@pytest.fixture(scope="module")
def changed(moved_on):
    """A run of the changed code, which is not committed."""
    moved_on.write("shop.py", CHANGED)
    return moved_on, moved_on.decided("main", "--junitxml=junit.xml")


def test_a_change_fails_the_tests_that_call_it_and_no_other(changed):
    """Exit status 1, and of nine measured tests those six fail that got worse or are over budget."""
    project, done = changed
    assert done.status == 1, done.out
    outcomes = project.outcomes()
    names = {test.rpartition("::")[2] for test in WORSE}
    assert {name for name, outcome in outcomes.items() if outcome != "passed"} == names
    suite = ET.parse(project.folder / "junit.xml").getroot().find("testsuite")
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("6", "0", "10")
    assert "6 failed, 4 passed" in done.out


def test_every_row_has_its_verdict(changed):
    """Times and exact counts are compared between the sides, each measurement by its name, to the last allocation."""
    project, _ = changed
    verdicts = project.verdicts()
    assert verdicts["test_work", "", "latency"] == "regressed"
    assert verdicts["TestInClass::test_by_name[work]", "once work", "latency"] == "regressed"
    assert verdicts["TestInClass::test_by_name[steady]", "once steady", "latency"] == "unchanged"
    assert verdicts["test_steady", "", "latency"] == "unchanged"
    assert verdicts["test_faster", "", "latency"] == "improved"
    assert verdicts["test_one_more", "", "allocations"] == "regressed"
    assert verdicts["test_larger", "", "peak"] == "regressed"
    assert verdicts["test_larger", "", "retained"] == "unchanged"
    assert verdicts["test_keeps", "", "retained"] == "regressed"
    assert verdicts["test_budget", "", "latency"] == "over budget"
    assert project.reasons()["test_one_more allocations"].startswith("1 more")


def test_the_message_names_the_function_that_got_worse(changed):
    """Seen on both sides: what it takes or holds now and before, and nothing of what did not fail."""
    project, done = changed
    outcomes = {test: text.replace("\n  ", " ") for test, text in project.outcomes().items()}  # lines of 80 columns
    assert re.search(r"^cause: work \(shop\.py:\d+\) takes .* before$", outcomes["test_work"], re.MULTILINE), done.out
    assert re.search(r"^cause: larger \(shop\.py:17\) holds .* before$", outcomes["test_larger"], re.MULTILINE)
    assert re.search(
        r"^cause: one_more \(shop\.py:14\) makes 2 alloc.*, 1 before$", outcomes["test_one_more"], re.MULTILINE
    )
    assert re.search(r"^cause: keeps \(shop\.py:20\) keeps ", outcomes["test_keeps"], re.MULTILINE)
    profiles = project.run_file()["run"]["profiles"]
    assert all(profile["paired"] for profile in profiles)
    assert {profile["key"]["test"].removeprefix("test_shop.py::") for profile in profiles} == WORSE


def test_a_report_that_is_made_anew_names_it_too(changed):
    """The run file holds what the first report was made from."""
    project, _ = changed
    assert "cause: larger" in project.pe_perf("report", "--format", "annotations").out


def test_the_message_says_what_it_rests_on(changed):
    """Old and new value, ratio, interval, number of processes and the tier: paired for times, counts for what is exact."""
    project, _ = changed
    message = project.outcomes()["test_work"]
    for word in ("->", "95 % interval", "threshold 5x", "in two passes", "tier paired"):
        assert word in message.replace("→", "->"), word
    assert "tier counts" in project.outcomes()["test_one_more"]
    assert "limit max_latency='1 ns'" in project.outcomes()["test_budget"]


def test_the_run_names_base_and_head(changed):
    """The header and the run file say which commit was compared with, by the name that was given and by its hash."""
    project, done = changed
    base = project.git("merge-base", "main", "topic")
    assert base != project.git("rev-parse", "main")
    assert f"the working tree against {base[:10]} (main), side by side" in done.out
    context = project.run_file()["run"]["context"]
    assert (context["base"], context["against"], context["dirty"]) == (base, "main", "yes")
    assert "have the same code" not in done.out


def test_each_row_keeps_the_samples_of_both_sides(changed):
    """The run file has as many samples of base as of head, and at least four restarts of each time."""
    project, _ = changed
    rows = project.run_file()["run"]["rows"]
    assert len({row["key"]["test"] for row in rows}) == 9
    for row in rows:
        assert len(row["samples"]) == len(row["base"]), row["key"]
        if row["key"]["metric"] == "latency":
            assert len(row["samples"]) >= 4


def test_the_run_file_is_judged_again_as_the_session_judged(changed):
    """From its readings alone come the same verdicts, figures and notes, here and in `pe-perf gate`."""
    project, done = changed
    run, said = read_judged(project.folder / ".pe-perf/run.json")
    again = rejudge(run, {}, Entries((), date.today(), ())).report  # noqa: DTZ011 - there are no entries
    assert sorted(again.judgements, key=lambda j: j.key) == sorted(said.judgements, key=lambda j: j.key)
    assert again.notes == said.notes
    gated = project.pe_perf("gate", ".pe-perf/run.json", "--from-ref=main", "--json")
    assert gated.status == done.status == 1, gated.out
    found = {
        (j["key"]["test"], j["key"]["name"], j["key"]["metric"]): j["verdict"]
        for j in json.loads(gated.out)["judgements"]
    }
    assert found == done.verdicts(project.folder)


def test_a_commit_is_measured_and_not_the_working_tree(changed):
    """With --pe-perf-head the code is the commit's: base against itself is green, whatever the working tree holds."""
    project, _ = changed
    base = project.git("merge-base", "main", "topic")
    done = project.decided("main", f"--pe-perf-head={base}", "--deselect=test_shop.py::test_budget")
    assert done.status == 0, done.out
    assert set(project.verdicts().values()) == {"unchanged"}
    assert {test for test, _, _ in project.verdicts()} >= {"test_work", "test_keeps", "test_larger"}
    assert "base and head have the same code: this run compares it with itself" in done.out
    assert f"{base[:10]} against {base[:10]} (main)" in done.out
    assert (project.folder / "shop.py").read_text() == CHANGED
    assert project.git("status", "--porcelain") == "M shop.py"


def test_a_committed_change_is_found_while_the_working_tree_is_clean_of_it(changed):
    """--pe-perf-head names the changed commit: its tests fail although the checkout has the old code."""
    project, _ = changed
    project.git("switch", "--quiet", "--create=other")
    project.commit("slower")
    project.git("switch", "--quiet", "topic")
    assert (project.folder / "shop.py").read_text() == CODE
    done = project.decided("main", "--pe-perf-head=other", "test_shop.py::test_one_more", "test_shop.py::test_steady")
    assert done.status == 1, done.out
    assert project.worst() == {"test_one_more": "regressed", "test_steady": "unchanged"}
    context = project.run_file()["run"]["context"]
    assert (context["commit"], context["dirty"]) == (project.git("rev-parse", "other"), "no")
