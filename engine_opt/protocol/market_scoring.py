"""From one session's metrics to a condition, a regime and a risk: pure functions and their configuration.

Two scorings. `standard` counts every term in its own standard deviations. `original` keeps the formula of the engine
that this one replaces, but feeds it correct metrics; it exists to be compared with.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from math import exp, sqrt, tanh
from typing import Literal, NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import ConfigError, InputError
from engine_opt.model import (
    Direction,
    MarketAnalysis,
    MarketConditionKind,
    MarketMetrics,
    MarketRegime,
    MarketRiskLevel,
    MomentumStrength,
    VolatilityRegime,
)
from engine_opt.protocol.indicators import SESSIONS_PER_YEAR

CONDITIONS = tuple(MarketConditionKind)
_NEUTRAL = CONDITIONS.index(MarketConditionKind.NEUTRAL)
_YEAR = sqrt(SESSIONS_PER_YEAR)
_ROOT_5, _ROOT_20 = sqrt(5.0), sqrt(20.0)

_VOLATILITY_REGIMES = tuple(VolatilityRegime)
_MOMENTUM_STRENGTHS = tuple(MomentumStrength)
# Looked up in every decision: a member found in its class costs several times what a global costs.
_FALLING, _STABLE, _RISING = Direction
_WILD, _QUIET, _TRENDING, _RANGE_BOUND, _BULL, _BEAR, _SIDEWAYS = MarketRegime
_LOW, _MODERATE, _HIGH, _EXTREME = MarketRiskLevel
VOLATILITY_LIMITS = (0.25, 0.35, 0.50)  # a limit itself belongs below


class Levels(NamedTuple):
    """What counts as much, in the units that a scoring has its momentum and trend in."""

    trending: float
    range_bound: float
    trend: float
    momentum: tuple[float, float, float]  # weak, moderate, strong
    risky_momentum: float
    risky_trend: float
    strong_month: float


# The trend is a t-statistic over 20 closes. A driftless random walk stays below 1.4 in a fifth of all windows and goes
# beyond 7.5 in another fifth (200,000 simulated walks): closes are not independent, so Student's table does not apply.
STANDARD_LEVELS = Levels(7.5, 1.4, 1.4, (0.5, 1.0, 2.0), 2.0, 10.0, 1.0)
ORIGINAL_LEVELS = Levels(0.6, 0.2, 0.3, (0.3, 0.5, 0.7), 0.7, 0.8, 0.10)
ORIGINAL_CUTS = (-0.05, -0.02, -0.005, 0.005, 0.02, 0.05)
_ORIGINAL_DISTRIBUTION = (0.05, 0.15, 0.20, 0.20, 0.20, 0.15, 0.05)


@dataclass(frozen=True, slots=True)
class MarketConfig:
    """How the market is scored.

    `weights` are those of price change, momentum and VIX; `change_weights` those of 1, 5 and 20 sessions within the
    first. `cuts` part neutral, neutral_*, plain and extremely_* conditions, the same on both sides. `temperature` is
    how far, in units of the score, classes blur into each other. `cap` limits a single term, in standard deviations.
    `volatility_floor` keeps a market that hardly moved from being all signal.
    VIX is judged against its own last `vix_window` values and needs `vix_history` of them.
    """

    scoring: Literal["standard", "original"] = "standard"
    weights: tuple[float, float, float] = (0.4, 0.3, 0.3)
    change_weights: tuple[float, float, float] = (0.4, 0.4, 0.2)
    cuts: tuple[float, float, float] = (0.3, 0.8, 1.5)
    temperature: float = 0.4
    cap: float = 4.0
    volatility_floor: float = 0.01
    trend_window: int = 20
    vix_window: int = 252
    vix_history: int = 60

    def __post_init__(self) -> None:
        if self.scoring not in ("standard", "original"):
            raise ConfigError(f"scoring={self.scoring!r} is not known: choose 'standard' or 'original'")
        for name in ("weights", "change_weights"):
            if len(values := getattr(self, name)) != 3 or min(values) < 0.0 or not sum(values) > 0.0:
                raise ConfigError(f"{name}={values} must be three numbers, none negative, not all 0")
        if not sum(self.weights[:2]) > 0.0:
            raise ConfigError(f"weights={self.weights} leave nothing where VIX is not known")
        for name in ("temperature", "cap", "volatility_floor"):
            check.positive(name, getattr(self, name))
        a, b, c = self.cuts
        if not 0.0 < a < 2.0 * a < b < 2.0 * (b - a) < c:
            raise ConfigError(
                f"cuts={self.cuts} leave a class without a centre: each cut lies midway between two centres, "
                "so 0 < a, 2a < b and b < 2(b - a) < c must hold"
            )
        if not 3 <= self.trend_window <= 26:  # a line needs 3; the analyzer keeps 26 closes
            raise ConfigError(f"trend_window={self.trend_window} must be between 3 and 26 sessions")
        if not 2 <= self.vix_history <= self.vix_window:  # a spread needs two values
            raise ConfigError(f"vix_history={self.vix_history} must be between 2 and vix_window={self.vix_window}")

    @classmethod
    def original(cls) -> MarketConfig:
        """Return the scoring of the engine that this one replaces: trend over 10 sessions, VIX required."""
        return cls(scoring="original", trend_window=10)


def class_centres(cuts: tuple[float, float, float]) -> tuple[float, ...]:
    """Return the score at the centre of each condition: every cut lies midway between two of them."""
    a, b, c = cuts
    right = (2.0 * a, 2.0 * (b - a), 2.0 * (c - b + a))
    return (-right[2], -right[1], -right[0], 0.0, *right)


def assess(time: date, metrics: MarketMetrics, config: MarketConfig, centres: tuple[float, ...]) -> MarketAnalysis:
    """Return the analysis of one session; `centres` are those of the config's cuts, worked out once."""
    if config.scoring == "original":
        return _assess_original(time, metrics)
    return _assess_standard(time, metrics, config, centres)


def _assess_standard(
    time: date, metrics: MarketMetrics, config: MarketConfig, centres: tuple[float, ...]
) -> MarketAnalysis:
    cap = config.cap
    daily = max(metrics.volatility_20, config.volatility_floor) / _YEAR
    month = metrics.change_20 / (daily * _ROOT_20)
    day_weight, week_weight, month_weight = config.change_weights
    change = (
        day_weight * _capped(metrics.change_1 / daily, cap)
        + week_weight * _capped(metrics.change_5 / (daily * _ROOT_5), cap)
        + month_weight * _capped(month, cap)
    ) / (day_weight + week_weight + month_weight)
    a, b, c = config.weights
    fear = metrics.vix_deviation
    if fear is None:
        c = fear = 0.0
    total = a + b + c
    weights = (a / total, b / total, c / total)
    score = weights[0] * change + weights[1] * _capped(metrics.momentum, cap) - weights[2] * _capped(fear, cap)

    step = bisect_left(config.cuts, abs(score))  # a cut itself belongs to the milder side, on both sides
    index = _NEUTRAL + step if score > 0.0 else _NEUTRAL - step
    distribution = _distribution(score, centres, config.temperature, index)
    trend = metrics.trend_t
    points, risk = _risk(metrics, metrics.momentum, trend, STANDARD_LEVELS)
    return MarketAnalysis(
        time,
        CONDITIONS[index],
        _regime(metrics.volatility_20, trend, month, STANDARD_LEVELS),
        distribution[index],
        score,
        weights,
        distribution,
        risk,
        points,
        _VOLATILITY_REGIMES[bisect_left(VOLATILITY_LIMITS, metrics.volatility_20)],
        _direction(trend, STANDARD_LEVELS.trend),
        _MOMENTUM_STRENGTHS[bisect_left(STANDARD_LEVELS.momentum, abs(metrics.momentum))],
        metrics,
        "standard",
    )


def _distribution(score: float, centres: tuple[float, ...], temperature: float, index: int) -> tuple[float, ...]:
    """Return softmax over the squared distances to the class centres; the largest is the one at `index`."""
    scale = -0.5 / (temperature * temperature)
    nearest = score - centres[index]
    best = scale * nearest * nearest
    weights = [exp(scale * (score - centre) * (score - centre) - best) for centre in centres]
    top = max(weights)
    if weights[index] < top:  # on a cut both neighbours are equal but for rounding: the condition decides
        other = weights.index(top)
        weights[index], weights[other] = top, weights[index]
    total = sum(weights)
    return tuple([weight / total for weight in weights])


def _assess_original(time: date, metrics: MarketMetrics) -> MarketAnalysis:
    vix = metrics.vix
    if vix is None:
        raise InputError("vix", None, "the original scoring cannot do without it: give VIX, or use scoring='standard'")
    week = metrics.change_5
    momentum, trend = tanh(10.0 * week), tanh(10.0 * metrics.trend_slope)
    change = 0.4 * metrics.change_1 + 0.4 * week + 0.2 * metrics.change_20
    score = 0.5 * change + 0.3 * momentum + 0.2 * (30.0 - vix) / 30.0
    condition = CONDITIONS[bisect_left(ORIGINAL_CUTS, score)]
    points, risk = _risk(metrics, momentum, trend, ORIGINAL_LEVELS)
    return MarketAnalysis(
        time,
        condition,
        _regime(metrics.volatility_20, trend, metrics.change_20, ORIGINAL_LEVELS),
        _original_confidence(metrics, condition, momentum, trend, vix),
        score,
        (0.5, 0.3, 0.2),
        original_distribution(momentum, metrics.volatility_20),
        risk,
        points,
        _VOLATILITY_REGIMES[bisect_left(VOLATILITY_LIMITS, metrics.volatility_20)],
        _direction(trend, ORIGINAL_LEVELS.trend),
        _MOMENTUM_STRENGTHS[bisect_left(ORIGINAL_LEVELS.momentum, abs(momentum))],
        metrics,
        "original",
    )


def _original_confidence(
    metrics: MarketMetrics, condition: MarketConditionKind, momentum: float, trend: float, vix: float
) -> float:
    changes = (metrics.change_1, metrics.change_5, metrics.change_20)
    bullish = CONDITIONS.index(condition) > _NEUTRAL
    bearish = CONDITIONS.index(condition) < _NEUTRAL
    tenths = 5  # counted in whole tenths: sums of 0.1 are not
    tenths += 3 * (min(changes) > 0.0 or max(changes) < 0.0)
    tenths += 2 * (abs(momentum) > 0.5)  # the original's figures, here and below
    tenths += 2 * (abs(trend) > 0.5)
    tenths += metrics.volume_ratio is not None and metrics.volume_ratio > 1.2
    tenths += metrics.rsi > 70.0 or metrics.rsi < 30.0
    tenths += (bullish and vix < 20.0) or (bearish and vix > 30.0)
    return min(tenths / 10.0, 0.95)


def original_distribution(momentum: float, volatility: float) -> tuple[float, ...]:
    """Return the original's seven shares; they do not know its condition."""
    shares = list(_ORIGINAL_DISTRIBUTION)
    if abs(momentum) > 0.5:  # the original's figures
        for index in (-1, -2) if momentum > 0.0 else (0, 1):
            shares[index] += 0.1
    if volatility > 0.35:
        shares[0] += 0.05
        shares[-1] += 0.05
    shares = [min(share, 0.8) for share in shares]
    total = sum(shares)
    return tuple([share / total for share in shares])


def _regime(volatility: float, trend: float, month: float, levels: Levels) -> MarketRegime:
    """Return the first regime that fits, in this order; `month` is the 20-session change in the scoring's units."""
    size = abs(trend)
    if volatility > 0.35:  # annualised
        return _WILD
    if volatility < 0.15:
        return _QUIET
    if size > levels.trending:
        return _TRENDING
    if size < levels.range_bound:
        return _RANGE_BOUND
    if abs(month) > levels.strong_month:
        return _BULL if month > 0.0 else _BEAR
    return _SIDEWAYS


def _risk(metrics: MarketMetrics, momentum: float, trend: float, levels: Levels) -> tuple[int, MarketRiskLevel]:
    """Return risk in whole points and its level; the level is judged by the share of points that were on offer.

    Whole, because three times 0.2 exceeds 0.6 in floats and two times 0.3 does not. On offer are 10 points: 3 for
    volatility, 3 for VIX, 2 for momentum, 1 each for trend and volume; VIX and volume only where they are known.
    """
    points, offered = 0, 6
    volatility, vix, volume = metrics.volatility_20, metrics.vix, metrics.volume_ratio
    points += 3 if volatility > 0.35 else 2 if volatility > 0.25 else 0  # the table of points
    points += 2 if abs(momentum) > levels.risky_momentum else 0
    points += 1 if abs(trend) > levels.risky_trend else 0
    if vix is not None:
        offered += 3
        points += 3 if vix > 35.0 else 2 if vix > 25.0 else 0
    if volume is not None:
        offered += 1
        points += 1 if volume > 2.0 else 0
    share = 10 * points
    if share > 6 * offered:
        return points, _EXTREME
    if share > 4 * offered:
        return points, _HIGH
    return points, _MODERATE if share > 2 * offered else _LOW


def _direction(value: float, threshold: float) -> Direction:
    if value > threshold:
        return _RISING
    return _FALLING if value < -threshold else _STABLE


def _capped(value: float, cap: float) -> float:
    if value > cap:
        return cap
    if value < -cap:
        return -cap
    return value
