"""Alerts in the log of the program that evaluates them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from engine_opt.monitoring.alerts.messages import Message
from engine_opt.monitoring.alerts.rules import Severity
from engine_opt.monitoring.alerts.states import Event
from engine_opt.monitoring.alerts.toml import text

LOGGER = "engine_opt.alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNotifier:
    """Logs each message to `engine_opt.alerts`: as an error where it is critical, as information where all is well again."""

    name: str = "log"

    @property
    def deduplicates(self) -> bool:
        """No: a log shows what it is given."""
        return False

    def __post_init__(self) -> None:
        text("name", self.name)

    def send(self, message: Message) -> None:
        """Log a message."""
        level = logging.ERROR if message.severity is Severity.CRITICAL else logging.WARNING
        if message.event is Event.RESOLVED or message.severity is Severity.INFO:
            level = logging.INFO
        logging.getLogger(LOGGER).log(level, "%s\n%s", message.title, message.text)
