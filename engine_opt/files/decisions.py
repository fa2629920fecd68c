"""Decisions as the rows of a table: for `write_table`, without NumPy. The batch form has rows of the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine_opt.model import EngineDecision

ANSWER_COLUMNS = (
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
"""What was decided and why; before these come the columns that say about what and when."""

DECISION_COLUMNS = ("symbol", "time", "decision_id", *ANSWER_COLUMNS)
"""The columns of `decision_row`."""


def decision_row(decision: EngineDecision) -> dict[str, object]:
    """Return a decision as a row; a column that it says nothing about is left out."""
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
