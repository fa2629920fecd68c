"""The decisions of the engine and of its components over whole columns, with NumPy, on one processor or on many.

Each answer equals the scalar form's: enumerations exactly, numbers to twelve digits. Columns of an enumeration hold
codes, the index of a member in `tuple(TheEnum)`, and UNKNOWN where there is nothing; `members` and `codes` translate.
A number that is not known is NaN. `row(i)` of any result is the scalar record.

    bars = Bars.from_arrays(time, open, high, low, close, volume)
    market = analyze(bars, vix)                        # analyze_many: by many configurations, analyze_chunks: in pieces
    parameters = adjust(measure(bars), "GEN", market.condition)
    weeks = classify_weeks(close, week_start, volatility, "short_put", strike=strike, days_to_expiration=3)

Where a number stands so near to a limit that the order of a sum could decide, the scalar form is asked for that row.
Two things remain: the averages of RSI and MACD remember everything and are good to twelve digits, so that an RSI within
1e-10 of 30 or 70 may count the other way in the original scoring's confidence; and in chunks, a tie of two ATR shares
within some hundred bars of a chunk's start goes by averages good to fifteen digits.

Names are loaded when they are first used; NumPy is the only package that is needed besides the standard library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine_opt.batch.atr import (
        AdjustmentColumns,
        ReadingColumns,
        adjust,
        measure,
        measure_chunks,
        measure_many,
    )
    from engine_opt.batch.columns import UNKNOWN, Bars, codes, members
    from engine_opt.batch.decisions import DecisionColumns, decide, decide_many
    from engine_opt.batch.market import MarketColumns, analyze, analyze_chunks, analyze_many
    from engine_opt.batch.parallel import decide_all
    from engine_opt.batch.requests import Requests
    from engine_opt.batch.week import WeekColumns, classify_weeks

__all__ = [
    "UNKNOWN",
    "AdjustmentColumns",
    "Bars",
    "DecisionColumns",
    "MarketColumns",
    "ReadingColumns",
    "Requests",
    "WeekColumns",
    "adjust",
    "analyze",
    "analyze_chunks",
    "analyze_many",
    "classify_weeks",
    "codes",
    "decide",
    "decide_all",
    "decide_many",
    "measure",
    "measure_chunks",
    "measure_many",
    "members",
]

_ELSEWHERE = {
    "AdjustmentColumns": "atr",
    "DecisionColumns": "decisions",
    "MarketColumns": "market",
    "ReadingColumns": "atr",
    "Requests": "requests",
    "WeekColumns": "week",
    "adjust": "atr",
    "analyze": "market",
    "analyze_chunks": "market",
    "analyze_many": "market",
    "classify_weeks": "week",
    "decide": "decisions",
    "decide_all": "parallel",
    "decide_many": "decisions",
    "measure": "atr",
    "measure_chunks": "atr",
    "measure_many": "atr",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'columns')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
