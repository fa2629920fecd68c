"""From columns of metrics to conditions, regimes and risks: `protocol.market_scoring` over columns.

The steps are those of the scalar form. Rows where a number stands so near to a limit that the last bit of a sum or a
logarithm could decide are named in `close_calls`; the caller asks the scalar form about them.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine_opt.batch.columns import Codes, Flags, Floats
from engine_opt.batch.market_metrics import MetricsColumns
from engine_opt.errors import InputError
from engine_opt.model import (
    Direction,
    MarketConditionKind,
    MarketRegime,
    MarketRiskLevel,
    MomentumStrength,
    VolatilityRegime,
)
from engine_opt.protocol.indicators import SESSIONS_PER_YEAR
from engine_opt.protocol.market_scoring import (
    ORIGINAL_CUTS,
    ORIGINAL_LEVELS,
    STANDARD_LEVELS,
    VOLATILITY_LIMITS,
    Levels,
    MarketConfig,
    class_centres,
    original_distribution,
)

CONDITIONS = tuple(MarketConditionKind)
REGIMES, RISKS = tuple(MarketRegime), tuple(MarketRiskLevel)
VOLATILITIES, STRENGTHS, DIRECTIONS = tuple(VolatilityRegime), tuple(MomentumStrength), tuple(Direction)
_NEUTRAL = CONDITIONS.index(MarketConditionKind.NEUTRAL)
_YEAR = sqrt(SESSIONS_PER_YEAR)
_ROOT_5, _ROOT_20 = sqrt(5.0), sqrt(20.0)
_CLOSE = 1e-9  # share of a limit: a million times what the two forms can differ by
_REGIME_VOLATILITIES = (0.15, 0.35)
_RISKY_VOLATILITIES = (0.25, 0.35)
_RISKY_FEARS = (25.0, 35.0)
_OFFERED = (6, 7, 9, 10)  # points: without VIX and volume, with volume, with VIX, with both


class Scores(NamedTuple):
    """The columns of an analysis, and the rows that are too close to call."""

    condition: Codes
    regime: Codes
    confidence: Floats
    score: Floats
    weights: Floats
    distribution: Floats
    risk_level: Codes
    risk_points: Codes
    volatility_regime: Codes
    trend: Codes
    momentum_strength: Codes
    close_calls: NDArray[np.intp]


def assess(
    metrics: MetricsColumns, config: MarketConfig, first: int = 0, start: int = 0, *, exact_volumes: bool = False
) -> Scores:
    """Return the analysis of each session; the rows before `first`, whose metrics are not defined, mean nothing.

    `start` is what the caller calls the first row, for the error where the original scoring lacks a VIX. Where volume
    ratios are exact, as sums of whole numbers are, a ratio on a limit is no close call.
    """
    with np.errstate(invalid="ignore"):  # comparisons with NaN, which is what is not known
        if config.scoring == "standard":
            return _standard(metrics, config, exact_volumes)
        missing = np.isnan(metrics.vix[first:])
        if missing.any():
            field = f"vix[{start + first + int(np.argmax(missing))}]"
            raise InputError(
                field, None, "the original scoring cannot do without it: give VIX, or use scoring='standard'"
            )
        return _original(metrics, exact_volumes)


def _standard(metrics: MetricsColumns, config: MarketConfig, exact_volumes: bool) -> Scores:
    cap = config.cap
    daily = np.maximum(metrics.volatility_20, config.volatility_floor)
    daily /= _YEAR
    month = metrics.change_20 / (daily * _ROOT_20)
    day_weight, week_weight, month_weight = config.change_weights
    change = day_weight * _capped(metrics.change_1 / daily, cap)
    change += week_weight * _capped(metrics.change_5 / (daily * _ROOT_5), cap)
    change += month_weight * _capped(month, cap)
    change /= day_weight + week_weight + month_weight

    afraid = ~np.isnan(metrics.vix_deviation)
    table = np.array([_shares(*config.weights[:2], 0.0), _shares(*config.weights)])
    weights = table.take(afraid.view(np.uint8), axis=0)
    score = weights[:, 0] * change
    score += weights[:, 1] * _capped(metrics.momentum, cap)
    score -= weights[:, 2] * _capped(np.where(afraid, metrics.vix_deviation, 0.0), cap)

    size = np.abs(score)
    step = _reached(size, config.cuts)
    condition = np.where(score > 0.0, _NEUTRAL + step, _NEUTRAL - step).astype(np.uint8)
    distribution = _distribution(score, config, condition)
    trend, momentum, volatility = np.abs(metrics.trend_t), np.abs(metrics.momentum), metrics.volatility_20
    points, risk = _risk(metrics, momentum, trend, STANDARD_LEVELS)
    close = _close(size, config.cuts) | _close(np.abs(month), (STANDARD_LEVELS.strong_month,))
    close |= _close_levels(metrics, momentum, trend, STANDARD_LEVELS)
    if not exact_volumes:
        close |= _close(metrics.volume_ratio, (2.0,))
    return Scores(
        condition,
        _regimes(volatility, trend, month, STANDARD_LEVELS),
        distribution[condition, np.arange(len(score))],
        score,
        weights,
        distribution.T,
        risk,
        points,
        _reached(volatility, VOLATILITY_LIMITS),
        _directions(metrics.trend_t, STANDARD_LEVELS.trend),
        _reached(momentum, STANDARD_LEVELS.momentum),
        np.flatnonzero(close),
    )


def _original(metrics: MetricsColumns, exact_volumes: bool) -> Scores:
    week = metrics.change_5
    momentum, trend = np.tanh(10.0 * week), np.tanh(10.0 * metrics.trend_slope)
    change = 0.4 * metrics.change_1 + 0.4 * week + 0.2 * metrics.change_20
    score = 0.5 * change + 0.3 * momentum + 0.2 * (30.0 - metrics.vix) / 30.0
    condition = _reached(score, ORIGINAL_CUTS)
    strength, slant, volatility = np.abs(momentum), np.abs(trend), metrics.volatility_20
    points, risk = _risk(metrics, strength, slant, ORIGINAL_LEVELS)
    table = np.array([original_distribution(m, v) for m in (0.0, 1.0, -1.0) for v in (0.0, 1.0)])
    kind = 2 * ((strength > 0.5) * (1 + (momentum < 0.0))) + (volatility > 0.35)  # the original's figures
    cuts = tuple(sorted({abs(cut) for cut in ORIGINAL_CUTS}))
    close = _close(np.abs(score), cuts) | _close(np.abs(metrics.change_20), (ORIGINAL_LEVELS.strong_month,))
    close |= _close_levels(metrics, strength, slant, ORIGINAL_LEVELS)
    close |= _close(slant, (0.5,))
    if not exact_volumes:
        close |= _close(metrics.volume_ratio, (1.2, 2.0))
    return Scores(
        condition,
        _regimes(volatility, slant, metrics.change_20, ORIGINAL_LEVELS),
        _original_confidence(metrics, condition, strength, slant),
        score,
        np.tile((0.5, 0.3, 0.2), (len(score), 1)),
        table.take(kind, axis=0),
        risk,
        points,
        _reached(volatility, VOLATILITY_LIMITS),
        _directions(trend, ORIGINAL_LEVELS.trend),
        _reached(strength, ORIGINAL_LEVELS.momentum),
        np.flatnonzero(close),
    )


def _original_confidence(metrics: MetricsColumns, condition: Codes, momentum: Floats, trend: Floats) -> Floats:
    """Count tenths as the scalar form does; NaN, a volume ratio that is not known, is above nothing."""
    lowest = np.minimum(np.minimum(metrics.change_1, metrics.change_5), metrics.change_20)
    highest = np.maximum(np.maximum(metrics.change_1, metrics.change_5), metrics.change_20)
    tenths = np.full(len(condition), 5, np.uint8)
    tenths += np.uint8(3) * ((lowest > 0.0) | (highest < 0.0))
    tenths += np.uint8(2) * (momentum > 0.5)
    tenths += np.uint8(2) * (trend > 0.5)
    tenths += metrics.volume_ratio > 1.2
    tenths += (metrics.rsi > 70.0) | (metrics.rsi < 30.0)
    tenths += ((condition > _NEUTRAL) & (metrics.vix < 20.0)) | ((condition < _NEUTRAL) & (metrics.vix > 30.0))
    return np.array([min(tenth / 10.0, 0.95) for tenth in range(16)]).take(tenths)


def _shares(a: float, b: float, c: float) -> tuple[float, float, float]:
    total = a + b + c
    return a / total, b / total, c / total


def _distribution(score: Floats, config: MarketConfig, condition: Codes) -> Floats:
    """Return softmax over the squared distances to the class centres, a row per class."""
    centres = class_centres(config.cuts)
    scale = -0.5 / (config.temperature * config.temperature)
    nearest = score - np.array(centres).take(condition)
    best = scale * nearest * nearest
    weights, total = np.empty((len(centres), len(score))), np.zeros(len(score))
    for weight, centre in zip(weights, centres, strict=True):
        apart = score - centre
        np.multiply(apart, scale, out=weight)
        np.multiply(weight, apart, out=weight)
        np.subtract(weight, best, out=weight)
        np.exp(weight, out=weight)
        total += weight
    weights /= total
    return weights


def _regimes(volatility: Floats, trend: Floats, month: Floats, levels: Levels) -> Codes:
    """Return the first regime that fits; written from the last to the first."""
    code = {each: REGIMES.index(each) for each in MarketRegime}
    low, high = _REGIME_VOLATILITIES
    regime = np.full(len(volatility), code[MarketRegime.SIDEWAYS], np.uint8)
    regime[month > levels.strong_month] = code[MarketRegime.BULL]
    regime[month < -levels.strong_month] = code[MarketRegime.BEAR]
    regime[trend < levels.range_bound] = code[MarketRegime.RANGE_BOUND]
    regime[trend > levels.trending] = code[MarketRegime.TRENDING]
    regime[volatility < low] = code[MarketRegime.LOW_VOLATILITY]
    regime[volatility > high] = code[MarketRegime.HIGH_VOLATILITY]
    return regime


def _risk(metrics: MetricsColumns, momentum: Floats, trend: Floats, levels: Levels) -> tuple[Codes, Codes]:
    """Return points and level of risk; `momentum` and `trend` without their signs."""
    points = _points(metrics.volatility_20, _RISKY_VOLATILITIES)
    points += _points(metrics.vix, _RISKY_FEARS)
    points += np.uint8(2) * (momentum > levels.risky_momentum)
    points += trend > levels.risky_trend
    points += metrics.volume_ratio > 2.0
    offer = np.uint8(2) * ~np.isnan(metrics.vix)
    offer += ~np.isnan(metrics.volume_ratio)
    return points, _RISK_TABLE.take(points * np.uint8(len(_OFFERED)) + offer)


def _points(values: Floats, limits: tuple[float, float]) -> Codes:
    """Return 0, 2 or 3 points."""
    points: Codes = np.uint8(2) * (values > limits[0])
    points += values > limits[1]
    return points


def _risk_levels(points: int) -> list[int]:
    return [sum(10 * points > share * offered for share in (2, 4, 6)) for offered in _OFFERED]


_RISK_TABLE: Codes = np.array([_risk_levels(points) for points in range(11)], np.uint8).ravel()


def _reached(values: Floats, limits: tuple[float, ...]) -> Codes:
    """Return how many limits a value is above; a limit itself belongs below."""
    count = np.zeros(len(values), np.uint8)
    for limit in limits:
        count += values > limit
    return count


def _directions(values: Floats, threshold: float) -> Codes:
    code = np.full(len(values), DIRECTIONS.index(Direction.STABLE), np.uint8)
    code[values > threshold] = DIRECTIONS.index(Direction.RISING)
    code[values < -threshold] = DIRECTIONS.index(Direction.FALLING)
    return code


def _capped(values: Floats, cap: float) -> Floats:
    capped: Floats = np.minimum(np.maximum(values, -cap), cap)
    return capped


def _close_levels(metrics: MetricsColumns, momentum: Floats, trend: Floats, levels: Levels) -> Flags:
    """Return where volatility, momentum or trend are as good as on one of their limits."""
    close = _close(metrics.volatility_20, tuple({*VOLATILITY_LIMITS, *_REGIME_VOLATILITIES}))
    close |= _close(trend, tuple({levels.trending, levels.range_bound, levels.trend, levels.risky_trend}))
    close |= _close(momentum, tuple({*levels.momentum, levels.risky_momentum}))
    return close


def _close(values: Floats, limits: tuple[float, ...]) -> Flags:
    """Return where a value is within a billionth of a limit."""
    found: Flags = np.zeros(len(values), np.bool_)
    for limit in limits:
        found |= np.abs(values - limit) <= _CLOSE * limit
    return found
