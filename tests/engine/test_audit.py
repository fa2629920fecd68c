"""The audit: what was appended is read back, after any end of the process, and damage is told, never skipped."""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from enum import StrEnum
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import engine_opt
from engine_opt import EngineError, InputError, StateError
from engine_opt.audit import AuditRecord, JsonLinesAudit, SqliteAudit, jsonl, open_audit, read_audit

HOME = Path(engine_opt.__file__).parents[1]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor file size limits nor fork")
FIVE = [
    ("config", {"rules": "default", "limits": [1, 2.5, None]}, None),
    ("bar", {"symbol": "AAPL", "close": 0.1 + 0.2, "volume": 1e18}, "2024-03-07"),
    ("decision", {"why": "Überhang – 上昇\n\x00\u2028", "ok": True}, "2024-03-07T21:00:00+00:00"),
    ("answer", {}, "2024-03-08"),
    ("outcome", {"nested": {"b": [[], {}], "a": -0.0}}, None),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
records = st.lists(
    st.tuples(
        st.text(min_size=1),
        st.dictionaries(st.text(), json_values, max_size=4),
        st.none() | st.datetimes().map(lambda when: when.isoformat()),
    ),
    max_size=6,
)


def quick(path):
    """A log that does not wait for the disk: what the disk does is the system's business, not the test's."""
    return JsonLinesAudit(path, fsync="never") if path.suffix == ".jsonl" else SqliteAudit(path, batch=64)


@pytest.fixture(params=[".jsonl", ".sqlite"])
def path(request, tmp_path):
    return tmp_path / f"audit{request.param}"


@pytest.fixture
def lines(tmp_path):
    """A file of JSON lines with five records."""
    path = tmp_path / "audit.jsonl"
    fill(path, FIVE)
    return path


def fill(path, entries):
    with quick(path) as log:
        return [log.append(*entry) for entry in entries]


def expected(entries):
    return [AuditRecord(i, kind, time, payload) for i, (kind, payload, time) in enumerate(entries)]


def exact(found):
    """Records as text, each number's type and sign in sight, which equality does not see; keys have no order."""
    return json.dumps(found, sort_keys=True)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=records)
@example(entries=[("a\x00b", {"\r\x85\u2028": [1, 1.0, -0.0, 5e-324, 2**70, True]}, None)])
@example(entries=FIVE)
def test_what_is_written_is_read_back_and_is_the_same_in_both_back_ends(tmp_path_factory, entries):
    """Records come back equal, types and signs of numbers included, from a file of lines and from a database."""
    folder = tmp_path_factory.mktemp("audit")
    answers = []
    for name in ("a.jsonl", "a.db"):
        returned = fill(folder / name, entries)
        assert exact(list(read_audit(folder / name))) == exact(returned)
        answers.append(exact(returned))
    assert answers[0] == answers[1]
    assert [(r.sequence, r.kind, r.time) for r in returned] == [(i, k, t) for i, (k, _, t) in enumerate(entries)]


def test_the_same_records_give_the_same_bytes(tmp_path):
    """Keys are sorted, whatever order they came in, and nothing in the file depends on when or where it was written."""
    fill(tmp_path / "a.jsonl", [("bar", {"low": 1.5, "high": 2.0}, None)])
    fill(tmp_path / "b.jsonl", [("bar", {"high": 2.0, "low": 1.5}, None)])
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_file_of_lines_is_json_and_shows_text_as_it_is(lines):
    """Every line is JSON for any tool; the first says the format, and text is not escaped."""
    text = lines.read_text("utf-8")
    header, *rest = (json.loads(line) for line in text.split("\n")[:-1])
    assert header == {"audit": 1, "checksum": "crc32"}
    assert [line["record"]["sequence"] for line in rest] == [0, 1, 2, 3, 4]
    assert "Überhang – 上昇" in text


def test_a_format_1_file_is_read_for_ever(tmp_path):
    """A file as version 0.1 wrote it, byte by byte."""
    path = tmp_path / "old.jsonl"
    path.write_bytes(
        b'{"audit":1,"checksum":"crc32"}\n'
        b'{"crc32":"8976eb6d","record":{"kind":"bar","payload":{"close":10.5},"sequence":0,"time":"2024-03-08"}}\n'
    )
    assert list(read_audit(path)) == [AuditRecord(0, "bar", "2024-03-08", {"close": 10.5})]


class Colour(StrEnum):
    RED = "red"


def test_the_record_returned_is_the_one_that_will_be_read(path):
    """Enums become their values and tuples lists at once; changing the payload afterwards changes no record."""
    payload = {"colour": Colour.RED, "pair": (1, 2)}
    with quick(path) as log:
        record = log.append("answer", payload)
        payload["colour"] = "blue"
        assert record.payload == {"colour": "red", "pair": [1, 2]}
        assert list(log.read()) == [record]


@pytest.mark.parametrize(
    ("kind", "payload", "time", "field"),
    [
        ("", {}, None, "kind"),
        (None, {}, None, "kind"),
        ("bar", None, None, "payload"),
        ("bar", [1], None, "payload"),
        ("bar", {"a": nan}, None, "payload.a"),
        ("bar", {"a": [0, {"b": inf}]}, None, "payload.a[1].b"),
        ("bar", {"a": {1: 2}}, None, "payload.a"),
        ("bar", {"a": {1, 2}}, None, "payload.a"),
        ("bar", {"a": b"bytes"}, None, "payload.a"),
        ("bar", {"a": 10**5000}, None, "payload"),
        ("bar", {"a": "\ud800"}, None, "text"),
        ("bar", {}, "yesterday", "time"),
        ("bar", {}, 20240308, "time"),
    ],
)
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(path, kind, payload, time, field):
    """The error names the value's place; the next record has the next number and no gap."""
    with quick(path) as log:
        with pytest.raises(InputError) as caught:
            log.append(kind, payload, time)
        assert caught.value.field == field
        assert log.append("bar", {}).sequence == 0
        assert len(list(log.read())) == 1


def test_a_payload_that_holds_itself_is_refused(path):
    """A loop is met as a depth that no record has."""
    payload = {}
    payload["self"] = payload
    with quick(path) as log, pytest.raises(InputError, match="64 levels deep, or holds itself"):
        log.append("bar", payload)


def test_a_record_too_long_to_be_read_is_not_written(path, monkeypatch):
    """What a reader would refuse, a writer refuses first."""
    monkeypatch.setattr("engine_opt.audit.records.LONGEST", 100)
    with quick(path) as log:
        with pytest.raises(InputError, match="may have 100 bytes"):
            log.append("bar", {"text": "x" * 100})
        assert log.append("bar", {}).sequence == 0


def test_an_absurdly_long_line_is_refused_by_its_number(lines, monkeypatch):
    """A line longer than any record is not read into memory: reading stops at it."""
    monkeypatch.setattr(jsonl, "_LONGEST_LINE", 1000)
    with lines.open("ab") as file:
        file.write(b"x" * 5000 + b"\n")
    with pytest.raises(StateError, match=r"audit\.jsonl, line 7: it has more than"):
        list(read_audit(lines))


def test_appending_continues_where_the_log_ended(path):
    """A log that is opened again counts on, and keeps what it had."""
    for end in (2, 3, 5):
        with quick(path) as log:
            for entry in FIVE[log.stats()["records"] : end]:
                log.append(*entry)
    assert list(read_audit(path)) == expected(FIVE)


def test_a_log_is_read_while_it_is_written(path):
    """A reader sees what was there when it was asked for, one record at a time, while appending goes on."""
    with quick(path) as log:
        log.append(*FIVE[0])
        log.append(*FIVE[1])
        reading = log.read()
        assert next(reading) == expected(FIVE)[0]
        log.append(*FIVE[2])
        assert list(reading) == expected(FIVE)[1:2]
        assert list(log.read()) == expected(FIVE)[:3]
        assert list(read_audit(path)) == expected(FIVE)[:3]


def test_a_second_writer_is_refused_until_the_first_closes(path):
    """Two writers would mix their records: the second one is told, in this process and in another."""
    program = "import sys; from engine_opt.audit import open_audit; open_audit(sys.argv[1])"
    with quick(path) as log:
        log.append(*FIVE[0])
        with pytest.raises(StateError, match="open for appending elsewhere"):
            quick(path)
        other = subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, text=True, check=False, cwd=HOME
        )
        assert other.returncode != 0
        assert "StateError" in other.stderr
        log.append(*FIVE[1])
    assert fill(path, FIVE[2:3])[0].sequence == 2


def test_a_closed_log_says_so(path):
    """Appending to a closed log is a StateError; closing it twice is not."""
    log = quick(path)
    log.close()
    log.close()
    for use in (lambda: log.append("bar", {}), log.read):
        with pytest.raises(StateError, match="was closed"):
            use()


def test_threads_share_a_log(path):
    """Records of several threads have all numbers once, each thread's in its own order."""
    with quick(path) as log:
        threads = [
            threading.Thread(target=lambda name=name: [log.append(name, {"i": i}) for i in range(50)])
            for name in ("a", "b", "c")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = list(read_audit(path))
    assert [record.sequence for record in found] == list(range(150))
    for name in ("a", "b", "c"):
        assert [record.payload["i"] for record in found if record.kind == name] == list(range(50))


@POSIX
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a test runner that has threads
def test_a_forked_process_cannot_write_to_the_log_of_its_parent(path):
    """Parent and child would give out the same numbers: the child is refused, and closing takes nothing from the parent."""
    with quick(path) as log:
        log.append(*FIVE[0])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                log.append(*FIVE[1])
            except StateError:
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        log.append(*FIVE[1])
    assert list(read_audit(path)) == expected(FIVE[:2])


def test_stats_count_records_and_what_was_cut_away(lines):
    """Counts are of the whole file and of this opening."""
    with lines.open("ab") as file:
        file.write(b"half")
    with quick(lines) as log:
        log.append("bar", {})
        counts = log.stats()
    assert (counts["records"], counts["appended"], counts["repaired"]) == (6, 1, 4)
    assert counts["bytes"] == lines.stat().st_size


@pytest.mark.parametrize(("mode", "syncs"), [("always", [1, 2, 3]), ("batch", [0, 0, 0, 1]), ("never", [0, 0, 0, 0])])
def test_fsync_is_as_often_as_asked_for(tmp_path, monkeypatch, mode, syncs):
    """Each record, once at the end, or never by us: counted at the system's door."""
    JsonLinesAudit(tmp_path / "a.jsonl", fsync=mode).close()
    calls, seen = [], []
    monkeypatch.setattr(jsonl.os, "fsync", calls.append)
    with JsonLinesAudit(tmp_path / "a.jsonl", fsync=mode) as log:
        for _ in range(3):
            log.append("bar", {})
            seen.append(len(calls))
    seen.append(len(calls))
    assert seen[: len(syncs)] == syncs


# A crash, byte by byte ---------------------------------------------------------------------------------------------


def test_a_record_torn_at_any_byte_is_cut_away_and_no_whole_record_is_lost(lines):
    """Whatever part of the last line a crash leaves, the records before it stay, and the part is kept beside."""
    whole = lines.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for end in range(start, len(whole)):
        lines.write_bytes(whole[:end])
        complete = end == len(whole) - 1  # only the newline is missing
        assert len(list(read_audit(lines))) == (5 if complete else 4)
        with quick(lines) as log:
            assert log.repaired == (0 if complete else end - start)
            next_record = log.append("bar", {"again": end})
        assert next_record.sequence == (5 if complete else 4)
        assert list(read_audit(lines)) == [*expected(FIVE)[: next_record.sequence], next_record]
        torn = lines.with_name("audit.jsonl.torn-1")
        assert torn.exists() == (end > start and not complete)
        if torn.exists():
            assert torn.read_bytes() == whole[start:end]
            torn.unlink()


def test_a_header_torn_at_any_byte_is_written_again(tmp_path):
    """A crash while the file was being created leaves a log without records, not a file that cannot be used."""
    path = tmp_path / "audit.jsonl"
    quick(path).close()
    header = path.read_bytes()
    for end in range(len(header) + 1):
        path.write_bytes(header[:end])
        assert list(read_audit(path)) == []
        assert fill(path, FIVE) == expected(FIVE)
        assert list(read_audit(path)) == expected(FIVE)


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 5000, b"\0" * 20 + b"\n", b'{"crc32":"00\0\0\0"}\n'])
def test_nuls_at_the_end_are_cut_away(lines, tail):
    """A file system may write a file's new length before its content: what is left are NULs, which no record holds."""
    with lines.open("ab") as file:
        file.write(tail)
    with quick(lines) as log:
        assert log.repaired == len(tail)
        assert log.append("bar", {}).sequence == 5
    assert lines.with_name("audit.jsonl.torn-1").read_bytes() == tail
    assert len(list(read_audit(lines))) == 6


def test_nuls_after_a_whole_record_without_its_newline_cost_no_record(lines):
    """The record is whole: it is kept, and only the NULs go."""
    lines.write_bytes(lines.read_bytes()[:-1] + b"\0\0\0")
    assert list(read_audit(lines)) == expected(FIVE)
    with quick(lines) as log:
        assert log.repaired == 3
    assert list(read_audit(lines)) == expected(FIVE)


def test_evidence_of_an_earlier_crash_is_not_overwritten(lines):
    """Each repair has a file of its own."""
    for text in (b"first", b"second"):
        with lines.open("ab") as file:
            file.write(text)
        quick(lines).close()
    kept = [lines.with_name(f"audit.jsonl.torn-{n}").read_bytes() for n in (1, 2)]
    assert kept == [b"first", b"second"]


_WRITER = """
import sys
from engine_opt.audit import open_audit
with open_audit(sys.argv[1]) as log:
    while True:
        print(log.append("bar", {"text": "x" * 3000}).sequence, flush=True)
"""


@POSIX
@pytest.mark.parametrize("acknowledged", [0, 3, 10])
def test_kill_9_loses_no_acknowledged_record(path, acknowledged):
    """A writer killed in full course leaves every record whose append had returned, whole and in sequence."""
    with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True, cwd=HOME) as child:
        told = [int(child.stdout.readline()) for _ in range(acknowledged + 1)]
        child.kill()
        told += [int(line) for line in child.stdout if line.endswith("\n")]
    before = [record.sequence for record in read_audit(path)]
    assert before == list(range(len(before)))
    assert len(before) > told[-1] >= acknowledged
    with open_audit(path) as log:
        assert log.append("bar", {}).sequence == len(before)


_DYING = """
import os, signal, sys
from engine_opt.audit import JsonLinesAudit
path, whole, part = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
log = JsonLinesAudit(path, fsync="never")
for i in range(whole):
    log.append("bar", {"i": i})
class Dying:
    def write(self, line):
        os.write(log_file.fileno(), bytes(line[:part]))
        os.kill(os.getpid(), signal.SIGKILL)
    def __getattr__(self, name):
        return getattr(log_file, name)
log_file, log._file = log._file, Dying()
log.append("bar", {"i": whole})
"""


@POSIX
@pytest.mark.parametrize(("whole", "part"), [(0, 1), (1, 9), (2, 40), (3, 80)])
def test_kill_9_in_the_middle_of_a_write_leaves_the_records_before_it(tmp_path, whole, part):
    """A process killed when the system had taken half a line: the half is cut away, the lock is free, nothing else goes."""
    path = tmp_path / "audit.jsonl"
    done = subprocess.run([sys.executable, "-c", _DYING, path, str(whole), str(part)], check=False, cwd=HOME)
    assert done.returncode == -signal.SIGKILL
    with quick(path) as log:
        assert log.repaired == part
        assert log.append("bar", {"i": whole}).sequence == whole
    assert [record.payload["i"] for record in read_audit(path)] == list(range(whole + 1))


# Damage ------------------------------------------------------------------------------------------------------------


def test_a_damaged_byte_anywhere_in_the_middle_is_found_and_named(lines):
    """Whichever byte of the second record is another one, reading stops at its line, after what stands before it."""
    whole = lines.read_bytes()
    start = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    for at in range(start, whole.index(b"\n", start) + 1):
        lines.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        reading = read_audit(lines)
        assert next(reading) == expected(FIVE)[0]
        with pytest.raises(StateError, match=r"audit\.jsonl, line 3: its checksum .* restore the file from a copy"):
            next(reading)


def test_a_damaged_last_line_that_has_its_end_is_no_torn_one(lines):
    """It was whole once: opening refuses it by its number, and leaves the file as it is."""
    whole = lines.read_bytes()
    damaged = whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:]
    lines.write_bytes(damaged)
    with pytest.raises(StateError, match="line 6: its checksum"):
        quick(lines)
    assert lines.read_bytes() == damaged


@pytest.mark.parametrize("take", [lambda ls: ls[:2] + ls[3:], lambda ls: [*ls[:3], ls[2], *ls[3:]]])
def test_a_missing_or_repeated_record_is_found(lines, take):
    """A line that is whole but out of sequence is damage of the file."""
    lines.write_bytes(b"".join(take(lines.read_bytes().splitlines(keepends=True))))
    with pytest.raises(StateError, match=r"line [34]: record [12] is expected here"):
        list(read_audit(lines))


@pytest.mark.parametrize(
    "text", [b"Date,Open\n1,2\n", b"no newline", b'{"audit":0}\n', b"[]\n", b"\n", b"\x00\x01" * 40]
)
def test_a_file_of_something_else_is_left_alone(tmp_path, text):
    """What is no audit log is refused, read or opened, and not a byte of it is changed."""
    path = tmp_path / "other.jsonl"
    path.write_bytes(text)
    for use in (lambda: list(read_audit(path)), lambda: quick(path)):
        with pytest.raises(StateError, match="line 1: this is not the header of an audit log"):
            use()
    assert path.read_bytes() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_format_asks_for_an_upgrade(tmp_path):
    """A format of the future is not guessed at."""
    path = tmp_path / "new.jsonl"
    path.write_bytes(b'{"audit":2}\n')
    for use in (lambda: list(read_audit(path)), lambda: quick(path)):
        with pytest.raises(StateError, match=r"format 2 is newer than the 1 .* upgrade"):
            use()


# A system that refuses ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def largest_file(size):
    """Files cannot grow beyond `size`, as on a disk that is nearly full: a write first takes what fits."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@POSIX
@pytest.mark.parametrize("fits", [0, 1, 50])
def test_a_full_disk_leaves_no_half_line_and_the_next_append_works(lines, fits):
    """The append that did not fit raises, the file is as long as before, and its number is not used up."""
    size = lines.stat().st_size
    with quick(lines) as log:
        with largest_file(size + fits), pytest.raises(OSError, match="too large"):
            log.append("bar", {"text": "x" * 100})
        assert lines.stat().st_size == size
        assert log.append("bar", {}).sequence == 5
    assert len(list(read_audit(lines))) == 6


def test_a_disk_that_cannot_sync_raises_and_the_record_is_taken_back(lines, monkeypatch):
    """A record that may not be on the disk was not appended."""
    size = lines.stat().st_size
    with JsonLinesAudit(lines) as log:
        with monkeypatch.context() as patch, pytest.raises(OSError, match="broken"):
            patch.setattr(jsonl.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("broken")))
            log.append("bar", {})
        assert lines.stat().st_size == size
        assert log.append("bar", {}).sequence == 5


class InterruptedFile:
    """A file at which Ctrl-C comes when a write has been made."""

    def __init__(self, file):
        self._file = file

    def write(self, line):
        self._file.write(line)
        raise KeyboardInterrupt

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_an_interrupted_append_is_taken_back(lines):
    """Ctrl-C when the system has the line but we do not know it yet: the next record does not repeat its number."""
    with quick(lines) as log:
        file = log._file
        log._file = InterruptedFile(file)
        with pytest.raises(KeyboardInterrupt):
            log.append("bar", {"lost": True})
        log._file = file
        assert log.append("bar", {"kept": True}).sequence == 5
    assert [record.payload for record in read_audit(lines)][5:] == [{"kept": True}]


class UntruncatableFile(InterruptedFile):
    """A file that takes half a line and does not give it back."""

    def write(self, line):
        self._file.write(line[:9])
        raise OSError("broken")

    def truncate(self, size):
        raise OSError("broken too")


def test_a_log_that_could_not_be_taken_back_writes_no_more_until_it_is_opened_again(lines):
    """Half a line followed by another would be damage in the middle."""
    log = quick(lines)
    log._file = UntruncatableFile(log._file)
    with pytest.raises(OSError, match="broken"):
        log.append("bar", {})
    with pytest.raises(StateError, match="open the log again, which repairs it"):
        log.append("bar", {})
    log.close()
    with quick(lines) as log:
        assert log.repaired == 9
        assert log.append("bar", {}).sequence == 5


class InterruptedConnection:
    """A connection at which Ctrl-C comes when the given statement has been executed."""

    def __init__(self, connection, at):
        self._connection = connection
        self._at = at

    def execute(self, statement, *values):
        found = self._connection.execute(statement, *values)
        if statement.startswith(self._at):
            raise KeyboardInterrupt
        return found

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.mark.parametrize(("at", "kept"), [("BEGIN", 1), ("INSERT", 1), ("COMMIT", 2)])
def test_an_interrupted_transaction_is_undone_or_counted(tmp_path, at, kept):
    """Wherever Ctrl-C comes, the log knows what is in the database, and the next record has the next number."""
    path = tmp_path / "audit.db"
    with SqliteAudit(path) as log:
        log.append(*FIVE[0])
        connection = log._connection
        log._connection = InterruptedConnection(connection, at)
        with pytest.raises(KeyboardInterrupt):
            log.append(*FIVE[1])
        log._connection = connection
        assert log.append(*FIVE[kept]).sequence == kept
    assert list(read_audit(path)) == expected(FIVE[: kept + 1])


def test_a_full_database_raises_and_the_next_append_works(tmp_path):
    """SQLite's refusal is the system's, and the record is not there."""
    path = tmp_path / "audit.db"
    with SqliteAudit(path) as log:
        log.append(*FIVE[0])
        (pages,) = log._connection.execute("PRAGMA page_count").fetchone()
        log._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match=r"SQLite could not write: .*full.*audit\.db"):
            log.append("bar", {"text": "x" * 100_000})
        assert log.append(*FIVE[1]).sequence == 1
    assert list(read_audit(path)) == expected(FIVE[:2])


# The database --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET kind = 'x'",
        "DELETE FROM audit WHERE sequence = 4",
        "INSERT OR REPLACE INTO audit VALUES (0, 'x', NULL, '{}', 0)",
        "INSERT INTO audit VALUES (7, 'x', NULL, '{}', 0)",
        "INSERT INTO audit (kind, payload, crc32) VALUES ('x', '{}', 0)",
        "UPDATE audit_schema SET version = 2",
        "DELETE FROM audit_schema",
    ],
)
def test_a_database_refuses_to_be_changed(tmp_path, statement):
    """Whoever opens the database finds it append-only."""
    path = tmp_path / "audit.sqlite"
    fill(path, FIVE)
    with (
        contextlib.closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match=r"append-only|neither gaps nor repetitions"),
    ):
        connection.execute(statement)
    assert list(read_audit(path)) == expected(FIVE)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE audit SET payload = '{}' WHERE sequence = 1", "record 1: its checksum"),
        ("UPDATE audit SET time = '2024-01-01' WHERE sequence = 2", "record 2: its checksum"),
        ("UPDATE audit SET payload = x'00' WHERE sequence = 3", "record 3: a column is not text"),
        ("DELETE FROM audit WHERE sequence = 3", "record 3: it is missing"),
        ("UPDATE audit_schema SET version = 2", "schema 2 is newer than the 1"),
        ("UPDATE audit_schema SET version = 'x'", "which no version wrote"),
    ],
)
def test_a_damaged_database_is_found(tmp_path, statement, message):
    """Who takes the triggers away and changes a record is found by its checksum or its number."""
    path = tmp_path / "audit.sqlite"
    fill(path, FIVE)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for trigger in ("audit_update", "audit_delete", "schema_update"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
    with pytest.raises(StateError, match=message):
        list(read_audit(path))


def test_a_database_of_something_else_is_left_alone(tmp_path):
    """Neither another program's tables nor a file that is no database are written to."""
    database, text = tmp_path / "other.db", tmp_path / "text.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE accounts (name)")
    text.write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    before = database.read_bytes(), text.read_bytes()
    for path, message in ((database, "tables \\['accounts'\\]"), (text, "not a database")):
        for use in (lambda path=path: list(read_audit(path)), lambda path=path: quick(path)):
            with pytest.raises(StateError, match=message):
                use()
    assert (database.read_bytes(), text.read_bytes()) == before


@pytest.mark.parametrize("batch", [0, -1, 1.0, True, None])
def test_a_batch_is_a_whole_number(tmp_path, batch):
    """A batch that would never be full is refused before a file is made."""
    with pytest.raises(InputError, match="batch"):
        SqliteAudit(tmp_path / "a.db", batch=batch)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_committed_when_it_is_full_when_it_is_flushed_and_at_the_end(tmp_path):
    """Until then other readers do not see it."""
    path = tmp_path / "a.db"
    with SqliteAudit(path, batch=2) as log:
        seen = []
        for step in [*[lambda: log.append("bar", {})] * 3, log.flush, lambda: log.append("bar", {})]:
            step()
            seen.append(len(list(read_audit(path))))
        assert seen == [0, 2, 2, 3, 3]
    assert len(list(read_audit(path))) == 4


# The doors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jsonl", JsonLinesAudit), ("A.JSONL", JsonLinesAudit), ("a.sqlite", SqliteAudit), ("a.db", SqliteAudit)],
)
def test_the_suffix_chooses_the_back_end(tmp_path, name, kind):
    """The name of the file says what it is, written and read."""
    with open_audit(tmp_path / name) as log:
        assert type(log) is kind
        record = log.append("bar", {})
    assert list(read_audit(str(tmp_path / name))) == [record]


@pytest.mark.parametrize("name", ["audit", "audit.json", "audit.csv", ".gz"])
def test_another_suffix_is_refused(tmp_path, name):
    """No format is guessed."""
    for use in (open_audit, read_audit):
        with pytest.raises(InputError, match=r"\.jsonl, \.sqlite or \.db"):
            use(tmp_path / name)


def test_an_unknown_fsync_is_refused(tmp_path):
    """The three words are named."""
    with pytest.raises(InputError, match="'always', 'batch', 'never'"):
        JsonLinesAudit(tmp_path / "a.jsonl", fsync="sometimes")


def test_the_system_says_what_it_cannot_open(path):
    """A missing file, a folder in its place and a missing folder are the system's errors, and name the path."""
    with pytest.raises(FileNotFoundError, match="audit"):
        list(read_audit(path))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        quick(path.parent / "nowhere" / path.name)
    path.mkdir()
    with pytest.raises((IsADirectoryError, PermissionError), match="audit"):
        quick(path)


def test_sqlite_is_imported_only_where_it_is_used(tmp_path):
    """Who writes lines does not pay for a database."""
    program = (
        "import sys; from engine_opt.audit import open_audit; log = open_audit(sys.argv[1]); log.append('a', {}); "
        "log.close(); assert 'sqlite3' not in sys.modules and 'logging' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "a.jsonl"], check=True, cwd=HOME)


def test_reading_holds_one_record_at_a_time(tmp_path):
    """Reading the first records of an endless log ends: nothing is read ahead but a buffer."""
    path = tmp_path / "a.jsonl"
    fill(path, [("bar", {"text": "x" * 1000}, None)] * 300)
    with path.open("r+b") as file:
        file.seek(200_000)
        file.write(b"damage")
    assert len(list(itertools.islice(read_audit(path), 100))) == 100
    with pytest.raises(EngineError, match=r"line 1[89]\d"):
        list(read_audit(path))
