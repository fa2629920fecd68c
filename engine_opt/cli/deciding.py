"""Bars through the engine, and a decision at the end of each week or session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, time
from typing import TYPE_CHECKING, Literal

from engine_opt.errors import EngineError, InsufficientData

from .options import week_of

if TYPE_CHECKING:
    from engine_opt.engine import ProtocolEngine
    from engine_opt.files.csv_bars import Item
    from engine_opt.model import Bar, EngineDecision, WeekRequest

Every = Literal["week", "session"]
_CLOSE = time(16)  # of a bar that has a day only, in the exchange's time


class Deciding:
    """Streams bars through an engine and decides in between.

    `request` makes the request for a symbol at a moment. What is asked with too few bars is counted, by symbol, in
    `too_early`. A week is decided with its last bar: when the next week's first is seen, or at the end.
    """

    def __init__(self, engine: ProtocolEngine, request: Callable[[str, datetime], WeekRequest], every: Every) -> None:
        self.too_early: dict[str, int] = {}
        self._engine = engine
        self._request = request
        self._every = every

    def over(self, items: Iterable[Item]) -> Iterator[EngineDecision]:
        """Yield the decisions. Raises EngineError naming symbol and bar."""
        last: dict[str, Bar] = {}
        for symbol, bar, vix in items:
            before = last.get(symbol)
            if before is not None and (self._every == "session" or week_of(bar) != week_of(before)):
                yield from self._decided(symbol, before)
            try:
                self._engine.update(symbol, bar, vix)
            except EngineError as error:
                raise EngineError(f"{symbol}, {bar.time}: {error}") from error
            last[symbol] = bar
        for symbol, bar in last.items():
            yield from self._decided(symbol, bar)

    def _decided(self, symbol: str, bar: Bar) -> tuple[EngineDecision, ...]:
        """Return the decision at a bar, or nothing where there were too few of them."""
        try:
            return (self._engine.decide(self._request(symbol, moment_of(bar))),)
        except InsufficientData:
            self.too_early[symbol] = self.too_early.get(symbol, 0) + 1
            return ()
        except EngineError as error:
            raise EngineError(f"{symbol}, {bar.time}: {error}") from error


def moment_of(bar: Bar) -> datetime:
    """Return when a bar is decided by: its time, or four in the afternoon of its day."""
    return bar.time if isinstance(bar.time, datetime) else datetime.combine(bar.time, _CLOSE)


def print_decisions(decisions: Iterable[EngineDecision]) -> None:
    """Print a table for each symbol."""
    from .show import price, print_table, print_text, words

    by_symbol: dict[str, list[EngineDecision]] = {}
    for decision in decisions:
        by_symbol.setdefault(decision.week.symbol, []).append(decision)
    columns = ("date", "type", "action", "qty", "strike", "expiry", "rules", "trust", "status")
    for symbol, of_symbol in by_symbol.items():
        print_text(symbol)
        rows = []
        for each in of_symbol:
            trade = each.proposal
            rows.append(
                (
                    each.time,
                    each.week.week_type.value,
                    words(each.action.value if trade is None else trade.action.value),
                    None if trade is None else trade.quantity,
                    None if trade is None else price(trade.strike),
                    None if trade is None else trade.expiration,
                    None if each.report is None else each.report.verdict.value,
                    None if each.assessment is None else each.assessment.mode.value,
                    words(each.status.value),
                )
            )
        print_table(columns, rows, right=("qty", "strike"))
        print_text()
