"""Bars through the engine, and a decision at the end of each week or session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from engine_opt.errors import EngineError, InsufficientData

from .options import week_of

if TYPE_CHECKING:
    from engine_opt.engine import ProtocolEngine
    from engine_opt.files.csv_bars import Item
    from engine_opt.model import EngineDecision, WeekRequest

Every = Literal["week", "session"]
_CLOSE = time(16)  # of a bar that has a day only, in the exchange's time
_FRIDAY = 4


class Standing(NamedTuple):
    """Where a symbol stands after its last bar: the time of that bar, and which decision was made at it, if any was."""

    last: date
    decided: Every | None = None


class Deciding:
    """Streams bars through an engine and decides in between.

    `request` makes the request for a symbol at a moment. A session is decided with its bar, a week with its last bar:
    when the next week's first is seen, or at the end. Where another run `goes_on` from here with these `standings`, a
    week whose Friday has not closed stays open at the end; none is decided twice, and it makes no difference where one
    file ends and the next begins.

    Attributes:
        standings: where each symbol stands, for the next run.
        too_early: how often was asked with too few bars, by symbol.

    """

    def __init__(
        self,
        engine: ProtocolEngine,
        request: Callable[[str, datetime], WeekRequest],
        every: Every,
        standings: Mapping[str, Standing] = MappingProxyType({}),
        *,
        goes_on: bool = False,
    ) -> None:
        self.standings: dict[str, Standing] = dict(standings)
        self.too_early: dict[str, int] = {}
        self._engine = engine
        self._request = request
        self._every = every
        self._goes_on = goes_on

    @property
    def open_weeks(self) -> dict[str, date]:
        """The last bar of each symbol whose week is left to the next run."""
        return {symbol: each.last for symbol, each in self.standings.items() if each.decided is None}

    def over(self, items: Iterable[Item]) -> Iterator[EngineDecision]:
        """Yield the decisions. Raises EngineError naming symbol and bar."""
        for symbol, bar, vix in items:
            decided: Every | None = None
            before = self.standings.get(symbol)
            if before is not None and self._every == "week" and week_of(bar.time) == week_of(before.last):
                decided = "week" if before.decided == "week" else None  # what follows a Friday is of a decided week
            else:
                yield from self._decided(symbol)
            try:
                self._engine.update(symbol, bar, vix)
            except EngineError as error:
                raise EngineError(f"{symbol}, {bar.time}: {error}") from error
            self.standings[symbol] = Standing(bar.time, decided)
        for symbol, each in list(self.standings.items()):
            if self._every == "session" or not self._goes_on or _week_over(each.last):
                yield from self._decided(symbol)

    def _decided(self, symbol: str) -> tuple[EngineDecision, ...]:
        """Return the decision at a symbol's last bar, or nothing where there is one or where the bars are too few."""
        standing = self.standings.get(symbol)
        if standing is None or standing.decided is not None:
            return ()
        self.standings[symbol] = standing._replace(decided=self._every)
        try:
            return (self._engine.decide(self._request(symbol, moment_of(standing.last))),)
        except InsufficientData:
            self.too_early[symbol] = self.too_early.get(symbol, 0) + 1
            return ()
        except EngineError as error:
            raise EngineError(f"{symbol}, {standing.last}: {error}") from error


def moment_of(time: date) -> datetime:
    """Return when a bar is decided by: its time, or four in the afternoon of its day."""
    return time if isinstance(time, datetime) else datetime.combine(time, _CLOSE)


def _week_over(time: date) -> bool:
    """Whether no session of a bar's week is to come: its Friday has closed, by the bar's own clock."""
    moment = moment_of(time)
    return moment.weekday() > _FRIDAY or (moment.weekday() == _FRIDAY and moment.time() >= _CLOSE)


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
