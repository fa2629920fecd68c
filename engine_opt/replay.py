"""An audit log run again: the same bars and requests through a new engine must give the same decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from engine_opt.audit import AuditRecord
from engine_opt.config import EngineConfig
from engine_opt.engine import ProtocolEngine
from engine_opt.errors import EngineError, StateError
from engine_opt.model import Bar, EngineDecision, HumanAnswer, TrustAssessment, TrustOutcome, TrustRequest, WeekRequest
from engine_opt.plain import dump, load

_T = TypeVar("_T")
_MOST_SHOWN = 100


class Difference(NamedTuple):
    """A recorded decision that came out otherwise: record number, the first field that differs, and both values."""

    sequence: int
    where: str
    recorded: object
    replayed: object

    def __str__(self) -> str:
        return f"record {self.sequence}: {self.where} was {self.recorded!r} and is {self.replayed!r} now"


class Replayed(NamedTuple):
    """What a replay came to.

    `differences` holds the first hundred of `different` decisions; `engine` stands where the recorded one stood after
    its last event, its trust included.
    """

    records: int
    bars: int
    decisions: int
    different: int
    differences: tuple[Difference, ...]
    engine: ProtocolEngine


class _Recorded:
    """A provider that knows the answers of old."""

    def __init__(self) -> None:
        self.known: HumanAnswer | None = None

    def ask(self, request: TrustRequest, assessment: TrustAssessment) -> None:
        """Ask nobody: the answer is in the log."""

    def answer(self, request_id: str) -> HumanAnswer | None:
        return self.known if self.known is not None and self.known.request_id == request_id else None

    def withdraw(self, request_id: str) -> None:
        """Take nothing back: the log is as it is."""


def replay(records: Iterable[AuditRecord]) -> Replayed:
    """Run an audit log again. Raises StateError for a log that does not begin with a configuration or is damaged."""
    return _Replay().run(records)


class _Replay:
    def __init__(self) -> None:
        self.engine: ProtocolEngine | None = None
        self.provider = _Recorded()
        self.bars = self.decisions = self.different = 0
        self.differences: list[Difference] = []

    def run(self, records: Iterable[AuditRecord]) -> Replayed:
        count = 0
        steps: dict[str, Callable[[AuditRecord], None]] = {
            "config": self._config,
            "restored": self._restored,
            "bar": self._bar,
            "decision": self._decision,
            "settled": self._settled,
            "outcome": self._outcome,
        }
        for record in records:
            count += 1
            step = steps.get(record.kind)
            if step is None:
                raise StateError(
                    f"record {record.sequence} is of kind {record.kind!r}, which this engine does not know"
                )
            try:
                step(record)
            except KeyError as error:
                raise StateError(f"record {record.sequence} ({record.kind}) has no {error}: it is damaged") from error
            except EngineError:
                raise
            except (TypeError, ValueError, AttributeError) as error:
                # The checksum is right and the content is nothing that an engine wrote.
                raise StateError(f"record {record.sequence} ({record.kind}) is damaged: {error}") from error
        if self.engine is None:
            raise StateError("the log holds no configuration, so that there is nothing to replay")
        return Replayed(count, self.bars, self.decisions, self.different, tuple(self.differences), self.engine)

    def _running(self, record: AuditRecord) -> ProtocolEngine:
        if self.engine is None:
            raise StateError(f"record {record.sequence} ({record.kind}) comes before any configuration")
        return self.engine

    def _config(self, record: AuditRecord) -> None:
        # A log that goes on after a restart without a saved state starts from nothing, as its engine did.
        config = EngineConfig.from_plain(record.payload["config"], f"the configuration in record {record.sequence}")
        self.engine = ProtocolEngine(config, provider=self.provider)

    def _restored(self, record: AuditRecord) -> None:
        config = self._running(record).config
        self.engine = ProtocolEngine.restore(record.payload["state"], config, provider=self.provider)

    def _bar(self, record: AuditRecord) -> None:
        payload = record.payload
        bar = _loaded(Bar, payload["bar"], record)
        self._running(record).update(payload["symbol"], bar, payload["vix"])
        self.bars += 1

    def _decision(self, record: AuditRecord) -> None:
        request = _loaded(WeekRequest, record.payload["request"], record)
        recorded = record.payload["decision"]
        self._know(recorded, record)
        self._compare(record, recorded, dump(self._running(record).decide(request)))
        self.decisions += 1

    def _settled(self, record: AuditRecord) -> None:
        if record.time is None:
            raise StateError(f"record {record.sequence} (settled) has no time: it is damaged")
        request = _loaded(WeekRequest, record.payload["request"], record)
        pending = _loaded(EngineDecision, record.payload["pending"], record)
        recorded = record.payload["decision"]
        self._know(recorded, record)
        now = datetime.fromisoformat(record.time)
        self._compare(record, recorded, dump(self._running(record).settle(request, pending, now)))

    def _outcome(self, record: AuditRecord) -> None:
        self._running(record).record(_loaded(TrustOutcome, record.payload["outcome"], record))

    def _know(self, recorded: Mapping[str, Any], record: AuditRecord) -> None:
        answer = recorded["answer"]
        self.provider.known = None if answer is None else _loaded(HumanAnswer, answer, record)

    def _compare(self, record: AuditRecord, recorded: Any, replayed: Any) -> None:
        if recorded == replayed:
            return
        self.different += 1
        if len(self.differences) < _MOST_SHOWN:
            self.differences.append(Difference(record.sequence, *_first_difference("decision", recorded, replayed)))


def _loaded(kind: type[_T], data: object, record: AuditRecord) -> _T:
    value, problems = load(kind, data)
    if value is None:
        raise StateError(f"record {record.sequence} ({record.kind}) does not hold a {kind.__name__}: {problems[0]}")
    return value


def _first_difference(where: str, recorded: Any, replayed: Any) -> tuple[str, object, object]:
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in [*recorded, *(key for key in replayed if key not in recorded)]:
            if recorded.get(name) != replayed.get(name):
                return _first_difference(f"{where}.{name}", recorded.get(name), replayed.get(name))
    if isinstance(recorded, list) and isinstance(replayed, list) and len(recorded) == len(replayed):
        for i, (before, after) in enumerate(zip(recorded, replayed, strict=True)):
            if before != after:
                return _first_difference(f"{where}[{i}]", before, after)
    return where, recorded, replayed
