"""Who carries alerts to people: log, file, webhook, mail, apprise; made in Python, or from TOML.

[[notifier]]
name = "ops"
kind = "webhook"
url = { env = "OPS_WEBHOOK" }
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from engine_opt.errors import InputError
from engine_opt.monitoring.alerts.messages import AlertTold, DeliveryError, Message, Notifier
from engine_opt.monitoring.alerts.toml import Secret, check_keys, seconds, similar
from engine_opt.monitoring.notify.apprise import AppriseNotifier
from engine_opt.monitoring.notify.file import FileNotifier
from engine_opt.monitoring.notify.log import LogNotifier
from engine_opt.monitoring.notify.smtp import SmtpNotifier
from engine_opt.monitoring.notify.webhook import WebhookNotifier

__all__ = [
    "AlertTold",
    "AppriseNotifier",
    "DeliveryError",
    "FileNotifier",
    "LogNotifier",
    "Message",
    "Notifier",
    "Secret",
    "SmtpNotifier",
    "WebhookNotifier",
    "checked_notifiers",
    "notifier_from",
]


class _Kind(NamedTuple):
    make: Callable[..., Notifier]
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


KINDS = {
    "log": _Kind(LogNotifier, ("name",)),
    "file": _Kind(FileNotifier, ("name", "path")),
    "webhook": _Kind(WebhookNotifier, ("name", "url"), ("headers", "timeout", "deduplicates")),
    "smtp": _Kind(SmtpNotifier, ("name", "host", "sender", "to"), ("port", "user", "password", "tls", "timeout")),
    "apprise": _Kind(AppriseNotifier, ("name", "urls"), ("timeout",)),
}
"""Which notifiers TOML knows, with the keys of each."""


def notifier_from(table: Mapping[str, Any]) -> Notifier:
    """Return the notifier that a table of TOML describes. Raises InputError, which names the key and shows no secret."""
    word = table.get("kind")
    if type(word) is not str or word not in KINDS:
        suggested = similar(word, KINDS) if type(word) is str else ""
        raise InputError("kind", word, f"it must be one of {', '.join(KINDS)}{suggested and ':' + suggested}")
    kind = KINDS[word]
    check_keys(table, kind.needed, ("kind", *kind.needed, *kind.optional))
    values = {key: value for key, value in table.items() if key != "kind"}
    if "timeout" in values:
        values["timeout"] = seconds("timeout", values["timeout"])
    return kind.make(**values)


def checked_notifiers(notifiers: Iterable[Notifier]) -> tuple[Notifier, ...]:
    """Return `notifiers`; raises InputError where one is none, or two have one name."""
    found = tuple(notifiers)
    names: set[str] = set()
    for index, each in enumerate(found):
        name = getattr(each, "name", None)
        if type(name) is not str or not callable(getattr(each, "send", None)) or not hasattr(each, "deduplicates"):
            raise InputError(f"notifiers[{index}]", each, "it must have a name, deduplicates, and send")
        if name in names:
            raise InputError(f"notifiers[{index}].name", name, "another notifier has that name")
        names.add(name)
    return found
