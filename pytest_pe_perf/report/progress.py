"""Where a measurement is: of pairs one line that is written over on a terminal, and a few plain ones elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .screen import printable, shorten, shorten_id, width_of
from .wording import change

if TYPE_CHECKING:
    from pytest_pe_perf.measure.paired.controller import Progress

# Seconds between two looks of the line; a reader follows no more, and a terminal over a slow link neither.
_PAUSE = 0.2
# Seconds that a process takes to start, or a pair, until it is known.
START_UP = 2.0
# Seconds after which a run tells that it has not come to a halt, each time.
_LONG = 30.0
# With fewer columns a test's name says nothing.
_LEAST_NAME = 10


class Meter(Protocol):
    """Shows where a measurement is."""

    def show(self, title: str, progress: Progress | None = None) -> None:
        """Show what is done and, where it is known, how far it is."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def end(self) -> None:
        """Leave nothing of what was only for the moment."""


class Silent:
    """Shows nothing."""

    def show(self, title: str, progress: Progress | None = None) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Leave nothing."""


@dataclass(slots=True)
class _Pace:
    """How long a pass will take: as planned while its first pair runs, and then as the pairs before."""

    title: str = ""
    began: float = 0.0
    restart: int = 0
    restart_began: float = 0.0

    def left(self, title: str, progress: Progress, now: float) -> float:
        """Return the seconds that are left of the pass."""
        if title != self.title or progress.restart < self.restart:
            self.title, self.began, self.restart = title, now, 0
        if progress.restart != self.restart:
            self.restart, self.restart_began = progress.restart, now
        planned = (progress.tests - progress.test + 1) * progress.seconds
        ended = progress.restart - 1
        each = (self.restart_began - self.began) / ended if ended else progress.tests * progress.seconds + START_UP
        still = (progress.restarts - progress.restart) * each
        # This pair has started already, and may be slower than those before.
        return still + max(each - (now - self.restart_began) - (0.0 if ended else START_UP), planned)


@dataclass(slots=True)
class LiveLine:
    """One line of a terminal, written over in place. ``write`` shows text at once, ``width`` is the terminal's.

    ``say_line`` writes a line that stays, ``clock`` counts seconds.
    """

    write: Callable[[str], None]
    say_line: Callable[[str], None]
    width: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    _pace: _Pace = field(default_factory=_Pace)
    _last: float = -math.inf
    _title: str = ""
    _shown: int = 0

    def show(self, title: str, progress: Progress | None = None) -> None:
        """Show the line, unless it was shown just now."""
        now = self.clock()
        left = self._pace.left(title, progress, now) if progress else 0.0
        if now - self._last < _PAUSE and title == self._title:
            return
        self._last, self._title = now, title
        # In the last column some terminals begin a new line.
        room = max(self.width() - 1, 1)
        text = live(title, progress, left, room)
        self.write(f"\r{text}{' ' * max(self._shown - width_of(text), 0)}")
        self._shown = width_of(text)

    def say(self, line: str) -> None:
        """Show a line that stays, above this one."""
        self.end()
        self.say_line(line)

    def end(self) -> None:
        """Erase the line."""
        if self._shown:
            self.write(f"\r{' ' * self._shown}\r")
        self._shown, self._last = 0, -math.inf


@dataclass(slots=True)
class PlainLines:
    """A line for each restart, for a log. ``clock`` counts seconds."""

    say_line: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _pace: _Pace = field(default_factory=_Pace)
    _told: tuple[str, int] = ("", 0)

    def show(self, title: str, progress: Progress | None = None) -> None:
        """Say where the measurement is when a restart begins."""
        left = self._pace.left(title, progress, self.clock()) if progress else 0.0
        turn = (title, progress.restart if progress else 0)
        if turn != self._told:
            self._told = turn
            self.say(plain(title, progress, left))

    def say(self, line: str) -> None:
        """Say a line."""
        self.say_line(line)

    def end(self) -> None:
        """Leave all lines."""


@dataclass(slots=True)
class LongRun:
    """Says of a run against a baseline from time to time how far it is: pytest's own line counts tests and no minutes.

    ``say`` writes a line that stays, ``clock`` counts seconds.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _tests: int = 0
    _ended: int = 0
    _began: float = 0.0
    _told: float = 0.0

    def begin(self, tests: int) -> None:
        """Begin a run of so many performance tests."""
        self._tests, self._ended = tests, 0
        self._began = self._told = self.clock()

    def end_one(self) -> None:
        """Count one test that is over, and say how far the run is unless that was said a short while ago."""
        self._ended += 1
        now, still = self.clock(), self._tests - self._ended
        if now - self._told < _LONG or still < 1:
            return
        self._told = now
        left = (now - self._began) / self._ended * still
        self.say(f"pe-perf: {self._ended} of {self._tests} performance tests, about {rough_time(left)} left")


def live(title: str, progress: Progress | None, left: float, width: int) -> str:
    """Return the line of a terminal, in at most ``width`` columns: the name gives way first, then the ratio."""
    head = f"pe-perf: {printable(title)}"
    if progress is None:
        return shorten(head, width)
    head += f" {progress.restart}/{progress.restarts}, test {progress.test}/{progress.tests}, {clock_time(left)} left"
    ratio = _ratio(progress)
    for figures in (ratio, ""):
        room = width - width_of(head) - width_of(figures) - 2
        if room >= _LEAST_NAME:
            return f"{head}: {shorten_id(progress.name, room)}{figures}"
    return shorten(head, width)


def plain(title: str, progress: Progress | None, left: float) -> str:
    """Return the line of a log."""
    if progress is None:
        return f"pe-perf: {printable(title)}"
    tests = "1 test" if progress.tests == 1 else f"{progress.tests} tests"
    pair = f"pair {progress.restart} of {progress.restarts}"
    return f"pe-perf: {printable(title)}, {pair}, {tests}, about {rough_time(left)} left"


def _ratio(progress: Progress) -> str:
    """Return what the pairs so far say: ``"  +1.2 % ±0.8"``."""
    if progress.ratio is None:
        return ""
    ratio, low, high = progress.ratio
    half = (high - low) / 2 * 100
    return f"  {change(ratio)} ±{half:.1f}" if half < 99.95 else f"  {change(ratio)}"


def clock_time(seconds: float) -> str:
    """Return a duration as a clock shows it: ``"1:05"``."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rough_time(seconds: float) -> str:
    """Return a duration to the precision of a guess: ``"40 s"``, ``"3 min"``, ``"2.5 h"``."""
    if seconds < 55:
        return f"{max(math.ceil(seconds / 5) * 5, 5)} s"
    minutes = max(round(seconds / 60), 1)
    return f"{minutes} min" if minutes < 60 else f"{seconds / 3600:.1f} h"
