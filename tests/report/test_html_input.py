"""What a page makes of numbers, histories and files that nobody would send on purpose."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import accumulate

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_pe_perf.cli.judged import read_judged
from pytest_pe_perf.errors import RunFileError
from pytest_pe_perf.model import Course, Key, Past, PastRun, Verdict
from pytest_pe_perf.report.html import HARD_CAP, render
from pytest_pe_perf.report.html.pack import LOWEST, NARROWEST, STEPS, WIDTHS, fits, planes, widths
from pytest_pe_perf.runfile import write_run

from .conftest import Page, chunk, past_of, prepared

KEY = Key("t", "", "latency")
SCRIPT = "</script><script>alert(1)</script>"


def unpacked(data: tuple[bytes, bytes]) -> list[float]:
    """What unpack.js makes of the differences."""
    moves = (low | high << 8 for low, high in zip(*data, strict=True))
    steps = accumulate((move >> 1) ^ -(move & 1) for move in moves)
    return [2.0 ** (step / STEPS - LOWEST) for step in steps]


@given(st.lists(st.floats(1e-10, 1e8), min_size=1, max_size=30))
def test_packed_times_are_half_a_step_from_the_true_ones(values) -> None:
    assert fits(values)
    for found, value in zip(unpacked(planes(values)), values, strict=True):
        assert abs(math.log2(found / value)) <= 0.5001 / STEPS


@given(st.lists(st.tuples(*[st.none() | st.floats() | st.floats(0.5, 2.0)] * 2), max_size=30))
def test_packed_widths_are_those_of_the_plain_definition(intervals) -> None:
    """A byte for each interval: 0 for none, else the nearest quarter of an octave, at most 255."""

    def plain(low, high) -> int:
        if low is None or high is None or not 0 < low <= high < math.inf:
            return 0
        beyond = high / low - 1
        return 1 if beyond <= NARROWEST else round(min(1 + WIDTHS * math.log2(beyond / NARROWEST), 255))

    lows, highs = zip(*intervals, strict=True) if intervals else ((), ())
    assert all(
        abs(found - plain(low, high)) <= (found != 0)
        for found, low, high in zip(widths(lows, highs), lows, highs, strict=True)
    )


@settings(max_examples=15, deadline=None)
@example([1.3e293, -1.7976931348623145e308], None)
@example([1.7976931348623157e308] * 2, None)
@given(st.lists(st.floats(), max_size=8), st.none() | st.floats())
def test_numbers_of_any_kind_make_a_page(judgement, report_of, run_of, values, bound) -> None:
    """Infinite, negative, no number at all: the page says null where there is none."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    runs = past_of([KEY], len(values)).runs
    course = Course(
        tuple(range(len(values))), tuple(values), (bound,) * len(values), (bound,) * len(values), ("?",) * len(values)
    )
    html = render(run_of(report), report, Past(runs, {KEY: course}))
    (row,) = chunk(html, "d-tests-0")[0]["rows"]
    shown = row["course"]
    if "packed" in shown:
        assert shown["packed"] == len(values) + 1
    else:
        each = [
            value for value, count in zip(shown["values"][::2], shown["values"][1::2], strict=True) for _ in [0] * count
        ]
        assert each[:-1] == [value if math.isfinite(value) else None for value in values]


def test_ten_thousand_runs_fit_into_a_page(judgement, report_of, run_of) -> None:
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    html = render(run_of(report), report, past_of([KEY], 10_000))
    assert len(html) < HARD_CAP / 4
    assert len(chunk(html, "d-runs")["runs"]) == 10_001
    assert len(chunk(html, "d-overview")["rows"][0][16]) == 40


def test_gaps_and_clocks_that_go_back_keep_the_order(judgement, report_of, run_of) -> None:
    """This run is the last one wherever its clock stands, and a row has no point where it was not measured."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    past = past_of([KEY], 9)
    late = tuple(replace(run, started=f"2099-{run.started[5:]}") for run in past.runs)
    places = (0, 1, 5, 6, 7)
    course = Course(places, *(tuple(column[: len(places)]) for column in _columns(past)))
    page = prepared(run_of(report), report, Past(late, {KEY: course}))
    assert (page.now, page.past.courses[KEY].places) == (9, (*places, 9))
    html = render(run_of(report), report, Past(late, {KEY: course}))
    assert chunk(html, "d-tests-0")[0]["rows"][0]["course"]["at"] == [0, 2, 5, 3, 9, 1]
    nowhere = (PastRun("yesterday", "here", {}), *past.runs[1:])
    assert prepared(run_of(report), report, Past(nowhere, {KEY: course})).now == 9


def _columns(past):
    course = past.courses[KEY]
    return course.values, course.lows, course.highs, course.verdicts


def test_a_run_file_edited_by_hand_is_text_or_refused(everything, run_of, tmp_path) -> None:
    """With a script in any one of its strings it is no run, or a page with the tags that it had."""
    path = tmp_path / "run.json"
    report = replace(everything, judgements=everything.judgements[3:6])
    write_run(path, run_of(report, context={"commit": "483c483a1b2c", "against": "main"}), report)
    whole = path.read_text(encoding="utf-8")
    expected = [tag for tag, _ in Page(render(*read_judged(path))).tags if tag != "span"]
    outcomes = set()
    for place in sorted(set(_strings(json.loads(whole)))):
        path.write_text(whole.replace(json.dumps(place), json.dumps(SCRIPT)), encoding="utf-8")
        try:
            found = read_judged(path)
        except RunFileError:
            outcomes.add("refused")
            continue
        tags = [tag for tag, _ in Page(render(*found)).tags]
        assert tags.count("script") == expected.count("script"), place
        outcomes.add("text")
    assert outcomes == {"text", "refused"}


def _strings(content):
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for each in content.values() if isinstance(content, dict) else content:
            yield from _strings(each)
