"""How trust is earned, what it allows, and when a human is asked: the figures, and that they do not contradict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from math import log
from typing import Any, Literal

from engine_opt import _validate as check
from engine_opt._table import Table
from engine_opt.errors import ConfigError
from engine_opt.model import DecisionKind, TrustComponent, TrustLevel, TrustPhase

Thresholds = tuple[float, float, float]  # least confidence to go by itself, be supervised, be approved

_LEVELS = tuple(TrustLevel)


def _components() -> Mapping[DecisionKind, tuple[TrustComponent, ...]]:
    c, k = TrustComponent, DecisionKind
    return Table(
        {
            k.TRADE_ENTRY: (c.WEEK_CLASSIFICATION, c.MARKET_ANALYSIS),
            k.TRADE_EXIT: (c.PERFORMANCE_PREDICTION, c.RISK_MANAGEMENT),
            k.POSITION_ADJUSTMENT: (c.REAL_TIME_ADAPTATION, c.RISK_MANAGEMENT),
            k.RISK_MANAGEMENT: (c.RISK_MANAGEMENT,),
            k.PARAMETER_OPTIMIZATION: (c.ML_OPTIMIZATION,),
            k.PROTOCOL_ADAPTATION: (c.REAL_TIME_ADAPTATION,),
            k.EMERGENCY_ACTION: (c.RISK_MANAGEMENT, c.REAL_TIME_ADAPTATION),
        }
    )


def _time_limits() -> Mapping[DecisionKind, timedelta]:
    minutes = dict(zip(DecisionKind, (15, 10, 30, 5, 120, 240, 2), strict=True))
    return Table({kind: timedelta(minutes=limit) for kind, limit in minutes.items()})


def _thresholds() -> Mapping[TrustPhase, Thresholds]:
    limits = ((0.98, 0.95, 0.80), (0.92, 0.85, 0.70), (0.88, 0.80, 0.65), (0.85, 0.75, 0.60))
    return Table(dict(zip(TrustPhase, limits, strict=True)))


def _brier_caps() -> Mapping[TrustLevel, float]:
    return Table({TrustLevel.LOW: 0.25, TrustLevel.MEDIUM: 0.20, TrustLevel.HIGH: 0.15})


def _complete(name: str, table: Mapping[Any, object], kind: type[StrEnum]) -> None:
    """Raise ConfigError where a table has not exactly one entry for each member."""
    if wrong := sorted(set(kind).symmetric_difference(table)):
        raise ConfigError(f"{name} must have an entry for each {kind.__name__} and no other: see {', '.join(wrong)}")


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """How trust is earned, what it allows, and when a human is asked.

    `level_bounds` are the lower bounds of the success rate that make low, medium, high and full trust. The protocol can
    also be read as 0.2, 0.4, 0.7, 0.9; of the two readings the stricter is taken, because the other would let a
    component that is right less than half of the time trade under mere supervision.

    `brier_caps` maps a level to the mean Brier score (mean squared difference between stated confidence and outcome)
    beyond which no more than that level is given. 0.25 is what somebody scores who always says fifty-fifty: who does
    worse has confidences that say nothing, and stays at low. Confidences that are right 70 % of the time score 0.21 at
    best, 90 % 0.09, so that each cap is far from what the honest score at the level above it.

    `promotion_outcomes` are those since the level last changed. `loss_limit` is a share of the account's value, by
    default what the trading rules let one trade risk; a larger loss takes all trust away until it is earned again.
    `learning_after` successes, of each involved component, end the initial phase. `human_bound` is the lower bound
    below which, and `human_confidence` the confidence below which a human decides. `approval_impact` (account
    currency) above and `approval_confidence` below need an approval at least. `supervised_silence` says what the end of
    the supervised window means where nobody objected. Time limits and the window are durations.
    Raises ConfigError for what contradicts itself, InputError for what is no number.
    """

    half_life_weeks: float = 26.0
    quantile: float = 0.05
    prior: tuple[float, float] = (1.0, 1.0)
    promotion_outcomes: int = 30
    hysteresis: float = 0.03
    level_bounds: tuple[float, float, float, float] = (0.4, 0.7, 0.9, 0.95)
    automation_shares: tuple[float, float, float, float, float] = (0.0, 0.2, 0.5, 0.8, 0.95)
    brier_caps: Mapping[TrustLevel, float] = field(default_factory=_brier_caps)
    components: Mapping[DecisionKind, tuple[TrustComponent, ...]] = field(default_factory=_components)
    time_limits: Mapping[DecisionKind, timedelta] = field(default_factory=_time_limits)
    thresholds: Mapping[TrustPhase, Thresholds] = field(default_factory=_thresholds)
    learning_after: int = 50
    loss_limit: float = 0.05
    human_confidence: float = 0.1
    human_bound: float = 0.5
    approval_impact: float = 1000.0
    approval_confidence: float = 0.70
    supervised_window: timedelta = timedelta(minutes=5)
    supervised_silence: Literal["reject", "proceed"] = "reject"

    def __post_init__(self) -> None:
        check.positive("half_life_weeks", self.half_life_weeks)
        check.between("quantile", self.quantile, 0.001, 0.5)
        if len(self.prior) != 2:
            raise ConfigError(f"prior={self.prior} must be two weights, of successes and of failures")
        for weight in self.prior:
            check.between("prior", weight, 1.0, 1e6, "outcomes")
        check.between("hysteresis", self.hysteresis, 0.0, 1.0)
        for name in ("human_confidence", "human_bound", "approval_confidence"):
            check.between(name, getattr(self, name), 0.0, 1.0)
        check.non_negative("approval_impact", self.approval_impact)
        check.positive("loss_limit", self.loss_limit)
        for name, least in (("promotion_outcomes", 1), ("learning_after", 0)):
            if type(number := getattr(self, name)) is not int or number < least:
                raise ConfigError(f"{name}={number!r} must be a whole number of at least {least}")
        if self.supervised_silence not in ("reject", "proceed"):
            raise ConfigError(f"supervised_silence={self.supervised_silence!r} must be 'reject' or 'proceed'")
        self._check_levels()
        self._check_kinds()
        self._check_thresholds()

    def _check_levels(self) -> None:
        bounds, shares = self.level_bounds, self.automation_shares
        if len(bounds) != len(_LEVELS) - 1 or any(a >= b for a, b in zip((0.0, *bounds), (*bounds, 1.0), strict=True)):
            raise ConfigError(f"level_bounds={bounds} must be four and rise between 0 and 1")
        if bounds[-1] + self.hysteresis >= 1.0:
            raise ConfigError(
                f"hysteresis={self.hysteresis} puts full trust out of reach: the highest bound is {bounds[-1]}"
            )
        if len(shares) != len(_LEVELS) or shares[0] != 0.0 or shares[-1] > 1.0:
            raise ConfigError(f"automation_shares={shares} must be five, from 0 without trust to 1 at most")
        if any(a > b for a, b in pairwise(shares)):
            raise ConfigError(f"automation_shares={shares} must not fall: more trust would be less free")
        caps = {check.member(TrustLevel, "brier_caps", level): limit for level, limit in self.brier_caps.items()}
        ordered = [check.between("brier_caps", caps[level], 0.0, 1.0) for level in _LEVELS if level in caps]
        if TrustLevel.FULL in caps or any(a <= b for a, b in pairwise(ordered)):
            raise ConfigError(f"brier_caps={dict(caps)} must be below full trust, and fall from level to level")
        check.store(self, "brier_caps", Table(caps))

    def _check_kinds(self) -> None:
        _complete("components", self.components, DecisionKind)
        _complete("time_limits", self.time_limits, DecisionKind)
        involved = {}
        for kind in DecisionKind:
            field = f"components.{kind.value}"
            members = tuple([check.member(TrustComponent, field, each) for each in self.components[kind]])
            if not members or len(set(members)) != len(members):
                raise ConfigError(f"{field}={members} must be at least one, and none twice")
            involved[kind] = members
        for limit in (*self.time_limits.values(), self.supervised_window):
            if not isinstance(limit, timedelta) or limit <= timedelta(0):
                raise ConfigError(f"a time limit of {limit!r} leaves no time to answer: give a positive timedelta")
        check.store(self, "components", Table(involved))
        check.store(self, "time_limits", Table(self.time_limits))

    def _check_thresholds(self) -> None:
        _complete("thresholds", self.thresholds, TrustPhase)
        before = (1.0, 1.0, 1.0)
        for phase in TrustPhase:
            limits = self.thresholds[phase]
            for limit in limits:
                check.between(f"thresholds.{phase.value}", limit, 0.0, 1.0)
            if len(limits) != len(before) or any(a < b for a, b in pairwise(limits)):
                raise ConfigError(
                    f"thresholds of {phase.value}={limits} must be three and fall: more freedom needs more"
                )
            if any(now > then for now, then in zip(limits, before, strict=True)):
                raise ConfigError(f"thresholds of {phase.value}={limits} are stricter than those of the phase before")
            before = limits
        check.store(self, "thresholds", Table(self.thresholds))

    @classmethod
    def original(cls) -> TrustConfig:
        """Return the figures of the engine that this one replaces: its levels and shares, ten outcomes, 2 % a week.

        What they are applied to is the posterior all the same: its six running means, which a component's own
        confidence took part in, and its human, who was a random number, are not reproduced.
        """
        half_life = log(0.5) / log(0.98)
        return cls(
            half_life_weeks=half_life, promotion_outcomes=10, hysteresis=0.0, brier_caps=Table({}), loss_limit=1.0
        )
