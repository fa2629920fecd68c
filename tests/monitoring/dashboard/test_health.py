"""What is known of the parts of the monitoring, without looking when somebody asks."""

import pytest

from engine_opt.errors import InputError
from engine_opt.monitoring.dashboard.health import SOUND, Finding, Health, Status, freshness


@pytest.fixture
def health(clock):
    return Health({"store": Status.DOWN, "collection": Status.DEGRADED}, limit=30.0, clock=clock)


def test_what_was_never_looked_at_is_not_well(health):
    report = health.report()
    assert report.status is Status.DOWN
    assert report.reasons == ("store: not looked at yet", "collection: not looked at yet")
    assert [each.age for each in report.checks] == [None, None]


def test_all_is_well_if_every_part_is(health, clock):
    health.found("store", SOUND)
    clock.tick(2.0)
    health.found("collection", SOUND)
    report = health.report()
    assert (report.status, report.reasons) == (Status.OK, ())
    assert [each.age for each in report.checks] == [2.0, 0.0]


@pytest.mark.parametrize("worse", [Status.DEGRADED, Status.DOWN])
def test_the_whole_is_as_its_worst_part(health, worse):
    health.found("store", SOUND)
    health.found("collection", Finding(worse, "why"))
    assert health.report()[:2] == (worse, ("collection: why",))


def test_a_part_that_falls_silent_is_not_believed_to_be_well(health, clock):
    for name in ("store", "collection"):
        health.found(name, SOUND)
    clock.tick(30.0)
    assert health.report().status is Status.OK
    clock.tick(1.0)
    assert health.report()[:2] == (
        Status.DOWN,
        ("store: not looked at for 31 s", "collection: not looked at for 31 s"),
    )
    health.found("store", SOUND)
    assert health.report().status is Status.DEGRADED


def test_a_part_that_falls_silent_stays_at_least_as_bad_as_it_was(health, clock):
    health.found("store", SOUND)
    health.found("collection", Finding(Status.DOWN, "gone"))
    clock.tick(31.0)
    health.found("store", SOUND)
    assert health.report()[:2] == (Status.DOWN, ("collection: not looked at for 31 s; before that: gone",))


def test_a_clock_that_goes_back_makes_findings_new(health, clock):
    for name in ("store", "collection"):
        health.found(name, SOUND)
    clock.tick(-500.0)
    assert health.report().status is Status.OK
    assert {each.age for each in health.report().checks} == {0.0}


def test_parts_that_are_not_known_and_limits_that_are_none_are_refused(health):
    with pytest.raises(InputError, match="the parts are store, collection"):
        health.found("disk", SOUND)
    with pytest.raises(InputError, match="silent"):
        Health({}, limit=1.0)
    with pytest.raises(InputError, match="limit"):
        Health({"store": Status.DOWN}, limit=0.0)


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        (None, Status.DEGRADED, "nothing was collected yet"),
        (1000.0, Status.OK, None),
        (970.0, Status.OK, None),
        (969.0, Status.DEGRADED, "no new data for 31 s, expected every 10 s"),
        (1010.0, Status.OK, None),
        (1011.0, Status.DEGRADED, "the newest data is 11 s ahead of this clock"),
    ],
)
def test_data_is_fresh_if_it_is_neither_old_nor_from_the_future(end, status, said):
    assert freshness(end, 1000.0, 10.0) == Finding(status, said)
