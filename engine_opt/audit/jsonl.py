"""The audit as JSON lines: a header, then one record a line, each with a checksum of its own.

    {"audit":1,"checksum":"crc32"}
    {"crc32":"2f1c9a04","record":{"kind":"bar","payload":{"close":10.5},"sequence":0,"time":"2024-03-08"}}

Format 1 (0.1): as above; the checksum is that of the record's bytes as they stand, in hexadecimal.

A line goes to the system in one write, so that what `append` returned survives the end of the process, however it
comes; `fsync` decides what survives a power cut. A crash can leave half a line at the end. It is cut away when the log
is next opened for appending, and kept beside it, in `<path>.torn-1` and so on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal, NoReturn, get_args

from engine_opt.audit.records import LONGEST, AuditLog, AuditRecord, checksum, make, parse
from engine_opt.errors import InputError, StateError
from engine_opt.files.disk import sync_folder

FORMAT = 1
Fsync = Literal["always", "batch", "never"]

_HEADER = b'{"audit":1,"checksum":"crc32"}\n'
_START, _MIDDLE, _END = b'{"crc32":"', b'","record":', b"}\n"
_BODY = len(_START) + 8 + len(_MIDDLE)
_LONGEST_LINE = LONGEST + _BODY + len(_END)
_BATCH = 64  # records from one fsync to the next
_BLOCK = 2**16


class JsonLinesAudit(AuditLog):
    """An audit log in a file of JSON lines, open for appending.

    `fsync`: "always" puts each record on the disk before `append` returns; "batch" each 64 and on closing; "never"
    leaves it to the system. Several threads may use one log; a forked process may not.

    Attributes:
        repaired: bytes of a torn last line that were cut away on opening, and kept in a file beside it.

    Raises StateError for a file that is open for appending elsewhere, is no audit log or of a newer format, or whose
    last line is damaged; OSError from the system.

    """

    def __init__(self, path: str | PathLike[str], fsync: Fsync = "always") -> None:
        if fsync not in get_args(Fsync):
            raise InputError("fsync", fsync, f"it must be one of {', '.join(map(repr, get_args(Fsync)))}")
        self.repaired = 0
        self._path = Path(path)
        self._every = {"always": 1, "batch": _BATCH, "never": 0}[fsync]
        self._unsynced = self._appended = self._next = 0
        self._broken = False
        self._process = os.getpid()
        self._turn = Lock()
        self._file = FileIO(self._path, "a+")
        try:
            lock(self._file, self._path)
            self._size = os.fstat(self._file.fileno()).st_size
            self._check_header()
            self._next = self._recover()
        except BaseException:
            self._file.close()
            raise

    def append(self, kind: str, payload: Mapping[str, Any], time: str | None = None) -> AuditRecord:
        """Write a record and return it.

        Raises InputError for what is not JSON, StateError for a closed log, OSError from the system, a full disk for
        one: then the file is as long as before, and the next append may succeed.
        """
        with self._turn:
            self._check_usable()
            record, _, body = make(self._next, kind, payload, time)
            self._write(b"%b%08x%b%b%b" % (_START, checksum(body), _MIDDLE, body, _END), self._next + 1)
            self._appended += 1
            return record

    def read(self) -> Iterator[AuditRecord]:
        """Yield what was appended before this call, oldest first; raises StateError at the first damaged line."""
        with self._turn:
            self._check_usable()
            return read_lines(self._path, end=self._size)

    def close(self) -> None:
        """Put on the disk what is not there yet, unless told never to, and release the file."""
        with self._turn:
            if self._file.closed:
                return
            try:
                if self._every and self._unsynced and self._process == os.getpid():
                    os.fsync(self._file.fileno())
            finally:
                self._file.close()  # and with it the lock; unlocking would take it from the process that forked us

    def stats(self) -> Mapping[str, float]:
        """Return records and bytes in the file, records appended here, bytes cut away on opening."""
        return {
            "records": self._next,
            "bytes": self._size,
            "appended": self._appended,
            "unsynced": self._unsynced,
            "repaired": self.repaired,
        }

    def _check_usable(self) -> None:
        if self._file.closed:
            raise StateError(f"{self._path}: this audit log was closed; open it again")
        if self._broken:
            raise StateError(f"{self._path}: half a line could not be taken back; open the log again, which repairs it")
        if self._process != os.getpid():
            raise StateError(
                f"{self._path}: this audit log belongs to the process that opened it; open one of your own"
            )

    def _write(self, line: bytes, following: int) -> None:
        """Append `line`, after which the record `following` is the next, or leave the file as it was."""
        size = self._size + len(line)
        try:
            rest = memoryview(line)
            while rest:  # a full disk first takes what it can, and refuses only the rest
                rest = rest[self._file.write(rest) :]
            self._unsynced += 1
            if self._every and self._unsynced >= self._every:
                self._sync()
            # Together, with no call between them: Ctrl-C comes before both and the line is taken back, or after both.
            self._size = size
            self._next = following
        except BaseException:
            self._take_back()
            raise

    def _take_back(self) -> None:
        self._broken = True
        with suppress(OSError):
            self._file.truncate(self._size)
            self._broken = False

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._unsynced = 0

    def _check_header(self) -> None:
        """Write the header of a new file, finish one that a crash cut off, refuse what is not ours."""
        head = self._bytes(0, len(_HEADER))
        if head == _HEADER:
            return
        if self._size > _BLOCK or not _HEADER.startswith(self._bytes(0, self._size).rstrip(b"\0")):
            _refuse_header(self._path, head)
        self._cut(0)
        self._write(_HEADER, 0)
        self._sync()
        sync_folder(self._path.parent)

    def _recover(self) -> int:
        """Cut away a torn end, and return the sequence number of the next record."""
        while True:
            ended = self._bytes(self._size - 1, self._size) == b"\n"
            start = self._line_start(self._size - 1 if ended else self._size)
            if start == 0:  # the header, which ends in a newline
                return 0
            line = self._bytes(start, min(self._size, start + _LONGEST_LINE))
            whole = line if ended else line.rstrip(b"\0") + b"\n"
            try:
                record = _record(whole)
            except ValueError as error:
                # No record holds a NUL: a file system wrote the file's new length to disk before what is in it.
                if not ended or b"\0" in line:
                    self._cut(start)
                    continue
                _refuse(self._path, self._newlines(start) + 1, str(error))
            if not ended:
                self._cut(start + len(whole) - 1)
                self._write(b"\n", record.sequence + 1)
            return record.sequence + 1

    def _cut(self, size: int) -> None:
        """Make the file `size` bytes long; what is cut away is kept beside it first."""
        if size == self._size:
            return
        with _new_file(self._path) as kept:
            for position in range(size, self._size, _BLOCK):
                kept.write(self._bytes(position, min(position + _BLOCK, self._size)))
            kept.flush()
            os.fsync(kept.fileno())
        sync_folder(self._path.parent)
        self._file.truncate(size)
        self._sync()
        self.repaired += self._size - size
        self._size = size

    def _line_start(self, end: int) -> int:
        """Return where the line begins that ends at `end`; 0 where there is no newline before it."""
        while end > 0:
            begin = max(0, end - _BLOCK)
            found = self._bytes(begin, end).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
        return 0

    def _newlines(self, end: int) -> int:
        """Return how many lines end before `end`."""
        return sum(self._bytes(at, min(at + _BLOCK, end)).count(b"\n") for at in range(0, end, _BLOCK))

    def _bytes(self, start: int, end: int) -> bytes:
        """Return the file's bytes from `start` to `end`, fewer where it ends before."""
        self._file.seek(start)
        found = bytearray()
        while len(found) < end - start and (more := self._file.read(end - start - len(found))):
            found += more
        return bytes(found)


def read_lines(path: str | PathLike[str], *, end: int | None = None) -> Iterator[AuditRecord]:
    """Yield the records in the first `end` bytes of a file, or in all of it, verifying each; see `read_audit`."""
    with open(path, "rb") as file:  # noqa: PTH123 - the path may be any path-like object
        header = file.readline(_BLOCK)
        if header != _HEADER:
            if _HEADER.startswith(header.rstrip(b"\0")):  # being created, or a crash came first: there are no records
                return
            _refuse_header(path, header)
        position, number = len(header), 1
        while end is None or position < end:
            line = file.readline(_LONGEST_LINE + 1)
            position += len(line)
            number += 1
            if not line:
                return
            if len(line) > _LONGEST_LINE:
                _refuse(path, number, f"it has more than {LONGEST} bytes, which no record has")
            ended = line.endswith(b"\n")
            try:
                record = _record(line if ended else line.rstrip(b"\0") + b"\n")
            except ValueError as error:
                if not ended:
                    return
                _refuse(path, number, str(error))
            if record.sequence != number - 2:
                _refuse(path, number, f"record {number - 2} is expected here, not record {record.sequence}")
            yield record


def _record(line: bytes) -> AuditRecord:
    """Return the record of a whole line; raises ValueError saying what is wrong with it."""
    body = line[_BODY : -len(_END)]
    if line != b"%b%08x%b%b%b" % (_START, checksum(body), _MIDDLE, body, _END):
        raise ValueError("its checksum is not that of its record")
    return parse(body)


def _refuse(path: str | PathLike[str], line: int, why: str) -> NoReturn:
    raise StateError(
        f"{os.fspath(path)}, line {line}: {why}. The line is damaged and nothing is skipped: restore the file from a "
        "copy, or move it away and begin a new one"
    )


def _refuse_header(path: str | PathLike[str], head: bytes) -> NoReturn:
    try:
        found = json.loads(head)["audit"]
    except (ValueError, TypeError, KeyError):
        found = None
    if type(found) is int and found > FORMAT:
        raise StateError(
            f"{os.fspath(path)}, line 1: format {found} is newer than the {FORMAT} that this version understands: "
            "upgrade pytest-pe-perf"
        )
    raise StateError(
        f"{os.fspath(path)}, line 1: this is not the header of an audit log, or it is damaged: {head[:60]!r}; "
        "restore the file from a copy, or give another path"
    )


def _new_file(path: Path) -> BinaryIO:
    """Create the first of `<path>.torn-1`, `-2`... that does not exist."""
    number = 1
    while True:
        try:
            return path.with_name(f"{path.name}.torn-{number}").open("xb")
        except FileExistsError:
            number += 1


def lock(file: FileIO, path: Path) -> None:
    """Become the only writer of `path` until `file` is closed or the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**62)  # Windows keeps others from reading what is locked: nothing stands there
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise StateError(
            f"{path}: this audit log is open for appending elsewhere; close it there, or write to a file of your own"
        ) from None
