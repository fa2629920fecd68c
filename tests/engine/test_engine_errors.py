"""The engine's errors."""

import pickle

import pytest

from engine_opt import ConfigError, EngineError, FileError, InputError, InsufficientData, StateError


@pytest.mark.parametrize("kind", [InputError, InsufficientData, ConfigError, StateError, FileError])
def test_every_error_is_an_engine_error(kind):
    """One except clause catches all that the engine raises on purpose."""
    assert issubclass(kind, EngineError)


@pytest.mark.parametrize("kind", [InputError, ConfigError])
def test_bad_values_are_value_errors_too(kind):
    """Callers who know only the built-in exceptions catch bad values as ValueError."""
    assert issubclass(kind, ValueError)


def test_an_input_error_says_what_was_seen_and_what_to_do():
    """The message names the field, shows the value and gives the reason."""
    error = InputError("close", -1.0, "it must be greater than 0")
    assert str(error) == "close=-1.0 was refused: it must be greater than 0"
    assert (error.field, error.value, error.why) == ("close", -1.0, "it must be greater than 0")


def test_insufficient_data_says_how_much_is_missing():
    """The message says how much is needed, how much there is, and how much more to feed."""
    error = InsufficientData(35, 20, "bars")
    assert str(error) == "35 bars are needed, 20 seen: feed 15 more"


@pytest.mark.parametrize(
    "error", [InputError("a", None, "b"), InsufficientData(2, 1), ConfigError("c"), StateError("d")]
)
def test_errors_survive_pickling(error):
    """An error raised in a worker process arrives whole."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
