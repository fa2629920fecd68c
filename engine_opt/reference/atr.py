"""Average true ranges of the whole history, and position parameters from them.

    regime       very_low   low   normal  high  very_high      average true range as a share of the price, upper end
    absolute       .5 %     1 %     2 %   3.5 %                inclusive; or percentile in the symbol's own past
    percentile      20      40      60      80

    position size = base x factor x account's size      delta = base x factor x condition's factor, in the account's band
    days = base x factor, whole ones, in 10-90          risk, stop and target are their factors
    confidence = .80; volatility stable +.10, else -.05; percentile 25-75 +.05, outside of 10-90 or unknown -.10;
                 |z| < 1 +.05, > 2 -.10; between .50 and .95

The factors are the configuration's, a tuple of five in the order of the regimes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import floor, fsum

from engine_opt.errors import InsufficientData
from engine_opt.model import (
    AccountType,
    ATRAdjustment,
    ATRReading,
    ATRRegime,
    Bar,
    Direction,
    MarketConditionKind,
)
from engine_opt.protocol.atr_adjustment import ATRConfig
from engine_opt.reference import indicators


def measure(symbol: str, bars: Iterable[Bar], config: ATRConfig | None = None) -> ATRReading:
    """Return the reading at the close of the last bar.

    Raises InsufficientData for fewer bars than the longest average needs, or than 20; where regimes go by percentile,
    also without history enough.
    """
    config = config or ATRConfig()
    series = list(bars)
    needed = max(config.periods[-1] + 1, 20)
    if len(series) < needed:
        raise InsufficientData(needed, len(series), "bars")
    averages = [indicators.average_true_ranges(series, n, config.smoothing) for n in config.periods]
    judged = averages[0]
    shares = [average / bar.close for average, bar in zip(judged, series[-len(judged) :], strict=True)]
    share, past = shares[-1], shares[:-1][-config.history :]
    percentile = deviations = None
    if len(past) >= config.history_needed:
        percentile = indicators.mid_rank(share, past)
        deviations = indicators.z_score(share, past)
    return ATRReading(
        symbol=symbol,
        time=series[-1].time,
        close=series[-1].close,
        atr=tuple(average[-1] for average in averages),
        atr_share=share,
        percentile=percentile,
        z_score=deviations,
        history=len(past),
        regime=_regime(share, percentile, len(past), config),
        price_trend=_price_trend([bar.close for bar in series[-10:]]),
        volatility_trend=_volatility_trend(indicators.true_ranges(series)[-20:]),
    )


def _regime(share: float, percentile: float | None, got: int, config: ATRConfig) -> ATRRegime:
    if config.regime_by == "percentile":
        very_low, low, normal, high = config.limits or (20.0, 40.0, 60.0, 80.0)
        if percentile is None:
            raise InsufficientData(config.history_needed, got, "earlier readings")
        level = percentile
    else:
        very_low, low, normal, high = config.limits or (0.005, 0.01, 0.02, 0.035)
        level = share
    if level <= very_low:
        return ATRRegime.VERY_LOW
    if level <= low:
        return ATRRegime.LOW
    if level <= normal:
        return ATRRegime.NORMAL
    if level <= high:
        return ATRRegime.HIGH
    return ATRRegime.VERY_HIGH


def _price_trend(closes: Sequence[float]) -> Direction:
    """Return where ten closes go: more than 0.1 % of the last one a session is a trend."""
    rise, limit = indicators.slope(closes), 0.001 * closes[-1]
    if rise > limit:
        return Direction.RISING
    return Direction.FALLING if rise < -limit else Direction.STABLE


def _volatility_trend(ranges: Sequence[float]) -> Direction:
    """Return where twenty true ranges go: more than 10 % between the sums of the first and of the last ten is a trend.

    Sums, because the mean of each ten would be rounded once more and nothing gained.
    """
    before, after = fsum(ranges[:10]), fsum(ranges[10:])
    if after - before > 0.10 * before:
        return Direction.RISING
    return Direction.FALLING if before - after > 0.10 * before else Direction.STABLE


def adjust(
    reading: ATRReading,
    account: AccountType | str,
    condition: MarketConditionKind | str | None = None,
    config: ATRConfig | None = None,
) -> ATRAdjustment:
    """Return the account's parameters for a reading; without a condition delta is left as the regime has it."""
    config = config or ATRConfig()
    owner = AccountType(account)
    kind = None if condition is None else MarketConditionKind(condition)
    allowed = config.accounts[owner]
    regime = list(ATRRegime).index(reading.regime)

    middle = (allowed.delta_low + allowed.delta_high) / 2.0
    delta = (middle if config.base_delta is None else config.base_delta) * config.delta[regime]
    if kind is not None:
        delta = delta * config.condition[kind]
    # A billionth of a day more, because 45 x 1.4 are 63 days and in floats 62.99999999999999.
    days = floor(config.base_days * config.days_to_expiration[regime] + 1e-9)
    fewest, most = config.days_band
    return ATRAdjustment(
        account=owner,
        condition=kind,
        position_size=config.base_size * config.position_size[regime] * allowed.size,
        delta=max(allowed.delta_low, min(delta, allowed.delta_high)),
        delta_wanted=delta,
        days_to_expiration=max(fewest, min(days, most)),
        risk_multiplier=config.risk_multiplier[regime],
        stop_loss=config.stop_loss[regime],
        profit_target=config.profit_target[regime],
        confidence=_confidence(reading),
        reading=reading,
    )


def _confidence(reading: ATRReading) -> float:
    """Return how sure the adjustment is, added up in exact hundredths."""
    confidence = Fraction(80, 100)
    if reading.volatility_trend is Direction.STABLE:
        confidence += Fraction(10, 100)
    else:
        confidence -= Fraction(5, 100)
    if reading.percentile is None:
        confidence -= Fraction(10, 100)
    elif 25.0 <= reading.percentile <= 75.0:
        confidence += Fraction(5, 100)
    elif reading.percentile < 10.0 or reading.percentile > 90.0:
        confidence -= Fraction(10, 100)
    if reading.z_score is not None and abs(reading.z_score) < 1.0:
        confidence += Fraction(5, 100)
    if reading.z_score is not None and abs(reading.z_score) > 2.0:
        confidence -= Fraction(10, 100)
    return float(max(Fraction(50, 100), min(confidence, Fraction(95, 100))))
