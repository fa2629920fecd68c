"""Whom the engine asks where a human has the last word: a queue, a callback, or a script.

`ask` puts a request, `answer` looks whether there is an answer yet; neither waits. What an answer is worth is not
decided here but by `HITLTrustSystem.resolve`: without one a request expires. An error of whoever is asked passes
through to the caller, and nothing is approved then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from engine_opt.errors import ConfigError, InputError, StateError
from engine_opt.model import HumanAnswer, TrustAssessment, TrustRequest


class DecisionProvider(Protocol):
    """Somebody who can be asked."""

    def ask(self, request: TrustRequest, assessment: TrustAssessment) -> None:
        """Put a request; raises StateError where it cannot be taken, or was put before."""

    def answer(self, request_id: str) -> HumanAnswer | None:
        """Return the answer, None while there is none; raises StateError for a request that was never put."""

    def withdraw(self, request_id: str) -> None:
        """Take a request back that has run out of time; raises StateError for one that was never put."""


class Asked(NamedTuple):
    """A request that waits for an answer, and until when."""

    request: TrustRequest
    assessment: TrustAssessment


class QueueProvider:
    """Keep requests until somebody replies: what a screen or a chat would read from.

    At most `size` requests are kept. An answer can be read again until its place is needed for another request; the
    oldest that was read goes first. What nobody answered stays until it is withdrawn.
    """

    def __init__(self, size: int = 1000) -> None:
        self._size = _checked_size(size)
        self._waiting: dict[str, Asked] = {}
        self._answers: dict[str, HumanAnswer] = {}
        self._read: dict[str, None] = {}  # an ordered set: answers that were read, oldest first

    def ask(self, request: TrustRequest, assessment: TrustAssessment) -> None:
        """Put a request. Raises StateError where it was put before, or the queue is full."""
        key = request.request_id
        if key in self._waiting or key in self._answers:
            raise StateError(f"request {key!r} was put before: each is asked once")
        if len(self._waiting) + len(self._answers) >= self._size:
            if not self._read:
                raise StateError(f"{self._size} requests are in the queue: answer or withdraw some, or raise its size")
            self.withdraw(next(iter(self._read)))
        self._waiting[key] = Asked(request, assessment)

    def answer(self, request_id: str) -> HumanAnswer | None:
        """Return the answer, None while there is none. Raises StateError for a request that is not in the queue."""
        given = self._answers.get(request_id)
        if given is not None:
            self._read[request_id] = None
        elif request_id not in self._waiting:
            raise _unknown(request_id)
        return given

    def pending(self) -> tuple[Asked, ...]:
        """Return what waits for an answer, oldest first."""
        return tuple(self._waiting.values())

    def reply(self, answer: HumanAnswer) -> None:
        """Answer a request. Raises StateError for one that is not in the queue, or was answered before."""
        _check_answer(answer)
        key = answer.request_id
        if key in self._answers:
            raise StateError(f"request {key!r} was answered by {self._answers[key].person}: the first answer stands")
        if self._waiting.pop(key, None) is None:
            raise _unknown(key)
        self._answers[key] = answer

    def withdraw(self, request_id: str) -> None:
        """Take a request back, answered or not. Raises StateError for one that is not in the queue."""
        waited = self._waiting.pop(request_id, None) is not None
        answered = self._answers.pop(request_id, None) is not None
        if not waited and not answered:
            raise _unknown(request_id)
        self._read.pop(request_id, None)


class CallbackProvider:
    """Ask a function, at once; it returns an answer, or None where there is none and will be none.

    The last `size` answers can be read again.
    """

    def __init__(
        self, function: Callable[[TrustRequest, TrustAssessment], HumanAnswer | None], size: int = 1000
    ) -> None:
        self._function = function
        self._size = _checked_size(size)
        self._answers: dict[str, HumanAnswer | None] = {}

    def ask(self, request: TrustRequest, assessment: TrustAssessment) -> None:
        """Call the function; what it raises is passed on, and the request counts as not put.

        Raises StateError where the request was put before, InputError for an answer to another one.
        """
        key = request.request_id
        if key in self._answers:
            raise StateError(f"request {key!r} was put before: each is asked once")
        given = self._function(request, assessment)
        if given is not None and _check_answer(given).request_id != key:
            raise InputError("answer", given.request_id, f"the function was asked about {key!r}")
        if len(self._answers) >= self._size:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = given

    def answer(self, request_id: str) -> HumanAnswer | None:
        """Return what the function answered. Raises StateError for a request that was not put, or long ago."""
        if request_id not in self._answers:
            raise _unknown(request_id)
        return self._answers[request_id]

    def withdraw(self, request_id: str) -> None:
        """Forget a request. Raises StateError for one that was not put, or long ago."""
        if request_id not in self._answers:
            raise _unknown(request_id)
        del self._answers[request_id]


class ScriptedProvider:
    """Give answers that were written down before: for tests, and to run a past session again.

    `answers` maps request ids to answers, None where nobody answers; or it holds the answers alone.
    """

    def __init__(self, answers: Mapping[str, HumanAnswer | None] | Iterable[HumanAnswer]) -> None:
        self._script: dict[str, HumanAnswer | None] = {}
        self._asked: set[str] = set()
        pairs = answers.items() if isinstance(answers, Mapping) else ((_check_answer(a).request_id, a) for a in answers)
        for key, given in pairs:
            if key in self._script:
                raise InputError("answers", key, "the script answers this request twice")
            if given is not None and _check_answer(given).request_id != key:
                raise InputError("answers", given.request_id, f"it stands in the place of the answer to {key!r}")
            self._script[key] = given

    def ask(self, request: TrustRequest, assessment: TrustAssessment) -> None:  # noqa: ARG002 - the script knows
        """Put a request. Raises StateError where the script does not know it, or it was put before."""
        key = request.request_id
        if key not in self._script:
            raise StateError(f"request {key!r} is not in the script: write None for one that nobody answers")
        if key in self._asked:
            raise StateError(f"request {key!r} was put before: each is asked once")
        self._asked.add(key)

    def answer(self, request_id: str) -> HumanAnswer | None:
        """Return the answer of the script. Raises StateError for a request that was not put."""
        if request_id not in self._asked:
            raise _unknown(request_id)
        return self._script[request_id]

    def withdraw(self, request_id: str) -> None:
        """Take a request back; the script stays as it is. Raises StateError for one that was not put."""
        if request_id not in self._asked:
            raise _unknown(request_id)


def _checked_size(size: object) -> int:
    if type(size) is not int or size < 1:
        raise ConfigError(f"size={size!r} must be a whole number of at least 1")
    return size


def _check_answer(answer: object) -> HumanAnswer:
    if type(answer) is not HumanAnswer:
        raise InputError("answer", answer, "it must be an engine_opt.HumanAnswer")
    return answer


def _unknown(request_id: object) -> StateError:
    return StateError(f"request {request_id!r} is not known here: it was never asked, or is forgotten by now")
