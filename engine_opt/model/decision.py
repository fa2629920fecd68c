"""The words of the whole engine: what it is asked about a symbol's week, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError
from engine_opt.model.account import AccountType
from engine_opt.model.atr import AdverseMove, ATRAdjustment
from engine_opt.model.market import MarketAnalysis
from engine_opt.model.prices import check_symbol
from engine_opt.model.trade import Action, Override, RulesReport, TradeDecision, WeekColour
from engine_opt.model.trust import HumanAnswer, TrustAssessment, TrustResolution
from engine_opt.model.week import Position, WeekClassification, WeekContext


class DecisionStatus(StrEnum):
    """What became of a decision."""

    IDLE = "idle"  # nothing to trade: holding or waiting needs nobody's leave
    REJECTED = "rejected"  # by the rules
    PENDING = "pending"  # a human is asked
    APPROVED = "approved"
    DECLINED = "declined"  # by a human
    EXPIRED = "expired"  # nobody answered in time
    SAFE_ACTION = "safe_action"  # nobody answered in time, and an emergency does not wait


@dataclass(frozen=True, slots=True)
class Book:
    """What is owned, at the time of the request. Money in account currency, risk and drawdown as shares of it.

    `account_value` is that of the account the request is for, `portfolio_value` that of all accounts together.
    `vix_mean` is the historical mean that VIX is judged against, None where it is not to be.
    """

    account_value: float
    portfolio_value: float
    portfolio_risk: float
    drawdown: float
    shares_held: int = 0
    week_colour: WeekColour | None = None
    vix_mean: float | None = None

    def __post_init__(self) -> None:
        check.store(self, "account_value", check.positive("account_value", self.account_value))
        check.store(self, "portfolio_value", check.positive("portfolio_value", self.portfolio_value))
        check.store(self, "portfolio_risk", check.between("portfolio_risk", self.portfolio_risk, 0.0, 1.0, "a share"))
        check.store(self, "drawdown", check.between("drawdown", self.drawdown, 0.0, 1.0, "a share"))
        if type(self.shares_held) is not int or self.shares_held < 0:
            raise InputError("shares_held", self.shares_held, "it must be a whole number of shares, 0 or more")
        if self.week_colour is not None:
            check.store(self, "week_colour", check.member(WeekColour, "week_colour", self.week_colour))
        if self.vix_mean is not None:
            check.store(self, "vix_mean", check.positive("vix_mean", self.vix_mean))


@dataclass(frozen=True, slots=True)
class WeekRequest:
    """A symbol-week to decide about.

    `now` is the moment of the decision, and the day that expiries are counted from. `week_start_price` None takes the
    last close before the week of the last bar. `proposal` None lets the engine plan one. `confidence` is that of
    whoever stands behind the proposal, 0-1; None takes the least of the components' own. `overrides` name the rules
    that a person takes the responsibility for.
    """

    symbol: str
    account: AccountType
    position: Position
    now: datetime
    book: Book
    context: WeekContext = field(default_factory=WeekContext)
    week_start_price: float | None = None
    proposal: TradeDecision | None = None
    confidence: float | None = None
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        check.store(self, "account", check.member(AccountType, "account", self.account))
        check.store(self, "position", check.member(Position, "position", self.position))
        if not isinstance(self.now, datetime):
            raise InputError("now", self.now, "it must be a datetime.datetime: time limits are counted in minutes")
        if type(self.book) is not Book:
            raise InputError("book", self.book, "it must be an engine_opt.Book")
        if type(self.context) is not WeekContext:
            raise InputError("context", self.context, "it must be an engine_opt.WeekContext")
        if self.week_start_price is not None:
            check.store(self, "week_start_price", check.positive("week_start_price", self.week_start_price))
        if self.confidence is not None:
            check.store(self, "confidence", check.between("confidence", self.confidence, 0.0, 1.0, "a probability"))
        self._check_proposal()

    def _check_proposal(self) -> None:
        proposal = self.proposal
        if proposal is not None:
            if type(proposal) is not TradeDecision:
                raise InputError("proposal", proposal, "it must be an engine_opt.TradeDecision")
            if proposal.symbol != self.symbol or proposal.account is not self.account:
                seen = f"{proposal.symbol} in {proposal.account.value}"
                raise InputError("proposal", seen, f"the request is for {self.symbol} in {self.account.value}")
        for override in self.overrides:
            if type(override) is not Override:
                raise InputError("overrides", override, "each must be an engine_opt.Override")


class EngineDecision(NamedTuple):
    """What the engine answers: the result of each component, and what is to be done now.

    `action` is what may be done at once: that of the proposal where it is approved, else to wait (or an emergency's
    safe action). `proposal` is None where the week asks for no trade; `report`, `assessment`, `resolution` and
    a human's `answer` are None where the decision did not come that far. `why_not` says what kept the plan from the week's own action.
    """

    decision_id: str
    status: DecisionStatus
    action: Action
    time: date
    week: WeekClassification
    market: MarketAnalysis
    adjustment: ATRAdjustment
    adverse: AdverseMove | None
    proposal: TradeDecision | None
    why_not: str | None
    confidence: float
    report: RulesReport | None
    assessment: TrustAssessment | None
    resolution: TrustResolution | None
    answer: HumanAnswer | None
