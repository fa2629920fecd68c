"""What can go wrong, in words: what happened, what was seen, what to do."""

from __future__ import annotations


class PePerfError(Exception):
    """Base of all errors that this package raises for its users.

    ``slug`` names the paragraph of ``docs/reference/messages.md`` that explains it.
    """

    slug = "error"

    def __str__(self) -> str:
        """Return the message followed by its slug, so that it can be looked up."""
        return f"{super().__str__()} [pe-perf: {self.slug}]"


class ConfigError(PePerfError):
    """A setting that does not exist or cannot be read."""

    slug = "bad-setting"


class UnitError(ConfigError):
    """A quantity whose unit is not one of ours."""

    slug = "bad-unit"


class BaselineError(PePerfError):
    """A baseline file that cannot be trusted: unreadable, from a newer version, or edited by hand."""

    slug = "bad-baseline"


class RunFileError(PePerfError):
    """A run file that is missing or cannot be read."""

    slug = "bad-run-file"


class HistoryError(PePerfError):
    """A history file that cannot be opened."""

    slug = "bad-history"


class WriteError(PePerfError):
    """A file that could not be written; what stood there before is whole."""

    slug = "cannot-write"


class UsageError(PePerfError):
    """A fixture or a marker used in a way that has no meaning."""

    slug = "bad-use"


class ReasonNeededError(PePerfError):
    """A baseline row would get worse and nobody said why."""

    slug = "reason-needed"


class BaseError(PePerfError):
    """The commit to compare with cannot be had: unknown, not in this clone, or not a git repository."""

    slug = "no-base"


class SidesError(PePerfError):
    """Base and head cannot be told apart, or cannot be measured beside each other."""

    slug = "bad-sides"


class ServiceError(PePerfError):
    """The service that a pull request is on cannot be asked, or refuses."""

    slug = "bad-service"


class ShardError(PePerfError):
    """Run files that are not the parts of one suite: one is missing, or there twice, or was measured otherwise."""

    slug = "bad-shards"
