"""Trust over columns: level, mode and bounds of the trust system, request by request."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import HITLTrustSystem, InputError, StateError, TrustConfig, TrustOutcome, TrustRequest
from engine_opt.batch import members
from engine_opt.batch.trust import KINDS, Asked, TrustCells
from engine_opt.model import AutonomyMode, DecisionKind, TrustComponent, TrustLevel

START = datetime(2020, 1, 1)  # noqa: DTZ001 - naive moments are allowed
EASY = TrustConfig(
    level_bounds=(0.2, 0.4, 0.6, 0.8), learning_after=10, promotion_outcomes=5, human_bound=0.3, human_confidence=0.72
)
CONFIGS = [TrustConfig(), TrustConfig.original(), EASY]


def learnt(config, rng, kinds=tuple(DecisionKind), zone=None):
    """Return a system with a record, longer and better for some kinds than for others."""
    system = HITLTrustSystem(config)
    for kind in kinds:
        share = rng.uniform(0.6, 1.0)
        for day in range(int(rng.integers(1, 200))):
            parts = config.components[kind]
            judged = None if rng.random() < 0.8 else (parts[int(rng.integers(len(parts)))],)
            at = (START + timedelta(day)).replace(tzinfo=zone)
            system.record(TrustOutcome(kind, bool(rng.random() < share), rng.uniform(0.8, 1.0), at, 0.0, None, judged))
    return system


def random_requests(rng, n, aware=False):
    days = np.timedelta64(1, "D")
    now = np.datetime64("2020-08-01T16:00", "us") + rng.integers(0, 900, n) * days
    return Asked(
        np.arange(n),
        rng.integers(0, len(KINDS), n).astype(np.uint8),
        rng.choice([0.05, 0.1, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.88, 0.92, 0.95, 0.98, 1.0], n),
        now,
        aware,
        rng.choice([nan, 0.0, 1000.0, 1000.1], n),
        rng.random(n) < 0.2,
        rng.random(n) < 0.2,
    )


def check(config, state, asked, zone=None):
    """Compare the columns with what a system of that state says."""
    columns = TrustCells(config, state).assess(asked)
    system = HITLTrustSystem.restore(config, state)
    for index in range(len(asked.kind)):
        impact = asked.impact[index]
        expected = system.assess(
            TrustRequest(
                "1",
                KINDS[asked.kind[index]],
                float(asked.confidence[index]),
                asked.now[index].item().replace(tzinfo=zone),
                None if np.isnan(impact) else float(impact),
                bool(asked.recovery[index]),
                bool(asked.risk_breach[index]),
                "wait",
            )
        )
        bounds = columns.lower_bounds[index]
        assert tuple(bounds[~np.isnan(bounds)].tolist()) == expected.lower_bounds
        assert members(TrustLevel, columns.level[[index]]) == [expected.level]
        assert members(AutonomyMode, columns.mode[[index]]) == [expected.mode]
    return columns


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), config=st.sampled_from(CONFIGS), some=st.booleans())
def test_any_requests_are_assessed_as_one_by_one(seed, config, some):
    """Records of all kinds of decisions, or of some; requests at any later moment. Bounds to the last bit."""
    rng = np.random.default_rng(seed)
    system = learnt(config, rng, tuple(DecisionKind)[::2] if some else tuple(DecisionKind))
    check(config, system.save(), random_requests(rng, 60))


def test_every_mode_is_reached():
    """The comparison is not about humans alone."""
    rng = np.random.default_rng(8)
    columns = [check(EASY, learnt(EASY, rng).save(), random_requests(rng, 200)) for _ in range(3)]
    assert {mode for each in columns for mode in members(AutonomyMode, each.mode)} == set(AutonomyMode)
    assert len({level for each in columns for level in members(TrustLevel, each.level)}) >= 4


def test_who_did_nothing_yet_is_trusted_alike_at_any_moment():
    """Without outcomes there is nothing to forget, and nothing that a request could be earlier than."""
    rng = np.random.default_rng(0)
    asked = random_requests(rng, 40)
    early = asked._replace(now=asked.now - np.timedelta64(40_000, "D"))
    for config in CONFIGS:
        state = HITLTrustSystem(config).save()
        first, second = check(config, state, asked), check(config, state, early)
        assert np.array_equal(first.lower_bounds, second.lower_bounds, equal_nan=True)


def test_nothing_to_assess():
    """No requests, no rows."""
    state = learnt(EASY, np.random.default_rng(1)).save()
    columns = TrustCells(EASY, state).assess(random_requests(np.random.default_rng(0), 0))
    assert (len(columns.level), len(columns.mode), columns.lower_bounds.shape) == (0, 0, (0, 2))


def test_kinds_that_involve_more_or_fewer_components():
    """There is a column for each component of the kind that involves most; the others leave it empty."""
    components = dict(EASY.components) | {DecisionKind.TRADE_ENTRY: tuple(TrustComponent)}
    config = replace(EASY, components=components)
    rng = np.random.default_rng(3)
    assert check(config, learnt(config, rng).save(), random_requests(rng, 60)).lower_bounds.shape == (60, 6)


def test_aware_moments():
    """A record in UTC is asked about in UTC; naive moments are refused, by the row that the caller knows."""
    rng = np.random.default_rng(2)
    state = learnt(EASY, rng, zone=UTC).save()
    asked = random_requests(rng, 30, aware=True)
    check(EASY, state, asked, zone=UTC)
    with pytest.raises(InputError, match="aware") as caught:
        TrustCells(EASY, state).assess(asked._replace(aware=False, row=asked.row + 7))
    assert caught.value.field == "now[7]"


def test_the_past_is_refused():
    """A moment before an outcome that is known, of the same kind: the row of the earliest is named."""
    system = HITLTrustSystem()
    system.record(TrustOutcome(DecisionKind.TRADE_ENTRY, True, 0.9, START + timedelta(1000), 0.0))
    asked = random_requests(np.random.default_rng(2), 3)._replace(kind=np.array([1, 0, 0], np.uint8))
    with pytest.raises(InputError, match="past") as caught:
        TrustCells(TrustConfig(), system.save()).assess(asked._replace(row=np.array([4, 5, 6])))
    assert caught.value.field in {"now[5]", "now[6]"}
    other = asked._replace(kind=np.ones(3, np.uint8))
    check(TrustConfig(), system.save(), other)


def test_a_state_of_another_configuration_is_refused():
    """Components that are not involved any more have no place to go to."""
    state = learnt(EASY, np.random.default_rng(1)).save()
    alone = dict.fromkeys(DecisionKind, (TrustComponent.ML_OPTIMIZATION,))
    with pytest.raises(StateError):
        TrustCells(replace(EASY, components=alone), state)
