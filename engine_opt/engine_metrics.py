"""Which metrics the engine has, and what the numbers mean that it and its components count.

    monitor = PerformanceMonitor()
    engine = ProtocolEngine(monitor=monitor)
    ...
    page([*monitor.snapshot(), *component_records(engine)])

Counts are exact, and kept whether anyone asks or not. Times are those of a sample, one call in `timed_every`, in turns
that go by no cycle (`counting.Turns`): a clock around each part of each decision would cost a fifth of it.

    engine_decision_seconds             whole decisions: every other one of those that are timed
    engine_component_seconds{component} the parts of the others; each holds the time of its own clock, some 0.2 us
    engine_bar_seconds                  taking in a bar

A timer's `outcome` is `error` where the call was refused. Several engines may share a monitor, and add up in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import ParamSpec, Protocol, TypeVar

from engine_opt.counting import Part, Turns
from engine_opt.errors import InputError
from engine_opt.monitoring.metrics import Kind
from engine_opt.monitoring.performance_monitor import MetricRecord, PerformanceMonitor
from engine_opt.monitoring.stat_records import Stat, StatTable

__all__ = ["TABLES", "Component", "EngineTimers", "component_records"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Component(Protocol):
    """Whatever counts what it does."""

    def stats(self) -> Mapping[str, float]:
        """Return the counts by name."""


class EngineTimers:
    """What a monitored engine times. Raises InputError for what is no monitor, and no number of calls.

    Attributes:
        bar, decision: timers of whole calls.
        bar_turns, decision_turns: which calls are timed.

    """

    def __init__(self, monitor: PerformanceMonitor, every: int) -> None:
        if not isinstance(monitor, PerformanceMonitor):
            raise InputError("monitor", monitor, "it must be a PerformanceMonitor")
        self.bar_turns, self.decision_turns = Turns(every), Turns(every)
        self.bar = monitor.timer("engine_bar_seconds", "Time to take in a bar; of a sample.")
        self.decision = monitor.timer("engine_decision_seconds", "Time of a whole decision; of a sample.")
        self._parts = monitor.timer(
            "engine_component_seconds", "Time of a component in a decision; of a sample.", labels=("component",)
        )
        self._whole = False

    def whole_is_next(self) -> bool:
        """Whether this turn is for the whole decision; the next one is then for its parts, and so on."""
        self._whole = not self._whole
        return self._whole

    def around(self, part: Part, function: Callable[_P, _R], /) -> Callable[_P, _R]:
        """Return a part that is timed."""
        return self._parts.labels(component=part).timed()(function)


def component_records(component: Component, **labels: str) -> tuple[MetricRecord, ...]:
    """Return what a component counts as metrics, with these labels: give each of several of a kind its `name`.

    Raises InputError for a component that is in none of `TABLES`, or has counts that its table does not know.
    """
    for kind in type(component).__mro__:
        if table := TABLES.get(f"{kind.__module__}.{kind.__qualname__}"):
            return table.records(component.stats(), **labels)
    raise InputError("component", component, "it is none that engine_metrics.TABLES describes")


def _counters(**texts: str) -> Iterable[Stat]:
    return (Stat(name, Kind.COUNTER, text) for name, text in texts.items())


def _gauges(**texts: str) -> Iterable[Stat]:
    return (Stat(name, Kind.GAUGE, text) for name, text in texts.items())


_CACHE = (
    *_counters(
        hits="Values that were there.",
        misses="Values that had to be loaded.",
        waits="Values that another thread was loading already.",
        evictions="Values that went for want of room, shed, or for an equal key of another type.",
        expirations="Values that went since they were too old.",
        invalidations="Values that went since they were no longer true.",
        errors="Loads that raised.",
        oversize="Values too large to keep.",
    ),
    *_gauges(items="Values held.", bytes="Bytes of the values held, as they were weighed."),
)

_RULES = (
    *(Stat("validations", None),),  # the sum of those by verdict
    *_gauges(compiled="Sets of compiled checks held."),
    Stat("<rule>.runs", Kind.COUNTER, "Decisions that a rule had something to say of."),
    Stat("<rule>.failures", Kind.COUNTER, "Decisions that a rule failed, or could not judge."),
    Stat("<rule>.warnings", Kind.COUNTER, "Decisions that a rule warned of."),
    # After the rules' own, so that a rule may be named `verdicts`.
    Stat("verdicts.<verdict>", Kind.COUNTER, "Decisions that the rules were asked about, by their verdict."),
)

_TRUST = (
    *_counters(
        outcomes="Outcomes that trust has learnt from.",
        successes="Outcomes that were good.",
        losses="Outcomes that were large losses.",
        agreed="Outcomes of which a human had agreed with the proposal.",
        disagreed="Outcomes of which a human had not agreed with the proposal.",
    ),
    Stat("level.<level>", Kind.GAUGE, "Components of kinds of decisions that stand at a level of trust."),
)

_ENGINE = (
    *_counters(bars="Bars taken in."),
    *_gauges(symbols="Symbols that are tracked."),
    Stat("decisions", None),  # the sum of those by status
    Stat("decisions.<status>", Kind.COUNTER, "Decisions made, by what became of them at once."),
    Stat("settled.<status>", Kind.COUNTER, "Pending decisions that were settled, by what became of them."),
    Stat("modes.<mode>", Kind.COUNTER, "Decisions that trust was asked about, by who had the last word."),
    Stat("refused.<call>.<why>", Kind.COUNTER, "Calls that were refused, by why."),
    *(each.inside("rules") for each in _RULES),
    *(each.inside("trust") for each in _TRUST),
    *(each.inside("readings") for each in _CACHE),
)

_POOL = (
    Stat("created", Kind.COUNTER, "Objects made.", name="made"),  # a name of its own: `_created` is the exports'
    *_counters(
        reused="Leases of an object that was there.",
        overflow="Objects made beyond the size.",
        dropped="Objects that were let go.",
        lost="Objects that went with a lease that nobody released.",
    ),
    *_gauges(
        leased="Objects on lease.",
        idle="Objects that wait.",
        most="Objects on lease or waiting at one time, at most.",
        bytes="Bytes of all objects, as they were weighed.",
        idle_bytes="Bytes of the objects that wait.",
        most_bytes="Bytes of all objects at one time, at most.",
    ),
)

_RESOURCES = (
    *_gauges(
        scopes="Scopes that are open.",
        scheduled="Scopes that are to be closed at a time.",
        open="Resources that are open.",
    ),
    *_counters(
        swept="Scopes that were closed since their time had come.",
        entered="Resources that were entered.",
        closed="Resources that were closed.",
        failed="Resources of which closing raised.",
        refused="Resources over a limit.",
    ),
    Stat("<kind>.open", Kind.GAUGE, "Resources of a kind that are open.", name="kind_open"),
    Stat("<kind>.most", Kind.GAUGE, "Resources of a kind that were open at one time, at most.", name="kind_most"),
    *(
        Stat(f"<kind>.{what}", Kind.COUNTER, f"Resources of a kind: {text}", name=f"kind_{what}")
        for what, text in {
            "entered": "entered.",
            "closed": "closed.",
            "failed": "closing raised.",
            "refused": "over a limit.",
        }.items()
    ),
)

_MEMORY = (
    *_gauges(
        budget="Bytes that the process may hold.",
        level="Level of memory: 0 normal, 1 high, 2 critical.",
        consumers="Consumers that are counted.",
        resident="Bytes resident at the last check.",
        most="Bytes resident at one time, at most.",
    ),
    *_counters(
        checks="Checks of memory.",
        asked="Requests to shed.",
        failed="Requests to shed that failed.",
        given="Bytes that consumers said they gave back.",
    ),
)

_OPTIMIZER = (
    *_gauges(on="Optimisations that are on.", off="Optimisations that are off.", components="Components taken over."),
    *_counters(
        warm_up_calls="Calls to warm up.",
        calibrations="Calibrations of the two ways.",
        chose_scalar="Choices of one row at a time.",
        chose_batch="Choices of columns.",
    ),
    Stat("<component>.<number>", None),  # theirs to show
)

_AUDIT = (
    *_gauges(
        records="Records in the file.",
        bytes="Bytes of the file.",
        unsynced="Records that are not on the disk yet.",
        repaired="Bytes cut away on opening.",
    ),
    *_counters(appended="Records appended."),
)

_MONITOR = (
    *_gauges(
        metrics="Metrics made.",
        series="Series of the metrics.",
        threads="Threads that have recorded and not ended.",
        enabled="Whether anything is recorded: 1 or 0.",
    ),
    *_counters(
        refused="Series that were asked for and did not fit.", backwards="Durations that the clock did not give."
    ),
)

_COLLECTOR = (
    *_gauges(
        pending="Collections that the store does not have yet.",
        sources="Sources that are registered.",
        running="Whether it collects by itself: 1 or 0.",
    ),
    *_counters(
        collections="Collections made.",
        samples="Samples in them.",
        refused="Numbers that no store could keep.",
        failed_sources="Sources that raised.",
        failed_collections="Collections that came to nothing.",
        written="Collections that the store has taken.",
        dropped="Collections that were given up.",
        failed_writes="Writes that failed.",
        backwards="Collections for which the clock had gone back.",
    ),
)

_STORE = (
    *_gauges(metrics="Metrics known.", series="Series known."),
    *_counters(
        writes="Writes since the store was opened.",
        collections="Collections in them.",
        samples="Samples in them.",
        failed="Writes that failed.",
        reads="Series that were read.",
    ),
)

_ALERTING = (
    *_gauges(
        rules="Rules.",
        broken="Rules that can say nothing.",
        pending="Alerts that wait.",
        firing="Alerts that fire.",
        resolved="Alerts that are over, for a day.",
        acknowledged="Alerts that somebody has acknowledged.",
        silenced="Alerts that a silence covers.",
        silences="Silences that have not ended.",
        series="Series that were judged last.",
        waiting="Deliveries on their way.",
        failed="Deliveries that failed for good.",
        uncertain="Deliveries of which nobody knows whether they arrived.",
    ),
    *_counters(
        evaluations="Evaluations made.",
        failed_evaluations="Evaluations that raised.",
        attempts="Attempts to deliver.",
        sent="Messages that arrived.",
        unwritten="Times that a delivery could not be written down.",
    ),
)

_DASHBOARD = (
    *_gauges(kept="Answers that are kept.", kept_bytes="Bytes of the answers kept.", clients="Clients that listen."),
    *_counters(
        requests="Requests answered.",
        again="Answers that were given again.",
        published="Events told.",
        dropped="Clients let go, for they did not read.",
        refused="Clients beyond those that may listen.",
    ),
)

TABLES: Mapping[str, StatTable] = MappingProxyType(
    {
        f"engine_opt.{name}": StatTable(prefix, stats)
        for name, prefix, stats in (
            ("engine.ProtocolEngine", "engine", _ENGINE),
            ("protocol.trading_protocol_rules.TradingProtocolRulesEngine", "rules", _RULES),
            ("protocol.hitl_trust.HITLTrustSystem", "trust", _TRUST),
            ("audit.jsonl.JsonLinesAudit", "audit", _AUDIT),
            ("audit.sqlite.SqliteAudit", "audit", _AUDIT),
            ("optimization.cache.Cache", "cache", _CACHE),
            (
                "optimization.cache_manager.CacheManager",
                "caches",
                (*_gauges(caches="Caches made."), *_CACHE, *(each.inside("<cache>") for each in _CACHE)),
            ),
            ("optimization.object_pool.ObjectPool", "pool", _POOL),
            ("optimization.resource_manager.ResourceManager", "resources", _RESOURCES),
            ("optimization.memory_manager.MemoryManager", "memory", _MEMORY),
            ("optimization.performance_optimizer.PerformanceOptimizer", "optimizer", _OPTIMIZER),
            ("monitoring.performance_monitor.PerformanceMonitor", "monitor", _MONITOR),
            ("monitoring.metrics_collector.MetricsCollector", "collector", _COLLECTOR),
            ("monitoring.store.series_store.SeriesStore", "store", _STORE),
            ("monitoring.alerting_system.AlertingSystem", "alerting", _ALERTING),
            ("monitoring.dashboard_backend.Dashboard", "dashboard", _DASHBOARD),
        )
    }
)
"""What the numbers of each component mean, by the full name of its class."""
