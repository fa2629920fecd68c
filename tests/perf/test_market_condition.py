"""What it costs to analyse a real market, bar by bar and as a whole."""

from __future__ import annotations

from engine_opt import MarketConditionAnalyzer


def warm_stream(bars):
    """Return a stream that has seen two years, so that its windows are full."""
    stream = MarketConditionAnalyzer().stream()
    for bar in bars[:500]:
        stream.update(bar, 20.0)
    return stream


def analyse_year(bars):
    """Stream a year of bars with the analysis of each day, and return the last."""
    stream = MarketConditionAnalyzer().stream()
    for bar in bars:
        stream.update(bar, 20.0)
        if stream.ready:
            answer = stream.analysis()
    return answer


def test_analysis_of_the_day(pe_latency, pe_memory, bars):
    """Metrics, condition, regime, risk and distribution from a stream that is up to date."""
    stream = warm_stream(bars)
    assert pe_latency(stream.analysis).condition
    pe_memory(stream.analysis)


def test_stream_a_year(pe_latency, pe_memory, bars):
    """252 bars from an empty stream, with an analysis after each."""
    year = bars[500:752]
    assert pe_latency(analyse_year, year).condition
    pe_memory(analyse_year, year)


def test_update_keeps_no_memory(pe_memory, bars, days_after):
    """What is remembered is bounded: a bar that comes in keeps nothing."""
    stream = warm_stream(bars)
    days = days_after(bars[599])
    pe_memory["update"](lambda: stream.update(next(days), 20.0))


def test_analyse_a_whole_series(pe_latency, pe_memory, bars):
    """A year at once, without a stream."""
    analyzer = MarketConditionAnalyzer()
    year = bars[500:752]
    assert pe_latency(analyzer.analyze, year).condition
    pe_memory(analyzer.analyze, year)
