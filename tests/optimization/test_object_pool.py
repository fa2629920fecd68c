"""The object pool: no object is in two hands, none is lost unnoticed, and the counts are right."""

import gc
import os
import sys
import threading
from collections import Counter
from math import ceil, inf, nan

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine_opt import EngineError, InputError, StateError
from engine_opt.optimization.object_pool import ObjectPool


class Buffer:
    """Something to lease, which knows its number, how large it is and whose it is."""

    def __init__(self, number=0):
        self.number = number
        self.weight = 100 + number
        self.owner = None


def buffers(**given):
    """A pool of numbered buffers."""
    numbers = iter(range(10**9))
    return ObjectPool(lambda: Buffer(next(numbers)), weigh=lambda buffer: buffer.weight, **{"size": 2, **given})


def counts(pool, *names):
    stats = pool.stats()
    return tuple(int(stats[name]) for name in names)


def test_an_object_comes_back_and_goes_out_again():
    """The second lease gets what the first gave back."""
    with buffers() as pool:
        with pool.lease() as lease:
            first = lease.value
        with pool.lease() as lease:
            assert lease.value is first
        assert counts(pool, "created", "reused", "leased", "idle") == (1, 1, 0, 1)


def test_the_last_to_come_back_goes_out_first():
    """What was used last is still in the processor's cache."""
    with buffers() as pool:
        one, two = pool.lease(), pool.lease()
        last = one.value
        two.release()
        one.release()
        assert pool.lease().value is last


def test_a_lease_beyond_the_size_is_new_and_as_many_fewer_are_kept():
    """Nobody waits; what came in excess is gone when all are back."""
    with buffers(size=2) as pool:
        leases = [pool.lease() for _ in range(5)]
        assert len({id(lease.value) for lease in leases}) == 5
        assert counts(pool, "overflow", "leased", "most") == (3, 5, 5)
        for lease in leases:
            lease.release()
        assert counts(pool, "idle", "leased", "dropped", "bytes") == (2, 0, 3, sum(range(103, 105)))


def test_a_lease_released_early_ends_its_block_without_a_word():
    """Giving back before the end of the block is no double release."""
    with buffers() as pool:
        with pool.lease() as lease:
            lease.release()
        assert counts(pool, "idle", "leased") == (1, 0)


def test_releasing_twice_is_refused_and_changes_nothing():
    """The object would be in two hands."""
    with buffers(name="scratch") as pool:
        lease = pool.lease()
        lease.release()
        with pytest.raises(StateError, match="object pool 'scratch' is open: this lease was released"):
            lease.release()
        with pytest.raises(StateError, match="'scratch'"):
            pool.release(lease)
        assert counts(pool, "idle", "leased") == (1, 0)


def test_a_released_lease_shows_no_object_even_where_it_is_leased_again():
    """Each lease is a generation of its own: the old one does not come to life with the new."""
    with buffers(name="scratch") as pool:
        old = pool.lease()
        old.release()
        new = pool.lease()
        with pytest.raises(StateError, match="'scratch' is open: this lease was released"):
            old.value
        with pytest.raises(StateError):
            old.release()
        assert new.value is not None


def test_a_lease_of_another_pool_is_refused_and_stays_good():
    """It is told where it belongs, and can still be given back there."""
    with buffers(name="mine") as mine, buffers(name="other") as other:
        lease = other.lease()
        with pytest.raises(StateError, match=r"object pool 'mine' is open: .* comes from object pool 'other'"):
            mine.release(lease)
        assert lease.value is not None
        other.release(lease)
        assert counts(mine, "idle") + counts(other, "idle") == (0, 1)


@pytest.mark.parametrize("thing", [None, Buffer(), "lease"])
def test_what_is_no_lease_is_refused(thing):
    """A bare object cannot be given back: nobody could say whose it is."""
    with buffers() as pool, pytest.raises(InputError, match="lease"):
        pool.release(thing)


def test_an_object_is_reset_before_it_lies_idle():
    """The next lease sees no trace of the last."""
    with ObjectPool(bytearray, size=1, reset=bytearray.clear) as pool:
        with pool.lease() as lease:
            lease.value.extend(b"secret")
        with pool.lease() as lease:
            assert lease.value == b""


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_object_that_cannot_be_reset_is_thrown_away_and_the_error_goes_on(error):
    """It is not handed out again, and the pool goes on with others."""

    def fail(buffer):
        if buffer.number == 0:
            raise error

    with buffers(reset=fail) as pool:
        lease = pool.lease()
        with pytest.raises(type(error)):
            lease.release()
        with pytest.raises(StateError):
            lease.value
        assert counts(pool, "leased", "idle", "dropped", "bytes") == (0, 0, 1, 0)
        with pool.lease() as lease:
            assert lease.value.number == 1


def test_a_block_that_raises_gives_its_object_back():
    """The error goes on as it is."""
    with buffers() as pool:
        with pytest.raises(ZeroDivisionError), pool.lease():
            1 / 0
        assert counts(pool, "leased", "idle") == (0, 1)


@pytest.mark.parametrize("broken", ["make", "weigh"])
def test_where_making_fails_nothing_is_counted(broken):
    """No place is lost: the pool goes on as if nobody had asked."""
    fail = [True]

    def step(name, value):
        if name == broken and fail[0]:
            raise MemoryError(name)
        return value

    with ObjectPool(lambda: step("make", Buffer()), size=1, weigh=lambda _: step("weigh", 7)) as pool:
        for _ in range(3):
            with pytest.raises(MemoryError):
                pool.lease()
        assert not any(pool.stats().values())
        fail[0] = False
        with pool.lease():
            assert counts(pool, "created", "leased", "overflow", "bytes") == (1, 1, 0, 7)


def test_what_make_returned_before_is_refused():
    """Two leases would share it."""
    only = Buffer()
    with ObjectPool(lambda: only, size=2, name="shared") as pool, pool.lease() as lease:
        with pytest.raises(StateError, match="'shared' is open: make returned an object that the pool has already"):
            pool.lease()
        assert lease.value is only
        assert counts(pool, "created", "leased") == (1, 1)


@pytest.mark.parametrize("weight", [-1, 1.5, True, None, nan])
def test_a_weight_that_is_no_number_of_bytes_is_refused(weight):
    """Nothing is counted with it."""
    with ObjectPool(Buffer, size=1, weigh=lambda _: weight) as pool:
        with pytest.raises(InputError, match="weigh"):
            pool.lease()
        assert counts(pool, "created", "bytes") == (0, 0)


def test_make_that_returns_nothing_is_refused():
    """Forgetting to return is the likeliest mistake in a function that makes something."""
    with ObjectPool(lambda: None, size=1) as pool, pytest.raises(InputError, match="it returned None"):
        pool.lease()


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", bad) for bad in (0, -1, 1.0, True, nan, None, "4")]
    + [("idle_seconds", bad) for bad in (0, -1.0, nan, inf, True, "1")]
    + [("make", None), ("make", Buffer()), ("reset", 1), ("weigh", "nbytes"), ("clock", 5.0), ("clock", None)]
    + [("name", ""), ("name", None)],
)
def test_bad_settings_are_refused_by_name(field, value):
    """No pool is made of them."""
    with pytest.raises(InputError, match=f"^{field}="):
        ObjectPool(**{"make": Buffer, "size": 2, field: value})


@pytest.mark.parametrize("touch", ["lease", "trim"])
def test_what_was_idle_for_too_long_is_dropped_when_the_pool_is_touched(clock, touch):
    """At the limit an object is still good; longer, and it is not handed out."""
    with buffers(idle_seconds=60.0, clock=clock) as pool:
        with pool.lease() as lease:
            first = lease.value
        clock.tick(60.0)
        with pool.lease() as lease:
            assert lease.value is first
        clock.tick(60.5)
        if touch == "trim":
            assert (pool.trim(), pool.trim()) == (1, 0)
            assert counts(pool, "idle", "dropped") == (0, 1)
        with pool.lease() as lease:
            assert lease.value is not first
        assert counts(pool, "created", "dropped") == (2, 1)


def test_trimming_takes_only_the_old_and_nothing_without_a_limit(clock):
    """Objects are old one by one."""
    with buffers(idle_seconds=60.0, clock=clock) as pool, buffers() as unlimited:
        one, two = pool.lease(), pool.lease()
        one.release()
        clock.tick(40.0)
        two.release()
        clock.tick(40.0)
        assert pool.trim() == 1
        assert counts(pool, "idle") == (1,)
        unlimited.lease().release()
        assert unlimited.trim() == 0


@pytest.mark.parametrize("jump", [1e9, -1e9, inf, -inf, nan])
def test_a_clock_that_jumps_costs_no_more_than_what_was_idle(clock, jump):
    """Either way the idle object is made again, and afterwards the pool works as before."""
    with buffers(idle_seconds=60.0, clock=clock) as pool:
        pool.lease().release()
        before, clock.now = clock.now, clock.now + jump
        pool.lease().release()
        assert counts(pool, "created", "dropped", "leased") == (2, 1, 0)
        clock.now = before
        pool.lease().release()
        pool.lease().release()
        assert counts(pool, "idle", "leased") == (1, 0)


def test_a_clock_that_fails_loses_no_object_unnoticed(clock):
    """What is about to come back is thrown away, and the error goes on."""
    broken = []

    def read():
        if broken:
            raise OSError("no clock")
        return clock()

    with buffers(idle_seconds=60.0, clock=read) as pool:
        lease = pool.lease()
        broken.append(True)
        with pytest.raises(OSError, match="no clock"):
            lease.release()
        assert counts(pool, "leased", "dropped", "bytes") == (0, 1, 0)


def test_shedding_gives_back_a_fraction_longest_idle_first():
    """What is leased stays; bytes are those that weighing gave."""
    with buffers(size=4) as pool:
        leases = [pool.lease() for _ in range(4)]
        for lease in leases[:3]:
            lease.release()
        assert pool.shed(0.0) == 0
        assert pool.shed(0.5) == 100 + 101
        assert counts(pool, "idle", "leased", "bytes", "idle_bytes") == (1, 1, 102 + 103, 102)
        assert pool.bytes() == 102 + 103
        assert pool.shed(1.0) == 102
        assert pool.shed(1.0) == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.1, nan, True, None])
def test_a_fraction_that_is_none_is_refused(fraction):
    """Nothing is dropped."""
    with buffers() as pool:
        pool.lease().release()
        with pytest.raises(InputError, match="fraction"):
            pool.shed(fraction)
        assert counts(pool, "idle") == (1,)


def test_a_lease_that_is_forgotten_is_counted_as_lost_and_its_object_not_handed_out():
    """Whoever still has the bare object shares it with nobody."""
    with buffers() as pool:
        kept = pool.lease().value
        assert counts(pool, "lost", "leased", "idle", "bytes") == (1, 0, 0, 0)
        with pool.lease() as lease:
            assert lease.value is not kept


def test_a_forgotten_lease_in_a_cycle_is_lost_when_it_is_collected():
    """The collector comes when it likes; until then the lease is a lease."""
    with buffers() as pool:
        cycle = [pool.lease()]
        cycle.append(cycle)
        assert counts(pool, "leased", "lost") == (1, 0)
        del cycle
        gc.collect()
        assert counts(pool, "leased", "lost") == (0, 1)


def test_a_pool_can_be_leased_from_while_its_objects_end():
    """A finaliser of a dropped object may use the pool, which is not in the middle of anything."""

    class Last(Buffer):
        def __del__(self):
            if self.number == 0:
                pool.lease().release()

    numbers = iter(range(10))
    pool = ObjectPool(lambda: Last(next(numbers)), size=2)
    pool.lease().release()
    pool.shed(1.0)
    assert counts(pool, "created", "idle", "dropped") == (2, 1, 1)


def test_closing_drops_what_is_idle_and_what_comes_back_later():
    """A lease that is out stays usable until its block ends, and ends without an error."""
    pool = buffers(name="scratch")
    pool.lease().release()
    pool.lease().release()
    with pool.lease() as lease, pool.lease():
        pool.close()
        assert lease.value is not None
        with pytest.raises(StateError, match="object pool 'scratch' is closed: make another one"):
            pool.lease()
    assert counts(pool, "idle", "leased", "dropped", "bytes") == (0, 0, 2, 0)
    for call in (pool.trim, lambda: pool.shed(1.0), pool.__enter__):
        with pytest.raises(StateError, match="'scratch' is closed"):
            call()


def test_closing_while_an_object_is_being_made_hands_out_nothing():
    """The lease that comes too late is refused, and what was made for it is not counted."""
    pool = ObjectPool(lambda: (pool.close(), Buffer())[1], size=1)
    with pytest.raises(StateError, match="is closed"):
        pool.lease()
    assert counts(pool, "created", "leased") == (0, 0)


class PoolBesideItsModel(RuleBasedStateMachine):
    """A pool, and plain lists that say what it should hold."""

    @initialize(size=st.integers(1, 3))
    def start(self, size):
        self.now, self.size, self.made = 0.0, size, 0
        self.make_fails = self.reset_fails = False
        self.pool = ObjectPool(
            self.make,
            size=size,
            reset=self.reset,
            idle_seconds=10.0,
            weigh=lambda buffer: buffer.weight,
            clock=lambda: self.now,
        )
        self.idle, self.leases = [], []  # (buffer, since), oldest first; (lease, buffer)
        self.count = Counter()

    def make(self):
        if self.make_fails:
            raise MemoryError
        self.made += 1
        return Buffer(self.made)

    def reset(self, buffer):
        if self.reset_fails:
            raise OSError
        buffer.owner = None

    def drop_old(self):
        while self.idle and self.now - self.idle[0][1] > 10.0:
            self.idle.pop(0)
            self.count["dropped"] += 1

    @rule(fails=st.booleans())
    def lease(self, fails):
        self.drop_old()
        self.make_fails = fails
        if self.idle:
            expected, _ = self.idle.pop()
            self.count["reused"] += 1
        elif fails:
            with pytest.raises(MemoryError):
                self.pool.lease()
            return
        else:
            expected = None
            self.count["created"] += 1
            self.count["overflow"] += len(self.leases) >= self.size
        lease = self.pool.lease()
        assert lease.value.owner is None
        assert expected is None or lease.value is expected
        lease.value.owner = lease.value.number
        self.leases.append((lease, lease.value))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), fails=st.booleans(), through_pool=st.booleans())
    def release(self, data, fails, through_pool):
        lease, buffer = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.reset_fails = fails
        give_back = (lambda: self.pool.release(lease)) if through_pool else lease.release
        if fails:
            with pytest.raises(OSError):
                give_back()
            self.count["dropped"] += 1
        else:
            give_back()
            self.idle.append((buffer, self.now))
            for _ in range(min(len(self.idle), len(self.idle) + len(self.leases) - self.size)):
                self.idle.pop(0)
                self.count["dropped"] += 1
        for again in (lease.release, lambda: lease.value):
            with pytest.raises(StateError):
                again()

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def forget(self, data):
        self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.count["lost"] += 1

    @rule(seconds=st.sampled_from([1.0, 6.0, 10.0, 11.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def trim(self):
        before = len(self.idle)
        self.drop_old()
        assert self.pool.trim() == before - len(self.idle)

    @rule(fraction=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    def shed(self, fraction):
        gone = [self.idle.pop(0)[0] for _ in range(ceil(fraction * len(self.idle)))]
        self.count["dropped"] += len(gone)
        assert self.pool.shed(fraction) == sum(buffer.weight for buffer in gone)

    @invariant()
    def counts_are_those_of_the_model(self):
        stats = self.pool.stats()
        assert {name: stats[name] for name in ("created", "reused", "overflow", "dropped", "lost")} == {
            name: float(self.count[name]) for name in ("created", "reused", "overflow", "dropped", "lost")
        }
        assert (stats["idle"], stats["leased"]) == (len(self.idle), len(self.leases))
        idle_bytes = sum(buffer.weight for buffer, _ in self.idle)
        assert stats["idle_bytes"] == idle_bytes
        assert stats["bytes"] == idle_bytes + sum(buffer.weight for _, buffer in self.leases)
        assert stats["most"] >= stats["idle"] + stats["leased"]
        assert stats["created"] == stats["idle"] + stats["leased"] + stats["dropped"] + stats["lost"]

    @invariant()
    def no_object_is_in_two_hands(self):
        assert len({id(lease.value) for lease, _ in self.leases}) == len(self.leases)


TestPoolBesideItsModel = PoolBesideItsModel.TestCase
TestPoolBesideItsModel.settings = settings(max_examples=60, stateful_step_count=30)


@pytest.mark.parametrize("limited", [False, True])
def test_eight_threads_never_share_an_object_and_no_count_is_torn(together, limited):
    """Each marks what it has; a mark of somebody else would be seen, as would counts that do not fit together."""
    each, snapshots, ticks = 25, [], iter(range(10**9))
    given = {"idle_seconds": 40.0, "clock": lambda: float(next(ticks))} if limited else {}
    pool = buffers(size=4, reset=lambda buffer: setattr(buffer, "owner", None), **given)

    def work():
        me = threading.get_ident()
        for turn in range(each):
            with pool.lease() as lease:
                assert lease.value.owner is None
                lease.value.owner = me
                if turn % 10 == 0:
                    snapshots.append(pool.stats())
                assert lease.value.owner == me
            if limited and turn % 10 == 0:
                pool.shed(0.5)

    assert together(ObjectPool, *[work] * 8) == []
    for stats in snapshots:
        assert min(stats.values()) >= 0.0
        assert 1 <= stats["leased"] <= 8
        assert stats["created"] == stats["leased"] + stats["idle"] + stats["dropped"]
        assert stats["most"] <= 8 + 4
    stats = pool.stats()
    assert stats["created"] + stats["reused"] == 8 * each
    assert (stats["leased"], stats["lost"]) == (0, 0)
    assert stats["idle"] <= 4
    assert stats["bytes"] == stats["idle_bytes"]


def test_of_threads_that_release_one_lease_one_succeeds(together):
    """The others are told; the object is idle once."""
    with buffers() as pool:
        for _ in range(30):
            lease = pool.lease()
            errors = together(ObjectPool, *[lease.release] * 4)
            assert [type(error) for error in errors] == [StateError] * 3
            assert counts(pool, "idle", "leased") == (1, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a test runner that has threads
def test_a_forked_process_gets_nothing_that_its_parent_leased():
    """It goes on with its own copies of the idle objects; what it does with them the parent does not see."""
    with buffers(size=4) as pool:
        out, idle = pool.lease(), pool.lease()
        held, free = out.value.number, idle.value.number
        idle.release()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                mine = [pool.lease() for _ in range(3)]
                numbers = [lease.value.number for lease in mine]
                mine[0].value.owner = "child"
                status = 0 if numbers[0] == free and held not in numbers and pool.stats()["leased"] == 4 else 2
            except EngineError:
                status = 3
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert counts(pool, "leased", "idle", "created") == (1, 1, 2)
        assert pool.lease().value.owner is None
