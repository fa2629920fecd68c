"""Accepted regressions: what an entry covers and what not, and what is said of every entry."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.judge.accept import Entries, accept_covered, remark
from pytest_pe_perf.judge.patterns import matches, may_be_in
from pytest_pe_perf.model import METRICS, Acceptance, Comparison, Judgement, Key, Verdict

MODULE = "tests/perf/test_x.py"
TEST = f"{MODULE}::test_a[x-1]"
TODAY = date(2026, 5, 1)
ENTRY = Acceptance(TEST, "latency", 1.2, "exact rounding", date(2026, 5, 31), "#12")


def judgement(verdict=Verdict.REGRESSED, *, test=TEST, metric="latency", ratio=1.1, high=1.15, name=""):
    comparison = Comparison(1.0, ratio, ratio, ratio - (high - ratio), high, 6, 0.05, 0.03, "paired")
    return Judgement(Key(test, name, metric), verdict, "measured", ratio, comparison)


def entries(*of_head, today=TODAY, on_base=None):
    return Entries(of_head or (ENTRY,), today, on_base)


def said(*judgements, of=None, not_judged=(), complete=()):
    """Return the notes after acceptance, and whether each is stale."""
    of = of or entries()
    found = remark(accept_covered(judgements, of), of, not_judged=not_judged, complete=complete)
    assert set(found.stale) <= set(found.notes)
    return [(note.partition("(#12): ")[2], note in found.stale) for note in found.notes]


def test_a_covered_regression_is_accepted_and_says_by_what():
    """The verdict is accepted, it does not fail, and the reason has ceiling, last day, reason and issue."""
    (found,) = accept_covered([judgement()], entries())
    assert (found.verdict, found.accepted, found.fails) == (Verdict.ACCEPTED, ENTRY, False)
    assert found.reason == "measured; accepted up to +20.0 % until 2026-05-31: exact rounding (#12)"
    assert said(judgement()) == []


def test_an_entry_covers_every_measurement_of_its_test_and_metric_and_nothing_else():
    """Another metric, another test, and a test of which only the beginning is the same stay regressed."""
    rows = [
        judgement(name="parse"),
        judgement(metric="tail"),
        judgement(test=f"{MODULE}::test_b"),
        judgement(test=f"{MODULE}::test_a[x-10]"),
    ]
    found = accept_covered(rows, entries())
    assert [row.verdict for row in found] == [Verdict.ACCEPTED, *[Verdict.REGRESSED] * 3]
    assert list(found[1:]) == rows[1:]


@pytest.mark.parametrize(
    ("of", "row", "why"),
    [
        (entries(), judgement(high=1.2000001), "ends at +20.0 %, and this may be +20.0 %"),
        (entries(), judgement(high=1.31), "ends at +20.0 %, and this may be +31.0 %"),
        (entries(), judgement(ratio=math.inf, high=math.inf), "holds no growth from 0"),
        (entries(), judgement(high=math.nan), "ends at +20.0 %, and this may be ?"),
        (entries(), replace(judgement(), comparison=None), "holds no growth from 0"),
        (entries(today=date(2026, 6, 1)), judgement(), "expired on 2026-05-31"),
        (entries(on_base=()), judgement(), "counts once it is on the base"),
        (entries(on_base=(replace(ENTRY, ceiling=1.19),)), judgement(), "counts once it is on the base"),
        (entries(on_base=(replace(ENTRY, expires=date(2026, 5, 30)),)), judgement(), "counts once it is on the base"),
    ],
)
def test_what_an_entry_does_not_cover_stays_red_and_says_why(of, row, why):
    """Beyond the ceiling at the upper end, from zero, unmeasurable, after its last day, or not equal on the base."""
    (found,) = accept_covered([row], of)
    assert (found.verdict, found.accepted) == (Verdict.REGRESSED, None)
    assert found.reason == f"measured; the accept entry of {TEST} {why}"


def test_an_entry_counts_on_its_last_day_and_at_its_very_ceiling():
    """Both limits are included."""
    (found,) = accept_covered([judgement(high=1.2)], entries(today=ENTRY.expires, on_base=(ENTRY,)))
    assert found.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.REGRESSED])
def test_only_a_regression_is_accepted(verdict):
    """A budget, a row that nobody can judge, and all the others stay what they are."""
    row = judgement(verdict)
    assert accept_covered([row], entries()) == (row,)


def test_of_two_entries_the_one_that_covers_decides():
    """A narrow entry that has expired does not undo a wide one, and each is spoken of for itself."""
    wide = replace(ENTRY, test="tests/perf/*", ceiling=2.0)
    old = replace(ENTRY, expires=date(2026, 4, 1))
    of = entries(old, wide)
    (found,) = accept_covered([judgement()], of)
    assert found.accepted == wide
    assert said(judgement(), of=of) == [("expired on 2026-04-01; renew or delete it", True)]


@pytest.mark.parametrize(
    ("rows", "on_base", "text", "stale"),
    [
        # Against a baseline: what is well again needs no entry.
        ([judgement(Verdict.UNCHANGED)], None, "nothing that it names is worse any more; delete it", True),
        ([judgement(Verdict.IMPROVED)], None, "nothing that it names is worse any more; delete it", True),
        # What could not be told proves nothing about an entry, nor does one that was just updated.
        ([judgement(Verdict.INCONCLUSIVE)], None, "not used in this run", False),
        ([judgement(Verdict.UNCHANGED), judgement(Verdict.NEW, name="b")], None, "not used in this run", False),
        ([judgement(Verdict.ACCEPTED)], None, "not used in this run", False),
        ([judgement(high=1.3)], None, "not used in this run", False),
        # Beside a commit it waits for its change, which is most often another one.
        ([judgement(Verdict.UNCHANGED)], (ENTRY,), "not used in this run", False),
        ([judgement(Verdict.UNCHANGED)], (), "counts once it is on the base", False),
        # Rows, but not of that metric.
        ([judgement(Verdict.UNCHANGED, metric="peak")], None, "its tests have no latency", True),
        ([judgement(Verdict.UNCHANGED, metric="peak")], (ENTRY,), "its tests have no latency", True),
        ([judgement(Verdict.INCONCLUSIVE, metric="peak")], None, "not used in this run", False),
    ],
)
def test_an_entry_that_accepted_nothing_says_why(rows, on_base, text, stale):
    """One note an entry; it is stale where a person should mend or delete it."""
    assert said(*rows, of=entries(on_base=on_base)) == [(text, stale)]


def test_a_metric_of_pairs_is_not_missed_against_a_baseline():
    """A project has one list of entries for both kinds of runs."""
    tail = replace(ENTRY, metric="tail")
    assert said(judgement(Verdict.UNCHANGED), of=entries(tail)) == [("not used in this run", False)]
    assert said(judgement(Verdict.UNCHANGED), of=entries(tail, on_base=(tail,))) == [("its tests have no tail", True)]


@pytest.mark.parametrize(
    ("pattern", "complete", "stale"),
    [
        (f"{MODULE}::test_b", [MODULE], True),
        (f"{MODULE}::test_b", ["tests/perf/test_y.py"], False),
        ("tests/perf", [MODULE], True),
        ("tests/perf", ["tests/perfect.py"], False),
        ("tests/perf/*::test_b", [MODULE], True),
        (f"{MODULE}::test_b*", [MODULE], True),
        (f"{MODULE}::test_b*", ["tests/perf/test_y.py"], False),
        ("*::test_b", ["anything.py"], True),
        ("*::test_b", [], False),
    ],
)
def test_a_pattern_names_nothing_only_where_its_tests_would_have_been_seen(pattern, complete, stale):
    """A part of the suite says nothing of entries elsewhere, so that selections and shards do not fail for them."""
    ((text, is_stale),) = said(of=entries(replace(ENTRY, test=pattern)), complete=complete)
    assert is_stale is stale
    assert text.startswith("names no test" if stale else "its tests were not part of this run")


def test_a_slip_of_the_pen_gets_the_close_matches():
    """A pattern that names nothing is shown with the tests that look like it."""
    of = entries(replace(ENTRY, test=f"{MODULE}::test_aa[x-1]"))
    other = judgement(Verdict.UNCHANGED, test=f"{MODULE}::test_zebra_crossing_in_the_rain")
    ((text, _),) = said(judgement(Verdict.UNCHANGED), other, of=of, complete=[MODULE])
    assert text == f"names no test; close to it: {TEST}"
    assert said(of=of, complete=[MODULE]) == [("names no test, and none comes close", True)]


def test_a_test_that_was_skipped_or_left_out_is_not_missed():
    """Its entry is neither useless nor wrong."""
    assert said(not_judged=[TEST], complete=[MODULE]) == [("not used in this run", False)]
    parts = entries(replace(ENTRY, test=MODULE))
    row = judgement(Verdict.UNCHANGED)
    assert said(row, of=parts, not_judged=[f"{MODULE}::test_b"]) == [("not used in this run", False)]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (TEST, [TEST], [f"{MODULE}::test_a", f"{MODULE}::test_ax"]),
        (f"{MODULE}::test_a", [TEST, f"{MODULE}::test_a"], [f"{MODULE}::test_ab"]),
        (f"./{MODULE}", [TEST], ["tests/perf/test_x.pyx::test_a"]),
        ("tests/perf/", [TEST], ["tests/perf2/test_x.py::test_a"]),
        ("*::test_a[x-?]", [TEST], [f"{MODULE}::test_a[x-10]"]),
        ("test_a", [], [TEST]),
    ],
)
def test_what_patterns_name(pattern, yes, no):
    """A node id, the beginning of one at a joint, or a glob in which brackets stand for themselves."""
    assert all(matches(pattern, test) for test in yes)
    assert not any(matches(pattern, test) for test in no)


IDS = st.builds(
    "{}test_{}.py::test_{}".format, st.sampled_from(["", "a/", "a/b/"]), st.sampled_from("xy"), st.sampled_from("12")
)
PATTERNS = (
    IDS | IDS.map(lambda test: test[:-1] + "*") | st.sampled_from(["a", "a/b/", "*", "*1", "a/*::test_2", "a/b/?"])
)


@given(PATTERNS, IDS)
def test_a_test_that_is_named_stands_in_a_module_that_may_hold_it(pattern, test):
    """No entry is called useless because its module was thought to be another one."""
    if matches(pattern, test):
        assert may_be_in(pattern, test.split("::")[0])


ENTRIES = st.builds(
    Acceptance,
    PATTERNS,
    st.sampled_from(sorted(METRICS)),
    st.floats(1.01, 3),
    st.just("because"),
    st.integers(-2, 2).map(lambda days: TODAY + timedelta(days)),
)
ROWS = st.builds(
    lambda verdict, test, metric, high: judgement(verdict, test=test, metric=metric, high=high),
    st.sampled_from(Verdict),
    IDS,
    st.sampled_from(sorted(METRICS)),
    st.floats(1.1, 4) | st.just(math.inf),
)


@given(
    st.lists(ROWS, max_size=6), st.lists(ENTRIES, max_size=4, unique=True), st.none() | st.lists(ENTRIES, max_size=2)
)
def test_nothing_is_let_pass_that_no_valid_entry_holds(rows, of_head, on_base):
    """Checked against the plain definition; no row is lost, every other entry has a note, and twice is as once."""
    on_base = None if on_base is None else (*of_head[:1], *on_base)

    def holds(entry, row):
        return (
            row.verdict is Verdict.REGRESSED
            and entry.metric == row.key.metric
            and matches(entry.test, row.key.test)
            and row.comparison.high <= entry.ceiling
            and entry.expires >= TODAY
            and (on_base is None or entry in on_base)
        )

    of = Entries(tuple(of_head), TODAY, on_base)
    found = accept_covered(rows, of)
    for row, now in zip(rows, found, strict=True):
        holding = [entry for entry in of_head if holds(entry, row)]
        assert now.accepted == (holding[0] if holding else None)
        assert now.verdict is (Verdict.ACCEPTED if holding else row.verdict)
        assert replace(now, verdict=row.verdict, reason="", accepted=None) == replace(row, reason="")
    used = [entry for entry in of_head if any(holds(entry, row) for row in rows)]
    assert len(remark(found, of, not_judged=(), complete=()).notes) == len(of_head) - len(used)
    assert [row.accepted for row in accept_covered(found, of)] == [row.accepted for row in found]
