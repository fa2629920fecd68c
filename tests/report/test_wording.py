"""The same words everywhere."""

from __future__ import annotations

import math
import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.model import Skipped, Verdict
from pytest_pe_perf.report import wording
from pytest_pe_perf.report.screen import printable


def test_every_verdict_has_its_place_and_sign() -> None:
    """No verdict is forgotten by the order or the signs."""
    assert set(wording.ORDER) == set(Verdict) == set(wording.SIGN)


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_quoted_ids_are_one_word(text: str) -> None:
    """A printable id comes back from a shell's splitting as it was."""
    assert shlex.split(wording.shell_quote(text)) == [text]


@pytest.mark.parametrize("text", ["a\nb", "it's\x1b[0m", "\u202eabc", "back\\slash\t", "日本\x01"])
def test_unprintable_ids_survive_bash_on_one_line(text: str) -> None:
    """An id with control characters is quoted so that bash reads it back, and is itself printable."""
    quoted = wording.shell_quote(text)
    assert printable(quoted) == quoted
    try:
        done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no bash here")
    assert done.stdout.decode() == text


def test_bytes_that_are_not_utf8_are_quoted_as_bytes() -> None:
    """A byte that Python hides in a half character is written as that byte."""
    assert wording.shell_quote("a\udcff") == r"$'a\xff'"
    assert wording.shell_quote("a\ud800") == "$'a?'"


def test_growth_from_zero_has_no_percentage(judgement) -> None:
    """Infinite ratios are put in words."""
    comparison = replace(
        judgement("t", Verdict.REGRESSED, base=1.0).comparison, threshold=math.inf, detectable=math.inf
    )
    assert wording.change(math.inf) == "from 0"
    assert wording.threshold(comparison) == "any growth from 0" == wording.could_have_seen(comparison)


def test_numbers_that_seem_to_contradict_the_change_are_explained(judgement) -> None:
    """Where the reference workload moves the ratio away from the values shown, the text says so."""
    row = judgement("t", Verdict.REGRESSED, base=1e-3, head=1.2e-3)
    assert wording.old_to_new(row, row.comparison) == "1.00 ms -> 1.20 ms, +20.0 %"
    slower_machine = replace(row.comparison, ratio=1.1)
    assert wording.old_to_new(row, slower_machine) == "1.00 ms -> 1.20 ms, +10.0 % at equal machine speed"
    assert "0 B ->" in wording.old_to_new(
        judgement("t", Verdict.REGRESSED, metric="peak"), replace(slower_machine, base=0)
    )


def test_worst_comes_first(everything) -> None:
    """Rows stand in the order of their verdicts, and the surest regression leads."""
    rows = wording.worst_first(everything)
    assert [row.verdict for row in rows] == sorted((row.verdict for row in rows), key=wording.ORDER.index)
    assert rows[0].key.metric == "peak"


def test_sentence_counts_and_says_what_could_be_seen(everything) -> None:
    """The sentence counts every verdict and names the sight of the timed rows that were compared."""
    outcome = wording.result(everything)
    assert outcome.level == "bad"
    assert outcome.sentence == (
        "2 regressed, 1 over budget, 1 inconclusive, 1 not comparable, 1 missing, 2 new, 1 accepted, 1 improved, "
        "2 unchanged; 1 test not measured; smallest change this run could have seen: +13.0 % (median of 5 timed rows); "
        "accept what is new with: pe-perf update"
    )


def test_sight_names_the_worst_row_where_it_differs(judgement, report_of) -> None:
    """A row that saw less than the others is not hidden by the median."""
    row = judgement("t", Verdict.UNCHANGED, base=1e-3)
    blind = replace(row, comparison=replace(row.comparison, detectable=0.4))
    assert "(median of 3 timed rows, worst +40.0 %)" in wording.result(report_of(row, row, blind)).sentence
    assert "+40.0 % (its one timed row)" in wording.result(report_of(blind)).sentence


@pytest.mark.parametrize(
    ("verdicts", "hint"),
    [
        ([Verdict.UNCHANGED], ""),
        ([Verdict.IMPROVED], "keep what improved with: pe-perf update"),
        ([Verdict.IMPROVED, Verdict.NEW], "accept what is new and keep what improved with: pe-perf update"),
        # Without a reason nothing would be written.
        ([Verdict.IMPROVED, Verdict.REGRESSED], ""),
    ],
)
def test_an_improvement_is_proposed_as_the_new_baseline(judgement, report_of, verdicts, hint) -> None:
    """The hint names the command; beside a commit there is nothing to keep."""
    report = report_of(*[judgement(f"t{i}", verdict, base=1e-3) for i, verdict in enumerate(verdicts)])
    assert wording.result(report).hint == hint
    assert "keep" not in wording.result(report, BASE).hint


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([], "nothing measured"),
        ([Verdict.NEW], "nothing compared: 1 new row; accept it with: pe-perf update"),
        ([Verdict.NEW] * 14, "nothing compared: 14 new rows; accept them with: pe-perf update"),
        ([Verdict.NOT_COMPARABLE] * 2, "nothing compared: 2 not comparable rows; accept them with: pe-perf update"),
        ([Verdict.MISSING], "nothing compared: 1 missing row"),
        ([Verdict.INCONCLUSIVE], "nothing compared: 1 inconclusive row"),
    ],
)
def test_nothing_compared_is_never_green(judgement, report_of, verdicts, sentence) -> None:
    """A run that compared nothing says so, is not green, and names the command that helps."""
    outcome = wording.result(report_of(*[judgement(f"t{i}", v, head=None) for i, v in enumerate(verdicts)]))
    assert (outcome.level, outcome.sentence) == ("unsure", sentence)


def test_green_needs_every_row_to_be_well(judgement, report_of) -> None:
    """Unchanged, improved and accepted rows are green; one open row or one skipped test is not."""
    well = [judgement(f"t{v}", v, base=1e-3) for v in (Verdict.UNCHANGED, Verdict.IMPROVED, Verdict.ACCEPTED)]
    assert wording.result(report_of(*well)).level == "good"
    assert wording.result(report_of(*well, judgement("x", Verdict.INCONCLUSIVE, base=1e-3))).level == "unsure"
    assert wording.result(report_of(*well, skipped=(Skipped("t", "why"),))).level == "unsure"


def test_over_budget_is_red_without_any_baseline(judgement, report_of) -> None:
    """A budget fails although nothing was compared."""
    outcome = wording.result(report_of(judgement("t", Verdict.OVER_BUDGET)))
    assert (outcome.level, outcome.sentence) == ("bad", "nothing compared: 1 over budget row")


BASE = wording.Commits("v1.0 rc", "1a2b3c4d5e6f7a8b")


def test_the_median_of_pairs_is_told_from_the_fastest_readings(pairs) -> None:
    """In pairs the two numbers shown are the fastest readings: where their ratio is another one, the text says so."""
    row = pairs("t", Verdict.REGRESSED, head=1.2e-3)
    assert wording.old_to_new(row, row.comparison) == "1.00 ms -> 1.20 ms, +20.0 %"
    other = replace(row.comparison, ratio=1.1)
    assert wording.old_to_new(row, other) == "1.00 ms -> 1.20 ms at the fastest, +10.0 % in the median"


@pytest.mark.parametrize(
    ("tier", "n", "commits", "words"),
    [
        ("stored", 1, None, "1 process"),
        ("counts", 3, None, "3 processes"),
        ("counts", 3, BASE, "3 processes a side"),
        ("paired", 6, BASE, "6 pairs of processes"),
        ("paired", 1, None, "1 pair of processes"),
    ],
)
def test_what_the_numbers_come_from(pairs, tier, n, commits, words) -> None:
    """Pairs are pairs, and processes of both sides are processes a side."""
    assert wording.measured_in(replace(pairs("t", Verdict.NEW).comparison, tier=tier, n=n), commits) == words


def test_commits_survive_the_context_of_a_run() -> None:
    """What was compared is read back from a run's context; a run against a baseline has none."""
    for commits in (BASE, replace(BASE, head="ffff")):
        assert wording.commits_of(commits.context | {"load": "1.0"}) == commits
    assert wording.commits_of({"commit": "ffff", "base": "1"}) is None
    assert BASE.sentence == "the working tree against 1a2b3c4d5e (v1.0 rc)"


def test_reproducing_a_comparison_names_both_sides() -> None:
    """The command holds the user's words, each quoted for a shell."""
    assert shlex.split(wording.reproduce_command("t.py::t[a b]", replace(BASE, head="ffff"))) == [
        *("pytest", "--pe-perf", "--pe-perf-against", "v1.0 rc", "--pe-perf-head", "ffff", "t.py::t[a b]")
    ]


def test_sentence_of_pairs(side_by_side) -> None:
    """What could be seen is that of the times per call alone, weak rows are counted, and no update is offered."""
    outcome = wording.result(side_by_side, BASE)
    assert outcome.sentence == (
        "2 regressed, 1 inconclusive, 1 not comparable, 1 missing, 1 new, 1 improved, 5 unchanged (4 weak); "
        "smallest change this run could have seen: +3.0 % (median of 6 timed rows, worst +19.0 %); "
        "compared with base once merged: the 2 rows that it does not have"
    )


def test_sight_without_any_time_per_call(pairs, report_of) -> None:
    """A run of imports says what it could have seen of those."""
    row = pairs("t", Verdict.UNCHANGED, metric="import", detectable=0.08, threshold=0.1)
    assert "could have seen: +8.0 % (its one timed row)" in wording.result(report_of(row), BASE).sentence


def test_weak_rows_come_before_those_that_saw_enough(side_by_side) -> None:
    """Among the unchanged rows the weak ones lead, times per call first."""
    rows = [row for row in wording.worst_first(side_by_side) if row.verdict is Verdict.UNCHANGED]
    assert [(wording.weak(row), row.key.metric) for row in rows] == [
        *((True, "latency"), (True, "latency"), (True, "first"), (True, "tail"), (False, "latency"))
    ]
