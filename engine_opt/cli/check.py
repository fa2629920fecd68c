"""`check`: whether proposed trades keep to the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from .options import FILE, config_options, configuration, json_option

if TYPE_CHECKING:
    from engine_opt.config import EngineConfig
    from engine_opt.errors import FileError
    from engine_opt.model import RulesReport

    from .trades import ProposedTrade

REJECTED = 1
_COLUMNS = ("line", "account", "trade", "verdict", "rules")


@click.command(
    short_help="Whether proposed trades keep to the rules.",
    epilog="\b\nExample:\n  python -m engine_opt check trades.csv --explain",
)
@click.argument("file", type=FILE)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="At a wrong row: stop, or skip it, list it at the end and exit with 2.",
)
@click.option("--explain", "in_full", is_flag=True, help="Say of each trade what every rule measured.")
@config_options
@json_option
def check(
    file: Path, on_error: str, in_full: bool, config_file: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Hold the proposed trades in FILE, a CSV file, against the rules.

    It has a row for each trade, with columns for what is to be done (action, symbol, account, quantity, delta, strike,
    expiration, max_risk, expected_return, confidence) and for what is known (today, portfolio_value, account_value,
    portfolio_risk, drawdown, shares_held, market_condition, week_type, week_colour, vix, vix_mean). Action, symbol,
    account, today and portfolio_value must be there; of the others an empty cell is not known, and the rules that need
    it block.

    Exit status: 0 none is rejected, 1 one or more are, 2 something cannot be read.
    """
    config = configuration(config_file, overrides)
    skipped: list[FileError] | None = [] if on_error == "skip" else None
    judged = judge_all(file, config, skipped)
    if as_json:
        _print_json(judged, skipped or [])
    else:
        _show(judged, in_full=in_full)
    from .show import finish_skipped

    finish_skipped(skipped or [])
    if not all(each.report.can_proceed for each in judged):
        raise click.exceptions.Exit(REJECTED)


class Judged(NamedTuple):
    """A trade, and what the rules say of it."""

    trade: ProposedTrade
    report: RulesReport


def judge_all(file: Path, config: EngineConfig, skipped: list[FileError] | None = None) -> list[Judged]:
    """Return what the rules say of each trade in a file; wrong rows are raised, or put into `skipped`."""
    from engine_opt.errors import InputError
    from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine

    from .trades import misplaced, read_trades

    def refuse(error: FileError) -> None:
        if skipped is None:
            raise error
        skipped.append(error)

    rules = TradingProtocolRulesEngine(config.rules)
    judged = []
    for trade in read_trades(file, refuse):
        try:
            judged.append(Judged(trade, rules.validate(trade.decision, trade.context)))
        except InputError as error:
            refuse(misplaced(file, trade.line, error))
    return judged


def _print_json(judged: list[Judged], skipped: list[FileError]) -> None:
    from engine_opt.plain import dump

    from .show import plain_error, print_json

    trades = [
        {
            "line": trade.line,
            "decision": dump(trade.decision),
            "context": dump(trade.context),
            "report": dump(report),
        }
        for trade, report in judged
    ]
    print_json({"trades": trades, "skipped": [plain_error(each) for each in skipped]})


def _show(judged: list[Judged], *, in_full: bool) -> None:
    from .show import print_table, print_text

    rows = [
        (trade.line, report.account.value, _trade(report), report.verdict.value, _rules(report))
        for trade, report in judged
    ]
    print_table(_COLUMNS, rows, right=("line",))
    if in_full:
        for trade, report in judged:
            print_text()
            print_text(f"line {trade.line}")
            for line in report.explain().splitlines():
                print_text(line)
    rejected = sum(not report.can_proceed for _, report in judged)
    print_text(f"{len(judged)} trades, {rejected} rejected")


def _trade(report: RulesReport) -> str:
    from .show import words

    return f"{words(report.action.value)} {report.symbol}" + (
        "" if report.quantity is None else f" x {report.quantity}"
    )


def _rules(report: RulesReport) -> str:
    """Name the rules that block, and those that warn."""
    blocking = [each.rule for each in report.blocking]
    warning = [
        each.rule for each in report.results if each.outcome.value not in ("PASS", "SKIP") and each.rule not in blocking
    ]
    parts = [f"{what}: {', '.join(names)}" for what, names in (("blocks", blocking), ("warns", warning)) if names]
    return "; ".join(parts) or "all kept"
