"""What the market is doing: thirteen indicators from the whole history, one score, seven conditions.

standard: every term in its own standard deviations, none beyond `cap`;
          score = weights of price change, momentum and VIX (0.4, 0.3, 0.3), VIX counting against the market.
original: score = 0.5 (0.4 ch1 + 0.4 ch5 + 0.2 ch20) + 0.3 momentum + 0.2 (30 - VIX)/30,
          momentum = tanh(10 ch5), trend = tanh(10 slope/mean): the formula of the engine that this one replaces, on
          correct indicators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import exp, sqrt, tanh
from statistics import fmean, median

from engine_opt.errors import InputError, InsufficientData
from engine_opt.model import (
    Bar,
    Direction,
    MarketAnalysis,
    MarketConditionKind,
    MarketMetrics,
    MarketRegime,
    MarketRiskLevel,
    MomentumStrength,
    VolatilityRegime,
)
from engine_opt.protocol.market_scoring import MarketConfig
from engine_opt.reference import indicators

K = MarketConditionKind
BULLISH = (K.NEUTRAL_BULLISH, K.BULLISH, K.EXTREMELY_BULLISH)
BEARISH = (K.NEUTRAL_BEARISH, K.BEARISH, K.EXTREMELY_BEARISH)
NEEDED = 35  # closes: the signal line of the MACD is there from the 34th on


def analyze(
    bars: Iterable[Bar], vix: Sequence[float | None] | None = None, config: MarketConfig | None = None
) -> MarketAnalysis:
    """Return the analysis at the close of the last bar; `vix` holds one value, or None, for each bar.

    Raises InsufficientData for fewer than 35 bars, InputError where there is not a value of VIX for each bar, or where
    the original scoring has none at the last.
    """
    config = config or MarketConfig()
    series = list(bars)
    if len(series) < NEEDED:
        raise InsufficientData(NEEDED, len(series), "bars")
    fears = [None] * len(series) if vix is None else list(vix)
    if len(fears) != len(series):
        raise InputError("vix", len(fears), f"there are {len(series)} bars")
    metrics = measured(series, fears, config)
    if config.scoring == "original":
        return _original(series[-1], metrics)
    return _standard(series[-1], metrics, config)


def measured(bars: Sequence[Bar], vix: Sequence[float | None], config: MarketConfig) -> MarketMetrics:
    """Return the indicators at the end of a series."""
    closes = [bar.close for bar in bars]
    week, year = indicators.change(closes, 5), indicators.volatility(closes, 20)
    trend = closes[-config.trend_window :]
    line, signal = indicators.macd(closes, 12, 26, 9)
    return MarketMetrics(
        close=closes[-1],
        change_1=indicators.change(closes, 1),
        change_5=week,
        change_20=indicators.change(closes, 20),
        volatility_5=indicators.volatility(closes, 5),
        volatility_20=year,
        parkinson_20=indicators.parkinson(bars, 20),
        rsi=indicators.rsi(closes, 14),
        macd=line,
        macd_signal=signal,
        bollinger=indicators.bollinger(closes, 20),
        trend_slope=indicators.slope(trend) / fmean(trend),
        trend_t=indicators.slope_t(trend),
        momentum=week / (max(year, config.volatility_floor) * sqrt(5.0 / 252.0)),
        volume_ratio=indicators.volume_ratio(bars, 20),
        vix=vix[-1],
        vix_deviation=_fear(vix, config),
    )


def _fear(vix: Sequence[float | None], config: MarketConfig) -> float | None:
    """Return (last - median)/(1.4826 x median absolute deviation) among the known values before the last.

    1.4826 makes it a standard deviation where values are normal. None where there is no value, no history, no spread.
    """
    last = vix[-1]
    before = [value for value in vix[:-1] if value is not None][-config.vix_window :]
    if last is None or len(before) < config.vix_history:
        return None
    centre = median(before)
    spread = 1.4826 * median(abs(value - centre) for value in before)
    return None if spread == 0.0 else (last - centre) / spread


# --- standard ----------------------------------------------------------------------------------------------------------


def _standard(bar: Bar, metrics: MarketMetrics, config: MarketConfig) -> MarketAnalysis:
    day = max(metrics.volatility_20, config.volatility_floor) / sqrt(252.0)  # one standard deviation of one session
    day_weight, week_weight, month_weight = config.change_weights
    month = metrics.change_20 / (day * sqrt(20.0))
    change = (
        day_weight * _limited(metrics.change_1 / day, config.cap)
        + week_weight * _limited(metrics.change_5 / (day * sqrt(5.0)), config.cap)
        + month_weight * _limited(month, config.cap)
    ) / (day_weight + week_weight + month_weight)

    a, b, c = config.weights
    if metrics.vix_deviation is None:  # the others share its weight
        weights, fear = (a / (a + b), b / (a + b), 0.0), 0.0
    else:
        weights, fear = (a / (a + b + c), b / (a + b + c), c / (a + b + c)), metrics.vix_deviation
    score = (
        weights[0] * change
        + weights[1] * _limited(metrics.momentum, config.cap)
        - weights[2] * _limited(fear, config.cap)
    )
    condition = _condition(score, config.cuts)
    distribution = _distribution(score, condition, config)
    trend, size = metrics.trend_t, abs(metrics.momentum)
    points, offered = _risk_points(metrics, strong_momentum=size > 2.0, strong_trend=abs(trend) > 10.0)
    return MarketAnalysis(
        time=bar.time,
        condition=condition,
        regime=_regime(metrics.volatility_20, trend, month, trending=7.5, range_bound=1.4, strong=1.0),
        confidence=distribution[list(K).index(condition)],
        score=score,
        weights=weights,
        distribution=distribution,
        risk_level=_risk_level(points, offered),
        risk_points=points,
        volatility_regime=_volatility_regime(metrics.volatility_20),
        trend=_direction(trend, 1.4),
        momentum_strength=_strength(size, 0.5, 1.0, 2.0),
        metrics=metrics,
        scoring="standard",
    )


def _condition(score: float, cuts: tuple[float, float, float]) -> MarketConditionKind:
    """Return the condition of a score; a cut itself belongs to the milder one, on both sides."""
    a, b, c = cuts
    if score > c:
        return K.EXTREMELY_BULLISH
    if score > b:
        return K.BULLISH
    if score > a:
        return K.NEUTRAL_BULLISH
    if score >= -a:
        return K.NEUTRAL
    if score >= -b:
        return K.NEUTRAL_BEARISH
    if score >= -c:
        return K.BEARISH
    return K.EXTREMELY_BEARISH


def _distribution(score: float, condition: MarketConditionKind, config: MarketConfig) -> tuple[float, ...]:
    """Return p proportional to exp(-(score - centre)^2 / (2 temperature^2)), worst condition first.

    The centres lie so that each cut is midway between two: 0, 2a, 2(b - a), 2(c - b + a), and the same below 0.
    On a cut two conditions are equally likely, and rounding must not put the one that was not chosen first.
    """
    a, b, c = config.cuts
    right = [2.0 * a, 2.0 * (b - a), 2.0 * (c - b + a)]
    centres = [-right[2], -right[1], -right[0], 0.0, *right]
    exponents = [-((score - centre) ** 2) / (2.0 * config.temperature**2) for centre in centres]
    largest = max(exponents)  # all of them could be so small that exp is 0: only their differences count
    weights = [exp(exponent - largest) for exponent in exponents]
    chosen, likeliest = list(K).index(condition), weights.index(max(weights))
    if weights[chosen] < weights[likeliest]:
        weights[chosen], weights[likeliest] = weights[likeliest], weights[chosen]
    return tuple(weight / sum(weights) for weight in weights)


def _limited(value: float, cap: float) -> float:
    return max(-cap, min(value, cap))


# --- original ----------------------------------------------------------------------------------------------------------


def _original(bar: Bar, metrics: MarketMetrics) -> MarketAnalysis:
    vix = metrics.vix
    if vix is None:
        raise InputError("vix", None, "the original scoring cannot do without it")
    momentum, trend = tanh(10.0 * metrics.change_5), tanh(10.0 * metrics.trend_slope)
    changes = 0.4 * metrics.change_1 + 0.4 * metrics.change_5 + 0.2 * metrics.change_20
    score = 0.5 * changes + 0.3 * momentum + 0.2 * (30.0 - vix) / 30.0
    condition = _original_condition(score)
    points, offered = _risk_points(metrics, strong_momentum=abs(momentum) > 0.7, strong_trend=abs(trend) > 0.8)
    return MarketAnalysis(
        time=bar.time,
        condition=condition,
        regime=_regime(metrics.volatility_20, trend, metrics.change_20, trending=0.6, range_bound=0.2, strong=0.10),
        confidence=_original_confidence(metrics, condition, momentum, trend, vix),
        score=score,
        weights=(0.5, 0.3, 0.2),
        distribution=_original_distribution(momentum, metrics.volatility_20),
        risk_level=_risk_level(points, offered),
        risk_points=points,
        volatility_regime=_volatility_regime(metrics.volatility_20),
        trend=_direction(trend, 0.3),
        momentum_strength=_strength(abs(momentum), 0.3, 0.5, 0.7),
        metrics=metrics,
        scoring="original",
    )


def _original_condition(score: float) -> MarketConditionKind:
    """Return the condition of the original's score; here a cut belongs to the worse condition, on both sides."""
    if score > 0.05:
        return K.EXTREMELY_BULLISH
    if score > 0.02:
        return K.BULLISH
    if score > 0.005:
        return K.NEUTRAL_BULLISH
    if score > -0.005:
        return K.NEUTRAL
    if score > -0.02:
        return K.NEUTRAL_BEARISH
    if score > -0.05:
        return K.BEARISH
    return K.EXTREMELY_BEARISH


def _original_confidence(
    metrics: MarketMetrics, condition: MarketConditionKind, momentum: float, trend: float, vix: float
) -> float:
    changes = (metrics.change_1, metrics.change_5, metrics.change_20)
    confidence = Fraction(5, 10)
    if all(c > 0.0 for c in changes) or all(c < 0.0 for c in changes):
        confidence += Fraction(3, 10)
    if abs(momentum) > 0.5:
        confidence += Fraction(2, 10)
    if abs(trend) > 0.5:
        confidence += Fraction(2, 10)
    if metrics.volume_ratio is not None and metrics.volume_ratio > 1.2:
        confidence += Fraction(1, 10)
    if metrics.rsi > 70.0 or metrics.rsi < 30.0:
        confidence += Fraction(1, 10)
    if (condition in BULLISH and vix < 20.0) or (condition in BEARISH and vix > 30.0):
        confidence += Fraction(1, 10)
    return float(min(confidence, Fraction(95, 100)))


def _original_distribution(momentum: float, volatility: float) -> tuple[float, ...]:
    shares = [0.05, 0.15, 0.20, 0.20, 0.20, 0.15, 0.05]
    if momentum > 0.5:
        shares[5] += 0.1
        shares[6] += 0.1
    if momentum < -0.5:
        shares[0] += 0.1
        shares[1] += 0.1
    if volatility > 0.35:
        shares[0] += 0.05
        shares[6] += 0.05
    shares = [min(share, 0.8) for share in shares]
    return tuple(share / sum(shares) for share in shares)


# --- both --------------------------------------------------------------------------------------------------------------


def _regime(
    volatility: float, trend: float, month: float, *, trending: float, range_bound: float, strong: float
) -> MarketRegime:
    if volatility > 0.35:
        return MarketRegime.HIGH_VOLATILITY
    if volatility < 0.15:
        return MarketRegime.LOW_VOLATILITY
    if abs(trend) > trending:
        return MarketRegime.TRENDING
    if abs(trend) < range_bound:
        return MarketRegime.RANGE_BOUND
    if month > strong:
        return MarketRegime.BULL
    if month < -strong:
        return MarketRegime.BEAR
    return MarketRegime.SIDEWAYS


def _risk_points(metrics: MarketMetrics, *, strong_momentum: bool, strong_trend: bool) -> tuple[int, int]:
    """Return the points that the market has, and those it could have had from what is known of it."""
    points, offered = 0, 3 + 2 + 1
    if metrics.volatility_20 > 0.35:
        points += 3
    elif metrics.volatility_20 > 0.25:
        points += 2
    if strong_momentum:
        points += 2
    if strong_trend:
        points += 1
    if metrics.vix is not None:
        offered += 3
        if metrics.vix > 35.0:
            points += 3
        elif metrics.vix > 25.0:
            points += 2
    if metrics.volume_ratio is not None:
        offered += 1
        if metrics.volume_ratio > 2.0:
            points += 1
    return points, offered


def _risk_level(points: int, offered: int) -> MarketRiskLevel:
    share = Fraction(points, offered)
    if share > Fraction(6, 10):
        return MarketRiskLevel.EXTREME
    if share > Fraction(4, 10):
        return MarketRiskLevel.HIGH
    if share > Fraction(2, 10):
        return MarketRiskLevel.MODERATE
    return MarketRiskLevel.LOW


def _volatility_regime(volatility: float) -> VolatilityRegime:
    if volatility > 0.50:
        return VolatilityRegime.EXTREME
    if volatility > 0.35:
        return VolatilityRegime.HIGH
    if volatility > 0.25:
        return VolatilityRegime.NORMAL
    return VolatilityRegime.LOW


def _direction(value: float, threshold: float) -> Direction:
    if value > threshold:
        return Direction.RISING
    if value < -threshold:
        return Direction.FALLING
    return Direction.STABLE


def _strength(size: float, weak: float, moderate: float, strong: float) -> MomentumStrength:
    if size > strong:
        return MomentumStrength.STRONG
    if size > moderate:
        return MomentumStrength.MODERATE
    if size > weak:
        return MomentumStrength.WEAK
    return MomentumStrength.NEGLIGIBLE
