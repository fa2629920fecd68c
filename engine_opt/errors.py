"""The engine's errors. Each says what happened, what was seen and what to do.

The engine fails closed: where an input is missing or impossible it raises, it never answers with a default.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class InputError(EngineError, ValueError):
    """A value handed to the engine is missing, impossible, or contradicts another one.

    Attributes:
        field: name of the offending field, as the caller knows it.
        value: what was seen.
        why: what is wrong with it and what would be right.

    """

    def __init__(self, field: str, value: object, why: str) -> None:
        # All three go to Exception.args, so that the error survives pickling between processes.
        super().__init__(field, value, why)
        self.field = field
        self.value = value
        self.why = why

    def __str__(self) -> str:
        return f"{self.field}={self.value!r} was refused: {self.why}"


class InsufficientData(EngineError):  # noqa: N818 - the state of the data, not a mistake in it
    """There is not enough history yet to give an answer.

    Attributes:
        needed: how many observations the answer needs.
        got: how many there are.
        what: what is being counted, in the plural.

    """

    def __init__(self, needed: int, got: int, what: str = "observations") -> None:
        super().__init__(needed, got, what)
        self.needed = needed
        self.got = got
        self.what = what

    def __str__(self) -> str:
        return f"{self.needed} {self.what} are needed, {self.got} seen: feed {self.needed - self.got} more"


class ConfigError(EngineError, ValueError):
    """A configuration contradicts itself; found when it is built, not when it is used."""


class StateError(EngineError):
    """A component was asked for something that its present state does not allow."""


class FileError(EngineError):
    """A file cannot be read, or something in it cannot be used.

    Attributes:
        path: the file.
        line: where in it, counted from 1, the header of a text file included; None where the whole file is meant.
        column: the name of the column, as the file's header has it; None where the whole line is meant.
        value: what was seen there; None where there is nothing to show.
        why: what is wrong with it and what would be right.
        counted: what `line` counts: lines of a text file, rows of a Parquet file.

    """

    def __init__(
        self, path: str, line: int | None, column: str | None, value: object, why: str, counted: str = "line"
    ) -> None:
        super().__init__(path, line, column, value, why, counted)
        self.path = path
        self.line = line
        self.column = column
        self.value = value
        self.why = why
        self.counted = counted

    def __str__(self) -> str:
        where = self.path
        if self.line is not None:
            where += f", {self.counted} {self.line}"
        if self.column is not None:
            where += f", column {self.column}"
        return f"{where}: {self.why}" if self.value is None else f"{where}: {self.value!r} was refused: {self.why}"


class StoreError(EngineError):
    """A store of metrics cannot be read or written; what it has kept until then stays.

    Attributes:
        store: its path, or its URL without the password.
        why: what happened, and what to do.

    """

    def __init__(self, store: str, why: str) -> None:
        super().__init__(store, why)
        self.store = store
        self.why = why

    def __str__(self) -> str:
        return f"{self.store}: {self.why}"
