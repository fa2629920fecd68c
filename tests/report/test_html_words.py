"""What the HTML report says: the answer, what to do, and what it knows of the machine and the history."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_pe_perf.history.past import recall
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import (
    Accept,
    Key,
    Past,
    PastRun,
    Skipped,
    Verdict,
)
from pytest_pe_perf.report import course
from pytest_pe_perf.report.html import render
from pytest_pe_perf.report.links import commits_at

from .conftest import Page, chunk, past_of, prepared


def test_answer_stands_first(html) -> None:
    """The first heading says whether it is well, with a sign, and the advice follows."""
    page = Page(html)
    assert "▲ 2 tests failed 2 regressed, 1 over budget" in page.words
    assert "Make it good again, or accept it with a reason" in page.words


def test_cards_hold_the_commands(html) -> None:
    """A failing row has commands to reproduce and to profile it, and one to accept it unless it is over budget."""
    words = Page(html).words
    cards = words[words.index("What to do") : words.index("Not measured, and notes")]
    commands = re.findall(r"(?:reproduce|accept|profile) ((?:pytest|pe-perf|python) .*?) Copy", cards)
    quote = "tests/test_api.py::test_quote"
    assert commands == [
        f"pytest {quote} --pe-perf",
        f'pe-perf update {quote} --reason "..."',
        f"pytest {quote} --pe-perf --pe-perf-profile",
        f"pytest {quote} --pe-perf",
        f'pe-perf update {quote} --reason "..."',
        f"pytest {quote} --pe-perf --pe-perf-profile",
        "pytest tests/perf/test_startup.py::test_import --pe-perf",
        "pytest tests/perf/test_startup.py::test_import --pe-perf --pe-perf-profile",
    ]


def test_copied_commands_are_exact(judgement, report_of, run_of) -> None:
    """The text of a command's element is the command to the last blank."""
    test = "t.py::test[two  blanks 'quoted']"
    report = report_of(judgement(test, Verdict.REGRESSED, base=1e-3, head=2e-3))
    html = render(run_of(report), report)
    codes = ["".join(Page(f"<code>{code}</code>").text) for code in re.findall(r"<code dir=\"ltr\">(.*?)</code>", html)]
    assert codes[:2] == [
        "pytest 't.py::test[two  blanks '\"'\"'quoted'\"'\"']' --pe-perf",
        "pe-perf update 't.py::test[two  blanks '\"'\"'quoted'\"'\"']' --reason \"...\"",
    ]


def test_this_run_ends_the_history_once(judgement, report_of, run_of) -> None:
    """The current run is the last point, whether or not the history holds it already."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    run, key = run_of(report), Key("t", "", "latency")
    page = prepared(run, report, past_of([key], 3))
    assert (page.now, len(page.past.courses[key].values)) == (3, 4)
    assert prepared(run, report, page.past).past == page.past


def test_the_history_itself_ends_with_this_run(judgement, report_of, run_of, tmp_path) -> None:
    """A run that was appended to a real history is one point of what is read back from it, not two."""
    report = report_of(judgement("tests/test_a.py::test_a", Verdict.UNCHANGED, base=1e-3))
    run = run_of(report)
    with open_history(tmp_path / "history.sqlite") as history:
        history.append(run, report)
        past = recall(history, run.environment.slug, [row.key for row in run.rows])
    page = prepared(run, report, past)
    assert (page.now, len(page.past.runs)) == (0, 1)


def test_where_to_look(judgement, report_of, run_of) -> None:
    """A card names what grew besides, the commit at which the level rose, or the last one that was well."""
    time = judgement("t.py::a", Verdict.REGRESSED, base=1e-3, head=1.5e-3)
    counts = judgement("t.py::a", Verdict.REGRESSED, metric="allocations", base=10.0, head=12.0)
    report = report_of(time, counts)
    context = {"commit": "feedface"}
    past = past_of([time.key], 40)
    hints = {row.metric: row.hints for row in prepared(run_of(report, context=context), report, past).rows}
    assert [hint.text for hint in hints["latency"]] == [
        "allocations of a call grew as well: 10 → 12, +20.0 %",
        "it was well last on 2026-10-02",
    ]
    assert hints["latency"][1].command == "pe-perf bisect c0ffee39..feedface t.py::a"
    values = tuple(1e-3 * (1 + i % 3 / 100) * (1.5 if i >= 30 else 1.0) for i in range(40))
    risen = replace(past, courses={time.key: replace(past.courses[time.key], values=values)})
    row = prepared(run_of(report, context=context), report, risen).cards[-1]
    assert [(hint.text, hint.commit) for hint in row.hints][1:] == [
        ("its level rose by +49.7 % on 2026-10-02", "c0ffee30")
    ]


def test_differences_of_the_machine(judgement, report_of, run_of) -> None:
    """What the run before was measured with is told where it differs; what moves by itself is not."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    run = run_of(report, context={"python": "3.12.5", "load": "0.1", "memray": ""})
    before = PastRun("2026-10-01", run.environment.slug, {"python": "3.12.4", "load": "9.9", "memray": "1.20"})
    page = prepared(run, report, Past((before,), {}))
    assert [(one.name, one.old, one.new) for one in page.since] == [("python", "3.12.4", "3.12.5")]
    assert "another machine than the run before: python: 3.12.4 → 3.12.5" in re.sub(
        r" +", " ", Page(render(run, report, Past((before,), {}))).words.replace("before python", "before: python")
    )


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:ann/project.git", "https://github.com/ann/project/commit/"),
        ("https://ann:secret@gitlab.example.org:8443/a/b/c.git", "https://gitlab.example.org/a/b/c/-/commit/"),
        ("ssh://git@bitbucket.org/ann/project", "https://bitbucket.org/ann/project/commits/"),
        ("/srv/git/project.git", ""),
        ("C:\\work\\project", ""),
        ('https://example.org/a"onclick=alert(1)', ""),
    ],
)
def test_where_commits_are_shown(remote, address) -> None:
    """The address of a commit follows from the remote's, without what is secret of it."""
    assert commits_at(remote) == address


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        ([], "Nothing was measured"),
        ([Verdict.UNCHANGED, Verdict.IMPROVED], "Nothing got worse"),
        ([Verdict.UNCHANGED, Verdict.ACCEPTED], "Nothing got worse beyond what was accepted"),
        ([Verdict.NEW, Verdict.NEW], "Nothing to compare with yet"),
        ([Verdict.UNCHANGED, Verdict.NEW], "Nothing got worse, and there are new rows"),
        ([Verdict.UNCHANGED, Verdict.INCONCLUSIVE], "No failure, and 1 row left open"),
        ([Verdict.MISSING, Verdict.NOT_COMPARABLE], "No failure, and 2 rows left open"),
        ([Verdict.REGRESSED, Verdict.UNCHANGED], "1 test got worse"),
        ([Verdict.OVER_BUDGET], "1 test is over budget"),
        ([Verdict.OVER_BUDGET, Verdict.OVER_BUDGET], "2 tests are over budget"),
        ([Verdict.OVER_BUDGET, Verdict.REGRESSED], "2 tests failed"),
    ],
)
def test_headline_answers_the_question(judgement, report_of, run_of, verdicts, headline) -> None:
    """The headline says in a few words whether anything got worse, and never that all is well when it is not known."""
    report = report_of(*[judgement(f"t{i}", v, base=1e-3) for i, v in enumerate(verdicts)])
    page = prepared(run_of(report), report)
    assert page.headline == headline
    assert f'<h1 id="answer" tabindex="-1">{headline}</h1>' in render(run_of(report), report)


def test_skipped_tests_are_not_passed_over(judgement, report_of, run_of) -> None:
    """With a test that was not measured the headline is limited to what was."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3), skipped=(Skipped("u", "no memray"),))
    page = prepared(run_of(report), report)
    assert (page.level, page.headline) == ("unsure", "Nothing got worse where it was measured")
    assert "no memray" in Page(render(run_of(report), report)).words


def test_what_was_accepted_is_told_from_the_run_on_that_it_held_for(judgement, report_of, run_of) -> None:
    """Each accepted value stands at the first run after it, whatever the clocks of runs say, with who, when and why."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    key = Key("t", "", "latency")
    past = past_of([key], 40)
    late = replace(past.runs[7], started="2026-09-01T00:00:00+00:00")
    accepts = (
        Accept("c0ffee", "2026-10-01T05:30:00+00:00", "Ann", 1e-3),
        Accept("facade", "2026-10-02T05:30:00+05:30", "</script>", 2e-3, 1e-3, "slower, and worth it"),
        Accept("decade", "2026-12-01T00:00:00+00:00", "Bob", 3e-3),
    )
    past = replace(past, runs=(*past.runs[:7], late, *past.runs[8:]), accepts={key: accepts})
    (row,) = chunk(render(run_of(report), report, past), "d-tests-0")[0]["rows"]
    assert [(place, value, anchor) for place, value, anchor, *_ in row["accepts"]] == [
        (6, 1e-3, None),
        (24, 2e-3, 1e-3),
        (41, 3e-3, None),
    ]
    assert row["accepts"][1][3:] == ["facade", "2026-10-02", "</script>", "slower, and worth it"]


def test_a_history_that_was_not_searched_says_so(judgement, report_of, run_of, monkeypatch) -> None:
    """Where not all histories were searched for changes of level, the overview says how many were."""
    report = report_of(*(judgement(f"t{n}", Verdict.UNCHANGED, base=1e-3) for n in range(3)))
    past = past_of([row.key for row in report.judgements], 40)
    assert prepared(run_of(report), report, past).searched == ""
    monkeypatch.setattr(course, "SEARCHED_POINTS", 100)
    html = render(run_of(report), report, past)
    assert (
        "of level were searched in the histories of 2 rows, the worst first, and not in those of the other 1: pe-perf"
        in Page(html).words
    )
