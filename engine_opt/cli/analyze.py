"""`analyze`: what the market of each symbol was doing."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from .options import BarFile, bars_options, config_options, configuration, json_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine_opt.files.csv_bars import DateFormat, Item, OnError
    from engine_opt.model import Bar, MarketAnalysis
    from engine_opt.protocol.market_condition_analyzer import MarketStream
    from engine_opt.protocol.market_scoring import MarketConfig

_COLUMNS = ("session", "condition", "score", "regime", "volatility", "risk", "VIX")


@click.command(
    short_help="What the market was doing at each session.",
    epilog="\b\nExample:\n  python -m engine_opt analyze prices.csv --last 5",
)
@bars_options
@click.option(
    "--last", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="How many sessions to show."
)
@config_options
@json_option
def analyze(
    file: Path,
    symbol: str | None,
    on_error: OnError,
    date_format: DateFormat,
    last: int,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell the market's condition at each of the last sessions of the bars in FILE, CSV or Parquet.

    VIX counts where FILE has such a column, and enough of its past is known to compare with. An analysis needs 35
    bars; sessions before that are counted.
    """
    config = configuration(config_file, overrides)
    source = BarFile(file, symbol, on_error, date_format)
    found = analyzed(source, config.market, last)
    if as_json:
        _print_json(found, source)
    else:
        _show(found)
    from .show import finish

    finish(source)


class SymbolMarket(NamedTuple):
    """The last analyses of a symbol, oldest first, and how many of the sessions asked for had too few bars before."""

    sessions: list[MarketAnalysis]
    unready: int


def analyzed(items: Iterable[Item], config: MarketConfig, last: int) -> dict[str, SymbolMarket]:
    """Return the analyses of each symbol's last sessions; only these are worked out."""
    from engine_opt.protocol.market_condition_analyzer import MarketStream

    found: dict[str, tuple[MarketStream, deque[tuple[Bar, float | None]]]] = {}
    for symbol, bar, vix in items:
        if symbol not in found:
            found[symbol] = MarketStream(config), deque()
        stream, waiting = found[symbol]
        waiting.append((bar, vix))
        if len(waiting) > last:
            stream.update(*waiting.popleft())
    return {symbol: _analyses(stream, waiting) for symbol, (stream, waiting) in found.items()}


def _analyses(stream: MarketStream, waiting: Iterable[tuple[Bar, float | None]]) -> SymbolMarket:
    sessions, unready = [], 0
    for bar, vix in waiting:
        stream.update(bar, vix)
        if stream.ready:
            sessions.append(stream.analysis())
        else:
            unready += 1
    return SymbolMarket(sessions, unready)


def _print_json(found: dict[str, SymbolMarket], source: BarFile) -> None:
    from engine_opt.plain import dump

    from .show import doubts, print_json

    sessions = [{"symbol": name, "analysis": dump(each)} for name, market in found.items() for each in market.sessions]
    print_json({"sessions": sessions, "unready": {name: each.unready for name, each in found.items()}} | doubts(source))


def _show(found: dict[str, SymbolMarket]) -> None:
    from .show import print_table, print_text, words

    for symbol, (sessions, unready) in found.items():
        print_text(symbol)
        rows = [
            (
                each.time,
                words(each.condition.value),
                f"{each.score:+.3f}",
                words(each.regime.value),
                f"{each.metrics.volatility_20:.1%}",
                each.risk_level.value,
                _vix(each),
            )
            for each in sessions
        ]
        print_table(_COLUMNS, rows, right=("score", "volatility"))
        if unready:
            print_text(f"{unready} sessions before these not analysed: 35 bars are needed")
        print_text()


def _vix(analysis: MarketAnalysis) -> str:
    """Return VIX and whether it counted."""
    vix = analysis.metrics.vix
    if vix is None:
        return "not known"
    return f"{vix:.1f}" if analysis.weights[2] > 0.0 else f"{vix:.1f} unused"
