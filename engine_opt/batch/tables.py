"""From bars as they are read to columns, and from decisions to the rows of a table that can be written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from engine_opt.batch.columns import UNKNOWN, Bars, Codes, Floats, known, members, moment
from engine_opt.batch.decisions import DecisionColumns
from engine_opt.batch.plan import WHY_NOT
from engine_opt.batch.rules import blocking
from engine_opt.files.decisions import ANSWER_COLUMNS
from engine_opt.model import (
    Action,
    AutonomyMode,
    Bar,
    DecisionStatus,
    MarketConditionKind,
    TrustLevel,
    Verdict,
    WeekType,
)

DECISION_COLUMNS = ("symbol", "time", "decided", *ANSWER_COLUMNS)
"""The columns of `decision_rows`: where the scalar form has the decision's name, the moment that is in it."""


def columns_of_items(items: Iterable[tuple[str, Bar, float | None]]) -> dict[str, tuple[Bars, Floats]]:
    """Return the bars and VIX of each symbol, in the order of first appearance; `items` are those of `files.read_bars`."""
    bars: dict[str, list[Bar]] = {}
    fears: dict[str, list[float]] = {}
    for symbol, bar, vix in items:
        bars.setdefault(symbol, []).append(bar)
        fears.setdefault(symbol, []).append(np.nan if vix is None else vix)
    return {symbol: (Bars.of(given), np.array(fears[symbol], np.float64)) for symbol, given in bars.items()}


def decision_rows(decisions: DecisionColumns) -> Iterator[Mapping[str, object]]:
    """Yield a row for each decision there is, from `first` on: enumerations as members, None for what is not known."""
    here = slice(decisions.first, None)
    bar = decisions.requests.bar[here]
    columns: list[Iterable[object]] = [
        [moment(each, utc=decisions.market.utc) for each in decisions.market.time[bar]],
        [moment(each, utc=decisions.utc) for each in decisions.now[here]],
        members(DecisionStatus, decisions.status[here]),
        members(Action, decisions.action[here]),
        members(WeekType, decisions.week.week_type[here]),
        _numbers(decisions.week.movement[here]),
        members(MarketConditionKind, decisions.market.condition[bar]),
        _numbers(decisions.market.score[bar]),
        members(Action, decisions.proposed[here]),
        [each or None for each in decisions.quantity[here].tolist()],
        _numbers(decisions.delta[here]),
        _numbers(decisions.strike[here]),
        decisions.expiration[here].tolist(),
        _numbers(decisions.max_risk[here]),
        [None if each == UNKNOWN else WHY_NOT[each] for each in decisions.why_not[here].tolist()],
        _numbers(decisions.confidence[here]),
        members(Verdict, decisions.verdict[here]),
        _blocking(decisions.outcome[here], decisions),
        members(TrustLevel, decisions.level[here]),
        members(AutonomyMode, decisions.mode[here]),
    ]
    for values in zip(*columns, strict=True):
        yield dict(zip(DECISION_COLUMNS, (decisions.symbol, *values), strict=True))


def _numbers(column: Floats) -> list[float | None]:
    return [known(value) for value in column.tolist()]


def _blocking(outcome: Codes, decisions: DecisionColumns) -> list[str | None]:
    """Return the names of the rules that block each decision; None where the rules were not asked."""
    rules: Any = decisions.config.rules
    names = np.array(decisions.rules, object)
    flags = np.stack(
        [blocking(each, rule, rules) for each, rule in zip(outcome.T, decisions.rules, strict=True)], axis=1
    )
    asked = (outcome != UNKNOWN).any(axis=1).tolist()
    return [" ".join(names[row]) if was else None for row, was in zip(flags, asked, strict=True)]
