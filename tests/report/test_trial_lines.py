"""Runs with known answers on a screen: nothing wider than it, and no word that the numbers do not bear out."""

from __future__ import annotations

import math

import pytest

from pytest_pe_perf.judge.trial import (
    LEAK,
    NOTHING,
    PLANTS,
    SLOWER,
    Advice,
    Change,
    Decision,
    Judged,
    Ran,
    decisions,
    tallies,
)
from pytest_pe_perf.model import Key, Verdict
from pytest_pe_perf.report.trial import conclusion, decision_lines, suite_lines, tally_lines

CHANGE = Change(1.1, 1.09, 1.11, 12, 0.05, 0.03, "paired")
LONG = "tests/a/long/path/test_of_something.py::TestOfIt::test_with_a_name_that_goes_on[parameter-\x1b[31m-ü]"


def every(verdict=Verdict.REGRESSED, clean=Verdict.UNCHANGED):
    found = [
        Decision(f"test_x.py::test_{i}", plant, plant.metric, verdict, "so", CHANGE) for i, plant in enumerate(PLANTS)
    ]
    return [*found, Decision("test_x.py::test_clean", NOTHING, "latency", clean, "so", CHANGE)]


def test_lines_of_a_run():
    """What was caught and how it was seen, one line each; what was quiet is counted."""
    out = list(decision_lines(every()))
    assert len(out) == len(PLANTS) + 1
    assert "  caught       +10 % time          1                     +10.0 % (+9.0 to +11.0)" in out
    assert out[-1] == "  quiet        nothing: 1 rows not called changed"
    assert max(map(len, out)) <= 80


def test_lines_say_why():
    """What was missed, a false alarm, and what was not measured come with what the gate said."""
    (missed,) = decisions({"a": LEAK}, [Judged(Key("a", "", "retained"), Verdict.UNCHANGED, "equal", CHANGE)])
    assert [line.split() for line in decision_lines([missed])] == [
        ["missed", "a", "leak", "a", "+10.0", "%", "(+9.0", "to", "+11.0)"],
        ["unchanged:", "equal"],
    ]
    (gone,) = decisions({"a": LEAK}, [])
    assert [line.split() for line in decision_lines([gone])][1] == ["the", "run", "says", "nothing", "of", "it"]
    out = list(decision_lines(every(clean=Verdict.IMPROVED)))
    assert out[-2].split()[:4] == ["false", "alarm", "nothing", "(latency)"]
    assert any("1 of them undecided" in line for line in decision_lines(every(clean=Verdict.INCONCLUSIVE)))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (None, ""),
        (Change(None, None, None, 3, None, None, "counts"), "from 0"),
        (Change(1.01, 1.01, 1.01, 3, 0.0, 0.0, "counts"), "+1.0 %"),
        (Change(2.5, 2.4, 2.6, 3, 0.0, 0.0, "paired"), "2.5x (2.4x to 2.6x)"),
    ],
)
def test_what_was_seen(change, seen):
    """A change against zero has no ratio, an exact one no interval."""
    (line,) = decision_lines([Decision("a", LEAK, "retained", Verdict.REGRESSED, "so", change)])
    assert line.endswith(seen or " a")


def test_the_table():
    """Counts and bounds of each kind of plant, and those of the false alarms apart."""
    out = list(tally_lines(tallies(every())))
    assert out[0].split()[:2] == ["planted", "caught"]
    assert out[1].split() == ["+5", "%", "time", "1", "of", "1", "2.5", "%", "to", "100.0", "%"]
    assert out[-2].split()[:2] == ["false", "alarms"]
    assert out[-1].split() == ["nothing", "0", "of", "1", "0.0", "%", "to", "97.5", "%"]
    assert max(map(len, out)) <= 80


def test_the_conclusion():
    """It names what went wrong, and nothing else."""
    assert conclusion(tallies(every())) == "the gate works here"
    wrong = conclusion(tallies(every(Verdict.UNCHANGED, Verdict.REGRESSED)))
    assert wrong.startswith(
        "the gate does not work here: +10 % time missed in 1 of 1, +50 % time missed in 1 of 1, a leak"
    )
    assert wrong.endswith("1 of 1 rows of the same code called changed")
    assert SLOWER[0].title not in wrong
    assert "+5 % time: not measured" in conclusion(tallies([]))
    assert "1 not measured" in "".join(tally_lines(tallies(decisions({"a": LEAK}, []))))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_suite(width):
    """A line for each benchmark within the width, and each false alarm by name."""
    key = Key(LONG, "", "latency")
    found = [
        Advice(key, Verdict.UNCHANGED, "so", 0.034, 0.0151, 0.01, 1.0, 0.05),
        Advice(key, Verdict.REGRESSED, "so", math.inf, math.inf, math.inf, None, math.inf),
    ]
    ran = Ran(
        (
            Judged(key, Verdict.REGRESSED, "+6.0 % in two passes", CHANGE),
            Judged(key, Verdict.INCONCLUSIVE, "it hangs", None),
        ),
        (),
        ("canaries: fine",),
    )
    out = list(suite_lines(ran, found, width))
    assert max(map(len, out)) <= width
    assert out[1].split()[-9:] == ["3.4", "%", "1.5", "%", "1.0", "%", "1", "s", "5.0", "%"][1:]
    assert out[2].split()[-5:] == ["unknown", "unknown", "unknown", "-", "unknown"]
    text = " ".join(out)
    for part in ("undecided: latency of", "false alarm: latency of", "canaries: fine", "false alarms: 1 of 2 rows"):
        assert part in text
    assert "\x1b" not in text
