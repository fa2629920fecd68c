"""The whole engine over columns: bars and requests of one symbol in, a decision about each request out.

    bars = Bars.of(data.load("AAPL"))
    requests = Requests.weekly(bars, "REV", "cash", 1e6, 3e6, 0.05, 0.01)
    decisions = decide(bars, None, requests, symbol="AAPL")
    members(Action, decisions.proposed), decisions.quantity, decisions.row(-1)

Row i is what a ProtocolEngine without a provider answers to request i after the bar that it names. Nobody is asked: what
needs leave is pending. The first rows may have too little history: `first` says where answers begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine_opt.batch.atr import AdjustmentColumns, ReadingColumns
from engine_opt.batch.columns import UNKNOWN, Bars, Codes, Floats, Times, known, moment, require_bars
from engine_opt.batch.market import MarketColumns
from engine_opt.batch.plan import ACTIONS, WHY_NOT
from engine_opt.batch.requests import Requests
from engine_opt.batch.rows import at, part_of, spread
from engine_opt.batch.stages import Pass, nobody, scalar_workflow
from engine_opt.batch.stocks import Stock
from engine_opt.batch.trust import AUTOMATIC
from engine_opt.batch.week import WeekColumns
from engine_opt.config import EngineConfig
from engine_opt.errors import InputError, InsufficientData
from engine_opt.model import (
    AccountType,
    Action,
    AdverseMove,
    AdverseMoveLevel,
    DecisionStatus,
    EngineDecision,
    Position,
    TradeDecision,
    WeekType,
    check_symbol,
)
from engine_opt.protocol.atr_adjustment import PUT_ACTIONS, STOCK_ACTIONS
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.workflow import Workflow

STATUSES = tuple(DecisionStatus)
_IDLE, _REJECTED, _PENDING, _APPROVED = (
    np.uint8(STATUSES.index(each))
    for each in (DecisionStatus.IDLE, DecisionStatus.REJECTED, DecisionStatus.PENDING, DecisionStatus.APPROVED)
)
_WAIT = np.uint8(ACTIONS.index(Action.WAIT_SIGNAL))
_LEVELS, _ACCOUNTS, _WEEKS = tuple(AdverseMoveLevel), tuple(AccountType), tuple(WeekType)
_PUT = tuple(Position).index(Position.SHORT_PUT)


@dataclass(frozen=True, slots=True, eq=False)
class DecisionColumns:
    """What the engine answers, a row per request; `market` and `readings` have a row per session.

    Rows before `first` have too little history and no answer. `status` and `action` are those of EngineDecision, and
    `confidence` too. `proposed` is the action of the proposal, UNKNOWN where there is none; `quantity` (0 where there is
    none), `delta`, `strike`, `expiration` and `max_risk` are the proposal's. `why_not` is an index into `plan.WHY_NOT`.
    `outcome` has a column for each of `rules`, and with `verdict` is UNKNOWN where the rules were not asked; so are
    `level` and `mode` where trust was not. `lower_bounds` has a column per component that the kind of decision involves.
    """

    first: int
    now: Times
    status: Codes
    action: Codes
    week: WeekColumns
    market: MarketColumns
    readings: ReadingColumns
    adjustment: AdjustmentColumns
    adverse_in_atr: Floats
    adverse_level: Codes
    confidence: Floats
    proposed: Codes
    quantity: NDArray[np.int64]
    delta: Floats
    strike: Floats
    expiration: Times
    max_risk: Floats
    why_not: Codes
    outcome: Codes
    verdict: Codes
    level: Codes
    mode: Codes
    lower_bounds: Floats
    week_start_price: Floats
    requests: Requests
    rules: tuple[str, ...]
    config: EngineConfig
    trust: Mapping[str, Any]
    symbol: str
    utc: bool

    def __len__(self) -> int:
        return len(self.status)

    def row(self, index: int) -> EngineDecision:
        """Return the scalar record of one request, with what the rules and trust say in words.

        Raises InsufficientData for a row before `first`.
        """
        return self._row(range(len(self))[index], scalar_workflow(self.config, self.trust))

    def rows(self) -> Iterator[EngineDecision]:
        """Yield the scalar records from `first` on."""
        workflow = scalar_workflow(self.config, self.trust)
        for index in range(self.first, len(self)):
            yield self._row(index, workflow)

    def _row(self, index: int, workflow: Workflow) -> EngineDecision:
        bar, now = int(self.requests.bar[index]), self._moment(index)
        market, reading = self.market.row(bar), self.readings.row(bar)
        if index < self.first:
            raise InsufficientData(1, 0, "closes before this week")
        request = self.requests.row(index, self.symbol, now)
        why_not, confidence = int(self.why_not[index]), float(self.confidence[index])
        decision = EngineDecision(
            f"{self.symbol}/{request.account.value}/{now.isoformat()}",
            STATUSES[self.status[index]],
            ACTIONS[self.action[index]],
            reading.time,
            self.week.row(index, self.symbol),
            market,
            self.adjustment.row(index),
            self._adverse(index),
            self._proposal(index),
            None if why_not == UNKNOWN else WHY_NOT[why_not],
            confidence,
            None,
            None,
            None,
            None,
        )
        if decision.proposal is None:
            return decision
        start = float(self.week_start_price[index])
        judged = workflow.decide(
            replace(request, proposal=decision.proposal, confidence=confidence), market, reading, start, nobody
        )
        return decision._replace(report=judged.report, assessment=judged.assessment, resolution=judged.resolution)

    def _moment(self, index: int) -> Any:
        return moment(self.now[index], utc=self.utc)

    def _adverse(self, index: int) -> AdverseMove | None:
        if self.adverse_level[index] == UNKNOWN:
            return None
        level = _LEVELS[self.adverse_level[index]]
        put = at(self.requests.position, index) == _PUT
        return AdverseMove(level, float(self.adverse_in_atr[index]), (PUT_ACTIONS if put else STOCK_ACTIONS)[level])

    def _proposal(self, index: int) -> TradeDecision | None:
        if self.proposed[index] == UNKNOWN:
            return None
        traded = self.quantity[index] > 0
        return TradeDecision(
            ACTIONS[self.proposed[index]],
            self.symbol,
            _ACCOUNTS[at(self.requests.account, index)],
            int(self.quantity[index]) if traded else None,
            known(float(self.delta[index])),
            known(float(self.strike[index])),
            self.expiration[index].item() if traded else None,
            known(float(self.max_risk[index])),
            self.week.rules.priors[_WEEKS[self.week.week_type[index]]].expected_return[0],
            float(self.confidence[index]),
        )


def decide(
    bars: Bars,
    vix: ArrayLike | None,
    requests: Requests,
    config: EngineConfig | None = None,
    trust: HITLTrustSystem | None = None,
    symbol: str = "unnamed",
) -> DecisionColumns:
    """Return the decisions about one symbol.

    `vix` holds the index at the close of each bar, NaN where it is not known. `trust` is read and not changed; without it
    nobody has earned any. Raises InputError for what the engine refuses, its field with the index of the request.
    """
    return decide_many(bars, vix, requests, [EngineConfig() if config is None else config], trust, symbol)[0]


def decide_many(
    bars: Bars,
    vix: ArrayLike | None,
    requests: Requests,
    configs: Iterable[EngineConfig],
    trust: HITLTrustSystem | None = None,
    symbol: str = "unnamed",
) -> tuple[DecisionColumns, ...]:
    """Return the decisions by each of the configurations; what they have in common is worked out once, and shared.

    `trust` is what all of them start from, judged by the [trust] of each.
    """
    return decide_from(bars, vix, requests, tuple(configs), saved_trust(trust), symbol)


def saved_trust(trust: HITLTrustSystem | None) -> Mapping[str, Any]:
    """Return the state that decisions start from."""
    return (HITLTrustSystem() if trust is None else trust).save()


def decide_from(
    bars: Bars,
    vix: ArrayLike | None,
    requests: Requests,
    configs: tuple[EngineConfig, ...],
    trust: Mapping[str, Any],
    symbol: str,
) -> tuple[DecisionColumns, ...]:
    """Return the decisions by each of the configurations, from trust as it was saved: `decide_many` in plain values."""
    return decide_together([stock_of(bars, vix, requests, symbol)], configs, trust)[0]


def stock_of(bars: Bars, vix: ArrayLike | None, requests: Requests, symbol: str) -> Stock:
    """Return what a pass takes of one symbol. Raises InputError for what cannot be, and for moments that are too early."""
    if not isinstance(requests, Requests):
        raise InputError("requests", requests, "it must be an engine_opt.batch.Requests")
    return Stock(require_bars(bars), vix, requests, check_symbol(symbol))


def decide_together(
    stocks: Sequence[Stock], configs: tuple[EngineConfig, ...], trust: Mapping[str, Any]
) -> list[tuple[DecisionColumns, ...]]:
    """Return the decisions about each symbol by each of the configurations, in one pass.

    The moments of all must be aware ones, or of none. An error counts the rows of all symbols.
    """
    every = Pass(tuple(stocks), configs, trust)
    found = [_decided(every, config) for config in configs]
    return [tuple(each[number] for each in found) for number in range(len(stocks))]


def _decided(every: Pass, config: EngineConfig) -> list[DecisionColumns]:
    """Return the columns of one configuration, for each symbol."""
    requests, n = every.requests, len(every.requests)
    adverse, confidence, proposals = every.adverse(config), every.confidence(config), every.proposals(config)
    judged = every.judged(config)
    rows, trusted = every.trusted(config)
    status, action = np.full(n, _IDLE), proposals.wanted.copy()
    status[judged.rows], action[judged.rows] = _REJECTED, _WAIT
    automatic = trusted.mode == AUTOMATIC
    status[rows] = np.where(automatic, _APPROVED, _PENDING)
    action[rows] = np.where(automatic, proposals.proposed[rows], _WAIT)
    confidence = confidence.copy()
    for gap in every.unanswered(config):
        status[gap], confidence[gap] = UNKNOWN, np.nan
    head = every.stocks[0]
    whole = DecisionColumns(
        every.first(config, head),
        every.now,
        status,
        action,
        every.week(config),
        every.market(config, head),
        every.readings(config, head),
        every.adjustment(config),
        adverse.move_in_atr,
        adverse.level,
        confidence,
        proposals.proposed,
        proposals.quantity,
        proposals.delta,
        proposals.strike,
        proposals.expiration.view("datetime64[D]"),
        proposals.max_risk,
        proposals.why_not,
        spread(judged.rules.outcome, judged.rows, n, UNKNOWN),
        spread(judged.rules.verdict, judged.rows, n, UNKNOWN),
        spread(trusted.level, rows, n, UNKNOWN),
        spread(trusted.mode, rows, n, UNKNOWN),
        spread(trusted.lower_bounds, rows, n, np.nan),
        every.starts,
        requests,
        judged.rules.rules,
        config,
        every.trust,
        head.symbol,
        every.aware,
    )
    return [whole] if len(every.stocks) == 1 else [_of_stock(whole, every, stock) for stock in every.stocks]


def _of_stock(whole: DecisionColumns, every: Pass, stock: Stock) -> DecisionColumns:
    """Return the rows that are about one symbol."""
    config = whole.config
    first_reading = stock.first_reading(every.numbers(config).readings)
    readings = part_of(whole.adjustment.readings, stock.rows, symbol=stock.symbol, first=first_reading)
    return part_of(
        whole,
        stock.rows,
        first=every.first(config, stock),
        week=part_of(whole.week, stock.rows),
        market=every.market(config, stock),
        readings=every.readings(config, stock),
        adjustment=part_of(whole.adjustment, stock.rows, readings=readings),
        requests=stock.requests,
        symbol=stock.symbol,
    )
