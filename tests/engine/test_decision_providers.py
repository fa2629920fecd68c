"""Providers of human decisions: what each keeps, gives and refuses."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine_opt import ConfigError, InputError, StateError
from engine_opt.model import DecisionKind, HumanAnswer, TrustRequest
from engine_opt.protocol.decision_providers import CallbackProvider, QueueProvider, ScriptedProvider
from engine_opt.protocol.hitl_trust import HITLTrustSystem

NOW = datetime(2024, 1, 8, 15, tzinfo=UTC)


def request(key="r1"):
    return TrustRequest(key, DecisionKind.TRADE_ENTRY, 0.9, NOW)


def answer(key="r1", person="Ada"):
    return HumanAnswer(key, True, person, NOW)


def assessed(key="r1"):
    return request(key), HITLTrustSystem().assess(request(key))


@pytest.fixture(params=["queue", "callback", "script"])
def provider(request):
    """Each kind of provider, made so that r1 is answered as soon as it is asked, and nothing else is."""
    if request.param == "callback":
        return CallbackProvider(lambda asked, _: answer() if asked.request_id == "r1" else None)
    if request.param == "script":
        return ScriptedProvider({"r1": answer(), "r2": None})

    class Answered(QueueProvider):
        def ask(self, asked, assessment):
            super().ask(asked, assessment)
            if asked.request_id == "r1":
                self.reply(answer())

    return Answered()


def test_an_answer_is_given_to_its_own_request(provider):
    """What was answered comes back, as often as it is looked for; what was not is None."""
    provider.ask(*assessed("r1"))
    provider.ask(*assessed("r2"))
    assert provider.answer("r1") == answer()
    assert provider.answer("r1") == answer()
    assert provider.answer("r2") is None


def test_what_was_never_asked_has_no_answer(provider):
    """An unknown id is an error, not a silence: a request that got lost must not wait for ever."""
    for key in ("r1", "nobody"):
        with pytest.raises(StateError, match=key):
            provider.answer(key)


def test_a_request_is_asked_once(provider):
    """Asking the same request again is an error, answered or not."""
    for key in ("r1", "r2"):
        provider.ask(*assessed(key))
        with pytest.raises(StateError, match="once"):
            provider.ask(*assessed(key))


def test_the_queue_shows_what_waits():
    """Requests wait in order with their assessments until they are answered."""
    queue = QueueProvider()
    pairs = [assessed(key) for key in ("r1", "r2", "r3")]
    for pair in pairs:
        queue.ask(*pair)
    assert [tuple(each) for each in queue.pending()] == pairs
    queue.reply(answer("r2"))
    assert [each.request.request_id for each in queue.pending()] == ["r1", "r3"]
    assert queue.answer("r1") is None
    assert queue.answer("r2") == answer("r2")


def test_the_queue_refuses_answers_to_nothing():
    """An answer to what was not asked, a second answer, and what is no answer are refused; the first one stands."""
    queue = QueueProvider()
    queue.ask(*assessed())
    with pytest.raises(StateError, match="r2"):
        queue.reply(answer("r2"))
    queue.reply(answer())
    with pytest.raises(StateError, match="Ada"):
        queue.reply(replace(answer(), approved=False, person="Bob"))
    with pytest.raises(InputError):
        queue.reply(True)
    assert queue.answer("r1") == answer()


def test_a_full_queue_refuses():
    """More than its size is not kept: neither what waits nor what was answered and not read is dropped."""
    queue = QueueProvider(2)
    queue.ask(*assessed("r1"))
    queue.ask(*assessed("r2"))
    queue.reply(answer("r2"))
    with pytest.raises(StateError, match="2 requests"):
        queue.ask(*assessed("r3"))
    assert [each.request.request_id for each in queue.pending()] == ["r1"]
    assert queue.answer("r2") == answer("r2")


def test_room_is_made_by_what_was_read_or_withdrawn():
    """A full queue forgets the answer that was read first, and whatever is withdrawn."""
    queue = QueueProvider(2)
    for key in ("r1", "r2"):
        queue.ask(*assessed(key))
        queue.reply(answer(key))
        queue.answer(key)
    queue.answer("r1")
    queue.ask(*assessed("r3"))
    with pytest.raises(StateError):
        queue.answer("r1")
    assert queue.answer("r2") == answer("r2")
    queue.withdraw("r2")
    queue.withdraw("r3")
    assert queue.pending() == ()
    for key in ("r2", "r3"):
        with pytest.raises(StateError):
            queue.withdraw(key)


def test_the_callback_is_called_once_with_what_was_asked():
    """The function gets request and assessment, when it is asked."""
    seen = []
    callback = CallbackProvider(lambda *arguments: seen.append(arguments))
    pair = assessed()
    callback.ask(*pair)
    assert (callback.answer("r1"), callback.answer("r1")) == (None, None)
    assert seen == [pair]


def test_an_error_of_the_callback_passes_through():
    """What the function raises reaches the caller, and nothing counts as asked or approved."""

    def fail(*_):
        raise OSError("the chat is down")

    callback = CallbackProvider(fail)
    with pytest.raises(OSError, match="chat is down"):
        callback.ask(*assessed())
    with pytest.raises(StateError):
        callback.answer("r1")


@pytest.mark.parametrize("given", [True, "yes", answer("r2")])
def test_a_callback_has_to_answer_the_question(given):
    """What is no answer, or one to another request, is refused."""
    callback = CallbackProvider(lambda *_: given)
    with pytest.raises(InputError):
        callback.ask(*assessed())
    with pytest.raises(StateError):
        callback.answer("r1")


def test_the_callback_remembers_only_so_many():
    """The oldest answer goes when there are more than the size."""
    callback = CallbackProvider(lambda asked, _: answer(asked.request_id), size=2)
    for key in ("r1", "r2", "r3"):
        callback.ask(*assessed(key))
    assert (callback.answer("r2"), callback.answer("r3")) == (answer("r2"), answer("r3"))
    with pytest.raises(StateError):
        callback.answer("r1")


def test_a_script_may_be_a_list_of_answers():
    """Answers find their requests by id, in whatever order they are asked."""
    script = ScriptedProvider([answer("r2"), answer("r1", "Bob")])
    script.ask(*assessed("r1"))
    assert script.answer("r1").person == "Bob"


def test_a_script_knows_what_will_be_asked():
    """A request that is not in the script is an error: the session is not the one that was written down."""
    with pytest.raises(StateError, match="script"):
        ScriptedProvider([answer("r2")]).ask(*assessed("r1"))


@pytest.mark.parametrize("answers", [[answer(), answer()], {"r2": answer("r1")}, [None], {"r1": True}])
def test_a_script_must_not_contradict_itself(answers):
    """Two answers to one request, an answer under another's id, and what is no answer are refused."""
    with pytest.raises(InputError):
        ScriptedProvider(answers)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, None])
def test_a_size_is_a_whole_number(size):
    """A provider without a bound, or of no size, cannot be made."""
    for make in (lambda: QueueProvider(size), lambda: CallbackProvider(print, size)):
        with pytest.raises(ConfigError):
            make()
