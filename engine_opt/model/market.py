"""The words of the market analyser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple


class MarketConditionKind(StrEnum):
    """Condition of the market, from worst to best."""

    EXTREMELY_BEARISH = "extremely_bearish"
    BEARISH = "bearish"
    NEUTRAL_BEARISH = "neutral_bearish"
    NEUTRAL = "neutral"
    NEUTRAL_BULLISH = "neutral_bullish"
    BULLISH = "bullish"
    EXTREMELY_BULLISH = "extremely_bullish"


class MarketRegime(StrEnum):
    """How the market moves, whichever way it moves."""

    HIGH_VOLATILITY = "high_volatility"
    LOW_VOLATILITY = "low_volatility"
    TRENDING = "trending"
    RANGE_BOUND = "range_bound"
    BULL = "bull"
    BEAR = "bear"
    SIDEWAYS = "sideways"


class VolatilityRegime(StrEnum):
    """Level of the 20-session volatility."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    EXTREME = "extreme"


class MarketRiskLevel(StrEnum):
    """Risk of the market as a whole."""

    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    EXTREME = "extreme"


class Direction(StrEnum):
    """Which way something goes: a price, or a volatility."""

    FALLING = "falling"
    STABLE = "stable"
    RISING = "rising"


class MomentumStrength(StrEnum):
    """Size of the momentum, whichever its sign."""

    NEGLIGIBLE = "negligible"
    WEAK = "weak"
    MODERATE = "moderate"
    STRONG = "strong"


class MarketMetrics(NamedTuple):
    """The indicators of one session, at its close. Fractions unless said otherwise; None where data is missing."""

    close: float
    change_1: float  # return over 1, 5, 20 sessions
    change_5: float
    change_20: float
    volatility_5: float  # annualised, from log returns
    volatility_20: float
    parkinson_20: float  # annualised, from highs and lows
    rsi: float  # 0-100
    macd: float  # currency
    macd_signal: float
    bollinger: float  # 0 at the lower band, 1 at the upper, outside of them beyond
    trend_slope: float  # share of the mean price, per session
    trend_t: float  # slope over its standard error
    momentum: float  # 5-session return in its own standard deviations
    volume_ratio: float | None
    vix: float | None  # index points
    vix_deviation: float | None  # from its trailing median, in robust standard deviations

    @property
    def macd_histogram(self) -> float:
        """MACD less its signal line."""
        return self.macd - self.macd_signal


class MarketAnalysis(NamedTuple):
    """What the market analyzer answers.

    `distribution` holds a probability per MarketConditionKind, worst first. `weights` are those of price change,
    momentum and VIX as used: where VIX was not usable its weight is 0 and the others are scaled up.
    """

    time: date
    condition: MarketConditionKind
    regime: MarketRegime
    confidence: float
    score: float
    weights: tuple[float, float, float]
    distribution: tuple[float, ...]
    risk_level: MarketRiskLevel
    risk_points: int
    volatility_regime: VolatilityRegime
    trend: Direction
    momentum_strength: MomentumStrength
    metrics: MarketMetrics
    scoring: str

    @property
    def probabilities(self) -> Mapping[MarketConditionKind, float]:
        """The distribution by name."""
        return dict(zip(MarketConditionKind, self.distribution, strict=True))

    def explain(self) -> str:
        """Say in one sentence why the market has this condition."""
        change, momentum, vix = self.weights
        used = f"weights {change:.2f} change, {momentum:.2f} momentum, {vix:.2f} VIX"
        return (
            f"{self.time}: {self.condition.value} at score {self.score:+.3f} ({used}; scoring {self.scoring!r}), "
            f"regime {self.regime.value}, volatility {self.metrics.volatility_20:.1%}, "
            f"risk {self.risk_level.value} with {self.risk_points} points"
        )
