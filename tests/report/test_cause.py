"""What a profile says in a line, and what the page draws of it: the function that made the row worse, harmless whatever its name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_pe_perf.model import Frame, Key, Profile, Stack, Verdict
from pytest_pe_perf.report.cause import causes_of
from pytest_pe_perf.report.flame import flame
from pytest_pe_perf.report.formats import github, junit, markdown, sarif
from pytest_pe_perf.report.html import render
from pytest_pe_perf.report.terminal import message

TEST = "tests/test_text.py::test_parse"
KEY = Key(TEST, "", "latency")
FRAMES = (
    Frame("parse", "src/text.py", own=True, line=8),
    Frame("parse_line", "src/text.py", own=True, line=41),
    Frame("loads", "json/__init__.py", line=299),
    Frame("gone", "src/text.py", own=True),
)
# Of 1,000 samples each: head's parse_line has 600, with the library that it calls, base's 400.
PROFILE = Profile(
    KEY,
    FRAMES,
    (Stack((0,), 500, 400), Stack((0, 1), 300, 450), Stack((0, 1, 2), 100, 150), Stack((0, 3), 100, 0)),
    paired=True,
)


@pytest.fixture
def slower(judgement):
    return judgement(TEST, Verdict.REGRESSED, base=1e-3, head=2e-3)


def line(judged, profile):
    return causes_of([judged], [profile]).get(judged.key)


def test_the_line_names_the_function_and_what_it_takes_and_took(slower):
    """By what the row measured, so that it fits the two numbers above it."""
    assert line(slower, PROFILE) == "cause: parse_line (src/text.py:41) takes 1.20 ms of each call, 400 µs before"
    assert "\ncause: parse_line (src/text.py:41) takes" in message([slower], None, causes_of([slower], [PROFILE]))


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("peak", "holds 1.17 KiB at the peak, 400 B before"),
        ("allocations", "makes 1,200 allocations in each call, 400 before"),
        ("retained", "keeps 1.17 KiB of each call, 400 B before"),
    ],
)
def test_memory_has_its_own_words(judgement, metric, said):
    """In bytes and counts."""
    judged = judgement(TEST, Verdict.REGRESSED, metric=metric, base=1000.0, head=2000.0)
    assert line(judged, replace(PROFILE, key=judged.key)).endswith(f" {said}")


def test_what_is_not_known_is_not_claimed(slower, judgement):
    """Head alone tells where it goes, and not what changed; equal sides name nobody; no profile says why."""
    alone = replace(
        PROFILE, paired=False, stacks=tuple(replace(s, base=0) for s in PROFILE.stacks), note="of head alone"
    )
    assert line(slower, alone) == "most of it: parse_line (src/text.py:41) takes 1.20 ms of each call"
    equal = replace(PROFILE, stacks=(Stack((0,), 500, 500), Stack((0, 1), 500, 500)))
    barely = judgement(TEST, Verdict.REGRESSED, base=1e-3, head=1.02e-3)
    assert line(barely, equal).startswith("cause: no function stands out")
    assert line(slower, Profile(KEY, note="no profile: on head, \x1b[31m")) == "no profile: on head, \\x1b[31m"
    assert line(slower, replace(PROFILE, key=Key("other", "", "latency"))) is None


def test_the_drawing_has_a_node_for_each_function_under_its_callers(slower):
    """As wide as head, own changes as levels, what is gone in the table alone, and sums that are the row's."""
    drawn = flame(PROFILE, slower)
    shape = [(node.parent, node.label, node.level) for node in drawn.nodes]
    assert shape == [(-1, "all of a call", 0), (0, "parse", 2), (1, "parse_line", 3), (2, "loads", 2)]
    assert [node.now for node in drawn.nodes] == pytest.approx([2e-3, 2e-3, 1.2e-3, 0.3e-3])
    assert [(one.function, one.change, one.level) for one in drawn.lines] == [
        ("parse_line (src/text.py:41)", "+800 µs", 3),
        ("parse (src/text.py:8)", "+300 µs", 2),
        ("gone (src/text.py)", "-100 µs", -1),
    ]


def test_every_report_says_it(slower, report_of, run_of):
    """Annotations, JUnit, SARIF, the comment and the card of the page."""
    report = report_of(slower)
    run = replace(run_of(report), profiles=(PROFILE,))
    said = "parse_line (src/text.py:41) takes 1.20 ms of each call"
    for form in (github, junit):
        assert said in form.render(run, report)
    assert said in json.loads(sarif.render(run, report))["runs"][0]["results"][0]["message"]["text"]
    assert "takes 1.20 ms of each call" in markdown.render(run, report)
    assert f"cause: {said}" in render(run, report)


def test_names_of_functions_do_no_harm(slower, report_of, run_of):
    """A run file comes from anywhere, and a function may be called what it likes."""
    evil = "</script><script>alert(1)</script>\x1b[31m\u202e"
    frames = tuple(replace(frame, function=evil, file=f"{evil}.py") for frame in FRAMES)
    report = report_of(slower)
    run = replace(run_of(report), profiles=(replace(PROFILE, frames=frames, note=evil),))
    page = render(run, report)
    assert "<script>alert" not in page
    assert "\x1b" not in page + line(slower, run.profiles[0])
    assert "\u202e" not in page
