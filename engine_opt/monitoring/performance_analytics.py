"""What monitored series say: windows, trends, anomalies, changes of level, forecasts, and what a change did.

    found = trend(points)
    if found.verdict is TrendVerdict.RISING: ...

Functions of plain sequences of (time in seconds, value), or of values in the order of time; results are immutable.
There is no clock in here, no input or output, and nothing random. Each answer has a stated rate of false ones on clean
data (docs/optimization/analytics.md). What is not a finite number is refused with InputError, too few points with
InsufficientData; no function answers with a default.
"""

from __future__ import annotations

from engine_opt.monitoring.analytics._series import Point
from engine_opt.monitoring.analytics.anomalies import Anomalies, Anomaly, Scale, anomalies
from engine_opt.monitoring.analytics.changes import Change, changes
from engine_opt.monitoring.analytics.forecast import Forecast, ForecastVerdict, Limit, forecast
from engine_opt.monitoring.analytics.impact import Impact, ImpactVerdict, impact, paired_impact
from engine_opt.monitoring.analytics.rolling import WindowQuantiles, WindowRate, rates, rolling_quantiles
from engine_opt.monitoring.analytics.trend import Line, Trend, TrendVerdict, trend

__all__ = [
    "Anomalies",
    "Anomaly",
    "Change",
    "Forecast",
    "ForecastVerdict",
    "Impact",
    "ImpactVerdict",
    "Limit",
    "Line",
    "Point",
    "Scale",
    "Trend",
    "TrendVerdict",
    "WindowQuantiles",
    "WindowRate",
    "anomalies",
    "changes",
    "forecast",
    "impact",
    "paired_impact",
    "rates",
    "rolling_quantiles",
    "trend",
]
