"""Messages on their way: each notifier gets its own in their order, again and again until it takes them.

A message is recorded before it is sent, and so is that it is being sent. If the process ends before it is recorded how
that went, nobody knows whether the message arrived; it is then not sent again (see `AlertFile.recover`). Within a
process an attempt that timed out is repeated, with the same uid, for a message lost is worse than one that comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ldexp
from threading import Condition, RLock, Thread
from typing import NamedTuple

from engine_opt.errors import StoreError
from engine_opt.monitoring.alerts.file import AlertFile, Delivery, Status
from engine_opt.monitoring.alerts.messages import DeliveryError, Notifier

FIRST_WAIT = 1.0
LONGEST_WAIT = 600.0
GIVEN_UP = 86_400.0
"""Seconds after a first failure, at most, and from a message to when it is given up."""

_LONGEST_SLEEP = 30.0  # a clock may be set meanwhile
_GRACE = 0.5  # seconds that `stop` waits for each thread; what still hangs then ends with the process


class _Outcome(NamedTuple):
    """How an attempt ended; `error` is None where the message has arrived."""

    error: str | None = None
    permanent: bool = False


def wait_after(attempts: int) -> float:
    """Return the seconds to wait after so many failures: 1, 2, 4, ... and 600 at most."""
    return min(ldexp(FIRST_WAIT, min(attempts, 20) - 1), LONGEST_WAIT)


class Outbox:
    """Delivers what waits in a file: by `deliver` in the calling thread, or after `start` in one for each notifier.

    `lock` protects the file; nothing is sent while it is held.
    """

    def __init__(self, file: AlertFile, notifiers: Sequence[Notifier], clock: Callable[[], float], lock: RLock) -> None:
        self._file, self._notifiers, self._clock = file, tuple(notifiers), clock
        self._changed = Condition(lock)
        self._posted = 0
        self._stopped = False
        self._threads: list[Thread] = []
        self._unsettled: dict[str, tuple[Delivery, _Outcome]] = {}
        self.sent = self.attempts = self.unwritten = 0

    def post(self) -> None:
        """Say that there is something new; to be called with the lock held."""
        self._posted += 1
        self._changed.notify_all()

    def deliver(self) -> int:
        """Try what is due, once each, and return how many messages arrived. Raises StoreError from the file."""
        with self._changed:
            before = self.sent
        for notifier in self._notifiers:
            while self._attempt(notifier) == 0.0:
                pass
        with self._changed:
            return self.sent - before

    def start(self) -> None:
        """Start the threads, once."""
        with self._changed:
            if self._threads:
                return
            self._threads = [
                Thread(target=self._work, args=(each,), name=f"notifier {each.name}", daemon=True)
                for each in self._notifiers
            ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Attempt nothing more; what is under way has a moment to end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_GRACE)

    def _work(self, notifier: Notifier) -> None:
        while True:
            with self._changed:
                posted = self._posted
            try:
                wait = self._attempt(notifier)
            except StoreError:  # of the file, which may be writable again in a moment; counted
                wait = FIRST_WAIT
            with self._changed:
                if self._stopped:
                    return
                if wait != 0.0 and posted == self._posted:
                    self._changed.wait(_LONGEST_SLEEP if wait is None else min(wait, _LONGEST_SLEEP))

    def _attempt(self, notifier: Notifier) -> float | None:
        """Send a notifier's next message if it is due. Return in how many seconds to look again; None: nothing waits."""
        with self._changed:
            if self._stopped:
                return None
            self._settle_rest(notifier)
            head = self._file.head(notifier.name)
            if head is None or head.status is Status.SENDING:  # by another thread
                return None
            now = self._clock()
            wait = head.due - now if head.attempts else 0.0
            if 0.0 < wait <= LONGEST_WAIT:  # a longer one was reckoned before the clock went back
                return wait
            if now - head.message.created > GIVEN_UP:
                why = head.error or "it was never tried"
                self._write(lambda: self._file.mark(head._replace(status=Status.FAILED, error=f"given up: {why}")))
                return 0.0
            taken = head._replace(status=Status.SENDING, attempts=head.attempts + 1)
            self._write(lambda: self._file.mark(taken))
            self.attempts += 1
        outcome = _Outcome("the attempt was broken off")
        try:
            outcome = _sent(notifier, taken)
        finally:
            with self._changed:
                self._unsettled[notifier.name] = taken, outcome
                if not self._stopped:
                    self._settle_rest(notifier)
        return 0.0

    def _settle_rest(self, notifier: Notifier) -> None:
        """Record how an attempt ended; what cannot be recorded is kept, and tried before anything else is sent."""
        if notifier.name not in self._unsettled:
            return
        delivery, outcome = self._unsettled[notifier.name]
        if outcome.error is None:
            self._write(lambda: self._file.delivered(delivery))
            self.sent += 1
        else:
            status = Status.FAILED if outcome.permanent else Status.WAITING
            due = self._clock() + wait_after(delivery.attempts)
            after = delivery._replace(status=status, due=due, error=outcome.error)
            self._write(lambda: self._file.mark(after))
        del self._unsettled[notifier.name]
        self._changed.notify_all()

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StoreError:
            self.unwritten += 1
            raise


def _sent(notifier: Notifier, delivery: Delivery) -> _Outcome:
    try:
        notifier.send(delivery.message)
    except DeliveryError as error:
        return _Outcome(error.why, error.permanent)
    except Exception as error:  # noqa: BLE001 - whatever a notifier does, the others go on; its text may hold a secret
        return _Outcome(f"the notifier failed with {type(error).__name__}")
    return _Outcome()
