"""How ranges are averaged, judged and turned into factors: the figures, and that they do not contradict.

Source: the periods 14, 21 and 50, the factor tables and the regime limits are the protocol's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal, NamedTuple, get_args

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import ConfigError
from engine_opt.model import AccountType, ATRRegime, MarketConditionKind

Smoothing = Literal["wilder", "sma", "ema"]
Factors = tuple[float, float, float, float, float]  # one per ATRRegime, calmest first

REGIMES = tuple(ATRRegime)
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)
TREND_RANGES = 20  # the last 10 true ranges against the 10 before


@dataclass(frozen=True, slots=True)
class Account:
    """What an account allows: its delta band in points, inclusive, and the share of the usual size it takes."""

    delta_low: float
    delta_high: float
    size: float

    def __post_init__(self) -> None:
        check.between("delta_low", self.delta_low, 0.0, 100.0, "points")
        check.between("delta_high", self.delta_high, self.delta_low, 100.0, "points")
        check.positive("size", self.size)


def _accounts() -> Mapping[AccountType, Account]:
    return Table(
        {
            AccountType.GEN: Account(40.0, 50.0, 1.0),
            AccountType.REV: Account(30.0, 40.0, 0.9),
            AccountType.COM: Account(20.0, 30.0, 0.8),
        }
    )


def _original_accounts() -> Mapping[AccountType, Account]:
    sizes = {AccountType.GEN: 1.0, AccountType.REV: 0.9, AccountType.COM: 1.1}
    return Table({account: Account(10.0, 70.0, size) for account, size in sizes.items()})


def _condition_factors() -> Mapping[MarketConditionKind, float]:
    k = MarketConditionKind
    named = {k.EXTREMELY_BULLISH: 1.10, k.BULLISH: 1.05, k.BEARISH: 0.95, k.EXTREMELY_BEARISH: 0.90}
    return Table({kind: named.get(kind, 1.0) for kind in k})


class Step(NamedTuple):
    """What an account takes in one regime: the factors of the configuration, put together once.

    The fields are those of ATRAdjustment; `delta` is the one before the market's condition and the band have their say.
    """

    size: float
    delta: float
    delta_low: float
    delta_high: float
    days: int
    risk_multiplier: float
    stop_loss: float
    profit_target: float


@dataclass(frozen=True, slots=True)
class ATRConfig:
    """How ranges are averaged, judged and turned into factors.

    `limits` are the inclusive upper ends of the four calmer regimes: shares of the price where `regime_by` is
    "absolute", percentiles of the symbol's own history where it is "percentile". The absolute ones suit indices: a
    single stock is above them on most days.
    `base_delta` None starts from the middle of the account's band. `history` readings are kept per symbol, and fewer
    than `history_needed` of them give no percentile. At most `max_symbols` are tracked.
    """

    smoothing: Smoothing = "wilder"
    periods: tuple[int, ...] = (14, 21, 50)
    regime_by: Literal["absolute", "percentile"] = "absolute"
    limits: tuple[float, float, float, float] | None = None
    history: int = 252
    history_needed: int = 60
    max_symbols: int = 4096
    position_size: Factors = (1.2, 1.1, 1.0, 0.8, 0.6)
    delta: Factors = (1.1, 1.05, 1.0, 0.9, 0.8)
    days_to_expiration: Factors = (0.9, 0.95, 1.0, 1.1, 1.2)
    risk_multiplier: Factors = (0.8, 0.9, 1.0, 1.2, 1.5)
    stop_loss: Factors = (1.5, 1.3, 1.0, 0.8, 0.6)
    profit_target: Factors = (0.8, 0.9, 1.0, 1.2, 1.4)
    condition: Mapping[MarketConditionKind, float] = field(default_factory=_condition_factors)
    accounts: Mapping[AccountType, Account] = field(default_factory=_accounts)
    base_size: float = 1.0
    base_delta: float | None = None
    base_days: int = 35
    days_band: tuple[int, int] = (10, 90)
    regime_limits: tuple[float, float, float, float] = field(init=False, repr=False)  # `limits` or their default
    steps: Mapping[tuple[AccountType, ATRRegime], Step] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.smoothing not in SMOOTHINGS:
            raise ConfigError(f"smoothing={self.smoothing!r} is not known: choose one of {', '.join(SMOOTHINGS)}")
        if self.regime_by not in ("absolute", "percentile"):
            raise ConfigError(f"regime_by={self.regime_by!r} is not known: choose 'absolute' or 'percentile'")
        if not self.periods or any(a >= b for a, b in zip(self.periods, self.periods[1:], strict=False)):
            raise ConfigError(f"periods={self.periods} must rise: the first is the one that is judged")
        if not 2 <= self.history_needed <= self.history:  # a deviation needs two values
            raise ConfigError(f"history_needed={self.history_needed} must be between 2 and history={self.history}")
        if self.max_symbols < 1:
            raise ConfigError(f"max_symbols={self.max_symbols} must be at least 1")
        default = (0.005, 0.01, 0.02, 0.035) if self.regime_by == "absolute" else (20.0, 40.0, 60.0, 80.0)
        limits = default if self.limits is None else self.limits
        if any(a >= b for a, b in zip((0.0, *limits), (*limits, inf), strict=True)):
            raise ConfigError(f"limits={limits} must rise from above 0")
        object.__setattr__(self, "regime_limits", limits)
        self._check_tables()
        object.__setattr__(self, "condition", Table(self.condition))
        object.__setattr__(self, "accounts", Table(self.accounts))
        steps = {(owner, regime): self._step(owner, i) for owner in AccountType for i, regime in enumerate(REGIMES)}
        object.__setattr__(self, "steps", Table(steps))

    def _check_tables(self) -> None:
        for name in ("position_size", "delta", "days_to_expiration", "risk_multiplier", "stop_loss", "profit_target"):
            if len(factors := getattr(self, name)) != len(REGIMES):
                raise ConfigError(f"{name}={factors} must have one factor for each of {len(REGIMES)} regimes")
            for factor in factors:
                check.positive(name, factor)
        if missing := [kind.value for kind in MarketConditionKind if kind not in self.condition]:
            raise ConfigError(f"there is no delta factor for condition {', '.join(missing)}")
        if missing := [kind.value for kind in AccountType if kind not in self.accounts]:
            raise ConfigError(f"there is no entry for account {', '.join(missing)}")

    def _step(self, owner: AccountType, step: int) -> Step:
        allowed = self.accounts[owner]
        base = (allowed.delta_low + allowed.delta_high) / 2.0 if self.base_delta is None else self.base_delta
        # A float product a hair below a whole number of days is that number: 45 * 1.4 is 62.99999999999999.
        days = int(self.base_days * self.days_to_expiration[step] + 1e-9)
        return Step(
            self.base_size * self.position_size[step] * allowed.size,
            base * self.delta[step],
            allowed.delta_low,
            allowed.delta_high,
            min(max(days, self.days_band[0]), self.days_band[1]),
            self.risk_multiplier[step],
            self.stop_loss[step],
            self.profit_target[step],
        )

    @classmethod
    def original(cls) -> ATRConfig:
        """Return the settings of the engine that this one replaces: plain means, delta 30 clamped to 10-70 everywhere.

        Its history of 10 readings sufficed for a percentile. A missing percentile costs confidence here, there it
        earned the maximum.
        """
        return cls(smoothing="sma", history_needed=10, accounts=_original_accounts(), base_delta=30.0)

    @property
    def bars_needed(self) -> int:
        """How many bars make a reading."""
        return max(self.periods[-1] + 1, TREND_RANGES)
