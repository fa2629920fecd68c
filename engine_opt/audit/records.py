"""What an audit log holds, and its one form as bytes.

The same record always has the same bytes: compact JSON, keys sorted, floats by their repr, which reads back exactly,
and text as it is, not as ASCII. What JSON cannot hold is refused, and so is what it would change on the way, such as a
key that is not text.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from json import JSONDecoder, JSONEncoder
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Protocol, Self

from engine_opt._validate import INF
from engine_opt.errors import InputError

# The longest record, as JSON in UTF-8. A decision has a thousandth of this; a reader holds one record at a time.
LONGEST = 64 * 2**20

# Deeper than any decision, and shallow enough that no reader runs out of stack.
DEEPEST = 64


class AuditRecord(NamedTuple):
    """One thing that the engine was told or answered.

    `sequence` counts from 0 without gaps. `kind` says what the payload is: "config", "bar", "decision", "answer",
    "outcome", or what the caller likes. `time` is ISO text, given by the caller. `payload` is what JSON can hold.
    """

    sequence: int
    kind: str
    time: str | None
    payload: Mapping[str, Any]


class AuditLog(Protocol):
    """An open audit log: the only one that may write to its file until it is closed."""

    def append(self, kind: str, payload: Mapping[str, Any], time: str | None = None) -> AuditRecord:
        """Write a record and return it; raises InputError, StateError or OSError, and then nothing was written."""
        ...

    def read(self) -> Iterator[AuditRecord]:
        """Yield what was appended before this call, oldest first, holding one record at a time."""
        ...

    def close(self) -> None:
        """Finish writing and let other writers in; closing twice does nothing."""
        ...

    def stats(self) -> Mapping[str, float]:
        """Return counts: records in the file, records appended here, bytes cut away on opening."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_encode = JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode
_decode = JSONDecoder(parse_constant=_refuse_constant).decode


class _NotJsonError(Exception):
    """Why a value cannot be kept; each level that it passes on its way out adds where it stood."""

    def __init__(self, value: object, why: str) -> None:
        super().__init__(value, why)
        self.value = value
        self.why = why
        self.where = ""


def make(sequence: int, kind: str, payload: Mapping[str, Any], time: str | None) -> tuple[AuditRecord, str, bytes]:
    """Return the record, its payload as JSON, and the whole as JSON in UTF-8.

    The record holds a copy of the payload, equal to what will be read. Raises InputError naming the offending value.
    """
    if not isinstance(kind, str) or not kind:
        raise InputError("kind", kind, "it must be a non-empty string")
    if not isinstance(payload, Mapping):
        raise InputError("payload", payload, "it must be a mapping")
    if time is not None:
        _check_time(time)
    try:
        copy = _plain(payload, DEEPEST)
        text = _encode(copy)
        body = render(sequence, kind, text, time)
    except _NotJsonError as error:
        raise InputError(f"payload{error.where}", error.value, error.why) from None
    except UnicodeEncodeError as error:
        raise InputError("text", error.object[error.start : error.end], "half a character is not text") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise InputError("payload", payload, str(error)) from None
    if len(body) > LONGEST:
        raise InputError(
            "payload", f"{len(body)} bytes", f"a record may have {LONGEST} bytes: keep a reference instead"
        )
    return AuditRecord(sequence, kind, time, copy), text, body


def render(sequence: int, kind: str, payload: str, time: str | None) -> bytes:
    """Return a record as JSON in UTF-8, given its payload as JSON."""
    when = "null" if time is None else _encode(time)
    return f'{{"kind":{_encode(kind)},"payload":{payload},"sequence":{sequence},"time":{when}}}'.encode()


def parse(body: bytes) -> AuditRecord:
    """Return the record that `body` is; raises ValueError where it is none."""
    found = _decode(body.decode())
    match found:
        case {"kind": str(kind), "payload": dict(payload), "sequence": int(sequence), "time": str() | None as time}:
            return AuditRecord(sequence, kind, time, payload)
    raise ValueError("it is JSON, but not a record")


def parse_payload(text: str) -> Mapping[str, Any]:
    """Return the payload that `text` is; raises ValueError where it is none."""
    found = _decode(text)
    if not isinstance(found, dict):
        raise ValueError("the payload is not an object")  # noqa: TRY004 - of the file, not of the program
    return found


def checksum(body: bytes) -> int:
    """Return the CRC-32 of a record's JSON: it finds every error of up to 32 bits in a row."""
    return crc32(body)


def _check_time(time: str) -> None:
    if not isinstance(time, str):
        raise InputError("time", time, "it must be ISO text, or None: use isoformat()")
    try:
        datetime.fromisoformat(time)
    except ValueError:
        raise InputError("time", time, "it must be ISO text, such as 2024-03-08 or 2024-03-08T21:00:00+00:00") from None


def _plain(value: object, depth: int) -> Any:
    """Return a copy of `value` made of what JSON holds, and of nothing that it would change."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if isinstance(value, float):
        if not -INF < value < INF:
            raise _NotJsonError(value, "JSON has no word for it; give None, or text")
        return float(value)
    if depth == 0:
        raise _NotJsonError(value, f"it is nested more than {DEEPEST} levels deep, or holds itself")
    if isinstance(value, Mapping):
        return _plain_mapping(value, depth - 1)
    if isinstance(value, Enum):
        return _plain(value.value, depth - 1)
    if isinstance(value, list | tuple):
        return _plain_list(value, depth - 1)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    raise _NotJsonError(value, f"{kind.__name__} is not JSON; give text, a number, a bool, None, a list or a mapping")


def _plain_mapping(value: Mapping[Any, object], depth: int) -> dict[str, Any]:
    copy = {}
    for key, each in value.items():
        if type(key) is not str:
            raise _NotJsonError(key, "a key must be text")
        try:
            copy[key] = _plain(each, depth)
        except _NotJsonError as error:
            error.where = f".{key}{error.where}"
            raise
    return copy


def _plain_list(value: list[object] | tuple[object, ...], depth: int) -> list[Any]:
    copy = []
    for index, each in enumerate(value):
        try:
            copy.append(_plain(each, depth))
        except _NotJsonError as error:
            error.where = f"[{index}]{error.where}"
            raise
    return copy
