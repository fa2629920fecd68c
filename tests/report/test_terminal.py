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
from pytest_pe_perf.report.terminal import failure, header, message, summary
from pytest_pe_perf.report.wording import Commits

TEXT = st.text(alphabet=st.characters(), max_size=60)
NUMBER = st.floats(1e-12, 1e12)
TIER = st.sampled_from(["stored", "paired"])
CONTEXT = st.sampled_from([{}, {"against": "main", "base": "1a2b3c4d5e6f"}])
MAIN = Commits("main", "1a2b3c4d5e6f")


@st.composite
def judgements(draw: st.DrawFn) -> Judgement:
    verdict = draw(st.sampled_from(Verdict))
    metric = draw(st.sampled_from(["latency", "first", "peak", "allocations", "retained"]))
    value = draw(st.none() | NUMBER)
    comparison = None
    if value is not None and draw(st.booleans()):
        base = draw(NUMBER | st.just(0.0))
        ratio = value / base if base else float("inf")
        comparison = Comparison(base, value, ratio, ratio * 0.9, ratio * 1.1, 3, 0.1, draw(NUMBER), draw(TIER))
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


@given(reports, TEXT, st.integers(1, 200), st.sampled_from([-1, 0, 1]), CONTEXT)
def test_no_line_is_wider_than_the_terminal(
    report: GateReport, test: str, width: int, verbosity: int, context: dict[str, str]
) -> None:
    """Whatever the ids, reasons, numbers and width, no line is too wide or holds anything unprintable."""
    run = Run(1, "", report.environment, context, (_cpu(test),))
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


@pytest.mark.parametrize(
    ("name", "width", "verbosity"), [("80", 80, 0), ("80-v", 80, 1), ("80-q", 80, -1), ("44", 44, 0)]
)
def test_summary_of_pairs_looks_as_reviewed(side_by_side, sides_run, golden, name, width, verbosity) -> None:
    """The summary of a comparison of two commits is the one that was reviewed, colours included."""
    lines = summary(side_by_side, sides_run(side_by_side), width=width, verbosity=verbosity)
    got = "".join(f"{'+'.join(line.markup) or '-':<12}|{line.text}\n" for line in lines)
    file = golden / f"pairs-{name}.txt"
    if os.environ.get("PE_PERF_WRITE_GOLDEN"):
        file.write_text(got, encoding="utf-8")
    assert got == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("verbosity", [0, 1])
def test_weak_times_are_always_listed(pairs, report_of, sides_run, verbosity) -> None:
    """A latency that proves little is named; the weak rows of wilder metrics are a count, and named with -v."""
    weak = {"threshold": 0.05, "detectable": 0.2}
    rows = [
        pairs(f"t.py::t{i}_", Verdict.UNCHANGED, metric=metric, **weak) for i, metric in enumerate(["latency", "tail"])
    ]
    report = report_of(*rows, pairs("t.py::t2_", Verdict.UNCHANGED))
    text = "\n".join(line.text for line in summary(report, sides_run(report), verbosity=verbosity))
    assert "t.py::t0_" in text
    assert ("t.py::t1_" in text) is ("t.py::t2_" in text) is (verbosity > 0)
    assert "nothing below +20.0 % is seen, and the threshold is +5.0 %" in text
    told = "" if verbosity else " (-v lists all)"
    assert f" 3 unchanged, 2 of them weak: 1 latency, 1 tail{told}\n" in text


def test_names_of_one_module_are_not_cut_for_its_sake(judgement, report_of, run_of) -> None:
    """Where names do not fit and all are of one module, that is said once above them; where they fit it is not."""
    tests = [f"tests/perf/test_orders.py::test_read_{kind}" for kind in ("all_that_are_open", "all_that_are_closed")]
    report = report_of(*(judgement(test, Verdict.REGRESSED, "", base=1e-3, head=2e-3) for test in tests))
    narrow, wide = ([line.text for line in summary(report, run_of(report), width=width)] for width in (80, 120))
    assert narrow[0] == "tests/perf/test_orders.py"
    assert [line.split()[0] for line in narrow[1:4]] == [
        "test",
        "test_read_all_that_are_closed",
        "test_read_all_that_are_open",
    ]
    assert [line.split()[0] for line in wide[:3]] == ["test", *sorted(tests)]
    elsewhere = report_of(*report.judgements, judgement("test_b.py::test_b", Verdict.REGRESSED, "", base=1e-3))
    assert summary(elsewhere, run_of(elsewhere))[0].text.split()[0] == "test"


def test_weak_is_a_word_of_pairs_alone(judgement, report_of, run_of) -> None:
    """A row against a stored baseline says what it could have seen, and is not called weak."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    assert report.judgements[0].comparison.detectable > report.judgements[0].comparison.threshold
    assert "weak" not in "".join(line.text for line in summary(report, run_of(report), verbosity=1))


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


def test_failure_in_pairs_offers_no_update(pairs) -> None:
    """Beside a commit there is nothing to update: the message says how to see it again, and what accepts it."""
    row = pairs("tests/test_a.py::test_b[x y]", Verdict.REGRESSED, "+12.0 % in two passes", head=1.12e-3, n=6)
    assert failure(row, MAIN).splitlines() == [
        "tests/test_a.py::test_b[x y]: time per call (latency) regressed: +12.0 % in two passes",
        "1.00 ms -> 1.12 ms, +12.0 %",
        "95 % interval +10.9 % to +13.1 %, threshold +5.0 %, 6 pairs of processes, tier paired",
        "reproduce with: pytest --pe-perf --pe-perf-against main 'tests/test_a.py::test_b[x y]'",
        (
            "nothing to update: the next comparison starts from the commit that this is merged into; "
            "a wider `margin` in the test's marker, or an accept entry on the base, lets it pass this one"
        ),
    ]


@pytest.mark.parametrize("metric", ["peak", "allocations"])
def test_failure_of_a_count_beside_a_commit(judgement, metric) -> None:
    """Counts have processes a side, and no margin that could be widened."""
    row = judgement("t.py::t", Verdict.REGRESSED, "more", metric=metric, base=10.0, head=11.0)
    lines = failure(row, MAIN).splitlines()
    assert lines[2] == "counted exactly, threshold +1.0 %, 3 processes a side, tier counts"
    assert lines[4].endswith("that this is merged into; an accept entry on the base lets it pass this one")


def test_pairs_that_settle_a_suspicion_against_a_baseline_can_be_accepted(pairs) -> None:
    """Where there is a baseline the command that accepts stands, whatever measured it."""
    lines = failure(pairs("t.py::t", Verdict.REGRESSED, head=1.1e-3, n=6)).splitlines()
    assert "6 pairs of processes" in lines[2]
    assert lines[3] == 'accept with: pe-perf update t.py::t --reason "..."'


def test_budget_beside_a_commit(pairs) -> None:
    """A row over its budget names the limit, and no update."""
    row = pairs("t.py::t", Verdict.OVER_BUDGET, "12 ms", head=12e-3, budget=Budget(10e-3, "10 ms"))
    assert failure(row, MAIN).splitlines()[3:] == [
        "reproduce with: pytest --pe-perf --pe-perf-against main t.py::t",
        "limit 10 ms: meet the budget or change it in the marker",
    ]


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


def test_message_stands_beneath_the_name_of_its_test(judgement) -> None:
    """What pytest prints begins with the finding, and not with the name that stands above it and in the short summary."""
    row = judgement("tests/test_a.py::test_b[x y]", Verdict.REGRESSED, "+12.0 %", name="parse", base=1e-3, head=1.12e-3)
    assert message([row]).splitlines() == [
        "[parse] time per call (latency) regressed: +12.0 %",
        *failure(row).splitlines()[1:],
    ]


def test_prose_of_a_message_is_broken_and_its_command_is_not(pairs) -> None:
    """No sentence is wider than 80 columns; a command that is has a line of its own, to be copied whole."""
    test = f"tests/test_a.py::test_b[{'long' * 20}]"
    row = pairs(test, Verdict.REGRESSED, "+12.0 % in two passes, the second of 6 pairs of processes", head=1.12e-3, n=6)
    assert message([row], MAIN).splitlines() == [
        "time per call (latency) regressed: +12.0 % in two passes, the second of 6",
        "  pairs of processes",
        "1.00 ms -> 1.12 ms, +12.0 %",
        "95 % interval +10.9 % to +13.1 %, threshold +5.0 %,",
        "  6 pairs of processes, tier paired",
        "reproduce with:",
        f"  pytest --pe-perf --pe-perf-against main '{test}'",
        "nothing to update: the next comparison starts from the commit that this is",
        "  merged into; a wider `margin` in the test's marker, or an accept entry on the",
        "  base, lets it pass this one",
    ]


def test_message_of_many_rows_says_once_what_can_be_done(judgement) -> None:
    """Each row has its figures; the command that accepts all of them stands once, at the end."""
    rows = [
        judgement("t.py::t", Verdict.REGRESSED, "1 more", metric=m, base=10.0, head=11.0)
        for m in ("peak", "allocations")
    ]
    *figures, last = message(rows).split("\n\n")
    assert figures == [message([row]).rpartition("\n")[0] for row in rows]
    assert last == 'accept with: pe-perf update t.py::t --reason "..."'


@given(judgements().filter(lambda judgement: judgement.fails), st.sampled_from([None, MAIN]))
def test_message_says_what_the_whole_text_says(judgement: Judgement, commits: Commits | None) -> None:
    """The message has the words of the text for files, but for the test's name, and no line but a command is too wide."""
    name, lines = judgement.key.name, message([judgement], commits).splitlines()
    whole = failure(judgement, commits).removeprefix(printable(judgement.key.label))
    assert "".join("".join(lines).split()).endswith("".join(whole.removeprefix(":").split())) or name
    for line in lines:
        assert width_of(line) <= 80 or line.startswith(("  pytest ", "  pe-perf update "))


def test_page_is_named_before_the_sentence(everything, run_of) -> None:
    """Who wants to know more is told where to look, and the verdict stays last; with -q there is nothing but failures."""
    run = run_of(everything)
    texts = [line.text for line in summary(everything, run, page=".pe-perf/report.html")]
    assert " report: .pe-perf/report.html" in texts
    without = [line.text for line in summary(everything, run)]
    assert [text for text in texts if not text.startswith(" report: ")] == without
    assert summary(everything, run, verbosity=-1, page="x") == summary(everything, run, verbosity=-1)


def test_header_names_mode_and_time() -> None:
    """The header is one line: what is compared with what, and how long a test is measured."""
    assert header("stored baselines of x: 42 rows", 2.0) == "pe-perf: stored baselines of x: 42 rows; 2.00 s per test"
    assert header("one\nline", 0.5) == "pe-perf: one\\nline; 500 ms per test"
