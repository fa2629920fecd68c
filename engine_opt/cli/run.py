"""`run`: bars through the whole engine, and what it decides."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import ACCOUNTS, FILE, POSITIONS, BarFile, bars_options, config_options, configuration, json_option

if TYPE_CHECKING:
    from datetime import datetime

    from engine_opt.config import EngineConfig
    from engine_opt.engine import ProtocolEngine, Sink
    from engine_opt.files.csv_bars import DateFormat, OnError
    from engine_opt.model import EngineDecision, WeekRequest

    from .deciding import Every

_EXAMPLE = r"""
Example:
  python -m engine_opt run prices.csv --account REV --position cash \
    --account-value 300000 --portfolio-value 1000000 --audit decisions.jsonl
"""


@click.command(short_help="Bars through the whole engine, and its decisions.", epilog="\b" + _EXAMPLE)
@bars_options
@click.option("--account", type=click.Choice(ACCOUNTS), required=True, help="Whose limits count.")
@click.option("--position", type=click.Choice(POSITIONS), required=True, help="What is held of each symbol.")
@click.option("--account-value", type=float, required=True, metavar="MONEY", help="Of that account.")
@click.option("--portfolio-value", type=float, required=True, metavar="MONEY", help="Of all accounts together.")
@click.option("--portfolio-risk", type=float, default=0.0, show_default=True, metavar="SHARE", help="At risk already.")
@click.option("--drawdown", type=float, default=0.0, show_default=True, metavar="SHARE", help="Of the account.")
@click.option("--shares", type=int, default=0, show_default=True, metavar="N", help="Held of each symbol.")
@click.option("--strike", type=float, metavar="PRICE", help="Of the short put.")
@click.option("--cost-basis", type=float, metavar="PRICE", help="Of the stock, per share.")
@click.option("--days", type=float, metavar="DAYS", help="To the position's expiration.")
@click.option("--week-colour", type=click.Choice(["green", "red", "chop"]), help="Colour of the weeks.")
@click.option("--vix-mean", type=float, metavar="POINTS", help="Mean that VIX is judged against.")
@click.option(
    "--every",
    type=click.Choice(["week", "session"]),
    default="week",
    show_default=True,
    help="Decide at the last session of each week, or at each session.",
)
@click.option("--audit", type=FILE, metavar="LOG", help="Record everything: .jsonl, .sqlite or .db; appended to.")
@click.option("--out", type=FILE, metavar="TABLE", help="Write the decisions: .csv, .csv.gz, .jsonl or .parquet.")
@click.option(
    "--state", type=FILE, metavar="FILE", help="Go on from what is saved there, if it is; save there at the end."
)
@config_options
@json_option
def run(
    file: Path,
    symbol: str | None,
    on_error: OnError,
    date_format: DateFormat,
    every: Every,
    audit: Path | None,
    out: Path | None,
    state: Path | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    **held: Any,
) -> None:
    """Stream the bars in FILE, CSV or Parquet, through the engine and decide at the end of each week.

    What is held and what it is worth is the same for all decisions: it is what the engine would say if you came to it
    like this. Nobody is asked, so that what needs a human stays pending. What comes before the 51st bar is counted.
    """
    from .deciding import Deciding, print_decisions
    from .show import doubts, finish, print_json, print_text

    _apart(file, config_file, audit, out, state)
    _writable(out, state, audit)
    config = configuration(config_file, overrides)
    request = _requests(**held)
    source = BarFile(file, symbol, on_error, date_format)
    with ExitStack() as stack:
        sink = None
        if audit is not None:
            from .logs import recording_to

            sink = stack.enter_context(recording_to(audit)).append
        engine, went_on = _engine(state, config, sink)
        deciding = Deciding(engine, request, every)
        decisions = list(deciding.over(source))
    if out is not None:
        from engine_opt.files.tables import write_table

        write_table(out, map(_row, decisions), _COLUMNS)
    if state is not None:
        from .state import save

        save(engine, state)
    if as_json:
        from engine_opt.plain import dump

        document = {"decisions": [dump(each) for each in decisions], "too_early": deciding.too_early}
        print_json(document | {"restored": went_on} | doubts(source))
    else:
        print_decisions(decisions)
        early = sum(deciding.too_early.values())
        print_text(f"{len(decisions)} decisions; {early} {every}s at the beginning had too few bars, 51 are needed")
        if state is not None:
            print_text(f"went on from {state}" if went_on else f"began anew, saved in {state}")
    finish(source)


def _engine(state: Path | None, config: EngineConfig, sink: Sink | None) -> tuple[ProtocolEngine, bool]:
    """Return the engine, and whether it goes on from a saved state."""
    from engine_opt.engine import ProtocolEngine

    from .state import restored

    engine = None if state is None else restored(state, config, sink)
    return (ProtocolEngine(config, sink=sink), False) if engine is None else (engine, True)


def _requests(
    account: str,
    position: str,
    account_value: float,
    portfolio_value: float,
    portfolio_risk: float,
    drawdown: float,
    shares: int,
    strike: float | None,
    cost_basis: float | None,
    days: float | None,
    week_colour: str | None,
    vix_mean: float | None,
) -> Any:
    """Return what makes the request for a symbol at a moment; raises InputError for what cannot be."""
    from engine_opt.model import AccountType, Book, Position, WeekColour, WeekContext, WeekRequest

    colour = None if week_colour is None else WeekColour(week_colour)
    book = Book(account_value, portfolio_value, portfolio_risk, drawdown, shares, colour, vix_mean)
    context = WeekContext(strike, cost_basis, days)

    def request(symbol: str, now: datetime) -> WeekRequest:
        return WeekRequest(symbol, AccountType(account), Position(position), now, book, context)

    return request


def _apart(*paths: Path | None) -> None:
    """Refuse to write one file over another."""
    seen = set()
    for path in paths:
        if path is not None and os.path.realpath(path) in seen:
            raise click.UsageError(f"{path} is given twice: each file needs a name of its own")
        if path is not None:
            seen.add(os.path.realpath(path))


def _writable(out: Path | None, *others: Path | None) -> None:
    """Refuse what cannot be written before anything is read, not after."""
    if out is not None and not out.name.lower().endswith(_TABLES):
        raise click.UsageError(f"{out}: the name of a table must end in {', '.join(_TABLES)}")
    for path in (out, *others):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.UsageError(f"{path}: there is no such folder to write to")


_TABLES = (".csv", ".csv.gz", ".jsonl", ".parquet")
_COLUMNS = (
    "symbol",
    "time",
    "decision_id",
    "status",
    "action",
    "week_type",
    "movement",
    "market",
    "score",
    "proposed",
    "quantity",
    "delta",
    "strike",
    "expiration",
    "max_risk",
    "why_not",
    "confidence",
    "verdict",
    "blocking",
    "trust_level",
    "trust_mode",
)


def _row(decision: EngineDecision) -> dict[str, object]:
    """Return a decision as a row of the table that is written."""
    week, market, trade = decision.week, decision.market, decision.proposal
    row: dict[str, object] = {
        "symbol": week.symbol,
        "time": decision.time,
        "decision_id": decision.decision_id,
        "status": decision.status,
        "action": decision.action,
        "week_type": week.week_type,
        "movement": week.movement,
        "market": market.condition,
        "score": market.score,
        "why_not": decision.why_not,
        "confidence": decision.confidence,
    }
    if trade is not None:
        row |= {"proposed": trade.action, "quantity": trade.quantity, "delta": trade.delta, "strike": trade.strike}
        row |= {"expiration": trade.expiration, "max_risk": trade.max_risk}
    if decision.report is not None:
        blocking = [each.rule for each in decision.report.blocking]
        row |= {"verdict": decision.report.verdict, "blocking": " ".join(blocking)}
    if decision.assessment is not None:
        row |= {"trust_level": decision.assessment.level, "trust_mode": decision.assessment.mode}
    return row
