"""Scopes: everything is closed once, last in first out, whatever raises; nothing is half registered."""

import os
import sys
from functools import partial
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_opt import InputError, StateError
from engine_opt.optimization.resource_manager import ResourceManager


class Thing:
    """Something to close, which writes down that it was, and may fail."""

    def __init__(self, log, name="thing", error=None):
        self.log, self.name, self.error = log, name, error

    def close(self):
        self.log.append(self.name)
        if self.error is not None:
            raise self.error


@pytest.fixture
def log():
    return []


@pytest.fixture
def manager(clock):
    with ResourceManager(limits={"file": 3}, name="test", clock=clock) as manager:
        yield manager


def test_a_scope_closes_last_in_first_out(manager, log):
    """What came later may need what came before."""
    with manager.scope("import") as scope:
        things = [scope.enter("file", Thing(log, name)) for name in "abc"]
        assert [thing.name for thing in things] == ["a", "b", "c"]
        assert log == []
    assert log == ["c", "b", "a"]


def test_a_close_function_is_given_the_thing(manager, log):
    """For what has no method `close`, or another way to end."""
    with manager.scope("import") as scope:
        assert scope.enter("number", 7, close=log.append) == 7
    assert log == [7]


def test_closing_twice_closes_once(manager, log):
    """By hand, at the end of the block, and with the manager."""
    with manager.scope("import") as scope:
        scope.enter("file", Thing(log))
        scope.close()
        scope.close()
    manager.close()
    manager.close()
    assert log == ["thing"]


def test_scopes_inside_scopes_close_in_their_turn(manager, log):
    """An inner scope is one of the things of the outer one; closed before, it is gone from it."""
    with manager.scope("outer") as outer:
        outer.enter("file", Thing(log, "first"))
        outer.scope("left open").enter("file", Thing(log, "inner"))
        with outer.scope("closed") as closed:
            closed.enter("socket", Thing(log, "gone"))
        outer.enter("file", Thing(log, "last"))
        assert log == ["gone"]
    assert log == ["gone", "last", "inner", "first"]


def test_two_scopes_of_one_name_are_two_scopes(manager, log):
    """No name drops what another scope of that name holds."""
    one, two = manager.scope("same"), manager.scope("same")
    one.enter("file", Thing(log, "one"))
    two.enter("file", Thing(log, "two"))
    one.close()
    assert log == ["one"]
    assert str(one) != str(two)
    two.close()
    assert log == ["one", "two"]


def test_all_are_closed_and_all_errors_come_in_one_group(manager, log):
    """In the order in which they happened; the scope is closed all the same."""
    errors = [ValueError("a"), OSError("b")]
    with (
        pytest.raises(ExceptionGroup, match="closing scope 'import' #1: 2 failed") as caught,
        manager.scope("import") as scope,
    ):
        scope.enter("file", Thing(log, "a", errors[0]))
        scope.enter("file", Thing(log, "good"))
        scope.scope("inner").enter("file", Thing(log, "b", errors[1]))
    assert caught.value.exceptions == (errors[1], errors[0])
    assert log == ["b", "good", "a"]
    scope.close()
    assert log == ["b", "good", "a"]
    stats = manager.stats()
    assert (stats["open"], stats["failed"], stats["scopes"]) == (0, 2, 0)


def test_errors_of_closing_keep_the_error_of_the_block_in_sight(manager, log):
    """It is the context of the group."""
    with pytest.raises(ExceptionGroup) as caught, manager.scope("import") as scope:
        scope.enter("file", Thing(log, "a", ValueError("a")))
        raise KeyError("first")
    assert isinstance(caught.value.__context__, KeyError)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_while_closing_goes_on_as_itself_when_all_are_closed(manager, log, end):
    """Whoever waits for it would miss it in a group; the errors are its cause."""
    with pytest.raises(end) as caught, manager.scope("import") as scope:
        scope.enter("file", Thing(log, "a", ValueError("a")))
        scope.enter("file", Thing(log, "b", end()))
        scope.enter("file", Thing(log, "c"))
    assert log == ["c", "b", "a"]
    assert [str(error) for error in caught.value.__cause__.exceptions] == ["a"]


def test_an_interrupt_of_the_block_goes_on_as_itself(manager, log):
    """Errors of closing do not turn Ctrl-C into something that is caught as an error."""
    with pytest.raises(KeyboardInterrupt) as caught, manager.scope("import") as scope:
        scope.enter("file", Thing(log, "a", ValueError("a")))
        raise KeyboardInterrupt
    assert [str(error) for error in caught.value.__cause__.exceptions] == ["a"]


def test_what_is_refused_for_the_limit_is_closed_and_the_error_says_what_is_open(manager, log, clock):
    """The caller has often no other hand on it. A place is free again when one is closed."""
    first = manager.scope("first")
    first.enter("file", Thing(log, "a"))
    clock.tick(2.5)
    with manager.scope("second") as second:
        second.enter("file", Thing(log, "b"))
        second.enter("file", Thing(log, "c"))
        second.enter("socket", Thing(log, "s"))
        said = (
            "^resource manager 'test' is open, but 3 of type 'file' is the limit. Close one first of these: "
            "file in 'first' #1, open for 2.5 s; file in 'second' #3, open for 0 s; file in 'second' #3, open for 0 s$"
        )
        with pytest.raises(StateError, match=said):
            second.enter("file", Thing(log, "d"))
        assert log == ["d"]
        stats = manager.stats()
        assert (stats["file.open"], stats["file.refused"], stats["file.most"], stats["open"]) == (3, 1, 3, 4)
        first.close()
        second.enter("file", Thing(log, "e"))
    assert log == ["d", "a", "e", "s", "c", "b"]


def test_a_refused_thing_that_does_not_close_is_told_as_the_cause(manager, log):
    """What is wrong in the first place is that there was no place for it."""
    with manager.scope("full") as scope:
        for _ in range(3):
            scope.enter("file", Thing(log))
        with pytest.raises(StateError, match="limit") as caught:
            scope.enter("file", Thing(log, "bad", ValueError("stuck")))
        assert isinstance(caught.value.__cause__, ValueError)
        assert manager.stats()["file.entered"] == 3


def test_a_closed_scope_takes_nothing(manager, log):
    """What comes too late is closed; the error names manager, scope and state."""
    scope = manager.scope("import")
    scope.close()
    with pytest.raises(StateError, match="resource manager 'test' is open, but scope 'import' #1 is closed"):
        scope.enter("file", Thing(log))
    assert log == ["thing"]
    for call in (lambda: scope.scope("inner"), lambda: scope.close_after(1.0), scope.__enter__):
        with pytest.raises(StateError, match="scope 'import' #1 is closed"):
            call()
    assert manager.stats()["scopes"] == 0


@pytest.mark.parametrize(
    ("kind", "thing", "close", "field"),
    [
        ("", None, print, "kind"),
        (None, None, print, "kind"),
        ("file", object(), None, "close"),
        ("file", 1, 2, "close"),
    ],
)
def test_what_cannot_be_closed_is_refused_and_not_registered(manager, kind, thing, close, field):
    """Nothing is counted of it."""
    with manager.scope("import") as scope:
        with pytest.raises(InputError, match=f"^{field}="):
            scope.enter(kind, thing, close)
        assert manager.open_resources() == ()
        assert manager.stats()["entered"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("limits", {"file": bad}) for bad in (0, -1, 1.5, True, nan, None)]
    + [("limits", {"": 1}), ("limits", {3: 1}), ("trace", 1), ("name", ""), ("name", None), ("clock", 1.0)],
)
def test_bad_settings_are_refused_by_name(field, value):
    """No manager is made of them."""
    with pytest.raises(InputError, match=rf"^{field}[\[=]"):
        ResourceManager(**{field: value})


def test_a_scope_without_a_name_is_refused(manager):
    """A leak report without names helps nobody."""
    with pytest.raises(InputError, match="name"):
        manager.scope("")


def test_a_scheduled_scope_outlives_its_block_until_it_is_due(manager, log, clock):
    """A sweep closes it at its time, not before."""
    with manager.scope("kept") as scope:
        scope.enter("socket", Thing(log))
        scope.close_after(30.0)
    assert log == []
    clock.tick(29.0)
    assert manager.sweep() == 0
    clock.tick(1.0)
    assert (manager.sweep(), manager.sweep()) == (1, 0)
    assert log == ["thing"]
    stats = manager.stats()
    assert (stats["swept"], stats["scheduled"], stats["scopes"]) == (1, 0, 0)


def test_a_scheduled_scope_is_closed_at_once_where_its_block_raises(manager, log):
    """Nobody will come back for what was not finished."""
    with pytest.raises(KeyError), manager.scope("kept") as scope:
        scope.enter("socket", Thing(log))
        scope.close_after(30.0)
        raise KeyError("unfinished")
    assert log == ["thing"]
    assert manager.stats()["scheduled"] == 0


@pytest.mark.parametrize(("first", "second"), [(10.0, 50.0), (50.0, 10.0), (10.0, 10.0)])
def test_the_last_call_counts(manager, log, clock, first, second):
    """Whether it moves the end forwards or backwards."""
    scope = manager.scope("kept")
    scope.enter("socket", Thing(log))
    scope.close_after(first)
    scope.close_after(second)
    assert manager.stats()["scheduled"] == 1
    clock.tick(second - 0.5)
    assert manager.sweep() == 0
    clock.tick(0.5)
    assert manager.sweep() == 1


def test_scopes_are_swept_in_the_order_in_which_they_are_due(manager, log, clock):
    """And all of them, whatever one of them raises; the errors come in one group."""
    for name, seconds, error in [("c", 3.0, None), ("a", 1.0, OSError("a")), ("b", 2.0, None), ("later", 9.0, None)]:
        scope = manager.scope(name)
        scope.enter("socket", Thing(log, name, error))
        scope.close_after(seconds)
    clock.tick(5.0)
    with pytest.raises(ExceptionGroup, match="sweeping resource manager 'test': 1 failed"):
        manager.sweep()
    assert log == ["a", "b", "c"]


@pytest.mark.parametrize("seconds", [-1.0, nan, inf, True, None])
def test_a_delay_that_is_none_is_refused(manager, seconds):
    """The scope is not scheduled."""
    scope = manager.scope("kept")
    with pytest.raises(InputError, match="seconds"):
        scope.close_after(seconds)
    assert manager.stats()["scheduled"] == 0


def test_a_clock_that_jumps_moves_the_end_and_breaks_nothing(manager, log, clock):
    """Backwards a scope is swept late, forwards early; ages are never negative."""
    scope = manager.scope("kept")
    scope.enter("socket", Thing(log))
    scope.close_after(10.0)
    clock.tick(-1e6)
    assert manager.sweep() == 0
    assert [each.age for each in manager.open_resources()] == [0.0]
    clock.tick(2e6)
    assert manager.sweep() == 1
    assert log == ["thing"]


def test_a_clock_that_gives_no_number_is_refused_and_what_was_to_come_in_is_closed(log):
    """The schedule stays in order; closing does not depend on it."""
    times = iter([1.0, nan, nan])
    manager = ResourceManager(name="test", clock=lambda: next(times))
    scope = manager.scope("import")
    scope.enter("file", Thing(log, "a"))
    with pytest.raises(InputError, match="clock"):
        scope.enter("file", Thing(log, "b"))
    assert log == ["b"]
    with pytest.raises(ExceptionGroup, match="closing resource manager 'test': 1 failed"):
        manager.close()
    assert log == ["b", "a"]


def test_the_schedule_does_not_grow_with_calls(manager, clock):
    """A scope that is kept alive for ever by calling again has few entries in it."""
    scope = manager.scope("kept")
    for _ in range(1_000):
        scope.close_after(60.0)
        with manager.scope("short") as short:
            short.close_after(1e6)
            short.close()
        clock.tick(1.0)
    assert len(manager._due) < 100
    assert manager.stats()["scheduled"] == 1


def test_closing_the_manager_closes_all_and_reports_what_was_open(log, clock):
    """Of what type, where, for how long, and whether a sweep would have come."""
    manager = ResourceManager(name="test", clock=clock, trace=True)
    outer = manager.scope("outer")
    outer.enter("file", Thing(log, "a"))
    clock.tick(3.0)
    outer.scope("inner").enter("socket", Thing(log, "b"))
    kept = manager.scope("kept")
    kept.enter("file", Thing(log, "c"))
    kept.close_after(10.0)
    with manager.scope("good") as good:
        good.enter("file", Thing(log, "fine"))
    clock.tick(4.0)
    assert manager.leaks == ()
    open_before = manager.open_resources()
    manager.close()
    assert log == ["fine", "c", "b", "a"]
    assert manager.leaks == open_before
    assert [(leak.kind, leak.scope, leak.age, leak.due) for leak in manager.leaks] == [
        ("file", "'outer' #1", 7.0, None),
        ("socket", "'outer' #1 / 'inner' #3", 4.0, None),
        ("file", "'kept' #5", 4.0, 6.0),
    ]
    assert all(leak.where.rpartition(":")[0] == __file__ for leak in manager.leaks)
    assert str(manager.leaks[2]).endswith(f"open for 4 s, entered at {manager.leaks[2].where}, due in 6 s")
    manager.close()
    assert len(manager.leaks) == 3


def test_closing_the_manager_closes_all_whatever_they_raise(log):
    """One group for all scopes."""
    manager = ResourceManager(name="test")
    for name in "abc":
        manager.scope(name).enter("file", Thing(log, name, ValueError(name)))
    with pytest.raises(ExceptionGroup, match="closing resource manager 'test': 3 failed") as caught:
        manager.close()
    assert [str(error) for error in caught.value.exceptions] == ["c", "b", "a"]
    assert manager.stats()["open"] == 0


def test_after_closing_every_call_names_manager_and_state(log):
    """A scope of it as well."""
    manager = ResourceManager(name="test")
    scope = manager.scope("import")
    manager.close()
    calls = [
        lambda: manager.scope("late"),
        manager.sweep,
        manager.__enter__,
        lambda: scope.scope("late"),
        lambda: scope.enter("file", Thing(log)),
    ]
    for call in calls:
        with pytest.raises(StateError, match="resource manager 'test' is closed: make another one"):
            call()
    assert manager.stats()["scopes"] == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from(["file", "socket"]), st.booleans()),
        st.tuples(st.just("open"), st.just(""), st.just(False)),
        st.tuples(st.just("leave"), st.just(""), st.just(False)),
    ),
    max_size=25,
)


@settings(max_examples=100)
@given(steps=steps)
def test_any_nesting_closes_each_thing_once_in_reverse_and_tells_each_error(steps):
    """Against a plain stack of stacks."""
    log, failing, expected = [], set(), []
    manager = ResourceManager()
    stack, model = [manager.scope("outermost")], [[]]

    def leave():
        names = model.pop()[::-1]
        expected.extend(names)
        bad = [name for name in names if name in failing]
        try:
            stack.pop().close()
            assert bad == []
        except ExceptionGroup as group:
            assert [str(error) for error in group.exceptions] == bad

    for number, (what, kind, fails) in enumerate(steps):
        if what == "open":
            stack.append(stack[-1].scope("inner"))
            model.append([])
        elif what == "leave" and len(stack) > 1:
            leave()
        elif what == "enter":
            name = f"{kind} {number}"
            if fails:
                failing.add(name)
            stack[-1].enter(kind, Thing(log, name, ValueError(name) if fails else None))
            model[-1].append(name)
        stats = manager.stats()
        assert stats["open"] == sum(map(len, model)) == stats["entered"] - stats["closed"]
        assert stats["scopes"] == len(stack)
    while stack:
        leave()
    assert log == expected
    assert manager.stats()["failed"] == len(failing)
    assert manager.open_resources() == ()


def test_eight_threads_share_a_manager_and_no_limit_is_passed(together, clock):
    """Each thing is closed once, and never more are open than may be."""
    log, refused, most = [], [], []
    manager = ResourceManager(limits={"file": 5}, clock=clock)

    def work(thread):
        for turn in range(8):
            with manager.scope("work") as scope:
                for number in range(2):
                    try:
                        scope.enter("file", Thing(log, (thread, turn, number)))
                    except StateError:
                        refused.append(1)
                most.append(manager.stats()["file.open"])

    assert together(ResourceManager, *[partial(work, thread) for thread in range(8)]) == []
    assert sorted(log) == [(thread, turn, number) for thread in range(8) for turn in range(8) for number in range(2)]
    assert max(most) <= 5
    stats = manager.stats()
    assert (stats["file.open"], stats["scopes"], stats["file.refused"]) == (0, 0, len(refused))
    assert stats["file.closed"] == 8 * 8 * 2 - len(refused)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a test runner that has threads
def test_a_forked_process_closes_nothing_of_its_parent(manager, tmp_path):
    """Its copies of a scope end without a deed, and what it enters is refused and closed."""
    path = tmp_path / "closed"
    scope = manager.scope("parent")
    scope.enter("file", path, close=lambda path: path.write_text("by the parent"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log = []
            with pytest.raises(StateError, match="belongs to the process that made it"):
                scope.enter("file", Thing(log))
            assert log == ["thing"]
            scope.close()
            manager.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not path.exists()
    scope.close()
    assert path.read_text() == "by the parent"
