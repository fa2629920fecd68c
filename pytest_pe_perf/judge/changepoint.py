"""Where a history changed its level: when, by how much, and how sure that is.

    change_points([1.00, 1.01, 0.99, 1.00, 1.31, 1.29, 1.30, 1.30])   # (4,)

A history is cut into levels at the least cost (``_segments``), where noise is measured in its own standard deviations and
a penalty grows with how much the noise wanders. One setting for all; its error rates are in docs/method/changepoints.md.
Pure: the same values always get the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ._segments import OFF, partition, settle
from .estimate import Z95, quantile

# What a change of level has to bring, in squared standard deviations of independent noise. It is more than two values
# off their level cost, so a third has to agree with them.
PENALTY = 20.0
# Median of the absolute value of a standard normal variable.
_QUARTILE = 0.6744897501960817
# Autocorrelation is added up over so many lags: histories wander for a few runs.
_LAGS = 5
_LARGEST_CORRELATION = 0.99
# So many values in each third, and so many standard errors between the thirds, are a creep.
CREEP_POINTS, CREEP_ERRORS = 8, 5.0
# So many values in each third are enough to tell a line from steps that were found.
_LINE_POINTS = 4
# Standard error of a median over that of a mean, of normal values.
_MEDIAN_ERROR = math.sqrt(math.pi / 2)
# Each pass finds the noise to wander more than the one before, and therefore less change.
_PASSES = 8
# Noise that was taken for less than this of what it is then found to be is measured well enough.
_STEADY = 1.3
# Differences below this, of logarithms or of the largest value, are rounding.
_ROUNDING = 1e-12
# The chance that a history without a change has one that brings x is at most exp(_P_LEVEL - _P_GAIN * x): no noise and no
# length that docs/method/changepoint.py tries has more, for x from 10 to 20. Further on it falls no slower.
_P_LEVEL, _P_GAIN = 0.8, 0.25


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A change of level.

    ``index`` is that of the first value on the new level. ``before`` and ``after`` are the levels, in the unit of the
    values; ``ratio`` is after over before and ``low`` to ``high`` its 95 % interval, None where not all values of the
    history are positive. ``p`` is the chance, at most, that a history without any change shows one as clear anywhere. ``settled``: so many values stand on the new level that it will stay a level of its own even if the old
    one comes back at once; a change that is not settled may still turn out to be a few outliers.
    """

    index: int
    before: float
    after: float
    ratio: float | None
    low: float | None
    high: float | None
    p: float
    settled: bool


@dataclass(frozen=True, slots=True)
class Creep:
    """Values from index ``start`` to before ``end`` that went from one level to another without a change.

    ``before`` and ``after`` are the medians of the first and last third of them, in the unit of the values; ``ratio`` is
    after over before, None where not all values of the history are positive.
    """

    start: int
    end: int
    before: float
    after: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class _Noise:
    """``scale`` is its standard deviation; ``wander`` the variance of a mean over what it is of independent values."""

    scale: float
    wander: float


def change_points(
    values: Sequence[float], *, segments: Sequence[Hashable] = (), known: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return the index at which each new level starts; the first level's is not among them.

    Values that are all positive are compared by their ratios, others by their differences. Three values at the end, and
    five elsewhere, have to agree on a new level: fewer are outliers.

    ``segments`` has a label for each value, such as the environment that it was measured in. Where the label changes the
    level may change too, which says nothing of the code: no such change is returned, and no level is compared across.

    ``known`` are changes that were found earlier. They are all returned again, whatever was added, and only what comes
    after the last of them is searched. Give those that were ``settled``. One where the label changes is not returned.

    Raises:
        ValueError: a value is no finite number, there is not one label for each value, or ``known`` does not ascend
            within the values.

    """
    return tuple(change.index for change in level_changes(values, segments=segments, known=known))


def level_changes(
    values: Sequence[float], *, segments: Sequence[Hashable] = (), known: Sequence[int] = ()
) -> tuple[LevelChange, ...]:
    """Return the changes of level that ``change_points`` returns the places of, with their sizes.

    Raises:
        ValueError: as there.

    """
    _check(values, segments, known)
    positive, unit, numbers = _comparable(values)
    found: list[LevelChange] = []
    last = max(known, default=0)
    for start, end in _stretches(segments, len(values)):
        cuts = [index - start for index in known if start < index < end]
        stretch = numbers[start:end]
        cuts, noise = search(stretch, cuts, max(last - start, 0))
        found += _described(stretch, cuts, noise, start, unit, positive=positive)
    return tuple(found)


def creeps(
    values: Sequence[float],
    *,
    segments: Sequence[Hashable] = (),
    known: Sequence[int] = (),
    changes: Sequence[LevelChange] | None = None,
) -> tuple[Creep, ...]:
    """Return where values on one level went up or down all the same, too slowly for any one place to be a change.

    The medians of a level's first and last third are compared, where each has ``CREEP_POINTS`` values or more. The noise
    of both is that around the line through them. ``changes`` are what ``level_changes`` says of the same values, labels
    and known changes; without them they are searched.

    Raises:
        ValueError: as in ``change_points``.

    """
    if changes is None:
        changes = level_changes(values, segments=segments, known=known)
    positive, unit, numbers = _comparable(values)
    borders = sorted({0, *(change.index for change in changes), *(end for _, end in _stretches(segments, len(values)))})
    found = []
    for start, end in pairwise(borders):
        third = (end - start) // 3
        if third < CREEP_POINTS:
            continue
        level = numbers[start:end]
        before, after = (quantile(sorted(part), 0.5) for part in (level[:third], level[-third:]))
        slope = (after - before) / (len(level) - third)
        straight = [value - slope * place for place, value in enumerate(level)]
        noise = _around(straight, (), _Noise(_jitter(straight), 1.0))
        error = _MEDIAN_ERROR * noise.scale * math.sqrt(2 * noise.wander / third)
        if abs(after - before) > max(CREEP_ERRORS * error, _ROUNDING):
            ends = (math.exp(before), math.exp(after)) if positive else (before * unit, after * unit)
            found.append(Creep(start, end, *ends, _exp(after - before) if positive else None))
    return tuple(found)


def told(values: Sequence[float]) -> tuple[tuple[LevelChange, ...], tuple[Creep, ...]]:
    """Return what is to be said of a history: where its level changed, and where it crept.

    A history that creeps is cut into steps, each of which is named after a run that did nothing. So steps in a row that
    go the same way are one creep, where a straight line costs less: what values are off it or off their levels, and for
    each step, or the line, the penalty of the search.

    Raises:
        ValueError: a value is no finite number.

    """
    positive, unit, numbers = _comparable(values)
    changes = level_changes(values)
    borders = [0, *(change.index for change in changes), len(values)]
    kept: list[LevelChange] = []
    found: list[Creep] = []
    for _, group in groupby(enumerate(changes), key=lambda pair: pair[1].after > pair[1].before):
        steps = list(group)
        stairs = borders[steps[0][0] : steps[-1][0] + 3]
        line = _straight(numbers, stairs)
        if line is None:
            kept += [change for _, change in steps]
        else:
            before, after = line
            ends = (math.exp(before), math.exp(after)) if positive else (before * unit, after * unit)
            found.append(Creep(stairs[0], stairs[-1], *ends, _exp(after - before) if positive else None))
    ours = {(creep.start, creep.end) for creep in found}
    found += [creep for creep in creeps(values, changes=kept) if (creep.start, creep.end) not in ours]
    return tuple(kept), tuple(sorted(found, key=lambda creep: creep.start))


def _straight(numbers: Sequence[float], stairs: Sequence[int]) -> tuple[float, float] | None:
    """Return the medians of the first and last third of the values on these levels, if a line explains them better."""
    part = numbers[stairs[0] : stairs[-1]]
    third = len(part) // 3
    if third < _LINE_POINTS:
        return None
    before, after = (quantile(sorted(end), 0.5) for end in (part[:third], part[-third:]))
    slope = (after - before) / (len(part) - third)
    rest = [value - slope * place for place, value in enumerate(part)]
    cuts = [border - stairs[0] for border in stairs[1:-1]]
    first = _Noise(_jitter(rest), 1.0)
    # The right one of both leaves the noise that wanders less.
    noise = min(_around(rest, (), first), _around(part, cuts, first), key=lambda one: one.wander * one.scale**2)
    penalty = PENALTY * noise.wander
    line = settle([value / noise.scale for value in rest])[0] + penalty
    levels = (part[start:end] for start, end in pairwise([0, *cuts, len(part)]))
    steps = sum(settle([value / noise.scale for value in level])[0] for level in levels) + penalty * len(cuts)
    return (before, after) if line < steps else None


def _comparable(values: Sequence[float]) -> tuple[bool, float, list[float]]:
    """Return whether all values are positive, the unit of differences, and the logarithms or the values in that unit."""
    if all(value > 0 for value in values):
        return True, 1.0, [math.log(value) for value in values]
    unit = max(map(abs, values)) or 1.0
    return False, unit, [value / unit for value in values]


def _check(values: Sequence[float], segments: Sequence[Hashable], known: Sequence[int]) -> None:
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"value {index} of the history is {value}, which cannot be measured")
    if segments and len(segments) != len(values):
        raise ValueError(f"{len(segments)} labels do not go with {len(values)} values: each needs one")
    if known and any(after <= before for before, after in pairwise((0, *known, len(values)))):
        raise ValueError(f"known changes must ascend between 0 and {len(values)}, not {list(known)}")


def _stretches(segments: Sequence[Hashable], n: int) -> list[tuple[int, int]]:
    """Return where each run of one label begins and ends."""
    if not segments:
        return [(0, n)]
    lengths = [len(list(run)) for _, run in groupby(segments)]
    return [(sum(lengths[:i]), sum(lengths[: i + 1])) for i in range(len(lengths))]


# --- the search ---------------------------------------------------------------------------------------------------


def search(
    values: Sequence[float], known: Sequence[int] = (), first: int = 0, penalty: float = PENALTY
) -> tuple[list[int], _Noise]:
    """Return where each new level of a stretch starts, from ``first`` on besides those that are known.

    Autocorrelated noise looks like many short levels, and what is left when those are taken out hardly wanders. So the
    search begins with noise that does not wander at all, and each pass measures it around the levels of the last: they
    become fewer until they agree with the noise around them.
    """
    noise = _Noise(_jitter(values), 1.0)
    cuts = list(known)
    for _ in range(_PASSES):
        tail = [value / noise.scale for value in values[first:]]
        cuts = [*known, *(first + index for index in partition(tail, penalty * noise.wander))]
        if not cuts:
            break
        measured = _around(values, cuts, noise)
        if measured.wander * measured.scale**2 <= _STEADY * noise.wander * noise.scale**2:
            break
        noise = measured
    return _aligned(values, cuts, noise, known), noise


def _jitter(values: Sequence[float]) -> float:
    """Return the standard deviation of independent noise, from neighbours: levels hardly change between two of them."""
    steps = sorted(abs(after - before) for before, after in pairwise(values))
    moved = [step for step in steps if step > _ROUNDING]
    if not moved:
        return _ROUNDING
    median = quantile(steps, 0.5)
    if median > _ROUNDING:
        return median / _QUARTILE / math.sqrt(2)
    # Most neighbours are equal, as counts are: the mean square instead, of which a single jump cannot take all.
    limit = 3 * quantile(moved, 0.5)
    return math.sqrt(math.fsum(min(step, limit) ** 2 for step in steps) / len(steps) / 2)


def _around(values: Sequence[float], cuts: Sequence[int], before: _Noise) -> _Noise:
    """Return the noise around levels that begin at ``cuts``.

    The wander is the variance of a mean of an autocorrelated series (1 + 2 * sum of the correlations, and by the first
    alone (1 + r) / (1 - r)), of values that are cut off where the loss is: many outliers make it large, for they come in
    runs by chance. Correlations around fitted levels are too small by about (levels + 3 r) / n (Kendall 1954, Biometrika
    41), which is put right.
    """
    n, levels = len(values), len(cuts) + 1
    rest: list[float] = []
    for start, end in pairwise((0, *cuts, n)):
        level = _level(values[start:end], before.scale)
        rest += [value - level for value in values[start:end]]
    spread = quantile(sorted(map(abs, rest)), 0.5) / _QUARTILE * math.sqrt(n / max(n - levels, 1))
    scale = max(before.scale, spread)
    limit = math.sqrt(OFF) * scale
    bounded = [min(max(value, -limit), limit) for value in rest]
    mean = math.fsum(bounded) / n
    bounded = [value - mean for value in bounded]
    power = math.fsum(value * value for value in bounded)
    if not power:
        return before
    together, single = 1.0, 1.0
    for lag in range(1, _LAGS + 1):
        r = math.fsum(x * y for x, y in zip(bounded, bounded[lag:], strict=False)) / power
        r += levels * (1 + 3 * max(r, 0.0) * (lag == 1)) / n
        together += 2 * r
        if lag == 1:
            r = min(max(r, 0.0), _LARGEST_CORRELATION)
            single = (1 + r) / (1 - r)
    return _Noise(scale, max(1.0, max(together, single) * power / n / scale**2))


def _level(values: Sequence[float], scale: float) -> float:
    return settle([value / scale for value in values])[1] * scale


def _aligned(values: Sequence[float], cuts: Sequence[int], noise: _Noise, known: Sequence[int]) -> list[int]:
    """Return the cuts, with an outlier between two levels on the side of the nearer one: it costs as much on either."""
    if not cuts:
        return []
    borders = [0, *cuts, len(values)]
    levels = [_level(values[start:end], noise.scale) for start, end in pairwise(borders)]
    reach = math.sqrt(OFF) * noise.scale

    def nearer(value: float, one: float, other: float) -> bool:
        return reach < abs(value - one) < abs(value - other)

    for place, (before, after) in enumerate(pairwise(levels), 1):
        start, cut, end = borders[place - 1 : place + 2]
        if cut in known:
            continue
        while cut - 1 > start and nearer(values[cut - 1], after, before):
            cut -= 1
        while cut + 1 < end and nearer(values[cut], before, after):
            cut += 1
        borders[place] = cut
    return borders[1:-1]


# --- what was found -----------------------------------------------------------------------------------------------


def _described(
    values: Sequence[float], cuts: Sequence[int], noise: _Noise, offset: int, unit: float, *, positive: bool
) -> list[LevelChange]:
    """Return the changes of a stretch, the first of whose values is number ``offset`` of the history."""
    if not cuts:
        return []
    borders = [0, *cuts, len(values)]
    units = [value / noise.scale for value in values]
    parts = [settle(units[start:end]) for start, end in pairwise(borders)]
    found = []
    for place, (old, new) in enumerate(pairwise(parts)):
        start, cut, end = borders[place : place + 3]
        before, after = old[1] * noise.scale, new[1] * noise.scale
        gain = (settle(units[start:end])[0] - old[0] - new[0]) / noise.wander
        half = Z95 * noise.scale * math.sqrt(noise.wander * (1 / (cut - start) + 1 / (end - cut)))
        if old[0] == new[0] == 0.0:
            # All values stand on their level, as counts do: the only noise that was seen is the change itself.
            half = 0.0
        step = after - before
        change = LevelChange(
            index=offset + cut,
            before=math.exp(before) if positive else before * unit,
            after=math.exp(after) if positive else after * unit,
            ratio=_exp(step) if positive else None,
            low=_exp(step - half) if positive else None,
            high=_exp(step + half) if positive else None,
            p=promised(gain),
            settled=OFF * (end - cut) > 2 * PENALTY * noise.wander,
        )
        found.append(change)
    return found


def promised(gain: float) -> float:
    """Return the chance that a history without a change has one that brings so much, at most."""
    return min(1.0, math.exp(_P_LEVEL - _P_GAIN * gain))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700.0 else math.inf
