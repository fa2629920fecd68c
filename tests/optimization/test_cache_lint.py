"""The lint: what a hit, a miss and the work take, whether the cache pays, and how it says so. Time is made by hand."""

from itertools import count, cycle
from math import nan

import pytest
from scipy.stats import binom

from engine_opt import InputError
from engine_opt.optimization.cache_lint import Interval, LintReport, lint, median_interval
from engine_opt.optimization.cache_manager import Cache, cached

US = 1e-6


def made(clock, lookup=0.0, **options):
    """A cache whose clock takes a while to be read, which is what makes its hits cost something here."""

    def slow_clock():
        clock.tick(lookup)
        return clock.now

    return Cache(max_items=10, ttl=1e9, clock=slow_clock, name="prices", **options)


def working(clock, seconds):
    def work(*_):
        clock.tick(seconds)

    return work


def report_of(clock, lookup, work, **options):
    function = cached(made(clock, lookup * US))(working(clock, work * US))
    return lint(function, [(1,), (2,)], clock=clock, seconds=0.01, **options)


def test_hit_miss_and_work_are_told_apart(clock):
    report = report_of(clock, lookup=1, work=10)
    assert report.hit == pytest.approx(1 * US, rel=0.01)
    assert report.work == pytest.approx(10 * US)
    assert report.miss == pytest.approx(12 * US), "time is looked at before the load and after it"
    assert report.saved == pytest.approx([9 * US] * 3, rel=0.01)
    assert report.worth is True


def test_a_hit_that_costs_more_than_the_work_is_warned_of(clock):
    report = report_of(clock, lookup=3, work=1)
    assert report.worth is False
    assert report.break_even is None
    assert str(report) == (
        "cache 'prices': a hit takes 3.00 us, a miss 7.00 us, the work alone 1.00 us. At a hit rate of 100 %, the best "
        "there is, a call costs 2.00 us (95 % interval 2.00 to 2.00): not worth caching: take the cache away. A hit "
        "alone costs as much as the work: it pays at no hit rate."
    )


def test_what_pays_depends_on_the_hit_rate(clock):
    at_worst = report_of(clock, lookup=1, work=6, hit_rate=0.1)
    assert (at_worst.worth, at_worst.source) == (False, "given")
    assert at_worst.break_even == pytest.approx(2 / 7, rel=0.01)
    assert report_of(clock, lookup=1, work=6, hit_rate=0.27).worth is False
    best = report_of(clock, lookup=1, work=6, hit_rate=0.3)
    assert best.worth is True
    assert "At a hit rate of 30 %, as given, a call saves 0.10 us" in str(best)
    assert str(best).endswith(": worth caching. It pays from a hit rate of 29 % on.")


def test_the_observed_hit_rate_is_taken_and_the_cache_is_left_alone(clock):
    function = cached(made(clock, US))(working(clock, 5 * US))
    for argument in (1, 1, 1, 2):
        function(argument)
    before = function.cache.stats()
    report = lint(function, [(1,), (3,)], clock=clock, seconds=0.01)
    assert (report.hit_rate, report.source) == (0.5, "observed")
    assert function.cache.stats() == before


def test_what_cannot_be_told_is_not_judged(clock):
    costs = cycle([0.0, 2 * US])
    function = cached(made(clock, US))(lambda: clock.tick(next(costs)))
    report = lint(function, [()], clock=clock, seconds=1e-9)
    assert report.saved.low < 0.0 < report.saved.high
    assert report.worth is None
    assert "cannot be told" in str(report)
    assert "interval -1.00 to 1.00" in str(report)


def test_a_slow_moment_does_not_decide(clock):
    rounds = count()

    def work():
        clock.tick(1_000.0 if next(rounds) % 100 == 99 else 5 * US)

    report = lint(cached(made(clock, US))(work), [()], clock=clock, seconds=1e-9)
    assert report.saved.middle == pytest.approx(4 * US, rel=0.01)


def test_a_cache_is_measured_with_its_loads(clock):
    work = working(clock, 10 * US)
    report = lint(made(clock, US), [("a", work, 1), ("b", work)], clock=clock, seconds=0.01)
    assert (report.work, report.hit) == (pytest.approx(10 * US), pytest.approx(US, rel=0.01))


def test_a_function_with_a_key_is_measured_with_it(clock):
    def key(number):
        clock.tick(2 * US)
        return number

    function = cached(made(clock, US), key=key)(working(clock, 10 * US))
    assert lint(function, [(1,)], clock=clock, seconds=0.01).hit == pytest.approx(3 * US, rel=0.01)


def test_more_calls_than_the_cache_holds_are_no_misses(clock):
    function = cached(made(clock, US))(working(clock, 10 * US))
    assert lint(function, [(i,) for i in range(100)], clock=clock, seconds=0.01).hit == pytest.approx(US, rel=0.01)


def test_a_real_clock_finds_the_cache_that_cannot_pay_and_the_one_that_must():
    names = cached(Cache(max_items=9, name="names"))(len)
    sums = cached(Cache(max_items=9, name="sums"))(lambda n: sum(range(n)))
    assert lint(names, [("a",)], seconds=0.02).worth is False
    assert lint(sums, [(20_000,)], seconds=0.05).worth is True


def test_a_load_that_raises_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        lint(cached(Cache(max_items=9))(lambda: 1 / 0), [()])


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("rounds", {"rounds": 5}),
        ("rounds", {"rounds": 7.0}),
        ("rounds", {"rounds": True}),
        ("seconds", {"seconds": 0.0}),
        ("seconds", {"seconds": nan}),
        ("hit_rate", {"hit_rate": 1.1}),
        ("hit_rate", {"hit_rate": nan}),
        ("hit_rate", {"hit_rate": True}),
        ("samples", {"samples": []}),
        ("target", {"target": len}),
    ],
)
def test_what_cannot_be_measured_is_refused(field, options):
    given = {"target": cached(Cache(max_items=9))(len), "samples": [("a",)]} | options
    with pytest.raises(InputError, match=field):
        lint(**given)


@pytest.mark.parametrize("n", [6, 7, 10, 31, 100, 999])
def test_the_interval_of_the_median_is_the_narrowest_that_holds_95_per_cent(n):
    middle, low, high = median_interval([float(i) for i in reversed(range(n))])
    assert middle == (n - 1) / 2
    assert low + high == n - 1
    assert 1 - 2 * binom.cdf(low, n, 0.5) >= 0.95 > 1 - 2 * binom.cdf(low + 1, n, 0.5)


def test_a_hit_that_costs_nothing_pays_at_once():
    report = LintReport("x", 0.0, 1.0, 1.0, 1.0, "assumed", Interval(1.0, 1.0, 1.0))
    assert report.break_even == 0.0
