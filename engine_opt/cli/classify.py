"""`classify`: what kind of week each week was."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from .options import POSITIONS, BarFile, bars_options, config_options, configuration, json_option, week_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine_opt.config import EngineConfig
    from engine_opt.files.csv_bars import DateFormat, Item, OnError
    from engine_opt.model import Bar, Position, WeekClassification, WeekContext

_COLUMNS = ("week", "close", "move %", "type", "conf", "risk", "actions")


@click.command(
    short_help="What kind of week each week was.",
    epilog="\b\nExample:\n  python -m engine_opt classify prices.csv --position short_put --weeks 8",
)
@bars_options
@click.option("--position", type=click.Choice(POSITIONS), required=True, help="What is held.")
@click.option("--strike", type=float, metavar="PRICE", help="Of the short put: its weeks are counted from it.")
@click.option(
    "--cost-basis", type=float, metavar="PRICE", help="Of the stock, per share: its weeks are counted from it."
)
@click.option("--days", type=float, metavar="DAYS", help="To expiration; with it there is a confidence.")
@click.option("--no-roll", is_flag=True, help="A put beyond its limit cannot be rolled.")
@click.option("--favourable", is_flag=True, help="Conditions allow a new put.")
@click.option("--weeks", type=click.IntRange(min=1), metavar="N", help="Show the last N weeks only.")
@config_options
@json_option
def classify(
    file: Path,
    symbol: str | None,
    on_error: OnError,
    date_format: DateFormat,
    position: str,
    strike: float | None,
    cost_basis: float | None,
    days: float | None,
    no_roll: bool,
    favourable: bool,
    weeks: int | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Classify each ISO week of the bars in FILE, CSV or Parquet, at the close of its last session.

    A week's volatility is that of the market at that bar, which needs 35 bars; weeks before that, and the first, which
    has no start, are counted and not classified.
    """
    from engine_opt.model import Position, WeekContext

    config = configuration(config_file, overrides)
    context = WeekContext(strike, cost_basis, days, not no_roll, favourable or None)
    source = BarFile(file, symbol, on_error, date_format)
    found = classified(source, config, Position(position), context, weeks)
    if as_json:
        _print_json(found, source)
    else:
        _show(found, position)
    from .show import finish

    finish(source)


class ClassifiedWeek(NamedTuple):
    """A week: the close and the annualised volatility at its last session, and what kind of week it was."""

    close: float
    volatility: float
    classification: WeekClassification


class SymbolWeeks(NamedTuple):
    """The weeks of a symbol, oldest first, and how many had too little before them to be classified."""

    weeks: deque[ClassifiedWeek]
    unclassified: int


def classified(
    items: Iterable[Item], config: EngineConfig, position: Position, context: WeekContext, keep: int | None = None
) -> dict[str, SymbolWeeks]:
    """Return the weeks of each symbol, the last `keep` of them; raises EngineError naming symbol and day."""
    series: dict[str, _Series] = {}
    for symbol, bar, vix in items:
        if symbol not in series:
            series[symbol] = _Series(symbol, config, position, context, keep)
        series[symbol].update(bar, vix)
    for each in series.values():
        each.close_week()
    return {symbol: SymbolWeeks(each.weeks, each.unclassified) for symbol, each in series.items()}


class _Series:
    """The weeks of one symbol while its bars come in."""

    def __init__(
        self, symbol: str, config: EngineConfig, position: Position, context: WeekContext, keep: int | None
    ) -> None:
        from engine_opt.protocol.market_condition_analyzer import MarketStream
        from engine_opt.protocol.week_classifier import WeekClassifier

        self.weeks: deque[ClassifiedWeek] = deque(maxlen=keep)
        self.unclassified = 0
        self._symbol = symbol
        self._held = position, context
        self._market = MarketStream(config.market)
        self._classifier = WeekClassifier(config.week)
        self._start: float | None = None  # the last close of the week before
        self._last: Bar | None = None

    def update(self, bar: Bar, vix: float | None) -> None:
        if self._last is not None and week_of(bar.time) != week_of(self._last.time):
            self.close_week()
            self._start = self._last.close
        self._market.update(bar, vix)
        self._last = bar

    def close_week(self) -> None:
        """Classify the week that the last bar ended."""
        from engine_opt.errors import EngineError
        from engine_opt.model import MarketCondition

        last = self._last
        if last is None or self._start is None or not self._market.ready:
            self.unclassified += 1
            return
        volatility = self._market.metrics().volatility_20
        try:
            week = MarketCondition(self._symbol, last.close, self._start, volatility, timestamp=last.time)
            result = self._classifier.classify_week(week, *self._held)
        except EngineError as error:
            raise EngineError(f"{self._symbol}, {last.time}: {error}") from error
        self.weeks.append(ClassifiedWeek(last.close, volatility, result))


def _print_json(found: dict[str, SymbolWeeks], source: BarFile) -> None:
    from engine_opt.plain import dump

    from .show import doubts, print_json

    weeks = [dump(week) for each in found.values() for week in each.weeks]
    print_json(
        {"weeks": weeks, "unclassified": {name: each.unclassified for name, each in found.items()}} | doubts(source)
    )


def _show(found: dict[str, SymbolWeeks], position: str) -> None:
    from .show import price, print_table, print_text, words

    for symbol, (weeks, unclassified) in found.items():
        print_text(f"{symbol}, {words(position)}")
        rows = [
            (
                week.timestamp,
                price(close),
                f"{week.movement:+.2f}",
                week.week_type.value,
                None if week.confidence is None else f"{week.confidence:.2f}",
                week.risk_level.value,
                words(", ".join(week.recommended_actions)),
            )
            for close, _, week in weeks
        ]
        print_table(_COLUMNS, rows, right=("close", "move %", "conf"))
        print_text(
            f"{len(weeks)} weeks shown; {unclassified} at the beginning not classified: 35 bars and a close of the week "
            "before are needed"
        )
        print_text()
