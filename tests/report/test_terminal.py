"""The terminal report: whole, honest, and never wider than the terminal."""

from __future__ import annotations

import os
import shlex
from io import StringIO

import pytest
from _pytest._io import TerminalWriter
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.model import Budget, Comparison, GateReport, Judgement, Key, Row, Run, Sample, Skipped, Verdict
from pytest_pe_perf.report.screen import printable, width_of
from pytest_pe_perf.report.terminal import failure, header, summary

TEXT = st.text(alphabet=st.characters(), max_size=60)
NUMBER = st.floats(1e-12, 1e12)


@st.composite
def judgements(draw: st.DrawFn) -> Judgement:
    verdict = draw(st.sampled_from(Verdict))
    metric = draw(st.sampled_from(["latency", "peak", "allocations", "retained"]))
    value = draw(st.none() | NUMBER)
    comparison = None
    if value is not None and draw(st.booleans()):
        base = draw(NUMBER | st.just(0.0))
        ratio = value / base if base else float("inf")
        comparison = Comparison(base, value, ratio, ratio * 0.9, ratio * 1.1, 3, 0.1, draw(NUMBER), "stored")
    budget = draw(st.none() | st.builds(Budget, NUMBER, TEXT))
    return Judgement(Key(draw(TEXT), draw(TEXT), metric), verdict, draw(TEXT), value, comparison, budget)


reports = st.builds(
    GateReport,
    environment=st.none(),
    judgements=st.lists(judgements(), max_size=6, unique_by=lambda j: j.key).map(tuple),
    skipped=st.lists(st.builds(Skipped, TEXT, TEXT), max_size=2).map(tuple),
    notes=st.lists(TEXT, max_size=2).map(tuple),
)


def _cpu(test: str) -> Row:
    return Row(Key(test, "", "cpu"), (Sample(1e-3, 1, 1),), "", 0.1, 0.01)


@given(reports, TEXT, st.integers(1, 200), st.sampled_from([-1, 0, 1]))
def test_no_line_is_wider_than_the_terminal(report: GateReport, test: str, width: int, verbosity: int) -> None:
    """Whatever the ids, reasons, numbers and width, no line is too wide or holds anything unprintable."""
    run = Run(1, "", report.environment, {}, (_cpu(test),))
    for line in summary(report, run, width=width, verbosity=verbosity):
        assert width_of(line.text) <= width
        assert printable(line.text) == line.text


@given(
    st.lists(
        st.tuples(st.from_regex(r"t[0-9]{1,6}", fullmatch=True), st.sampled_from(Verdict)),
        max_size=8,
        unique_by=lambda t: t[0],
    )
)
def test_every_row_that_is_not_unchanged_is_named(rows: list[tuple[str, Verdict]]) -> None:
    """Each such judgement's test and reason stand in the summary; unchanged ones are a count."""
    report = GateReport(
        None, tuple(Judgement(Key(f"a.py::{test}_", "", "peak"), verdict, f"why-{test}_") for test, verdict in rows)
    )
    text = "\n".join(line.text for line in summary(report, Run(1, "", None, {}, ())))
    for test, verdict in rows:
        assert (f"::{test}_" in text) is (verdict is not Verdict.UNCHANGED)
        assert (f"why-{test}_" in text) is (verdict is not Verdict.UNCHANGED)


@pytest.mark.parametrize(
    ("name", "width", "verbosity"), [("80", 80, 0), ("120-v", 120, 1), ("80-q", 80, -1), ("44", 44, 0)]
)
def test_summary_looks_as_reviewed(everything, run_of, golden, name, width, verbosity) -> None:
    """The summary of one row of every verdict is the one that was reviewed, colours included."""
    lines = summary(everything, run_of(everything), width=width, verbosity=verbosity)
    got = "".join(f"{'+'.join(line.markup) or '-':<12}|{line.text}\n" for line in lines)
    file = golden / f"summary-{name}.txt"
    if os.environ.get("PE_PERF_WRITE_GOLDEN"):
        file.write_text(got, encoding="utf-8")
    assert got == file.read_text(encoding="utf-8")


def test_markup_is_known_to_pytest(everything, run_of) -> None:
    """Every markup is one that pytest's terminal accepts."""
    writer = TerminalWriter(StringIO())
    writer.hasmarkup = True
    for line in summary(everything, run_of(everything)):
        assert line.text in writer.markup(line.text, **line.markup)


def test_verbose_summary_lists_unchanged_and_unjudged_rows(everything, run_of) -> None:
    """With -v every judged row is listed, and what is measured without being judged."""
    run = run_of(everything)
    run = Run(1, "", run.environment, {}, (*run.rows, _cpu("tests/test_x.py::test_y")))
    text = "\n".join(line.text for line in summary(everything, run, verbosity=1))
    assert "= unchanged" in text
    assert " tests/test_x.py::test_y  cpu  1.00 ms  not judged" in text


def test_shared_reason_is_said_once(everything, run_of) -> None:
    """Rows in a line with the same verdict and reason share one line for it."""
    text = "\n".join(line.text for line in summary(everything, run_of(everything)))
    assert text.count("no baseline row") == 1
    assert "all 2: no baseline row" in text


def test_failure_has_four_lines(judgement) -> None:
    """A regression says what, old and new, how sure, and how to accept it."""
    row = judgement("tests/test_a.py::test_b[x y]", Verdict.REGRESSED, "+12.0 %", name="parse", base=1e-3, head=1.12e-3)
    assert failure(row).splitlines() == [
        "tests/test_a.py::test_b[x y] [parse]: time per call (latency) regressed: +12.0 %",
        "1.00 ms -> 1.12 ms, +12.0 %",
        "95 % interval +8.6 % to +15.4 %, threshold +10.0 %, 3 processes, tier stored",
        "accept with: pe-perf update 'tests/test_a.py::test_b[x y]' --reason \"...\"",
    ]


def test_failure_of_a_count_has_no_interval(judgement) -> None:
    """A count is exact, and its message does not claim an interval."""
    row = judgement("t.py::t", Verdict.REGRESSED, "1 more", metric="allocations", base=10.0, head=11.0)
    assert failure(row).splitlines()[2] == "counted exactly, threshold +1.0 %, 3 processes, tier counts"


@pytest.mark.parametrize("base", [None, 9e-3])
def test_no_command_lifts_a_budget(judgement, base) -> None:
    """A row over budget names its limit and no accepting command."""
    row = judgement("t.py::t", Verdict.OVER_BUDGET, "12 ms", base=base, head=12e-3, budget=Budget(10e-3, "10 ms"))
    lines = failure(row).splitlines()
    assert len(lines) == 4
    assert lines[3] == "limit 10 ms: meet the budget or change it in the marker; no update lifts it"
    assert "pe-perf update" not in failure(row)


def test_budget_on_a_count_without_baseline_says_how_it_was_judged(judgement) -> None:
    """Without a baseline the message names the statistic that was held against the limit."""
    row = judgement("t", Verdict.OVER_BUDGET, metric="peak", head=99.0, budget=Budget(10, "10 B"))
    assert failure(row).splitlines()[2] == "judged by the smallest value of its processes"


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_failure_stays_four_lines_and_its_command_is_safe(test: str) -> None:
    """No id can break the message into more lines or its command into more words."""
    comparison = Comparison(1.0, 2.0, 2.0, 1.9, 2.1, 3, 0.1, 0.1, "stored")
    lines = failure(Judgement(Key(test, "", "latency"), Verdict.REGRESSED, "", 2.0, comparison)).split("\n")
    assert len(lines) == 4
    if printable(test) == test:
        assert shlex.split(lines[3].removeprefix("accept with: ")) == ["pe-perf", "update", test, "--reason", "..."]


def test_header_names_mode_and_time() -> None:
    """The header is one line: what is compared with what, and how long a test is measured."""
    assert header("stored baselines of x: 42 rows", 2.0) == "pe-perf: stored baselines of x: 42 rows; 2.00 s per test"
    assert header("one\nline", 0.5) == "pe-perf: one\\nline; 500 ms per test"
