"""What becomes of an alert, against its plain definition over everything that was seen."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt.monitoring.alerts.conditions import Observation, Verdict
from engine_opt.monitoring.alerts.states import KEPT, Acknowledgement, Event, Phase, Waits, step

few = settings(max_examples=150, deadline=None)
B, M, C, N = Verdict.BREACHED, Verdict.BETWEEN, Verdict.CLEAR, Verdict.NO_DATA
waits = st.builds(
    Waits, st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([2.0, 5.0, inf]), st.sampled_from([2.0, inf])
)
verdicts = st.sampled_from([B, B, B, M, C, N])


def went(seen, waits, *, start=100.0):
    """Return phase and event after each (seconds since the last, verdict)."""
    state, now, found = None, start, []
    for passed, verdict in seen:
        now += passed
        state, event = step(state, Observation(verdict), waits, now)
        found.append((None if state is None else state.phase, event))
    return found


def is_firing(times, seen, waits, at):
    """Say so by the definition: it began at some time, and nothing since has ended it."""

    def begins(j):
        runs = (k for k in range(j + 1) if all(each is B for each in seen[k : j + 1]))
        return any(times[j] - times[k] >= waits.hold for k in runs)

    def ends(m):
        if seen[m] is N:
            data = max(k for k in range(m) if seen[k] is not N)
            return times[m] - times[data] >= waits.forget
        return seen[m] is C

    return any(begins(j) and not any(ends(m) for m in range(j + 1, at + 1)) for j in range(at + 1))


@few
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), verdicts), max_size=14), waits)
def test_it_fires_and_is_told_as_the_definition_says(seen, waits):
    times = [sum(passed for passed, _ in seen[: i + 1]) for i in range(len(seen))]
    before, told = False, None
    for at, (phase, event) in enumerate(went(seen, waits)):
        firing = is_firing(times, [verdict for _, verdict in seen], waits, at)
        assert (phase is Phase.FIRING) == firing
        due = None
        if firing != before:
            due = Event.FIRING if firing else Event.RESOLVED
        elif firing and times[at] - told >= waits.repeat:
            due = Event.REPEATED
        assert event is due
        if event in (Event.FIRING, Event.REPEATED):
            told = times[at]
        before = firing


@few
@given(
    st.lists(
        st.tuples(st.sampled_from([-50.0, -3.0, -1.0, 0.0, 1.0, 4.0]), verdicts, st.booleans(), st.booleans()),
        max_size=25,
    ),
    waits,
)
def test_whatever_the_clock_does_nothing_is_told_too_often(seen, waits):
    """Between two messages that it fires there is one that it was resolved, or the clock went on for long enough."""
    state, now, gone_on, open_ = None, 100.0, 0.0, False
    for passed, verdict, silenced, acknowledged in seen:
        now += passed
        gone_on += max(passed, 0.0)
        state, event = step(state, Observation(verdict), waits, now, silenced=silenced)
        assert state is None or max(state.since, state.seen, state.notified or state.since) <= now
        if event is Event.RESOLVED:
            assert open_
            open_ = False
        elif event is not None:
            assert not silenced
            assert event is (Event.REPEATED if open_ else Event.FIRING)
            assert not open_ or gone_on >= waits.repeat
            open_, gone_on = True, 0.0
        if acknowledged and state is not None and state.phase is Phase.FIRING:
            state = state.__class__(
                state.phase, state.since, state.seen, None, state.notified, Acknowledgement("Ann", now)
            )


@pytest.mark.parametrize(
    ("verdicts", "phases"),
    [
        ([B, B, B, B], ["pending", "pending", "firing", "firing"]),
        ([B, B, C, B], ["pending", "pending", None, "pending"]),
        ([B, B, M, B], ["pending", "pending", None, "pending"]),
        ([B, B, N, B], ["pending", "pending", None, "pending"]),
        ([B, B, B, M, M, C], ["pending", "pending", "firing", "firing", "firing", "resolved"]),
        ([B, B, B, N, N, B], ["pending", "pending", "firing", "firing", "firing", "firing"]),
        ([B, B, B, N, N, N], ["pending", "pending", "firing", "firing", "firing", "resolved"]),
    ],
)
def test_a_second_passes_between_looks(verdicts, phases):
    found = went([(1.0, each) for each in verdicts], Waits(2.0, inf, 3.0))
    assert [phase for phase, _ in found] == phases


def test_what_was_resolved_is_listed_for_a_day():
    now = Waits(0.0, inf, inf)
    found = went([(0, B), (1, C), (KEPT - 1, C), (1, C), (1, B)], now)
    assert found == [
        (Phase.FIRING, Event.FIRING),
        (Phase.RESOLVED, Event.RESOLVED),
        (Phase.RESOLVED, None),
        (None, None),
        (Phase.FIRING, Event.FIRING),
    ]


def test_a_silence_is_made_up_for_when_it_ends_and_never_hides_that_it_is_over():
    waits = Waits(0.0, 10.0, inf)
    state, event = step(None, Observation(B), waits, 0.0, silenced=True)
    assert (state.phase, event) == (Phase.FIRING, None)
    ended, event = step(state, Observation(C), waits, 1.0, silenced=True)
    assert (ended.phase, event) == (Phase.RESOLVED, None)  # nobody knew of it
    state, event = step(state, Observation(B), waits, 1.0)
    assert event is Event.FIRING
    _, event = step(state, Observation(C), waits, 2.0, silenced=True)
    assert event is Event.RESOLVED


def test_for_want_of_data_nothing_is_resolved_before_somebody_has_looked_for_long_enough():
    state, _ = step(None, Observation(B), Waits(0.0, inf, 5.0), 0.0)
    late = step(state, Observation(N), Waits(0.0, inf, 5.0), 100.0, watched_since=96.0)[0]
    assert late.phase is Phase.FIRING
    later = step(late, Observation(N), Waits(0.0, inf, 5.0), 101.0, watched_since=96.0)[0]
    assert (later.phase, later.reason) == (Phase.RESOLVED, "there are no data any more")
