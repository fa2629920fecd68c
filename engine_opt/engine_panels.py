"""What the dashboard shows of an engine, and of the process that it runs in."""

from __future__ import annotations

from functools import partial

from engine_opt.monitoring.dashboard.queries import Panel, Target

_QUANTILES = ("p50", "p99", "p99.9")
_LOOKUPS = ("engine_readings_hits", "engine_readings_misses", "engine_readings_waits")


def engine_panels(*, seconds: float = 60.0, memory_target: float | None = None) -> tuple[Panel, ...]:
    """Return the panels of what `engine_metrics` and `ProcessMetrics` tell.

    The numbers beside the charts are of the last `seconds`; `memory_target` draws a line at so many bytes. Readings are
    counted by engines with `bounded_readings` only. Raises InputError for a time that is not positive.
    """
    target = None if memory_target is None else Target(memory_target, f"target {memory_target / 1e6:g} MB")
    flow = partial(Panel, seconds=seconds, group="Throughput", stats=("rate",), unit="1/s")
    time = partial(Panel, seconds=seconds, group="Latency", stats=_QUANTILES, unit="s")
    kept = partial(Panel, seconds=seconds, group="Caches and pools")
    process = partial(Panel, seconds=seconds, group="Process")
    return (
        flow("decisions", "Decisions", "engine_decisions", by=()),
        flow("outcomes", "Decisions by outcome", "engine_decisions", by=("status",)),
        flow("bars", "Bars taken in", "engine_bars", by=()),
        time("decision", "A whole decision", "engine_decision_seconds", by=()),
        time("parts", "Parts of a decision", "engine_component_seconds", by=("component",)),
        time("bar", "Taking in a bar", "engine_bar_seconds", by=()),
        kept("hits", "Readings found", "engine_readings_hits", ("share",), "share", by=(), of=_LOOKUPS),
        kept("stale", "Readings out of date", "engine_readings_invalidations", ("share",), "share", by=(), of=_LOOKUPS),
        kept("leased", "Pooled objects on lease", "pool_leased", ("value",), "1", by=("name",)),
        process("resident", "Memory in use", "process_resident_memory_bytes", ("value",), "B", target=target),
        process("pauses", "Pauses by the collector", "process_gc_pause_seconds", ("p50", "p99", "max"), "s", by=()),
        process("processor", "Processor time", "process_cpu_share", ("value",), "share"),
    )
