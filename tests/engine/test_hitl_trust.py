"""Trust: the posterior and its forgetting, how levels are earned and lost, who decides, and what becomes of requests."""

import json
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import pairwise, product
from math import inf, nan, nextafter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta as scipy_beta

from engine_opt import ConfigError, InputError, StateError
from engine_opt.model import (
    AutonomyMode,
    DecisionKind,
    HumanAnswer,
    Resolution,
    TrustComponent,
    TrustLevel,
    TrustOutcome,
    TrustPhase,
    TrustRequest,
)
from engine_opt.protocol.hitl_trust import HITLTrustSystem, TrustConfig
from engine_opt.reference.trust import PlainTrust, decide, phase_of

ENTRY, RISK = DecisionKind.TRADE_ENTRY, DecisionKind.RISK_MANAGEMENT
NOW = datetime(2024, 1, 8, 15, tzinfo=UTC)
WEEK = timedelta(weeks=1)
MINUTE = timedelta(minutes=1)
MODES = tuple(AutonomyMode)
NO, LOW, MEDIUM, HIGH, FULL = TrustLevel
SUCCESSES_TO = {NO: 0, LOW: 30, MEDIUM: 60, HIGH: 90, FULL: 148}

# Levels come and go within few outcomes: what takes the standard figures years is compared in a few steps.
QUICK = TrustConfig(
    half_life_weeks=4.0,
    promotion_outcomes=2,
    hysteresis=0.01,
    level_bounds=(0.2, 0.35, 0.5, 0.6),
    learning_after=4,
    human_bound=0.3,
)


def outcome(success=True, at=NOW, **changes):
    return TrustOutcome(**{"kind": ENTRY, "success": success, "confidence": 0.9, "at": at, "impact": 0.001} | changes)


def request(now=NOW, **changes):
    return TrustRequest(**{"request_id": "r1", "kind": ENTRY, "confidence": 0.9, "now": now} | changes)


def fed(outcomes, config=None):
    system = HITLTrustSystem(config)
    for each in outcomes:
        system.record(each)
    return system


def trained(level, kind=ENTRY, config=None):
    """A system that has just earned a level by nothing but successes."""
    return fed([outcome(kind=kind)] * SUCCESSES_TO[level], config)


def level_at(system, now=NOW, kind=ENTRY):
    return system.assess(request(now, kind=kind)).level


@st.composite
def histories(draw):
    """Outcomes in order, on a grid of half days so that times coincide, of one kind, some of one component alone."""
    now, found = NOW, []
    confidences = draw(st.sampled_from([[0.8, 0.9, 0.95, 1.0], [0.5, 0.6], [0.0, 0.3, 0.5, 0.8, 0.95, 1.0]]))
    impacts = draw(st.sampled_from([[0.01, -0.02], [0.01, -0.02], [0.01, -0.05, -0.051]]))
    for _ in range(draw(st.sampled_from([0, 5, 12, 20, 30]))):
        now += timedelta(hours=12 * draw(st.sampled_from([0, 0, 1, 3, 14])))
        found.append(
            outcome(
                success=draw(st.sampled_from([True] * 7 + [False])),
                at=now,
                confidence=draw(st.sampled_from(confidences)),
                impact=draw(st.sampled_from(impacts)),
                components=draw(st.sampled_from([None, None, (TrustComponent.MARKET_ANALYSIS,)])),
            )
        )
    return found


@settings(max_examples=60, deadline=None)
@given(
    histories(),
    st.sampled_from([timedelta(0), timedelta(days=3), 10 * WEEK]),
    st.sampled_from([0.05, 0.65, 0.72, 0.78, 0.82, 0.86, 0.9, 0.96, 0.99]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 1000.0, 1000.5]),
)
def test_the_fast_system_equals_the_plain_one(found, later, confidence, recovery, breach, impact):
    """After any outcomes, levels, modes and reasons are exactly those of the definitions, bounds to twelve digits."""
    system, plain = HITLTrustSystem(QUICK), PlainTrust(QUICK)
    for each in found:
        system.record(each)
        plain.record(each)
    now = (found[-1].at if found else NOW) + later
    asked = request(now, confidence=confidence, recovery=recovery, risk_breach=breach, impact=impact)
    ours, theirs = system.assess(asked), plain.assess(asked)
    assert ours._replace(lower_bounds=()) == theirs._replace(lower_bounds=())
    assert ours.lower_bounds == pytest.approx(theirs.lower_bounds, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("level", [LOW, MEDIUM, HIGH, FULL])
def test_the_standard_levels_equal_the_plain_ones(level):
    """By the standard figures too, on the outcome that earns a level and on the one before."""
    for count in (SUCCESSES_TO[level] - 1, SUCCESSES_TO[level]):
        system, plain = HITLTrustSystem(), PlainTrust()
        for day in range(count):
            each = outcome(at=NOW + timedelta(hours=day), kind=RISK)
            system.record(each)
            plain.record(each)
        asked = request(NOW + 20 * WEEK / 7, kind=RISK)
        ours, theirs = system.assess(asked), plain.assess(asked)
        assert ours._replace(lower_bounds=()) == theirs._replace(lower_bounds=())
        assert ours.lower_bounds == pytest.approx(theirs.lower_bounds, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("level", TrustLevel)
def test_the_gate_equals_the_plain_one(level):
    """At each level, on each threshold and one float below it, mode and reasons are those of the definitions."""
    system, config = trained(level), TrustConfig()
    phase = phase_of(level.rank, SUCCESSES_TO[level], config)
    limits = {limit for limits in config.thresholds.values() for limit in limits} | {0.1, 0.7, 1.0}
    confidences = [0.0, *limits, *(nextafter(limit, 0.0) for limit in limits)]
    for confidence, recovery, breach, impact in product(confidences, [0, 1], [0, 1], [None, 1000.0, 1001.0]):
        asked = request(confidence=confidence, recovery=bool(recovery), risk_breach=bool(breach), impact=impact)
        found = system.assess(asked)
        bounds = dict(zip(found.components, found.lower_bounds, strict=True))
        assert (found.mode, list(found.reasons)) == decide(asked, level.rank, phase, bounds, config)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 20.0), st.booleans()), max_size=40),
    st.floats(0.0, 300.0),
    st.sampled_from([0.05, 0.01, 0.5]),
    st.sampled_from([(1.0, 1.0), (2.0, 5.0)]),
)
def test_the_posterior_is_the_closed_form(steps, idle, quantile, prior):
    """The lower bound is SciPy's quantile of the prior and the sums over all outcomes, each at its own weight."""
    system = HITLTrustSystem(TrustConfig(quantile=quantile, prior=prior))
    at, times = NOW, []
    for weeks, success in steps:
        at += weeks * WEEK
        system.record(outcome(success, at))
        times.append((at, success))
    now = at + idle * WEEK
    weights = [(2.0 ** -((now - then) / (26 * WEEK)), success) for then, success in times]
    a = prior[0] + sum(weight for weight, success in weights if success)
    b = prior[1] + sum(weight for weight, success in weights if not success)
    expected = float(scipy_beta.ppf(quantile, a, b))
    assert system.assess(request(now)).lower_bounds == pytest.approx((expected, expected), rel=1e-12, abs=0.0)


@settings(max_examples=40, deadline=None)
@given(histories(), st.lists(st.floats(0.0, 100.0), max_size=6))
def test_decay_does_not_depend_on_how_often_it_is_looked_at(found, days):
    """Asking any number of times in between changes no later bit: not the answer, not the state, not the next outcome."""
    quiet, watched = fed(found, QUICK), fed(found, QUICK)
    start = found[-1].at if found else NOW
    for each in sorted(days):
        watched.assess(request(start + timedelta(days=each)))
    later = start + timedelta(days=101)
    assert watched.assess(request(later)) == quiet.assess(request(later))
    for system in (quiet, watched):
        system.record(outcome(at=later))
    assert watched.save() == quiet.save()
    assert watched.assess(request(later + WEEK)) == quiet.assess(request(later + WEEK))


def test_a_half_life_halves():
    """26 weeks later the evidence weighs half, whatever the steps: the bound is that of half the successes."""
    halved = fed([outcome(kind=RISK)] * 40).assess(request(NOW + 26 * WEEK, kind=RISK)).lower_bounds
    assert halved == pytest.approx(fed([outcome(kind=RISK)] * 20).assess(request(kind=RISK)).lower_bounds, rel=1e-13)


@settings(max_examples=40, deadline=None)
@given(histories(), st.integers(0, 30))
def test_a_restored_system_goes_on_as_if_nothing_had_happened(found, cut):
    """Saved as JSON at any point and restored, later states and answers are the same bits; so are those of a replay."""
    whole, first = fed(found, QUICK), fed(found[:cut], QUICK)
    resumed = HITLTrustSystem.restore(QUICK, json.loads(json.dumps(first.save())))
    assert resumed.save() == first.save()
    for each in found[cut:]:
        resumed.record(each)
    later = request((found[-1].at if found else NOW) + WEEK)
    for again in (resumed, fed(found, QUICK), pickle.loads(pickle.dumps(whole))):
        assert again.save() == whole.save()
        assert again.assess(later) == whole.assess(later)
        assert again.stats() == whole.stats()


def test_nothing_is_known_at_first():
    """Without outcomes the bound is that of the prior, there is no trust, and a human decides."""
    found = HITLTrustSystem().assess(request())
    assert found.lower_bounds == pytest.approx((0.05, 0.05), rel=1e-14)
    assert (found.level, found.mode, found.needs_human, found.automation_share) == (NO, AutonomyMode.HUMAN, True, 0.0)


@pytest.mark.parametrize(("lower", "upper"), list(pairwise(TrustLevel)))
def test_a_level_is_earned_by_thirty_outcomes_and_a_bound(lower, upper):
    """Each level takes thirty outcomes at the one below, full trust as many as its bound and the hysteresis ask for."""
    needed = SUCCESSES_TO[upper]
    assert level_at(fed([outcome()] * (needed - 1))) is lower
    assert level_at(fed([outcome()] * needed)) is upper


def test_shares_of_automation():
    """Each level allows its share."""
    assert [trained(level).assess(request()).automation_share for level in TrustLevel] == [0.0, 0.2, 0.5, 0.8, 0.95]


def test_promotion_needs_the_hysteresis():
    """A bound above the level's but within the hysteresis keeps a level, and does not earn it."""
    config = TrustConfig(promotion_outcomes=8, level_bounds=(0.7, 0.8, 0.9, 0.95), hysteresis=0.03)
    inside, beyond = 0.05 ** (1 / 9), 0.05 ** (1 / 10)
    assert 0.7 < inside < 0.73 < beyond
    assert level_at(fed([outcome()] * 8, config)) is NO
    assert level_at(fed([outcome()] * 9, config)) is LOW
    rather = fed([outcome()] * 9, config)
    assert 0.7 < rather.assess(request(NOW + 3 * WEEK)).lower_bounds[0] < 0.73
    assert level_at(rather, NOW + 3 * WEEK) is LOW


def test_demotion_is_at_once():
    """The failure that takes the bound below the level's takes the level, and the count of thirty begins again."""
    system = trained(MEDIUM)
    lost = 0
    while level_at(system) is MEDIUM:
        system.record(outcome(success=False))
        lost += 1
    assert scipy_beta.ppf(0.05, 61, lost + 1) < 0.7 <= scipy_beta.ppf(0.05, 61, lost)
    assert level_at(system) is LOW
    for _ in range(29):
        system.record(outcome(confidence=1.0))
    assert level_at(system) is LOW
    system.record(outcome(confidence=1.0))
    assert level_at(system) is MEDIUM


def test_calibration_alone_takes_a_level():
    """Full trust whose confidences turn out to say nothing falls by them, though the bound would still do."""
    system = trained(FULL)
    for _ in range(30):
        system.record(outcome(confidence=0.0))
    found = system.assess(request())
    assert found.lower_bounds[0] > 0.98
    assert found.level is HIGH  # 30 of 1.0 and 148 of 0.01 are 0.177 on average


def test_idleness_takes_levels_away():
    """Old evidence counts less: the level in force falls with the bound, and an outcome does not bring it back."""
    system = trained(HIGH)
    before = system.save()
    found = [level_at(system, NOW + weeks * WEEK) for weeks in (44, 45, 93, 94, 138, 139)]
    assert found == [HIGH, MEDIUM, MEDIUM, LOW, LOW, NO]
    assert system.save() == before
    assert level_at(system) is HIGH
    system = fed([outcome()] * 95)
    system.record(outcome(at=NOW + 100 * WEEK))
    saved = system.save()["cells"][0]
    assert (saved["level"], saved["since"]) == ("low", 1)


def test_a_large_loss_takes_all_trust():
    """A loss beyond the limit leaves no trust, whatever the bound, until thirty more outcomes earn some again."""
    system = trained(FULL)
    system.record(outcome(impact=-0.05))
    assert level_at(system) is FULL
    system.record(outcome(impact=-0.0501))
    found = system.assess(request(confidence=0.99))
    assert (found.level, found.mode) == (NO, AutonomyMode.HUMAN)
    assert found.lower_bounds[0] > 0.95
    for _ in range(29):
        system.record(outcome())
    assert level_at(system) is NO
    system.record(outcome())
    assert level_at(system) is LOW


@pytest.mark.parametrize(
    ("confidence", "level"),
    [
        (0.95, FULL),
        (0.613, FULL),
        (0.612, HIGH),
        (0.553, HIGH),
        (0.552, MEDIUM),
        (0.5, MEDIUM),
        (0.49, LOW),
        (0.0, LOW),
    ],
)
def test_calibration_caps_the_level(confidence, level):
    """Who is always right but does not say so is capped: mean scores beyond 0.15, 0.20 and 0.25."""
    assert level_at(fed([outcome(confidence=confidence)] * 200)) is level


def test_a_calibration_on_the_limit_is_not_beyond_it():
    """A mean that is the limit, but for how the sums were rounded, does not cap."""
    config = TrustConfig(brier_caps={LOW: (1.0 - 0.9) ** 2})
    for hours in range(1, 12):
        times = [NOW + i * i * hours * MINUTE for i in range(60)]
        assert level_at(fed([outcome(at=at) for at in times], config), times[-1]) is MEDIUM


def test_trust_is_per_component_and_kind():
    """What is earned in one kind of decision is no trust in another, and one component's outcome is not the other's."""
    system = trained(MEDIUM, kind=DecisionKind.TRADE_EXIT)
    assert level_at(system, kind=DecisionKind.TRADE_EXIT) is MEDIUM
    assert level_at(system, kind=RISK) is NO
    alone = fed([outcome(components=(TrustComponent.MARKET_ANALYSIS,))] * 60).assess(request())
    assert alone.level is NO
    assert alone.lower_bounds == pytest.approx((0.05, 0.05 ** (1 / 61)))


def test_components_with_equal_evidence_of_unequal_age_differ():
    """One success each: the older one weighs half after a half-life, and each bound is its own."""
    week, market = TrustComponent.WEEK_CLASSIFICATION, TrustComponent.MARKET_ANALYSIS
    later = NOW + 26 * WEEK
    for first, bounds in ((market, (0.05 ** (1 / 2), 0.05 ** (1 / 1.5))), (week, (0.05 ** (1 / 1.5), 0.05 ** (1 / 2)))):
        second = week if first is market else market
        system = fed([outcome(components=(first,)), outcome(at=later, components=(second,))])
        assert system.assess(request(later)).lower_bounds == pytest.approx(bounds, rel=1e-13)


@pytest.mark.parametrize(
    ("level", "limits"),
    [
        (MEDIUM, (0.92, 0.85, 0.70)),
        (HIGH, (0.88, 0.80, 0.65)),
        (FULL, (0.85, 0.75, 0.60)),
    ],
)
def test_confidence_decides_by_phase(level, limits):
    """On a threshold the freer mode holds, one float below it the next."""
    system = trained(level)
    for i, limit in enumerate(limits):
        for confidence, mode in ((limit, MODES[i]), (nextafter(limit, 0.0), MODES[i + 1])):
            found = system.assess(request(confidence=confidence))
            assert found.mode is mode
            assert found.needs_human is (mode is not AutonomyMode.AUTOMATIC)


def test_the_initial_phase_lasts_fifty_successes():
    """Trust may be earned sooner, the stricter thresholds hold until there were fifty successes."""
    config = TrustConfig(promotion_outcomes=20)
    early, late = fed([outcome()] * 49, config), fed([outcome()] * 50, config)
    assert level_at(early) is level_at(late) is MEDIUM
    assert early.assess(request(confidence=0.93)).mode is AutonomyMode.APPROVAL
    assert early.assess(request(confidence=0.93)).reasons == ("confidence < 0.95 (initial)",)
    assert early.assess(request(confidence=0.98)).mode is AutonomyMode.AUTOMATIC
    assert late.assess(request(confidence=0.93)).mode is AutonomyMode.AUTOMATIC


@pytest.mark.parametrize(
    ("level", "changes", "reasons"),
    [
        (NO, {}, ("trust level no", "bound of week_classification < 0.5", "bound of market_analysis < 0.5")),
        (LOW, {}, ("trust level low",)),
        (MEDIUM, {"confidence": 0.09}, ("confidence < 0.1", "confidence < 0.7 (learning)")),
        (MEDIUM, {"confidence": 0.69}, ("confidence < 0.7 (learning)",)),
        (MEDIUM, {"risk_breach": True}, ("risk breach (learning)",)),
    ],
)
def test_what_is_always_a_humans_matter(level, changes, reasons):
    """No or low trust, no confidence, a weak component, a risk breach while learning: each is named."""
    found = trained(level).assess(request(**{"confidence": 0.99} | changes))
    assert (found.mode, found.needs_human, found.reasons) == (AutonomyMode.HUMAN, True, reasons)


def test_an_emergency_is_always_a_humans_matter():
    """Even full trust does not act in an emergency."""
    emergency = DecisionKind.EMERGENCY_ACTION
    found = trained(FULL, kind=emergency).assess(request(kind=emergency, confidence=1.0))
    assert (found.level, found.mode, found.reasons) == (FULL, AutonomyMode.HUMAN, ("emergency action",))
    plain = PlainTrust().assess(request(kind=emergency, confidence=1.0))
    assert (plain.mode, plain.reasons[0]) == (AutonomyMode.HUMAN, "emergency action")


def test_a_weak_component_is_named():
    """A bound below one half is a human's matter where levels would allow more."""
    config = replace(QUICK, human_bound=0.9)
    system = fed([outcome()] * 20 + [outcome(components=(TrustComponent.MARKET_ANALYSIS,))] * 20, config)
    found = system.assess(request(confidence=0.99))
    assert found.level is FULL
    assert (found.mode, found.reasons) == (AutonomyMode.HUMAN, ("bound of week_classification < 0.9",))


def test_a_risk_breach_is_left_to_a_mature_system():
    """After the first two phases a breach is judged like any other request."""
    assert trained(HIGH).assess(request(confidence=0.99, risk_breach=True)).mode is AutonomyMode.AUTOMATIC


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"recovery": True}, ("recovery",)),
        ({"impact": 1000.01}, ("impact > 1000",)),
        ({"confidence": 0.69}, ("confidence < 0.75 (expert)", "confidence < 0.7")),
        ({"recovery": True, "impact": 5000, "confidence": 0.8}, ("recovery", "impact > 1000")),
    ],
)
def test_what_needs_an_approval_at_least(changes, reasons):
    """Recoveries, more than 1,000 at stake and less than 70 % confidence are approved, however high the trust."""
    found = trained(FULL).assess(request(**{"confidence": 0.99} | changes))
    assert (found.mode, found.reasons) == (AutonomyMode.APPROVAL, reasons)


def test_an_impact_on_the_limit_needs_no_approval():
    """1,000 is not more than 1,000."""
    found = trained(FULL).assess(request(confidence=0.99, impact=1000))
    assert (found.mode, found.reasons) == (AutonomyMode.AUTOMATIC, ("confidence >= 0.85 (expert)",))


@pytest.mark.parametrize(("kind", "minutes"), list(zip(DecisionKind, (15, 10, 30, 5, 120, 240, 2), strict=True)))
def test_time_limits(kind, minutes):
    """Each kind has its own; the deadline is that much after the request."""
    found = HITLTrustSystem().assess(request(kind=kind))
    assert found.time_limit == minutes * MINUTE
    assert found.deadline == NOW + minutes * MINUTE


def test_the_supervised_window_is_short():
    """Five minutes to object, or the kind's own limit where that is shorter."""
    for config, minutes in ((None, 5), (TrustConfig(supervised_window=60 * MINUTE), 15)):
        found = trained(MEDIUM, config=config).assess(request())
        assert (found.mode, found.time_limit) == (AutonomyMode.SUPERVISED, minutes * MINUTE)


def resolved(mode, minutes, answered=None, approved=True, config=None, **changes):
    """What became of a request of a mode by so many minutes later, answered after so many."""
    confidence = {"automatic": 0.95, "supervised": 0.9, "approval": 0.8, "human": 0.5}[mode]
    system, asked = trained(MEDIUM, config=config), request(confidence=confidence, **changes)
    assessment = system.assess(asked)
    assert assessment.mode is AutonomyMode(mode)
    given = None if answered is None else HumanAnswer("r1", approved, "Ada", NOW + answered * MINUTE)
    return system.resolve(assessment, asked, given, NOW + minutes * MINUTE)


PROCEED = TrustConfig(supervised_silence="proceed")


@pytest.mark.parametrize(
    ("mode", "minutes", "answered", "approved", "resolution"),
    [
        ("automatic", 0, None, None, "approved"),
        ("automatic", 60, None, None, "approved"),
        ("automatic", 1, 1, False, "rejected"),
        ("automatic", 20, 20, False, "rejected"),
        ("supervised", 0, None, None, "pending"),
        ("supervised", 5, None, None, "pending"),
        ("supervised", 5.01, None, None, "expired"),
        ("supervised", 5, 5, True, "approved"),
        ("supervised", 6, 5, False, "rejected"),
        ("supervised", 6, 5.01, True, "expired"),
        ("approval", 15, None, None, "pending"),
        ("approval", 15.01, None, None, "expired"),
        ("approval", 1000, 15, True, "approved"),
        ("approval", 1000, 15, False, "rejected"),
        ("approval", 16, 15.01, True, "expired"),
        ("human", 0, None, None, "pending"),
        ("human", 0, 0, True, "approved"),
        ("human", 16, 16, True, "expired"),
        ("human", 16, 16, False, "expired"),
    ],
)
def test_what_becomes_of_a_request(mode, minutes, answered, approved, resolution):
    """An answer until the deadline counts; without one a request is pending, then expired; only automatic goes by itself."""
    found = resolved(mode, minutes, answered, approved)
    assert found.resolution is Resolution(resolution)
    assert (found.request_id, found.mode, found.action) == ("r1", AutonomyMode(mode), None)
    counted = found.resolution is Resolution.REJECTED or (answered is not None and resolution == "approved")
    assert found.by == ("Ada" if counted else None)
    assert found.at == NOW + (answered if counted else minutes) * MINUTE


@pytest.mark.parametrize(
    ("mode", "minutes", "answered", "approved", "resolution"),
    [
        ("supervised", 5, None, None, "pending"),
        ("supervised", 5.01, None, None, "approved"),
        ("supervised", 6, 6, True, "approved"),
        ("supervised", 6, 6, False, "rejected"),
        ("supervised", 3, 2, False, "rejected"),
        ("approval", 15.01, None, None, "expired"),
    ],
)
def test_silence_under_supervision_may_be_consent(mode, minutes, answered, approved, resolution):
    """Where the configuration says so, nobody's objection lets pass; an objection never does, not even a late one."""
    assert resolved(mode, minutes, answered, approved, PROCEED).resolution is Resolution(resolution)


def emergency(**changes):
    return request(**{"kind": DecisionKind.EMERGENCY_ACTION, "safe_action": "close_position"} | changes)


@pytest.mark.parametrize(
    ("minutes", "answered", "approved", "resolution", "action"),
    [
        (2, None, None, "pending", None),
        (2.01, None, None, "safe_action", "close_position"),
        (1, 1, True, "approved", None),
        (1, 1, False, "rejected", None),
        (3, 2.5, True, "safe_action", "close_position"),
        (3, 2.5, False, "safe_action", "close_position"),
    ],
)
def test_an_emergency_does_not_wait(minutes, answered, approved, resolution, action):
    """After two minutes without an answer the safe action is taken; an answer in time counts."""
    system, asked = HITLTrustSystem(PROCEED), emergency()
    given = None if answered is None else HumanAnswer("r1", approved, "Ada", NOW + answered * MINUTE)
    found = system.resolve(system.assess(asked), asked, given, NOW + minutes * MINUTE)
    assert (found.resolution, found.action) == (Resolution(resolution), action)


def test_what_passes_by_itself_passes_as_if_it_were_resolved():
    """The short way is for those alone who need nobody."""
    system, asked = trained(FULL), request(confidence=1.0)
    assessment = system.assess(asked)
    assert not assessment.needs_human
    assert system.pass_on(assessment, NOW) == system.resolve(assessment, asked, None, NOW)
    waiting = HITLTrustSystem().assess(asked)
    with pytest.raises(StateError, match="by itself"):
        system.pass_on(waiting, NOW)


def test_an_emergency_needs_a_safe_action():
    """Without one it cannot be left without an answer, which is found before the time runs."""
    system, asked = HITLTrustSystem(), emergency(safe_action=None)
    with pytest.raises(InputError, match="safe_action"):
        system.resolve(system.assess(asked), asked, None, NOW)


NAIVE = NOW.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("answer", "now"),
    [
        (HumanAnswer("r2", True, "Ada", NOW), NOW),
        (HumanAnswer("r1", True, "Ada", NOW - MINUTE), NOW),
        (HumanAnswer("r1", True, "Ada", NOW + MINUTE), NOW),
        (HumanAnswer("r1", True, "Ada", NAIVE), NOW),
        (HumanAnswer("r1", True, "Ada", NAIVE), NAIVE),
        (None, NAIVE),
        (None, NOW - MINUTE),
        (None, date(2024, 1, 8)),
        (None, None),
        (True, NOW),
    ],
)
@pytest.mark.parametrize("level", [NO, FULL])
def test_what_cannot_be_resolved_is_refused(answer, now, level):
    """Answers to other requests, from before the question or after now, and mixed times approve nothing."""
    system, asked = trained(level), request()
    with pytest.raises(InputError):
        system.resolve(system.assess(asked), asked, answer, now)


def test_an_assessment_belongs_to_its_request():
    """The trust of one request does not let another pass, nor the same one at another time."""
    system, asked = trained(FULL), request()
    assessment = system.assess(asked)
    for other in (request(request_id="r2"), request(kind=RISK), request(NOW + MINUTE), request(NAIVE), None):
        with pytest.raises(InputError):
            system.resolve(assessment, other, None, NOW + MINUTE)
    with pytest.raises(InputError, match="assessment"):
        system.resolve(tuple(assessment), asked, None, NOW)


def test_deadlines_do_not_forget_that_clocks_are_put_back():
    """An hour that the clocks repeat does not lengthen a limit: an answer within it comes an hour late."""
    york = ZoneInfo("America/New_York")
    asked = request(datetime(2024, 11, 3, 1, 50, tzinfo=york))
    system = HITLTrustSystem()
    found = system.assess(asked)
    assert found.deadline == datetime(2024, 11, 3, 6, 5, tzinfo=UTC)
    late = datetime(2024, 11, 3, 1, 55, fold=1, tzinfo=york)
    answer = HumanAnswer("r1", True, "Ada", late)
    assert system.resolve(found, asked, answer, late).resolution is Resolution.EXPIRED


def test_time_zones_do_not_matter():
    """The same instants in another zone make the same trust, bit for bit."""
    tokyo = timezone(timedelta(hours=9))
    times = [NOW + i * timedelta(hours=5) for i in range(40)]
    here, there = fed([outcome(at=at) for at in times]), fed([outcome(at=at.astimezone(tokyo)) for at in times])
    assert there.save() == here.save()
    later = times[-1] + WEEK
    assert there.assess(request(later)) == here.assess(request(later.astimezone(tokyo)))


def test_naive_times_are_a_world_of_their_own():
    """A system whose outcomes have naive times works alike, and takes no aware ones; nor the other way round."""
    for at, other in ((NAIVE, NOW), (NOW, NAIVE)):
        system = fed([outcome(at=at)] * 30)
        assert level_at(system, at) is LOW
        before = system.save()
        with pytest.raises(InputError, match="now"):
            system.assess(request(other))
        with pytest.raises(InputError, match="at"):
            system.record(outcome(at=other))
        assert system.save() == before
        restored = HITLTrustSystem.restore(None, before)
        assert level_at(restored, at) is LOW
        with pytest.raises(InputError):
            restored.assess(request(other))


@pytest.mark.parametrize(
    "bad",
    [
        outcome(at=NOW - timedelta(microseconds=1)),
        outcome(components=(TrustComponent.MARKET_ANALYSIS,), at=NOW - MINUTE),
        outcome(components=(TrustComponent.ML_OPTIMIZATION,)),
        outcome(components=(TrustComponent.MARKET_ANALYSIS, TrustComponent.RISK_MANAGEMENT)),
        None,
    ],
)
def test_a_refused_outcome_leaves_no_trace(bad):
    """An outcome out of order, of a component that is not involved, or none at all changes nothing."""
    system = fed([outcome(components=(TrustComponent.MARKET_ANALYSIS,))])
    before, asked = system.save(), request()
    expected = system.assess(asked)
    with pytest.raises(InputError):
        system.record(bad)
    assert (system.save(), system.assess(asked)) == (before, expected)


def test_the_plain_system_refuses_alike():
    """The reference is as strict about order, components and the past."""
    plain = PlainTrust()
    plain.record(outcome())
    for bad in (outcome(at=NOW - MINUTE), outcome(components=(TrustComponent.ML_OPTIMIZATION,))):
        with pytest.raises(InputError):
            plain.record(bad)
    with pytest.raises(InputError):
        plain.assess(request(NOW - MINUTE))
    assert plain.outcomes == [outcome()]


def test_outcomes_of_other_cells_may_be_older():
    """Order is asked for within a cell: another kind, or a component without later outcomes, may lag behind."""
    system = fed([outcome(components=(TrustComponent.MARKET_ANALYSIS,))])
    system.record(outcome(at=NOW - WEEK, kind=RISK))
    system.record(outcome(at=NOW - WEEK, components=(TrustComponent.WEEK_CLASSIFICATION,)))
    assert system.stats()["outcomes"] == 3.0


def test_the_past_is_not_assessed():
    """A request from before the last outcome would be judged by what was not known then."""
    with pytest.raises(InputError, match="past"):
        fed([outcome()]).assess(request(NOW - timedelta(microseconds=1)))
    with pytest.raises(InputError):
        HITLTrustSystem().assess(None)
    with pytest.raises(InputError, match="calendar"):
        HITLTrustSystem().assess(request(datetime.max.replace(tzinfo=UTC)))


def test_memory_is_bounded():
    """A thousand outcomes and as many requests leave no more behind than a hundred."""
    system, sizes = HITLTrustSystem(), []
    for i in range(1_000):
        at = NOW + i * timedelta(hours=7)
        system.record(outcome(i % 7 > 0, at))
        system.assess(request(at + MINUTE))
        if i in (99, 999):
            sizes.append(len(pickle.dumps(system)))
    assert abs(sizes[1] - sizes[0]) < 64
    assert len(system.save()["cells"]) == 2


def test_stats_count_outcomes_and_levels():
    """What was seen, how often humans agreed, and how many components stand where."""
    system = trained(LOW)
    for agreed in (True, True, False, None):
        system.record(outcome(agreed=agreed, success=bool(agreed), impact=-0.06, kind=RISK))
    expected = {"outcomes": 34, "successes": 32, "losses": 4, "agreed": 2, "disagreed": 1}
    levels = {"level.no": 9, "level.low": 2, "level.medium": 0, "level.high": 0, "level.full": 0}
    assert system.stats() == expected | levels
    assert system.config == TrustConfig()


def test_a_stricter_configuration_takes_levels_at_once():
    """A state from laxer times does not keep what it could not have earned."""
    saved = trained(FULL).save()
    strict = TrustConfig(level_bounds=(0.4, 0.9, 0.985, 0.99), hysteresis=0.0)
    assert level_at(HITLTrustSystem.restore(strict, saved)) is MEDIUM
    assert level_at(HITLTrustSystem.restore(TrustConfig(brier_caps={LOW: 0.001}), saved)) is LOW


def broken(**changes):
    return trained(LOW).save() | changes


def broken_cell(**changes):
    saved = trained(LOW).save()
    saved["cells"][0] |= changes
    return saved


DAMAGED = {
    "nothing": None,
    "a list": [],
    "another schema": broken(schema=2),
    "no schema": {"cells": []},
    "a part missing": {"schema": 1, "aware": True, "cells": []},
    "a part too many": broken(more=1),
    "awareness lost": broken(aware=None),
    "awareness a number": broken(aware=1),
    "cells a table": broken(cells={}),
    "a count missing": broken(counts={"outcomes": 1}),
    "a count negative": broken(counts=trained(LOW).save()["counts"] | {"losses": -1}),
    "counts a list": broken(counts=[]),
    "a cell twice": broken(cells=trained(LOW).save()["cells"] * 2),
    "a cell no table": broken(cells=[1]),
    "a cell of nothing": broken(cells=[{}]),
    "an unknown kind": broken_cell(kind="lunch"),
    "an uninvolved component": broken_cell(component="ml_optimization"),
    "an unknown level": broken_cell(level="total"),
    "a level as a number": broken_cell(level=4),
    "a weight that is no number": broken_cell(successes=nan),
    "an infinite weight": broken_cell(failures=inf),
    "a weight as text": broken_cell(successes="30.0"),
    "a negative weight": broken_cell(brier=-0.1),
    "more weight than outcomes": broken_cell(successes=30.5),
    "failures from nowhere": broken_cell(failures=1.0),
    "less weight than the last outcome": broken_cell(successes=0.5),
    "more error than weight": broken_cell(brier=31.0),
    "a time that is no number": broken_cell(last=None),
    "no outcomes": broken_cell(outcomes=0, right=0, since=0, successes=0.0),
    "more right than there were": broken_cell(right=31),
    "a count as a float": broken_cell(since=0.0),
    "a count as a bool": broken_cell(since=True),
    "more since than ever": broken_cell(since=31),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_state_is_refused(name):
    """What no system can have saved is not restored; the error says what is wrong and what to do."""
    with pytest.raises(StateError, match="replay the outcomes"):
        HITLTrustSystem.restore(None, DAMAGED[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"level_bounds": (0.4, 0.7, 0.7, 0.95)},
        {"level_bounds": (0.0, 0.7, 0.8, 0.95)},
        {"level_bounds": (0.4, 0.7, 0.9)},
        {"level_bounds": (0.4, 0.7, 0.9, 0.98)},
        {"automation_shares": (0.1, 0.2, 0.5, 0.8, 0.95)},
        {"automation_shares": (0.0, 0.5, 0.2, 0.8, 0.95)},
        {"automation_shares": (0.0, 0.2, 0.5, 0.8, 1.1)},
        {"automation_shares": (0.0, 1.0)},
        {"brier_caps": {LOW: 0.2, MEDIUM: 0.2}},
        {"brier_caps": {FULL: 0.1}},
        {"components": {ENTRY: (TrustComponent.MARKET_ANALYSIS,)}},
        {"components": dict(TrustConfig().components) | {ENTRY: ()}},
        {"components": dict(TrustConfig().components) | {ENTRY: (TrustComponent.MARKET_ANALYSIS,) * 2}},
        {"time_limits": {}},
        {"time_limits": dict(TrustConfig().time_limits) | {"lunch": MINUTE}},
        {"prior": (1.0, 1.0, 1.0)},
        {"time_limits": dict(TrustConfig().time_limits) | {ENTRY: timedelta(0)}},
        {"time_limits": dict(TrustConfig().time_limits) | {ENTRY: 15}},
        {"supervised_window": -MINUTE},
        {"supervised_silence": "maybe"},
        {"promotion_outcomes": 0},
        {"promotion_outcomes": 30.0},
        {"learning_after": -1},
        {"learning_after": True},
        {"thresholds": {}},
        {"thresholds": dict(TrustConfig().thresholds) | {TrustPhase.EXPERT: (0.85, 0.86, 0.6)}},
        {"thresholds": dict(TrustConfig().thresholds) | {TrustPhase.EXPERT: (0.89, 0.75, 0.6)}},
        {"thresholds": dict(TrustConfig().thresholds) | {TrustPhase.EXPERT: (0.85, 0.75)}},
    ],
)
def test_contradictory_configurations_are_refused(changes):
    """A configuration that cannot work is refused when it is built."""
    with pytest.raises(ConfigError):
        TrustConfig(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"half_life_weeks": 0.0},
        {"quantile": 0.6},
        {"prior": (0.5, 1.0)},
        {"hysteresis": nan},
        {"human_bound": 50},
        {"human_confidence": True},
        {"approval_confidence": None},
        {"approval_impact": -1.0},
        {"loss_limit": 0.0},
        {"brier_caps": {"some": 0.2}},
        {"brier_caps": {LOW: 2.0}},
        {"components": dict(TrustConfig().components) | {ENTRY: ("luck",)}},
        {"thresholds": dict(TrustConfig().thresholds) | {TrustPhase.EXPERT: (nan, 0.75, 0.6)}},
    ],
)
def test_configured_numbers_are_checked(changes):
    """A configured figure is a number in its range, a name a known one."""
    with pytest.raises(InputError):
        TrustConfig(**changes)


@pytest.mark.parametrize("config", [TrustConfig(), TrustConfig.original(), QUICK])
def test_configurations_are_values(config):
    """A configuration equals its copy from another process, hashes alike, and its tables cannot be changed."""
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert hash(again) == hash(config)
    with pytest.raises(TypeError):
        config.time_limits[ENTRY] = WEEK


def test_the_original_forgets_two_percent_a_week():
    """Its ten outcomes make a level, and a week takes a fiftieth; its levels and shares are the standard ones."""
    config = TrustConfig.original()
    assert 2.0 ** (-1.0 / config.half_life_weeks) == pytest.approx(0.98)
    assert [level_at(fed([outcome()] * count, config)) for count in (9, 10, 20, 30)] == [NO, LOW, MEDIUM, HIGH]
    assert (config.level_bounds, config.automation_shares) == (
        TrustConfig().level_bounds,
        TrustConfig().automation_shares,
    )


def test_levels_have_an_order():
    """Ranks rise from no to full trust."""
    assert [level.rank for level in TrustLevel] == [0, 1, 2, 3, 4]
    assert [level.value for level in TrustLevel] == ["no", "low", "medium", "high", "full"]


class Nowhere(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, _):
        return None


NOT_MOMENTS = [None, date(2024, 1, 8), "2024-01-08", 0.0, datetime(2024, 1, 8, tzinfo=Nowhere())]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("request_id", [None, "", 1]),
        ("kind", [None, "lunch", 1]),
        ("confidence", [None, nan, inf, -0.1, 1.1, True, "1", 90]),
        ("now", NOT_MOMENTS),
        ("impact", [nan, inf, -1.0, True, "1"]),
        ("recovery", [None, 1, "no"]),
        ("risk_breach", [None, 0]),
        ("safe_action", ["", 1, True]),
        ("summary", [None, 1]),
    ],
)
def test_requests_are_checked(field, values):
    """Each field of a request refuses what it cannot be, by name."""
    for value in values:
        with pytest.raises(InputError) as caught:
            request(**{field: value})
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("kind", [None, "lunch"]),
        ("success", [None, 1, "yes"]),
        ("confidence", [None, nan, 1.5, True]),
        ("at", NOT_MOMENTS),
        ("impact", [None, nan, -inf, True]),
        ("agreed", [1, "yes"]),
        ("components", [(), "market_analysis", ("market_analysis",) * 2, 1]),
    ],
)
def test_outcomes_are_checked(field, values):
    """Each field of an outcome refuses what it cannot be, by name."""
    for value in values:
        with pytest.raises(InputError) as caught:
            outcome(**{field: value})
        assert caught.value.field == field
    with pytest.raises(InputError, match=r"components\[1\]"):
        outcome(components=("market_analysis", "luck"))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("request_id", [None, ""]),
        ("approved", [None, 1, "yes"]),
        ("person", [None, "", 7]),
        ("at", NOT_MOMENTS),
        ("note", [None, 1]),
    ],
)
def test_answers_are_checked(field, values):
    """An answer says yes or no, who says it, and when."""
    for value in values:
        with pytest.raises(InputError) as caught:
            HumanAnswer(**{"request_id": "r1", "approved": True, "person": "Ada", "at": NOW} | {field: value})
        assert caught.value.field == field


def test_names_are_taken_for_members():
    """Kinds and components may be given by name, numbers as ints; what is stored is the same."""
    given = request(kind="trade_entry", confidence=1, impact=5, now=NOW.astimezone(ZoneInfo("Asia/Tokyo")))
    assert (given.kind, type(given.confidence), type(given.impact)) == (ENTRY, float, float)
    judged = outcome(kind="trade_entry", components=["market_analysis"])
    assert (judged.kind, judged.components) == (ENTRY, (TrustComponent.MARKET_ANALYSIS,))
