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
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from engine_opt import _validate as check
from engine_opt.config import EngineConfig
from engine_opt.counting import Call, Tally
from engine_opt.errors import InputError, StateError
from engine_opt.model import (
    AccountType,
    Action,
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
from engine_opt.optimizations import EngineOptimizations, bytes_of
from engine_opt.plain import dump
from engine_opt.protocol.atr_adjustment import ATRAdjustmentSystem
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.protocol.market_condition_analyzer import MarketStream
from engine_opt.protocol.rule_checks import Check, compile_checks
from engine_opt.protocol.trading_protocol_rules import TradingProtocolRulesEngine
from engine_opt.workflow import Workflow

if TYPE_CHECKING:
    from engine_opt.engine_metrics import EngineTimers
    from engine_opt.monitoring.performance_monitor import PerformanceMonitor
    from engine_opt.optimization.cache import Cache
    from engine_opt.optimization.memory_manager import MemoryManager
    from engine_opt.protocol.decision_providers import DecisionProvider

SCHEMA = 1

Sink = Callable[[str, Mapping[str, Any], str | None], object]
"""Where events go: kind, payload of plain values, ISO time. An audit log's `append` is one."""

_Seen = tuple[MarketAnalysis, ATRReading]
"""What the last bar of a symbol says."""

_BOUND = 4_096  # readings that the bounded cache keeps, one for each symbol: some 7 MB
_READING_BYTES = 1_600  # one of them, about: to weigh each (`bytes_of`) would cost more than to work it out
_OUT_OF_TIME = frozenset({DecisionStatus.EXPIRED, DecisionStatus.SAFE_ACTION})
_NEVER = -1  # the number of no call

TIMED_EVERY = 256
"""Of so many calls a monitored engine times one, where nothing else is asked for."""


class ProtocolEngine:
    """Decide about symbol-weeks by one configuration, from bars that come in one at a time.

    `provider` is asked where a human has to be; without one such a decision stays pending until `settle` is given an
    answer. `sink` is told of everything that went in and came out, in order. The memory per symbol is bounded, and so
    is the number of symbols. `optimizations` says what is done for speed; no answer depends on it. Not to be shared
    between threads without a lock; `stats` may be asked by another one at any time.

    With a `monitor` that is on, it times bars, decisions and the parts of decisions by one call in `timed_every`, and
    counts what became of them in `stats` (see `engine_metrics`); no answer depends on that either.
    """

    def __init__(
        self,
        config: EngineConfig | None = None,
        *,
        provider: DecisionProvider | None = None,
        sink: Sink | None = None,
        optimizations: EngineOptimizations | None = None,
        monitor: PerformanceMonitor | None = None,
        timed_every: int = TIMED_EVERY,
    ) -> None:
        self._config = EngineConfig() if config is None else config
        self._switches = EngineOptimizations() if optimizations is None else optimizations
        if type(self._switches) is not EngineOptimizations:
            raise InputError("optimizations", optimizations, "it must be an engine_opt.EngineOptimizations")
        self._provider = provider
        self._sink = sink
        self._tracks: dict[str, _Track] = {}
        self._atr = ATRAdjustmentSystem(self._config.atr)
        make_rules = TradingProtocolRulesEngine if self._switches.keep_rules else _ForgetfulRules
        self._rules = make_rules(self._config.rules)
        self._trust = HITLTrustSystem(self._config.trust)
        self._timers = None if monitor is None else _timers(monitor, timed_every)
        self._tally = None if self._timers is None else Tally()
        self._next_bar = _NEVER if self._timers is None else self._timers.bar_turns.next()
        self._next_decision = _NEVER if self._timers is None else self._timers.decision_turns.next()
        self._workflow, self._in_parts = self._passes()
        self._shares = self._switches.share_readings
        self._readings = _bounded_cache() if self._switches.bounded_readings else None
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
    def optimizations(self) -> EngineOptimizations:
        """What is done for speed."""
        return self._switches

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
        if self._bars == self._next_bar and self._timers is not None:
            self._update_timed(symbol, bar, vix, self._timers)
            return
        try:
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
            if self._readings is not None:
                self._readings.invalidate(symbol)
            self._bars += 1
            if self._sink is not None:
                self._sink("bar", {"symbol": symbol, "bar": dump(bar), "vix": vix}, bar.time.isoformat())
        except Exception as error:
            self._refuse(Call.UPDATE, error)
            raise

    def forget(self, symbol: str) -> None:
        """Drop the memory of a symbol; it need not be tracked."""
        self._tracks.pop(symbol, None)
        self._atr.forget(symbol)
        if self._readings is not None:
            self._readings.invalidate(symbol)

    def decide(self, request: WeekRequest) -> EngineDecision:
        """Return what is to be done about a symbol-week, and how each component came to it.

        Raises StateError for a symbol without bars, InsufficientData before the 51st bar, InputError for a request
        that contradicts itself or the bars; nothing is decided then.
        """
        if self._decisions == self._next_decision and self._timers is not None:
            return self._decide_timed(request, self._timers)
        try:
            if type(request) is not WeekRequest:
                raise InputError("request", request, "it must be an engine_opt.WeekRequest")  # noqa: TRY301 - here and below: counted as well
            track = self._tracks.get(request.symbol)
            if track is None:
                raise StateError(f"nothing is known of symbol {request.symbol!r}: update it with bars first")  # noqa: TRY301
            seen = track.seen
            if seen is None:
                seen = self._read(request.symbol, track)
            market, reading = seen
            decision = self._workflow.decide(request, market, reading, track.week_start, self._ask)
            self._decisions += 1
            if self._sink is not None:
                payload = {"request": dump(request), "decision": dump(decision)}
                self._sink("decision", payload, request.now.isoformat())
        except Exception as error:
            self._refuse(Call.DECIDE, error)
            raise
        return decision

    def settle(
        self, request: WeekRequest, decision: EngineDecision, now: datetime, answer: HumanAnswer | None = None
    ) -> EngineDecision:
        """Return a pending decision with what became of it by `now`: answered, still pending, or out of time.

        Without `answer` the provider is asked for one. Raises StateError for a decision that is not pending,
        InputError for an answer that does not belong to it.
        """
        try:
            provider = self._provider if answer is None else None
            if provider is not None:
                answer = provider.answer(decision.decision_id)
            settled = self._workflow.settle(request, decision, answer, now)
            if provider is not None and settled.status in _OUT_OF_TIME:
                provider.withdraw(decision.decision_id)
            if self._sink is not None:
                payload = {"request": dump(request), "pending": dump(decision), "decision": dump(settled)}
                self._sink("settled", payload, now.isoformat())
        except Exception as error:
            self._refuse(Call.SETTLE, error)
            raise
        if self._tally is not None:
            self._tally.settled[settled.status] += 1
        return settled

    def record(self, outcome: TrustOutcome) -> None:
        """Take how a decision turned out; this is the only way in which trust is earned or lost."""
        try:
            self._trust.record(outcome)
            if self._sink is not None:
                self._sink("outcome", {"outcome": dump(outcome)}, outcome.at.isoformat())
        except Exception as error:
            self._refuse(Call.RECORD, error)
            raise

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
        optimizations: EngineOptimizations | None = None,
        monitor: PerformanceMonitor | None = None,
        timed_every: int = TIMED_EVERY,
    ) -> ProtocolEngine:
        """Return an engine with a saved memory. Raises StateError where it was saved by another schema or config."""
        engine = cls(
            config,
            provider=provider,
            sink=sink,
            optimizations=optimizations,
            monitor=monitor,
            timed_every=timed_every,
        )
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
        engine._workflow, engine._in_parts = engine._passes()
        engine._tracks = {symbol: _Track.restore(engine.config, saved) for symbol, saved in tracks.items()}
        if set(engine._tracks) != set(engine._atr.symbols):
            raise StateError("the state knows different symbols in its parts: it is damaged, feed the bars again")
        if sink is not None:
            sink("restored", {"state": dump(state)}, None)
        return engine

    def still(self) -> AbstractContextManager[object]:
        """Return a scope for a long run, in which the collector is spared all that is alive when it is entered.

        Where `still_collector` is off, it does nothing. Entering raises StateError where the collector is frozen already.
        """
        if not self._switches.still_collector:
            return nullcontext()
        from engine_opt.optimization.memory_manager import frozen_collector

        return frozen_collector()

    def register_with(self, memory: MemoryManager, name: str = "engine") -> None:
        """Let a memory manager count what the engine remembers, and ask for what can be worked out again.

        Two consumers: `name` is what only more bars and outcomes could bring back, `name`.readings what the last bars say.
        """
        memory.register(name, self._held)
        memory.register(f"{name}.readings", self._readings_held, self.shed)

    def shed(self, fraction: float) -> int:
        """Drop a fraction of what can be worked out again, and return about how many bytes that were."""
        fraction = check.between("fraction", fraction, 0.0, 1.0, "a fraction of one")
        if self._readings is not None:
            return self._readings.shed(fraction)
        kept = [track for track in self._tracks.values() if track.seen is not None]
        gone = kept[: ceil(fraction * len(kept))]
        given = bytes_of(*(track.seen for track in gone), besides=(self._config,))
        for track in gone:
            track.seen = None
        return given

    def stats(self) -> Mapping[str, float]:
        """Return how much was done and is remembered, by name.

        Where it is monitored also `decisions.idle` and so on: what became of decisions at once; `settled`: of pending
        ones; `modes`: who had the last word; `refused`: calls that raised, by why.
        """
        own = {"bars": float(self._bars), "decisions": float(self._decisions), "symbols": float(len(self._tracks))}
        own |= {} if self._tally is None else self._tally.stats()
        parts = {"rules": self._rules.stats(), "trust": self._trust.stats(), "readings": self._readings_stats()}
        return own | {f"{part}.{name}": value for part, stats in parts.items() for name, value in stats.items()}

    def _passes(self) -> tuple[Workflow, Workflow]:
        """Return the pass, and one in which each part is timed."""
        parts = self._config, self._rules, self._trust, self._tally
        usual = Workflow(*parts)
        return usual, usual if self._timers is None else Workflow(*parts, self._timers.around)

    def _refuse(self, call: Call, error: Exception) -> None:
        if self._tally is not None:
            self._tally.refuse(call, error)

    def _update_timed(self, symbol: str, bar: Bar, vix: float | None, timers: EngineTimers) -> None:
        self._next_bar = timers.bar_turns.next()
        with timers.bar.timed():
            self.update(symbol, bar, vix)

    def _decide_timed(self, request: WeekRequest, timers: EngineTimers) -> EngineDecision:
        """Decide with a clock around the whole, or in the next turn around each part: they would be in the whole's time."""
        self._next_decision = timers.decision_turns.next()
        if timers.whole_is_next():
            with timers.decision.timed():
                return self.decide(request)
        usual, self._workflow = self._workflow, self._in_parts
        try:
            return self.decide(request)
        finally:
            self._workflow = usual

    def _read(self, symbol: str, track: _Track) -> _Seen:
        """Return what the last bar says, the same for every account and position that asks."""
        if self._readings is not None:
            return self._readings.get(symbol, self._worked_out, symbol, track)
        seen = self._worked_out(symbol, track)
        if self._shares:
            track.seen = seen
        return seen

    def _worked_out(self, symbol: str, track: _Track) -> _Seen:
        return self._workflow.readings(track.market, self._atr, symbol)

    def _readings_stats(self) -> Mapping[str, float]:
        if self._readings is not None:
            return self._readings.stats()
        return {"items": float(sum(track.seen is not None for track in tuple(self._tracks.values())))}

    def _held(self) -> int:
        """Return the bytes of what is remembered, without what can be worked out again and without the configuration."""
        seen = tuple(track.seen for track in self._tracks.values())
        return bytes_of(self._tracks, self._atr, self._trust, besides=(self._config, seen))

    def _readings_held(self) -> int:
        if self._readings is not None:
            return int(self._readings.stats()["bytes"])
        return bytes_of(*(track.seen for track in self._tracks.values()), besides=(self._config, None))

    def _ask(self, request: TrustRequest, assessment: TrustAssessment) -> HumanAnswer | None:
        if self._provider is None:
            return None
        self._provider.ask(request, assessment)
        return self._provider.answer(request.request_id)


def _timers(monitor: PerformanceMonitor, every: int) -> EngineTimers | None:
    """Return the timers of a monitor; none of one that is off."""
    from engine_opt.engine_metrics import EngineTimers  # only here: without a monitor none of it is needed

    timers = EngineTimers(monitor, every)
    return timers if monitor.enabled else None


def _bounded_cache() -> Cache:
    """Return a cache of what last bars say, by symbol. It is an engine's own: another's bars may be others."""
    from engine_opt.optimization.cache import Cache  # only here: it loads cachetools, and costs 1.5 MB

    return Cache(max_items=_BOUND, weigh=lambda _: _READING_BYTES, name="readings")


class _ForgetfulRules(TradingProtocolRulesEngine):
    """Compiles the checks anew for each decision: what the rules would cost if they did not keep them."""

    __slots__ = ()

    def _compile(self, key: tuple[Action, AccountType, str]) -> tuple[Check, ...]:
        return compile_checks(self._config, *key) + self._own


class _Track:
    """What is remembered of one symbol besides its ranges: the market's stream, and where the week began."""

    __slots__ = ("_close", "_week", "market", "seen", "week_start")

    def __init__(self, market: MarketStream) -> None:
        self.market = market
        # What the last bar says is the same for every account and position that asks.
        self.seen: _Seen | None = None
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
