"""Trust, from the whole list of outcomes each time: every weight, posterior and level is worked out again.

    weight of an outcome = 2 ** -(age / half-life)
    posterior            = Beta(prior + weights of the successes, prior + weights of the failures)
    lower bound          = its 5 % quantile
    Brier score          = weighted mean of (confidence - success)**2, both as of the moment that is asked about

The level is replayed outcome by outcome: what idleness took away up to the outcome first, then what it gives or takes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine_opt.errors import InputError
from engine_opt.model import (
    AutonomyMode,
    DecisionKind,
    TrustAssessment,
    TrustComponent,
    TrustLevel,
    TrustOutcome,
    TrustPhase,
    TrustRequest,
)
from engine_opt.protocol.beta import beta_quantile
from engine_opt.protocol.trust_config import TrustConfig

_LEVELS = list(TrustLevel)
_MODES = list(AutonomyMode)
_ROUNDING = 1e-9  # of a mean Brier score


class PlainTrust:
    """The trust system that remembers everything and works out nothing beforehand."""

    def __init__(self, config: TrustConfig | None = None) -> None:
        self.config = TrustConfig() if config is None else config
        self.outcomes: list[TrustOutcome] = []

    def record(self, outcome: TrustOutcome) -> None:
        """Append an outcome. Raises InputError for one of a component that its kind does not involve, or out of order."""
        for component in _judged(outcome, self.config):
            if component not in self.config.components[outcome.kind]:
                raise InputError("components", component, f"{outcome.kind.value} does not involve it")
            known = self.history(component, outcome.kind)
            if known and outcome.at < known[-1].at:
                raise InputError("at", outcome.at, "an outcome after it is already known")
        self.outcomes.append(outcome)

    def history(self, component: TrustComponent, kind: DecisionKind) -> list[TrustOutcome]:
        """Return the outcomes that a component is judged by in a kind of decision."""
        return [each for each in self.outcomes if each.kind is kind and component in _judged(each, self.config)]

    def assess(self, request: TrustRequest) -> TrustAssessment:
        """Say who has the last word about a request, and why."""
        config, kind, now = self.config, request.kind, request.now
        components = config.components[kind]
        bounds, ranks, successes = [], [], []
        for component in components:
            history = self.history(component, kind)
            if history and now < history[-1].at:
                raise InputError("now", now, "an outcome after it is already known")
            bound = lower_bound(history, now, config)
            bounds.append(bound)
            ranks.append(min(earned_level(history, config)[0], level_of(bound, config)))
            successes.append(sum(each.success for each in history))
        rank = min(ranks)
        phase = phase_of(rank, min(successes), config)
        mode, reasons = decide(request, rank, phase, dict(zip(components, bounds, strict=True)), config)
        limit = config.time_limits[kind]
        if mode is AutonomyMode.SUPERVISED:
            limit = min(limit, config.supervised_window)
        return TrustAssessment(
            request_id=request.request_id,
            kind=kind,
            components=components,
            level=_LEVELS[rank],
            lower_bounds=tuple(bounds),
            mode=mode,
            needs_human=mode is not AutonomyMode.AUTOMATIC,
            automation_share=config.automation_shares[rank],
            time_limit=limit,
            deadline=(now if now.tzinfo is None else now.astimezone(UTC)) + limit,
            reasons=tuple(reasons),
        )


def _judged(outcome: TrustOutcome, config: TrustConfig) -> tuple[TrustComponent, ...]:
    return config.components[outcome.kind] if outcome.components is None else outcome.components


def weights(history: list[TrustOutcome], now: datetime, config: TrustConfig) -> list[float]:
    """Return how much each outcome still counts."""
    half_life = timedelta(weeks=config.half_life_weeks)
    return [2.0 ** -((now - each.at) / half_life) for each in history]


def lower_bound(history: list[TrustOutcome], now: datetime, config: TrustConfig) -> float:
    """Return the success rate that is exceeded with 95 % probability."""
    a, b = config.prior
    for each, weight in zip(history, weights(history, now, config), strict=True):
        if each.success:
            a += weight
        else:
            b += weight
    return beta_quantile(config.quantile, a, b)


def brier_score(history: list[TrustOutcome], now: datetime, config: TrustConfig) -> float:
    """Return the weighted mean of the squared differences between confidence and outcome."""
    by_weight = list(zip(history, weights(history, now, config), strict=True))
    squares = sum(weight * (each.confidence - each.success) ** 2 for each, weight in by_weight)
    return squares / sum(weight for _, weight in by_weight)


def level_of(bound: float, config: TrustConfig) -> int:
    """Return the highest level whose bound is reached, 0 to 4."""
    return sum(bound >= limit for limit in config.level_bounds)


def cap_of(brier: float, config: TrustConfig) -> int:
    """Return the highest level that the calibration allows."""
    exceeded = [level.rank for level, limit in config.brier_caps.items() if brier > limit + _ROUNDING]
    return min(exceeded, default=TrustLevel.FULL.rank)


def earned_level(history: list[TrustOutcome], config: TrustConfig) -> tuple[int, int]:
    """Return the level after the last outcome, and how many outcomes there were since it changed."""
    level = since = 0
    for number, outcome in enumerate(history):
        before, known = history[:number], history[: number + 1]
        now = outcome.at
        decayed = level_of(lower_bound(before, now, config), config)
        if decayed < level:
            level, since = decayed, 0
        since += 1
        bound = lower_bound(known, now, config)
        allowed = min(level_of(bound, config), cap_of(brier_score(known, now, config), config))
        if outcome.impact < -config.loss_limit:
            level, since = 0, 0
        elif allowed < level:
            level, since = allowed, 0
        elif (
            allowed > level
            and since >= config.promotion_outcomes
            and bound >= config.level_bounds[level] + config.hysteresis
        ):
            level, since = level + 1, 0
    return level, since


def phase_of(rank: int, successes: int, config: TrustConfig) -> TrustPhase:
    """Return the phase of the learning."""
    if successes < config.learning_after:
        return TrustPhase.INITIAL
    phases = (TrustPhase.INITIAL, TrustPhase.INITIAL, TrustPhase.LEARNING, TrustPhase.MATURE, TrustPhase.EXPERT)
    return phases[rank]


def decide(
    request: TrustRequest,
    rank: int,
    phase: TrustPhase,
    bounds: dict[TrustComponent, float],
    config: TrustConfig,
) -> tuple[AutonomyMode, list[str]]:
    """Return the strictest mode that anything asks for, and all that asks for it."""
    asked = _forbidden(request, rank, phase, bounds, config)
    asked.append(_allowed(request.confidence, phase, config))
    if request.recovery:
        asked.append((AutonomyMode.APPROVAL, "recovery"))
    if request.impact is not None and request.impact > config.approval_impact:
        asked.append((AutonomyMode.APPROVAL, f"impact > {config.approval_impact:g}"))
    if request.confidence < config.approval_confidence:
        asked.append((AutonomyMode.APPROVAL, f"confidence < {config.approval_confidence:g}"))
    strictest = max((mode for mode, _ in asked), key=_MODES.index)
    return strictest, [why for mode, why in asked if mode is strictest]


def _forbidden(
    request: TrustRequest,
    rank: int,
    phase: TrustPhase,
    bounds: dict[TrustComponent, float],
    config: TrustConfig,
) -> list[tuple[AutonomyMode, str]]:
    """Return what leaves a request to a human, whatever its confidence is."""
    asked = []
    if request.kind is DecisionKind.EMERGENCY_ACTION:
        asked.append((AutonomyMode.HUMAN, "emergency action"))
    if request.risk_breach and phase in (TrustPhase.INITIAL, TrustPhase.LEARNING):
        asked.append((AutonomyMode.HUMAN, f"risk breach ({phase.value})"))
    if rank <= TrustLevel.LOW.rank:
        asked.append((AutonomyMode.HUMAN, f"trust level {_LEVELS[rank].value}"))
    if request.confidence < config.human_confidence:
        asked.append((AutonomyMode.HUMAN, f"confidence < {config.human_confidence:g}"))
    for component, bound in bounds.items():
        if bound < config.human_bound:
            asked.append((AutonomyMode.HUMAN, f"bound of {component.value} < {config.human_bound:g}"))
    return asked


def _allowed(confidence: float, phase: TrustPhase, config: TrustConfig) -> tuple[AutonomyMode, str]:
    """Return what a confidence allows in a phase of the learning."""
    automatic, supervised, approval = config.thresholds[phase]
    if confidence >= automatic:
        return AutonomyMode.AUTOMATIC, f"confidence >= {automatic:g} ({phase.value})"
    if confidence >= supervised:
        return AutonomyMode.SUPERVISED, f"confidence < {automatic:g} ({phase.value})"
    if confidence >= approval:
        return AutonomyMode.APPROVAL, f"confidence < {supervised:g} ({phase.value})"
    return AutonomyMode.HUMAN, f"confidence < {approval:g} ({phase.value})"
