"""What it costs to ask who has the last word, and to learn from outcomes; and what it cost without a memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest

from engine_opt.model import DecisionKind, TrustLevel, TrustOutcome, TrustRequest
from engine_opt.protocol.hitl_trust import HITLTrustSystem
from engine_opt.reference.trust import PlainTrust

START = datetime(2020, 1, 6, 15, tzinfo=UTC)


def outcomes():
    """Make an outcome a day without end, 24 of 25 successful."""
    day = 0
    while True:
        day += 1
        yield TrustOutcome(DecisionKind.TRADE_ENTRY, day % 25 > 0, 0.95, START + timedelta(days=day), 0.004)


@pytest.fixture
def past():
    """Return two hundred outcomes."""
    return [outcome for outcome, _ in zip(outcomes(), range(200), strict=False)]


def experienced(system, past):
    """Return the system after the outcomes, and the time of the last."""
    for outcome in past:
        system.record(outcome)
    return system, past[-1].at


def asked(now):
    """Return a request at a time."""
    return TrustRequest("AAPL", DecisionKind.TRADE_ENTRY, 0.9, now)


def test_assess_again(pe_latency, pe_memory, past):
    """One request of a batch: the moment is that of the request before."""
    system, last = experienced(HITLTrustSystem(), past)
    request = asked(last + timedelta(days=1))
    assert pe_latency(system.assess, request).level is TrustLevel.MEDIUM
    pe_memory(system.assess, request)


def test_assess_at_another_moment(pe_latency, pe_memory, past):
    """Each request at its own moment of the week after the last outcome: trust has decayed to another bound."""
    system, last = experienced(HITLTrustSystem(), past)
    requests = cycle([asked(last + i * timedelta(minutes=10)) for i in range(1, 1_000)])

    def assess():
        return system.assess(next(requests))

    assert pe_latency(assess).level is TrustLevel.MEDIUM
    pe_memory(assess)


def test_resolve(pe_latency, pe_memory, past):
    """What becomes of a request that waits for an answer."""
    system, last = experienced(HITLTrustSystem(), past)
    request = asked(last)
    assessment = system.assess(request)
    assert pe_latency(system.resolve, assessment, request, None, last).by is None
    pe_memory(system.resolve, assessment, request, None, last)


def test_record(pe_latency, pe_memory):
    """One outcome, made and taken by both components of a trade's entry; what is remembered does not grow."""
    system, stream = HITLTrustSystem(), outcomes()
    pe_latency(lambda: system.record(next(stream)))
    pe_memory(lambda: system.record(next(stream)))


def test_save_and_restore(pe_latency, pe_memory, past):
    """The whole state out and in again."""
    system, _ = experienced(HITLTrustSystem(), past)

    def again():
        return HITLTrustSystem.restore(None, system.save())

    assert pe_latency(again).save() == system.save()
    pe_memory(again)


def test_assess_from_the_whole_past(pe_latency, past):
    """The reference: two hundred outcomes are weighed again for each of them, and for the request."""
    system, last = experienced(PlainTrust(), past)
    request = asked(last + timedelta(days=1))
    assert pe_latency(system.assess, request).level is TrustLevel.MEDIUM
