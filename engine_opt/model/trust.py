"""The words of trust: who is trusted with which decision, what is asked of a human, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from engine_opt import _validate as check
from engine_opt.errors import InputError

_SHARE = "a probability"


class TrustComponent(StrEnum):
    """Who earns trust: a part of the system whose judgement goes into decisions."""

    WEEK_CLASSIFICATION = "week_classification"
    ML_OPTIMIZATION = "ml_optimization"
    REAL_TIME_ADAPTATION = "real_time_adaptation"
    RISK_MANAGEMENT = "risk_management"
    PERFORMANCE_PREDICTION = "performance_prediction"
    MARKET_ANALYSIS = "market_analysis"


class DecisionKind(StrEnum):
    """What a component is trusted with; trust in one kind of decision is no trust in another."""

    TRADE_ENTRY = "trade_entry"
    TRADE_EXIT = "trade_exit"
    POSITION_ADJUSTMENT = "position_adjustment"
    RISK_MANAGEMENT = "risk_management"
    PARAMETER_OPTIMIZATION = "parameter_optimization"
    PROTOCOL_ADAPTATION = "protocol_adaptation"
    EMERGENCY_ACTION = "emergency_action"


class TrustLevel(StrEnum):
    """How far someone is trusted, least first; `rank` compares them."""

    NO = "no"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    FULL = "full"

    @property
    def rank(self) -> int:
        """Place in the order, 0 for no trust."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(TrustLevel)}


class TrustPhase(StrEnum):
    """How far the learning has come; each phase asks for less confidence than the one before."""

    INITIAL = "initial"
    LEARNING = "learning"
    MATURE = "mature"
    EXPERT = "expert"


class AutonomyMode(StrEnum):
    """Who has the last word, most autonomous first."""

    AUTOMATIC = "automatic"  # nobody is asked
    SUPERVISED = "supervised"  # a human has a short time to object
    APPROVAL = "approval"  # a human has to approve
    HUMAN = "human"  # a human decides, the proposal is advice


class Resolution(StrEnum):
    """What became of a request."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"  # nobody answered in time: the same as rejected
    SAFE_ACTION = "safe_action"  # nobody answered an emergency in time: the action approved beforehand is taken


@dataclass(frozen=True, slots=True)
class TrustRequest:
    """A decision that somebody has to take the responsibility for.

    `confidence` is that of whoever proposes it, 0-1. `impact` is the money at stake in account currency, a size
    without sign, None where it is not known. `recovery`: it is part of a recovery from a loss. `risk_breach`: a risk
    limit is broken. `safe_action` is what may be done in an emergency without an answer, approved beforehand.
    """

    request_id: str
    kind: DecisionKind
    confidence: float
    now: datetime
    impact: float | None = None
    recovery: bool = False
    risk_breach: bool = False
    safe_action: str | None = None
    summary: str = ""

    def __post_init__(self) -> None:
        confidence, impact = self.confidence, self.impact
        # A good request, which nearly every one is, costs one chain of comparisons; NaN fails every one of them.
        if (
            type(confidence) is float
            and 0.0 <= confidence <= 1.0
            and type(self.kind) is DecisionKind
            and type(self.now) is datetime
            and (self.now.tzinfo is UTC or self.now.tzinfo is None)
            and (impact is None or (type(impact) is float and 0.0 <= impact < check.INF))
            and type(self.request_id) is str is type(self.summary)
            and self.request_id
            and type(self.recovery) is bool is type(self.risk_breach)
            and (self.safe_action is None or (type(self.safe_action) is str and self.safe_action))
        ):
            return
        self._check()

    def _check(self) -> None:
        """Turn numbers into floats and names into members, and say what is wrong."""
        check_text("request_id", self.request_id)
        check.store(self, "kind", check.member(DecisionKind, "kind", self.kind))
        check.store(self, "confidence", check.between("confidence", self.confidence, 0.0, 1.0, _SHARE))
        check_moment("now", self.now)
        if self.impact is not None:
            check.store(self, "impact", check.non_negative("impact", self.impact))
        check.flag("recovery", self.recovery)
        check.flag("risk_breach", self.risk_breach)
        if self.safe_action is not None:
            check_text("safe_action", self.safe_action)
        if not isinstance(self.summary, str):
            raise InputError("summary", self.summary, "it must be a string")


class TrustAssessment(NamedTuple):
    """Who has the last word about a request, and why.

    `components` are the involved ones, `lower_bounds` the success rates that each is known to exceed; `level` is the
    lowest of theirs, `automation_share` what that level allows. `needs_human`: a human has to be asked, which every
    mode but automatic does. An answer counts until `deadline`, `time_limit` after the request, that instant included.
    `reasons` name each threshold that decided.
    """

    request_id: str
    kind: DecisionKind
    components: tuple[TrustComponent, ...]
    level: TrustLevel
    lower_bounds: tuple[float, ...]
    mode: AutonomyMode
    needs_human: bool
    automation_share: float
    time_limit: timedelta
    deadline: datetime
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HumanAnswer:
    """What a person said to a request, and when."""

    request_id: str
    approved: bool
    person: str
    at: datetime
    note: str = ""

    def __post_init__(self) -> None:
        check_text("request_id", self.request_id)
        check.flag("approved", self.approved)
        check_text("person", self.person)
        check_moment("at", self.at)
        if not isinstance(self.note, str):
            raise InputError("note", self.note, "it must be a string")


class TrustResolution(NamedTuple):
    """What became of a request.

    `by` is the person whose answer counted, and `at` then the time of that answer; else `by` is None and `at` the time
    of the asking. `action` is an emergency's safe action where that is what is to be done.
    """

    request_id: str
    resolution: Resolution
    mode: AutonomyMode
    by: str | None
    at: datetime
    action: str | None


@dataclass(frozen=True, slots=True)
class TrustOutcome:
    """How a decision turned out.

    `confidence` is what it was proposed with, 0-1. `impact` is a share of the account's value, negative for a loss:
    -0.02 means that 2 % were lost. `agreed` says whether a human agreed, None where none was asked. `components` are
    those that are to be judged by it, None for all that the kind of decision involves.
    """

    kind: DecisionKind
    success: bool
    confidence: float
    at: datetime
    impact: float
    agreed: bool | None = None
    components: tuple[TrustComponent, ...] | None = None

    def __post_init__(self) -> None:
        check.store(self, "kind", check.member(DecisionKind, "kind", self.kind))
        check.flag("success", self.success)
        check.store(self, "confidence", check.between("confidence", self.confidence, 0.0, 1.0, _SHARE))
        check_moment("at", self.at)
        check.store(self, "impact", check.finite("impact", self.impact))
        if self.agreed is not None:
            check.flag("agreed", self.agreed)
        if self.components is not None:
            check.store(self, "components", _check_components(self.components))


def check_text(field: str, value: object) -> str:
    """Return `value` if it is a non-empty string."""
    if isinstance(value, str) and value:
        return value
    raise InputError(field, value, "it must be a non-empty string")


def check_moment(field: str, value: object) -> datetime:
    """Return `value` if it is a datetime that is naive or aware; one whose time zone knows no offset is neither."""
    if not isinstance(value, datetime):
        raise InputError(field, value, "it must be a datetime.datetime: time limits are counted in minutes")
    if value.tzinfo is not None and value.utcoffset() is None:
        raise InputError(field, value, "its time zone has no offset: leave the zone out, or give one that has")
    return value


def _check_components(values: object) -> tuple[TrustComponent, ...]:
    if not isinstance(values, tuple | list) or not values:
        raise InputError("components", values, "it must be a tuple of at least one component, or None for all")
    members = tuple(check.member(TrustComponent, f"components[{i}]", value) for i, value in enumerate(values))
    if len(set(members)) != len(members):
        raise InputError("components", values, "each component is judged once: leave out the second")
    return members
