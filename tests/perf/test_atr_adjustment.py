"""What Wilder's ATR and the adjustments from it cost on real bars."""

from __future__ import annotations

from engine_opt import ATRAdjustmentSystem


def warm_system(bars):
    """Return a system whose history of one symbol is full."""
    system = ATRAdjustmentSystem()
    for bar in bars[:600]:
        system.update("AAPL", bar)
    return system


def stream_year(bars):
    """Stream a year of bars into a new system, and return the reading of the last day."""
    system = ATRAdjustmentSystem()
    for bar in bars:
        system.update("AAPL", bar)
    return system.reading("AAPL")


def test_reading_and_adjustment(pe_latency, pe_memory, bars):
    """The reading of the day, and the adjustment of an account from it."""
    system = warm_system(bars)

    def decide():
        return system.adjust(system.reading("AAPL"), "GEN")

    assert pe_latency(decide)
    pe_memory(decide)


def test_stream_a_year(pe_latency, pe_memory, bars):
    """252 bars in O(1) each."""
    year = bars[500:752]
    assert pe_latency(stream_year, year)
    pe_memory(stream_year, year)


def test_update_keeps_no_memory(pe_memory, bars, days_after):
    """What is remembered is bounded: a bar that comes in keeps nothing."""
    system = warm_system(bars)
    days = days_after(bars[599])
    pe_memory["update"](lambda: system.update("AAPL", next(days)))


def test_measure_a_whole_series(pe_latency, pe_memory, bars):
    """A year at once, by the pure function."""
    system = ATRAdjustmentSystem()
    year = bars[500:752]
    assert pe_latency(system.measure, "AAPL", year)
    pe_memory(system.measure, "AAPL", year)
