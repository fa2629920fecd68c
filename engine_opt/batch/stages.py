"""The pass through the five components over columns: `workflow.Workflow` for all requests at once.

The requests about several symbols are joined: at some thousand rows a symbol NumPy's calls cost as much as what they
do, and so they are made once. Only the indicators are worked out symbol by symbol. Each stage is worked out once for each set of parameters that differs in what the stage depends on; configurations that
differ in what comes later share its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.atr import AdjustmentColumns, ReadingColumns, adjust, measure_many
from engine_opt.batch.columns import UNKNOWN, Codes, Floats, at_row, moment
from engine_opt.batch.market import MarketColumns, analyze_together
from engine_opt.batch.plan import ACTIONS
from engine_opt.batch.proposals import Proposals, propose
from engine_opt.batch.requests import joined_requests
from engine_opt.batch.rows import Rows, at, joined, numbers_of, run, taken
from engine_opt.batch.rules import RuleColumns, Trades, judge, limits_by_account, with_own
from engine_opt.batch.sharing import Numbers, numbered
from engine_opt.batch.stocks import Stock, accounts_by_symbol
from engine_opt.batch.trust import KINDS, Asked, TrustCells, TrustColumns
from engine_opt.batch.week import WeekColumns, classify_weeks
from engine_opt.config import EngineConfig
from engine_opt.model import (
    Action,
    AdverseMoveLevel,
    DecisionKind,
    EngineDecision,
    MarketConditionKind,
    MarketRiskLevel,
    Position,
    RuleOutcome,
    TrustAssessment,
    TrustRequest,
    Verdict,
    WeekType,
)
from engine_opt.model.trade import LARGEST_VIX, LEAST_VIX
from engine_opt.protocol.atr_adjustment import LADDER, adverse_move
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
from engine_opt.workflow import DECISION_KINDS, Workflow

_T = TypeVar("_T")

_POSITIONS, _CONDITIONS, _RISKS = tuple(Position), tuple(MarketConditionKind), tuple(MarketRiskLevel)
_WEEKS, _LEVELS, _OUTCOMES = tuple(WeekType), tuple(AdverseMoveLevel), tuple(RuleOutcome)
_CASH = _POSITIONS.index(Position.CASH)
_EXTREME = _RISKS.index(MarketRiskLevel.EXTREME)
_RECOVERY = _WEEKS.index(WeekType.C_REC)
_REJECTED = tuple(Verdict).index(Verdict.REJECTED)
_KIND_OF = np.array(
    [KINDS.index(DECISION_KINDS[each]) if each in DECISION_KINDS else UNKNOWN for each in ACTIONS], np.uint8
)
_ADJUSTMENT = KINDS.index(DecisionKind.POSITION_ADJUSTMENT)
_CLOSE = 1e-11  # average true ranges: a hundred times what the two forms can differ by
_THURSDAY = 3  # the weekday of 1970-01-01
_FAIR_VOLATILITY = 0.2  # where there is none yet: the answer is not used


class Adverse(NamedTuple):
    """How far prices went against positions: NaN and UNKNOWN where there is none."""

    move_in_atr: Floats
    level: Codes


class Judged(NamedTuple):
    """What the rules say, of the rows that have a proposal."""

    rows: Rows
    rules: RuleColumns


class Seen(NamedTuple):
    """What the market says at the bar of each request."""

    close: Floats
    volatility: Floats
    vix: Floats
    condition: Codes
    risk_level: Codes
    confidence: Floats


def scalar_workflow(config: EngineConfig, trust: Mapping[str, Any]) -> Workflow:
    """Return the pass of the scalar form, with its own rules and its own copy of the trust."""
    return Workflow(config, TradingProtocolRulesEngine(config.rules), HITLTrustSystem.restore(config.trust, trust))


def nobody(_request: TrustRequest, _assessment: TrustAssessment) -> None:
    """Nobody is asked here."""


class Pass:
    """The requests about some symbols, and the stages that have been worked out for them.

    The moments of all are aware ones, or none is. A row is the index of a request among those of all symbols.
    """

    def __init__(self, stocks: tuple[Stock, ...], configs: Iterable[EngineConfig], trust: Mapping[str, Any]) -> None:
        self.stocks, self.trust, self.symbols = stocks, trust, tuple(stock.symbol for stock in stocks)
        self.aware = stocks[0].aware
        self.requests = requests = joined_requests([stock.requests for stock in stocks])
        ends = np.cumsum([len(stock.requests) for stock in stocks]).tolist()
        for stock, end in zip(stocks, ends, strict=True):
            stock.rows = slice(end - len(stock.requests), end)
        self.accounts = accounts_by_symbol(requests.account, stocks)
        self.now, self.starts = (joined([getattr(stock, name) for stock in stocks]) for name in ("now", "starts"))
        self.today = self.now.astype("datetime64[D]").astype(np.int64)
        self._market_is_asked = bool(((requests.favourable < 0) & (requests.position == _CASH)).any())
        self._stages: dict[tuple[object, ...], Any] = {}
        every = tuple(configs)
        self._numbers = {id(config): numbers for config, numbers in zip(every, numbered(every), strict=True)}
        markets = {self.numbers(config).market: config.market for config in every}
        measured = {self.numbers(config).readings: config.atr for config in every}
        analyses = analyze_together([(stock.bars, stock.vix) for stock in stocks], [*markets.values()])
        for stock, analysis in zip(stocks, analyses, strict=True):
            stock.markets = analysis
            stock.readings = measure_many(stock.bars, measured.values(), stock.symbol)

    def numbers(self, config: EngineConfig) -> Numbers:
        """Return the numbers of what a configuration consists of."""
        return self._numbers[id(config)]

    def market(self, config: EngineConfig, stock: Stock) -> MarketColumns:
        """Return the analysis of every session of one symbol."""
        return stock.markets[self.numbers(config).market]

    def readings(self, config: EngineConfig, stock: Stock) -> ReadingColumns:
        """Return the reading of every session of one symbol."""
        return stock.readings[self.numbers(config).readings]

    def place(self, row: int) -> tuple[Stock, int]:
        """Return the symbol that a row is about, and which of the requests about it the row is."""
        stock = next(each for each in self.stocks if row < each.rows.stop)
        return stock, row - stock.rows.start

    def unanswered(self, config: EngineConfig) -> list[slice]:
        """Return the rows of each symbol that have too little history: the first."""
        return [slice(each.rows.start, each.rows.start + self.first(config, each)) for each in self.stocks]

    def first(self, config: EngineConfig, stock: Stock) -> int:
        """Return how many requests about a symbol have too little history for an answer; they come first."""
        numbers = self.numbers(config)
        key = "first", stock.symbol, numbers.market, numbers.readings
        return self._once(key, lambda: stock.first(numbers.market, numbers.readings))

    def seen(self, config: EngineConfig) -> Seen:
        """Return what the market says at the bar of each request."""
        return self._once(("seen", self.numbers(config).market), lambda: self._looked(config))

    def week(self, config: EngineConfig) -> WeekColumns:
        """Return what kind of week it was; the market says whether a put is welcome where the caller does not."""
        return self._once(self._week_key(config), lambda: self._classified(config))

    def adjustment(self, config: EngineConfig) -> AdjustmentColumns:
        """Return the parameters of each request's account."""
        return self._once(self._adjustment_key(config), lambda: self._adjusted(config))

    def adverse(self, config: EngineConfig) -> Adverse:
        """Return how far the price went against each position."""
        numbers = self.numbers(config)
        key = "adverse", self._week_key(config), numbers.readings, numbers.market
        return self._once(key, lambda: self._moved(config))

    def confidence(self, config: EngineConfig) -> Floats:
        """Return the request's confidence, or the least of the components' own."""
        key = "confidence", self._week_key(config), self._adjustment_key(config)
        return self._once(key, lambda: self._confidences(config))

    def proposals(self, config: EngineConfig) -> Proposals:
        """Return what each week asks for, and the contracts that it needs."""
        return self._once(self._proposals_key(config), lambda: propose(self, config))

    def judged(self, config: EngineConfig) -> Judged:
        """Return what the rules say of the proposals."""
        return self._once(("rules", self._proposals_key(config)), lambda: self._ruled(config))

    def trusted(self, config: EngineConfig) -> tuple[Rows, TrustColumns]:
        """Return the rows that the rules let through, and who has the last word about them."""
        key = "trust", self._proposals_key(config), self.numbers(config).trust
        return self._once(key, lambda: self._trusted(config))

    def answer(self, config: EngineConfig, row: int) -> EngineDecision:
        """Return the scalar form's answer to one request, from the columns of the market and of the readings."""
        stock, own = self.place(row)
        bar, workflow = (
            int(stock.requests.bar[own]),
            self._once(("workflow", id(config)), lambda: scalar_workflow(config, self.trust)),
        )
        now: Any = moment(self.now[row], utc=self.aware)
        return workflow.decide(
            stock.requests.row(own, stock.symbol, now),
            self.market(config, stock).row(bar),
            self.readings(config, stock).row(bar),
            float(self.starts[row]),
            nobody,
        )

    def _looked(self, config: EngineConfig) -> Seen:
        found: list[tuple[Any, ...]] = []
        for stock in self.stocks:
            rows, market = stock.taken, self.market(config, stock)
            metrics = market.metrics
            columns = metrics.close, metrics.volatility_20, metrics.vix
            codes = market.condition, market.risk_level
            found.append(tuple(column[rows] for column in (*columns, *codes, market.confidence)))
        return Seen(*map(joined, zip(*found, strict=True)))

    def _classified(self, config: EngineConfig) -> WeekColumns:
        seen, requests = self.seen(config), self.requests
        lacking = np.isnan(seen.volatility) | np.isnan(self.starts)
        price, start, volatility = self._prices(seen, lacking)
        favourable: Any = requests.favourable
        if self._market_is_asked:
            welcome = np.zeros(UNKNOWN + 1, np.bool_)
            welcome[: len(_CONDITIONS)] = [Action.SELL_PUT in config.rules.actions[each] for each in _CONDITIONS]
            own = welcome[seen.condition] & (seen.risk_level != _EXTREME)
            favourable = np.where((requests.favourable < 0) & (requests.position == _CASH), own, requests.favourable)
        elif not favourable.ndim:
            favourable = None if favourable < 0 else bool(favourable)
        weeks = classify_weeks(
            price,
            start,
            volatility,
            requests.position,
            strike=requests.strike,
            cost_basis=requests.cost_basis,
            days_to_expiration=requests.days_to_expiration,
            can_roll=requests.can_roll,
            favourable=favourable,
            rules=config.week,
        )
        return _without(weeks, np.flatnonzero(lacking))

    def _prices(self, seen: Seen, lacking: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Return close, start and volatility, with values that pass where there are none."""
        if not lacking.any():
            return seen.close, self.starts, seen.volatility
        price = joined([stock.bars.close[stock.taken] for stock in self.stocks])
        return price, np.where(lacking, price, self.starts), np.where(lacking, _FAIR_VOLATILITY, seen.volatility)

    def _adjusted(self, config: EngineConfig) -> AdjustmentColumns:
        readings = self._once(("taken", self.numbers(config).readings), lambda: self._taken(config))
        return adjust(replace(readings, config=config.atr), self.requests.account, self.seen(config).condition)

    def _taken(self, config: EngineConfig) -> ReadingColumns:
        """Return the readings at the bar of each request; of several symbols, `first` is that of the first."""
        found = [self.readings(config, stock) for stock in self.stocks]
        names = [each.name for each in fields(found[0]) if isinstance(getattr(found[0], each.name), np.ndarray)]
        columns: dict[str, Any] = {
            name: joined([getattr(own, name)[stock.taken] for own, stock in zip(found, self.stocks, strict=True)])
            for name in names
        }
        return replace(found[0], **columns, first=self.stocks[0].first_reading(self.numbers(config).readings))

    def _moved(self, config: EngineConfig) -> Adverse:
        held = np.array(np.broadcast_to(self.requests.position != _CASH, (len(self.requests),)))
        for gap in self.unanswered(config):
            held[gap] = False
        move, level = np.full(len(held), np.nan), np.full(len(held), UNKNOWN, np.uint8)
        rows = run(np.flatnonzero(held))
        price, atr = self.seen(config).close[rows], self.adjustment(config).readings.atr[rows, 0]
        self.refuse(config, rows, ~(atr > 0.0))
        reference = self.week(config).reference_price[rows]
        moved = (reference - price) / atr
        levels = np.zeros(len(moved), np.uint8)
        close = np.zeros(len(moved), np.bool_)
        for step, limit in enumerate(LADDER):
            levels += moved > limit if step == len(LADDER) - 1 else moved >= limit
            close |= np.abs(moved - limit) <= _CLOSE * (1.0 + reference / atr)
        for index in np.flatnonzero(close).tolist():
            stock, own = self.place(int(numbers_of(rows, len(held))[index]))
            exact = stock.exact_atr(own, config.atr)
            position = _POSITIONS[at(stock.requests.position, own)]
            answer = adverse_move(position, float(reference[index]), float(price[index]), exact)
            moved[index], levels[index] = answer.move_in_atr, _LEVELS.index(answer.level)
        move[rows], level[rows] = moved, levels
        return Adverse(move, level)

    def _confidences(self, config: EngineConfig) -> Floats:
        own = self.week(config).confidence
        own = np.where(np.isnan(own), 1.0, own)
        own = np.minimum(np.minimum(own, self.seen(config).confidence), self.adjustment(config).confidence)
        given = self.requests.confidence
        return own if np.isnan(given).all() else np.where(np.isnan(given), own, given)

    def _ruled(self, config: EngineConfig) -> Judged:
        proposals, requests, seen, week = self.proposals(config), self.requests, self.seen(config), self.week(config)
        rows = run(np.flatnonzero(proposals.proposed != UNKNOWN))
        vix, quantity = seen.vix[rows], proposals.quantity[rows]
        self.refuse(config, rows, (vix < LEAST_VIX) | (vix > LARGEST_VIX))
        today, expiration = self.today[rows], proposals.expiration[rows]
        lowest = np.array([config.week.priors[each].expected_return[0] for each in WeekType])
        known = quantity > 0
        days = (expiration - today).astype(np.float64)
        contracts = quantity.astype(np.float64)
        if not known.all():
            days[~known] = contracts[~known] = np.nan
        trades = Trades(
            proposals.proposed[rows],
            taken(self.accounts, rows),
            contracts,
            proposals.delta[rows],
            proposals.strike[rows],
            days,
            proposals.max_risk[rows],
            lowest[week.week_type[rows]],
            (today + _THURSDAY) % 7,
            taken(requests.portfolio_value, rows),
            taken(requests.account_value, rows),
            taken(requests.portfolio_risk, rows),
            taken(requests.drawdown, rows),
            taken(requests.shares_held, rows).astype(np.float64),
            seen.condition[rows],
            week.week_type[rows],
            taken(requests.week_colour, rows),
            vix,
            taken(requests.vix_mean, rows),
        )
        found = judge(trades, config.rules, self.symbols)
        if config.rules.extra:
            found = with_own(found, self._own_rules(config, numbers_of(rows, len(requests))), config.rules)
        return Judged(rows, found)

    def _own_rules(self, config: EngineConfig, rows: NDArray[np.intp]) -> Codes:
        """Return what the user's own rules say, which are asked about records one by one."""
        built_in, own = len(config.rules.rules), len(config.rules.extra)
        outcomes = np.empty((len(rows), own), np.uint8)
        for index, row in enumerate(rows.tolist()):
            report = self.answer(config, row).report
            results = () if report is None else report.results[built_in:]
            outcomes[index] = [_OUTCOMES.index(result.outcome) for result in results]
        return outcomes

    def _trusted(self, config: EngineConfig) -> tuple[Rows, TrustColumns]:
        judged, proposals, requests = self.judged(config), self.proposals(config), self.requests
        passed = judged.rules.verdict != _REJECTED
        rows = judged.rows if passed.all() else run(numbers_of(judged.rows, len(requests))[passed])
        kind = _KIND_OF[proposals.proposed[rows]]
        value = taken(requests.portfolio_value, rows)
        limits = np.array([each.max_drawdown for each in limits_by_account(config.rules, self.symbols)])
        broken = requests.portfolio_risk > config.rules.max_portfolio_risk
        broken = broken | (requests.drawdown > limits[self.accounts])
        asked = Asked(
            numbers_of(rows, len(requests)),
            kind,
            self.confidence(config)[rows],
            self.now[rows],
            self.aware,
            np.where(kind == _ADJUSTMENT, proposals.max_risk[rows] * value, np.nan),
            self.week(config).week_type[rows] == _RECOVERY,
            taken(np.asarray(broken), rows),
        )
        cells = self._once(("cells", self.numbers(config).trust), lambda: TrustCells(config.trust, self.trust))
        return rows, cells.assess(asked)

    def refuse(self, config: EngineConfig, rows: Rows, bad: NDArray[np.bool_]) -> None:
        """Let the scalar form say what is wrong with the first bad row."""
        if bad.any():
            row = int(numbers_of(rows, len(self.requests))[int(np.argmax(bad))])
            with at_row(row):
                self.answer(config, row)
            raise AssertionError(
                f"row {row} is refused here and not by the scalar form"
            )  # pragma: no cover - they agree

    def _week_key(self, config: EngineConfig) -> tuple[object, ...]:
        numbers = self.numbers(config)
        return "week", numbers.week, (numbers.market, numbers.actions) if self._market_is_asked else None

    def _adjustment_key(self, config: EngineConfig) -> tuple[object, ...]:
        return "adjustment", self.numbers(config).atr, self.numbers(config).market

    def _proposals_key(self, config: EngineConfig) -> tuple[object, ...]:
        numbers = self.numbers(config)
        return "proposals", self._week_key(config), self._adjustment_key(config), numbers.rules, numbers.plan

    def _once(self, key: tuple[object, ...], work_out: Callable[[], _T]) -> _T:
        """Return what was worked out for a key, now or before."""
        if key not in self._stages:
            self._stages[key] = work_out()
        found: _T = self._stages[key]
        return found


def _without(weeks: WeekColumns, rows: NDArray[np.intp]) -> WeekColumns:
    """Return the columns with nothing known of some rows."""
    if not rows.size:
        return weeks
    columns: dict[str, Any] = {}
    for each in fields(weeks):
        column = getattr(weeks, each.name)
        if isinstance(column, np.ndarray) and each.name != "position":
            columns[each.name] = own = column.copy()
            own[rows] = {"u": UNKNOWN, "f": np.nan, "b": False}[own.dtype.kind]
    return replace(weeks, **columns)
