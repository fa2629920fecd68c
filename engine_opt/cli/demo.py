"""`demo`: the whole engine on a real series that is shipped with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from .options import config_options, configuration, json_option

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from engine_opt.files.csv_bars import Item
    from engine_opt.model import WeekRequest

_ACCOUNT_VALUE, _PORTFOLIO_VALUE, _SHARES = 300_000.0, 1_000_000.0, 500


@click.command(
    short_help="The whole engine on a real series.",
    epilog="\b\nExample:\n  python -m engine_opt demo --symbol IBM --weeks 12",
)
@click.option("--symbol", type=click.Choice(["AAPL", "FB", "GOOG", "IBM", "MSFT"]), default="AAPL", show_default=True)
@click.option(
    "--weeks", type=click.IntRange(min=1), default=60, show_default=True, metavar="N", help="The last N weeks."
)
@config_options
@json_option
def demo(symbol: str, weeks: int, config_file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Run a real series, daily prices until March 2013, through the whole engine and explain its last trade.

    A compounding account of $300,000 in a portfolio of $1,000,000 has a short put sold at each week's beginning, and
    500 shares. Nobody is asked and no trust has been earned, so that every trade waits for a human. Nothing is written
    and no network is used.
    """
    from engine_opt.engine import ProtocolEngine
    from engine_opt.explanation import explain

    from .deciding import Deciding, print_decisions
    from .show import print_json, print_text, print_tree

    config = configuration(config_file, overrides)
    decisions = deque(Deciding(ProtocolEngine(config), _request, "week").over(_items(symbol)), maxlen=weeks)
    last = next((each for each in reversed(decisions) if each.proposal is not None), decisions[-1])
    tree = explain(last, config.market)
    if as_json:
        from engine_opt.plain import dump

        print_json({"decisions": [dump(each) for each in decisions], "explanation": tree.plain()})
        return
    print_decisions(decisions)
    print_text(f"Why {last.decision_id}:")
    print_text()
    print_tree(tree)


def _items(symbol: str) -> Iterator[Item]:
    from engine_opt import data

    return ((symbol, bar, None) for bar in data.load(symbol))


def _request(symbol: str, now: datetime) -> WeekRequest:
    from engine_opt.model import AccountType, Book, Position, WeekRequest

    book = Book(_ACCOUNT_VALUE, _PORTFOLIO_VALUE, portfolio_risk=0.0, drawdown=0.0, shares_held=_SHARES)
    return WeekRequest(symbol, AccountType.COM, Position.SHORT_PUT, now, book)
