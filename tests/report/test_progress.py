"""Progress: one line that is written over, and plain ones for a log."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pe_perf.measure.paired.controller import Progress, _ratio_so_far
from pytest_pe_perf.measure.paired.rounds import Measured
from pytest_pe_perf.model import Block, Restart, Sample, Turn
from pytest_pe_perf.report.progress import LiveLine, LongRun, PlainLines, clock_time, live, plain, rough_time
from pytest_pe_perf.report.screen import printable, width_of

STEP = Progress(2, 4, 3, 50, "tests/test_api.py::test_quote", 0.5, (1.012, 1.004, 1.02))


@dataclass
class Screen:
    """A terminal that shows what a line looks like after all that was written to it; time is moved by hand."""

    now: float = 0.0
    raw: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        cells: list[str] = []
        place = 0
        for character in "".join(self.raw):
            if character == "\r":
                place = 0
                continue
            cells[place : place + 1] = [character]
            place += 1
        return "".join(cells).rstrip()

    def say(self, line: str) -> None:
        assert self.line == ""
        self.kept.append(line)

    def live(self, width: int = 80) -> LiveLine:
        return LiveLine(self.raw.append, self.say, lambda: width, lambda: self.now)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def _steps(restarts: int, tests: int, seconds: float = 0.5):
    return [
        Progress(restart, restarts, test, tests, f"t.py::test_{test}", seconds)
        for restart in range(1, restarts + 1)
        for test in range(1, tests + 1)
    ]


def test_line_tells_where_it_is_and_what_it_sees() -> None:
    """The line holds the pass, the pair, the test, the time left, and the ratio with its interval."""
    assert live("screening", STEP, 61.2, 86) == (
        "pe-perf: screening 2/4, test 3/50, 1:02 left: test_api.py::test_quote  +1.2 % ±0.8"
    )
    assert live("screening", replace(STEP, ratio=None), 61.2, 80) == (
        "pe-perf: screening 2/4, test 3/50, 1:02 left: tests/test_api.py::test_quote"
    )
    assert live("preparing", None, 0.0, 80) == "pe-perf: preparing"


@given(
    st.text(max_size=30),
    st.builds(
        Progress,
        st.integers(1, 99),
        st.integers(1, 99),
        st.integers(1, 10**6),
        st.integers(1, 10**6),
        st.text(alphabet=st.characters(), max_size=80),
        st.floats(0, 100),
        st.none() | st.tuples(st.floats(0.1, 100), st.floats(0.1, 1), st.floats(1, 1000)),
    )
    | st.none(),
    st.floats(0, 1e6),
    st.integers(1, 200),
)
def test_line_fits_whatever_it_tells(title, progress, left, width) -> None:
    """No line is wider than asked, or holds anything unprintable."""
    line = live(title, progress, left, width)
    assert width_of(line) <= width
    assert printable(line) == line


def test_line_is_written_over_and_erased(screen) -> None:
    """A shorter line leaves nothing of a longer one, a line that stays is never glued to it, and in the end it is gone."""
    meter = screen.live()
    meter.show("screening", STEP)
    longer = screen.line
    screen.now += 1
    meter.show("screening", replace(STEP, name="t.py::t", ratio=None))
    assert longer.startswith("pe-perf: screening 2/4")
    assert screen.line.endswith("left: t.py::t")
    meter.say("3 tests suspected")
    assert screen.kept == ["3 tests suspected"]
    meter.show("confirming", STEP)
    assert screen.line.startswith("pe-perf: confirming 2/4")
    meter.end()
    assert screen.line == ""
    written = len(screen.raw)
    meter.end()
    assert len(screen.raw) == written
    assert "\n" not in "".join(screen.raw)


def test_line_is_written_at_most_five_times_a_second(screen) -> None:
    """Tests that follow each other faster than anybody can read do not keep the terminal busy."""
    meter = screen.live()
    for step in _steps(10, 100, 0.01):
        meter.show("screening", step)
        screen.now += 0.01
    assert len(screen.raw) <= 5 * 10 + 1


def test_line_stays_out_of_the_last_column(screen) -> None:
    """Some terminals begin a new line in their last column."""
    screen.live(40).show("screening", STEP)
    assert width_of(screen.line) <= 39


def test_time_left_follows_the_pace(screen) -> None:
    """The first pair is estimated as planned; from the second on what the pairs before took counts."""
    meter = screen.live()
    shown = []
    for step in _steps(4, 10):
        if step.test == 1 and step.restart > 1:
            screen.now += 5.0  # the next pair starts
        meter.show("screening", step)
        shown.append(screen.line.split(", ")[2])
        screen.now += 1.0
    assert shown[0] == "0:26 left: t.py::test_1"  # four times ten tests of half a second, and three starts
    assert shown[10].startswith("0:45 left")  # three pairs like the first, of 15 s
    assert shown[30].startswith("0:15 left")
    assert shown[39].startswith("0:06 left")


def test_each_pass_has_its_own_pace(screen) -> None:
    """What one pass took says nothing of the next."""
    meter = screen.live()
    for step in _steps(2, 2):
        meter.show("screening", step)
        screen.now += 100.0
    meter.show("confirming", Progress(1, 2, 1, 1, "t", 1.0))
    assert "0:04 left" in screen.line


def test_a_log_gets_a_line_for_each_restart(screen) -> None:
    """Where nobody watches there is a line for each pair, with what a reader of a log wants to know."""
    meter = PlainLines(screen.kept.append, lambda: screen.now)
    meter.show("preparing base and head")
    for step in _steps(4, 50):
        meter.show("screening", step)
        screen.now += 0.5
    meter.show("weighing 50 tests on both sides")
    meter.end()
    assert screen.kept == [
        "pe-perf: preparing base and head",
        "pe-perf: screening, pair 1 of 4, 50 tests, about 2 min left",
        "pe-perf: screening, pair 2 of 4, 50 tests, about 1 min left",
        "pe-perf: screening, pair 3 of 4, 50 tests, about 50 s left",
        "pe-perf: screening, pair 4 of 4, 50 tests, about 25 s left",
        "pe-perf: weighing 50 tests on both sides",
    ]
    assert "1 test," in plain("confirming", Progress(1, 6, 1, 1, "t"), 9.0)


def test_a_long_run_says_now_and_then_how_far_it_is(screen) -> None:
    """Against a baseline a line at most every half minute names tests and time left; a short run says nothing."""
    run = LongRun(screen.kept.append, lambda: screen.now)
    for seconds in (2.9, 6.0):
        run.begin(10)
        for _ in range(10):
            screen.now += seconds
            run.end_one()
    assert screen.kept == [
        "pe-perf: 5 of 10 performance tests, about 30 s left",
    ]
    screen.now += 29.0
    run.begin(100)
    for _ in range(50):
        screen.now += 3.1
        run.end_one()
    assert screen.kept[1:] == [
        f"pe-perf: {done} of 100 performance tests, about {left} left"
        for done, left in ((10, "5 min"), (20, "4 min"), (30, "4 min"), (40, "3 min"), (50, "3 min"))
    ]


def test_ratio_is_that_of_the_pairs_so_far() -> None:
    """Before the first pair of a test is through there is no ratio, and none of readings that cannot be."""

    def measured(base: float, head: float) -> Measured:
        block = Block((Turn(base, base),), (Turn(head, head),))
        return Measured(Restart((block,)), Sample(base, 1, 1), Sample(head, 1, 1))

    assert _ratio_so_far([]) is None
    assert _ratio_so_far([measured(0.0, 1.0)]) is None
    ratio, low, high = _ratio_so_far([measured(1.0, 1.2)] * 3)
    assert low < ratio < high
    assert ratio == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("seconds", "clock", "rough"),
    [
        (0.0, "0:00", "5 s"),
        (41.2, "0:42", "45 s"),
        (59.5, "1:00", "1 min"),
        (754, "12:34", "13 min"),
        (5400, "1:30:00", "1.5 h"),
    ],
)
def test_durations_are_as_precise_as_they_can_be(seconds, clock, rough) -> None:
    """A clock counts seconds; a guess does not pretend to."""
    assert (clock_time(seconds), rough_time(seconds)) == (clock, rough)
