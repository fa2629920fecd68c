"""The HTML report of a comparison of two commits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_pe_perf.judge.packed import pack
from pytest_pe_perf.model import (
    Block,
    Key,
    PairedRow,
    Pairs,
    Restart,
    Turn,
    Verdict,
)
from pytest_pe_perf.report.distribution import distribution
from pytest_pe_perf.report.html import render
from pytest_pe_perf.report.rounds import MOST, pairs_of

from .conftest import Page, chunk, past_of, prepared


@pytest.fixture(scope="session")
def pairs_html(side_by_side, sides_run) -> str:
    past = past_of([judgement.key for judgement in side_by_side.judgements], 12)
    return render(sides_run(side_by_side), side_by_side, past)


def test_page_of_pairs_draws_inside_its_drawings(pairs_html) -> None:
    """The readings of both sides stand between the edges."""
    strips = [
        strip
        for test in chunk(pairs_html, "d-tests-0")
        for row in test["rows"]
        if row["sides"]
        for strip in row["sides"]["strips"]
    ]
    assert strips
    for strip in strips:
        assert all(
            0 <= float(place) <= 100 for place in (*strip["box"], *strip["whisker"], *strip["dots"], strip["middle"])
        )


def test_page_of_pairs_offers_no_update(pairs_html) -> None:
    """Beside a commit there is no baseline: no command accepts, and the sides have their names."""
    details = " ".join(json.dumps(test, ensure_ascii=False) for test in chunk(pairs_html, "d-tests-0"))
    words = Page(pairs_html).words
    for foreign in ("pe-perf update", "equal machine speed"):
        assert foreign not in details
    assert "the working tree against 1a2b3c4d5e (main), measured side by side" in words
    for foreign in ("pe-perf update", "accepted", "equal machine speed", "baseline folder", "reference workload"):
        assert foreign not in words
    assert "pytest --pe-perf --pe-perf-against main tests/test_api.py::test_quote Copy" in words
    assert "Nothing to update: the next comparison starts from the commit that this is merged into" in words
    assert '["measured in", "6 pairs of processes"]' in details
    assert '["measured in", "3 processes a side"]' in details
    assert "canaries: a planted +5.0 % was seen as +5.3 %" in words


def test_method_of_pairs_tells_how_pairs_decide(side_by_side, sides_run) -> None:
    """The method is told as it was used."""
    terms = [paragraph.term for paragraph in prepared(sides_run(side_by_side), side_by_side).method]
    assert terms[:2] == ["Pairs", "Two witnesses"]
    assert {"Two passes", "Canaries", "Weak", "Budget"} <= set(terms)
    assert "Before anything fails" not in terms


def test_both_sides_are_drawn_on_one_scale(side_by_side, sides_run) -> None:
    """Base stands left of head where it is faster, every process has a dot, and counts have no whiskers."""
    page = prepared(sides_run(side_by_side), side_by_side)
    drawn = next(row.distribution for row in page.rows if row.metric == "latency")
    base, head = drawn.strips
    assert (base.side, head.side) == ("base", "head")
    assert float(base.middle) < float(head.middle)
    assert len(base.dots) == 3
    assert head.words == "median 924 µs, 90 % from 848 µs to 1.60 ms"
    row = sides_run(side_by_side).rows[0]
    single = replace(row, samples=tuple(replace(s, count=1) for s in row.samples))
    assert distribution(single).strips[1].whisker is None
    alone = distribution(replace(row, base=()))
    assert [strip.side for strip in alone.strips] == ["now"]
    assert distribution(replace(row, samples=(), base=())) is None


def test_weak_rows_are_marked(side_by_side, sides_run) -> None:
    """A weak row says so in words and colour."""
    page = prepared(sides_run(side_by_side), side_by_side)
    rows = {(row.test, row.metric): row for row in page.rows}
    weak, fine = rows["tests/test_busy.py::test_a", "latency"], rows["tests/test_calm.py::test_calm", "latency"]
    assert (weak.word, weak.style) == ("unchanged, weak", "v-unchanged weak")
    assert (fine.word, fine.style) == ("unchanged", "v-unchanged")


@pytest.mark.parametrize(
    ("verdict", "advice"),
    [
        (Verdict.REGRESSED, "Make it good again; the cards below say how to measure it"),
        (Verdict.NEW, "Base has none of these tests"),
        (Verdict.UNCHANGED, "There is nothing to do, but 1 time is weak"),
    ],
)
def test_advice_beside_a_commit(pairs, report_of, sides_run, verdict, advice) -> None:
    """What there is to do has nothing to do with a baseline."""
    report = report_of(pairs("t", verdict, detectable=0.4))
    assert prepared(sides_run(report), report).advice.startswith(advice)


def test_rounds_of_pairs(side_by_side, sides_run) -> None:
    """What the pairs saw is told in the order of time, thinned where it is much, and disturbed rounds are marked."""

    def restart(ratio, away=0.0):
        turn = Turn(1e-3, 9e-4)
        blocks = [Block((turn,), (Turn(ratio * 1e-3, 9e-4, away if n == 1 else 0.0),)) for n in range(300)]
        return Restart(tuple(blocks))

    key = Key("tests/test_api.py::test_quote", "", "latency")
    row = PairedRow(key, "source", 0.05, 0.01, (restart(1.1), restart(1.2)), (restart(1.3, away=0.9),))
    run = replace(sides_run(side_by_side), pairs=(Pairs((pack(row),)),))
    found = pairs_of(run)[key]
    assert [(round(pair.middle, 6), pair.again) for pair in found] == [(1.1, False), (1.2, False), (1.3, True)]
    assert sum(len(pair.ratios) for pair in found) <= MOST
    rows = chunk(render(run, side_by_side), "d-tests-0")[0]["rows"]
    pairs = next(row["pairs"] for row in rows if row["metric"] == "latency")
    assert [(middle, again) for _, _, middle, again in pairs] == [(953, 0), (1823, 0), (2624, 1)]
