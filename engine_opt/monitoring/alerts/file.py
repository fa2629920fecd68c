"""States, silences and messages that wait, in an SQLite file that survives whatever happens to its process.

Schema 1 (0.1). One process owns the file, and holds its lock as long as it is open. What belongs together is one
transaction, which is on the disk when the call returns: a state that says "told" and the message that tells it are both
there, or neither.

A delivery is `waiting`, or `sending` from before the attempt until it is known how that ended; then it is gone, or waits
again, or is kept for a day as `failed` or as `uncertain`: its process ended in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine_opt.errors import StoreError
from engine_opt.monitoring.alerts.messages import Message
from engine_opt.monitoring.alerts.rules import Labels, Severity, fingerprint
from engine_opt.monitoring.alerts.states import KEPT, Acknowledgement, AlertState, Phase

if TYPE_CHECKING:
    from sqlite3 import Connection, Error

SCHEMA = 1
Key = tuple[str, Labels]
"""The name of a rule and the labels of a series."""

_CREATE = """
BEGIN IMMEDIATE;
CREATE TABLE alert_schema (version INTEGER NOT NULL);
INSERT INTO alert_schema VALUES (1);
CREATE TABLE alert (
    rule TEXT NOT NULL, labels TEXT NOT NULL, metric TEXT NOT NULL, severity TEXT NOT NULL, told TEXT NOT NULL,
    phase TEXT NOT NULL, since REAL NOT NULL, seen REAL NOT NULL, value REAL, notified REAL,
    who TEXT, at REAL, note TEXT, reason TEXT, PRIMARY KEY (rule, labels)
);
CREATE TABLE silence (
    id INTEGER PRIMARY KEY AUTOINCREMENT, matcher TEXT NOT NULL, until REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL
);
CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, body TEXT NOT NULL);
CREATE TABLE delivery (
    message INTEGER NOT NULL, notifier TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
    due REAL NOT NULL, error TEXT, PRIMARY KEY (message, notifier)
);
CREATE VIEW outgoing AS
    SELECT message, notifier, status, attempts, due, error, body FROM delivery JOIN message ON message.id = message;
COMMIT;
"""


class Status(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENDING = "sending"
    FAILED = "failed"  # refused for good, or given up
    UNCERTAIN = "uncertain"  # the process ended while it was being sent


@dataclass(frozen=True, slots=True)
class Tracked:
    """An alert that there is.

    Attributes:
        rule, labels: which.
        metric, severity: of its rule, for when that is gone.
        told: the names of the notifiers that were told that it is firing.
        state: where it stands.

    """

    rule: str
    labels: Labels
    metric: str
    severity: Severity
    told: tuple[str, ...]
    state: AlertState

    @property
    def key(self) -> Key:
        """Which it is."""
        return self.rule, self.labels

    @property
    def fingerprint(self) -> str:
        """The same, as text."""
        return fingerprint(self.rule, self.labels)

    def kept(self) -> Tracked:
        """Return what of it must be on the disk: not what the next evaluation finds out anyway."""
        return replace(self, state=replace(self.state, seen=self.state.since, value=None))


class Silence(NamedTuple):
    """No messages about some alerts, for a time.

    Attributes:
        id: its number.
        matcher: values by name of a label; by `rule`, the name of a rule.
        until: when it ends, in seconds since the epoch.
        who, why: for those who wonder.

    """

    id: int
    matcher: Mapping[str, str]
    until: float
    who: str
    why: str

    def matches(self, rule: str, labels: Labels) -> bool:
        """Return whether an alert is silenced by it."""
        held = dict(labels) | {"rule": rule}
        return all(held.get(name) == value for name, value in self.matcher.items())


class Delivery(NamedTuple):
    """A message on its way to one notifier.

    Attributes:
        number: of the message.
        message: what is told.
        notifier: by name.
        status: where it stands.
        attempts: how often it was tried.
        due: when it is tried next, in seconds since the epoch.
        error: how the last attempt ended.

    """

    number: int
    message: Message
    notifier: str
    status: Status
    attempts: int
    due: float
    error: str | None


class AlertFile:
    """The file; not for several threads at a time.

    Raises StoreError for a file that another process has open, that is damaged, belongs to something else or to another
    version, and where it cannot be read or written, which leaves it as it was.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        self._connection = _open(self._path)

    def alerts(self) -> dict[Key, Tracked]:
        """Return all alerts."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM alert").fetchall()
            return {tracked.key: tracked for tracked in map(_tracked, rows)}

    def silences(self) -> tuple[Silence, ...]:
        """Return all silences, oldest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT id, matcher, until, who, why FROM silence ORDER BY id")
            return tuple(Silence(number, json.loads(matcher), *rest) for number, matcher, *rest in rows)

    def next_number(self) -> int:
        """Return the number of the next message; none is ever given twice."""
        with self._reading() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
            return 1 if row is None else int(row[0]) + 1

    def deliveries(self) -> tuple[Delivery, ...]:
        """Return what is on its way, and what did not arrive lately, oldest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM outgoing ORDER BY message, notifier").fetchall()
            return tuple(map(_delivery, rows))

    def fates(self) -> dict[Status, int]:
        """Return how many deliveries stand where."""
        with self._reading() as connection:
            rows = connection.execute("SELECT status, count(*) FROM delivery GROUP BY status").fetchall()
            return {Status(status): count for status, count in rows}

    def head(self, notifier: str) -> Delivery | None:
        """Return what a notifier is to be sent next; None where nothing waits. Its messages keep their order."""
        with self._reading() as connection:
            asked = "SELECT * FROM outgoing WHERE notifier = ? AND status IN ('waiting', 'sending') ORDER BY message LIMIT 1"
            row = connection.execute(asked, (notifier,)).fetchone()
            return None if row is None else _delivery(row)

    def save(
        self,
        alerts: Iterable[Tracked],
        gone: Iterable[Key] = (),
        messages: Iterable[tuple[int, Message, Sequence[str]]] = (),
        over: Iterable[int] = (),
    ) -> None:
        """Keep alerts as they are now, forget others, post numbered messages to notifiers, end silences: all at once."""
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM alert WHERE rule = ? AND labels = ?", [_stored_key(key) for key in gone]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, alerts)
            )
            connection.executemany("DELETE FROM silence WHERE id = ?", [(number,) for number in over])
            for number, message, notifiers in messages:
                if not notifiers:
                    continue
                connection.execute("INSERT INTO message VALUES (?, ?, ?)", (number, message.created, message.json()))
                rows = [(number, each, Status.WAITING.value, 0, message.created, None) for each in notifiers]
                connection.executemany("INSERT INTO delivery VALUES (?, ?, ?, ?, ?, ?)", rows)

    def silence(self, matcher: Mapping[str, str], until: float, who: str, why: str) -> Silence:
        """Keep a silence."""
        with self._writing() as connection:
            row = (json.dumps(matcher, sort_keys=True), until, who, why)
            done = connection.execute("INSERT INTO silence (matcher, until, who, why) VALUES (?, ?, ?, ?)", row)
            return Silence(int(done.lastrowid or 0), dict(matcher), until, who, why)

    def mark(self, delivery: Delivery) -> None:
        """Keep a delivery as it is now."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE delivery SET status = ?, attempts = ?, due = ?, error = ? WHERE message = ? AND notifier = ?",
                (*delivery[3:], delivery.number, delivery.notifier),
            )

    def delivered(self, delivery: Delivery) -> None:
        """Forget a delivery: it has arrived."""
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM delivery WHERE message = ? AND notifier = ?", (delivery.number, delivery.notifier)
            )
            _sweep(connection)

    def recover(self, deduplicating: Iterable[str], now: float) -> None:
        """Settle what was being sent when the process before this one ended, and forget old failures.

        It may have arrived. So it is not sent again, except to those who drop what they have already.
        """
        with self._writing() as connection:
            connection.executemany(
                "UPDATE delivery SET status = 'waiting' WHERE status = 'sending' AND notifier = ?",
                [(name,) for name in deduplicating],
            )
            connection.execute(
                "UPDATE delivery SET status = 'uncertain', error = 'the process ended while it was being sent'"
                " WHERE status = 'sending'"
            )
            connection.execute(
                "DELETE FROM delivery WHERE status IN ('failed', 'uncertain')"
                " AND message IN (SELECT id FROM message WHERE created < ?)",
                (now - KEPT,),
            )
            _sweep(connection)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        import sqlite3

        try:
            yield self._connection
        except sqlite3.Error as error:
            raise _refused(self._path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            why = f"it is damaged: {error}; move it away, and alerts begin anew"
            raise StoreError(str(self._path), why) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        import sqlite3

        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # the first error is the one to tell
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise _refused(self._path, error) from error
            raise


def _open(path: Path) -> Connection:
    """Open the file, create it where there is none, and keep others out; SQLite's lock goes with the process."""
    import sqlite3

    try:
        with path.open("ab"):  # the system says better than SQLite why a file cannot be opened
            pass
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
    except OSError as error:
        raise StoreError(
            str(path), f"{error.strerror}: see whether its folder is there and may be written to"
        ) from error
    except sqlite3.Error as error:
        raise _refused(path, error) from error
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        is_new = _is_new(connection, path)  # first: what is not ours is not even switched to another journal
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if is_new:
            connection.executescript(_CREATE)
        connection.execute("BEGIN IMMEDIATE")  # takes the lock, which stays
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        raise _refused(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _refused(path: Path, error: Error) -> StoreError:
    """Return what to say of an error of SQLite, and what to do."""
    name = getattr(error, "sqlite_errorname", "")  # errors of the module itself have none
    if name.startswith("SQLITE_BUSY"):
        return StoreError(str(path), "it is in use: one process at a time evaluates the alerts of a file")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreError(str(path), f"SQLite says: {error}; move it away, and alerts begin anew")
    return StoreError(str(path), f"SQLite says: {error}; see whether the disk is full, or the file may not be written")


def _is_new(connection: Connection, path: Path) -> bool:
    """Return whether there are no tables yet; refuse those of somebody else, or of another version."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and "alert_schema" not in names:
        why = f"it belongs to something else, with tables {sorted(names)}: give another path"
        raise StoreError(str(path), why)
    found = [version for (version,) in connection.execute("SELECT version FROM alert_schema")] if names else [SCHEMA]
    if found != [SCHEMA]:
        raise StoreError(str(path), f"its schema is {found}, this version understands {SCHEMA}: give another path")
    return not names


def _sweep(connection: Connection) -> None:
    """Forget messages that nobody is sent any more."""
    connection.execute("DELETE FROM message WHERE id NOT IN (SELECT message FROM delivery)")


def _stored_key(key: Key) -> tuple[str, str]:
    rule, labels = key
    return rule, json.dumps(labels)


def _row(tracked: Tracked) -> tuple[object, ...]:
    state = tracked.state
    taken = state.acknowledged
    return (
        *_stored_key(tracked.key),
        tracked.metric,
        tracked.severity.value,
        json.dumps(tracked.told),
        state.phase.value,
        state.since,
        state.seen,
        state.value,
        state.notified,
        *((None, None, None) if taken is None else (taken.who, taken.at, taken.note)),
        state.reason,
    )


def _tracked(row: Sequence[Any]) -> Tracked:
    rule, labels, metric, severity, told, phase, *rest, who, at, note, reason = row
    since, seen, value, notified = rest
    taken = None if who is None else Acknowledgement(who, at, note)
    state = AlertState(Phase(phase), since, seen, value, notified, taken, reason)
    held = tuple((name, value) for name, value in json.loads(labels))
    return Tracked(rule, held, metric, Severity(severity), tuple(json.loads(told)), state)


def _delivery(row: Sequence[Any]) -> Delivery:
    number, notifier, status, attempts, due, error, body = row
    return Delivery(number, Message.from_json(body), notifier, Status(status), attempts, due, error)
