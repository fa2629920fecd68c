"""The whole engine: bars in, one call through all five components, a typed decision out.

    engine = ProtocolEngine()
    for bar in bars:
        engine.update("AAPL", bar, vix)
    decision = engine.decide(WeekRequest("AAPL", "REV", "cash", now, book))

Where the rooms meet: the market says whether a put is welcome, the average true range how large and how far, the week
table what kind of week it is, the plan turns that into contracts, the rules judge them, and trust decides who has the
last word. Nothing in here reads a clock, draws a random number, writes a log or starts a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from engine_opt import _validate as check
from engine_opt.config import EngineConfig
from engine_opt.errors import InputError, StateError
from engine_opt.model import (
    ATRReading,
    Bar,
    DecisionStatus,
    EngineDecision,
    HumanAnswer,
    MarketAnalysis,
    TrustAssessment,
    TrustOutcome,
    TrustRequest,
    WeekRequest,
    check_bar,
    check_symbol,
)
from engine_opt.plain import dump
from engine_opt.protocol.atr_adjustment import ATRAdjustmentSystem
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.protocol.market_condition_analyzer import MarketStream
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
from engine_opt.workflow import Workflow

if TYPE_CHECKING:
    from engine_opt.protocol.decision_providers import DecisionProvider

SCHEMA = 1

Sink = Callable[[str, Mapping[str, Any], str | None], object]
"""Where events go: kind, payload of plain values, ISO time. An audit log's `append` is one."""

_OUT_OF_TIME = frozenset({DecisionStatus.EXPIRED, DecisionStatus.SAFE_ACTION})


class ProtocolEngine:
    """Decide about symbol-weeks by one configuration, from bars that come in one at a time.

    `provider` is asked where a human has to be; without one such a decision stays pending until `settle` is given an
    answer. `sink` is told of everything that went in and came out, in order. The memory per symbol is bounded, and so
    is the number of symbols. Not to be shared between threads without a lock.
    """

    def __init__(
        self,
        config: EngineConfig | None = None,
        *,
        provider: DecisionProvider | None = None,
        sink: Sink | None = None,
    ) -> None:
        self._config = EngineConfig() if config is None else config
        self._provider = provider
        self._sink = sink
        self._tracks: dict[str, _Track] = {}
        self._atr = ATRAdjustmentSystem(self._config.atr)
        self._rules = TradingProtocolRulesEngine(self._config.rules)
        self._trust = HITLTrustSystem(self._config.trust)
        self._workflow = Workflow(self._config, self._rules, self._trust)
        self._bars = self._decisions = 0
        if sink is not None:
            sink("config", {"schema": SCHEMA, "config": self._config.plain()}, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget all symbols; the trust that was earned stays."""
        for symbol in list(self._tracks):
            self.forget(symbol)

    @property
    def config(self) -> EngineConfig:
        """The configuration in use."""
        return self._config

    @property
    def trust(self) -> HITLTrustSystem:
        """The trust system, to be read; outcomes are told to the engine, so that they are recorded."""
        return self._trust

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that are tracked."""
        return tuple(self._tracks)

    def update(self, symbol: str, bar: Bar, vix: float | None = None) -> None:
        """Take the next bar of a symbol, and VIX at its close where it is known; constant work.

        Raises InputError for a bar that is not later than the symbol's last, StateError where too many symbols are
        tracked; nothing is changed then.
        """
        if vix is not None:
            check.positive("vix", vix)
        track = self._tracks.get(symbol)
        if track is None:
            check_symbol(symbol)
            check_bar(bar)
            self._atr.update(symbol, bar)
            track = self._tracks[symbol] = _Track(MarketStream(self._config.market))
        else:
            self._atr.update(symbol, bar)
        track.update(bar, vix)
        self._bars += 1
        if self._sink is not None:
            self._sink("bar", {"symbol": symbol, "bar": dump(bar), "vix": vix}, bar.time.isoformat())

    def forget(self, symbol: str) -> None:
        """Drop the memory of a symbol; it need not be tracked."""
        self._tracks.pop(symbol, None)
        self._atr.forget(symbol)

    def decide(self, request: WeekRequest) -> EngineDecision:
        """Return what is to be done about a symbol-week, and how each component came to it.

        Raises StateError for a symbol without bars, InsufficientData before the 51st bar, InputError for a request
        that contradicts itself or the bars; nothing is decided then.
        """
        if type(request) is not WeekRequest:
            raise InputError("request", request, "it must be an engine_opt.WeekRequest")
        track = self._tracks.get(request.symbol)
        if track is None:
            raise StateError(f"nothing is known of symbol {request.symbol!r}: update it with bars first")
        seen = track.seen
        if seen is None:
            seen = track.seen = track.market.analysis(), self._atr.reading(request.symbol)
        market, reading = seen
        decision = self._workflow.decide(request, market, reading, track.week_start, self._ask)
        self._decisions += 1
        if self._sink is not None:
            payload = {"request": dump(request), "decision": dump(decision)}
            self._sink("decision", payload, request.now.isoformat())
        return decision

    def settle(
        self, request: WeekRequest, decision: EngineDecision, now: datetime, answer: HumanAnswer | None = None
    ) -> EngineDecision:
        """Return a pending decision with what became of it by `now`: answered, still pending, or out of time.

        Without `answer` the provider is asked for one. Raises StateError for a decision that is not pending,
        InputError for an answer that does not belong to it.
        """
        provider = self._provider if answer is None else None
        if provider is not None:
            answer = provider.answer(decision.decision_id)
        settled = self._workflow.settle(request, decision, answer, now)
        if provider is not None and settled.status in _OUT_OF_TIME:
            provider.withdraw(decision.decision_id)
        if self._sink is not None:
            payload = {"request": dump(request), "pending": dump(decision), "decision": dump(settled)}
            self._sink("settled", payload, now.isoformat())
        return settled

    def record(self, outcome: TrustOutcome) -> None:
        """Take how a decision turned out; this is the only way in which trust is earned or lost."""
        self._trust.record(outcome)
        if self._sink is not None:
            self._sink("outcome", {"outcome": dump(outcome)}, outcome.at.isoformat())

    def save(self) -> dict[str, Any]:
        """Return all that is remembered as plain values; `restore` goes on from it as if nothing had happened."""
        return {
            "schema": SCHEMA,
            "config": self._config.fingerprint(),
            "tracks": {symbol: track.save() for symbol, track in self._tracks.items()},
            "atr": self._atr.save(),
            "trust": self._trust.save(),
        }

    @classmethod
    def restore(
        cls,
        state: Mapping[str, Any],
        config: EngineConfig | None = None,
        *,
        provider: DecisionProvider | None = None,
        sink: Sink | None = None,
    ) -> ProtocolEngine:
        """Return an engine with a saved memory. Raises StateError where it was saved by another schema or config."""
        engine = cls(config, provider=provider, sink=sink)
        if not isinstance(state, Mapping) or state.get("schema") != SCHEMA:
            seen = state.get("schema") if isinstance(state, Mapping) else type(state).__name__
            raise StateError(f"the state has schema {seen!r}, this engine reads {SCHEMA}: feed the bars again")
        if state.get("config") != engine.config.fingerprint():
            raise StateError("the state was saved with another configuration: restore with that one, or feed the bars")
        try:
            tracks, atr, trust = dict(state["tracks"]), state["atr"], state["trust"]
        except KeyError as error:
            raise StateError(f"the state has no {error}: it is damaged, feed the bars again") from error
        except (TypeError, ValueError) as error:
            raise StateError(f"the symbols of the state are damaged ({error}): feed the bars again") from error
        engine._atr = ATRAdjustmentSystem.restore(engine.config.atr, atr)
        engine._trust = HITLTrustSystem.restore(engine.config.trust, trust)
        engine._workflow = Workflow(engine.config, engine._rules, engine._trust)
        engine._tracks = {symbol: _Track.restore(engine.config, saved) for symbol, saved in tracks.items()}
        if set(engine._tracks) != set(engine._atr.symbols):
            raise StateError("the state knows different symbols in its parts: it is damaged, feed the bars again")
        if sink is not None:
            sink("restored", {"state": dump(state)}, None)
        return engine

    def stats(self) -> Mapping[str, float]:
        """Return how much was done and is remembered, by name."""
        own = {"bars": float(self._bars), "decisions": float(self._decisions), "symbols": float(len(self._tracks))}
        parts = {"rules": self._rules.stats(), "trust": self._trust.stats()}
        return own | {f"{part}.{name}": value for part, stats in parts.items() for name, value in stats.items()}

    def _ask(self, request: TrustRequest, assessment: TrustAssessment) -> HumanAnswer | None:
        if self._provider is None:
            return None
        self._provider.ask(request, assessment)
        return self._provider.answer(request.request_id)


class _Track:
    """What is remembered of one symbol besides its ranges: the market's stream, and where the week began."""

    __slots__ = ("_close", "_week", "market", "seen", "week_start")

    def __init__(self, market: MarketStream) -> None:
        self.market = market
        # What the last bar says is the same for every account and position that asks.
        self.seen: tuple[MarketAnalysis, ATRReading] | None = None
        self.week_start: float | None = None  # the last close before the week of the last bar
        self._close: float | None = None
        self._week: int | None = None

    def update(self, bar: Bar, vix: float | None) -> None:
        self.market.update(bar, vix)
        self.seen = None
        week = (bar.time.toordinal() - 1) // 7  # day 1 of the calendar was a Monday
        if week != self._week:
            self._week, self.week_start = week, self._close
        self._close = bar.close

    def save(self) -> dict[str, Any]:
        return {"market": self.market.save(), "week_start": self.week_start, "close": self._close, "week": self._week}

    @classmethod
    def restore(cls, config: EngineConfig, state: Mapping[str, Any]) -> _Track:
        try:
            track = cls(MarketStream.restore(config.market, state["market"]))
            week, prices = state["week"], (state["week_start"], state["close"])
        except (KeyError, TypeError) as error:
            raise StateError(f"the state of a symbol is damaged ({error}): feed the bars again") from error
        for name, price in zip(("week_start", "close"), prices, strict=True):
            if price is not None:
                check.positive(name, price)
        if week is not None and type(week) is not int:
            raise InputError("week", week, "it must be a whole number of weeks")
        track.week_start, track._close = prices
        track._week = week
        return track
