"""Whether a run is one that can have been measured: a run file comes from anywhere and is believed nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pytest_pe_perf.model import METRICS, Budget, Key, PackedRestart, PackedRow, Profile, Row, Run, Sample, Verdict
from pytest_pe_perf.profile.check import MOST_PROFILES, flaws

# What can be said of a row that has no readings.
_WITHOUT_READINGS = (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE, Verdict.NEW, Verdict.MISSING)
# No process takes so many readings, makes so many calls, has so many cores or so long a source file.
_MOST = 10**12
# No time and no ratio of times is beyond these, no count or size beyond that, and no limit so wide: what is can neither
# have been measured nor be calculated with.
_SHORTEST, _LONGEST = 1e-12, 1e12
_LARGEST, _WIDEST = 1e18, 1e6
# Numbers that make a turn.
_TURN = 3


class Impossible(Exception):  # noqa: N818
    """What nobody can have measured. Who read the run, and knows its file, makes an error of it."""


def check_run(run: Run) -> None:
    """Look at every number of ``run`` that a verdict rests on.

    Raises:
        Impossible: a metric that is unknown, a number that nobody can have measured, a row that stands there twice.

    """
    _check_count("number of cores", run.environment.cores, 1)
    for row in run.rows:
        _check_row(row)
    _check_once(row.key for row in run.rows)
    for part in run.pairs:
        for packed in (*part.rows, *part.canaries):
            _check_packed(packed)
        _check_once(packed.key for packed in part.canaries)
        for item in part.unread:
            _check_metric(item.key)
            if item.verdict not in _WITHOUT_READINGS:
                raise Impossible(f"the {item.key.metric} of {item.key.label} is {item.verdict} without a reading")
    _check_once((*(packed.key for part in run.pairs for packed in part.rows), *_unread_and_counted(run)))
    _check_profiles(run.profiles)


def _check_profiles(profiles: tuple[Profile, ...]) -> None:
    if len(profiles) > MOST_PROFILES:
        raise Impossible(f"there are {len(profiles)} profiles, more than any run has")
    for profile in profiles:
        _check_metric(profile.key)
        for flaw in flaws(profile):
            raise Impossible(f"the profile of the {profile.key.metric} of {profile.key.label} {flaw}")
    _check_once(profile.key for profile in profiles)


def _unread_and_counted(run: Run) -> Iterable[Key]:
    """Return the rows of a comparison that are judged by something else than pairs."""
    if not run.pairs:
        return
    yield from (item.key for item in {item for part in run.pairs for item in part.unread})
    yield from (row.key for row in run.rows if METRICS[row.key.metric].assume == "exact")


def _check_row(row: Row) -> None:
    _check_metric(row.key)
    what = f"the {row.key.metric} of {row.key.label}"
    if not row.samples:
        raise _no_value(what)
    for sample in (*row.samples, *row.base):
        _check_sample(what, sample, row.key.metric)
    _check_judged_by(what, row.threshold, row.margin, row.budget, row.line)


def _check_sample(what: str, sample: Sample, metric: str) -> None:
    is_possible = _is_time if METRICS[metric].assume == "noisy" else _is_count
    if not is_possible(sample.value) or not (sample.reference is None or _is_time(sample.reference)):
        raise _no_value(what)
    if not all(map(math.isfinite, sample.quantiles)):
        raise _no_value(what)
    least = 0 if sample.problem else 1  # a process that had a problem may have read nothing
    _check_count(f"number of readings of {what}", sample.count, least)
    _check_count(f"number of calls of {what}", sample.calls, least)


def _check_packed(row: PackedRow) -> None:
    _check_metric(row.key)
    what = f"the {row.key.metric} of {row.key.label}"
    for restart in (*row.screen, *row.confirm):
        _check_restart(what, restart)
    _check_judged_by(what, row.threshold, row.margin, row.budget, row.line)


def _check_restart(what: str, restart: PackedRestart) -> None:
    _check_count(f"number of calls of {what}", restart.calls, 1)
    if len(restart.base) != len(restart.head):
        raise Impossible(
            f"{what} has {len(restart.base)} blocks of base and {len(restart.head)} of head in one restart"
        )
    for numbers in (*restart.base, *restart.head):
        if len(numbers) % _TURN:
            raise Impossible(f"{what} has a block of {len(numbers)} numbers, which make no whole turns")
        times, shares = numbers[::_TURN] + numbers[1::_TURN], numbers[_TURN - 1 :: _TURN]
        # A clock that has not moved is no error of the file: the row is inconclusive.
        if not all(time == 0 or _is_time(time) for time in times):
            raise _no_value(what)
        if not all(0 <= share <= 1 for share in shares):
            raise Impossible(f"{what} has a turn that was away from its core for more than its whole time")


def _check_judged_by(what: str, threshold: float, margin: float, budget: Budget | None, line: int) -> None:
    if not 0 <= margin <= threshold <= _WIDEST:
        raise Impossible(f"{what} has a threshold of {threshold} and a margin of {margin}, which no setting gives")
    if budget is not None and not _is_count(budget.limit):
        raise Impossible(f"{what} has a limit of {budget.limit}, which no setting gives")
    _check_count(f"line of {what}", line, 0)


def _is_time(number: float) -> bool:
    return _SHORTEST <= number <= _LONGEST


def _is_count(number: float) -> bool:
    return 0 <= number <= _LARGEST


def _check_metric(key: Key) -> None:
    if key.metric not in METRICS:
        raise Impossible(f"unknown metric {key.metric!r}; upgrade pytest-pe-perf")


def _check_count(what: str, number: int, least: int) -> None:
    if not least <= number <= _MOST:
        raise Impossible(f"the {what} is {number}")


def _check_once(keys: Iterable[Key]) -> None:
    seen: set[Key] = set()
    for key in keys:
        if key in seen:
            raise Impossible(f"the {key.metric} of {key.label} stands there twice")
        seen.add(key)


def _no_value(what: str) -> Impossible:
    return Impossible(f"{what} has no value that anybody can have measured; make a new file with: pytest --pe-perf")
