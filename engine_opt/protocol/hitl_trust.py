"""Human in the loop: how far each component is trusted with each kind of decision, and who has the last word.

    outcomes -> Beta posterior per (component, kind), old outcomes forgotten by half in 26 weeks
             -> lower 5 % quantile: the success rate that is known to be exceeded
             -> level: no < low < medium < high < full      capped where the stated confidences were wrong (Brier score)
             -> phase of the learning -> how confident a proposal has to be to go by itself, be supervised, or approved

Trust is earned a level at a time, 30 outcomes each, and lost at once: by outcomes, by idleness, or whole by one large
loss. Only outcomes change what is remembered; assessing reads. The same outcomes make the same trust, bit for bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from engine_opt.errors import InputError, StateError
from engine_opt.model import (
    AutonomyMode,
    DecisionKind,
    HumanAnswer,
    Resolution,
    TrustAssessment,
    TrustComponent,
    TrustLevel,
    TrustOutcome,
    TrustPhase,
    TrustRequest,
    TrustResolution,
)
from engine_opt.model.trust import check_moment
from engine_opt.protocol.trust_cells import FIELDS, Cell, Judgement, count, damaged
from engine_opt.protocol.trust_config import Thresholds, TrustConfig

__all__ = ["SCHEMA", "HITLTrustSystem", "Thresholds", "TrustConfig"]

SCHEMA = 1

_LEVELS, _PHASES, _MODES = tuple(TrustLevel), tuple(TrustPhase), tuple(AutonomyMode)
LOW_TRUST, _FULL = TrustLevel.LOW.rank, TrustLevel.FULL.rank
_AUTOMATIC, _SUPERVISED, _APPROVAL, _HUMAN = _MODES
_EMERGENCY, _APPROVED = DecisionKind.EMERGENCY_ACTION, Resolution.APPROVED
_NOBODY: tuple[TrustComponent, ...] = ()
GUARDED_PHASES = 2  # in the first two a broken risk limit is always a human's matter
_EPOCH, _NAIVE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)  # noqa: DTZ001 - naive times are allowed
_COUNTS = ("outcomes", "successes", "losses", "agreed", "disagreed")


class HITLTrustSystem:
    """Remember how decisions turned out, and say who has the last word about the next.

    The memory is a handful of numbers for each component of each kind of decision, and does not grow. Not to be shared
    between threads without a lock.
    """

    __slots__ = ("_aware", "_config", "_counts", "_gate", "_judgement", "_plans")

    def __init__(self, config: TrustConfig | None = None) -> None:
        self._config = config = TrustConfig() if config is None else config
        self._judgement = Judgement(config)
        self._gate = _Gate(config)
        self._plans = {kind: _Plan(kind, config, self._judgement) for kind in DecisionKind}
        self._aware: bool | None = None  # until the first outcome says whether its times are naive or aware
        self._counts = dict.fromkeys(_COUNTS, 0)

    @property
    def config(self) -> TrustConfig:
        """The configuration in use."""
        return self._config

    def assess(self, request: TrustRequest) -> TrustAssessment:
        """Say who has the last word about a request, at the time of the request; changes nothing.

        The level in force is the lowest of the involved components': what each has earned, or less where the bound
        has decayed below it since. Raises InputError for a time before an outcome that is already known.
        """
        if type(request) is not TrustRequest:
            raise InputError("request", request, "it must be an engine_opt.TrustRequest")
        plan, now, config = self._plans[request.kind], request.now, self._config
        seconds = 0.0 if self._aware is None else _seconds("now", now, aware=self._aware)
        bounds: list[float] = []
        rank, successes, least = _FULL, config.learning_after, 1.0
        twin = None
        for cell in plan.cells:
            if cell.outcomes and seconds < cell.last:
                raise InputError("now", now, "an outcome after it is already known: trust is not asked about the past")
            at, bound = cell.seen
            if at != seconds:
                bound = cell.bound_at(seconds, twin)
            bounds.append(bound)
            if bound < least:  # noqa: PLR1730 - here and below: calling min() costs more than comparing
                least = bound
            in_force = bisect_right(config.level_bounds, bound)
            if in_force > cell.level:  # noqa: PLR1730
                in_force = cell.level
            if in_force < rank:  # noqa: PLR1730
                rank = in_force
            if cell.right < successes:  # noqa: PLR1730
                successes = cell.right
            twin = cell
        phase = rank - 1 if rank > LOW_TRUST and successes >= config.learning_after else 0
        weak: Sequence[TrustComponent] = _NOBODY
        if least < config.human_bound:
            pairs = zip(plan.components, bounds, strict=True)
            weak = [component for component, bound in pairs if bound < config.human_bound]
        mode, reasons = self._gate.decide(request, rank, phase, weak)
        limit = plan.window if mode is _SUPERVISED else plan.limit
        return TrustAssessment(
            request.request_id,
            request.kind,
            plan.components,
            _LEVELS[rank],
            tuple(bounds),
            mode,
            mode is not _AUTOMATIC,
            config.automation_shares[rank],
            limit,
            _deadline(now, limit),
            reasons,
        )

    def record(self, outcome: TrustOutcome) -> None:
        """Take how a decision turned out.

        Raises InputError for an outcome before the last one of the same component and kind, or of a component that the
        kind does not involve; nothing is changed then.
        """
        if type(outcome) is not TrustOutcome:
            raise InputError("outcome", outcome, "it must be an engine_opt.TrustOutcome")
        cells = self._plans[outcome.kind].judged(outcome)
        aware = outcome.at.tzinfo is not None if self._aware is None else self._aware
        at = _seconds("at", outcome.at, aware=aware)
        for cell in cells:
            if cell.outcomes and at < cell.last:
                raise InputError("at", outcome.at, "an outcome after it is already known: record them in order")
        twin = None
        for cell in cells:
            cell.bound_at(at, twin)  # what it was up to now, worked out once for cells that are alike
            twin = cell
        self._aware = aware
        loss = outcome.impact < -self._config.loss_limit
        twin = None
        for cell in cells:
            cell.learn(at, outcome, loss=loss, twin=twin)
            twin = cell
        counts = self._counts
        counts["outcomes"] += 1
        counts["successes"] += outcome.success
        counts["losses"] += loss
        if outcome.agreed is not None:
            counts["agreed" if outcome.agreed else "disagreed"] += 1

    def resolve(
        self, assessment: TrustAssessment, request: TrustRequest, answer: HumanAnswer | None, now: datetime
    ) -> TrustResolution:
        """Say what became of a request by `now`.

        An answer given until the deadline counts, that instant included. Without one an automatic request is approved
        at once; any other is pending until the deadline. After it the safe action is taken in an emergency, and
        anything else is expired (under supervision approved, where the configuration takes silence for consent). Who
        answers late did not answer; but an objection stops what silence would have let pass.
        Raises InputError for an answer or an assessment of another request, for times that run backwards or mix naive
        with aware, and for an emergency without a safe action.
        """
        _check_pair(assessment, request)
        emergency = request.kind is _EMERGENCY
        if emergency and request.safe_action is None:
            raise InputError("safe_action", None, "an emergency does not wait: name what may be done without an answer")
        moment = _utc(check_moment("now", now))
        mode, deadline = assessment.mode, assessment.deadline
        try:
            if moment < _utc(request.now):
                raise InputError("now", now, f"it is before the request, {request.now!r}")
            timely = answer is not None and _check_answer(answer, request, moment) <= deadline
        except TypeError:
            raise InputError("now", now, "naive and aware times cannot be compared: use one kind of them") from None
        if answer is not None and timely:
            given = _APPROVED if answer.approved else Resolution.REJECTED
            return TrustResolution(request.request_id, given, mode, answer.person, answer.at, None)
        over = moment > deadline
        proceeds = self._config.supervised_silence == "proceed"
        if mode is _AUTOMATIC or (over and mode is _SUPERVISED and proceeds):
            if answer is not None and not answer.approved:
                return TrustResolution(request.request_id, Resolution.REJECTED, mode, answer.person, answer.at, None)
            return TrustResolution(request.request_id, _APPROVED, mode, None, now, None)
        if not over:
            return TrustResolution(request.request_id, Resolution.PENDING, mode, None, now, None)
        if emergency:
            return TrustResolution(request.request_id, Resolution.SAFE_ACTION, mode, None, now, request.safe_action)
        return TrustResolution(request.request_id, Resolution.EXPIRED, mode, None, now, None)

    def pass_on(self, assessment: TrustAssessment, now: datetime) -> TrustResolution:
        """Return what `resolve` answers for a request that was assessed at this very moment and needs nobody."""
        if assessment.mode is not _AUTOMATIC:
            raise StateError(f"request {assessment.request_id} is {assessment.mode.value}: it does not pass by itself")
        return TrustResolution(assessment.request_id, _APPROVED, _AUTOMATIC, None, now, None)

    def save(self) -> dict[str, Any]:
        """Return the state as plain values for JSON; `restore` goes on from it as if nothing had happened."""
        cells = [
            {"kind": kind.value, "component": component.value, **cell.save()}
            for kind, plan in self._plans.items()
            for component, cell in zip(plan.components, plan.cells, strict=True)
            if cell.outcomes
        ]
        return {"schema": SCHEMA, "aware": self._aware, "counts": dict(self._counts), "cells": cells}

    @classmethod
    def restore(cls, config: TrustConfig | None, state: Mapping[str, Any]) -> HITLTrustSystem:
        """Return a system with a saved state.

        Under a configuration that asks for more than the one it was saved with, levels fall to what is allowed.
        Raises StateError for a state that is damaged, or of another schema.
        """
        system = cls(config)
        if not isinstance(state, Mapping) or state.get("schema") != SCHEMA:
            seen = state.get("schema") if isinstance(state, Mapping) else type(state).__name__
            raise StateError(f"the trust state has schema {seen!r}, this engine reads {SCHEMA}: replay the outcomes")
        if set(state) != {"schema", "aware", "counts", "cells"}:
            raise damaged(f"it holds {', '.join(map(str, state))} and should hold schema, aware, counts, cells")
        counts, cells, aware = state["counts"], state["cells"], state["aware"]
        if not isinstance(counts, Mapping) or set(counts) != set(_COUNTS):
            raise damaged(f"counts={counts!r} must hold {', '.join(_COUNTS)}")
        if not isinstance(cells, list) or not (aware is True or aware is False or (aware is None and not cells)):
            raise damaged(f"aware={aware!r} must be true or false, and cells a list")
        system._counts = {name: count(counts, name) for name in _COUNTS}
        system._aware = aware
        for saved in cells:
            system._saved_cell(saved).restore(saved)
        return system

    def stats(self) -> Mapping[str, float]:
        """Return how many outcomes there were, and how many of the components stand at each level, by name."""
        levels = dict.fromkeys((f"level.{level.value}" for level in _LEVELS), 0.0)
        for plan in self._plans.values():
            for cell in plan.cells:
                levels[f"level.{_LEVELS[cell.level].value}"] += 1.0
        return {name: float(number) for name, number in self._counts.items()} | levels

    def _saved_cell(self, saved: object) -> Cell:
        """Return the empty cell that a saved one belongs to."""
        if not isinstance(saved, Mapping) or set(saved) != {"kind", "component", *FIELDS}:
            raise damaged(f"a cell must hold kind, component, {', '.join(FIELDS)}, not {saved!r}")
        for kind, plan in self._plans.items():
            for component, cell in zip(plan.components, plan.cells, strict=True):
                if (kind.value, component.value) == (saved["kind"], saved["component"]):
                    if cell.outcomes:
                        raise damaged(f"{component.value} in {kind.value} is there twice")
                    return cell
        raise damaged(f"{saved['component']!r} is not involved in {saved['kind']!r} by this configuration")


class _Plan:
    """What the configuration says of one kind of decision, and the memory of the components involved."""

    __slots__ = ("cells", "components", "kind", "limit", "window")

    def __init__(self, kind: DecisionKind, config: TrustConfig, judgement: Judgement) -> None:
        self.kind = kind
        self.components = config.components[kind]
        self.cells = tuple([Cell(judgement) for _ in self.components])
        self.limit = config.time_limits[kind]
        self.window = min(self.limit, config.supervised_window)

    def judged(self, outcome: TrustOutcome) -> tuple[Cell, ...]:
        """Return the cells that an outcome is about."""
        if outcome.components is None:
            return self.cells
        for component in outcome.components:
            if component not in self.components:
                shown = ", ".join(each.value for each in self.components)
                raise InputError("components", component.value, f"{self.kind.value} involves only {shown}")
        return tuple([self.cells[self.components.index(each)] for each in outcome.components])


class _Gate:
    """Who has the last word, by the limits of the configuration; each answer names the limits that it comes from."""

    __slots__ = ("_breaches", "_config", "_doubts", "_impact", "_levels", "_limits", "_steps", "_unsure", "_weak")

    def __init__(self, config: TrustConfig) -> None:
        self._config = config
        self._levels = tuple([f"trust level {level.value}" for level in _LEVELS])
        self._breaches = tuple([f"risk breach ({phase.value})" for phase in _PHASES])
        self._doubts = f"confidence < {config.human_confidence:g}"
        self._weak = {each: f"bound of {each.value} < {config.human_bound:g}" for each in TrustComponent}
        self._impact = f"impact > {config.approval_impact:g}"
        self._unsure = f"confidence < {config.approval_confidence:g}"
        self._limits = tuple([config.thresholds[phase] for phase in _PHASES])
        self._steps = tuple([_steps(phase, config.thresholds[phase]) for phase in _PHASES])

    def decide(
        self, request: TrustRequest, rank: int, phase: int, weak: Sequence[TrustComponent]
    ) -> tuple[AutonomyMode, tuple[str, ...]]:
        """Return the mode, and the limits that decided it; `weak` are the components whose bound is too low."""
        config, confidence = self._config, request.confidence
        automatic, supervised, approval = self._limits[phase]  # which fall
        below = 0 if confidence >= automatic else 1 if confidence >= supervised else 2 if confidence >= approval else 3
        mode, why = _MODES[below], self._steps[phase][below]
        reasons = []
        if request.kind is _EMERGENCY:
            reasons.append("emergency action")
        if request.risk_breach and phase < GUARDED_PHASES:
            reasons.append(self._breaches[phase])
        if rank <= LOW_TRUST:
            reasons.append(self._levels[rank])
        if confidence < config.human_confidence:
            reasons.append(self._doubts)
        if weak:
            reasons += [self._weak[component] for component in weak]
        if mode is _HUMAN:
            reasons.append(why)
        if reasons:
            return _HUMAN, tuple(reasons)
        return self._restrained(request, mode, why)

    def _restrained(self, request: TrustRequest, mode: AutonomyMode, why: str) -> tuple[AutonomyMode, tuple[str, ...]]:
        """Return the mode of a request that is not left to a human: an approval at least, where something asks for it."""
        config, impact = self._config, request.impact
        reasons = [why] if mode is _APPROVAL else []
        if request.recovery:
            reasons.append("recovery")
        if impact is not None and impact > config.approval_impact:
            reasons.append(self._impact)
        if request.confidence < config.approval_confidence:
            reasons.append(self._unsure)
        return (_APPROVAL, tuple(reasons)) if reasons else (mode, (why,))


def _steps(phase: TrustPhase, limits: Thresholds) -> tuple[str, ...]:
    """Return why a confidence leads to each of the modes."""
    passed = f"confidence >= {limits[0]:g} ({phase.value})"
    return passed, *(f"confidence < {limit:g} ({phase.value})" for limit in limits)


def _deadline(now: datetime, limit: timedelta) -> datetime:
    """Return until when an answer counts."""
    try:
        return _utc(now) + limit
    except OverflowError:
        raise InputError("now", now, "its time limit ends after the end of the calendar") from None


def _utc(moment: datetime) -> datetime:
    """Return an aware time in UTC: arithmetic within any other zone forgets that clocks are put back."""
    return moment if moment.tzinfo is UTC or moment.tzinfo is None else moment.astimezone(UTC)


def _seconds(field: str, moment: datetime, *, aware: bool) -> float:
    """Return seconds since 1970. Raises InputError for a naive time among aware ones, or the other way round."""
    try:
        return (moment - (_EPOCH if aware else _NAIVE_EPOCH)).total_seconds()
    except TypeError:
        kind = "aware" if aware else "naive"
        raise InputError(field, moment, f"the outcomes so far have {kind} times: use that kind throughout") from None


def _check_pair(assessment: TrustAssessment, request: TrustRequest) -> None:
    """Raise InputError where an assessment is not that of a request."""
    if type(request) is not TrustRequest:
        raise InputError("request", request, "it must be an engine_opt.TrustRequest")
    if type(assessment) is not TrustAssessment:
        raise InputError("assessment", assessment, "it must be what assess returned")
    if (assessment.request_id, assessment.kind) != (request.request_id, request.kind):
        raise InputError("assessment", assessment.request_id, f"it is not that of request {request.request_id!r}")
    # Unequal, not an error, where one of them is naive.
    if assessment.deadline != _utc(request.now) + assessment.time_limit:
        raise InputError("assessment", assessment.deadline, f"it is not that of a request at {request.now!r}")


def _check_answer(answer: HumanAnswer, request: TrustRequest, now: datetime) -> datetime:
    """Return the time of an answer to `request`, in UTC where it is aware."""
    if type(answer) is not HumanAnswer:
        raise InputError("answer", answer, "it must be an engine_opt.HumanAnswer or None")
    if answer.request_id != request.request_id:
        raise InputError("answer", answer.request_id, f"it does not answer request {request.request_id!r}")
    at = _utc(answer.at)
    if not _utc(request.now) <= at <= now:
        raise InputError("at", answer.at, f"it is not between the request, {request.now!r}, and now, {now!r}")
    return at
