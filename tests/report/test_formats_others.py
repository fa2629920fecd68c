"""Reports for other programs, read the way that those read them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml
from junitparser import Skipped as SkippedCase

from pytest_pe_perf.model import GateReport, Run, Skipped, Verdict
from pytest_pe_perf.report.formats import RENDERERS
from pytest_pe_perf.report.formats.github import MOST
from pytest_pe_perf.report.formats.place import place_of

from .conftest import make_judgement, make_report, make_run

DATA = Path(__file__).parent / "schemas"
API = "tests/test_api.py::test_quote"
WORDS = st.text(max_size=30) | st.sampled_from(
    ["a::b,c=d%0A::error::x", "]]><x/>", "\ufffe\uffff\x00\ud800", "../../etc/passwd::x", "/abs.py::x", "[a](1) {0}"]
)


def rendered(name: str, report: GateReport, run: Run | None = None, folder: str = "") -> str:
    written = RENDERERS[name](run or make_run(report), report, folder)
    written.encode()
    return written


# --- annotations --------------------------------------------------------------------------------------------------

_COMMAND = re.compile(r"::(error|warning) ([^:]*)::(.*)")


def commands(report: GateReport, run: Run | None = None, folder: str = "") -> list[tuple[str, dict[str, str], str]]:
    """Read them as GitHub's runner does: one a line, properties apart, percent signs undone."""
    found = []
    for line in rendered("annotations", report, run, folder).split("\n")[:-1]:
        match = _COMMAND.fullmatch(line)
        assert match, line
        name, given, message = match.groups()
        properties = dict(part.split("=", 1) for part in given.split(","))
        found.append((name, {key: unquote(value) for key, value in properties.items()}, unquote(message)))
    return found


def test_annotations_stand_at_the_line_of_each_failed_test(everything: GateReport) -> None:
    """One for each test that failed, at its line, with all its failed rows and their commands."""
    found = commands(everything, folder="packages/ours")
    assert [name for name, _, _ in found] == ["error"] * 2
    _, properties, message = next(one for one in found if "test_quote" in one[1]["title"])
    assert properties == {
        "file": "packages/ours/tests/test_api.py",
        "line": "7",
        "title": f"regressed: {API}",
    }
    assert "+12.0 %, beyond +10.0 %" in message
    assert "peak memory of a call (peak) regressed: 1.20 MiB more" in message
    assert f'accept with: pe-perf update {API} --reason "..."' in message


def test_more_failures_than_github_shows_are_counted() -> None:
    """At most ten, the worst first; the last says how many more there are."""
    rows = [
        make_judgement(f"t.py::test_{number}", Verdict.REGRESSED, base=1e-3, head=1e-3 * (2 + number))
        for number in range(25)
    ]
    found = commands(make_report(*rows))
    assert len(found) == MOST
    assert "test_24" in found[0][1]["title"]
    assert "and 16 more tests that failed; 25 regressed" in found[-1][2]
    assert len(commands(make_report(*rows[:MOST]))) == MOST


def test_without_a_failure_only_doubt_is_told() -> None:
    """All well: no annotation. Something left open: one warning."""
    assert commands(make_report(make_judgement("t.py::a", Verdict.UNCHANGED, base=1e-3))) == []
    (found,) = commands(make_report(make_judgement("t.py::a", Verdict.INCONCLUSIVE, base=1e-3)))
    assert found[0] == "warning"
    assert "1 inconclusive" in found[2]


# --- JUnit --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def junit_schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(DATA / "junit-10.xsd"))


def test_junit_is_read_by_junitparser(everything: GateReport) -> None:
    """A case for each row and each test that was not measured; failed, skipped and passed as the gate said."""
    suite = next(iter(JUnitXml.fromstring(rendered("junit", everything).encode())))
    cases = list(suite)
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (len(cases), 3, 6, 0)
    assert len(cases) == len(everything.judgements) + len(everything.skipped)
    failed = [case for case in cases if any(isinstance(result, Failure) for result in case.result)]
    assert {(case.classname, case.name) for case in failed} == {
        ("tests.test_api", "test_quote latency"),
        ("tests.test_api", "test_quote peak"),
        ("tests.perf.test_startup", "test_import latency"),
    }
    quote = next(case for case in failed if case.name == "test_quote latency")
    assert quote.result[0].message == "+12.0 %, beyond +10.0 %"
    assert "threshold +10.0 %" in quote.result[0].text
    skipped = {case.name for case in cases if any(isinstance(result, SkippedCase) for result in case.result)}
    assert "test_parse [yaml] latency" in skipped
    assert "test_cluster" in skipped


def test_junit_is_what_jenkins_accepts(
    junit_schema: xmlschema.XMLSchema,
    everything: GateReport,
    side_by_side: GateReport,
    sides_run: Callable[[GateReport], Run],
) -> None:
    """Valid under the schema of Jenkins' xUnit plugin."""
    junit_schema.validate(rendered("junit", everything))
    junit_schema.validate(rendered("junit", side_by_side, sides_run(side_by_side)))


@settings(max_examples=30)
@given(WORDS, WORDS)
def test_any_words_make_a_document(junit_schema: xmlschema.XMLSchema, test: str, reason: str) -> None:
    """Whatever ids and reasons hold, the XML parses, is valid, and holds one case for each row."""
    rows = [make_judgement(test, Verdict.REGRESSED, reason, base=1.0, head=2.0)]
    report = make_report(*rows, skipped=(Skipped(test, reason),), notes=(reason,))
    written = rendered("junit", report, make_run(report, context={test: reason}))
    junit_schema.validate(written)
    assert len(ET.fromstring(written).findall("testsuite/testcase")) == 2


# --- SARIF, GitLab, badge -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sarif_schema() -> Any:
    return jsonschema_rs.validator_for(json.loads((DATA / "sarif-2.1.0.json").read_text()))


def test_sarif_names_rule_place_and_a_fingerprint_that_stays(sarif_schema: Any, everything: GateReport) -> None:
    """Failed rows are errors, undecided ones notes; a row keeps its fingerprint when its line and numbers change."""
    log = json.loads(rendered("sarif", everything, folder="sub folder"))
    sarif_schema.validate(log)
    (run,) = log["runs"]
    results = run["results"]
    assert [result["level"] for result in results] == ["error"] * 3 + ["note"] * 3
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in results)
    assert {"regressed/latency", "regressed/peak", "over-budget/latency", "missing/latency"} <= set(rules)
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "sub%20folder/tests/test_api.py"
    assert place["region"] == {"startLine": 7}
    again = json.loads(
        rendered("sarif", make_report(make_judgement(API, Verdict.REGRESSED, "worse", base=1.0, head=9.0)))
    )
    prints = {result["ruleId"]: result["partialFingerprints"] for result in results}
    assert again["runs"][0]["results"][0]["partialFingerprints"] == prints["regressed/latency"]
    assert len({json.dumps(result["partialFingerprints"]) for result in results}) == len(results)


def test_gitlab_lists_what_failed_and_what_could_not_be_told(everything: GateReport) -> None:
    """The fields that GitLab asks for, and nothing of rows that are well or new."""
    found = json.loads(rendered("gitlab", everything))
    assert [one["severity"] for one in found] == ["major"] * 3 + ["info"] * 3
    for one in found:
        assert set(one) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert one["location"]["lines"]["begin"] == 7
    assert len({one["fingerprint"] for one in found}) == len(found)
    assert json.loads(rendered("gitlab", make_report())) == []


@pytest.mark.parametrize(
    ("verdicts", "message", "colour"),
    [
        ([Verdict.REGRESSED, Verdict.OVER_BUDGET, Verdict.NEW], "1 regressed, 1 over budget", "red"),
        ([Verdict.NEW, Verdict.INCONCLUSIVE, Verdict.UNCHANGED], "1 inconclusive, 1 new", "yellow"),
        ([Verdict.UNCHANGED, Verdict.IMPROVED], "nothing got worse", "brightgreen"),
        ([Verdict.UNCHANGED, Verdict.ACCEPTED], "1 accepted", "brightgreen"),
        ([], "nothing measured", "yellow"),
    ],
)
def test_a_badge_says_it_in_a_few_words(verdicts: list[Verdict], message: str, colour: str) -> None:
    rows = [make_judgement(f"t.py::test_{n}", verdict, base=1e-3) for n, verdict in enumerate(verdicts)]
    found = json.loads(rendered("badge", make_report(*rows)))
    assert found == {"schemaVersion": 1, "label": "performance", "message": message, "color": colour}


def test_a_doubt_is_said_in_every_format(junit_schema: xmlschema.XMLSchema) -> None:
    """A run of which nobody can tell is no good news anywhere, however well its rows are."""
    row = make_judgement("t.py::test_a", Verdict.UNCHANGED, base=1e-3)
    doubtful = replace(make_report(row), doubts=("it measured another commit",))
    assert json.loads(rendered("badge", doubtful))["message"] == "could not tell"
    ((name, _, message),) = commands(doubtful)
    assert (name, message.endswith("could not tell: it measured another commit")) == ("warning", True)
    assert "could not tell: it measured another commit" in rendered("sarif", doubtful)
    junit_schema.validate(rendered("junit", doubtful))
    suite = next(iter(JUnitXml.fromstring(rendered("junit", doubtful).encode())))
    assert (suite.tests, suite.skipped, suite.failures) == (2, 1, 0)
    assert [case.result[0].message for case in suite if case.result] == ["could not tell: it measured another commit"]


@settings(max_examples=40)
@given(WORDS, WORDS, st.integers(0, 10**9))
def test_any_words_make_a_valid_report(sarif_schema: Any, test: str, reason: str, line: int) -> None:
    """Whatever ids and reasons hold: valid SARIF, one command a line, JSON; no place outside the repository."""
    row = make_judgement(test, Verdict.REGRESSED, reason, base=1.0, head=2.0)
    report = make_report(row)
    log = json.loads(rendered("sarif", report))
    sarif_schema.validate(log)
    assert len(log["runs"][0]["results"]) == 1
    assert len(commands(report)) == 1
    place = place_of(row, "pkg")
    assert place is None or (place.path.startswith("pkg/") and ".." not in place.path.split("/"))
    assert len(json.loads(rendered("gitlab", report))) == (place is not None)


@pytest.mark.parametrize("test", ["../x.py::a", "/x.py::a", "a/../../x.py::a", "", "::a", "a\nb.py::c", "C:\\x.py::a"])
def test_an_id_that_names_no_file_of_the_repository_has_no_place(test: str) -> None:
    """A run file may say anything; it must not lead a reader elsewhere."""
    assert place_of(make_judgement(test, Verdict.REGRESSED), "pkg") is None
